"""A worker: one call of a verb on a thread of its own, with its own Control; what it is doing is a word and a snapshot."""

from __future__ import annotations

import contextvars
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ColabKitError
from ..events import (
    Control,
    EpochDone,
    Event,
    FetchProgress,
    FetchStarted,
    Note,
    RunStarted,
    StepDone,
)

LOOK = 0.02  # seconds between two looks of one who waits
RECENT = 30  # steps that the rate is told from
MOST = 400  # losses that are kept: of a longer run every second, every fourth …
BUSY = ("working", "paused", "stopping")


@dataclass(frozen=True)
class Snapshot:
    """What a worker does, at one moment.

    state : "ready", "working", "paused", "stopping", "finished", "stopped" or "failed"
    work : what it is for, in a word    doing : what is going on, in words
    done, of : steps, or bytes while something is fetched; of 0: nobody knows
    left : seconds until the end, if the last steps tell
    losses : (step, loss) of the steps    rows : one a validation    notes : what was said
    error : (what, why, fix, traceback) of a failure
    """

    state: str = "ready"
    work: str = "Training"
    doing: str = ""
    done: int = 0
    of: int = 0
    left: float | None = None
    epochs: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    rows: tuple[dict[str, float], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    error: tuple[str, str, str, str] | None = None
    version: int = 0


class Worker:
    """Runs `call(control, callback)` on a thread. Whoever asks gets a Snapshot; nobody is called from the thread.

    doing, done, stopping : what is said while it works, when it is finished, and once it was told to stop

    Examples
    --------
    >>> worker = Worker(lambda control, callback: 42)
    >>> worker.start(); worker.wait(5)
    True
    >>> worker.result, worker.snapshot().state
    (42, 'finished')
    """

    def __init__(
        self,
        call: Callable[[Control, Callable[[Event], None]], Any],
        *,
        doing: str = "Training",
        done: str = "Finished",
        stopping: str = "Stopping after this batch",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.call, self.clock, self.done, self.stopping = call, clock, done, stopping
        self.control, self.result = Control(), None
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._now, self._times = Snapshot(work=doing), list[tuple[float, int]]()
        self._losses: list[tuple[int, float]] = []
        self._every = 1  # step whose loss is kept

    def start(self) -> None:
        """Begin; a second call does nothing."""
        with self._lock:
            if self._now.state != "ready":
                return
            self._now = replace(self._now, state="working", doing="Starting", version=1)
        context = contextvars.copy_context()  # ipykernel 7.0 has no parent message in a bare thread
        threading.Thread(
            target=context.run, args=(self._work,), name="colab-kit-worker", daemon=True
        ).start()

    def stop(self) -> None:
        """Ask it to finish its step and save. Says so at once, however long the step takes."""
        self.control.stop("stopped in the panel")
        self._set(
            lambda now: (
                replace(now, state="stopping", doing=self.stopping) if now.state in BUSY else now
            )
        )

    def pause(self) -> None:
        self.control.pause()
        self._set(
            lambda now: (
                replace(now, state="paused", doing="Paused") if now.state == "working" else now
            )
        )

    def resume(self) -> None:
        self.control.resume()
        self._set(
            lambda now: (
                replace(now, state="working", doing="Going on") if now.state == "paused" else now
            )
        )

    @property
    def busy(self) -> bool:
        return self._now.state in BUSY

    def snapshot(self) -> Snapshot:
        with self._lock:
            return self._now

    def wait(self, timeout: float | None = None, pump: Callable[[], None] = lambda: None) -> bool:
        """Wait until it ended, on an event of its own: a thread's is_alive() lies after an interrupted join() (Python up to 3.12).

        pump : called between two looks
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self._ended.wait(LOOK):
            pump()
            if end is not None and time.monotonic() > end:
                return False
        return True

    def _work(self) -> None:
        try:
            self.result = self.call(self.control, self.hear)
            status = getattr(self.result, "status", "finished")
            word = {
                "finished": self.done,
                "stopped": f"Stopped: {getattr(self.result, 'reason', '')}. Start goes on from what is saved",
            }
            self._set(
                lambda now: replace(now, state=status, doing=word.get(status, status), left=None)
            )
        except BaseException as err:
            if (
                isinstance(err, ColabKitError)
                and self.control.stopped
                and err.why == self.control.reason
            ):  # as asked
                self._set(
                    lambda now: replace(
                        now,
                        state="stopped",
                        doing=f"Stopped: {self.control.reason}. What came is kept",
                        left=None,
                    )
                )
                return
            told = (
                (err.what, err.why, err.fix)
                if isinstance(err, ColabKitError)
                else (f"{type(err).__name__}: {err}", "", "")
            )
            text = "".join(traceback.format_exception(err))
            self._set(
                lambda now: replace(
                    now, state="failed", doing="Failed", left=None, error=(*told, text)
                )
            )
        finally:
            self._ended.set()

    def hear(self, event: Event) -> None:
        """Take an event into the snapshot."""
        match event:
            case RunStarted(epochs=epochs, steps=of, done=done):
                self._times.clear()
                self._set(
                    lambda now: self._doing(
                        replace(now, epochs=epochs, done=done, of=of), f"Training {done}/{of}"
                    )
                )
            case StepDone(step=step, total=of, loss=loss):
                if loss == loss and step % self._every == 0:
                    self._losses.append((step, loss))
                    if len(self._losses) > MOST:
                        self._losses, self._every = self._losses[1::2], 2 * self._every
                self._times = [*self._times[-RECENT:], (self.clock(), step)]
                self._set(
                    lambda now: self._doing(
                        replace(now, done=step, of=of, left=self._left(of)), f"Training {step}/{of}"
                    )
                )
            case EpochDone(epoch=epoch, metrics=metrics):
                self._set(lambda now: replace(now, rows=(*now.rows, {"epoch": epoch, **metrics})))
            case FetchStarted(name=name, size=size):
                self._set(
                    lambda now: self._doing(
                        replace(now, done=0, of=size or 0, left=None), f"Downloading {name}"
                    )
                )
            case FetchProgress(name=name, done=done, size=size):
                whole = f" of {size / 2**20:.1f}" if size else ""
                self._set(
                    lambda now: self._doing(
                        replace(now, done=done, of=size or 0),
                        f"Downloading {name}: {done / 2**20:.1f}{whole} MiB",
                    )
                )
            case Note(text=text, level=level):
                self._set(lambda now: replace(now, notes=(*now.notes, (level, text))))

    @staticmethod
    def _doing(now: Snapshot, words: str) -> Snapshot:
        return replace(now, doing=words) if now.state == "working" else now

    def _left(self, of: int) -> float | None:
        if len(self._times) < 3:
            return None
        (then, first), (now, last) = self._times[0], self._times[-1]
        return (now - then) / (last - first) * (of - last) if last > first else None

    def _set(self, change: Callable[[Snapshot], Snapshot]) -> None:
        with self._lock:
            found = change(self._now)
            self._now = (
                replace(found, losses=tuple(self._losses), version=self._now.version + 1)
                if found is not self._now
                else found
            )
