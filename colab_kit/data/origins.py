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
from .arrays import file_pair, lists_files, lists_pictures, of_pair, of_paths
from .folders.tree import some
from .folders.words import is_plain_split, one_split
from .formats import pairing
from .paths import Opener
from .sources import Part, Parts
from .tables.request import LabelRequest

SECOND = ("test", "valid")  # what the second of two sources may be


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
    arrays = [key for key, value in source.items() if getattr(value, "shape", ())]
    if "train" not in sources and len(arrays) > 1:  # x_train, y_train …; or a .npz file, opened
        return pairing.of_mapping({str(key): source[key] for key in arrays})
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
    if isinstance(source, tuple) and (lines := _lines_of_splits(source)):
        what = f"The tuple holds {len(source)} things, not X and y."
        raise DataError(what, "only you can say which of them trains", " or ".join(lines))
    if kind == "DataFrame":
        raise _table_in_memory(source)
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
        ways = (f"kit.load({{'train': source[0], {split!r}: source[1]}})" for split in SECOND)
        raise DataError(
            f"The pair holds two sources ({kinds}), not X and y.",
            "only you can say which of them trains and which validates",
            " or ".join(ways),
        )
    return source


def _lines_of_splits(source: tuple[Any, ...]) -> list[str]:
    """Give the lines that load a tuple of splits: pairs, or arrays as train_test_split has them."""
    pairs = all(isinstance(one, tuple | list) and len(one) == 2 for one in source)
    if len(source) == 3 and pairs:
        return ["kit.load({'train': source[0], 'valid': source[1], 'test': source[2]})"]
    if len(source) != 4 or not all(hasattr(one, "__len__") for one in source):
        return []
    size = list(map(len, source))
    fitting = [of for of in ((0, 1, 2, 3), (0, 2, 1, 3)) if _fit(size, of)]
    return [
        f"kit.load({{'train': (source[{a}], source[{b}]), {split!r}: (source[{c}], source[{d}])}})"
        for a, b, c, d in fitting
        for split in SECOND
    ]


def _fit(size: Sequence[int], order: Sequence[int]) -> bool:
    a, b, c, d = (size[place] for place in order)
    return a == b and c == d


def _table_in_memory(frame: Any) -> DataError:
    """Say what a DataFrame is loaded as: two of its columns, or the table beside the pictures."""
    columns = list(frame.columns)
    files = [c for c in columns if lists_pictures(frame[c].tolist())]
    lines = [
        f"kit.load((source[{files[0]!r}].tolist(), source[{c!r}].tolist()))"
        for c in columns
        if files and c != files[0]
    ]
    lines += ["source.to_csv('labels.csv', index=False); kit.load('folder', labels='labels.csv')"]
    what, why = "load() takes no DataFrame.", f"its columns are {some(list(map(str, columns)))}"
    return DataError(what, why, " or ".join(lines[-4:]))


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
