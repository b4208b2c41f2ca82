"""What happens, as values: frozen events go out to listeners, and a listener can never stop a run.

A listener is any callable that takes one event and returns nothing. It matches what it cares for and lets the rest pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


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
    of: int
    loss: float
    lr: float


@dataclass(frozen=True, slots=True)
class EpochDone(Event):
    """A validation happened: at an epoch's end `epoch` is whole, between (validate_every) it is a fraction."""

    epoch: float
    of: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    path: Path
    step: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    status: str  # done | stopped | failed
    reason: str
    folder: Path


Listener = Callable[[Event], Any]
FORGIVEN = 2  # failures in a row; the next one drops the listener


class Listeners:
    """Hand each event to every listener; report one that raises, forgive it twice in a row, then drop it."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self.listeners = list(listeners)
        self._failures: dict[int, int] = {}
        self._reported: set[int] = set()

    def __call__(self, event: Event) -> None:
        self._tell(event, list(self.listeners))

    def _tell(self, event: Event, listeners: list[Listener]) -> None:
        for listener in listeners:
            try:
                listener(event)
                self._failures.pop(id(listener), None)
            except Exception as err:  # a listener is a guest: its faults end with it
                self._blame(listener, err)

    def _blame(self, listener: Listener, err: Exception) -> None:
        failures = self._failures[id(listener)] = self._failures.get(id(listener), 0) + 1
        name = getattr(listener, "__qualname__", type(listener).__qualname__)
        others = [other for other in self.listeners if other is not listener]  # it need not hear of its own faults
        said = f"The listener {name} raised {type(err).__name__}: {err}"
        if failures > FORGIVEN:
            self.listeners[:] = others
            self._tell(Note(f"{said}. It failed {failures} times in a row and is dropped; training goes on.", "warn"), others)
        elif id(listener) not in self._reported:
            self._reported.add(id(listener))
            self._tell(Note(f"{said}. Training goes on.", "warn"), others)
