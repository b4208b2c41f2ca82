"""The training loop: a story, read top to bottom. Where it is, is two integers; all else it needs is keyed by them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ..data import keyed_random
from ..data.augment import mixed
from ..data.batches import Batch
from ..events import EpochDone, Note, StepDone, milestone
from ..models.precision import PLAIN, floated
from ..recipe import Recipe
from .losses import primary, with_aux
from .memory import is_out_of_memory, let_go, pieces, twice_as_many
from .metrics import Sums
from .recovery import go_back
from .state import Diverged, Job, State

LOOK_EVERY = (
    0.1  # seconds between two reads of the loss on an accelerator, where a read makes it wait
)


def fit(job: Job, state: State) -> str:
    """Train from where `state` is to the end. Give "" when done, else the reason it stopped early.

    Raises
    ------
    TrainError
        The loss is no longer finite, whatever was tried.
    RunError
        Nothing can be written at the start.
    """
    if state.step == 0:
        job.save(
            state, must=True, planned=True
        )  # a kill before the first step loses not even the initial weights
    reason = ""
    while not reason and state.epoch < job.recipe.epochs:
        try:
            reason = out_of_patience(job.recipe, state.waited, state.best) or train_epoch(
                job, state
            )
            state.seconds = job.budget.seconds
            if reason or state.epoch == job.recipe.epochs:
                job.save(state)
        except Diverged as lost:
            go_back(job, state, lost)
            reason = job.control.reason
    return reason


def train_epoch(job: Job, state: State) -> str:
    """Train what is left of the epoch, validate, and turn the page. Give the reason if it was told to stop."""
    recipe, emit, control = job.recipe, job.emit, job.control
    sums = Sums(job.device, top5=False, values=state.sums, task=job.task, output=job.output)
    looked, began = 0.0, time.monotonic()

    if between_epochs(job, state) and not look_up(
        job, state, sums, state.epoch + state.batch / len(job.train)
    ):
        return control.reason
    if state.batch and (reason := out_of_patience(recipe, state.waited, state.best)):
        return reason
    job.phases.enter(state.epoch)
    for group in groups(
        job.train.shuffled(state.epoch, first=state.batch), recipe.grad_accum_steps
    ):
        loss = optimizer_step(job, state, group, sums)
        now = time.monotonic()
        if job.device.type == "cpu" or now - looked > LOOK_EVERY:
            looked, value = now, finite(loss.item())
            emit(StepDone(state.step, job.steps, value, job.optimizer.param_groups[0]["lr"]))
        if between_epochs(job, state):
            if not look_up(job, state, sums, state.epoch + state.batch / len(job.train)):
                break
            if out_of_patience(recipe, state.waited, state.best):
                break
            job.phases.enter(state.epoch)
        due, paused = job.saver.due(state.step), control.paused
        if due or paused:
            state.sums, state.seconds = sums.as_list(), job.budget.seconds
            finite(state.sums[0])
            job.save(state, planned=due and job.saver.every is not None)
        if paused:
            emit(Note(f"Paused after step {state.step}; it is saved."))
            control.wait_while_paused()
            job.budget.pause(time.monotonic() - now)
        watch_budget(job, state, now - began)
        began = time.monotonic()
        if control.stopped:
            break
    state.sums = sums.as_list()
    if state.batch < len(job.train):
        return control.reason or out_of_patience(recipe, state.waited, state.best)

    finite(state.sums[0])
    if not look_up(job, state, sums, float(state.epoch + 1)):
        return control.reason
    state.epoch, state.batch, state.sums = state.epoch + 1, 0, [0.0] * 4
    state.seconds = job.budget.seconds
    milestone("epoch_end")
    if job.saver.due(state.step):
        job.save(state, planned=job.saver.every is not None)
    return control.reason if control.stopped and state.epoch < recipe.epochs else ""


def between_epochs(job: Job, state: State) -> bool:
    """Whether a validation is due in the middle of the epoch, and has not been done yet."""
    every, done = job.recipe.validate_every_steps, state.history[-1]["step"] if state.history else 0
    return (
        every is not None
        and state.step % every == 0
        and done < state.step
        and state.batch < len(job.train)
    )


def groups(batches: Iterator[Batch], grad_accum_steps: int) -> Iterator[list[Batch]]:
    """Batches in groups whose gradients make one step."""
    while group := list(itertools.islice(batches, grad_accum_steps)):
        yield group


def optimizer_step(job: Job, state: State, group: list[Batch], sums: Sums) -> torch.Tensor:
    """One optimizer step over a group of batches; the mean loss of its pictures, still on the device."""
    before = sums.copy()
    while (
        total := gradients(job, state, group, sums)
    ) is None:  # memory ran out: the same step again, in smaller pieces
        sums.put_back(before)
        no_gradients(job)
    milestone("after_backward")
    if job.recipe.max_grad_norm is not None:
        if job.scaler is not None:
            job.scaler.unscale_(job.optimizer)
        nn.utils.clip_grad_norm_(job.model.parameters(), job.recipe.max_grad_norm)
    factor = job.schedule.factor(state.step) * state.lr_factor
    for lr, parameters in zip(job.base_lr, job.optimizer.param_groups, strict=True):
        parameters["lr"] = lr * factor
    if job.scaler is not None:
        job.scaler.step(job.optimizer)  # a step whose gradients overflowed is left out, and counts
        job.scaler.update()
    else:
        job.optimizer.step()
    no_gradients(job)
    state.step, state.batch = state.step + 1, state.batch + len(group)
    if job.average is not None:
        job.average.update(state.step)
    milestone("after_optimizer")
    return total


def no_gradients(job: Job) -> None:
    """Let the gradients go. Torch's own zero_grad() would do, if each call did not tell a profiler: 30 µs a step."""
    if type(job.optimizer).zero_grad is not torch.optim.Optimizer.zero_grad:
        job.optimizer.zero_grad(set_to_none=True)
        return
    for group in job.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def gradients(job: Job, state: State, group: list[Batch], sums: Sums) -> torch.Tensor | None:
    """Add up the gradients of a group of batches; None if memory ran out, and the next try takes smaller pieces."""
    seen = sum(len(batch) for batch in group)
    total = None
    try:
        for number, batch in enumerate(group, state.batch):
            if not len(batch):
                continue  # every picture of it is damaged
            keyed_random.seed_torch(
                job.recipe.seed, keyed_random.STEP, state.epoch, number
            )  # what dropout draws, whatever drew before
            for loss, n in losses(job, state, batch, number, sums):
                loss = loss if n == seen else loss * (n / seen)
                (loss if job.scaler is None else job.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
                total = loss.detach() if total is None else total + loss.detach()
        return torch.zeros((), device=job.device) if total is None else total
    except RuntimeError as err:
        if not is_out_of_memory(err):
            raise
        smaller(job, state, max(len(batch) for batch in group), err)
    return None


def losses(
    job: Job, state: State, batch: Batch, number: int, sums: Sums
) -> Iterator[tuple[torch.Tensor, int]]:
    """The loss of one batch, of pictures mixed with one another if the recipe says so, and how many they are; in pieces."""
    recipe = job.recipe
    x, other, share = mixed(
        batch.x, recipe.mixup, recipe.cutmix, recipe.seed, keyed_random.MIXUP, state.epoch, number
    )
    for piece, part in pieces(Batch(x, batch.y, batch.index), state.pieces):
        output = outputs(job, piece.x)
        loss = with_aux(job.loss, output, piece.y)
        if other is not None:
            loss = share * loss + (1 - share) * with_aux(job.loss, output, batch.y[other][part])
        sums.add(loss, primary(output), piece.y)
        yield loss, len(piece)


def outputs(job: Job, x: torch.Tensor) -> Any:
    """What the network puts out, in float32 whatever it computes in."""
    if job.precision == PLAIN:
        return job.net(x)
    with job.precision.on(job.device):
        return floated(job.net(job.precision.input(x)))


def smaller(job: Job, state: State, batch_size: int, err: BaseException) -> None:
    """Go on in smaller pieces, and say so; what the failed try left in memory is freed."""
    let_go(err)
    state.pieces, text = twice_as_many(state.pieces, batch_size, err)
    job.emit(Note(text, "warn"))


def look_up(job: Job, state: State, sums: Sums, epoch: float) -> bool:
    """Validate, write a row of history, and remember the best weights. False if it was told to stop meanwhile."""
    found = validate(job, state)
    if found is None:
        return False
    lr = job.optimizer.param_groups[0]["lr"]
    row = {"epoch": epoch, "step": state.step, "lr": lr, **sums.read("train"), **found}
    if state.noted(row, job.recipe.monitor):
        with job.average.worn() if job.average is not None else torch.no_grad():
            job.best_weights = {
                name: t.detach().to("cpu", copy=True) for name, t in job.model.state_dict().items()
            }
    job.emit(EpochDone(epoch, job.recipe.epochs, row))
    return True


def validate(job: Job, state: State) -> dict[str, float] | None:
    """Loss and accuracy on the validation split, with the averaged weights if there are any; None if told to stop."""
    if job.valid is None:
        return {}
    found = Sums(job.device, top5=job.classes > 5, task=job.task, output=job.output)
    job.model.eval()
    with torch.no_grad(), job.average.worn() if job.average is not None else torch.no_grad():
        for number, batch in enumerate(job.valid.in_order()):
            keyed_random.seed_torch(job.recipe.seed, keyed_random.VALID, number)
            if len(batch):
                output = whole_output(job, state, batch)
                found.add(job.valid_loss(output, batch.y), output, batch.y)
            milestone("in_validation")
            watch_budget(job, state, 0.0)
            if job.control.stopped:
                return None
    figures = found.read("valid")
    if found.seen:
        finite(figures["valid/loss"])
    return figures


def whole_output(job: Job, state: State, batch: Batch) -> torch.Tensor:
    """The scores of a batch, computed in as many pieces as fit."""
    while True:
        try:
            found = [primary(outputs(job, piece.x)) for piece, _ in pieces(batch, state.pieces)]
            return found[0] if len(found) == 1 else torch.cat(found)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            smaller(job, state, len(batch), err)


def out_of_patience(recipe: Recipe, waited: int, best: dict[str, Any] | None) -> str:
    """The reason to stop early (Prechelt 1998), or "".

    waited : validations since the best one
    """
    if recipe.patience is None or waited < recipe.patience:
        return ""
    at = f" since epoch {best['epoch']:g}" if best else ""
    return f"early stopping: {recipe.monitor} is not better{at}"


def finite(value: float) -> float:
    if math.isfinite(value):
        return value
    raise Diverged(value)


def watch_budget(job: Job, state: State, step: float) -> None:
    """Stop the run in time if the budget does not hold another step of so many seconds, and say how long the rest takes."""
    if job.budget.used_up(step=step, save=job.saver.cost):
        done = state.step - job.begun
        job.control.stop(
            job.budget.reason(
                job.budget.session / done * (job.steps - state.step) if done else None
            )
        )
