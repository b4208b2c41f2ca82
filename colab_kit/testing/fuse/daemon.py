"""Drive's program, a process of its own: it answers the kernel (FUSE), and its parent on a pipe.

mount.py starts it as `python -m colab_kit.testing.fuse.daemon FD`; the first request says
what to mount. When the parent is gone, it unmounts and ends: what was not uploaded is lost, as on a
machine that is taken away.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from ..faults import Faults, Tally, spelled
from .cache import Cache, Node, error, move_keys
from .cloud import Json, unmount_lazily

HIDDEN = ".fuse_hidden"  # libfuse renames a file to this when it is deleted while open
_NUMBERS = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")


class DriveFS:
    """Answer the kernel's questions from the cache, through the plan of faults.

    The methods are named and called as mfusepy wants it, for which None is 0: success.

    latency : seconds added to each operation
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
        # by path: one for both spellings, and the same wherever the bytes lie
        self._inodes: dict[str, int] = {}
        self._late: dict[str, float] = {}  # path: clock when others see it, seconds
        self._stale: dict[int, dict[str, list[str]]] = {}  # slot of a fault: each folder's content

    def plan(self, plan: str) -> None:
        """Take over the parent's plan; stale listings show what folders hold now."""
        for row in json.loads(plan):
            if row["kind"] == "stale_listing" and row["slot"] not in self._stale:
                self._stale[row["slot"]] = self.cache.folders()
        self.faults.take(plan)

    def _at(
        self, operation: str, path: str, size: int = 0, to: str | None = None, heard: bool = True
    ) -> str:
        path = spelled(path)
        if self.latency:
            self._sleep(self.latency)
        self.faults.at(operation, path, size, to=to, heard=heard)
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

    def getattr(self, path: str, fh: int | None = None) -> Json:
        # The kernel only looks a name up again that it knows. If that fails it asks once more, and
        # its caller sees the second answer.
        is_repeated = fh is None and spelled(path) in self._inodes
        path = self._at("stat", path, heard=not is_repeated)
        if fh is None and self._is_late(path):
            raise error(errno.ENOENT, path)
        stat = self.cache.stat_open(self._open[fh]) if fh else self.cache.stat(path)
        answer = {"st_ino": self._inode(path)} | {name: getattr(stat, name) for name in _NUMBERS}
        for name in ("st_atime", "st_mtime", "st_ctime"):
            answer[name] = getattr(stat, f"{name}_ns")
        return answer

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        path = self._at("list", path)
        if fault := self.faults.bends("stale_listing", "list", path):
            names = self._stale[fault.slot].get(path, [])
        else:
            names = self.cache.names(path)
        inside = {name: f"{path}/{name}".lstrip("/") for name in names}
        if not fault:
            inside = {name: at for name, at in inside.items() if not self._is_unlisted(at)}
        paths = {".": path, "..": path.rpartition("/")[0], **inside}
        return [(name, {"st_ino": self._inode(there)}, 0) for name, there in paths.items()]

    def mkdir(self, path: str, mode: int) -> None:
        self.cache.mkdir(self._at("mkdir", path), mode)

    def rmdir(self, path: str) -> None:
        path = self._at("rmdir", path)
        self.cache.rmdir(path)
        self._inodes.pop(path, None)

    def unlink(self, path: str) -> None:
        # of a hidden file the plan was asked when it was hidden
        path = spelled(path) if HIDDEN in path else self._at("unlink", path)
        self.cache.unlink(path)
        self._inodes.pop(path, None)
        self._late.pop(path, None)

    def rename(self, old: str, new: str) -> None:
        new = spelled(new)
        if new.rpartition("/")[2].startswith(HIDDEN):
            old = self._at("unlink", old)
            self.cache.hide(old, new)
        else:
            old = self._at("rename", old, to=new)
            self.cache.rename(old, new)
            self._late.pop(new, None)
        move_keys(self._inodes, old, new)

    def chmod(self, path: str, mode: int) -> None:
        self.cache.chmod(self._at("attributes", path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        self._at("attributes", path)  # Drive knows no owners

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        self.cache.utime(self._at("attributes", path), times)

    def symlink(self, target: str, source: str) -> None:
        raise error(errno.EOPNOTSUPP, target)

    link = symlink

    def mknod(self, path: str, mode: int, dev: int) -> None:
        raise error(errno.EPERM, path)

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
        number = self._hold(self.cache.open(self._at("open", path)))
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
        node, size = self._open[fh], len(data)
        self._at("write", node.path, size)
        if self.faults.bends("torn_write", "write", node.path):
            data = data[: size // 2]
        self.cache.write(node, data, offset)
        return size

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        node = self._open[fh] if fh else self.cache.open(spelled(path))
        try:
            self._at("truncate", node.path)
            self.cache.truncate(node, length)
        finally:
            if not fh:
                self.cache.close(node)

    def flush(self, path: str, fh: int) -> None:
        self._at("flush", self._open[fh].path)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        self.flush(path, fh)  # as DriveFS: safe on this machine, not uploaded

    def release(self, path: str, fh: int) -> None:
        self.cache.close(self._open.pop(fh))

    def statfs(self, path: str) -> dict[str, int]:
        self._at("free", path)
        return self.cache.quota.space()

    def _is_unlisted(self, path: str) -> bool:
        if self._clock() < self._late.get(path, 0.0):
            return True
        self._late.pop(path, None)
        return False

    def _is_late(self, path: str) -> bool:
        """Whether a name is not found yet. Whoever makes the file finds it while it is open."""
        return self._is_unlisted(path) and not self.cache.is_open(path)


def answer(request: Json, drive: DriveFS) -> Json:
    """The answer to the parent's request."""
    match request["do"]:
        case "plan":
            drive.plan(request["plan"])
            return {}
        case "count":
            return {"pending": drive.cache.pending(), "used": drive.cache.quota.used()}
        case "quit":
            return {"failed": drive.cache.upload(everything=True)}
    return {"error": f"unknown request {request['do']}"}


def say(channel: Connection, request: Json, reply: Json) -> None:
    channel.send_bytes(json.dumps({"id": request["id"], **reply}).encode())


def serve(channel: Connection, drive: DriveFS, leave: Callable[[], None]) -> None:
    """Answer the parent until it says quit or is gone."""
    with suppress(EOFError, OSError):
        while True:
            request = json.loads(channel.recv_bytes())
            try:
                reply = answer(request, drive)
            except Exception as err:
                reply = {"error": f"{type(err).__name__}: {err}"}
            say(channel, request, reply)
            if request["do"] == "quit":
                drive.cache.end()
                os._exit(0)
    leave()


def main() -> None:
    channel = Connection(int(sys.argv[1]))
    job = json.loads(channel.recv_bytes())
    cache = Cache(Path(job["store"]), delay=job["delay"], capacity=job["capacity"])
    faults = Faults(fuse=True, tally=Tally(Path(job["tally"])))
    mounted = partial(say, channel, job, {})
    drive = DriveFS(cache, faults, latency=job["latency"], mounted=mounted)
    drive.plan(job["plan"])

    def leave() -> None:
        unmount_lazily(Path(job["mountpoint"]))
        cache.end()
        os._exit(1)

    def watch_parent() -> None:
        # a pipe's end is no proof: the parent's own forks may hold it open
        while os.getppid() == job["parent"]:
            time.sleep(0.5)
        leave()

    for work in (cache.keep_uploading, partial(serve, channel, drive, leave), watch_parent):
        threading.Thread(target=work, daemon=True).start()
    answer_kernel(drive, job["mountpoint"], readonly=job["readonly"])
    threading.Event().wait()  # unmounted from outside: the parent's quit or its end still comes


def answer_kernel(drive: DriveFS, mountpoint: str, *, readonly: bool) -> None:
    """Mount, and answer until it is unmounted."""
    import mfusepy  # here: it needs libfuse already when imported

    os.umask(0)  # the kernel has applied the caller's
    options: Json = {
        "fsname": "drive",
        "subtype": "drive",
        "foreground": True,
        "ro": readonly,
        "use_ino": True,
    }
    # a fault must not hide behind the kernel's memory
    options |= dict.fromkeys(("entry_timeout", "attr_timeout", "negative_timeout"), 0)
    if mfusepy.fuse_version_major == 2:
        options["big_writes"] = True  # 128 KiB a write, not 4
    mfusepy.FUSE(drive, mountpoint, **options)


if __name__ == "__main__":
    main()
