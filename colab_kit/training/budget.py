"""The time budget of a session: the run ends saved and by itself, before its machine does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ..recipe import as_seconds

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
