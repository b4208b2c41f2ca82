"""Locks between processes: one writes a run, one brings a file while the others wait.

The system frees the lock of a process that was killed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import ColabKitError, DataError, DriveError, RunInUse
from ..events import Control, Event, Note
from .files import cannot_write, make

if TYPE_CHECKING:
    from filelock import FileLock

WRITER = ".writer"  # says who holds the lock, for whoever is refused


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold the folder against a second process.

    Raises
    ------
    RunInUse
        Another process writes there.
    RunError
        The folder cannot be made or locked.
    """
    new = not os.path.exists(folder)
    make(folder)
    _held[folder], writer = _take(folder), folder / WRITER
    try:
        with suppress(OSError):  # it only helps whoever is refused
            writer.write_text(
                f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M')}", "utf-8"
            )
        yield
    finally:
        with suppress(OSError):
            writer.unlink(missing_ok=True)
        if new and folder.is_dir() and os.listdir(folder) in ([], [".lock"]):
            shutil.rmtree(folder, ignore_errors=True)  # nothing came of it
        _let_go(_held.pop(folder))  # last: nobody else may be in there while the folder goes


def hold_again(folder: Path) -> None:
    """Lock a folder anew that this process holds and whose lock file somebody has deleted.

    Raises
    ------
    RunInUse
        Another process was first.
    RunError
        The folder cannot be made or locked.
    """
    lock = _held.get(folder)
    if lock is None or _handle(lock) < 0:
        return
    try:
        if os.path.samestat(os.fstat(_handle(lock)), os.stat(folder / ".lock")):
            return
    except FileNotFoundError:
        pass
    make(folder)
    _held[folder] = _take(folder)
    _let_go(lock)


def _take(folder: Path) -> FileLock:
    import filelock

    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as err:
        raise RunInUse(
            f"{folder} is being written by another process.",
            "the same run is training in another notebook, terminal or panel"
            f" ({_who(folder / WRITER)})",
            "stop it there first, or give this one another name=",
        ) from err
    except OSError as err:
        raise cannot_write(folder, err) from err
    _handles.add(_handle(lock))
    return lock


def _let_go(lock: FileLock) -> None:
    _handles.discard(_handle(lock))
    lock.release()


def _handle(lock: FileLock) -> int:
    return int(getattr(getattr(lock, "_context", None), "lock_file_fd", None) or -1)


def _who(writer: Path) -> str:
    with suppress(OSError):
        return writer.read_text(encoding="utf-8") or "it has just begun"
    return "it has just begun"


@contextmanager
def alone(
    place: Path,
    name: str,
    emit: Callable[[Event], None],
    control: Control | None,
    *,
    said: str = "Another process brings {name} to the fast disk; waiting for it.",
    stopped: type[ColabKitError] = DriveError,
) -> Iterator[None]:
    """Let one process at a time work at `name`; the others wait.

    Raises
    ------
    stopped
        `control` was stopped while another process worked.
    DataError
        There can be no lock in `place`.
    """
    from filelock import FileLock, Timeout

    make(place)
    lock, waits = FileLock(place / f".{name}.lock"), False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=1)
        except Timeout as err:
            if not waits:
                emit(Note(said.format(name=name)))
            waits = True
            if control is not None and control.stopped:
                what = f"{name} was not waited for."
                raise stopped(what, control.reason, "run the cell again") from err
        except OSError as err:
            what = f"{place} could not be written."
            raise DataError(
                what, err.strerror or str(err), "set COLAB_KIT_HOME to a folder that can be written"
            ) from err
    try:
        yield
    finally:
        lock.release()


def flock(file: int | IO[Any], *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file until it is closed. False: another process holds it, or this is Windows."""
    try:
        import fcntl

        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


# The locks of this process. A DataLoader's worker must not keep one when its parent is killed: it
# lives on for 5 s (measured).
_handles: set[int] = set()
_held: dict[Path, FileLock] = {}  # process state: the folders that this process writes


def _close_in_child() -> None:
    for handle in _handles:
        with suppress(OSError):  # the lock's own package was first
            os.close(handle)
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
