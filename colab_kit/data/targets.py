"""Targets: what is asked of each picture: one class, several at once, or numbers. Which of these, the labels tell as they came.

classify     int64 (N,), from 0; UNLABELLED where there is none
multilabel   float32 (N, classes), 1 for each class that is there    nan in rows without a label
regress      float32 (N, targets)                                     nan in rows without a label
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..errors import DataError
from ..events import Note
from .kinds import UNLABELLED

CLASSIFY, MULTILABEL, REGRESS = "classification", "multilabel", "regression"
TASKS = (CLASSIFY, MULTILABEL, REGRESS)
BINS = 10  # of a number, by its rank: a split has its share of the small and of the large ones


def unlabelled(labels: np.ndarray) -> np.ndarray:
    """bool, (N,): which rows have none."""
    if labels.ndim == 2:
        return np.asarray(np.isnan(labels).any(1))
    if labels.dtype.kind == "O":
        return np.array([label is None for label in labels], bool)
    return np.asarray(np.isnan(labels) if labels.dtype.kind == "f" else labels == UNLABELLED)


def strata(labels: np.ndarray) -> np.ndarray:
    """int64, (N,): the class of a row; its rarest one of several; the tenth that its number lies in."""
    if labels.ndim == 1:
        return labels
    none, out = unlabelled(labels), np.full(len(labels), UNLABELLED, np.int64)
    known = labels[~none]
    if len(known) and _hot(known):
        often = np.where(known > 0, known.sum(0), np.inf)
        out[~none] = np.where(np.isfinite(often.min(1)), often.argmin(1), known.shape[1])
    elif len(known):
        out[~none] = known[:, 0].argsort(kind="stable").argsort(kind="stable") * BINS // len(known)
    return out


def of_row(labels: np.ndarray, row: int) -> Any:
    """A row's label: int, or float32 (K,)."""
    return int(labels[row]) if labels.ndim == 1 else labels[row]


def spoken(label: Any, classes: Sequence[str], task: str) -> str:
    """A label in words."""
    if np.ndim(label) == 0:
        return classes[label] if label >= 0 else "no label"
    if np.isnan(label).any():
        return "no label"
    if task == MULTILABEL:
        return (
            ", ".join(name for name, there in zip(classes, label, strict=True) if there) or "none"
        )
    return ", ".join(f"{value:.4g}" for value in label)


def task_of(labels: np.ndarray) -> str:
    """What labels as they came ask for.

    Raises
    ------
    DataError
        They are floats, and whole: classes or numbers, nobody can tell.
    """
    none = unlabelled(labels)
    there = labels[~none]
    if labels.ndim == 2:
        if not _hot(there):
            return REGRESS
        return CLASSIFY if bool((there.sum(1) == 1).all()) else MULTILABEL
    if labels.dtype.kind == "f":
        if not (there == np.floor(there)).all():
            return REGRESS
        fix = (
            "they are whole numbers: pass y.astype(int), or task='regression' if numbers are meant"
        )
        raise DataError(
            f"The labels are {labels.dtype} values such as {labels[0]!r}.",
            "classes are whole numbers or names",
            fix,
        )
    if labels.dtype.kind == "O":
        if any(isinstance(label, tuple) for label in there):
            return MULTILABEL
        values = [_number(label) for label in there]
        if (
            values
            and all(value is not None for value in values)
            and any(value != int(value) for value in values if value is not None)
        ):
            return REGRESS
    return CLASSIFY


def as_task(labels: np.ndarray, task: str) -> tuple[np.ndarray, list[Note]]:
    """Labels as they came, as the task needs them; names are numbered later: object arrays of str, or of tuples of str.

    Raises
    ------
    DataError
        They are of another kind.
    """
    return {CLASSIFY: _classes, MULTILABEL: _several, REGRESS: _numbers}[task](labels)


def _classes(labels: np.ndarray) -> tuple[np.ndarray, list[Note]]:
    if labels.ndim == 2:
        if not (_hot(labels) and (labels.sum(1) == 1).all()):
            raise DataError(
                f"The labels have the shape {labels.shape[0]}x{labels.shape[1]} and are not one-hot.",
                "a row with exactly one 1, or one class number a picture, is expected",
                "pass y of shape (N,) with one class a picture, or task='multilabel'",
            )
        return labels.argmax(1).astype(np.int64), [
            Note(
                f"The labels are one-hot: their {labels.shape[1]} columns are taken as the classes."
            )
        ]
    if labels.dtype.kind == "O":
        if several := [label for label in labels if isinstance(label, tuple)]:
            raise DataError(
                "A picture has several labels.",
                f"the first are {', '.join(several[0])}",
                "load with task='multilabel'",
            )
        return np.array(
            [*(None if label is None else str(label) for label in labels), None], object
        )[:-1], []
    if labels.dtype.kind == "f":
        raise DataError(
            f"The labels are {labels.dtype} values such as {labels[0]!r}.",
            "task='classification' takes classes",
            "pass y.astype(int)",
        )
    return labels, []


def _several(labels: np.ndarray) -> tuple[np.ndarray, list[Note]]:
    if labels.ndim == 2:
        known = labels[~unlabelled(labels)]
        if not _hot(known):
            wrong = known[~np.isin(known, (0, 1))][0]
            raise DataError(
                f"The labels hold {wrong:g}.",
                "task='multilabel' takes a 0 or a 1 for each class",
                "pass (y > 0.5).astype(int)",
            )
        return labels.astype(np.float32), [
            Note(
                f"The labels are rows of 0 and 1: each picture may have several of {labels.shape[1]} classes."
            )
        ]
    if labels.dtype.kind != "O":
        fix = "pass rows of 0 and 1, (N, classes), or leave task= out"
        raise DataError(
            f"The labels are {labels.dtype} numbers, one a picture.",
            "task='multilabel' takes several classes a picture",
            fix,
        )
    texts = [label for label in labels if isinstance(label, str)]
    by = r"\s*[|;,]\s*" if any(re.search(r"[|;,]", text) for text in texts) else r"\s+"
    named = [
        label
        if label is None or isinstance(label, tuple)
        else tuple(n for n in re.split(by, str(label).strip()) if n)
        for label in labels
    ]
    out = np.empty(len(named), object)
    out[:] = named
    return out, []


def _numbers(labels: np.ndarray) -> tuple[np.ndarray, list[Note]]:
    if labels.dtype.kind == "O":
        rows = [label if isinstance(label, tuple) else (label,) for label in labels]
        wide = max(len(row) for row in rows)
        out = np.full((len(rows), wide), np.nan, np.float32)
        for place, parts in enumerate(rows):
            if parts == (None,):
                continue
            values = [_number(value) for value in parts]
            if len(parts) != wide or None in values:
                raise DataError(
                    f"The label {labels[place]!r} is no number.",
                    "task='regression' takes numbers",
                    "correct it, or leave task= out",
                )
            out[place] = values
    else:
        out = labels.reshape(len(labels), -1).astype(np.float32)
    if np.isinf(out).any():
        row = int(np.flatnonzero(np.isinf(out).any(1))[0])
        raise DataError(
            f"The target of row {row} is infinite.",
            "its loss would be, too",
            "correct it, or make it nan: then the row is left out",
        )
    return out, []


def _number(label: Any) -> float | None:
    try:
        value = (
            float(label) if isinstance(label, str | Real) and not isinstance(label, bool) else None
        )
    except ValueError:
        return None
    return value if value is not None and np.isfinite(value) else None


def _hot(labels: np.ndarray) -> bool:
    return bool(np.isin(labels, (0, 1)).all())
