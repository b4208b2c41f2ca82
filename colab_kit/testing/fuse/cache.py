"""What Drive's program holds on this machine: the files that are open, and those written and not uploaded yet.

Folders, names and deletions reach the cloud's folder at once. A file's bytes reach it whole, by a rename, after a while without
writes: until then they lie in a folder of this session, and are lost with it.
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
from pathlib import Path

from .cloud import KEPT, OWN, Quota, hold, lay_out, sweep
from .node import Node

OPEN_QUIET = (
    0.5  # s: a file still open is not uploaded sooner, lest each of its writes be a copy of it
)


class Cache:
    """Files by their path relative to the mountpoint ("MyDrive/a.txt"); safe from many threads, raises OSError as a disk does.

    Parameters
    ----------
    store : Path
        What Google has.
    delay : float
        s without writes until a file is uploaded.
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
        self.session = Path(
            tempfile.mkdtemp(prefix="session-", dir=store / KEPT)
        )  # same disk: an upload is a rename
        self._held = hold(self.session)
        self._nodes: dict[str, Node] = {}
        self.quota = Quota(store, capacity)
        self._numbers = itertools.count()
        self._lock = threading.Condition(threading.RLock())

    # names
    def stat(self, path: str) -> os.stat_result:
        with self._lock:
            node = self._nodes.get(path)
            return os.fstat(node.fd) if node else os.stat(self._at(path))

    def stat_open(self, node: Node) -> os.stat_result:
        with self._lock:  # a first write changes its fd
            return os.fstat(node.fd)

    def is_open(self, path: str) -> bool:
        with self._lock:
            node = self._nodes.get(path)
            return node is not None and node.opens > 0

    def names(self, path: str) -> list[str]:
        with self._lock:
            found = set(os.listdir(self._at(path)))
            found.update(
                node.path.rpartition("/")[2]
                for node in self._waiting()
                if node.path.rpartition("/")[0] == path
            )
        return sorted(found - OWN if not path else found)

    def folders(self) -> dict[str, list[str]]:
        """Every folder and what it holds."""
        with self._lock:
            top = str(self.store)
            paths = [os.path.relpath(folder, top) for folder, _, _ in os.walk(top)]
            paths = [
                "" if path == "." else path for path in paths if path.partition("/")[0] not in OWN
            ]
            return {path: self.names(path) for path in paths}

    def mkdir(self, path: str, mode: int) -> None:
        with self._lock:
            os.mkdir(self._at(path), mode)

    def rmdir(self, path: str) -> None:
        with self._lock:
            if self.names(path):
                raise _error(errno.ENOTEMPTY, path)
            os.rmdir(self._at(path))

    def chmod(self, path: str, mode: int) -> None:
        with self._lock:
            node = self._nodes.get(path)
            os.chmod(node.fd if node else self._at(path), stat.S_IMODE(mode))

    def utime(self, path: str, times: tuple[int, int] | None) -> None:
        """Set access and modification time, ns; None: now."""
        with self._lock:
            node = self._nodes.get(path)
            os.utime(node.fd if node else self._at(path), ns=times or (time.time_ns(),) * 2)

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
        """Delete a file that is open: until closed, it can be reached by another name."""
        with self._lock:
            node = self.open(path)
            self.unlink(path)
            self._nodes[name] = node
            node.opens -= 1

    def rename(self, old: str, new: str) -> None:
        """Give a file or folder another name. A file that stood there goes to the Trash, in the cloud only with the upload of the new."""
        with self._lock:
            if old == new:
                return
            if stat.S_ISDIR(self.stat(old).st_mode):
                self._rename_folder(old, new)
                return
            node = self._nodes.get(old)
            if os.path.lexists(self._at(new)) or new in self._nodes:
                self._discard(new)
            if node is not None and node.waits:
                self._remove(
                    old
                )  # an older state of it; under the new name it would be half a file
            else:
                os.replace(self._at(old), self._at(new))
            if node is not None:
                self._nodes[new] = self._nodes.pop(old)
                node.path = new

    def _rename_folder(self, old: str, new: str) -> None:
        if os.path.isdir(self._at(new)) and self.names(new):
            raise _error(errno.ENOTEMPTY, new)
        os.rename(self._at(old), self._at(new))
        for path in [path for path in self._nodes if path.startswith(old + "/")]:
            node = self._nodes.pop(path)
            self._nodes[new + path[len(old) :]] = node
            node.path = node.path if node.gone else new + path[len(old) :]

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
            os.stat(os.path.dirname(self._at(path)))  # the folder: if it is gone, say so
            cache = self.session / str(next(self._numbers))
            node = Node(
                path,
                os.open(cache, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600),
                cache,
                self._clock(),
                opens=1,
            )
            os.fchmod(node.fd, stat.S_IMODE(mode))
            self._nodes[path] = node
            self._lock.notify_all()
            return node

    def read(self, node: Node, size: int, offset: int) -> bytes:
        with self._lock:
            return os.pread(node.fd, size, offset)

    def write(self, node: Node, data: bytes, offset: int) -> None:
        with self._lock:
            self._grow(node, max(0, offset + len(data) - node.size))
            self._own(node)
            node.write(data, offset)
            node.changed = self._clock()

    def truncate(self, node: Node, length: int) -> None:
        with self._lock:
            self._grow(node, length - node.size)
            self._own(node, keep=length > 0)
            os.ftruncate(node.fd, length)
            node.changed = self._clock()

    def close(self, node: Node) -> None:
        with self._lock:
            node.opens -= 1
            if node.waits:
                self._lock.notify_all()  # sooner due than while it was open
            elif not node.opens:
                self._drop(node.path, node)

    # the way up
    def pending(self) -> int:
        """How many files are not uploaded."""
        with self._lock:
            return len(self._waiting())

    def upload(self, *, everything: bool = False) -> list[str]:
        """Upload what has been quiet for long enough; give the paths where that failed: they are tried again."""
        failed = []
        with self._lock:
            now = self._clock()
            for node in [node for node in self._waiting() if everything or now >= self._due(node)]:
                try:
                    self._send(node)
                except OSError:
                    failed.append(node.path)
                    node.changed = now
        return failed

    def keep_uploading(self) -> None:
        """Upload whatever is due, for ever."""
        while True:
            with self._lock:
                due = [self._due(node) for node in self._waiting()]
                self._lock.wait(max(0.001, min(due) - self._clock()) if due else None)
            self.upload()

    def end(self) -> None:
        """Forget whatever is not uploaded, as the end of the process does."""
        shutil.rmtree(self.session, ignore_errors=True)
        os.close(self._held)

    def _send(self, node: Node) -> None:
        target = self._at(node.path)
        os.makedirs(
            os.path.dirname(target), exist_ok=True
        )  # somebody may have removed it on Google's side
        assert node.cache is not None
        os.replace(node.cache, target)
        node.cache = None
        if not node.opens:
            self._drop(node.path, node)

    def _waiting(self) -> list[Node]:
        return [node for node in self._nodes.values() if node.waits]

    def _due(self, node: Node) -> float:
        return node.changed + (max(self.delay, OPEN_QUIET) if node.opens else self.delay)

    def _own(self, node: Node, *, keep: bool = True) -> None:
        """Before a write: see that the bytes are this session's."""
        if node.cache is None:
            node.take(self.session / str(next(self._numbers)), keep=keep)
            node.changed = self._clock()
            self._lock.notify_all()

    def _grow(self, node: Node, more: int) -> None:
        if not node.gone:  # a deleted file that is still open costs Google nothing
            self.quota.grow(more, node.path)

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
            raise _error(errno.ENOENT, path)
        return os.path.join(self.store, path)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
