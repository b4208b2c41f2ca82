"""Opening: a run of an earlier session, found by its folder, name or key on the fast disk or on Drive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..colab.mounting import mounted
from ..errors import ModelError, RunError
from ..events import Note
from ..system.console import Console
from ..training import checkpoint
from . import record as records
from .export import exported
from .record import Place
from .run import Run


def open_run(where: str | Path | Run, *, model: Any = None, device: str | None = None) -> Run:
    """Open a run that trained before: the newest whole state of the fast disk and Drive.

    Parameters
    ----------
    where : its folder, its name (the newest of that name), its key, or a file that run.export() wrote
    model : the network, or a class or function that makes it; needed for networks of your own
    device : where it predicts; chosen if None

    Raises
    ------
    RunError
        There is no such run, or none of its checkpoints is whole.
    ModelError
        model= is needed, or does not fit the weights.
    """
    import torch

    from ..models.build import remake
    from ..system.runtime import device_for, runtime

    if isinstance(where, Run):
        return where
    if (about := exported(Path(where).expanduser())) is not None:
        return _opened(Path(where).expanduser().absolute(), about, model, device)
    place = _find(str(where))
    record = records.find(place)
    if record is None:
        fix = "give the folder, name or key of a run: `colab-kit runs` lists them"
        raise RunError(f"{place.folder} holds no run.", "it has no run.json", fix)
    run = Run(place, record, records.read_json(place.folder / "choices.json") or {})
    run.device = torch.device(device_for(device, runtime())[0])
    found = checkpoint.newest(
        place.folder, place.shelf, place.kept_as, start=record["start"], complain=_warn
    )
    for event in place.shelf.news() if place.shelf is not None else []:
        Console()(event)
    if found is None:
        raise RunError(
            f"Run {run.name} has no checkpoint yet.",
            "it was stopped before its first save",
            "run its cell again",
        )
    run.take(found.facts)
    run._make = lambda: remake(
        record,
        model,
        checkpoint.best_weights(place.folder, found, complain=_warn),
        records.shelf("cache"),
    )
    if record["model"].get("made_by") is None and model is None:
        raise ModelError(
            f"Run {run.name} trained a network of your own.",
            "its code is not kept with the run, only its weights",
            f"pass the network: open_run({str(where)!r}, model=MyNetwork)",
        )
    return run


def _opened(path: Path, about: dict[str, Any], model: Any, device: str | None) -> Run:
    """A run from an exported file; what it draws goes into a folder beside that."""
    import torch

    from ..models.build import remake
    from ..system.runtime import device_for, runtime

    record = about["record"]
    if record["model"].get("made_by") is None and model is None:
        fix = f"pass the network: open_run({path.name!r}, model=MyNetwork)"
        raise ModelError(
            f"{path.name} holds the weights of a network of its author's own.",
            "no code travels with them",
            fix,
        )
    run = Run(Place(path.with_suffix(""), None, path.stem, None), record, about["choices"])
    run.device = torch.device(device_for(device, runtime())[0])
    run.take(about)
    run._make = lambda: remake(
        record, model, checkpoint.under(checkpoint.read(path, checked=True).tensors, "model/")
    )
    return run


def _find(where: str) -> Place:
    """The place of a run by folder, name or key; the newest first."""
    path = Path(where).expanduser().absolute()
    if (path / "run.json").is_file():
        here = (
            place for _, place in records.everywhere() if path in (place.folder, place.drive_folder)
        )
        return next(here, None) or Place.at(path, mounted())
    found = [
        (float(r["created"]), place)
        for r, place in records.everywhere()
        if where in (r["name"], r["key"], f"{r['name']}-{r['key']}")
    ]
    if not found and path.is_file():
        why = "run.save() writes weights alone; run.export() writes a file that opens"
        raise RunError(
            f"{path.name} is no exported run.",
            why,
            "export the run, or load the weights: kit.train(net, data, init=…)",
        )
    if not found:
        names = sorted({str(r["name"]) for r, _ in records.everywhere()})
        known = ", ".join(names[:20]) + (" …" if len(names) > 20 else "") or "none yet"
        why = f"neither a folder nor a name or key; the runs here are: {known}"
        raise RunError(f"There is no run {where!r}.", why, "correct it, or train first")
    newest = max(found, key=lambda pair: pair[0])[1]
    if len(found) > 1:
        others = ", ".join(
            sorted({place.folder.name for _, place in found} - {newest.folder.name})[:5]
        )
        _note(
            f"{len(found)} runs are called {where!r}; the newest is opened, {newest.folder}. Also there: {others or 'in other folders'}."
        )
    return newest


def _note(text: str) -> None:
    Console()(Note(text))


def _warn(text: str) -> None:
    Console()(Note(text, "warn"))
