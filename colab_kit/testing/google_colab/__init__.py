"""google.colab, imitated: testing/fake_colab.py registers this folder as that package while a stand-in is installed."""

from __future__ import annotations

from typing import Any

from . import (
    _system_commands,
    auth,
    autoviz,
    data_table,
    drive,
    files,
    output,
    runtime,
    snippets,
    widgets,
)

__all__ = [
    "auth",
    "autoviz",
    "data_table",
    "drive",
    "files",
    "output",
    "runtime",
    "snippets",
    "widgets",
]

__version__ = "0.0.1a2"
__colab_kit_mock__ = True


def load_ipython_extension(ipython: Any) -> None:
    """%load_ext google.colab"""
    _system_commands._register_magics(ipython)
