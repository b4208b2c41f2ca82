"""Running a verb: find the run that the same call began, or begin it, and train it to its end."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from ..colab.drive import Drive
from ..colab.lease import Guarded, sole_writer
from ..data.loading import load
from ..data.preprocess import Preprocess
from ..errors import ColabKitError, ModelError, RecipeError
from ..events import Callback, Callbacks, Control, Note, RunEnded, interrupts_stop
from ..models.backbones import Backbone
from ..models.describe import describe, describe_model, describe_optimizer
from ..models.weights import read_weights, warm_start, weights_hash
from ..system.console import with_console
from ..system.files import sha256, sweep
from ..system.locks import hold_again
from ..system.timings import during, running, timed
from ..training import checkpoint
from ..training.choices import as_facts, choices_from, is_on_features
from ..training.loop import fit
from ..training.plan import Hardware, Plan
from ..training.preparing import prepare, refuse_errors
from ..training.request import Network, Request
from ..training.schedules import identity_of
from ..training.state import Progress
from . import record as records
from .identity import check_same, key_of, note_relatives
from .record import Place
from .run import Run

# What this process knows of its runs. Tests end it with forget_runs().
live: dict[Path, Run] = {}  # the runs that train right now, by folder
trained: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()  # networks and their run's name


def forget_runs() -> None:
    """Forget which runs are live and which networks were trained."""
    live.clear()
    trained.clear()


@timed()
def carry_out(
    verb: str,
    request: Request,
    data: Any,
    *,
    init: str | Path | None,
    run_dir: str | Path | None,
    name: str | None,
    restart: bool,
    device: str | None,
    callbacks: Iterable[Callback] | None,
    quiet: bool,
    control: Control | None,
) -> Run:
    """Carry a request out, and give its run.

    Parameters
    ----------
    verb : "train" or "transfer"
    data, init, run_dir, name, restart, device, callbacks, quiet, control
        As for `kit.train`.
    """
    emit, control = with_console(callbacks, quiet=quiet), control or Control()
    with during("load"):
        data = load(data, callbacks=emit.callbacks, quiet=True, control=control)
    parent = request.model if isinstance(request.model, Run) else None
    if parent is not None:
        request = replace(request, model=backbone_of(parent))
    with during("network"):
        shelf, warm = records.shelf("cache"), init is not None
        network = request.network(data, shelf, warm=warm, control=control)
    hardware = Hardware.here(device)
    if hardware.runtime.device == "tpu":
        why = hardware.runtime.why["device"]
        emit(Note(f"This is a TPU runtime; training runs on its CPU. {why}", "warn"))
    name = name or f"{data.name}-{network.name}".lower().replace("/", "-")
    if Path(name).name != name:
        raise RecipeError(
            f"name={name!r} is no file name.",
            "a folder of that name is made",
            "leave out slashes; run_dir= names a whole path",
        )
    weights_file = Path(os.path.expanduser(init)) if init is not None else None
    weights = read_weights(weights_file) if weights_file is not None else None
    identity = {
        "verb": verb,
        "recipe": request.recipe.identity(),
        "data": data.fingerprint,
        **_identity(request, network, parent),
        "init": sha256(weights_file) if weights_file is not None else None,
    }
    key = key_of(identity)
    who = {"verb": verb, "name": name, "key": key, "identity": identity}
    place = _place(who, run_dir, records.drive_or_note(emit), restart=restart)

    def lose(reason: str) -> None:
        if place.shelf is not None:
            place.shelf.forget(place.kept_as)
        control.stop(reason)

    make_way = partial(records.make_way, place, restart=restart, emit=emit)
    with sole_writer(place.folder, place.drive_folder, make_way, emit=emit, lost=lose) as lease:
        guarded = place
        if place.shelf is not None and lease is not None:
            guarded = replace(place, shelf=Guarded(place.shelf, lease))
        sweep(place.folder)
        record = None if restart else records.find(guarded)
        warmed = warm_start(network.model, weights) if weights is not None else None
        if record is not None:
            check_same(guarded, record, identity)
        elif warmed is not None:
            emit(warmed)
        is_known = record is not None
        start = "" if is_known or restart else checkpoint.begun_by(place.folder, key)
        is_new = not is_known and not start
        made = None if is_new else records.choices_if_any(place.folder, record or {"start": start})
        if not is_new and None in (record, made):
            emit(Note(_missing(place.folder, made is None, record is None), "warn"))
        hardware = replace(hardware, drive=place.shelf is not None)
        plan = prepare(request, network, data, hardware, choices_from(made), emit)
        refuse_errors(plan, emit)
        if record is None:
            record = _begin(plan, guarded, who, emit, start=start, restart=restart)
        elif record["model"]["weights"] != weights_hash(plan.model):
            text = "The run goes on with its own weights, not with those the network came with."
            emit(Note(text))
        return _train(plan, guarded, record, emit, control, is_new=is_new)


def _missing(folder: Path, choices: bool, record: bool) -> str:
    """Say what a run that goes on finds missing in its folder."""
    names = [name for name, gone in (("choices.json", choices), ("run.json", record)) if gone]
    text = (
        f"{' and '.join(names)} of {folder} had been deleted. The run goes on from its checkpoint"
    )
    return f"{text}; {'what was chosen is chosen anew.' if choices else 'it is written again.'}"


def _identity(request: Request, network: Network, parent: Run | None) -> dict[str, Any]:
    """Say what network and objects add to a run's identity. No object, no entry."""
    model, transfer = network.model, request.transfer
    if transfer is None:
        parts = {"model": describe_model(model), "loss": describe(request.loss)}
    else:
        weights = transfer.weights
        if weights not in ("default", None):
            weights = sha256(Path(os.path.expanduser(weights)))
        base: dict[str, Any] = {"backbone": network.name, "weights": weights}
        if not isinstance(request.model, str):
            base = describe_model(model)
        if parent is not None:
            base["run"] = parent.key
        parts = {"model": base, "head": describe(transfer.head)}
        if transfer.mode != "auto":
            parts["mode"] = transfer.mode
    parts["optimizer"] = describe_optimizer(request.optimizer, model)
    if request.augment is not None:
        parts["augment"] = describe(request.augment)
    if request.lr_schedule is not None:
        parts["lr_schedule"] = identity_of(request.lr_schedule, describe)
    return parts


def _place(
    who: dict[str, Any], run_dir: str | Path | None, drive: Drive | None, *, restart: bool
) -> Place:
    """Find where the run lives. This process trains one run at a time."""
    name, key = who["name"], who["key"]
    if run_dir is None:
        place = Place.named(f"{name}-{key}", drive)
    else:
        place = Place.at(Path(run_dir), drive)
    for folder, other in live.items():
        raise ModelError(
            f"Run {other.name} is training in this process.",
            "two runs at once would share the random numbers and the machine",
            f"wait for it, or stop it first: it lives in {folder}",
        )
    if run_dir is not None or restart or records.is_begun(place):
        return place
    return records.elsewhere(place, name, key) or place


def _begin(
    plan: Plan, place: Place, who: dict[str, Any], emit: Callbacks, *, start: str, restart: bool
) -> dict[str, Any]:
    """Say how a new run goes, and write that down before its first step."""
    if earlier := trained.get(plan.model):
        text = f"This network was trained already, by run {earlier}: it begins with those weights."
        emit(Note(f"{text} Pass its class for fresh ones."))
    if not restart and not start:
        note_relatives(place, who["name"], who["identity"], emit)
    if rows := str(plan):
        text = "Chosen for you (an argument of the same name changes it; all: run.choices)"
        emit(Note(f"{text}:\n{rows}"))
    return records.begin(place, {**who, **plan.as_record()}, as_facts(plan.choices), start=start)


def _train(
    plan: Plan,
    place: Place,
    record: dict[str, Any],
    emit: Callbacks,
    control: Control,
    *,
    is_new: bool,
) -> Run:
    """Go on from the newest whole checkpoint, or begin. A new run has none, whatever Drive says."""
    record = {**record, "recipe": asdict(plan.user_recipe), "status": "running", "reason": ""}
    progress = Progress(
        place.folder,
        place.shelf,
        place.kept_as,
        record,
        choices=as_facts(plan.choices),
        drive_folder=place.drive_folder,
        control=control,
        emit=emit,
    )
    run = Run(place, record, plan.choices, progress=progress, data=plan.data, device=plan.device)
    live[place.folder], run.metrics = run, dict(plan.request.metrics)
    is_patient = True
    try:
        with interrupts_stop(control, emit):
            found = not is_new and progress.find_checkpoint()
            ending = progress.ending(plan) if found else ""
            if ending:
                name = f"Run {run.name}-{run.key}"
                emit(Note(f"{name} is finished: {ending}; restart=True starts anew."))
                progress.take_finished(plan)
                status, reason = "finished", "" if progress.is_over(plan) else ending
            else:
                with during("rest"):
                    reason = fit(plan, progress)
                is_stopped = control.stopped and not progress.is_over(plan)
                status = "stopped" if is_stopped else "finished"
    except BaseException as err:
        is_patient = not isinstance(err, KeyboardInterrupt)
        status, reason = "failed", f"{type(err).__name__}: {err}"
        if isinstance(err, ColabKitError):
            reason = err.what
        raise
    finally:
        del live[place.folder]
        record.update(status=status, reason=reason)
        _close(plan, run, emit, is_patient=is_patient)
    return run


def _close(plan: Plan, run: Run, emit: Callbacks, *, is_patient: bool) -> None:
    """Write how the run ended, hand the last copies to Drive, and say so.

    Nothing here may hide what happened before. The first interrupt ends the waiting for Drive, not
    the run; a second one raises, as always.
    """
    model, backbone = plan.model.eval(), plan.network.backbone
    if backbone is not None and is_on_features(plan.choices):
        run.take_model(lambda: backbone)
        run.inference.find()
    else:
        run.take_model(lambda: model)
    if not plan.keeps_head_alone:
        trained[model] = f"{run.name}-{run.key}"
    if run.progress.saver is not None:
        run.record["timings"] = running().read().as_record()
    saver = run.progress.saver
    try:
        hold_again(run.folder)
        records.write(run.folder, run.record)
        if saver is not None:
            run.progress.write_missing()
    except ColabKitError as err:
        emit(Note(f"How the run ended could not be written.\n{err}", "warn"))
    try:
        if saver is not None:
            with during("copies"):
                saver.finish(None if is_patient else 0.0)
    except KeyboardInterrupt:
        if run.control.stopped:
            raise
        text = "Interrupted: Drive is not waited for. Copying goes on in the background"
        emit(Note(f"{text}; run.wait_for_copies() waits for it.", "warn"))
    finally:  # who interrupts the waiting hears it too
        if saver is not None:
            timings = running().read()
            run.record["timings"] = timings.as_record()  # with the waiting, which run.json lacks
            emit(Note(timings.line))
        emit(RunEnded(run.status, run.reason, run.folder))


def backbone_of(run: Run) -> Backbone:
    """Copy a run's trained network as a backbone, with the preprocessing it learned under."""
    how = Preprocess.from_json(run.record["preprocess"])
    # of a grey network the same for each colour
    mean, std = ((v[0], v[-2 % len(v)], v[-1]) for v in (how.mean, how.std))
    preprocess = replace(how, channels=3, mean=mean, std=std)
    return Backbone(copy.deepcopy(run.model), run.name, preprocess, len(run.classes))
