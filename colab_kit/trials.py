"""The verbs that only try: a look before the first step, and a search for the learning rate. Nothing of either stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from .data import keyed_random
from .data.batches import Batch
from .data.loading import load
from .errors import ColabKitError, RecipeError, new_words
from .events import Callback, Callbacks, Event, Note
from .models.summary import summarise
from .recipe import Recipe
from .runs.plots import LrCurve
from .runs.record import drive_or_note
from .system.console import with_console
from .system.runtime import device_for, runtime
from .training.findings import Finding, Preflight, as_error
from .training.freezing import Phases
from .training.lr_finder import suggest, sweep
from .training.probing import step_seconds
from .training.request import Request, right_way_round
from .training.session import Session


def preflight(
    model: Any,
    data: Any,
    *,
    loss: Any = None,
    optimizer: Any = None,
    recipe: Recipe | None = None,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    **fields: Any,
) -> Preflight:
    """Look at network, data, loss and machine as `train` would, and say all that is wrong before a step is made.

    Parameters
    ----------
    model : Module, a class or callable that makes one, or a backbone's name as `transfer` takes it
    data : Data, or anything `load` takes
    loss, optimizer, recipe, device, callbacks, quiet, **fields : as for `train`

    Returns
    -------
    Preflight
        `.findings` (errors first), `.ok`, `.summary`: the layers, `.seconds`: of a step. What would be an error is a finding here.

    Examples
    --------
    >>> print(preflight(net, "pets/", loss=nn.NLLLoss()))  # doctest: +SKIP
    """
    right_way_round("preflight", model, data)
    notes: list[Finding] = []

    def hear(event: Event) -> None:
        if isinstance(event, Note) and event.level == "warn":
            notes.append(Finding("warning", event.text, "", ""))

    session, summary, seconds = None, None, dict[str, float]()
    try:
        request = Request.of(recipe, fields, loss, optimizer)
        session = _session(request, model, load(data, callbacks=[hear], quiet=True), device)
        choices = session.prepare({}, Callbacks([hear]))
        first, home = session.feeds["train"].peek(), session.device
        summary = summarise(session.model, first.x[:2])
        for where in (torch.device(name) for name in dict.fromkeys(["cpu", str(home)])):
            batch = Batch(first.x.to(where), first.y.to(where), first.index)
            seconds[where.type] = step_seconds(
                session.model.to(where), batch, session.loss_with(choices, where), where
            )
        return Preflight(
            session.findings + tuple(n for n in notes if n.what not in map(str, session.findings)),
            summary,
            seconds,
        )
    except ColabKitError as err:
        found = session.findings if session is not None else ()
        return Preflight((as_error(err), *found), summary, seconds)


@new_words
def find_lr(
    model: Any,
    data: Any,
    *,
    loss: Any = None,
    optimizer: Any = None,
    recipe: Recipe | None = None,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    **fields: Any,
) -> LrCurve:
    """Sweep the learning rate from 1e-7 to 10 over at most 100 steps (Smith 2017, LR range test), and suggest one.

    The network, its gradients and all random streams are as before afterwards; the same call gives the same curve.

    Parameters
    ----------
    model : Module, a class or callable that makes one, or a backbone's name as `transfer` takes it
    data : Data, or anything `load` takes
    loss, optimizer, recipe, device, callbacks, quiet, **fields : as for `train`; an optimizer by name or class

    Raises
    ------
    ColabKitError
        What `train` would raise before its first step.

    Examples
    --------
    >>> find_lr(nets.mlp(), "fashion-mini").suggestion  # doctest: +SKIP
    """
    right_way_round("find_lr", model, data)
    emit = with_console(callbacks, quiet=quiet)
    request = Request.of(recipe, fields, loss, optimizer)
    if isinstance(request.optimizer, torch.optim.Optimizer):
        raise RecipeError(
            "find_lr() takes optimizer= by name or class.",
            "it makes one for each sweep",
            "write optimizer='adam'",
        )
    session = _session(request, model, load(data, callbacks=emit.callbacks, quiet=True), device)
    with keyed_random.outer_streams_kept():
        choices = session.prepare({}, emit)
        phases = Phases(session.model, session.head, session.freeze_epochs)
        try:
            rates, losses = sweep(
                session.model,
                session.feeds["train"],
                session.loss_of,
                lambda lr: session.optimizer_for({**choices, "lr": (lr, "")}),
                enter=lambda: phases.enter(0),
                device=session.device,
                seed=session.recipe.seed,
            )
        finally:
            phases.leave()
    return LrCurve(tuple(rates), tuple(losses), *suggest(rates, losses))


def _session(request: Request, model: Any, data: Any, device: str | None) -> Session:
    session = (
        request.on(model, data) if isinstance(model, str) else request.from_scratch(model, data)
    )
    where = runtime()
    session.device, session.runtime = torch.device(device_for(device, where)[0]), where
    session.drive = drive_or_note(lambda event: None) is not None
    return session
