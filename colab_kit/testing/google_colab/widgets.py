"""google.colab.widgets: tabs and grids; without Colab's page, each part below its name."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import errors as _errors
from ._seam import display


class TabBar:
    """Tabs, each with its output."""

    def __init__(self, tab_names: Iterable[str], location: str = "top") -> None:
        if location not in ("top", "bottom", "start", "end"):
            raise ValueError(f"Invalid value for location: {location!r}")
        self.tab_names = list(tab_names)

    @contextlib.contextmanager
    def output_to(self, tab: str | int, select: bool = True) -> Iterator[None]:
        """Put the output into this tab, named or counted."""
        names = self.tab_names
        if isinstance(tab, str) and names.count(tab) > 1:
            raise ValueError(f"Ambiguous tab name: {tab} ")
        print(f"[{names[names.index(tab) if isinstance(tab, str) else int(tab)]}]")
        yield

    def clear_tab(self, tab: str | int | None = None) -> None:
        """Clear a tab."""

    def __iter__(self) -> Iterator[int]:
        for number, _ in enumerate(self.tab_names):
            with self.output_to(number):
                yield number


class Grid:
    """Rows and columns of cells, each with its output."""

    def __init__(
        self,
        rows: int,
        columns: int,
        header_row: bool = False,
        header_column: bool = False,
        style: str = "",
    ) -> None:
        self.rows, self.columns = rows, columns
        self.header_row, self.header_column = header_row, header_column

    @contextlib.contextmanager
    def output_to(self, row: int, column: int) -> Iterator[None]:
        """Put the output into this cell, counted from 0."""
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            size = f"{self.rows}x{self.columns}"
            raise _errors.WidgetException(
                f"Cell ({row}, {column}) is outside of boundaries of {size} grid"
            )
        print(f"[{row}, {column}]")
        yield

    def clear_cell(self, row: int | None = None, col: int | None = None) -> None:
        """Clear a cell."""
        if row is not None and not 0 <= row < self.rows:
            raise ValueError(f"{row} is not a valid row")
        if row is not None and col is not None and not 0 <= col < self.columns:
            raise ValueError(f"{col} is not a valid column")

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for row in range(self.rows):
            for column in range(self.columns):
                with self.output_to(row, column):
                    yield row, column


def create_grid(
    row_data: Iterable[Any],
    col_data: Iterable[Any],
    render: Callable[[Any, Any], Any],
    header_render: Callable[[Any], Any] | None = None,
    header_row: bool = True,
    header_column: bool = True,
) -> Grid:
    """The cross product of rows and columns, each cell shown by render(row, column)."""
    rows, columns, show = list(row_data), list(col_data), display().display
    grid = Grid(len(rows) + header_row, len(columns) + header_column, header_row, header_column)
    for i, j in grid:
        row, column = i - header_row, j - header_column
        if row >= 0 and column >= 0:
            if (value := render(rows[row], columns[column])) is not None:
                show(value)
        elif row >= 0 or column >= 0:
            (header_render or show)(rows[row] if row >= 0 else columns[column])
    return grid
