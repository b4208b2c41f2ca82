"""Which column of a table names the files, and which file each of its rows means."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..folders.tree import some
from .cells import QUANTITIES, words
from .file_names import AMBIGUOUS, ENDINGS, FileNames, split_in, split_words
from .request import LabelRequest
from .structured import BY_NUMBER
from .table import Table

WIDE = 80  # letters of a cell that a sentence shows
SAMPLE = 120  # rows that judge the columns
COUNTERS = frozenset(("", "index", "unnamed: 0", "row", "no", "nr", "number", "#", "level_0"))
FILE_WORDS = ("file", "image", "img", "path", "picture", "photo", "name")


@dataclass(frozen=True)
class Matched:
    """A table, and which of the files each of its rows names.

    header : the columns' names; () if it has none
    of_file : the column that names the files
    columns : their cells, below the header
    rows : for each row below the header the file's number, or None
    hint : the split that the table's own name or folder says
    """

    table: Table
    header: tuple[str, ...]
    of_file: int
    columns: list[list[Any]]
    rows: list[int | None]
    hint: str | None = None

    @cached_property
    def whole(self) -> bool:
        """Tell whether each row names a file."""
        return None not in self.rows

    @cached_property
    def files(self) -> list[int]:
        """Give the numbers of the files, in the order of `cells`."""
        return [row for row in self.rows if row is not None]

    def named(self, column: int) -> str:
        """Name a column as a sentence does."""
        return self.header[column] if self.header and self.header[column] else f"column {column}"

    def number_of(self, name: Any) -> int | None:
        """Give the number of the column of this name; None if there is none."""
        text = str(name).casefold()
        lower = [column.casefold() for column in self.header]
        return lower.index(text) if text in lower else None

    def key(self, column: int) -> str | int:
        """Name a column as label_column= does."""
        name = self.header[column] if self.header else ""
        return name if name and self.header.count(name) == 1 else column

    def cells(self, column: int) -> list[Any]:
        """Give the cells of a column in the rows that name a file."""
        cells = self.columns[column]
        if self.whole:
            return cells
        return [cell for cell, row in zip(cells, self.rows, strict=True) if row is not None]

    def written(self, number: int) -> str:
        """Give the name that row `number` of those that name a file has, without its ending."""
        cell = str(self.cells(self.of_file)[number]).replace("\\", "/").rpartition("/")[2]
        stem, ending = os.path.splitext(cell)
        return stem if ending.lower() in ENDINGS else cell

    @property
    def strangers(self) -> list[str]:
        """Name the files that are not there."""
        if self.whole:
            return []
        pairs = zip(self.columns[self.of_file], self.rows, strict=True)
        return [str(cell) for cell, row in pairs if row is None]


def match(table: Table, names: FileNames, request: LabelRequest, *, shown: str = "") -> Matched:
    """Find the column that names the files, and the file of each row.

    Parameters
    ----------
    shown : the table as labels= names it, for lines to paste

    Raises
    ------
    DataError
        No column names files, two columns name other files, or a name means several files.
    """
    folder = _folder(table.path, names)
    hint = _hint(table.path, folder)
    if table.header and table.header[0] == BY_NUMBER:
        return _by_number(table, table.header, names)
    of_file = _file_column(table, names, request, folder, hint, shown)
    has_header = table.header is not None or _is_header(table, names, of_file)
    start = int(table.header is None and has_header)
    body = table.rows[start:] if start else table.rows
    columns = [[row[number] for row in body] for number in range(table.width)]
    header = tuple(name.strip() for name in table.first) if has_header else ()
    cells = columns[of_file]
    rows = names.rows_of(cells, folder=folder, hint=hint)
    if AMBIGUOUS in rows:
        raise ambiguous(str(table.path), str(cells[rows.index(AMBIGUOUS)]), names, request)
    return Matched(table, header, of_file, columns, rows, hint)


def _by_number(table: Table, header: tuple[str, ...], names: FileNames) -> Matched:
    """Match a list that says a picture's number, as its name has it."""
    columns = [[row[number] for row in table.rows] for number in range(table.width)]
    rows = [names.numbered.get(cell) for cell in columns[0]]
    if None in rows or header[1] != "split" and len(rows) < len(names):
        what = f"{table.path} says something of {len(rows):,} pictures by their numbers."
        why = f"{names.root} does not hold as many pictures, whose names count from 1"
        raise DataError(what, why, "give a table that says the names of files")
    return Matched(table, header, 0, columns, rows)


def joined(main: Matched, others: Sequence[Matched]) -> Matched:
    """Put the rows of tables with the same columns below each other."""
    if not others:
        return main
    table, columns, rows = main.table, list(map(list, main.columns)), list(main.rows)
    lines, too_long = list(table.rows), set(table.too_long)
    for other in others:
        start = len(other.table.rows) - len(other.rows)
        too_long |= {len(lines) + n - start for n in other.table.too_long if n >= start}
        lines += other.table.rows[start:]
        rows += other.rows
        for mine, theirs in zip(columns, other.columns, strict=True):
            mine += theirs
    table = replace(table, rows=lines, too_long=frozenset(too_long))
    return replace(main, table=table, columns=list(columns), rows=rows)


def column_number(
    table: Table, header: Sequence[str], request: LabelRequest, word: str, *, but: int | None = None
) -> int:
    """Read file_column= or label_column=: a name, or a number from 0.

    Parameters
    ----------
    but : a column that is not meant

    Raises
    ------
    DataError
        The table has no such column.
    """
    column, width = getattr(request, word), table.width
    if isinstance(column, int) and not isinstance(column, bool) and -width <= column < width:
        return column % width
    lower = [name.strip().casefold() for name in header]
    text = str(column).strip()
    if text in header:
        return list(header).index(text)
    if text.casefold() in lower:
        return lower.index(text.casefold())
    names = ", ".join(repr(name) for name in header) or f"without names, 0 to {width - 1}"
    what, why = f"{table.path} has no column {column!r}.", f"its columns are {names}"
    keys: list[Any] = [key for n, key in enumerate(header or range(width)) if n != but]
    near = difflib.get_close_matches(text.casefold(), map(str, keys), 3)
    keys = [key for key in keys if key in near] or keys
    lines = [request.line(**{word: key}) for key in keys[:6]]
    raise DataError(what, why, ", or ".join(lines))


def _folder(path: Path, names: FileNames) -> str:
    """Give the folder of a table below the root of the files; "" where it is none of them."""
    parent, base = os.path.abspath(path.parent), names.base
    if not parent.startswith(base + os.sep):
        return ""
    return parent[len(base) + 1 :].replace(os.sep, "/")


def _hint(path: Path, folder: str) -> str | None:
    if split := split_in(path.stem):
        return split
    if split_words(path.stem):
        return None
    return next((split for part in reversed(folder.split("/")) if (split := split_in(part))), None)


def _file_column(
    table: Table,
    names: FileNames,
    request: LabelRequest,
    folder: str,
    hint: str | None,
    shown: str,
) -> int:
    if request.file_column is not None:
        return column_number(table, table.first, request, "file_column")
    if len(whole := _whole_names(table, names)) == 1:
        return whole[0]
    step = max(1, len(table.rows) // SAMPLE)
    sample = table.rows[1::step] or table.rows
    hits = _hits(sample, names, folder, hint, exact=True)
    if max(hits) < len(sample):
        hits = _hits(sample, names, folder, hint)
    if not any(hits) and step > 1:
        hits = _hits(table.rows, names, folder, hint)
    best = max(hits)
    if not best:
        raise _stranger(table, names, request)
    ranks = {
        column: (*_likeness(table, column), many)
        for column, many in enumerate(hits)
        if many * 2 >= best
    }
    first = max(ranks.values())
    columns = [column for column, rank in ranks.items() if rank[:2] == first[:2]]
    if len(columns) > 1 and first[0] == 0 and _differ(table, columns, names, folder, hint):
        # two columns of bare numbers, each of which names files
        lines = [
            request.line(labels=shown, file_column=table.first[column] or column)
            for column in columns
        ]
        named = some([repr(table.first[column] or column) for column in columns])
        what = f"{table.path} has several columns that could name the files: {named}."
        raise DataError(what, "each holds numbers that are files' names", ", or ".join(lines))
    return max(ranks, key=lambda column: (ranks[column], -column))


def _whole_names(table: Table, names: FileNames) -> list[int]:
    """List the columns whose cells are names as they stand, by a sample of the rows."""
    step = max(1, len(table.rows) // SAMPLE)
    sample = table.rows[1::step] or table.rows
    for form in map(names.form, ("whole", "bare")):
        found = [n for n in range(table.width) if all(row[n] in form for row in sample)]
        if found:
            return found
    return []


def _hits(
    rows: Sequence[Sequence[Any]],
    names: FileNames,
    folder: str,
    hint: str | None,
    *,
    exact: bool = False,
) -> list[int]:
    """Count the different files that each column names."""
    find = partial(names.find, folder=folder, hint=hint, exact=exact)
    return [len(set(map(find, cells)) - {None}) for cells in map(set, zip(*rows, strict=True))]


def _likeness(table: Table, column: int) -> tuple[int, int]:
    """Say how much a column looks like names of files: by its cells, and by what it is called."""
    step = max(1, len(table.rows) // SAMPLE)
    cells = [str(row[column]) for row in table.rows[1::step] or table.rows]
    endings = sum(os.path.splitext(cell)[1].lower() in ENDINGS for cell in cells)
    folders = sum("/" in cell or "\\" in cell for cell in cells)
    like = 1
    if endings * 2 > len(cells) or folders * 2 > len(cells):
        like = 3 if folders * 2 > len(cells) else 2
    elif all(cell.isdigit() for cell in cells):
        like = 0
    name = table.first[column].strip().casefold()
    called = 1
    if name in COUNTERS or like == 0 and words(table.first[column]) & QUANTITIES:
        called = -1
    elif any(word in name for word in FILE_WORDS):
        called = 2
    elif name == "id" or like == 0:  # of bare numbers id may be the files as well as another one
        called = 0
    return like, called


def _differ(
    table: Table, columns: Sequence[int], names: FileNames, folder: str, hint: str | None
) -> bool:
    found = [
        names.rows_of([row[column] for row in table.rows[1:]], folder=folder, hint=hint)
        for column in columns
    ]
    return any(rows != found[0] for rows in found)


def _is_header(table: Table, names: FileNames, of_file: int) -> bool:
    """Tell whether the first row names the columns: its cell in the files' column is no file's."""
    cell = str(table.rows[0][of_file])
    looks = cell.isdigit() or os.path.splitext(cell)[1].lower() in ENDINGS
    if len(table.rows) < 2 or looks:
        return False
    return of_file in _whole_names(table, names) or names.find(cell, exact=True) is None


def ambiguous(where: str, name: str, names: FileNames, request: LabelRequest) -> DataError:
    """Say that a name means several files, with a line for each folder that has one of them."""
    rows = names.groups.get(Path(name).name) or names.groups.get(Path(name).stem) or []
    which = [names.whole[row] for row in rows]
    what = f"{where} names {name}, which means several files."
    folders = list(dict.fromkeys(path.split("/")[0] for path in which if "/" in path))
    fix = "write its folder too"
    if len(folders) > 1 and isinstance(request.source, str | os.PathLike):
        sources = [os.path.join(request.source, folder) for folder in folders[:4]]
        lines = [replace(request, source=source).line() for source in sources]
        fix += f", or take one folder alone: {', or '.join(lines)}"
    return DataError(what, f"in {names.root} these have this name: {some(which)}", fix)


def _stranger(table: Table, names: FileNames, request: LabelRequest) -> DataError:
    if len(table.rows) == 1:
        what, why = f"{table.path} has a single row.", f"it is {some(_clipped(table.rows[0]))}"
        return DataError(what, why, "write a row for each picture: its file and its label")
    step = max(1, len(table.rows) // 3)
    rows = table.rows[1::step][:3]
    distinct = [len(set(cells)) for cells in zip(*table.rows, strict=True)]
    likely = max(range(table.width), key=lambda n: (_likeness(table, n)[0], distinct[n]))
    return no_file(table.path, [str(row[likely]) for row in rows], names, request)


def no_file(
    where: Path | str, given: Sequence[str], names: FileNames, request: LabelRequest
) -> DataError:
    """Say that a table or a dict names none of the files."""
    fix = "write the names as they are in the folder (folders and endings may be left out)"
    if request.labels is not None and names.in_classes:
        line = request.line(labels=None, label_column=None, file_column=None)
        fix = f"for the folders' names: {line}; else {fix}"
    return DataError(
        f"No file that {where} names is in {names.root}.",
        f"it names {some(_clipped(given)) or 'nothing'}; the folder holds {some(names.whole)}",
        fix,
    )


def _clipped(cells: Sequence[Any]) -> list[str]:
    """Give the starts of cells, for a sentence."""
    return [text if len(text := str(cell)) <= WIDE else f"{text[: WIDE - 1]}…" for cell in cells]
