"""TIFF with many bands, as satellites see: header and directory read here, strips by Pillow.

Pillow knows no picture of more than four samples a pixel. To it each row is shown as a grey row of
bytes, whatever the bytes mean, so it unpacks every kind of strips and tiles that it can.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ..image_files import content_of, opened, strips

WIDTH, HEIGHT, BITS, PACKING = 256, 257, 258, 259  # tags
OFFSETS, SAMPLES, ROWS, SIZES = 273, 277, 278, 279
PLANAR, PREDICTOR, KIND = 284, 317, 339
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_SIZES = 322, 323, 324, 325
PACKINGS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 50000: "zstd"}
_SIZES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types of entries that are whole numbers
MOST = 1 << 30  # bytes of one picture
RATIO = 2000  # more than a byte of any packing here unpacks to
ENTRIES, LONGEST = 4096, 1 << 20  # entries of a directory that are read, and numbers in them


SIGNATURES = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}  # their orders of bytes


class Unreadable(ValueError):
    """A TIFF that is damaged, or of a kind that is not read here."""


@dataclass(frozen=True)
class Header:
    """What a TIFF's first directory says.

    shape : bands, height, width
    dtype : of a sample, in the file's order of bytes
    tags : its whole numbers by tag
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    tags: dict[int, tuple[int, ...]]


def header(content: bytes) -> Header:
    """Read the first directory of a TIFF (6.0) or BigTIFF.

    Raises
    ------
    Unreadable
    """
    if content[:4] not in SIGNATURES:
        raise Unreadable(f"it begins with {content[:4].hex() or 'nothing'}, not as a TIFF")
    order = SIGNATURES[content[:4]]
    big = b"+" in content[:4]
    offset, number = ("Q", "Q") if big else ("I", "H")  # of a place, and of how many entries
    wide_of = struct.calcsize(f"={offset}")
    tags: dict[int, tuple[int, ...]] = {}
    try:
        (start,) = struct.unpack_from(f"{order}{offset}", content, wide_of)
        (many,) = struct.unpack_from(f"{order}{number}", content, start)
        first, step = start + struct.calcsize(f"={number}"), 4 + 2 * wide_of
        left = LONGEST
        for at in range(first, first + step * min(many, ENTRIES), step):
            tag, kind, count = struct.unpack_from(f"{order}HH{offset}", content, at)
            if kind in _SIZES and 0 < count <= left:
                left -= count
                form, place = f"{order}{count}{_SIZES[kind]}", at + 4 + wide_of
                if struct.calcsize(form) > wide_of:
                    (place,) = struct.unpack_from(f"{order}{offset}", content, place)
                tags[tag] = struct.unpack_from(form, content, place)
        wide, high = tags[WIDTH][0], tags[HEIGHT][0]
    except (struct.error, LookupError) as err:
        raise Unreadable("it is cut, or its directory is damaged") from err
    bands, bits = tags.get(SAMPLES, (1,))[0], set(tags.get(BITS, (1,)))
    letter = {1: "u", 2: "i", 3: "f"}.get(tags.get(KIND, (1,))[0])
    width = bits.pop()
    if letter is None or bits or width not in (8, 16, 32, 64) or (letter == "f" and width < 32):
        raise Unreadable(f"its samples have {width} bits of a kind that is not read")
    dtype = np.dtype(f"{order}{letter}{width // 8}")
    if not 0 < bands * high * wide * dtype.itemsize <= min(MOST, RATIO * len(content)):
        raise Unreadable(f"it states {wide} x {high} x {bands} samples")
    return Header((bands, high, wide), dtype, tags)


def read(path: Path) -> np.ndarray:
    """Read the samples of a file as they are stored: (bands, height, width).

    Raises
    ------
    DataError
        It is damaged, or of a kind that is not read here; says which.
    """
    try:
        content = content_of(path)
        return samples(content, header(content))
    except ValueError as err:
        fix = "get it again, or write it with rasterio or tifffile as uncompressed or deflate TIFF"
        raise DataError(f"{path} cannot be read.", str(err), fix) from err
    except OSError as err:
        fix = "see whether the disk is still there, then try again"
        raise DataError(f"{path} cannot be read.", err.strerror or str(err), fix) from err


def samples(content: bytes, head: Header) -> np.ndarray:
    """Give the samples of a TIFF with this header as they are stored: (bands, height, width).

    Raises
    ------
    Unreadable
    """
    bands, high, wide = head.shape
    at, sizes = places(content, head)
    planes = _planes(head)
    each = bands // planes  # samples that lie beside each other
    out = np.empty((planes, high, wide, each), head.dtype.newbyteorder("="))
    part = len(at) // planes
    for plane in range(planes):
        span = slice(plane * part, (plane + 1) * part)
        _unpack(content, head, at[span], sizes[span], out[plane])
    return out.transpose(0, 3, 1, 2).reshape(bands, high, wide)


def _planes(head: Header) -> int:
    return head.shape[0] if head.tags.get(PLANAR, (1,))[0] == 2 else 1


def places(content: bytes, head: Header) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give where the pieces of a TIFF with this header begin, and their sizes.

    Raises
    ------
    Unreadable
        They are not all in the file, or are packed in a way that is not read.
    """
    tags = head.tags
    packing, predictor = tags.get(PACKING, (1,))[0], tags.get(PREDICTOR, (1,))[0]
    if packing not in PACKINGS:
        raise Unreadable(f"its compression {packing} is not read ({', '.join(PACKINGS.values())})")
    if predictor not in (1, 2) or (predictor == 2 and head.dtype.kind == "f"):
        raise Unreadable(f"its predictor {predictor} is not read")
    at = tags.get(TILES) or tags.get(OFFSETS) or ()
    sizes = tags.get(TILE_SIZES if TILES in tags else SIZES) or ()
    is_tiled = {TILES, TILE_WIDTH, TILE_HEIGHT} <= tags.keys()
    if not at or len(at) != len(sizes) or len(at) % _planes(head) or TILES in tags and not is_tiled:
        raise Unreadable("its directory says not where the samples are")
    if any(place + size > len(content) for place, size in zip(at, sizes, strict=True)):
        raise Unreadable("it is cut: the samples end beyond the file")
    return at, sizes


def _summed(samples: np.ndarray, step: int) -> np.ndarray:
    """Undo the differences of neighbours: in each row, from tile to tile anew."""
    parts = [samples[:, at : at + step] for at in range(0, samples.shape[1], step)]
    return np.concatenate([part.cumsum(1, dtype=part.dtype) for part in parts], 1)


def _unpack(
    content: bytes, head: Header, places: tuple[int, ...], sizes: tuple[int, ...], out: np.ndarray
) -> None:
    """Let Pillow unpack the strips of one plane as grey rows of bytes; bring them to `out`."""
    (high, wide, each), tags = out.shape, head.tags
    scale = each * head.dtype.itemsize
    entries: dict[int, tuple[int, ...]]
    entries = {WIDTH: (wide * scale,), HEIGHT: (high,), BITS: (8,), 262: (1,), SAMPLES: (1,)}
    entries[PACKING] = (tags.get(PACKING, (1,))[0],)
    if TILES in tags:
        entries |= {TILE_WIDTH: (tags[TILE_WIDTH][0] * scale,), TILE_HEIGHT: tags[TILE_HEIGHT]}
    else:
        entries[ROWS] = (min(tags.get(ROWS, (high,))[0], high),)
    start = 8 + 2 + 12 * (len(entries) + 2) + 4 + 8 * len(places)
    entries[TILES if TILES in tags else OFFSETS] = tuple(start + place for place in places)
    entries[TILE_SIZES if TILES in tags else SIZES] = sizes
    step = tags.get(TILE_WIDTH, (wide,))[0]
    try:
        with opened(_directory(entries) + content) as image:
            for rows, strip in strips(image):
                values = np.frombuffer(strip.tobytes(), head.dtype).reshape(-1, wide, each)
                if tags.get(PREDICTOR, (1,))[0] == 2:
                    values = _summed(values, step)
                out[rows] = values
    except Exception as err:  # Pillow's readers raise what they please
        raise Unreadable(f"unpacking its samples ended with {err or type(err).__name__}") from err


def _directory(entries: dict[int, tuple[int, ...]]) -> bytes:
    """Write the head of a TIFF: its directory, and the lists that do not fit into it."""
    lists, rows = b"", b""
    behind = 8 + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            place, lists = struct.pack("<I", behind + len(lists)), lists + packed
        else:
            place = packed
        rows += struct.pack("<HHI", tag, 4, len(values)) + place
    body = struct.pack("<H", len(entries)) + rows + b"\0\0\0\0" + lists
    # where one value fits into its entry, nothing stands behind: filled up to what was announced
    many = max(len(values) for values in entries.values())
    announced = 2 + 12 * len(entries) + 4 + 8 * many
    return b"II*\0\x08\0\0\0" + body.ljust(announced, b"\0")
