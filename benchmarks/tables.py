"""A table of 100,000 rows against 100,000 listed files: processor seconds of one thread.

    python benchmarks/tables.py [--rows 100000]

The pictures need not be there: the listing is made before. Beside `label_files` stands the least
that does the same for this one table: csv.reader, a dict of base names, a list of pictures.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from colab_kit.data.folders.tree import Listing, PictureFile
from colab_kit.data.tables.matching import LabelRequest, label_files

KINDS = ("ash", "beech", "elm", "larch", "oak")


def made(root: Path, rows: int) -> Listing:
    """Write the table, in another order than the files."""
    names = [f"{number:06d}.jpg" for number in range(rows)]
    dice = random.Random(1)
    lines = [f"{name},{dice.choice(KINDS)},{dice.randrange(90)}" for name in names]
    dice.shuffle(lines)
    table = root / "labels.csv"
    table.write_text("\n".join(["file,label,age", *lines]) + "\n")
    files = [PictureFile(root / "pics" / name, None) for name in names]
    return Listing(root, {"train": files}, tables=(table,))


def plainly(listing: Listing) -> list[PictureFile]:
    """Do the same for one table of which all is known."""
    with open(listing.tables[0], newline="") as file:
        rows = list(csv.reader(file))[1:]
    files = listing.splits["train"]
    by_name = {os.path.basename(one.path): number for number, one in enumerate(files)}
    labels: list[Any] = [None] * len(files)
    for name, kind, _ in rows:
        labels[by_name[name]] = kind
    return [PictureFile(one.path, label) for one, label in zip(files, labels, strict=True)]


def best(call: Callable[[], Any], times: int = 5) -> float:
    """Give the least of several times, in processor seconds."""
    took = []
    for _ in range(times):
        start = time.process_time()
        call()
        took.append(time.process_time() - start)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    with tempfile.TemporaryDirectory() as folder:
        listing = made(Path(folder), parser.parse_args().rows)
        named = LabelRequest("labels.csv", source="pictures")
        found = LabelRequest(source="pictures")
        least = best(lambda: plainly(listing))
        print(f"csv and a dict          {least:.2f} s")
        for text, request in (("labels='labels.csv'", named), ("found without labels=", found)):
            took = best(lambda request=request: label_files(listing, request))
            print(f"{text:22}  {took:.2f} s, {took / least:.1f} times that")


if __name__ == "__main__":
    main()
