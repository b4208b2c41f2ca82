"""Published sets, read where they were unpacked: CIFAR's batches, class folders, the lists of Oxford's flowers and pets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from .. import folders
from ..folders import Filed, Found
from . import matlab

Pair = tuple[np.ndarray, np.ndarray]


def cifar(root: Path, parser: Any) -> tuple[dict[str, Pair], tuple[str, ...]]:
    """Pictures uint8 (N, 32, 32, 3) and labels int64 (N,) by split, and the classes, as torchvision reads them.

    The batches are pickles, which may run code when they are read: torchvision compares the md5 of each with its own first, and the
    archive came here by the md5 that torchvision states.

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
    splits = {
        name: (one.data, np.asarray(one.targets, np.int64))
        for name, one in (("train", train), ("test", test))
    }
    return splits, tuple(train.classes)


def in_folders(root: Path, names: Mapping[str, str]) -> tuple[Found, tuple[str, ...] | None]:
    """Class folders, called by `names`, whose order is that of the classes; None where they keep their own.

    Raises
    ------
    DataError
        There are no pictures.
    """
    found = folders.scan(root)
    if not names:
        return found, None
    splits = {
        split: [Filed(one.path, one.label and names.get(one.label, one.label)) for one in files]
        for split, files in found.splits.items()
    }
    strangers = {one.label for one in found.splits["train"] if one.label} - names.keys()
    classes = (*names.values(), *sorted(strangers, key=folders.natural))
    return Found(found.root, splits, found.notes), classes


def flowers(pictures: Path, labels: Path, sets: Path, classes: Sequence[str]) -> Found:
    """The flowers in their official split: 1,020 to train, 1,020 to validate, 6,149 to test (Nilsback and Zisserman, 2008).

    Parameters
    ----------
    pictures : where 102flowers.tgz was unpacked
    labels, sets : imagelabels.mat and setid.mat

    Raises
    ------
    DataError
        A file is damaged or missing.
    """
    root = pictures / "jpg"
    held = _held(root)
    try:
        numbers, ids = matlab.read(labels)["labels"].ravel(), matlab.read(sets)
        splits = {
            split: [
                (f"image_{int(n):05d}.jpg", classes[int(numbers[int(n) - 1]) - 1])
                for n in ids[key].ravel()
            ]
            for split, key in (("train", "trnid"), ("valid", "valid"), ("test", "tstid"))
        }
    except (KeyError, IndexError) as err:
        raise _damaged(
            labels.parent, f"{labels.name} and {sets.name} do not fit together: {err}"
        ) from err
    return _filed(pictures, root, held, splits)


def pets(pictures: Path, notes: Path) -> tuple[Found, tuple[str, ...]]:
    """The pets in their official split, trainval and test (Parkhi et al., 2012), by breeds as torchvision spells them.

    Parameters
    ----------
    pictures, notes : where images.tar.gz and annotations.tar.gz were unpacked

    Raises
    ------
    DataError
        A list is damaged, or a picture that it names is missing.
    """
    root = pictures / "images"
    held = _held(root)
    splits, breeds = {}, {}
    for split, listed in (("train", "trainval"), ("test", "test")):
        path = notes / "annotations" / f"{listed}.txt"
        try:
            rows = [
                line.split()
                for line in path.read_text("utf-8").splitlines()
                if line.strip() and not line.startswith("#")
            ]
            named = [(picture, int(number)) for picture, number, _, _ in rows]
        except (OSError, ValueError) as err:
            raise _damaged(path, str(err)) from err
        breeds.update(
            {
                number: " ".join(part.title() for part in name.split("_")[:-1])
                for name, number in named
            }
        )
        splits[split] = [(f"{name}.jpg", breeds[number]) for name, number in named]
    return _filed(pictures, root, held, splits), tuple(breeds[number] for number in sorted(breeds))


def _held(root: Path) -> set[str]:
    try:
        return set(os.listdir(root))
    except OSError as err:
        raise _damaged(root, err.strerror or str(err)) from err


def _filed(
    whole: Path, root: Path, held: set[str], splits: Mapping[str, Sequence[tuple[str, str]]]
) -> Found:
    """What a list names, if it is all there."""
    if missing := [name for named in splits.values() for name, _ in named if name not in held]:
        raise _damaged(
            whole,
            f"of the pictures that belong to it {len(missing):,} are missing ({folders.some(missing)})",
        )
    return Found(
        root,
        {
            split: [Filed(root / name, label) for name, label in named]
            for split, named in splits.items()
        },
    )


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is damaged.", why, f"delete {path} and load the set again")
