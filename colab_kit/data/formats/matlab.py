"""MATLAB 5 files, as far as they hold arrays of numbers: the two small ones that say the labels and splits of the Oxford flowers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import DataError

MATRIX, COMPRESSED = 14, 15  # types of elements
_TYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_NUMBERS = range(6, 16)  # classes of matrices, from double to uint64


def read(path: Path) -> dict[str, np.ndarray]:
    """The file's arrays of numbers by their names; cells, texts and what else it may hold are passed over.

    Raises
    ------
    DataError
        It is no such file, or damaged.
    """
    try:
        content = path.read_bytes()
        order = {b"IM": "<", b"MI": ">"}[content[126:128]]
        return dict(
            found
            for kind, body in _elements(content[128:], order)
            for found in _matrices(kind, body, order)
        )
    except OSError as err:
        raise DataError(
            f"{path} cannot be read.",
            err.strerror or str(err),
            "see whether the disk is still there, then try again",
        ) from err
    except (KeyError, IndexError, ValueError, struct.error, zlib.error) as err:
        raise DataError(
            f"{path} is no whole MATLAB 5 file.", str(err), f"delete {path.name} and get it again"
        ) from err


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and body of each element. One of up to 4 bytes may have its length in its type, and no padding."""
    at = 0
    while at < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        start = at + 8
        if kind >> 16:
            kind, size, start, at = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            at = start + size + (0 if kind == COMPRESSED else -size % 8)
        if start + size > len(content):
            raise ValueError(f"it is cut: {start + size - len(content):,} bytes are missing")
        yield kind, content[start : start + size]


def _matrices(kind: int, body: bytes, order: str) -> Iterator[tuple[str, np.ndarray]]:
    if kind == COMPRESSED:
        for inner, content in _elements(zlib.decompress(body), order):
            yield from _matrices(inner, content, order)
    elif kind == MATRIX:
        (_, flags), (_, shape), (_, name), *rest = _elements(body, order)
        if struct.unpack_from(f"{order}I", flags)[0] & 0xFF in _NUMBERS:
            stored, numbers = rest[0]  # whole doubles are stored in fewer bytes
            array = np.frombuffer(numbers, f"{order}{_TYPES[stored]}")
            yield name.decode("ascii"), array.reshape(np.frombuffer(shape, f"{order}i4"), order="F")
