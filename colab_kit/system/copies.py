"""Copies: a file gets its name only when it is whole and reads back as it was written."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from .files import CHUNK, make, neighbour, sha256, whole_file, write_all


class Copy(NamedTuple):
    """What a copy holds: its bytes, and their sha256 in hex."""

    size: int
    sha256: str


class Readable(Protocol):
    """An open file, or anything that is read like one."""

    def read(self, size: int, /) -> bytes: ...


class HashingReader:
    """Read from a file, and know the size and the hash of all that was read."""

    def __init__(self, file: Readable) -> None:
        self._file, self.size, self._digest = file, 0, hashlib.sha256()

    def read(self, size: int = CHUNK, /) -> bytes:
        chunk = self._file.read(size)
        self.size += len(chunk)
        self._digest.update(chunk)
        return chunk

    def read_to_end(self) -> Copy:
        """Read what is left; the size and the hash of everything that this reader read."""
        while self.read():
            pass
        return self.copy

    @property
    def copy(self) -> Copy:
        return Copy(self.size, self._digest.hexdigest())


def chunks_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, CHUNK at a time."""
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def copy_whole(
    chunks: Iterable[bytes],
    to: Path,
    *,
    sync: bool = True,
    wrote: Callable[[int], object] = lambda size: None,
    finish: Callable[[Path], object] = lambda part: None,
) -> Copy:
    """Write `chunks` to a neighbour of `to`, read it back, compare, then rename it to `to`.

    Whatever goes wrong, `to` holds what it held before, and the neighbour is removed.

    Parameters
    ----------
    chunks : iterable of bytes
        Such as `chunks_of(path)`. An error that it raises is passed on as it is.
    to : Path
        Its folder must exist: no folder is made under a Drive that has just gone.
    sync : bool
        Whether the bytes are brought to the disk first. Thousands of small files do without.
    wrote : callable(bytes)
        Called after each chunk with its size.
    finish : callable(path)
        Called with the neighbour when it is compared; an error there keeps `to` as it was.

    Raises
    ------
    OSError
        The disk does not take the file, or gives back other bytes than it was given (EIO).
    """
    digest, size = hashlib.sha256(), 0
    with whole_file(to) as part:
        with open(part, "xb", buffering=0) as file:
            for chunk in chunks:
                digest.update(chunk)
                write_all(file.write, chunk)
                size += len(chunk)
                wrote(len(chunk))
            if sync:
                os.fsync(file.fileno())
        compare(part, digest.hexdigest())
        finish(part)
    return Copy(size, digest.hexdigest())


def compare(path: Path, digest: str) -> None:
    """Raise OSError (EIO) unless the file reads back with this sha256."""
    if sha256(path) != digest:
        raise differs(path)


def differs(path: Path) -> OSError:
    return OSError(errno.EIO, "it reads back otherwise than it was written", str(path))


@contextmanager
def whole_folder(to: Path) -> Iterator[Path]:
    """Give a new folder beside `to` to fill; then rename it to `to`, or remove it on any error.

    What killed calls left is removed first. Nothing may stand at `to` but an empty folder.

    Raises
    ------
    OSError
    """
    ours = re.compile(re.escape(f".{to.name}.") + r"[0-9a-f]{8}\.part")
    strays: list[Path] = []
    if os.path.isdir(to.parent):
        strays = [path for path in to.parent.iterdir() if ours.fullmatch(path.name)]
    for stray in strays:
        shutil.rmtree(stray, ignore_errors=True)
    part = neighbour(to)
    try:
        make(part)
        yield part
        os.replace(part, to)
    finally:
        shutil.rmtree(part, ignore_errors=True)
