"""The pixel store: every picture file decoded once, as a small uint8 square and its true proportions."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from ..errors import DataError
from ..system.files import digest, home
from ..system.hardware import free_memory
from ..system.row_store import RowStore, open_store
from .cuts import squashed
from .images import VERSION, decode
from .kinds import Pictures

KEPT = 3  # stores that stay on the disk when no process uses them
RAM_SHARE = 0.25  # of the free memory: what a store may take


class PixelStore:
    """The pictures of a source as uint8 (side, side, 3), whole but squashed, decoded on first touch and kept where there is room.

    Kept or not, the pixels are the same: what decodes a file is a function of its bytes.

    Parameters
    ----------
    source : the picture files
    side : pixels
    ram, disk : free bytes, if not the machine's own word
    place : the folder below which stores on disk lie; the kit's home, if None

    Attributes
    ----------
    where : "memory", "disk" or "none"; why : the reason
    bad : row -> why it cannot be decoded; its reader tells, in the training thread
    """

    def __init__(
        self,
        source: Pictures,
        side: int,
        *,
        ram: int | None = None,
        disk: int | None = None,
        place: Path | None = None,
    ) -> None:
        self.paths, self.side = source.paths, side
        self.bad: dict[int, str] = {}
        n = len(source.paths)
        need, ram = n * side * side * 3, free_memory() if ram is None else ram
        self._memory: np.ndarray | None = None
        self._disk: RowStore | None = None
        size = f"{n:,} pictures take {need / 1e6:,.0f} MB"
        if need <= RAM_SHARE * ram:
            self._memory = np.empty(
                (n, side, side, 3), np.uint8
            )  # pages are taken as they are written
            self._aspects = np.zeros(n, np.float32)  # 0: not there yet
            self.where, self.why = "memory", f"{size}, within a quarter of the free memory"
            return
        found = open_store(
            home() if place is None else place,
            "pixels",
            _key(source, side),
            (n, side, side, 3),
            kept=KEPT,
            free=disk,
        )
        if isinstance(found, RowStore):
            self._disk = found
            self.where, self.why = (
                "disk",
                f"{size}, more than a quarter of the free memory ({ram / 1e6:,.0f} MB)",
            )
        else:
            self.where, self.why = (
                "none",
                f"{size}, too much for the memory ({ram / 1e6:,.0f} MB free), and {found}: decoded each time",
            )

    def has(self, rows: np.ndarray) -> bool:
        """Whether all these rows are there, so that reading them takes no time."""
        if self._memory is not None:
            return bool(self._aspects[rows].all())
        return self._disk is not None and self._disk.has(rows)

    def read(self, row: int) -> tuple[np.ndarray, float] | None:
        """Pixels uint8 (side, side, 3), not to be written to, and width / height of the picture; None if its file is bad.

        Safe in any number of threads.
        """
        if self._memory is not None and self._aspects[row]:
            return self._memory[row], float(self._aspects[row])
        if self._disk is not None and (kept := self._disk.get(row)) is not None:
            return kept
        if row in self.bad:
            return None
        try:
            picture = decode(self.paths[row], self.side)
        except DataError as err:
            self.bad[row] = (
                f"{err.what} It is left out of its batches; the order of the others stays."
            )
            return None
        aspect = float(np.float32(picture.shape[1] / picture.shape[0]))
        if self._memory is not None:
            pixels = squashed(picture, self.side, self._memory[row])
            self._aspects[row] = aspect  # after the pixels: another thread may look
            return pixels, aspect
        pixels = squashed(picture, self.side)
        if self._disk is not None:
            self._disk.put(row, pixels, aspect)
        return pixels, aspect


_stores: WeakKeyDictionary[Pictures, dict[int, PixelStore]] = WeakKeyDictionary()


def store_for(source: Pictures, side: int) -> PixelStore:
    """The one store of a source at this side in this process: training, validation and hand-written loops share it."""
    stores = _stores.setdefault(source, {})
    if side not in stores:
        stores[side] = PixelStore(source, side)
    return stores[side]


def _key(source: Pictures, side: int) -> str:
    """What the kept pixels are: the files' content (else their sizes and dates), and everything that decodes them."""
    import PIL
    import torch
    import torchvision

    what = source.print or [[str(path), *_stat(path)] for path in source.paths]
    made_by = [
        VERSION,
        PIL.__version__,
        torch.__version__,
        torchvision.__version__,
        platform.machine(),
    ]
    return digest([what, len(source.paths), side, made_by])[:16]


def _stat(path: Path) -> list[int]:
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
