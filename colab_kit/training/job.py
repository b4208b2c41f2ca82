"""The job: what the loop works on. It goes into a checkpoint, comes back, and says what holds."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.folders.tree import some
from ..events import Note
from ..models.inference import primary
from ..models.precision import compiled
from ..models.weights import put
from ..system import timings
from . import checkpoint
from .checkpoint import Checkpoint, Tensors
from .hidden_state import FIRST, Draws, HiddenState, passes_alike
from .losses import own_loss
from .optim import Average, Halfway
from .plan import Plan
from .schedules import course_of
from .state import Diverged, Progress, State


class Job:
    """What the loop works on: a plan, and all that changes with its steps."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self.plan, self.progress, self.recipe = plan, progress, plan.recipe
        self.model, self.device, self.precision = plan.model, plan.device, plan.precision
        self.train, self.valid = plan.loaders["train"], plan.loaders.get("valid")
        self.emit, self.control, self.budget = progress.emit, progress.control, progress.budget
        self.watch = timings.running()
        self.loss, self.valid_loss = plan.loss, plan.valid_loss
        self.own_loss = own_loss(plan.loss)
        self.exact: bool | None = None  # of a run that goes on
        self.promise = ""
        self.measures = {"task": plan.data.task, "output": plan.choices["output"].value}
        self.optimizer = plan.optimizer()
        self.net: Callable[[Any], Any] = plan.learner
        if self.recipe.compile:
            self.net = compiled(plan.learner, self.train.peek().x, progress.complain)
        self.precision.lay(self.model)
        for loader in plan.loaders.values():
            loader.channels_last = self.precision.channels_last
        self.average: Average | None = None
        if self.recipe.ema_decay:
            self.average = Average(self.model, self.recipe.ema_decay)
        elif plan.goes_halfway:
            self.average = Halfway(self.model)
        self.saver = progress.open_saver(plan)
        found = progress.checkpoint
        begin = progress.step if found is None else found.facts["schedule"].get("begin", 0)
        per_epoch, schedule = plan.steps_per_epoch, plan.request.lr_schedule
        self.steps = plan.steps_per_epoch * self.recipe.epochs
        self.phases = plan.phases()
        numbers = {"precision": str(self.precision), "compile": str(self.recipe.compile)}
        self.environment = environment(self.device) | numbers
        self.facts = progress.facts(plan) | {"environment": self.environment}
        self.scaler = self.precision.scaler(self.device)
        self.base_lr = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.course = course_of(schedule, self.recipe, self.optimizer, per_epoch, begin)
        self.schedule = self.course.schedule
        self.saved: tuple[int, ...] = ()  # what the last save was of
        self.begun = 0  # steps done when this session began

    def begin(self) -> State:
        """Go on from the checkpoint, or from the head that was fitted; say which promise holds."""
        state, found = self.progress.state, self.progress.checkpoint
        if found is None:
            self._watch(state)
            if state.step:  # the head is fitted: from here on the loop knows of it
                self.save(state, must=True, planned=True)
            return state
        vars(state).update(vars(self.restore(found)))
        self._watch(state)
        self.begun = state.step
        if state.step:
            total = found.facts["schedule"]["total"]
            self.exact, self.promise = exactness(
                found.facts["environment"],
                self.environment,
                stretched=self.schedule.ends and total != self.schedule.total,
                keyed=self.plan.is_keyed,
                cut=state.pieces > 1,
                drawn_late=state.drawn_late,
                hidden=state.hidden,
            )
            self.emit(Note(f"Going on from step {state.step} of {self.steps}: {self.promise}."))
        return state

    def _watch(self, state: State) -> None:
        """Look at what no checkpoint holds, from here on."""
        own = {"loss": self.own_loss, "optimizer": self.optimizer}
        self.outside = HiddenState({"the network": self.model, **own})
        self.draws = Draws(state.drawn)

    def look_outside(self, state: State) -> None:
        """Say what changes outside of all that is saved: a run that goes on lacks it."""

        def once() -> Any:
            first = self.train.peek()
            output = self.model(first.x[:2])
            return output, self.loss(primary(output), first.y[:2])

        def alike() -> bool:
            return passes_alike(self.model, self.own_loss, once, self.recipe.seed)

        if state.hidden or not (found := self.outside.changed(alike)):
            return
        state.hidden += found
        text = (
            f"{some(found)} changed while it trained, and no checkpoint holds it: a run that stops "
            "goes on without it. Register it: self.register_buffer(name, tensor)"
        )
        self.emit(Note(f"{text}, or keep it in state_dict().", "warn"))

    def look_at_draws(self, state: State) -> None:
        """Key python's and numpy's generators for each step, where the last step drew from them."""
        if not (found := self.draws.look()):
            return
        if state.step > FIRST:
            state.drawn_late = True
            text = f"A step drew from {some(found)} for the first time: the bits of this run do not"
            self.emit(Note(f"{text} repeat.", "warn"))

    def save(self, state: State, *, must: bool = False, planned: bool = False) -> None:
        """Write everything the next step needs, once for each place a run can be at.

        Parameters
        ----------
        planned : bool
            Whether every session of this run saves here (save_every_steps=): a rollback goes to no
            other step.

        Raises
        ------
        Diverged
            A weight is not finite: the file before this one must stay the newest.
        """
        mark = (state.step, state.epoch, len(state.history), state.rollbacks)
        if mark == self.saved and (self.saver.folder / checkpoint.name_of(state.step)).exists():
            return
        if state.step > self.begun:
            self.look_outside(state)
            self.draws.looks = max(1, self.draws.looks)  # at the next step
        finite = [p.isfinite().all() for p in self.model.parameters()]
        if finite and not bool(torch.stack(finite).all()):  # one fetch: each waits for the device
            raise Diverged(math.nan)
        tensors, facts = self._snapshot(state)
        passing = self.saver.passing
        change = passing.discard if planned or self.saver.every is None else passing.add
        change(state.step)
        if self.progress.save(tensors, {**facts, "planned": planned}, must=must):
            self.saved = mark

    def _snapshot(self, state: State) -> tuple[Tensors, dict[str, Any]]:
        """Give the run as tensors and plain data."""
        if self.scaler is not None:
            state.scaler = self.scaler.state_dict()
        tensors = {f"model/{name}": t for name, t in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average/{name}": t for name, t in self.average.shadow.items()}
        if isinstance(self.average, Halfway):
            tensors |= {f"start/{name}": t for name, t in self.average.start.items()}
        if isinstance(self.own_loss, nn.Module):
            tensors |= {f"loss/{name}": t for name, t in self.own_loss.state_dict().items()}
        optimizer = checkpoint.pack(self.optimizer.state_dict(), tensors, "optimizer/")
        schedule = dict(vars(self.schedule))
        if (course := self.course.state()) is not None:
            schedule["course"] = checkpoint.pack(course, tensors, "course/")
        return tensors, {**self.facts, "optimizer": optimizer, "schedule": schedule}

    def restore(self, found: Checkpoint) -> State:
        """Put a checkpoint back into model, average and optimizer; give where it was."""
        tensors, facts = found.tensors, found.facts
        put(self.model, checkpoint.under(tensors, "model/"))
        is_back = checkpoint.put_back(self.optimizer, facts["optimizer"], tensors)
        course = facts["schedule"].get("course")
        self.course.load(None if course is None else checkpoint.unpack(course, tensors))
        if self.average is not None:
            for name, tensor in checkpoint.under(tensors, "average/").items():
                self.average.shadow[name].copy_(tensor)
        if isinstance(self.average, Halfway):
            for name, tensor in checkpoint.under(tensors, "start/").items():
                self.average.start[name].copy_(tensor)
        if isinstance(self.own_loss, nn.Module):
            put(self.own_loss, checkpoint.under(tensors, "loss/"))
        if self.scaler is not None and facts["scaler"] is not None:
            self.scaler.load_state_dict(facts["scaler"])
        self.progress.forget_best()
        if self.saver.every is not None and not facts["planned"]:
            self.saver.passing.add(found.step)
        state = State.of(facts)
        if not is_back and not state.hidden:
            state.hidden.append("all that the optimizer keeps")
        return state

    def put_back(self) -> None:
        """Give the user's things back as they came: learning rates, and what wants gradients."""
        for lr, group in zip(self.base_lr, self.optimizer.param_groups, strict=True):
            group["lr"] = lr
        self.phases.leave()


def environment(device: Any) -> dict[str, str]:
    """Say what the bits of a step depend on, besides the run itself."""
    kind = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else torch.backends.cpu.get_cpu_capability()
    )
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": f"{device.type} {kind} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
    }


def exactness(
    old: dict[str, str],
    new: dict[str, str],
    *,
    stretched: bool,
    keyed: bool = True,
    cut: bool = False,
    drawn_late: bool = False,
    hidden: Sequence[str] = (),
) -> tuple[bool, str]:
    """Say which promise holds for a run that goes on: the same bits, or the same data and schedule.

    Parameters
    ----------
    old, new : environments of the checkpoint and of now
    stretched : bool
        Whether the schedule is longer now.
    cut : bool
        Whether batches are computed in pieces.
    drawn_late : bool
        Whether steps drew from `random` or numpy before they were keyed.
    hidden : sequence of str
        What changed outside of all that is saved.
    """
    changed = [name for name, value in new.items() if old.get(name) != value]
    broken = [f"{name} {old.get(name)} → {new[name]}" for name in changed]
    if new["device"].startswith(("cuda", "mps")):
        broken.append(f"on {new['device'].split()[0]} the order of sums is not fixed")
    if stretched:
        broken.append("more epochs stretch the schedule of the learning rate")
    if cut:
        broken.append("batches are computed in pieces since memory ran out")
    if drawn_late:
        broken.append("steps drew from random or numpy before that was seen")
    if hidden:
        broken.append(f"no checkpoint holds {some(hidden)}")
    if not keyed:
        return False, (
            "same order and schedule; the dataset's own random numbers are beyond any key, "
            "so neither its pictures nor the bits repeat"
        )
    if not broken:
        return True, "every bit as if it had never stopped"
    return False, f"same data, order and augmentation, not the same bits ({'; '.join(broken)})"
