"""The kernel's shell as on Colab, laid over the shell that runs here."""

import os
from typing import Any

from . import _system_commands


class Shell:
    """Colab's shell: bash in a terminal runs `!` and `x = !`; %%magic with words needs no cell."""

    def system(self, cmd: str) -> None:
        if _native():
            super().system(cmd)  # type: ignore[misc]
        else:
            _system_commands.system(self, cmd)

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        if _native():
            return super().getoutput(cmd, split=split, depth=depth + 1)  # type: ignore[misc]
        return _system_commands.getoutput(self, cmd, split=split, depth=depth)

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        run: Any = super().run_cell_magic  # type: ignore[misc]
        return run(magic_name, line, cell or (" " if line else cell))


def _native() -> bool:
    return os.name != "posix" or bool(os.environ.get("USE_NATIVE_IPYTHON_SYSTEM_COMMANDS"))


def over(base: type) -> type:
    """A class that is this one and `base` at once: a shell of `base` can become one in place."""
    return type(base)(
        "Shell", (Shell, base), {"__module__": Shell.__module__, "__doc__": Shell.__doc__}
    )
