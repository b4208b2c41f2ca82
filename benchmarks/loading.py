"""Loading many files: this build, an earlier one and ImageFolder, in turn in one process.

    python benchmarks/loading.py CHECKOUT [--files 100000] [--rounds 3] [--million]

folders  kit.load of ten class folders; the files are hard links of 1,000 small JPEGs
table    kit.load of the same files in one folder, labelled by a CSV of as many rows
memory   what the process needs at most above what it had, after the imports: each in its own

CHECKOUT is a working tree of the earlier build, as for before.py. --million loads ten times the
files by folders, once. Seconds: the best of the rounds, of the wall's and of the processor's clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.before import BEFORE, builds, silent

KINDS, PICTURES = 10, 1000
NEW, FOLDER = "colab_kit", "ImageFolder"
AT_MOST = """
import re, sys, time
sys.path[:0] = sys.argv[3:]
import torch, torchvision.datasets, PIL.Image
import colab_kit, {module}.data.loading as loading
def memory(what):
    return int(re.search(what + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
open("/proc/self/clear_refs", "w").write("5")
before = memory("VmRSS")
if sys.argv[1] == "ImageFolder":
    made = torchvision.datasets.ImageFolder(sys.argv[2])
else:
    made = loading.load(sys.argv[2], {quiet})
print(memory("VmHWM") - before)
"""


def pictures(folder: Path) -> list[Path]:
    """Write small JPEGs of several sizes."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    for number in range(PICTURES):
        rough = draw.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        picture = Image.fromarray(rough).resize((48 + number % 17, 64))
        picture.save(folder / f"{number}.jpg", quality=80)
    return [folder / f"{number}.jpg" for number in range(PICTURES)]


def by_folders(root: Path, sources: list[Path], files: int) -> Path:
    for kind in range(KINDS):
        (root / f"kind_{kind}").mkdir(parents=True)
    for number in range(files):
        source = number % PICTURES
        os.link(sources[source], root / f"kind_{source % KINDS}" / f"img_{number:07}.jpg")
    return root


def by_table(root: Path, sources: list[Path], files: int) -> Path:
    (root / "images").mkdir(parents=True)
    rows = ["file,label"]
    for number in range(files):
        source = number % PICTURES
        os.link(sources[source], root / "images" / f"img_{number:07}.jpg")
        rows.append(f"img_{number:07}.jpg,kind_{source % KINDS}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Give seconds of the wall's clock, and of the processor's."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - own


def memory(side: str, folder: Path, place: Path) -> float:
    """Give the MB that a load takes at most in a process of its own."""
    module = NEW if side == FOLDER else side
    code = AT_MOST.format(module=module, quiet="quiet=True")
    roots = [str(Path(__file__).resolve().parent.parent), str(place)]
    done = subprocess.run(
        [sys.executable, "-c", code, side, str(folder), *roots],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--million", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.environ["COLAB_KIT_HOME"] = str(place / "home")
        new, before = builds(given.checkout.resolve(), place)
        from torchvision.datasets import ImageFolder

        sources = pictures(place / "sources")
        folders = by_folders(place / "folders", sources, given.files)
        table = by_table(place / "table", sources, given.files)
        works: dict[str, Callable[[], Any]] = {
            f"{NEW}, folders": lambda: new.load(folders, **silent(new.load)),
            f"{NEW}, table": lambda: new.load(table, **silent(new.load)),
            f"{BEFORE}, folders": lambda: before.load(folders, **silent(before.load)),
            f"{BEFORE}, table": lambda: before.load(table, **silent(before.load)),
            FOLDER: lambda: ImageFolder(str(folders)),
        }
        small = by_folders(place / "small", sources, PICTURES)
        for kit in (new, before):  # what is imported when it is first used
            kit.load(small, **silent(kit.load))
        best = {what: (float("inf"), float("inf")) for what in works}
        for number in range(given.rounds):
            for what in list(works)[:: 1 if number % 2 else -1]:
                wall, own = timed(works[what])
                best[what] = min(best[what][0], wall), min(best[what][1], own)
        mine = best[f"{NEW}, folders"]
        for what, (wall, own) in best.items():
            text = f"{wall:6.2f} s ({wall / mine[0]:5.2f} x), processor {own:6.2f} s"
            print(f"{what:28} {text} ({own / mine[1]:5.2f} x)", flush=True)
        for side in (NEW, BEFORE, FOLDER):
            print(f"{side:28} {memory(side, folders, place):6.0f} MB at most", flush=True)
        if given.million:
            many = by_folders(place / "million", sources, 10 * given.files)
            wall, own = timed(lambda: new.load(many, **silent(new.load)))
            text = f"{wall:6.2f} s ({wall / mine[0]:5.2f} x), processor {own:6.2f} s"
            print(f"{f'{10 * given.files:,} files':28} {text} ({own / mine[1]:5.2f} x)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
