"""STL-10 in its binary form: train_X.bin, train_y.bin, test_X.bin, test_y.bin, class_names.txt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy import ndarray

from ...errors import DataError
from ..sources import Parts
from .pairing import as_parts
from .place import check_kind, damaged, files, unreadable

SHAPE = (3, 96, 96)  # of a picture, each colour stored column by column
NAMES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")


def sees(path: Path) -> bool:
    """Tell whether it is a folder with any of the four files."""
    return path.is_dir() and bool(_files(path))


def read(path: Path) -> Parts:
    """Read pictures (N, 3, 96, 96), uint8, with the publisher's split.

    Raises
    ------
    DataError
        A file is damaged or missing.
    """
    folder = _files(path)[0].parent
    if missing := [name for name in NAMES if not (folder / name).is_file()]:
        why = f"{', '.join(NAMES)} belong together"
        raise DataError(f"{folder} lacks {', '.join(missing)}.", why, "put them there too")
    names = _names(folder / "class_names.txt")
    pairs = {
        s: (_pictures(folder / f"{s}_X.bin"), folder / f"{s}_y.bin") for s in ("train", "test")
    }
    whole = {split: (x, _labels(file, len(x))) for split, (x, file) in pairs.items()}
    most = max(int(y.max()) for _, y in whole.values())
    if 0 < len(names) < most:
        why = f"it names {len(names)} classes, and the labels go up to {most}"
        raise damaged(folder / "class_names.txt", why)
    sets = ", ".join(f"{split} is {split}_X.bin with {split}_y.bin" for split in whole)
    said = [f"{folder.name}: {sets}."]
    if (folder / "unlabeled_X.bin").is_file():
        said += ["unlabeled_X.bin was left out: its pictures have no classes."]
    return as_parts(path, whole, said, dict(enumerate(names, 1)))


def _files(path: Path) -> list[Path]:
    return files(path, lambda file: file.name in NAMES)


def _names(path: Path) -> list[str]:
    if not path.is_file():
        return []
    check_kind(path, text=True)
    try:
        return path.read_text("utf-8").split()
    except OSError as err:
        raise unreadable(path, err) from err
    except ValueError as err:
        raise damaged(path, f"it is no text: {err}") from err


def _bytes(path: Path) -> ndarray:
    check_kind(path)
    try:
        return np.fromfile(path, np.uint8)
    except OSError as err:
        raise unreadable(path, err) from err


def _pictures(path: Path) -> ndarray:
    content, size = _bytes(path), int(np.prod(SHAPE))
    if len(content) % size:
        raise damaged(path, f"its {len(content):,} bytes are no whole pictures of {size:,}")
    return content.reshape(-1, *SHAPE).transpose(0, 1, 3, 2)


def _labels(path: Path, pictures: int) -> ndarray:
    """Give class numbers, from 1."""
    y = _bytes(path)
    if len(y) != pictures:
        x_name = path.name.replace("_y", "_X")
        why = f"it holds {len(y):,} labels for {pictures:,} pictures in {x_name}"
        raise damaged(path, why)
    return y
