"""State: where a run is, with the history of its validations. Progress is how it is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import RunError
from ..events import Callbacks, Control, Note, RunStarted
from ..models.weights import put
from ..recipe import Recipe
from ..system import timings
from ..system.files import Shelf
from ..system.locks import hold_again
from ..system.sealed import RUN, write_record
from . import checkpoint
from .checkpoint import Checkpoint, Tensors
from .history import CsvLog, History
from .losses import better
from .optim import Average
from .plan import Plan
from .saver import Budget, Saver


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

    def add_row(self, row: dict[str, float], metric: str, frozen: int = 0) -> bool:
        """Write a row of history; whether it is the best one so far by this metric.

        Parameters
        ----------
        frozen : int
            Epochs in which the head learned alone. A later row in which any figure is worse than
            in the best of those is never the best one.
        """
        floor = self.history.best(metric, until=frozen) if row["epoch"] > frozen else {}
        self.history.append(row)
        if metric not in row:
            return False
        is_better = better(
            metric, row[metric], self.best["metrics"].get(metric) if self.best else None
        )
        if not is_better or _is_below(row, floor):
            self.waited += 1
            return False
        name = checkpoint.name_of(self.step, "best")
        self.best = {"step": self.step, "epoch": row["epoch"], "file": name, "metrics": dict(row)}
        self.waited = 0
        return True


def _is_below(row: Mapping[str, float], floor: Mapping[str, float]) -> bool:
    """Whether a figure of validation is worse than in `floor`, the five likeliest classes aside."""
    names = [n for n in floor if n.startswith("valid/") and n != "valid/top5" and n in row]
    return any(better(name, floor[name], row[name]) for name in names)


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
    choices : dict, optional
        What choices.json keeps.
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
        choices: dict[str, Any] | None = None,
        drive_folder: Path | None = None,
        control: Control | None = None,
        emit: Callbacks | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.folder, self.shelf, self.kept_as, self.record = folder, shelf, kept_as, record
        self.choices, self.drive_folder = choices, drive_folder
        self.control = control or Control()
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
        self.write_missing()
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
        write_record(folder / "run.json", RUN, record)
        self.emit.callbacks.insert(0, CsvLog(folder / "history.csv", self.history))
        who, promise = (record["name"], record["key"]), (exact, why)
        self.emit(RunStarted(who[0], folder, plan.epochs, steps, self.step, *promise, key=who[1]))
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

    def note(self, plan: Plan, row: dict[str, float], copy: Callable[[], Tensors]) -> None:
        """Add a row to the history, and hold the weights of the best one until they are saved."""
        if self.state.add_row(row, plan.recipe.monitor, plan.freeze_epochs or 0):
            self.best_weights = copy()

    def forget_best(self) -> None:
        """Let go of best weights that are not on the disk: the run goes back to before them."""
        self.best_weights = None

    def save(self, tensors: Tensors, facts: dict[str, Any], *, must: bool = False) -> bool:
        """Write a checkpoint, and the best weights if they are new; whether the disk took it.

        Raises
        ------
        RunInUse
            Somebody has deleted the folder, and another process has begun a run in its place.
        """
        state, best = self.state, None
        assert self.saver is not None
        hold_again(self.folder)
        self._forget_deleted()
        if state.best and self.best_weights is not None:
            best = (state.best["file"], self.best_weights)
        with timings.during("save"):
            facts = {**facts, **vars(state)}
            is_saved = self.saver.save(state.step, tensors, facts, best, must=must)
        if is_saved:
            self.best_weights = None
            self.write_missing()
        return is_saved

    def write_missing(self) -> None:
        """Write the small files that somebody has deleted from the run's folder."""
        start, choices = str(self.record["start"]), self.choices
        contents = {"choices.json": (start, choices), "run.json": (RUN, self.record)}
        try:
            for name, (of, content) in contents.items():
                if content is not None and not (self.folder / name).exists():
                    write_record(self.folder / name, of, content)
            if self.history and not (self.folder / "history.csv").exists():
                self.history.to_csv(self.folder / "history.csv")
        except RunError as err:
            self.complain(f"What is missing in the run's folder could not be written.\n{err}")

    def _forget_deleted(self) -> None:
        """Let go of best weights that somebody has deleted: the next validation gives new ones."""
        state = self.state
        if state.best is None or self.best_weights is not None:
            return
        if not (self.folder / state.best["file"]).exists():
            text = "was deleted while the run trained; the best of what follows takes its place."
            self.complain(f"{state.best['file']} {text}")
            state.best = None

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
