"""Reading from Drive: listed once a folder, many files side by side, and each copy compared.

Drive stumbles now and then: such a failure is waited out. What is there is asked by there() and
is_folder(): Path.exists() and its like say False, or raise, as the version of Python has it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ..errors import ColabKitError, DataError, DriveError
from ..events import Control, Event, FetchProgress, FetchStarted
from ..system.copies import copy_whole
from ..system.files import CHUNK, DRIVE_TOPS
from ..system.retry import Patience, retry

STUMBLES = frozenset((errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EAGAIN, errno.ESTALE))
WAITS = (1.0, 4.0, 15.0)  # s before each further try
# Google's own documents are links: they have no bytes.
GOOGLE = tuple(".gdoc .gsheet .gslides .gform .gdraw .gmap .gsite .gjam .gscript .glink".split())
THREADS = 16  # the wait is for Drive's answers, not for the cores
TICK = 0.1  # s between two looks of the thread that waits
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_OFTEN = "too many reads of a shared file, or too many files in one folder"
T = TypeVar("T")


@dataclass(frozen=True)
class DriveCalls:
    """The calls that reach Drive and the disk. They look names up late: a test may replace open."""

    scan: Callable[[str], Any] = lambda path: os.scandir(path)
    size: Callable[[str], int] = lambda path: os.stat(path).st_size
    open: Callable[[str], BinaryIO] = lambda path: open(path, "rb", buffering=0)
    room: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    sleep: Callable[[float], None] = time.sleep


CALLS = DriveCalls()  # a test puts others here, which count or fail


def patiently(action: Callable[[], T], path: str | Path) -> T:
    """Do it, again after a while where Drive stumbles.

    Raises
    ------
    FileNotFoundError
    DriveError
    """

    def pause(err: OSError, failures: int) -> float | None:
        return None if isinstance(err, FileNotFoundError) else _pause(path, err, failures)

    return retry(action, pause, CALLS.sleep, on=OSError)


def _pause(path: str | Path, err: OSError, failures: int) -> float | None:
    """Seconds to wait after a stumble; else, or after enough of them, an error of ours."""
    if isinstance(err, DriveError):
        return None
    if err.errno in STUMBLES and failures <= len(WAITS):
        return WAITS[failures - 1]
    raise cannot_read(path, err) from err


def list_files(root: Path) -> list[str]:
    """The files below a folder, relative to it, sorted.

    Each folder is listed once, and no file is asked for anything. What begins with a dot is left
    out, as are Google's own documents. Links are followed, but never in a circle.
    """
    files: list[str] = []
    level: list[_Folder] = [("", frozenset((os.path.realpath(root),)))]
    with ThreadPoolExecutor(THREADS) as pool:
        while level:
            below = list(pool.map(lambda at: _inside(root, at), level))
            files += [name for names, _ in below for name in names]
            level = [folder for _, folders in below for folder in folders]
    return sorted(files)


_Folder = tuple[str, frozenset[str]]  # relative to the root; the real paths of those above it


def _inside(root: Path, at: _Folder) -> tuple[list[str], list[_Folder]]:
    folder, above = at
    path = os.path.join(root, folder)
    files: list[str] = []
    folders: list[_Folder] = []
    for name, is_folder, real in patiently(lambda: _kinds(CALLS.scan(path)), path):
        below = os.path.join(folder, name)
        if not is_folder:
            files.append(below)
        elif real not in above:
            folders.append((below, above | {real} if real else above))
    return files, folders


def _kinds(entries: Iterable[os.DirEntry[str]]) -> list[tuple[str, bool, str]]:
    """Names, whether each is a folder, and for a link to a folder its real path.

    A link that leads nowhere is left out.
    """
    kinds = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower().endswith(GOOGLE):
            continue
        is_link = entry.is_symlink()
        if is_link and not there(Path(entry.path)):  # a shortcut whose target was deleted
            continue
        folder = entry.is_dir()
        real = os.path.realpath(entry.path) if folder and is_link else ""
        kinds.append((entry.name, folder, real))
    return kinds


def size_of(path: Path) -> int:
    """Bytes of a file."""
    return patiently(lambda: CALLS.size(str(path)), path)


def sizes(root: Path, files: Sequence[str]) -> dict[str, int]:
    """Bytes of each file."""

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            return dict(zip(files, pool.map(lambda name: size_of(root / name), files), strict=True))
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
) -> None:
    """Copy files of `root` to `to`. A file that is there already in its full size stays.

    The caller says that it is done: it may have more to do before the files are where they belong.

    Raises
    ------
    DriveError
        Drive could not be read, or `control` was stopped. What was brought stays, for the next
        call.
    """
    job, total = _Job(), sum(files.values())
    emit(FetchStarted(name, str(root), total))
    pool = ThreadPoolExecutor(min(THREADS, len(files)))
    try:
        copies = [pool.submit(job.copy, root / file, to / file, files[file]) for file in files]
        for copy in copies:
            while not copy.done():
                wait([copy], timeout=TICK)
                emit(FetchProgress(name, job.done, total))
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


class _Halted(Exception):
    """Another file failed, or the caller gave up."""


class _Job:
    """What the copying threads share."""

    def __init__(self) -> None:
        self.halt, self.done = threading.Event(), 0
        self.failures: list[Exception] = []
        self._lock = threading.Lock()

    def copy(self, source: Path, target: Path, size: int) -> None:
        try:
            with _own_disk(target):
                if there(target) and target.stat().st_size == size:
                    self._count(size)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    copy_whole(self._chunks(source, size), target, sync=False, wrote=self._count)
        except _Halted:
            pass
        except Exception as err:
            self.failures.append(err)
            self.halt.set()

    def _chunks(self, source: Path, size: int) -> Iterator[bytes]:
        """The content of a file; after a stumble it goes on where it was."""
        done = 0
        patience = Patience[OSError](lambda err, failures: _pause(source, err, failures))
        while True:
            try:
                with CALLS.open(str(source)) as file:
                    file.seek(done)
                    while not self.halt.is_set() and (chunk := file.read(CHUNK)):
                        done += len(chunk)
                        yield chunk
                break
            except OSError as err:
                seconds = patience.after(err, done)
            CALLS.sleep(seconds)
        if self.halt.is_set():
            raise _Halted
        if done != size:
            raise DriveError(
                f"{source} changed while it was read.",
                f"{done:,} of {size:,} bytes came",
                "run the cell again",
            )

    def _count(self, size: int) -> None:
        with self._lock:
            self.done += size


@contextmanager
def _own_disk(target: Path) -> Iterator[None]:
    """Our sentences for what fails on this machine's disk."""
    try:
        yield
    except ColabKitError:
        raise
    except OSError as err:
        fix = "free some room, or set COLAB_KIT_HOME to a folder on another disk"
        if err.errno == errno.EIO:
            fix = "start a new session: this machine's disk is failing"
        raise DataError(f"{target} could not be written.", err.strerror or str(err), fix) from err


def cannot_read(path: str | Path, err: OSError) -> DriveError:
    """The three sentences for a file on Drive that does not come."""
    why, fix = err.strerror or str(err), "look at it on drive.google.com, then run the cell again"
    match err.errno:
        case errno.ENOTCONN | errno.ESTALE:
            why = "Drive has dropped away (its program on this machine has ended)"
            fix = "run the cell with kit.mount() again"
        case errno.EIO:
            why = f"Drive gave an input/output error again and again: {_OFTEN}"
            fix = "wait some hours, or make a private copy of it in your own Drive"
        case errno.ENOENT:
            why, fix = "it is no longer there", "run the cell again"
    return DriveError(f"{path} could not be read from Drive.", why, fix)


def ground(folder: Path) -> Path:
    """The folder that must be there already before anything is made below it.

    It is My Drive itself; outside of one, the nearest folder that exists now. Nothing is ever made
    under a mountpoint that is not mounted.
    """
    for depth, part in enumerate(folder.parts, 1):
        if part in DRIVE_TOPS:
            return Path(*folder.parts[:depth])
    silent = None
    for parent in (folder, *folder.parents):
        try:
            if there(parent):
                return silent or parent
        except OSError:  # a Drive that is dead now: all of it, from the mountpoint down
            silent = parent
    return silent or Path(folder.anchor)


def make_folder(folder: Path, top: Path | None = None) -> bool:
    """Make `folder`, step by step from `top`, its ground if None. Whether it is new.

    Raises
    ------
    OSError
        The ground is gone, or cannot be written.
    """
    top = ground(folder) if top is None else top
    if not is_folder(top):
        raise FileNotFoundError(errno.ENOENT, "it is no longer there", str(top))
    new = not there(folder)
    # parents=True would build a whole tree where a mount has just gone.
    for step in reversed([folder, *folder.parents][: len(folder.relative_to(top).parts)]):
        step.mkdir(exist_ok=True)
    return new


def there(path: Path) -> bool:
    """Whether something is there.

    Raises
    ------
    OSError
        That is not known: Drive does not say.
    """
    return _mode(path) is not None


def is_folder(path: Path) -> bool:
    """Whether a folder is there; as there()."""
    return stat.S_ISDIR(_mode(path) or 0)


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode
    except ValueError:  # a name that no disk can hold
        return None
    except OSError as err:
        if err.errno in _NOT_THERE:
            return None
        raise
