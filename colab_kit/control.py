"""One signal comes in: stop, pause, go on. Whoever holds the Control may give it, from any thread."""

from __future__ import annotations

import threading


class Control:
    """Carry stop and pause into a running verb.

    The verb looks between two steps, so a signal never tears one. The first reason to stop stays;
    a later one changes nothing. Stopping a paused run wakes it.

    Examples
    --------
    >>> control = Control()
    >>> control.stop("enough seen")
    >>> control.stopped, control.reason
    (True, 'enough seen')
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._going = threading.Event()
        self._going.set()
        self._reason: str | None = None

    def stop(self, reason: str = "stopped by hand") -> None:
        """Ask the verb to finish its step, save and return. Idempotent: the first reason stays."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
        self._going.set()

    def pause(self) -> None:
        """Ask the verb to save and wait before its next step."""
        if not self.stopped:
            self._going.clear()

    def go_on(self) -> None:
        """End a pause."""
        self._going.set()

    @property
    def stopped(self) -> bool:
        return self._reason is not None

    @property
    def reason(self) -> str:
        return self._reason or ""

    @property
    def paused(self) -> bool:
        return not self._going.is_set()

    def wait_while_paused(self) -> None:
        """Block until go_on() or stop(). An own Event, never a join: an interrupt in join lies on Python <= 3.12."""
        while not self._going.wait(1.0):
            pass

    def reached(self, point: str) -> None:
        """Hear where the verb is: `after_backward`, `before_rename` … Does nothing; a test kills the process here."""
