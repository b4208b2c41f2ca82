"""IDX, the format of MNIST and its kin: read whole, or an error says what is wrong with a file."""

from __future__ import annotations

import ast
import bz2
import functools
import gzip
import io
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy import ndarray

from ...errors import DataError
from ...system.filetypes import HEAD, web_page
from ..arrays import of_pair
from ..sources import Parts
from . import emnist
from .pairing import Named, akin, read_arrays
from .place import damaged, files, unreadable, words_of

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
ENDINGS = (".bz2", ".gz", "")  # the last one that is there counts
TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
PACKED = ENDINGS[:2]
PIECE = 1 << 24  # bytes that are unpacked at once
_MARKS = re.compile(r"[-._]idx\d|ubyte", re.I)


def sees(path: Path) -> bool:
    """Tell whether it is an idx file, or whether any lies in the folder."""
    return bool(find(path) or _files(path))


def read(path: Path) -> Parts:
    """Read the idx files of a folder by their names, or one file with what belongs to it.

    Raises
    ------
    DataError
        A file is missing, cut, a web page, or something else, its `why` says which; or the folder
        holds more than one set, and the fix has a line for each.
    """
    lying = _files(path)
    four = find(lying[0].parent if lying and path.is_dir() else path)
    if not four or any(_bare(file) not in NAMES for file in lying):
        return _read_set(path, lying)
    if missing := [name for name in NAMES if name not in four]:
        have = ", ".join(file.name for file in four.values())
        raise DataError(
            f"{path} lacks {' and '.join(missing)}.",
            f"of the four idx files of such a set it holds {have}",
            "put the missing files there too (.gz or not)",
        )
    images, labels, test_images, test_labels = (four[name].name for name in NAMES)
    text = (
        f"{path.name}: train is {images} with {labels}, test is {test_images} with {test_labels}."
    )
    return replace(parts_of(four), lines=(text,))


def find(folder: Path) -> dict[str, Path]:
    """Give MNIST's idx files in a folder, or in its `raw/`, by their names without ending."""
    for place in (folder, folder / "raw"):
        paths = [(name, place / (name + ending)) for name in NAMES for ending in ENDINGS]
        if found := {name: path for name, path in paths if path.is_file()}:
            return found
    return {}


def parts_of(files: dict[str, Path]) -> Parts:
    """Read the four files of a set."""
    images, labels, test_images, test_labels = (files[name] for name in NAMES)
    pairs = {"train": read_pair(images, labels), "test": read_pair(test_images, test_labels)}
    return Parts({split: of_pair(x, y) for split, (x, y) in pairs.items()}, images.parent.name)


def read_pair(images: Path, labels: Path) -> tuple[ndarray, ndarray]:
    """Read pictures (N, H, W) and labels (N,) that belong together."""
    x, y = read_array(images), read_array(labels)
    for path, array, axes in ((images, x, 3), (labels, y, 1)):
        if array.ndim != axes:
            why = f"it holds an array of {array.ndim} dimensions; were two files swapped?"
            raise damaged(path, why)
    if len(x) != len(y):
        why = f"it holds {len(y):,} labels for {len(x):,} pictures in {images.name}"
        raise damaged(labels, why)
    return x, y


def _read_set(path: Path, lying: list[Path]) -> Parts:
    """Read files of any names: their words say what each is."""
    if path.is_file():  # its labels, or pictures, lie beside it
        beside = [file for file in _files(path.parent) if _bare(file) != _bare(path)]
        lying += [file for file in beside if akin(_words(file), _words(path))]
    arrays = [_named(file) for file in lying]
    said = [emnist.TURNED] if any("emnist" in one.words for one in arrays) else []
    return read_arrays(path, arrays, said=said, spell=lambda x, _: x.line, names=_class_names)


def _class_names(x: Named) -> dict[int, str]:
    return emnist.class_names(Path(ast.literal_eval(x.line)))


def _files(path: Path) -> list[Path]:
    if not path.is_file():
        return _without_twins(files(path, _is_idx))
    return [path] if _is_idx(path) else []


def _without_twins(paths: Sequence[Path]) -> list[Path]:
    """Leave out a packed file that lies beside itself unpacked."""
    by_name: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: path.suffix in PACKED):
        by_name.setdefault(_bare(path), path)
    return list(by_name.values())


def _bare(path: Path) -> str:
    return path.stem if path.suffix in PACKED else path.name


def _is_idx(path: Path) -> bool:
    name = _bare(path)
    if _MARKS.search(name):
        return True
    if not name.endswith(".idx"):
        return False
    try:  # git's packs have files of this name too
        with path.open("rb") as file:
            head = _stream(file).read(4)
    except (OSError, EOFError, ValueError, zlib.error):
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in TYPES


def _words(path: Path) -> list[str]:
    name = re.sub(r"[-._]idx\d?|[-._]?(ubyte|int|uint8)\b", " ", _bare(path), flags=re.I)
    return words_of(name)


def _named(path: Path) -> Named:
    """Look at a file's head."""
    dtype, shape, _ = _look(path)
    words = _words(path)
    role = "images" if len(shape) > 1 else "labels"
    words += [] if {"images", "labels"} & set(words) else [role]
    if "qmnist" in words and len(shape) == 2:
        shape = shape[:1]
    get = functools.partial(_as_meant, path, "emnist" in words, "qmnist" in words)
    return Named(path.name, tuple(words), shape, dtype, repr(str(path)), get)


def _look(path: Path) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    try:
        with path.open("rb") as file:
            return _header(path, _stream(file).read(20))
    except (EOFError, OSError, ValueError, zlib.error):
        array = read_array(path)  # it says what is wrong with the file
        return array.dtype, array.shape, 0


def _as_meant(path: Path, sideways: bool, first_column: bool) -> ndarray:
    array = read_array(path)
    if sideways and array.ndim == 3:
        return emnist.upright(array)
    if first_column and array.ndim == 2:  # class, writer, …
        return array[:, 0]
    return array


def read_array(path: Path) -> ndarray:
    """Read a file's numbers in the shape it states; its content says if it is packed."""
    content = _unpack(path)
    dtype, shape, start = _header(path, content)
    want, have = math.prod(shape), (len(content) - start) / dtype.itemsize
    if have != want:
        states = f"it states {'x'.join(map(str, shape))} = {want:,} numbers"
        holds = f"{int(have):,}" if have < want else "more"
        raise damaged(path, f"{states} and holds {holds}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _header(path: Path, content: bytes) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Read the type, the shape, and where the numbers begin."""
    start = 4 + 4 * content[3] if len(content) > 3 else 4
    known = content[:2] == b"\0\0" and len(content) >= start and content[2] in TYPES
    if not known or not 1 <= content[3] <= 4:
        head = content[:4].hex() or "nothing"
        raise damaged(path, f"it begins with {head}, not with an idx file's 000008")
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    return np.dtype(TYPES[content[2]]), shape, start


def _unpack(path: Path) -> bytes:
    """Give what a file holds; of a packed one no more than its head states, and one byte."""
    try:
        raw = path.read_bytes()
    except OSError as err:
        raise unreadable(path, err) from err
    if raw[:2] == b"\x1f\x8b" or raw[:3] == b"BZh":
        try:
            return _unpacked(path, raw)
        except DataError:
            raise
        except (EOFError, OSError, ValueError, zlib.error) as err:
            unpacking = f"unpacking its {len(raw):,} bytes ended with {str(err)!r}"
            raise damaged(path, f"it is cut or changed: {unpacking}") from err
    title = web_page(raw[:HEAD])
    if title is not None:
        raise damaged(path, f'it is a web page titled "{title}" that was saved under this name')
    if not raw:
        raise damaged(path, "it is empty")
    if path.suffix in PACKED:
        raise damaged(path, f"it is no {path.suffix[1:]} file: it begins with {raw[:4].hex()}")
    return raw


def _stream(file: IO[bytes]) -> IO[bytes]:
    """Give a file unpacked; its first bytes say how."""
    head = file.read(3)
    file.seek(0)
    if head[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    return bz2.BZ2File(file) if head == b"BZh" else file


def _unpacked(path: Path, raw: bytes) -> bytes:
    with _stream(io.BytesIO(raw)) as stream:
        pieces = [stream.read(20)]
        dtype, shape, start = _header(path, pieces[0])
        missing = start + math.prod(shape) * dtype.itemsize + 1 - len(pieces[0])
        while missing > 0 and (piece := stream.read(min(PIECE, missing))):
            pieces.append(piece)
            missing -= len(piece)
    return b"".join(pieces)
