"""TFRecord files of tf.train.Example with encoded pictures, read without TensorFlow.

A record is its length (8 bytes), a checksum of the length, the content, and a checksum of the
content (masked CRC-32C). The content is a protobuf: {column: bytes, floats or whole numbers}.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...errors import DataError
from ..folders.tree import some
from ..nested import walk
from ..sources import Parts
from .records import LONGEST, Record, picture_kind, read_shards
from .shards import above, damaged, find, first_bytes

NAMES = re.compile(r"\.tfrecords?$|\.tfrec$|\.tfrecords?[-.]|-\d{5}-of-\d{5}$", re.I)
PICTURES = ("image/encoded", "image", "image_raw", "img", "picture")  # columns, the first counts
FILES = ("image/filename", "filename", "file_name", "image_name", "image/id", "image_id", "id")
LARGEST = 1 << 30  # bytes of a record
LANE = 64  # bytes that are summed one after the other, beside those of other lanes

Value = bytes | int | float | list[bytes] | list[int] | list[float] | None


def sees(path: Path) -> bool:
    """Tell whether TFRecord files lie there, and no picture files that are the data."""
    return any(_begins(file) for file in _shards(path)[:3])


def read(path: Path, label_column: str | None = None, file_column: str | None = None) -> Parts:
    """Read the pictures of a TFRecord file, or of a folder of them.

    Each checksum is compared when the pictures are first written.

    Parameters
    ----------
    label_column, file_column : str, optional
        The feature that is the label, and the one that holds the picture, where several fit.

    Raises
    ------
    DataError
        A file is damaged, or holds no encoded pictures, or several features may be the label.
    """
    shards = _shards(path)
    classes = _tfds_names(above(path))

    def records(shard: Path) -> Iterator[Record]:
        return _records(shard, file_column)

    return read_shards(
        path,
        shards,
        records,
        classes=classes,
        label_column=label_column,
        key=f"-{file_column}" if file_column else "",
    )


def _shards(path: Path) -> list[Path]:
    return find(path, lambda file: bool(NAMES.search(file.name)))


def _begins(file: Path) -> bool:
    """Tell whether a file begins with a length and its checksum."""
    head = first_bytes(file, 12)
    try:
        if head[:2] == b"\x1f\x8b":
            with gzip.open(file) as unpacked:
                head = unpacked.read(12)
    except (OSError, EOFError, zlib.error):
        return True  # a damaged one: read() says so
    return len(head) == 12 and _masked(crc32c(head[:8])) == struct.unpack("<I", head[8:])[0]


def _records(shard: Path, wanted: str | None) -> Iterator[Record]:
    """Read the pictures of a file in order, with what is said of each."""
    for number, content in enumerate(_contents(shard)):
        try:
            example = parse(content)
        except (ValueError, LookupError, struct.error) as err:
            raise damaged(shard, f"record {number:,} is no tf.train.Example: {err}") from err
        column = _picture_column(shard, example, wanted)
        picture = example.pop(column)
        name = next((str(n) for key in FILES if (n := _fact(example.get(key)))), "")
        facts = {key: fact for key, value in example.items() if (fact := _fact(value)) is not None}
        yield Record(picture if isinstance(picture, bytes) else b"", facts, name)


def _contents(shard: Path) -> Iterator[bytes]:
    """Read the records of a file; each is whole, or an error says which is not."""
    packed = first_bytes(shard, 2) == b"\x1f\x8b"
    size, number = shard.stat().st_size, 0
    try:
        with gzip.open(shard) if packed else open(shard, "rb") as file:
            while head := file.read(12):
                content = _content(shard, file, head, number, None if packed else size)
                if _masked(_fastest()(content[:-4])) != _end(content):
                    raise damaged(shard, f"record {number:,} is changed: its checksum differs")
                yield content[:-4]
                number += 1
    except (OSError, EOFError, zlib.error) as err:
        raise damaged(shard, str(err)) from err
    if not number:
        raise damaged(shard, "it holds no record")


def _content(
    shard: Path, file: BinaryIO | gzip.GzipFile, head: bytes, number: int, size: int | None
) -> bytes:
    """Read a record's content, and the checksum behind it."""
    if len(head) < 12:
        raise damaged(shard, f"it is cut: it ends in the head of record {number:,}")
    length, told = struct.unpack("<QI", head)
    if _masked(crc32c(head[:8])) != told:
        why = f"the length of record {number:,} does not fit its checksum"
        raise damaged(shard, f"{why}: it is changed, or no TFRecord")
    left = LARGEST if size is None else size - file.tell()
    content = file.read(length + 4) if length + 4 <= left else b""
    if len(content) < length + 4:
        raise damaged(shard, f"it is cut: record {number:,} states {length:,} bytes")
    return content


def _end(content: bytes) -> int:
    return int.from_bytes(content[-4:], "little")


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _table() -> np.ndarray:
    """Give the 256 steps of CRC-32C (Castagnoli), uint32."""
    steps: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        steps = steps >> 1 ^ (steps & 1) * np.uint32(0x82F63B78)
    return steps


def crc32c(content: bytes) -> int:
    """Give the CRC-32C of bytes: lanes of LANE bytes at once, then joined two by two."""
    if len(content) <= LANE:
        crc, table = 0xFFFFFFFF, _table().tolist()
        for byte in content:
            crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
        return crc ^ 0xFFFFFFFF
    lanes = 1 << (-(-len(content) // LANE) - 1).bit_length()
    data = np.zeros(lanes * LANE, np.uint8)  # zeros in front change no sum that begins with zero
    data[-len(content) :] = np.frombuffer(content, np.uint8)
    data[-len(content) : 4 - len(content)] ^= 0xFF  # as a sum that begins with ones
    sums: np.ndarray = _stepped(np.zeros(lanes, np.uint32), data.reshape(lanes, LANE).T)
    level = 0
    while len(sums) > 1:
        sums, level = _shifted(sums[::2], level) ^ sums[1::2], level + 1
    return int(sums[0]) ^ 0xFFFFFFFF


def _stepped(sums: np.ndarray, columns: np.ndarray) -> np.ndarray:
    for column in columns:
        sums = sums >> 8 ^ _table()[(sums ^ column) & 0xFF]
    return sums


def _shifted(sums: np.ndarray, level: int) -> np.ndarray:
    """Give sums as they are when LANE * 2**level zeros follow."""
    bits = (sums[:, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
    out: np.ndarray = np.bitwise_xor.reduce(bits * _shift(level), 1)
    return out


@functools.cache
def _shift(level: int) -> np.ndarray:
    """Give what each of the 32 bits of a sum becomes, uint32."""
    if level:
        return _shifted(_shift(level - 1), level - 1)
    ones = np.uint32(1) << np.arange(32, dtype=np.uint32)
    return _stepped(ones, np.zeros((LANE, 32), np.uint8))


@functools.cache
def _fastest() -> Callable[[bytes], int]:
    """Give the CRC-32C of google-crc32c, which Colab has; else the one of this file."""
    try:
        value: Callable[[bytes], int] = importlib.import_module("google_crc32c").value
    except ImportError:
        return crc32c
    return value


def parse(content: bytes) -> dict[str, Value]:
    """Read a tf.train.Example: features by name, a list of one value as that value.

    Raises
    ------
    ValueError, LookupError, struct.error
        It is none.
    """
    example: dict[str, Value] = {}
    for number, features in _fields(content):
        if number == 1:
            for _, entry in _fields(_bytes(features)):
                pair = dict(_fields(_bytes(entry)))
                example[_bytes(pair[1]).decode("utf-8")] = _feature(_bytes(pair.get(2, b"")))
    return example


def _fields(content: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Give the fields of a protobuf message: number, and bytes or a whole number."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        kind = tag & 7
        value: bytes | int
        if kind == 0:
            value, at = _varint(content, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = content[at : at + size], at + size
        elif kind == 2:
            size, at = _varint(content, at)
            value, at = content[at : at + size], at + size
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if at > len(content):
            raise ValueError("it ends inside a field")
        yield tag >> 3, value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = content[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number without an end")


def _bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message is expected")
    return value


def _feature(content: bytes) -> Value:
    """Give a feature: bytes_list (1), float_list (2) or int64_list (3)."""
    values: list[Any] = []
    for kind, body in _fields(content):
        for _, value in _fields(_bytes(body)):
            if kind == 1:
                values.append(_bytes(value))
            elif kind == 2:
                values += [part for (part,) in struct.iter_unpack("<f", _bytes(value))]
            elif isinstance(value, int):
                values.append(_signed(value))
            else:
                at = 0
                while at < len(value):
                    one, at = _varint(value, at)
                    values.append(_signed(one))
    return values[0] if len(values) == 1 else values or None


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _picture_column(shard: Path, example: Mapping[str, Value], wanted: str | None) -> str:
    """Give the feature that holds the encoded picture.

    Raises
    ------
    DataError
        None does: there are raw pixels, or no pictures.
    """
    if wanted is not None and wanted in example:
        return wanted
    held = [key for key, value in example.items() if _is_picture(value)]
    usual = [key for key in PICTURES if key in held] or (held if len(held) == 1 else [])
    if usual and wanted is None:
        return usual[0]
    raise DataError(
        f"{shard} holds no encoded pictures that could be read.",
        f"its features are {some(list(example)) or 'none'}, and no one of them is a JPEG or PNG",
        "write the files with tf.io.encode_jpeg or tf.io.encode_png, or give another feature as "
        "file_column=",
    )


def _is_picture(value: Value) -> bool:
    return isinstance(value, bytes) and picture_kind(value) is not None


def _fact(value: Value) -> Any:
    """Give what may be a label or a name: numbers, short texts, short lists; else None."""
    if isinstance(value, list):
        facts = [_fact(part) for part in value] if len(value) <= LONGEST else [None]
        return None if None in facts else facts
    if isinstance(value, bytes):
        if len(value) > LONGEST:
            return None
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return value


def _tfds_names(folder: Path) -> dict[str, list[str]]:
    """Read the class names that TensorFlow Datasets leaves beside: label.labels.txt."""
    names: dict[str, list[str]] = {}
    for file in walk(folder):
        if file.name.endswith(".labels.txt"):
            column = file.name.removesuffix(".labels.txt")
            told = [name for name in file.read_text("utf-8").splitlines() if name]
            names |= {column: told, column.rpartition(".")[2]: told}
    return names
