"""load(): pictures from wherever they are, split by key, as the Data that every other verb takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from ..colab.mounting import stand_in_path
from ..colab.staging import one_by_one
from ..errors import RENAMED, DataError, new_word, new_words
from ..events import Callback, Callbacks, Control, Event, Note
from ..system.console import with_console
from . import fingerprints, torch_datasets
from .arrays import Part, display_names, of_pair
from .dataset import Data, Split
from .edits import Edits, edited
from .folders import some
from .labels import class_names as numbered_names
from .paths import open_place, open_split
from .splitting import as_limit, as_share, share_out
from .tables import Labels
from .targets import TASKS, as_task, task_of


@new_words
def load(
    source: Any,
    *extra: Any,
    valid: Any = None,
    test: Any = None,
    labels: Labels | None = None,
    class_names: Mapping[str, str] | Sequence[str] | str | os.PathLike[str] | None = None,
    task: str | None = None,
    label_edits: Edits | None = None,
    max_per_class: int | None = None,
    seed: int = 0,
    strict: bool = False,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    control: Control | None = None,
) -> Data:
    """Load pictures and split them.

    Parameters
    ----------
    source : a folder of class folders, with or without train/ valid|val/ test/ above them, or its zip or tar; a name of the
        catalog: "fashion-mini", "fashion-mnist", "mnist", "cifar-10", "cifar-100", "cat-dog", "hymenoptera", "flower-data", "flowers-102",
        "oxford-pets", "imagenette", "imagenette-320" or "imagenette-160"; (X, y), arrays or tensors; a torch Dataset or DataLoader;
        {"train": s, "valid": s, "test": s} of these; or Data
        X: uint8 or float, (N, H, W), (N, C, H, W), (N, H, W, C) or (N, features).
        y: class numbers or names; several names a picture, or rows of 0 and 1; floats, (N,) or (N, targets)
    valid : None, float, 0, "test", or a source
        None: the source's own, else a keyed stratified fifth of the training pictures (a tenth from 20,000 up), at least one
        a class. A float: that share of them. 0: none. "test": the test split.
    test : None, float, 0, or a source
        None: the source's own. A folder without class folders is for predict only.
    labels : CSV path, {file: label}, or callable(path) -> label, for a folder; a label may be several names ("haze|water") or a number
    class_names : a dict, or a JSON file as cat_to_name.json: what class folders are called; or a list of the class names in the order of
        their numbers. Without it: the folders' names, the source's own, or the numbers
    task : "classification" (one class a picture), "multilabel" (several) or "regression" (numbers); seen from the labels, if None
    label_edits : {file: class, or None: left out}, for picture files named below the source's folder; what a Cleaner gives
    max_per_class : int, at most so many pictures a class, in each split as it was given
    seed : int, key of the draws for valid, test and max_per_class, and of nothing else
    strict : bool, whether what else would be a warning is an error
    callbacks, quiet : who is given the events beside the console; whether the console says nothing
    control : Control, optional, to stop bringing the source from another thread

    What lies on Drive is brought to the fast disk first, once; a folder of many small files is packed for the next session.
    A picture replaced there under its old name is not noticed: give the folder another name.

    Raises
    ------
    DataError
        It says which file or row is wrong, and the fix; or how much room the fast disk lacks.
    DriveError
        The source could not be read from Drive, or `control` was stopped.

    Examples
    --------
    >>> load("fashion-mini", quiet=True).counts["train"]["Bag"]
    480
    """
    if extra:
        raise DataError(
            f"load() takes one source, and {1 + len(extra)} were given.",
            "pictures and labels travel as one pair",
            "kit.load((X, y))",
        )
    if isinstance(source, Data):
        given_too = {
            "valid": valid,
            "test": test,
            "labels": labels,
            "class_names": class_names,
            "task": task,
            "label_edits": label_edits,
            "max_per_class": max_per_class,
        }
        return _as_it_is(
            source,
            [name for name, value in given_too.items() if value is not None]
            + ["seed"] * bool(seed)
            + ["strict"] * strict,
        )
    limit, ears = as_limit(max_per_class), _Ears(with_console(callbacks, quiet=quiet), control)
    names, in_order = _named(class_names)
    parts, name, root = _understood(source, labels, ears)
    for split, told in (("valid", valid), ("test", test)):
        if _is_source(told, split):
            parts[split] = _one(told, labels if isinstance(told, str | os.PathLike) else None, ears)
    for part in parts.values():
        ears.hear(part.notes)
    if label_edits:
        ears.hear([_edit(parts, _by_folder(label_edits, parts["train"], names, root))])
    asked, task = task, _task(parts["train"], task, name, labels is not None)
    for split, part in parts.items():
        needed, said = as_task(part.labels, task)
        parts[split] = replace(part, labels=needed)
        ears.hear(said if split == "train" else ())
    if task == "regression" and asked is None:
        ears(Note("The labels are floats: they are learned as numbers (task='regression')."))
    given = parts["train"]
    found = numbered_names(
        given.labels[given.labelled], in_order if in_order is not None else given.classes, task
    )
    shared = share_out(parts, found, valid=valid, test=test, limit=limit, seed=seed, say=ears)
    if names is not None:
        found, said = display_names(names, found, root)
        ears.hear(said)
    ears.judge(name, strict)
    splits = {key: one for key, (one, _) in shared.items()}
    return Data(
        splits["train"],
        splits.get("valid"),
        splits.get("test"),
        classes=found,
        name=name,
        fingerprint=_fingerprint(found, shared, given.batch_size, task),
        task=task,
        batch_size=given.batch_size,
        keyed=all(part.keyed for _, part in shared.values()),
        notes=tuple(note.text for note in ears.notes),
    )


def _named(class_names: Any) -> tuple[Any, Sequence[str] | None]:
    """What folders are called, and the names in the order of their numbers: one of them, or neither."""
    if class_names is None or isinstance(class_names, (Mapping, str, os.PathLike)):
        return class_names, None
    return None, class_names


def _as_it_is(data: Data, asked: list[str]) -> Data:
    if asked:
        what = f"{data.name} is loaded already, and {' and '.join(f'{name}=' for name in asked)} would be passed over."
        fix = f"pass {asked[0]}= where it is first loaded: kit.load(source, {asked[0]}=…)"
        raise DataError(what, "its splits are drawn", fix)
    return data


def _fingerprint(
    classes: Sequence[str],
    shared: Mapping[str, tuple[Split, Part]],
    batch_size: int | None,
    task: str,
) -> str:
    """What the splits came to: sources, rows, labels, names. valid=, test=, labels=, max_per_class= and seed= are in it by their effect."""
    own: dict[str, Any] = (
        {} if batch_size is None else {"batch_size": batch_size}
    )  # a DataLoader's, that training takes over
    own |= {"task": task} if task != "classification" else {}
    prints = {
        key: [part.print, fingerprints.of_split(split.rows, split.labels)]
        for key, (split, part) in shared.items()
    }
    return fingerprints.of_value({"classes": classes, "splits": prints, **own})


class _Ears:
    """Hand events on, and keep the notes: they belong to the data. What is told while it is brought goes to `emit` alone."""

    def __init__(self, emit: Callbacks, control: Control | None) -> None:
        self.emit = emit
        self.control = control
        self.notes: list[Note] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note):
            self.notes.append(event)
        self.emit(event)

    def hear(self, notes: Iterable[Note]) -> None:
        for note in notes:
            self(note)

    def judge(self, name: str, strict: bool) -> None:
        warned = [note.text for note in self.notes if note.level == "warn"]
        if strict and warned:
            raise DataError(
                f"{name} was not loaded: strict=True, and there {'was a warning' if len(warned) == 1 else f'were {len(warned)} warnings'}.",
                " ".join(warned),
                "put it right, or load with strict=False",
            )


def _understood(
    source: Any, labels: Labels | None, ears: _Ears
) -> tuple[dict[str, Part], str, Path | None]:
    """The parts of a source by split, its name, and the folder it is in."""
    if isinstance(source, str | os.PathLike):
        return open_place(source, labels, ears.emit, stand_in_path, ears.control)
    if labels is not None:
        why = f"the source is a {type(source).__name__}"
        raise DataError(
            "labels= goes with a folder of pictures only.", why, "pass the labels as (X, y)"
        )
    if not isinstance(source, Mapping):
        return {"train": _one(source, None, ears)}, _called(source), None
    named = {RENAMED["split"].get(str(key), str(key)): value for key, value in source.items()}
    if "train" not in named or set(named) - {"train", "valid", "test"}:
        raise DataError(
            f"The dict has the keys {', '.join(map(str, source)) or 'none'}.",
            "train is needed, valid and test may be there",
            'pass {"train": s, "valid": s, "test": s}, each a folder, a pair (X, y), or a dataset',
        )
    return (
        {key: _one(value, None, ears) for key, value in named.items()},
        _called(named["train"]),
        None,
    )


def _one(source: Any, labels: Labels | None, ears: _Ears) -> Part:
    """One source that is one split."""
    if isinstance(source, str | os.PathLike):
        return open_split(source, labels, ears.emit, stand_in_path, ears.control)
    if callable(getattr(source, "parameters", None)) and hasattr(source, "forward"):
        what = f"{type(source).__name__} is a network, and data is needed here."
        raise DataError(
            what,
            "were the arguments swapped?",
            "kit.train(model, data), and data = kit.load(folder)",
        )
    if isinstance(source, DataLoader):
        return torch_datasets.of_loader(source, one_by_one)
    if isinstance(source, tuple | list) and len(source) == 2:
        return of_pair(*_paired(source))
    if isinstance(source, np.ndarray | torch.Tensor):
        raise DataError(
            f"The array of shape {tuple(source.shape)} has no labels.",
            "each picture needs its class",
            "kit.load((X, y))",
        )
    if isinstance(source, IterableDataset) or torch_datasets.is_dataset(source):
        return torch_datasets.of_dataset(source, far=one_by_one)
    raise DataError(
        f"load() cannot read a {type(source).__name__}.",
        "it is no folder, catalog name, pair of arrays, dataset or DataLoader",
        "kit.load('folder'), kit.load((X, y)), or kit.load(dataset)",
    )


def _paired(source: Sequence[Any]) -> tuple[Any, Any]:
    """A pair that is X and y, and not two splits."""
    x, y = source
    if isinstance(x, Dataset | DataLoader | str | os.PathLike) or (
        isinstance(x, tuple) and isinstance(y, tuple) and len(x) == len(y) == 2
    ):
        raise DataError(
            f"The pair holds two sources ({type(x).__name__} and {type(y).__name__}), not X and y.",
            "which of them trains and which validates has to be said",
            'pass {"train": first, "valid": second}, or "test"',
        )
    return x, y


def _called(source: Any) -> str:
    """What a source without a folder is called."""
    if isinstance(source, str | os.PathLike):
        return Path(source).resolve().name
    source = source.dataset if isinstance(source, DataLoader) else source
    while isinstance(source, Subset):
        source = source.dataset
    return "arrays" if isinstance(source, tuple | list) else type(source).__name__


def _by_folder(edits: Edits, train: Part, names: Any, root: Path | None) -> Edits:
    """Edits that name classes as class_names= shows them, with the folders' names."""
    if names is None or train.labels.dtype.kind != "O":
        return edits
    folders = sorted({label for label in train.labels[train.labelled] if isinstance(label, str)})
    shown = dict(zip(display_names(names, folders, root)[0], folders, strict=True))
    return {name: shown.get(label, label) for name, label in edits.items()}


def _edit(parts: dict[str, Part], edits: Edits) -> Note:
    """Apply edits to all parts; what came of it."""
    known: set[str] = set()
    for split, part in parts.items():
        parts[split], found = edited(part, edits)
        known |= found
    dropped = sum(edits[name] is None for name in known)
    lost = sorted(set(edits) - known)
    missing = f" Not found: {some(lost)}." if lost else ""
    return Note(
        f"label_edits= leaves {dropped} pictures out and gives {len(known) - dropped} another label.{missing}",
        "warn" if lost else "info",
    )


def _task(part: Part, asked: str | None, name: str, told: bool) -> str:
    """What is learned from the training labels."""
    if asked is not None and asked not in TASKS:
        raise DataError(
            f"task={asked!r} is not known.",
            f"the tasks are {', '.join(TASKS)}",
            new_word("task", asked) or "leave it out, or name one of these",
        )
    if not part.labelled.any():
        raise DataError(
            f"The pictures of {name} have no labels.",
            "labels= gave none" if told else f"none of {len(part):,} lies in a class folder",
            "put them into a folder for each class, or pass labels= a CSV file, a dict, or a function of the path",
        )
    return asked or task_of(part.labels)


def _is_source(told: Any, split: str) -> bool:
    """Whether valid= or test= is a source of its own: no share, not left to us, no word."""
    if told is None or (split == "valid" and isinstance(told, str) and told == "test"):
        return False
    return as_share(told, split) is None
