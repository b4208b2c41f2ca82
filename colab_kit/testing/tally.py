"""The tally: how often each planned failure was met and struck, shared by the processes that meet it."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path


class Tally:
    """Three counters a fault: seen, fired, bytes. In a file they outlive a killed daemon and are read by its parent."""

    SLOTS = 512
    _ROW = struct.Struct("qqq")

    def __init__(self, path: Path | None = None) -> None:
        self.path, size = path, self.SLOTS * self._ROW.size
        if path is None:
            self._rows = mmap.mmap(-1, size)
            return
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size < size:
                os.truncate(handle, size)
            self._rows = mmap.mmap(handle, size)
        finally:
            os.close(handle)

    def read(self, slot: int) -> tuple[int, int, int]:
        return self._ROW.unpack_from(self._rows, slot * self._ROW.size)

    def write(self, slot: int, seen: int, fired: int, through: int) -> None:
        self._ROW.pack_into(self._rows, slot * self._ROW.size, seen, fired, through)
