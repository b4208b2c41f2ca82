"""Whether training all of a backbone does harm: a solved head, before and after, on few photos.

    python benchmarks/finetune.py FOLDER [--sets 60 160 400] [--seeds 20] [--size 224]

Photos are composed of Tux Paint's stamps (stamps.py). For each set and seed, some stamps train and
some validate; 1,000 compositions of other stamps, the same for all, are held back. FOLDER keeps
the photos, and a line for each run that is done: the same command goes on with the others.

Printed for each run: top-1 in points of the frozen phase and of what frozen_then_finetune gives,
on validation and on the held-back photos. The bar: validation never below the frozen phase, in top-1
and in loss; held back, the mean difference at least 0, and none below -3 points.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import stamps

HELD_BACK = 1000  # photos that neither train nor validate
COPIES = 3  # compositions of a stamp that may train
WORST = -3.0  # points that a single run may lose on them
Photos = list[tuple[str, str, int]]  # path, class, stamp


def compose(root: Path) -> tuple[Photos, Photos]:
    """Compose all photos, once: those that sets are drawn of, and those held back."""
    listing = root / "photos.json"
    if not listing.exists():
        pool, held = Photos(), Photos()
        for name, place in stamps.CLASSES.items():
            for number, path in enumerate(sorted((stamps.STAMPS / place).rglob("*.png"))):
                with Image.open(path) as file:
                    stamp = file.convert("RGBA")
                key = zlib.crc32(str(path.relative_to(stamps.STAMPS)).encode())
                is_held = number % stamps.HELD_BACK == 1
                for copy in range(12 if is_held else COPIES):
                    photo = root / "photos" / f"{name}-{key:08x}-{copy}.jpg"
                    photo.parent.mkdir(parents=True, exist_ok=True)
                    stamps.composed(stamp, np.random.default_rng([key, copy])).save(
                        photo, quality=90
                    )
                    (held if is_held else pool).append((str(photo), name, key))
        draw = np.random.default_rng(0)
        held = [held[i] for i in sorted(draw.permutation(len(held))[:HELD_BACK])]
        listing.write_text(json.dumps([pool, held]))
    pool, held = json.loads(listing.read_text())
    return pool, held


def drawn(pool: Photos, photos: int, seed: int) -> dict[str, tuple[list[str], list[str]]]:
    """Draw a set: its first photos show each stamp once, and a fifth of its stamps validate."""
    draw = np.random.default_rng([photos, seed])
    by_class: dict[str, dict[int, list[str]]] = {}
    for path, name, stamp in pool:
        by_class.setdefault(name, {}).setdefault(stamp, []).append(path)
    rounds: list[tuple[str, str, bool]] = []
    shuffled = {
        name: [list(s)[i] for i in draw.permutation(len(s))] for name, s in by_class.items()
    }
    total = sum(map(len, shuffled.values()))
    for copy in range(COPIES):
        for name, keys in shuffled.items():
            few = min(len(keys), max(4, round(photos * len(keys) / total)))
            for place, key in enumerate(keys[:few]):
                rounds.append((by_class[name][key][copy], name, place % 5 == 0))
    parts = {
        "train": [r for r in rounds[:photos] if not r[2]],
        "valid": [r for r in rounds[:photos] if r[2]],
    }
    return {
        split: ([p for p, _, _ in part], [n for _, n, _ in part]) for split, part in parts.items()
    }


def measure(root: Path, photos: int, seed: int, size: int, **fields: Any) -> dict[str, Any]:
    """Train on one set; give what validation and held-back photos say of both phases."""
    import colab_kit as kit

    pool, held = compose(root)
    test = [path for path, _, _ in held], [name for _, name, _ in held]
    data = kit.load({**drawn(pool, photos, seed), "test": test}, quiet=True)
    how = {
        "image_size": size,
        "seed": seed,
        "quiet": True,
        "restart": True,
        "device": "cpu",
        "precision": "fp32",
    }
    began = time.perf_counter()
    frozen = kit.transfer(data, "efficientnet_lite0", mode="frozen", run_dir=root / "frozen", **how)
    before = frozen.evaluate("test", quiet=True)
    run = kit.transfer(
        data, "efficientnet_lite0", mode="frozen_then_finetune", run_dir=root / "both",
        **{"epochs": 4, **how, **fields},
    )  # fmt: skip
    after = run.evaluate("test", quiet=True)
    first, best = run.history[0], run.best["metrics"]
    return {
        "photos": photos, "seed": seed, "size": size, "train": len(data.train), "valid": len(data.valid),
        "valid_before": [first["valid/top1"], first["valid/loss"]],
        "valid_after": [best["valid/top1"], best["valid/loss"]],
        "test_before": [before.top1, before.loss], "test_after": [after.top1, after.loss],
        "step": best["step"], "losses": [row["train/loss"] for row in run.history],
        "valid_losses": [row["valid/loss"] for row in run.history],
        "valid_top1": [row["valid/top1"] for row in run.history],
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
