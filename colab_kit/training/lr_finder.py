"""The learning-rate finder: a sweep from tiny to huge on the real network and data, of which nothing stays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import nn

from ..data import keyed_random
from ..data.batches import Batch, BatchLoader
from .losses import Loss, with_aux
from .untouched import untouched

STEPS = 100  # of the sweep
LOW, HIGH = 1e-7, 10.0  # learning rates, as fastai and Lightning sweep
SMOOTH = 0.98  # weight of the past in the loss curve, corrected at its start as Adam corrects
LOST = 4.0  # times the best smoothed loss: there the sweep ends
SKIP = 10  # steps at each end of the curve that suggest nothing


def sweep(
    model: nn.Module,
    feed: BatchLoader,
    loss: Loss,
    make: Callable[[float], torch.optim.Optimizer],
    *,
    enter: Callable[[], None],
    device: torch.device,
    seed: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[list[float], list[float]]:
    """Learning rates and smoothed losses of a range test (Smith 2017), one step each; the network is given back as it came.

    Parameters
    ----------
    make : callable(lr) -> an optimizer over the model's parameters
    enter : puts the model into training
    stopped : asked before each step
    """
    rates, losses = list[float](), list[float]()
    with untouched(model, weights=True):
        enter()
        optimizer, mean, best = make(LOW), 0.0, math.inf
        for number, batch in enumerate(_endless(feed)):
            if number == STEPS or stopped():
                break
            rate = LOW * (HIGH / LOW) ** (number / (STEPS - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate
            keyed_random.seed_torch(seed, keyed_random.STEP, 0, number)
            found = with_aux(loss, model(batch.x), batch.y)
            found.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            value = float(found.detach())
            mean = SMOOTH * mean + (1 - SMOOTH) * value
            smooth = mean / (1 - SMOOTH ** (number + 1))
            if not math.isfinite(smooth) or smooth > LOST * best:
                break
            best = min(best, smooth)
            rates.append(rate)
            losses.append(smooth)
    return rates, losses


def suggest(rates: list[float], losses: list[float]) -> tuple[float | None, str]:
    """Where the loss falls fastest per decade before its lowest point (fastai's `steep`), and why; None where it nowhere falls."""
    lowest = min(range(len(losses)), key=losses.__getitem__, default=0)
    first = min(SKIP, lowest)
    slopes = {
        i: (losses[i + 1] - losses[i - 1]) / (math.log10(rates[i + 1]) - math.log10(rates[i - 1]))
        for i in range(max(1, first), lowest)
    }
    steepest = min(slopes, key=slopes.__getitem__, default=0)
    if not slopes or slopes[steepest] >= 0:
        return (
            None,
            "the loss does not fall at any rate: the network learns nothing from these batches",
        )
    return (
        rates[steepest],
        f"the loss falls fastest there; it is lowest at {rates[lowest]:.1e} and lost beyond {rates[-1]:.1e}",
    )


def _endless(feed: BatchLoader) -> Iterator[Batch]:
    epoch, some = 0, True
    while some:
        some = False
        for batch in feed.shuffled(epoch):
            if len(batch):
                some = True
                yield batch
        epoch += 1
