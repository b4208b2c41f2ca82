"""The calls of `os` and open(), as they are in watched folders: each asks the plan first."""

from __future__ import annotations

import builtins
import errno
import functools
import io
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from types import FunctionType, SimpleNamespace
from typing import Any

from .watch import (
    Spot,
    allow,
    as_there,
    exempt,
    find,
    forget,
    grown,
    handle_of,
    meet,
    meet_open,
    refuse_pair,
    remember,
    settle,
    share,
    shown,
)

Call = Callable[..., Any]
CALLS = {  # the plan's word: the functions that it stands for, by a path or an open file's number
    "stat": "stat lstat access readlink chdir getxattr listxattr fstat",
    "mkdir": "mkdir",
    "create": "mkfifo mknod",
    "rmdir": "rmdir",
    "unlink": "remove unlink",
    "truncate": "truncate ftruncate",
    "attributes": "utime chmod lchmod chown lchown chflags setxattr removexattr fchmod fchown",
    "free": "statvfs fstatvfs",
    "flush": "fsync fdatasync",
    "read": "read pread readv preadv",
    "write": "writev pwritev",
}
PAIRS = {"rename": "rename replace", "create": "link symlink"}
_fstat = os.fstat  # as it is before anyone replaces it


def calls() -> Iterator[tuple[Any, str, Call, Call]]:
    """(module, name, the function that is there, the one to put there) for each of them."""
    makers: list[tuple[str, Callable[[Call], Call]]] = [
        (name, functools.partial(make, operation=operation))
        for table, make in ((CALLS, _asks), (PAIRS, _pair))
        for operation, names in table.items()
        for name in names.split()
    ]
    for name, make in [*makers, *_ALONE.items()]:
        if real := getattr(os, name, None):
            yield os, name, real, functools.wraps(real)(make(real))
    yield builtins, "open", builtins.open, functools.wraps(builtins.open)(_opens(builtins.open))


def _asks(real: Call, operation: str) -> Call:
    """`real`, which asks the plan first if its file is watched."""

    def call(*args: Any, **options: Any) -> Any:
        file = _number(args[0] if args else options.get("path", options.get("fd")))
        spot = find(file, options.get("dir_fd"))
        if spot is None:
            return real(*args, **options)
        size = sum(memoryview(data).nbytes for data in args[1]) if operation == "write" else 0
        meet(operation, spot, size)
        result = _there(spot, real, *args, **options)
        if operation in ("truncate", "write") and isinstance(file, int):
            grown(file)
        return as_there(spot, result) if isinstance(result, os.stat_result) else result

    return call


def _number(file: Any) -> Any:
    """The number of an open file object, which fsync takes too; anything else as it is."""
    return file.fileno() if hasattr(file, "fileno") else file


def _there(spot: Spot, real: Call, *args: Any, **options: Any) -> Any:
    """Call it where a redirect leads; an error names the path as the user wrote it."""
    if not spot.moved:
        return real(*args, **options)
    try:
        if args:
            return real(_target(spot), *args[1:], **options)
        return real(**{**options, "path": _target(spot)})
    except OSError as err:
        err.filename = spot.name
        raise


def _target(spot: Spot) -> str | bytes:
    return os.fsencode(spot.path) if isinstance(spot.name, bytes) else spot.path


def _pair(real: Call, operation: str) -> Call:
    is_symlink = getattr(real, "__name__", "") == "symlink"

    def call(src: Any, dst: Any, *args: Any, **options: Any) -> Any:
        here = None
        if not is_symlink or os.path.isabs(src):  # else it is relative to the link
            here = find(src, options.get("src_dir_fd"))
        there = find(dst, options.get("dst_dir_fd", options.get("dir_fd")))
        if operation == "rename" and here is not None:
            meet(operation, here, to=there)
        elif there is not None:
            meet(operation, there)
        pair = ((src, here), (dst, there))
        moved = [_target(spot) if spot and spot.moved else path for path, spot in pair]
        try:
            refuse_pair(here, there, is_link=operation == "create")
            return real(*moved, *args, **options)
        except OSError as err:
            err.filename, err.filename2 = os.fspath(src), os.fspath(dst)
            raise

    return call


def _open(real: Call) -> Call:
    def call(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        spot = find(path, dir_fd)
        if spot is None:
            return int(real(path, flags, mode, dir_fd=dir_fd))
        with exempt():
            path_exists = os.path.lexists(spot.path)
        meet_open(spot, flags, path_exists)
        number = int(_there(spot, real, path, flags, mode, dir_fd=dir_fd))
        forget(number)
        if spot.watch is not None:
            remember(number, spot, bool(flags & (os.O_WRONLY | os.O_RDWR)))
        return number

    return call


def _close(real: Call) -> Call:
    def call(fd: int) -> None:
        handle = handle_of(fd)
        try:
            if handle is not None:
                settle(handle, fd)
        finally:
            forget(fd)
            real(fd)

    return call


def _write(real: Call) -> Call:
    def call(file: Any, data: Any, *offset: int) -> int:
        number = _number(file)
        handle = handle_of(number)
        if handle is None:
            return int(real(file, data, *offset))
        with memoryview(data) as view, view.cast("B") as plain:
            with plain[: allow(handle, plain.nbytes)] as part:
                written = int(real(file, part, *offset))
        grown(number)
        return written

    return call


def _kernel_copy(real: Call) -> Call:
    """sendfile and copy_file_range: the kernel cannot ask the plan, so it refuses watched files.

    Their callers (shutil, socket) read and write then.
    """

    def call(*args: Any, **options: Any) -> Any:
        if any(handle_of(number) for number in args[:2]):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(*args, **options)

    return call


def _dup(real: Call) -> Call:
    def call(fd: int, *args: Any, **options: Any) -> int:
        other = int(real(fd, *args, **options))
        share(fd, other)
        return other

    return call


class _Entry:
    """scandir's entry; its path begins as the user wrote the folder."""

    def __init__(self, entry: os.DirEntry[Any], spot: Spot, folder: Any) -> None:
        self._entry, self._spot = entry, spot
        self.path = entry.path if isinstance(folder, int) else os.path.join(folder, entry.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def __fspath__(self) -> Any:
        return self.path

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return as_there(self._spot, self._entry.stat(follow_symlinks=follow_symlinks))


class _Entries:
    """scandir's iterator over a folder that a redirect leads to, or that lies in a mount."""

    def __init__(self, entries: Any, spot: Spot, folder: Any) -> None:
        self._entries, self._spot, self._folder = entries, spot, folder

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> _Entry:
        entry = next(entry for entry in self._entries if shown(self._spot, entry.name))
        return _Entry(entry, self._spot, self._folder)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries.close()


def _listdir(real: Call) -> Call:
    list_names = _asks(real, "list")

    def call(path: Any = None) -> list[Any]:
        names, spot = list_names(path), find(path)
        return [name for name in names if spot is None or shown(spot, name)]

    return call


def _scandir(real: Call) -> Call:
    scan = _asks(real, "list")

    def call(path: Any = None) -> Any:
        entries, spot = scan(path), find(path)
        if spot is None or not (spot.moved or spot.mount):
            return entries
        return _Entries(entries, spot, path if isinstance(path, int) else os.fspath(path or "."))

    return call


_ALONE: dict[str, Callable[[Call], Call]] = {
    "open": _open,
    "close": _close,
    "write": _write,
    "pwrite": _write,
    "sendfile": _kernel_copy,
    "copy_file_range": _kernel_copy,
    "dup": _dup,
    "dup2": _dup,
    "listdir": _listdir,
    "scandir": _scandir,
}


class WatchedFile(io.FileIO):
    """A FileIO whose reads and writes meet the plan; buffers and text layer are Python's own."""

    read = _asks(io.FileIO.read, "read")
    readall = _asks(io.FileIO.readall, "read")
    readinto = _asks(io.FileIO.readinto, "read")
    truncate = _asks(io.FileIO.truncate, "truncate")
    write = _write(io.FileIO.write)

    def close(self) -> None:
        handle = None if self.closed else handle_of(self.fileno())
        try:
            if handle is not None:
                settle(handle, self.fileno())
        finally:
            if handle is not None and self.closefd:
                forget(self.fileno())
            super().close()


def _python_open() -> Call:
    """open() as _pyio writes it in Python, with our raw file under io's buffers and text layer."""
    names = ("BufferedReader", "BufferedWriter", "BufferedRandom", "TextIOWrapper")
    ours = {name: getattr(io, name) for name in names}
    ours |= {"FileIO": WatchedFile, "os": SimpleNamespace(fspath=os.fspath, fstat=_fstat)}
    module = import_module("_pyio")
    opens = getattr(module.open, "__wrapped__", module.open)  # a staticmethod in Python 3.11
    return FunctionType(opens.__code__, {**vars(module), **ours}, "open", opens.__defaults__)


def _opens(real: Call) -> Call:
    """open(), as it is in watched folders; `real` everywhere else."""
    watched_open = _python_open()

    def open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[Any, int], int] | None = None,
    ) -> Any:
        spot = find(file)
        layers = (mode, buffering, encoding, errors, newline, closefd)
        if spot is None and opener is None:
            return real(file, *layers)
        if opener is None and not isinstance(file, int):
            opener = _opener
        if spot is None or spot.watch is not None:
            try:
                return watched_open(file, *layers, opener)
            except (TypeError, ValueError):  # no such mode: Python's own open() says it better
                pass
        return real(file, *layers, opener)

    return open


def _opener(name: Any, flags: int) -> int:
    """os.open(), ours: it meets the plan, follows redirects and knows the number."""
    return os.open(name, flags, 0o666)
