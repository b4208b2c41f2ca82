"""The learning-rate finder: a sweep that suggests a rate that learns, and leaves no trace."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit import nets
from colab_kit.api import find_lr
from colab_kit.errors import ModelError, RecipeError
from colab_kit.training import trials
from colab_kit.training.trials import STEPS, suggest
from tests.support.tasks import Small, small_data


@pytest.fixture(scope="module")
def curve():
    return find_lr(nets.mlp, "fashion-mini")


def test_the_suggestion_is_a_rate_that_learns(curve):
    assert curve.suggestion is not None and 1e-5 < curve.suggestion < 1e-1
    assert (
        30 < len(curve.lrs) <= STEPS
        and curve.lrs[0] == 1e-7
        and min(curve.losses) < curve.losses[0]
    )


def test_the_same_call_gives_the_same_curve(curve):
    again = find_lr(nets.mlp, "fashion-mini")
    assert (again.lrs, again.losses, again.suggestion) == (
        curve.lrs,
        curve.losses,
        curve.suggestion,
    )


def test_it_leaves_no_trace():
    net = Small()
    net.train()
    net.body[1].eval()
    net.body[0].weight.requires_grad_(False)
    net.fc[0].weight.grad = torch.ones_like(net.fc[0].weight)
    before, modes = copy.deepcopy(net), [m.training for m in net.modules()]
    streams = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    find_lr(net, small_data("arrays"), batch_size=4)
    assert modes == [m.training for m in net.modules()]
    for (name, now), (_, then) in zip(
        net.state_dict().items(), before.state_dict().items(), strict=True
    ):
        assert torch.equal(now, then), name
    assert [p.requires_grad for p in net.parameters()] == [
        p.requires_grad for p in before.parameters()
    ]
    assert (
        torch.equal(net.fc[0].weight.grad, torch.ones_like(net.fc[0].weight))
        and net.fc[3].weight.grad is None
    )
    assert torch.equal(streams[0], torch.random.get_rng_state()) and streams[1] == random.getstate()
    assert (streams[2] == np.random.get_state()[1]).all()


def test_it_draws_a_picture_with_the_suggestion(curve, tmp_path):
    curve.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG") and "suggestion" in repr(
        curve
    )


def test_a_network_that_learns_nothing_gets_no_suggestion():
    class Deaf(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return (self.w * 0 + torch.arange(3.0)).expand(len(x), 3) + 0 * x.flatten(1)[:, :1]

    found = find_lr(Deaf(), small_data("arrays"), batch_size=4)
    assert found.suggestion is None and "learns nothing" in found.why


def test_the_steepest_fall_before_the_lowest_point_is_suggested():
    rates = [10.0 ** (k / 10 - 6) for k in range(60)]
    losses = [
        2.0
        - (0.02 * k if k < 20 else 0.4 + 0.1 * (k - 20) if k < 30 else 1.4)
        + (0.5 * (k - 45) if k > 45 else 0)
        for k in range(60)
    ]
    found, why = suggest(rates, losses)
    assert 10 ** (-6 + 1.9) < found < 10 ** (-6 + 3.1) and "falls fastest" in why


def test_an_optimizer_that_is_made_already_cannot_be_swept():
    net = Small()
    with pytest.raises(RecipeError, match="by name or class"):
        find_lr(net, small_data("arrays"), optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    assert find_lr(net, small_data("arrays"), optimizer=torch.optim.SGD).lrs


def test_what_training_would_refuse_is_refused():
    with pytest.raises(ModelError):
        find_lr(nn.Linear(3, 3), small_data("arrays"))


def test_a_backbone_by_name_is_swept_with_its_new_head(monkeypatch):
    monkeypatch.setattr(trials, "STEPS", 10)
    assert find_lr("efficientnet_lite0", small_data("arrays"), image_size=32, batch_size=8).lrs
