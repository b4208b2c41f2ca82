"""A row store: rows of numbers that took long to compute, in a file on the fast disk.

Decoded pictures are such rows, and so are frozen features. The file is mapped into memory, for this
run and for later ones.
"""

from __future__ import annotations

import math
import os
import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .files import make
from .locks import flock

SPARE = 1 << 30  # bytes of the disk that no store takes
_MARK = np.dtype([("crc", "<u4"), ("note", "<f4")])  # crc 0: the row is not there yet


class RowStore:
    """Rows of one shape, each with a number noted beside it. A row counts while its checksum holds.

    The store takes its disk space at once, so writing never meets a full disk. Two processes may
    fill one store: they write the same bytes.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    shape : tuple of int
        The number of rows, then the shape of one.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: Any = np.uint8) -> None:
        make(folder)
        self._lock = open(folder / ".lock", "a+b", opener=_no_link)
        flock(self._lock, shared=True, wait=True)
        for name, size in (("rows", _bytes(shape, dtype)), ("marks", _bytes(shape[:1], _MARK))):
            with open(folder / name, "a+b", opener=_no_link) as file:
                os.posix_fallocate(file.fileno(), 0, size)
        self._rows = np.memmap(folder / "rows", dtype, "r+", shape=shape)
        self._marks = np.memmap(folder / "marks", _MARK, "r+", shape=shape[:1])
        self._salt = zlib.crc32(folder.name.encode())
        self._checked = np.zeros(shape[0], bool)  # rows that were compared or written here
        with suppress(OSError):
            os.utime(folder / ".lock")

    def has(self, rows: np.ndarray) -> bool:
        """Whether this process wrote or checked all these rows."""
        return bool(self._checked[rows].all())

    def get(self, row: int) -> tuple[np.ndarray, float] | None:
        """A row and its note; None where it is missing or not whole: a machine may have died."""
        mark = self._marks[row]
        if not mark["crc"]:
            return None
        values = np.asarray(self._rows[row])
        if not self._checked[row]:
            if self._crc(row, values, mark["note"]) != mark["crc"]:
                return None
            self._checked[row] = True
        return values, float(mark["note"])

    def put(self, row: int, values: np.ndarray, note: float = 0.0) -> None:
        """Keep a row: its values first, then the mark that says they are there."""
        self._rows[row] = values
        self._marks[row] = (self._crc(row, values, np.float32(note)), note)
        self._checked[row] = True

    def _crc(self, row: int, values: np.ndarray, note: np.float32) -> int:
        """Sum up a row with its note, its number and the store's name: no other is taken for it."""
        start = zlib.crc32(note.tobytes() + int(row).to_bytes(8, "little"), self._salt)
        return zlib.crc32(np.ascontiguousarray(values).data, start) or 1

    def __del__(self) -> None:
        with suppress(Exception):
            self._lock.close()


def _no_link(path: str, flags: int) -> int:
    """Open a file itself, not what a link of its name leads to."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    return math.prod(shape) * int(np.dtype(dtype).itemsize)


def open_store(
    home: Path,
    kind: str,
    key: str,
    shape: tuple[int, ...],
    dtype: Any = np.uint8,
    *,
    kept: int,
    free: int | None = None,
) -> RowStore | str:
    """The store of this key below `home`/`kind`, made if it fits; else the reason why not.

    Stores that no process uses make room, the oldest first.

    Parameters
    ----------
    kept : int
        How many stores of this kind stay on the disk when no process uses them.
    free : int, bytes, optional
        What the disk has; None: the disk is asked.
    """
    place, size = home / kind, _bytes(shape, dtype) + _bytes(shape[:1], _MARK)
    rows = place / key / "rows"
    try:
        missing = size - (rows.stat().st_blocks * 512 if rows.exists() else 0)
        make(place)
        for old in _unused(place, key)[kept - 1 :]:
            _remove(old)
        while True:
            now = shutil.disk_usage(place).free if free is None else free
            if now - missing >= SPARE:
                return RowStore(place / key, shape, dtype)
            unused = _unused(place, key)
            if free is not None or not unused or not _remove(unused[-1]):
                space = f"{now / 1e9:.1f} GB free, {SPARE / 1e9:.1f} stay so"
                return f"{size / 1e9:.1f} GB of {kind} do not fit on the disk ({space})"
    except (OSError, AttributeError) as err:  # no posix_fallocate: Windows
        return f"the disk takes no store of {kind} ({err})"


def _unused(place: Path, key: str) -> list[Path]:
    """Other stores that no process holds, the one used last first."""
    stores = [path for path in place.iterdir() if path.is_dir() and path.name != key]
    unused = [path for path in stores if _if_unused(path, lambda: None)]
    return sorted(unused, key=_last_use, reverse=True)


def _last_use(store: Path) -> float:
    with suppress(OSError):
        return (store / ".lock").stat().st_mtime
    return 0.0


def _remove(store: Path) -> bool:
    removed = _if_unused(store, lambda: shutil.rmtree(store, ignore_errors=True))
    return removed and not (store / "rows").exists()


def _if_unused(store: Path, action: Callable[[], object]) -> bool:
    """Do something to a store while no process has it; False if one does."""
    try:
        with open(store / ".lock", "a+b", opener=_no_link) as lock:
            if not flock(lock):
                return False
            action()
            return True
    except OSError:
        return False
