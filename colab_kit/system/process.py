"""A program run beside us: heard as it speaks, and ended with all that it started.

It has a process group of its own, so an interrupt reaches it once, from here, and not also from the notebook.
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


class Child:
    """A program that runs; leaving the `with` block ends it.

    command, cwd, env : as subprocess.Popen takes them; nothing can be typed into it
    out : where its standard output goes; None: into one pipe with standard error, to be heard
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        out: IO[bytes] | None = None,
    ) -> None:
        to, err = (subprocess.PIPE, subprocess.STDOUT) if out is None else (out, subprocess.PIPE)
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=err,
            start_new_session=True,
        )
        pipe = self.process.stdout if out is None else self.process.stderr
        assert pipe is not None
        self._pipe, self._open, self._ears = pipe, True, selectors.DefaultSelector()
        if (
            os.name == "posix"
        ):  # elsewhere a pipe cannot be waited for: hear() blocks until it speaks
            self._ears.register(pipe, selectors.EVENT_READ)

    def hear(self, seconds: float) -> bytes | None:
        """What it says within `seconds`, b"" if nothing; None when it has ended, even if something that it started holds the pipe."""
        if self._open and (
            self._speaks(seconds) or (self.process.poll() is not None and self._speaks(0))
        ):
            if said := os.read(self._pipe.fileno(), 1 << 16):
                return said
            self._open = False
        if self._open:
            return b"" if self.process.poll() is None else None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:  # it closed its output and goes on
            return b""
        return None

    def _speaks(self, seconds: float) -> bool:
        return os.name != "posix" or bool(self._ears.select(seconds))

    def send(self, number: int) -> None:
        """Signal it and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self.process.pid, number)
            else:
                self.process.terminate()

    def end(self) -> Iterator[bytes]:
        """Tell it to end, giving its last words; then kill what is left of it and of what it started."""
        self.send(signal.SIGTERM)
        last = time.monotonic() + PATIENCE
        while time.monotonic() < last and (said := self.hear(LOOK)) is not None:
            yield said
        self.send(KILL)
        self.process.wait()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if self.process.poll() is None:
                for _ in self.end():
                    pass
        finally:
            if self.process.poll() is None:  # interrupted while it was ending
                self.send(KILL)
                self.process.wait()
            self._ears.close()
            self._pipe.close()
