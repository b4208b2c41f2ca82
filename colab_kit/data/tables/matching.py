"""Labels, splits and groups of picture files: from a table, a dict or a function to each file.

parse (tables) -> find the file column (file_columns) -> find the labels (label_columns) -> find
the splits (split_lists) -> say it. Without labels=, a table beside the pictures is looked for.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ...errors import DataError
from ...events import Note
from ..folders.tree import Listing, PictureFiles, counted, some
from ..group_hints import column_note, group_column
from . import nearby as found_tables
from .cells import spoken
from .file_columns import Matched, ambiguous, joined, match, no_file
from .file_names import AMBIGUOUS
from .label_columns import LabelChoice, choose_labels
from .name_maps import find_names
from .name_patterns import in_names, only_boxes
from .reading import Reading, as_rows, assign, result, say_strangers, start
from .request import LabelRequest, Labels
from .split_lists import PublishedSplit, by_number, of_column, of_lists
from .table import SHEETS, first_file, read_table

__all__ = ["LabelRequest", "Labels", "label_files"]


def label_files(listing: Listing, request: LabelRequest) -> Listing:
    """Give the listing with the labels, splits and groups that tables say.

    Without labels=, the folders' names are the labels; pictures without such a folder get those of
    the table beside them that names most of them, if there is one.

    Raises
    ------
    DataError
        The table's columns cannot be told apart, a name means several files, or no name means any.
    """
    if _is_said_by_folders(listing, request):
        return listing
    with _no_garbage():
        return _labelled(listing, request)


def _is_said_by_folders(listing: Listing, request: LabelRequest) -> bool:
    """Tell whether nothing but the folders says anything: no table lies here, nobody asks one."""
    asked = (request.labels, request.label_column, request.file_column)
    if listing.tables or asked != (None, None, None) or isinstance(request.group, str):
        return False
    return any(label is not None for label in PictureFiles.of(listing.splits["train"]).labels)


def _labelled(listing: Listing, request: LabelRequest) -> Listing:
    reading = start(listing, request)
    _label(reading, request.labels)
    _group(reading)
    return result(reading)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Pause the search for circles of objects: rows are many and in none, and it looks at each."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _label(reading: Reading, labels: Any) -> None:
    if labels is None:
        _find(reading)
    elif callable(labels):
        _ask(reading, labels)
    elif isinstance(labels, Mapping):
        _look_up(reading, labels)
    elif isinstance(labels, str | os.PathLike):
        _read(reading, labels)
    else:
        raise DataError(
            f"labels= is a {type(labels).__name__}.",
            "the order of the files in a folder is not known to you",
            "pass labels=dict(zip(files, labels)), a CSV file, or a function of the path",
        )


def _ask(reading: Reading, function: Callable[[Path], Any]) -> None:
    """Ask a function for each label; of a test picture it need not know one."""
    names, failed = reading.names, list[str]()
    labels = list[Any]()
    for path, split in zip(names.paths, names.splits, strict=True):
        try:
            labels.append(function(path))
        except Exception as err:
            if split == "test":
                labels.append(None)
                failed.append(path.name)
                continue
            name = getattr(function, "__name__", "labels")
            why = f"{name} raised {type(err).__name__}: {err}"
            fix = "let it return None for files that have no label"
            raise DataError(f"labels= failed on {path}.", why, fix) from err
    reading.labels = as_rows(labels)
    _without_strangers(reading, failed)


def _without_strangers(reading: Reading, failed: list[str]) -> None:
    """Take labels of test pictures away that are no class of train: there is none to know."""
    known = _classes(reading, "train")
    if not known:
        return
    for row, label in enumerate(reading.labels):
        if reading.names.splits[row] != "test" or label is None or isinstance(label, float):
            continue
        if not set(label if isinstance(label, tuple) else (label,)) <= known:
            failed.append(reading.names.whole[row])
            reading.labels[row] = None
    if failed:
        text = f"{counted(len(failed), 'test picture')} left without a label: what labels= gives"
        level: Literal["warn", "info"] = "warn" if _classes(reading, "test") else "info"
        text = f"{text} for it is no class of train ({some(failed)})."
        reading.notes.append(Note(text, level))


def _classes(reading: Reading, split: str) -> set[Any]:
    pairs = zip(reading.labels, reading.names.splits, strict=True)
    mine = [label for label, own in pairs if own == split and label is not None]
    return {name for label in mine for name in (label if isinstance(label, tuple) else (label,))}


def _look_up(reading: Reading, labels: Mapping[Any, Any]) -> None:
    cells = [os.fspath(name) if isinstance(name, Path) else str(name) for name in labels]
    rows = reading.names.rows_of(cells)
    if AMBIGUOUS in rows:
        name = cells[rows.index(AMBIGUOUS)]
        raise ambiguous("labels=", name, reading.names, reading.request)
    if rows.count(None) == len(rows):
        raise no_file("labels=", cells, reading.names, reading.request)
    strangers = [cell for cell, row in zip(cells, rows, strict=True) if row is None]
    known = [row for row in rows if row is not None]
    every = as_rows(list(labels.values()))
    values = [value for value, row in zip(every, rows, strict=True) if row is not None]
    reading.labels = [None] * len(reading.labels)
    assign(reading, known, values, "labels=")
    say_strangers(reading, "labels=", strangers)
    reading.lines.append(f"labels= names {len(known):,} files")


def _read(reading: Reading, labels: str | os.PathLike[str]) -> None:
    """Read the table that labels= names, and those of the other splits beside it."""
    root, above = reading.listing.root, Path(reading.names.base)
    places = dict.fromkeys((root, root.parent, above, above.parent))
    path = first_file(Path(os.path.expanduser(labels)), *(place / labels for place in places))
    if path is None:
        raise found_tables.missing(labels, reading.listing, reading.request)
    if path.suffix.lower() in SHEETS:
        raise found_tables.no_text(path, str(labels), reading.request)
    try:
        main = match(read_table(path), reading.names, reading.request)
    except DataError:
        beside = (*reading.listing.tables, path.with_name("images.txt"))
        by_index = by_number(path, beside, reading.names)
        if by_index is None:
            raise
        main = by_index
    own = len(reading.names) - len(reading.request.others)
    if reading.request.others and all(row >= own for row in main.files):
        reading.lines.append(f"{path.name} names none of the {reading.request.split} pictures")
        return
    _use(reading, main, "")


def _find(reading: Reading) -> None:
    """Look beside the pictures for what their folders do not say."""
    listing, names, request = reading.listing, reading.names, reading.request
    asked = request.label_column is not None or request.file_column is not None
    mine = _of_main(reading)
    if asked or mine.count(None) == len(mine):
        found = found_tables.best(listing, names, request)
        if found is None:
            _refuse(reading, asked)
            return
        _use(reading, found.matched, found.shown, found.choice)
        return
    found_tables.doubt_folders(listing, names, request, reading.labels)
    for extra in found_tables.for_unlabelled(listing, names, reading.labels):
        for row, label in extra.labels.items():
            reading.labels[row] = label
        reading.lines.append(extra.line)
        reading.used.add(extra.table)
    _split(reading)
    found_tables.say_names(listing, reading.labels, request, reading.lines)


def _of_main(reading: Reading) -> list[Any]:
    """Give the labels of train, or of the one split that is read."""
    pairs = zip(reading.labels, reading.names.splits, strict=True)
    return [label for label, split in pairs if split == reading.request.split]


def _refuse(reading: Reading, asked: bool) -> None:
    """Say that no table was found: where a column of one is asked for, or names show classes."""
    request, listing = reading.request, reading.listing
    if request.source is None or "label_edits" in request.words:
        return
    if asked:
        what = f"No table beside the pictures in {reading.listing.root} names them."
        why = "label_column= and file_column= are columns of one"
        fix = f"name it: {request.line(labels='labels.csv')}"
        if any(label is not None for label in reading.labels):
            line = request.line(label_column=None, file_column=None)
            fix = f"for the folders' names: {line} – for a table, {fix}"
        raise DataError(what, why, fix)
    error = in_names(reading.names, request) or only_boxes(listing, reading.names, request)
    error = error or found_tables.sheet(listing, request)
    error = error or found_tables.strange(listing, reading.names, request)
    if error is not None:
        raise error


def _use(reading: Reading, main: Matched, shown: str, choice: LabelChoice | None = None) -> None:
    """Take the labels of a table, and of those like it of other splits, and the split they say.

    Parameters
    ----------
    choice : LabelChoice, optional
        The labels of this table alone, where somebody chose them.
    """
    table, request = main.table, reading.request
    siblings = _siblings(reading, main)
    alike = [one for one in siblings if (one.header, one.table.width) == (main.header, table.width)]
    matched = joined(main, alike)  # judged as one: a label is read alike in each
    if alike or choice is None:
        choice = choose_labels(matched, reading.names, request, shown)
    reading.matched += [main, *siblings]
    reading.labels = [None] * len(reading.labels)
    if choice is None:
        what = f"{table.path} names files and says no label."
        why = "it has one column" if table.width == 1 else "no column could be a label"
        fix = "write a file name and a label in each row"
        raise DataError(what, why, fix if table.width == 1 else request.line(label_column=1))
    labels = _without_shifted(reading, matched, choice)
    labels, named = _named(reading, matched, labels)
    assign(reading, matched.files, labels, str(table.path), several=table.several)
    say_strangers(reading, str(table.path), main.strangers)
    of_file = main.named(main.of_file)
    if (stem := Path(reading.names.whole[main.files[0]]).stem).startswith("0") and main.written(
        0
    ) != stem:
        of_file += f" ({main.written(0)} is {stem})"
    line = f"{shown or table.path.name}: {of_file} names the files, {choice.line}"
    reading.lines.append(f"{line} ({spoken(reading.labels)}){named}")
    for one in siblings:
        path = one.table.path
        text = f"{path.parent.name}/{path.name}: {counted(len(one.files), 'file')} named there, too"
        reading.lines.append(text)
    reading.notes += choice.notes
    _split(reading)


def _without_shifted(reading: Reading, matched: Matched, choice: LabelChoice) -> list[Any]:
    """Take no label from rows of too many cells, unless it is one that other rows have."""
    too_long = matched.table.too_long
    if not too_long:
        return choice.labels
    start = len(matched.table.rows) - len(matched.rows)
    numbers = [number + start for number, row in enumerate(matched.rows) if row is not None]
    pairs = list(zip(numbers, choice.labels, strict=True))
    known = {label for number, label in pairs if number not in too_long}
    labels = [
        label if number not in too_long or label in known else None for number, label in pairs
    ]
    lost = sum(a is not b for a, b in zip(labels, choice.labels, strict=True))
    text = f"{counted(len(too_long), 'row')} longer than the header in {matched.table.path.name}"
    if lost:
        text += f"; {lost} of them say no label that others have, and were left out"
    reading.notes.append(Note(f"{text}.", "warn" if lost else "info"))
    return labels


def _named(reading: Reading, matched: Matched, labels: list[Any]) -> tuple[list[Any], str]:
    """Give class numbers the names that a file beside the table has for them."""
    present = {label for label in labels if label is not None}
    numbers = all(isinstance(label, str) and label.isdigit() for label in present)
    if reading.request.named or len(present) < 2 or not numbers:
        return labels, ""
    beside = [path for path in reading.listing.tables if path != matched.table.path]
    found = find_names(present, beside)
    if found is None:
        return labels, ""
    names, path = found
    reading.used.add(path)
    line = f"{path.name} says what the numbers are called"
    reading.notes.append(Note(f"{line} ({some([f'{n}: {names[n]}' for n in sorted(names)])})."))
    return [None if label is None else names[label] for label in labels], f"; {line}"


def _siblings(reading: Reading, main: Matched) -> list[Matched]:
    """Match the tables of other splits beside this one: test.csv, valid/metadata.jsonl."""
    tables = list(reading.listing.tables)
    if main.table.path not in tables:  # it lies outside the folder of pictures
        tables += sorted(path for path in main.table.path.parent.iterdir() if path.is_file())
    beside = found_tables.siblings(main.table.path, tables)
    out, seen = list[Matched](), set(main.files if beside else ())
    for path in beside:
        try:
            request = replace(reading.request, file_column=main.key(main.of_file))
            other = match(read_table(path), reading.names, request)
        except DataError:
            continue
        fresh = [None if row in seen else row for row in other.rows]
        if fresh.count(None) < len(fresh):
            out.append(replace(other, rows=fresh))
            seen |= set(other.files)
    return out


def _split(reading: Reading) -> None:
    """Follow the publisher's split, where the folders do not say one."""
    if reading.splits is not None or reading.names.many:
        return
    found = next((one for matched in reading.matched if (one := of_column(matched))), None)
    found = found or _of_siblings(reading)
    if found is None:
        found = of_lists(reading.listing.tables, reading.names, bare=not reading.matched)
    if found is None:
        return
    reading.notes += found.notes
    if found.splits:
        reading.splits = found
        reading.lines.append(found.line)


def _of_siblings(reading: Reading) -> PublishedSplit | None:
    """Read the split that the names of several tables say: train.csv, test.csv."""
    hints = {one.hint for one in reading.matched}
    if len(reading.matched) < 2 or None in hints or len(hints) < 2 or "train" not in hints:
        return None
    splits = {row: str(one.hint) for one in reading.matched for row in one.files}
    shown = ", ".join(one.table.path.name for one in reading.matched)
    return PublishedSplit(splits, f"{shown} say the split")


def _group(reading: Reading) -> None:
    """Give each file the group that the column says, or say which column looks like groups."""
    group, names = reading.request.group, reading.names
    if isinstance(group, str):
        said = (reading.listing, names, group, reading.request, reading.matched)
        for matched in found_tables.with_column(*said):
            column = matched.number_of(group) or 0
            reading.used.add(matched.table.path)
            for row, cell in zip(matched.files, matched.cells(column), strict=True):
                reading.groups[row] = cell or None
    elif "group" not in reading.request.words and "valid" not in reading.listing.splits:
        for matched in reading.matched:
            if name := group_column(matched.header, matched.columns):
                reading.notes.append(column_note(name, reading.request.line_with))
                break
