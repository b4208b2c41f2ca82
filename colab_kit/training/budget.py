"""The budget: how long this session may train, so that it ends saved and by itself, not with its machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..recipe import seconds_of

LIMIT = 12 * 3600.0  # seconds a free Colab machine lives at most ("as much as 12 hours", its FAQ)
LAST_COPY = 60.0  # seconds to hand the last state to Drive before the machine goes


class Budget:
    """A stopwatch over one session's training, and the time it must not pass.

    Parameters
    ----------
    given : "session" (until the machine's end), "3h", seconds, or None: no limit
        Seconds and hours are training time of this session: a pause does not count. A machine's end comes through a pause too.
    age : float, optional
        Seconds the machine has lived; None where no session ends by itself, or if unknown.
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
        given: str | float | None,
        *,
        age: float | None = None,
        before: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.given, self.before, self._clock = given, before, clock
        self._started, self._paused = clock(), 0.0
        self.ends: float | None = (
            None  # by the clock; pauses move it, unless it is the machine's end
        )
        if given == "session":
            self.ends = None if age is None else self._started + max(0.0, LIMIT - age) - LAST_COPY
        elif given is not None:
            self.ends = self._started + (
                seconds_of(given) if isinstance(given, str) else float(given)
            )

    @property
    def seconds(self) -> float:
        """Trained so far, over all sessions, without pauses."""
        return self.before + self.session

    @property
    def session(self) -> float:
        """Trained in this session, without pauses."""
        return self._clock() - self._started - self._paused

    def pause(self, seconds: float) -> None:
        """Take a pause out of the time that counts."""
        self._paused += seconds
        if self.ends is not None and self.given != "session":
            self.ends += seconds

    def used_up(self, *, step: float, save: float) -> bool:
        """Whether another step of `step` seconds, and twice the `save` it takes to keep it, would pass the end."""
        return self.ends is not None and self._clock() + step + 2 * save > self.ends

    def reason(self, rest: float | None) -> str:
        """Why the run stops, and how long the rest takes: seconds, if known."""
        what = (
            "the session's end is near"
            if self.given == "session"
            else f"max_time={self.given!r} is used up"
        )
        return what + (
            f"; the rest would take about {spoken(rest)} more" if rest is not None else ""
        )


def spoken(seconds: float) -> str:
    """A time as people say it: 8 s, 3 min, 2 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
