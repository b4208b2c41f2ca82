"""Files that say what pictures show, as tables of cells: no cell is understood here."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...colab.reading import cannot_read, is_folder, there
from ...errors import DataError
from .structured import read_json, read_list, read_xml
from .text import read_rows, read_text

READERS = {".json": read_json, ".jsonl": read_json, ".ndjson": read_json, ".xml": read_xml}
SHEETS = {".xlsx": "excel", ".xls": "excel", ".ods": "excel", ".parquet": "parquet"}


@dataclass(frozen=True)
class Table:
    """Rows of cells, stripped, each row of the same width.

    path : the file that it came from
    rows : its rows; a cell is a text, or a tuple of several
    header : the columns' names; None where the first row may hold them: only the files beside the
        table can tell
    several : whether rows of one file belong together, each with one of its labels
    too_long : numbers of the rows that held more cells than there are columns
    """

    path: Path
    rows: list[list[Any]]
    header: tuple[str, ...] | None = None
    several: bool = False
    too_long: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        return len(self.rows[0])

    @property
    def first(self) -> tuple[str, ...]:
        """Give what the columns are called if the first row says it."""
        return self.header or tuple(map(str, self.rows[0]))


def read_table(path: Path) -> Table:
    """Read text (comma, semicolon, tab, | or blanks between cells), JSON, its lines, XML or .mat.

    Raises
    ------
    DataError
        It cannot be read, is no table, or is empty.
    """
    if path.suffix.lower() in SHEETS:
        why = "a table of text or JSON is expected"
        raise DataError(f"{path} cannot be read as a table.", why, save_sheet(path)[1])
    reader = READERS.get(path.suffix.lower())
    text = "" if path.suffix.lower() == ".mat" else _text(path)
    try:
        if path.suffix.lower() == ".mat":
            header, rows, several = read_list(path)
            table = Table(path, rows, header, several)
        elif reader is not None:
            header, rows, several = reader(text)
            table = Table(path, rows, header, several)
        else:
            lines, too_long = read_rows(text)
            table = Table(path, lines, too_long=too_long)
    except (ValueError, csv.Error) as err:
        fix = "give a CSV file, or JSON of records or of {file: label}"
        raise DataError(f"{path} is no table of labels.", str(err), fix) from err
    if not table.rows:
        raise DataError(f"{path} is empty.", "it has no row", "give a file with a row a picture")
    return table


def save_sheet(path: Path) -> tuple[Path, str]:
    """Give the CSV file that a sheet may become, which is none that is there, and the code."""
    file = path.with_suffix(".csv")
    if there(file):
        file = path.with_name(f"{path.stem}_sheet.csv")
    kind = SHEETS[path.suffix.lower()]
    as_written = ", dtype=str" if kind == "excel" else ""  # 0001 keeps its zeros
    read = f"pandas.read_{kind}({os.fspath(path)!r}{as_written})"
    return file, f"import pandas; {read}.to_csv({os.fspath(file)!r}, index=False)"


def _text(path: Path) -> str:
    try:
        text = read_text(path)
    except OSError as err:
        raise unreadable(path, err, "a CSV file") from err
    except ValueError as err:
        fix = "give a CSV or JSON file of the rows that are needed"
        raise DataError(f"{path} is too large for a table of labels.", str(err), fix) from err
    if text is None:
        why, fix = "it holds bytes that no text has", "give a CSV or JSON file"
        raise DataError(f"{path} is no text.", why, fix)
    if re.search(r"\d{4301}", text):  # Python makes no number of it
        why, fix = "a number in it has more than 4,300 digits", "correct that cell, or remove it"
        raise DataError(f"{path} is no table of labels.", why, fix)
    return text


def first_file(*paths: Path) -> Path | None:
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


def unreadable(file: Path, err: OSError, kind: str) -> DataError:
    why = err.strerror or str(err)
    return DataError(f"{file} cannot be read.", why, f"give {kind} that can be read")
