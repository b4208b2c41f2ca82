"""Labels told beside the pictures: a CSV file, a dict of file names, or a function of the path."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..colab.reading import cannot_read, is_folder, there
from ..errors import DataError
from ..events import Note
from .folders import counted, some

LABEL_COLUMNS = (
    "label",
    "labels",
    "class",
    "class_name",
    "category",
    "target",
    "species",
    "breed",
    "y",
)
AMBIGUOUS = -1

Labels = str | os.PathLike[str] | Mapping[Any, Any] | Callable[[Path], Any]


def look_up(labels: Labels, paths: Sequence[Path], root: Path) -> tuple[list[Any], list[Note]]:
    """The label of each file, None where there is none.

    Parameters
    ----------
    labels : a CSV file (comma, semicolon or tab, with a header or without), {file: label}, or callable(path) -> label
        Files are named relative to `root`, with folders or without, with ending or without.
    paths : the pictures, in `root`

    Raises
    ------
    DataError
        The CSV's columns cannot be told apart, a name means several files, or no name means any.
    """
    if callable(labels):
        return _asked(labels, paths), []
    if isinstance(labels, Mapping):
        return _matched(list(labels.items()), paths, root, "labels=")
    if not isinstance(labels, str | os.PathLike):
        raise DataError(
            f"labels= is a {type(labels).__name__}.",
            "the order of the files in a folder is not yours to know",
            'pass {"cat1.jpg": "cat", …}, the path of a CSV file, or a function of the path',
        )
    table = _find(Path(labels), root)
    return _matched(_read(table, _Names(paths, root)), paths, root, str(table))


def _asked(labels: Callable[[Path], Any], paths: Sequence[Path]) -> list[Any]:
    out = []
    for path in paths:
        try:
            out.append(labels(path))
        except Exception as err:
            name = getattr(labels, "__name__", "labels")
            raise DataError(
                f"labels= failed on {path}.",
                f"{name} raised {type(err).__name__}: {err}",
                "let it return None for files that have no label",
            ) from err
    return out


class _Names:
    """Find files by name: the whole relative path, or its last parts if only one file has them; with ending or without."""

    def __init__(self, paths: Sequence[Path], root: Path) -> None:
        self.root = root
        self.rows: dict[str, int] = {}
        whole = {}
        for row, path in enumerate(paths):
            parts = Path(os.path.relpath(path, root)).parts
            for start in range(len(parts)):
                tail = "/".join(parts[start:])
                for key in {tail, os.path.splitext(tail)[0]}:
                    known = self.rows.setdefault(key, row)
                    self.rows[key] = row if known == row else AMBIGUOUS
            whole["/".join(parts)] = row
        self.rows.update(whole)

    def find(self, name: Any) -> int | None:
        """The row of this name, AMBIGUOUS if several files have it, None if none has."""
        text = os.fspath(name) if isinstance(name, os.PathLike) else str(name)
        if os.path.isabs(text):
            text = os.path.relpath(text, self.root)
        parts = [
            part for part in text.strip().replace("\\", "/").split("/") if part not in (".", "")
        ]
        for start in range(len(parts)):  # the table may name folders above the one that was given
            if (row := self.rows.get("/".join(parts[start:]))) is not None:
                return row
        return None


def _matched(
    pairs: list[tuple[Any, Any]], paths: Sequence[Path], root: Path, where: str
) -> tuple[list[Any], list[Note]]:
    names, strangers = _Names(paths, root), []
    out: list[Any] = [None] * len(paths)
    for name, label in pairs:
        row = names.find(name)
        if row is None:
            strangers.append(str(name))
        elif row == AMBIGUOUS:
            why = f"in {root} more than one is called so"
            raise DataError(
                f"{where} names {name}, which means several files.", why, "write its folder too"
            )
        elif out[row] is not None and out[row] != label:
            raise DataError(
                f"{where} gives {name} two labels: {out[row]} and {label}.",
                "a picture has one class here",
                "keep one of the two rows",
            )
        else:
            out[row] = label
    if len(strangers) == len(pairs):
        raise DataError(
            f"No file that {where} names is in {root}.",
            f"it names {', '.join(strangers[:3]) or 'nothing'}; the folder holds {', '.join(path.name for path in paths[:3])}",
            "write the names as they are in the folder (folders and endings may be left out)",
        )
    text = f"{counted(len(strangers), 'file')} named by {where} and not found in {root} ({some(strangers)})."
    return out, [Note(text, "warn")] if strangers else []


def _find(table: Path, root: Path) -> Path:
    if (found := first_file(table.expanduser(), root / table, root.parent / table)) is None:
        raise DataError(
            f"labels={str(table)!r} is not there.",
            f"it is neither here nor in {root}",
            "give the path of the CSV file",
        )
    return found


def first_file(*paths: Path) -> Path | None:
    """The first of them that is a file.

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


def _read(table: Path, names: _Names) -> list[tuple[str, str]]:
    """The (file, label) pairs of a CSV."""
    try:
        text = table.read_bytes().decode("utf-8-sig", "replace")
    except OSError as err:
        raise DataError(
            f"{table} cannot be read.", str(err.strerror or err), "give a CSV file that can be read"
        ) from err
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(text.splitlines(), delimiter=delimiter)
        if "".join(row).strip()
    ]
    width = max((len(row) for row in rows), default=0)
    rows = [row + [""] * (width - len(row)) for row in rows]
    if not rows or width < 2:
        raise DataError(
            f"{table} has no two columns.",
            f"its first line is {first[:80]!r}",
            "write a file name and a label in each row",
        )
    hits = [
        len({names.find(row[column]) for row in rows} - {None}) for column in range(width)
    ]  # different files, not rows
    of_file = hits.index(max(hits))
    has_header = len(rows) > 1 and names.find(rows[0][of_file]) is None
    of_label = _label_column(table, rows[0] if has_header else [], width, of_file)
    return [(row[of_file], row[of_label]) for row in rows[has_header:] if row[of_label]]


def _label_column(table: Path, header: list[str], width: int, of_file: int) -> int:
    others = [column for column in range(width) if column != of_file]
    if len(others) == 1:
        return others[0]
    lower = [name.lower() for name in header]
    for name in LABEL_COLUMNS:
        if name in lower and lower.index(name) != of_file:
            return lower.index(name)
    raise DataError(
        f"{table} has {width} columns, and none is called {', '.join(LABEL_COLUMNS[:4])} …",
        f"its columns are {', '.join(header) or 'without names'}",
        "rename the label's column to label, or pass labels={file: label}",
    )
