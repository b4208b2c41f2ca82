"""How a source was read, in a few plain lines: which folder is what, and where labels come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .dataset import Split
from .sources import Arrays, Part, Pictures
from .targets import unlabelled


def reading(
    shared: Mapping[str, tuple[Split, Part]], root: Path | None, labels: Any, lines: tuple[str, ...]
) -> tuple[str, ...]:
    """Say which folder is which split, and where labels come from.

    Parameters
    ----------
    shared : the splits, each with the part that it came from
    root : the source's folder; None for arrays and datasets
    labels : as load() was given them
    lines : what was said while the source was read: labels of a table are among it
    """
    train = shared["train"][1]
    out = [_split(name, split, part, train, root) for name, (split, part) in shared.items()]
    if isinstance(shared["train"][0].source, Pictures) and not any("abel" in x for x in lines):
        out.append(f"labels: {_labels(labels)}")
    return tuple(out)


def _split(name: str, split: Split, part: Part, train: Part, root: Path | None) -> str:
    text = f"{name}: {len(split):,} {_things(split)}"
    if part is train and name != "train":
        return f"{text}, drawn from the training pictures"
    if isinstance(split.source, Pictures):
        folder = os.path.commonpath([path.parent for path in split.source.paths])
        text += f" of {_below(Path(folder), root)}"
    if unlabelled(split.labels).all():
        text += ", without labels"
    return text


def _things(split: Split) -> str:
    return "rows" if isinstance(split.source, Arrays) and split.source.x.ndim == 2 else "pictures"


def _below(folder: Path, root: Path | None) -> str:
    if root is None or not folder.is_relative_to(root):
        return f"{folder}{os.sep}"
    return f"{folder.relative_to(root.parent).as_posix()}/"


def _labels(labels: Any) -> str:
    if labels is None:
        return "the names of the class folders"
    if callable(labels):
        return "what your function says of each path"
    return "your dict" if isinstance(labels, Mapping) else os.fspath(labels)
