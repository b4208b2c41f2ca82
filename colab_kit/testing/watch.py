"""Watched folders: where a path or an open file lies, and what its plan says to an operation."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from .faults import CHANGING, LINKS, Faults, spelled

# as they are before anyone replaces them
_fstat, _getcwd, _join, _normal = os.fstat, os.getcwd, os.path.join, os.path.normpath
_ANOTHER_DISK = 1 << 16  # added to a file's device


@dataclass(eq=False)
class Watch:
    """A folder whose files meet a plan.

    on : whether a Reach is installed that holds it; a file that stays open longer is left alone
    is_mount : whether it looks like a disk of its own, as Drive does
    """

    folder: str
    faults: Faults
    readonly: bool = False
    on: bool = False
    is_mount: bool = False

    @property
    def mounts(self) -> bool:
        """Whether it looks like a mount now."""
        return self.is_mount and self.on

    def prefixes(self) -> set[str]:
        """Its names: as given, and with links followed, as the current folder is named."""
        return {os.path.abspath(self.folder), os.path.realpath(self.folder)}


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a path lies.

    name : as the user wrote it; text, also of a Path
    path : absolute
    moved : whether a redirect leads to `path`, or a mount's other spelling
    inside : from the watched folder, "" for that folder itself
    """

    name: Any
    path: str
    moved: bool
    watch: Watch | None
    inside: str = ""

    @property
    def mount(self) -> Watch | None:
        """The mount that it lies in."""
        return self.watch if self.watch is not None and self.watch.mounts else None


@dataclass(eq=False, slots=True)
class Handle:
    """An open file of a watched folder.

    identity : device and inode; another file may get the same number later
    size : bytes of it that have met the plan
    """

    spot: Spot
    identity: tuple[int, int]
    writes: bool
    size: int


# process state: what all installed Reaches watch; the last one that goes empties it by look_at()
_folders: tuple[tuple[str, Watch], ...] = ()  # the longest first: the innermost folder is asked
_moves: tuple[tuple[str, str], ...] = ()
_handles: dict[int, Handle] = {}
_here = threading.local()


def look_at(watches: Iterable[Watch], redirects: Mapping[str, str]) -> None:
    """Watch these folders and follow these redirects, and no others."""
    global _folders, _moves
    with exempt():
        folders = {prefix: watch for watch in watches for prefix in watch.prefixes()}
        moves = {os.path.abspath(prefix): os.path.abspath(to) for prefix, to in redirects.items()}
    _folders = tuple(sorted(folders.items(), key=lambda item: -len(item[0])))
    _moves = tuple(sorted(moves.items(), key=lambda item: -len(item[0])))


@contextmanager
def exempt() -> Iterator[None]:
    """Let nothing that this thread does in the block meet a plan; redirects hold."""
    before = _is_exempt()
    _here.exempt = True
    try:
        yield
    finally:
        _here.exempt = before


def _is_exempt() -> bool:
    return getattr(_here, "exempt", False)


def find(path: Any, folder: int | None = None) -> Spot | None:
    """Where `path` lies, if it is watched or redirected.

    Parameters
    ----------
    path : path, int or None
        An open file's number is a path too; None means the current folder.
    folder : int, optional
        A dir_fd.
    """
    if isinstance(path, int):
        handle = handle_of(path)
        return handle.spot if handle else None
    try:
        path = path if path is None else os.fspath(path)
        text = "." if path is None else os.fsdecode(path)
        full = _normal(text if text[:1] == os.sep else _absolute(text, folder))
    except (TypeError, ValueError, OSError):
        return None  # the call itself says what is wrong with it
    moved = False
    for prefix, to in _moves:
        if _is_under(full, prefix):
            full, moved = to + full[len(prefix) :], True
            break
    for prefix, watch in _folders:
        if _is_under(full, prefix):
            inside = spelled(full[len(prefix) :].replace(os.sep, "/"))
            if watch.mounts and (plain := _join(prefix, inside).rstrip(os.sep)) != full:
                full, moved = plain, True  # My Drive is MyDrive, not a link to it
            return Spot(path, full, moved, watch, inside)
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


def _is_under(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", os.sep)


def meet(operation: str, spot: Spot, size: int = 0, to: Spot | None = None) -> None:
    """Fail or wait as the plan says. An error names the path as the user wrote it.

    to : the other end of a rename
    """
    watch = spot.watch
    if to is not None and to.watch is not watch:
        meet(operation, to)
        to = None
    if watch is None or not watch.on or _is_exempt():
        return
    try:
        if watch.readonly and operation in CHANGING:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), spot.name)
        watch.faults.at(operation, spot.inside, size, to=to.inside if to else None)
    except OSError as err:
        err.filename = spot.name
        if to is not None:
            err.filename2 = to.name
        raise


def meet_open(spot: Spot, flags: int, path_exists: bool) -> None:
    """Ask the plan about opening: create, truncate or open.

    A read-only Drive opens nothing that would be written.
    """
    creates = bool(flags & os.O_CREAT) and not path_exists
    writes = creates or flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC)
    if writes and spot.watch and spot.watch.readonly:
        meet("truncate", spot)
    if creates:
        meet("create", spot)
    else:
        meet("truncate" if flags & os.O_TRUNC else "open", spot)


def refuse_pair(here: Spot | None, there: Spot | None, *, is_link: bool) -> None:
    """Refuse what no mount does: a link in it (errno 95), a rename across its border (errno 18)."""
    mounts = [spot.mount if spot else None for spot in (here, there)]
    if mounts == [None, None] or _is_exempt():
        return
    if is_link:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    if mounts[0] is not mounts[1]:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def shown(spot: Spot, name: str | bytes) -> bool:
    """Whether a listing shows this name: a mount's root has no second spellings."""
    return spot.mount is None or bool(spot.inside) or os.fsdecode(name) not in LINKS


def as_there(spot: Spot, status: os.stat_result) -> os.stat_result:
    """A file's status; those of a mount lie on another disk than what surrounds it."""
    if spot.mount is None:
        return status
    fields = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
    numbers = list(status[:10])
    numbers[stat.ST_DEV] += _ANOTHER_DISK
    return os.stat_result(numbers, fields)


def remember(number: int, spot: Spot, writes: bool) -> None:
    """Know the open file by its number from now on."""
    status = _fstat(number)
    identity = status.st_dev, status.st_ino
    _handles[number] = Handle(replace(spot, moved=False), identity, writes, status.st_size)


def share(number: int, other: int) -> None:
    """Know `other` as a duplicate of `number`."""
    _handles.pop(other, None)
    if handle := handle_of(number):
        _handles[other] = handle


def forget(number: int) -> None:
    _handles.pop(number, None)


def forget_closed() -> None:
    """Forget the files that were closed without our functions."""
    for number in list(_handles):
        if handle_of(number) is None:
            forget(number)


def handle_of(number: int) -> Handle | None:
    """The open file with this number, if it lies in a watched folder."""
    handle = _handles.get(number)
    if handle is None:
        return None
    try:
        status = _fstat(number)
    except OSError:
        return None
    if (status.st_dev, status.st_ino) == handle.identity:
        return handle
    del _handles[number]  # it was closed elsewhere, and the number was given to another file
    return None


def allow(handle: Handle, size: int) -> int:
    """How many of `size` bytes can be written now; OSError if none can."""
    watch = handle.spot.watch
    if watch is not None and watch.on and not _is_exempt():
        size = watch.faults.fits(handle.spot.inside, size)
    meet("write", handle.spot, size)
    return size


def grown(number: int) -> None:
    """Note that all bytes of the open file have met the plan."""
    if handle := handle_of(number):
        handle.size = _fstat(number).st_size


def settle(handle: Handle, number: int) -> None:
    """Ask the plan when a written file is closed: about a C library's bytes, then the end."""
    if handle.writes:
        unseen = _fstat(number).st_size - handle.size
        if unseen > 0:
            handle.size += unseen
            meet("write", handle.spot, unseen)
        meet("flush", handle.spot)
