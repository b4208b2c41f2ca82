"""What a fetch brings: a path that knows its source, and whose code can be imported or run."""

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
    sha256 : of the file as it came, hex; None where it was unpacked while it came, and for a
        repository
    size : bytes, as it came
    cached : whether nothing was downloaded this time
    archive : where the archive is kept, if it is

    Examples
    --------
    >>> helper = fetch("https://github.com/ann/x/blob/main/helper.py")  # doctest: +SKIP
    >>> helper.as_module().greet()  # doctest: +SKIP
    >>> tools = fetch("https://example.org/tools.zip", extract=True)  # doctest: +SKIP
    >>> tools.run("train.py", "--epochs", 3)  # doctest: +SKIP
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
        """Import it and give the module.

        From then on `import helper` works, and so does `import` of what was fetched beside it. Its
        address and sha256 are said before it is executed. The same content is executed once;
        changed content is executed again, in the same module object, so that others who hold it
        see the new code.

        Parameters
        ----------
        name : str, optional
            What to call the module; None: as the file, without .py.
        callbacks : list of callables, optional
            They are given each event, as the console is.
        quiet : bool
            Whether the console says nothing.

        Raises
        ------
        FetchError
            It is no Python file and no package, or the name is that of another module. An error of
            the code itself is passed on.
        """
        emit = with_console(callbacks, quiet=quiet)
        return as_module(self.path, self._origin, sha256=self.sha256, name=name, emit=emit)

    @new_words
    def run(
        self,
        script: str | os.PathLike[str] | None = None,
        *args: Any,
        callbacks: Iterable[Callback] | None = None,
        quiet: bool = False,
        control: Control | None = None,
    ) -> None:
        """Run a script of the folder, or the file itself, in its folder; show its output at once.

        A .py runs with this Python, a .sh with bash. An interrupt reaches the script, which may
        save and end; after 10 seconds of silence, or at a second interrupt, it is ended.

        Parameters
        ----------
        script : str or path
            Its name in the folder, or "-m" with a module's name after it. Where a file was fetched,
            its first argument: `.run("--fast")`.
        args
            Its arguments; what is no text is made text.
        callbacks : list of callables, optional
            They are given each event, as the console is.
        quiet : bool
            Whether the console says nothing.
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
        folder = Path(os.path.abspath(self.path))
        if folder.is_file():
            args = args if script is None else (script, *args)
            folder, script = folder.parent, folder.name
        name, command = command_for(folder, script, args)
        source = f"{self._origin}{self._content(folder / name)}"
        emit(Note(f"Running {spelled(command)} in {folder}, from {source}"))
        run(command, name=name, cwd=folder, control=control, emit=emit)

    @property
    def _origin(self) -> str:
        return self.url

    def _content(self, script: Path) -> str:
        """What stands for the content of what is run, in words."""
        digest, edited = self.sha256, ""
        if script.is_file():
            digest = sha256(script)
            if self.path.is_file() and self.sha256 not in (None, digest):
                edited = f", edited since it was fetched as {self.sha256}"
        return f" (sha256 {digest}{edited})" if digest else ""
