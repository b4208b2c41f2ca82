"""Events go out of a verb to callbacks; one Control carries stop and pause into it.

A callback is any callable that takes one event and returns nothing. It handles the kinds of
events that it knows and ignores the others.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import ColabKitError, no_attribute


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events."""


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Something is worth seeing although nothing failed."""

    text: str  # sentences for a person
    level: Literal["info", "warn"] = "info"  # warn: something may be wrong


@dataclass(frozen=True, slots=True)
class FetchStarted(Event):
    """The server has answered, and its file comes."""

    name: str  # of the file
    url: str  # without query or token
    size: int | None  # bytes, None if the server does not say


@dataclass(frozen=True, slots=True)
class FetchProgress(Event):
    """A part of the file has come, ten times a second at most."""

    name: str  # of the file
    done: int  # bytes that are here
    size: int | None  # bytes of all


@dataclass(frozen=True, slots=True)
class FetchDone(Event):
    """The file is here, whole and checked."""

    name: str  # of the file
    path: Path  # where it lies
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class CopyProgress(Event):
    """A verb waits while copies go to Drive; the last event has done == size."""

    name: str  # of the run whose copies these are
    done: int  # bytes that Drive has
    size: int  # bytes of all


@dataclass(frozen=True, slots=True)
class LookProgress(Event):
    """A network looks at many pictures; the last event has done == total."""

    name: str  # of what is looked at
    done: int  # pictures
    total: int  # pictures of all
    left: float  # seconds, at the pace so far


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A training begins, or goes on."""

    name: str  # of the run
    folder: Path  # where its files are
    epochs: int  # of the whole run
    steps: int  # optimizer steps of the whole run
    done: int = 0  # steps that an earlier session has done
    exact: bool | None = None  # whether its bits go on as if never stopped; None: a fresh run
    why: str = ""  # which promise holds, and what broke the others
    key: str = ""  # of its recipe, network and data: `open_run(f"{name}-{key}")`


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    """An optimizer step is done, of which the loss was read: ten times a second at most."""

    step: int  # optimizer steps done so far, of the whole run
    total: int  # optimizer steps of the whole run
    loss: float  # of the step; nan while the features of a frozen backbone are made
    lr: float  # learning rate of the first group of parameters

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)


@dataclass(frozen=True, slots=True)
class EpochDone(Event):
    """A validation is over: at the end of an epoch, or between two (validate_every_steps)."""

    epoch: float  # a whole number at the end of an epoch, a fraction in between
    total: int  # epochs of the whole run
    metrics: Mapping[str, float] = field(default_factory=dict)  # a row of `run.history`, by name

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    """A checkpoint is on the disk, whole."""

    path: Path  # the file
    step: int  # optimizer steps that it holds
    seconds: float  # that writing took


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """A training is over; what it learned is saved."""

    status: str  # finished | stopped | failed
    reason: str  # what stopped it or failed
    folder: Path  # where its files are


Callback = Callable[[Event], Any]
FORGIVEN = 2  # failures in a row; the next one drops the callback


class Callbacks:
    """Give each event to every callback, and let none of their faults end the work.

    The first fault of each is reported with its traceback, after three in a row it is dropped, and
    with RunEnded all are counted: as a Note to the other callbacks; as a Python warning, too, where
    no console is among them (`quiet`).
    """

    def __init__(self, callbacks: Iterable[Callback], *, quiet: bool = False) -> None:
        self.callbacks, self.quiet = list(callbacks), quiet
        self._in_a_row: dict[int, int] = {}
        self._faults: dict[int, tuple[str, int]] = {}  # by callback: its name, how many

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunEnded) and self._faults:
            times = [f"{name} failed {_times(count)}" for name, count in self._faults.values()]
            number = "1 callback" if len(times) == 1 else f"{len(times)} callbacks"
            self._say(f"{number} failed: {', '.join(times)}; the run is whole.", self.callbacks)
            self._faults.clear()
        self._tell(event, list(self.callbacks))

    def warn(self, text: str) -> None:
        """Say what may be wrong."""
        self(Note(text, "warn"))

    def _tell(self, event: Event, callbacks: list[Callback]) -> None:
        for callback in callbacks:
            try:
                callback(event)
                self._in_a_row.pop(id(callback), None)
            except Exception as err:  # a callback is a guest: its faults end with it
                self._blame(callback, err)

    def _blame(self, callback: Callback, err: Exception) -> None:
        in_a_row = self._in_a_row[id(callback)] = self._in_a_row.get(id(callback), 0) + 1
        name = getattr(callback, "__qualname__", type(callback).__qualname__)
        faults = self._faults.get(id(callback), (name, 0))[1] + 1
        self._faults[id(callback)] = name, faults
        others = [other for other in self.callbacks if other is not callback]
        message = f"The callback {name} raised {type(err).__name__}: {err}"
        if in_a_row > FORGIVEN:
            self.callbacks[:] = others
            end = f"It failed {in_a_row} times in a row and is dropped; the work goes on."
            self._say(f"{message}. {end}", others)
        elif faults == 1:
            self._say(f"{message}. The work goes on.\n{_where(err)}", others)

    def _say(self, text: str, callbacks: list[Callback]) -> None:
        if self.quiet or not callbacks:
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self._tell(Note(text, "warn"), list(callbacks))


def _where(err: Exception) -> str:
    """Its traceback, without the line of ours that called; an error of ours says itself."""
    if isinstance(err, ColabKitError):
        return str(err)
    place = err.__traceback__ and err.__traceback__.tb_next
    return "".join(traceback.format_exception(type(err), err, place)).rstrip()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


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
