"""What each column of a table holds: names, numbers, 0 and 1, a split, a group, or the like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import DataError
from ..folders.words import split_of
from .cells import are_numbers, is_missing, number_in, words
from .file_columns import Matched
from .file_names import GROUP_WORDS, FileNames
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
BESIDE = frozenset(
    "x y w h width height size xmin ymin xmax ymax x1 x2 y1 y2 bbox box roi area md5 sha1 "
    "sha256 hash url uri link date time datetime timestamp created updated lead annotator "
    "annotation score confidence latitude longitude lat lon lng license licence caption text "
    "description comment comments remark remarks title author source email fold rle "
    "segmentation polygon mask points channels mode format filesize".split()
)
SIZES = frozenset(("width", "height"))
HOT = frozenset(("0", "1", "0.0", "1.0", "-1", "-1.0", "", "true", "false", "True", "False"))
YES_WORDS = frozenset("confidence verified present positive confirmed".split())
OF_PAIRS = frozenset("same different yes no true false y n match mismatch".split())
SAMPLE = 120  # rows that tell of pairs
DATE = re.compile(r"\d{4}[-/.:]\d{1,2}[-/.:]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}:\d{2}")


@dataclass(frozen=True)
class Column:
    """What one column holds.

    kind : blank, constant, split, group, counter, beside, hot, number, text or free
    """

    number: int
    name: str
    kind: str
    distinct: set[Any]


def plain(name: str) -> str:
    """Bring a column's name to one spelling: Class Name, class-name and class_name are one."""
    return re.sub(r"[\s\-.]+", "_", name.strip().casefold())


def columns_of(matched: Matched) -> list[Column]:
    """Say what each column but the files' holds."""
    header = set(map(plain, matched.header))
    out, places = [], "x" in header
    sizes = SIZES if header & SIZES and not header >= SIZES else set()  # one alone is a quantity
    for number in range(matched.table.width):
        if number != matched.of_file:
            cells = matched.cells(number)
            name = matched.header[number] if matched.header else ""
            distinct = set(cells)
            kind = _kind(name, cells, distinct, places)
            if kind == "beside" and plain(name) in sizes and are_numbers(distinct):
                kind = "number"
            out.append(Column(number, name, kind, distinct))
    return _without_answers(matched, out) if matched.header else _without_box(matched, out)


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
    if all(DATE.match(cell) or is_missing(cell) for cell in distinct):
        return "beside"
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


def refuse_pairs(matched: Matched, names: FileNames, request: LabelRequest, shown: str) -> None:
    """Refuse rows that name two pictures each: what they say is of the pair.

    Raises
    ------
    DataError
    """
    step = max(1, len(matched.files) // SAMPLE)
    own = matched.files[::step]
    of_files = [matched.of_file]
    for number in range(matched.table.width):
        cells = [str(cell) for cell in matched.cells(number)[::step]]
        few = 2 * len(set(cells)) <= len(cells)
        if number in of_files or few or all(cell.isdigit() for cell in cells):
            continue
        other = [names.find(cell, exact=True) for cell in cells]
        strange = sum(b is not None and b != a for a, b in zip(own, other, strict=True))
        if 2 * strange > len(own):
            of_files.append(number)
    if len(of_files) < 2:
        return
    keys = [matched.key(number) for number in sorted(of_files)]
    what = f"{matched.table.path} names two pictures in each row: {', '.join(map(repr, keys))}."
    fix = "to learn classes, give a table with one picture and its class in each row"
    kinds = [
        one for one in columns_of(matched) if one.kind == "text" and one.number not in of_files
    ]
    kinds = [
        one for one in kinds if not {str(cell).casefold() for cell in one.distinct} <= OF_PAIRS
    ]
    if kinds:  # a class beside the two: of one of them
        label = matched.key(kinds[0].number)
        lines = [request.line(labels=shown, file_column=key, label_column=label) for key in keys]
        fix = f"if {label} is of one of the two: {', or '.join(lines)}"
    elif names.in_classes:
        fix = f"to learn the folders' names: {request.line_of('path.parent.name')}; else {fix}"
    raise DataError(what, "what is said of two pictures together is the class of neither", fix)
