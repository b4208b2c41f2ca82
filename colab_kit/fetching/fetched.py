"""What a fetch brings: a path that says where it came from, and whose code can be imported or run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import new_words
from ..events import Callback, Control, Note
from ..system.console import with_console
from ..system.files import sha256
from .modules import as_module
from .scripts import command_for, run, spelled


@dataclass(frozen=True)
class Fetched(os.PathLike[str]):
    """What was fetched, usable wherever a path is: `fetched / "train.csv"` is a path in its folder.

    path : the file, or the folder where it was unpacked
    url : where it came from, without query, name and password
    sha256 : of the file as it came, hex; None where it was unpacked while it came, and for a repository
    size : bytes, as it came
    cached : whether nothing was downloaded this time
    archive : where the archive is kept, if it is

    Examples
    --------
    >>> helper = fetch("https://github.com/ann/course/blob/main/helper.py").as_module()  # doctest: +SKIP
    >>> fetch("https://example.org/tools.zip", extract=True).run("train.py", "--epochs", 3)  # doctest: +SKIP
    """

    path: Path
    url: str
    sha256: str | None
    size: int
    cached: bool
    archive: Path | None = None

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.path / name

    @new_words
    def as_module(
        self,
        name: str | None = None,
        *,
        callbacks: Iterable[Callback] | None = None,
        quiet: bool = False,
    ) -> ModuleType:
        """Import it and give the module; `import helper` works from then on, and so does `import` of what was fetched beside it.

        Its address and sha256 are said before it is executed. The same content is executed once; changed content again, in the same
        module object, so that others who hold it see the new code.

        Parameters
        ----------
        name : str, optional
            What to call the module; None: as the file, without .py.

        Raises
        ------
        FetchError
            It is no Python file and no package, or the name is that of another module. What the code raises comes as it is.
        """
        return as_module(
            self.path,
            self._origin(),
            sha256=self.sha256,
            name=name,
            emit=with_console(callbacks, quiet=quiet),
        )

    @new_words
    def run(
        self,
        script: str | os.PathLike[str] | None = None,
        *args: Any,
        callbacks: Iterable[Callback] | None = None,
        quiet: bool = False,
        control: Control | None = None,
    ) -> None:
        """Run a script of the folder, or the file itself, in its folder; what it says is shown at once.

        A .py runs with this Python, a .sh with bash. An interrupt reaches the script, which may save and end; it is given 10 seconds
        of silence, and a second interrupt ends it at once.

        Parameters
        ----------
        script : str or path
            Its name in the folder, or "-m" with a module's name after it. Where a file was fetched, its first argument: `.run("--fast")`.
        args
            Its arguments; what is no text is made text.
        control : Control, optional
            Ends the script as an interrupt does.

        Raises
        ------
        FetchError
            There is no such script, or it failed: its last lines are shown again.
        Stopped
            `control` said stop.
        KeyboardInterrupt
            After an interrupt, when the script has ended.
        """
        emit = with_console(callbacks, quiet=quiet)
        whole = Path(os.path.abspath(self.path))
        if whole.is_file():
            folder, script, args = (
                whole.parent,
                whole.name,
                args if script is None else (script, *args),
            )
        else:
            folder = whole
        name, command = command_for(folder, script, args)
        emit(
            Note(
                f"Running {spelled(command)} in {folder}, from {self._origin()}{self._content(folder / name)}"
            )
        )
        run(command, name=name, cwd=folder, control=control, emit=emit)

    def _origin(self) -> str:
        return self.url

    def _content(self, script: Path) -> str:
        """What stands for the content of what is run, in words."""
        if self.path.is_file():
            now = sha256(script)
            return f" (sha256 {now}{'' if self.sha256 in (None, now) else f', edited since it was fetched as {self.sha256}'})"
        if script.is_file():
            return f" (sha256 {sha256(script)})"
        return f" (sha256 {self.sha256})" if self.sha256 else ""
