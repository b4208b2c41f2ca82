"""A run's record: its folder, what made it (run.json), what was chosen for it (choices.json)."""

from __future__ import annotations

import dataclasses
import os
import re
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
from ..errors import DriveError, RunError
from ..events import Event, Note
from ..system.files import Shelf, cannot_write, digest, home, parse, working_folder
from ..system.sealed import RUN, check, read_record, read_short, unsealed, write_record

FORMAT = 4  # 4: records are sealed
BEFORE = ".before"  # the end of a folder's name that restart=True set aside
AGAIN = "run the cell again: it goes on from the checkpoint, and writes the file"
GO_ON = f"undo the change; or delete that file and {AGAIN}"
Emit = Callable[[Event], None]
Record = dict[str, Any]


@dataclass(frozen=True)
class Always:
    """What the record of each run has."""

    start: str
    created: float
    name: str
    key: str
    status: str
    identity: Record
    recipe: Record


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

    A whole record of the shelf replaces a damaged one.

    Raises
    ------
    DriveError, RunError
        There is none in the folder, and the shelf cannot be read: it may hold one. Or all there
        are are damaged.
    """
    here, there, choices, damage = None, None, None, None
    try:
        here = read_run(place.folder)
    except RunError as err:
        if place.shelf is None or err.__cause__ is None:
            raise
        damage = err
    try:
        if (copy := next(iter(_copies(place)), None)) is not None:
            there = read_run(copy.parent)
            choices = choices_if_any(copy.parent, there) if there is not None else None
    except (DriveError, RunError) as err:
        if damage is not None:
            raise damage from err
        if here is None or err.__cause__ is None:
            raise
    if there is None or choices is None or (here and here["created"] >= there["created"]):
        if damage is not None:
            raise damage
        return here
    if here is not None or (damage is not None and not _is_of(place.folder, there)):
        set_aside(place)  # of another start: its checkpoints must not mix with what comes
    write(place.folder, there, choices)
    return there


def _copies(place: Place) -> list[Path]:
    return [] if place.shelf is None else place.shelf.find(f"{place.kept_as}/run.json")


def read_run(folder: Path) -> Record | None:
    """Read the record of the run in a folder; None if there is none.

    Raises
    ------
    RunError
        It is damaged or was edited, another program wrote it, or another version of this one.
    """
    path = folder / "run.json"
    try:
        found = parse(read_short(path))
        number = found.get("format", FORMAT) if isinstance(found, dict) else FORMAT
        if number == FORMAT:
            record = unsealed(found, RUN)
            names = [field.name for field in dataclasses.fields(Always)]
            check(Always, {name: record[name] for name in names if name in record})
            return record
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise RunError(f"{path} is no record of a run that can be read.", str(err), GO_ON) from err
    if isinstance(number, int) and number > FORMAT:
        raise RunError(
            f"{path} was written by a newer colab_kit.",
            f"its format is {number}",
            "upgrade colab-kit with pip",
        )
    raise RunError(
        f"{path} was written by an older colab_kit.",
        f"its format is {number}, and this version reads {FORMAT}",
        "train it again: in this folder with restart=True, or with another run_dir=",
    )


def choices_of(folder: Path, record: Record) -> Record:
    """Read what was chosen for a run, as plain data.

    Raises
    ------
    RunError
        It is missing, damaged, edited, or of another run.
    """
    if (choices := choices_if_any(folder, record)) is not None:
        return choices
    raise RunError(f"{folder / 'choices.json'} is missing.", "somebody deleted it", AGAIN)


def choices_if_any(folder: Path, record: Record) -> Record | None:
    """Read them; None where the file is gone."""
    path = folder / "choices.json"
    try:
        return read_record(path, record["start"])
    except (OSError, ValueError) as err:
        raise RunError(f"{path} does not hold the choices of its run.", str(err), GO_ON) from err


def _is_of(folder: Path, record: Record) -> bool:
    """Whether the choices in a folder are of the start of this record."""
    try:
        return choices_if_any(folder, record) is not None
    except RunError:
        return False


def write(folder: Path, record: Record, choices: Record | None = None) -> None:
    """Write a run's record, after its choices: where it stands, they do too."""
    if choices is not None:
        write_record(folder / "choices.json", record["start"], choices)
    write_record(folder / "run.json", RUN, record)


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
    write(place.folder, record, choices)
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


def all_records(where: Path) -> Iterator[Record]:
    """Give the records of the runs under a root that can be read, each with its `folder`."""
    for folder, record in _runs(where):
        if not isinstance(record, RunError):
            yield {**record, "folder": str(folder)}


def unreadable(where: Path) -> Iterator[tuple[Path, RunError]]:
    """Give the folders under a root whose record is damaged or of another version, and why.

    What a disk does not give now is not judged.
    """
    for folder, record in _runs(where):
        if isinstance(record, RunError):
            cause = record.__cause__
            if not isinstance(cause, OSError) or isinstance(cause, IsADirectoryError):
                yield folder, record


def named(folder: Path) -> tuple[str, str]:
    """Give the name and the key that a run's folder was called by."""
    found = re.fullmatch(r"(.+)-([0-9a-f]{8})(\.before)?", folder.name)
    return (found[1], found[2]) if found else (folder.name, "")


def _runs(where: Path) -> Iterator[tuple[Path, Record | RunError]]:
    try:
        names = sorted(os.listdir(where))
    except OSError:  # there is none, or Drive has dropped away
        return
    for name in names:
        try:
            record = read_run(where / name)
        except RunError as err:
            yield where / name, err
        else:
            if record is not None:
                yield where / name, record
