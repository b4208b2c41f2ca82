"""Lists in .mat files: rows of structs, columns of names and numbers, or a number a picture.

imagelabels.mat of the flowers holds a label a picture, in the order of the numbers in their names,
and setid.mat these numbers for each split (Nilsback and Zisserman, 2008).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .file_names import SPLIT_OF
from .structured import Content, NotATableError, of_records

BY_NUMBER = "the number in its name"  # what the column of pictures' numbers, from 1, is called
INDEX = re.compile(r"_?(ids?|idx|inds?|index|indices|set|list)$", re.I)


def read_list(path: Path) -> Content:
    """Give a file's list as a header and rows.

    Raises
    ------
    NotATableError
        It holds no list.
    DataError
        It is damaged, or of MATLAB 7.3.
    """
    from ..formats.matlab import read_mat  # it imports labels, which read tables

    held = {name: _plain(value) for name, value in read_mat(path).items()}
    columns = {name: value for name, value in held.items() if isinstance(value, list) and value}
    for value in columns.values():
        if all(isinstance(one, dict) for one in value):
            return of_records(value)
    splits = {name: _split_of(name) for name in columns}
    if "train" in splits.values() and len(splits) > 1 and None not in splits.values():
        rows = [[cell, splits[name]] for name, of in columns.items() for cell in of]
        if len({cell for cell, _ in rows}) == len(rows):
            return _numbered(rows, "split")
    if len({len(value) for value in columns.values()}) != 1:
        raise NotATableError("it holds no lists of one length")
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    if len(columns) > 1:
        return tuple(columns), rows, False
    return _numbered([[str(number), *row] for number, row in enumerate(rows, 1)], *columns)


def _numbered(rows: list[list[Any]], name: str) -> Content:
    return (BY_NUMBER, name), rows, False


def _split_of(name: str) -> str | None:
    """Give the split that trnid, valid or test_idx means."""
    return SPLIT_OF.get(name.lower()) or SPLIT_OF.get(INDEX.sub("", name).lower())


def _plain(value: Any) -> Any:
    """Give a vector as a list of texts, and values in structs as texts; the rest as it is."""
    if isinstance(value, np.ndarray) and value.size == max(value.shape, default=0):
        return _texts(value.ravel().tolist())
    if isinstance(value, list):
        return [_record(one) if isinstance(one, dict) else _single(one) for one in value]
    return value


def _record(value: dict[str, Any]) -> dict[str, Any]:
    return {name: _single(one) for name, one in value.items()}


def _single(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        texts = _texts(value.ravel().tolist())
        return texts[0] if len(texts) == 1 else texts
    return value


def _texts(values: Sequence[Any]) -> list[str]:
    return [str(int(one)) if float(one).is_integer() else str(one) for one in values]
