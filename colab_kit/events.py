"""What happens, as values: frozen events go out to callbacks, and a callback can never stop a run.

A callback is any callable that takes one event and returns nothing. It matches what it cares for and lets the rest pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    """Someone waits for copies to be handed to Drive; the last one says done == size."""

    name: str  # whose copies
    done: int  # bytes
    size: int


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    name: str
    folder: Path
    epochs: int
    steps: int  # optimizer steps of the whole run
    done: int = 0  # steps that are behind us: a continued run


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
    """A validation happened: at an epoch's end `epoch` is whole, between (validate_every_steps) it is a fraction."""

    epoch: float
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
    """Hand each event to every callback; report one that raises, forgive it twice in a row, then drop it."""

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
        others = [other for other in self.callbacks if other is not callback]  # it need not hear of its own faults
        said = f"The callback {name} raised {type(err).__name__}: {err}"
        if failures > FORGIVEN:
            self.callbacks[:] = others
            self._tell(Note(f"{said}. It failed {failures} times in a row and is dropped; training goes on.", "warn"), others)
        elif id(callback) not in self._reported:
            self._reported.add(id(callback))
            self._tell(Note(f"{said}. Training goes on.", "warn"), others)
