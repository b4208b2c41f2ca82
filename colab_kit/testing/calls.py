"""The system calls of `os`, as they are to be in watched folders: each asks the plan first, and follows redirects."""

from __future__ import annotations

import builtins
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

from .opened import opens
from .watch import (
    Handle,
    Spot,
    allow,
    find,
    forget,
    grown,
    handle_of,
    meet,
    meet_open,
    remember,
    settle,
    share,
)

Call = Callable[..., Any]
BY_PATH = {  # function: the plan's word for it
    "stat": "stat", "lstat": "stat", "access": "stat", "readlink": "stat", "chdir": "stat", "getxattr": "stat", "listxattr": "stat",
    "listdir": "list", "mkdir": "mkdir", "mkfifo": "create", "mknod": "create", "rmdir": "rmdir", "remove": "unlink", "unlink": "unlink",
    "truncate": "truncate", "utime": "attributes", "chmod": "attributes", "lchmod": "attributes", "chown": "attributes",
    "lchown": "attributes", "chflags": "attributes", "setxattr": "attributes", "removexattr": "attributes", "statvfs": "free",
}  # fmt: skip
BY_NUMBER = {  # of an open file
    "fstat": "stat", "fstatvfs": "free", "fsync": "flush", "fdatasync": "flush", "ftruncate": "truncate", "fchmod": "attributes",
    "fchown": "attributes", "read": "read", "pread": "read", "readv": "read", "preadv": "read",
}  # fmt: skip
PAIRS = {"rename": "rename", "replace": "rename", "link": "create", "symlink": "create"}
_fstat, _lseek, _lstat = os.fstat, os.lseek, os.lstat


def calls() -> Iterator[tuple[Any, str, Call, Call]]:
    """(module, name, the function that is there, the one to put there) for each of them."""
    for table, make in ((BY_PATH, _by_path), (BY_NUMBER, _by_number), (PAIRS, _pair)):
        for name, operation in table.items():
            if real := getattr(os, name, None):
                yield os, name, real, functools.wraps(real)(make(real, operation))
    for name, wrap in _ALONE.items():
        if real := getattr(os, name, None):
            yield os, name, real, functools.wraps(real)(wrap(real))
    yield builtins, "open", builtins.open, functools.wraps(builtins.open)(opens(builtins.open))


def _by_path(real: Call, operation: str) -> Call:
    def call(*args: Any, **options: Any) -> Any:
        spot = find(args[0] if args else options.get("path", "."), options.get("dir_fd"))
        if spot is None:
            return real(*args, **options)
        meet(operation, spot)
        return _there(spot, real, args, options)

    return call


def _there(spot: Spot, real: Call, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call it where a redirect leads; an error names the path as the user wrote it."""
    if not spot.moved:
        return real(*args, **options)
    try:
        return (
            real(_lead(spot), *args[1:], **options)
            if args
            else real(**{**options, "path": _lead(spot)})
        )
    except OSError as err:
        err.filename = spot.name
        raise


def _lead(spot: Spot) -> str | bytes:
    return os.fsencode(spot.path) if isinstance(spot.name, bytes) else spot.path


def _by_number(real: Call, operation: str) -> Call:
    def call(*args: Any, **options: Any) -> Any:
        number: Any = args[0] if args else options.get("fd")
        handle = _handle(number)
        if handle is None:
            return real(*args, **options)
        meet(operation, handle.spot)
        result = real(*args, **options)
        if operation == "truncate":
            grown(handle, number)
        return result

    return call


def _handle(number: Any) -> Handle | None:
    try:
        return handle_of(
            number if isinstance(number, int) else number.fileno()
        )  # fsync takes files too
    except (AttributeError, OSError, ValueError):
        return None


def _pair(real: Call, operation: str) -> Call:
    def call(src: Any, dst: Any, *args: Any, **options: Any) -> Any:
        text = (
            getattr(real, "__name__", "") == "symlink"
        )  # what a link says is relative to the link
        here = None if text and not os.path.isabs(src) else find(src, options.get("src_dir_fd"))
        there = find(dst, options.get("dst_dir_fd", options.get("dir_fd")))
        if operation == "rename" and here is not None:
            meet(operation, here, to=there)
        elif there is not None:
            meet(operation, there)
        moved = [
            _lead(spot) if spot is not None and spot.moved else path
            for path, spot in ((src, here), (dst, there))
        ]
        try:
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
        meet_open(spot, flags, _exists(spot.path))
        number = int(_there(spot, real, (path, flags, mode), {"dir_fd": dir_fd}))
        forget(number)
        if spot.watch is not None:
            remember(number, spot, bool(flags & (os.O_WRONLY | os.O_RDWR)))
        return number

    return call


def _exists(path: str) -> bool:
    try:
        _lstat(path)
    except OSError:
        return False
    return True


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
    def call(fd: int, data: Any, *offset: int) -> int:
        handle = handle_of(fd)
        if handle is None:
            return int(real(fd, data, *offset))
        with (
            memoryview(data) as view,
            view.cast("B") as plain,
            plain[: allow(handle, plain.nbytes)] as part,
        ):
            written = int(real(fd, part, *offset))
        grown(handle, fd)
        return written

    return call


def _write_several(real: Call) -> Call:
    def call(fd: int, buffers: Any, *more: Any) -> int:
        handle = handle_of(fd)
        if handle is None:
            return int(real(fd, buffers, *more))
        meet("write", handle.spot, sum(memoryview(buffer).nbytes for buffer in buffers))
        written = int(real(fd, buffers, *more))
        grown(handle, fd)
        return written

    return call


def _sendfile(real: Call) -> Call:
    def call(
        out_fd: int, in_fd: int, offset: int | None, count: int, *more: Any, **options: Any
    ) -> int:
        sent = int(
            real(out_fd, in_fd, offset, _carry(in_fd, out_fd, offset, count), *more, **options)
        )
        return _carried(out_fd, sent)

    return call


def _copy_file_range(real: Call) -> Call:
    def call(
        src: int, dst: int, count: int, offset_src: int | None = None, offset_dst: int | None = None
    ) -> int:
        return _carried(
            dst, int(real(src, dst, _carry(src, dst, offset_src, count), offset_src, offset_dst))
        )

    return call


def _carry(source: int, target: int, offset: int | None, count: int) -> int:
    """How much of a copy inside the kernel may go now, bytes."""
    here, there = handle_of(source), handle_of(target)
    if here is not None:
        meet("read", here.spot)
    if there is None:
        return count
    left = _fstat(source).st_size - (_lseek(source, 0, os.SEEK_CUR) if offset is None else offset)
    size = min(count, left)
    return allow(there, size) if size > 0 else count  # callers ask for 8 MiB, whatever there is


def _carried(target: int, sent: int) -> int:
    if there := handle_of(target):
        grown(there, target)
    return sent


def _dup(real: Call) -> Call:
    def call(fd: int, *args: Any, **options: Any) -> int:
        other = int(real(fd, *args, **options))
        share(fd, other)
        return other

    return call


class _Entry:
    """scandir's entry; its path begins as the user wrote the folder."""

    def __init__(self, entry: os.DirEntry[Any], folder: Any) -> None:
        self._entry, self.path = entry, os.path.join(folder, entry.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def __fspath__(self) -> Any:
        return self.path


class _Entries:
    """scandir's iterator over a folder that a redirect leads to."""

    def __init__(self, entries: Any, folder: Any) -> None:
        self._entries, self._folder = entries, folder

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> _Entry:
        return _Entry(next(self._entries), self._folder)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries.close()


def _scandir(real: Call) -> Call:
    def call(path: Any = None) -> Any:
        spot = find("." if path is None else path)
        if spot is None:
            return real(path)
        meet("list", spot)
        entries = _there(spot, real, (path,), {})
        return _Entries(entries, os.fspath(path)) if spot.moved else entries

    return call


_ALONE: dict[str, Callable[[Call], Call]] = {
    "open": _open, "close": _close, "write": _write, "pwrite": _write, "writev": _write_several, "pwritev": _write_several,
    "sendfile": _sendfile, "copy_file_range": _copy_file_range, "dup": _dup, "dup2": _dup, "scandir": _scandir,
}  # fmt: skip
