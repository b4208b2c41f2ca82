"""The learning rate as a pure function of the step: compared with torch's own schedulers."""

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from colab_kit.recipe import Recipe
from colab_kit.training.optim import Schedule


def run(scheduler, steps: int) -> list[float]:
    """Factors that torch's scheduler gives, a step after a step."""
    made = scheduler(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0))
    out = []
    for _ in range(steps):
        out.append(made.optimizer.param_groups[0]["lr"])
        made.optimizer.step()
        made.step()
    return out


def ours(steps: int, **fields) -> list[float]:
    schedule = Schedule.of(Recipe(**fields), steps // fields["epochs"])
    return [schedule.factor(step) for step in range(steps)]


@pytest.mark.parametrize(("epochs", "per_epoch"), [(1, 2), (4, 25), (10, 7), (1, 100)])
def test_cosine_is_torchs(epochs, per_epoch):
    steps = epochs * per_epoch
    assert ours(steps, epochs=epochs) == pytest.approx(
        run(lambda o: theirs.CosineAnnealingLR(o, steps), steps), abs=1e-9
    )


@pytest.mark.parametrize(("size", "gamma"), [(1, 0.5), (2, 0.1), (7, 0.1)])
def test_step_is_torchs_stepped_each_epoch(size, gamma):
    found = ours(100, epochs=10, lr_schedule="step", step_size=size, gamma=gamma)
    assert found == pytest.approx(
        [f for f in run(lambda o: theirs.StepLR(o, size, gamma), 10) for _ in range(10)]
    )


@pytest.mark.parametrize("steps", [2, 3, 10, 77, 400])
def test_one_cycle_is_torchs(steps):
    expected = run(lambda o: theirs.OneCycleLR(o, 1.0, total_steps=steps + 1), steps + 1)
    schedule = Schedule("onecycle", steps + 1, steps + 1)
    assert [schedule.factor(step) for step in range(steps + 1)] == pytest.approx(
        expected, rel=1e-6, abs=1e-9
    )


def test_constant_is_constant():
    assert set(ours(50, epochs=5, lr_schedule="constant")) == {1.0}


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
@pytest.mark.parametrize("warmup", [0.5, 1, 2.25])
def test_a_warm_up_rises_by_equal_steps_and_never_begins_at_nothing(schedule, warmup):
    found = ours(40, epochs=4, lr_schedule=schedule, warmup_epochs=warmup, step_size=100)
    n = round(warmup * 10)
    rises = [b - a for a, b in zip(found[:n], found[1:n], strict=False)]
    assert (
        found[0] > 0
        and rises == pytest.approx([1 / (n + 1)] * (n - 1))
        and found[n] == pytest.approx(1.0)
    )


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant", "onecycle"])
@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_every_step_of_every_run_learns_and_none_more_than_the_whole_rate(schedule, epochs):
    for per_epoch in (1, 2, 13):
        found = ours(epochs * per_epoch, epochs=epochs, lr_schedule=schedule)
        assert all(0 < f <= 1 for f in found)


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant", "onecycle"])
def test_past_the_end_it_stays_in_its_range(schedule):
    made = Schedule.of(Recipe(epochs=2, lr_schedule=schedule), 5)
    assert all(0 <= made.factor(step) <= 1 for step in range(10, 30))


def test_only_a_course_that_ends_depends_on_the_number_of_epochs():
    for name in ("cosine", "step", "constant", "onecycle"):
        short, long = (
            Schedule.of(Recipe(epochs=epochs, lr_schedule=name), 10) for epochs in (2, 20)
        )
        assert short.ends is (
            [short.factor(s) for s in range(20)] != [long.factor(s) for s in range(20)]
        )


def test_warming_up_for_the_whole_run_works():
    assert ours(10, epochs=2, warmup_epochs=2)[-1] == pytest.approx(10 / 11)
