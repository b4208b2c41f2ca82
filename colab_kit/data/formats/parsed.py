"""Published sets where they were unpacked: class folders, Oxford's flowers and pets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import DataError
from ..arrays import of_listing
from ..folders import tree as folders
from ..folders.layout import scan
from ..folders.tree import Listing, PictureFile
from ..sources import Parts
from . import mat_file


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
        split: [file._replace(label=names.get(str(file.label), file.label)) for file in files]
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
        numbers, ids = _whole(mat_file.arrays(labels)["labels"]), mat_file.arrays(sets)
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
