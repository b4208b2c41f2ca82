"""The history: a row of metrics for each validation, in memory and as history.csv."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import in_line
from ..events import EpochDone, Event, RunStarted
from ..system.console import csv_field, html_table
from ..system.files import write_whole
from ..system.runtime import need
from .losses import better


class History(list[dict[str, float]]):
    """Rows of metrics in the order in which they were measured.

    A history is also a callback: it adds the row of every EpochDone. A run that goes back to an
    earlier step measures some rows again; the new rows replace the old ones.
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()) -> None:
        super().__init__(dict(row) for row in rows)

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            step = event.metrics.get("step", math.inf)
            while self and self[-1].get("step", 0) >= step:
                self.pop()
            self.append(dict(event.metrics))

    @property
    def columns(self) -> list[str]:
        """Every metric that any row has, in the order of appearance."""
        return list(dict.fromkeys(name for row in self for name in row))

    def best(self, metric: str, *, after: float = 0.0, until: float = math.inf) -> dict[str, float]:
        """Give the best row of some epochs; an empty one if there is none."""
        found = dict[str, float]()
        for row in self:
            if after < row["epoch"] <= until and metric in row:
                if better(metric, row[metric], found.get(metric)):
                    found = row
        return found

    def to_csv(self, path: str | Path | None = None) -> str:
        """Give the table as CSV text, and write it to `path` where one is given.

        A metric's name that a spreadsheet would take for a formula gets an apostrophe in front.
        """
        lines = [[csv_field(name) for name in self.columns]]
        lines += [[str(row.get(name, "")) for name in self.columns] for row in self]
        text = "".join(f"{','.join(line)}\n" for line in lines)
        if path is not None:
            write_whole(Path(path), text)
        return text

    def to_pandas(self) -> Any:
        """Give the table as a pandas DataFrame."""
        return need("pandas", extra="all", why="to_pandas()").DataFrame(list(self))

    def _cells(self) -> list[list[str]]:
        return [[_cell(row.get(name)) for name in self.columns] for row in self]

    def __repr__(self) -> str:
        rows = [list(map(in_line, self.columns)), *self._cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (zip(row, widths, strict=True) for row in rows)
        return "\n".join("  ".join(cell.rjust(width) for cell, width in line) for line in lines)

    def _repr_html_(self) -> str:
        return html_table(self._cells(), self.columns)


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    return f"{value:g}" if value.is_integer() else f"{value:.4g}"


class CsvLog:
    """A callback that writes history.csv, whole, after each validation.

    Parameters
    ----------
    path : Path
    rows : History
        The rows of earlier sessions: the file of a continued run begins with them.
    """

    def __init__(self, path: Path, rows: History) -> None:
        self.path, self.rows = path, History(rows)

    def __call__(self, event: Event) -> None:
        self.rows(event)
        if isinstance(event, EpochDone | RunStarted) and self.rows:
            self.rows.to_csv(self.path)
