"""History as one table: a row a validation, readable by eye, by a spreadsheet and by pandas."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..events import EpochDone, Event
from ..system.files import write_whole
from ..system.runtime import need


class History(list[dict[str, float]]):
    """Rows of metrics in the order they were measured. Also a callback: it adds the row of every EpochDone it hears.

    A run that went back measures some of them again: rows from there on give way.
    """

    def __init__(self, rows: Iterable[Mapping[str, float]] = ()) -> None:
        super().__init__(dict(row) for row in rows)

    def __call__(self, event: Event) -> None:
        match event:
            case EpochDone(metrics=row):
                here = row.get("step", math.inf)
                while self and self[-1].get("step", 0) >= here:
                    self.pop()
                self.append(dict(row))

    @property
    def columns(self) -> list[str]:
        """Every metric that any row has, in the order of appearance."""
        return list(dict.fromkeys(name for row in self for name in row))

    def to_csv(self, path: str | Path | None = None) -> str:
        """The table as CSV text, also written to `path` if given."""
        out = io.StringIO()
        writer = csv.DictWriter(out, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self)
        if path is not None:
            write_whole(Path(path), out.getvalue())
        return out.getvalue()

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame, if pandas is there."""
        return need("pandas", extra="all", why="to_pandas()").DataFrame(list(self))

    def __repr__(self) -> str:
        rows = [self.columns, *([_cell(row.get(name)) for name in self.columns] for row in self)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.columns))]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in self.columns) + "</tr>"
            for row in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    return f"{value:g}" if value.is_integer() else f"{value:.4g}"
