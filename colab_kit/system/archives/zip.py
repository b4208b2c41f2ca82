"""Zips: the directory understood and held against the rules, then its members written by a few threads, whole batches at a time.

A zip is whatever can be read at an offset: a file, or a range of one that lies on a server.
"""

from __future__ import annotations

import bz2
import lzma
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...errors import BadArchive, ColabKitError
from ...events import Control
from .compressed import PIECE, steps
from .limits import TELL, Told, damaged, look, of_disk
from .zip_directory import BZIP2, DEFLATED, HEADER, LZMA, STORED, Member, Read, directory, overlaps

__all__ = ["Member", "Read", "directory", "extract"]

LARGE = 4 << 20  # bytes: a larger member is written in pieces
_LOCAL = struct.Struct("<4s22xHH")  # signature, bytes of the name, bytes of what follows it
_NEW = (
    os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
)  # a file that is there already is an error


def extract(
    read: Read,
    members: list[Member],
    to: Path,
    *,
    called: str,
    threads: int = 4,
    batch: int = 1 << 20,
    told: Told | None = None,
    control: Control | None = None,
) -> None:
    """Write members of a zip below the folder `to`: the size and the CRC of each are compared.

    Parameters
    ----------
    read : callable
        Called by several threads at once.
    batch : int, bytes
        Members that lie one after the other are read together, about so much at a time.
    told : callable(files, bytes), optional
        Called from this thread, a few times a second.

    Raises
    ------
    BadArchive
        A member is not what the directory says.
    NoSpace
        The disk is full.
    Stopped
        `control` said so. What was written stays.
    """
    work = _Work(read, str(to), called, batch, control, _batches(members, batch))
    try:
        for folder in sorted({m.name if m.folder else m.name.rpartition("/")[0] for m in members}):
            os.makedirs(to / folder, exist_ok=True)
    except OSError as err:
        raise of_disk(called, to, err) from err
    hands = [
        threading.Thread(target=work.run, daemon=True, name=f"unzip {i}")
        for i in range(max(1, threads))
    ]
    try:
        for hand in hands:
            hand.start()
        for hand in hands:
            while hand.is_alive():
                hand.join(TELL)
                if told is not None:
                    told(work.files, work.bytes)
        if told is not None:
            told(work.files, work.bytes)
    except BaseException:
        work.over = True
        for hand in hands:
            if hand.ident is not None:
                hand.join(5)  # seconds: one may wait for a server
        raise
    if isinstance(work.error, OSError) and not isinstance(work.error, ColabKitError):
        raise of_disk(called, to, work.error) from work.error
    if work.error is not None:
        raise work.error


def _batches(members: list[Member], most: int) -> Iterator[list[Member]]:
    """Members to be read together: neighbours, about `most` bytes of them; a large one is alone."""
    now: list[Member] = []
    for member in members:
        if member.folder:
            continue
        alone = member.end - member.start > LARGE or member.size > LARGE
        if now and (alone or member.start != now[-1].end or member.end - now[0].start > most):
            yield now
            now = []
        if alone:
            yield [member]
        else:
            now.append(member)
    if now:
        yield now


class _Work:
    """One extraction: each thread takes a batch after the other; the first error ends all."""

    def __init__(
        self,
        read: Read,
        to: str,
        called: str,
        batch: int,
        control: Control | None,
        batches: Iterator[list[Member]],
    ) -> None:
        self.read, self.to, self.called, self.control = read, to, called, control
        self.piece = max(PIECE, min(batch, LARGE))
        self.files, self.bytes, self.over = 0, 0, False
        self.error: BaseException | None = None
        self._batches, self._lock = batches, threading.Lock()

    def run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                for file in self._large(batch[0]) if len(batch) == 1 else self._small(batch):
                    with self._lock:
                        self.bytes += file
                with self._lock:
                    self.files += len(batch)
        except BaseException as err:
            with self._lock:
                self.error = self.error or err
            self.over = True

    def _next(self) -> list[Member] | None:
        if not self.over:
            look(self.called, self.control)
        with self._lock:
            return None if self.over else next(self._batches, None)

    def _small(self, batch: list[Member]) -> Iterator[int]:
        """Write the members of one reading; the bytes of all of them."""
        first, size = batch[0].start, 0
        view = memoryview(self.read(first, batch[-1].end - first))
        for member in batch:
            mine = view[member.start - first : member.end - first]
            begin = self._begin(member, mine)
            content = self._content(member, mine[begin : begin + member.packed])
            handle = self._new(member)
            try:
                _all(handle, content)
            finally:
                os.close(handle)
            size += member.size
        yield size

    def _begin(self, member: Member, view: memoryview) -> int:
        """Where the content begins in the bytes of a member."""
        if len(view) < HEADER + len(member.raw):
            raise damaged(self.called, f"{member.name}: it is cut")
        signature, name, extra = _LOCAL.unpack_from(view)
        begin: int = HEADER + name + extra
        if signature != b"PK\3\4" or view[HEADER : HEADER + name] != member.raw:
            raise damaged(self.called, f"{member.name}: its header is not the directory's")
        if member.start + begin + member.packed > member.end:
            raise overlaps(self.called, member.name)
        return begin

    def _content(self, member: Member, packed: memoryview) -> bytes | memoryview:
        if member.method == DEFLATED:
            unpacker = zlib.decompressobj(-15)
            try:
                content = unpacker.decompress(packed, member.size + 1)  # one more would show itself
            except zlib.error as err:
                raise damaged(self.called, f"{member.name}: {err}") from err
            if not unpacker.eof:
                raise self._other(member, "another size")
        elif member.method == STORED:
            return self._right(member, packed)
        else:
            content = b"".join(self._unpack(member, [packed]))
        return self._right(member, content)

    def _right(self, member: Member, content: bytes | memoryview) -> bytes | memoryview:
        if len(content) != member.size:
            raise self._other(member, "another size")
        if zlib.crc32(content) != member.crc:
            raise self._other(member, "another CRC")
        return content

    def _other(self, member: Member, what: str) -> BadArchive:
        return damaged(self.called, f"{member.name}: {what} than its directory says")

    def _new(self, member: Member) -> int:
        return os.open(f"{self.to}/{member.name}", _NEW, 0o777 if member.executable else 0o666)

    def _large(self, member: Member) -> Iterator[int]:
        """Write one member in pieces; the bytes of each."""
        crc = size = 0
        handle = self._new(member)
        try:
            for piece in self._unpack(member, self._pieces(member)):
                if self.over:
                    return
                look(self.called, self.control)
                crc, size = zlib.crc32(piece, crc), size + len(piece)
                _all(handle, piece)
                yield len(piece)
        finally:
            os.close(handle)
        if size != member.size or crc != member.crc:
            raise self._other(member, "another size" if size != member.size else "another CRC")

    def _pieces(self, member: Member) -> Iterator[memoryview]:
        """The packed content, read a piece at a time."""
        view = memoryview(self.read(member.start, min(member.end - member.start, self.piece)))
        begin = self._begin(member, view)
        at, stop = member.start + begin, member.start + begin + member.packed
        view = view[begin : begin + member.packed]
        while at < stop:
            if not view:
                view = memoryview(self.read(at, min(stop - at, self.piece)))
            if not view:
                raise damaged(self.called, f"{member.name}: it is cut")
            yield view
            at, view = at + len(view), view[:0]

    def _unpack(self, member: Member, pieces: Iterable[memoryview]) -> Iterator[bytes | memoryview]:
        """The content in pieces, no more bytes of it than the directory says."""
        if member.method == STORED:
            yield from pieces
            return
        left = member.size
        for piece in self._made(member, pieces):
            if (
                len(piece) > left and member.method != LZMA
            ):  # one without an end mark goes on for bytes that mean nothing
                raise self._other(member, "another size")
            yield piece[:left]
            left -= min(left, len(piece))
            if not left and member.method == LZMA:
                return

    def _made(self, member: Member, pieces: Iterable[memoryview]) -> Iterator[bytes]:
        unpacker = None
        for packed in pieces:
            try:
                if unpacker is None:
                    unpacker, packed = _unpacker(member, packed)
                yield from steps(unpacker, packed)
            except (
                zlib.error,
                lzma.LZMAError,
                EOFError,
                ValueError,
                OSError,
            ) as err:  # bz2's word for damage is OSError
                raise damaged(self.called, f"{member.name}: {err}") from err


def _unpacker(member: Member, head: memoryview) -> tuple[Any, memoryview]:
    """What unpacks a member, and the rest of its first bytes."""
    if member.method == DEFLATED:
        return zlib.decompressobj(-15), head
    if member.method == BZIP2:
        return bz2.BZ2Decompressor(), head
    if len(head) < 9 or head[2] != 5 or head[4] >= 225:
        raise ValueError("its LZMA header is cut or changed")
    rest, lc = divmod(head[4], 9)
    pb, lp = divmod(rest, 5)
    window = max(
        4096, min(int.from_bytes(head[5:9], "little"), member.size)
    )  # bytes; more than the content needs nobody
    filters = [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": window}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters), head[9:]


def _all(handle: int, content: bytes | memoryview) -> None:
    """Write it all; a disk that gets full may take a part."""
    while (done := os.write(handle, content)) < len(content):
        content = memoryview(content)[done:]
