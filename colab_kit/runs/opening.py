"""Opening a run that trained before: by its folder, its name, its key, or an exported file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from ..colab.mounting import mounted
from ..errors import ModelError, RunError
from ..events import Callbacks, Note
from ..models.build import LazyBackbone, remade, remake
from ..system.console import Console
from ..system.files import in_working_folder
from ..system.runtime import device_for, runtime
from ..training import checkpoint
from ..training.choices import choices_from, is_on_features
from ..training.state import Progress
from . import record as records
from .export import exported
from .record import Place
from .run import Run


@in_working_folder
def open_run(where: str | Path | Run, *, model: Any = None, device: str | None = None) -> Run:
    """Open a run that trained before: the newest whole state of the fast disk and Drive.

    Parameters
    ----------
    where : str or Path
        Its folder, its name (the newest of that name), its key, or a file that run.export() wrote.
    model : the network, or a class or function that makes it
        It is needed for networks of your own.
    device : str, optional
        Where it predicts; chosen if None.

    Raises
    ------
    RunError
        There is no such run, or none of its checkpoints is whole.
    ModelError
        model= is needed, or does not fit the weights.
    """
    if isinstance(where, Run):
        return where
    on = torch.device(device_for(device, runtime())[0])
    path = Path(os.path.expanduser(where))
    if (about := exported(path)) is not None:
        return _of_export(path.absolute(), about, model, on)
    place = find_place(str(where))
    record = records.find(place)
    if record is None:
        raise RunError(
            f"{place.folder} holds no run.",
            "it has no run.json",
            "give the folder, name or key of a run: `colab-kit runs` lists them",
        )
    emit = Callbacks([Console()])
    progress = Progress(place.folder, place.shelf, place.kept_as, record, emit=emit)
    progress.find_checkpoint()
    for event in place.shelf.news() if place.shelf is not None else []:
        emit(event)
    found = progress.checkpoint
    if found is None:
        raise RunError(
            f"Run {record['name']} has no checkpoint yet.",
            "it was stopped before its first save",
            "run its cell again",
        )
    if record["model"].get("made_by") is None and model is None:
        raise ModelError(
            f"Run {record['name']} trained a network of your own.",
            "its code is not kept with the run, only its weights",
            f"pass the network: open_run({str(where)!r}, model=MyNetwork)",
        )

    choices = choices_from(records.choices_of(place.folder, record))
    again = remade if is_on_features(choices) else remake

    def make() -> torch.nn.Module | LazyBackbone:
        weights = checkpoint.best_weights(place.folder, found, complain=progress.complain)
        return again(record, model, weights, records.shelf("cache"))

    return Run(place, record, choices, progress=progress, make=make, device=on)


def _of_export(path: Path, about: dict[str, Any], model: Any, device: torch.device) -> Run:
    """Open a run from an exported file; what it draws goes into a folder beside that."""
    record = about["record"]
    if record["model"].get("made_by") is None and model is None:
        raise ModelError(
            f"{path.name} holds the weights of a network of its author's own.",
            "no code travels with them",
            f"pass the network: open_run({path.name!r}, model=MyNetwork)",
        )

    choices = choices_from(about["choices"])
    again = remade if is_on_features(choices) else remake

    def make() -> torch.nn.Module | LazyBackbone:
        tensors = checkpoint.read(path, checked=True).tensors
        return again(record, model, checkpoint.under(tensors, "model/"))

    place = Place(path.with_suffix(""), None, path.stem, None)
    progress = Progress(place.folder, None, place.kept_as, record, facts=about)
    return Run(place, record, choices, progress=progress, make=make, device=device)


def find_place(where: str) -> Place:
    """Find the place of a run by folder, name or key; the newest first."""
    path = Path(os.path.expanduser(where)).absolute()
    runs = list(records.everywhere())
    if (path / "run.json").is_file():
        here = (place for _, place in runs if path in (place.folder, place.drive_folder))
        return next(here, None) or Place.at(path, mounted())
    found = [
        (float(record["created"]), place)
        for record, place in runs
        if where in (record["name"], record["key"], f"{record['name']}-{record['key']}")
    ]
    damaged = _unreadable(where)
    for folder, error in damaged.items() if found else ():
        Console()(Note(f"{folder} is passed over: {error.what} {error.why}.", "warn"))
    if not found and damaged:
        raise next(iter(damaged.values()))
    if not found and path.is_file():
        raise RunError(
            f"{path.name} is no exported run.",
            "run.save() writes weights alone; run.export() writes a file that opens",
            "export the run, or load the weights: kit.train(net, data, init=…)",
        )
    if not found and any(path.glob("checkpoint-*.safetensors")):
        raise RunError(
            f"{path} has lost its run.json.",
            "somebody deleted the file; the checkpoints are there",
            "run its cell again: it goes on from them, and writes the file",
        )
    if not found:
        names = sorted({str(record["name"]) for record, _ in runs})
        more = " …" if len(names) > 20 else ""
        known = ", ".join(names[:20]) + more or "none yet"
        why = f"neither a folder nor a name or key; the runs here are: {known}"
        raise RunError(f"There is no run {where!r}.", why, "correct it, or train first")
    newest = max(found, key=lambda pair: pair[0])[1]
    if len(found) > 1:
        folders = {place.folder.name for _, place in found} - {newest.folder.name}
        others = ", ".join(sorted(folders)[:5]) or "in other folders"
        text = f"{len(found)} runs are called {where!r}; the newest is opened, {newest.folder}."
        Console()(Note(f"{text} Also there: {others}."))
    return newest


def _unreadable(where: str) -> dict[Path, RunError]:
    """Give the folders of runs called so whose record cannot be read, and why."""
    everything = (pair for _, root in records.roots() for pair in records.unreadable(root))
    return {
        folder: error
        for folder, error in everything
        if where in (*records.named(folder), folder.name)
    }
