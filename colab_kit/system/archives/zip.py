"""Zips: the directory says what to write, then a few threads write whole batches of members.

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
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import BadArchive, ColabKitError
from ..files import write_all
from .compressed import PIECE, steps
from .limits import TELL, Unpacking, damaged, of_disk
from .zip_directory import BZIP2, DEFLATED, HEADER, LZMA, STORED, Member, Read, directory, overlaps

__all__ = ["Member", "Read", "directory", "extract"]

LARGE = 4 << 20  # bytes: a larger member is written in pieces
_LOCAL = struct.Struct("<4s22xHH")  # signature, bytes of the name, bytes of what follows it
# A file that is there already is an error.
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)


def extract_file(archive: Path, to: Path, job: Unpacking) -> None:
    """Unpack a zip that lies on a disk into the folder `to`."""
    handle = os.open(archive, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        read, size = lambda offset, most: os.pread(handle, most, offset), os.fstat(handle).st_size
        members = directory(read, size, called=job.called, say=job.say)
        job.check(size, sum(member.size for member in members), len(members))
        extract(read, members, to, job)
    finally:
        os.close(handle)


def extract(
    read: Read,
    members: list[Member],
    to: Path,
    job: Unpacking,
    *,
    threads: int = 4,
    batch: int = 1 << 20,
) -> None:
    """Write members of a zip below the folder `to`; the size and the CRC of each are compared.

    Parameters
    ----------
    read : callable
        Several threads call it at once.
    batch : int, bytes
        Members that lie one after the other are read together, about so much at a time.

    Raises
    ------
    BadArchive
        A member is not what the directory says.
    NoSpace
        The disk is full.
    Stopped
        What was written stays.
    """
    work = _Work(read, str(to), job, batch, _batches(members, batch))
    workers = [threading.Thread(target=work.run, daemon=True) for _ in range(max(1, threads))]
    try:
        for folder in sorted({m.name if m.folder else m.name.rpartition("/")[0] for m in members}):
            os.makedirs(to / folder, exist_ok=True)
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(TELL)
                job.tell()
        job.tell()
        if work.error is not None:
            raise work.error
    except BaseException as err:
        work.over = True
        for worker in workers:
            if worker.ident is not None:
                worker.join(5)  # seconds: one may wait for a server
        if isinstance(err, OSError) and not isinstance(err, ColabKitError):
            raise of_disk(job.called, to, err) from err
        raise


def _batches(members: list[Member], most: int) -> Iterator[list[Member]]:
    """Members to be read together: neighbours, about `most` bytes of them; a large one is alone."""
    batch: list[Member] = []
    for member in members:
        if member.folder:
            continue
        alone = member.end - member.start > LARGE or member.size > LARGE
        if batch and (alone or member.start != batch[-1].end or member.end - batch[0].start > most):
            yield batch
            batch = []
        if alone:
            yield [member]
        else:
            batch.append(member)
    if batch:
        yield batch


class _Work:
    """One extraction: each thread takes a batch after the other; the first error ends all."""

    def __init__(
        self, read: Read, to: str, job: Unpacking, batch: int, batches: Iterator[list[Member]]
    ) -> None:
        self.read, self.to, self.job, self.over = read, to, job, False
        self.piece = max(PIECE, min(batch, LARGE))
        self.error: BaseException | None = None
        self._batches, self._lock = batches, threading.Lock()

    def run(self) -> None:
        try:
            while (batch := self._next()) is not None:
                for size in self._large(batch[0]) if len(batch) == 1 else self._small(batch):
                    self._count(0, size)
                self._count(len(batch), 0)
        except BaseException as err:
            with self._lock:
                self.error = self.error or err
            self.over = True

    def _count(self, files: int, size: int) -> None:
        with self._lock:
            self.job.files += files
            self.job.bytes += size

    def _next(self) -> list[Member] | None:
        if not self.over:
            self.job.look()
        with self._lock:
            return None if self.over else next(self._batches, None)

    def _small(self, batch: list[Member]) -> Iterator[int]:
        """Write the members of one reading; the bytes of all of them."""
        first, size = batch[0].start, 0
        view = memoryview(self.read(first, batch[-1].end - first))
        for member in batch:
            own = view[member.start - first : member.end - first]
            begin = self._begin(member, own)
            content = self._content(member, own[begin : begin + member.packed])
            handle = self._new(member)
            try:
                write_all(partial(os.write, handle), content)
            finally:
                os.close(handle)
            size += member.size
        yield size

    def _damaged(self, member: Member, fault: object) -> BadArchive:
        return damaged(self.job.called, f"{member.name}: {fault}")

    def _begin(self, member: Member, view: memoryview) -> int:
        """Where the content begins in the bytes of a member."""
        if len(view) < HEADER + len(member.raw):
            raise self._damaged(member, "it is cut")
        signature, name, extra = _LOCAL.unpack_from(view)
        begin: int = HEADER + name + extra
        if signature != b"PK\3\4" or view[HEADER : HEADER + name] != member.raw:
            raise self._damaged(member, "its header is not the directory's")
        if member.start + begin + member.packed > member.end:
            raise overlaps(self.job.called, member.name)
        return begin

    def _content(self, member: Member, packed: memoryview) -> bytes | memoryview:
        content: bytes | memoryview = packed
        if member.method == DEFLATED:
            unpacker = zlib.decompressobj(-15)
            try:
                content = unpacker.decompress(packed, member.size + 1)  # one more would show itself
            except zlib.error as err:
                raise self._damaged(member, err) from err
            if not unpacker.eof:
                raise self._other_size(member)
        elif member.method != STORED:
            content = b"".join(self._unpack(member, [packed]))
        self._compare(member, len(content), zlib.crc32(content))
        return content

    def _compare(self, member: Member, size: int, crc: int) -> None:
        if size != member.size:
            raise self._other_size(member)
        if crc != member.crc:
            raise self._damaged(member, "another CRC than its directory says")

    def _other_size(self, member: Member) -> BadArchive:
        return self._damaged(member, "another size than its directory says")

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
                self.job.look()
                crc, size = zlib.crc32(piece, crc), size + len(piece)
                write_all(partial(os.write, handle), piece)
                yield len(piece)
        finally:
            os.close(handle)
        self._compare(member, size, crc)

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
                raise self._damaged(member, "it is cut")
            yield view
            at, view = at + len(view), view[:0]

    def _unpack(self, member: Member, pieces: Iterable[memoryview]) -> Iterator[bytes | memoryview]:
        """The content in pieces, no more bytes of it than the directory says."""
        if member.method == STORED:
            yield from pieces
            return
        left = member.size
        for piece in self._unpacked(member, pieces):
            # An LZMA member without an end mark goes on for bytes that mean nothing.
            if len(piece) > left and member.method != LZMA:
                raise self._other_size(member)
            yield piece[:left]
            left -= min(left, len(piece))
            if not left and member.method == LZMA:
                return

    def _unpacked(self, member: Member, pieces: Iterable[memoryview]) -> Iterator[bytes]:
        unpacker = None
        for packed in pieces:
            try:
                if unpacker is None:
                    unpacker, packed = _unpacker(member, packed)
                yield from steps(unpacker, packed)
            except (zlib.error, lzma.LZMAError, EOFError, ValueError, OSError) as err:
                raise self._damaged(member, err) from err  # bz2's word for damage is OSError


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
    # Bytes; the content never needs a larger window than its own size.
    window = max(4096, min(int.from_bytes(head[5:9], "little"), member.size))
    filters = [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": window}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters), head[9:]
