"""Photos in eight classes, made of Tux Paint's stamps (Debian: tuxpaint-stamps-default).

    python benchmarks/stamps.py FOLDER

Each stamp, a cut-out photo of a bird, a fruit and so on, is set on clouds, stripes or plain
colour, at another size and place each time. Stamps are split, not pictures: what validates was
never seen in training on another background.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

STAMPS = Path("/usr/share/tuxpaint/stamps")
CLASSES = {
    "birds": "animals/birds", "mammals": "animals/mammals", "insects": "animals/insects", "fish": "animals/fish",
    "fruit": "food/fruit", "vegetables": "food/vegetables", "flowers": "plants/flowers", "vehicles": "vehicles",
}  # fmt: skip
WIDE, HIGH = 400, 300
HELD_BACK = 3  # each third stamp validates


def background(draw: np.random.Generator) -> np.ndarray:
    """Clouds, stripes or one colour with noise: uint8 (HIGH, WIDE, 3)."""
    kind, ends = draw.integers(3), draw.uniform(20, 235, (2, 3))
    if kind == 0:
        rough = draw.uniform(0, 1, (int(draw.integers(2, 7)), int(draw.integers(2, 9)))).astype(
            np.float32
        )
        share = np.asarray(Image.fromarray(rough).resize((WIDE, HIGH), Image.Resampling.BICUBIC))
    elif kind == 1:
        y, x = np.mgrid[:HIGH, :WIDE]
        share = 0.5 + 0.5 * np.sin(
            (x * draw.uniform(-1, 1) + y * draw.uniform(-1, 1)) / draw.uniform(6, 40)
        )
    else:
        share = np.full((HIGH, WIDE), draw.uniform())
    picture = (
        ends[0]
        + np.clip(share, 0, 1)[..., None] * (ends[1] - ends[0])
        + draw.normal(0, draw.uniform(2, 12), (HIGH, WIDE, 3))
    )
    return np.clip(picture, 0, 255).astype(np.uint8)


def composed(stamp: Any, draw: np.random.Generator) -> Any:
    """A stamp somewhere on a background."""
    picture = Image.fromarray(background(draw))
    scale = draw.uniform(0.45, 0.95) * min(WIDE / stamp.width, HIGH / stamp.height)
    size = max(1, round(stamp.width * scale)), max(1, round(stamp.height * scale))
    cut = stamp.resize(size, Image.Resampling.LANCZOS)
    if draw.uniform() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture.paste(
        cut,
        (int(draw.integers(0, WIDE - size[0] + 1)), int(draw.integers(0, HIGH - size[1] + 1))),
        cut,
    )
    return picture


def make(root: Path, *, train: int = 6, valid: int = 3, test: int = 0) -> dict[str, int]:
    """Write root/train and root/valid, a folder a class; train, valid : pictures of each stamp.
    test : so many more of each held-back stamp in root/test. Give how many of each there are.
    """
    made = {"train": 0, "valid": 0} | ({"test": 0} if test else {})
    for name, place in CLASSES.items():
        for number, path in enumerate(sorted((STAMPS / place).rglob("*.png"))):
            split = "valid" if number % HELD_BACK == 1 else "train"
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as file:
                stamp = file.convert("RGBA")
            copies = range(train if split == "train" else valid + test)
            for copy in copies:
                if split == "valid" and copy >= valid:
                    split = "test"
                    folder = root / split / name
                    folder.mkdir(parents=True, exist_ok=True)
                draw = np.random.default_rng(
                    [zlib.crc32(str(path.relative_to(STAMPS)).encode()), copy]
                )
                composed(stamp, draw).save(
                    folder / f"{number:03d}-{path.stem}-{copy}.jpg", quality=90
                )
                made[split] += 1
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    print(make(parser.parse_args().folder))
