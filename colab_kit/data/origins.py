"""Any source becomes parts: a path, a pair, a dataset, a DataLoader, or a dict of these."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from ..errors import RENAMED, DataError
from . import torch_datasets
from .arrays import file_pair, lists_files, of_pair, of_paths
from .folders.words import is_plain_split, one_split
from .paths import Opener
from .sources import Part, Parts
from .tables.request import LabelRequest


def parts_of(source: Any, request: LabelRequest, opener: Opener) -> Parts:
    """Give the parts of a source by split, its name, and the folder it is in."""
    if isinstance(source, str | os.PathLike):
        return opener.open(source, request)
    for word in ("labels", "label_column", "file_column"):
        if getattr(request, word) is not None:
            what = f"{word}= goes with a folder of pictures only."
            why = f"the source is a {type(source).__name__}"
            raise DataError(what, why, "pass the labels as (X, y)")
    if not isinstance(source, Mapping):
        return Parts({"train": part_of(source, LabelRequest(), opener)}, _name(source))
    request = LabelRequest(group=request.group)
    sources = {_split(str(key)): value for key, value in source.items()}
    several = len(sources) < len(source)
    if several or "train" not in sources or set(sources) - {"train", "valid", "test"}:
        raise DataError(
            f"The dict has the keys {', '.join(map(str, source)) or 'none'}.",
            "train is needed, valid and test may be there",
            'pass {"train": s, "valid": s, "test": s}, each a folder, a pair (X, y), or a dataset',
        )
    parts = {split: part_of(value, request, opener) for split, value in sources.items()}
    return Parts(parts, _name(sources["train"]))


def _split(key: str) -> str:
    """Give the split that a key means: Train, training and dev too."""
    return RENAMED["split"].get(key) or (one_split(key) if is_plain_split(key) else None) or key


def part_of(source: Any, request: LabelRequest, opener: Opener) -> Part:
    """Give the part of one source that is one split."""
    if isinstance(source, str | os.PathLike):
        return opener.open_split(source, request)
    kind = type(source).__name__
    if callable(getattr(source, "parameters", None)) and hasattr(source, "forward"):
        what, why = f"{kind} is a network, and data is needed here.", "were the arguments swapped?"
        raise DataError(what, why, "kit.train(model, data), and data = kit.load(folder)")
    if isinstance(source, DataLoader):
        return torch_datasets.of_loader(source)
    if (files := file_pair(source)) is not None:
        return of_paths(*files)
    if lists_files(source):
        what = f"The list of {len(source):,} files has no labels."
        raise DataError(what, "each picture needs its class", "kit.load((paths, labels))")
    if isinstance(source, tuple | list) and len(source) == 2:
        return of_pair(*_pair(source))
    if isinstance(source, np.ndarray | torch.Tensor):
        what = f"The array of shape {tuple(source.shape)} has no labels."
        raise DataError(what, "each picture needs its class", "kit.load((X, y))")
    if isinstance(source, IterableDataset) or torch_datasets.is_dataset(source):
        return torch_datasets.of_dataset(source)
    raise DataError(
        f"load() cannot read a {kind}.",
        "it is no folder, catalog name, pair of arrays, dataset or DataLoader",
        "kit.load('folder'), kit.load((X, y)), or kit.load(dataset)",
    )


def _pair(source: Sequence[Any]) -> Sequence[Any]:
    """Give a pair that is X and y, and not two splits."""
    x, y = source
    pairs = isinstance(x, tuple) and isinstance(y, tuple) and len(x) == len(y) == 2
    if pairs or isinstance(x, Dataset | DataLoader | str | os.PathLike):
        kinds = f"{type(x).__name__} and {type(y).__name__}"
        raise DataError(
            f"The pair holds two sources ({kinds}), not X and y.",
            "only you can say which of them trains and which validates",
            'pass {"train": first, "valid": second}, or "test"',
        )
    return source


def _name(source: Any) -> str:
    """Name a source without a folder."""
    if isinstance(source, str | os.PathLike):
        return Path(source).resolve().name
    source = source.dataset if isinstance(source, DataLoader) else source
    while isinstance(source, Subset):
        source = source.dataset
    if file_pair(source) is not None:
        return "pictures"
    return "arrays" if isinstance(source, tuple | list) else type(source).__name__
