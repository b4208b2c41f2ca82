"""When and where a run is saved, and how much time its session has.

Saving takes under one per cent of the time, happens at least each five minutes, and always at stop
and end. Drive gets the run's record at once, a first copy after half a minute, then one each five
minutes, and the last state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..events import CheckpointSaved, Event, Note, milestone
from ..recipe import as_seconds
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


LIMIT = 12 * 3600.0  # seconds a free Colab machine lives at most ("as much as 12 hours", its FAQ)
LAST_COPY = 60.0  # seconds to hand the last state to Drive before the machine goes


class Budget:
    """A stopwatch over the training of one session, and the time it must not pass.

    Parameters
    ----------
    max_time : str or float, optional
        "session" (until the machine's end), "3h", seconds, or None: no limit. Hours and seconds
        are training time of this session, so a pause does not count. It counts for "session".
    age : float, optional
        Seconds the machine has lived. None: unknown, or no session ends by itself here.
    before : float
        Seconds trained in earlier sessions.

    Examples
    --------
    >>> now = iter([0.0, 100.0, 3590.0]).__next__
    >>> budget = Budget("1h", clock=now)
    >>> budget.used_up(step=1.0, save=2.0), budget.used_up(step=1.0, save=5.0)
    (False, True)
    """

    def __init__(
        self,
        max_time: str | float | None,
        *,
        age: float | None = None,
        before: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_time, self.before, self._clock = max_time, before, clock
        self._started, self._paused = clock(), 0.0
        limit = math.inf
        if max_time != "session":
            limit = as_seconds(max_time)
        elif age is not None:
            limit = max(0.0, LIMIT - age) - LAST_COPY
        self.ends = self._started + limit  # by the clock

    @property
    def seconds(self) -> float:
        """Training time of all sessions so far, without pauses."""
        return self.before + self.session

    @property
    def session(self) -> float:
        """Training time of this session so far, without pauses."""
        return self._clock() - self._started - self._paused

    def pause(self, seconds: float) -> None:
        """Leave a pause out of the time that counts. The end of the machine does not move."""
        self._paused += seconds
        if self.max_time != "session":
            self.ends += seconds

    def used_up(self, *, step: float, save: float) -> bool:
        """Whether a step of `step` seconds, and twice a save of `save`, would pass the end."""
        return self._clock() + step + 2 * save > self.ends

    def reason(self, rest: float | None) -> str:
        """Say why the run stops and, where it is known, how many seconds the rest takes."""
        what = f"max_time={self.max_time!r} is used up"
        if self.max_time == "session":
            what = "the session's end is near"
        return what if rest is None else f"{what}; the rest would take about {spoken(rest)} more"


def spoken(seconds: float) -> str:
    """Say a time as people do: 8 s, 3 min, 2 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
