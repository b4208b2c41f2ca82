"""Metrics: sums of loss and accuracy that a kill may cut in two."""

import json
import math

import pytest
import torch

from colab_kit.training.losses import Sums, better

CPU = torch.device("cpu")


def batches(n=5, classes=8):
    make = torch.Generator().manual_seed(0)
    return [
        (
            torch.rand((), generator=make),
            torch.randn(3 + k, classes, generator=make),
            torch.randint(0, classes, (3 + k,), generator=make),
        )
        for k in range(n)
    ]


def test_means_are_those_over_all_pictures_at_once():
    sums = Sums(CPU, top5=True)
    for batch in batches():
        sums.add(*batch)
    output, y = torch.cat([o for _, o, _ in batches()]), torch.cat([y for _, _, y in batches()])
    loss = sum(float(loss) * len(y) for loss, _, y in batches()) / len(y)
    top5 = sum(int(y[i]) in output[i].topk(5).indices.tolist() for i in range(len(y))) / len(y)
    assert sums.read("valid") == pytest.approx(
        {
            "valid/loss": loss,
            "valid/top1": float((output.argmax(1) == y).float().mean()),
            "valid/top5": top5,
        }
    )


def test_an_epoch_cut_in_two_has_the_same_bits():
    whole, first = Sums(CPU, top5=True), Sums(CPU, top5=True)
    for batch in batches():
        whole.add(*batch)
    for batch in batches()[:2]:
        first.add(*batch)
    second = Sums(CPU, top5=True, values=json.loads(json.dumps(first.as_list())))
    for batch in batches()[2:]:
        second.add(*batch)
    assert second.as_list() == whole.as_list()


def test_a_million_small_losses_lose_nothing():
    sums, y = Sums(CPU, top5=False, values=[1e6, 1e6, 0.0, 0.0]), torch.zeros(1, dtype=torch.int64)
    for _ in range(1000):
        sums.add(torch.tensor(1e-4), torch.zeros(1, 2), y)
    assert sums.as_list()[0] == pytest.approx(1e6 + 0.1, abs=1e-6)


def test_top5_is_there_only_when_asked_and_nothing_seen_is_no_figure():
    assert set(Sums(CPU, top5=False).read("train")) == {"train/loss", "train/top1"}
    nothing = Sums(CPU, top5=True).read("valid")
    assert list(nothing) == ["valid/loss", "valid/top1", "valid/top5"] and all(
        math.isnan(v) for v in nothing.values()
    )


def test_gradients_do_not_hang_on():
    sums, loss = Sums(CPU, top5=False), torch.ones((), requires_grad=True) * 2
    sums.add(loss, torch.zeros(2, 3, requires_grad=True), torch.zeros(2, dtype=torch.int64))
    assert not sums._sums.requires_grad and sums.read("x")["x/loss"] == 2.0


@pytest.mark.parametrize(
    ("metric", "new", "best", "wins"),
    [
        ("valid/loss", 0.1, 0.2, True), ("valid/loss", 0.2, 0.1, False), ("valid/loss", 0.1, 0.1, False), ("valid/top1", 0.2, 0.1, True),
        ("valid/top1", 0.1, 0.1, False), ("valid/mae", 1.0, 2.0, True), ("train/rmse", 2.0, 1.0, False), ("valid/loss", 5.0, None, True),
        ("valid/loss", float("nan"), None, False), ("valid/top1", float("nan"), 0.1, False), ("valid/loss", float("inf"), None, True),
    ],
)  # fmt: skip
def test_losses_go_down_and_all_else_up_and_nan_never_wins(metric, new, best, wins):
    assert better(metric, new, best) is wins
