"""Splitting: which rows train, validate and test. Each session draws the same by key.

A file's side is a function of the seed, its own name and its size: more pictures, other folders or
a renamed class move none. Rows that share a group (a patient, a video) stay on one side of every
draw, which is a function of the seed and the group's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from numbers import Real
from typing import Any

import numpy as np
from numpy import ndarray

from ..errors import DataError
from ..events import Note
from .dataset import Split, default_share, stratified
from .draws import GROUPS, TEST, by_draw, draws_of, limited, whole_groups
from .folders.tree import counted, natural, some
from .groups import AS_FUNCTION, group_numbers
from .keyed_random import mix
from .labels import number, other_names
from .sources import Items, Part, Pictures, Source
from .tables.name_patterns import to_fill_in
from .tables.request import LabelRequest
from .targets import object_array, unlabelled

MANY = 4  # pictures more or less than the share, of which nothing is said
MOST_TOLD = 20  # classes that a line names


def share_out(
    parts: Mapping[str, Part],
    classes: Sequence[str],
    *,
    valid: Any,
    test: Any,
    limit: int | None,
    seed: int,
    emit: Callable[[Note], None],
    request: LabelRequest,
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
    request : makes the call that loads, with words more, for errors

    Raises
    ------
    DataError
        A share is no share, a label is no class, there are too few groups, or there is no test
        split to validate with.
    """
    shares = {"valid": as_share(valid, "valid"), "test": as_share(test, "test")}
    train, out = parts["train"], dict[str, tuple[Split, Part]]()
    for name, part in parts.items():
        share = shares.get(name)
        if share is None:
            numbered = _renumber(part, train, classes, name)
            lines = partial(_lines, request, train, numbered, classes)
            split, notes = _labelled_rows(numbered, classes, name, request, lines)
            for note in notes:
                emit(note)
            out[name] = split if limit is None else limited(split, limit, seed), part
        elif share:
            what = f"The {name} split that came with the data is not used"
            emit(Note(f"{what}: {name}={share:g} draws one from train."))
    if valid == "test":
        out["valid"] = _same_as_test(out)
    elif "valid" not in out and shares["valid"] is None:
        shares["valid"] = default_share(len(out["train"][0]))
    groups = None if train.groups is None else group_numbers(train.groups)
    drawn = [name for name in ("test", "valid") if shares[name]]
    if groups is not None:
        _check_groups(groups[out["train"][0].rows], drawn)
    for name in drawn:
        split, share, key = out["train"][0], shares[name] or 0.0, seed
        if name == "test":
            key = mix(seed, TEST)
        draws = draws_of(split, train, key, 0 if groups is None else GROUPS)
        if draws is None:
            rest, rows = stratified(split.labels, share, key)
        elif groups is None:
            rest, rows = by_draw(split.labels, draws, share)
        else:
            rest, rows = whole_groups(split.labels, groups[split.rows], draws, share)
        if draws is not None and _is_off(len(rows), share * len(split)):
            emit(_said_of_share(name, len(rows), len(split), share, groups is not None))
        out["train"] = replace(split, rows=split.rows[rest]), train
        if len(rows):
            out[name] = Split(split.source, split.rows[rows], name), train
        else:
            things = "pictures" if groups is None else "groups"
            text = f"There is no {name} split: no class has two {things} to share out."
            emit(Note(text, "warn"))
    for note in _group_notes(out, classes, drawn):
        emit(note)
    return {name: out[name] for name in ("train", "valid", "test") if name in out}


def _is_off(drawn: int, meant: float) -> bool:
    """Tell whether a share differs by a quarter from the one that is asked for, and by some."""
    return abs(drawn - meant) > max(0.25 * meant, MANY)


def _said_of_share(name: str, drawn: int, total: int, share: float, grouped: bool) -> Note:
    text = f"{name} has {drawn:,} of {total:,} pictures, {drawn / total:.0%}, where {share:.0%} is "
    each = "whole groups are drawn" if grouped else "each picture is drawn by its name and size"
    return Note(f"{text}asked for: {each}, so that more pictures change no side of the others.")


def _check_groups(groups: ndarray, drawn: Sequence[str]) -> None:
    """Refuse to draw splits from fewer groups than there are splits."""
    many = len(np.unique(groups))
    if many > len(drawn):
        return
    splits, zero = " and ".join(["train", *drawn]), ", ".join(f"{name}=0" for name in drawn)
    what = f"group= makes one group of all {len(groups):,} training pictures."
    if many > 1:
        what = f"group= makes {many} groups, too few for {splits}."
    why = f"a group stays whole, and {splits} need one each"
    raise DataError(what, why, f"give smaller groups, as {AS_FUNCTION}, or draw none: {zero}")


def _group_notes(
    out: Mapping[str, tuple[Split, Part]], classes: Sequence[str], drawn: Sequence[str]
) -> list[Note]:
    """Say how many groups each split has, which class has none, and which groups came parted."""
    notes, train = list[Note](), out["train"][1]
    of_train = [out[name][0] for name in ("train", *drawn) if name in out]
    if train.groups is not None and len(of_train) > 1:
        numbers, total = group_numbers(train.groups), sum(map(len, of_train))
        texts = [
            f"{split.name} has {len(np.unique(numbers[split.rows])):,} groups "
            f"({len(split) / total:.0%} of the pictures)"
            for split in of_train
        ]
        notes.append(Note(f"Groups stay whole: {', '.join(texts)}."))
    for split in of_train[1:]:
        labels = out["train"][0].labels
        if train.groups is not None and labels.ndim == 1:
            lacking = np.setdiff1d(labels, split.labels)
            if len(lacking):
                text = f"{split.name} has no picture of {some([classes[n] for n in lacking])}"
                notes.append(Note(f"{text}: train keeps the last group of a class.", "warn"))
    return notes + _parted(out)


def _parted(out: Mapping[str, tuple[Split, Part]]) -> list[Note]:
    """Warn of groups that lie in several splits as they came."""
    places = dict[int, tuple[list[str], set[Any]]]()
    for split, part in out.values():
        names, groups = places.setdefault(id(part), ([], set()))
        names.append(split.name)
        if part.groups is not None:
            groups |= set(part.groups[split.rows]) - {None}
    notes = list[Note]()
    for (names, groups), (others, other_groups) in combinations(places.values(), 2):
        if both := sorted(map(str, groups & other_groups), key=natural):
            text = f"{counted(len(both), 'group')} found in {' and '.join(names)}, and in"
            text += f" {' and '.join(others)} too ({some(both)})"
            text += ": the splits came so, and their figures come out too good."
            notes.append(Note(text, "warn"))
    return notes


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


def numbers_as_names(parts: dict[str, Part]) -> list[Note]:
    """Make names of class numbers that do not go from 0 without a gap: 1 to K, or 0, 2, 4.

    The error for numbers below 0, and for as many numbers as pictures, comes with the classes.
    """
    train = parts["train"]
    notes = list[Note]()
    if train.labels.dtype.kind != "O":
        present = np.unique(train.labels)
        dense = present[0] < 0 or present[-1] + 1 == len(present)
        source = train.make(train.labels)
        own_batches = isinstance(source, Items) and source.collate is not None
        if dense or 2 * len(present) > len(train) or own_batches:
            return []
        text = f"The labels are {len(present)} numbers from {present[0]} to {present[-1]}"
        text += ", with gaps" * bool(present[-1] - present[0] + 1 > len(present))
        notes = [Note(f"{text}: each is the name of a class.")]
    for split, part in parts.items():
        if part.labels.dtype.kind != "O" and part.classes is None:
            names = object_array(part.labels.astype(str).tolist())
            parts[split] = replace(part, labels=names)
    return notes


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


def _labelled_rows(
    part: Part,
    classes: Sequence[str],
    name: str,
    request: LabelRequest,
    lines: Callable[[Sequence[str]], str],
) -> tuple[Split, list[Note]]:
    """Give all rows of a part that have a label; of a test part without any, all rows."""
    labels, notes = part.labels, list[Note]()
    numbers = number(labels, classes, f"the {name} split", lines)
    source, without = part.make(numbers), unlabelled(numbers)
    rows = np.flatnonzero(~without)
    if name == "test" and not len(rows):
        rows = np.arange(len(numbers))
    elif len(rows) < len(numbers):
        notes.append(_left_out(source, np.flatnonzero(without), name))
    if not len(rows):
        what, why = f"No picture of the {name} split has a label.", "nothing can be compared"
        draw, leave = request.line(**{name: 0.2}), request.line(**{name: 0})
        fix = f"give labels for it; or draw one from train: {draw}; or leave it out: {leave}"
        raise DataError(what, why, fix)
    return Split(source, rows, name), notes


def _lines(
    request: LabelRequest,
    train: Part,
    part: Part,
    classes: Sequence[str],
    strangers: Sequence[str],
) -> str:
    """Give the lines that name classes as train does, or leave their pictures out; "" for none.

    Only of a folder whose class folders lie as deep in each split.
    """
    folder = _class_folder(train)
    typed = isinstance(request.source, str | os.PathLike)
    if (
        not typed
        or len(classes) < 2
        or folder is None
        or folder != _class_folder(part)
        or len(strangers) > MOST_TOLD
    ):
        return ""
    own = set(part.labels[part.labelled])
    names = other_names(strangers, [name for name in classes if name not in own])
    ways = [f"leave their pictures out: {to_fill_in(request, _without(folder, strangers))}"]
    if names:  # the shorter name is what both have in common
        pairs = dict(
            (one, two) if len(two) <= len(one) else (two, one) for one, two in names.items()
        )
        code = f"{pairs!r}.get({folder}, {folder})"
        ways.insert(0, f"if train has them by other names: {to_fill_in(request, code)}")
    return "; or ".join([*ways, "add pictures of these classes to train"])


def _without(folder: str, strangers: Sequence[str]) -> str:
    return f"None if {folder} in {list(strangers)!r} else {folder}"


def _class_folder(part: Part) -> str | None:
    """Give the folder that is each picture's label as an expression of `path`; None if none is."""
    source = part.make(np.zeros(len(part), np.int64))
    if not isinstance(source, Pictures):
        return None
    pairs = [
        (source.paths[row], part.labels[row]) for row in np.flatnonzero(part.labelled).tolist()
    ]
    for level in range(2, 6):
        if all(path.parts[-level : 1 - level] == (label,) for path, label in pairs):
            return "path.parent.name" if level == 2 else f"path.parts[-{level}]"
    return None


def _left_out(source: Source, rows: np.ndarray, name: str) -> Note:
    which = [f"row {row}" for row in rows[:4]]
    if isinstance(source, Pictures):
        which = [source.paths[row].name for row in rows[:4]]
    text = f"{counted(len(rows), 'picture')} left out of {name}, of {len(source):,}"
    return Note(f"{text}: without a label ({some(which)}).", "warn")


def _same_as_test(out: Mapping[str, tuple[Split, Part]]) -> tuple[Split, Part]:
    if "test" not in out:
        what, why = 'valid="test", and there is no test split.', "the data came without one"
        raise DataError(what, why, "give test= too, or valid=0.2")
    split, part = out["test"]
    if unlabelled(split.labels).any():
        what, why = 'valid="test", and the test pictures have no labels.', "nothing can be compared"
        raise DataError(what, why, "give valid=0.2")
    return replace(split, name="valid"), part
