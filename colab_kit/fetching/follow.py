"""A tar unpacked while it comes: it is read behind the connections that bring it, and counts when the whole was found right."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ..errors import Stopped
from ..system.archives import tar as tars
from ..system.archives.limits import Unpacking, room
from ..system.archives.unpack import beside
from .partial import Part
from .whole import Watch

TICK = 0.01  # seconds between two looks for more


class Follow(Watch):
    """Unpack the tar that a part becomes into the new folder `to`, in a thread of its own.

    `finish` is told the folder before it gets its name.
    """

    def __init__(
        self, part: Part, to: Path, *, max_size: int | None, finish: Callable[[Path], None]
    ) -> None:
        self.part, self.to, self.max_size, self._finish = part, to, max_size, finish
        self._version, self._at = 0, 0
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._come = False
        self._thread: threading.Thread | None = None
        self._stack, self._folder = ExitStack(), None  # type: ExitStack, Path | None

    def tick(self) -> None:
        """Begin once bytes are there; tell the one who brings them that they are of no use."""
        if self._error is not None and not isinstance(self._error, Stopped):
            raise self._error
        if self._thread is None and self.part.front:
            self._version = self.part.version
            self._folder = self._stack.enter_context(beside(self.to))
            self._thread = threading.Thread(
                target=self._work, daemon=True, name=f"unpack {self.part.to.name}"
            )
            self._thread.start()

    def done(self) -> bool:
        """The whole has come and is right: wait for the rest, and give the folder its name. False: unpack it anew."""
        self._come = True
        if self._thread is None or self._folder is None:
            return False
        self._thread.join()
        if (
            isinstance(self._error, Stopped) or self.part.version != self._version
        ):  # the part has begun anew
            self.end()
            return False
        try:
            if self._error is not None:
                raise self._error
            self._finish(self._folder)
        except BaseException as err:
            self._leave(err)
            raise
        self._stack.close()
        return True

    def end(self) -> None:
        """Nothing comes of it: leave no trace."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._leave(Stopped(""))

    def _leave(self, err: BaseException) -> None:
        self._stack.__exit__(type(err), err, err.__traceback__) if isinstance(
            err, Exception
        ) else self._stack.__exit__(type(err), err, None)

    def _work(self) -> None:
        assert self._folder is not None
        try:
            free = room(self.to.parent)
            job = Unpacking(self.part.to.name, room=free, max_size=self.max_size)
            tars.extract(self, self._folder, job)
        except BaseException as err:  # of a part that has begun anew meanwhile it says nothing: its file may be closed already
            self._error = (
                err
                if self.part.version == self._version
                else Stopped(f"{self.part.to.name} began anew.")
            )

    def read(self, size: int = -1) -> bytes:
        """The next bytes; waits until they have come."""
        while True:
            if self._over.is_set() or self.part.version != self._version:
                raise Stopped(f"{self.part.to.name} began anew.")
            front = self.part.front
            if front > self._at:
                chunk = self.part.read(
                    self._at,
                    min(1 << 20, front - self._at) if size < 0 else min(size, front - self._at),
                )
                self._at += len(chunk)
                return chunk
            if self._come or self.part.whole:
                return b""
            self._over.wait(TICK)
