"""Targets: what is learned of each picture: one class, several classes, or numbers.

classification   int64 (N,), from 0; UNLABELLED where there is none
multilabel       float32 (N, classes), 1 for each class that is there; nan in rows without a label
regression       float32 (N, targets); nan in rows without a label

Before they are numbered, labels are int64 (N,), numbers (N, K), floats (N,), or an object array
of str, of tuples of str (several classes), of floats, and of None where there is no label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy import ndarray

from ..errors import DataError
from ..events import Note
from .folders.tree import counted

CLASSIFY, MULTILABEL, REGRESS = "classification", "multilabel", "regression"
TASKS = (CLASSIFY, MULTILABEL, REGRESS)
UNLABELLED = -1
BINS = 10  # a number counts by its rank: each split has its share of small and of large ones


def object_array(values: Iterable[Any]) -> ndarray:
    """Make an object array, (N,), of any values: numpy alone would make tuples a second axis."""
    values = list(values)
    out = np.empty(len(values), object)
    out[:] = values
    return out


class LabelRows(tuple[Any, ...]):
    """The labels of one picture that several rows of a table name, each row with its own."""

    file: str = ""


def with_row(earlier: Any, label: Any, file: str) -> Any:
    """Give a picture's label once one more row names it: the same one, or all as LabelRows.

    Parameters
    ----------
    earlier : what the rows before gave; None for no row
    label : of this row; a tuple for several
    file : the picture's name, for the error where one class a picture is learned

    Raises
    ------
    DataError
        The labels are numbers, and differ.
    """
    if earlier is None or label is None:
        return label if earlier is None else earlier
    if np.array_equal(earlier, label):
        return earlier
    if not isinstance(earlier, str | tuple):
        what = f"{file} has two labels: {earlier} and {label}."
        raise DataError(what, "a picture has one row of numbers", "keep one of its rows")
    parts = [part if isinstance(part, tuple) else (part,) for part in (earlier, label)]
    rows = LabelRows(dict.fromkeys(name for part in parts for name in part))
    rows.file = file
    return earlier if rows == earlier else rows


def of_rows(values: Sequence[Any]) -> ndarray | None:
    """Give float32 (N, classes) where each label is a row of 0 and 1; None where they are not.

    Rows without a label are nan. A row of one number is that class's number.

    Parameters
    ----------
    values : labels as they came: lists, tuples, arrays; None where there is none

    Raises
    ------
    DataError
        They are such rows, of several lengths.
    """
    rows = [value for value in values if value is not None]
    rows = [row.tolist() if hasattr(row, "tolist") else row for row in rows]
    if not rows or not all(isinstance(row, list | tuple) and len(row) for row in rows):
        return None
    if not all(isinstance(value, Real) and value in (0, 1) for row in rows for value in row):
        return None
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1 and any(len(set(row)) < len(row) for row in rows):
        what = f"The labels are rows of 0 and 1 of {lengths[0]} to {lengths[-1]} numbers."
        raise DataError(what, "each row has a number for each class", "give all rows one length")
    if len(lengths) > 1 or lengths == [1]:
        return None
    out = np.full((len(values), lengths[0]), np.nan, np.float32)
    out[[value is not None for value in values]] = rows
    return out


def unlabelled(labels: ndarray) -> ndarray:
    """Say which rows have no label: bool, (N,)."""
    if labels.ndim == 2:
        return np.asarray(np.isnan(labels).any(1))
    if labels.dtype.kind == "O":
        return np.array([label is None for label in labels], bool)
    return np.asarray(np.isnan(labels) if labels.dtype.kind == "f" else labels == UNLABELLED)


def strata(labels: ndarray) -> ndarray:
    """Give each row the group it is drawn with: int64, (N,).

    It is the row's class; of several classes the rarest; of a number the tenth that it lies in.
    """
    if labels.ndim == 1:
        return labels
    has_label, out = ~unlabelled(labels), np.full(len(labels), UNLABELLED, np.int64)
    rows = labels[has_label]
    if len(rows) and _is_hot(rows):
        counts = np.where(rows > 0, rows.sum(0), np.inf)
        out[has_label] = np.where(np.isfinite(counts.min(1)), counts.argmin(1), rows.shape[1])
    elif len(rows):
        rank = rows[:, 0].argsort(kind="stable").argsort(kind="stable")
        out[has_label] = rank * BINS // len(rows)
    return out


def of_row(labels: ndarray, row: int) -> Any:
    """Give a row's label: int, or float32 (K,)."""
    return int(labels[row]) if labels.ndim == 1 else labels[row]


def spoken(label: Any, classes: Sequence[str], task: str) -> str:
    """Say a label in words."""
    if np.ndim(label) == 0:
        return classes[label] if label >= 0 else "no label"
    if np.isnan(label).any():
        return "no label"
    if task == MULTILABEL:
        names = [name for name, there in zip(classes, label, strict=True) if there]
        return ", ".join(names) or "none"
    return ", ".join(f"{value:.4g}" for value in label)


def task_of(labels: ndarray) -> str:
    """Tell the task from labels as they came.

    Raises
    ------
    DataError
        They are whole floats: classes or numbers could be meant.
    """
    rows = labels[~unlabelled(labels)]
    if labels.ndim == 2:
        if not _is_hot(rows):
            return REGRESS
        return CLASSIFY if bool((rows.sum(1) == 1).all()) else MULTILABEL
    if labels.dtype.kind == "f":
        if not (rows == np.floor(rows)).all():
            return REGRESS
        if _count_classes(rows):
            return CLASSIFY
        raise _floats(labels, "whole floats may be classes, or numbers to learn")
    if labels.dtype.kind == "O":
        if any(isinstance(label, LabelRows) for label in rows):
            raise _several_rows(rows)
        parts = [part for label in rows for part in (label if type(label) is tuple else (label,))]
        if parts and all(isinstance(part, float) for part in parts):
            return REGRESS
        if any(isinstance(label, tuple) and len(label) != 1 for label in rows):
            return MULTILABEL
        values = [_number(label) for label in set(rows.tolist())]
        numbers = [value for value in values if value is not None]
        if len(numbers) == len(values) and any(value != int(value) for value in numbers):
            return REGRESS
    return CLASSIFY


def as_task(labels: ndarray, task: str) -> tuple[ndarray, list[Note]]:
    """Bring labels as they came to the form the task needs; names are numbered later.

    Raises
    ------
    DataError
        They are of another kind.
    """
    return {CLASSIFY: _as_classes, MULTILABEL: _as_several, REGRESS: _as_numbers}[task](labels)


def _as_classes(labels: ndarray) -> tuple[ndarray, list[Note]]:
    if labels.ndim == 2:
        if not (_is_hot(labels) and (labels.sum(1) == 1).all()):
            raise DataError(
                f"The labels have the shape {len(labels)}x{labels.shape[1]} and are not one-hot.",
                "a row with exactly one 1, or one class number a picture, is expected",
                "pass y of shape (N,) with one class a picture, or task='multilabel'",
            )
        text = f"The labels are one-hot: their {labels.shape[1]} columns are taken as the classes."
        return labels.argmax(1).astype(np.int64), [Note(text)]
    if labels.dtype.kind == "f":
        return _from_floats(labels)
    if labels.dtype.kind != "O":
        return labels, []
    if any(isinstance(label, LabelRows) for label in labels):
        raise _several_rows(labels)
    for label in labels:
        if isinstance(label, tuple) and len(label) != 1:
            why = f"the first are {', '.join(label) or 'none'}"
            raise DataError("A picture has several labels.", why, "load with task='multilabel'")
    names = [label[0] if isinstance(label, tuple) else label for label in labels]
    notes = []
    if any(isinstance(label, tuple) for label in labels):
        text = "Each picture's list of labels holds one: it is taken as its class. Could a picture "
        notes.append(Note(text + "have several, or none? Then load with task='multilabel'."))
    return object_array(None if name is None else str(name) for name in names), notes


def _from_floats(labels: ndarray) -> tuple[ndarray, list[Note]]:
    """Take whole floats as class numbers; NaN is no label."""
    known = ~np.isnan(labels)
    if not (np.isfinite(labels[known]) & (labels[known] == np.floor(labels[known]))).all():
        raise _floats(labels, "task='classification' takes whole numbers or names")
    text = "The labels are whole floats: they are taken as class numbers. To learn them as numbers,"
    notes = [Note(f"{text} load with task='regression'.")]
    if known.all():
        return labels.astype(np.int64), notes
    names = [str(int(label)) if there else None for label, there in zip(labels, known, strict=True)]
    return object_array(names), notes


def _count_classes(values: ndarray) -> bool:
    """Tell whether numbers go from 0 or 1 without a gap, each twice or more as a rule."""
    present = np.unique(values)
    if not 1 < len(present) <= len(values) / 2 or present[0] not in (0, 1):
        return False
    return bool(present[-1] - present[0] + 1 == len(present))


def _as_several(labels: ndarray) -> tuple[ndarray, list[Note]]:
    if labels.ndim == 2:
        rows = labels[~unlabelled(labels)]
        if not _is_hot(rows):
            wrong = rows[~np.isin(rows, (0, 1))][0]
            why = "task='multilabel' takes a 0 or a 1 for each class"
            raise DataError(f"The labels hold {wrong:g}.", why, "pass (y > 0.5).astype(int)")
        wide = labels.shape[1]
        text = f"The labels are rows of 0 and 1: each picture may have several of {wide} classes."
        return labels.astype(np.float32), [Note(text)]
    if labels.dtype.kind != "O":
        raise DataError(
            f"The labels are {labels.dtype} numbers, one a picture.",
            "task='multilabel' takes several classes a picture",
            "pass rows of 0 and 1, (N, classes), or leave task= out",
        )
    if any(isinstance(label, LabelRows) for label in labels):  # a row is one class, blanks and all
        groups = [(label,) if isinstance(label, str) else label for label in labels]
        n = sum(isinstance(label, LabelRows) for label in labels)
        text = f"{counted(n, 'picture')} named in several rows: each row is one of its classes."
        return object_array(groups), [Note(text)]
    texts = [label for label in labels if isinstance(label, str)]
    between = r"\s*[|;,]\s*" if any(re.search(r"[|;,]", text) for text in texts) else r"\s+"

    def split(label: Any) -> Any:
        if label is None or isinstance(label, tuple):
            return label
        return tuple(name for name in re.split(between, str(label).strip()) if name)

    return object_array(map(split, labels)), []


def _as_numbers(labels: ndarray) -> tuple[ndarray, list[Note]]:
    if labels.dtype.kind == "O":
        rows = [label if isinstance(label, tuple) else (label,) for label in labels]
        wide = max(map(len, rows))
        out = np.full((len(rows), wide), np.nan, np.float32)
        for row, parts in enumerate(rows):
            if parts == (None,):
                continue
            values = [_number(part) for part in parts]
            if len(parts) != wide or None in values:
                what = f"The label {labels[row]!r} is no number."
                fix = "correct it, or leave task= out"
                raise DataError(what, "task='regression' takes numbers", fix)
            out[row] = values
    else:
        out = labels.reshape(len(labels), -1).astype(np.float32)
    if np.isinf(out).any():
        row = int(np.flatnonzero(np.isinf(out).any(1))[0])
        fix = "correct it, or make it nan: then the row is left out"
        raise DataError(f"The target of row {row} is infinite.", "its loss is infinite too", fix)
    return out, []


def _several_rows(labels: ndarray) -> DataError:
    """Say that pictures have rows with different labels, and both ways on."""
    rows = [label for label in labels if isinstance(label, LabelRows)]
    what = f"{rows[0].file} has two labels, each in a row of its own: {', '.join(rows[0][:2])}."
    why = f"one class a picture is learned, and {counted(len(rows), 'picture')} labelled so"
    fix = "load with task='multilabel' if several are meant; else delete the wrong rows"
    return DataError(what, why, fix)


def _number(label: Any) -> float | None:
    if isinstance(label, bool) or not isinstance(label, str | Real):
        return None
    try:
        value = float(label)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _is_hot(labels: ndarray) -> bool:
    return bool(np.isin(labels, (0, 1)).all())


def _floats(labels: ndarray, why: str) -> DataError:
    known = labels[~np.isnan(labels)]
    fractions = known[known % 1 != 0]
    wrong, whole = (*fractions, *known)[0], not len(fractions)
    fix = "if they are numbers to learn: kit.load((X, y), task='regression')"
    if whole:
        fix += "; if they are classes: kit.load((X, y), task='classification')"
    return DataError(f"The labels are {labels.dtype} values such as {wrong:g}.", why, fix)
