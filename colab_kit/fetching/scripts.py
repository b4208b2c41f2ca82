"""Scripts that were fetched, run as a terminal would: by their interpreter, in their folder.

What they print is shown at once.
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
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import FetchError, NotFound, Stopped
from ..events import Control, Event, Note
from ..system.process import KILL, LOOK, Child

SILENCE = 10.0  # seconds without output after an interrupt; then the script is ended
TAIL = 20  # lines of its output that an error shows
KEPT = 1 << 14  # characters of its output that are kept for that
_LISTED = 2000  # files of a folder among which a similar name is looked for
_SECRET = re.compile(r"(--?[\w-]*(?:token|passw|secret|api[-_]?key)[\w-]*)(=.*)?", re.I | re.S)


def run(
    command: Sequence[str],
    *,
    name: str,
    cwd: Path,
    emit: Callable[[Event], None],
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
    child: Child, screen: _Screen, name: str, control: Control, emit: Callable[[Event], None]
) -> KeyboardInterrupt | Stopped | None:
    """Show its output until it ends; what made it end, if it did not end by itself."""
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
        """The last lines as a terminal leaves them: of a line that was redrawn, its end."""
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
    """The name and the command of a script in a folder.

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
    """The script's whole path."""
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
    """The names of the folder's scripts, those at its top first."""
    names = [
        path.relative_to(folder).as_posix()
        for path in islice(folder.rglob("*"), _LISTED)
        if path.suffix in (".py", ".sh") and ".git" not in path.parts
    ]
    return sorted(names, key=lambda name: (name.count("/"), name))


def _holding(folder: Path) -> str:
    """The folder's scripts, in words; "" if it has none."""
    names = _scripts(folder)
    more = f" and {len(names) - 5} more scripts" if len(names) > 5 else ""
    return f" with {', '.join(names[:5])}{more}" if names else ""


def _python() -> str:
    if not sys.executable:
        what, why = "No Python was found to run it.", "this process does not know its own program"
        raise FetchError(what, why, "run it in a notebook")
    return sys.executable


def spelled(command: Sequence[str]) -> str:
    """The command as one would type it.

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
