"""Timings: where the seconds of a verb go.

At each moment a verb's stopwatch is at exactly one name, so its seconds add up to the wall time.
What threads do beside it is counted apart.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .console import html_table

T = TypeVar("T")
NAMES = {  # in the order of a run
    "imports": "packages that this call is the first to need",
    "load": "reading what the data are",
    "network": "building the network and its weights",
    "set-up": "choosing, checking, trying one batch",
    "input": "waiting for the next batch",
    "forward": "the network's outputs and the loss",
    "backward": "its gradients",
    "optimizer": "changing the weights",
    "validation": "measuring on the validation split",
    "solve": "solving the head for the features",
    "save": "checkpoints and features to the disk",
    "copies": "waiting for the copies to Drive",
    "pause": "paused by hand",
    "rest": "callbacks, the console and all else",
}
LONG = 10.0  # seconds: a shorter call needs no advice
HINTS = {  # name: the share of the time from which on it is worth a hint, and the hint
    "load": (0.4, "kit.load once, and pass its Data: the next run does not read it again"),
    "set-up": (0.5, "it does not grow with the length of the run"),
    "input": (0.4, "the network waited: image_size= with a smaller number decodes less"),
    "validation": (0.4, "kit.load(…, valid=0.1) keeps fewer pictures back"),
    "save": (0.1, "save_every_steps= with a larger number saves less often"),
}


@dataclass(frozen=True)
class Timings:
    """Where the seconds of one training session went.

    Attributes
    ----------
    seconds : dict
        {name: seconds}, the names as in NAMES; together they are the wall time of the call.
    beside : dict
        {name: seconds} that threads worked beside it: "decode", added up over the threads.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, float] = field(default_factory=dict)

    def as_record(self) -> dict[str, dict[str, float]]:
        """Give it as plain data for run.json, in milliseconds' precision."""
        parts = {"seconds": self.seconds, "beside": self.beside}
        return {part: {k: round(s, 3) for k, s in own.items()} for part, own in parts.items()}

    @property
    def total(self) -> float:
        """Seconds of the whole call."""
        return sum(self.seconds.values())

    def share(self, name: str) -> float:
        """Say what share of the call a name took, from 0 to 1."""
        return self.seconds.get(name, 0.0) / self.total if self.total else 0.0

    @property
    def line(self) -> str:
        """The largest shares, and what would help, in one line."""
        largest = sorted(self.seconds, key=self.share, reverse=True)[:3]
        shares = ", ".join(f"{name} {self.share(name):.0%}" for name in largest)
        is_long = self.total >= LONG
        hints = [
            hint for name, (most, hint) in HINTS.items() if is_long and self.share(name) > most
        ]
        return "; ".join([f"{self.total:.1f} s: {shares}", *hints[:1]])

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Give name, seconds, share and meaning of each, as text."""
        inside = [
            (name, f"{value:.2f}", f"{self.share(name):.0%}", NAMES.get(name, ""))
            for name, value in self.seconds.items()
        ]
        threads = [
            (name, f"{value:.2f}", "", "in threads beside it, added up")
            for name, value in self.beside.items()
        ]
        return [*inside, ("total", f"{self.total:.2f}", "", ""), *threads]

    def __str__(self) -> str:
        return "\n".join(f"{a:<11}{b:>9} s {c:>5}  {d}".rstrip() for a, b, c, d in self.rows())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.rows(), ("what", "seconds", "share", "meaning"))


class Stopwatch:
    """Count the seconds of a verb in its own thread.

    Parameters
    ----------
    clock : callable
        Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds, self.beside = dict.fromkeys(NAMES, 0.0), dict[str, float]()
        self.at, self.thread = "set-up", threading.get_ident()
        self._clock, self._lock, self._since = clock, threading.Lock(), clock()
        self._record: Callable[[], Any] | None = None
        self._marks: list[tuple[str, Any]] = []

    def enter(self, name: str) -> str:
        """Count for this name from now on; give the one before."""
        before = self.at
        if self._record is not None:
            self._marks.append((name, self._record()))
            self.at = name
            return before
        now = self._clock()
        self.seconds[before] += now - self._since
        self.at, self._since = name, now
        return before

    @contextmanager
    def by_device(self, record: Callable[[], Any]) -> Iterator[None]:
        """Count by a device's own clock within the block: a host only hands work to it.

        Parameters
        ----------
        record : callable
            Records an event of the device, such as a torch.cuda.Event with timing, and gives it.
        """
        self.enter(self.at)
        before = sum(self.seconds.values())
        self._marks, self._record = [(self.at, record())], record
        try:
            yield
        finally:
            self._marks.append(("", record()))
            self._record = None
            self._marks[-1][1].synchronize()
            self.settle()
            now = self._clock()
            # what the device's clock and the host's differ by
            self.seconds["rest"] += now - self._since - (sum(self.seconds.values()) - before)
            self._since = now

    def settle(self) -> None:
        """Add up the device's events so far. All of them are over: its results were read."""
        for (name, start), (_, end) in itertools.pairwise(self._marks):
            self.seconds[name] += start.elapsed_time(end) / 1000
        del self._marks[:-1]

    def add_beside(self, name: str, seconds: float) -> None:
        """Add what a thread took beside the verb."""
        with self._lock:
            self.beside[name] = self.beside.get(name, 0.0) + seconds

    def read(self) -> Timings:
        """Give the seconds so far; names that took none are left out."""
        if self._record is None:
            self.enter(self.at)
        return Timings({name: s for name, s in self.seconds.items() if s}, dict(self.beside))


_running: Stopwatch | None = None  # process state: the stopwatch of the verb that runs now


def running() -> Stopwatch:
    """Give the stopwatch of the verb that runs now; where none runs, one that nobody reads."""
    return _running or Stopwatch()


@contextmanager
def timed() -> Iterator[Stopwatch]:
    """Have a new stopwatch running within the block; `@timed()` times a whole verb."""
    global _running
    before, _running = _running, Stopwatch()
    try:
        yield _running
    finally:
        _running = before


@contextmanager
def during(name: str) -> Iterator[None]:
    """Count the block for `name` in the verb that runs in this thread, if one does."""
    watch = _running
    if watch is None or watch.thread != threading.get_ident():
        yield
        return
    before = watch.enter(name)
    try:
        yield
    finally:
        watch.enter(before)


@contextmanager
def beside(name: str) -> Iterator[None]:
    """Count the block, in whatever thread, beside the verb that runs, if one does."""
    watch = _running
    if watch is None:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        watch.add_beside(name, time.perf_counter() - began)


def each(name: str, items: Iterator[T]) -> Iterator[T]:
    """Give the items; the time until each comes counts for `name`."""
    while True:
        with during(name):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item
