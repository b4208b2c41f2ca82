"""When and where a run is saved: under one per cent of the time, at least each five minutes, always at stop and end.

Drive gets the run's record at once, a first copy after half a minute, then one each five minutes, and the last state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..events import CheckpointSaved, Event, Note, milestone
from ..system.files import Shelf
from . import checkpoint
from .checkpoint import Tensors

AT_LEAST = 300.0  # seconds between two saves; Drive gets no more than one copy in that time
FIRST_COPY = 30.0  # seconds until Drive gets the first one
SHARE = 0.01  # of the time, spent on saving
AT_THE_END = 60.0  # seconds to wait for Drive when the run ends


class Saver:
    """Write checkpoints of one run to its folder, and hand copies to its shelf.

    Parameters
    ----------
    folder : the run's folder, on the fast disk
    shelf, kept_as : where copies go (Drive) and the folder's name there, or None
    every : optimizer steps between two saves, or None for the rule above
    step : of the checkpoint that an earlier session left, or None
    """

    def __init__(
        self,
        folder: Path,
        shelf: Shelf | None,
        kept_as: str,
        *,
        every: int | None,
        step: int | None = None,
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.shelf, self.kept_as, self.every = folder, shelf, kept_as, every
        self.emit, self.clock = emit, clock
        self.cost = 0.0  # seconds the last save took
        self._saved_at = clock()
        self._pushed_at = self._saved_at - AT_LEAST + min(FIRST_COPY, AT_LEAST)
        self._said = ""  # why the last save failed
        self._step = step
        self.passing: set[int] = set()  # steps that were saved out of turn: no generations

    def due(self, step: int) -> bool:
        """Whether to save now. What the shelf has to tell is told here too, in the thread that trains."""
        self._tell_news()
        if self.every is not None:
            return step % self.every == 0
        return self.clock() - self._saved_at >= min(AT_LEAST, self.cost / SHARE)

    def save(
        self,
        step: int,
        tensors: Tensors,
        facts: dict[str, Any],
        best: tuple[str, Tensors] | None,
        *,
        must: bool = False,
    ) -> bool:
        """Write best weights, then the checkpoint that speaks of them, then let older ones go.

        A disk that fails costs a Note and a later try, unless `must`.
        """
        start = self.clock()
        milestone("before_save")
        path = self.folder / checkpoint.name_of(step)
        try:
            if best is not None:
                of = {"step": checkpoint.step_of(Path(best[0])), "start": facts["start"]}
                checkpoint.write(self.folder / best[0], best[1], of)
            checkpoint.write(path, tensors, facts)
        except RunError as err:
            self._saved_at = self.clock()
            self.cost = max(self.cost, self._saved_at - start)
            if must:
                raise
            if err.why != self._said:  # once, not at every try
                self._said = err.why
                self.emit(
                    Note(
                        f"Step {step} could not be saved; training goes on and tries again.\n{err}",
                        "warn",
                    )
                )
            return False
        self._step = step
        checkpoint.prune(self.folder, step, self.passing)
        self._saved_at, self._said = self.clock(), ""
        self.cost = self._saved_at - start
        self.emit(CheckpointSaved(path, step, self.cost))
        if self._saved_at - self._pushed_at >= AT_LEAST:
            self.push()
        return True

    def push(self) -> bool:
        """Hand the newest checkpoint, its best weights and the small files to the shelf, which copies them in the background.

        Whether it takes any: not once another session has the run.
        """
        if self.shelf is None or not self.folder.is_dir():
            return False
        self._pushed_at = self.clock()
        return self._hand([*self._small(), *self._newest()])

    def announce(self) -> None:
        """Hand the small files over, so that Drive knows of the run before its first copy."""
        if self.shelf is not None:
            self._hand(self._small())

    def _hand(self, names: list[str]) -> bool:
        assert self.shelf is not None
        taken = [self.shelf.push(self.folder / name, f"{self.kept_as}/{name}") for name in names]
        return any(taken)

    def _small(self) -> list[str]:
        return [
            p.name
            for p in self.folder.iterdir()
            if p.is_file() and not p.name.startswith(".") and p.suffix != ".safetensors"
        ]

    def finish(self, timeout: float | None = None) -> bool:
        """Hand the last state over and wait for that, AT_THE_END seconds if not told otherwise; whether all is on the shelf."""
        if self.shelf is None:
            return True
        timeout, start = AT_THE_END if timeout is None else timeout, self.clock()
        taken = self.push()
        done = self.shelf.close(timeout, self.emit)
        self._tell_news()
        if taken and done:
            self.emit(Note("The run's copies are handed to Drive."))
        elif taken:
            waited = f"{self.clock() - start:.0f} s"
            text = f"Not everything was handed to Drive within {waited}. That goes on in the background; run.wait_for_copies() waits for it."
            self.emit(Note(f"{text} The local files are whole: {self.folder}", "warn"))
        return done

    def _newest(self) -> list[str]:
        """The newest checkpoint up to this step, and the best weights it speaks of."""
        if self._step is None:
            return []
        heavy = sorted(
            checkpoint.kept((p.name for p in self.folder.glob("*.safetensors")), self._step)
        )
        bests, checkpoints = (
            [name for name in heavy if name.startswith(kind)] for kind in ("best-", "checkpoint-")
        )
        return [*bests[-1:], *checkpoints[-1:]]

    def _tell_news(self) -> None:
        if self.shelf is not None:
            for event in self.shelf.news():
                self.emit(event)
