"""What a fetch brings: a path that knows its source, and whose code can be imported or run.

A script runs as in a terminal: by its interpreter, in its folder, with its output shown at once.
"""

from __future__ import annotations

import codecs
import difflib
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import FetchError, NotFound, Stopped, new_words
from ..events import Callback, Control, Note
from ..system.console import with_console
from ..system.files import sha256
from ..system.process import KILL, LOOK, Child
from .modules import as_module

SILENCE = 10.0  # seconds without output after an interrupt; then the script is ended
TAIL = 20  # lines of its output that an error shows
KEPT = 1 << 14  # characters of its output that are kept for that
_LISTED = 2000  # files of a folder among which a similar name is looked for
_SECRET = re.compile(r"(--?[\w-]*(?:token|passw|secret|api[-_]?key)[\w-]*)(=.*)?", re.I | re.S)


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
        run_command(command, name=name, cwd=folder, control=control, emit=emit)

    @property
    def _origin(self) -> str:
        return self.url

    def _content(self, script: Path) -> str:
        """Tell what stands for the content of what is run, in words."""
        digest, edited = self.sha256, ""
        if script.is_file():
            digest = sha256(script)
            if self.path.is_file() and self.sha256 not in (None, digest):
                edited = f", edited since it was fetched as {self.sha256}"
        return f" (sha256 {digest}{edited})" if digest else ""


def run_command(
    command: Sequence[str],
    *,
    name: str,
    cwd: Path,
    emit: Callback,
    control: Control | None = None,
    out: Any = None,
) -> None:
    """Run a command to its end and show its output at once, also bars that redraw their line.

    An interrupt is passed on to it. A second one, or SILENCE seconds without output, ends it; then
    KeyboardInterrupt is raised.

    Parameters
    ----------
    name : str
        What it is called in errors.
    control : Control, optional
        Its stop is passed on as an interrupt is.
    out : file, optional
        Where its output is shown; None: the caller's sys.stdout.

    Raises
    ------
    FetchError
        It could not be started, or failed: `why` has its last lines.
    Stopped
        `control` said stop, and it has ended.
    """
    env = {"PYTHONIOENCODING": "utf-8", **os.environ, "PYTHONUNBUFFERED": "1"}
    try:
        child = Child(command, cwd=cwd, env=env)
    except (OSError, ValueError) as err:  # ValueError: a NUL among the arguments
        fix = "see whether it is a program for this machine"
        raise FetchError(f"{name} could not be started.", str(err), fix) from err
    screen = _Screen(sys.stdout if out is None else out)
    with child:
        cause = _attend(child, screen, name, control or Control(), emit)
        screen.show(b"", last=True)
        if cause is not None:
            child.send(KILL)  # what it started and left behind
            raise cause
    if status := child.process.returncode:
        raise _failed(name, status, screen.tail())


def _attend(
    child: Child, screen: _Screen, name: str, control: Control, emit: Callback
) -> KeyboardInterrupt | Stopped | None:
    """Show its output until it ends; give what made it end, None if it ended by itself."""
    cause: KeyboardInterrupt | Stopped | None = None
    heard = time.monotonic()
    while True:
        try:
            if (output := child.hear(LOOK)) is None:
                return cause
            if output:
                screen.show(output)
                heard = time.monotonic()
            if cause is None and control.stopped:
                fix = "run the cell again to start it anew"
                cause, heard = (
                    Stopped(f"{name} was stopped.", control.reason, fix),
                    time.monotonic(),
                )
                child.send(signal.SIGINT)
            if cause is not None and time.monotonic() - heard > SILENCE:
                break
        except KeyboardInterrupt as interrupt:
            if cause is not None:
                break
            cause, heard = interrupt, time.monotonic()
            child.send(signal.SIGINT)
            again = "Interrupt once more to end it now."
            emit(Note(f"Interrupted: waiting for {name} to end. {again}"))
    for output in child.end():
        screen.show(output)
    return cause


class _Screen:
    """Shows bytes as text at once, and keeps the last lines."""

    def __init__(self, out: Any) -> None:
        self.out, self._last = out, ""
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def show(self, output: bytes, *, last: bool = False) -> None:
        if not (text := self._decode(output, last)):
            return
        self._last = (self._last + text)[-KEPT:]
        try:
            self.out.write(text)
            self.out.flush()
        except UnicodeEncodeError:
            self.out.write(text.encode("ascii", "replace").decode())
        except (OSError, ValueError, AttributeError):
            pass  # the screen is gone (None under pythonw), and the script continues

    def tail(self) -> str:
        """Give the last lines as a terminal leaves them: of a line that was redrawn, its end."""
        lines = self._last.replace("\r\n", "\n").split("\n")
        lines = [line.rstrip().rpartition("\r")[2] for line in lines]
        return "\n".join([line for line in lines if line.strip()][-TAIL:])


def _failed(name: str, status: int, tail: str) -> FetchError:
    why = f"its last lines were\n{tail}" if tail else "it said nothing"
    if status > 0:
        fix = "its own message says what to correct; then run it again"
        return FetchError(f"{name} ended with exit status {status}.", why, fix)
    word, fix = f"signal {-status}", "run it again"
    if -status in [*signal.Signals]:
        word = signal.Signals(-status).name
    if -status == KILL:
        fix = "most often the machine had no memory left: use a smaller batch or fewer workers"
    return FetchError(f"{name} was ended by {word}.", why, fix)


def command_for(
    folder: Path, script: str | os.PathLike[str] | None, args: Sequence[Any]
) -> tuple[str, list[str]]:
    """Give the name and the command of a script in a folder.

    A .py runs by this Python, a .sh by bash, another file by itself if it can be executed. "-m" as
    the script runs a module, as in command_for(folder, "-m", ["pkg.train"]).

    Raises
    ------
    FetchError
        There is no such script, it lies outside of the folder, or nothing here runs it.
    """
    words = [str(arg) for arg in args]
    if script is None:
        what, why = "Say which script to run.", f"{folder} is a folder{_holding(folder)}"
        raise FetchError(what, why, 'name it, as in .run("train.py")')
    if script == "-m":
        if not words:
            fix = 'name it, as in .run("-m", "package.train")'
            raise FetchError("Say which module to run.", '"-m" stands alone', fix)
        return f"python -m {words[0]}", [_python(), "-m", *words]
    path = _inside(folder, os.fspath(script))
    name = path.relative_to(folder).as_posix()
    match path.suffix.lower():
        case ".py":
            return name, [_python(), name, *words]
        case ".sh":
            if shell := shutil.which("bash") or shutil.which("sh"):
                return name, [shell, name, *words]
            why, fix = "this machine has no bash", "write its lines as a Python script"
            raise FetchError(f"{name} cannot be run here.", why, fix)
    if os.access(path, os.X_OK):
        return name, [str(path), *words]
    why = "it is no .py, no .sh, and not executable"
    raise FetchError(f"{name} cannot be run.", why, "name a script that is one of them")


def _inside(folder: Path, script: str) -> Path:
    """Give the script's whole path."""
    path = Path(os.path.normpath(os.path.join(folder, script)))
    is_inside = "\0" not in script and path.is_relative_to(folder)
    if not is_inside or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        why = "only what was fetched is run, nothing outside of its folder"
        what = f"{script!r} is no script in {folder}."
        raise FetchError(what, why, "name a script that lies in it")
    if path.is_dir():
        fix = f'name one, as in .run("{script}/train.py")'
        raise FetchError(f"{script} is a folder{_holding(path)}.", "a script is a file", fix)
    if path.is_file():
        return path
    scripts, last = _scripts(folder), script.rpartition("/")[2]
    same_name = [name for name in scripts if name.rpartition("/")[2] == last]
    similar = difflib.get_close_matches(script, scripts, 3, 0.5) or same_name[:3]
    fix = "see what it holds: list(fetched.path.iterdir())"
    if similar:
        fix = f"did you mean {' or '.join(similar)}?"
    why = _holding(folder).removeprefix(" with ") or "it holds no scripts"
    raise NotFound(f"There is no {script} in {folder}.", why, fix)


def _scripts(folder: Path) -> list[str]:
    """Give the names of the folder's scripts, those at its top first."""
    names = [
        path.relative_to(folder).as_posix()
        for path in islice(folder.rglob("*"), _LISTED)
        if path.suffix in (".py", ".sh") and ".git" not in path.parts
    ]
    return sorted(names, key=lambda name: (name.count("/"), name))


def _holding(folder: Path) -> str:
    """Give the folder's scripts, in words; "" if it has none."""
    names = _scripts(folder)
    more = f" and {len(names) - 5} more scripts" if len(names) > 5 else ""
    return f" with {', '.join(names[:5])}{more}" if names else ""


def _python() -> str:
    if not sys.executable:
        what, why = "No Python was found to run it.", "this process does not know its own program"
        raise FetchError(what, why, "run it in a notebook")
    return sys.executable


def spelled(command: Sequence[str]) -> str:
    """Give the command as one would type it.

    What follows --token and its like is hidden, since notebooks are shared.
    """
    words, hide = [], False
    for word in [Path(command[0]).name, *command[1:]]:
        secret = _SECRET.fullmatch(word)
        if hide:
            words.append("…")
        elif secret and secret[2]:
            words.append(f"{secret[1]}=…")
        else:
            words.append(shlex.quote(word))
        hide = bool(secret and not secret[2] and not hide)
    return " ".join(words)
