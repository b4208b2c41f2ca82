"""load(): pictures from wherever they are, split by key, as the Data that other verbs take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, new_word, new_words
from ..events import Callback, Callbacks, Control, Note
from ..system.console import with_console
from ..system.files import in_working_folder
from . import fingerprints
from .arrays import share_law
from .dataset import Data, Split
from .explain import reading
from .folders.tree import some
from .group_hints import likely_groups
from .groups import group_parts
from .labels import class_names as numbered_names
from .labels import display_names
from .origins import part_of, parts_of
from .paths import Opener
from .sources import Edits, Part, Pictures, apply_edits
from .splitting import as_limit, as_share, numbers_as_names, share_out
from .tables.matching import LabelRequest, Labels
from .tables.name_patterns import to_fill_in
from .targets import CLASSIFY, REGRESS, TASKS, as_task, task_of


@in_working_folder
@new_words
def load(
    source: Any,
    *extra: Any,
    valid: Any = None,
    test: Any = None,
    labels: Labels | None = None,
    label_column: str | int | Sequence[str | int] | None = None,
    file_column: str | int | None = None,
    group: Any = None,
    class_names: Mapping[str, str] | Sequence[str] | str | os.PathLike[str] | None = None,
    task: str | None = None,
    label_edits: Edits | None = None,
    max_per_class: int | None = None,
    seed: int = 0,
    strict: bool = False,
    explain: bool = False,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
    control: Control | None = None,
) -> Data:
    """Load pictures and split them.

    Parameters
    ----------
    source : path, name, link, pair, dataset, dict or Data
        A folder of class folders, with or without train/ valid|val/ test/ above them, or its zip
        or tar; a name of the catalog: "fashion-mini", "fashion-mnist", "mnist", "cifar-10",
        "cifar-100", "cat-dog", "hymenoptera", "flower-data", "flowers-102", "oxford-pets",
        "imagenette", "imagenette-320" or "imagenette-160"; (X, y), arrays or tensors; (paths,
        labels), two lists, or a list of (path, label); a torch Dataset or DataLoader, also one of
        Hugging Face; {"train": s, "valid": s, "test": s} of these; or Data. X: uint8 or
        float, (N, H, W), (N, C, H, W), (N, H, W, C) or (N, features). y: class numbers or names;
        several names a picture, or rows of 0 and 1; floats, (N,) or (N, targets); None or NaN for
        no label. A dict of arrays is read by their names: x_train, y_train, x_test.
    valid : None, float, 0, "test", or a source
        None: the source's own, else a fifth of the training pictures (a tenth from 20,000 up), at
        least one a class. A float: that share of them. 0: none. "test": the test split. Which
        files are drawn goes by seed, own name and size of each: more pictures, or a renamed
        class, move none of the others, and the share is met about. Rows of arrays meet it exactly.
    test : None, float, 0, or a source
        None: the source's own. A folder without class folders is for predict only.
    labels : path of a table, {file: label}, or callable(path) -> label
        For a folder. The table is CSV (any separator), JSON (records, {file: label}, COCO, Label
        Studio), JSON lines or CVAT's XML; a column or lists of files beside it that say a split
        are followed. A label may be several names ("haze|water") or a number. None: the class
        folders, or a table beside the pictures that names most of them.
    label_column, file_column : str or int
        Columns of the table, by name or by number from 0, where several could be meant; a list of
        label columns for rows of 0 and 1, or for several numbers.
    class_names : dict, JSON file, or list
        A dict, or a file as cat_to_name.json, says what class folders are called; a list gives
        the class names in the order of their numbers. Without it: the folders' names, the
        source's own, or the numbers.
    task : str
        "classification" (one class a picture), "multilabel" (several) or "regression" (numbers);
        None: the labels say it.
    label_edits : {file: class, or None: left out}
        For picture files, named below the source's folder; a Cleaner gives it.
    group : column name, {file: group}, callable(path) -> group, sequence of N, or False
        What pictures belong to: a patient, a lesion, a person, a video. Pictures of one group stay
        on one side of each draw for valid and test, which goes by seed and the group's name. For
        a folder a column of the table, a dict or a function; for arrays and datasets a group a
        row. None or a blank: a picture on its own. False: no groups, and no word of names
        that look like some. Splits that came with the data are not changed; a warning says which
        groups they part.
    max_per_class : int
        At most so many pictures a class, in each split that came.
    seed : int
        Key of the draws for valid, test and max_per_class, and of nothing else.
    strict : bool
        Whether a warning is an error.
    explain : bool
        Whether to say how the source was read: which folder is which split, where labels come from,
        what was left out. `print(data)` says the same.
    callbacks, quiet
        Callables that get each event beside the console; whether the console says nothing.
    control : Control
        Stops it from another thread while the source is brought.

    Returns
    -------
    Data
        Splits, class names and a fingerprint.

    Raises
    ------
    DataError
        It says which file or row is wrong, and the fix; or how much room the fast disk lacks.
    DriveError
        The source could not be read from Drive, or `control` was stopped.

    Notes
    -----
    What lies on Drive is first brought to the fast disk, once; a folder of many small files is
    packed for the next session. A picture replaced there under its old name is not noticed: give
    the folder another name.

    Up to 2,000 files of a split are all looked at, without decoding them; of more, 2,000 are, and
    all of them if one of these is damaged, deep, or under two classes. Of all files name and size
    are in the fingerprint, of those looked at the content too.

    Examples
    --------
    >>> load("fashion-mini", quiet=True).counts["train"]["Bag"]
    480
    """
    if extra:
        what = f"load() takes one source, and {1 + len(extra)} were given."
        raise DataError(what, "pictures and labels travel as one pair", "kit.load((X, y))")
    if isinstance(source, Data):
        words = {"valid": valid, "test": test, "labels": labels, "class_names": class_names}
        words |= {"label_column": label_column, "file_column": file_column}
        words |= {"task": task, "label_edits": label_edits, "max_per_class": max_per_class}
        words |= {"group": group, "seed": seed or None, "strict": strict or None}
        return _unchanged(source, [name for name, value in words.items() if value is not None])
    limit = as_limit(max_per_class)
    listener = _Listener(with_console(callbacks, quiet=quiet))
    opener = Opener(listener.emit, control)
    shown, in_order = _names(class_names)
    typed = {"labels": labels, "label_column": label_column, "file_column": file_column}
    typed |= {"valid": valid, "test": test, "group": group, "class_names": class_names}
    typed |= {"task": task, "label_edits": label_edits, "max_per_class": max_per_class}
    words = {word: value for word, value in typed.items() if value is not None}
    request = LabelRequest(
        labels,
        label_column,
        file_column,
        None if group is False else group,
        task,
        source,
        words,
        class_names is not None,
    )
    place = parts_of(source, request, opener)
    parts, name = dict(place.splits), place.name
    for split, value in (("valid", valid), ("test", test)):
        if _is_source(value, split):
            if split in parts:
                text = f"The {split} split that came with the data is not used: {split}= gives one."
                listener.hear(Note(text))
            own = replace(request, source=None, split=split, others=_files(parts["train"]))
            parts[split] = part_of(value, own, opener)
    listener.hear(*(Note(line) for line in place.lines))
    if request.group is not None:
        parts = group_parts(parts, request.group)
    listener.hear(*(note for part in parts.values() for note in part.notes))
    if label_edits:
        edits = _by_folder(label_edits, parts["train"], shown, place.root)
        listener.hear(_edit(parts, edits))
    listener.hear(*share_law(parts))
    known_task = _task(parts["train"], task, name, request)
    for split, part in parts.items():
        values, notes = as_task(part.labels, known_task)
        parts[split] = replace(part, labels=values)
        listener.hear(*notes if split == "train" else ())
    if known_task == REGRESS and task is None:
        text = "The labels are floats: they are learned as numbers (task='regression')."
        listener.hear(Note(text))
    train = parts["train"]
    own_classes = train.classes if in_order is None else in_order
    if known_task == CLASSIFY and own_classes is None:
        listener.hear(*numbers_as_names(parts))
        train = parts["train"]
    classes = numbered_names(train.labels[train.labelled], own_classes, known_task)
    if known_task != CLASSIFY:
        wide = len(classes)
        parts = {name: _without_labels(part, wide) for name, part in parts.items()}
    shared = share_out(
        parts,
        classes,
        valid=valid,
        test=test,
        limit=limit,
        seed=seed,
        emit=listener.hear,
        request=request,
    )
    if group is None and any(shared[split][1] is train for split in set(shared) - {"train"}):
        listener.hear(*likely_groups(train, request.line_with))
    folder_names = classes
    if shown is not None:
        classes, notes = display_names(shown, classes, place.root)
        listener.hear(*notes)
    if len(classes) == 1 and known_task == CLASSIFY and in_order is None:
        listener.hear(_one_class(classes[0]))
    if strict:
        listener.refuse_warnings(name)
    read = reading(shared, place.root, labels, folder_names)
    for line in read if explain else ():
        listener.emit(Note(line))
    splits = {key: split for key, (split, _) in shared.items()}
    return Data(
        splits["train"],
        splits.get("valid"),
        splits.get("test"),
        classes=classes,
        name=name,
        fingerprint=_fingerprint(classes, shared, train.batch_size, known_task),
        task=known_task,
        batch_size=train.batch_size,
        keyed=all(part.keyed for _, part in shared.values()),
        notes=tuple(note.text for note in listener.notes),
        reading=read,
    )


def _one_class(name: str) -> Note:
    text = f"All pictures are of one class, {name}: nothing can be told apart. Is it the right "
    return Note(text + "folder? A folder for each class is expected, or labels=.", "warn")


def _names(class_names: Any) -> tuple[Any, Sequence[str] | None]:
    """Give what class folders are called, and the names in order of their numbers: one or none."""
    if isinstance(class_names, Mapping | str | os.PathLike):
        return class_names, None
    return None, class_names


def _unchanged(data: Data, words: list[str]) -> Data:
    if words:
        names = " and ".join(f"{name}=" for name in words)
        what = f"{data.name} is loaded already, and {names} would do nothing."
        fix = f"pass {words[0]}= where it is first loaded: kit.load(source, {words[0]}=…)"
        raise DataError(what, "its splits are drawn", fix)
    return data


def _without_labels(part: Part, wide: int) -> Part:
    """Give a part without any label as one of rows of `wide` numbers that are not there."""
    if part.labelled.any():
        return part
    return replace(part, labels=np.full((len(part), wide), np.nan, np.float32))


def _fingerprint(
    classes: Sequence[str],
    shared: Mapping[str, tuple[Split, Part]],
    batch_size: int | None,
    task: str,
) -> str:
    """Hash what the splits came to: sources, rows, labels, names.

    valid=, test=, labels=, group=, max_per_class= and seed= are in it by their effect.
    """
    value: dict[str, Any] = {"classes": classes, "splits": {}}
    if batch_size is not None:  # a DataLoader's, that training takes over
        value["batch_size"] = batch_size
    if task != "classification":
        value["task"] = task
    for key, (split, part) in shared.items():
        value["splits"][key] = [part.print, fingerprints.of_split(split.rows, split.labels)]
    return fingerprints.of_value(value)


@dataclass(frozen=True)
class _Listener:
    """Hand notes on, and keep them for the data; other events go to `emit` alone."""

    emit: Callbacks
    notes: list[Note] = field(default_factory=list)

    def hear(self, *notes: Note) -> None:
        for note in notes:
            self.notes.append(note)
            self.emit(note)

    def refuse_warnings(self, name: str) -> None:
        warnings = [note.text for note in self.notes if note.level == "warn"]
        if warnings:
            many = "was a warning" if len(warnings) == 1 else f"were {len(warnings)} warnings"
            what = f"{name} was not loaded: strict=True, and there {many}."
            raise DataError(what, " ".join(warnings), "correct it, or load with strict=False")


def _by_folder(edits: Edits, train: Part, names: Any, root: Path | None) -> Edits:
    """Give edits that name classes as class_names= shows them the folders' names."""
    if names is None or train.labels.dtype.kind != "O":
        return edits
    folders = sorted({label for label in train.labels[train.labelled] if isinstance(label, str)})
    by_name = dict(zip(display_names(names, folders, root)[0], folders, strict=True))
    return {file: by_name.get(label, label) for file, label in edits.items()}


def _edit(parts: dict[str, Part], edits: Edits) -> Note:
    """Apply edits to all parts, and say what they did."""
    edited_names: set[str] = set()
    for split, part in parts.items():
        parts[split], names = apply_edits(part, edits)
        edited_names |= names
    dropped, lost = (
        sum(edits[name] is None for name in edited_names),
        sorted(set(edits) - edited_names),
    )
    counts = f"{dropped} pictures out and gives {len(edited_names) - dropped} another label"
    missing = f" Not found: {some(lost)}." if lost else ""
    return Note(f"label_edits= leaves {counts}.{missing}", "warn" if lost else "info")


def _files(part: Part) -> Sequence[Path]:
    """List the picture files of a part; none of arrays and datasets."""
    source = part.make(np.zeros(len(part), np.int64))
    return source.paths if isinstance(source, Pictures) else ()


def _task(part: Part, task: str | None, name: str, request: LabelRequest) -> str:
    """Say what is learned from the training labels."""
    if task is not None and task not in TASKS:
        fix = new_word("task", task) or "leave it out, or name one of these"
        raise DataError(f"task={task!r} is not known.", f"the tasks are {', '.join(TASKS)}", fix)
    if not part.labelled.any():
        why = f"none of {len(part):,} lies in a class folder"
        if request.labels is not None:
            why = "labels= gave none"
        fix = ""
        if len({path.parent.name for path in _files(part)}) > 1:
            fix = f"take the folders' names: {to_fill_in(request, 'path.parent.name')}; or "
        fix += "put them into a folder for each class, or pass labels= a dict or a function of the "
        fix += f"path, or write the file and the class of each into a table: {to_fill_in(request)}"
        raise DataError(f"The pictures of {name} have no labels.", why, fix)
    return task or task_of(part.labels)


def _is_source(value: Any, split: str) -> bool:
    """Tell whether valid= or test= is a source of its own: no share, not None, not "test"."""
    if value is None or (split == "valid" and isinstance(value, str) and value == "test"):
        return False
    return as_share(value, split) is None
