"""Storage: what runs cost on this machine's disks and on Drive, and how one that is no longer wanted goes."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..colab.drive import AGAIN, MYDRIVE, session
from ..colab.reading import there
from ..colab.health import drives
from ..colab.lease import NAME
from ..colab.lease_holder import Holder
from ..colab.mounting import Site, missed
from ..errors import DriveError, RunError
from ..system.files import cannot_write, home, stamp
from ..system.locks import one_writer
from . import record as records


@dataclass(frozen=True)
class Kept:
    """What is kept of one run.

    status : "running", "unfinished" (killed: its cell goes on with it), "finished", "stopped", "failed", or "set aside" by restart=True
    epochs, of : done and asked for; epochs is None where no checkpoint says
    touched : seconds since 1970, of its newest file
    folder, copy : on this machine's disk, and on Drive or its stand-in; None where there is none
    size, copy_size : bytes
    """

    name: str
    key: str
    status: str
    epochs: int | None
    of: int
    touched: float
    folder: Path | None
    copy: Path | None
    size: int
    copy_size: int


@dataclass(frozen=True)
class Seen:
    """The runs, the one touched last first; the Drives that do not answer, and so are not among them; whether one does."""

    runs: list[Kept]
    silent: list[Path]
    drive: bool

    def uncopied(self, run: Kept) -> bool:
        """Whether it goes to Drive, and nothing of it is there yet."""
        going = (
            run.status in ("running", "unfinished")
            and run.folder == home().absolute() / "runs" / f"{run.name}-{run.key}"
        )
        return self.drive and going and run.copy is None


def look() -> Seen:
    """What can be seen from here. A run and its copy on Drive are one."""
    found: dict[tuple[str, bool], dict[str, dict[str, Any]]] = {}
    roots = list(records.roots())
    for where, root in roots:
        for record in records.all_records(root):
            run = found.setdefault(
                (
                    str(record.get("start", record["folder"])),
                    record["folder"].endswith(records.BEFORE),
                ),
                {},
            )
            run.setdefault(where, record)
    tops = [root.parent.parent for where, root in roots if where == "drive"]
    runs = sorted((_kept(**run) for run in found.values()), key=lambda run: -run.touched)
    return Seen(runs, _silent(tops), any(os.path.isdir(top) for top in tops))


def kept() -> list[Kept]:
    """All runs that can be seen from here."""
    return look().runs


def _silent(tops: list[Path]) -> list[Path]:
    """The Drives that do not answer: none that is mounted did, or one ended while it was read."""
    site = Site.here()
    points = drives(site.table()) if site.anywhere else []
    if {point / MYDRIVE for point in points} & set(tops):
        points = []
    elif not points and (gone := missed(site)) is not None:
        points = [gone[0].mountpoint]
    return list(
        dict.fromkeys(
            [*points, *(top.parent for top in tops if not _answers(top / "colab-kit" / "runs"))]
        )
    )


def _answers(folder: Path) -> bool:
    try:
        os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        return False
    return True


def _kept(disk: dict[str, Any] | None = None, drive: dict[str, Any] | None = None) -> Kept:
    record = disk or drive or {}
    folder, copy = (Path(r["folder"]) if r else None for r in (disk, drive))
    here, there = _sizes(folder), _sizes(copy)
    touched = max(
        (when for when, _ in [*here.values(), *there.values()]), default=float(record["created"])
    )
    return Kept(
        name=str(record["name"]),
        key=str(record["key"]),
        status=_status(record, folder, copy),
        epochs=_epochs(folder or copy),
        of=_of(record, folder or copy),
        touched=touched,
        folder=folder,
        copy=copy,
        size=sum(size for _, size in here.values()),
        copy_size=sum(size for _, size in there.values()),
    )


def _sizes(folder: Path | None) -> dict[Path, tuple[float, int]]:
    """The files below a folder, when each was touched and its bytes. One that goes meanwhile, or that Drive does not give, is left out."""
    found: dict[Path, tuple[float, int]] = {}
    for where, _, names in os.walk(folder) if folder is not None else ():
        for path in (Path(where, name) for name in names):
            try:
                seen = path.stat()
            except OSError:
                continue
            found[path] = seen.st_mtime, seen.st_size
    return found


def _status(record: dict[str, Any], folder: Path | None, copy: Path | None) -> str:
    if folder is not None and folder.name.endswith(records.BEFORE):
        return "set aside"
    running = (folder is not None and _is_locked(folder)) or _is_leased(copy)
    return (
        "running"
        if running
        else "unfinished"
        if record["status"] == "running"
        else str(record["status"])
    )


def _is_leased(copy: Path | None) -> bool:
    """Whether another machine, or this one, writes the copy."""
    try:
        holder = Holder.at(copy / NAME) if copy is not None else None
    except OSError:  # Drive has dropped away
        return False
    return (
        holder is not None
        and not holder.released
        and not holder.gone()
        and holder.heard(time.time())
    )


def _is_locked(folder: Path) -> bool:
    from filelock import Timeout

    if not os.path.exists(folder / ".lock"):
        return False
    try:
        with one_writer(folder):
            return False
    except RunError as err:
        return isinstance(
            err.__cause__, Timeout
        )  # else it cannot be locked at all: a read-only disk


def _of(record: dict[str, Any], folder: Path | None) -> int:
    """Epochs that were asked for; of a head that is solved, the views it is solved from."""
    choices = {} if folder is None else records.read_json(folder / "choices.json") or {}
    solved = (
        choices.get("mode", [""])[0] == "frozen"
        and "views" in choices
        and "freeze_epochs" not in choices
    )
    return int(choices["views"][0] if solved else record["recipe"]["epochs"])


def _epochs(folder: Path | None) -> int | None:
    """Whole epochs of the newest checkpoint, from its header: its tensors are not read."""
    marks = [stamp(path) for path in _sizes(folder) if path.match("checkpoint-*.safetensors")]
    newest = max(
        (mark for mark in marks if mark is not None),
        key=lambda mark: int(mark["step"]),
        default=None,
    )
    return int(json.loads(newest["facts"])["epoch"]) if newest is not None else None


def delete(run: Kept) -> None:
    """Delete a run and its copy. Interrupted, it is still listed, and deleting it again ends the work.

    Raises
    ------
    RunError
        It is running, or its folder cannot be written.
    DriveError
        Drive has dropped away: its copy is still there.
    """
    if run.status == "running":
        raise RunError(
            f"Run {run.name}-{run.key} is running and is not deleted.",
            "it is being written",
            "stop it first",
        )
    if run.folder is not None:
        with one_writer(run.folder):
            _empty(run.folder, truncate=False)
        shutil.rmtree(run.folder, ignore_errors=True)
    if run.copy is not None:
        for shelf in list(session.shelves):  # what this process still copies there would bring it back
            if run.copy.is_relative_to(shelf.root):
                shelf.forget(run.copy.relative_to(shelf.root).as_posix())
        _empty(run.copy, truncate=True)
        shutil.rmtree(run.copy, ignore_errors=True)
        try:
            left = there(run.copy / "run.json")
        except OSError as err:
            left = True
            why = err.strerror or str(err)
        else:
            why = "Drive did not let its files be listed"
        if left:
            raise DriveError(
                f"The copy {run.copy} was not deleted.", why, f"{AGAIN}, then delete the run again"
            )


def _empty(folder: Path, *, truncate: bool) -> None:
    """Remove the files, run.json last. On Drive each is truncated first: its Trash counts against the space, and so costs nothing."""
    files = [file for file in _sizes(folder) if file.name != ".lock"]
    for file in sorted(files, key=lambda file: file.name == "run.json"):
        try:
            if truncate and file.name != "run.json":
                file.open("wb").close()
            file.unlink()
        except OSError as err:
            raise cannot_write(file, err) from err
