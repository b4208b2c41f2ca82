"""Boxes for a detector, a .txt beside each picture, and the line that reads a class from them.

A row is a class number and places from 0 to 1: x, y, width, height (YOLO), or a polygon's points.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import DataError
from ..folders.tree import Listing, some
from ..targets import MULTILABEL
from .file_names import FileNames
from .request import LabelRequest

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
            fix += f"; or learn what a picture holds: {_line(code, held, called, request)}"
        return DataError(what, why, fix)
    return None


def _line(
    code: str, held: Sequence[set[str]], called: dict[str, str], request: LabelRequest
) -> str:
    """Write the line: one class a picture where each has boxes of one, else several."""
    one = all(len(kinds) == 1 for kinds in held)
    read = f"lambda path: {code}.read_text().split()[0]"
    if not one:
        rows = f"{code}.read_text().splitlines()"
        read = f"lambda path: sorted({{row.split()[0] for row in {rows} if row.strip()}})"
    words = {"labels": "\0"} | ({"class_names": "\1"} if called and not request.named else {})
    line = request.line(**words, **({} if one else {"task": MULTILABEL}))
    return line.replace(repr("\0"), read).replace(repr("\1"), repr(called))


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
