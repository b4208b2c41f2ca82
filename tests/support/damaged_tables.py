"""Damaged tables: small sets whose labels stand in a file of each kind, and what may happen to it."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import shutil
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import colab_kit as kit
from colab_kit.errors import ColabKitError
from tests.support.damage import BYTES, json_changed
from tests.support.pictures import picture

NAMES = [f"p{number:02d}.png" for number in range(12)]
CLASSES = ["cat", "dog", "owl"]
ROWS = [(name, CLASSES[number % 3], number * 0.5) for number, name in enumerate(NAMES)]
SLOW = 10.0  # seconds that no table may take


def as_csv(path: Path) -> None:
    lines = ["file,label,weight", *(f"{name},{label},{weight}" for name, label, weight in ROWS)]
    path.write_text("\n".join(lines) + "\n")


def as_json(path: Path) -> None:
    path.write_text(json.dumps([{"file": name, "label": label} for name, label, _ in ROWS]))


def as_map(path: Path) -> None:
    path.write_text(json.dumps({name: label for name, label, _ in ROWS}))


def as_lines(path: Path) -> None:
    rows = [json.dumps({"file": name, "label": label}) for name, label, _ in ROWS]
    path.write_text("\n".join(rows))


def as_coco(path: Path) -> None:
    images = [{"id": n, "file_name": name} for n, name in enumerate(NAMES)]
    marks = [
        {"id": n, "image_id": n, "category_id": n % 3, "bbox": [0, 0, 2, 2]} for n in range(12)
    ]
    classes = [{"id": number, "name": name} for number, name in enumerate(CLASSES)]
    path.write_text(json.dumps({"images": images, "annotations": marks, "categories": classes}))


def as_mat(path: Path) -> None:
    from scipy.io import savemat

    pixels = np.arange(12 * 8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3, 12)
    savemat(path, {"X": pixels, "y": (np.arange(12) % 3)[:, None] + 1}, do_compression=True)


def as_plain_mat(path: Path) -> None:
    from scipy.io import savemat

    pixels = np.arange(12 * 8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3, 12)
    savemat(path, {"X": pixels, "y": (np.arange(12) % 3)[:, None] + 1})


def as_npz(path: Path) -> None:
    pixels = np.arange(12 * 8 * 8, dtype=np.uint8).reshape(12, 8, 8)
    np.savez(path, x_train=pixels, y_train=np.arange(12) % 3)


KINDS: dict[str, tuple[Callable[[Path], None], bool]] = {  # how it is written; beside pictures
    "labels.csv": (as_csv, True),
    "labels.json": (as_json, True),
    "map.json": (as_map, True),
    "labels.jsonl": (as_lines, True),
    "coco.json": (as_coco, True),
    "packed.mat": (as_mat, False),
    "plain.mat": (as_plain_mat, False),
    "set.npz": (as_npz, False),
}


# --- what may happen to a text, and to the header of an array ------------------------------------


def a_line_twice(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join([*lines, rng.choice(lines)])


def a_line_less(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def odd_text(content: bytes, rng: random.Random) -> bytes:
    odd = [
        b'"',
        b"\0",
        b"\xff\xfe",
        b"\r",
        b",,,,",
        b"=1+1",
        b"x" * 100_000,
        b"\n\n",
        b"\t",
        b"1e999",
    ]
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice(odd) + content[place:]


def another_encoding(content: bytes, rng: random.Random) -> bytes:
    return content.decode("latin-1").encode(rng.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7"]))


def deep(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + b"[" * rng.choice([50, 900, 100_000]) + content[place:]


def absurd_shape(content: bytes, rng: random.Random) -> bytes:
    """Write other numbers into the first array's header of an .npz."""
    try:
        box = io.BytesIO(content)
        with zipfile.ZipFile(box) as packed:
            parts = {name: packed.read(name) for name in packed.namelist()}
    except (zipfile.BadZipFile, OSError):
        return content[::-1]
    name = rng.choice(sorted(parts))
    size = rng.choice([b"0", b"9" * 12, b"-1", b"9" * 40, b"12", b"1"])
    parts[name] = re.sub(rb"\((\d+)", b"(" + size, parts[name], count=1)
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as packed:
        for name, part in parts.items():
            packed.writestr(name, part)
    return box.getvalue()


TEXTS = (a_line_twice, a_line_less, odd_text, another_encoding, deep)


class Tables:
    """A folder for each kind, made once."""

    def __init__(self, top: Path) -> None:
        self.top, self.pristine, self.place = top, top / "pristine", top / "set"
        for name, (write, has_pictures) in KINDS.items():
            folder = self.pristine / Path(name).name
            folder.mkdir(parents=True)
            for number, file in enumerate(NAMES if has_pictures else ()):
                picture(folder / file, size=(8, 8), seed=number)
            write(folder / name)

    def faults(self, number: int, seed: str) -> list[str]:
        """Load a set with a damaged table; what must not be."""
        rng = random.Random(f"{seed}-{number}")
        name = rng.choice(sorted(KINDS))
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.pristine / name, self.place)
        table = self.place / name
        ways: list[Any] = [*BYTES, *(TEXTS if KINDS[name][1] else ())]
        ways += [json_changed] * 5 * (".json" in name) + [absurd_shape] * 4 * (".npz" in name)
        way = rng.choice(ways)
        table.write_bytes(way(table.read_bytes(), rng))
        label, found = f"#{number} {name} {way.__name__}", list[str]()
        labels: dict[str, Any] = {"labels": table} if KINDS[name][1] else {}
        for how in ({}, labels) if labels else ({},):
            began = time.monotonic()
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    data = kit.load(self.place, quiet=True, **how)
                    data.train[0]
            except ColabKitError:
                pass
            except Exception:
                found.append(f"{label} {bool(how)}: {traceback.format_exc()}")
            if (seconds := time.monotonic() - began) > SLOW:
                found.append(f"{label} {bool(how)}: {seconds:.0f} s")
        return found
