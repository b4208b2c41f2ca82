"""A job: what is trained, on what and how; where it is; and how both go into a checkpoint and come back."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..data.batches import BatchLoader
from ..events import Control, Event
from ..models.precision import Precision
from ..models.weights import put
from ..recipe import Recipe
from . import checkpoint
from .budget import Budget
from .checkpoint import Checkpoint, Tensors
from .ema import Average
from .freezing import Phases
from .losses import Loss
from .metrics import better
from .saver import Saver
from .schedule import Schedule


@dataclass
class State:
    """Where a run is. Everything here goes into a checkpoint."""

    step: int = 0  # optimizer steps done
    epoch: int = 0  # epochs finished
    batch: int = 0  # batches done of the epoch under way
    sums: list[float] = field(default_factory=lambda: [0.0] * 4)  # of the epoch under way
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Any] | None = None  # step, epoch, file, metrics
    waited: int = 0  # validations since the best
    seconds: float = 0.0  # of training, over all sessions
    rollbacks: int = 0  # times that the loss was lost and the run went back
    lr_factor: float = 1.0  # on every learning rate, since a rollback
    back_to: int = -1  # the step it last went back to
    pieces: int = 1  # in which a batch is computed, since memory ran out
    scaler: dict[str, float] | None = None  # of the GradScaler, if there is one

    @classmethod
    def of(cls, facts: dict[str, Any]) -> State:
        """As a checkpoint says."""
        return cls(**{f.name: facts[f.name] for f in dataclasses.fields(cls)})

    def noted(self, row: dict[str, float], metric: str) -> bool:
        """Write a row of history; whether it is the best one so far by this metric."""
        self.history.append(row)
        if metric not in row:
            return False
        if not better(metric, row[metric], self.best["metrics"].get(metric) if self.best else None):
            self.waited += 1
            return False
        name = checkpoint.name_of(self.step, "best")
        self.best, self.waited = (
            {"step": self.step, "epoch": row["epoch"], "file": name, "metrics": dict(row)},
            0,
        )
        return True


class Diverged(Exception):
    """The loss, or a weight, is no longer finite. `value`: the loss."""

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.value = value


@dataclass
class Job:
    """What is trained, on what, and how."""

    model: nn.Module
    phases: Phases
    train: BatchLoader
    valid: BatchLoader | None
    loss: Loss
    valid_loss: Loss  # without class weights and smoothing: figures that can be compared
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    recipe: Recipe
    device: torch.device
    classes: int
    task: str
    output: str  # what the network puts out
    average: Average | None
    saver: Saver
    budget: Budget
    emit: Callable[[Event], None]
    control: Control
    precision: Precision
    net: Callable[[Any], Any]  # the model, compiled if it was asked for
    facts: dict[str, Any]  # what a checkpoint says besides the state
    best_weights: Tensors | None = None  # found, not yet on the disk
    saved: tuple[int, ...] = ()  # what the last save was of
    begun: int = 0  # steps done when this session began

    def __post_init__(self) -> None:
        self.scaler = self.precision.scaler(self.device)
        self.base_lr = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.steps = math.ceil(len(self.train) / self.recipe.grad_accum_steps) * self.recipe.epochs

    def save(self, state: State, *, must: bool = False, planned: bool = False) -> None:
        """Write everything the next step needs, once for each place a run can be at.

        planned : whether every session of this run saves here (save_every_steps=): a rollback goes to no other step

        Raises
        ------
        Diverged
            A weight is not finite: the file before this one must stay the newest.
        """
        mark = (state.step, state.epoch, len(state.history), state.rollbacks)
        if mark == self.saved:
            return
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
            raise Diverged(math.nan)
        best = (
            (state.best["file"], self.best_weights)
            if state.best and self.best_weights is not None
            else None
        )
        tensors, facts = self._snapshot(state)
        (
            self.saver.passing.discard
            if planned or self.saver.every is None
            else self.saver.passing.add
        )(state.step)
        if self.saver.save(state.step, tensors, {**facts, "planned": planned}, best, must=must):
            self.best_weights, self.saved = None, mark

    def _snapshot(self, state: State) -> tuple[Tensors, dict[str, Any]]:
        """The run as tensors and plain data."""
        if self.scaler is not None:
            state.scaler = self.scaler.state_dict()
        tensors = {f"model/{name}": t for name, t in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average/{name}": t for name, t in self.average.shadow.items()}
        optimizer = checkpoint.pack(self.optimizer.state_dict(), tensors, "optimizer/")
        return tensors, {
            **self.facts,
            **vars(state),
            "optimizer": optimizer,
            "schedule": vars(self.schedule),
        }

    def restore(self, found: Checkpoint) -> State:
        """Put a checkpoint back into model, average and optimizer; give where it was."""
        put(self.model, checkpoint.under(found.tensors, "model/"))
        checkpoint.put_back(
            self.optimizer, checkpoint.unpack(found.facts["optimizer"], found.tensors)
        )
        if self.average is not None:
            for name, tensor in checkpoint.under(found.tensors, "average/").items():
                self.average.shadow[name].copy_(tensor)
        if self.scaler is not None and found.facts["scaler"] is not None:
            self.scaler.load_state_dict(found.facts["scaler"])
        self.best_weights = None
        if self.saver.every is not None and not found.facts["planned"]:
            self.saver.passing.add(found.step)
        return State.of(found.facts)

    def put_back(self) -> None:
        """Leave what is the user's as it came: learning rates off the schedule, frozen layers free."""
        for lr, group in zip(self.base_lr, self.optimizer.param_groups, strict=True):
            group["lr"] = lr
        self.phases.leave()
