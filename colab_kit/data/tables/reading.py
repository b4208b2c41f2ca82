"""What is read so far of the files of a listing, and the listing that comes of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...events import Note
from ..file_table import joined
from ..folders.tree import Listing, PictureFile, PictureFiles, counted, some
from ..targets import MULTILABEL, of_rows
from .file_columns import Matched
from .file_names import FileNames
from .request import LabelRequest
from .split_lists import PublishedSplit


@dataclass
class Reading:
    """What is read so far of each file of a listing.

    names : the files, by their names; then those of `request.others`
    labels, groups : of each file, None where nothing is said
    matched : the tables that were used
    splits : the publisher's split, where something says it
    used : files that were read beside the pictures
    """

    listing: Listing
    request: LabelRequest
    names: FileNames
    labels: list[Any]
    groups: list[Any]
    matched: list[Matched] = field(default_factory=list)
    splits: PublishedSplit | None = None
    used: set[Path] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def start(listing: Listing, request: LabelRequest) -> Reading:
    alone = list(listing.splits) == ["train"]
    counts = {
        request.split if alone else split: len(files) for split, files in listing.splits.items()
    }
    files = [PictureFiles.of(files) for files in listing.splits.values()]
    paths = joined([*(of_split.files for of_split in files), request.others])
    splits = list(chain.from_iterable([split] * many for split, many in counts.items()))
    splits += ["train"] * len(request.others)
    folder_labels = [label for of_split in files for label in of_split.labels]
    folder_labels += [None] * len(request.others)
    groups = [group for of_split in files for group in of_split.groups or [None] * len(of_split)]
    groups += [None] * len(request.others)
    return Reading(listing, request, FileNames(paths, listing.root, splits), folder_labels, groups)


def assign(
    reading: Reading,
    rows: Sequence[int],
    labels: Sequence[Any],
    where: str,
    *,
    several: bool = False,
) -> None:
    """Give files their labels; rows of one file are put together where it may have several."""
    out = reading.labels
    if len(set(rows)) == len(rows):
        for row, label in zip(rows, labels, strict=True):
            out[row] = label
        return
    several = several or reading.request.task == MULTILABEL
    together: dict[int, dict[Any, None]] = {}
    for row, label in zip(rows, labels, strict=True):
        if label is None:
            continue
        own = together.setdefault(row, {})
        own |= dict.fromkeys(label if isinstance(label, tuple) else (label,))
        if len(own) > 1 and not several and not isinstance(label, tuple):
            first, second = list(own)[:2]
            name, fix = reading.names.bare[row], reading.request.line(task=MULTILABEL)
            what = f"{where} gives {name} two labels: {first} and {second}."
            why = "a picture has one class here"
            raise DataError(what, why, f"keep one of the two rows, or put them together: {fix}")
    one_each = all(len(own) == 1 for own in together.values())
    plain = one_each and reading.request.task != MULTILABEL
    for row, own in together.items():
        out[row] = next(iter(own)) if plain else tuple(own)


def result(reading: Reading) -> Listing:
    listing, start = reading.listing, 0
    moved: dict[int, str] = reading.splits.splits if reading.splits else {}
    rows: dict[str, list[int]] = {}
    for split, files in listing.splits.items():
        end = start + len(files)
        if not moved:
            rows[split] = list(range(start, end))
        for row in range(start, end) if moved else ():
            if row in moved or reading.labels[row] is None:  # without a label: said, and left out
                rows.setdefault(moved.get(row, split), []).append(row)
        start = end
    order: dict[str, Sequence[PictureFile]] = {
        split: _pictures(reading, rows[split])
        for split in ("train", "valid", "test")
        if split in rows
    }
    asked = reading.request.labels is not None or reading.matched
    label_notes = () if asked else listing.label_notes
    used = reading.used | {one.table.path for one in reading.matched}
    used |= set(reading.splits.lists if reading.splits else ())
    known = set(map(os.path.abspath, used))
    return replace(
        listing,
        splits=order,
        notes=(*reading.notes, *listing.notes),
        label_notes=label_notes,
        others=tuple(path for path in listing.others if os.fspath(path) not in known),
        lines=(*listing.lines, *(f"{line}." for line in reading.lines)),
    )


def _pictures(reading: Reading, rows: Sequence[int]) -> PictureFiles:
    """Give some of the files with what is said of them."""
    labels = [reading.labels[row] for row in rows]
    groups = [reading.groups[row] for row in rows]
    said = groups.count(None) < len(groups)
    return PictureFiles(reading.names.files.take(rows), labels, groups if said else None)


def say_strangers(reading: Reading, where: str, strangers: Sequence[str]) -> None:
    if strangers:
        text = f"{counted(len(strangers), 'file')} named by {where} and not found in "
        text += f"{reading.listing.root} ({some(strangers)})."
        reading.notes.append(Note(text, "warn"))


def as_rows(labels: Sequence[Any]) -> list[Any]:
    """Give labels as names, floats or tuples of several; rows of 0 and 1 stay such rows."""
    rows = of_rows(labels)
    if rows is None:
        return [_as_label(label) for label in labels]
    pairs = zip(labels, rows.astype(int, casting="unsafe").tolist(), strict=True)
    return [None if label is None else tuple(row) for label, row in pairs]


def _as_label(label: Any) -> Any:
    """Give a label as a name, a float, or a tuple of several."""
    if isinstance(label, set | frozenset):
        label = sorted(label)
    if isinstance(label, list | tuple | np.ndarray):
        return tuple(value if isinstance(value, float) else str(value) for value in label)
    return label if label is None or isinstance(label, float) else str(label)
