"""google.colab.sheets: a table that is a Google Sheet on Colab, and lies in memory here."""

import datetime
import importlib
from typing import Any

from ._seam import display as _display
from ._seam import world


class Worksheet:
    """What gspread gives for a worksheet, as far as it is needed: rows of values."""

    id = 0

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []

    def clear(self) -> None:
        self.rows = []

    def update(self, range_name: str, rows: list[list[Any]]) -> None:
        """Write all rows; a range is not understood."""
        self.rows = [[_cell(value) for value in row] for row in rows]

    def get_values(self) -> list[list[Any]]:
        return [list(row) for row in self.rows]

    def get_all_records(self) -> list[dict[str, Any]]:
        """The rows below the first one, by its names."""
        return [dict(zip(self.rows[0], row, strict=True)) for row in self.rows[1:]]


class InteractiveSheet:
    """A table to read as a DataFrame and to write; Colab shows it as a Google Sheet.

    A new sheet and one found by its title lie in memory, until the stand-in goes. The sheets of an
    account are not here: a url or a sheet_id is looked up in the stand-in's `sheets`.
    """

    def __init__(
        self,
        *,
        title: str = "",
        url: str = "",
        sheet_id: str = "",
        df: Any = None,
        worksheet_id: int = -1,
        worksheet_name: str = "",
        credentials: Any = None,
        include_column_headers: bool = True,
        display: bool = True,
    ) -> None:
        if sum(map(bool, (url, sheet_id, title))) > 1:
            raise ValueError(
                "Expected either a `url`, `sheet_id` or `title` but got more than one."
            )
        if worksheet_id >= 0 and worksheet_name:
            raise ValueError("Expected `worksheet_id` or `worksheet_name` got both.")
        self.generate_creds(credentials)
        name = url or sheet_id or title or f"InteractiveSheet_{datetime.datetime.now():%F_%H_%M_%S}"
        strategies = HeaderStorageStrategy, HeaderlessStorageStrategy
        self.storage_strategy = strategies[not include_column_headers]()
        self.worksheet = self._open(name, is_new=not (url or sheet_id))
        self.url = url or f"https://docs.google.com/spreadsheets/d/{sheet_id or name}"
        self.url += f"#gid={self.worksheet.id}"
        self.embedded_url = f"{self.url}/edit?rm=embedded"
        print(self.url)
        if df is not None:
            self.update(df=df)
        if display:
            self.display()

    def _open(self, name: str, is_new: bool) -> Worksheet:
        sheets = world().sheets
        if name not in sheets and is_new:
            sheets[name] = Worksheet()
        if name not in sheets:
            world().service(
                name,
                "google.colab.sheets reads a sheet of your account",
                'pd.DataFrame({"a": [1]})',
                "sheets",
            )
        if not isinstance(sheets[name], Worksheet):  # a DataFrame that was planned
            table, sheets[name] = sheets[name], Worksheet()
            self.storage_strategy.write(sheets[name], _pandas().DataFrame(table))
        found: Worksheet = sheets[name]
        return found

    @classmethod
    def generate_creds(cls, credentials: Any = None) -> None:
        """Ask the notebook's owner to lend the account's rights. The stand-in notes the call."""
        world().note("generate_creds", credentials=credentials)

    def as_df(self) -> Any:
        """The table as it is now, a DataFrame."""
        return self.storage_strategy.read(self.worksheet)

    def update(self, df: Any) -> None:
        """Replace the table."""
        self.worksheet.clear()
        self.storage_strategy.write(self.worksheet, _pandas().DataFrame(df))

    def display(self, height: int = 600) -> None:
        """Show the table; on Colab the sheet itself, to be edited."""
        _display().display(self.as_df())


class InteractiveSheetStorageStrategy:
    """How a table is read from a worksheet, and written to it."""

    def read(self, worksheet: Worksheet) -> Any:
        raise NotImplementedError

    def write(self, worksheet: Worksheet, df: Any) -> None:
        raise NotImplementedError


class HeaderlessStorageStrategy(InteractiveSheetStorageStrategy):
    """The columns have no names there."""

    def read(self, worksheet: Worksheet) -> Any:
        return _pandas().DataFrame(worksheet.get_values())

    def write(self, worksheet: Worksheet, df: Any) -> None:
        worksheet.update("", df.astype(object).values.tolist())


class HeaderStorageStrategy(InteractiveSheetStorageStrategy):
    """The first row holds the columns' names."""

    def read(self, worksheet: Worksheet) -> Any:
        return _pandas().DataFrame(worksheet.get_all_records())

    def write(self, worksheet: Worksheet, df: Any) -> None:
        worksheet.update("", [list(df.columns), *df.astype(object).values.tolist()])


def _pandas() -> Any:
    return importlib.import_module("pandas")


def _cell(value: Any) -> Any:
    """A value as a sheet holds it: times and lists as text, "" where it is missing."""
    if isinstance(value, list):
        return str(value)
    if value is None or value != value:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else value
