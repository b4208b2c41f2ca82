"""Labels as given, and as numbers: classes are numbered from 0 in the order of their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from .dataset import UNLABELLED
from .folders import natural
from .targets import CLASSIFY, REGRESS


def as_given(given: Any, rows: int) -> np.ndarray:
    """Labels of `rows` pictures as they came: int64 or float (N,), numbers (N, K), or an object array of str or of tuples of str.

    Raises
    ------
    DataError
        Another length or shape, or values that are no labels.
    """
    y: np.ndarray = np.asarray(
        given.detach().cpu().numpy() if hasattr(given, "detach") else _array(given)
    )
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if len(y.shape) == 0 or len(y) != rows:
        have = "one label" if y.ndim == 0 else f"{len(y):,} labels"
        raise DataError(
            f"{rows:,} pictures came with {have}.",
            "each picture needs exactly one",
            "pass X and y of one length, as (X, y)",
        )
    if y.ndim == 2 and y.dtype.kind in "biuf":
        return y.astype(np.float32)
    if y.ndim != 1:
        shape = "x".join(map(str, y.shape))
        raise DataError(
            f"The labels have the shape {shape}.",
            "one row a picture is expected",
            "pass y of shape (N,) or (N, targets)",
        )
    if y.dtype.kind == "O" and all(isinstance(label, int | np.integer) for label in y):
        y = y.astype(np.int64)
    if y.dtype.kind in "biu":
        return y.astype(np.int64)
    if y.dtype.kind == "f":
        return y
    if y.dtype.kind in "US" or (
        y.dtype.kind == "O" and all(isinstance(label, str | tuple) for label in y)
    ):
        return _objects(
            [
                label.decode()
                if isinstance(label, bytes)
                else label
                if isinstance(label, tuple)
                else str(label)
                for label in y
            ]
        )
    fix = "pass class numbers 0, 1, 2 …, class names, or float targets"
    raise DataError(
        f"The labels are {y.dtype} values such as {y[0]!r}.",
        "classes are expected: whole numbers or names",
        fix,
    )


def _array(y: Any) -> np.ndarray:
    """Lists of names, of one length or of many, become tuples: several labels a picture."""
    if isinstance(y, list | tuple) and any(
        isinstance(label, list | tuple | set | frozenset) for label in y
    ):
        rows = [sorted(label) if isinstance(label, set | frozenset) else label for label in y]
        if (
            any(
                isinstance(name, str)
                for row in rows
                if isinstance(row, list | tuple)
                for name in row
            )
            or [] in rows
            or () in rows
        ):
            return _objects(
                [
                    tuple(map(str, row)) if isinstance(row, list | tuple) else (str(row),)
                    for row in rows
                ]
            )
    return np.asarray(y)


def _objects(values: list[Any]) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def class_names(
    labels: np.ndarray, classes: Sequence[str] | None, task: str = CLASSIFY
) -> tuple[str, ...]:
    """The classes of training labels: as told, else the names that occur in natural order, else the numbers; or names for the targets.

    Raises
    ------
    DataError
        A label has no class, or numbers start at 1 or leave gaps and nobody says what they mean.
    """
    told = tuple(map(str, classes)) if classes is not None else None
    if told is not None and len(set(told)) < len(told):
        twice = next(name for name in told if told.count(name) > 1)
        raise DataError(
            f"class_names= has {twice!r} twice.", "each class has one name", "give each its own"
        )
    if labels.ndim == 2:
        wide = labels.shape[1]
        own = (
            ("value",)
            if wide == 1
            else tuple(f"{'value ' * (task == REGRESS)}{n}" for n in range(wide))
        )
        number(labels, told or own, "the training data")
        return told or own
    if labels.dtype.kind == "O":
        names = tuple(sorted(_named(labels), key=natural))
        if told is not None:
            number(labels, told, "the training data")  # raises if one is not told
        return told or names
    low, high = int(labels.min()), int(labels.max())
    if told is not None:
        number(labels, told, "the training data")
        return told
    present = np.unique(labels)
    if low < 0:
        raise DataError(
            f"A label is {low}.",
            "classes are numbered from 0",
            "leave these pictures out, or number their class",
        )
    if low == 1 and len(present) == high:
        raise DataError(
            f"The labels go from 1 to {high}.", "classes are numbered from 0", "pass labels - 1"
        )
    if len(present) != high + 1:
        gap = next(n for n in range(high + 1) if n not in present)
        raise DataError(
            f"The labels go from {low} to {high}, and none is {gap}.",
            f"{high + 1:,} classes would be trained, and {high + 1 - len(present):,} of them have no picture",
            "pass np.unique(labels, return_inverse=True)[1], or say with class_names= how many there are and how they are called",
        )
    return tuple(str(n) for n in range(high + 1))


def _named(labels: np.ndarray) -> set[str]:
    """The names that occur."""
    return {
        name
        for label in labels
        if label is not None
        for name in (label if isinstance(label, tuple) else (label,))
    }


def number(labels: np.ndarray, classes: Sequence[str], where: str) -> np.ndarray:
    """Labels as int64 positions in `classes`; None becomes UNLABELLED. Several a picture: float32 (N, classes), nan for None.

    Raises
    ------
    DataError
        A label is no class, or its rows are of another width.
    """
    if labels.ndim == 2:
        if labels.shape[1] != len(classes):
            what = f"{where} has {labels.shape[1]} numbers a picture, and there are {len(classes)} names."
            raise DataError(
                what,
                f"they are {', '.join(classes[:8])}",
                "give one name a column with class_names=",
            )
        return labels
    if labels.dtype.kind == "O":
        place: dict[Any, int] = {name: n for n, name in enumerate(classes)}
        if strangers := sorted(_named(labels) - set(place), key=natural):
            raise DataError(
                f"{where} has the class {', '.join(strangers[:3])}{' …' if len(strangers) > 3 else ''}, which is not one of the classes.",
                f"the classes are {', '.join(classes[:8])}{' …' if len(classes) > 8 else ''}",
                "correct the name, move these pictures away, or add pictures of that class to the training split",
            )
        if any(isinstance(label, tuple) for label in labels):
            hot = np.zeros((len(labels), len(classes)), np.float32)
            for row, label in enumerate(labels):
                if label is None:
                    hot[row] = np.nan
                else:
                    hot[row, [place[name] for name in label]] = 1.0
            return hot
        place[None] = UNLABELLED
        return np.array([place[label] for label in labels], np.int64)
    if len(labels) and (labels.min() < 0 or labels.max() >= len(classes)):
        wrong = labels[(labels < 0) | (labels >= len(classes))][0]
        raise DataError(
            f"{where} has the label {wrong}.",
            f"there are {len(classes)} classes, numbered from 0 to {len(classes) - 1}",
            f"pass labels - {labels.min()}"
            if labels.min() > 0 and labels.max() - labels.min() < len(classes)
            else "correct the labels",
        )
    return labels.astype(np.int64)
