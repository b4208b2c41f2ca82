"""The seam: where the other modules find the stand-in that is installed. They keep no state.

fake_colab.py's StandIn says what they can ask it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..fake_colab import StandIn


_installed: StandIn | None = None


def install(world: StandIn | None) -> None:
    """Let this stand-in be in force; None ends that."""
    global _installed
    _installed = world


def world() -> StandIn:
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
