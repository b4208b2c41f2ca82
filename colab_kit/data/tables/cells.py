"""Cells of a label's column become labels: names, several names a picture, or numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...errors import DataError
from ...events import Note
from ..folders.tree import counted, natural, some
from ..folders.words import is_unlabelled
from ..targets import CLASSIFY, MULTILABEL, REGRESS
from .request import LabelRequest

MISSING = frozenset(("", "nan", "n/a", "na", "null", "none", "-", "?", "nil", "<na>"))
NO_NAME = MISSING - {"none"}  # "none" may be a class: no disease, no defect
RARE = 0.1  # share of the labels up to which Python's None says that there is none
FEW = 4  # more whole numbers than this are asked for where the column is called a quantity
MANY = 20  # more whole numbers than this may as well be quantities
QUANTITIES = frozenset(
    "age ages boneage year years month months day days count counts number price cost weight "
    "height length width depth angle steering speed temperature bmi percent percentage ratio "
    "value values amount intensity pressure volume hours minutes seconds rank".split()
)
STRONG, WEAK = "|;", ",/&+"  # marks between labels; the weak ones stand in names, too
QUANTITY = re.compile(r"([-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?)\s*([^\W\d_]{1,5}|%|°)?$")
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"|([^\s,\[\]'\"]+)")


def number_in(cell: Any) -> float | None:
    """Read a cell as a number; a comma may be the decimal point."""
    if not isinstance(cell, str):
        return None
    try:
        return float(cell.replace(",", ".", 1) if cell.count(",") == 1 else cell)
    except ValueError:
        return None


def are_numbers(distinct: set[Any]) -> bool:
    """Tell whether a column holds numbers, some of which may be missing."""
    present = [cell for cell in distinct if not is_missing(cell)]
    return bool(present) and all(number_in(cell) is not None for cell in present)


def words(name: str) -> set[str]:
    """Give the words of a column's name: masterCategory, patient_id, Roi.X1."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+\d?|[A-Z]+(?![a-z])\d?", name)}


def is_missing(cell: Any) -> bool:
    return isinstance(cell, str) and cell.casefold() in MISSING


def as_labels(
    cells: Sequence[Any], name: str, request: LabelRequest, shown: str
) -> tuple[list[Any], list[Note]]:
    """Give the label of each cell: a name, a float, a tuple of names, or None.

    Parameters
    ----------
    cells : of the column, in rows that name a file
    name : the column, as sentences call it
    shown : the table as labels= names it, for lines to paste

    Raises
    ------
    DataError
        It could be one class a picture or several, and nobody says which.
    """
    distinct = set(cells)
    if lists := {
        cell: _list(cell) for cell in distinct if isinstance(cell, str) and cell[:1] == "["
    }:
        cells = [lists.get(cell, cell) for cell in cells]
        distinct = set(cells)
    if any(isinstance(cell, tuple) for cell in distinct):
        return _several(cells), []
    if are_numbers(distinct):
        return _numbers(cells, name, request, shown)
    if quantities := _with_unit(distinct, request.task):
        unit, values = quantities
        text = f"The column {name} holds numbers with the unit {unit}: they are learned as numbers."
        return [values.get(cell) for cell in cells], [Note(text)]
    labels, notes = _without_blank(cells, name)
    labels, spelt = one_spelling(labels, name)
    notes += spelt
    if request.task is None:
        labels, parted = _parted(labels, name, request, shown)
        notes += parted
    return labels, notes


def _without_blank(cells: Sequence[str], name: str) -> tuple[list[Any], list[Note]]:
    """Give no label where a cell says that there is none, and say so of words."""
    counts = Counter(cells)
    none = {cell for cell in counts if cell.casefold() in NO_NAME}
    if len(counts.keys() - none) > 2:
        none |= {cell for cell in counts if is_unlabelled(cell)}
    words_for_none = {cell for cell in counts if cell.casefold() == "none"}
    if counts["None"] <= RARE * len(cells):
        none |= {"None"} & counts.keys()
    notes = []
    if said := sorted(none - {""}):
        many = sum(counts[cell] for cell in said)
        text = f"{counted(many, 'picture')} left without a label, where the column {name} says"
        notes.append(Note(f"{text} {some(list(map(repr, said)))}.", "warn"))
    for cell in sorted(words_for_none - none):
        text = f"The column {name} says {cell!r} of {counts[cell]:,} pictures: it is taken as a"
        notes.append(Note(f"{text} class. A picture without a label has an empty cell."))
    one_each = {cell: None if cell in none else cell for cell in counts}  # one object a class
    return list(map(one_each.__getitem__, cells)), notes


def one_spelling(labels: list[Any], name: str) -> tuple[list[Any], list[Note]]:
    """Give names that differ only in capitals, blanks, _ and - the spelling that most have.

    Short names stay: "a" and "A" are letters.
    """
    spellings: dict[str, dict[str, int]] = {}
    counts = Counter(labels)
    del counts[None]
    for label, count in counts.items():
        squeezed = re.sub(r"[\s_-]+", "", label.casefold())
        if len(squeezed) > 2 and not squeezed.isdigit():
            spellings.setdefault(squeezed, {})[label] = count
    one: dict[Any, str] = {}
    for own in spellings.values():
        most = max(own, key=lambda label: (own[label], label))
        one |= {label: most for label in own if label != most}
    if not one:
        return labels, []
    shown = some([f"{label!r} is {most!r}" for label, most in one.items()])
    text = f"The column {name} spells classes in several ways, which are taken as one: {shown}."
    return [one.get(label, label) for label in labels], [Note(text, "warn")]


def hot_labels(
    columns: Sequence[Sequence[str]], names: Sequence[str], task: str | None
) -> tuple[list[Any], list[Note]]:
    """Give labels that columns of 0 and 1, or of -1 and 1, say: one class a picture, or several.

    A row whose cells are all empty has no label.
    """
    kinds = {cell for column in columns for cell in set(column)}
    values = {cell: _hot(cell) for cell in kinds}
    several: list[list[str]] = [[] for _ in columns[0]]
    for name, column in zip(names, columns, strict=True):
        ones = {cell for cell, value in values.items() if value == 1}
        for row, cell in enumerate(column):
            if cell in ones:
                several[row].append(name)
    blank = [False] * len(several)
    if "" in values:
        blank = [not any(row) for row in zip(*columns, strict=True)]
    notes = []
    if {-1.0, 0.0} <= set(values.values()):
        text = "The table holds 1, 0 and -1: -1 (uncertain) is taken as 0."
        notes.append(Note(text, "warn"))
    counts = {len(label) for label, empty in zip(several, blank, strict=True) if not empty}
    if task != MULTILABEL and (counts == {1} or task == CLASSIFY and counts <= {0, 1}):
        return [label[0] if label else None for label in several], notes
    return [None if empty else tuple(one) for one, empty in zip(several, blank, strict=True)], notes


def largest(rows: Sequence[Any], names: Sequence[str]) -> list[str | None]:
    """Give the name of the largest number in each row; None where the row is, or two are largest.

    Parameters
    ----------
    rows : a row of numbers for each picture, or None
    """
    out: list[str | None] = []
    for row in rows:
        most = None if row is None else max(row)
        out.append(names[row.index(most)] if row is not None and row.count(most) == 1 else None)
    return out


def _hot(cell: str) -> float:
    """Read a cell of 0, 1 or -1, of true or false, or an empty one."""
    return float({"true": "1", "false": "0", "": "0"}.get(cell.casefold(), cell))


def _list(cell: str) -> Any:
    """Read a quoted list: "['a', 'b']"; one in it is that one."""
    if not cell.endswith("]"):
        return cell
    found = [next(filter(None, groups), "") for groups in QUOTED.findall(cell[1:-1])]
    return found[0] if len(found) == 1 else tuple(found)


def _several(cells: Sequence[Any]) -> list[Any]:
    out: list[Any] = []
    for cell in cells:
        if isinstance(cell, tuple):
            out.append(cell)
        else:
            out.append((cell,) if cell else None)
    return out


def _numbers(
    cells: Sequence[str], name: str, request: LabelRequest, shown: str
) -> tuple[list[Any], list[Note]]:
    """Give whole numbers as names of classes, others as floats."""
    read = {cell: None if is_missing(cell) else number_in(cell) for cell in set(cells)}
    values = {value for value in read.values() if value is not None and value == value}
    if request.task == REGRESS or any(value != int(value) for value in values if value % 1 != 0):
        return [read[cell] for cell in cells], []
    # 1, 01 and 1.0 are one class; 00001 beside 00002 keeps its zeros
    plain = any("." in cell or "," in cell for cell in read)
    as_name = {
        cell: None if value is None else (str(int(value)) if plain else cell)
        for cell, value in read.items()
    }
    notes = []
    if request.task is None and len(values) > FEW:
        text = f"The column {name} holds {len(values)} whole numbers from {min(values):g} to"
        text = f"{text} {max(values):g}"
        lines = [request.line(labels=shown, task=task) for task in (REGRESS, CLASSIFY)]
        if words(name) & QUANTITIES:
            why = "they could be numbers to learn, or names of classes"
            raise DataError(f"{text}.", why, ", or ".join(lines))
        if len(values) > MANY:
            notes.append(
                Note(f"{text}: they are taken as classes; as numbers to learn: {lines[0]}")
            )
    return [as_name[cell] for cell in cells], notes


def _with_unit(cells: set[str], task: str | None) -> tuple[str, dict[str, float]] | None:
    """Read numbers with a unit, if they have fractions or numbers are asked for."""
    present = [cell for cell in cells if not is_missing(cell)]
    found = [match for cell in present if (match := QUANTITY.match(cell))]
    units = {match[2] for match in found}
    if len(found) != len(present) or not found or len(units) != 1 or None in units:
        return None
    values = [float(match[1].replace(",", ".")) for match in found]
    if task not in (None, REGRESS) or task is None and all(value % 1 == 0 for value in values):
        return None
    return str(units.pop()), dict(zip(present, values, strict=True))


def _parted(
    labels: Sequence[str | None], name: str, request: LabelRequest, shown: str
) -> tuple[list[Any], list[Note]]:
    """Part cells that hold several names, if these names are labels themselves.

    Raises
    ------
    DataError
        They are about as likely the names of classes.
    """
    distinct = {label for label in labels if label is not None}
    for mark in f"{STRONG}{WEAK} ":
        parts = _parts(distinct, mark)
        if not parts:
            continue
        first = min(parts)
        known = Counter(part for words in parts.values() for part in words)
        alone = distinct - set(parts)
        single = [part for part in known if part in alone]
        half_recur = 2 * sum(part in alone or known[part] > 1 for part in known) >= len(known)
        lines = [request.line(labels=shown, task=task) for task in (MULTILABEL, CLASSIFY)]
        if len(single) == len(known) or mark in STRONG and half_recur:
            said = f"The column {name} holds several labels a picture, as {first!r}: "
            out = [label if label is None else parts.get(label, (label,)) for label in labels]
            return out, [Note(f"{said}task='multilabel'. As names of classes: {lines[1]}")]
        tags = single and mark == " " and any("_" in part for part in known)
        if mark in STRONG or mark in WEAK and half_recur or tags:
            what = f"The column {name} holds labels such as {first!r}."
            why = "they could be several labels a picture, or the name of one class"
            raise DataError(what, why, ", or ".join(lines))
        if mark in WEAK or single:
            text = f"The column {name} holds {first!r} as the name of one class; to part such"
            return list(labels), [Note(f"{text} names into several labels a picture: {lines[0]}")]
    return list(labels), []


def part_all(labels: Sequence[str | None]) -> list[Any]:
    """Part each label into several, at the mark that the column uses; blanks if it uses no other.

    Parameters
    ----------
    labels : of pictures that have one row each, which may be several classes
    """
    distinct = {label for label in labels if label is not None}
    strong = filter(None, (_parts(distinct, mark) for mark in f"{STRONG},"))
    parts = next(strong, None) or max((_parts(distinct, mark) for mark in "/&+ "), key=len)
    return [None if label is None else parts.get(label, (label,)) for label in labels]


def _parts(labels: set[str], mark: str) -> dict[str, tuple[str, ...]]:
    """Give the parts of the labels that a mark parts into two or more."""
    parts = {label: tuple(filter(None, map(str.strip, label.split(mark)))) for label in labels}
    return {label: words for label, words in parts.items() if len(words) > 1}


def spoken(labels: Sequence[Any]) -> str:
    """Say what the labels are in a few words."""
    present = set(labels) - {None}
    names = {name for label in present for name in (label if type(label) is tuple else (label,))}
    if names and all(isinstance(name, float) for name in names):
        return "numbers"
    return f"{len(names)} classes: {some(sorted(map(str, names), key=natural))}"
