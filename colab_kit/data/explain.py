"""How a source was read, in a few plain lines: which folder is what, and where labels come from."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Split
from .file_table import FileTable
from .sources import Arrays, Part, Pictures
from .targets import unlabelled


def reading(
    shared: Mapping[str, tuple[Split, Part]],
    root: Path | None,
    labels: Any,
    classes: Sequence[str],
) -> tuple[str, ...]:
    """Say which folder is which split, and where labels come from.

    A table that says labels is named by the note of its reading.

    Parameters
    ----------
    shared : the splits, each with the part that it came from
    root : the source's folder; None for arrays and datasets
    labels : as load() was given them
    classes : names of the classes as the source has them
    """
    train = shared["train"][1]
    drawn_from = sum(len(split) for split, part in shared.values() if part is train)
    out = [
        _split(name, split, part is train and name != "train", drawn_from, root)
        for name, (split, part) in shared.items()
    ]
    out += _looked_at(train)
    if callable(labels):
        out.append("labels: what your function says of each path")
    elif isinstance(labels, Mapping):
        out.append("labels: your dict")
    elif _are_folders(shared["train"][0], classes):
        out.append("labels: the names of the class folders")
    return tuple(out)


def _are_folders(split: Split, classes: Sequence[str]) -> bool:
    """Tell whether each label is the name of a folder that its picture lies in."""
    if not isinstance(split.source, Pictures) or split.labels.ndim != 1:
        return False
    files = FileTable.of(split.source.paths)
    folder = files.folder[split.rows].astype(np.int64)
    pairs = np.unique(folder * len(classes) + split.labels)
    return all(
        set(classes[label].split("/")) <= set(_normal(files.folders[number]).split("/"))
        for number, label in zip(*np.divmod(pairs, len(classes)), strict=True)
    )


def _normal(folder: str) -> str:
    return unicodedata.normalize("NFC", Path(folder).as_posix())


def _split(name: str, split: Split, drawn: bool, total: int, root: Path | None) -> str:
    text = f"{name}: {len(split):,} {_things(split)}"
    if drawn:
        return f"{text} ({len(split) / total:.1%}), drawn from the training pictures"
    if isinstance(split.source, Pictures):
        folder = os.path.commonpath(FileTable.of(split.source.paths).used_folders())
        text += f" of {_below(Path(folder), root)}"
    if unlabelled(split.labels).all():
        text += ", without labels"
    return text


def _looked_at(part: Part) -> list[str]:
    """Say how many files were opened, where a sample was."""
    source = part.make(np.zeros(len(part), np.int64))
    if not isinstance(source, Pictures) or not source.sampled:
        return []
    many = f"{len(source.contents):,} of {len(source):,} pictures were looked at"
    return [f"contents: {many}, the others are when they are decoded"]


def _things(split: Split) -> str:
    return "rows" if isinstance(split.source, Arrays) and split.source.x.ndim == 2 else "pictures"


def _below(folder: Path, root: Path | None) -> str:
    if root is None or not folder.is_relative_to(root):
        return f"{folder}{os.sep}"
    return f"{folder.relative_to(root.parent).as_posix()}/"
