"""Shares: which rows of which part train, validate and test. Every draw is keyed, so each session draws the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from ..errors import DataError
from ..events import Note
from .arrays import Part
from .dataset import Items, Pictures, Source, Split, default_share, stratified
from .folders import counted, some
from .keyed_random import SPLIT, mix, permutation
from .labels import number
from .targets import strata, unlabelled

LIMIT, TEST = 1, 2  # what a draw is for, where it is not the validation split's: part of its key
Say = Callable[[Note], None]


def share_out(
    parts: Mapping[str, Part],
    classes: Sequence[str],
    *,
    valid: Any,
    test: Any,
    limit: int | None,
    seed: int,
    say: Say,
) -> dict[str, tuple[Split, Part]]:
    """Train, valid and test, each with the part it was drawn from.

    Parameters
    ----------
    parts : by split; "train" is among them
    valid, test : as `load` takes them; a source that was given is already in `parts`
    limit : at most so many pictures a class of each part, before anything is drawn from it

    Raises
    ------
    DataError
        A share is no share, a label is no class, or there is no test split to validate with.
    """
    shares = {name: as_share(value, name) for name, value in (("valid", valid), ("test", test))}
    out: dict[str, tuple[Split, Part]] = {}
    for name, part in parts.items():
        if shares.get(name) is None:
            out[name] = (
                _whole(
                    _renumbered(part, parts["train"], classes, name),
                    classes,
                    name,
                    limit,
                    seed,
                    say,
                ),
                part,
            )
        elif shares[name]:
            say(
                Note(
                    f"The {name} split that came with the data is passed over: {name}={shares[name]:g} draws one from train."
                )
            )
    if valid == "test":
        out["valid"] = _same_as_test(out)
    elif "valid" not in out and shares["valid"] is None:
        shares["valid"] = default_share(len(out["train"][0]))
    for name, key in (("test", mix(seed, TEST)), ("valid", seed)):
        if share := shares[name]:
            train, drawn = _draw(out["train"][0], share, key, name)
            out["train"] = train, parts["train"]
            if len(drawn):
                out[name] = drawn, parts["train"]
            else:
                say(
                    Note(
                        f"There is no {name} split: no class has two pictures to share out.", "warn"
                    )
                )
    return {name: out[name] for name in ("train", "valid", "test") if name in out}


def _renumbered(part: Part, train: Part, classes: Sequence[str], name: str) -> Part:
    """The numbers of a source that orders the same classes otherwise, as training has them."""
    known = (
        tuple(classes) if train.labels.dtype.kind == "O" else train.classes
    )  # names become numbers by `classes`, numbers stay
    if (
        part is train
        or part.labels.dtype.kind != "i"
        or not part.classes
        or not known
        or part.classes == known
    ):
        return part
    named = np.array([*(part.classes[label] for label in part.labels), None], object)[:-1]
    labels = number(named, known, f"the {name} split")
    source = part.make(labels)
    if isinstance(source, Items) and source.collate is not None and (labels != part.labels).any():
        raise DataError(
            f"The {name} split numbers its classes otherwise than train does.",
            f"train has {_some(known)}, {name} has {_some(part.classes)}, and your collate_fn makes its labels: they cannot be renumbered",
            "number the classes alike in both datasets, or leave collate_fn out",
        )
    return replace(part, labels=labels)


def _some(classes: Sequence[str]) -> str:
    return ", ".join(classes[:4]) + " …" * (len(classes) > 4)


def as_share(value: Any, name: str) -> float | None:
    """valid= or test= as a share from 0 up to 1; None where it is no number."""
    if not isinstance(value, Real) and not isinstance(value, np.number):
        return None
    share = float(value)
    if not 0 <= share < 1:
        fix = f"give {name}=0.2, or {name}=0 for none"
        raise DataError(
            f"{name}={value} is no share.", "a part of the training pictures is meant", fix
        )
    return share


def as_limit(limit: Any) -> int | None:
    if limit is not None and (
        isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1
    ):
        why = "at most so many of each class are taken"
        raise DataError(
            f"max_per_class={limit!r} is no number of pictures.",
            why,
            "give max_per_class=100, or leave it out",
        )
    return limit if limit is None else int(limit)


def _whole(
    part: Part, classes: Sequence[str], name: str, limit: int | None, seed: int, say: Say
) -> Split:
    """All rows of a part that have a label; of a test part without any, all rows."""
    labels = part.labels
    if name == "test" and labels.dtype.kind == "O" and _is_one_stranger(labels, classes):
        folder = next(label for label in labels if label is not None)
        say(
            Note(
                f"The test folder holds one folder, {folder}, that is no class: its pictures are taken as unlabelled, for predict only."
            )
        )
        labels = np.full(len(labels), None, object)
    numbers = number(labels, classes, f"the {name} split")
    source = part.make(numbers)
    rows = np.flatnonzero(~unlabelled(numbers))
    if name == "test" and not len(rows):
        rows = np.arange(len(numbers))
    elif len(rows) < len(numbers):
        say(_unlabelled(source, numbers, name))
    if not len(rows):
        fix = f"give labels for it, or {name}=0"
        raise DataError(
            f"No picture of the {name} split has a label.", "there is nothing to compare with", fix
        )
    return Split(source, _limited(rows, numbers, limit, seed), name)


def _is_one_stranger(labels: np.ndarray, classes: Sequence[str]) -> bool:
    found = {label for label in labels if label is not None}
    return len(found) == 1 and not found & set(classes)


def _unlabelled(source: Source, numbers: np.ndarray, name: str) -> Note:
    rows = np.flatnonzero(unlabelled(numbers))
    which = some(
        [
            source.paths[row].name if isinstance(source, Pictures) else f"row {row}"
            for row in rows[:4]
        ]
    )
    text = f"{counted(len(rows), 'picture')} left out of {name}, of {len(numbers):,}: without a label ({which})."
    return Note(text, "warn")


def _limited(rows: np.ndarray, numbers: np.ndarray, limit: int | None, seed: int) -> np.ndarray:
    if limit is None:
        return rows
    kept, kinds = [], strata(numbers[rows])
    for label in np.unique(kinds):
        of_class = rows[kinds == label]
        kept.append(of_class[permutation(len(of_class), seed, SPLIT, int(label), LIMIT)[:limit]])
    return np.sort(np.concatenate(kept))


def _same_as_test(out: Mapping[str, tuple[Split, Part]]) -> tuple[Split, Part]:
    if "test" not in out:
        raise DataError(
            'valid="test", and there is no test split.',
            "the data came without one",
            "give test= too, or valid=0.2",
        )
    test, part = out["test"]
    if unlabelled(test.labels).any():
        raise DataError(
            'valid="test", and the test pictures have no labels.',
            "there is nothing to compare with",
            "give valid=0.2",
        )
    return Split(test.source, test.rows, "valid"), part


def _draw(train: Split, share: float, key: int, name: str) -> tuple[Split, Split]:
    kept, drawn = stratified(train.labels, share, key)
    return Split(train.source, train.rows[kept], "train"), Split(
        train.source, train.rows[drawn], name
    )
