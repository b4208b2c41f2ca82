"""A program run beside us: heard as it speaks, and ended with all that it started.

It has a process group of its own, so an interrupt reaches it once, from here, and not also from the
notebook.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

LOOK = 0.05  # seconds between two looks at what else may end it
PATIENCE = 5.0  # seconds to end by itself when told to (SIGTERM); then it is killed
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_POSIX = os.name == "posix"


class Child:
    """A program that runs; leaving the `with` block ends it.

    Parameters
    ----------
    command, cwd, env
        As subprocess.Popen takes them. Nothing can be typed into the program.
    out : binary file, optional
        Where its standard output goes, so that errors alone are heard. None: both are heard.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        out: IO[bytes] | None = None,
    ) -> None:
        pipes = (subprocess.PIPE, subprocess.STDOUT) if out is None else (out, subprocess.PIPE)
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=pipes[0],
            stderr=pipes[1],
            start_new_session=True,
        )
        pipe = self.process.stdout if out is None else self.process.stderr
        assert pipe is not None
        self._pipe, self._open, self._selector = pipe, True, selectors.DefaultSelector()
        if _POSIX:  # elsewhere a pipe cannot be waited for: hear() blocks until it speaks
            self._selector.register(pipe, selectors.EVENT_READ)

    def hear(self, seconds: float) -> bytes | None:
        """What it says within `seconds`, b"" if nothing; None when it has ended.

        It has ended even if something that it started still holds the pipe.
        """
        if self._open and (self._speaks(seconds) or self._ended and self._speaks(0)):
            if words := os.read(self._pipe.fileno(), 1 << 16):
                return words
            self._open = False
        if self._open:
            return None if self._ended else b""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:  # it closed its output and goes on
            return b""
        return None

    def _speaks(self, seconds: float) -> bool:
        return not _POSIX or bool(self._selector.select(seconds))

    @property
    def _ended(self) -> bool:
        return self.process.poll() is not None

    def send(self, number: int) -> None:
        """Signal it and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            if _POSIX:
                os.killpg(self.process.pid, number)
            else:
                self.process.terminate()

    def end(self) -> Iterator[bytes]:
        """Tell it to end, giving its last words; then kill what is left of all that it started."""
        self.send(signal.SIGTERM)
        last = time.monotonic() + PATIENCE
        while time.monotonic() < last and (words := self.hear(LOOK)) is not None:
            yield words
        self._kill()

    def _kill(self) -> None:
        self.send(KILL)
        self.process.wait()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if not self._ended:
                for _ in self.end():
                    pass
        finally:
            if not self._ended:  # interrupted while it was ending
                self._kill()
            self._selector.close()
            self._pipe.close()
