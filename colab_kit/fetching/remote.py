"""A zip unpacked from where it lies: its directory first, then whole members in many connections; the archive itself is stored nowhere.

.pets.part/               the members that have come
.pets.part/.colab-kit.json    of which version: a call that was killed is gone on from, member by member
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import BadArchive, NoSpace, Private, RateLimited, Stopped
from ..events import Control, Event, FetchProgress, FetchStarted
from ..system.archives import zip as zips
from ..system.archives.limits import Unpacking, room
from ..system.archives.zip import Member
from ..system.files import make, write_json
from ..system.http import Web, cut, patiently, public
from .ranges import same, size_of_416, understood, validator_of
from .records import MARK
from .source import Source

TAIL = 64 << 10  # bytes: the directory's end stands in them
BATCH = 3 << 20  # bytes of members asked for at once
SLICE = 128 << 10  # bytes between two looks at whether it was stopped
LARGEST = (
    64 << 20
)  # bytes: a larger member is better brought by many connections, and so the archive is downloaded
TELL = 0.1  # seconds between two events


class Changed(Exception):
    """The server gives no ranges, or another version than it began with."""


class Remote:
    """A file on a server, read in ranges, by several threads."""

    def __init__(
        self,
        source: Source,
        web: Web,
        *,
        control: Control | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.source, self.web, self.control = source, web, control
        self.came, self._lock = 0, threading.Lock()
        self._sleep = sleep or time.sleep
        self._free = threading.Semaphore(source.connections)
        self.size, self.validator, self._tail = patiently(self._ask_tail, self._sleep)

    def _ask_tail(self) -> tuple[int, str, bytes]:
        with self.source.ask(self.web, {"Range": f"bytes=-{TAIL}"}, (200, 206, 416)) as reply:
            total = _total(reply.headers.get("Content-Range", ""))
            begun = (
                None
                if total is None
                else understood(
                    reply.status, reply.headers, max(0, total - TAIL), packed=reply.packed
                )
            )
            validator = validator_of(reply.headers)
            if (
                begun is None
                or begun.stop != begun.total
                or not validator
                or size_of_416(reply.headers) is not None
            ):
                raise Changed
            return (
                begun.total or 0,
                validator,
                _all(reply.read, (begun.total or 0) - begun.start, reply.url),
            )

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, fewer only at the end of the file.

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
            return patiently(lambda: self._once(offset, stop), self._wait)

    def _once(self, start: int, stop: int) -> bytes:
        headers = {"Range": f"bytes={start}-{stop - 1}", "If-Range": self.validator}
        try:
            reply = self.source.ask(self.web, headers, (200, 206, 416))
        except (RateLimited, Private) as err:
            err.tries = max(err.tries, 4)  # with so many connections one may be refused
            raise
        with reply:
            begun = understood(reply.status, reply.headers, start, stop, packed=reply.packed)
            right = begun is not None and (begun.start, begun.stop, begun.total) == (
                start,
                stop,
                self.size,
            )
            if begun is None or not right or not same(self.validator, begun.validator):
                raise Changed
            found = _all(reply.read, stop - start, reply.url, self._heed)
        with self._lock:
            self.came += len(found)
        return found

    def _wait(self, seconds: float) -> None:
        self._heed()
        self._sleep(seconds)

    def _heed(self) -> None:
        if self.control is not None and self.control.stopped:
            raise Stopped(
                "The fetching was stopped.",
                self.control.reason,
                "the same call goes on from what has come",
            )


def _total(said: str) -> int | None:
    figure = said.rpartition("/")[2]
    return int(figure) if figure.isascii() and figure.isdigit() and len(figure) < 19 else None


def _all(
    read: Callable[[int], bytes], size: int, url: str, heed: Callable[[], None] = lambda: None
) -> bytes:
    parts, had = list[bytes](), 0
    while had < size:
        heed()  # over a slow line a batch takes half a minute
        if not (chunk := read(min(SLICE, size - had))):
            raise cut(url, f"after {had:,} of {size:,} bytes")
        parts.append(chunk)
        had += len(chunk)
    return b"".join(parts)


def streamable(remote: Remote, name: str) -> list[Member] | None:
    """The members of a zip that lies on a server, if it pays to unpack it there; None if one of them is too large for that."""
    members = zips.directory(remote.read, remote.size, called=name)
    return members if all(member.end - member.start <= LARGEST for member in members) else None


def unpack_from(
    remote: Remote,
    members: list[Member],
    to: Path,
    *,
    name: str,
    identity: str,
    max_size: int | None,
    emit: Callable[[Event], None],
    control: Control | None,
    finish: Callable[[Path], None],
) -> Path:
    """Unpack a zip that lies on a server into the new folder `to`; a stopped or killed call is gone on from.

    `finish` is told the folder before it gets its name.

    Raises
    ------
    FetchError
        It does not come, is damaged, or would write outside of `to`.
    Changed
        It changed meanwhile: nothing of it stays.
    """
    part = to.with_name(f".{to.name}.part")
    version = {"identity": identity, "validator": remote.validator, "size": remote.size}
    again = _version(part) == version
    left = [member for member in members if not (again and _there(part, member))]
    size = sum(member.size for member in members)
    there = size - sum(member.size for member in left)
    behind, last = remote.size - sum(member.packed for member in left), 0.0

    def told(files: int, size: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= TELL:
            last = now
            emit(FetchProgress(name, min(remote.size, behind + remote.came), remote.size))

    free = room(to.parent) + there
    job = Unpacking(name, room=free, max_size=max_size, told=told, control=control)
    job.check(remote.size, size, len(members))
    if not again:
        shutil.rmtree(part, ignore_errors=True)
        make(part)
        write_json(part / MARK, version)
    emit(FetchStarted(name, public(remote.source.url), remote.size))
    try:
        threads = 2 * remote.source.connections
        zips.extract(remote.read, left, part, job, threads=threads, batch=BATCH)
        finish(part)
        os.replace(part, to)
    except (Changed, BadArchive, NoSpace):  # else what has come stays
        shutil.rmtree(part, ignore_errors=True)
        raise
    return to


def _version(part: Path) -> object:
    with suppress(OSError, ValueError):
        return json.loads((part / MARK).read_text())
    return None


def _there(part: Path, member: Member) -> bool:
    """Whether an earlier call has written this member whole."""
    path = part / member.name
    if member.folder:
        return path.is_dir()
    try:
        if (
            path.stat().st_size == member.size
            and not path.is_symlink()
            and zlib.crc32(path.read_bytes()) == member.crc
        ):
            return True
        path.unlink()
    except OSError:
        pass
    return False
