"""A worker: one call of a verb on a thread of its own, with its own Control.

Its state is a word and a snapshot. The painter reads it, on a thread of its own or in the cell
that waits; the pump lets clicks through to a busy cell.
"""

from __future__ import annotations

import contextvars
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ColabKitError, RecipeError, Stopped
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
from ..system.console import looked_at

LOOK = 0.02  # seconds between two looks of a waiting caller
RECENT = 30  # steps from which the rate is computed
MOST = 400  # losses that are kept: of a longer run every second, every fourth …
BUSY = ("working", "paused", "stopping")
Failure = tuple[str, str, str, str]  # what, why, fix, traceback


@dataclass(frozen=True)
class Snapshot:
    """What a worker does, at one moment.

    state : "ready", "working", "paused", "stopping", "finished", "stopped" or "failed"
    work : what it is for, in a word
    doing : what is going on, in words
    done, of : steps, or bytes while something is fetched; of 0: nobody knows
    left : seconds until the end, if the last steps tell
    losses : (step, loss) of the steps
    rows : one a validation
    notes : (level, text) of each note
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
    error: Failure | None = None
    version: int = 0


def failure(err: BaseException, trace: str = "") -> Failure:
    """An error as its three sentences."""
    if isinstance(err, ColabKitError):
        return err.what, err.why, err.fix, trace
    return f"{type(err).__name__}: {err}", "", "", trace


def on_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """Run on a thread that has this one's context: ipykernel 7.0 has no parent message without."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name=name, daemon=True)
    thread.start()
    return thread


class Worker:
    """Runs `call(control, callback)` on a thread. Whoever asks gets a Snapshot.

    Parameters
    ----------
    doing, done, stopping : str
        What is said while it works, when it is finished, and once it was told to stop.

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
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._now = Snapshot(work=doing)
        self._times: list[tuple[float, int]] = []
        self._losses: list[tuple[int, float]] = []
        self._every = 1  # the loss of every so many steps is kept

    def start(self) -> None:
        """Begin; a second call does nothing."""
        with self._lock:
            if self._now.state != "ready":
                return
            self._now = replace(self._now, state="working", doing="Starting", version=1)
        on_thread(self._work, "colab-kit-worker")

    def stop(self) -> None:
        """Ask it to finish its step and save. The state says so at once."""
        self.control.stop("stopped in the panel")
        self._set(BUSY, state="stopping", doing=self.stopping)

    def pause(self) -> None:
        self.control.pause()
        self._set(("working",), state="paused", doing="Paused")

    def resume(self) -> None:
        self.control.resume()
        self._set(("paused",), state="working", doing="Going on")

    @property
    def busy(self) -> bool:
        return self._now.state in BUSY

    def snapshot(self) -> Snapshot:
        with self._lock:
            return self._now

    def wait(self, timeout: float | None = None, pump: Callable[[], None] = lambda: None) -> bool:
        """Wait until it has ended.

        It waits on an event of its own: after an interrupted join(), a thread's is_alive() is wrong
        (Python up to 3.12).

        Parameters
        ----------
        pump : callable
            Is called between two looks.
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
            state = getattr(self.result, "status", "finished")
            doing = {"finished": self.done}.get(state, state)
            if state == "stopped":
                reason = getattr(self.result, "reason", "")
                doing = f"Stopped: {reason}. Start goes on from what is saved"
            self._set(state=state, doing=doing, left=None)
        except BaseException as err:
            if isinstance(err, Stopped) and self.control.stopped:
                doing = f"Stopped: {self.control.reason}. What came is kept"
                self._set(state="stopped", doing=doing, left=None)
                return
            error = failure(err, "".join(traceback.format_exception(err)))
            self._set(state="failed", doing="Failed", left=None, error=error)
        finally:
            self._ended.set()

    def hear(self, event: Event) -> None:
        """Take an event into the snapshot."""
        with self._lock:
            match event:
                case RunStarted(epochs=epochs, steps=of, done=done):
                    self._times.clear()
                    self._progress(f"Training {done}/{of}", done, of, epochs=epochs)
                case StepDone(step=step, total=of, loss=loss):
                    if loss == loss and step % self._every == 0:
                        self._losses.append((step, loss))
                        if len(self._losses) > MOST:
                            self._losses, self._every = self._losses[1::2], 2 * self._every
                    self._times = [*self._times[-RECENT:], (self.clock(), step)]
                    self._progress(f"Training {step}/{of}", step, of, left=self._left(of))
                case EpochDone(epoch=epoch, metrics=metrics):
                    self._set(rows=(*self._now.rows, {"epoch": epoch, **metrics}))
                case FetchStarted(name=name, size=size):
                    self._progress(f"Downloading {name}", 0, size or 0, left=None)
                case FetchProgress(name=name, done=done, size=size):
                    whole = f" of {size / 2**20:.1f}" if size else ""
                    words = f"Downloading {name}: {done / 2**20:.1f}{whole} MiB"
                    self._progress(words, done, size or 0)
                case Note(text=text, level=level):
                    self._set(notes=(*self._now.notes, (level, text)))

    def _progress(self, doing: str, done: int, of: int, **more: Any) -> None:
        self._set(done=done, of=of, **more)
        self._set(("working",), doing=doing)

    def _left(self, of: int) -> float | None:
        """Seconds until the end."""
        if len(self._times) < 3:
            return None
        (then, first), (now, last) = self._times[0], self._times[-1]
        return (now - then) / (last - first) * (of - last) if last > first else None

    def _set(self, states: tuple[str, ...] = (), **change: Any) -> None:
        """Change the snapshot; with `states`, only while it is in one of them."""
        with self._lock:
            if not states or self._now.state in states:
                version, losses = self._now.version + 1, tuple(self._losses)
                self._now = replace(self._now, **change, losses=losses, version=version)


REDRAW = 0.2  # seconds between two drawings: five a second
MODES = ("auto", "background", "foreground", "off")
DELIMITER = b"<IDS|MSG>"


def mode() -> str:
    """How panels behave, as COLAB_KIT_UI says.

    "auto" means "off" where nobody looks, since a saved notebook would keep dead buttons.
    """
    name = os.environ.get("COLAB_KIT_UI", "auto").strip().lower() or "auto"
    if name not in MODES:
        why = f"the modes are {', '.join(MODES)}"
        fix = "name one of these, or unset it"
        raise RecipeError(f"COLAB_KIT_UI={name!r} is not known.", why, fix)
    return "off" if name == "auto" and not looked_at() else name


def foreground() -> bool:
    """Whether Start waits for the end.

    On Colab, what a thread sends after its cell has ended may not be shown.
    """
    name = mode()
    return name == "foreground" or (name == "auto" and "google.colab" in sys.modules and can_hear())


def paint_on_thread(
    worker: Worker, paint: Callable[[], None], end: Callable[[], None]
) -> threading.Thread:
    """Draw on a thread of its own until the worker has ended, then call `end`."""

    def work() -> None:
        while worker.busy:
            paint()
            time.sleep(REDRAW)
        end()

    return on_thread(work, "colab-kit-painter")


def paint_here(worker: Worker, paint: Callable[[], None]) -> None:
    """Draw from the cell that waits until the worker has ended, and hear clicks meanwhile.

    An interrupt is a Stop; a second one raises.
    """
    last, interrupted = 0.0, False
    with clicks() as hear:
        while worker.busy:
            try:
                hear()
                if time.monotonic() - last > REDRAW:
                    last = time.monotonic()
                    paint()
                time.sleep(0.01)
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                worker.stop()


def kernel_here() -> Any:
    """This process's kernel; None in a terminal or a script."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None)


def can_hear(kernel: Any = None) -> bool:
    """Whether a cell can hear clicks while it runs."""
    kernel = kernel or kernel_here()
    has_queue = hasattr(kernel, "msg_queue") and hasattr(kernel, "shell_stream")
    return has_queue and "comm_msg" in getattr(kernel, "shell_handlers", {})


@contextmanager
def clicks(kernel: Any = None) -> Iterator[Callable[[], None]]:
    """Yield a callable that handles what was clicked.

    All other messages are held back, and put back in their order. Answers have the waiting cell's
    message as their parent, so that the browser shows them there.
    """
    kernel = kernel or kernel_here()
    if not can_hear(kernel):
        yield lambda: None
        return
    others: list[Any] = []

    def hear() -> None:
        kernel.shell_stream.flush()
        while not kernel.msg_queue.empty():
            item = kernel.msg_queue.get_nowait()
            frames = _click(item)
            if frames is None:
                others.append(item)
            else:
                _handle(kernel, frames)

    try:
        yield hear
    finally:
        while not kernel.msg_queue.empty():
            others.append(kernel.msg_queue.get_nowait())
        for item in others:
            kernel.msg_queue.put_nowait(item)


def _click(item: Any) -> Any:
    """The frames of a message to a widget; None for any other."""
    frames = item[-1][0] if item[-1] else None
    if not isinstance(frames, list):
        return None
    raw = [bytes(frame.bytes if hasattr(frame, "bytes") else frame) for frame in frames]
    if DELIMITER not in raw:
        return None
    header = json.loads(raw[raw.index(DELIMITER) + 2])
    return frames if str(header.get("msg_type", "")).startswith("comm_") else None


def _handle(kernel: Any, frames: Any) -> None:
    idents, rest = kernel.session.feed_identities(frames, copy=False)
    message = kernel.session.deserialize(rest, content=True, copy=False)
    try:
        kernel.shell_handlers[message["msg_type"]](kernel.shell_stream, idents, message)
    except Exception:  # as the kernel does: the handler's error is shown where its output goes
        kernel.log.error("A widget's message failed", exc_info=True)
    finally:  # the browser holds the widget's next state back until it hears this
        content, topic = {"execution_state": "idle"}, kernel._topic("status")
        socket = kernel.iopub_socket
        kernel.session.send(socket, "status", content, parent=message, ident=topic)
