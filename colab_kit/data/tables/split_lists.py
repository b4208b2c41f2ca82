"""The publisher's split: a column of the table, or lists of files beside the pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...events import Note
from ..folders.tree import counted
from ..folders.words import TOLD, split_of, told_apart
from .cells import words
from .column_kinds import SPLIT_COLUMNS, plain
from .file_columns import Matched, match
from .file_names import FileNames, is_of_both, other_words, split_in
from .request import LabelRequest
from .table import Table, read_table
from .text import decode

LIST_ENDINGS = (".txt", ".csv", ".tsv", ".json", ".lst", ".list")
PARTITIONS = {"0": "train", "1": "valid", "2": "test"}
LIMIT = 64 << 20  # bytes of a list


@dataclass(frozen=True)
class PublishedSplit:
    """Which files train, validate and test.

    splits : {number of the file: split}
    line : where that stands, a sentence
    lists : the files that say it
    """

    splits: dict[int, str]
    line: str
    notes: tuple[Note, ...] = ()
    lists: tuple[Path, ...] = ()


def of_column(matched: Matched) -> PublishedSplit | None:
    """Read the column of a table that says the split, if it has one."""
    for number in range(matched.table.width):
        if number == matched.of_file:
            continue
        name = matched.header[number] if matched.header else ""
        distinct = set(matched.columns[number])
        meaning = _meaning(name, distinct, matched.table.path.stem) if len(distinct) < 9 else None
        if meaning:
            splits = {
                row: meaning.get(cell, "train")
                for row, cell in zip(matched.files, matched.cells(number), strict=True)
            }
            line = f"{matched.table.path.name}: the column {matched.named(number)} is the split"
            return PublishedSplit(splits, f"{line} ({_counts(splits)})", (), (matched.table.path,))
    return None


def _meaning(name: str, distinct: set[Any], stem: str) -> dict[str, str] | None:
    """Give the split that each cell of a column means; None if it means none."""
    spelling = plain(name)
    texts = {cell.casefold() for cell in distinct if isinstance(cell, str)} - {""}
    if not texts or len(texts) > 6:
        return None
    means = told_apart({text: split_of(text) for text in texts})
    if None not in means.values() and "train" in means.values():
        out = {text: split for text, split in means.items() if split}
    elif texts <= {"0", "1", "2"} and len(texts) > 1 and "2" in texts and _is_split(spelling, stem):
        out = dict(PARTITIONS)
    elif texts <= {"0", "1", "true", "false"} and len(texts) > 1:
        out = _of_yes_and_no(spelling, stem)
    else:
        return None
    return {cell: out[cell.casefold()] for cell in distinct if cell and cell.casefold() in out}


def _is_split(spelling: str, stem: str) -> bool:
    return spelling in SPLIT_COLUMNS or bool({"partition", "split", "eval"} & words(stem))


def _of_yes_and_no(spelling: str, stem: str) -> dict[str, str]:
    """Read is_valid, is_test, is_train; train_test_split.txt says 1 for train."""
    asked = re.match(r"is_(.+)|train_test_split", spelling or plain(stem))
    if not asked:
        return {}
    split = split_in(asked[1]) if asked[1] else "train"
    if split is None:
        split = "train" if "train" in (asked[1] or "") else None
    if split is None:
        return {}
    no = "test" if split == "train" else "train"
    return {"1": split, "true": split, "0": no, "false": no}


def of_lists(tables: Sequence[Path], names: FileNames, *, bare: bool) -> PublishedSplit | None:
    """Find the lists that say the split: a table of names and splits, or a list for each.

    The lists that name the most files are taken.

    Parameters
    ----------
    tables : files beside the pictures
    names : the pictures
    bare : whether tables that say labels too are passed over: class folders say other ones
    """
    for path in tables:
        said = "partition" in words(path.stem)  # list_eval_partition is of all splits
        said |= bool({"split", "splits"} & words(path.stem)) and not split_in(path.stem)
        if said or path.suffix.lower() == ".mat":
            matched = _matched(path, names) or by_number(path, tables, names)
            if matched and (found := of_column(matched)):
                return found
    best: PublishedSplit | None = None
    for lists, others in _groups(tables):
        if bare and all(map(_says_labels, lists.values())):
            shown = ", ".join(path.name for path in lists.values())
            text = f"{shown} are not followed: the class folders say the labels. To follow them, "
            found = PublishedSplit({}, "", (Note(f"{text}pass labels= one of them."),))
        else:
            found = _of_group(lists, others, names)
        if found and (best is None or len(found.splits) > len(best.splits)):
            best = found
    return best


def _groups(tables: Sequence[Path]) -> Iterator[tuple[dict[str, Path], int]]:
    """Put lists together that differ in the split's word alone.

    Where numbers tell several foldings apart (train1.txt, train2.txt) it is the first, with how
    many others there are.
    """
    groups: dict[tuple[Any, ...], list[Path]] = {}
    for path in tables:
        if split_in(path.stem) and path.suffix.lower() in LIST_ENDINGS and not is_answer(path):
            texts = sorted(word for word in other_words(path.stem) if not word.isdigit())
            groups.setdefault((path.parent, path.suffix, *texts), []).append(path)
    for paths in groups.values():
        foldings: dict[tuple[str, ...], list[Path]] = {}
        for path in paths:
            numbers = [word for word in other_words(path.stem) if word.isdigit()]
            foldings.setdefault(tuple(numbers), []).append(path)
        several = [lists for of in foldings.values() if len(lists := _by_split(of)) > 1]
        if len(several) < 2:
            several = [_by_split(paths)]
        if "train" in several[0] and len(several[0]) > 1:
            yield several[0], len(several) - 1


def _by_split(paths: Sequence[Path]) -> dict[str, Path]:
    """Give a list for each split; train.txt is nearer than trainval.txt."""
    out = dict[str, Path]()
    for path in paths:
        split = str(split_in(path.stem))
        if split not in out or not is_of_both(path.stem):
            out[split] = path
    return out


def _says_labels(path: Path) -> bool:
    """Tell whether a list is a CSV file of more than names."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return False
    try:
        return read_table(path).width > 1
    except DataError:
        return False


def is_answer(path: Path) -> bool:
    """Tell whether a table holds answers to be written over: sample_submission.csv."""
    return "submission" in path.stem.lower()


def _of_group(lists: dict[str, Path], others: int, names: FileNames) -> PublishedSplit | None:
    splits: dict[int, str] = {}
    shown = ", ".join(path.name for path in lists.values())
    for split, path in lists.items():
        rows = _listed(path, names)
        if not rows:
            return None
        twice = [row for row in rows if splits.get(row, split) != split]
        if twice:
            text = f"{shown} are not used as the split: {counted(len(twice), 'picture')} in two"
            return PublishedSplit({}, "", (Note(f"{text} of them.", "warn"),))
        splits |= dict.fromkeys(rows, split)
    notes: tuple[Note, ...] = ()
    if missing := len(names) - len(splits):
        text = f"{counted(missing, 'picture')} left out: {shown} do not name them."
        notes = (Note(text, "warn"),)
    line = f"{shown} say the split ({_counts(splits)})"
    if others:
        line += f"; of {others + 1} such splits beside the pictures this is the first"
    return PublishedSplit(splits, line, notes, tuple(lists.values()))


def _listed(path: Path, names: FileNames) -> list[int]:
    """Give the files that a list names; none if it names others, or most of them are not here."""
    try:
        if path.stat().st_size > LIMIT:
            return []
        text = decode(path.read_bytes()) or ""
    except OSError:
        return []
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = names.rows_of(lines) if path.suffix.lower() != ".json" else []
    found = [row for row in rows if row is not None and row >= 0]
    if 2 * len(found) < len(rows) or not rows:
        matched = _matched(path, names)
        found = matched.files if matched and 2 * len(matched.files) > len(matched.rows) else []
    return found


def _matched(path: Path, names: FileNames) -> Matched | None:
    try:
        return match(read_table(path), names, LabelRequest())
    except DataError:
        return None


def by_number(path: Path, tables: Sequence[Path], names: FileNames) -> Matched | None:
    """Read a table that names files by numbers, which images.txt beside it explains (CUB)."""
    index = next((other for other in tables if other.name.lower() == "images.txt"), None)
    files = _matched(index, names) if index else None
    if files is None or files.table.width != 2:
        return None
    try:
        table = read_table(path)
    except DataError:
        return None
    by_number = dict(
        zip(files.columns[1 - files.of_file], files.columns[files.of_file], strict=True)
    )
    rows = [[by_number.get(row[0], row[0]), *row[1:]] for row in table.rows]
    try:
        return match(Table(path, rows), names, LabelRequest())
    except DataError:
        return None


def _counts(splits: dict[int, str]) -> str:
    values = list(splits.values())
    known = [split for split in TOLD if split in values]
    return ", ".join(f"{split} {values.count(split):,}" for split in known)
