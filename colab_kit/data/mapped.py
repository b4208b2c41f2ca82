"""Mapped: decoded pictures in a file on the fast disk, mapped into memory, for this run and later ones of any process."""

from __future__ import annotations

import os
import shutil
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..files import make

SPARE = 1 << 30  # bytes of the disk that nobody's pixels take
KEPT = 3  # stores that stay on the disk when no process uses them
_ROW = np.dtype([("crc", "<u4"), ("aspect", "<f4")])  # crc 0: not there yet


class Mapped:
    """A row of pixels and its proportions for each picture. A row counts once its checksum stands beside it.

    Its room is taken at once, so writing never meets a full disk. Two processes may fill one store: they write the same bytes.

    folder : where it lies; made if missing
    n, side : rows, and pixels of a side
    """

    def __init__(self, folder: Path, n: int, side: int) -> None:
        import fcntl

        make(folder)
        self._lock = open(folder / ".lock", "a+b")
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self._file = os.open(folder / "pixels", os.O_RDWR | os.O_CREAT, 0o644)
        rows = os.open(folder / "rows", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.posix_fallocate(self._file, 0, n * side * side * 3)
            os.posix_fallocate(rows, 0, n * _ROW.itemsize)
        finally:
            os.close(rows)
        self._pixels = np.memmap(folder / "pixels", np.uint8, "r+", shape=(n, side, side, 3))
        self._rows = np.memmap(folder / "rows", _ROW, "r+", shape=(n,))
        self._seen = np.zeros(n, bool)  # rows whose checksum was looked at, or that were written here
        with suppress(OSError):
            os.utime(folder / ".lock")

    def has(self, rows: np.ndarray) -> bool:
        """Whether this process wrote or checked all these rows."""
        return bool(self._seen[rows].all())

    def get(self, row: int) -> tuple[np.ndarray, float] | None:
        """Pixels (side, side, 3) and width / height; None where they are not there, or not whole: a machine may have died."""
        mark = self._rows[row]
        if not mark["crc"]:
            return None
        pixels = np.asarray(self._pixels[row])
        if not self._seen[row]:
            if _crc(pixels) != mark["crc"]:
                return None
            self._seen[row] = True
        return pixels, float(mark["aspect"])

    def put(self, row: int, pixels: np.ndarray, aspect: float) -> None:
        """Keep a row: the pixels first, then what says that they are there."""
        self._pixels[row] = pixels
        self._rows[row] = (_crc(pixels), aspect)
        self._seen[row] = True

    def __del__(self) -> None:
        with suppress(Exception):
            os.close(self._file)
            self._lock.close()


def _crc(pixels: np.ndarray) -> int:
    return zlib.crc32(pixels.data) or 1


def open_mapped(home: Path, key: str, n: int, side: int, *, free: int | None = None) -> Mapped | str:
    """The store of this key below `home`/pixels, made if it fits; else the reason why not. Stores nobody uses make room, oldest first.

    free : bytes of the disk, if not its own word
    """
    place, need = home / "pixels", n * (side * side * 3 + _ROW.itemsize)
    there = place / key / "pixels"
    try:
        missing = need - (there.stat().st_blocks * 512 if there.exists() else 0)
        make(place)
        for old in _unused(place, key)[KEPT - 1 :]:
            _remove(old)
        while (found := shutil.disk_usage(place).free if free is None else free) - missing < SPARE:
            old_ones = _unused(place, key)
            if free is not None or not old_ones or not _remove(old_ones[-1]):
                return f"{need / 1e9:.1f} GB of pixels do not fit on the disk ({found / 1e9:.1f} GB free, {SPARE / 1e9:.1f} stay so)"
        return Mapped(place / key, n, side)
    except (OSError, ImportError, AttributeError) as err:  # no fcntl, no posix_fallocate: Windows
        return f"the disk takes no store of pixels ({err})"


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
    return _holds(store, lambda: shutil.rmtree(store, ignore_errors=True)) and not (store / "pixels").exists()


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
