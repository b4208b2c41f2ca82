"""The training loop: a story, read top to bottom. Where it is, is two integers; all else it needs is keyed by them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..control import Control
from ..data import keyed
from ..data.batches import Batch, Feed
from ..errors import TrainError
from ..events import EpochDone, Event, Note, StepDone
from ..recipe import Recipe
from .averaging import Average
from .checkpoint import Tensors, name_of, pack
from .losses import Loss, primary, with_aux
from .metrics import Sums, better
from .phases import Phases
from .saver import Saver
from .schedule import Schedule

LOOK_EVERY = 0.1  # seconds between two reads of the loss on an accelerator, where a read makes it wait


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


@dataclass
class Job:
    """What is trained, on what, and how."""

    model: nn.Module
    phases: Phases
    train: Feed
    valid: Feed | None
    loss: Loss
    valid_loss: Loss  # without class weights and smoothing: figures that can be compared
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    recipe: Recipe
    device: torch.device
    classes: int
    average: Average | None
    saver: Saver
    emit: Callable[[Event], None]
    control: Control
    facts: dict[str, Any]  # what a checkpoint says besides the state
    best_weights: Tensors | None = None  # found, not yet on the disk
    saved: tuple[int, int, int] = (-1, -1, -1)  # step, epoch and rows of history of the last save

    def __post_init__(self) -> None:
        self.base_lr = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.steps = math.ceil(len(self.train) / self.recipe.accumulate) * self.recipe.epochs

    def put_back(self) -> None:
        """Leave what is the user's as it came: learning rates off the schedule, frozen layers free."""
        for lr, group in zip(self.base_lr, self.optimizer.param_groups, strict=True):
            group["lr"] = lr
        self.phases.leave()


def fit(job: Job, state: State) -> str:
    """Train from where `state` is to the end. Give "" when done, else the reason it stopped early.

    Raises
    ------
    TrainError
        The loss is no longer finite.
    RunError
        Nothing can be written at the start.
    """
    started = time.monotonic() - state.seconds
    if state.step == 0:
        save(job, state, must=True)  # a kill before the first step loses not even the initial weights
    reason = ""
    while not reason and state.epoch < job.recipe.epochs:
        reason = out_of_patience(job.recipe, state.waited, state.best) or train_epoch(job, state, started)
    state.seconds = time.monotonic() - started
    save(job, state)
    return reason


def train_epoch(job: Job, state: State, started: float) -> str:
    """Train what is left of the epoch, validate, and turn the page. Give the reason if it was told to stop."""
    recipe, emit, control = job.recipe, job.emit, job.control
    sums = Sums(job.device, top5=False, values=state.sums)
    looked = 0.0

    if between_epochs(job, state) and not look_up(job, state, sums, state.epoch + state.batch / len(job.train)):
        return control.reason
    if state.batch and (reason := out_of_patience(recipe, state.waited, state.best)):
        return reason
    job.phases.enter(state.epoch)
    for group in groups(job.train.shuffled(state.epoch, first=state.batch), recipe.accumulate):
        loss = optimizer_step(job, state, group, sums)
        now = time.monotonic()
        if job.device.type == "cpu" or now - looked > LOOK_EVERY:
            looked, value = now, finite(loss.item(), state)
            emit(StepDone(state.step, job.steps, value, job.optimizer.param_groups[0]["lr"]))
        if between_epochs(job, state):
            if not look_up(job, state, sums, state.epoch + state.batch / len(job.train)):
                break
            if out_of_patience(recipe, state.waited, state.best):
                break
            job.phases.enter(state.epoch)
        paused = control.paused
        if job.saver.due(state.step) or paused:
            state.sums, state.seconds = sums.as_list(), now - started
            finite(state.sums[0], state)
            save(job, state)
        if paused:
            emit(Note(f"Paused after step {state.step}; it is saved."))
            control.wait_while_paused()
            started += time.monotonic() - now  # pausing is not training time
        if control.stopped:
            break
    state.sums = sums.as_list()
    if state.batch < len(job.train):
        return control.reason or out_of_patience(recipe, state.waited, state.best)

    finite(state.sums[0], state)
    if not look_up(job, state, sums, float(state.epoch + 1)):
        return control.reason
    state.epoch, state.batch, state.sums = state.epoch + 1, 0, [0.0] * 4
    state.seconds = time.monotonic() - started
    control.reached("epoch_end")
    if job.saver.due(state.step):
        save(job, state)
    return control.reason if control.stopped and state.epoch < recipe.epochs else ""


def between_epochs(job: Job, state: State) -> bool:
    """Whether a validation is due in the middle of the epoch, and has not been done yet."""
    every, done = job.recipe.validate_every, state.history[-1]["step"] if state.history else 0
    return every is not None and state.step % every == 0 and done < state.step and state.batch < len(job.train)


def groups(batches: Iterator[Batch], accumulate: int) -> Iterator[list[Batch]]:
    """Batches in groups whose gradients make one step."""
    while group := list(itertools.islice(batches, accumulate)):
        yield group


def optimizer_step(job: Job, state: State, group: list[Batch], sums: Sums) -> torch.Tensor:
    """One optimizer step over a group of batches; the mean loss of its pictures, still on the device."""
    seen = sum(len(batch.y) for batch in group)
    total = torch.zeros((), device=job.device)
    for number, batch in enumerate(group, state.batch):
        if not len(batch.y):
            continue  # every picture of it is damaged
        keyed.seed_torch(job.recipe.seed, keyed.STEP, state.epoch, number)  # what dropout draws, whatever drew before
        loss = forward(job, state, batch, number, sums) * (len(batch.y) / seen)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    job.control.reached("after_backward")
    if job.recipe.clip is not None:
        nn.utils.clip_grad_norm_(job.model.parameters(), job.recipe.clip)
    factor = job.schedule.factor(state.step)
    for lr, parameters in zip(job.base_lr, job.optimizer.param_groups, strict=True):
        parameters["lr"] = lr * factor
    job.optimizer.step()
    job.optimizer.zero_grad(set_to_none=True)
    state.step, state.batch = state.step + 1, state.batch + len(group)
    if job.average is not None:
        job.average.update(state.step)
    job.control.reached("after_optimizer")
    return total


def forward(job: Job, state: State, batch: Batch, number: int, sums: Sums) -> torch.Tensor:
    """The loss of one batch, mixed up if the recipe says so (Zhang et al. 2018, mixup)."""
    x, y = batch.x, batch.y
    if not job.recipe.mixup:
        output = job.model(x)
        loss = with_aux(job.loss, output, y)
    else:
        draw = keyed.numpy_generator(job.recipe.seed, keyed.MIXUP, state.epoch, number)
        share = float(draw.beta(job.recipe.mixup, job.recipe.mixup))
        other = torch.from_numpy(draw.permutation(len(y))).to(x.device)
        output = job.model(torch.lerp(x[other], x, share))
        loss = share * with_aux(job.loss, output, y) + (1 - share) * with_aux(job.loss, output, y[other])
    sums.add(loss, primary(output), y)
    return loss


def look_up(job: Job, state: State, sums: Sums, epoch: float) -> bool:
    """Validate, write a row of history, and remember the best weights. False if it was told to stop meanwhile."""
    found = validate(job, state)
    if found is None:
        return False
    lr = job.optimizer.param_groups[0]["lr"]
    row = {"epoch": epoch, "step": state.step, "lr": lr, **sums.read("train"), **found}
    state.history.append(row)
    metric = job.recipe.monitor
    if metric in row and better(metric, row[metric], state.best["metrics"].get(metric) if state.best else None):
        state.best = {"step": state.step, "epoch": epoch, "file": name_of(state.step, "best"), "metrics": dict(row)}
        state.waited = 0
        with job.average.worn() if job.average is not None else torch.no_grad():
            job.best_weights = {name: t.detach().to("cpu", copy=True) for name, t in job.model.state_dict().items()}
    elif metric in row:
        state.waited += 1
    job.emit(EpochDone(epoch, job.recipe.epochs, row))
    return True


def validate(job: Job, state: State) -> dict[str, float] | None:
    """Loss and accuracy on the validation split, with the averaged weights if there are any; None if told to stop."""
    if job.valid is None:
        return {}
    found = Sums(job.device, top5=job.classes > 5)
    job.model.eval()
    with torch.no_grad(), job.average.worn() if job.average is not None else torch.no_grad():
        for number, batch in enumerate(job.valid.in_order()):
            keyed.seed_torch(job.recipe.seed, keyed.VALID, number)
            if len(batch.y):
                output = primary(job.model(batch.x))
                found.add(job.valid_loss(output, batch.y), output, batch.y)
            job.control.reached("in_validation")
            if job.control.stopped:
                return None
    figures = found.read("valid")
    if found.seen:
        finite(figures["valid/loss"], state)
    return figures


def out_of_patience(recipe: Recipe, waited: int, best: dict[str, Any] | None) -> str:
    """The reason to stop early (Prechelt 1998), or "".

    waited : validations since the best one
    """
    if recipe.patience is None or waited < recipe.patience:
        return ""
    at = f" since epoch {best['epoch']:g}" if best else ""
    return f"early stopping: {recipe.monitor} is not better{at}"


def finite(value: float, state: State) -> float:
    if math.isfinite(value):
        return value
    if state.step <= 1:
        why = "the network or the loss itself gives it, before anything was learned: a log of a negative number, a division by zero"
        raise TrainError(f"The loss is {value} at the first step.", why, "look at the network's outputs, and for NaN in the data")
    raise TrainError(
        f"The loss is {value} at step {state.step}.",
        "the weights grew without bound: mostly a learning rate that is too high, or NaN in the data",
        "use a tenth of the learning rate (lr=), or clip=1.0; the last saved step is still good",
    )


def save(job: Job, state: State, *, must: bool = False) -> None:
    """Write everything the next step needs."""
    mark = (state.step, state.epoch, len(state.history))
    if mark == job.saved:
        return
    if not all(bool(p.isfinite().all()) for p in job.model.parameters()):
        finite(math.nan, state)  # the loss was fine and the step was not: the file before this one must stay the newest
    best = (state.best["file"], job.best_weights) if state.best and job.best_weights is not None else None
    if job.saver.save(state.step, *snapshot(job, state), best, must=must):
        job.best_weights, job.saved = None, mark


def snapshot(job: Job, state: State) -> tuple[Tensors, dict[str, Any]]:
    """The run as tensors and plain data."""
    tensors = {f"model/{name}": t for name, t in job.model.state_dict().items()}
    if job.average is not None:
        tensors |= {f"average/{name}": t for name, t in job.average.shadow.items()}
    optimizer = pack(job.optimizer.state_dict(), tensors, "optimizer/")
    return tensors, {**job.facts, **vars(state), "optimizer": optimizer, "schedule": vars(job.schedule)}
