"""The learning-rate finder: it sweeps from tiny to huge rates on the real network and data.

Nothing of the sweep stays in the network.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import nn

from ..data import keyed_random
from ..data.batches import Batch, BatchLoader
from ..models.weights import untouched
from .losses import Loss, with_aux

STEPS = 100  # of the sweep
LOW, HIGH = 1e-7, 10.0  # learning rates, as fastai and Lightning sweep
SMOOTH = 0.98  # weight of the past in the loss curve, corrected at its start as Adam corrects
LOST = 4.0  # times the best smoothed loss: there the sweep ends
SKIP = 10  # steps at the start of the curve that suggest nothing


def sweep(
    model: nn.Module,
    feed: BatchLoader,
    loss: Loss,
    make: Callable[[float], torch.optim.Optimizer],
    *,
    enter: Callable[[], None],
    seed: int = 0,
) -> tuple[list[float], list[float]]:
    """Give the learning rates and smoothed losses of a range test (Smith 2017), one step each.

    The network is left as it was.

    Parameters
    ----------
    make : callable(lr)
        It makes an optimizer over the model's parameters.
    enter : callable()
        It puts the model into training.
    """
    rates, losses = list[float](), list[float]()
    with untouched(model, weights=True):
        enter()
        optimizer, mean, best = make(LOW), 0.0, math.inf
        for number, batch in enumerate(itertools.islice(_endless(feed), STEPS)):
            rate = LOW * (HIGH / LOW) ** (number / (STEPS - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate
            keyed_random.seed_torch(seed, keyed_random.STEP, 0, number)
            value = with_aux(loss, model(batch.x), batch.y)
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            mean = SMOOTH * mean + (1 - SMOOTH) * value.item()
            smooth = mean / (1 - SMOOTH ** (number + 1))
            if not math.isfinite(smooth) or smooth > LOST * best:
                break
            best = min(best, smooth)
            rates.append(rate)
            losses.append(smooth)
    return rates, losses


def suggest(rates: list[float], losses: list[float]) -> tuple[float | None, str]:
    """Suggest the rate where the loss falls fastest per decade, and say why; None: it never falls.

    Only rates before the lowest loss count (fastai's `steep`).
    """
    lowest = min(range(len(losses)), key=losses.__getitem__, default=0)
    slopes = {
        i: (losses[i + 1] - losses[i - 1]) / math.log10(rates[i + 1] / rates[i - 1])
        for i in range(max(1, min(SKIP, lowest)), lowest)
    }
    steepest = min(slopes, key=slopes.__getitem__, default=0)
    if not slopes or slopes[steepest] >= 0:
        why = "the loss does not fall at any rate: the network learns nothing from these batches"
        return None, why
    why = f"the loss falls fastest there; it is lowest at {rates[lowest]:.1e}"
    return rates[steepest], f"{why}, and the sweep ends at {rates[-1]:.1e}"


def _endless(feed: BatchLoader) -> Iterator[Batch]:
    """Yield batches with pictures, epoch after epoch; it ends where an epoch has none."""
    for epoch in itertools.count():
        some = False
        for batch in feed.shuffled(epoch):
            if len(batch):
                some = True
                yield batch
        if not some:
            return
