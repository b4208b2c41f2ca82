"""Labels: as they came, and as numbers.

Classes are numbered from 0 in the order of their names.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..errors import DataError
from ..events import Note
from .folders.tree import natural, some
from .folders.words import folded, readable
from .tables.name_maps import read_names
from .tables.table import first_file
from .targets import CLASSIFY, REGRESS, UNLABELLED, object_array

SLIP = 0.85  # how much of two names is alike, where one is a slip of the other


def read_labels(values: Any, rows: int) -> ndarray:
    """Bring labels of `rows` pictures to one of the forms that targets.py lists.

    Raises
    ------
    DataError
        Another length or shape, or values that are no labels.
    """
    if isinstance(values, np.ma.MaskedArray):
        hidden, values = np.ma.getmaskarray(values), values.data.astype(object)
        values[hidden] = None
    tensor = hasattr(values, "detach")
    y: ndarray = np.asarray(values.detach().cpu().numpy() if tensor else _array(values))
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 0 or len(y) != rows:
        have = "one label" if y.ndim == 0 else f"{len(y):,} labels"
        fix = "pass X and y of one length, as (X, y)"
        raise DataError(
            f"{rows:,} pictures came with {have}.", "each picture needs exactly one", fix
        )
    kind = y.dtype.kind
    if y.ndim == 2 and kind in "biuf":
        return y.astype(np.float32)
    if y.ndim != 1:
        shape, fix = "x".join(map(str, y.shape)), "pass y of shape (N,) or (N, targets)"
        raise DataError(f"The labels have the shape {shape}.", "one row a picture is expected", fix)
    if kind in "biu":
        return y.astype(np.int64)
    return y if kind == "f" else _of_objects(y)


def _of_objects(y: ndarray) -> ndarray:
    """Bring names, numbers and what is missing, in any mixture, to one form."""
    labels = [None if _is_missing(label) else label for label in y.tolist()]
    known = [label for label in labels if label is not None]
    for label in known:
        if not isinstance(label, str | bytes | tuple | Real):
            raise DataError(
                f"The labels are {y.dtype} values such as {label!r}.",
                "classes are expected: whole numbers or names",
                "pass their names: kit.load((X, [str(label) for label in y]))",
            )
    if known and all(isinstance(label, Real) for label in known):
        if not all(isinstance(label, int) for label in known):
            return np.array([np.nan if label is None else label for label in labels], np.float64)
        if len(known) == len(labels):
            return np.array(labels, np.int64)
    return object_array(map(_as_name, labels))


def _is_missing(label: Any) -> bool:
    """Tell whether a label is None, NaN, pandas' NA or NaT, or blank."""
    if isinstance(label, str | bytes):
        return not label.strip()
    if isinstance(label, float):
        return label != label
    return label is None or type(label).__name__ in ("NAType", "NaTType")


def _as_name(label: Any) -> Any:
    if isinstance(label, bytes):
        return readable(label.decode("utf-8", "surrogateescape"))
    return label if isinstance(label, tuple) or label is None else str(label)


def _array(y: Any) -> ndarray:
    """Make an array; lists of names, of one length or of many, become tuples."""
    if not isinstance(y, list | tuple):
        return np.asarray(y)
    rows = [sorted(label) if isinstance(label, set | frozenset) else label for label in y]
    several = [row for row in rows if isinstance(row, list | tuple)]
    if any(not row or any(isinstance(name, str) for name in row) for row in several):
        names = [row if isinstance(row, list | tuple) else (row,) for row in rows]
        return object_array(tuple(map(str, row)) for row in names)
    named = any(isinstance(row, str | bytes) for row in rows)
    if named:  # numpy writes 'nan' for a number among names
        return object_array(rows)
    try:
        return np.asarray(y)
    except ValueError as err:
        what = "The labels are lists of several lengths."
        fix = "pass one class a picture, or rows of 0 and 1, (N, classes)"
        raise DataError(what, "one number a picture is expected, or as many", fix) from err


def class_names(
    labels: ndarray, classes: Sequence[str] | None, task: str = CLASSIFY
) -> tuple[str, ...]:
    """Name the classes of training labels, or the targets.

    They are `classes` where these are passed, else the names that occur in natural order, else the
    numbers.

    Raises
    ------
    DataError
        A label has no class, or numbers start at 1 or leave gaps and nobody says what they mean.
    """
    if classes is not None:
        names = tuple(map(str, classes))
        for name in names:
            if names.count(name) > 1:
                what = f"class_names= has {name!r} twice."
                raise DataError(what, "each class has one name", "give each its own")
        number(labels, names, "the training data")  # raises if a label is none of them
        return names
    if labels.ndim == 2:
        wide = labels.shape[1]
        if wide == 1:
            return ("value",)
        return tuple(f"{'value ' * (task == REGRESS)}{n}" for n in range(wide))
    if labels.dtype.kind == "O":
        return tuple(sorted(_occurring(labels), key=natural))
    present = np.unique(labels)
    low, high = int(present[0]), int(present[-1])
    if low < 0:
        fix = "leave these pictures out: kit.load((X[y >= 0], y[y >= 0])); or, if it is a class as "
        fix += "the others: kit.load((X, y.astype(str)))"
        raise DataError(f"A label is {low}.", "classes are numbered from 0", fix)
    if len(present) != high + 1:
        gap = next(n for n in range(high + 1) if n not in present)
        missing = f"{high + 1 - len(present):,} of them have no picture"
        raise DataError(
            f"The labels go from {low} to {high}, and none is {gap}.",
            f"{high + 1:,} classes would be trained, and {missing}",
            "take each number that occurs as the name of a class: kit.load((X, y.astype(str))), or "
            f"name all of them: kit.load((X, y), class_names=range({high + 1}))",
        )
    return tuple(map(str, range(high + 1)))


def _occurring(labels: ndarray) -> set[str]:
    """Give the names that occur."""
    groups = [label if isinstance(label, tuple) else (label,) for label in labels]
    return {name for group in groups for name in group} - {None}


def number(
    labels: ndarray,
    classes: Sequence[str],
    where: str,
    lines: Callable[[Sequence[str]], str] = lambda strangers: "",
) -> ndarray:
    """Give labels as int64 positions in `classes`, None as UNLABELLED.

    Several a picture become float32 (N, classes), with nan for None. `lines` gives what to paste
    where some labels are none of the classes.

    Raises
    ------
    DataError
        A label is no class, or its rows are of another width.
    """
    n = len(classes)
    first = ", ".join(classes[:8])
    if labels.ndim == 2:
        if labels.shape[1] == n:
            return labels
        what = f"{where} has {labels.shape[1]} numbers a picture, and there are {n} names."
        raise DataError(what, f"they are {first}", "give one name a column with class_names=")
    if labels.dtype.kind == "O":
        place: dict[Any, int] = {name: position for position, name in enumerate(classes)}
        if strangers := sorted(_occurring(labels) - set(place), key=natural):
            raise DataError(
                f"{where} has the class {some(strangers)}, which is not one of the classes.",
                f"the classes are {first}{' …' if n > 8 else ''}",
                lines(strangers)
                or "correct the name, move these pictures away, or add pictures of that class to "
                "the training split",
            )
        if not any(isinstance(label, tuple) for label in labels):
            place[None] = UNLABELLED
            return np.array([place[label] for label in labels], np.int64)
        hot = np.zeros((len(labels), n), np.float32)
        for row, label in enumerate(labels):
            if label is None:
                hot[row] = np.nan
            else:
                hot[row, [place[name] for name in label]] = 1.0
        return hot
    wrong = labels[(labels < 0) | (labels >= n)]
    if len(wrong):
        low = labels.min()
        fix = "correct the labels"
        if low > 0 and labels.max() - low < n:
            fix = f"pass labels - {low}"
        why = f"there are {n} classes, numbered from 0 to {n - 1}"
        raise DataError(f"{where} has the label {wrong[0]}.", why, fix)
    return labels.astype(np.int64)


def other_names(strangers: Sequence[str], missing: Sequence[str]) -> dict[str, str]:
    """Pair class names that train does not have with those that it has alone.

    One is the other and more words (cat, cat_left), its plural, or a slip of one letter. A name
    that could be of several, or that only a number tells apart, is not paired.
    """
    near = {name: [one for one in missing if _is_form(name, one)] for name in strangers}
    taken = Counter(one for of in near.values() for one in of)
    return {name: of[0] for name, of in near.items() if len(of) == 1 and taken[of[0]] == 1}


def _is_form(one: str, other: str) -> bool:
    short, long = sorted((folded(one), folded(other)), key=len)
    if long.startswith(short):
        return not long[len(short) :][:1].isdigit()
    first, second = (re.sub(r"\d", "", name) for name in (short, long))
    same_numbers = re.findall(r"\d", short) == re.findall(r"\d", long)
    slip = difflib.SequenceMatcher(None, first, second, autojunk=False).ratio() > SLIP
    return same_numbers and slip and short[0] == long[0] and len(long) - len(short) < 2


def display_names(
    names: Any, classes: Sequence[str], root: Path | None
) -> tuple[tuple[str, ...], list[Note]]:
    """Give class folders the names of cat_to_name.json, or of a dict.

    Parameters
    ----------
    names : dict or path; a path may be relative to `root`
    classes : the folders
    root : the source's folder
    """
    if not isinstance(names, Mapping):
        file = first_file(Path(os.path.expanduser(names)), (root or Path()) / names)
        if file is None:
            what, why = f"class_names={str(names)!r} is not there.", "a JSON file was expected"
            raise DataError(what, why, "give its path, or a dict")
        names = read_names(file, classes)
    by_folder = {str(folder): str(name) for folder, name in names.items()}
    shown = tuple(by_folder.get(folder, folder) for folder in classes)
    for name in shown:
        if shown.count(name) > 1:
            what = f"class_names= calls two classes {name!r}."
            raise DataError(
                what, "predictions could not be told apart", "give each class its own name"
            )
    # a folder may have its display name already
    missing = [folder for folder in classes if folder not in {*by_folder, *by_folder.values()}]
    text = f"class_names= has no name for {', '.join(missing[:3])}: the folder's name stays."
    return shown, [Note(text, "warn")] if missing else []
