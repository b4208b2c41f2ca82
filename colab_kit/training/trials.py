"""Trials: a look before the first step, and a search for the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from ..data.batches import Batch
from ..data.keyed_random import outer_streams_kept
from ..data.loading import load
from ..errors import ColabKitError, RecipeError
from ..events import Callback, Callbacks, Event, Note
from ..models.summary import summarise
from ..system.console import with_console
from .findings import Finding, Preflight, as_error
from .freezing import Phases
from .lr_finder import suggest, sweep
from .plan import Hardware
from .preparing import prepare, refuse_errors
from .probing import step_seconds
from .request import Request


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
        return Preflight((as_error(err), *notes), summary, seconds)
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
        phases = Phases(plan.model, plan.head_names, plan.freeze_epochs)
        try:
            rates, losses = sweep(
                plan.learner,
                plan.loaders["train"],
                plan.loss,
                plan.optimizer,
                enter=lambda: phases.enter(0),
                device=plan.device,
                seed=plan.recipe.seed,
            )
        finally:
            phases.leave()
    return tuple(rates), tuple(losses), *suggest(rates, losses)
