"""Schedules: the course of the learning rate over the steps of a run.

By name, or as your function, it is a function of the step alone: nothing of it is saved. One of
torch's schedulers has a state, which goes into the checkpoint.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.optim import lr_scheduler as theirs

from ..errors import ModelError
from ..recipe import Recipe
from .losses import falls

POWER = 0.9  # of the polynomial
BY_STEP = theirs.OneCycleLR, theirs.CyclicLR  # made to go on with each step; others: each epoch


@dataclass(frozen=True)
class Schedule:
    """The factor on every group's learning rate, a pure function of the optimizer step.

    So nothing of it is saved, and a resume restores nothing.

    Attributes
    ----------
    name : str
        cosine and restarts (Loshchilov and Hutter 2017: one cycle, and cycles of `step_size`
        epochs, each twice as long as the one before), step, onecycle (Smith 2018, the cosine form),
        linear, polynomial (of the power 0.9: Chen et al. 2017) or constant; of a course of your own
        or of torch's it is the warm-up alone.
    total, per_epoch, warmup : int
        Optimizer steps.
    step_size : int
        Epochs between two drops of `step`, each by the factor `gamma`.
    begin : int
        The step at which the schedule begins: before it, only the head learned.
    """

    name: str
    total: int
    per_epoch: int
    warmup: int = 0
    step_size: int = 7
    gamma: float = 0.1
    begin: int = 0

    @classmethod
    def of(cls, recipe: Recipe, per_epoch: int, *, begin: int = 0) -> Schedule:
        total, warmup = recipe.epochs * per_epoch, round(recipe.warmup_epochs * per_epoch)
        drops = recipe.step_size, recipe.gamma
        name = recipe.lr_schedule or "constant"
        return cls(name, total, per_epoch, warmup, *drops, begin)

    @property
    def ends(self) -> bool:
        """Whether the schedule depends on the length of the run: more epochs then change it."""
        return self.name in ("cosine", "onecycle", "linear", "polynomial")

    def factor(self, step: int) -> float:
        """Give the factor for the step that comes after `step` finished ones."""
        step, total = step - self.begin, self.total - self.begin
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        done = min(1.0, (step - self.warmup) / max(1, total - self.warmup))
        match self.name:
            case "cosine":
                return _cosine(done, 1.0, 0.0)
            case "linear":
                return 1.0 - done
            case "polynomial":
                return float((1.0 - done) ** POWER)
            case "restarts":
                cycles = (step - self.warmup) / (self.step_size * self.per_epoch)
                number = math.floor(math.log2(cycles + 1))
                return _cosine((cycles - (2**number - 1)) / 2**number, 1.0, 0.0)
            case "step":
                return self.gamma ** (step // self.per_epoch // self.step_size)
            case "onecycle":
                peak, last = 0.3 * total - 1, total - 1  # as torch's OneCycleLR counts
                if step <= peak:
                    return _cosine(step / peak, 1 / 25, 1.0)
                return _cosine((step - peak) / (last - peak), 1.0, 1 / 25 / 1e4)
        return 1.0


def _cosine(done: float, start: float, end: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Course:
    """Sets the learning rates of an optimizer before each of its steps.

    Parameters
    ----------
    schedule : Schedule
    optimizer : Optimizer
    own : callable, optional
        factor = own(step), in place of the schedule's name; its warm-up holds.

    Attributes
    ----------
    now : float
        The rate of the first group in the last step.
    """

    def __init__(
        self,
        schedule: Schedule,
        optimizer: torch.optim.Optimizer,
        own: Callable[[int], float] | None = None,
    ) -> None:
        self.schedule, self.optimizer, self.own = schedule, optimizer, own
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.now = self.rates[0]

    def put(self, step: int, factor: float) -> None:
        """Set the rates for the step that comes after `step` finished ones."""
        factor *= self.schedule.factor(step)
        if self.own is not None:
            factor *= float(self.own(step - self.schedule.begin))
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=True):
            group["lr"] = rate * factor
        self.now = self.rates[0] * factor

    def stepped(self) -> None:
        """Hear that the optimizer has made a step."""

    def validated(self, row: Mapping[str, float], *, epoch_ends: bool) -> None:
        """Hear of a validation."""

    def state(self) -> dict[str, Any] | None:
        """What a checkpoint keeps of it besides the optimizer's own rates."""
        return None

    def load(self, state: dict[str, Any] | None) -> None:
        """Go on from there, after the optimizer."""
        self.now = float(self.optimizer.param_groups[0]["lr"])


class TorchCourse(Course):
    """A scheduler of torch's: it goes on with each epoch, OneCycleLR and CyclicLR with each step.

    ReduceLROnPlateau goes by `monitor`, after each validation.
    """

    def __init__(
        self, schedule: Schedule, optimizer: torch.optim.Optimizer, made: Any, monitor: str
    ) -> None:
        self.made, self.monitor = made, monitor
        self.by_step = isinstance(made, BY_STEP)
        super().__init__(schedule, optimizer)

    def stepped(self) -> None:
        self._own_rates()  # it makes the next ones of them
        if self.by_step:
            self.made.step()
            self._read()

    def validated(self, row: Mapping[str, float], *, epoch_ends: bool) -> None:
        if isinstance(self.made, theirs.ReduceLROnPlateau):
            if self.monitor in row:
                self.made.step(row[self.monitor])
        elif epoch_ends and not self.by_step:
            self.made.step()
        self._read()

    def state(self) -> dict[str, Any]:
        return {"made": self.made.state_dict(), "now": self.now}

    def load(self, state: dict[str, Any] | None) -> None:
        assert state is not None
        self.made.load_state_dict(state["made"])
        self.now, stepped = float(state["now"]), self.optimizer
        # it made its steps in an earlier process: torch must not warn
        stepped._opt_called = True  # type: ignore[attr-defined]
        self._read()

    def _own_rates(self) -> None:
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=True):
            group["lr"] = rate

    def _read(self) -> None:
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]


def course_of(
    given: Any, recipe: Recipe, optimizer: torch.optim.Optimizer, per_epoch: int, begin: int
) -> Course:
    """Make the course that a recipe and `lr_schedule=` ask for.

    Parameters
    ----------
    given : None, f(step) -> factor, or a scheduler of torch's: a class, a partial, an instance

    Raises
    ------
    ModelError
        The scheduler cannot be made, or is not of the run's optimizer.
    """
    named = recipe if given is None else replace(recipe, lr_schedule="constant")
    schedule = Schedule.of(named, per_epoch, begin=begin)
    if given is None and recipe.lr_schedule == "plateau":
        mode = "min" if falls(recipe.monitor) else "max"
        how: Any = {"mode": mode, "factor": recipe.gamma, "patience": recipe.step_size}
        given = functools.partial(theirs.ReduceLROnPlateau, **how)
    if given is None:
        return Course(schedule, optimizer)
    if not is_torchs(given):
        return Course(schedule, optimizer, given)
    if not isinstance(given, _KINDS):
        try:
            given = given(optimizer)
        except (TypeError, ValueError) as err:
            name = getattr(given, "__name__", "StepLR")
            raise ModelError(
                f"lr_schedule={name} cannot be made over the optimizer.",
                str(err),
                f"give its arguments: functools.partial(torch.optim.lr_scheduler.{name}, …)",
            ) from err
    if given.optimizer is not optimizer:
        raise ModelError(
            "The scheduler is of another optimizer than the run's.",
            "a scheduler changes the rates of the optimizer that it was made with",
            "pass both: kit.train(net, data, optimizer=optimizer, lr_schedule=scheduler)",
        )
    return TorchCourse(schedule, optimizer, given, recipe.monitor)


_KINDS = theirs.LRScheduler, theirs.ReduceLROnPlateau


def is_torchs(given: Any) -> bool:
    """Whether it is a scheduler of torch's: an instance, a class, or a partial of a class."""
    kind = given.func if isinstance(given, functools.partial) else given
    return isinstance(kind, _KINDS) or (inspect.isclass(kind) and issubclass(kind, _KINDS))


def identity_of(given: Any, describe: Callable[[Any], Any]) -> Any:
    """Say what a schedule of your own adds to a run's identity."""
    if isinstance(given, _KINDS):
        state = {k: v for k, v in given.state_dict().items() if not k.startswith("_")}
        return [type(given).__qualname__, repr(sorted(state.items()))]
    return describe(given)
