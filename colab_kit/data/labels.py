"""Labels as given, and as numbers: one class a row, numbered from 0 in the order of the class names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from ..events import Note
from .folders import natural
from .splits import UNLABELLED


def as_given(y: Any, rows: int) -> tuple[np.ndarray, list[Note]]:
    """Labels of `rows` pictures: int64, or an object array of str; one-hot rows become their column.

    Raises
    ------
    DataError
        Another length, numbers that are no classes, several classes a picture.
    """
    y = y.detach().cpu().numpy() if hasattr(y, "detach") else np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if len(y.shape) == 0 or len(y) != rows:
        have = "one label" if y.ndim == 0 else f"{len(y):,} labels"
        raise DataError(f"{rows:,} pictures came with {have}.", "each picture needs exactly one", "pass X and y of one length, as (X, y)")
    if y.ndim == 2 and y.dtype.kind in "biuf":
        return _from_one_hot(y)
    if y.ndim != 1:
        shape = "x".join(map(str, y.shape))
        raise DataError(f"The labels have the shape {shape}.", "one class a picture is expected", "pass y of shape (N,)")
    if y.dtype.kind == "O" and all(isinstance(label, int | np.integer) for label in y):
        y = y.astype(np.int64)
    if y.dtype.kind in "biu":
        return y.astype(np.int64), []
    if y.dtype.kind in "US" or (y.dtype.kind == "O" and all(isinstance(label, str) for label in y)):
        return np.array([label.decode() if isinstance(label, bytes) else str(label) for label in y], object), []
    whole = y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.floor(y)).all()
    fix = "they are whole numbers: pass y.astype(int)" if whole else "pass class numbers 0, 1, 2 … or class names"
    raise DataError(f"The labels are {y.dtype} values such as {y[0]!r}.", "classes are expected: whole numbers or names", fix)


def _from_one_hot(y: np.ndarray) -> tuple[np.ndarray, list[Note]]:
    if not (np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()):
        raise DataError(
            f"The labels have the shape {y.shape[0]}x{y.shape[1]} and are not one-hot.",
            "a row with exactly one 1, or one class number a picture, is expected",
            "pass y of shape (N,) with one class a picture",
        )
    return y.argmax(1).astype(np.int64), [Note(f"The labels are one-hot: their {y.shape[1]} columns are taken as the classes.")]


def class_names(labels: np.ndarray, classes: Sequence[str] | None) -> tuple[str, ...]:
    """The classes of training labels: as told, else the names that occur in natural order, else the numbers.

    Raises
    ------
    DataError
        A label has no class, or numbers start at 1 or leave gaps and nobody says what they mean.
    """
    told = tuple(map(str, classes)) if classes is not None else None
    if told is not None and len(set(told)) < len(told):
        twice = next(name for name in told if told.count(name) > 1)
        raise DataError(f"classes= names {twice!r} twice.", "each class has one name", "give each its own")
    if labels.dtype.kind == "O":
        names = tuple(sorted({label for label in labels if label is not None}, key=natural))
        if told is not None:
            number(labels, told, "the training data")  # raises if one is not told
        return told or names
    low, high = int(labels.min()), int(labels.max())
    if told is not None:
        number(labels, told, "the training data")
        return told
    present = np.unique(labels)
    if low < 0:
        raise DataError(f"A label is {low}.", "classes are numbered from 0", "leave these pictures out, or number their class")
    if low == 1 and len(present) == high:
        raise DataError(f"The labels go from 1 to {high}.", "classes are numbered from 0", "pass labels - 1")
    if len(present) != high + 1:
        gap = next(n for n in range(high + 1) if n not in present)
        raise DataError(
            f"The labels go from {low} to {high}, and none is {gap}.",
            f"{high + 1:,} classes would be trained, and {high + 1 - len(present):,} of them have no picture",
            "pass np.unique(labels, return_inverse=True)[1], or say with classes= how many there are and how they are called",
        )
    return tuple(str(n) for n in range(high + 1))


def number(labels: np.ndarray, classes: Sequence[str], where: str) -> np.ndarray:
    """Labels as int64 positions in `classes`; None becomes UNLABELLED.

    Raises
    ------
    DataError
        A label is no class.
    """
    if labels.dtype.kind == "O":
        place: dict[Any, int] = {name: n for n, name in enumerate(classes)}
        place[None] = UNLABELLED
        if strangers := sorted({label for label in labels if label not in place}, key=natural):
            raise DataError(
                f"{where} has the class {', '.join(strangers[:3])}{' …' if len(strangers) > 3 else ''}, which is not one of the classes.",
                f"the classes are {', '.join(classes[:8])}{' …' if len(classes) > 8 else ''}",
                "correct the name, move these pictures away, or add pictures of that class to the training split",
            )
        return np.array([place[label] for label in labels], np.int64)
    if len(labels) and (labels.min() < 0 or labels.max() >= len(classes)):
        wrong = labels[(labels < 0) | (labels >= len(classes))][0]
        raise DataError(
            f"{where} has the label {wrong}.",
            f"there are {len(classes)} classes, numbered from 0 to {len(classes) - 1}",
            f"pass labels - {labels.min()}" if labels.min() > 0 and labels.max() - labels.min() < len(classes) else "correct the labels",
        )
    return labels.astype(np.int64)
