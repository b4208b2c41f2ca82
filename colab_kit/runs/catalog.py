"""The catalog: what runs cost on this machine's disk and on Drive, and how one is deleted."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..colab.drive import AGAIN, MYDRIVE, session
from ..colab.health import drives
from ..colab.lease import NAME, Holder
from ..colab.mounting import Site, missed
from ..colab.reading import there
from ..errors import RENAMED, DriveError, RunError
from ..system.files import cannot_write, home, parse, stamp
from ..system.locks import one_writer
from . import record as records

Sizes = dict[Path, tuple[float, int]]  # file: when it was touched, and its bytes


@dataclass(frozen=True)
class StoredRun:
    """What is kept of one run.

    Parameters
    ----------
    status : str
        "running", "unfinished" (killed: its cell goes on with it), "finished", "stopped", "failed",
        "set aside" by restart=True, or "unreadable": its record is damaged, or of another version.
    epochs, total : int or None
        Done and asked for; epochs is None where no checkpoint says, total where no record does.
    touched : float
        Of its newest file: seconds since 1970.
    folder, copy : Path or None
        On this machine's disk, and on Drive or its stand-in.
    size, copy_size : int
        Bytes.
    best : str
        The accuracy, or what stands for it, of the best validation.
    """

    name: str
    key: str
    status: str
    epochs: int | None
    total: int | None
    touched: float
    folder: Path | None
    copy: Path | None
    size: int
    copy_size: int
    best: str


@dataclass(frozen=True)
class Catalog:
    """The runs that can be seen from here.

    Parameters
    ----------
    runs : list of StoredRun
        The one that was touched last comes first.
    silent : list of Path
        Drives that do not answer: their runs are not among these.
    drive : bool
        Whether a Drive answers.
    """

    runs: list[StoredRun]
    silent: list[Path]
    drive: bool

    def uncopied(self, run: StoredRun) -> bool:
        """Whether it goes to Drive, and nothing of it is there yet."""
        is_going = run.status in ("running", "unfinished")
        if not self.drive or not is_going or run.copy is not None:
            return False
        return run.folder == home().absolute() / "runs" / f"{run.name}-{run.key}"


def look() -> Catalog:
    """See which runs there are. A run and its copy on Drive are one."""
    found: dict[tuple[str, bool], dict[str, Path]] = {}
    facts: dict[tuple[str, bool], dict[str, Any]] = {}
    roots = list(records.roots())
    for where, root in roots:
        for record in records.all_records(root):
            folder = record["folder"]
            key = (str(record.get("start", folder)), folder.endswith(records.BEFORE))
            found.setdefault(key, {}).setdefault(where, Path(folder))
            facts.setdefault(key, record)  # the disk's comes first
    tops = [root.parent.parent for where, root in roots if where == "drive"]
    runs = [
        _stored(facts[key], folders.get("disk"), folders.get("drive"))
        for key, folders in found.items()
    ]
    for where, root in roots:
        for path, _ in records.unreadable(root):
            here, copy = (path, None) if where == "disk" else (None, path)
            name, id_ = records.named(path)
            runs.append(_stored({"name": name, "key": id_}, here, copy))
    runs.sort(key=lambda run: -run.touched)
    return Catalog(runs, _silent(tops), any(os.path.isdir(top) for top in tops))


def _silent(tops: list[Path]) -> list[Path]:
    """Name the Drives that do not answer: no mounted one did, or one ended while it was read."""
    site = Site.here()
    points = drives(site.table()) if site.anywhere else []
    if {point / MYDRIVE for point in points} & set(tops):
        points = []
    elif not points and (lost := missed(site)) is not None:
        points = [lost[0].mountpoint]
    points += [top.parent for top in tops if not _answers(top / "colab-kit" / "runs")]
    return list(dict.fromkeys(points))


def _answers(folder: Path) -> bool:
    try:
        os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        return False
    return True


def _stored(record: dict[str, Any], folder: Path | None, copy: Path | None) -> StoredRun:
    here, there = _sizes(folder), _sizes(copy)
    facts = facts_of(folder or copy)
    times = [touched for touched, _ in [*here.values(), *there.values()]]
    return StoredRun(
        str(record["name"]),
        str(record["key"]),
        _status(record, folder, copy),
        None if facts is None else int(facts["epoch"]),
        _total(record, folder or copy),
        max(times, default=float(record.get("created", 0))),
        folder,
        copy,
        sum(size for _, size in here.values()),
        sum(size for _, size in there.values()),
        _best(facts),
    )


def _sizes(folder: Path | None) -> Sizes:
    """Measure the files below a folder, without those that go meanwhile or that Drive refuses."""
    sizes: Sizes = {}
    for where, _, names in os.walk(folder) if folder is not None else ():
        for path in (Path(where, name) for name in names):
            try:
                facts = path.stat()
            except OSError:
                continue
            sizes[path] = facts.st_mtime, facts.st_size
    return sizes


def _status(record: dict[str, Any], folder: Path | None, copy: Path | None) -> str:
    if folder is not None and folder.name.endswith(records.BEFORE):
        return "set aside"
    if (folder is not None and _is_locked(folder)) or _is_leased(copy):
        return "running"
    status = str(record.get("status", "unreadable"))
    status = RENAMED["status"].get(status, status)  # a record of an older version
    return "unfinished" if status == "running" else status


def _is_leased(copy: Path | None) -> bool:
    """Whether another machine, or this one, writes the copy."""
    try:
        holder = Holder.at(copy / NAME) if copy is not None else None
    except OSError:  # Drive has dropped away
        return False
    if holder is None or holder.released or holder.gone():
        return False
    return holder.heard(time.time())


def _is_locked(folder: Path) -> bool:
    from filelock import Timeout

    if not os.path.exists(folder / ".lock"):
        return False
    try:
        with one_writer(folder):
            return False
    except RunError as err:  # another cause: it cannot be locked at all, as on a read-only disk
        return isinstance(err.__cause__, Timeout)


def _total(record: dict[str, Any], folder: Path | None) -> int | None:
    """Count the epochs that were asked for; of a head that is solved, its views."""
    if folder is None or "recipe" not in record:
        return None
    choices: dict[str, Any] = {}
    with suppress(RunError):  # a damaged file of one run does not hide the others
        choices = records.choices_of(folder, record)
    values: dict[str, Any] = {name: choice["value"] for name, choice in choices.items()}
    is_deep = "freeze_epochs" in values
    if values.get("mode") == "frozen" and "views" in values and not is_deep:
        return int(values["views"])
    return int(record["recipe"]["epochs"])


def facts_of(folder: Path | None) -> dict[str, Any] | None:
    """Read what the newest checkpoint says of itself, from its header: its tensors are not read."""
    paths = [path for path in _sizes(folder) if path.match("checkpoint-*.safetensors")]
    marks = [mark for mark in map(stamp, paths) if mark is not None]
    if not marks:
        return None
    newest = max(marks, key=lambda mark: int(mark["step"]))
    try:
        facts = parse(newest["facts"])
        return facts if isinstance(facts["epoch"], int) else None
    except (ValueError, KeyError, TypeError):  # a damaged header
        return None


def _best(facts: dict[str, Any] | None) -> str:
    """Say the best validation's accuracy, else its F1, its error, or its loss: "top1 0.912"."""
    metrics = ((facts or {}).get("best") or {}).get("metrics", {})
    for name in ("top1", "f1", "mae", "loss"):
        if (value := metrics.get(f"valid/{name}")) is not None:
            return f"{name} {value:.4g}"
    return "-"


def delete(run: StoredRun) -> None:
    """Delete a run and its copy. If that is interrupted, it stays listed and can be deleted again.

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
        for shelf in list(
            session.shelves
        ):  # what this process still copies there would bring it back
            if run.copy.is_relative_to(shelf.root):
                shelf.forget(run.copy.relative_to(shelf.root).as_posix())
        _empty(run.copy, truncate=True)
        shutil.rmtree(run.copy, ignore_errors=True)
        why = "Drive did not let its files be listed"
        try:
            is_left = there(run.copy / "run.json")
        except OSError as err:
            is_left, why = True, err.strerror or str(err)
        if is_left:
            fix = f"{AGAIN}, then delete the run again"
            raise DriveError(f"The copy {run.copy} was not deleted.", why, fix)


def _empty(folder: Path, *, truncate: bool) -> None:
    """Remove the files, run.json last.

    On Drive each is truncated first: its Trash counts against the space, and so costs nothing.
    """
    files = [file for file in _sizes(folder) if file.name != ".lock"]
    for file in sorted(files, key=lambda file: file.name == "run.json"):
        try:
            if truncate and file.name != "run.json":
                file.open("wb").close()
            file.unlink()
        except OSError as err:
            raise cannot_write(file, err) from err
