"""Whether training all of a backbone does harm: a solved head, before and after, on few photos.

    python benchmarks/finetune.py FOLDER [--sets 60 160 400] [--seeds 20] [--size 224]

Photos are composed of Tux Paint's stamps (stamps.py). For each set and seed, some stamps train and
some validate; 1,000 compositions of other stamps, the same for all, are held back. FOLDER keeps
the photos, and a line for each run that is done: the same command goes on with the others.

Printed for each run: top-1 of the frozen phase and of what frozen_then_finetune ends with, in
points, on validation and on the held-back photos. The bar: validation never below the frozen
phase, in top-1 and in loss; held back, the mean difference at least 0, and none below -3 points.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
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
    """Train on one set; give what validation and held-back photos say before and after.

    Where the run kept the frozen phase, both are the same network.
    """
    import colab_kit as kit
    from colab_kit.events import Note

    pool, held = compose(root)
    test = [path for path, _, _ in held], [name for _, name, _ in held]
    data = kit.load({**drawn(pool, photos, seed), "test": test}, quiet=True)
    how = {
        "image_size": size, "seed": seed, "device": "cpu", "precision": "fp32",
        "quiet": True, "restart": True,
    }  # fmt: skip
    notes, began = list[str](), time.perf_counter()

    def hear(event: Any) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    run = kit.transfer(
        data, "efficientnet_lite0", mode="frozen_then_finetune", run_dir=root / "both",
        callbacks=[hear], **{"epochs": 4, **how, **fields},
    )  # fmt: skip
    after = before = run.evaluate("test", quiet=True)
    assert run.status == "finished", "a run that was stopped tells nothing"
    first, best = run.history[0], run.best["metrics"]
    if run.best["epoch"] > 1:
        frozen = kit.transfer(
            data, "efficientnet_lite0", mode="frozen", run_dir=root / "frozen", **how
        )
        before = frozen.evaluate("test", quiet=True)
        assert frozen.history[0]["valid/loss"] == first["valid/loss"], "the same head"
    else:
        assert any("did not improve validation" in text for text in notes), "it is said"
    counts = before.count, after.count
    assert counts == (len(held), len(held)), "an interrupt ends evaluate with the photos so far"
    return {
        "photos": photos, "seed": seed, "size": size,
        "train": len(data.train), "valid": len(data.valid), "epoch": run.best["epoch"],
        "valid_before": [first["valid/top1"], first["valid/loss"]],
        "valid_after": [best["valid/top1"], best["valid/loss"]],
        "test_before": [before.top1, before.loss], "test_after": [after.top1, after.loss],
        "history": [dict(row) for row in run.history],
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def gain(run: dict[str, Any]) -> float:
    """Points of top-1 on the held-back photos that fine-tuning brought."""
    return 100 * (run["test_after"][0] - run["test_before"][0])


def is_below(run: dict[str, Any]) -> bool:
    """Whether validation is worse than after the frozen phase, in top-1 or in loss."""
    (top1, loss), (was_top1, was_loss) = run["valid_after"], run["valid_before"]
    return top1 < was_top1 or loss > was_loss


def row(run: dict[str, Any]) -> str:
    valid = f"{100 * run['valid_before'][0]:5.1f} -> {100 * run['valid_after'][0]:5.1f}"
    held = f"{100 * run['test_before'][0]:5.1f} -> {100 * run['test_after'][0]:5.1f}"
    which = f"{run['photos']:5} photos  seed {run['seed']:3}  {run['size']} px"
    return f"{which}  valid {valid}  held back {held}  {gain(run):+5.1f}  {run['seconds']:.0f} s"


def told(runs: list[dict[str, Any]], name: str) -> str:
    """One line: the mean difference with its 95 % interval, the worst run, validations below."""
    gains = [gain(run) for run in runs]
    mean, error = statistics.mean(gains), math.nan
    if len(runs) > 1:
        error = 1.96 * statistics.stdev(gains) / math.sqrt(len(runs))
    below, better = sum(map(is_below, runs)), sum(run["epoch"] > 1 for run in runs)
    return (
        f"{name}: {len(runs)} runs, held back {mean:+.2f} points ({mean - error:+.2f} to "
        f"{mean + error:+.2f}), worst {min(gains):+.1f}; validation below the frozen phase in "
        f"{below}; fine-tuned weights kept in {better}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", type=int, nargs="+", default=[60, 160, 400], help="photos")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--size", type=int, default=224, help="side of the pictures")
    asked = parser.parse_args()
    root = asked.folder.resolve()
    root.mkdir(parents=True, exist_ok=True)
    os.environ["COLAB_KIT_HOME"] = str(root / "home")
    lines = root / "runs.jsonl"
    done = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    found = {(run["photos"], run["seed"], run["size"]): run for run in done}
    runs = []
    for seed, photos in itertools.product(range(asked.seeds), asked.sets):
        key = photos, seed, asked.size
        if key not in found:
            found[key] = measure(root, *key)
            with lines.open("a") as file:
                file.write(json.dumps(found[key]) + "\n")
        runs.append(found[key])
        print(row(found[key]), flush=True)
    for photos in asked.sets:
        print(told([run for run in runs if run["photos"] == photos], f"{photos} photos"))
    print(told(runs, "all"))
    gains = [gain(run) for run in runs]
    holds = not any(map(is_below, runs)) and statistics.mean(gains) >= 0 and min(gains) >= WORST
    print("The bar holds." if holds else "The bar is missed.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
