"""One process that trains, predicts and shows panels again and again, and what it holds meanwhile.

    python -m tests.support.long_life FOLDER TRAININGS PREDICTIONS PANELS

Prints a row of JSON for each look: {"work", "done", "rss", "threads", "descriptors", "temp"}.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import colab_kit as kit
from colab_kit import api
from tests.support.pictures import picture
from tests.support.tasks import Drawn, Seen, Small

LOOKS = 10  # in each kind of work


def look(work: str, done: int) -> dict[str, Any]:
    """What this process holds; memory that is free, but not given back yet, does not count."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    # matplotlib keeps a font open for each thread that drew with it, and forgets all but 64
    opened = [link for link in links if link.is_symlink() and link.readlink().suffix != ".ttf"]
    lines = Path("/proc/self/status").read_text().splitlines()
    figures = dict(line.split(":", 1) for line in lines)
    return {
        "work": work,
        "done": done,
        "rss": int(figures["RssAnon"].split()[0]) << 10,
        "threads": int(figures["Threads"]),
        "descriptors": len(opened),
        "temp": sorted(path.name for path in Path(tempfile.gettempdir()).iterdir()),
    }


def trainings(photos: Path) -> Iterator[Callable[[int], Any]]:
    """Short trainings of several kinds, each on data of its own."""

    def arrays(number: int) -> Any:
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (32, 3, 8, 8), dtype=np.uint8)
        data = kit.load((pixels, np.arange(32) % 3), quiet=True)
        return kit.train(Small, data, epochs=2, mixup=0.2, ema_decay=0.9, name="a", **HOW)

    def files(number: int) -> Any:
        data = kit.load(photos, quiet=True)
        return kit.train(Small, data, epochs=1, image_size=8, augment="strong", name="f", **HOW)

    def frozen(number: int) -> Any:
        data = kit.load(photos, quiet=True)
        return kit.transfer(data, Seen(), mode="frozen", image_size=8, name="t", **HOW)

    def workers(number: int) -> Any:
        data = kit.load(Drawn(24), quiet=True)
        return kit.train(Small, data, epochs=1, num_workers=2 * (number % 10 == 4), name="w", **HOW)

    def failed(number: int) -> Any:
        data = kit.load(photos, quiet=True)
        try:
            kit.train(nn.Linear(3, 3), data, image_size=8, name="e", **HOW)
        except kit.ColabKitError:
            return None
        raise AssertionError("a network that does not fit was trained")

    while True:
        yield from (arrays, frozen, arrays, workers, failed, files)


HOW: dict[str, Any] = {"batch_size": 8, "quiet": True, "restart": True}


def main(folder: Path, n_trainings: int, n_predictions: int, n_panels: int) -> None:
    torch.set_num_threads(1)
    photos = folder / "photos"
    for n in range(24):
        (photos / "abc"[n % 3]).mkdir(parents=True, exist_ok=True)
        picture(photos / "abc"[n % 3] / f"{n}.png", n, size=(12, 11))
    run: Any = None

    def train(number: int) -> None:
        nonlocal run
        run = next(kinds)(number) or run

    def predict(number: int) -> None:
        path = photos / "abc"[number % 3] / f"{number % 24}.png"
        asked = (path, [path] * 3, np.zeros((12, 12, 3), np.uint8), photos)[number % 4]
        opened = kit.open_run(run.folder, model=Small) if number % 5 == 0 else run
        opened.predict(asked, tta=1 + number % 2, quiet=True)

    def panel(number: int) -> None:
        made = kit.panel(photos, "resnet18", epochs=1)
        made.start()
        assert made.wait(60) and made.run.status == "finished", made.alert.value

    kinds = trainings(photos)
    own = api.transfer
    api.transfer = lambda data, backbone, **fields: own(
        data, Seen(), **{**fields, "image_size": 8, "mode": "finetune", "restart": True}
    )
    for work, do, times in (
        ("trainings", train, n_trainings),
        ("predictions", predict, n_predictions),
        ("panels", panel, n_panels),
    ):
        for number in range(times):
            do(number)
            if (number + 1) * LOOKS % times < LOOKS:
                print(json.dumps(look(work, number + 1)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
