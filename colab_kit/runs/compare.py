"""Comparing runs: what differs in how they were made, and what came of it. No network is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunError, in_line
from ..recipe import HORIZON
from ..system.console import html_table
from ..training.history import History
from ..training.losses import falls
from . import plots
from . import record as records
from .catalog import facts_of
from .opening import find_place
from .run import Run


@dataclass(frozen=True)
class _Seen:
    """What is known of one run.

    made : {option: value}, the chosen ones too; also "data" and "network"
    figures : the best validation's, else the last one's
    size : bytes of its best weights, else of its newest checkpoint
    """

    name: str
    record: Mapping[str, Any]
    made: Mapping[str, Any]
    history: History
    figures: Mapping[str, float]
    epochs: float
    seconds: float
    size: int

    def rank(self, monitor: str) -> float:
        """Lower is better; a run that was never validated comes last."""
        value = self.figures.get(monitor)
        if value is None or value != value:
            return float("inf")
        return value if falls(monitor) else -value


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Several runs, a row each, the best one first.

    Attributes
    ----------
    rows : list of dict
        "run", what differs between them by its option's name, "epochs", the best validation's
        metrics, "seconds" that it trained, "MB" of its best weights.
    histories : dict
        {run: its history}
    monitor : str
        The metric that says which is best: that of the newest run.
    """

    rows: list[dict[str, Any]]
    histories: dict[str, Sequence[Mapping[str, Any]]]
    monitor: str

    def plot(self, path: str | Path = "comparison.png") -> Path:
        """Draw the curves of all runs in one picture; shown in a notebook, saved as `path`."""
        return plots.display(plots.several(self.histories, Path(path).absolute(), self.monitor))

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        return list(map(in_line, self.rows[0])), [
            [_spoken(cell) for cell in row.values()] for row in self.rows
        ]

    def __repr__(self) -> str:
        head, rows = self._cells()
        wide = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = (zip(row, wide, strict=True) for row in (head, *rows))
        texts = ("  ".join(f"{cell:<{width}}" for cell, width in line) for line in lines)
        return "\n".join(text.rstrip() for text in texts)

    def _repr_html_(self) -> str:
        head, rows = self._cells()
        return html_table(rows, head)


def compare(*runs: Run | str | Path) -> Comparison:
    """Compare runs in one table: what differs in the recipe, metrics, seconds and size.

    Parameters
    ----------
    runs : Run, folder, name or key
        Two or more, or a list of them; without any, all that `colab-kit runs` lists.

    Raises
    ------
    RunError
        There is no such run, or none at all.

    Examples
    --------
    >>> kit.compare("pets-resnet18", "pets-resnet50").plot()  # doctest: +SKIP
    """
    if len(runs) == 1 and isinstance(runs[0], list | tuple):
        runs = tuple(runs[0])
    if runs:
        found = [_look(run) for run in runs]
    else:
        found = [_of(record, place) for record, place in records.everywhere()]
    if not found:
        raise RunError("There are no runs to compare.", "none is listed here", "train two first")
    newest = max(found, key=lambda one: float(one.record["created"]))
    monitor = str(newest.record["recipe"]["monitor"])
    options = dict.fromkeys(how for one in found for how in one.made)
    apart = [how for how in options if len({repr(one.made.get(how)) for one in found}) > 1]
    figures = dict.fromkeys(name for one in found for name in one.figures)
    rows = [
        {
            "run": one.name,
            **{how: one.made.get(how) for how in apart},
            "epochs": one.epochs,
            **{name: one.figures.get(name) for name in figures},
            "seconds": one.seconds,
            "MB": one.size / 1e6,
        }
        for one in sorted(found, key=lambda one: one.rank(monitor))
    ]
    return Comparison(rows, {one.name: one.history for one in found}, monitor)


def _look(run: Run | str | Path) -> _Seen:
    if isinstance(run, Run):
        return _of(run.record, run.place)
    place = find_place(str(run))
    record = records.find(place)
    if record is None:
        fix = "give the folder, name or key of a run: `colab-kit runs` lists them"
        raise RunError(f"{place.folder} holds no run.", "it has no run.json", fix)
    return _of(record, place)


def _of(record: Mapping[str, Any], place: records.Place) -> _Seen:
    folders = [folder for folder in (place.folder, place.drive_folder) if folder is not None]
    here = next((folder for folder in folders if facts_of(folder)), place.folder)
    facts = facts_of(here) or {"history": [], "epoch": 0, "seconds": 0.0}
    history, best = History(facts["history"]), facts.get("best")
    last = best["metrics"] if best else history[-1] if history else {}
    figures = {name: value for name, value in last.items() if name.startswith("valid/")}
    weights = [here / best["file"]] if best else sorted(here.glob("checkpoint-*.safetensors"))[-1:]
    size = sum(path.stat().st_size for path in weights if path.is_file())
    name = f"{record['name']}-{record['key']}"
    done = float(history[-1]["epoch"]) if history else float(facts["epoch"])
    return _Seen(
        name, record, _made(record, here), history, figures, done, float(facts["seconds"]), size
    )


def _made(record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Give what a run was made with: as asked, and where nothing was asked for, as chosen."""
    choices: dict[str, Any] = {}
    with suppress(RunError):  # a damaged file of one run does not hide the others
        choices = records.choices_if_any(folder, dict(record)) or {}
    chosen = {name: choice["value"] for name, choice in choices.items()}
    network = record["identity"]["model"].get("class", "").rpartition(".")[2]
    made = {"data": record["data"]["name"], "network": record["name"], "class": network}
    for name, value in record["recipe"].items():
        if name in HORIZON - {"epochs", "views"}:
            continue
        made[name] = chosen.get(name) if value is None else value
    return {**made, **{name: value for name, value in chosen.items() if name == "mode"}}


def _spoken(cell: Any) -> str:
    if cell is None:
        return "–"
    return f"{cell:.4g}" if isinstance(cell, float) else in_line(cell)
