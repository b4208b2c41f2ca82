"""State: where a run is, with the history of its validations. Progress is how it is kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import in_line
from ..events import Callbacks, Control, EpochDone, Event, Note, RunStarted
from ..models.weights import put
from ..recipe import Recipe
from ..system import timings
from ..system.console import csv_field, html_table
from ..system.files import Shelf, write_json, write_whole
from ..system.runtime import need
from . import checkpoint
from .checkpoint import Checkpoint, Tensors
from .losses import better
from .optim import Average
from .plan import Plan
from .saver import Budget, Saver


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


@dataclass
class State:
    """Where a run is. Everything here goes into a checkpoint."""

    step: int = 0  # optimizer steps done
    epoch: int = 0  # epochs finished
    batch: int = 0  # batches done of the epoch under way
    sums: list[float] = field(default_factory=lambda: [0.0] * 4)  # of the epoch under way
    history: History = field(default_factory=History)
    best: dict[str, Any] | None = None  # step, epoch, file, metrics
    waited: int = 0  # validations since the best
    seconds: float = 0.0  # of training, over all sessions
    rollbacks: int = 0  # times that the loss was lost and the run went back
    lr_factor: float = 1.0  # on every learning rate, since a rollback
    back_to: int = -1  # the step it last went back to
    pieces: int = 1  # in which a batch is computed, since memory ran out
    scaler: dict[str, float] | None = None  # of the GradScaler, if there is one
    drawn: list[str] = field(default_factory=list)  # "random", "numpy": a step drew from them
    drawn_late: bool = False  # whether steps drew before they were keyed
    hidden: list[str] = field(default_factory=list)  # what changed that no checkpoint holds

    @classmethod
    def of(cls, facts: dict[str, Any]) -> State:
        """Read a state as a checkpoint or an exported file keeps it."""
        names = [field.name for field in dataclasses.fields(cls) if field.name in facts]
        return cls(
            **{**{name: facts[name] for name in names}, "history": History(facts["history"])}
        )

    def add_row(self, row: dict[str, float], metric: str) -> bool:
        """Write a row of history; whether it is the best one so far by this metric."""
        self.history.append(row)
        if metric not in row:
            return False
        if not better(metric, row[metric], self.best["metrics"].get(metric) if self.best else None):
            self.waited += 1
            return False
        name = checkpoint.name_of(self.step, "best")
        self.best = {"step": self.step, "epoch": row["epoch"], "file": name, "metrics": dict(row)}
        self.waited = 0
        return True


class Diverged(Exception):
    """The loss, or a weight, is no longer finite. `value`: the loss."""

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.value = value


class Progress:
    """Where a run is and how that is kept: the fit functions write it, the run reads it.

    Parameters
    ----------
    folder : the run's folder, on the fast disk
    shelf, kept_as : where copies go and the folder's name there, or None
    record : dict
        What run.json keeps; checkpoints bear its `start`.
    drive_folder : Path, optional
        What people are told of where copies go.
    facts : dict, optional
        What an exported file says of the state.
    """

    def __init__(
        self,
        folder: Path,
        shelf: Shelf | None,
        kept_as: str,
        record: dict[str, Any],
        *,
        drive_folder: Path | None = None,
        control: Control | None = None,
        emit: Callbacks | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.folder, self.shelf, self.kept_as, self.record = folder, shelf, kept_as, record
        self.drive_folder, self.control = drive_folder, control or Control()
        self.emit = emit or Callbacks([])
        self.state = State() if facts is None else State.of(facts)
        self.checkpoint: Checkpoint | None = None  # that the run goes on from
        self.best_weights: Tensors | None = None  # of a new best, not yet on the disk
        self.saver: Saver | None = None  # None: nothing was trained
        self.budget = Budget(None)

    @property
    def step(self) -> int:
        return self.state.step

    @property
    def history(self) -> History:
        return self.state.history

    @property
    def best(self) -> dict[str, Any] | None:
        return self.state.best

    def complain(self, text: str) -> None:
        self.emit(Note(text, "warn"))

    def find_checkpoint(self) -> bool:
        """Go on from the newest whole checkpoint of folder and shelf; whether there is one."""
        start = self.record["start"]
        self.checkpoint = checkpoint.newest(
            self.folder, self.shelf, self.kept_as, start=start, complain=self.complain
        )
        if self.checkpoint is not None:
            self.state = State.of(self.checkpoint.facts)
        return self.checkpoint is not None

    def is_over(self, plan: Plan) -> bool:
        """Whether all epochs are done."""
        return self.state.epoch >= plan.epochs

    def ending(self, plan: Plan) -> str:
        """Say what ended the run that the checkpoint tells of; "" if it goes on."""
        state = self.state
        if self.is_over(plan):
            return f"{state.epoch} epochs; more epochs= go on"
        return out_of_patience(plan.user_recipe, state.waited, state.best)

    def take_finished(self, plan: Plan) -> None:
        """Load the weights of a finished run. If a kill came before its last copy, copy it now."""
        found = self.checkpoint
        assert found is not None
        wear(plan.model, checkpoint.best_weights(self.folder, found, complain=self.complain))
        if self.shelf is not None and not checkpoint.is_kept(found.path, self.shelf, self.kept_as):
            self.open_saver(plan)

    def start_clock(self, plan: Plan) -> None:
        """Count the session's time from here: what features take counts too."""
        limit, age = plan.recipe.max_time, plan.hardware.runtime.session_age
        if limit == "session" and age is None:
            text = "no session ends by itself, or its age is not known"
            self.emit(Note(f"max_time='session' sets no limit here: {text}."))
        self.budget = Budget(limit, age=age, before=self.state.seconds)

    def open_saver(self, plan: Plan) -> Saver:
        self.saver = Saver(
            self.folder,
            self.shelf,
            self.kept_as,
            every=plan.recipe.save_every_steps,
            step=None if self.checkpoint is None else self.checkpoint.step,
            emit=self.emit,
        )
        return self.saver

    def announce(self, plan: Plan, steps: int, exact: bool | None = None, why: str = "") -> None:
        """Say that training begins: in the run's folder, on the shelf, and to the callbacks."""
        record, folder = self.record, self.folder
        write_json(folder / "run.json", record)
        self.emit.callbacks.insert(0, CsvLog(folder / "history.csv", self.history))
        name = f"{record['name']}-{record['key']}"
        self.emit(RunStarted(name, folder, plan.epochs, steps, self.step, exact, why))
        if self.saver is not None and self.drive_folder is not None:
            self.emit(Note(f"Copies go to Drive: {self.drive_folder}"))
            self.saver.announce()

    def facts(self, plan: Plan) -> dict[str, Any]:
        """Gather what a checkpoint says besides the state."""
        data, record = plan.data, self.record
        return {
            "start": record["start"],
            "key": record["key"],
            "classes": list(data.classes),
            "fingerprint": data.fingerprint,
        }

    def note(self, row: dict[str, float], metric: str, copy: Callable[[], Tensors]) -> None:
        """Add a row to the history, and hold the weights of the best one until they are saved."""
        if self.state.add_row(row, metric):
            self.best_weights = copy()

    def forget_best(self) -> None:
        """Let go of best weights that are not on the disk: the run goes back to before them."""
        self.best_weights = None

    def save(self, tensors: Tensors, facts: dict[str, Any], *, must: bool = False) -> bool:
        """Write a checkpoint, and the best weights if they are new; whether the disk took it."""
        state, best = self.state, None
        assert self.saver is not None
        if state.best and self.best_weights is not None:
            best = (state.best["file"], self.best_weights)
        with timings.during("save"):
            facts = {**facts, **vars(state)}
            is_saved = self.saver.save(state.step, tensors, facts, best, must=must)
        if is_saved:
            self.best_weights = None
        return is_saved

    def best_or_last(self, plan: Plan, average: Average | None = None) -> Tensors:
        """Give the best validated weights, else the last ones, averaged if they are."""
        best = self.state.best
        if best and self.best_weights is not None:
            return self.best_weights  # the disk would not take them
        if best:
            path = self.folder / best["file"]
            found = checkpoint.best_file(path, self.record["start"])
            if found is not None:
                return found
            text = "is missing or damaged, or of another run; the last weights replace it."
            self.complain(f"{path.name} {text}")
        averaged = average.shadow if average is not None else {}
        return dict(plan.model.state_dict()) | averaged


def copy_of(model: nn.Module) -> Tensors:
    """Copy a network's tensors to the CPU."""
    tensors = model.state_dict().items()
    return {name: t.detach().to("cpu", copy=True) for name, t in tensors}


def wear(model: nn.Module, weights: Tensors) -> None:
    """Give the network weights, and put it in eval."""
    put(model, weights)
    model.eval()


def out_of_patience(recipe: Recipe, waited: int, best: dict[str, Any] | None) -> str:
    """Give the reason to stop early (Prechelt 1998), or "".

    Parameters
    ----------
    waited : int
        Validations since the best one.
    """
    if recipe.patience is None or waited < recipe.patience:
        return ""
    at = f" since epoch {best['epoch']:g}" if best else ""
    return f"early stopping: {recipe.monitor} is not better{at}"
