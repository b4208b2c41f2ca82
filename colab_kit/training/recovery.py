"""What follows a failed step: an older checkpoint where the loss is not finite, smaller pieces
where memory runs out."""

from __future__ import annotations

from collections.abc import Iterator

from ..data.batches import Batch
from ..errors import RunError, TrainError
from ..events import Note
from ..models.inference import parts
from . import checkpoint
from .job import Job
from .state import Diverged, State

AT_MOST = 3  # times that a run goes back
SMALLER = 0.25  # factor on the learning rate each time: a sixty-fourth after three


def go_back(job: Job, state: State, lost: Diverged) -> None:
    """Put the job and its state back to the last good checkpoint, with a lower learning rate.

    The new position is saved at once. With `save_every_steps=` the checkpoint is one that every
    session of this run writes: so a run that was killed and one that was not go back to the same
    step.

    Raises
    ------
    TrainError
        The first loss is not finite, or the run went back too often, or there is no checkpoint.
    """
    at, times, seconds = state.step, state.rollbacks + 1, job.budget.seconds
    if at <= 1 and not state.rollbacks:
        raise TrainError(
            f"The loss is {lost.value} at the first step.",
            "the network or the loss itself gives it before anything is learned:"
            " a log of a negative number, a division by zero",
            "look at the network's outputs, and for NaN in the data",
        )
    last = _last_good(job, state.back_to) if times <= AT_MOST else None
    if last is None:
        again = f", after {state.rollbacks} restarts with lower learning rates"
        raise TrainError(
            f"The loss is {lost.value} at step {at}{again if state.rollbacks else ''}.",
            "the weights grew without bound: mostly because the learning rate is too high,"
            " or because of NaN in the data",
            "use a tenth of the learning rate (lr=), or max_grad_norm=1.0;"
            " the last saved step is still good",
        )
    factor = state.lr_factor * SMALLER
    vars(state).update(vars(job.restore(last)), rollbacks=times, lr_factor=factor, seconds=seconds)
    state.back_to = state.step
    text = (
        f"The loss was {lost.value} at step {at}. Back to step {state.step} with the learning rate"
        f" times {factor:g} ({times} of at most {AT_MOST} times). The usual cause is a learning"
        " rate that is too high: try a tenth of lr=."
    )
    job.emit(Note(text, "warn"))
    checkpoint.forget_after(job.saver.folder, state.step)
    job.save(state, planned=True)  # at once: else a kill makes it happen once more


def _last_good(job: Job, tried: int) -> checkpoint.Checkpoint | None:
    """Read the newest whole checkpoint of the run's folder, a planned one if there is any.

    The one of the step `tried` gives way to the one before it.
    """
    whole = []
    files = job.saver.folder.glob("checkpoint-*.safetensors")
    for path in sorted(files, key=checkpoint.step_of, reverse=True):
        try:
            one = checkpoint.read(path)
        except RunError:
            continue
        if one.facts["start"] == job.facts["start"]:
            whole.append(one)
    good = [one for one in whole if one.facts["planned"]] or whole
    if len(good) > 1 and good[0].step == tried:
        return good[1]
    return good[0] if good else None


def pieces(batch: Batch, k: int) -> Iterator[tuple[Batch, slice]]:
    """Cut a batch into at most k parts, and yield each with its place."""
    for part in parts(len(batch), k):
        yield Batch(batch.x[part], batch.y[part], batch.index[part]), part


def twice_as_many(k: int, batch_size: int, err: BaseException) -> tuple[int, str]:
    """Say in how many pieces to go on after k pieces were too large, and a sentence about it.

    Raises
    ------
    TrainError
        Pieces of two pictures do not fit either.
    """
    now, then = batch_size // k, batch_size // (2 * k)
    if then < 2:
        raise not_even_two(str(err).splitlines()[0]) from err
    return 2 * k, (
        f"Out of memory: {now} pictures at a time are too many. Going on with {then} at a time;"
        f" a step is still made of {batch_size}. BatchNorm sees smaller groups: from here on the"
        " run is not exact."
    )


def not_even_two(why: str) -> TrainError:
    """Say that the memory is too small for this network."""
    return TrainError(
        "Not even two pictures at a time fit into the memory.",
        why,
        "take a smaller network or image_size=, or a machine with more memory"
        " (Runtime ▸ Change runtime type)",
    )
