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
    assert how == Precision("bf16", True) and timed["bf16 channels_last"] == 0.25
    assert (
        why
        == "measured, a step: fp32 1000 ms, bf16 1000 ms, fp32 channels_last 500 ms, bf16 channels_last 250 ms"
    )


def test_what_gains_less_than_noise_is_not_taken():
    (how, _, _), _ = found(bf16=0.97, fp32_last=0.99, bf16_last=0.96)
    assert how == Precision()


def test_one_slow_step_among_several_decides_nothing():
    """A machine that is busy for one step of the fastest way: the second or third tells."""
    net, clock = Small(), Clock(fp32=1.0, fp32_last=1.0, bf16=0.4, bf16_last=1.0)
    halves = []

    def hook(module, args, output):
        clock.hook(module, args, output)
        if output.dtype == torch.bfloat16 and module.body[0].weight.is_contiguous():
            halves.append(1)
            clock.now += 5.0 if len(halves) == 2 else 0.0

    handle = net.register_forward_hook(hook)
    how, _, timed = measure(
        net, BATCH, functional.cross_entropy, OPTIONS, steps=100_000, device=CPU, clock=clock
    )
    handle.remove()
    assert how == Precision("bf16") and timed["bf16"] == pytest.approx(0.4) and len(halves) == 6


def test_what_loses_the_loss_is_not_taken_however_fast():
    def wrong_in_bf16(output, y):
        assert output.dtype == torch.float32
        return functional.cross_entropy(output, y) * (1.0 if exact(output) else 2.0)

    def exact(output):  # bf16 leaves the lower 16 bits empty
        return bool((output.view(torch.int32) & 0xFFFF).any())

    (how, _, timed), _ = found(loss=wrong_in_bf16, bf16=0.1, bf16_last=0.1, fp32_last=0.8)
    assert how == Precision("fp32", True) and "bf16" not in timed


def test_a_hundredth_of_the_run_is_all_it_takes():
    (_, _, timed), clock = found(steps=100_000)
    assert len(timed) == 4 and clock.now <= 0.01 * 100_000
    (_, _, timed), clock = found(steps=500)
    assert len(timed) == 2 and clock.now <= 0.01 * 500
    _, clock = found(
        steps=3000, bf16=20.0, bf16_last=20.0
    )  # 30 s may be spent, and one slow way is found out by two steps of it
    assert clock.now <= 0.01 * 3000 + 2 * 20
    (how, why, timed), clock = found(steps=20)
    assert (
        clock.steps == 2
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
    assert how == Precision("fp32", True) and set(timed) == {"fp32", "fp32 channels_last"}


def test_what_was_measured_is_remembered_by_device_and_network(tmp_path):
    calls = []

    def find():
        calls.append(1)
        return Precision("bf16"), "measured", {"fp32": 1.0, "bf16": 0.5}

    place = tmp_path / "p.json"
    assert remembered(place, ["T4", "net"], find) == (Precision("bf16"), "measured")
    assert (
        remembered(place, ["T4", "net"], find) == (Precision("bf16"), "measured (earlier)")
        and len(calls) == 1
    )
    remembered(place, ["L4", "net"], find)
    assert len(calls) == 2
    place.write_text("{broken")
    assert remembered(place, ["T4", "net"], find)[0] == Precision("bf16")


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

    fastest, why = probing.fastest_forward(forward, OPTIONS, clock=lambda: now)
    assert fastest == "bf16 channels_last" and "fp32 3000 ms" in why and "bf16 1000 ms" in why
    fastest, _ = probing.fastest_forward(
        lambda how: forward(how, off=("bf16", "bf16 channels_last")), OPTIONS, clock=lambda: now
    )
    assert fastest == "fp32 channels_last"


def test_a_precision_that_the_network_cannot_take_is_passed_over():
    def forward(how):
        if how.dtype == "bf16":
            raise RuntimeError("no kernel")
        return torch.ones(2)

    assert probing.fastest_forward(forward, OPTIONS)[0].startswith("fp32")


@pytest.mark.parametrize(
    ("batch", "steps", "options", "few"),
    [(32, 10_000, 4, 32), (32, 99, 4, 3), (32, 5, 4, 2), (2, 99, 2, 2)],
)
def test_a_short_run_is_measured_on_a_part_of_a_batch(batch, steps, options, few):
    assert share_of(batch, steps, options) == few
    assert few == 2 or 2 * (options + 1) * few <= 0.0101 * steps * batch
