"""A run's record: its folder, what made it (run.json), the choices (choices.json), its identity."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..colab.drive import MYDRIVE, Drive
from ..colab.health import stand_in_place
from ..colab.lease import LATEST
from ..colab.mirror import Mirror
from ..colab.mounting import absent, missed, mounted
from ..errors import DriveError, RecipeChanged, RunError
from ..events import Event, Note
from ..recipe import HORIZON, Recipe
from ..system.files import Shelf, cannot_write, digest, home, working_folder, write_json

FORMAT = 3  # 3: choices say by whom they were made
BEFORE = ".before"  # the end of a folder's name that restart=True set aside
FIELDS = {"identity", "created", "start", "name"}  # that each record has
Emit = Callable[[Event], None]
Record = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a run lives.

    Parameters
    ----------
    folder : Path
        On the fast disk.
    shelf : Shelf or None
        On Drive; it keeps copies under the name `kept_as`.
    drive_folder : Path or None
        That of the copies.
    """

    folder: Path
    shelf: Shelf | None
    kept_as: str
    drive_folder: Path | None

    @classmethod
    def named(cls, folder_name: str, drive: Drive | None) -> Place:
        """Give the place of a run that `run_dir=` does not name."""
        if drive is None:
            refuse_unmounted(root(None), f"The working folder {working_folder()}")
            return cls(root(None) / folder_name, None, folder_name, None)
        copies = drive / "colab-kit" / "runs"
        here = root(drive) / folder_name
        return cls(here, Mirror.at(copies), folder_name, copies / folder_name)

    @classmethod
    def at(cls, run_dir: Path, drive: Drive | None) -> Place:
        """Give the place that `run_dir=` names. One on Drive is written here, mirrored there."""
        run_dir = Path(os.path.expanduser(run_dir)).absolute()
        refuse_unmounted(run_dir, f"run_dir={str(run_dir)!r}")
        if drive is None or not run_dir.is_relative_to(drive.mountpoint):
            return cls(run_dir, None, run_dir.name, None)
        here = root(drive) / f"{run_dir.name}-{digest(str(run_dir))[:8]}"
        return cls(here, Mirror.at(run_dir.parent), run_dir.name, run_dir)


def drive_or_note(emit: Emit) -> Drive | None:
    """Give the Drive that takes copies; say so where this process had one and it is gone."""
    drive = mounted()
    if drive is None and (lost := missed()) is not None:
        text = (
            f"Drive ({lost[0]}) does not answer: {lost[1]}. This run is on this machine alone. "
            "Run the cell with kit.mount() and then this one again: the run goes on from here "
            "and is copied."
        )
        emit(Note(text, "warn"))
    return drive


def shelf(name: str) -> Mirror | None:
    """Give the place on a mounted Drive for what any run may use; None without a Drive."""
    drive = mounted()
    if drive is None or drive.kind == "folder":
        return None
    return Mirror.at(drive.mydrive / "colab-kit" / name)


def refuse_unmounted(path: Path, name: str) -> None:
    """Refuse a path on a Drive that is not there: nothing may be made under its mountpoint.

    Raises
    ------
    RunError
    """
    if (gone := absent(path)) is not None:
        fix = f"run the cell with kit.mount(), or give {gone[1]}"
        raise RunError(f"{name} lies on a Drive that is not there.", gone[0], fix)


def root(drive: Drive | None) -> Path:
    """Say where runs are written: beside the notebook, or on the fast disk under a Drive."""
    return home() / "runs" if drive is not None else working_folder() / "colab-kit" / "runs"


def roots() -> Iterator[tuple[str, Path]]:
    """Give the folders in which runs lie.

    "disk" is beside the notebook and under the home, "drive" on Drive and on its stand-in.
    """
    drive = mounted()
    places, tops = [root(None)], {drive.mydrive} if drive is not None else set()
    with suppress(RunError):  # a user without a home
        places.append(home().absolute() / "runs")
        tops.add(stand_in_place() / MYDRIVE)
    yield from (("disk", place) for place in dict.fromkeys(places))
    yield from (("drive", top / "colab-kit" / "runs") for top in sorted(tops))


def everywhere() -> Iterator[tuple[Record, Place]]:
    """Give each run that this machine can see, without those that restart=True set aside."""
    starts, drives = set(), [where for kind, where in roots() if kind == "drive"]
    for kind, where in roots():
        for record in all_records(where):
            folder = Path(record["folder"])
            name = folder.name
            if record["start"] in starts or name.endswith(BEFORE):
                continue
            starts.add(record["start"])
            if kind == "disk":
                here = folder
                copies = [path for path in drives if os.path.isfile(path / name / "run.json")]
            else:
                here, copies = home().absolute() / "runs" / name, [where]
            place = Place(here, None, name, None)
            if copies:
                place = Place(here, Mirror.at(copies[0]), name, copies[0] / name)
            yield record, place


def find(place: Place) -> Record | None:
    """Give the record of the run at this place, brought to the folder where the shelf's is later.

    Raises
    ------
    DriveError, RunError
        There is none in the folder, and the shelf cannot be read: it may hold one.
    """
    here, copy, there = _own_record(place.folder / "run.json"), None, None
    try:
        copy = next(iter(_copies(place)), None)
        there = _own_record(copy) if copy is not None else None
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


def _copies(place: Place) -> list[Path]:
    return [] if place.shelf is None else place.shelf.find(f"{place.kept_as}/run.json")


def _own_record(path: Path) -> Record | None:
    record = read_json(path)
    if record is None:
        return None
    if not record.keys() >= FIELDS:
        raise RunError(
            f"{path} is no record of a run.",
            "another program wrote it",
            "give another run_dir=, or move the file away",
        )
    number = record.get("format", FORMAT)
    if number < FORMAT:
        raise RunError(
            f"{path} was written by an older colab_kit.",
            f"its format is {number}, and this version reads {FORMAT}",
            "train it again: in this folder with restart=True, or with another run_dir=",
        )
    if number > FORMAT:
        raise RunError(
            f"{path} was written by a newer colab_kit.",
            f"its format is {number}",
            "upgrade colab-kit with pip",
        )
    return record


def is_begun(place: Place) -> bool:
    """Whether the folder or the shelf holds this run. Nothing is moved, so it needs no lock.

    Raises
    ------
    DriveError
        The shelf cannot be read.
    """
    return (place.folder / "run.json").exists() or bool(_copies(place))


def begin(place: Place, facts: Record, choices: dict[str, Any], *, start: str = "") -> Record:
    """Write a new run's record before its first step; a kill from here on loses no choice.

    Parameters
    ----------
    start : str
        That of checkpoints whose run.json is gone; "" for a new run.
    """
    begun = {"format": FORMAT, "start": start or uuid.uuid4().hex, "status": "running"}
    record = begun | {"created": _after_others(place, facts["name"]), "reason": ""} | facts
    write_json(place.folder / "choices.json", choices)
    # last: where it stands, the choices do too
    write_json(place.folder / "run.json", record)
    return record


def _after_others(place: Place, name: str) -> float:
    """Give the time of a new run: now, and after the runs of its name, whatever the clock says.

    A clock may be set back; the newest run is the one that began last.
    """
    others = [float(r["created"]) for r in all_records(place.folder.parent) if r["name"] == name]
    return max([time.time(), *(at + 0.001 for at in others if at < LATEST)])


def make_way(place: Place, *, restart: bool, emit: Emit) -> None:
    """Bring the record of the run that is to go on. Where it starts anew, set the old run aside.

    The old run is brought from Drive first, if Drive alone has it.
    """
    if not restart:
        find(place)
        return
    try:
        if not (place.folder / "run.json").exists() and (record := find(place)) is not None:
            from ..training import checkpoint  # torch comes with it, and a list of runs needs none

            def complain(text: str) -> None:
                emit(Note(text, "warn"))

            start = record["start"]
            checkpoint.newest(
                place.folder, place.shelf, place.kept_as, start=start, complain=complain
            )
    except (DriveError, RunError) as err:
        text = "A fresh start. What Drive has of the run before could not be kept, and will be"
        emit(Note(f"{text} written over: {err.what}", "warn"))
        return
    if (old := set_aside(place)) is not None:
        emit(Note(f"A fresh start; what was there is kept in {old}."))


def set_aside(place: Place) -> Path | None:
    """Move what is there to a neighbour, for restart=True: one step back stays possible.

    Returns
    -------
    Path or None
        Where it is now; None if there was nothing.
    """
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
    """Find where this very run was begun, with or without a Drive. Today's Drive gets copies."""
    for record, other in everywhere():
        if (record["name"], record["key"]) == (name, key) and other.folder != place.folder:
            return other if place.shelf is None else replace(place, folder=other.folder)
    return None


def read_json(path: Path) -> Record | None:
    """Read a record; None if there is none.

    Raises
    ------
    RunError
        The file is there and is not ours.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        fix = "restore it, delete the folder, or give another run_dir="
        raise RunError(f"{path} cannot be read.", str(err), fix) from err
    if not isinstance(record, dict):
        why = f"it holds a {type(record).__name__}"
        raise RunError(f"{path} is no record of a run.", why, "give another run_dir=")
    return record


def check_same(place: Place, record: Record, identity: Record) -> None:
    """Refuse to go on with a run that something else made.

    Raises
    ------
    RecipeChanged
    """
    if changed := differences(full(record["identity"]), full(identity)):
        raise RecipeChanged(
            f"{place.drive_folder or place.folder} holds a run that was made differently.",
            "; ".join(changed[:6]),
            "give another run_dir=, or the old values, or restart=True to start anew there",
        )


def note_relatives(place: Place, name: str, identity: Record, emit: Emit) -> None:
    """Say how a new run differs from the newest one of the same name."""
    others = [
        record
        for record in all_records(place.folder.parent)
        if (record["name"], record.get("format", FORMAT)) == (name, FORMAT)
        and not record["folder"].endswith(BEFORE)
    ]
    if others:
        old = max(others, key=lambda record: float(record["created"]))
        changed = in_words(differences(full(old["identity"]), full(identity)))
        emit(Note(f"This is a new run, not {Path(old['folder']).name}: {changed}."))


def all_records(where: Path) -> Iterator[Record]:
    """Give the records of the runs under a root that can be read, each with its `folder`."""
    try:
        folders = sorted(os.listdir(where))
    except OSError:  # there is none, or Drive has dropped away
        return
    for name in folders:
        try:
            record = read_json(where / name / "run.json")
        except RunError:
            continue
        if record and record.keys() >= FIELDS:
            yield {**record, "folder": str(where / name)}


KINDS = {
    "model": "another network",
    "data": "other data",
    **{part: f"another {part}" for part in ("head", "loss", "optimizer")},
}


def key_of(identity: dict[str, Any]) -> str:
    """Name what makes a run the run it is: eight hex digits. The machine chose nothing in it."""
    return digest(identity)[:8]


def full(identity: dict[str, Any]) -> dict[str, Any]:
    """Add the options that were left at their defaults to an identity."""
    fields = [field for field in dataclasses.fields(Recipe) if field.name not in HORIZON]
    defaults = {field.name: field.default for field in fields}
    return {**identity, "recipe": {**defaults, **identity.get("recipe", {})}}


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """List what changed between two identities, `recipe.lr: 0.001 → 0.01` say.

    Long values, as code and hashes are, are only named.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in dict.fromkeys([*old, *new])
            for line in differences(old.get(name), new.get(name), f"{at}.{name}" if at else name)
        ]
    was, now = json.dumps(old), json.dumps(new)
    if was == now:
        return []
    return [f"{at}: {was} → {now}" if len(was) + len(now) < 80 else f"{at} changed"]


def in_words(changed: list[str]) -> str:
    """Say differences as a person would: options one by one, code and content by what they are."""
    options = [line.removeprefix("recipe.") for line in changed if line.startswith("recipe.")]
    parts = dict.fromkeys(line.split(":")[0].split()[0].split(".")[0] for line in changed)
    kinds = [KINDS[part] for part in parts if part in KINDS]
    return ", ".join([*kinds, *options]) or "begun from other weights"
