"""Labels: as they came, as a table beside the pictures says them, and as numbers.

Classes are numbered from 0 in the order of their names.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..colab.reading import cannot_read, is_folder, there
from ..errors import DataError
from ..events import Note
from .folders import counted, natural, some
from .targets import CLASSIFY, REGRESS, UNLABELLED, object_array, with_row

LABEL_COLUMNS = tuple("label labels class class_name category target species breed y".split())
AMBIGUOUS = -1

Labels = str | os.PathLike[str] | Mapping[Any, Any] | Callable[[Path], Any]


def read_labels(values: Any, rows: int) -> ndarray:
    """Bring labels of `rows` pictures to one of the forms that targets.py lists.

    Raises
    ------
    DataError
        Another length or shape, or values that are no labels.
    """
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
    if kind in "biu" or kind == "O" and all(isinstance(label, int | np.integer) for label in y):
        return y.astype(np.int64)
    if kind == "f":
        return y
    if kind in "US" or kind == "O" and all(isinstance(label, str | tuple) for label in y):
        return object_array(_as_name(label) for label in y)
    raise DataError(
        f"The labels are {y.dtype} values such as {y[0]!r}.",
        "classes are expected: whole numbers or names",
        "pass class numbers 0, 1, 2 …, class names, or float targets",
    )


def _as_name(label: Any) -> Any:
    if isinstance(label, bytes):
        return label.decode()
    return label if isinstance(label, tuple) else str(label)


def _array(y: Any) -> ndarray:
    """Make an array; lists of names, of one length or of many, become tuples."""
    if not isinstance(y, list | tuple):
        return np.asarray(y)
    rows = [sorted(label) if isinstance(label, set | frozenset) else label for label in y]
    several = [row for row in rows if isinstance(row, list | tuple)]
    if any(not row or any(isinstance(name, str) for name in row) for row in several):
        names = [row if isinstance(row, list | tuple) else (row,) for row in rows]
        return object_array(tuple(map(str, row)) for row in names)
    return np.asarray(y)


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
        fix = "leave these pictures out, or number their class"
        raise DataError(f"A label is {low}.", "classes are numbered from 0", fix)
    if low == 1 and len(present) == high:
        what = f"The labels go from 1 to {high}."
        raise DataError(what, "classes are numbered from 0", "pass labels - 1")
    if len(present) != high + 1:
        gap = next(n for n in range(high + 1) if n not in present)
        missing = f"{high + 1 - len(present):,} of them have no picture"
        raise DataError(
            f"The labels go from {low} to {high}, and none is {gap}.",
            f"{high + 1:,} classes would be trained, and {missing}",
            "pass np.unique(labels, return_inverse=True)[1], or say with class_names= how many "
            "there are and how they are called",
        )
    return tuple(map(str, range(high + 1)))


def _occurring(labels: ndarray) -> set[str]:
    """Give the names that occur."""
    groups = [label if isinstance(label, tuple) else (label,) for label in labels]
    return {name for group in groups for name in group} - {None}


def number(labels: ndarray, classes: Sequence[str], where: str) -> ndarray:
    """Give labels as int64 positions in `classes`, None as UNLABELLED.

    Several a picture become float32 (N, classes), with nan for None.

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
                "correct the name, move these pictures away, or add pictures of that class to the "
                "training split",
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
        names = _read_names(names, root or Path())
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


def _read_names(path: str | os.PathLike[str], root: Path) -> dict[str, Any]:
    example = '{"21": "fire lily", …}'
    file = _first_file(Path(path).expanduser(), root / path)
    if file is None:
        what, why = f"class_names={str(path)!r} is not there.", "a JSON file of names was expected"
        raise DataError(what, why, "give its path, or a dict")
    try:
        names = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as err:
        raise DataError(f"{file} is no JSON file.", str(err), f"it should hold {example}") from err
    except OSError as err:
        raise _unreadable(file, err, "a JSON file") from err
    if not isinstance(names, dict):
        why = "a name for each folder is expected"
        raise DataError(f"{file} holds a {type(names).__name__}.", why, f"write {example}")
    return names


def look_up(labels: Labels, paths: Sequence[Path], root: Path) -> tuple[list[Any], list[Note]]:
    """Give the label of each file, None where there is none.

    Parameters
    ----------
    labels : a CSV file (comma, semicolon or tab, with a header or without), {file: label}, or
        callable(path) Files are named relative to `root`, with folders or without, with ending or
        without.
    paths : the pictures, in `root`
    root : their folder

    Raises
    ------
    DataError
        The CSV's columns cannot be told apart, a name means several files, or no name means any.
    """
    if callable(labels):
        return [_called(labels, path) for path in paths], []
    names = _Names(paths, root)
    if isinstance(labels, Mapping):
        return _match(list(labels.items()), names, paths, "labels=")
    if not isinstance(labels, str | os.PathLike):
        raise DataError(
            f"labels= is a {type(labels).__name__}.",
            "the order of the files in a folder is not known to you",
            'pass {"cat1.jpg": "cat", …}, the path of a CSV file, or a function of the path',
        )
    table = _first_file(Path(labels).expanduser(), root / labels, root.parent / labels)
    if table is None:
        what, why = f"labels={str(labels)!r} is not there.", f"it is neither here nor in {root}"
        raise DataError(what, why, "give the path of the CSV file")
    return _match(_read_table(table, names), names, paths, str(table))


def _called(labels: Callable[[Path], Any], path: Path) -> Any:
    try:
        return labels(path)
    except Exception as err:
        name = getattr(labels, "__name__", "labels")
        why = f"{name} raised {type(err).__name__}: {err}"
        fix = "let it return None for files that have no label"
        raise DataError(f"labels= failed on {path}.", why, fix) from err


class _Names:
    """Find files by the whole relative path, or by its last parts if only one file has them.

    The ending may be left out.
    """

    def __init__(self, paths: Sequence[Path], root: Path) -> None:
        self.root = root
        self.rows: dict[str, int] = {}
        whole = {}
        for row, path in enumerate(paths):
            parts = Path(os.path.relpath(path, root)).parts
            for start in range(len(parts)):
                tail = "/".join(parts[start:])
                for key in {tail, os.path.splitext(tail)[0]}:
                    earlier = self.rows.setdefault(key, row)
                    self.rows[key] = row if earlier == row else AMBIGUOUS
            whole["/".join(parts)] = row
        self.rows.update(whole)

    def find(self, name: Any) -> int | None:
        """Give the row of this name, AMBIGUOUS if several files have it, None if none has."""
        text = os.fspath(name) if isinstance(name, os.PathLike) else str(name)
        if os.path.isabs(text):
            text = os.path.relpath(text, self.root)
        parts = text.strip().replace("\\", "/").split("/")
        parts = [part for part in parts if part not in (".", "")]
        for start in range(len(parts)):  # the table may name folders above this one
            if (row := self.rows.get("/".join(parts[start:]))) is not None:
                return row
        return None


def _match(
    pairs: list[tuple[Any, Any]], names: _Names, paths: Sequence[Path], where: str
) -> tuple[list[Any], list[Note]]:
    strangers, root = list[str](), names.root
    out: list[Any] = [None] * len(paths)
    for name, label in pairs:
        row = names.find(name)
        if row is None:
            strangers.append(str(name))
        elif row == AMBIGUOUS:
            what = f"{where} names {name}, which means several files."
            raise DataError(what, f"in {root} several files have this name", "write its folder too")
        else:
            out[row] = with_row(out[row], label, str(name))
    if len(strangers) == len(pairs):
        folder = f"the folder holds {', '.join(path.name for path in paths[:3])}"
        raise DataError(
            f"No file that {where} names is in {root}.",
            f"it names {', '.join(strangers[:3]) or 'nothing'}; {folder}",
            "write the names as they are in the folder (folders and endings may be left out)",
        )
    text = f"{counted(len(strangers), 'file')} named by {where} and not found in {root}"
    return out, [Note(f"{text} ({some(strangers)}).", "warn")] if strangers else []


def _first_file(*paths: Path) -> Path | None:
    """Give the first of them that is a file.

    Raises
    ------
    DriveError
        It is not known: one of them lies on a Drive that is dead.
    """
    for path in paths:
        try:
            if there(path) and not is_folder(path):
                return path
        except OSError as err:
            raise cannot_read(path, err) from err
    return None


def _read_table(table: Path, names: _Names) -> list[tuple[str, str]]:
    """Read the (file, label) pairs of a CSV."""
    try:
        text = table.read_bytes().decode("utf-8-sig", "replace")
    except OSError as err:
        raise _unreadable(table, err, "a CSV file") from err
    first = text.partition("\n")[0]
    lines = csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    rows = [[cell.strip() for cell in line] for line in lines if "".join(line).strip()]
    width = max(map(len, rows), default=0)
    if width < 2:
        why = f"its first line is {first[:80]!r}"
        fix = "write a file name and a label in each row"
        raise DataError(f"{table} has no two columns.", why, fix)
    rows = [row + [""] * (width - len(row)) for row in rows]
    # the files' column names the most different files, not rows
    hits = [
        len({names.find(name) for name in column} - {None}) for column in zip(*rows, strict=True)
    ]
    of_file = hits.index(max(hits))
    has_header = len(rows) > 1 and names.find(rows[0][of_file]) is None
    of_label = _label_column(table, rows[0] if has_header else [], width, of_file)
    return [(row[of_file], row[of_label]) for row in rows[has_header:] if row[of_label]]


def _label_column(table: Path, header: list[str], width: int, of_file: int) -> int:
    if width == 2:
        return 1 - of_file
    lower = [name.lower() for name in header]
    for name in LABEL_COLUMNS:
        if name in lower and lower.index(name) != of_file:
            return lower.index(name)
    raise DataError(
        f"{table} has {width} columns, and none is called {', '.join(LABEL_COLUMNS[:4])} …",
        f"its columns are {', '.join(header) or 'without names'}",
        "rename the label's column to label, or pass labels={file: label}",
    )


def _unreadable(file: Path, err: OSError, kind: str) -> DataError:
    why = err.strerror or str(err)
    return DataError(f"{file} cannot be read.", why, f"give {kind} that can be read")
