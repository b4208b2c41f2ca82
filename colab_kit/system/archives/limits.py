"""Limits: how much may be unpacked onto a disk, what has been, and what a disk that fails is called."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from ...errors import BadArchive, NoSpace, Stopped, UnsafeArchive
from ...events import Control
from .names import MOST

RATIO, HARMLESS = (
    200,
    1 << 30,
)  # more than so many times as large, and than so many bytes: a bomb, unless max_size says otherwise
TELL = 0.05  # seconds between two words to the callback
FREE = "free some room, or set COLAB_KIT_HOME to a folder on a larger disk"
AGAIN = "get it again (copy or download it anew), and compare its size with the original's"

Told = Callable[[int, int], None]  # files, bytes


def check_limits(
    called: str, packed: int, size: int, files: int, *, room: int | None, max_size: int | None
) -> None:
    """Refuse what is too much.

    Parameters
    ----------
    packed, size : int
        Bytes as they come, and unpacked.
    room, max_size : int, optional
        Bytes that the disk has, and that the caller allows.

    Raises
    ------
    NoSpace
        The disk has no room for it.
    UnsafeArchive
        It is a bomb, more than max_size, or more than two million files.
    """
    if max_size is not None and size > max_size:
        why = f"unpacked it has at least {mib(size)}, and max_size is {mib(max_size)}"
        raise UnsafeArchive(
            f"{called} is larger than allowed.", why, "give a larger max_size= if you trust it"
        )
    if max_size is None and size > HARMLESS and size > RATIO * packed:
        why = f"{mib(packed)} unpack to at least {mib(size)}, more than {RATIO} times as much"
        raise UnsafeArchive(
            f"{called} would fill the disk.",
            why,
            f"max_size={size} (bytes, or more) if you trust it",
        )
    if files > MOST:
        raise UnsafeArchive(
            f"{called} holds more than {MOST:,} files.",
            f"it holds {files:,}",
            "pack fewer files into one archive",
        )
    if room is not None and size > room:
        why = f"it needs {mib(size)} or more, and there is room for {mib(room)}"
        raise NoSpace(f"{called} cannot be unpacked: the disk is full.", why, FREE)


def mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def look(called: str, control: Control | None) -> None:
    """Wait while paused; raise Stopped once stopped."""
    if control is None:
        return
    control.wait_while_paused()
    if control.stopped:
        raise Stopped(
            f"{called} was not unpacked.", control.reason, "the same call begins it again"
        )


class Gauge:
    """What has been written so far: held against the limits, told to a callback at times, and stopped by a Control."""

    def __init__(
        self,
        called: str,
        packed: Callable[[], int],
        *,
        room: int | None,
        max_size: int | None,
        told: Told | None = None,
        control: Control | None = None,
    ) -> None:
        self.called, self.packed, self.room, self.max_size = called, packed, room, max_size
        self.files, self.bytes = 0, 0
        self._told, self._control, self._last = told, control, time.monotonic()

    def coming(self, size: int) -> None:
        """So many bytes are about to be written: refuse them, or count them."""
        look(self.called, self._control)
        self.bytes += size
        check_limits(
            self.called,
            self.packed(),
            self.bytes,
            self.files,
            room=self.room,
            max_size=self.max_size,
        )
        if self._told is not None and (now := time.monotonic()) - self._last >= TELL:
            self._last = now
            self._told(self.files, self.bytes)

    def done(self) -> tuple[int, int]:
        """Tell the last figures: files and bytes."""
        if self._told is not None:
            self._told(self.files, self.bytes)
        return self.files, self.bytes


def damaged(called: str, why: str) -> BadArchive:
    return BadArchive(f"{called} is damaged.", f"unpacking it ended with {why!r}", AGAIN)


def of_disk(called: str, to: Path, err: OSError) -> BadArchive | NoSpace:
    """The three sentences for a disk that failed while something was unpacked to it."""
    what = f"{called} could not be unpacked to {to}."
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        there = next((folder for folder in (to, *to.parents) if os.path.exists(folder)), Path("/"))
        try:
            free = f"{mib(shutil.disk_usage(there).free)} are free"
        except OSError:
            free = "how much is free cannot be known"
        return NoSpace(what, f"the disk is full: {free} ({err.strerror})", FREE)
    if err.errno == errno.EEXIST:
        return BadArchive(
            what,
            f"two of its names are one on this disk, or it is there already: {err.filename}",
            "unpack to another disk",
        )
    return BadArchive(
        what,
        str(err),
        "see whether the file can be read and the folder written (COLAB_KIT_HOME says where it lies)",
    )
