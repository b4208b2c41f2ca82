"""Splitting: which rows train, validate and test. Each session draws the same by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from ..errors import DataError
from ..events import Note
from .dataset import Split, default_share, stratified
from .folders import counted, some
from .keyed_random import SPLIT, mix, permutation
from .labels import number
from .sources import Items, Part, Pictures, Source
from .targets import object_array, strata, unlabelled

LIMIT, TEST = 1, 2  # the purpose of a draw that is not the validation split's: part of its key


def share_out(
    parts: Mapping[str, Part],
    classes: Sequence[str],
    *,
    valid: Any,
    test: Any,
    limit: int | None,
    seed: int,
    emit: Callable[[Note], None],
) -> dict[str, tuple[Split, Part]]:
    """Draw train, valid and test, each with the part it came from.

    Parameters
    ----------
    parts : by split; "train" is among them
    classes : names, in the order of their numbers
    valid, test : as `load` takes them; a source that was given is already in `parts`
    limit : at most so many pictures a class of each part, before anything is drawn from it
    seed : key of the draws
    emit : called with each note

    Raises
    ------
    DataError
        A share is no share, a label is no class, or there is no test split to validate with.
    """
    shares = {"valid": as_share(valid, "valid"), "test": as_share(test, "test")}
    train, out = parts["train"], dict[str, tuple[Split, Part]]()
    for name, part in parts.items():
        share = shares.get(name)
        if share is None:
            numbered = _renumber(part, train, classes, name)
            split, notes = _labelled_rows(numbered, classes, name)
            for note in notes:
                emit(note)
            out[name] = _limit(split, limit, seed), part
        elif share:
            what = f"The {name} split that came with the data is not used"
            emit(Note(f"{what}: {name}={share:g} draws one from train."))
    if valid == "test":
        out["valid"] = _same_as_test(out)
    elif "valid" not in out and shares["valid"] is None:
        shares["valid"] = default_share(len(out["train"][0]))
    for name, key in (("test", mix(seed, TEST)), ("valid", seed)):
        if share := shares[name]:
            split = out["train"][0]
            rest, rows = stratified(split.labels, share, key)
            out["train"] = replace(split, rows=split.rows[rest]), train
            if len(rows):
                out[name] = Split(split.source, split.rows[rows], name), train
            else:
                text = f"There is no {name} split: no class has two pictures to share out."
                emit(Note(text, "warn"))
    return {name: out[name] for name in ("train", "valid", "test") if name in out}


def _renumber(part: Part, train: Part, classes: Sequence[str], name: str) -> Part:
    """Give the numbers of a source that orders the same classes otherwise, as training has them."""
    # training's names become numbers by `classes`, its numbers stay
    names = tuple(classes) if train.labels.dtype.kind == "O" else train.classes
    own = part.classes
    if part is train or part.labels.dtype.kind != "i" or not own or not names or own == names:
        return part
    own_names = object_array(own[label] for label in part.labels)
    labels = number(own_names, names, f"the {name} split")
    source = part.make(labels)
    if isinstance(source, Items) and source.collate is not None and (labels != part.labels).any():
        orders = f"train has {_some(names)}, {name} has {_some(own)}"
        raise DataError(
            f"The {name} split numbers its classes otherwise than train does.",
            f"{orders}, and your collate_fn makes its labels: they cannot be renumbered",
            "number the classes alike in both datasets, or leave collate_fn out",
        )
    return replace(part, labels=labels)


def _some(classes: Sequence[str]) -> str:
    return ", ".join(classes[:4]) + " …" * (len(classes) > 4)


def as_share(value: Any, name: str) -> float | None:
    """Read valid= or test= as a share from 0 up to 1; None where it is no number."""
    if not isinstance(value, Real | np.number):
        return None
    share = float(value)
    if not 0 <= share < 1:
        why = "a part of the training pictures is meant"
        fix = f"give {name}=0.2, or {name}=0 for none"
        raise DataError(f"{name}={value} is no share.", why, fix)
    return share


def as_limit(limit: Any) -> int | None:
    """Read max_per_class=."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1:
        what = f"max_per_class={limit!r} is no number of pictures."
        why = "at most so many of each class are used"
        raise DataError(what, why, "give max_per_class=100, or leave it out")
    return int(limit)


def _labelled_rows(part: Part, classes: Sequence[str], name: str) -> tuple[Split, list[Note]]:
    """Give all rows of a part that have a label; of a test part without any, all rows."""
    labels, notes = part.labels, list[Note]()
    numbers = number(labels, classes, f"the {name} split")
    source, without = part.make(numbers), unlabelled(numbers)
    rows = np.flatnonzero(~without)
    if name == "test" and not len(rows):
        rows = np.arange(len(numbers))
    elif len(rows) < len(numbers):
        notes.append(_left_out(source, np.flatnonzero(without), name))
    if not len(rows):
        what, why = f"No picture of the {name} split has a label.", "nothing can be compared"
        raise DataError(what, why, f"give labels for it, or {name}=0")
    return Split(source, rows, name), notes


def _left_out(source: Source, rows: np.ndarray, name: str) -> Note:
    which = [f"row {row}" for row in rows[:4]]
    if isinstance(source, Pictures):
        which = [source.paths[row].name for row in rows[:4]]
    text = f"{counted(len(rows), 'picture')} left out of {name}, of {len(source):,}"
    return Note(f"{text}: without a label ({some(which)}).", "warn")


def _limit(split: Split, limit: int | None, seed: int) -> Split:
    if limit is None:
        return split
    chosen, groups = [], strata(split.labels)
    for label in np.unique(groups):
        rows = split.rows[groups == label]
        chosen.append(rows[permutation(len(rows), seed, SPLIT, int(label), LIMIT)[:limit]])
    return replace(split, rows=np.sort(np.concatenate(chosen)))


def _same_as_test(out: Mapping[str, tuple[Split, Part]]) -> tuple[Split, Part]:
    if "test" not in out:
        what, why = 'valid="test", and there is no test split.', "the data came without one"
        raise DataError(what, why, "give test= too, or valid=0.2")
    split, part = out["test"]
    if unlabelled(split.labels).any():
        what, why = 'valid="test", and the test pictures have no labels.', "nothing can be compared"
        raise DataError(what, why, "give valid=0.2")
    return replace(split, name="valid"), part
