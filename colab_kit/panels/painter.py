"""Painting: where a panel is drawn from while its worker works, and how a busy cell hears clicks.

A panel is drawn on a thread of its own, or by the cell that waits. While a cell waits, clicks queue
behind it. On ipykernel 6, which is Colab's, `clicks` takes them out of the queue and handles them.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import RecipeError
from ..system.console import looked_at
from .worker import Worker, on_thread

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
