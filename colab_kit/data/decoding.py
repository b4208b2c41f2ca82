"""Decoding: any picture file as upright uint8 RGB. Which decoder reads it is a function of its bytes, never of a clock."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError

FAR = 4  # times the side asked for: from there on a JPEG is decoded at 1/4 or 1/8 of its size
ORIENTATION = 0x0112  # the EXIF tag
VERSION = 1  # of what is decoded: another one makes other pixels, and kept ones are not used again


def reads_heic() -> bool:
    """Whether an iPhone's pictures can be read: pillow-heif is there, and from now on Pillow knows it."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    importlib.import_module("pillow_heif").register_heif_opener()
    return True


def decode(path: Path, side: int | None = None) -> np.ndarray:
    """Read a picture as uint8 RGB, (H, W, 3): upright by its EXIF, palette, grey, CMYK, 16-bit and alpha turned to RGB.

    A plain JPEG is read by torchvision.io (twice as fast as Pillow on 500 x 375), anything else by Pillow. With `side`, a JPEG whose
    short side is FAR times that is scaled by Pillow while it is decoded, never below `side`.

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
                far = side is not None and min(image.size) >= FAR * side
                plain = image.format == "JPEG" and image.mode in ("RGB", "L") and not far
                if plain and (pixels := _jpeg(path)) is not None:
                    return _turned(pixels, image.getexif().get(ORIENTATION, 1))
                if far:
                    image.draft("RGB", (side, side))  # type: ignore[arg-type]
                image.load()
                upright = ImageOps.exif_transpose(image) or image
                return np.array(_rgb(upright))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as err:
        raise DataError(f"{path} cannot be read as a picture.", str(err), "replace the file, or delete it") from err


def _jpeg(path: Path) -> np.ndarray | None:
    """A JPEG by torchvision; None where it cannot read it, or is a version that reads none any more: then Pillow is asked."""
    import torch

    try:
        from torchvision.io import ImageReadMode, decode_jpeg

        pixels: np.ndarray = decode_jpeg(torch.from_numpy(np.fromfile(path, np.uint8)), mode=ImageReadMode.RGB).movedim(0, 2).numpy()
    except (ImportError, RuntimeError):
        return None
    return pixels


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A picture upright, by EXIF's orientation 1 to 8; anything else is left as it lies."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


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
