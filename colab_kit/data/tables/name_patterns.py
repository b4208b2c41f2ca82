"""A class in the names of files, as in cat.0.jpg, and the line that reads it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import DataError
from ..folders.tree import some
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
    if not code:
        return request.line(labels="labels.csv")
    # a function cannot be shown as a value: it is written into the line
    return request.line(labels="\0").replace(repr("\0"), f"lambda path: {code}")


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
