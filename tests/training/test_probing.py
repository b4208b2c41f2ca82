"""Measured: the fastest precision wins, at little cost, and leaves no trace in the network."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from colab_kit import api
from colab_kit.data.batches import Batch
from colab_kit.models.precision import Precision
from colab_kit.training import preparing, probing
from colab_kit.training.probing import measure, remembered, share_of
from tests.support import examples
from tests.support.tasks import Small, small_data

CPU = torch.device("cpu")
OPTIONS = [Precision(), Precision("fp32", True), Precision("bf16"), Precision("bf16", True)]
X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
BATCH = Batch(X, torch.tensor([0, 1, 2, 0]), np.arange(4))


class Clock:
    """Seconds that each kind of step takes, told by what the network computes in."""

    def __init__(self, **seconds: float) -> None:
        self.now, self.seconds, self.steps = 0.0, seconds, 0

    def __call__(self) -> float:
        return self.now

    def hook(self, module: nn.Module, args: tuple, output: torch.Tensor) -> None:
        kind = "bf16" if output.dtype == torch.bfloat16 else "fp32"
        self.now += self.seconds[
            kind + ("_last" if not module.body[0].weight.is_contiguous() else "")
        ]
        self.steps += 1


def found(
    net: nn.Module | None = None,
    steps: int = 100_000,
    loss=functional.cross_entropy,
    **seconds: float,
):
    net, clock = (
        net or Small(),
        Clock(**{"fp32": 1.0, "fp32_last": 1.0, "bf16": 1.0, "bf16_last": 1.0, **seconds}),
    )
    handle = net.register_forward_hook(clock.hook)
    out = measure(net, BATCH, loss, OPTIONS, steps=steps, device=CPU, clock=clock)
    handle.remove()
    return out, clock


def test_the_fastest_is_taken_and_the_figures_are_told():
    (how, why, timed), _ = found(bf16_last=0.25, fp32_last=0.5)
    assert how == Precision("bf16", True) and timed[how] == 0.25
    assert (
        why
        == "measured, a step: fp32 1000 ms, fp32 channels_last 500 ms, bf16 1000 ms, bf16 channels_last 250 ms"
    )


def test_what_gains_less_than_noise_is_not_taken():
    (how, _, _), _ = found(bf16=0.97, fp32_last=0.99, bf16_last=0.96)
    assert how == Precision()


class Tiny(nn.Module):
    """A network that computes in no time."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3, 2), nn.Flatten())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


class Noisy(Clock):
    """A clock with one step that takes `factor` times as long."""

    def __init__(self, at: int, factor: float, **seconds: float) -> None:
        super().__init__(**seconds)
        self.at, self.factor = at, factor

    def hook(self, module: nn.Module, args: tuple, output: torch.Tensor) -> None:
        before = self.now
        super().hook(module, args, output)
        if self.steps == self.at + 1:
            self.now = before + (self.now - before) * self.factor


def judged(clock: Clock, steps: int) -> Precision:
    net = Tiny()
    handle = net.register_forward_hook(clock.hook)
    batch = Batch(X[:2, :, :2, :2], BATCH.y[:2], BATCH.index[:2])
    loss = functional.cross_entropy
    how, _, _ = measure(net, batch, loss, OPTIONS, steps=steps, device=CPU, clock=clock)
    handle.remove()
    return how


@pytest.mark.parametrize("factor", [0.001, 0.3, 3.0, 1000.0])
def test_one_step_that_is_off_anywhere_changes_no_choice(factor):
    """Machines of all kinds: no gain, one just above or below the noise, a clear one, a near tie."""
    rng = np.random.Generator(np.random.Philox(3))
    kinds = ("fp32_last", "bf16", "bf16_last")
    for number in range(examples(80)):
        gains = rng.choice([0.3, 0.9, 0.94, 0.96, 1.0, 1.5, 20.0], 3)
        machine = {"fp32": float(rng.choice([0.01, 1.0])), "fp32_last": 0.0}
        machine |= {kind: gain * machine["fp32"] for kind, gain in zip(kinds, gains, strict=True)}
        calm, steps = Clock(**machine), int(rng.choice([2000, 100_000]))  # some runs are short
        expected = judged(calm, steps)
        at = int(rng.integers(calm.steps))
        assert judged(Noisy(at, factor, **machine), steps) == expected, (number, at, machine)


@pytest.mark.parametrize("factor", [0.001, 1000.0])
def test_one_forward_pass_that_is_off_anywhere_changes_no_choice(factor):
    takes = {"fp32": 3.0, "fp32 channels_last": 2.0, "bf16": 1.0, "bf16 channels_last": 1.5}
    for at in range(16):
        passes = []

        def forward(how, at=at, passes=passes):
            passes.append(takes[str(how)] * (factor if len(passes) == at else 1.0))
            return torch.ones(4)

        def clock(passes=passes):
            return sum(passes)

        fastest, _, _ = probing.fastest_forward(forward, OPTIONS, clock=clock)
        assert str(fastest) == "bf16" and len(passes) == 16, at


def test_a_step_too_short_for_the_clock_chooses_nothing():
    """An MLP: 2 ms in fp32, and bf16 only seems to be faster."""
    (how, why, timed), clock = found(
        steps=10_000_000, fp32=0.002, fp32_last=0.001, bf16=0.0005, bf16_last=0.0001
    )
    assert how == Precision() and why == probing.TOO_LIGHT and not timed and clock.steps == 4


def test_what_loses_the_loss_is_not_taken_however_fast():
    def wrong_in_bf16(output, y):
        assert output.dtype == torch.float32
        return functional.cross_entropy(output, y) * (1.0 if exact(output) else 2.0)

    def exact(output):  # bf16 leaves the lower 16 bits empty
        return bool((output.view(torch.int32) & 0xFFFF).any())

    (how, _, timed), _ = found(loss=wrong_in_bf16, bf16=0.1, bf16_last=0.1, fp32_last=0.8)
    assert how == Precision("fp32", True) and Precision("bf16") not in timed


def test_a_hundredth_of_the_run_is_all_it_takes():
    for steps, options in ((100_000, 4), (1900, 4), (1899, 3), (1100, 2)):
        (_, _, timed), clock = found(steps=steps)
        assert len(timed) == options and clock.now <= 0.01 * steps
    (how, why, timed), clock = found(steps=1099)
    assert how == Precision() and why == probing.TOO_DEAR and not timed and clock.steps == 4
    # a slow way is found out by three steps of it
    _, clock = found(steps=3000, bf16=20.0, bf16_last=20.0)
    assert clock.now <= 0.01 * 3000 + 2 * 3 * 20
    (how, why, _), clock = found(steps=20)
    assert (
        clock.steps == 4
        and how == Precision()
        and why == "the run takes less than 30 s: nothing is measured"
    )


def test_it_leaves_no_trace():
    net = Small()
    net.train()
    net.body[1].eval()
    net.fc[0].weight.grad = torch.ones_like(net.fc[0].weight)
    before, modes = copy.deepcopy(net), [m.training for m in net.modules()]
    torch.manual_seed(3)
    stream = torch.random.get_rng_state()
    found(net, bf16_last=0.1)
    assert torch.equal(stream, torch.random.get_rng_state()) and modes == [
        m.training for m in net.modules()
    ]
    for (name, now), (_, then) in zip(
        net.state_dict().items(), before.state_dict().items(), strict=True
    ):
        assert torch.equal(now, then) and now.stride() == then.stride(), name
    assert (
        torch.equal(net.fc[0].weight.grad, torch.ones_like(net.fc[0].weight))
        and net.body[0].weight.grad is None
    )


def test_hardware_that_cannot_is_passed_over():
    class NoHalf(Small):
        def forward(self, x):
            if torch.is_autocast_enabled("cpu"):
                raise RuntimeError("no kernel for this")
            return super().forward(x)

    (how, _, timed), _ = found(NoHalf(), fp32_last=0.5)
    assert how == Precision("fp32", True) and set(timed) == set(OPTIONS[:2])


BF16 = Precision("bf16")
FAST = {Precision(): 1.0, BF16: 0.5}


def finder(*answers):
    """What measures: a stack of answers, by the fastest first, and what it was asked."""
    asked, left = [], list(answers)

    def find(options):
        asked.append(options)
        how = left.pop(0)
        return how, "measured", {} if how is None else {**FAST, how: 0.1}

    return find, asked


def test_what_was_measured_is_remembered_by_device_and_network(tmp_path):
    place, two = tmp_path / "p.json", [OPTIONS[0], BF16]
    find, asked = finder(BF16, BF16, BF16, BF16)
    assert remembered(place, ["T4", "net"], OPTIONS, find) == (BF16, "measured")
    assert remembered(place, ["T4", "net"], OPTIONS, find) == (BF16, "measured (earlier)")
    assert asked == [OPTIONS, two], "the second time it is compared with plain fp32 alone"
    remembered(place, ["L4", "net"], OPTIONS, find)
    assert asked[2:] == [OPTIONS]
    place.write_text("{broken")
    assert remembered(place, ["T4", "net"], OPTIONS, find)[0] == BF16


@pytest.mark.parametrize("kept, seen", [(BF16, Precision()), (Precision(), BF16)])
def test_a_choice_that_a_second_look_contradicts_is_dropped(tmp_path, kept, seen):
    """Also one of plain fp32: the fastest of the others is looked at."""
    place = tmp_path / "p.json"
    find, asked = finder(kept, seen, seen, seen)
    remembered(place, "net", OPTIONS, find)
    assert remembered(place, "net", OPTIONS, find) == (seen, "measured")
    assert asked == [OPTIONS, [Precision(), BF16], OPTIONS]
    assert remembered(place, "net", OPTIONS, find) == (seen, "measured (earlier)")


def test_a_run_in_which_nothing_is_measured_takes_no_earlier_choice_but_what_it_says(tmp_path):
    place = tmp_path / "p.json"
    remembered(place, "net", OPTIONS, finder(BF16)[0])
    short = Precision(), probing.TOO_SHORT, {}
    assert remembered(place, "net", OPTIONS, lambda some: short) == short[:2]
    assert remembered(place, "net", OPTIONS, finder(BF16)[0]) == (BF16, "measured (earlier)")


def test_one_option_alone_is_not_measured(tmp_path):
    find, asked = finder()
    how, _ = remembered(tmp_path / "p.json", "net", OPTIONS[:1], find)
    assert how == Precision() and not asked


def test_a_short_run_measures_nothing_and_a_long_one_writes_its_choice_before_the_first_step(
    monkeypatch,
):
    run = api.train(Small, small_data("arrays"), run_dir="short", quiet=True, epochs=1)
    assert (
        run.choices["precision"][0] == "fp32"
        and "nothing is measured" in run.choices["precision"][1]
    )
    for room in (preparing, probing):
        monkeypatch.setattr(room, "SHORT", 0.0)
    monkeypatch.setattr(probing, "SHARE", 1e9)
    monkeypatch.setattr(probing, "FLOOR", 0.0)
    monkeypatch.setattr(preparing, "candidates", lambda *machine: OPTIONS[::2])
    run = api.train(Small, small_data("arrays"), run_dir="long", quiet=True, epochs=1, batch_size=4)
    assert "measured, a step: fp32 " in run.choices["precision"][1]
    again = api.train(
        Small, small_data("arrays"), run_dir="long", quiet=True, epochs=2, batch_size=4
    )
    assert again.choices["precision"] == run.choices["precision"] and again.status == "finished"


def test_the_fastest_forward_pass_wins_unless_its_numbers_are_off():
    now = 0.0
    takes = {"fp32": 3.0, "fp32 channels_last": 2.0, "bf16": 1.0, "bf16 channels_last": 0.5}

    def forward(how, *, off=()):
        nonlocal now
        now += takes[str(how)]
        return torch.ones(4) * (1.1 if str(how) in off else 1.001)

    fastest, why, _ = probing.fastest_forward(forward, OPTIONS, clock=lambda: now)
    assert str(fastest) == "bf16 channels_last" and "fp32 3000 ms" in why and "bf16 1000 ms" in why
    fastest, *_ = probing.fastest_forward(
        lambda how: forward(how, off=("bf16", "bf16 channels_last")), OPTIONS, clock=lambda: now
    )
    assert str(fastest) == "fp32 channels_last"


def test_a_precision_that_the_network_cannot_take_is_passed_over():
    def forward(how):
        if how.dtype == "bf16":
            raise RuntimeError("no kernel")
        return torch.ones(2)

    assert probing.fastest_forward(forward, OPTIONS)[0].dtype == "fp32"


@pytest.mark.parametrize(
    ("batch", "steps", "options", "few"),
    [(32, 10_000, 4, 32), (32, 180, 4, 3), (32, 5, 4, 2), (2, 99, 2, 2)],
)
def test_a_short_run_is_measured_on_a_part_of_a_batch(batch, steps, options, few):
    assert share_of(batch, steps, options) == few
    assert few == 2 or probing.passes(options) * few <= 0.0101 * steps * batch
