"""Labels of picture files: from a table, a dict or a function to each file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..events import Note
from .folders import Listing, counted, some
from .tables import Table, first_file, read_table

LABEL_COLUMNS = tuple("label labels class class_name category target species breed y".split())
AMBIGUOUS = -1

Labels = str | os.PathLike[str] | Mapping[Any, Any] | Callable[[Path], Any]


@dataclass(frozen=True)
class LabelRequest:
    """What a user says of labels; None where nothing was said.

    labels : the path of a table, {file: label}, or callable(path)
    label_column, file_column : names of a table's columns, or their numbers from 0
    group : a column, {file: group}, or callable(path): pictures of one group stay on one side
    task : classification, multilabel or regression
    """

    labels: Labels | None = None
    label_column: Any = None
    file_column: Any = None
    group: Any = None
    task: str | None = None


def label_files(listing: Listing, request: LabelRequest) -> Listing:
    """Give the listing with the labels, splits and groups that tables say.

    Without labels=, the folders' names are the labels.

    Raises
    ------
    DataError
        The table's columns cannot be told apart, a name means several files, or no name means any.
    """
    if request.labels is None:
        return listing
    paths = [file.path for files in listing.splits.values() for file in files]
    values, notes = look_up(request.labels, paths, listing.root)
    by_path = dict(zip(paths, map(_as_label, values), strict=True))
    splits = {
        split: [replace(file, label=by_path[file.path]) for file in files]
        for split, files in listing.splits.items()
    }
    return replace(listing, splits=splits, notes=(*notes, *listing.notes), label_notes=())


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
    table = first_file(Path(labels).expanduser(), root / labels, root.parent / labels)
    if table is None:
        what, why = f"labels={str(labels)!r} is not there.", f"it is neither here nor in {root}"
        raise DataError(what, why, "give the path of the CSV file")
    return _match(_pairs(read_table(table), names), names, paths, str(table))


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
        elif out[row] is not None and out[row] != label:
            what = f"{where} gives {name} two labels: {out[row]} and {label}."
            raise DataError(what, "a picture has one class here", "keep one of the two rows")
        else:
            out[row] = label
    if len(strangers) == len(pairs):
        folder = f"the folder holds {', '.join(path.name for path in paths[:3])}"
        raise DataError(
            f"No file that {where} names is in {root}.",
            f"it names {', '.join(strangers[:3]) or 'nothing'}; {folder}",
            "write the names as they are in the folder (folders and endings may be left out)",
        )
    text = f"{counted(len(strangers), 'file')} named by {where} and not found in {root}"
    return out, [Note(f"{text} ({some(strangers)}).", "warn")] if strangers else []


def _pairs(table: Table, names: _Names) -> list[tuple[str, str]]:
    """Give the (file, label) pairs of a table."""
    rows, width = table.rows, len(table.rows[0])
    # the files' column names the most different files, not rows
    hits = [
        len({names.find(name) for name in column} - {None}) for column in zip(*rows, strict=True)
    ]
    of_file = hits.index(max(hits))
    has_header = len(rows) > 1 and names.find(rows[0][of_file]) is None
    of_label = _label_column(table.path, rows[0] if has_header else [], width, of_file)
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


def _as_label(label: Any) -> Any:
    """Give a table's label as a name, a float, or a tuple of several."""
    if isinstance(label, set | frozenset):
        label = sorted(label)
    if isinstance(label, list | tuple | np.ndarray):
        return tuple(value if isinstance(value, float) else str(value) for value in label)
    return label if label is None or isinstance(label, float) else str(label)
