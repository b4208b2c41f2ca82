"""What Drive's program holds on this machine: open files, and written ones that are not uploaded.

Folders, names and deletions reach the store at once. A file's bytes reach it whole, by a rename,
after a while without writes: until then they lie in a folder of this session, and are lost with it.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .cloud import KEPT, OWN, Quota, hold, lay_out, sweep

T = TypeVar("T")
OPEN_QUIET = 0.5  # seconds: an open file waits as long, or each of its writes would be an upload


@dataclass(eq=False)
class Node:
    """One file that is open, or not uploaded.

    fd : its bytes
    cache : where they lie; None: in the store
    changed : clock of the last write, seconds
    gone : whether it is deleted, and still open
    """

    path: str
    fd: int
    cache: Path | None = None
    changed: float = 0.0
    opens: int = 0
    gone: bool = False

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    @property
    def waits(self) -> bool:
        """Whether it is to be uploaded."""
        return self.cache is not None and not self.gone

    def take(self, cache: Path, *, keep: bool) -> None:
        """Get a copy of this session's own before a write (an empty one, if not `keep`).

        The store's file stays as it is.
        """
        fd = _new_file(cache)
        try:
            os.fchmod(fd, stat.S_IMODE(os.fstat(self.fd).st_mode))
            at = 0
            while keep and (count := os.sendfile(fd, self.fd, at, 1 << 30)):
                at += count
        except OSError:
            os.close(fd)
            cache.unlink()
            raise
        os.close(self.fd)
        self.fd, self.cache = fd, cache

    def write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self.fd, view, offset)
            view, offset = view[count:], offset + count

    def drop(self) -> None:
        """Close it; what was not uploaded is lost."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self.cache is not None:
            self.cache.unlink(missing_ok=True)


class Cache:
    """Files by their path from the mountpoint ("MyDrive/a.txt").

    It is safe from many threads, and raises OSError as a disk does.

    Parameters
    ----------
    store : Path
        What Google has.
    delay : float
        Seconds without writes until a file is uploaded.
    capacity : int, optional
        Bytes for files and Trash together; None: the disk's.
    """

    def __init__(
        self,
        store: Path,
        *,
        delay: float = 1.0,
        capacity: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.delay, self._clock = store, delay, clock
        lay_out(store)
        sweep(store)
        # on the same disk: an upload is a rename
        self.session = Path(tempfile.mkdtemp(prefix="session-", dir=store / KEPT))
        self._session_lock = hold(self.session)
        self._nodes: dict[str, Node] = {}
        self.quota = Quota(store, capacity)
        self._numbers = itertools.count()
        self._lock = threading.Condition(threading.RLock())

    # names
    def stat(self, path: str) -> os.stat_result:
        with self._lock:
            return os.stat(self._target(path))

    def stat_open(self, node: Node) -> os.stat_result:
        with self._lock:  # a first write changes its fd
            return os.fstat(node.fd)

    def is_open(self, path: str) -> bool:
        with self._lock:
            return path in self._nodes and self._nodes[path].opens > 0

    def names(self, path: str) -> list[str]:
        with self._lock:
            names = set(os.listdir(self._at(path)))
            pairs = [node.path.rpartition("/") for node in self._waiting()]
        names.update(name for folder, _, name in pairs if folder == path)
        return sorted(names if path else names - OWN)

    def folders(self) -> dict[str, list[str]]:
        """Every folder and what it holds."""
        with self._lock:
            paths = [os.path.relpath(folder, self.store) for folder, _, _ in os.walk(self.store)]
            ours = [path for path in paths[1:] if path.partition("/")[0] not in OWN]
            return {path: self.names(path) for path in ("", *ours)}

    def mkdir(self, path: str, mode: int) -> None:
        with self._lock:
            os.mkdir(self._at(path), mode)

    def rmdir(self, path: str) -> None:
        with self._lock:
            if self.names(path):
                raise error(errno.ENOTEMPTY, path)
            os.rmdir(self._at(path))

    def chmod(self, path: str, mode: int) -> None:
        with self._lock:
            os.chmod(self._target(path), stat.S_IMODE(mode))

    def utime(self, path: str, times: tuple[int, int] | None) -> None:
        """Set access and modification time, ns; None: now."""
        with self._lock:
            os.utime(self._target(path), ns=times or (time.time_ns(),) * 2)

    def unlink(self, path: str) -> None:
        """Delete a file; its bytes, as many as it has now, go to the Trash."""
        with self._lock:
            node = self._nodes.get(path)
            if node is None or not node.gone:
                self._discard(path)
                self._remove(path)
            elif node.opens:
                del self._nodes[path]
            else:
                self._drop(path, node)

    def hide(self, path: str, name: str) -> None:
        """Delete a file that is open: until it is closed, it has another name."""
        with self._lock:
            node = self.open(path)
            self.unlink(path)
            self._nodes[name] = node
            node.opens -= 1

    def rename(self, old: str, new: str) -> None:
        """Give a file or folder another name. A file of that name goes to the Trash.

        In the store it does so only with the upload of the new one.
        """
        with self._lock:
            if old == new:
                return
            node = self._nodes.get(old)
            if stat.S_ISDIR(self.stat(old).st_mode):
                if os.path.isdir(self._at(new)) and self.names(new):
                    raise error(errno.ENOTEMPTY, new)
                os.rename(self._at(old), self._at(new))
            else:
                if os.path.lexists(self._at(new)) or new in self._nodes:
                    self._discard(new)
                if node is not None and node.waits:
                    self._remove(old)  # an older state of it, which would be half a file as `new`
                else:
                    os.replace(self._at(old), self._at(new))
            move_keys(self._nodes, old, new)
            for path, node in self._nodes.items():
                if not node.gone:
                    node.path = path

    # bytes
    def open(self, path: str) -> Node:
        with self._lock:
            node = self._nodes.get(path)
            if node is None:
                node = self._nodes[path] = Node(path, os.open(self._at(path), os.O_RDONLY))
            node.opens += 1
            return node

    def create(self, path: str, mode: int) -> Node:
        with self._lock:
            os.stat(os.path.dirname(self._at(path)))  # fails where the folder is gone
            cache = self._new_cache()
            node = Node(path, _new_file(cache), cache, self._clock(), opens=1)
            os.fchmod(node.fd, stat.S_IMODE(mode))
            self._nodes[path] = node
            self._lock.notify_all()
            return node

    def read(self, node: Node, size: int, offset: int) -> bytes:
        with self._lock:
            return os.pread(node.fd, size, offset)

    def write(self, node: Node, data: bytes, offset: int) -> None:
        with self._lock:
            self._prepare(node, max(0, offset + len(data) - node.size))
            node.write(data, offset)
            node.changed = self._clock()

    def truncate(self, node: Node, length: int) -> None:
        with self._lock:
            self._prepare(node, length - node.size, keep=length > 0)
            os.ftruncate(node.fd, length)
            node.changed = self._clock()

    def close(self, node: Node) -> None:
        with self._lock:
            node.opens -= 1
            if node.waits:
                self._lock.notify_all()  # it is due sooner than while it was open
            elif not node.opens:
                self._drop(node.path, node)

    # the way up
    def pending(self) -> int:
        """How many files are not uploaded."""
        with self._lock:
            return len(self._waiting())

    def upload(self, *, everything: bool = False) -> list[str]:
        """Upload the files that have been quiet for long enough.

        Returns the paths where that failed; they are tried again.
        """
        failures = []
        with self._lock:
            now = self._clock()
            for node in self._waiting():
                if not everything and now < self._due(node):
                    continue
                try:
                    self._send(node)
                except OSError:
                    failures.append(node.path)
                    node.changed = now
        return failures

    def keep_uploading(self) -> None:
        """Upload each file that is due, for ever."""
        while True:
            with self._lock:
                due = [self._due(node) for node in self._waiting()]
                self._lock.wait(max(0.001, min(due) - self._clock()) if due else None)
            self.upload()

    def end(self) -> None:
        """Forget all that is not uploaded, as the end of the process does."""
        shutil.rmtree(self.session, ignore_errors=True)
        os.close(self._session_lock)

    def _send(self, node: Node) -> None:
        target = self._at(node.path)
        os.makedirs(os.path.dirname(target), exist_ok=True)  # somebody may have deleted it there
        assert node.cache is not None
        os.replace(node.cache, target)
        node.cache = None
        if not node.opens:
            self._drop(node.path, node)

    def _waiting(self) -> list[Node]:
        return [node for node in self._nodes.values() if node.waits]

    def _due(self, node: Node) -> float:
        return node.changed + (max(self.delay, OPEN_QUIET) if node.opens else self.delay)

    def _prepare(self, node: Node, more: int, *, keep: bool = True) -> None:
        """Before a write: take space for it, and see that the bytes are this session's."""
        if not node.gone:  # a deleted file that is still open costs Google nothing
            self.quota.grow(more, node.path)
        if node.cache is None:
            node.take(self._new_cache(), keep=keep)
            node.changed = self._clock()
            self._lock.notify_all()

    def _new_cache(self) -> Path:
        return self.session / str(next(self._numbers))

    def _discard(self, path: str) -> None:
        """Move a file's bytes from the files to the Trash; whoever has it open keeps it."""
        size = self.stat(path).st_size
        node = self._nodes.pop(path, None)
        if node is not None:
            node.gone = True
            if not node.opens:
                self._drop(path, node)
        self.quota.discard(size)

    def _remove(self, path: str) -> None:
        if os.path.lexists(self._at(path)):
            os.unlink(self._at(path))

    def _drop(self, path: str, node: Node) -> None:
        """Forget a file that nobody has open."""
        if self._nodes.get(path) is node:
            del self._nodes[path]
        node.drop()

    def _at(self, path: str) -> str:
        if path.partition("/")[0] in OWN:
            raise error(errno.ENOENT, path)
        return os.path.join(self.store, path)

    def _target(self, path: str) -> int | str:
        """The bytes of a path, for a system call: an open file's number, or the store's file."""
        node = self._nodes.get(path)
        return node.fd if node else self._at(path)


def move_keys(table: dict[str, T], old: str, new: str) -> None:
    """Rename a path, and all paths below it, in a table by path."""
    for path in list(table):
        if path == old or path.startswith(old + "/"):
            table[new + path[len(old) :]] = table.pop(path)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


def error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
