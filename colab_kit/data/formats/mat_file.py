"""MATLAB 5 files: numbers, texts, cells and structs by their names. No code runs."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ...errors import DataError
from .place import unreadable

MATRIX, COMPRESSED = 14, 15  # types of elements
CELL, STRUCT, TEXT, OPAQUE = 1, 2, 4, 17  # classes of matrices
_TYPES = dict(
    zip((1, 2, 3, 4, 5, 6, 7, 9, 12, 13), "i1 u1 i2 u2 i4 u4 f4 f8 i8 u8".split(), strict=True)
)
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_NUMBERS = range(6, 16)  # from double to uint64
DEEPEST = 20  # structs in each other
MOST_PACKED = 1032  # bytes that one packed byte becomes, at best
FAULTS = (KeyError, IndexError, TypeError, ValueError, OverflowError, struct.error, zlib.error)


def arrays(path: Path) -> dict[str, ndarray]:
    """Read a file's arrays of numbers by their names; what else it holds is left out.

    Raises
    ------
    DataError
        It is no such file, or damaged.
    """
    return {name: value for name, value in read_mat(path).items() if isinstance(value, ndarray)}


def read_mat(path: Path | str) -> dict[str, Any]:
    """Read a MATLAB 5 file.

    Returns
    -------
    dict
        By name: an array of numbers with its axes as MATLAB shows them; a text as str, several rows
        of it as a list; a cell array as a list, column by column; a struct as a dict, an array of
        structs as a list of dicts. Functions, objects and sparse arrays are left out.

    Raises
    ------
    DataError
        It is no such file, damaged, or of MATLAB 7.3.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as err:
        raise unreadable(path, err) from err
    if content[:8] == b"\x89HDF\r\n\x1a\n" or content[:10] == b"MATLAB 7.3":
        why = "it is of MATLAB 7.3: HDF5 inside, which is not read"
        fix = "save it from MATLAB with save(file, '-v7'), or its arrays with np.savez"
        raise DataError(f"{path} is not read.", why, fix)
    try:
        order = {b"IM": "<", b"MI": ">"}[content[126:128]]
        found = {}
        for kind, body in _elements(memoryview(content)[128:], order):
            name, value = _matrix(kind, body, order, 0)
            if name and value is not None:
                found[name] = value
        return found
    except FAULTS as err:
        fix = f"delete {path.name} and get it again"
        raise DataError(f"{path} is no whole MATLAB 5 file.", str(err), fix) from err


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
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


def _unpacked(body: memoryview, order: str) -> bytes:
    """Unpack an element, as many bytes as it states."""
    box = zlib.decompressobj()
    head = box.decompress(body, 8)
    size: int = struct.unpack(f"{order}II", head)[1]
    if size > MOST_PACKED * len(body):
        raise ValueError(f"{len(body):,} bytes cannot hold the {size:,} that they state")
    rest = box.decompress(box.unconsumed_tail, size + 8)  # padding may follow
    rest += box.decompress(box.unconsumed_tail, 8)
    if not box.eof:
        raise ValueError("a packed array is cut")
    return head + rest


def _matrix(kind: int, body: memoryview, order: str, depth: int) -> tuple[str, Any]:
    """Give the name and value of a matrix; None for what is not read."""
    if kind == COMPRESSED:
        ((kind, body),) = _elements(memoryview(_unpacked(body, order)), order)
    if kind != MATRIX or depth > DEEPEST:
        raise ValueError(f"an element of type {kind} stands where a matrix should")
    if not body:
        return "", None
    (_, flags), *rest = _elements(body, order)
    matrix_class = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    if matrix_class == OPAQUE:
        return "", None
    (_, sizes), (_, called), *rest = rest
    shape = tuple(np.frombuffer(sizes, f"{order}i4").tolist())
    name: str = bytes(called).decode("ascii")
    value: Any = None
    if min(shape, default=0) < 0:
        raise ValueError(f"{name} states the shape {shape}")
    if matrix_class in _NUMBERS:
        stored, numbers = rest[0]  # whole doubles are stored in fewer bytes
        value = np.frombuffer(numbers, f"{order}{_TYPES[stored]}").reshape(shape, order="F")
    elif matrix_class == TEXT:
        value = _text(*rest[0], order, shape)
    elif matrix_class == CELL:
        value = _several(rest, math.prod(shape), order, depth)
    elif matrix_class == STRUCT:
        value = _structs(rest, shape, order, depth)
    return name, value


def _several(rest: Sequence[Any], number: int, order: str, depth: int) -> list[Any]:
    if len(rest) != number:
        raise ValueError(f"{number:,} values are stated, and {len(rest):,} are there")
    return [_matrix(kind, body, order, depth + 1)[1] for kind, body in rest]


def _structs(rest: Sequence[Any], shape: tuple[int, ...], order: str, depth: int) -> Any:
    (_, length), (_, names), *values = rest
    size = struct.unpack(f"{order}i", length)[0]
    text = bytes(names)
    fields = [text[at : at + size].split(b"\0")[0].decode() for at in range(0, len(text), size)]
    number, wide = math.prod(shape), len(fields)
    whole = _several(values, number * wide, order, depth)
    rows = [
        dict(zip(fields, whole[row * wide : (row + 1) * wide], strict=True))
        for row in range(number)
    ]
    return rows[0] if number == 1 else rows


def _text(stored: int, body: memoryview, order: str, shape: tuple[int, ...]) -> Any:
    """Read rows of characters, kept column by column."""
    if stored in _TEXTS:
        endian = {"<": "-le", ">": "-be"}[order] * (stored != 16)
        letters = list(bytes(body).decode(_TEXTS[stored] + endian))
    else:
        letters = list(map(chr, np.frombuffer(body, f"{order}{_TYPES[stored]}").tolist()))
    if not letters:
        return ""
    rows = np.array(letters).reshape(shape, order="F")
    lines = ["".join(row) for row in rows.reshape(len(rows), -1).tolist()]
    return lines[0] if len(lines) == 1 else lines
