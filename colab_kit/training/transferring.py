"""Transferring: a head on a backbone. The head is solved for features that are computed once; then, if asked, all is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from ..data import keyed_random
from ..events import Callbacks, EpochDone, Note, StepDone, milestone
from ..models.known import Shell
from ..models.linear_solver import Solved
from ..runs.run import Run
from . import checkpoint
from .budget import Budget
from .state import Job, State
from .transfer_plan import Planned


class Transfer(Planned):
    """One call of transfer()."""

    def _go_on(
        self, run: Run, emit: Callbacks, found: checkpoint.Checkpoint | None
    ) -> tuple[str, str]:
        if self.fit is None or self.mode == "finetune":
            return super()._go_on(run, emit, found)
        budget = self._budget(found, emit)
        if not self.solved:
            ready = (
                self._computed(run, emit, budget)
                if self.deep
                else found is not None or self._fitted(run, emit, self.start, budget)
            )
            if not ready:
                return (
                    "stopped",
                    run.control.reason,
                )  # nothing is written yet: what features there are, are kept
            return super()._go_on(run, emit, found)
        state = State.of(found.facts) if found is not None else self.start
        self.saver = self._saver(run, emit, found)
        self._announce(run, emit, state, self._groups * self.passes)
        facts = {
            "start": run.record["start"],
            "key": run.key,
            "classes": list(self.data.classes),
            "fingerprint": self.data.fingerprint,
        }
        try:
            done = self._fitted(
                run,
                emit,
                state,
                budget,
                {**facts, "planned": True, "environment": {}, "schedule": {}},
            )
        finally:
            run.take(vars(state))
        if state.best:
            self._wear(checkpoint.read(run.folder / state.best["file"]).tensors)
        self.model.eval()
        return ("finished", "") if done else ("stopped", run.control.reason)

    def _computed(self, run: Run, emit: Callbacks, budget: Budget) -> bool:
        """Compute the features that a head of several layers learns from; whether all are there."""
        assert self.fit is not None
        told = self._listening(run, emit, budget)
        with keyed_random.outer_streams_kept():
            return all(self.fit.compute(name, view, told) for name, view in self._parts)

    def _fitted(
        self,
        run: Run,
        emit: Callbacks,
        state: State,
        budget: Budget,
        facts: dict[str, Any] | None = None,
    ) -> bool:
        """View after view: compute what is missing, fit the head, note its figures; whether all of it was done.

        facts : what a checkpoint says, written after each view; None: the loop will write the first one
        """
        assert self.fit is not None

        def progress(done: int) -> None:
            if facts is not None:
                emit(
                    StepDone(
                        state.epoch * self._groups + min(done, self._groups),
                        self._groups * self.passes,
                        math.nan,
                        0.0,
                    )
                )

        told = self._listening(run, emit, budget, progress)
        with keyed_random.outer_streams_kept():
            for row, head in self.fit.passes(
                self.passes, "valid" in self.feeds, told, after=state.epoch
            ):
                self._put(head)
                state.epoch, state.step, state.seconds = (
                    state.epoch + 1,
                    state.step + self._groups,
                    budget.seconds,
                )
                weights = {
                    name: t.detach().cpu().clone() for name, t in self.model.state_dict().items()
                }
                if state.noted(
                    {"epoch": float(state.epoch), "step": state.step, "l2": head.strength, **row},
                    self.recipe.monitor,
                ):
                    self.best_weights = weights
                state.waited = 0  # patience is the loop's
                if facts is not None and self.saver is not None:
                    best = (
                        (state.best["file"], weights)
                        if state.best and state.best["step"] == state.step
                        else None
                    )
                    tensors = {f"model/{name}": t for name, t in weights.items()}
                    self.saver.save(state.step, tensors, {**facts, **vars(state)}, best, must=True)
                emit(EpochDone(float(state.epoch), self.epochs, state.history[-1]))
                milestone("epoch_end")
        return state.epoch == self.passes

    def _listening(
        self,
        run: Run,
        emit: Callbacks,
        budget: Budget,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Callable[[int, int], bool]:
        """What hears stop, pause and budget after each batch of a pass; False ends it."""

        def told(done: int, of: int) -> bool:
            milestone("in_features")
            progress(done)
            if run.control.paused:
                began = time.monotonic()
                emit(Note(f"Paused after {done} of {of} batches of a view; they are kept."))
                run.control.wait_while_paused()
                budget.pause(time.monotonic() - began)
            if budget.used_up(step=0.0, save=0.0):
                run.control.stop(budget.reason(None))
            return not run.control.stopped

        return told

    @property
    def _groups(self) -> int:
        """Steps of a pass."""
        return -(-len(self.feeds["train"]) // self.recipe.grad_accum_steps)

    def _put(self, head: Solved) -> None:
        """The solved weights, in the network."""
        layer = self._answer(self.layer)
        assert layer is not None
        with torch.no_grad():
            layer.weight.copy_(head.weight)
            layer.bias.copy_(head.bias)

    def _job(
        self, run: Run, emit: Callbacks, found: checkpoint.Checkpoint | None
    ) -> tuple[Job, State]:
        job, state = super()._job(run, emit, found)
        if self.deep and not isinstance(self.model, Shell):
            job.net = self.model.get_submodule(self.layer)
        if found is None and state.step:  # the head is fitted: from here on the loop knows of it
            job.best_weights = self.best_weights
            job.save(state, must=True, planned=True)
        return job, state
