"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..recipe import Recipe


@dataclass(frozen=True)
class Schedule:
    """The factor on every group's learning rate at an optimizer step.

    name : cosine (Loshchilov and Hutter 2017, one cycle without restart), step, onecycle (Smith 2018, the cosine form), constant
    total, per_epoch, warmup : optimizer steps
    begin : the step it begins at: what came before was the head's alone
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
        warmup = round(recipe.warmup_epochs * per_epoch)
        return cls(
            recipe.lr_schedule,
            recipe.epochs * per_epoch,
            per_epoch,
            warmup,
            recipe.step_size,
            recipe.gamma,
            begin,
        )

    @property
    def ends(self) -> bool:
        """Whether the course depends on how long the run is: then more epochs change the steps to come."""
        return self.name in ("cosine", "onecycle")

    def factor(self, step: int) -> float:
        """Factor for the step that comes after `step` finished ones."""
        step, total = step - self.begin, self.total - self.begin
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        match self.name:
            case "cosine":
                return _cosine((step - self.warmup) / max(1, total - self.warmup), 1.0, 0.0)
            case "step":
                return self.gamma ** (step // self.per_epoch // self.step_size)
            case "onecycle":
                peak, last = 0.3 * total - 1, total - 1  # as torch's OneCycleLR counts
                if step <= peak:
                    return _cosine(step / peak, 1 / 25, 1.0)
                return _cosine((step - peak) / (last - peak), 1.0, 1 / 25 / 1e4)
            case _:
                return 1.0


def _cosine(done: float, start: float, end: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
