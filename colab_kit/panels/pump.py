"""The pump: clicks are heard while a cell waits. On ipykernel 6 alone, which is Colab's: there they queue behind the running request."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

DELIMITER = b"<IDS|MSG>"


def kernel_here() -> Any:
    """This process's kernel; None in a terminal or a script."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None)


def can(kernel: Any = None) -> bool:
    """Whether clicks can be heard from within a cell."""
    kernel = kernel or kernel_here()
    return (
        hasattr(kernel, "msg_queue")
        and hasattr(kernel, "shell_stream")
        and "comm_msg" in getattr(kernel, "shell_handlers", {})
    )


@contextmanager
def clicks(kernel: Any = None) -> Iterator[Callable[[], None]]:
    """Within the block the callable it gives hears what was clicked. All else that came is held back, and put back in its order.

    Answers have the waiting cell's message as their parent, so that the browser shows them there.
    """
    kernel = kernel or kernel_here()
    if not can(kernel):
        yield lambda: None
        return
    held: list[Any] = []

    def hear() -> None:
        kernel.shell_stream.flush()
        while not kernel.msg_queue.empty():
            item = kernel.msg_queue.get_nowait()
            if (found := _click(item)) is None:
                held.append(item)
            else:
                _handle(kernel, found)

    try:
        yield hear
    finally:
        while not kernel.msg_queue.empty():
            held.append(kernel.msg_queue.get_nowait())
        for item in held:
            kernel.msg_queue.put_nowait(item)


def _click(item: Any) -> Any:
    """The frames of a message to a widget; None for any other."""
    frames = item[-1][0] if item[-1] else None
    if not isinstance(frames, list):
        return None
    raw: list[bytes] = [
        bytes(frame.bytes if hasattr(frame, "bytes") else frame) for frame in frames
    ]
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
        kernel.session.send(
            kernel.iopub_socket,
            "status",
            {"execution_state": "idle"},
            parent=message,
            ident=kernel._topic("status"),
        )
