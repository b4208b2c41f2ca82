"""The training loop: a story, read from top to bottom.

Its position is two integers: the epoch and the batch. All random numbers are keyed by them.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from ..data import keyed_random
from ..data.augment import mixed
from ..data.batches import Batch
from ..events import EpochDone, Note, StepDone, milestone
from ..models.inference import is_out_of_memory, let_go, outputs, primary, scores
from ..models.precision import deterministic
from ..system import timings
from .frozen_head import compute_features, fit_head_on_features
from .job import Job
from .losses import Sums, measured, with_aux
from .metrics import Kept
from .plan import Plan
from .recovery import go_back, pieces, twice_as_many
from .state import Diverged, Progress, State, copy_of, out_of_patience, wear

EARLY = 3  # steps after which state that nobody saves is told of
LOOK_EVERY = 0.1  # seconds between two reads of the loss on an accelerator: a read makes it wait


def fit(plan: Plan, progress: Progress) -> str:
    """Fit as planned: on features, by steps, or first the one and then the other.

    Returns
    -------
    str
        "" when done, else the reason it stopped early.
    """
    progress.start_clock(plan)
    if plan.is_solved:
        return fit_head_on_features(plan, progress)
    if plan.is_deep and (reason := compute_features(plan, progress)):
        return reason
    is_begun = progress.checkpoint is not None
    if plan.mode == "frozen_then_finetune" and plan.features is not None and not is_begun:
        if reason := fit_head_on_features(plan, progress):
            return reason
    reason = fit_by_steps(plan, progress)
    if plan.mode == "frozen_then_finetune" and progress.is_over(plan):
        say_what_it_brought(plan, progress)
    return reason


def say_what_it_brought(plan: Plan, progress: Progress) -> None:
    """Say that training all of the network did no better than the head alone, where it did not."""
    best, frozen, metric = progress.best, plan.freeze_epochs or 0, plan.recipe.monitor
    later = progress.history.best(metric, after=frozen)
    if best is None or best["epoch"] > frozen or not later:
        return
    names = dict.fromkeys((metric, *(f"valid/{n}" for n in measured(plan.data.task, top5=False))))
    told = [f"{n} {best['metrics'][n]:.4g} → {later[n]:.4g}" for n in names if n in later]
    text = f"Training all of the network did not improve validation ({', '.join(told)})"
    progress.emit(Note(f"{text}: the run keeps the network of epoch {best['epoch']:g}."))


def fit_by_steps(plan: Plan, progress: Progress) -> str:
    """Train step by step to the end, from where `progress` is, and load the best weights.

    Raises
    ------
    TrainError
        The loss is no longer finite, whatever was tried.
    RunError
        Nothing can be written at the start.
    """
    job = Job(plan, progress)
    state = job.begin()
    progress.announce(plan, job.steps, job.exact, job.promise)
    on_device = nullcontext() if job.device.type != "cuda" else job.watch.by_device(cuda_event)
    try:
        with (
            keyed_random.outer_streams_kept(),
            deterministic(job.device, job.recipe.deterministic),
            on_device,
        ):
            reason = train_epochs(job, state)
    finally:
        job.put_back()
    wear(plan.model, progress.best_or_last(plan, job.average))
    return reason


def train_epochs(job: Job, state: State) -> str:
    """Train epoch after epoch, and go back to the last good checkpoint where the loss is lost."""
    if state.step == 0:  # a kill before the first step loses not even the initial weights
        job.save(state, must=True, planned=True)
    reason = ""
    while not reason and state.epoch < job.recipe.epochs:
        try:
            reason = out_of_patience(job.recipe, state.waited, state.best)
            reason = reason or train_epoch(job, state)
            state.seconds = job.budget.seconds
            if reason or state.epoch == job.recipe.epochs:
                job.save(state)
        except Diverged as lost:
            go_back(job, state, lost)
            reason = job.control.reason
    return reason


def train_epoch(job: Job, state: State) -> str:
    """Train what is left of the epoch, and validate; "" when done, else the reason it stopped."""
    recipe, emit, control, enter = job.recipe, job.emit, job.control, job.watch.enter
    sums = Sums(job.device, top5=False, values=state.sums, **job.measures)
    looked, began = 0.0, time.monotonic()

    if is_mid_validation_due(job, state) and not look_up(job, state, sums):
        return control.reason
    if state.batch and (reason := out_of_patience(recipe, state.waited, state.best)):
        return reason
    job.phases.enter(state.epoch)
    batches = job.train.shuffled(state.epoch, first=state.batch)
    enter("input")
    while group := list(itertools.islice(batches, recipe.grad_accum_steps)):
        loss = optimizer_step(job, state, group, sums)
        enter("rest")
        job.look_at_draws(state)
        if state.step - job.begun == EARLY:
            job.look_outside(state)
        now = time.monotonic()
        if job.device.type == "cpu" or now - looked > LOOK_EVERY:
            looked, value = now, finite(loss.item())
            job.watch.settle()
            emit(StepDone(state.step, job.steps, value, job.course.now))
        if is_mid_validation_due(job, state):
            if not look_up(job, state, sums):
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
            with timings.during("pause"):
                control.wait_while_paused()
            job.budget.pause(time.monotonic() - now)
        watch_budget(job, state, now - began)
        began = time.monotonic()
        if control.stopped:
            break
        enter("input")
    enter("rest")
    state.sums = sums.as_list()
    if state.batch < len(job.train):
        return control.reason or out_of_patience(recipe, state.waited, state.best)

    finite(state.sums[0])
    if not look_up(job, state, sums):
        return control.reason
    state.epoch, state.batch, state.sums = state.epoch + 1, 0, [0.0] * 4
    state.seconds = job.budget.seconds
    milestone("epoch_end")
    if job.saver.due(state.step):
        job.save(state, planned=job.saver.every is not None)
    return control.reason if control.stopped and state.epoch < recipe.epochs else ""


def is_mid_validation_due(job: Job, state: State) -> bool:
    """Whether a validation is due in the middle of the epoch, and has not been done yet."""
    every, step = job.recipe.validate_every_steps, state.step
    if every is None or step % every or state.batch >= len(job.train):
        return False
    last = state.history[-1]["step"] if state.history else 0
    return last < step


def optimizer_step(job: Job, state: State, group: list[Batch], sums: Sums) -> torch.Tensor:
    """Make one optimizer step over a group of batches.

    Returns
    -------
    Tensor
        The mean loss of its pictures, still on the device.
    """
    before = sums.copy()
    # None: memory ran out, and the same step is made again, in smaller pieces.
    while (total := gradients(job, state, group, sums)) is None:
        sums.put_back(before)
        no_gradients(job)
    milestone("after_backward")
    job.watch.enter("optimizer")
    if job.recipe.max_grad_norm is not None:
        if job.scaler is not None:
            job.scaler.unscale_(job.optimizer)
        nn.utils.clip_grad_norm_(job.model.parameters(), job.recipe.max_grad_norm)
    job.course.put(state.step, state.lr_factor)
    if job.scaler is not None:
        job.scaler.step(job.optimizer)  # a step whose gradients overflowed is left out, and counts
        job.scaler.update()
    else:
        job.optimizer.step()
    job.course.stepped()
    no_gradients(job)
    state.step, state.batch = state.step + 1, state.batch + len(group)
    if job.average is not None:
        job.average.update(state.step)
    milestone("after_optimizer")
    return total


def no_gradients(job: Job) -> None:
    """Let the gradients go. Torch's own zero_grad() reports to a profiler: 30 µs a step."""
    if type(job.optimizer).zero_grad is not torch.optim.Optimizer.zero_grad:
        job.optimizer.zero_grad(set_to_none=True)
        return
    for group in job.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def gradients(job: Job, state: State, group: list[Batch], sums: Sums) -> torch.Tensor | None:
    """Add up the gradients of a group of batches, and its loss; None where memory ran out."""
    seen, total, enter = sum(len(batch) for batch in group), None, job.watch.enter
    try:
        for number, batch in enumerate(group, state.batch):
            if not len(batch):
                continue  # every picture of it is damaged
            # what dropout draws, whatever drew before
            keyed_random.seed_torch(job.recipe.seed, keyed_random.STEP, state.epoch, number)
            job.draws.key(job.recipe.seed, keyed_random.STEP, state.epoch, number)
            enter("forward")
            for loss, n in losses(job, state, batch, number, sums):
                enter("backward")
                loss = loss if n == seen else loss * (n / seen)
                scaled = loss if job.scaler is None else job.scaler.scale(loss)
                scaled.backward()  # type: ignore[no-untyped-call]
                total = loss.detach() if total is None else total + loss.detach()
                enter("forward")
        return torch.zeros((), device=job.device) if total is None else total
    except RuntimeError as err:
        if not is_out_of_memory(err):
            raise
        smaller(job, state, max(len(batch) for batch in group), err)
    return None


def losses(
    job: Job, state: State, batch: Batch, number: int, sums: Sums
) -> Iterator[tuple[torch.Tensor, int]]:
    """Give the loss of each piece of a batch, and its number of pictures.

    The recipe may mix pictures with one another.
    """
    recipe, key = job.recipe, (keyed_random.MIXUP, state.epoch, number)
    x, other, share = mixed(batch.x, recipe.mixup, recipe.cutmix, recipe.seed, *key)
    for piece, part in pieces(Batch(x, batch.y, batch.index), state.pieces):
        output = outputs(job.net, piece.x, job.precision)
        loss = with_aux(job.loss, output, piece.y)
        if other is not None:
            loss = share * loss + (1 - share) * with_aux(job.loss, output, batch.y[other][part])
        sums.add(loss, primary(output), piece.y)
        yield loss, len(piece)


def smaller(job: Job, state: State, batch_size: int, err: BaseException) -> None:
    """Free what the failed try left in memory, and go on in smaller pieces."""
    let_go(err)
    state.pieces, text = twice_as_many(state.pieces, batch_size, err)
    job.emit(Note(text, "warn"))


def look_up(job: Job, state: State, sums: Sums) -> bool:
    """Validate, write a row of history, and remember the best weights; False if told to stop."""
    figures = validate(job, state)
    if figures is None:
        return False
    epoch, lr = state.epoch + state.batch / len(job.train), job.course.now
    row = {"epoch": epoch, "step": state.step, "lr": lr, **sums.read("train"), **figures}
    job.course.validated(row, epoch_ends=state.batch >= len(job.train))
    with averaged(job):
        job.progress.note(job.plan, row, lambda: copy_of(job.model))
    job.emit(EpochDone(epoch, job.recipe.epochs, row))
    return True


def validate(job: Job, state: State) -> dict[str, float] | None:
    """Measure loss and accuracy on the validation split, with averaged weights if there are any.

    Returns
    -------
    dict or None
        None if told to stop.
    """
    if job.valid is None:
        return {}
    sums = Sums(job.device, top5=len(job.plan.data.classes) > 5, **job.measures)
    kept = Kept(job.plan.metrics)
    job.model.eval()
    with torch.no_grad(), averaged(job), timings.during("validation"):
        for number, batch in enumerate(timings.each("input", job.valid.in_order())):
            keyed_random.seed_torch(job.recipe.seed, keyed_random.VALID, number)
            job.draws.key(job.recipe.seed, keyed_random.VALID, number, watched=False)
            if len(batch):
                output = whole_output(job, state, batch)
                sums.add(job.valid_loss(output, batch.y), output, batch.y)
                kept.add(output, batch.y)
            milestone("in_validation")
            watch_budget(job, state, 0.0)
            if job.control.stopped:
                return None
    figures = {**sums.read("valid"), **kept.read("valid")}
    if sums.count:
        finite(figures["valid/loss"])
    return figures


def averaged(job: Job) -> AbstractContextManager[Any]:
    """Have the averaged weights in the network for as long as the block lasts, if there are any."""
    return nullcontext() if job.average is None else job.average.worn()


def whole_output(job: Job, state: State, batch: Batch) -> torch.Tensor:
    """Compute the scores of a batch, in as many pieces as fit."""
    while True:
        try:
            return scores(job.net, batch.x, job.precision, state.pieces)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            smaller(job, state, len(batch), err)


def cuda_event() -> torch.cuda.Event:
    """Record an event of the GPU's clock."""
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def finite(value: float) -> float:
    if math.isfinite(value):
        return value
    raise Diverged(value)


def watch_budget(job: Job, state: State, step: float) -> None:
    """Stop the run if the budget does not hold another step of so many seconds."""
    if job.budget.used_up(step=step, save=job.saver.cost):
        done, left = state.step - job.begun, job.steps - state.step
        rest = job.budget.session / done * left if done else None
        job.control.stop(job.budget.reason(rest))
