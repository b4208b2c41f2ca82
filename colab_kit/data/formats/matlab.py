"""MATLAB's .mat files, version 5: pictures with labels, as SVHN's, and whatever else they hold."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..sources import Parts
from . import emnist
from .mat_file import read_mat
from .pairing import Named, read_arrays, square
from .place import files, pictures_in, words_of

_SVHN = re.compile(r"(train|test|extra)_32x32\.mat", re.I)
_DIGITS = {10: "0", **{n: str(n) for n in range(1, 10)}}  # SVHN calls the digit 0 a 10


def sees(path: Path) -> bool:
    """Tell whether it is a .mat file, or a folder of them without pictures."""
    return bool(_files(path)) and (path.is_file() or not pictures_in(path))


def read(path: Path) -> Parts:
    """Read the arrays that are pictures and labels; pictures are counted on their last axis.

    Raises
    ------
    DataError
        A file is damaged or of MATLAB 7.3, or more than one pair of arrays fits, or none.
    """
    lying, said = _files(path), list[str]()
    extra = [file for file in lying if file.name.lower() == "extra_32x32.mat"]
    if extra and len(lying) > 1:
        lying.remove(extra[0])
        said.append(f"{extra[0].name} was left out: easier pictures than those of train.")
    held = [one for file in lying for one in _flat(file)]
    counts = {one.shape[0] for one in held if _is_column(one.shape)}
    arrays = [_by_row(one, counts) for one in held]
    if any(_SVHN.fullmatch(file.name) for file in lying):
        said.append("The label 10 is the digit 0.")
        return read_arrays(path, arrays, said=said, names=lambda _: _DIGITS)
    if not any("emnist" in one.words for one in arrays):
        return read_arrays(path, arrays, said=said)
    tables = [one for one in held if one.words[-1:] == ("mapping",) and len(one.shape) == 2]
    known = emnist.of_rows(tables[0].get().tolist()) if tables else None
    return read_arrays(path, arrays, said=[*said, emnist.TURNED], names=lambda _: known)


def _files(path: Path) -> list[Path]:
    return files(path, lambda file: file.suffix.lower() == ".mat")


def _is_column(shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 or shape[1:] == (1,)


def _flat(path: Path) -> Iterator[Named]:
    """Give the arrays of numbers in a file, those in structs too; a row counts as a column."""

    def walk(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], ndarray]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, (*keys, key))
        elif isinstance(value, ndarray):
            yield keys, value

    for keys, array in walk(read_mat(path), ()):
        name, words = (
            ".".join(keys),
            words_of(path.stem) + [w for key in keys for w in words_of(key)],
        )
        text = f"kit.data.formats.mat_file.read_mat({str(path)!r})" + "".join(
            f"[{k!r}]" for k in keys
        )
        if array.ndim == 2 and 1 in array.shape:
            array, text = array.ravel(), f"{text}.ravel()"
        if array.dtype.kind == "f" and (array == np.floor(array)).all():
            array, text = (
                array.astype(np.int64),
                f"{text}.astype(int)",
            )  # doubles are the usual type
        yield Named(
            name, tuple(words), array.shape, array.dtype, text, functools.partial(np.asarray, array)
        )


def _by_row(one: Named, counts: set[int]) -> Named:
    """Have the pictures counted on the first axis."""
    array, text = one.get(), one.line
    if (
        array.ndim > 1
        and array.shape[-1] in counts
        and (array.ndim > 2 or array.shape[0] not in counts)
    ):
        array, text = np.moveaxis(array, -1, 0), f"np.moveaxis({text}, -1, 0)"
    side = square(array.shape[1]) if array.ndim == 2 else 0
    if side and "emnist" in one.words:
        array = emnist.upright(array.reshape(-1, side, side))
        text = f"{text}.reshape(-1, {side}, {side}).swapaxes(1, 2)"
    return Named(one.name, one.words, array.shape, array.dtype, text, lambda: array)
