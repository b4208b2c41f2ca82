"""Packings: one stream of gz, bz2, xz or zst, unpacked as it is read, a bounded piece at a time, each checksum compared."""

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
_MEMORY = 1 << 30  # bytes that an xz may ask for


class Stream(Protocol):
    """What can be read once, from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, `size` at most; b"" at the end alone."""


class Tap:
    """A stream that counts what went by, gives its first bytes twice, and keeps the error that it ended with."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._ahead = stream, b""
        self.count = 0
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


def unpacked(stream: Tap, kind: str | None, called: str) -> Generator[bytes, None, None]:
    """The pieces of a stream, unpacked; a kind that is none passes as it is.

    Raises
    ------
    BadArchive
        A zst, and nothing that reads it is installed.
    EOFError, zlib.error, OSError, lzma.LZMAError, ValueError
        It is damaged.
    """
    if kind == "zst":
        yield from _zst(stream, called)
    elif kind in _MAKERS:
        yield from _each(stream, _MAKERS[kind])
    else:
        yield from iter(lambda: stream.read(PIECE), b"")


_MAKERS: dict[str | None, Callable[[], Any]] = {
    "gz": lambda: zlib.decompressobj(wbits=31), "bz2": bz2.BZ2Decompressor, "xz": lambda: lzma.LZMADecompressor(memlimit=_MEMORY),
}  # fmt: skip


def _each(stream: Tap, make: Callable[[], Any]) -> Iterator[bytes]:
    """Unpack one packed stream after the other: some tools, bgzip and pbzip2 among them, write many."""
    data = stream.read(PIECE)
    while data:
        unpacker = make()
        while True:
            yield from steps(unpacker, data)
            if unpacker.eof:
                break
            if not (data := stream.read(PIECE)):
                raise EOFError("it ends in the middle")
        data = unpacker.unused_data
        while not (data := data.lstrip(b"\0")):  # what a tape was filled up with
            if not (data := stream.read(PIECE)):
                return


def steps(unpacker: Any, data: bytes | memoryview) -> Iterator[bytes]:
    """What a decompressor of zlib, bz2 or lzma makes of `data`, at most a piece at a time."""
    while not unpacker.eof:
        made = unpacker.decompress(data, PIECE)
        data = getattr(unpacker, "unconsumed_tail", b"")
        if made:
            yield made
        if not data and len(made) < PIECE and getattr(unpacker, "needs_input", True):
            return


def _zst(stream: Tap, called: str) -> Iterator[bytes]:
    """By Python 3.14 itself, by the package zstandard, or by the program zstd."""
    with suppress(ImportError):
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]

        return _each(stream, zstd.ZstdDecompressor)
    with suppress(ImportError):
        import zstandard  # type: ignore[import-not-found, unused-ignore]

        return _by_package(stream, zstandard)
    if program := shutil.which("zstd"):
        return _by_program(stream, [program, "-dcq", "-M1024MB"])
    raise BadArchive(
        f"{called} is packed with zstd.",
        "nothing here reads it",
        "pip install zstandard, then try again",
    )


def _by_package(stream: Tap, zstandard: Any) -> Iterator[bytes]:
    """Frame by frame, as a cut in a frame is then seen."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=_MEMORY)
    data = stream.read(PIECE)
    while data:
        frame = unpacker.decompressobj()
        while True:
            for at in range(
                0, len(data), 4096
            ):  # it unpacks all that it is given: a small bite bounds what comes of it
                try:
                    made = frame.decompress(data[at : at + 4096])
                except zstandard.ZstdError as err:
                    raise ValueError(str(err)) from err
                if made:
                    yield made
                if frame.eof:
                    data = frame.unused_data + data[at + 4096 :]
                    break
            if frame.eof:
                break
            if not (data := stream.read(PIECE)):
                raise EOFError("it ends in the middle")
        data = data or stream.read(PIECE)


def _by_program(stream: Tap, command: list[str]) -> Iterator[bytes]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None

        def feed(to: Any) -> None:
            with suppress(Exception):  # the stream keeps its own; the child's is said by its status
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
            said = child.stderr.read(2000).decode("utf-8", "replace").strip()
            if child.wait():
                raise ValueError(said or f"zstd ended with {child.returncode}")
        finally:
            child.kill()
            child.stdout.close()
            feeder.join(1)
