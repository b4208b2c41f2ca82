"""Pictures as numbers in a table: a column for each pixel, or one of pixel strings (FER2013).

A table of numbers is pictures only where its columns are called or counted as pixels and fill a
square, or three; any other wide table is refused with a line for each reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy import ndarray

from ...errors import DataError
from ..folders.tree import some
from ..folders.words import TOLD, split_of, told_apart
from ..sources import Parts
from ..tables.column_kinds import LABEL_COLUMNS
from ..targets import object_array
from . import emnist
from .pairing import as_parts, last_split, square
from .place import check_kind, damaged, files, line, one_of, pictures_in, unreadable, words_of

WIDE = 64  # columns of numbers that make a table wide
ILLUSTRATIONS = 3  # pictures beside a table that show what it is about
LONGEST = 1 << 24  # characters of a row
_IDS = frozenset(("", "id", "index", "row_id", "image_id", "imageid", "unnamed: 0"))
_USAGES = frozenset(("usage", "split", "set", "subset"))
_PIXEL = re.compile(r"(?:pixels?|pix|px|p)?[ _.-]?(\d+)|(\d+)x(\d+)")
_STRING = re.compile(r"\d{1,3}( \d{1,3}){63,}")


@dataclass(frozen=True)
class Table:
    """A table of pixels, as its first two rows show it.

    columns : their names; their numbers where the table has no header
    header : rows to pass over
    pixels : the columns of pixels, one where it holds strings; () where nothing calls them so
    shape : of a picture: (S, S) or (S, S, 3); () where no square is filled
    label, usage : their columns, or None
    others : columns that say nothing of this
    """

    path: Path
    comma: str
    columns: tuple[str, ...]
    header: int
    pixels: tuple[int, ...]
    shape: tuple[int, ...]
    label: int | None
    usage: int | None
    others: tuple[int, ...]

    @property
    def strings(self) -> bool:
        return len(self.pixels) == 1

    @property
    def words(self) -> list[str]:
        return words_of(self.path.stem)

    @property
    def rest(self) -> tuple[str, ...]:
        return tuple(word for word in self.words if not split_of(word))


class _Cut(ValueError):
    """A row has another number of columns."""


def sees(path: Path) -> bool:
    """Tell whether it is a wide table of numbers, or a folder of such without pictures."""
    if not any(_look(file) for file in _files(path)):
        return False
    return path.is_file() or not pictures_in(path, ILLUSTRATIONS)


def read(path: Path) -> Parts:
    """Read the pictures of a table, or of a folder's train.csv and test.csv.

    Raises
    ------
    DataError
        A table is damaged, holds more than one set, or may hold numbers that are no pixels.
    """
    lying = _files(path)
    for file in lying:
        check_kind(file, text=True)
        if _look(file) is None and _names_pixels(file):
            raise damaged(file, "its first rows are cut")
    tables = [table for file in lying if (table := _look(file))]
    if not tables:
        raise DataError(f"{path} holds no pixels.", "no row is wide enough", "give another file")
    chosen = _chosen(path, tables)
    pairs, said = dict[str, tuple[ndarray, ndarray | None]](), list[str]()
    for split, table in chosen.items():
        if not table.shape:
            raise _numbers_only(table)
        x, y, usages = _read(table)
        if usages is None:
            pairs[split] = x, y
        else:
            pairs |= _by_usage(table, x, y, usages)
        said += [_said(table, split if usages is None else "each split by its usage", x)]
    if pairs["train"][1] is None and path.is_dir():  # a lone file may be a test split
        raise _no_labels(chosen["train"])
    if left := [file.name for file in lying if file not in [t.path for t in chosen.values()]]:
        said.append(f"{some(left)} left out.")
    return as_parts(path, pairs, said, emnist.class_names(chosen["train"].path) or None)


def _files(path: Path) -> list[Path]:
    return files(path, lambda file: file.suffix.lower() in (".csv", ".tsv"))


def _chosen(path: Path, tables: Sequence[Table]) -> dict[str, Table]:
    """Give the table of each split."""
    if path.is_file():
        return {"train": tables[0]}
    sets: dict[tuple[str, ...], dict[str, Table]] = {}
    for table in tables:
        split = last_split(table.words)
        if table.usage is None or split is None:
            sets.setdefault(table.rest, {})[split or "train"] = table
        else:
            sets.setdefault((*table.rest, split), {})["train"] = table
    named = [of for of in sets.values() if "train" in of and last_split(of["train"].words)]
    trained = named or [of for of in sets.values() if "train" in of]
    if len(trained) == 1:
        return {split: trained[0][split] for split in TOLD if split in trained[0]}
    lines = [
        line({split: repr(str(table.path)) for split, table in of.items()})
        for of in trained or sets.values()
    ]
    held = some([table.path.name for table in tables])
    if trained:
        raise DataError(f"{path} holds more than one set of pixels.", held, one_of(lines))
    lines = [line(repr(str(table.path))) for table in tables]
    raise DataError(f"{path} holds no training pictures.", held, one_of(lines))


def _look(path: Path) -> Table | None:
    """Look at the first rows of a table; None where it is not wide."""
    first, second = _rows(path)
    comma = max(",;\t", key=first.count)
    names = [name.strip().strip("\"'").strip() for name in first.split(comma)]
    cells = [cell.strip().strip("\"'") for cell in second.strip("\r\n").split(comma)]
    if len(names) < 2 and not _STRING.fullmatch(cells[0]):
        return None
    low = [name.lower() for name in names]
    strings = [n for n, cell in enumerate(cells) if _STRING.fullmatch(cell)]
    if len(strings) == 1 and len(cells) == len(names):
        return _table(path, comma, names, 1, tuple(strings), len(cells[strings[0]].split()))
    indexed = low == [str(n) for n in range(len(low))]
    if len(names) > WIDE and all(map(_is_number, names)) and not indexed:
        return _bare(path, comma, len(names))
    if len(names) < WIDE or sum(map(_is_number, cells)) < WIDE:
        return None
    pixels = _pixels(low)
    return _table(path, comma, names, 1, pixels, len(pixels))


def _rows(path: Path) -> tuple[str, str]:
    """Give the first two rows."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.readline(LONGEST).strip("\r\n"), file.readline(LONGEST)
    except OSError:
        return "", ""


def _names_pixels(path: Path) -> bool:
    """Tell whether a header names pixels."""
    names = re.split(r"[,;\t]", _rows(path)[0].lower())
    return any(re.fullmatch(r"pixels?\d*", name.strip(" \"'")) for name in names)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _pixels(names: Sequence[str]) -> tuple[int, ...]:
    """Give the columns that are called as pixels are, in order; () where their order is another."""
    found = [(n, match) for n, name in enumerate(names) if (match := _PIXEL.fullmatch(name))]
    if all(match[1] for _, match in found):
        numbers = [int(match[1]) for _, match in found]
        whole = numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else False
        return tuple(n for n, _ in found) if whole and numbers[0] < 2 else ()
    places = [(int(match[2]), int(match[3])) for _, match in found if match[2]]
    side = square(len(places))
    rows = [(r, c) for r in range(1, side + 1) for c in range(1, side + 1)]
    from_0 = [(r - 1, c - 1) for r, c in rows]
    return (
        tuple(n for n, _ in found) if places in (rows, from_0) and len(places) == len(found) else ()
    )


def _shape(numbers: int) -> tuple[int, ...]:
    if side := square(numbers):
        return side, side
    side = square(numbers // 3) if numbers % 3 == 0 else 0
    return (side, side, 3) if side else ()


def _bare(path: Path, comma: str, wide: int) -> Table:
    """Describe a table without a header: a label and pixels, or pixels alone."""
    first = 1 if _shape(wide - 1) else 0
    pixels = tuple(range(first, wide)) if _shape(wide - first) else ()
    names = tuple(map(str, range(wide)))
    label = 0 if first else None
    return Table(path, comma, names, 0, pixels, _shape(len(pixels)), label, None, ())


def _table(
    path: Path, comma: str, names: Sequence[str], header: int, pixels: tuple[int, ...], count: int
) -> Table:
    low = [name.lower() for name in names]
    others = [n for n in range(len(names)) if n not in pixels and low[n] not in _IDS]
    usage = next((n for n in others if low[n] in _USAGES), None)
    others = [n for n in others if n != usage]
    label = [n for n in others if low[n] in (*LABEL_COLUMNS, "emotion", "digit")] or others
    one = label[0] if len(label) == 1 else None
    left = tuple(n for n in others if n != one)
    return Table(path, comma, tuple(names), header, pixels, _shape(count), one, usage, left)


def _read(table: Table) -> tuple[ndarray, ndarray | None, list[str] | None]:
    """Read pictures, uint8; labels; and what the usage column says of each row."""
    if table.label is None and len(table.others) > 1:
        raise _no_labels(table)
    labels, usages = list[str](), list[str]()

    def rows() -> Iterator[str]:
        with table.path.open(encoding="utf-8-sig", errors="replace") as file:
            for number, text in enumerate(file):
                if number < table.header or not text.strip():
                    continue
                cells = _cells(table, text.rstrip("\r\n"), number)
                labels.append(cells[0])
                usages.append(cells[1])
                yield cells[2]

    columns = None if table.strings else table.pixels
    try:
        x = np.loadtxt(
            rows(),
            np.uint8,
            delimiter=None if table.strings else table.comma,
            usecols=columns,
            ndmin=2,
            comments=None,
            quotechar='"',
        )
        x = x.reshape(-1, *table.shape)
    except OSError as err:
        raise unreadable(table.path, err) from err
    except _Cut as err:
        raise damaged(table.path, str(err)) from err
    except ValueError as err:
        what = f"{table.path} is no whole table of pixels, whole numbers from 0 to 255."
        raise DataError(what, str(err), _as_numbers(table)) from err
    x = emnist.upright(x) if "emnist" in table.words else x
    y = _labels(labels) if table.label is not None else None
    if not table.header and y is not None and not _are_classes(y):
        raise _no_header(table)
    return x, y, usages if table.usage is not None else None


def _cells(table: Table, text: str, number: int) -> tuple[str, str, str]:
    """Give the label, the usage, and the text of the pixels in a row."""
    wide, label, usage = len(table.columns), table.label, table.usage
    if text.count(table.comma) != wide - 1:
        have = text.count(table.comma) + 1
        raise _Cut(f"row {number + 1:,} has {have:,} columns, and the first {wide:,}")
    if table.strings or usage is not None:
        cells = [cell.strip().strip('"') for cell in text.split(table.comma)]
        pixels = cells[table.pixels[0]] if table.strings else text
        return cells[label or 0], cells[usage or 0], pixels
    at = label or 0
    if at <= wide // 2:
        cell = text.split(table.comma, at + 1)[at]
    else:
        cell = text.rsplit(table.comma, wide - at)[1]
    return cell.strip().strip('"'), "", text


def _labels(cells: Sequence[str]) -> ndarray:
    """Give class numbers, other numbers, or names; None where a cell is empty."""
    for kind in (np.int64, np.float64):
        try:
            return np.array(cells, kind)
        except ValueError:
            continue
    return object_array(cell or None for cell in cells)


def _are_classes(labels: ndarray) -> bool:
    """Tell whether numbers are class numbers that go from 0 or 1 without a gap."""
    present = np.unique(labels) if labels.dtype.kind == "i" else np.array([-1])
    low, high = int(present[0]), int(present[-1])
    return low in (0, 1) and high - low + 1 == len(present) > 1


def _by_usage(
    table: Table, x: ndarray, y: ndarray | None, usages: Sequence[str]
) -> dict[str, tuple[ndarray, ndarray | None]]:
    words = told_apart({usage: split_of(usage) for usage in usages})
    if strangers := [usage for usage, split in words.items() if split is None]:
        why = f"the column {table.columns[table.usage or 0]} says {some(strangers)}"
        fix = f"write {', '.join(TOLD)} there"
        raise DataError(f"{table.path} names a split that is none.", why, fix)
    of_row = np.array([words[usage] for usage in usages])
    if "train" not in of_row:
        why = f"the column {table.columns[table.usage or 0]} says {some(list(words))}"
        raise DataError(f"{table.path} has no training rows.", why, "write train there")
    splits = [split for split in TOLD if split in of_row]
    return {s: (x[of_row == s], None if y is None else y[of_row == s]) for s in splits}


def _said(table: Table, split: str, x: ndarray) -> str:
    size = "x".join(map(str, table.shape))
    label = "no labels"
    if table.label is not None:
        label = f"the column {table.columns[table.label]} as the label"
        if not table.header:
            label = "the first column as the label"
    text = f"{table.path.name}: {split}, {len(x):,} pictures of {size} with {label}"
    text += f"; {some([table.columns[n] for n in table.others])} left out" * bool(table.others)
    text += "; colours side by side in each pixel" * (len(table.shape) == 3)
    return f"{text}{'; turned upright' * ('emnist' in table.words)}."


def _as_numbers(table: Table, label: int | None = None) -> str:
    """Give a line for each reading of a wide table: numbers, or pictures where they fit."""
    if table.strings:
        return f"correct that row, or get {table.path.name} again"
    places = [n for n in range(len(table.columns)) if n not in (table.label, table.usage)]
    places = [n for n in places if n not in table.others or not table.pixels]
    label = table.label if label is None else label
    places = [n for n in places if n != label]
    more = f"delimiter={table.comma!r}, skiprows={table.header}"
    column = f"range({places[0]}, {places[-1] + 1})"
    if places != list(range(places[0], places[-1] + 1)):
        column = repr(places)
    x = f"np.loadtxt({str(table.path)!r}, {more}, usecols={column})"
    y = f"np.zeros(len({x}), int)"
    if label is not None:
        y = f"np.loadtxt({str(table.path)!r}, str, {more}, usecols={label})"
    lines = [line(f"({x}, {y})")]
    if shape := _shape(len(places)):
        lines.append(line(f"({x}.reshape(-1, {', '.join(map(str, shape))}), {y})"))
    return one_of(lines)


def _numbers_only(table: Table) -> DataError:
    names = some([name for n, name in enumerate(table.columns) if n != table.label])
    why = f"its columns are {names}; pixels are called pixel0, pixel1 … and fill a square"
    return DataError(f"{table.path} may hold numbers or pictures.", why, _as_numbers(table))


def _no_header(table: Table) -> DataError:
    what = f"{table.path} has no header, and its first column holds no class numbers."
    wide = len(table.columns)
    last = replace(table, label=wide - 1, pixels=tuple(range(wide - 1)))
    lines = [_as_numbers(one).split("\n")[-1] for one in (table, last)]
    why = "the label may be the first column or the last, and nothing says which"
    return DataError(what, why, one_of(lines))


def _no_labels(table: Table) -> DataError:
    what = f"{table.path} does not say which column is the label."
    columns = [n for n in table.others if n not in table.pixels][:4]
    if not columns:
        why = "all its columns are pixels"
        return DataError(what, why, "add a column called label")
    lines = [_as_numbers(table, n).split("\n")[-1] for n in columns]
    return DataError(what, f"it has {some([table.columns[n] for n in columns])}", one_of(lines))
