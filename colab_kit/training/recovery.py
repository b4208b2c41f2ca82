"""What goes on after a failed step: back to the last good checkpoint where the loss is lost, in smaller pieces where the memory is."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import torch

from ..data.batches import Batch
from ..errors import RunError, TrainError
from ..events import Note
from . import checkpoint
from .state import Diverged, Job, State

AT_MOST = 3
SMALLER = 0.25  # factor on the learning rate each time: a sixty-fourth after three


def go_back(job: Job, state: State, lost: Diverged) -> None:
    """Put `state` and the job back to the last good checkpoint with a lower learning rate, and save that at once.

    With `save_every_steps=` the checkpoint is one that every session of this run writes, so that a run that was killed and one that
    was not go back to the same step.

    Raises
    ------
    TrainError
        It was lost at the first step, or too often, or there is nothing to go back to.
    """
    at, times, seconds = state.step, state.rollbacks + 1, job.budget.seconds
    if at <= 1 and not state.rollbacks:
        why = "the network or the loss itself gives it, before anything was learned: a log of a negative number, a division by zero"
        raise TrainError(
            f"The loss is {lost.value} at the first step.",
            why,
            "look at the network's outputs, and for NaN in the data",
        )
    again = (
        f", after {state.rollbacks} restarts with lower learning rates" if state.rollbacks else ""
    )
    error = TrainError(
        f"The loss is {lost.value} at step {at}{again}.",
        "the weights grew without bound: mostly a learning rate that is too high, or NaN in the data",
        "use a tenth of the learning rate (lr=), or max_grad_norm=1.0; the last saved step is still good",
    )
    if times > AT_MOST or (found := _last_good(job, state.back_to)) is None:
        raise error
    factor = state.lr_factor * SMALLER
    vars(state).update(vars(job.restore(found)), rollbacks=times, lr_factor=factor, seconds=seconds)
    state.back_to = state.step
    text = f"The loss was {lost.value} at step {at}. Back to step {state.step} with the learning rate times {factor:g}"
    job.emit(
        Note(
            f"{text} ({times} of at most {AT_MOST} times). Too high a learning rate is the usual cause: try lr= a tenth.",
            "warn",
        )
    )
    checkpoint.forget_after(job.saver.folder, state.step)
    job.save(state, planned=True)  # at once: a kill must not make it happen once more


def _last_good(job: Job, tried: int) -> checkpoint.Checkpoint | None:
    """The newest whole checkpoint of the run's folder, a planned one if there is any; rather the one before the step `tried`."""
    whole = []
    for path in sorted(
        job.saver.folder.glob("checkpoint-*.safetensors"), key=checkpoint.step_of, reverse=True
    ):
        try:
            found = checkpoint.read(path)
        except RunError:
            continue
        if found.facts["start"] == job.facts["start"]:
            whole.append(found)
    good = [found for found in whole if found.facts["planned"]] or whole
    return good[1] if len(good) > 1 and good[0].step == tried else good[0] if good else None


def is_out_of_memory(err: BaseException) -> bool:
    """Whether memory was asked for that is not there: a GPU's, or the machine's."""
    if isinstance(err, torch.OutOfMemoryError):
        return True
    return isinstance(err, RuntimeError) and any(
        words in str(err)
        for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


def let_go(err: BaseException) -> None:
    """Free what a failed step left behind: the frames of its traceback hold its tensors."""
    seen: BaseException | None = err
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def pieces(batch: Batch, k: int) -> Iterator[tuple[Batch, slice]]:
    """A batch in at most k parts of nearly one size, none of one picture: BatchNorm cannot learn from one."""
    n = len(batch)
    k = max(1, min(k, n // 2))
    if k == 1:
        yield batch, slice(n)
        return
    cuts = [n * i // k for i in range(k + 1)]
    for start, stop in zip(cuts, cuts[1:], strict=False):
        part = slice(start, stop)
        yield Batch(batch.x[part], batch.y[part], batch.index[part]), part


def twice_as_many(k: int, batch_size: int, err: BaseException) -> tuple[int, str]:
    """In how many pieces to go on after k were too large, and the sentence that says so.

    Raises
    ------
    TrainError
        Pieces of two pictures do not fit either.
    """
    if batch_size // (2 * k) < 2:
        why = str(err).splitlines()[0]
        fix = "take a smaller network or image_size=, or a machine with more memory (Runtime ▸ Change runtime type)"
        raise TrainError("Not even two pictures at a time fit into the memory.", why, fix) from err
    text = f"Out of memory: {batch_size // k} pictures at a time are too many. Going on with {batch_size // (2 * k)} at a time"
    return (
        2 * k,
        f"{text}; a step is still made of {batch_size}. BatchNorm sees smaller groups: from here on the run is not exact.",
    )
