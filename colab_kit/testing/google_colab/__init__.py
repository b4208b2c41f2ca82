"""google.colab as tests have it: this folder is that package while a stand-in is installed.

The modules are named as Colab's; all that they ask goes through _seam.
"""

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

__all__ = ["auth", "autoviz", "data_table", "drive", "files", "output", "runtime", "snippets"]
__all__ += ["widgets"]

__version__ = "0.0.1a2"
__colab_kit_mock__ = True


def load_ipython_extension(ipython: Any) -> None:
    """%load_ext google.colab"""
    _system_commands._register_magics(ipython)
