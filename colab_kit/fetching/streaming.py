"""An archive unpacked while it comes: a zip from where it is, a tar behind its download.

A zip is read in ranges: its directory first, then whole members over many connections. A killed
call is continued member by member:

.pets.part/                   the members that have come
.pets.part/.colab-kit.json    of which version they are
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from ..errors import BadArchive, FetchError, NoSpace, Private, RateLimited, Stopped
from ..events import FetchProgress, FetchStarted, Note
from ..system.addresses import public
from ..system.archives import tar as tars
from ..system.archives import zip as zips
from ..system.archives.limits import Unpacking, room
from ..system.archives.unpack import beside
from ..system.archives.zip import Member
from ..system.files import make, parse, write_json
from ..system.http import BODY, SLOWEST, Reply, cut
from ..system.retry import retry, server_pause
from ..system.sealed import read_short
from .partial import Part
from .records import MARK
from .remote import Call, Every, Source, stretch_of, version_of

TAIL = 64 << 10  # bytes: the directory's end stands in them
BATCH = 3 << 20  # bytes of members asked for at once
LARGEST = 64 << 20  # bytes: a larger member comes faster in a download
TELL = 0.1  # seconds between two events
TICK = 0.01  # seconds between two looks for more of a tar

Finish = Callable[[Path], object]  # is given the unpacked folder before it gets its name


class Changed(Exception):
    """The server gives no ranges, or another version than it began with."""


class RemoteZip:
    """A zip on a server, read in ranges by several threads.

    Raises
    ------
    Changed
        The server gives no ranges.
    """

    def __init__(self, source: Source, call: Call, name: str) -> None:
        self.source, self.call, self.name = source, call, name
        self._came, self._lock = 0, threading.Lock()
        self._free = threading.Semaphore(source.connections)
        tail = retry(self._read_tail, server_pause, self._wait, on=FetchError)
        self.size, self.version, self._tail = tail

    def _wait(self, seconds: float) -> None:
        self.call.wait(seconds, self.name)

    def _read_tail(self) -> tuple[int, str, bytes]:
        """Give size, version and last bytes."""
        with self.source.ask(self.call.web, {"Range": f"bytes=-{TAIL}"}) as reply:
            match = re.search(r"/([0-9]{1,18})$", reply.headers.get("Content-Range", ""))
            total, version = int(match[1]) if match else -1, version_of(reply)
            stretch = stretch_of(reply, max(0, total - TAIL))
            if stretch is None or stretch.stop != total or not version:
                raise Changed
            return total, version, self._all(reply, total - stretch.start)

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes from `offset` on, fewer only at the end of the file.

        Raises
        ------
        FetchError
        Changed
            It is another version by now.
        """
        stop = min(self.size, offset + size)
        if offset >= stop:
            return b""
        if offset >= (begin := self.size - len(self._tail)):
            return self._tail[offset - begin : stop - begin]
        with self._free:
            once = lambda: self._read_once(offset, stop)
            return retry(once, server_pause, self._wait, on=FetchError)

    def _read_once(self, start: int, stop: int) -> bytes:
        headers = {"Range": f"bytes={start}-{stop - 1}", "If-Range": self.version}
        try:
            reply = self.source.ask(self.call.web, headers)
        except (RateLimited, Private) as err:
            err.tries = max(err.tries, 4)  # with so many connections one may be refused
            raise
        with reply:
            stretch = stretch_of(reply, start, stop)
            fits = stretch is not None and stretch.fits(start, self.size, self.version)
            if stretch is None or not fits or stretch.stop != stop:
                raise Changed
            content = self._all(reply, stop - start)
        with self._lock:
            self._came += len(content)
        return content

    def _all(self, reply: Reply, size: int) -> bytes:
        content = reply.body(size, seconds=BODY + size / SLOWEST)
        if len(content) < size:
            raise cut(reply.url, f"after {len(content):,} of {size:,} bytes")
        return content

    def members(self) -> list[Member] | None:
        """Tell what is in it; None if a member is so large that a download is faster."""
        say = lambda text: self.call.emit(Note(text, "warn"))
        members = zips.directory(self.read, self.size, called=self.name, say=say)
        return members if all(one.end - one.start <= LARGEST for one in members) else None

    def unpack(self, members: list[Member], to: Path, identity: str, finish: Finish) -> None:
        """Unpack it into the new folder `to`; a stopped or killed call is continued.

        Raises
        ------
        FetchError
            It does not come, is damaged, or would write outside of `to`.
        Changed
            It changed meanwhile: nothing of it stays.
        """
        part = to.with_name(f".{to.name}.part")
        version = {"identity": identity, "version": self.version, "size": self.size}
        continued = _version_of(part) == version
        missing = [one for one in members if not (continued and _is_there(part, one))]
        size, left = (sum(one.size for one in some) for some in (members, missing))
        emit, control, limit = self.call.emit, self.call.control, self.call.max_size
        before, event_time = self.size - sum(one.packed for one in missing), Every(TELL)

        def tell(files: int, size: int) -> None:
            if event_time.due():
                emit(FetchProgress(self.name, min(self.size, before + self._came), self.size))

        free = room(to.parent) + size - left
        job = Unpacking(self.name, room=free, max_size=limit, told=tell, control=control)
        job.check(self.size, size, len(members))
        if not continued:
            shutil.rmtree(part, ignore_errors=True)
            make(part)
            write_json(part / MARK, version)
        emit(FetchStarted(self.name, public(self.source.url), self.size))
        threads = 2 * self.source.connections
        try:
            zips.extract(self.read, missing, part, job, threads=threads, batch=BATCH)
            finish(part)
            os.replace(part, to)
        except (Changed, BadArchive, NoSpace):  # else what has come stays
            shutil.rmtree(part, ignore_errors=True)
            raise


def _version_of(part: Path) -> object:
    with suppress(OSError, ValueError):
        return parse(read_short(part / MARK))
    return None


def _is_there(part: Path, member: Member) -> bool:
    """Tell whether an earlier call has written this member whole; a half one is removed."""
    path = part / member.name
    if member.folder:
        return path.is_dir()
    with suppress(OSError):
        right_size = path.stat().st_size == member.size and not path.is_symlink()
        if right_size and zlib.crc32(path.read_bytes()) == member.crc:
            return True
        path.unlink()
    return False


class TarFollower:
    """Unpack the tar that a part becomes into the new folder `to`, in a thread of its own.

    It reads behind the connections that bring the part, and counts when the whole is right.
    """

    def __init__(self, part: Part, to: Path, max_size: int | None) -> None:
        self.part, self.to, self.max_size = part, to, max_size
        self._start, self._at = part.restarts, 0
        self._error: BaseException | None = None
        self._over, self._whole = threading.Event(), False
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"unpack {to.name}")

    def tick(self) -> None:
        """Begin once bytes are there; tell the one who brings them that they are of no use."""
        if self._error is not None and not isinstance(self._error, Stopped):
            raise self._error
        if self._folder is None and self.part.front:
            self._start = self.part.restarts
            self._folder = self._stack.enter_context(beside(self.to))
            self._thread.start()

    def done(self, finish: Finish) -> bool:
        """Finish when the whole has come and is right; False if it must be unpacked anew."""
        self._whole = True
        if self._folder is None:
            return False
        self._thread.join()
        if isinstance(self._error, Stopped) or self._restarted:
            self.end()
            return False
        with self._stack:
            if self._error is not None:
                raise self._error
            finish(self._folder)
        return True

    def end(self) -> None:
        """End without a result, and leave no trace."""
        self._over.set()
        if self._folder is not None:
            self._thread.join()
        with suppress(Stopped), self._stack:
            raise Stopped("")

    @property
    def _restarted(self) -> bool:
        return self.part.restarts != self._start

    def _work(self) -> None:
        assert self._folder is not None
        free = room(self.to.parent)
        job = Unpacking(self.part.to.name, room=free, max_size=self.max_size)
        try:
            tars.extract(self, self._folder, job)
        except BaseException as err:
            # an error with a part that has begun anew says nothing: its file may be closed
            self._error = Stopped("") if self._restarted else err

    def read(self, size: int = -1) -> bytes:
        """Give the next bytes; waits until they have come."""
        while True:
            if self._over.is_set() or self._restarted:
                raise Stopped("")
            if (ready := self.part.front - self._at) > 0:
                most = 1 << 20 if size < 0 else size
                chunk = self.part.read(self._at, min(most, ready))
                self._at += len(chunk)
                return chunk
            if self._whole or self.part.whole:
                return b""
            self._over.wait(TICK)
