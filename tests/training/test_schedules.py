"""The learning rate as a pure function of the step: compared with torch's own schedulers."""

import copy
from functools import partial
from types import FunctionType

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as theirs

import colab_kit as kit
from colab_kit.errors import ModelError, RecipeError
from colab_kit.events import EpochDone, StepDone
from colab_kit.recipe import Recipe
from colab_kit.training import optim
from colab_kit.training.schedules import Schedule


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


@pytest.mark.parametrize(("epochs", "per_epoch"), [(1, 2), (4, 25), (10, 7)])
def test_linear_is_torchs(epochs, per_epoch):
    steps = epochs * per_epoch
    wanted = run(lambda o: theirs.LinearLR(o, 1.0, 0.0, steps), steps)
    assert ours(steps, epochs=epochs, lr_schedule="linear") == pytest.approx(wanted, abs=1e-9)


def test_polynomial_is_torchs():
    wanted = run(lambda o: theirs.PolynomialLR(o, 40, 0.9), 40)
    assert ours(40, epochs=4, lr_schedule="polynomial") == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("first", [1, 2, 3])
def test_restarts_are_torchs(first):
    wanted = run(lambda o: theirs.CosineAnnealingWarmRestarts(o, first * 10, 2), 150)
    found = ours(150, epochs=15, lr_schedule="restarts", step_size=first)
    assert found == pytest.approx(wanted, abs=1e-9)


NET = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
S = theirs
TORCHS = {  # each of torch's schedulers
    "LambdaLR": partial(S.LambdaLR, lr_lambda=lambda n: 0.9**n),
    "MultiplicativeLR": partial(S.MultiplicativeLR, lr_lambda=lambda n: 0.9),
    "StepLR": partial(S.StepLR, step_size=1, gamma=0.5),
    "MultiStepLR": partial(S.MultiStepLR, milestones=[1, 2], gamma=0.5),
    "ConstantLR": partial(S.ConstantLR, factor=0.5, total_iters=2),
    "LinearLR": partial(S.LinearLR, total_iters=3),
    "ExponentialLR": partial(S.ExponentialLR, gamma=0.7),
    "PolynomialLR": partial(S.PolynomialLR, total_iters=3),
    "CosineAnnealingLR": partial(S.CosineAnnealingLR, T_max=3),
    "CosineAnnealingWarmRestarts": partial(S.CosineAnnealingWarmRestarts, T_0=2),
    "OneCycleLR": partial(S.OneCycleLR, max_lr=0.1, total_steps=12),
    "CyclicLR": partial(S.CyclicLR, base_lr=0.01, max_lr=0.1, step_size_up=2, cycle_momentum=False),
    "ReduceLROnPlateau": partial(S.ReduceLROnPlateau, patience=0, factor=0.5),
    "SequentialLR": lambda o: S.SequentialLR(
        o, [S.ConstantLR(o, 0.1, 1), S.ExponentialLR(o, 0.9)], milestones=[1]
    ),
    "ChainedScheduler": lambda o: S.ChainedScheduler([S.ConstantLR(o), S.ExponentialLR(o, 0.9)]),
}


def small() -> kit.Data:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    return kit.load((x, rng.integers(0, 3, 40)), valid=0.25, quiet=True)


def trained(schedule, *, stop: int | None = None, name: str, **more) -> kit.Run:
    """Train with SGD made here, as a scheduler's instance needs it; stopped after `stop` steps."""
    torch.manual_seed(0)
    net = copy.deepcopy(NET)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    if isinstance(schedule, FunctionType):
        schedule = schedule(optimizer)
    control = kit.Control()

    def hear(event):
        if isinstance(event, StepDone) and event.step == stop:
            control.stop()

    return kit.train(
        net, small(), epochs=3, batch_size=8, optimizer=optimizer, lr_schedule=schedule,
        save_every_steps=1, name=name, control=control, callbacks=[hear], quiet=True, **more,
    )  # fmt: skip


def test_every_scheduler_of_torch_is_tried():
    known = {
        name for name in theirs.__all__ if name not in ("LRScheduler", "SWALR", "LR_SCHEDULER")
    }
    assert known <= set(TORCHS)


@pytest.mark.parametrize("kind", TORCHS)
@pytest.mark.parametrize("stop", [3, 4, 9])
def test_a_run_under_a_scheduler_of_torch_goes_on_to_the_same_bits(kind, stop, colab_kit_home):
    whole = trained(TORCHS[kind], name="whole")
    rates = [row["lr"] for row in whole.history]
    assert whole.status == "finished" and len(rates) == 3
    assert trained(TORCHS[kind], stop=stop, name="parted").status == "stopped"
    parted = trained(TORCHS[kind], name="parted")
    assert [row["lr"] for row in parted.history] == rates
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, parted.model.state_dict()[name]), name


def test_a_scheduler_of_torch_gives_the_rates_that_it_gives_in_a_loop(colab_kit_home):
    rates = [row["lr"] for row in trained(TORCHS["StepLR"], name="steps").history]
    assert rates == pytest.approx([0.1, 0.05, 0.025])


def test_a_function_of_the_step_is_the_course_and_another_function_another_run(colab_kit_home):
    run = trained(partial(pow, 0.5), name="own")  # a partial of no scheduler is f(step)
    assert [row["lr"] for row in run.history] == pytest.approx([0.1 * 0.5**n for n in (3, 7, 11)])
    other = trained(partial(pow, 0.25), name="own")
    assert other.folder != run.folder


def test_plateau_drops_after_so_many_validations_that_are_not_better(colab_kit_home):
    values = iter([0.5, 0.4, 0.4, 0.4, 0.4, 0.4])
    run = kit.train(
        kit.nets.mlp, small(), epochs=6, lr=0.1, lr_schedule="plateau", step_size=1, gamma=0.5,
        metrics={"mine": lambda output, y: next(values)}, monitor="valid/mine", quiet=True,
    )  # fmt: skip
    assert [row["lr"] for row in run.history] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.025])


def test_a_scheduler_of_another_optimizer_is_an_error_before_the_first_step(colab_kit_home):
    other = torch.optim.SGD(NET.parameters(), 0.1)
    with pytest.raises(ModelError):
        trained(S.StepLR(other, 1), name="other")
    with pytest.raises(ModelError):
        trained(S.StepLR, name="bare")


def test_parts_learn_from_the_epoch_that_unfreeze_names(colab_kit_home):
    seen = []

    def hear(event):
        if isinstance(event, EpochDone):
            seen.append([p.detach().clone() for p in net.parameters()])

    torch.manual_seed(0)
    net = copy.deepcopy(NET)
    begun = [p.detach().clone() for p in net.parameters()]
    kit.train(
        net, small(), epochs=3, unfreeze={0: "3.*", 2: "1.weight"}, callbacks=[hear], quiet=True
    )
    moved = [
        [not torch.equal(a, b) for a, b in zip(old, new, strict=True)]
        for old, new in zip([begun, *seen], seen, strict=False)
    ]
    assert moved == [[False, False, True, True]] * 2 + [[True, False, True, True]]


def test_a_transfer_with_stages_trains_its_head_at_once_and_the_named_parts_later(
    colab_kit_home, tiny_images
):
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    seen, data = [], kit.load(tiny_images(each=6), valid=0.25, quiet=True)

    def hear(event):
        if isinstance(event, EpochDone):
            live = {name: p.detach().clone() for name, p in backbone.named_parameters()}
            seen.append(live)

    run = kit.transfer(
        data, backbone, unfreeze={1: "0.*"}, epochs=2, lr=0.1, image_size=16, weights=None,
        callbacks=[hear], quiet=True,
    )  # fmt: skip
    assert run.choices["mode"].value == "finetune" and "unfreeze" in run.choices["mode"].why
    assert not torch.equal(seen[0]["0.weight"], seen[1]["0.weight"])
    with pytest.raises(RecipeError):
        kit.transfer(data, backbone, mode="frozen", unfreeze={0: "*"}, image_size=16, quiet=True)


@pytest.mark.parametrize("wrong", [{1: "*"}, {0: "nothing*"}, {-1: "*"}, {"a": "*"}, {0.5: "*"}])
def test_stages_that_cannot_be_are_refused(wrong, colab_kit_home):
    with pytest.raises(RecipeError):
        kit.train(kit.nets.mlp, small(), unfreeze=wrong, quiet=True)


def test_a_run_with_stages_is_opened_again_with_them(colab_kit_home):
    run = kit.train(kit.nets.mlp, small(), epochs=1, unfreeze={0: "*"}, quiet=True)
    assert kit.open_run(run.folder).recipe.unfreeze == {0: "*"}


def test_biases_and_norms_may_go_without_decay_and_patterns_have_their_own():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    plain = optim.build(None, net, Recipe(decay_biases=False), 1e-3, 0.05)
    assert {
        (p.ndim > 1, group["weight_decay"]) for group in plain.param_groups for p in group["params"]
    } == {(True, 0.05), (False, 0.0)}
    own = optim.build(None, net, Recipe(), {"2.*": 1e-2, "*": 1e-3}, {"0.*": 0.1, "*": 0.2})
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in own.param_groups
        for name, p in net.named_parameters()
        if any(p is q for q in group["params"])
    }
    assert (found["0.weight"], found["1.weight"], found["2.bias"]) == (
        (1e-3, 0.1), (1e-3, 0.2), (1e-2, 0.2),
    )  # fmt: skip
