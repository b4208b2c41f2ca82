"""Painting: where a panel is drawn from while its worker works. A thread of its own, or the cell that waits."""

from __future__ import annotations

import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable

from ..errors import RecipeError
from ..system.console import looked_at
from . import pump
from .worker import Worker

REDRAW = 0.2  # seconds between two drawings: five a second
MODES = ("auto", "background", "foreground", "off")


class Painter:
    """Draws on a thread of its own until the worker has ended.

    paint, end : what draws, and what is done once it has ended
    """

    def __init__(self, worker: Worker, paint: Callable[[], None], end: Callable[[], None]) -> None:
        self.worker, self.paint, self.end, self._done = worker, paint, end, threading.Event()
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._work,), name="colab-kit-painter", daemon=True
        ).start()

    def _work(self) -> None:
        try:
            while self.worker.busy:
                self.paint()
                time.sleep(REDRAW)
            self.end()
        finally:
            self._done.set()

    def wait(self, timeout: float) -> bool:
        return self._done.wait(timeout)


def paint_here(worker: Worker, paint: Callable[[], None]) -> None:
    """Draw from the cell that waits, clicks heard meanwhile, until the worker has ended. An interrupt is a Stop; a second one raises."""
    last, told = 0.0, False
    with pump.clicks() as hear:
        while worker.busy:
            try:
                hear()
                if time.monotonic() - last > REDRAW:
                    last = time.monotonic()
                    paint()
                time.sleep(0.01)
            except KeyboardInterrupt:
                if told:
                    raise
                told = True
                worker.stop()


def mode() -> str:
    """How panels behave: as COLAB_KIT_UI says; "auto" means "off" where nobody looks, since a saved notebook would keep dead buttons."""
    asked = os.environ.get("COLAB_KIT_UI", "auto").strip().lower() or "auto"
    if asked not in MODES:
        raise RecipeError(
            f"COLAB_KIT_UI={asked!r} is not known.",
            f"the modes are {', '.join(MODES)}",
            "name one of these, or unset it",
        )
    return "off" if asked == "auto" and not looked_at() else asked


def foreground() -> bool:
    """Whether Start waits for the end: on Colab what a thread sends after its cell has ended may not be shown."""
    asked = mode()
    return asked == "foreground" or (
        asked == "auto" and "google.colab" in sys.modules and pump.can()
    )
