"""Which column of a table is the label: by its name, or by being the only plausible one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import DataError
from ...events import Note
from ..folders.tree import some
from ..folders.words import split_of
from ..targets import MULTILABEL, REGRESS
from .cells import are_numbers, as_labels, hot_labels, is_missing, number_in
from .file_columns import Matched, column_number
from .file_names import FileNames
from .request import LabelRequest

LABEL_COLUMNS = tuple("label labels class class_name category target species breed y".split())
LIKELY = tuple(
    "classname labelname class_label label_name category_name class_id classid category_id "
    "label_id class_index class_idx diagnosis dx finding_labels finding findings tags tag choice "
    "choices disease cultivar variety genus emotion expression grade level".split()
)
LABEL_WORDS = frozenset("label labels class classes category target species breed tag tags".split())
NAME_WORDS = frozenset("name names label labels class classes category species breed".split())
SPLIT_COLUMNS = frozenset(
    "split usage partition set data_set dataset subset phase fold_name is_valid is_val is_train "
    "is_test is_training is_training_image is_validation evaluation_status train_test split_name "
    "train_val_test".split()
)
GROUP_WORDS = frozenset(
    "patient patients patientid lesion lesions subject person participant video clip case study "
    "series session individual photographer user rater observer".split()
)
BESIDE = frozenset(
    "x y w h width height size xmin ymin xmax ymax x1 x2 y1 y2 bbox box roi area md5 sha1 "
    "sha256 hash url uri link date time datetime timestamp created updated lead annotator "
    "annotation score confidence latitude longitude lat lon lng license licence caption text "
    "description comment comments remark remarks title author source email fold rle "
    "segmentation polygon mask points channels mode format filesize".split()
)
HOT = frozenset(("0", "1", "0.0", "1.0", "-1", "-1.0", "", "true", "false", "True", "False"))
YES_WORDS = frozenset("confidence verified present positive confirmed".split())
SHOWN = 6  # lines that a question shows


@dataclass(frozen=True)
class Column:
    """What one column holds.

    kind : blank, constant, split, group, counter, beside, hot, number, text or free
    """

    number: int
    name: str
    kind: str
    distinct: set[Any]


@dataclass(frozen=True)
class LabelChoice:
    """The labels that a table says, one for each row that names a file.

    line : how they were read, a sentence
    """

    columns: tuple[int, ...]
    labels: list[Any]
    line: str
    notes: tuple[Note, ...] = ()


def plain(name: str) -> str:
    """Bring a column's name to one spelling: Class Name, class-name and class_name are one."""
    return re.sub(r"[\s\-.]+", "_", name.strip().casefold())


def words(name: str) -> set[str]:
    """Give the words of a column's name: masterCategory, patient_id, Roi.X1."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+\d?|[A-Z]+(?![a-z])\d?", name)}


def columns_of(matched: Matched) -> list[Column]:
    """Say what each column but the files' holds."""
    out, places = [], "x" in map(plain, matched.header)
    for number in range(matched.table.width):
        if number != matched.of_file:
            cells = matched.cells(number)
            name = matched.header[number] if matched.header else ""
            distinct = set(cells)
            out.append(Column(number, name, _kind(name, cells, distinct, places), distinct))
    return _without_answers(matched, out) if matched.header else _without_box(matched, out)


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
    columns = columns_of(matched)
    if request.label_column is not None:
        return _named(matched, columns, names, request, shown)
    likely = [column for column in columns if column.kind in ("hot", "number", "text")]
    if len(columns) == 1 and columns[0].kind not in ("blank", "split", "group", "counter"):
        return _one(matched, columns[0], [], names, request, shown)
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
        raise _question(matched, _sorted(rest), request, shown, hot)
    chosen = _by_names(matched, likely, names) or _usual(likely, LIKELY)
    if chosen is None:
        speaking = [column for column in likely if words(column.name) & LABEL_WORDS]
        chosen = next(iter(speaking if len(speaking) == 1 else ()), None)
    if chosen is None and len(likely) == 1:
        chosen = likely[0]
    if chosen is not None:
        choice = _one(matched, _twin(matched, chosen, likely), likely, names, request, shown)
        if len(likely) > 1:
            text = f"{matched.table.path.name}: {choice.line}; label_column= names another one."
            return replace(choice, notes=(Note(text), *choice.notes))
        return choice
    likely = likely or [column for column in columns if column.kind in ("free", "beside", "group")]
    if likely:
        raise _question(matched, _sorted(likely), request, shown)
    return None


def _kind(name: str, cells: Sequence[Any], distinct: set[Any], places: bool) -> str:
    spelling, parts = plain(name), words(name)
    usual = spelling in LABEL_COLUMNS and not (spelling == "y" and places)
    if all(is_missing(cell) for cell in distinct):
        return "blank"
    texts = {cell.casefold() for cell in distinct if isinstance(cell, str)}
    if all(map(split_of, texts - {""})) and (spelling in SPLIT_COLUMNS or len(texts) > 1):
        return "split"
    if spelling in SPLIT_COLUMNS and len(distinct) <= 4 and len(texts) == len(distinct):
        return "split"
    if parts & GROUP_WORDS and not usual:
        return "group"
    if len(distinct) == 1 and not usual:
        return "constant"
    if parts & BESIDE and not usual:
        return "beside"
    if any(isinstance(cell, tuple) for cell in distinct):
        return "text"
    if distinct <= HOT:
        return "hot"
    if are_numbers(distinct):
        return "counter" if _counts(cells, distinct) and not usual else "number"
    return "text" if 2 * len(distinct) <= len(cells) or usual else "free"


def _without_answers(matched: Matched, columns: list[Column]) -> list[Column]:
    """Mark a column of yes and no beside names, where a file has a row for each name."""
    answers = [one for one in columns if one.kind == "hot" and words(one.name) & YES_WORDS]
    several = answers and len(set(matched.files)) < len(matched.files)
    if not several or all(one.kind != "text" for one in columns):
        return columns
    return [replace(one, kind="beside") if one in answers else one for one in columns]


def _without_box(matched: Matched, columns: list[Column]) -> list[Column]:
    """Mark the corners of a box (left, top, right, bottom), where no header says what they are."""
    boxes = []
    for four in (columns[start : start + 4] for start in range(len(columns) - 4 + 1)):
        numbers = [column.number for column in four]
        whole = all(are_numbers(column.distinct) for column in four)
        if whole and numbers[3] - numbers[0] == 3 and _are_corners(matched, numbers):
            boxes.append((sum(len(column.distinct) for column in four), numbers))
    # a class before the corners is below them as well: places differ more from picture to picture
    box = max(boxes)[1] if boxes and len(columns) > 4 else []
    return [replace(one, kind="beside") if one.number in box else one for one in columns]


def _are_corners(matched: Matched, numbers: Sequence[int]) -> bool:
    cells = [[number_in(cell) for cell in matched.cells(number)] for number in numbers]
    rows = zip(*cells, strict=True)
    return all(None not in row and row[0] < row[2] and row[1] < row[3] for row in rows)


def _counts(cells: Sequence[Any], distinct: set[Any]) -> bool:
    """Tell whether numbers only count the rows."""
    if len(distinct) < len(cells) or not all(cell.isdigit() for cell in distinct):
        return False
    values = [int(cell) for cell in distinct]
    return max(values) - min(values) + 1 == len(values)


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
    named = _names_of_numbers(matched, column, names, request)
    labels, notes = as_labels(named or cells, name, request, shown)
    others = [matched.named(other.number) for other in likely if other.number != column.number]
    beside = f" (not {some(others)})" if others else ""
    line = f"{name} is the label{beside}"
    if named:
        line += ", and the files' folders or names say what its numbers are called"
    if (refusal := _refusal(matched, column)) is not None:
        no = {cell for cell in refusal.distinct if number_in(cell) == 0}
        said = zip(labels, matched.cells(refusal.number), strict=True)
        labels = [None if cell in no else label for label, cell in said]
        line += f", where {refusal.name} is not 0: a row of 0 says that it is not in the picture"
    return LabelChoice((column.number,), labels, line, tuple(notes))


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
    if labels.count(None) == len(labels):
        what = f"The columns {some([matched.named(number) for number in numbers])} hold names."
        raise DataError(what, "several columns are numbers, or 0 and 1", "name one label_column=")
    line = f"the columns {some([matched.named(number) for number in numbers])} are the targets"
    return LabelChoice(tuple(numbers), labels, line)


def _sorted(columns: Sequence[Column]) -> list[Column]:
    """Sort by likeliness: names of classes before numbers, few before many."""

    def rank(column: Column) -> tuple[int, int, int]:
        called = -len(words(column.name) & (LABEL_WORDS | set(LIKELY)))
        return called, column.kind != "text", len(column.distinct)

    return sorted(columns, key=rank)


def _question(
    matched: Matched,
    columns: Sequence[Column],
    request: LabelRequest,
    shown: str,
    hot: Sequence[Column] = (),
) -> DataError:
    """Ask which column is meant, with a line for each."""
    lines = [
        request.line(labels=shown, label_column=matched.key(column.number))
        for column in columns[:SHOWN]
    ]
    if hot:
        keys = [matched.key(column.number) for column in hot]
        line = request.line(labels=shown, label_column=keys)
        last = max(column.number for column in columns) > hot[-1].number
        lines.insert(len(lines) if last else 0, line)  # the target often stands last
    names = ", ".join(matched.named(column.number) for column in columns[:SHOWN])
    more = f", or the {len(hot)} columns of 0 and 1" if hot else ""
    what = f"{matched.table.path} has several columns that could be the label: {names}{more}."
    if len(columns) == 1 and not hot:
        what = f"{matched.table.path} has no column that is plainly the label."
    why = f"its columns are {', '.join(matched.header) or 'without names'}"
    return DataError(what, why, ", or ".join(lines))
