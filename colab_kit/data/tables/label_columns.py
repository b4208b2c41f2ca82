"""Which column of a table is the label: by its name, or by being the only plausible one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any

from ...errors import DataError
from ...events import Note
from ..folders.tree import counted, some
from ..targets import CLASSIFY, MULTILABEL, REGRESS
from .cells import (
    QUANTITIES,
    are_numbers,
    as_labels,
    hot_labels,
    largest,
    number_in,
    part_all,
    words,
)
from .column_kinds import (
    HOT,
    LABEL_COLUMNS,
    LABEL_WORDS,
    LIKELY,
    NAME_WORDS,
    YES_WORDS,
    Column,
    columns_of,
    plain,
    refuse_pairs,
)
from .file_columns import Matched, column_number
from .file_names import FileNames
from .request import LabelRequest

SHOWN = 6  # lines that a question shows
SOME = 10  # pictures: so many labels that are all different are no classes


@dataclass(frozen=True)
class LabelChoice:
    """The labels that a table says, one for each row that names a file.

    line : how they were read, a sentence
    """

    columns: tuple[int, ...]
    labels: list[Any]
    line: str
    notes: tuple[Note, ...] = ()


def choose_labels(
    matched: Matched, names: FileNames, request: LabelRequest, shown: str
) -> LabelChoice | None:
    """Choose the column of labels, or several columns of 0 and 1; None where there is none.

    Parameters
    ----------
    shown : the table as labels= names it, for lines to paste

    Raises
    ------
    DataError
        Several columns are about as plausible: it shows a line for each.
    """
    if request.file_column is None:
        refuse_pairs(matched, names, request, shown)
    columns = columns_of(matched)
    if request.label_column is not None:
        return _named(matched, columns, names, request, shown)
    likely = [column for column in columns if column.kind in ("hot", "number", "text")]
    if len(columns) == 1 and (likely or are_numbers(columns[0].distinct - HOT)):
        only = columns[0]
        if only.kind not in ("blank", "split", "group", "counter", "constant"):
            return _one(matched, only, [], names, request, shown)
    if usual := _usual(columns, LABEL_COLUMNS):
        return _one(matched, _twin(matched, usual, likely), likely, names, request, shown)
    hot = [column for column in likely if column.kind == "hot"]
    rest = [column for column in likely if column.kind != "hot"]
    if len(hot) > 1:  # a class that no picture has, or each
        bare = [
            column for column in columns if column.kind == "constant" and column.distinct <= HOT
        ]
        hot = sorted([*hot, *bare], key=lambda column: column.number)
    if request.task == REGRESS:
        numbers = [column for column in columns if column.kind == "number"]
        others = [column for column in columns if column.kind == "beside"]
        likely = numbers or [column for column in others if are_numbers(column.distinct)]
        hot, rest = [], likely
    if len(hot) > 1 and (request.task == MULTILABEL or not rest):
        return _hot(matched, hot, request)
    if len(hot) > 1:
        raise _question(matched, _sorted(matched, rest), request, shown, hot)
    chosen = _by_names(matched, likely, names) or _usual(likely, LIKELY)
    if chosen is None:
        speaking = [column for column in likely if words(column.name) & LABEL_WORDS]
        chosen = next(iter(speaking if len(speaking) == 1 else ()), None)
    if chosen is None and len(likely) == 1:
        chosen = likely[0]
    if chosen is None and len(likely) > 1 and all(column.kind == "number" for column in likely):
        raise _question(matched, likely, request, shown, together=True)
    if chosen is not None:
        return _one(matched, _twin(matched, chosen, likely), likely, names, request, shown)
    if likely:
        raise _question(matched, _sorted(matched, likely), request, shown)
    many = len(matched.files)
    poor = [one for one in columns if one.kind in ("free", "beside", "group", "counter")]
    perhaps = [one for one in poor if len(one.distinct) < many or many < SOME]
    if poor:
        raise _question(matched, _sorted(matched, perhaps), request, shown, names=names)
    return None


def _usual(columns: Sequence[Column], usual: Sequence[str]) -> Column | None:
    by_name = {plain(column.name): column for column in columns if column.kind != "blank"}
    if "x" in by_name:  # a place in the picture
        by_name.pop("y", None)
    return next((by_name[name] for name in usual if name in by_name), None)


def _twin(matched: Matched, chosen: Column, likely: Sequence[Column]) -> Column:
    """Give the column that says in names what the chosen one says in numbers."""
    if not are_numbers(chosen.distinct):
        return chosen
    for column in likely:
        if (
            column.kind == "text"
            and words(column.name) & NAME_WORDS
            and _same(matched.cells(chosen.number), matched.cells(column.number))
        ):
            return column
    return chosen


def _by_names(matched: Matched, likely: Sequence[Column], names: FileNames) -> Column | None:
    """Give the one column that says what the files' folders, or the start of their names, say."""
    if len(likely) < 2:
        return None
    for of_file in (_folders, _starts):
        said = of_file(matched, names)
        if len(set(said)) > 1:
            same = [column for column in likely if _same(matched.cells(column.number), said)]
            if same:
                return same[0]
    return None


def _folders(matched: Matched, names: FileNames) -> list[str]:
    return [names.whole[row].rpartition("/")[0] for row in matched.files]


def _starts(matched: Matched, names: FileNames) -> list[str]:
    return [names.stems[row].rpartition("_")[0] for row in matched.files]


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Tell whether two columns say the same in other words."""
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) > 1


def _one(
    matched: Matched,
    column: Column,
    likely: Sequence[Column],
    names: FileNames,
    request: LabelRequest,
    shown: str,
) -> LabelChoice:
    name, cells = matched.named(column.number), matched.cells(column.number)
    if request.task is None and len(cells) >= SOME and len(column.distinct) == len(cells):
        _refuse_distinct(matched, column, names, request, shown)
    named = _names_of_numbers(matched, column, names, request)
    labels, notes = as_labels(named or cells, name, request, shown)
    once = len(set(matched.files)) == len(matched.files)
    if request.task == MULTILABEL and once and all(type(one) in (str, NoneType) for one in labels):
        labels = part_all(labels)
    others = [matched.named(other.number) for other in likely if other.number != column.number]
    beside = f" (not {some(others)}: label_column= names another one)" if others else ""
    line = f"{name} is the label{beside}"
    if named:
        line += ", and the files' folders or names say what its numbers are called"
    if (refusal := _refusal(matched, column)) is not None:
        no = {cell for cell in refusal.distinct if number_in(cell) == 0}
        said = zip(labels, matched.cells(refusal.number), strict=True)
        labels = [None if cell in no else label for label, cell in said]
        line += f", where {refusal.name} is not 0: a row of 0 says that it is not in the picture"
    return LabelChoice((column.number,), labels, line, tuple(notes))


def _refuse_distinct(
    matched: Matched, column: Column, names: FileNames, request: LabelRequest, shown: str
) -> None:
    """Refuse a column that says something else of each picture, unless it holds fractions.

    Raises
    ------
    DataError
    """
    numbers = are_numbers(column.distinct)
    if numbers and any((number_in(cell) or 0) % 1 for cell in column.distinct):
        return
    many, name = len(column.distinct), matched.named(column.number)
    what = f"{matched.table.path} gives each of its {many} pictures another {name}."
    more = {"labels": shown, "label_column": request.label_column}
    fix = _without_label(matched, names, request, shown)
    if numbers:
        fix = f"to learn the numbers: {request.line(**more, task=REGRESS)}"
    elif request.label_column is not None:
        fix = f"{fix}; to take them as classes all the same: {request.line(**more, task=CLASSIFY)}"
    raise DataError(what, "a class is learned from several pictures", fix)


def _without_label(matched: Matched, names: FileNames, request: LabelRequest, shown: str) -> str:
    """Give the fix where a table names pictures and says no class of them."""
    fix = "write the class of each picture into a column called label, then "
    fix += request.line(labels=shown, label_column="label")
    if names.in_classes:
        fix = f"for the folders' names: {request.line_of('path.parent.name')}; else {fix}"
    return fix


def _refusal(matched: Matched, label: Column) -> Column | None:
    """Give the column of 0 and 1 that says whether a row's label is in the picture at all."""
    if len(set(matched.files)) == len(matched.files):
        return None
    for column in columns_of(matched):
        numbers = {number_in(cell) for cell in column.distinct}
        if words(column.name) & YES_WORDS and numbers == {0, 1} and column.number != label.number:
            return column
    return None


def _names_of_numbers(
    matched: Matched, column: Column, names: FileNames, request: LabelRequest
) -> list[str] | None:
    """Give the names that the files' folders, or the start of their names, have for numbers."""
    asked = request.named or request.label_column is not None or request.task == REGRESS
    if asked or not are_numbers(column.distinct) or len(column.distinct) < 2:
        return None
    cells = matched.cells(column.number)
    if 2 * len(column.distinct) > len(cells):
        return None
    for of_file in (_folders, _starts):
        said = [text.rpartition("/")[2] for text in of_file(matched, names)]
        if all(said) and not any(text.isdigit() for text in said) and _same(cells, said):
            return said
    return None


def _hot(matched: Matched, hot: Sequence[Column], request: LabelRequest) -> LabelChoice:
    names = [column.name or str(column.number) for column in hot]
    cells = [matched.cells(column.number) for column in hot]
    labels, notes = hot_labels(cells, names, request.task)
    line = f"the {len(hot)} columns of 0 and 1 ({some(names)}) are the classes"
    if any(isinstance(label, tuple) for label in labels):
        line += ", several a picture"
    return LabelChoice(tuple(column.number for column in hot), labels, line, tuple(notes))


def _named(
    matched: Matched,
    columns: Sequence[Column],
    names: FileNames,
    request: LabelRequest,
    shown: str,
) -> LabelChoice:
    """Take the columns that label_column= names."""
    asked, table = request.label_column, matched.table
    several = list(asked) if isinstance(asked, list | tuple) else [asked]
    by_number = {column.number: column for column in columns}
    numbers = [
        column_number(
            table,
            matched.header,
            replace(request, label_column=one),
            "label_column",
            but=matched.of_file,
        )
        for one in several
    ]
    if matched.of_file in numbers:
        what = f"label_column= and the files' names are both {matched.named(matched.of_file)}."
        why = "a column is one or the other"
        others = [matched.key(column.number) for column in columns][:SHOWN]
        fix = ", or ".join(request.line(labels=shown, label_column=other) for other in others)
        raise DataError(what, why, fix)
    chosen = [by_number[number] for number in numbers]
    if len(chosen) == 1:
        return _one(matched, chosen[0], [], names, request, shown)
    if all(column.distinct <= HOT for column in chosen) and request.task != REGRESS:
        return _hot(matched, chosen, request)
    values = zip(*(map(number_in, matched.cells(number)) for number in numbers), strict=True)
    labels = [None if None in row else row for row in values]
    called = [matched.named(number) for number in numbers]
    if labels.count(None) == len(labels):
        lines = [request.line(labels=shown, label_column=one) for one in several]
        what = f"The columns {some(called)} hold names."
        raise DataError(what, "several columns are numbers, or 0 and 1", ", or ".join(lines))
    if request.task == CLASSIFY:
        line = f"the largest of the columns {some(called)} is the class"
        most = largest(labels, called)
        ties = sum(one is None and row is not None for one, row in zip(most, labels, strict=True))
        text = f"{counted(ties, 'picture')} left without a label: two columns are the largest."
        notes = (Note(text, "warn"),) if ties else ()
        return LabelChoice(tuple(numbers), list(most), line, notes)
    line = f"the columns {some(called)} are the targets"
    return LabelChoice(tuple(numbers), labels, line)


def _sorted(matched: Matched, columns: Sequence[Column]) -> list[Column]:
    """Sort by likeliness: what the table is named for, names before numbers, few before many."""
    stem = plain(matched.table.path.stem)

    def rank(column: Column) -> tuple[bool, int, bool, int]:
        called = -len(words(column.name) & (LABEL_WORDS | set(LIKELY)))
        named = len(column.name) > 3 and plain(column.name) in stem
        return not named, called, column.kind != "text", len(column.distinct)

    return sorted(columns, key=rank)


def _question(
    matched: Matched,
    columns: Sequence[Column],
    request: LabelRequest,
    shown: str,
    hot: Sequence[Column] = (),
    *,
    together: bool = False,
    names: FileNames | None = None,
) -> DataError:
    """Ask which column is meant, with a line for each.

    Parameters
    ----------
    hot : columns of 0 and 1, which may be meant as one
    together : whether all `columns`, which are numbers, may be meant as one
    names : the files, where no column is plainly the label
    """
    lines = []
    for column in columns[:SHOWN]:
        key, numbers = matched.key(column.number), column.kind == "number"
        task = REGRESS if numbers and words(column.name) & QUANTITIES else request.task
        lines.append(request.line(labels=shown, label_column=key, task=task))
    if hot:
        keys = [matched.key(column.number) for column in hot]
        line = request.line(labels=shown, label_column=keys)
        last = max(column.number for column in columns) > hot[-1].number
        lines.insert(len(lines) if last else 0, line)  # the target often stands last
    if together:
        keys = [matched.key(column.number) for column in columns]
        whole = request.line(labels=shown, label_column=keys)
        if _are_shares(matched, columns):
            line = request.line(labels=shown, label_column=keys, task=CLASSIFY)
            lines = [f"{line} (the largest is the class)", f"{whole} (to learn the numbers)"]
        else:
            lines.append(f"{whole} (all of them, as numbers)")
    called = ", ".join(matched.named(column.number) for column in columns[:SHOWN])
    more = f", or the {len(hot)} columns of 0 and 1" if hot else ""
    what = f"{matched.table.path} has several columns that could be the label: {called}{more}."
    if names is not None:
        what = f"{matched.table.path} has no column that is plainly the label."
        lines = lines or [_without_label(matched, names, request, shown)]
    why = f"its columns are {', '.join(matched.header) or 'without names'}"
    return DataError(what, why, ", or ".join(lines))


def _are_shares(matched: Matched, columns: Sequence[Column]) -> bool:
    """Tell whether the numbers of each row are shares of one whole, as annotators' votes are."""
    cells = [[number_in(cell) or 0.0 for cell in matched.cells(one.number)] for one in columns]
    rows = list(zip(*cells, strict=True))
    whole = sum(rows[0])
    return whole > 0 and all(
        min(row) >= 0 and abs(sum(row) - whole) <= 0.02 * whole for row in rows
    )
