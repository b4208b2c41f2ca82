"""google.colab.data_table: tables with pages on Colab; elsewhere they show as pandas' do."""

from typing import Any

from ._seam import display, world

__all__ = """DataTable enable_dataframe_formatter disable_dataframe_formatter
    load_ipython_extension unload_ipython_extension display_dataframe""".split()

_DEFAULT_FORMATTERS: dict[type, Any] = {str: str}  # notebooks add to it


class DataTable:
    """A DataFrame to page through."""

    include_index = True
    num_rows_per_page = 25
    max_rows = 20000
    max_columns = 20
    min_width: str | None = None

    def __init__(
        self,
        dataframe: Any,
        include_index: bool | None = None,
        num_rows_per_page: int | None = None,
        max_rows: int | None = None,
        max_columns: int | None = None,
        min_width: str | None = None,
    ) -> None:
        self._dataframe = dataframe
        self._max_rows = self.max_rows if max_rows is None else max_rows
        self._max_columns = self.max_columns if max_columns is None else max_columns

    @classmethod
    def formatter(cls, dataframe: Any, **kwargs: Any) -> None:
        """Return None: the page shows the table as pandas draws it."""

    def _repr_html_(self) -> str:
        return str(self._cut()._repr_html_())

    def __repr__(self) -> str:
        return repr(self._cut())

    def _cut(self) -> Any:
        return self._dataframe.iloc[: self._max_rows, : self._max_columns]


def enable_dataframe_formatter() -> None:
    """Show every DataFrame as a DataTable from now on."""
    world().note("enable_dataframe_formatter")


def disable_dataframe_formatter() -> None:
    """Show every DataFrame as pandas does again."""
    world().note("disable_dataframe_formatter")


def display_dataframe(df: Any) -> None:
    """Show a DataFrame."""
    display().display(DataTable(df, include_index=False))


def load_ipython_extension(ipython: Any) -> None:
    """%load_ext google.colab.data_table"""
    enable_dataframe_formatter()


def unload_ipython_extension(ipython: Any) -> None:
    """%unload_ext google.colab.data_table"""
    disable_dataframe_formatter()
