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
    if (pixels := _jpeg(path, side)) is not None:
        return pixels
    from PIL import Image, ImageOps

    if path.suffix.lower() in (".heic", ".heif"):
        reads_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF; what it can read is read
            with Image.open(path) as image:
                if side is not None and min(image.size) >= FAR * side:
                    image.draft("RGB", (side, side))
                image.load()
                upright = ImageOps.exif_transpose(image) or image
                return np.array(_rgb(upright))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as err:
        raise DataError(
            f"{path} cannot be read as a picture.", str(err), "replace the file, or delete it"
        ) from err


def _jpeg(path: Path, side: int | None) -> np.ndarray | None:
    """A plain JPEG by torchvision; None where Pillow is to be asked: another file, a far larger or damaged one, a version without."""
    import torch

    try:
        with open(path, "rb") as file:
            content = file.read()
        found = _header(content)
        if found is None or (side is not None and min(found[:2]) >= FAR * side):
            return None
        from torchvision.io import ImageReadMode, decode_jpeg

        bytes_ = torch.from_numpy(np.frombuffer(bytearray(content), np.uint8))
        pixels: np.ndarray = decode_jpeg(bytes_, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
    except (ImportError, OSError, RuntimeError):
        return None
    return _turned(pixels, found[2])


def _header(content: bytes) -> tuple[int, int, int] | None:
    """Height, width and EXIF orientation of a grey or coloured baseline or progressive JPEG (ITU T.81, annex B); None for others."""
    at, orientation = 2, 1
    if content[:2] != b"\xff\xd8":
        return None
    while at + 9 < len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2):
            high, wide = (int.from_bytes(content[at + k : at + k + 2], "big") for k in (5, 7))
            return (
                (high, wide, orientation) if content[at + 9] in (1, 3) and high and wide else None
            )
        if marker == 0xE1 and content[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _orientation(content[at + 10 : at + 2 + length])
        if marker in (0xD9, 0xDA) or length < 2:
            return None
        at += 2 + length
    return None


def _orientation(tiff: bytes) -> int:
    """The orientation that the first directory of an EXIF block tells; 1 if it tells none."""
    order: Any = {b"II": "little", b"MM": "big"}.get(tiff[:2])
    if order is None:
        return 1
    start = int.from_bytes(tiff[4:8], order)
    for entry in range(int.from_bytes(tiff[start : start + 2], order)):
        at = start + 2 + 12 * entry
        if int.from_bytes(tiff[at : at + 2], order) == ORIENTATION:
            return int.from_bytes(tiff[at + 8 : at + 10], order)
    return 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A picture upright, by EXIF's orientation 1 to 8; anything else is left as it lies."""
    if orientation not in range(2, 9):
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _rgb(image: Any) -> Any:
    from PIL import Image

    if (
        image.mode.startswith("I") or image.mode == "F"
    ):  # 16 bits and more: the upper eight of what is used
        wide = np.asarray(image, dtype=np.float64)
        top = 65535.0 if wide.max() > 255 else 255.0
        return Image.fromarray((np.clip(wide / top, 0, 1) * 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
