"""The rollback: a loss that is lost sends the run back to its last good checkpoint, with smaller steps, at most thrice."""

from __future__ import annotations

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
