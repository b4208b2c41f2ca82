"""Published sets where they were unpacked: CIFAR, class folders, Oxford's flowers and pets."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from .. import folders
from ..arrays import of_listing, of_pair
from ..folders import Listing, PictureFile
from ..layout import scan
from ..sources import Parts
from . import parsed


def cifar(root: Path, parser: Any) -> Parts:
    """Read pictures uint8 (N, 32, 32, 3), labels and classes as torchvision reads them.

    The batches are pickles, which may run code when they are read. torchvision first compares the
    md5 of each with its own, and the archive came here by the md5 that torchvision states.

    Parameters
    ----------
    root : where the archive was unpacked
    parser : torchvision.datasets.CIFAR10 or CIFAR100

    Raises
    ------
    DataError
        A batch is missing or changed.
    """
    try:
        train, test = (parser(root, train=train, download=False) for train in (True, False))
    except (RuntimeError, OSError) as err:
        raise _damaged(root, str(err)) from err
    sets = {"train": train, "test": test}
    splits = {name: of_pair(one.data, np.asarray(one.targets)) for name, one in sets.items()}
    return Parts(splits, root.name).with_classes(tuple(train.classes))


def in_folders(root: Path, names: Mapping[str, str]) -> Parts:
    """Read class folders under the names of a dict, whose order is kept; {} keeps their own.

    Raises
    ------
    DataError
        There are no pictures.
    """
    listing = scan(root)
    if not names:
        return _parts(listing)
    splits = {
        split: [replace(file, label=names.get(str(file.label), file.label)) for file in files]
        for split, files in listing.splits.items()
    }
    labels = {file.label for file in splits["train"] if file.label}
    strangers = sorted(labels - set(names.values()), key=folders.natural)
    return _parts(replace(listing, splits=splits), (*names.values(), *strangers))


def flowers(pictures: Path, labels: Path, sets: Path, classes: Sequence[str]) -> Parts:
    """Read the flowers in their official split (Nilsback and Zisserman, 2008).

    Parameters
    ----------
    pictures : where 102flowers.tgz was unpacked
    labels, sets : imagelabels.mat and setid.mat
    classes : names, in the order of the labels from 1

    Raises
    ------
    DataError
        A file is damaged or missing.
    """
    try:
        numbers, ids = _whole(parsed.arrays(labels)["labels"]), parsed.arrays(sets)
        splits = {
            split: [(f"image_{n:05d}.jpg", classes[numbers[n - 1] - 1]) for n in _whole(ids[key])]
            for split, key in (("train", "trnid"), ("valid", "valid"), ("test", "tstid"))
        }
    except (KeyError, IndexError) as err:
        why = f"{labels.name} and {sets.name} do not fit together: {err}"
        raise _damaged(labels.parent, why) from err
    return _parts(_listing(pictures, "jpg", splits), classes)


def _whole(numbers: np.ndarray) -> list[int]:
    return [int(n) for n in numbers.ravel()]


def pets(pictures: Path, notes: Path) -> Parts:
    """Read the pets in their official split (Parkhi et al., 2012), as torchvision spells them.

    Parameters
    ----------
    pictures, notes : where images.tar.gz and annotations.tar.gz were unpacked

    Raises
    ------
    DataError
        A list is damaged, or a picture that it names is missing.
    """
    splits, breeds = {}, dict[int, str]()
    for split, listed in (("train", "trainval"), ("test", "test")):
        path, rows = notes / "annotations" / f"{listed}.txt", list[tuple[str, int]]()
        try:
            for line in path.read_text("utf-8").splitlines():
                if line.strip() and not line.startswith("#"):
                    name, number, _, _ = line.split()
                    rows.append((name, int(number)))
        except (OSError, ValueError) as err:
            raise _damaged(path, str(err)) from err
        for name, n in rows:
            breeds[n] = " ".join(word.title() for word in name.split("_")[:-1])
        splits[split] = [(f"{name}.jpg", breeds[n]) for name, n in rows]
    classes = tuple(breeds[n] for n in sorted(breeds))
    return _parts(_listing(pictures, "images", splits), classes)


def _listing(whole: Path, below: str, splits: Mapping[str, Sequence[tuple[str, str]]]) -> Listing:
    """Give the pictures that a list names, if they are all there."""
    root = whole / below
    try:
        names = set(os.listdir(root))
    except OSError as err:
        raise _damaged(root, err.strerror or str(err)) from err
    if missing := [name for rows in splits.values() for name, _ in rows if name not in names]:
        some = f"{len(missing):,} are missing ({folders.some(missing)})"
        raise _damaged(whole, f"of the pictures that belong to it {some}")
    files = {
        split: [PictureFile(root / name, label) for name, label in rows]
        for split, rows in splits.items()
    }
    return Listing(root, files)


def _parts(listing: Listing, classes: Sequence[str] | None = None) -> Parts:
    parts = Parts(of_listing(listing), listing.root.name, listing.root)
    return parts if classes is None else parts.with_classes(classes)


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is damaged.", why, f"delete {path} and load the set again")


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
