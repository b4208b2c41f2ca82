"""Pixels: picture files decoded once, as uint8 squares, by a decoder that is a pure function of the file."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError

RAM_SHARE = 0.25  # of the free memory: what a store may take


def reads_heic() -> bool:
    """Whether an iPhone's pictures can be read: pillow-heif is there, and from now on Pillow knows it."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    importlib.import_module("pillow_heif").register_heif_opener()
    return True


def decode(path: Path, size: int | None = None) -> np.ndarray:
    """Read a picture as uint8 RGB, (H, W, 3): upright by its EXIF, palette, grey, CMYK, 16-bit and alpha turned to RGB.

    With `size`, JPEGs far larger are decoded at 1/2, 1/4 or 1/8 of their side, never below twice `size`: the file's
    dimensions alone decide.

    Raises
    ------
    DataError
        The file is no picture, or damaged.
    """
    from PIL import Image, ImageOps

    if path.suffix.lower() in (".heic", ".heif"):
        reads_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF; what it can read is read
            with Image.open(path) as image:
                if size is not None:
                    image.draft("RGB", (2 * size, 2 * size))
                image.load()
                upright = ImageOps.exif_transpose(image) or image
                return np.asarray(_rgb(upright))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as err:
        raise DataError(f"{path} cannot be read as a picture.", str(err), "replace the file, or delete it") from err


def _rgb(image: Any) -> Any:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":  # 16 bits and more: the upper eight of what is used
        wide = np.asarray(image, dtype=np.float64)
        top = 65535.0 if wide.max() > 255 else 255.0
        return Image.fromarray((np.clip(wide / top, 0, 1) * 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def square(picture: np.ndarray, size: int, *, crop: float = 0.875, interpolation: str = "bilinear") -> np.ndarray:
    """The middle of a picture as uint8 (size, size, 3): its short side brought to size / crop, antialiased, then cut."""
    from PIL import Image

    image = Image.fromarray(picture)
    short = max(size, round(size / crop))
    scale = short / min(image.size)
    wide, high = (max(size, round(side * scale)) for side in image.size)
    left, top = (wide - size) // 2, (high - size) // 2
    box = (left / wide * image.width, top / high * image.height, (left + size) / wide * image.width, (top + size) / high * image.height)
    how = Image.Resampling.BICUBIC if interpolation == "bicubic" else Image.Resampling.BILINEAR
    return np.asarray(image.resize((size, size), how, box=box))  # one pass: only the pixels that are kept are made


class PixelStore:
    """The pictures of a source as uint8 squares (N, size, size, 3), decoded on first touch and kept while memory allows.

    Parameters
    ----------
    paths : the picture files
    make : callable(path) -> uint8 (size, size, 3)
    """

    def __init__(self, paths: Sequence[Path], size: int, make: Callable[[Path], np.ndarray]) -> None:
        self.paths, self.make = paths, make
        self.bad: dict[int, str] = {}  # row -> why it cannot be decoded; its reader tells, in the training thread
        self._shape = (size, size, 3)
        self._filled = np.zeros(len(paths), bool)
        self._kept = self._room(len(paths) * size * size * 3)
        self._pool = ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())

    def _room(self, need: int) -> np.ndarray | None:
        import psutil

        if need > RAM_SHARE * psutil.virtual_memory().available:
            return None  # decoded again each time: slower, never out of memory
        return np.empty((len(self.paths), *self._shape), np.uint8)  # pages are taken as they are written

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pictures of `rows` in order, uint8 (n, size, size, 3), and which of the rows they are: damaged files are left out."""
        made = dict(zip(rows.tolist(), self._pool.map(self._one, rows.tolist()), strict=True))
        good = np.array([row for row in rows.tolist() if made[row] is not None], np.int64)
        if not len(good):
            return np.empty((0, *self._shape), np.uint8), good
        return np.stack([made[row] for row in good.tolist()]), good

    def _one(self, row: int) -> np.ndarray | None:
        if self._kept is not None and self._filled[row]:
            return np.asarray(self._kept[row])
        if row in self.bad:
            return None
        try:
            picture = self.make(self.paths[row])
        except DataError as err:
            self.bad[row] = f"{err.what} It is left out of its batches; the order of the others stays."
            return None
        if self._kept is not None:
            self._kept[row] = picture
            self._filled[row] = True
        return picture
