"""Tiny pictures for tests: real files, each with content of its own, the same on every machine."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path


def picture(
    path: Path,
    seed: int = 0,
    size: tuple[int, int] = (12, 10),
    colour: tuple[int, int, int] | None = None,
) -> Path:
    """Write a picture of keyed noise in the format of its ending; over a colour the noise is faint, so that a network can tell it.

    size : width and height, pixels    colour : red, green, blue, 0 to 255
    """
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    noise = Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))
    image = noise if colour is None else Image.blend(Image.new("RGB", size, colour), noise, 0.25)
    image.save(path)
    return path


def class_folders(
    root: Path,
    classes: Iterable[str] = ("cat", "dog"),
    each: int = 4,
    ending: str = ".png",
    size: tuple[int, int] = (12, 10),
) -> Path:
    """Make a folder of class folders, cat/0.png …, each class in a colour of its own."""
    for c, name in enumerate(classes):
        colour = random.Random(f"colour {c}").randbytes(3)
        for n in range(each):
            picture(
                root / name / f"{n}{ending}",
                seed=1000 * c + n,
                size=size,
                colour=(colour[0], colour[1], colour[2]),
            )
    return root
