"""The pixel store: each picture file decoded once, as a uint8 square and its proportions."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..system.files import digest, home
from ..system.hardware import free_memory
from ..system.row_store import RowStore, open_store
from .deep import Span
from .file_table import FileTable
from .image_checks import read
from .images import VERSION, decode, squash
from .prefetch import cached_with, is_cached
from .sources import Pictures

KEPT = 3  # stores that stay on the disk when no process uses them
RAM_SHARE = 0.25  # of the free memory: what a store may take


class PixelStore:
    """The pictures of a source as uint8 (side, side, 3), squashed, decoded on first touch.

    They are kept where there is room. Kept or not, the pixels are the same, because the decoder
    is a function of the file's bytes.

    Parameters
    ----------
    source : Pictures
    side : int
        Pixels.
    span : (float, float), optional
        What becomes 0 and 255 in pictures of more than 8 bits; the source's own, if None.
    fill : ints, optional
        Colour of margins that keep a picture's proportions; without one it is squashed.
    ram, disk : int, optional
        Free bytes; what the machine says, if None.
    place : Path, optional
        The folder below which stores on disk lie; the kit's home, if None.

    Attributes
    ----------
    where : "memory", "disk" or "none"
    why : the reason
    bad : row -> why it cannot be decoded; the reader reports it in the training thread
    changed : rows whose files hold something else than they did; the reader raises it there
    """

    def __init__(
        self,
        source: Pictures,
        side: int,
        *,
        span: Span | None = None,
        fill: tuple[int, ...] | None = None,
        ram: int | None = None,
        disk: int | None = None,
        place: Path | None = None,
    ) -> None:
        self.paths, self.side, self.bad = source.paths, side, dict[int, str]()
        self.contents, self.changed = source.contents, set[int]()
        self.span, self.fill = span or source.span, fill
        self._memory: np.ndarray | None = None
        self._disk: RowStore | None = None
        shape = len(source.paths), side, side, 3
        need, ram = int(np.prod(shape)), free_memory() if ram is None else ram
        size = f"{shape[0]:,} pictures take {need / 1e6:,.0f} MB"
        if need <= RAM_SHARE * ram:
            self._memory = np.empty(shape, np.uint8)  # pages are taken as they are written
            self._aspects = np.zeros(shape[0], np.float32)  # 0: not there yet
            self.where, self.why = "memory", f"{size}, within a quarter of the free memory"
            return
        store = open_store(
            place or home(),
            "pixels",
            _key(source, side, self.span, fill),
            shape,
            kept=KEPT,
            free=disk,
        )
        free = f"{ram / 1e6:,.0f} MB"
        if isinstance(store, RowStore):
            self._disk, self.where = store, "disk"
            self.why = f"{size}, more than a quarter of the free memory ({free})"
        else:
            self.where = "none"
            self.why = (
                f"{size}, too much for the memory ({free} free), and {store}: decoded each time"
            )

    def has(self, rows: np.ndarray) -> bool:
        """Tell whether all these rows are there, so that reading them takes no time."""
        if self._memory is not None:
            return bool(self._aspects[rows].all())
        return self._disk is not None and self._disk.has(rows)

    def read(self, row: int) -> tuple[np.ndarray, float] | None:
        """Give pixels uint8 (side, side, 3), read-only, and width / height; None for a bad file.

        It is safe in any number of threads.
        """
        if self._memory is not None and self._aspects[row]:
            return self._memory[row], float(self._aspects[row])
        if self._disk is not None and (stored := self._disk.get(row)) is not None:
            return stored
        if row in self.bad:
            return None
        path = self.paths[row]
        try:
            data, content = read(path)
            picture = decode(data, self.side, self.span, name=path)
        except (DataError, OSError, ValueError) as err:
            what = err.what if isinstance(err, DataError) else f"{path} cannot be read: {err}."
            self.bad[row] = f"{what} It is left out of its batches; the order of the others stays."
            return None
        if content.print != self.contents.setdefault(row, content).print:
            self.changed.add(row)
            return None
        aspect = float(np.float32(picture.shape[1] / picture.shape[0]))
        pixels = squash(
            picture, self.side, None if self._memory is None else self._memory[row], self.fill
        )
        if self._memory is not None:
            self._aspects[row] = aspect  # after the pixels: another thread may look
        elif self._disk is not None:
            self._disk.put(row, pixels, aspect)
        return pixels, aspect


def store_for(
    source: Pictures,
    side: int,
    span: Span | None = None,
    fill: tuple[int, ...] | None = None,
    *,
    kept: bool = True,
) -> PixelStore:
    """Give the one store of a source at this side in this process: all its readers share it.

    Where nothing is to be kept, and nobody keeps it, it is a store that keeps nothing.
    """
    key = (side, span or source.span, fill)
    if not kept and not is_cached(source, key):
        return PixelStore(source, side, span=span, fill=fill, ram=0, disk=0)
    return cached_with(source, key, lambda: PixelStore(source, side, span=span, fill=fill))


def _key(source: Pictures, side: int, span: Span | None, fill: tuple[int, ...] | None) -> str:
    """Hash the files' content (else their sizes and dates too), and all that decodes them."""
    import PIL
    import torch
    import torchvision

    what: list[Any] = [source.print]
    if source.sampled or not source.print:
        texts = FileTable.of(source.paths).texts()
        what += [[text, *_size_and_date(text)] for text in texts]
    versions = [PIL.__version__, torch.__version__, torchvision.__version__]
    decoders = [VERSION, *versions, platform.machine()]
    return digest([what, len(source.paths), side, span, fill, decoders])[:16]


def _size_and_date(path: str) -> list[int]:
    try:
        stat = os.stat(path)
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]
