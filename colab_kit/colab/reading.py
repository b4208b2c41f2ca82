"""Reading from Drive: listed once a folder, many files side by side, a stumble waited out, and each copy compared with what was read."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ..errors import DataError, DriveError
from ..events import Control, Event, FetchProgress, FetchStarted
from ..system.files import CHUNK, sha256
from .ground import there

STUMBLES = frozenset((errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EAGAIN, errno.ESTALE))
WAITS = (1.0, 4.0, 15.0)  # s before each further try
GOOGLE = (
    ".gdoc",
    ".gsheet",
    ".gslides",
    ".gform",
    ".gdraw",
    ".gmap",
    ".gsite",
    ".gjam",
    ".gscript",
    ".glink",
)  # links: they have no bytes
THREADS = 16  # the wait is for Drive's answers, not for the cores
TICK = 0.1  # s between two looks of the thread that waits
T = TypeVar("T")


@dataclass(frozen=True)
class Hands:
    """The calls that reach Drive and the disk; a test's may count, or fail. Looked up late: open may be another one by then."""

    scan: Callable[[str], Any] = lambda path: os.scandir(path)
    size: Callable[[str], int] = lambda path: os.stat(path).st_size
    open: Callable[[str], BinaryIO] = lambda path: open(path, "rb", buffering=0)
    room: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    sleep: Callable[[float], None] = time.sleep


HANDS = Hands()


def patiently(do: Callable[[], T], path: str | Path, hands: Hands) -> T:
    """Do it, again after a while where Drive stumbles.

    Raises
    ------
    FileNotFoundError
    DriveError
    """
    waits = iter(WAITS)
    while True:
        try:
            return do()
        except (FileNotFoundError, DriveError):
            raise
        except OSError as err:
            _wait(waits, err, path, hands)


def listed(root: Path, hands: Hands) -> list[str]:
    """The files below a folder, relative to it, sorted. Each folder is listed once, and no file is asked for anything.

    What begins with a dot is not there, nor are Google's own documents. Links are followed, but never in a circle.
    """
    files: list[str] = []
    level: list[_Folder] = [("", frozenset((os.path.realpath(root),)))]
    with ThreadPoolExecutor(THREADS) as pool:
        while level:
            below = list(pool.map(lambda at: _inside(root, at, hands), level))
            files += [name for names, _ in below for name in names]
            level = [folder for _, folders in below for folder in folders]
    return sorted(files)


_Folder = tuple[str, frozenset[str]]  # relative to the root; the real paths of those above it


def _inside(root: Path, at: _Folder, hands: Hands) -> tuple[list[str], list[_Folder]]:
    folder, above = at
    path = os.path.join(root, folder)
    files: list[str] = []
    folders: list[_Folder] = []
    for name, kind, real in patiently(lambda: _kinds(hands.scan(path)), path, hands):
        below = f"{folder}/{name}" if folder else name
        if kind == "file":
            files.append(below)
        elif real not in above:
            folders.append((below, above | {real} if real else above))
    return files, folders


def _kinds(entries: Iterable[os.DirEntry[str]]) -> list[tuple[str, str, str]]:
    """Name, "file" or "folder", and for a link to a folder its real path. A link that leads nowhere is not there."""
    found = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower().endswith(GOOGLE):
            continue
        if linked := entry.is_symlink():
            try:
                entry.stat()
            except FileNotFoundError:  # a shortcut whose target was deleted
                continue
        folder = entry.is_dir()
        found.append(
            (
                entry.name,
                "folder" if folder else "file",
                os.path.realpath(entry.path) if folder and linked else "",
            )
        )
    return found


def sizes(root: Path, files: Sequence[str], hands: Hands) -> dict[str, int]:
    """Bytes of each file."""
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            found = pool.map(
                lambda name: patiently(
                    lambda: hands.size(os.path.join(root, name)), root / name, hands
                ),
                files,
            )
            return dict(zip(files, found, strict=True))
        except FileNotFoundError as err:
            raise cannot_read(err.filename or root, err) from err


def bring(
    root: Path,
    files: Mapping[str, int],
    to: Path,
    *,
    name: str,
    emit: Callable[[Event], None],
    control: Control | None,
    hands: Hands,
) -> None:
    """Copy files of `root` to `to`. One that is there already in its full size stays: each gets its name when it is whole.

    That it is done says the caller, who may have more to do before the files are where they belong.

    Raises
    ------
    DriveError
        Drive could not be read, or `control` was stopped. What was brought stays, for the next call.
    """
    job = _Job(hands)
    emit(FetchStarted(name, str(root), sum(files.values())))
    pool = ThreadPoolExecutor(min(THREADS, len(files)))
    try:
        for future in [
            pool.submit(job.copy, root / file, to / file, size) for file, size in files.items()
        ]:
            while not future.done():
                wait([future], timeout=TICK)
                emit(FetchProgress(name, job.done, sum(files.values())))
                if control is not None and control.stopped:
                    raise DriveError(
                        f"{name} was not brought from Drive to the end.",
                        control.reason,
                        "run the cell again: it goes on",
                    )
            if job.failures:
                raise job.failures[0]
    finally:
        job.halt.set()
        pool.shutdown(wait=False, cancel_futures=True)


class _Job:
    """What the copying threads share."""

    def __init__(self, hands: Hands) -> None:
        self.hands, self.halt, self.done = hands, threading.Event(), 0
        self.failures: list[Exception] = []
        self._lock = threading.Lock()

    def copy(self, source: Path, target: Path, size: int) -> None:
        try:
            if _writable(target, lambda: there(target) and target.stat().st_size == size):
                self._count(size)
            else:
                self._copy(source, target, size)
        except Exception as err:
            self.failures.append(err)
            self.halt.set()

    def _copy(self, source: Path, target: Path, size: int) -> None:
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        digest, done = hashlib.sha256(), 0
        try:
            _writable(target, lambda: target.parent.mkdir(parents=True, exist_ok=True))
            with _writable(target, lambda: open(part, "wb")) as writing:
                for chunk in self._chunks(source):
                    digest.update(chunk)
                    done += len(chunk)
                    _writable(target, lambda chunk=chunk: writing.write(chunk))  # type: ignore[misc]
                    self._count(len(chunk))
                _writable(target, writing.flush)
            if self.halt.is_set():
                return
            if done != size:
                raise DriveError(
                    f"{source} changed while it was read.",
                    f"it had {size:,} bytes, and {done:,} came",
                    "run the cell again",
                )
            if _writable(target, lambda: sha256(part)) != digest.hexdigest():
                what = f"{target} reads back otherwise than it was written."
                raise DataError(what, "this machine's disk is failing", "start a new session")
            _writable(target, lambda: os.replace(part, target))
        finally:
            part.unlink(missing_ok=True)

    def _chunks(self, source: Path) -> Iterator[bytes]:
        """What a file holds; after a stumble it goes on where it was."""
        done, waits = 0, iter(WAITS)
        while not self.halt.is_set():
            try:
                with self.hands.open(str(source)) as file:
                    file.seek(done)
                    while not self.halt.is_set() and (chunk := file.read(CHUNK)):
                        done, waits = done + len(chunk), iter(WAITS)
                        yield chunk
                return
            except OSError as err:
                if isinstance(err, DriveError):
                    raise
                _wait(waits, err, source, self.hands)

    def _count(self, size: int) -> None:
        with self._lock:
            self.done += size


def _writable(target: Path, do: Callable[[], T]) -> T:
    """What is done on this machine's disk."""
    try:
        return do()
    except OSError as err:
        fix = "free some room, or set COLAB_KIT_HOME to a folder on another disk"
        raise DataError(f"{target} could not be written.", err.strerror or str(err), fix) from err


def _wait(waits: Iterator[float], err: OSError, path: str | Path, hands: Hands) -> None:
    """Wait before another try; where it is of no use, or there were enough, say so."""
    pause = next(waits, None) if err.errno in STUMBLES else None
    if pause is None:
        raise cannot_read(path, err) from err
    hands.sleep(pause)


def cannot_read(path: str | Path, err: OSError) -> DriveError:
    """The three sentences for a file on Drive that does not come."""
    what = f"{path} could not be read from Drive."
    match err.errno:
        case errno.ENOTCONN | errno.ESTALE:
            return DriveError(
                what,
                "Drive has dropped away (its program on this machine has ended)",
                "run the cell with kit.mount() again",
            )
        case errno.EIO:
            why = "Drive gave an input/output error again and again: too many reads of a shared file, or too many files in one folder"
            return DriveError(
                what, why, "wait some hours, or make a private copy of it in your own Drive"
            )
        case errno.ENOENT:
            return DriveError(what, "it is no longer there", "run the cell again")
    return DriveError(
        what, err.strerror or str(err), "look at it on drive.google.com, then run the cell again"
    )
