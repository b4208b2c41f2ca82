"""torch datasets and DataLoaders, understood.

What lies in memory or in files is used directly; the rest is read item by item.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
)

from ..colab.staging import one_by_one
from ..errors import DataError
from ..events import Note
from . import fingerprints
from .arrays import of_files, of_pair, of_paths
from .dict_items import DictItems, of_dicts
from .keyed_random import Looked, item_under_key
from .labels import read_labels
from .sources import Items, Part
from .user_datasets import law_of_items

IN_PLACE_OF = {  # sampler: what it is for, and what does that here
    "WeightedRandomSampler": "it evens out the classes: pass the dataset itself and train with "
    "class_weights='balanced'",
    "SubsetRandomSampler": "it chooses rows: pass torch.utils.data.Subset(dataset, rows)",
    "DistributedSampler": "it deals rows to processes: pass the dataset itself",
}


def is_dataset(source: Any) -> bool:
    methods = hasattr(type(source), "__getitem__") and hasattr(type(source), "__len__")
    return isinstance(source, Dataset) or methods


def of_loader(loader: DataLoader[Any]) -> Part:
    """Use a DataLoader's dataset, batch size and collate; the order becomes ours.

    With an order of its own a run could not continue where it was.

    Raises
    ------
    DataError
        It has a sampler whose order cannot be repeated, or no batches; or see of_dataset().
    """
    sampler = loader.sampler
    plain = type(sampler) is SequentialSampler
    if type(sampler) is RandomSampler:
        plain = not sampler.replacement and sampler.num_samples == len(sampler.data_source)
    if isinstance(loader.dataset, IterableDataset):
        raise _iterable(loader.dataset)
    if loader.batch_size is None or not plain:
        name = type(loader.batch_sampler if plain else sampler).__name__
        what = "The DataLoader makes no batches."
        if loader.batch_sampler is not None:
            what = f"The DataLoader has a {name} of its own."
        why = "here seed and epoch decide the order, so that a killed run continues where it was"
        fix = "pass the dataset itself, or a DataLoader with batch_size= and shuffle= only"
        raise DataError(what, why, IN_PLACE_OF.get(name, fix))
    collate = None if loader.collate_fn is default_collate else loader.collate_fn
    return replace(of_dataset(loader.dataset, collate=collate), batch_size=loader.batch_size)


def of_dataset(dataset: Any, *, collate: Any = None) -> Part:
    """Understand a map-style dataset of (picture, label) items.

    Raises
    ------
    DataError
        It is empty or iterable-only, or its items are no pairs; or it lies on Drive and its files
        are too many to read there one by one.
    """
    if isinstance(dataset, IterableDataset):
        raise _iterable(dataset)
    if len(dataset) == 0:
        what, why = f"The dataset {_name(dataset)} is empty.", "its len() is 0"
        raise DataError(what, why, "see whether its files or its filter are right")
    part = None if collate else _out_of_memory(dataset) or _out_of_files(dataset)
    looked = Looked(dataset)
    if part is None and isinstance(looked[0], dict):
        return _of_dicts(dataset, collate)
    return replace(part or _items(dataset, collate, looked), classes=_classes(dataset))


def _of_dicts(dataset: Any, collate: Any) -> Part:
    """Read items that are dicts, by the usual names of their keys."""
    if collate is not None:
        what = f"The items of {_name(dataset)} are dicts, and the DataLoader has its own collate."
        raise DataError(what, "here a batch is made of (picture, label) pairs", "kit.load(dataset)")
    pairs = of_dicts(dataset)
    text = f"The items are dicts: {pairs.picture!r} is taken as the picture, {pairs.label!r} as"
    note = Note(f"{text} the label.")
    if pairs.holds_files:
        rows = [pairs[row] for row in range(len(pairs))]
        part = of_paths([path for path, _ in rows], [label for _, label in rows])
    else:
        part = _items(pairs, None, Looked(pairs))
    return replace(part, classes=_classes(pairs), notes=(note, *part.notes))


def _base(dataset: Any) -> tuple[Any, ndarray]:
    """Give what a Subset of a Subset chooses from, and the rows."""
    rows = np.arange(len(dataset))
    while type(dataset) is Subset:
        rows = np.asarray(dataset.indices, np.int64)[rows]
        dataset = dataset.dataset
    return dataset, rows


def _out_of_memory(dataset: Any) -> Part | None:
    """Use the arrays of a TensorDataset, or of torchvision's MNIST and CIFAR without transforms."""
    base, rows = _base(dataset)
    if type(base) is TensorDataset and len(base.tensors) == 2:
        return of_pair(base.tensors[0][rows], base.tensors[1][rows])
    x: Any = getattr(base, "data", None)
    y = _targets(base)
    if not hasattr(x, "shape") or y is None or _has_transforms(base) or len(x) != len(base):
        return None
    is_all = len(rows) == len(base) and (rows == np.arange(len(base))).all()
    ends = (0, len(rows) - 1)
    try:
        part = of_pair(x if is_all else x[rows], y[rows])
        whole = part.labels.dtype.kind == "i"
        source = part.make(part.labels if whole else np.zeros(len(part), np.int64))
        items = [item_under_key(dataset, row) for row in ends]
        pictures = [source.picture(row) for row in ends]
    except DataError:
        return None
    for row, item, picture in zip(ends, items, pictures, strict=True):
        if not _same(item, picture, part.labels[row]):
            return None  # __getitem__ does something of its own
    return part


def _same(item: Any, picture: ndarray, label: Any) -> bool:
    if not isinstance(item, tuple | list) or len(item) != 2 or not _agree(label, item[1]):
        return False
    pixels = np.asarray(item[0])
    if pixels.dtype != np.dtype(np.uint8):
        return False
    layouts = [pixels, np.moveaxis(pixels, 0, -1)] if pixels.ndim != 2 else [pixels[..., None]]
    return any(np.array_equal(layout, picture) for layout in layouts)


def _too_far(dataset: Any) -> DataError | None:
    """Say what is wrong with reading the picture files of such as an ImageFolder where they lie."""
    base, rows = _base(dataset)
    root = getattr(base, "root", None)
    if not getattr(base, "samples", None) or not isinstance(root, str | os.PathLike):
        return None
    return one_by_one(Path(root), len(rows))


def _out_of_files(dataset: Any) -> Part | None:
    """Use the paths of torchvision's ImageFolder without transforms."""
    base, rows = _base(dataset)
    samples, loader = getattr(base, "samples", None), getattr(base, "loader", None)
    readers = {getattr(f, "__module__", "") for f in (loader, type(base).__getitem__)}
    if not samples or _has_transforms(base) or readers != {"torchvision.datasets.folder"}:
        return None  # or __getitem__ does something of its own
    names = _classes(base)
    if names is None or not hasattr(base, "root"):
        return None
    if (error := _too_far(dataset)) is not None:
        raise error
    paths, labels = zip(*(samples[row] for row in rows), strict=True)
    files = [Path(path).absolute() for path in paths]
    return of_files(files, [names[label] for label in labels], Path(base.root).absolute())


def _items(dataset: Any, collate: Any, looked: Looked) -> Part:
    """Read items one by one."""
    notes = []
    if (error := _too_far(dataset)) is not None:  # a transform may have no other way: a warning
        notes.append(Note(str(error), "warn"))
    base, rows = _base(dataset)
    name, n = _name(dataset), len(dataset)
    first, last = looked[0], looked[n - 1]
    if not isinstance(first, tuple | list) or len(first) != 2:
        why = f"item 0 is a {type(first).__name__}"
        if isinstance(first, tuple | list):
            why += f" of {len(first)}"
        what = f"The items of {name} are no (picture, label) pairs."
        raise DataError(what, why, "let __getitem__ return (x, y)")
    labels, y = None, _targets(base)
    if y is not None and getattr(base, "target_transform", None) is None:
        labels = _labels_or_none(y[rows], n)
    if labels is None or not (_agree(labels[0], first[1]) and _agree(labels[-1], last[1])):
        text = f"{name} has no .targets: all {n:,} items were read once for their labels."
        notes.append(Note(text))
        labels = read_labels([_plain(item_under_key(dataset, row)[1]) for row in range(n)], n)
    if labels.dtype.kind == "O" and collate:
        raise DataError(
            f"The labels of {name} are names such as {labels[0]!r}.",
            "your collate_fn makes a batch of them, and the loss takes numbers",
            "let __getitem__ return the class's number, and give the names with class_names=",
        )
    if _has_transforms(base) and (hasattr(base, "data") or hasattr(base, "samples")):
        text = "has transforms of its own and is read item by item"
        notes.append(Note(f"{_name(base)} {text}; without transform= it is read much faster."))
    fingerprint, keyed = fingerprints.of_dataset(dataset, looked)
    if not keyed:
        text = "gives another picture each time it is read: its runs cannot be repeated exactly."
        notes.append(Note(f"{name} {text}", "warn"))
    span, read_as_files = law_of_items(dataset, looked)
    notes += [read_as_files] if read_as_files else []
    if collate:
        fingerprint = fingerprints.of_value([fingerprint, fingerprints.of_callable(collate)])

    def make(numbers: ndarray) -> Items:
        return Items(dataset, numbers, collate, span)

    return Part(labels, make, fingerprint, notes=tuple(notes), keyed=keyed)


def _targets(base: Any) -> ndarray | None:
    for name in ("targets", "labels"):
        y = getattr(base, name, None)
        if y is not None and not callable(y) and hasattr(y, "__len__") and len(y) == len(base):
            return np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    return None


def _labels_or_none(y: ndarray, n: int) -> ndarray | None:
    try:
        return read_labels(y, n)
    except DataError:
        return None


def _agree(label: Any, item: Any) -> bool:
    kind = None if np.ndim(label) == 0 else np.float32
    return np.array_equal(np.asarray(_plain(item), kind), label)


def _plain(label: Any) -> Any:
    """Give a label as a number or a name: datasets give tensors and numpy scalars too."""
    if getattr(label, "ndim", None) == 0:
        return label.item()
    return label.tolist() if hasattr(label, "tolist") else label


def _has_transforms(base: Any) -> bool:
    names = ("transform", "target_transform", "transforms")
    return any(getattr(base, name, None) is not None for name in names)


def _classes(dataset: Any) -> tuple[str, ...] | None:
    classes = getattr(_base(dataset)[0], "classes", None)
    if not isinstance(classes, Sequence) or isinstance(classes, str):
        return None
    names = tuple(map(str, classes))
    return names if len(set(names)) == len(names) else None


def _name(dataset: Any) -> str:
    inner = dataset.dataset if isinstance(dataset, DictItems) else dataset
    return type(inner).__name__


def _iterable(dataset: Any) -> DataError:
    return DataError(
        f"{_name(dataset)} is an IterableDataset.",
        "it has no length and no rows, so it cannot be shuffled by key, split, or continued where "
        "a run was killed",
        "pass a dataset with __len__ and __getitem__, or a folder, or list(dataset) as arrays: "
        "kit.load((X, y))",
    )
