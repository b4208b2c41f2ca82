"""Locks between processes: one writes a run, one brings a file while others wait; a killed one's lock is freed by the system."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ColabKitError, DataError, DriveError, RunInUse
from ..events import Control, Event, Note
from .files import cannot_write, make

WRITER = ".writer"  # who holds the lock, for whoever is refused


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold the folder against a second process; a killed one's lock is freed by the system.

    Raises
    ------
    RunInUse
        Another process writes there.
    RunError
        The folder cannot be made or locked.
    """
    import filelock

    new = not os.path.exists(folder)
    make(folder)
    try:
        lock = filelock.FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except filelock.Timeout as err:
        raise RunInUse(
            f"{folder} is being written by another process.",
            f"the same run is training in another notebook, terminal or panel ({_who(folder)})",
            "stop it there first, or give this one another name=",
        ) from err
    except OSError as err:
        raise cannot_write(folder, err) from err
    handle = getattr(getattr(lock, "_context", None), "lock_file_fd", None)
    if handle is not None:
        _held.add(handle)
    try:
        with suppress(OSError):  # it only helps whoever is refused
            (folder / WRITER).write_text(
                f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M')}"
            )
        yield
    finally:
        with suppress(OSError):
            (folder / WRITER).unlink(missing_ok=True)
        if (
            new and folder.is_dir() and {path.name for path in folder.iterdir()} <= {".lock"}
        ):  # nothing came of it
            shutil.rmtree(folder, ignore_errors=True)
        _held.discard(handle)
        lock.release()  # last: nobody else may be in there while it goes


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
        `control` was stopped while another one worked.
    DataError
        There can be no lock in `place`.
    """
    from filelock import FileLock, Timeout

    try:
        make(place)
        lock, told = FileLock(place / f".{name}.lock"), False
        while not lock.is_locked:
            try:
                lock.acquire(timeout=1)
            except Timeout:
                if not told:
                    emit(Note(said.format(name=name)))
                told = True
                if control is not None and control.stopped:
                    raise stopped(
                        f"{name} was not waited for.", control.reason, "run the cell again"
                    ) from None
    except ColabKitError:
        raise
    except OSError as err:
        raise DataError(
            f"{place} could not be written.",
            err.strerror or str(err),
            "set COLAB_KIT_HOME to a folder that can be",
        ) from err
    try:
        yield
    finally:
        lock.release()


def _who(folder: Path) -> str:
    try:
        return (folder / WRITER).read_text() or "it has just begun"
    except OSError:
        return "it has just begun"


_held: set[int] = (
    set()
)  # locks of this process: a DataLoader's worker must not keep one when its parent is killed (5 s, measured)


def _let_go() -> None:
    for handle in _held:
        try:
            os.close(handle)
        except OSError:
            pass  # the lock's own package was first
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
