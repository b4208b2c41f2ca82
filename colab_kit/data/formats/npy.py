"""NumPy's .npy: pictures and labels in a pair of files, or a file for each class (Quick, Draw!)."""

from __future__ import annotations

import functools
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import DataError
from ..folders.tree import natural, some
from ..folders.words import split_of
from ..sources import Parts
from .npz import FAULTS, check_size, header
from .pairing import Named, akin, as_parts, read_arrays
from .place import check_kind, damaged, files, one_of, pictures_in, unreadable, words_of


def sees(path: Path) -> bool:
    """Tell whether it is a .npy file, or a folder of them without pictures."""
    return bool(_files(path)) and (path.is_file() or not pictures_in(path))


def read(path: Path) -> Parts:
    """Read pairs as x_train.npy and y_train.npy, or files that are named for their class.

    Raises
    ------
    DataError
        A file is damaged, more than one pair fits, or the files do not say what they hold.
    """
    arrays = [_array(file) for file in _files(path)]
    if path.is_file():  # its labels, or pictures, may lie beside it
        beside = [file for file in _files(path.parent) if file != path]
        arrays += [_array(file) for file in beside if akin(words_of(file.stem), arrays[0].words)]
    if len(arrays) == 1:
        raise _lone(path, arrays[0])
    many = all(one.numeric and len(one.shape) > 1 and one.shape[1] > 1 for one in arrays)
    if not many or any(one.role == "y" or one.role and one.split for one in arrays):
        return read_arrays(path, arrays)
    if all(all(map(split_of, one.words)) for one in arrays):  # train.npy, test.npy
        return read_arrays(path, arrays)
    return _class_a_file(path, sorted(arrays, key=lambda one: natural(one.name)))


def _files(path: Path) -> list[Path]:
    return files(path, lambda file: file.suffix.lower() == ".npy")


def _array(path: Path) -> Named:
    """Look at a file, without its numbers."""
    check_kind(path)
    try:
        with path.open("rb") as file:
            shape, dtype, start = header(file)
            have = os.fstat(file.fileno()).st_size - start
    except OSError as err:
        raise unreadable(path, err) from err
    except FAULTS as err:
        raise damaged(path, str(err) or "it ends too early") from err
    check_size(path, shape, dtype, have)
    get = functools.partial(np.load, path, mmap_mode="r", allow_pickle=False)
    text = f"np.load({str(path)!r})"
    return Named(path.stem, tuple(words_of(path.stem)), shape, dtype, text, get)


def _class_a_file(path: Path, arrays: list[Named]) -> Parts:
    sizes = Counter(one.shape[1:] for one in arrays)
    if len(sizes) > 1:
        usual = sizes.most_common(1)[0][0]
        other = next(one for one in arrays if one.shape[1:] != usual)
        size = "x".join(map(str, usual))
        what = f"{path}: {other} does not fit the other .npy files."
        why = f"each file is taken as a class, and most hold rows of {size}"
        raise DataError(what, why, f"move {other.name}.npy away, or get it again")
    names = classes([one.name for one in arrays])
    x = np.concatenate([one.get() for one in arrays])
    y = np.repeat(np.arange(len(arrays)), [one.shape[0] for one in arrays])
    text = f"{path.name}: each of {len(names)} .npy files is a class ({some(names)})."
    return as_parts(path, {"train": (x, y)}, [text], names)


def classes(names: Sequence[str]) -> list[str]:
    """Give the names of files without the words with which all begin."""
    common = re.sub(r"[^_-]*$", "", os.path.commonprefix(list(names)))
    return [name.removeprefix(common) for name in names]


def _lone(path: Path, one: Named) -> DataError:
    """Say that labels are missing, with a line for each file beside that fits."""
    folder = path if path.is_dir() else path.parent
    others = [_array(file) for file in _files(folder) if file.stem != one.name]
    fits = [other for other in others if other.shape[:1] == one.shape[:1]]
    pairs = [sorted((one, other), key=lambda a: -len(a.shape)) for other in fits]
    lines = [f"kit.load(({x.line}, {y.line}))" for x, y in pairs if len(x.shape) > len(y.shape)]
    fix = f"put the labels beside it, as y.npy, and load the folder: kit.load({str(folder)!r})"
    if lines:
        fix = one_of(lines[:3])
    return DataError(f"{path} holds one array and no labels.", str(one), fix)
