"""torch datasets and DataLoaders, understood: what lies in memory or in files is taken out of them, the rest is read item by item."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
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

from ..errors import DataError
from ..events import Note
from . import fingerprints, keyed_random
from .arrays import Part, of_files, of_pair
from .dataset import Items
from .labels import as_given

TOLD_INSTEAD = {  # sampler: what it is for, and what does that here
    "WeightedRandomSampler": "it evens out the classes: pass the dataset itself and train with class_weights='balanced'",
    "SubsetRandomSampler": "it chooses rows: pass torch.utils.data.Subset(dataset, rows)",
    "DistributedSampler": "it deals rows to processes: pass the dataset itself",
}


Far = Callable[
    [Path, int], DataError | None
]  # what is wrong with reading so many files of a folder one by one


def nowhere_far(folder: Path, files: int) -> None:
    """Every folder is near."""


def is_dataset(source: Any) -> bool:
    return isinstance(source, Dataset) or all(
        hasattr(type(source), name) for name in ("__getitem__", "__len__")
    )


def of_loader(loader: DataLoader[Any], far: Far = nowhere_far) -> Part:
    """A DataLoader's dataset, batch size and collate; the order becomes ours, or a run could not go on where it was.

    Raises
    ------
    DataError
        It has a sampler whose order cannot be repeated, or no batches; or see of_dataset().
    """
    sampler = loader.sampler
    plain = type(sampler) is SequentialSampler or (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and sampler.num_samples == len(sampler.data_source)
    )
    if isinstance(loader.dataset, IterableDataset):
        raise _iterable(loader.dataset)
    if loader.batch_size is None or not plain:
        name = type(sampler if not plain else loader.batch_sampler).__name__
        raise DataError(
            f"The DataLoader has a {name} of its own."
            if loader.batch_sampler is not None
            else "The DataLoader makes no batches.",
            "the order of the pictures is keyed by seed and epoch here, so that a killed run goes on exactly where it was",
            TOLD_INSTEAD.get(
                name, "pass the dataset itself, or a DataLoader with batch_size= and shuffle= only"
            ),
        )
    collate = None if loader.collate_fn is default_collate else loader.collate_fn
    part = of_dataset(loader.dataset, collate=collate, far=far)
    return Part(
        part.labels, part.make, part.print, part.classes, part.notes, loader.batch_size, part.keyed
    )


def of_dataset(dataset: Any, *, collate: Any = None, far: Far = nowhere_far) -> Part:
    """A map-style dataset of (picture, label) items.

    Raises
    ------
    DataError
        It is empty or iterable-only, or its items are no pairs; or its files are too many for where they lie.
    """
    if isinstance(dataset, IterableDataset):
        raise _iterable(dataset)
    if len(dataset) == 0:
        raise DataError(
            f"The dataset {_name(dataset)} is empty.",
            "its len() is 0",
            "see whether its files or its filter are right",
        )
    classes = _classes(dataset)
    part = None if collate else _out_of_memory(dataset) or _out_of_files(dataset, far)
    if part is None:
        return _items(dataset, classes, collate, far)
    return Part(part.labels, part.make, part.print, classes, part.notes)


def _base(dataset: Any) -> tuple[Any, np.ndarray]:
    """What a Subset of a Subset … chooses from, and the rows."""
    rows = np.arange(len(dataset))
    while type(dataset) is Subset:
        rows = np.asarray(dataset.indices, np.int64)[rows]
        dataset = dataset.dataset
    return dataset, rows


def _out_of_memory(dataset: Any) -> Part | None:
    """The arrays of a TensorDataset, or of torchvision's MNIST, CIFAR, SVHN … without transforms."""
    base, rows = _base(dataset)
    if type(base) is TensorDataset and len(base.tensors) == 2:
        return of_pair(base.tensors[0][rows], base.tensors[1][rows])
    x: Any = getattr(base, "data", None)
    y = _targets(base)
    if not hasattr(x, "shape") or y is None or _transformed(base) or len(x) != len(base):
        return None
    chosen = x if len(rows) == len(base) and (rows == np.arange(len(base))).all() else x[rows]
    try:
        part = of_pair(chosen, y[rows])
        numbers = part.labels if part.labels.dtype.kind == "i" else np.zeros(len(part), np.int64)
        source = part.make(numbers)
        first, last = (_read(dataset, row) for row in (0, len(rows) - 1))
        pictures = (source.picture(0), source.picture(len(rows) - 1))
    except DataError:
        return None
    for item, label, picture in (
        (first, part.labels[0], pictures[0]),
        (last, part.labels[-1], pictures[1]),
    ):
        if not _same(item, picture, label):
            return None  # __getitem__ does something of its own
    return part


def _same(item: Any, picture: np.ndarray, label: Any) -> bool:
    if not isinstance(item, tuple | list) or len(item) != 2 or not _agree(label, item[1]):
        return False
    pixels = np.asarray(item[0])
    if pixels.dtype != np.dtype(np.uint8):
        return False
    return any(
        got.shape == picture.shape and bool((got == picture).all()) for got in _layouts(pixels)
    )


def _layouts(pixels: np.ndarray) -> list[np.ndarray]:
    return [pixels[..., None]] if pixels.ndim == 2 else [pixels, np.moveaxis(pixels, 0, -1)]


def _too_far(dataset: Any, far: Far) -> DataError | None:
    """What is wrong with reading the picture files of such as an ImageFolder where they lie."""
    base, rows = _base(dataset)
    root = getattr(base, "root", None)
    return (
        far(Path(root), len(rows))
        if getattr(base, "samples", None) and isinstance(root, str | os.PathLike)
        else None
    )


def _out_of_files(dataset: Any, far: Far) -> Part | None:
    """The paths of torchvision's ImageFolder without transforms."""
    base, rows = _base(dataset)
    samples, loader = getattr(base, "samples", None), getattr(base, "loader", None)
    reads = {getattr(function, "__module__", "") for function in (loader, type(base).__getitem__)}
    if not samples or _transformed(base) or reads != {"torchvision.datasets.folder"}:
        return None  # or __getitem__ does something of its own
    names = _classes(base)
    if names is None or not hasattr(base, "root"):
        return None
    if (error := _too_far(dataset, far)) is not None:
        raise error
    chosen = [samples[row] for row in rows]
    return of_files(
        [Path(path).absolute() for path, _ in chosen],
        [names[label] for _, label in chosen],
        Path(base.root).absolute(),
    )


def _items(dataset: Any, classes: tuple[str, ...] | None, collate: Any, far: Far) -> Part:
    error = _too_far(dataset, far)  # a transform of its own may have no other way: it is told
    notes = [] if error is None else [Note(str(error), "warn")]
    base, rows = _base(dataset)
    first = _read(dataset, 0)
    if not isinstance(first, tuple | list) or len(first) != 2:
        inside = (
            ", ".join(map(str, first))
            if isinstance(first, dict)
            else f"{len(first)}"
            if isinstance(first, tuple | list)
            else ""
        )
        why = f"item 0 is a {type(first).__name__}{' of ' * bool(inside)}{inside}"
        raise DataError(
            f"The items of {_name(dataset)} are no (picture, label) pairs.",
            why,
            "let __getitem__ return (x, y)",
        )
    y = _targets(base)
    labels = (
        None
        if y is None or getattr(base, "target_transform", None) is not None
        else _numbers(y[rows], len(dataset))
    )
    if (
        labels is None
        or not _agree(labels[0], first[1])
        or not _agree(labels[-1], _read(dataset, len(dataset) - 1)[1])
    ):
        notes.append(
            Note(
                f"{_name(dataset)} has no .targets: all {len(dataset):,} items were read once for their labels."
            )
        )
        labels = as_given(
            [_plain(_read(dataset, row)[1]) for row in range(len(dataset))], len(dataset)
        )
    if labels.dtype.kind == "O":
        raise DataError(
            f"The labels of {_name(dataset)} are names such as {labels[0]!r}.",
            "its items go to the loss as they are",
            "let __getitem__ return the class's number, and give the names with class_names=",
        )
    if _transformed(base) and (hasattr(base, "data") or hasattr(base, "samples")):
        notes.append(
            Note(
                f"{_name(base)} has transforms of its own and is read item by item; without transform= it is read much faster."
            )
        )
    seen, same = fingerprints.of_dataset(dataset)
    if not same:
        notes.append(
            Note(
                f"{_name(dataset)} gives another picture each time it is asked: its runs cannot be repeated exactly.",
                "warn",
            )
        )
    seen = fingerprints.of_value([seen, fingerprints.of_callable(collate)]) if collate else seen
    return Part(
        labels,
        lambda numbers: Items(dataset, numbers, collate),
        seen,
        classes,
        tuple(notes),
        keyed=same,
    )


def _read(dataset: Any, row: int) -> Any:
    with keyed_random.outer_streams_kept():
        keyed_random.seed_all(*keyed_random.sample_key(0, 0, row))
        return dataset[row]


def _targets(base: Any) -> np.ndarray | None:
    for name in ("targets", "labels"):
        y = getattr(base, name, None)
        if y is not None and not callable(y) and hasattr(y, "__len__") and len(y) == len(base):
            return np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    return None


def _numbers(y: np.ndarray, n: int) -> np.ndarray | None:
    try:
        return as_given(y, n)
    except DataError:
        return None


def _agree(label: Any, item: Any) -> bool:
    return np.array_equal(
        np.asarray(_plain(item), None if np.ndim(label) == 0 else np.float32), label
    )


def _plain(label: Any) -> Any:
    """A label as a number or a name: datasets give tensors and numpy scalars too."""
    if getattr(label, "ndim", None) == 0:
        return label.item()
    return label.tolist() if hasattr(label, "tolist") else label


def _transformed(base: Any) -> bool:
    return any(
        getattr(base, name, None) is not None
        for name in ("transform", "target_transform", "transforms")
    )


def _classes(dataset: Any) -> tuple[str, ...] | None:
    classes = getattr(_base(dataset)[0], "classes", None)
    if (
        isinstance(classes, Sequence)
        and not isinstance(classes, str)
        and len(set(map(str, classes))) == len(classes)
    ):
        return tuple(map(str, classes))
    return None


def _name(dataset: Any) -> str:
    return type(dataset).__name__


def _iterable(dataset: Any) -> DataError:
    return DataError(
        f"{_name(dataset)} is an IterableDataset.",
        "it has no length and no rows, so it cannot be shuffled by key, split, or continued where a run was killed",
        "pass a dataset with __len__ and __getitem__, or a folder, or list(dataset) as arrays: kit.load((X, y))",
    )
