"""Trials: a look before the first step, and a sweep of the learning rate.

Neither leaves a trace in the network.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..data import keyed_random
from ..data.batches import Batch, BatchLoader
from ..data.keyed_random import outer_streams_kept
from ..data.loading import load
from ..errors import ColabKitError, RecipeError, plain
from ..events import Callback, Callbacks, Event, Note
from ..models.summary import Summary, summarise
from ..models.weights import untouched
from ..system.console import escape, html_table, with_console
from .findings import Finding
from .losses import Loss, with_aux
from .plan import Hardware
from .preparing import prepare, refuse_errors
from .probing import step_seconds
from .request import Request

NOTHING = "Nothing was found: go ahead."


@dataclass(frozen=True, repr=False)
class Preflight:
    """What `preflight` gives.

    Attributes
    ----------
    findings : tuple of Finding
        Errors first.
    summary : Summary, optional
        The layer table; None where the network cannot take a batch.
    seconds : dict
        {"cpu": of a training step, "cuda": the same}, measured.
    """

    findings: tuple[Finding, ...]
    summary: Summary | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it can train: no finding is an error."""
        return all(finding.level != "error" for finding in self.findings)

    def _times(self) -> list[str]:
        return [f"a step takes {_ms(value)} on {name}" for name, value in self.seconds.items()]

    def __repr__(self) -> str:
        lines = [f"{finding.level}: {finding}" for finding in self.findings] or [NOTHING]
        layers = [] if self.summary is None else [repr(self.summary)]
        return plain("\n".join([*lines, *self._times(), *layers]))

    def _repr_html_(self) -> str:
        rows = [(x.level, x.what, x.why, x.fix) for x in self.findings]
        parts = [html_table(rows, ("", "what", "why", "fix")) if rows else f"<p>{NOTHING}</p>"]
        parts += [f"<p>{escape(line)}</p>" for line in self._times()]
        if self.summary is not None:
            parts.append(self.summary._repr_html_())
        return "".join(parts)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"


def look(make: Callable[[], Request], data: Any, device: str | None, *, drive: bool) -> Preflight:
    """Prepare a request, and give all that is wrong as findings.

    Parameters
    ----------
    make : callable()
        It makes the request; what it raises is a finding too.
    """
    notes: list[Finding] = []

    def hear(event: Event) -> None:
        if isinstance(event, Note) and event.level == "warn":
            notes.append(Finding("warning", event.text, "", ""))

    summary, seconds = None, dict[str, float]()
    try:
        request, data = make(), load(data, callbacks=[hear], quiet=True)
        hardware = Hardware.here(device, drive=drive)
        emit, network = Callbacks([hear]), request.network(data)
        plan = prepare(request, network, data, hardware, emit=emit).with_whole_network()
        first = plan.loaders["train"].peek()
        summary = summarise(plan.model, first.x[:2])
        for name in dict.fromkeys(["cpu", str(plan.device)]):
            where = torch.device(name)
            batch = Batch(first.x.to(where), first.y.to(where), first.index)
            seconds[where.type] = step_seconds(
                plan.model.to(where), batch, plan.loss_on(where), where
            )
    except ColabKitError as err:
        error = Finding("error", err.what, err.why, err.fix)
        return Preflight((error, *notes), summary, seconds)
    return Preflight((*plan.findings, *notes), summary, seconds)


def find_rate(
    request: Request,
    data: Any,
    device: str | None,
    *,
    drive: bool,
    callbacks: Iterable[Callback] | None,
    quiet: bool,
) -> tuple[tuple[float, ...], tuple[float, ...], float | None, str]:
    """Sweep the learning rate: rates, losses, the suggestion, and why.

    Raises
    ------
    ColabKitError
    """
    if isinstance(request.optimizer, torch.optim.Optimizer):
        why = "it makes one for each sweep"
        raise RecipeError(
            "find_lr() takes optimizer= by name or class.", why, "write optimizer='adam'"
        )
    emit = with_console(callbacks, quiet=quiet)
    data = load(data, callbacks=emit.callbacks, quiet=True)
    with outer_streams_kept():
        network, hardware = request.network(data), Hardware.here(device, drive=drive)
        plan = prepare(request, network, data, hardware, emit=emit)
        refuse_errors(plan, emit)
        plan = plan.with_whole_network()
        phases = plan.phases()
        try:
            rates, losses = sweep(
                plan.learner,
                plan.loaders["train"],
                plan.loss,
                plan.optimizer,
                enter=lambda: phases.enter(0),
                seed=plan.recipe.seed,
            )
        finally:
            phases.leave()
    return tuple(rates), tuple(losses), *suggest(rates, losses)


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
