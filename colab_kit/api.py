"""The verbs that train: they find the run the same cell began, or begin it, and always give the Run back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .colab.lease import Guarded, sole_writer
from .data.loading import load
from .errors import ColabKitError, ModelError, RecipeError, new_words
from .events import Callback, Callbacks, Control, Note, interrupts_stop
from .models.describe import describe, describe_model, weights_hash
from .models.weights import read_weights, warm_start
from .recipe import Recipe
from .runs import identity as sameness
from .runs import record as records
from .runs import run as runs
from .runs.record import Place
from .runs.run import Run
from .system.console import with_console
from .system.files import sha256, sweep
from .system.runtime import device_for, runtime
from .training.request import Request, right_way_round
from .training.session import Session


@new_words
def train(
    model: Any,
    data: Any,
    *extra: Any,
    loss: Any = None,
    optimizer: Any = None,
    init: str | Path | None = None,
    recipe: Recipe | None = None,
    run_dir: str | Path | None = None,
    name: str | None = None,
    restart: bool = False,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    control: Control | None = None,
    **fields: Any,
) -> Run:
    """Train any network; run the same cell again and it goes on, or gives the finished run back.

    Parameters
    ----------
    model : Module, or a class or callable that makes one
        A Module is trained in place; what a class makes gets weights keyed by `seed`.
    data : Data, or anything `load` takes
    loss : name, class, instance or f(output, y), optional
        By what the network puts out, if None: cross_entropy for logits, nll for log-probabilities.
    optimizer : name, class, or instance over the model's parameters, optional
    init : path, optional
        A .pth or .safetensors file to start from; what matches is taken, the rest listed.
    recipe, **fields
        How to train: see `Recipe`. Fields are laid over `recipe`. augment= may be a transform of your own, too (torchvision v2, say):
        it is given a PIL picture, or uint8 (C, H, W) of an array, gives one back, and draws under a key of the sample.
    run_dir, name : optional
        The run's folder; or the first half of its name under the usual place.
    restart : bool
        Start anew; what was there is moved to `<folder>.before`.
    device : "cuda", "cuda:1", "mps" or "cpu", optional
    callbacks : list of callables, optional
        They are given each event, as the console is.
    quiet : bool
        Whether the console says nothing.
    control : Control, optional
        To stop or pause from another thread.

    Returns
    -------
    Run
        With status "finished" or "stopped"; an interrupt, SIGTERM and early stopping return it too.

    Raises
    ------
    ColabKitError
        DataError, ModelError, RecipeError, RunError or TrainError: what happened, why, and the fix.

    Examples
    --------
    >>> run = train(nets.mlp(), "fashion-mini", epochs=3)  # doctest: +SKIP
    """
    right_way_round("train", model, data, extra)
    request = Request.of(recipe, fields, loss, optimizer)
    if request.recipe.freeze_epochs is not None:
        fix = "leave it out, or use kit.transfer(data, backbone)"
        raise RecipeError(
            "freeze_epochs= is for transfer().", "train() has no head of its own", fix
        )
    if request.recipe.views is not None:
        fix = "leave it out, or use kit.transfer(data, backbone, views=…)"
        raise RecipeError(
            "views= is for transfer().",
            "train() has no frozen backbone; epochs= counts its passes",
            fix,
        )
    emit = with_console(callbacks, quiet=quiet)
    control = control or Control()
    data = load(data, callbacks=emit.callbacks, quiet=True, control=control)
    session = request.from_scratch(model, data)
    network = session.model
    identity = {
        "model": describe_model(network),
        "loss": describe(request.loss),
        **request.identity(network),
    }
    return _run(
        "train",
        session,
        identity,
        type(network).__name__,
        init,
        run_dir,
        name,
        restart,
        device,
        emit,
        control,
    )


@new_words
def transfer(
    data: Any,
    backbone: Any = "resnet18",
    *extra: Any,
    mode: str = "auto",
    head: Any = "linear",
    weights: str | Path | None = "default",
    loss: str | None = None,
    optimizer: Any = None,
    init: str | Path | None = None,
    recipe: Recipe | None = None,
    run_dir: str | Path | None = None,
    name: str | None = None,
    restart: bool = False,
    device: str | None = None,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    control: Control | None = None,
    **fields: Any,
) -> Run:
    """Put a new head on a trained backbone. A frozen backbone runs once: the head is solved for its features, which are kept.

    Parameters
    ----------
    data : Data, or anything `load` takes
    backbone : torchvision name, "efficientnet_lite0", 1 or 2 (they need no network), "timm/…", a Module, or a Run: what it learned
        Its BatchNorm stays in eval while it is frozen.
    mode : "auto", "frozen", "finetune" or "frozen_then_finetune"
        frozen: the head alone; finetune: everything from the start; frozen_then_finetune: first the head, for `freeze_epochs=` (1), then
        everything. auto takes frozen on a CPU and below 2,000 pictures, frozen_then_finetune otherwise.
    head : "linear", hidden widths like (500, 250), or a Module
    weights : "default", None, or a path
        ImageNet weights, fresh ones, or a .pth or .safetensors file of this architecture.
    recipe, **fields
        See `Recipe`. `epochs` is 3 by default and counts all epochs, `freeze_epochs` the first of them. A backbone that stays frozen has
        no epochs: `views=` (1) are the views of each picture: as it is, mirrored, then random ones, 8 at most.
    loss, optimizer, init, run_dir, name, restart, device, callbacks, quiet, control
        As for `train`; loss by name only.

    Raises
    ------
    ColabKitError
        FetchError where weights cannot be downloaded; else as `train`.

    Examples
    --------
    >>> run = transfer("photos", "efficientnet_lite0", epochs=3)  # doctest: +SKIP
    """
    right_way_round("transfer", backbone, data, extra)
    if loss is not None and not isinstance(loss, str):
        why = "its head puts out logits, and the loss must fit them"
        raise RecipeError("transfer() takes loss= by name only.", why, "write loss='cross_entropy'")
    given_epochs = "epochs" in fields or (recipe is not None and recipe.epochs != Recipe().epochs)
    if recipe is None:
        fields.setdefault("epochs", 3)
    request = Request.of(recipe, fields, loss, optimizer)
    emit = with_console(callbacks, quiet=quiet)
    control = control or Control()
    data = load(data, callbacks=emit.callbacks, quiet=True, control=control)
    session = request.on(
        backbone,
        data,
        mode=mode,
        given_epochs=given_epochs,
        head=head,
        weights=weights,
        whole=init is not None,
        shelf=records.shelf("cache"),
    )
    network = session.model
    file = Path(weights).expanduser() if weights not in ("default", None) else None
    model = {"backbone": session.name, "weights": weights if file is None else sha256(file)}
    if not isinstance(backbone, str):
        model = {
            **describe_model(network),
            **({"run": backbone.key} if isinstance(backbone, Run) else {}),
        }
    identity = {
        "model": model,
        "head": describe(head),
        **({"mode": mode} if mode != "auto" else {}),
        **request.identity(network),
    }
    return _run(
        "transfer",
        session,
        identity,
        session.name,
        init,
        run_dir,
        name,
        restart,
        device,
        emit,
        control,
    )


def _run(
    verb: str,
    session: Session,
    objects: dict[str, Any],
    network: str,
    init: str | Path | None,
    run_dir: str | Path | None,
    name: str | None,
    restart: bool,
    device: str | None,
    emit: Callbacks,
    control: Control,
) -> Run:
    """Find or begin the run, and train it to its end."""
    where = runtime()
    session.device, session.runtime = torch.device(device_for(device, where)[0]), where
    if where.device == "tpu":
        emit(
            Note(f"This is a TPU runtime; training runs on its CPU. {where.why['device']}", "warn")
        )
    name = name or f"{session.data.name}-{network}".lower().replace("/", "-")
    if Path(name).name != name:
        raise RecipeError(
            f"name={name!r} is no file name.",
            "a folder of that name is made",
            "leave out slashes; run_dir= names a whole path",
        )
    start_from = Path(init).expanduser() if init is not None else None
    weights = read_weights(start_from) if start_from is not None else None
    identity = {
        "verb": verb, "recipe": session.recipe.identity(), "data": session.data.fingerprint, **objects,
        "init": sha256(start_from) if start_from is not None else None,
    }  # fmt: skip
    key, drive = sameness.key_of(identity), records.drive_or_note(emit)
    place = (
        Place.at(Path(run_dir), drive)
        if run_dir is not None
        else Place.named(f"{name}-{key}", drive)
    )
    for folder, other in runs.live.items():
        raise ModelError(
            f"Run {other.name} is training in this process.",
            "two runs at once would share the random numbers and the machine",
            f"wait for it, or stop it first: it lives in {folder}",
        )
    if (
        run_dir is None
        and not restart
        and not records.is_begun(place)
        and (known := records.elsewhere(place, name, key)) is not None
    ):
        place = known

    def lost(reason: str) -> None:
        if place.shelf is not None:
            place.shelf.forget(place.kept_as)
        control.stop(reason)

    make_way = partial(records.make_way, place, restart=restart, emit=emit)
    with sole_writer(place.folder, place.drive_folder, make_way, emit=emit, lost=lost) as lease:
        if place.shelf is not None and lease is not None:
            place = dataclasses.replace(place, shelf=Guarded(place.shelf, lease))
        sweep(place.folder)
        record = None if restart else records.find(place)
        warm = warm_start(session.model, weights) if weights is not None else ""
        if record is not None:
            records.check_same(place, record, identity)
        elif warm:
            emit(Note(warm))
        who = {"verb": verb, "name": name, "key": key, "identity": identity}
        return _trained(session, place, record, who, emit, control, restart=restart)


def _trained(
    session: Session,
    place: Place,
    record: dict[str, Any] | None,
    who: dict[str, Any],
    emit: Callbacks,
    control: Control,
    *,
    restart: bool,
) -> Run:
    new, session.drive = record is None, place.shelf is not None
    made = (records.read_json(place.folder / "choices.json") or {}) if record is not None else {}
    choices = session.prepare(made, emit)
    if record is None:
        if before := runs.taught.get(session.model):
            emit(
                Note(
                    f"This network was trained already, by run {before}: it begins with those weights. Pass its class for fresh ones."
                )
            )
        model = {
            "made_by": session.made_by,
            "weights": weights_hash(session.model),
            **session.about(),
        }
        if not restart:
            records.note_relatives(place, who["name"], who["identity"], emit)
        chosen = [
            f"{name} {value} ({why})"
            for name, (value, why) in choices.items()
            if why not in ("as asked", "as given") and name not in session.idle
        ]
        emit(Note(f"Chosen: {', '.join(chosen)}."))
        record = records.begin(place, {**who, **session.as_record(), "model": model}, choices)
    elif record["model"]["weights"] != weights_hash(session.model):
        emit(Note("The run goes on with its own weights, not with those the network came with."))
    record = {**record, "recipe": session.recorded_recipe(), "status": "running", "reason": ""}
    run = Run(place, record, choices, control=control, data=session.data)
    runs.live[place.folder] = run
    patient = True
    try:
        with interrupts_stop(control, emit):
            status, reason = session.train(run, emit, new=new)
    except BaseException as err:
        patient = not isinstance(err, KeyboardInterrupt)
        status, reason = (
            "failed",
            err.what if isinstance(err, ColabKitError) else f"{type(err).__name__}: {err}",
        )
        raise
    finally:
        del runs.live[place.folder]
        record.update(status=status, reason=reason)
        session.close(run, emit, patient=patient)
    return run
