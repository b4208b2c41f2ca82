"""The seam: where the other modules find the stand-in that is installed. They keep no own state."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class World(Protocol):
    """What google.colab asks of the pretended machine, page and Drive.

    vm : whether this is a hosted machine, which has /var/colab/hostname
    kernel : whether a notebook's kernel runs this process
    callbacks : what JavaScript can call
    """

    vm: bool
    kernel: bool
    callbacks: dict[str, Callable[..., Any]]

    def environ(self) -> Mapping[str, str]:
        """The environment as a Colab VM's kernel sees it."""
        ...

    def ask(
        self, request_type: str, request: Any, timeout_sec: float | None
    ) -> dict[str, Any] | None:
        """The page's reply, {"data": …} or {"error": text}; None: no answer came in time."""
        ...

    def fails(self, *kinds: str) -> str | None:
        """The kind of the planned fault that strikes now; it is counted."""
        ...

    def wait(self, seconds: float) -> None: ...

    def mounted(self) -> bool:
        """Whether a Drive is mounted anywhere."""
        ...

    def mount(self, mountpoint: str, readonly: bool) -> None: ...

    def unmount(self) -> None:
        """Send everything that was written, then unmount."""
        ...

    def drop(self) -> None:
        """Kill DriveFS: what was not sent is lost."""
        ...

    def picked(self) -> list[tuple[str, bytes]]:
        """The files chosen in the browser; none, if the dialogue was cancelled."""
        ...

    def hand_over(self, path: str) -> None:
        """Let the browser fetch this file, later."""
        ...

    def note(self, call: str, **how: Any) -> None:
        """Record a call, for a test to read."""
        ...

    def stop(self) -> None:
        """Give the machine back."""
        ...


_installed: World | None = None


def install(world: World | None) -> None:
    """Let `world` be in force; None: no stand-in is."""
    global _installed
    _installed = world


def world() -> World:
    """The stand-in in force."""
    if _installed is None:
        raise RuntimeError(
            "google.colab's stand-in is not installed any more:"
            " import google.colab again, inside `with StandIn():`"
        )
    return _installed


def need_kernel(name: str = "kernel") -> None:
    """Fail as google.colab does outside a notebook's kernel, where get_ipython() is None."""
    if not world().kernel:
        raise AttributeError(f"'NoneType' object has no attribute '{name}'")


def display() -> Any:
    """IPython's ways to show things, imported when something is shown."""
    return importlib.import_module("IPython.display")
