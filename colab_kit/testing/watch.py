"""The watched folders: in which of them a path or an open file lies, and what its plan says to an operation there."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from .faults import CHANGING, Faults

NAMES = {"My Drive": "MyDrive", "Shared drives": "Shareddrives"}  # one place, two spellings
_fstat, _getcwd, _join, _normal = (
    os.fstat,
    os.getcwd,
    os.path.join,
    os.path.normpath,
)  # as they are before anyone replaces them
_SEP = os.sep


@dataclass(eq=False)
class Watch:
    """A folder whose files meet a plan. `on`: while a Reach holds it; files opened then outlive that, and are left alone."""

    folder: str
    faults: Faults
    readonly: bool = False
    on: bool = False

    def prefixes(self) -> set[str]:
        """Its names: as given, and with links followed (the current folder is told that way)."""
        return {os.path.abspath(self.folder), os.path.realpath(self.folder)}


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a path lies.

    name : as the user wrote it; text, also of a Path
    path : absolute; `moved` if a redirect leads there
    inside : relative to the watched folder, "" for that folder itself
    """

    name: Any
    path: str
    moved: bool
    watch: Watch | None
    inside: str = ""


@dataclass(eq=False, slots=True)
class Handle:
    """An open file of a watched folder. `size` is what of it came by ways that met the plan, bytes."""

    spot: Spot
    identity: tuple[int, int]
    writes: bool
    size: int


_folders: tuple[tuple[str, Watch], ...] = ()  # the longest first: the innermost folder is asked
_moves: tuple[tuple[str, str], ...] = ()
_handles: dict[int, Handle] = {}
_here = threading.local()


def look_at(watches: Iterable[Watch], redirects: Mapping[str, str]) -> None:
    """Watch these folders and follow these redirects, and no others."""
    global _folders, _moves
    with exempt():
        found = {prefix: watch for watch in watches for prefix in watch.prefixes()}
        moves = {os.path.abspath(prefix): os.path.abspath(to) for prefix, to in redirects.items()}
    _folders = tuple(sorted(found.items(), key=lambda item: -len(item[0])))
    _moves = tuple(sorted(moves.items(), key=lambda item: -len(item[0])))


@contextmanager
def exempt() -> Iterator[None]:
    """Nothing that this thread does in here meets a plan; redirects hold."""
    before = _exempted()
    _here.exempt = True
    try:
        yield
    finally:
        _here.exempt = before


def _exempted() -> bool:
    return getattr(_here, "exempt", False)


def find(path: Any, folder: int | None = None) -> Spot | None:
    """Where `path` lies, if it is watched or redirected. `folder` is a dir_fd; an open file's number is a path too."""
    if isinstance(path, int):
        handle = handle_of(path)
        return handle.spot if handle else None
    try:
        path = path if path is None else os.fspath(path)
        text = "." if path is None else os.fsdecode(path)
        full = _normal(text if text[:1] == _SEP else _absolute(text, folder))
    except (TypeError, ValueError, OSError):
        return None  # the call itself says what is wrong with it
    moved = False
    for prefix, to in _moves:
        if _under(full, prefix):
            full, moved = to + full[len(prefix) :], True
            break
    for prefix, watch in _folders:
        if _under(full, prefix):
            return Spot(path, full, moved, watch, _inside(full[len(prefix) :]))
    return Spot(path, full, True, None) if moved else None


def _absolute(text: str, folder: int | None) -> str:
    if not text:
        raise ValueError("an empty path is no folder")
    if folder is None:
        return _join(_getcwd(), text)
    base = handle_of(folder)
    if base is None:
        raise ValueError("a folder that is not watched")
    return _join(base.spot.path, text)


def _under(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == _SEP)


def _inside(rest: str) -> str:
    first, slash, more = rest[1:].replace(_SEP, "/").partition("/")
    return NAMES.get(first, first) + slash + more


def meet(operation: str, spot: Spot, size: int = 0, to: Spot | None = None) -> None:
    """Fail or wait as the plan says, naming the path as the user wrote it. `to` is the other end of a rename."""
    watch = spot.watch
    if to is not None and to.watch is not watch:
        meet(operation, to)
        to = None
    if watch is None or not watch.on or _exempted():
        return
    try:
        if watch.readonly and operation in CHANGING:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), spot.name)
        watch.faults.at(operation, spot.inside, size, to=None if to is None else to.inside)
    except OSError as err:
        err.filename = spot.name
        if to is not None:
            err.filename2 = to.name
        raise


def meet_open(spot: Spot, flags: int, exists: bool) -> None:
    """The plan's word on opening: create, truncate or open. A read-only Drive opens nothing to be written."""
    creates = bool(flags & os.O_CREAT) and not exists
    writes = creates or flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC)
    if writes and spot.watch and spot.watch.readonly:
        meet("truncate", spot)
    meet("create" if creates else "truncate" if flags & os.O_TRUNC else "open", spot)


def remember(number: int, spot: Spot, writes: bool) -> None:
    """Know the open file by its number from now on."""
    there = _fstat(number)
    _handles[number] = Handle(
        replace(spot, moved=False), (there.st_dev, there.st_ino), writes, there.st_size
    )


def share(number: int, other: int) -> None:
    """`other` is a duplicate of `number`."""
    _handles.pop(other, None)
    if handle := handle_of(number):
        _handles[other] = handle


def forget(number: int) -> None:
    _handles.pop(number, None)


def forget_closed() -> None:
    """Let go of what was closed while nobody looked."""
    for number in list(_handles):
        if handle_of(number) is None:
            _handles.pop(number, None)


def handle_of(number: int) -> Handle | None:
    """The open file with this number, if it lies in a watched folder."""
    handle = _handles.get(number)
    if handle is None:
        return None
    try:
        there = _fstat(number)
    except OSError:
        return None
    if (there.st_dev, there.st_ino) == handle.identity:
        return handle
    del _handles[number]  # closed behind our back, and the number was given to another file
    return None


def allow(handle: Handle, size: int) -> int:
    """How many of `size` bytes may be written now; raises if none may."""
    watch = handle.spot.watch
    if watch is not None and watch.on and not _exempted():
        size = watch.faults.fits(handle.spot.inside, size)
    meet("write", handle.spot, size)
    return size


def grown(handle: Handle, number: int) -> None:
    """What the file holds now has met the plan."""
    handle.size = _fstat(number).st_size


def settle(handle: Handle, number: int) -> None:
    """The last word at closing a written file; bytes that a C library wrote past us meet the plan here."""
    if handle.writes:
        unseen = _fstat(number).st_size - handle.size
        if unseen > 0:
            handle.size += unseen
            meet("write", handle.spot, unseen)
        meet("flush", handle.spot)
