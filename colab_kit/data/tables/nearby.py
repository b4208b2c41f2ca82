"""Tables that lie beside the pictures and were not asked for: which of them says the labels."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..folders.tree import Listing, some
from ..groups import AS_FUNCTION
from .cells import are_numbers, words
from .column_kinds import LABEL_COLUMNS, LABEL_WORDS, columns_of
from .column_kinds import plain as spelling
from .file_columns import Matched, match
from .file_names import (
    FileNames,
    is_of_both,
    only_store,
    other_words,
    split_in,
    split_words,
)
from .label_columns import LabelChoice, choose_labels
from .name_maps import find_names
from .request import LabelRequest
from .split_lists import is_answer
from .table import SHEETS, read_table, save_sheet

MOST = 0.5  # share of train's pictures that a table must name
LEAST = 0.1  # a table that names this share is told of
NEAR = 0.9  # a table that names this share of what the best one names fits about as well
CLASS_WORDS = LABEL_WORDS | {"id", "classid", "labelid", "categoryid"}
AT_MOST = 64  # tables that are looked at
LIMIT = 256 << 20  # bytes of a table


@dataclass(frozen=True)
class FoundTable:
    """A table that names the pictures, and the labels it says.

    shown : its path, as labels= takes it
    """

    matched: Matched
    choice: LabelChoice
    shown: str


@dataclass(frozen=True)
class MoreLabels:
    """Labels of pictures that have no class folder: {number of the file: label}."""

    labels: dict[int, Any]
    table: Path
    line: str


def best(listing: Listing, names: FileNames, request: LabelRequest) -> FoundTable | None:
    """Choose the table that says the labels; None where none does.

    Raises
    ------
    DataError
        Two tables fit about as well, or the label's column is not plain: a line for each.
    """
    whole = request.source is not None  # else nobody is asked: a test split may lack labels
    train = {row for row, split in enumerate(names.splits) if split == request.split}
    plain: list[tuple[float, FoundTable]] = []
    questions: list[tuple[float, DataError]] = []
    for matched in _matching(listing, names, request):
        share = len(train & set(matched.files)) / len(train)
        shown = os.path.relpath(matched.table.path, listing.root).replace(os.sep, "/")
        if matched.hint not in (None, request.split) or share * len(train) < 1:
            continue
        try:
            choice = choose_labels(matched, names, request, shown)
        except DataError as err:
            questions.append((share, err))
            continue
        if choice is not None and any(label is not None for label in choice.labels):
            plain.append((share, FoundTable(matched, choice, shown)))
    first = max((share for share, _ in plain), default=0.0)
    if whole and LEAST <= first < MOST:
        raise _of_few(max(plain, key=lambda one: one[0])[1], len(train), request)
    if first < MOST:
        asked = max(questions, key=lambda one: one[0], default=None)
        if whole and asked is not None and asked[0] >= MOST:
            raise asked[1]
        return None
    near = [found for share, found in plain if share >= NEAR * first]
    rivals = [found for found in near[1:] if not _agree(found, near[0])]
    if rivals and whole:
        raise _question([near[0], *rivals], request)
    return near[0]


def _of_few(found: FoundTable, pictures: int, request: LabelRequest) -> DataError:
    """Say that a table labels some of the pictures only."""
    many = len(set(found.matched.files))
    what = f"{found.shown} says the labels of {many} of the {pictures} pictures."
    line = request.line(labels=found.shown)
    return DataError(what, "no other table names more", f"to leave the others out: {line}")


def doubt_folders(
    listing: Listing, names: FileNames, request: LabelRequest, labels: Sequence[Any]
) -> None:
    """Ask where a table with a column of labels contradicts the folders: they may only store.

    Raises
    ------
    DataError
        A table names nearly all pictures of train, and its labels do not follow from the folders,
        nor the folders from them.
    """
    train = {row for row, split in enumerate(names.splits) if split == request.split}
    stores = only_store([str(labels[row]) for row in train], [names.stems[row] for row in train])
    by_folder = request.line_of("path.parent.name")
    for matched in _matching(listing, names, request) if request.source is not None else ():
        if len(train & set(matched.files)) < NEAR * len(train):
            continue
        shown = os.path.relpath(matched.table.path, listing.root).replace(os.sep, "/")
        try:
            choice = choose_labels(matched, names, request, shown)
        except DataError as err:
            if stores:
                fix = f"{err.fix} – for the folders: {by_folder}"
                raise DataError(err.what, err.why, fix) from err
            continue
        usual = choice and all(spelling(matched.named(n)) in LABEL_COLUMNS for n in choice.columns)
        if choice is None or not (usual or stores):
            continue
        pairs = Counter(
            (labels[row], label)
            for row, label in zip(matched.files, choice.labels, strict=True)
            if row in train and isinstance(label, str)
        )
        lost = _lost(pairs, 0), _lost(pairs, 1)
        most = max(lost) if stores else min(lost)
        if most <= (1 - NEAR) * pairs.total():
            continue
        folders = sorted({str(folder) for folder, _ in pairs})
        own = sorted({label for _, label in pairs})
        by_table = request.line(labels=shown)
        raise DataError(
            f"{shown} gives the pictures other labels than their folders do.",
            f"the folders are {some(folders)}, the labels in it {some(own)}",
            f"for the table: {by_table} – for the folders: {by_folder}",
        )


def _lost(pairs: Counter[tuple[Any, Any]], by: int) -> int:
    """Count the pictures whose other name is not the usual one of their name number `by`."""
    usual: dict[Any, int] = {}
    for pair, count in pairs.items():
        usual[pair[by]] = max(usual.get(pair[by], 0), count)
    return pairs.total() - sum(usual.values())


def _matching(listing: Listing, names: FileNames, request: LabelRequest) -> Iterator[Matched]:
    for path in candidates(listing, names):
        try:
            if path.stat().st_size <= LIMIT:
                yield match(read_table(path), names, request)
        except (DataError, OSError):
            continue


def strange(listing: Listing, names: FileNames, request: LabelRequest) -> DataError | None:
    """Say that a table beside unlabelled pictures names other files; None where none does."""
    for path in candidates(listing, names):
        if path.suffix.lower() not in (".csv", ".tsv"):
            continue
        shown = os.path.relpath(path, listing.root).replace(os.sep, "/")
        try:
            match(read_table(path), names, request, shown=shown)
        except DataError as err:
            what = f"The pictures of {Path(str(request.source)).name} have no labels: {err.what}"
            return DataError(what, err.why, f"{err.fix}: {request.line(labels=shown)}")
    return None


def candidates(listing: Listing, names: FileNames) -> list[Path]:
    """List the tables that may say something of the pictures: no answer sheet, no picture's own."""

    def is_of_a_picture(stem: str) -> bool:
        return stem in names.text and stem in names.form("stems")

    tables = [path for path in listing.tables if not is_answer(path)]
    return [path for path in tables if not is_of_a_picture(path.stem)][:AT_MOST]


def _agree(one: FoundTable, other: FoundTable) -> bool:
    """Tell whether two tables say the same of the pictures that both name."""
    said = dict(zip(one.matched.files, one.choice.labels, strict=True))
    theirs = dict(zip(other.matched.files, other.choice.labels, strict=True))
    return all(said[row] == theirs[row] for row in said.keys() & theirs.keys())


def _question(found: Sequence[FoundTable], request: LabelRequest) -> DataError:
    shown = ", ".join(one.shown for one in found[:6])
    what = f"Several tables name the pictures and say other labels: {shown}."
    lines = [request.line(labels=one.shown) for one in found[:6]]
    return DataError(what, "only you know which labels are to be learned", ", or ".join(lines))


def siblings(path: Path, tables: Sequence[Path]) -> list[Path]:
    """List the tables that are as this one of other splits: test.csv, valid/metadata.jsonl.

    One of train and valid together comes last: it says nothing new.
    """
    out = []
    for other in tables:
        if other == path or other.suffix != path.suffix or is_answer(other):
            continue
        beside = other.parent == path.parent and other_words(other.stem) == other_words(path.stem)
        same_name = other.name == path.name and _is_split(other.parent) and _is_split(path.parent)
        if same_name or beside and split_words(path.stem) and split_words(other.stem):
            out.append(other)
    return sorted(out, key=lambda other: is_of_both(other.stem))


def _is_split(folder: Path) -> bool:
    return bool(split_words(folder.name))


def for_unlabelled(
    listing: Listing, names: FileNames, labels: Sequence[Any]
) -> Iterator[MoreLabels]:
    """Find labels of valid and test pictures that lie in no class folder.

    A table is used if all it says are classes of train's folders.
    """
    folders = {label for label in labels if isinstance(label, str)}
    for split in ("valid", "test"):
        rows = {row for row, own in enumerate(names.splits) if own == split}
        if not rows or any(labels[row] is not None for row in rows):
            continue
        for path in candidates(listing, names):
            found = _said_of(path, rows, folders, names, labels)
            if found is not None:
                yield MoreLabels(
                    found, path, f"{path.name} says the labels of the {split} pictures"
                )
                break


def _said_of(
    path: Path, rows: set[int], folders: set[str], names: FileNames, labels: Sequence[Any]
) -> dict[int, Any] | None:
    """Give what a table says of these files, if it knows no other classes than the folders."""
    by_number = {str(int(name)): name for name in folders if name.isdigit()}
    try:
        matched = match(read_table(path), names, LabelRequest())
    except DataError:
        return None
    if len(rows & set(matched.files)) < MOST * len(rows):
        return None
    fits = []
    for column in columns_of(matched):
        said = dict(zip(matched.files, matched.cells(column.number), strict=True))
        found = {row: _class_of(cell, folders, by_number) for row, cell in said.items()}
        agrees = all(labels[row] in (None, name) for row, name in found.items())
        named = words(column.name) & CLASS_WORDS or matched.table.width == 2
        if None not in found.values() and agrees:
            if named and column.kind != "beside" or not are_numbers(column.distinct):
                fits.append({row: str(name) for row, name in found.items() if row in rows})
    return fits[0] if fits and all(found == fits[0] for found in fits) else None


def _class_of(cell: Any, folders: set[str], by_number: dict[str, str]) -> str | None:
    """Give the class folder that a cell names: as it is, by number, or by its first word."""
    if not isinstance(cell, str):
        return None
    known = (cell, by_number.get(cell), cell.partition(" ")[0])
    return next((name for name in known if name in folders), None)


def say_names(
    listing: Listing, labels: Sequence[Any], request: LabelRequest, lines: list[str]
) -> None:
    """Say which file names the class folders, if one does: it is not used without being asked."""
    folders = {label for label in labels if isinstance(label, str)}
    if request.named or not folders or request.source is None:
        return
    found = find_names(folders, listing.tables)
    if found is not None:
        shown = os.path.relpath(found[1], listing.root).replace(os.sep, "/")
        lines.append(f"{shown} has other names for the classes: {request.line(class_names=shown)}")


def with_column(
    listing: Listing,
    names: FileNames,
    column: str,
    request: LabelRequest,
    matched: Sequence[Matched],
) -> list[Matched]:
    """Find the tables that have a column of this name: those that were used, or one beside them.

    Raises
    ------
    DataError
        None has.
    """
    own = [one for one in matched if one.number_of(column) is not None]
    if own:
        return own
    near, seen = dict[str, str](), list[Matched]()
    for one in (*matched, *_matching(listing, names, LabelRequest())):
        if one.number_of(column) is not None:
            return [one]
        seen.append(one)
        lower = {name.casefold(): name for name in one.header}
        alike = difflib.get_close_matches(column.casefold(), lower, 3, 0.6)
        alike += [name for name in lower if column.casefold() in name]
        near |= {lower[name]: one.table.path.name for name in alike}
    what = f"No table has a column {column!r}, which group= names."
    if near:
        first, table = next(iter(near.items()))
        why = f"{table} has {first!r}"
        raise DataError(what, why, ", or ".join(request.line(group=name) for name in [*near][:3]))
    why = "no table names the pictures"
    if seen:
        why = f"{seen[0].table.path.name} has {', '.join(map(repr, seen[0].header)) or 'no names'}"
    fix = f"to load without groups: {request.line(group=None)}; or pass {AS_FUNCTION}"
    raise DataError(what, why, fix)


def sheet(listing: Listing, request: LabelRequest) -> DataError | None:
    """Name a sheet beside unlabelled pictures that is no text; None where there is none."""
    for path in (*listing.tables, *listing.others):
        if path.suffix.lower() in SHEETS:
            return no_text(path, os.path.relpath(path, listing.root), request)
    return None


def no_text(path: Path, shown: str, request: LabelRequest) -> DataError:
    """Say how a sheet becomes a table that can be read, with the line that does so and loads."""
    file, save = save_sheet(path)
    line = request.line(labels=str(Path(shown).with_name(file.name)).replace(os.sep, "/"))
    what = f"{path.name} is a sheet, and may say the labels of the pictures."
    return DataError(what, "only text is read, such as CSV", f"{save}; {line}")


def missing(labels: Any, listing: Listing, request: LabelRequest) -> DataError:
    """Say that the table of labels= is not there, and which tables are."""
    what, why = f"labels={str(labels)!r} is not there.", f"it is neither here nor in {listing.root}"
    here = [
        os.path.relpath(path, listing.root).replace(os.sep, "/")
        for path in listing.tables
        if not is_answer(path)
    ]
    near = difflib.get_close_matches(Path(labels).name, [Path(name).name for name in here], 6, 0.4)
    shown = [name for name in here if Path(name).name in near] or here
    shown.sort(key=lambda name: split_in(Path(name).stem) == "test")  # it seldom says labels
    lines = [request.line(labels=name) for name in shown[:3]]
    fix = "give the path of the CSV file"
    if any(file.label is not None for files in listing.splits.values() for file in files):
        line = request.line(labels=None, label_column=None, file_column=None)
        fix = f"for the folders' names: {line}"
    return DataError(what, why, ", or ".join(lines) or fix)
