"""JPEG files to batches, random resized crop (antialiased) and flip to 224, against ImageFolder and
fastai.

    python benchmarks/pixels.py

folder    torchvision's ImageFolder, DataLoader with 2 workers: uint8 by PILToTensor, float by
ToTensor and Normalize
fastai    its ImageDataLoaders with RandomResizedCrop and flip, 2 workers: float
kit       the pipeline of Split.batches(): uint8 as it leaves for a GPU, float as a CPU takes it;
its first epoch decodes, later ones cut

Each runs in a process of its own on the same files, made by this script: photo-like noise, about
59 KB at 500 x 375. Images a second.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import others

BATCH = 64
NAMES = ("kit-uint8", "folder-uint8", "kit-float", "folder-float", "fastai-float")


def make(root: Path, n: int, wide: int, high: int) -> None:
    """n JPEGs in two class folders, from a few pictures."""
    import numpy as np
    from PIL import Image

    rng, made = np.random.default_rng(0), []
    for _ in range(8):
        x = np.zeros((high, wide, 3))
        for scale in (2, 4, 8, 16, 32, 64, 128):
            noise = rng.normal(size=(high // scale + 2, wide // scale + 2, 3)) * scale**0.8
            x += np.stack(
                [
                    np.asarray(
                        Image.fromarray(noise[..., c].astype(np.float32)).resize(
                            (wide, high), Image.Resampling.BICUBIC
                        )
                    )
                    for c in range(3)
                ],
                -1,
            )
        x = (x - x.mean()) / x.std() * 50 + 128 + rng.normal(size=x.shape) * 4
        content = io.BytesIO()
        Image.fromarray(np.clip(x, 0, 255).astype(np.uint8)).save(content, "JPEG", quality=90)
        made.append(content.getvalue())
    for name in ("a", "b"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (root / "ab"[i % 2] / f"{i:05d}.jpg").write_bytes(made[i % len(made)])


def kit(root: Path, kind: str) -> dict[str, float]:
    import numpy as np
    import torch
    import torchvision

    import colab_kit as kit
    from colab_kit.data.augment import Augment
    from colab_kit.data.batches import BatchLoader
    from colab_kit.data.preprocess import Preprocess

    data = kit.load(root, valid=0, quiet=True)
    feed = BatchLoader(
        data.train,
        Preprocess(224),
        batch_size=BATCH,
        device=torch.device("cpu"),
        augment=Augment(scale=(0.08, 1.0), flip=0.5),
    )
    rates = []
    assert torchvision  # the others have imported it too, before the clock starts
    for epoch in range(3):
        start, seen = time.perf_counter(), 0
        if kind == "uint8":
            rows = np.arange(len(data.train))
            for x, _, _ in feed._read([rows[a:b] for a, b in feed.bounds], epoch):
                assert x.dtype == torch.uint8
                seen += len(x)
        else:
            for batch in feed.shuffled(epoch):
                seen += len(batch.y)
        rates.append(seen / (time.perf_counter() - start))
    return {"first": rates[0], "later": max(rates[1:])}


def folder(root: Path, kind: str) -> dict[str, float]:
    import torch
    from torchvision import datasets, transforms

    tail = (
        [transforms.PILToTensor()]
        if kind == "uint8"
        else [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )
    views = transforms.Compose(
        [
            transforms.RandomResizedCrop(224, antialias=True),
            transforms.RandomHorizontalFlip(),
            *tail,
        ]
    )
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(root), views),
        BATCH,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
    )
    rates = []
    for _ in range(2):
        start, seen = time.perf_counter(), 0
        for x, _ in loader:
            seen += len(x)
        rates.append(seen / (time.perf_counter() - start))
    return {"first": rates[0], "later": rates[1]}


def fastai(root: Path, kind: str) -> dict[str, float]:
    from fastai.vision.all import FlipItem, ImageDataLoaders, RandomResizedCrop

    loaders = ImageDataLoaders.from_folder(
        root,
        valid_pct=0.01,
        item_tfms=[RandomResizedCrop(224), FlipItem()],
        bs=BATCH,
        num_workers=2,
        device="cpu",
    )
    rates = []
    for _ in range(2):
        start, seen = time.perf_counter(), 0
        for x, _ in loaders.train:
            seen += len(x)
        rates.append(seen / (time.perf_counter() - start))
    return {"first": rates[0], "later": rates[1]}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--python", help="of an environment that has the peers")
    given = parser.parse_args()
    if given.one:
        who, _, kind = given.one.partition("-")
        others.say(**globals()[who](given.root, kind))
        return 0
    python = others.environment(given.python)
    with tempfile.TemporaryDirectory() as place:
        small, large, home = (
            Path(place) / "small",
            Path(place) / "large",
            {"COLAB_KIT_HOME": f"{place}/home"},
        )
        make(small, given.pictures, 500, 375)
        make(large, 64, 3000, 2000)
        os.environ.update(home)
        size = sum(p.stat().st_size for p in small.rglob("*.jpg")) / given.pictures / 1000
        found = others.rounds(python, "pixels.py", NAMES, given.runs, "--root", str(small))
        big = others.rounds(
            python, "pixels.py", ("kit-uint8", "folder-uint8"), given.runs, "--root", str(large)
        )

    def times(kind: str, when: str, pool: Any = None, peer: str = "folder") -> float:
        pool = pool or found
        pairs = [{"x": ours.get(when, float("nan"))} for ours in pool[f"kit-{kind}"]]
        return others.ratio(
            pairs, [{"x": row.get("later", float("nan"))} for row in pool[f"{peer}-{kind}"]], "x"
        )

    lines = [
        others.Line("uint8, first epoch", times("uint8", "first"), 2), others.Line("uint8, later epochs", times("uint8", "later"), 10),
        others.Line("float, first epoch", times("float", "first"), 1.5), others.Line("float, later epochs", times("float", "later"), 5),
        others.Line("float, first epoch, against fastai", times("float", "first", peer="fastai"), 1.5),
        others.Line("float, later epochs, against fastai", times("float", "later", peer="fastai"), 5),
        others.Line("3000 x 2000, uint8, first epoch", times("uint8", "first", big), 3),
    ]  # fmt: skip
    rate = ", ".join(
        f"{name} {others.median(found[name], 'first'):.0f} and {others.median(found[name], 'later'):.0f}"
        for name in NAMES
    )
    note = f"Images a second in the first and in later epochs, {size:.0f} KB each: {rate}."
    others.write(
        "pixels: JPEG 500 x 375 to 224, times ImageFolder + DataLoader(2 workers)",
        lines,
        note,
        "batch 64",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
