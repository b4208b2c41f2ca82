"""Comparison: the split that a run is judged on, its labels numbered as the run has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..data.dataset import Data, Split
from ..data.folders.tree import some
from ..data.loading import load
from ..data.sources import Items
from ..data.targets import UNLABELLED, unlabelled
from ..errors import RENAMED, DataError
from ..events import Callbacks, Note
from ..system.console import with_console


class Judged(Protocol):
    """What is asked of a run: what it learned, and the data of this session."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def task(self) -> str: ...
    @property
    def data(self) -> Data | None: ...
    @property
    def record(self) -> dict[str, Any]: ...


def split_for(
    run: Judged, what: Any, *, callbacks: Any = None, quiet: bool = False
) -> tuple[Split, str]:
    """Give the split to evaluate, and the fingerprint of its data ("" where nobody knows it).

    It is asked for by name, as it is, or as Data or anything `load` takes.

    A name of the run's own split goes before a folder of that name. Of data that is not the
    run's, all pictures are judged where it has no split of its own. Its classes are matched by
    name; it may have fewer than the run.

    Raises
    ------
    DataError
        There is no such split, or it does not fit the run.
    """
    if isinstance(what, Split):
        return comparable(run, what), fingerprint_of(run, what)
    emit = with_console(callbacks, quiet=quiet)
    name = _name(run, what, emit)
    is_own = what is None or name is not None
    data = run.data if is_own else load(what, callbacks=callbacks, quiet=quiet)
    if data is None:
        raise DataError(
            "The run was opened without its data.",
            "only the weights are kept with a run",
            "pass it: run.evaluate(data), run.report(data), kit.cleaner(run, split=data)",
        )
    if name is None:
        name = _best(data)
    if name not in data.splits:
        raise DataError(
            f"The data has no split {name!r}.",
            f"it has {', '.join(data.splits)}",
            "name one of these",
        )
    split = data.splits[name]
    if not is_own and data.fingerprint != run.record["data"]["fingerprint"]:
        split = _undivided(data, split)
    prints = data.fingerprint if data.keyed else ""
    return comparable(run, _renumbered(run, data, split, emit)), prints


def fingerprint_of(run: Judged, split: Split) -> str:
    """Give the fingerprint of a split of the run's own data; of another, nobody knows it."""
    data = run.data
    own = () if data is None or not data.keyed else data.splits.values()
    is_own = data is not None and any(split.source is part.source for part in own)
    return data.fingerprint if data is not None and is_own else ""


def _name(run: Judged, what: Any, emit: Callbacks) -> str | None:
    """Give the split that a text names; None where it names a folder, or is no text."""
    if not isinstance(what, str):
        return None
    name = str(RENAMED["split"].get(what, what))
    is_split = run.data is not None and name in run.data.splits
    if not Path(what).exists():
        return name
    if is_split:
        text = f"{what!r} is taken as the run's own {name} split, and not as the folder {what}/"
        emit(Note(f"{text} that is here: that would be './{what}'."))
    return name if is_split else None


def _best(data: Data) -> str:
    """Name the split that says most: test where it has labels, else valid, else train."""
    test = data.test
    if test is not None and len(test) > 0 and not unlabelled(test.labels).any():
        return "test"
    return "train" if data.valid is None else "valid"


def _undivided(data: Data, split: Split) -> Split:
    """Give all pictures of other data, where load() drew this split from its train."""
    parts = [part for part in data.splits.values() if part.source is data.train.source]
    if split.name == "train" or split.source is not data.train.source:
        return split
    return Split(split.source, np.sort(np.concatenate([part.rows for part in parts])), "all")


def _renumbered(run: Judged, data: Data, split: Split, emit: Callbacks) -> Split:
    """Number the labels as the run does, by the names of the classes.

    Raises
    ------
    DataError
        The data has a class that the run does not know, or its labels cannot be renumbered.
    """
    if data.classes == run.classes:
        return split
    strangers = [name for name in data.classes if name not in run.classes]
    is_fixed = isinstance(split.source, Items) and split.source.collate is not None
    if strangers or run.task != "classification" or data.task != run.task or is_fixed:
        mine, theirs = (", ".join(names[:5]) for names in (run.classes, data.classes))
        fix = "load the data that the run was trained for"
        if strangers and run.task == data.task == "classification":
            fix = f"leave out {some(strangers)}, or load it with class_names={{folder: class}}"
        raise DataError(
            "The data has other classes than the run.",
            f"the run knows {mine} …, the data has {theirs} …",
            fix,
        )
    if missing := [name for name in run.classes if name not in data.classes]:
        has = f"{data.name} has {len(data.classes)} of the run's {len(run.classes)} classes"
        emit(Note(f"{has}: it is judged on these, without {some(missing)}."))
    numbers = np.array([run.classes.index(name) for name in data.classes] + [UNLABELLED], np.int64)
    return replace(split, source=replace(split.source, labels=numbers[split.source.labels]))


def comparable(run: Judged, split: Split) -> Split:
    """Refuse a split that cannot be compared with what the run says."""
    labels, is_other = split.labels, f"The split {split.name} is of other data."
    if not len(labels) or unlabelled(labels).any():
        raise DataError(
            f"The split {split.name} has no labels.",
            "nothing can be compared",
            "use run.predict(split)",
        )
    if labels.ndim != (1 if run.task == "classification" else 2):
        raise DataError(is_other, f"the run's task is {run.task}", "load it with the run's task=")
    if run.task == "classification" and int(labels.max()) >= len(run.classes):
        why = f"a label is {int(labels.max())}, and the run knows {len(run.classes)} classes"
        raise DataError(is_other, why, "give a split of data with the run's classes")
    return split
