"""A run's record: its folder, its key, what made it (run.json), what was chosen for it (choices.json), where its copies go."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..colab.drive import MYDRIVE, Drive
from ..colab.health import stand_in_place
from ..colab.mirror import Mirror
from ..colab.mounting import absent, missed, mounted
from ..errors import DriveError, RecipeChanged, RunError
from ..events import Event, Note
from ..system.files import Shelf, cannot_write, digest, home, write_json
from .identity import differences, full, in_words

FORMAT = 2  # 2: the options have the names that the field uses
BEFORE = ".before"  # the end of a folder's name that restart=True set aside
Emit = Callable[[Event], None]


@dataclass(frozen=True)
class Place:
    """Where a run lives: its folder on the fast disk, and the shelf on Drive that keeps copies under `kept_as`."""

    folder: Path
    shelf: Shelf | None
    kept_as: str
    drive_folder: Path | None

    @classmethod
    def named(cls, folder_name: str, drive: Drive | None) -> Place:
        """The place of a run that `run_dir=` does not name."""
        if drive is None:
            refuse_unmounted(root(None), f"The working folder {os.getcwd()}")
            return cls(root(None) / folder_name, None, folder_name, None)
        kept = drive / "colab-kit" / "runs"
        return cls(root(drive) / folder_name, Mirror.at(kept), folder_name, kept / folder_name)

    @classmethod
    def at(cls, run_dir: Path, drive: Drive | None) -> Place:
        """The place `run_dir=` names: as it is, or, on Drive, written on the fast disk and mirrored there."""
        run_dir = run_dir.expanduser().absolute()
        refuse_unmounted(run_dir, f"run_dir={str(run_dir)!r}")
        if drive is None or not run_dir.is_relative_to(drive.mountpoint):
            return cls(run_dir, None, run_dir.name, None)
        return cls(
            root(drive) / f"{run_dir.name}-{digest(str(run_dir))[:8]}",
            Mirror.at(run_dir.parent),
            run_dir.name,
            run_dir,
        )


def drive_or_note(emit: Emit) -> Drive | None:
    """The Drive that takes copies; without it a Note, where this process had one."""
    drive = mounted()
    if drive is None and (gone := missed()) is not None:
        what = (
            f"Drive ({gone[0]}) does not answer: {gone[1]}. This run is kept on this machine alone."
        )
        emit(
            Note(
                f"{what} Run the cell with kit.mount() and then this one again: it goes on from here and is copied.",
                "warn",
            )
        )
    return drive


def shelf(name: str) -> Mirror | None:
    """A place on a mounted Drive for what may be used by any run; None without one."""
    drive = mounted()
    return (
        None
        if drive is None or drive.kind == "folder"
        else Mirror.at(drive.mydrive / "colab-kit" / name)
    )


def refuse_unmounted(path: Path, asked: str) -> None:
    """Raise for a path on a Drive that is not there: nothing may be made under a mountpoint that is not mounted."""
    if (gone := absent(path)) is not None:
        raise RunError(
            f"{asked} lies on a Drive that is not there.",
            gone[0],
            f"run the cell with kit.mount(), or give {gone[1]}",
        )


def root(drive: Drive | None) -> Path:
    """Where runs are written: beside the notebook, or on the fast disk when a Drive keeps the copies."""
    return home() / "runs" if drive is not None else Path("colab-kit/runs").absolute()


def roots() -> Iterator[tuple[str, Path]]:
    """Where runs lie: "disk" beside the notebook and under the home, "drive" on Drive and on its stand-in."""
    yield from dict.fromkeys((("disk", root(None)), ("disk", home().absolute() / "runs")))
    drive = mounted()
    tops = {stand_in_place() / MYDRIVE, *([drive.mydrive] if drive is not None else [])}
    yield from (("drive", top / "colab-kit" / "runs") for top in sorted(tops))


def everywhere() -> Iterator[tuple[dict[str, Any], Place]]:
    """All runs this machine can see, each once, with its copies' shelf: those set aside by restart=True left out."""
    seen, drives = set(), [where for kind, where in roots() if kind == "drive"]
    for kind, where in roots():
        for record in all_records(where):
            folder = Path(record["folder"])
            if record["start"] in seen or folder.name.endswith(BEFORE):
                continue
            seen.add(record["start"])
            kept = (
                where
                if kind == "drive"
                else next((d for d in drives if os.path.isfile(d / folder.name / "run.json")), None)
            )
            here = folder if kind == "disk" else home().absolute() / "runs" / folder.name
            shelf = Mirror.at(kept) if kept is not None else None
            yield (
                record,
                Place(here, shelf, folder.name, kept / folder.name if kept is not None else None),
            )


def find(place: Place) -> dict[str, Any] | None:
    """The record of the run at this place: the later of the folder's and the shelf's, brought to the folder.

    Raises
    ------
    DriveError, RunError
        There is none in the folder, and the shelf cannot be read: it may hold one.
    """
    here, copy, there = _ours(place.folder / "run.json"), None, None
    try:
        copy = (
            next(iter(place.shelf.find(f"{place.kept_as}/run.json")), None)
            if place.shelf is not None
            else None
        )
        there = _ours(copy) if copy is not None else None
    except (DriveError, RunError) as err:
        if here is None or err.__cause__ is None:
            raise
    if copy is None or there is None or (here is not None and here["created"] >= there["created"]):
        return here
    choices = read_json(copy.with_name("choices.json"))
    if here is not None:
        set_aside(place)  # of another start: its checkpoints must not mix with what comes
    if choices is not None:
        write_json(place.folder / "choices.json", choices)
    write_json(place.folder / "run.json", there)  # last: where it stands, the choices do too
    return there


def _ours(path: Path) -> dict[str, Any] | None:
    record = read_json(path)
    if record is not None and not {"identity", "created", "start", "name"} <= record.keys():
        raise RunError(
            f"{path} is no record of a run.",
            "another program wrote it",
            "give another run_dir=, or move the file away",
        )
    if record is not None and record.get("format", FORMAT) < FORMAT:
        why = f"its format is {record['format']}, and this version reads {FORMAT}"
        raise RunError(
            f"{path} was written by an older colab_kit.",
            why,
            "give another run_dir=, or restart=True to start anew there",
        )
    if record is not None and record.get("format", FORMAT) > FORMAT:
        raise RunError(
            f"{path} was written by a newer colab_kit.",
            f"its format is {record['format']}",
            "upgrade colab-kit with pip",
        )
    return record


def is_begun(place: Place) -> bool:
    """Whether the folder or the shelf holds this run. A look only: nothing is brought or moved, so it needs no lock.

    Raises
    ------
    DriveError
        The shelf cannot be read.
    """
    return (place.folder / "run.json").exists() or (
        place.shelf is not None and bool(place.shelf.find(f"{place.kept_as}/run.json"))
    )


def begin(place: Place, record: dict[str, Any], choices: dict[str, Any]) -> dict[str, Any]:
    """Write a new run's record before its first step; a kill from here on loses no choice."""
    record = {
        "format": FORMAT,
        "start": uuid.uuid4().hex,
        "created": time.time(),
        "status": "running",
        "reason": "",
        **record,
    }
    write_json(place.folder / "choices.json", choices)
    write_json(place.folder / "run.json", record)  # last: where it stands, the choices do too
    return record


def make_way(place: Place, *, restart: bool, emit: Emit) -> None:
    """Bring the record of the run that is to go on; for a fresh start, move it aside, even where Drive alone has it."""
    if not restart:
        find(place)
        return
    try:
        if not (place.folder / "run.json").exists() and (record := find(place)) is not None:
            from ..training import (
                checkpoint,
            )  # only now: torch comes with it, and a list of runs needs none

            checkpoint.newest(
                place.folder,
                place.shelf,
                place.kept_as,
                start=record["start"],
                complain=lambda text: emit(Note(text, "warn")),
            )
    except (DriveError, RunError) as err:
        emit(
            Note(
                f"A fresh start; what Drive has of the run before will be written over, and could not be kept: {err.what}",
                "warn",
            )
        )
        return
    if (old := set_aside(place)) is not None:
        emit(Note(f"A fresh start; what was there is kept in {old}."))


def set_aside(place: Place) -> Path | None:
    """Move what is there to a neighbour, for restart=True: one step back stays possible. Where it is now; None if there was nothing."""
    old = place.folder.with_name(place.folder.name + BEFORE)
    if not (place.folder / "run.json").exists():
        return None
    shutil.rmtree(old, ignore_errors=True)
    try:
        place.folder.rename(old)
    except OSError as err:
        raise cannot_write(old, err) from err
    return old


def elsewhere(place: Place, name: str, key: str) -> Place | None:
    """The place where this very run lies already, begun with or without a Drive; from now on copied to the Drive there is."""
    for record, found in everywhere():
        if (record["name"], record["key"]) == (name, key) and found.folder != place.folder:
            if place.shelf is None:
                return found
            return Place(found.folder, place.shelf, place.kept_as, place.drive_folder)
    return None


def read_json(path: Path) -> dict[str, Any] | None:
    """A record, or None if there is none.

    Raises
    ------
    RunError
        The file is there and is not ours.
    """
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise RunError(
            f"{path} cannot be read.",
            str(err),
            "restore it, delete the folder, or give another run_dir=",
        ) from err
    if not isinstance(found, dict):
        raise RunError(
            f"{path} is no record of a run.",
            f"it holds a {type(found).__name__}",
            "give another run_dir=",
        )
    return found


def check_same(place: Place, record: dict[str, Any], identity: dict[str, Any]) -> None:
    """Refuse to go on with a run that something else made.

    Raises
    ------
    RecipeChanged
    """
    changed = differences(full(record["identity"]), full(identity))
    if changed:
        raise RecipeChanged(
            f"{place.drive_folder or place.folder} holds a run that was made differently.",
            "; ".join(changed[:6]),
            "give another run_dir=, or the old values, or restart=True to start anew there",
        )


def note_relatives(place: Place, name: str, identity: dict[str, Any], emit: Emit) -> None:
    """Say how a new run differs from the newest one of the same name."""
    others = [
        r
        for r in all_records(place.folder.parent)
        if r["name"] == name
        and r.get("format", FORMAT) == FORMAT
        and not r["folder"].endswith(BEFORE)
    ]
    if others:
        old = max(others, key=lambda r: float(r["created"]))
        changed = differences(full(old["identity"]), full(identity))
        emit(Note(f"This is a new run, not {Path(old['folder']).name}: {in_words(changed)}."))


def all_records(where: Path) -> Iterator[dict[str, Any]]:
    """The records of the runs under a root, each with its `folder`; those that cannot be read are passed over."""
    try:
        folders = sorted(os.listdir(where))
    except OSError:  # there is none, or Drive has dropped away
        return
    for path in (where / folder / "run.json" for folder in folders):
        try:
            found = read_json(path)
        except RunError:
            continue
        if found and {"identity", "created", "start", "name"} <= found.keys():
            yield {**found, "folder": str(path.parent)}
