"""Tiny picture files for tests: those the plugin hands out, one of each kind, and files that only
bear a picture's name.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from colab_kit.testing.fixtures import class_folders, picture

__all__ = ["FRAME", "KINDS", "blank", "class_folders", "coloured", "picture"]


def blank(path: Path, content: bytes = b"") -> Path:
    """A file of these bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


FRAME = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def coloured(high=24, wide=32) -> Image.Image:
    return Image.fromarray(FRAME).resize((wide, high))


def masked(mode: str) -> Image.Image:
    alpha = Image.fromarray(np.tile(np.arange(0, 256, 8, dtype=np.uint8), (24, 1)))
    picture = coloured().convert(mode.rstrip("A") or "L")
    picture.putalpha(alpha)
    return picture


def turned(orientation: int) -> dict:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif, "quality": 95}


def deep() -> Image.Image:
    return Image.fromarray(FRAME[..., 0].astype(np.uint16) * 257)


KINDS = {  # name of the file: the picture, and how it is saved
    **{f"exif{n}.jpg": (coloured(), turned(n)) for n in range(1, 9)},
    "plain.png": (coloured(), {}),
    "alpha.png": (masked("RGBA"), {}),
    "grey_alpha.png": (masked("LA"), {}),
    "palette.gif": (coloured().quantize(16), {"transparency": 3}),
    "palette.png": (coloured().quantize(16), {"transparency": 3}),
    "cmyk.jpg": (coloured().convert("CMYK"), {}),
    "grey.png": (coloured().convert("L"), {}),
    "grey.jpg": (coloured().convert("L"), {}),
    "bits.png": (coloured().convert("1"), {}),
    "deep.png": (deep(), {}),
    "deep.tif": (deep(), {}),
    "lower.png": (Image.fromarray(FRAME[..., 0].astype(np.uint16) * 16), {}),
    "photo.jp2": (coloured(), {}),
    "several.mpo": (coloured(), {"save_all": True, "append_images": [coloured().rotate(90)]}),
    "animated.gif": (coloured(), {"save_all": True, "append_images": [coloured().rotate(90)]}),
    "animated.webp": (coloured(), {"save_all": True, "append_images": [coloured().rotate(90)]}),
    "wide.jpg": (coloured(20, 90), {}),
    "tiny.png": (coloured(1, 1), {}),
    "large.jpg": (coloured(300, 320), {}),  # decoded at a reduced scale
}
