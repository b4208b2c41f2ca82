"""The numbers of MATLAB 5 files, as the Oxford flowers have them for labels and splits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import DataError

MATRIX, COMPRESSED = 14, 15  # types of elements
_TYPES = dict(
    zip((1, 2, 3, 4, 5, 6, 7, 9, 12, 13), "i1 u1 i2 u2 i4 u4 f4 f8 i8 u8".split(), strict=True)
)
_NUMBERS = range(6, 16)  # classes of matrices, from double to uint64


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a file's arrays of numbers by their names; cells, texts and other content are left out.

    Raises
    ------
    DataError
        It is no such file, or damaged.
    """
    try:
        content = path.read_bytes()
        order = {b"IM": "<", b"MI": ">"}[content[126:128]]
        elements = _elements(content[128:], order)
        return dict(pair for kind, body in elements for pair in _matrices(kind, body, order))
    except OSError as err:
        fix = "see whether the disk is still there, then try again"
        raise DataError(f"{path} cannot be read.", err.strerror or str(err), fix) from err
    except (KeyError, IndexError, ValueError, struct.error, zlib.error) as err:
        fix = f"delete {path.name} and get it again"
        raise DataError(f"{path} is no whole MATLAB 5 file.", str(err), fix) from err


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Give type and body of each element.

    One of up to 4 bytes may have its length in its type, and no padding.
    """
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
