"""Limits: how much may be unpacked onto a disk, and what a disk that fails is called."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from ...errors import BadArchive, NoSpace, Stopped, UnsafeArchive
from ...events import Control
from ..filetypes import MOST

# A bomb unpacks to more than RATIO times its size, and to more than HARMLESS bytes.
RATIO, HARMLESS = 200, 1 << 30
MARGIN, PERCENT = 64 << 20, 2  # bytes that stay free, and the share of what is free
TELL = 0.05  # seconds between two words to the callback
FREE = "free some room, or set COLAB_KIT_HOME to a folder on a larger disk"
AGAIN = "get it again (copy or download it anew), and compare its size with the original's"
_LOOK = "see whether the file can be read and the folder written (COLAB_KIT_HOME says where it is)"

Told = Callable[[int, int], None]  # files, bytes


class Unpacking:
    """One archive on its way to a folder: held against the limits, and stopped by a Control.

    Parameters
    ----------
    called : str
        The archive, in sentences.
    room, max_size : int, bytes, optional
        What the disk has (see `room`), and what the caller allows.
    told : callable(files, bytes), optional
        Called a few times a second.
    say : callable(text), optional
        Called with what had to be guessed.
    """

    def __init__(
        self,
        called: str,
        *,
        room: int | None = None,
        max_size: int | None = None,
        told: Told | None = None,
        control: Control | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.say = say
        self.called, self.room, self._max_size = called, room, max_size
        self._told, self._control, self._last = told, control, time.monotonic()
        self.files = self.bytes = 0

    def check(self, packed: int, size: int, files: int) -> None:
        """Refuse what is too much.

        Parameters
        ----------
        packed, size : int
            Bytes as they come, and unpacked.

        Raises
        ------
        NoSpace
            The disk has no room for it.
        UnsafeArchive
            It is a bomb, more than max_size, or more than two million files.
        """
        called, allowed = self.called, self._max_size
        if allowed is not None and size > allowed:
            why = f"unpacked it has at least {mib(size)}, and max_size is {mib(allowed)}"
            fix = "give a larger max_size= if you trust it"
            raise UnsafeArchive(f"{called} is larger than allowed.", why, fix)
        if allowed is None and size > HARMLESS and size > RATIO * packed:
            why = f"{mib(packed)} unpack to at least {mib(size)}, more than {RATIO} times as much"
            fix = f"max_size={size} (bytes, or more) if you trust it"
            raise UnsafeArchive(f"{called} would fill the disk.", why, fix)
        if files > MOST:
            fix = "pack fewer into one archive"
            raise UnsafeArchive(
                f"{called} holds more than {MOST:,} files.", f"it holds {files:,}", fix
            )
        if self.room is not None and size > self.room:
            raise self.full(f"it needs {mib(size)} or more, and there is room for {mib(self.room)}")

    def full(self, why: str) -> NoSpace:
        return NoSpace(f"{self.called} cannot be unpacked: the disk is full.", why, FREE)

    def look(self) -> None:
        """Wait while paused; raise Stopped once stopped."""
        if self._control is not None:
            self._control.wait_while_paused()
            if self._control.stopped:
                raise Stopped(
                    f"{self.called} was not unpacked.",
                    self._control.reason,
                    "the same call begins it again",
                )

    def coming(self, size: int, packed: int) -> None:
        """So many bytes are about to be written: refuse them, or count them."""
        self.look()
        self.bytes += size
        self.check(packed, self.bytes, self.files)
        if time.monotonic() - self._last >= TELL:
            self.tell()

    def tell(self) -> None:
        """Tell the callback what has been written so far."""
        self._last = time.monotonic()
        if self._told is not None:
            self._told(self.files, self.bytes)


def room(folder: Path) -> int:
    """Bytes that may be written below a folder: what is free, less a margin."""
    there = _nearest(folder.absolute())
    try:
        free = shutil.disk_usage(there).free
    except OSError as err:
        raise of_disk(str(folder), there, err) from err
    return max(0, free - max(MARGIN, free * PERCENT // 100))


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next((path for path in (folder, *folder.parents) if os.path.isdir(path)), Path("/"))


def mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def damaged(called: str, why: str) -> BadArchive:
    return BadArchive(f"{called} is damaged.", f"unpacking it ended with {why!r}", AGAIN)


def of_disk(called: str, to: Path, err: OSError) -> BadArchive | NoSpace:
    """The three sentences for a disk that failed while something was unpacked to it."""
    what = f"{called} could not be unpacked to {to}."
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        try:
            free = f"{mib(shutil.disk_usage(_nearest(to)).free)} are free"
        except OSError:
            free = "how much is free cannot be known"
        return NoSpace(what, f"the disk is full: {free} ({err.strerror})", FREE)
    if err.errno == errno.EEXIST:
        why = f"two of its names are one on this disk, or it is there already: {err.filename}"
        return BadArchive(what, why, "unpack to another disk")
    return BadArchive(what, str(err), _LOOK)
