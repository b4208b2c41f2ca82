"""The frozen head: it is solved for features of the backbone, or learns from them step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch

from ..data.batches import fits
from ..data.keyed_random import outer_streams_kept
from ..events import EpochDone, Note, StepDone, milestone
from ..models.linear_solver import Solved, solve
from ..system import timings
from .loaders import FrozenFeatures, Heard
from .losses import Loss, Sums
from .metrics import Kept
from .plan import Plan
from .state import Progress, copy_of, wear


def compute_features(plan: Plan, progress: Progress) -> str:
    """Compute what a head of several layers learns from; "" when done, else why it stopped."""
    features = _features(plan)
    hear = _listener(progress)
    with outer_streams_kept():
        is_done = all(features.compute(name, view, hear) for name, view in features.parts)
    return "" if is_done else progress.control.reason


def fit_head_on_features(plan: Plan, progress: Progress) -> str:
    """Compute features view after view, and solve the head for all views so far.

    In mode "frozen" it announces itself and saves each view. Where the rest learns afterwards, the
    loop does that.

    Returns
    -------
    str
        "" when done, else the reason it stopped.
    """
    features, state, emit = _features(plan), progress.state, progress.emit
    alone, steps = plan.is_solved, plan.steps_per_epoch
    total = steps * features.views
    facts = {**progress.facts(plan), "planned": True, "environment": {}, "schedule": {}}
    if alone:
        progress.open_saver(plan)
        progress.announce(plan, total)

    def tell(done: int) -> None:
        if alone:
            emit(StepDone(state.epoch * steps + min(done, steps), total, math.nan, 0.0))

    with outer_streams_kept():
        for row, head in _fits(plan, features, _listener(progress, tell), after=state.epoch):
            _put(head, features)
            state.epoch, state.step = state.epoch + 1, state.step + steps
            state.seconds = progress.budget.seconds
            weights = copy_of(plan.model)
            row = {"epoch": float(state.epoch), "step": state.step, "l2": head.strength, **row}
            progress.note(plan, row, weights.copy)
            state.waited = 0  # patience is the loop's
            if alone:
                progress.save({f"model/{name}": t for name, t in weights.items()}, facts, must=True)
            emit(EpochDone(float(state.epoch), plan.epochs, row))
            milestone("epoch_end")
    if alone:
        wear(plan.model, progress.best_or_last(plan))
    return "" if state.epoch == features.views else progress.control.reason


def _features(plan: Plan) -> FrozenFeatures:
    assert plan.features is not None
    return plan.features


def _fits(
    plan: Plan, features: FrozenFeatures, hear: Heard, *, after: int
) -> Iterator[tuple[dict[str, float], Solved]]:
    """Give figures and head of each view; ends where somebody says stop.

    Parameters
    ----------
    after : int
        Views whose head was fitted before: their features count, and nothing is said of them.
    """
    has_valid, classes = "valid" in plan.loaders, len(plan.data.classes)
    if has_valid and not features.compute("valid", 0, hear):
        return
    device = plan.device if fits(features.nbytes, plan.device) else torch.device("cpu")
    valid = features.first_views("valid", 1, device) if has_valid else None
    loss, judge = plan.loss_on(device), plan.valid_loss
    for view in range(features.views):
        if not features.compute("train", view, hear):
            return
        if view < after:
            continue
        x, y = features.first_views("train", view + 1, device)
        with timings.during("solve"):
            head = solve(x, y, classes, loss, valid=valid, judge=judge)
        row = _figures(plan, "train", head(x), y, loss)
        if valid is not None:
            row |= _figures(plan, "valid", head(valid[0]), valid[1], judge)
        yield row, head


def _figures(
    plan: Plan, split: str, scores: torch.Tensor, y: torch.Tensor, loss: Loss
) -> dict[str, float]:
    top5 = split == "valid" and len(plan.data.classes) > 5
    sums = Sums(scores.device, top5=top5, task=plan.data.task)
    sums.add(loss(scores, y), scores, y)
    kept = Kept(plan.metrics)
    if split == "valid":
        kept.add(scores, y)
    return {**sums.read(split), **kept.read(split)}


def _put(head: Solved, features: FrozenFeatures) -> None:
    """Put the solved weights into the network."""
    layer = features.backbone.linear
    assert layer is not None
    with torch.no_grad():
        layer.weight.copy_(head.weight)
        layer.bias.copy_(head.bias)


def _listener(progress: Progress, tell: Callable[[int], None] = lambda done: None) -> Heard:
    """Make what hears stop, pause and budget after each batch of a view; False ends it."""
    control, budget = progress.control, progress.budget

    def hear(done: int, total: int) -> bool:
        milestone("in_features")
        tell(done)
        if control.paused:
            began = time.monotonic()
            progress.emit(Note(f"Paused after {done} of {total} batches of a view; they are kept."))
            with timings.during("pause"):
                control.wait_while_paused()
            budget.pause(time.monotonic() - began)
        if budget.used_up(step=0.0, save=0.0):
            control.stop(budget.reason(None))
        return not control.stopped

    return hear
