"""Tiny picture files for tests: real ones, each with its own colours."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (12, 10)) -> Path:
    """A picture of keyed noise, in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def class_folders(root: Path, classes: Iterable[str] = ("cat", "dog"), each: int = 4, ending: str = ".png") -> Path:
    """A folder of class folders: cat/0.png …"""
    for c, name in enumerate(classes):
        for n in range(each):
            picture(root / name / f"{n}{ending}", seed=1000 * c + n)
    return root


def blank(path: Path, content: bytes = b"") -> Path:
    """A file of these bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
