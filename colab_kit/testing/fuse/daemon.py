"""Drive's program, as a process of its own: answers the kernel for a mount (FUSE), and its parent on a socket.

Started by fuse.py as `python -m colab_kit.testing.fuse.daemon FD`; the socket's first line says what to mount. When the parent is gone, it
unmounts and ends: what was not uploaded is lost, as on a machine that is taken away.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..faults import Faults, Tally
from .cache import Cache
from .mounts import unmount_lazily
from .node import Node

ALIASES = {"My Drive": "MyDrive", "Shared drives": "Shareddrives"}
HIDDEN = ".fuse_hidden"  # libfuse renames a file to this when it is deleted while open


def spelled(path: str) -> str:
    """A path of the mount ("/My Drive/a.txt") as the plan and the cache spell it ("MyDrive/a.txt")."""
    first, slash, rest = path.lstrip("/").partition("/")
    return ALIASES.get(first, first) + slash + rest


class DriveFS:
    """The kernel's questions, answered from the cache, through the plan of faults; named and called as mfusepy wants it.

    Parameters
    ----------
    latency : float
        s added to each operation.
    """

    use_ns = True

    def __init__(
        self,
        cache: Cache,
        faults: Faults,
        *,
        latency: float = 0.0,
        mounted: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.cache, self.faults, self.latency = cache, faults, latency
        self._mounted, self._clock, self._sleep = mounted, clock, sleep
        self._open: dict[int, Node] = {}
        self._numbers = itertools.count(1)
        self._inodes: dict[
            str, int
        ] = {}  # by path: one for both spellings, and the same wherever the bytes lie
        self._late: dict[str, float] = {}  # path: clock when others see it, s
        self._stale: dict[int, dict[str, list[str]]] = {}  # slot of a fault: what each folder held

    def plan(self, plan: str) -> None:
        """Take over the parent's plan; what folders hold now is what stale listings show."""
        for row in json.loads(plan):
            if row["kind"] == "stale_listing" and row["slot"] not in self._stale:
                self._stale[row["slot"]] = self.cache.folders()
        self.faults.take(plan)

    def _at(
        self,
        operation: str,
        path: str,
        size: int = 0,
        to: str | None = None,
        *,
        swallowed: bool = False,
    ) -> str:
        path = spelled(path)
        if self.latency:
            self._sleep(self.latency)
        self.faults.at(operation, path, size, to=to, swallowed=swallowed)
        return path

    def _hold(self, node: Node) -> int:
        number = next(self._numbers)
        self._open[number] = node
        return number

    def _inode(self, path: str) -> int:
        return self._inodes.setdefault(path, next(self._numbers))

    # names
    def init(self, path: str) -> None:
        self._mounted()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        # a name that the kernel knows it only looks up again: if that fails it asks once more, and its caller sees the second answer
        path = self._at("stat", path, swallowed=fh is None and spelled(path) in self._inodes)
        if fh is None and self._is_late(path):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        found = self.cache.stat_open(self._open[fh]) if fh else self.cache.stat(path)
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")
        times = {
            f"st_{name}": getattr(found, f"st_{name}_ns") for name in ("atime", "mtime", "ctime")
        }
        return (
            {"st_ino": self._inode(path)} | {name: getattr(found, name) for name in names} | times
        )

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        path = self._at("list", path)
        if fault := self.faults.bends("stale_listing", "list", path):
            names = self._stale[fault.slot].get(path, [])
        else:
            names = self.cache.names(path)
            hidden = {
                late.rpartition("/")[2]
                for late in list(self._late)
                if late.rpartition("/")[0] == path and self._is_unlisted(late)
            }
            names = [name for name in names if name not in hidden]
        inodes = {name: self._inode(f"{path}/{name}".lstrip("/")) for name in names}
        return [
            (name, {"st_ino": inode}, 0)
            for name, inode in {
                ".": self._inode(path),
                "..": self._inode(path.rpartition("/")[0]),
                **inodes,
            }.items()
        ]

    def mkdir(self, path: str, mode: int) -> int:
        self.cache.mkdir(self._at("mkdir", path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        path = self._at("rmdir", path)
        self.cache.rmdir(path)
        self._inodes.pop(path, None)
        return 0

    def unlink(self, path: str) -> int:
        path = (
            spelled(path) if HIDDEN in path else self._at("unlink", path)
        )  # the first was asked for when it was hidden
        self.cache.unlink(path)
        self._inodes.pop(path, None)
        self._late.pop(path, None)
        return 0

    def rename(self, old: str, new: str) -> int:
        if new.rpartition("/")[2].startswith(HIDDEN):
            old, new = self._at("unlink", old), spelled(new)
            self.cache.hide(old, new)
        else:
            old, new = self._at("rename", old, to=spelled(new)), spelled(new)
            self.cache.rename(old, new)
            self._late.pop(new, None)
        for path in [
            path for path in list(self._inodes) if path == old or path.startswith(old + "/")
        ]:
            self._inodes[new + path[len(old) :]] = self._inodes.pop(path)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        self.cache.chmod(self._at("attributes", path), mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        self._at("attributes", path)  # Drive knows no owners
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        self.cache.utime(self._at("attributes", path), times)
        return 0

    def symlink(self, target: str, source: str) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), target)

    def link(self, target: str, source: str) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), target)

    def mknod(self, path: str, mode: int, dev: int) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)

    # bytes
    def create(self, path: str, mode: int, flags: int = 0) -> int:
        path = self._at("create", path)
        if self._is_late(path):  # it is there, but the kernel could not see it
            node = self.cache.open(path)
            self.cache.truncate(node, 0)
            return self._hold(node)
        node = self.cache.create(path, mode)
        if fault := self.faults.bends("late_visibility", "create", path):
            self._late[path] = self._clock() + fault.seconds
        return self._hold(node)

    def open(self, path: str, flags: int) -> int:
        node = self.cache.open(self._at("open", path))
        number = self._hold(node)
        if flags & os.O_TRUNC:  # libfuse 3 says it here, libfuse 2 by a truncate before
            try:
                self.truncate(path, 0, number)
            except OSError:
                self.release(path, number)
                raise
        return number

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        node = self._open[fh]
        self._at("read", node.path)
        return self.cache.read(node, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        node = self._open[fh]
        self._at("write", node.path, len(data))
        kept = (
            data[: len(data) // 2] if self.faults.bends("torn_write", "write", node.path) else data
        )
        self.cache.write(node, kept, offset)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        node = self._open[fh] if fh else self.cache.open(spelled(path))
        try:
            self._at("truncate", node.path)
            self.cache.truncate(node, length)
        finally:
            if not fh:
                self.cache.close(node)
        return 0

    def flush(self, path: str, fh: int) -> int:
        self._at("flush", self._open[fh].path)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        return self.flush(path, fh)  # as DriveFS: safe on this machine, not uploaded

    def release(self, path: str, fh: int) -> int:
        self.cache.close(self._open.pop(fh))
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        self._at("free", path)
        return self.cache.quota.space()

    def _is_unlisted(self, path: str) -> bool:
        if self._clock() < self._late.get(path, 0.0):
            return True
        self._late.pop(path, None)
        return False

    def _is_late(self, path: str) -> bool:
        """Whether a name is not found yet; the one who makes the file must find it while it is open."""
        return path in self._late and self._is_unlisted(path) and not self.cache.is_open(path)


def answer(request: dict[str, Any], drive: DriveFS) -> dict[str, Any]:
    """What the parent asks for."""
    match request["do"]:
        case "plan":
            drive.plan(request["plan"])
            return {}
        case "count":
            return {"pending": drive.cache.pending(), "used": drive.cache.quota.used()}
        case "quit":
            return {"failed": drive.cache.upload(everything=True)}
    return {"error": f"unknown request {request['do']}"}


def serve(
    lines: Any, say: Callable[[dict[str, Any]], None], drive: DriveFS, leave: Callable[[], None]
) -> None:
    """Answer the parent until it says quit or is gone."""
    for line in lines:
        request = json.loads(line)
        try:
            say({"id": request["id"], **answer(request, drive)})
        except Exception as err:
            say({"id": request["id"], "error": f"{type(err).__name__}: {err}"})
        if request["do"] == "quit":
            drive.cache.end()
            os._exit(0)
    leave()


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    lines = channel.makefile("r", encoding="utf-8")
    job = json.loads(next(lines))
    cache = Cache(Path(job["store"]), delay=job["delay"], capacity=job["capacity"])

    def say(reply: dict[str, Any]) -> None:
        channel.sendall(json.dumps(reply).encode() + b"\n")

    faults = Faults(fuse=True, tally=Tally(Path(job["tally"])))
    drive = DriveFS(cache, faults, latency=job["latency"], mounted=lambda: say({"id": job["id"]}))
    drive.plan(job["plan"])

    def leave() -> None:
        unmount_lazily(Path(job["mountpoint"]))
        cache.end()
        os._exit(1)

    def watch(
        parent: int,
    ) -> None:  # a socket's end is no proof: the parent's own forks may hold it open
        while os.getppid() == parent:
            time.sleep(0.5)
        leave()

    for work, arguments in (
        (cache.keep_uploading, ()),
        (serve, (lines, say, drive, leave)),
        (watch, (job["parent"],)),
    ):
        threading.Thread(target=work, args=arguments, daemon=True).start()
    answer_kernel(drive, job["mountpoint"], readonly=job["readonly"])
    threading.Event().wait()  # unmounted from outside: the parent's quit is still to come, or its end


def answer_kernel(drive: DriveFS, mountpoint: str, *, readonly: bool) -> None:
    """Mount, and answer until it is unmounted."""
    import mfusepy  # here: it needs libfuse already when imported

    os.umask(0)  # the kernel has applied the caller's
    options: dict[str, Any] = {
        "fsname": "drive",
        "subtype": "drive",
        "foreground": True,
        "ro": readonly,
        "use_ino": True,
    }
    options |= {
        "entry_timeout": 0,
        "attr_timeout": 0,
        "negative_timeout": 0,
    }  # a fault must not hide behind the kernel's memory
    if mfusepy.fuse_version_major == 2:
        options["big_writes"] = True  # 128 KiB a write, not 4
    mfusepy.FUSE(drive, mountpoint, **options)


if __name__ == "__main__":
    main()
