"""history.csv beside the run, whole after every validation."""

from __future__ import annotations

from pathlib import Path

from ..events import EpochDone, Event, RunStarted
from .history import History


class CsvLog:
    """Write the history to `path` each time a row is added. A continued run's file begins with the rows it already had."""

    def __init__(self, path: Path, rows: History) -> None:
        self.path, self.rows = path, History(rows)

    def __call__(self, event: Event) -> None:
        self.rows(event)
        if isinstance(event, (EpochDone, RunStarted)) and self.rows:
            self.rows.to_csv(self.path)
