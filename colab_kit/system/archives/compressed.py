"""One stream of gz, bz2, xz or zst, unpacked as it is read: a bounded piece at a time."""

from __future__ import annotations

import bz2
import lzma
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any, Protocol

from ...errors import BadArchive

PIECE = 1 << 20  # bytes
KINDS = ("gz", "bz2", "xz", "zst")
_MEMORY = 1 << 30  # bytes that an xz or a zst may ask for


class Stream(Protocol):
    """What can be read once, from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, `size` at most; b"" at the end alone."""


class Tap:
    """A stream that counts its bytes, gives the first ones twice, and keeps its last error."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._ahead, self.count = stream, b"", 0
        self.fault: Exception | None = None

    def head(self, size: int) -> bytes:
        """The first bytes, fewer only if the stream has no more; read() gives them again."""
        while len(self._ahead) < size and (chunk := self._next(size - len(self._ahead))):
            self._ahead += chunk
        return self._ahead

    def read(self, size: int = PIECE, /) -> bytes:
        if self._ahead:
            chunk, self._ahead = self._ahead[:size], self._ahead[size:]
            return chunk
        return self._next(size)

    def _next(self, size: int) -> bytes:
        try:
            chunk = self._stream.read(size)
        except Exception as err:
            self.fault = err
            raise
        self.count += len(chunk)
        return chunk


def unpacked_pieces(stream: Tap, kind: str | None, called: str) -> Generator[bytes, None, None]:
    """The pieces of a stream, unpacked; of another kind than KINDS it passes as it is.

    Each checksum in it is compared.

    Raises
    ------
    BadArchive
        It is a zst, and nothing that reads it is installed.
    Exception
        It is damaged; each decompressor has errors of its own.
    """
    match kind:
        case "gz":
            yield from _each(stream, lambda: zlib.decompressobj(wbits=31))
        case "bz2":
            yield from _each(stream, bz2.BZ2Decompressor)
        case "xz":
            yield from _each(stream, lambda: lzma.LZMADecompressor(memlimit=_MEMORY))
        case "zst":
            yield from _zst(stream, called)
        case _:
            yield from iter(stream.read, b"")


def inflated(stream: Tap) -> Iterator[bytes]:
    """The pieces of a stream that a server packed as gzip or deflate, with or without a header."""
    head = stream.head(2)
    wbits = 31 if head == b"\x1f\x8b" else 15
    if wbits == 15 and (len(head) < 2 or head[0] & 15 != 8 or int.from_bytes(head, "big") % 31):
        wbits = -15
    return _each(stream, lambda: zlib.decompressobj(wbits=wbits))


def _each(stream: Tap, new: Callable[[], Any]) -> Iterator[bytes]:
    """Unpack one packed stream after the other: bgzip, pbzip2 and others write many."""
    data = stream.read(PIECE)
    while data:
        unpacker = new()
        while True:
            yield from steps(unpacker, data)
            if unpacker.eof:
                break
            if not (data := stream.read(PIECE)):
                raise EOFError("it ends in the middle")
        data = unpacker.unused_data
        while not (data := data.lstrip(b"\0")):  # a tape was filled up with zeros
            if not (data := stream.read(PIECE)):
                return


def steps(unpacker: Any, data: bytes | memoryview) -> Iterator[bytes]:
    """What a decompressor of zlib, bz2 or lzma makes of `data`, at most a piece at a time."""
    while not unpacker.eof:
        piece = unpacker.decompress(data, PIECE)
        data = getattr(unpacker, "unconsumed_tail", b"")
        if piece:
            yield piece
        if not data and len(piece) < PIECE and getattr(unpacker, "needs_input", True):
            return


def _zst(stream: Tap, called: str) -> Iterator[bytes]:
    """By Python 3.14 itself, by the package zstandard, or by the program zstd."""
    with suppress(ImportError):
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]

        return _each(stream, zstd.ZstdDecompressor)
    with suppress(ImportError):
        import zstandard  # type: ignore[import-not-found, unused-ignore]

        maker = zstandard.ZstdDecompressor(max_window_size=_MEMORY)
        return _each(stream, lambda: _Frame(maker.decompressobj()))
    if program := shutil.which("zstd"):
        return _by_program(stream, [program, "-dcq", "-M1024MB"])
    raise BadArchive(
        f"{called} is packed by zstd.",
        "Python 3.14 reads zst, and before it the package zstandard or the program zstd",
        "pip install zstandard, then try again",
    )


class _Frame:
    """One frame by the package zstandard, with the interface of zlib's decompressor.

    The package unpacks all that it is given: a small bite bounds what comes of it.
    """

    def __init__(self, frame: Any) -> None:
        self._frame, self.unconsumed_tail, self.unused_data = frame, b"", b""

    @property
    def eof(self) -> bool:
        return bool(self._frame.eof)

    def decompress(self, data: bytes, most: int) -> bytes:
        piece: bytes = self._frame.decompress(data[:4096])
        self.unconsumed_tail = data[4096:]
        if self.eof:
            self.unused_data = self._frame.unused_data + self.unconsumed_tail
        return piece


def _by_program(stream: Tap, command: list[str]) -> Iterator[bytes]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None

        def feed(to: Any) -> None:
            with suppress(Exception):  # the stream keeps its own; the child's status says the other
                while chunk := stream.read(PIECE):
                    to.write(chunk)
            with suppress(OSError):
                to.close()

        feeder = threading.Thread(target=feed, args=(child.stdin,), daemon=True)
        feeder.start()
        try:
            while chunk := child.stdout.read1(PIECE):  # type: ignore[attr-defined]
                yield chunk
            feeder.join()
            if stream.fault is not None:
                raise stream.fault
            words = child.stderr.read(2000).decode("utf-8", "replace").strip()
            if child.wait():
                raise ValueError(words or f"zstd ended with {child.returncode}")
        finally:
            child.kill()
            child.stdout.close()
            feeder.join(1)
