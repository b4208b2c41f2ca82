"""A class in the names of files (cat.0.jpg) or in boxes beside them, and the line that reads it.

Boxes for a detector: a .txt beside each picture; a row is a class number and places from 0 to 1, as
x, y, width, height (YOLO) or the points of a polygon.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import DataError
from ..folders.tree import Listing, some
from ..targets import MULTILABEL
from .file_names import FileNames
from .request import LabelRequest

PATTERNS: tuple[tuple[str, Callable[[Path], str]], ...] = (
    ("path.name.split('.')[0]", lambda path: path.name.split(".")[0]),
    ("path.stem.rsplit('_', 1)[0]", lambda path: path.stem.rsplit("_", 1)[0]),
    ("path.stem.rsplit('-', 1)[0]", lambda path: path.stem.rsplit("-", 1)[0]),
    ("path.stem.rsplit(' ', 1)[0]", lambda path: path.stem.rsplit(" ", 1)[0]),
    ("path.stem.rstrip('0123456789')", lambda path: path.stem.rstrip("0123456789")),
    ("path.stem.split('_')[0]", lambda path: path.stem.split("_")[0]),
    ("path.stem.split('-')[0]", lambda path: path.stem.split("-")[0]),
    ("path.stem.split('_')[-1]", lambda path: path.stem.split("_")[-1]),
)
WORD = re.compile(r"[^\W\d]{2,}|[^\W\d]")
HASH = re.compile(r"[0-9a-f]{6,}$")
COUNTERS = frozenset("img image dsc dscn pic picture photo frame scan file p im train test".split())
PLACES: tuple[tuple[str, Callable[[Path], Path]], ...] = (
    ("path.with_suffix('.txt')", lambda path: path.with_suffix(".txt")),
    (
        "(path.parents[1] / 'labels' / f'{path.stem}.txt')",
        lambda path: path.parents[1] / "labels" / f"{path.stem}.txt",
    ),
    (
        "(path.parents[2] / 'labels' / path.parent.name / f'{path.stem}.txt')",
        lambda path: path.parents[2] / "labels" / path.parent.name / f"{path.stem}.txt",
    ),
)
SAMPLE = 20  # pictures that decide
LIMIT = 1 << 20  # bytes of a data.yaml


def in_names(names: FileNames, request: LabelRequest) -> DataError | None:
    """Say that names alone show the classes, with the line that reads them; None if they do not."""
    paths = [
        path for path, split in zip(names.paths, names.splits, strict=True) if split == "train"
    ]
    found = class_in_name(paths)
    if found is None:
        return None
    code, classes = found
    line = to_fill_in(request, code)
    what = f"The pictures of {Path(str(request.source)).name} have no labels."
    return DataError(what, f"their names seem to say them: {some(classes)}", line)


def to_fill_in(request: LabelRequest, code: str = "") -> str:
    """Write the call with this function of a path as labels=, or with a table yet to be written."""
    return request.line_of(code) if code else request.line(labels="labels.csv")


def class_in_name(paths: Sequence[Path]) -> tuple[str, list[str]] | None:
    """Find what part of the names is the class: its code, and the classes; None if none is."""
    for code, part in PATTERNS:
        counts = Counter(map(part, paths))
        if _are_classes(counts, len(paths)):
            return code, sorted(counts)
    return None


def _are_classes(counts: Counter[str], many: int) -> bool:
    """Tell whether parts of names look like classes: a few words, each of several pictures."""
    if not 2 <= len(counts) <= max(2, many // 3):
        return False
    words = all(WORD.search(name) and not HASH.match(name) for name in counts)
    digits = sum(any(letter.isdigit() for letter in name) for name in counts)
    counters = any(name.lower().strip("_- ") in COUNTERS for name in counts)
    return words and digits * 4 <= len(counts) and not counters


def only_boxes(listing: Listing, names: FileNames, request: LabelRequest) -> DataError | None:
    """Say that the pictures have boxes and no classes; None where they have none.

    The line reads the class of a picture from its boxes, or the classes, if each picture has some.
    """
    for code, place in PLACES:
        sample = names.paths[:: max(1, len(names.paths) // SAMPLE)]
        if not any(_classes(place(path)) for path in sample):
            continue
        held = [_classes(place(path)) for path in names.paths]
        if 2 * sum(map(bool, held)) < len(held):
            continue
        called, where = _class_names(listing.others)
        what = f"The pictures of {Path(str(request.source)).name} have boxes, and no labels."
        first = next(place(path) for path, kinds in zip(names.paths, held, strict=True) if kinds)
        why = f"{first.parent.name}/{first.name} and the like say where things are, for a detector"
        kinds = sorted({kind for of in held for kind in of}, key=int)
        why += f" ({some([called.get(kind, kind) for kind in kinds])}{where})"
        fix = "cut the boxes out, into a folder for each class"
        if all(held) and set(kinds) <= set(called or kinds):
            fix += f"; or learn what a picture holds: {_line_of_boxes(code, held, called, request)}"
        return DataError(what, why, fix)
    return None


def _line_of_boxes(
    code: str, held: Sequence[set[str]], called: dict[str, str], request: LabelRequest
) -> str:
    """Write the line: one class a picture where each has boxes of one, else several."""
    one = all(len(kinds) == 1 for kinds in held)
    read, more = f"{code}.read_text().split()[0]", dict[str, str]()
    if not one:
        rows, more = f"{code}.read_text().splitlines()", {"task": MULTILABEL}
        read = f"sorted({{row.split()[0] for row in {rows} if row.strip()}})"
    if called and not request.named:
        more["class_names"] = "\1"
    line = request.line_of(read, **more)
    return line.replace(repr("\1"), repr(called))


def _classes(file: Path) -> set[str]:
    """Give the class numbers of the boxes in a file; none if it is no such file."""
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError):
        return set()
    rows = [row.split() for row in text.splitlines() if row.strip()]
    return {row[0] for row in rows} if all(map(_is_box, rows)) else set()


def _is_box(row: Sequence[str]) -> bool:
    try:
        places = [float(cell) for cell in row[1:]]
    except ValueError:
        return False
    return row[0].isdecimal() and len(places) >= 4 and all(0 <= place <= 1 for place in places)


def _class_names(others: Sequence[Path]) -> tuple[dict[str, str], str]:
    """Read `names: [a, b]`, or a name a line below it, and say where; {} where nothing says it."""
    for path in others:
        if path.suffix.lower() not in (".yaml", ".yml") or path.stat().st_size > LIMIT:
            continue
        text = path.read_text("utf-8", "replace")
        inline = re.search(r"^names:\s*\[(.*?)\]", text, re.M | re.S)
        block = re.search(r"^names:[ \t]*\n((?:[ \t]*(?:-|\d+:).*\n?)+)", text, re.M)
        found: list[str] = []
        if inline:
            found = inline[1].split(",")
        elif block:
            found = [re.sub(r"^\s*(-|\d+:)", "", row) for row in block[1].splitlines()]
        if found:
            names = [name.strip().strip("'\"") for name in found]
            return {str(n): name for n, name in enumerate(names)}, f", of {path.name}"
    return {}, ""
