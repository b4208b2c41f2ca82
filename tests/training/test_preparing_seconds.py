"""Prepared: how long a run takes is foretold from what its network takes once it is warm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from colab_kit.api import preflight
from colab_kit.training import preparing, probing
from tests.support.tasks import small_data


class Clock:
    """A clock that goes only while a network computes."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Timed(nn.Module):
    """Takes a second the first time, and `seconds` from then on."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.fc, self.clock, self.seconds, self.calls = nn.Linear(192, 3), clock, seconds, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.clock.now += self.seconds if self.calls else 1.0
        self.calls += 1
        return self.fc(x.flatten(1))


@pytest.fixture
def foretold(monkeypatch):
    """Seconds that a run is said to take, and the network it was asked of."""

    def ask(seconds: float, **fields: Any) -> tuple[float, Timed]:
        seen, clock = [], Clock()
        monkeypatch.setattr(preparing, "time", clock)
        monkeypatch.setattr(preparing, "examine", lambda one: seen.append(one) or ())
        net = Timed(clock, seconds)
        assert preflight(net, small_data("arrays"), batch_size=4, **fields).ok
        return seen[0].seconds, net

    return ask


def test_set_up_that_only_the_first_batch_pays_is_not_foretold_for_all(foretold):
    seconds, _ = foretold(0.001, epochs=10)
    assert seconds == pytest.approx(3 * 0.001 * 60)


def test_a_run_of_few_batches_is_not_looked_at_twice(foretold):
    seconds, net = foretold(0.001, epochs=1)
    looks = net.calls
    assert seconds == pytest.approx(3 * 1.0 * 6) and foretold(0.001, epochs=10)[1].calls > looks


def test_a_slow_first_batch_makes_no_run_of_few_batches_a_long_one(foretold):
    """It was set-up: a few pictures tell, at a share of the cost."""
    seconds, _ = foretold(0.001, epochs=2)
    assert seconds == pytest.approx(3 * 0.001 * 2 * 12)


def test_batches_that_are_gathered_into_one_step_count_each(foretold):
    assert foretold(0.001, epochs=10, grad_accum_steps=3)[0] == foretold(0.001, epochs=10)[0]


def test_a_step_of_a_long_run_is_measured(foretold, monkeypatch):
    monkeypatch.setattr(probing, "step_seconds", lambda *given: 0.5)
    assert foretold(0.1, epochs=100, precision="fp32")[0] == pytest.approx(0.5 * 600)


def test_a_long_run_whose_batch_does_not_fit_is_foretold_by_what_does(foretold, monkeypatch):
    def full(*given):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(probing, "step_seconds", full)
    monkeypatch.setattr(probing, "measure", lambda *given, **more: full())
    seconds, _ = foretold(0.1, epochs=100)
    assert seconds == pytest.approx(3 * 0.1 * 600)
