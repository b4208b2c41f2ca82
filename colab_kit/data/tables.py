"""Files of text that say what pictures show, as tables of cells: no cell is understood here."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ..colab.reading import cannot_read, is_folder, there
from ..errors import DataError


@dataclass(frozen=True)
class Table:
    """Rows of cells, stripped, each row of the same width.

    path : the file that it came from
    rows : its rows; the first may be a header: only the files beside it can tell
    """

    path: Path
    rows: list[list[str]]


def read_table(path: Path) -> Table:
    """Read a CSV file: comma, semicolon or tab.

    Raises
    ------
    DataError
        It cannot be read, or has no two columns.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as err:
        raise unreadable(path, err, "a CSV file") from err
    first = text.partition("\n")[0]
    lines = csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    rows = [[cell.strip() for cell in line] for line in lines if "".join(line).strip()]
    width = max(map(len, rows), default=0)
    if width < 2:
        why = f"its first line is {first[:80]!r}"
        fix = "write a file name and a label in each row"
        raise DataError(f"{path} has no two columns.", why, fix)
    return Table(path, [row + [""] * (width - len(row)) for row in rows])


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
