"""Events go out of a verb to callbacks; one Control carries stop and pause into it.

A callback is any callable that takes one event and returns nothing. It handles the kinds of
events that it knows and ignores the others.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import no_attribute


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events."""


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Something worth seeing although nothing failed."""

    text: str
    level: Literal["info", "warn"] = "info"


@dataclass(frozen=True, slots=True)
class FetchStarted(Event):
    name: str
    url: str  # without query or token
    size: int | None  # bytes, None if the server does not say


@dataclass(frozen=True, slots=True)
class FetchProgress(Event):
    name: str
    done: int  # bytes
    size: int | None


@dataclass(frozen=True, slots=True)
class FetchDone(Event):
    name: str
    path: Path
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class CopyProgress(Event):
    """A verb waits while copies go to Drive; the last event has done == size."""

    name: str  # of the run whose copies these are
    done: int  # bytes
    size: int


@dataclass(frozen=True, slots=True)
class LookProgress(Event):
    """A network looks at many pictures; the last event has done == total."""

    name: str  # of what is looked at
    done: int  # pictures
    total: int
    left: float  # seconds, at the pace so far


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    name: str
    folder: Path
    epochs: int
    steps: int  # optimizer steps of the whole run
    done: int = 0  # steps that an earlier session has done
    exact: bool | None = None  # whether its bits go on as if never stopped; None: a fresh run
    why: str = ""  # which promise holds, and what broke the others


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    step: int  # optimizer steps done so far, of the whole run
    total: int
    loss: float
    lr: float

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)


@dataclass(frozen=True, slots=True)
class EpochDone(Event):
    """A validation is over: at the end of an epoch, or between two (validate_every_steps)."""

    epoch: float  # a whole number at the end of an epoch, a fraction in between
    total: int
    metrics: Mapping[str, float] = field(default_factory=dict)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    path: Path
    step: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    status: str  # finished | stopped | failed
    reason: str
    folder: Path


Callback = Callable[[Event], Any]
FORGIVEN = 2  # failures in a row; the next one drops the callback


class Callbacks:
    """Give each event to every callback; report one that raises, drop it after three in a row."""

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.callbacks = list(callbacks)
        self._failures: dict[int, int] = {}
        self._reported: set[int] = set()

    def __call__(self, event: Event) -> None:
        self._tell(event, list(self.callbacks))

    def _tell(self, event: Event, callbacks: list[Callback]) -> None:
        for callback in callbacks:
            try:
                callback(event)
                self._failures.pop(id(callback), None)
            except Exception as err:  # a callback is a guest: its faults end with it
                self._blame(callback, err)

    def _blame(self, callback: Callback, err: Exception) -> None:
        failures = self._failures[id(callback)] = self._failures.get(id(callback), 0) + 1
        name = getattr(callback, "__qualname__", type(callback).__qualname__)
        others = [other for other in self.callbacks if other is not callback]
        message = f"The callback {name} raised {type(err).__name__}: {err}"
        if failures > FORGIVEN:
            self.callbacks[:] = others
            end = f"It failed {failures} times in a row and is dropped; training goes on."
            self._tell(Note(f"{message}. {end}", "warn"), others)
        elif id(callback) not in self._reported:
            self._reported.add(id(callback))
            self._tell(Note(f"{message}. Training goes on.", "warn"), others)


MilestoneHook = Callable[[str, Path | None], None]
_milestone_hook: MilestoneHook | None = None  # process state; only tests set it


def milestone(point: str, path: Path | None = None) -> None:
    """Say where the work is. Only a test listens: it kills or fails the work there.

    Parameters
    ----------
    point : str
        The name of the place, such as "after_backward" or "before_rename".
    path : Path, optional
        The file that is being written.
    """
    if _milestone_hook is not None:
        _milestone_hook(point, path)


def set_milestone_hook(hook: MilestoneHook | None = None) -> None:
    """Call `hook` at every milestone of this process; None ends that."""
    global _milestone_hook
    _milestone_hook = hook


LOOK = 0.02  # seconds between two looks of a paused verb


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
        # No lock: a signal may call stop() in the middle of any line, and append is one step.
        self._reasons: list[str] = []
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


@contextmanager
def interrupts_stop(
    control: Control,
    emit: Callable[[Event], None],
    follows: str = "finishing this step and saving. Then the cell returns the run",
) -> Iterator[None]:
    """Let the first interrupt, SIGTERM or SIGHUP stop `control` within the block.

    An interrupt is Ctrl-C or a cell's stop button; a second one raises. SIGHUP says that the
    terminal is closed; `nohup`, which ignores it, stays in force. Signals reach the main thread
    only; in another thread the block does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(number: int, frame: Any) -> None:
        if control.stopped:
            raise KeyboardInterrupt
        control.stop("interrupted")
        emit(Note(f"Interrupted: {follows}; a second interrupt raises KeyboardInterrupt."))

    def terminated(number: int, frame: Any) -> None:
        control.stop(f"terminated by {signal.Signals(number).name}")

    handlers: dict[int, Callable[[int, Any], None]] = {
        signal.SIGINT: interrupted,
        signal.SIGTERM: terminated,
    }
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        handlers[hangup] = terminated
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
