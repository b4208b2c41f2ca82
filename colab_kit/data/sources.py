"""Sources: rows that a split chooses from: arrays, picture files, or a user's dataset."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy import ndarray

from ..errors import DataError
from ..events import Note
from . import fingerprints
from .file_table import FileTable
from .targets import unlabelled

if TYPE_CHECKING:
    import torch

Edits = Mapping[str, Any]  # file, below the source's folder -> its class, or None: left out


class Chosen(Protocol):
    """What a Split is to those who read it: a source, and rows of it, int64, (n,)."""

    @property
    def source(self) -> Any: ...
    @property
    def rows(self) -> ndarray: ...
    @property
    def name(self) -> str: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Arrays:
    """Pictures (or vectors) held in memory.

    x : Tensor, uint8 or float, (N, C, H, W) or (N, features)
    labels : int64, (N,)
    bands : of TIFFs that they were read from (formats/bands.py): how many, and the kind of their
        numbers, as "uint16"; None for others
    """

    x: torch.Tensor
    labels: ndarray
    bands: tuple[int, str] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, row: int) -> ndarray:
        return _as_picture(self.x[row])


@dataclass(frozen=True, slots=True)
class Content:
    """What a file held when it was read.

    print : its hash (fingerprints.of_content); "" where it cannot be read
    stamp : what the disk said of it then: whoever writes to a file, or replaces it, changes that
    """

    print: str
    stamp: int

    @staticmethod
    def stamp_of(stat: os.stat_result) -> int:
        return hash((stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))


@dataclass(frozen=True, eq=False)
class Pictures:
    """Picture files.

    paths : absolute paths, in a fixed order; a FileTable where load() made it
    labels : int64, (N,)
    root : the folder that file names are relative to
    print : a hash of names, sizes and the contents that were looked at, the same on every machine;
        "" if nobody looked
    span : the values that become 0 and 255 in pictures of more than 8 bits (deep.py), or None
    contents : what each file holds, by row, of those that were looked at or decoded so far
    sampled : whether `print` says the content of some files only
    """

    paths: Sequence[Path]
    labels: ndarray
    root: Path
    print: str = ""
    span: tuple[float, float] | None = None
    contents: dict[int, Content] = field(default_factory=dict, repr=False)
    sampled: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, row: int) -> ndarray:
        from .images import decode

        return decode(self.paths[row], span=self.span)


@dataclass(frozen=True, eq=False)
class Items:
    """A user's own map-style dataset, read item by item with its own transforms.

    span : as of Pictures, where its items are PIL pictures of more than 8 bits
    """

    dataset: Any
    labels: ndarray
    collate: Callable[[list[Any]], Any] | None = None
    span: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, row: int) -> ndarray:
        import torch

        from .images import decode, is_pixels

        x = self.dataset[row][0]
        if isinstance(x, torch.Tensor):
            return _as_picture(x)
        if is_pixels(x):
            return decode(x, span=self.span)
        x = np.array(x)
        return _as_picture(torch.from_numpy(np.moveaxis(x, -1, 0) if x.ndim == 3 else x))


Source = Arrays | Pictures | Items  # rows that splits choose from; labels as in targets.py


def _as_picture(x: torch.Tensor) -> ndarray:
    """Show numbers (C, H, W), (H, W) or (features,) as uint8 (H, W, C)."""
    x = x.detach().cpu()
    if x.ndim < 3:
        x = x.reshape(1, -1, x.shape[-1])
    picture: ndarray = x.movedim(0, -1).numpy()
    if picture.dtype == np.dtype(np.uint8):
        return picture
    # floats have no fixed range: each picture is stretched over the range it holds
    low, high = float(picture.min()), float(picture.max())
    return ((picture - low) / (high - low or 1.0) * 255).round().astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Part:
    """One source on its way to be a split: its labels came, and are not yet numbered.

    labels : as they came, see targets.py
    make : makes the source, once the labels are numbers
    print : its fingerprint
    classes : names that the source itself knows
    batch_size : a DataLoader's own
    keyed : whether an item read twice under one key is the same
    groups : what each row belongs to, object, (N,), None for nothing; None where nobody said
    deep : the picture files of more than 8 bits a channel
    """

    labels: ndarray
    make: Callable[[ndarray], Source]
    print: str
    classes: tuple[str, ...] | None = None
    notes: tuple[Note, ...] = ()
    batch_size: int | None = None
    keyed: bool = True
    groups: ndarray | None = None
    deep: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> ndarray:
        """Say which rows have a label: bool, (N,)."""
        if self.labels.ndim == 1 and self.labels.dtype.kind not in "Of":
            return np.ones(
                len(self), bool
            )  # numbers as they came; -1 is no label yet but a mistake
        return ~unlabelled(self.labels)


@dataclass(frozen=True, eq=False)
class Parts:
    """What a place, a catalog name or a format gives.

    splits : by train, valid and test; train is there
    name : what the data is called
    root : the folder that names of files are relative to; None for arrays
    lines : how it was read, a sentence each
    """

    splits: dict[str, Part]
    name: str
    root: Path | None = None
    lines: tuple[str, ...] = ()

    def with_classes(self, classes: Sequence[str]) -> Parts:
        """Give the same parts with the names of their classes; none where nobody knows them."""
        names = tuple(classes) or None
        splits = {split: replace(part, classes=names) for split, part in self.splits.items()}
        return replace(self, splits=splits)


def name_of(path: Path, root: Path) -> str:
    """Name a file as an edit does: below the root, with / between folders."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def apply_edits(part: Part, edits: Edits) -> tuple[Part, set[str]]:
    """Give a part of picture files as edited, and the names of `edits` that it has.

    Raises
    ------
    DataError
        The pictures are no files, or their labels are numbers and an edit gives a name.
    """
    source = part.make(np.zeros(len(part), np.int64))
    if not isinstance(source, Pictures):
        raise DataError(
            "label_edits= goes with picture files.",
            f"the source is {type(source).__name__.lower()}",
            "leave these rows out of X and y",
        )
    root, labels, left_out = source.root, part.labels.copy(), list[str]()
    rows, names = list[int](), set[str]()
    files = FileTable.of(source.paths)
    for row, name in enumerate(files.below(root)):
        if name in edits:
            names.add(name)
            labels[row] = labels[row] if edits[name] is None else _edited(edits[name], labels)
        if name in edits and edits[name] is None:
            left_out.append(name)
        else:
            rows.append(row)
    if not names:
        return part, names
    paths = files.take(rows)
    contents = {new: source.contents[row] for new, row in enumerate(rows) if row in source.contents}
    fingerprint = fingerprints.of_value([part.print, sorted(left_out)])
    new = replace(
        part,
        labels=labels[rows],
        groups=None if part.groups is None else part.groups[rows],
        make=lambda y: replace(source, paths=paths, labels=y, print=fingerprint, contents=contents),
        print=fingerprint,
    )
    return new, names


def _edited(label: Any, labels: ndarray) -> Any:
    if labels.dtype.kind == "O" or not isinstance(label, str):
        return label
    if labels.ndim == 1 and label.isdecimal():
        return int(label)
    what = f"label_edits= gives the label {label!r}."
    why = "the labels of these pictures are numbers"
    raise DataError(what, why, "give names as labels, or leave the picture out: {file: None}")
