"""open() in a watched folder: the usual file objects, whose bytes meet the plan where they reach the disk."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from typing import Any

from .watch import Handle, allow, find, forget, grown, handle_of, meet, settle


class WatchedFile(io.FileIO):
    """A FileIO whose reads and writes meet the plan; the buffers and the text layer above it are Python's own."""

    _handle: Handle | None = None

    def __init__(
        self,
        file: Any,
        mode: str,
        closefd: bool = True,
        opener: Callable[[Any, int], int] | None = None,
    ) -> None:
        super().__init__(file, mode, closefd, opener)
        self._handle = handle_of(self.fileno())

    def write(self, data: Any, /) -> int:
        handle = self._handle
        if handle is None:
            return super().write(data)
        with memoryview(data) as view, view.cast("B") as plain:
            fits = allow(handle, plain.nbytes)
            with plain[:fits] as part:
                written = super().write(part)
        grown(handle, self.fileno())
        return written

    def read(self, size: int | None = -1, /) -> bytes:
        self._meet("read")
        return super().read(size)

    def readall(self) -> bytes:
        self._meet("read")
        return super().readall()

    def readinto(self, buffer: Any, /) -> int:
        self._meet("read")
        return super().readinto(buffer)

    def truncate(self, size: int | None = None, /) -> int:
        self._meet("truncate")
        size = super().truncate(size)
        if self._handle:
            grown(self._handle, self.fileno())
        return size

    def close(self) -> None:
        handle, self._handle = self._handle, None
        try:
            if handle is not None and not self.closed:
                settle(handle, self.fileno())
        finally:
            if handle is not None and not self.closed and self.closefd:
                forget(self.fileno())
            super().close()

    def _meet(self, operation: str) -> None:
        if self._handle is not None:
            meet(operation, self._handle.spot)


def opens(real: Callable[..., Any]) -> Callable[..., Any]:
    """open(), as it is to be in watched folders; `real` everywhere else."""

    def open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[Any, int], int] | None = None,
    ) -> Any:
        spot = find(file)
        if (
            spot is None
            and opener is None
            or not _sound(mode, buffering, encoding, errors, newline)
        ):
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if opener is None and not isinstance(file, int):
            opener = _opener
        if spot is not None and spot.watch is None:
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        file = (
            file if isinstance(file, int) else os.fspath(file)
        )  # a file's name is text, also where a Path was opened
        raw = WatchedFile(
            file, "".join(sorted(set(mode) & set("rwxa+"), key="rwxa+".index)), closefd, opener
        )
        try:
            return _dress(raw, mode, buffering, encoding, errors, newline)
        except BaseException:
            raw.close()
            raise

    return open


def _opener(name: Any, flags: int) -> int:
    return os.open(
        name, flags, 0o666
    )  # ours: it meets the plan, follows redirects and knows the number


def _sound(
    mode: Any, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> bool:
    """Whether open() takes these at all; if not, it says so itself."""
    if (
        not isinstance(mode, str)
        or len(set(mode)) != len(mode)
        or set(mode) - set("rwxabt+")
        or len(set(mode) & set("rwxa")) != 1
    ):
        return False
    if "b" in mode:
        return "t" not in mode and encoding is None and errors is None and newline is None
    return buffering != 0


def _dress(
    raw: WatchedFile,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> Any:
    """The buffer and the text layer that io.open puts around a raw file."""
    if buffering == 0:
        return raw
    if buffering == 1 and "b" in mode:
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, the default buffer size will be used",
            RuntimeWarning,
            stacklevel=3,
        )
    lines = buffering == 1 or buffering < 0 and raw.isatty()
    size = buffering if buffering > 1 else getattr(raw, "_blksize", 0) or io.DEFAULT_BUFFER_SIZE
    buffer: Any
    if "+" in mode:
        buffer = io.BufferedRandom(raw, size)
    elif "r" in mode:
        buffer = io.BufferedReader(raw, size)
    else:
        buffer = io.BufferedWriter(raw, size)
    if "b" in mode:
        return buffer
    text = io.TextIOWrapper(buffer, encoding, errors, newline, lines)
    text.mode = mode  # type: ignore[misc]  # as io.open does
    return text
