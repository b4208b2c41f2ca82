"""When and where a run is saved.

Saving takes under one per cent of the time, happens at least each five minutes, and always at stop
and end. Drive gets the run's record at once, a first copy after half a minute, then one each five
minutes, and the last state.
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
    folder : Path
        The run's folder, on the fast disk.
    shelf, kept_as : Shelf and str
        Where copies go (Drive) and the name of the folder there; or None.
    every : int, optional
        Optimizer steps between two saves; None: the rule above.
    step : int, optional
        The step of the checkpoint that an earlier session left.
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
        self._failure = ""  # why the last save failed
        self._step = step
        self.passing: set[int] = set()  # steps that were saved out of turn: no generations

    def due(self, step: int) -> bool:
        """Whether to save now. The shelf's news is emitted here too, in the thread that trains."""
        self._emit_news()
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
        """Write best weights, then the checkpoint that names them, then delete older ones.

        A disk that fails costs a Note, and the next save tries again; with `must` it is an error.

        Parameters
        ----------
        best : (str, dict), optional
            The file name and the tensors of best weights that are not on the disk yet.
        """
        start = self.clock()
        milestone("before_save")
        path = self.folder / checkpoint.name_of(step)
        try:
            if best is not None:
                mark = {"step": checkpoint.step_of(best[0]), "start": facts["start"]}
                checkpoint.write(self.folder / best[0], best[1], mark)
            checkpoint.write(path, tensors, facts)
        except RunError as err:
            self._saved_at = self.clock()
            self.cost = max(self.cost, self._saved_at - start)
            if must:
                raise
            if err.why != self._failure:  # one note for one failure, not one for each try
                self._failure = err.why
                text = f"Step {step} could not be saved; training goes on and tries again.\n{err}"
                self.emit(Note(text, "warn"))
            return False
        self._step = step
        checkpoint.prune(self.folder, step, self.passing)
        self._saved_at, self._failure = self.clock(), ""
        self.cost = self._saved_at - start
        self.emit(CheckpointSaved(path, step, self.cost))
        if self._saved_at - self._pushed_at >= AT_LEAST:
            self.push()
        return True

    def push(self) -> bool:
        """Hand the newest checkpoint, its best weights and the small files to the shelf.

        The shelf copies them in the background. False: it takes none, because another session has
        the run, or there is no shelf.
        """
        if self.shelf is None or not self.folder.is_dir():
            return False
        self._pushed_at = self.clock()
        return self._hand([*self._small(), *self._newest()])

    def announce(self) -> None:
        """Hand the small files over, so that Drive knows of the run before its first copy."""
        self._hand(self._small())

    def _hand(self, names: list[str]) -> bool:
        if self.shelf is None:
            return False
        taken = [self.shelf.push(self.folder / name, f"{self.kept_as}/{name}") for name in names]
        return any(taken)

    def _small(self) -> list[str]:
        files = [path for path in self.folder.iterdir() if path.is_file()]
        return [p.name for p in files if p.suffix != ".safetensors" and p.name[0] != "."]

    def _newest(self) -> list[str]:
        """Name the newest checkpoint up to this step, and the best weights it names."""
        if self._step is None:
            return []
        files = (path.name for path in self.folder.glob("*.safetensors"))
        heavy = sorted(checkpoint.needed(files, self._step))
        bests = [name for name in heavy if name.startswith("best-")]
        return [*bests[-1:], heavy[-1]] if heavy else []

    def finish(self, timeout: float | None = None) -> bool:
        """Hand the last state over and wait for its copy; whether all of it is on the shelf.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; None: AT_THE_END.
        """
        if self.shelf is None:
            return True
        start, taken = self.clock(), self.push()
        done = self.shelf.close(AT_THE_END if timeout is None else timeout, self.emit)
        self._emit_news()
        if taken and done:
            self.emit(Note("The run's copies are handed to Drive."))
        elif taken:
            text = (
                f"Not everything was handed to Drive within {self.clock() - start:.0f} s. The"
                " copying goes on in the background; run.wait_for_copies() waits for it. The"
                f" local files are whole: {self.folder}"
            )
            self.emit(Note(text, "warn"))
        return done

    def _emit_news(self) -> None:
        for event in self.shelf.news() if self.shelf is not None else ():
            self.emit(event)
