"""One signal comes in: stop, pause, go on. Whoever holds the Control may give it, from any thread."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .errors import no_attribute
from .events import Event, Note

LOOK = 0.02  # seconds between two looks of one who waits


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
        self._reasons: list[str] = []  # no lock: a signal may call stop() in the middle of any line, and append is one step
        self._paused = False

    def stop(self, reason: str = "stopped by hand") -> None:
        """Ask the verb to finish its step, save and return. Idempotent: the first reason stays."""
        self._reasons.append(reason)

    def pause(self) -> None:
        """Ask the verb to save and wait before its next step."""
        self._paused = True

    def resume(self) -> None:
        """End a pause."""
        self._paused = False

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    @property
    def stopped(self) -> bool:
        return bool(self._reasons)

    @property
    def reason(self) -> str:
        return self._reasons[0] if self._reasons else ""

    @property
    def paused(self) -> bool:
        return self._paused and not self.stopped

    def wait_while_paused(self) -> None:
        """Block until resume() or stop()."""
        while self.paused:
            time.sleep(LOOK)

    def reached(self, point: str) -> None:
        """Hear where the verb is: `after_backward`, `before_rename` … Does nothing; a test kills the process here."""


@contextmanager
def interrupts_stop(control: Control, emit: Callable[[Event], None]) -> Iterator[None]:
    """Within the block the first interrupt (Ctrl-C, a cell's stop button) and SIGTERM stop `control`; a second interrupt raises.

    Signals reach the main thread alone: in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(number: int, frame: Any) -> None:
        if control.stopped:
            raise KeyboardInterrupt
        control.stop("interrupted")
        emit(Note("Interrupted: finishing this step and saving. The run is returned; interrupt once more to raise KeyboardInterrupt."))

    def terminated(number: int, frame: Any) -> None:
        control.stop("terminated by SIGTERM")

    before = signal.signal(signal.SIGINT, interrupted), signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0] or signal.SIG_DFL)
        signal.signal(signal.SIGTERM, before[1] or signal.SIG_DFL)
