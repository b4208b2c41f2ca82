"""google.colab.widgets: tabs and grids; without Colab's page, each part below its name."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import errors as _errors
from ._seam import display


class _Area:
    """Parts that take the output of a block, one at a time."""

    _current: Any = None

    @contextlib.contextmanager
    def _active(self, part: Any, label: str) -> Iterator[None]:
        if self._current is not None:
            raise _errors.WidgetException("Already inside a component")
        self._current = part
        print(f"[{label}]")
        try:
            yield
        finally:
            self._current = None

    def _clear(self, part: Any) -> None:
        if part is None and self._current is None:
            raise _errors.WidgetException("No active component selected")

    def remove(self, wait: bool = False) -> None:
        """Take the widget off the page."""


class TabBar(_Area):
    """Tabs, each with its output."""

    def __init__(self, tab_names: Iterable[str], location: str = "top") -> None:
        if location not in ("top", "bottom", "start", "end"):
            raise ValueError(f"Invalid value for location: {location!r}")
        self.tab_names = list(tab_names)

    @contextlib.contextmanager
    def output_to(self, tab: str | int, select: bool = True) -> Iterator[None]:
        """Put the output into this tab, named or counted."""
        number = self._number(tab)
        with self._active(number, self.tab_names[number]):
            yield

    def _number(self, tab: str | int) -> int:
        if not isinstance(tab, str):
            return int(tab)
        if self.tab_names.count(tab) > 1:
            raise ValueError(f"Ambiguous tab name: {tab} ")
        return self.tab_names.index(tab)

    def clear_tab(self, tab: str | int | None = None) -> None:
        """Clear a tab; the one of the block, if none is named."""
        self._clear(None if tab is None else self._number(tab))

    def __iter__(self) -> Iterator[int]:
        for number, _ in enumerate(self.tab_names):
            with self.output_to(number):
                yield number


class Grid(_Area):
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
        with self._active((row, column), f"{row}, {column}"):
            yield

    def clear_cell(self, row: int | None = None, col: int | None = None) -> None:
        """Clear a cell; the one of the block, if none is named."""
        if row is not None and not 0 <= row < self.rows:
            raise ValueError(f"{row} is not a valid row")
        if row is not None and col is not None and not 0 <= col < self.columns:
            raise ValueError(f"{col} is not a valid column")
        self._clear(row)

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


class InteractiveTable:
    """A DataFrame by pages, sorted by a column; on Colab by clicks."""

    def __init__(self, df: Any = None, **kwargs: Any) -> None:
        self.data: Any = None
        self.columns: list[Any] = []
        self.rows, self.page_num, self.page_size = 0, 0, 10
        self.sort_column: int | None = None
        self.sort_ascending = True
        vars(self).update(kwargs)
        if df is not None:
            self.set_data(df)

    def set_data(self, df: Any) -> None:
        """Show this table, from its first page."""
        self.data, self.rows, self.columns, self.page_num = df, len(df), df.columns.tolist(), 0

    def set_page(self, page_num: int) -> None:
        """Turn to a page, counted from 0."""
        self.page_num = page_num

    def _page(self) -> Any:
        table, start = self.data, self.page_num * self.page_size
        if self.sort_column is not None:
            table = table.sort_values(
                by=self.columns[self.sort_column], ascending=self.sort_ascending
            )
        return table[start : start + self.page_size]

    @property
    def active_data(self) -> list[dict[Any, Any]]:
        """The rows of the page."""
        records: list[dict[Any, Any]] = []
        if self.data is not None:
            records = self._page().to_dict(orient="records")
        return records

    def _repr_html_(self) -> str | None:
        return None if self.data is None else str(self._page()._repr_html_())
