"""The seam: where the imitation's modules find the stand-in that is installed. They keep no state of their own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class World(Protocol):
    """What the imitation needs to know of the machine, the page and the Drive that it pretends to have."""

    vm: bool  # a hosted machine: /var/colab/hostname is there
    kernel: bool  # a notebook's kernel runs this process
    callbacks: dict[str, Callable[..., Any]]  # what JavaScript may call

    def environ(self) -> Mapping[str, str]:
        """The environment as a Colab VM's kernel sees it."""
        ...

    def ask(
        self, request_type: str, request: Any, timeout_sec: float | None
    ) -> dict[str, Any] | None:
        """The page's reply, {"data": …} or {"error": text}; None: no answer came in time."""
        ...

    def fails(self, *kinds: str) -> str | None:
        """The kind of the planned fault that strikes now; counts."""
        ...

    def wait(self, seconds: float) -> None: ...

    def mounted(self) -> bool:
        """Whether a Drive is mounted, wherever."""
        ...

    def mount(self, mountpoint: str, readonly: bool) -> None: ...

    def unmount(self) -> None:
        """Send what was written, then unmount."""
        ...

    def drop(self) -> None:
        """Kill DriveFS: what was not sent is lost."""
        ...

    def picked(self) -> list[tuple[str, bytes]]:
        """The files chosen in the browser; empty: the dialogue was cancelled."""
        ...

    def hand_over(self, path: str) -> None:
        """Let the browser fetch this file, later."""
        ...

    def note(self, call: str, **how: Any) -> None:
        """Keep a record of a call, for a test to read."""
        ...

    def stop(self) -> None:
        """The machine is given back."""
        ...


installed: World | None = None


def world() -> World:
    """The stand-in in force."""
    if installed is None:
        raise RuntimeError(
            "google.colab's stand-in is not installed any more: import google.colab again, inside `with StandIn():`"
        )
    return installed


def need_kernel(name: str = "kernel") -> None:
    """Fail as google.colab does outside a notebook's kernel, where get_ipython() is None."""
    if not world().kernel:
        raise AttributeError(f"'NoneType' object has no attribute '{name}'")


def display() -> Any:
    """IPython's ways to show things, imported when something is shown."""
    return importlib.import_module("IPython.display")
