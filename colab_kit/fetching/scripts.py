"""Scripts that were fetched, run as a terminal would: by their interpreter, in their folder, seen as they speak."""

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

SILENCE = 10.0  # seconds without a word after an interrupt; then the script is ended
TAIL = 20  # lines of its output that an error shows
_SEEN = 2000  # files of a folder that are looked at for a name that is near
_SECRET = re.compile(r"(--?[\w-]*(?:token|passw|secret|api[-_]?key)[\w-]*)(=.*)?", re.I | re.S)


def run(
    command: Sequence[str],
    *,
    name: str,
    cwd: Path,
    control: Control | None = None,
    emit: Callable[[Event], None],
    out: Any = None,
) -> None:
    """Run a command to its end and show what it says at once, bars that redraw their line included.

    An interrupt is passed on to it. A second one, or SILENCE seconds without a word, ends it; then KeyboardInterrupt is raised.

    Parameters
    ----------
    name : str
        What it is called in errors.
    control : Control, optional
        Its stop is passed on as an interrupt is.
    out : where its output is shown; the caller's sys.stdout if None

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
        raise FetchError(
            f"{name} could not be started.",
            str(err),
            "see whether it is a program for this machine",
        ) from err
    screen = _Screen(sys.stdout if out is None else out)
    with child:
        cause = _follow(child, screen, name, control, emit)
        screen.show(b"", last=True)
        if cause is not None:
            child.send(KILL)  # what it started and left behind
            raise cause
    if status := child.process.returncode:
        raise _failed(name, status, screen.tail())


def _follow(
    child: Child, screen: _Screen, name: str, control: Control | None, emit: Callable[[Event], None]
) -> KeyboardInterrupt | Stopped | None:
    """Show what it says until it ends; what made it end, if it was not itself."""
    cause: KeyboardInterrupt | Stopped | None = None
    heard = time.monotonic()
    while True:
        try:
            if (said := child.hear(LOOK)) is None:
                return cause
            if said:
                screen.show(said)
                heard = time.monotonic()
            if cause is None and control is not None and control.stopped:
                cause = Stopped(
                    f"{name} was stopped.", control.reason, "run the cell again to start it anew"
                )
                child.send(signal.SIGINT)
                heard = time.monotonic()
            if cause is not None and time.monotonic() - heard > SILENCE:
                break
        except KeyboardInterrupt as interrupt:
            if cause is not None:
                break
            cause, heard = interrupt, time.monotonic()
            child.send(signal.SIGINT)
            emit(
                Note(f"Interrupted: waiting for {name} to end. Interrupt once more to end it now.")
            )
    for said in child.end():
        screen.show(said)
    return cause


class _Screen:
    """Shows bytes as text at once, and remembers the last lines."""

    def __init__(self, out: Any) -> None:
        self.out, self._last = out, ""
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def show(self, said: bytes, *, last: bool = False) -> None:
        if not (text := self._decode(said, last)):
            return
        self._last = (self._last + text)[-(1 << 14) :]
        try:
            self.out.write(text)
            self.out.flush()
        except UnicodeEncodeError:
            self.out.write(text.encode("ascii", "replace").decode())
        except (OSError, ValueError, AttributeError):
            pass  # the screen is gone (None under pythonw): the script is not to die of it

    def tail(self) -> str:
        """The last lines as a terminal would leave them: of a line that was redrawn, how it ended."""
        lines = [
            line.rstrip().rpartition("\r")[2]
            for line in self._last.replace("\r\n", "\n").split("\n")
        ]
        return "\n".join([line for line in lines if line.strip()][-TAIL:])


def _failed(name: str, status: int, tail: str) -> FetchError:
    why = f"its last lines were\n{tail}" if tail else "it said nothing"
    if status > 0:
        return FetchError(
            f"{name} ended with exit status {status}.",
            why,
            "its own message says what to correct; then run it again",
        )
    try:
        word = signal.Signals(-status).name
    except ValueError:
        word = f"signal {-status}"
    fix = (
        "the machine had no memory left, most often: use a smaller batch or fewer workers"
        if word == "SIGKILL"
        else "run it again"
    )
    return FetchError(f"{name} was ended by {word}.", why, fix)


def command_for(
    folder: Path, script: str | os.PathLike[str] | None, args: Sequence[Any]
) -> tuple[str, list[str]]:
    """The name and the command of a script in a folder: .py by this Python, .sh by bash, else itself if it can be executed.

    "-m" as the script runs a module, as in command_for(folder, "-m", ["pkg.train"]).

    Raises
    ------
    FetchError
        There is no such script, it lies outside of the folder, or nothing here runs it.
    """
    words = [str(arg) for arg in args]
    if script is None:
        raise FetchError(
            "Say which script to run.",
            f"{folder} is a folder{_holding(folder)}",
            'name it, as in .run("train.py")',
        )
    if script == "-m":
        if not words:
            raise FetchError(
                "Say which module to run.",
                '"-m" stands alone',
                'name it, as in .run("-m", "package.train")',
            )
        return f"python -m {words[0]}", [_python(), "-m", *words]
    path = _inside(folder, script)
    name = path.relative_to(folder).as_posix()
    match path.suffix.lower():
        case ".py":
            return name, [_python(), name, *words]
        case ".sh":
            if (shell := shutil.which("bash") or shutil.which("sh")) is None:
                raise FetchError(
                    f"{name} cannot be run here.",
                    "this machine has no bash",
                    "write its lines as a Python script",
                )
            return name, [shell, name, *words]
    if not os.access(path, os.X_OK):
        raise FetchError(
            f"{name} cannot be run.",
            "it is no .py, no .sh, and not executable",
            "name a script that is one of them",
        )
    return name, [str(path), *words]


def _inside(folder: Path, script: str | os.PathLike[str]) -> Path:
    """The script's whole path."""
    asked = os.fspath(script)
    whole = os.path.normpath(os.path.join(folder, asked))
    if (
        "\0" in asked
        or not Path(whole).is_relative_to(folder)
        or not Path(os.path.realpath(whole)).is_relative_to(os.path.realpath(folder))
    ):
        why = "only what was fetched is run, nothing outside of its folder"
        raise FetchError(
            f"{asked!r} is no script in {folder}.", why, "name a script that lies in it"
        )
    if os.path.isdir(whole):
        raise FetchError(
            f"{asked} is a folder{_holding(Path(whole))}.",
            "a script is a file",
            f'name one, as in .run("{asked}/train.py")',
        )
    if not os.path.isfile(whole):
        near = (
            difflib.get_close_matches(asked, _scripts(folder), 3, 0.5)
            or [
                name
                for name in _scripts(folder)
                if name.rpartition("/")[2] == asked.rpartition("/")[2]
            ][:3]
        )
        fix = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "see what it holds: list(fetched.path.iterdir())"
        )
        raise NotFound(
            f"There is no {asked} in {folder}.",
            _holding(folder).removeprefix(" with ") or "it holds no scripts",
            fix,
        )
    return Path(whole)


def _scripts(folder: Path) -> list[str]:
    """The names of the folder's scripts, those at its top first."""
    found = [
        path
        for path in islice(folder.rglob("*"), _SEEN)
        if path.suffix in (".py", ".sh") and ".git" not in path.parts
    ]
    return sorted(
        (path.relative_to(folder).as_posix() for path in found),
        key=lambda name: (name.count("/"), name),
    )


def _holding(folder: Path) -> str:
    names = _scripts(folder)
    return (
        f" with {', '.join(names[:5])}{f' and {len(names) - 5} more scripts' if len(names) > 5 else ''}"
        if names
        else ""
    )


def _python() -> str:
    if not sys.executable:
        raise FetchError(
            "No Python could be found to run it.",
            "this process does not know its own program",
            "run it in a notebook",
        )
    return sys.executable


def spelled(command: Sequence[str]) -> str:
    """The command as one would type it; what follows --token and its like is hidden, since notebooks are shared."""
    words, hide = [], False
    for word in [Path(command[0]).name, *command[1:]]:
        found = _SECRET.fullmatch(word)
        words.append("…" if hide else f"{found[1]}=…" if found and found[2] else shlex.quote(word))
        hide = bool(found and not found[2] and not hide)
    return " ".join(words)
