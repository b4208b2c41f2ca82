"""Mapped: rows of numbers that took long to compute, in a file on the fast disk, mapped into memory, for this run and later ones.

Decoded pictures are such rows, and so are frozen features.
"""

from __future__ import annotations

import math
import os
import shutil
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .files import make

SPARE = 1 << 30  # bytes of the disk that no store takes
_MARK = np.dtype([("crc", "<u4"), ("note", "<f4")])  # crc 0: not there yet


class Mapped:
    """Rows of one shape, each with a number that is noted beside it. A row counts once its checksum stands there too.

    Its room is taken at once, so writing never meets a full disk. Two processes may fill one store: they write the same bytes.

    folder : where it lies; made if missing
    shape : of all rows together: how many, then that of one
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: Any = np.uint8) -> None:
        import fcntl

        make(folder)
        self._lock = open(folder / ".lock", "a+b")
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        for name, need in (("rows", _bytes(shape, dtype)), ("marks", shape[0] * _MARK.itemsize)):
            with open(folder / name, "a+b") as file:
                os.posix_fallocate(file.fileno(), 0, need)
        self._rows = np.memmap(folder / "rows", dtype, "r+", shape=shape)
        self._marks = np.memmap(folder / "marks", _MARK, "r+", shape=shape[:1])
        self._seen = np.zeros(
            shape[0], bool
        )  # rows whose checksum was looked at, or that were written here
        with suppress(OSError):
            os.utime(folder / ".lock")

    def has(self, rows: np.ndarray) -> bool:
        """Whether this process wrote or checked all these rows."""
        return bool(self._seen[rows].all())

    def get(self, row: int) -> tuple[np.ndarray, float] | None:
        """A row and its note; None where it is not there, or not whole: a machine may have died."""
        mark = self._marks[row]
        if not mark["crc"]:
            return None
        found = np.asarray(self._rows[row])
        if not self._seen[row]:
            if _crc(found) != mark["crc"]:
                return None
            self._seen[row] = True
        return found, float(mark["note"])

    def put(self, row: int, values: np.ndarray, note: float = 0.0) -> None:
        """Keep a row: its values first, then what says that they are there."""
        self._rows[row] = values
        self._marks[row] = (_crc(values), note)
        self._seen[row] = True

    def __del__(self) -> None:
        with suppress(Exception):
            self._lock.close()


def _crc(values: np.ndarray) -> int:
    return zlib.crc32(values.data) or 1


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    return math.prod(shape) * int(np.dtype(dtype).itemsize)


def open_mapped(
    home: Path,
    kind: str,
    key: str,
    shape: tuple[int, ...],
    dtype: Any = np.uint8,
    *,
    kept: int,
    free: int | None = None,
) -> Mapped | str:
    """The store of this key below `home`/`kind`, made if it fits; else the reason why not. Stores nobody uses make room, oldest first.

    kept : how many stores of this kind stay on the disk when no process uses them
    free : bytes of the disk, if not its own word
    """
    place, need = home / kind, _bytes(shape, dtype) + shape[0] * _MARK.itemsize
    there = place / key / "rows"
    try:
        missing = need - (there.stat().st_blocks * 512 if there.exists() else 0)
        make(place)
        for old in _unused(place, key)[kept - 1 :]:
            _remove(old)
        while (found := shutil.disk_usage(place).free if free is None else free) - missing < SPARE:
            old_ones = _unused(place, key)
            if free is not None or not old_ones or not _remove(old_ones[-1]):
                return f"{need / 1e9:.1f} GB of {kind} do not fit on the disk ({found / 1e9:.1f} GB free, {SPARE / 1e9:.1f} stay so)"
        return Mapped(place / key, shape, dtype)
    except (OSError, ImportError, AttributeError) as err:  # no fcntl, no posix_fallocate: Windows
        return f"the disk takes no store of {kind} ({err})"


def _unused(place: Path, key: str) -> list[Path]:
    """Other stores that no process holds, the one used last first."""
    stores = [path for path in place.iterdir() if path.is_dir() and path.name != key]
    return sorted((path for path in stores if _holds(path, lambda: None)), key=_used, reverse=True)


def _used(store: Path) -> float:
    try:
        return (store / ".lock").stat().st_mtime
    except OSError:
        return 0.0


def _remove(store: Path) -> bool:
    return (
        _holds(store, lambda: shutil.rmtree(store, ignore_errors=True))
        and not (store / "rows").exists()
    )


def _holds(store: Path, then: Any) -> bool:
    """Do something to a store while no process has it; False if one does."""
    import fcntl

    try:
        with open(store / ".lock", "a+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            then()
            return True
    except OSError:
        return False
