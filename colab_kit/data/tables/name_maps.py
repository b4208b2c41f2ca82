"""What classes are called: a file beside the table, or the one that class_names= names.

{"21": "fire lily"} or {"fire lily": 21} in JSON, `1 001.Albatross` or `n01440764 tench` a line,
two columns of a CSV file, or a name a line in the order of the numbers, from 1 where no class is 0.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...errors import DataError
from ...system.files import parse
from .table import unreadable
from .text import read_text

WORDS = re.compile(r"class|label|name|map|categor|synset|species|breed|words|idx|dict", re.I)
ENDINGS = (".json", ".txt", ".csv", ".tsv", ".names")
HEADERS = frozenset("name names class classes label labels class_name class_names".split())
LIMIT = 4 << 20  # bytes: a map of names is small


def read_names(path: Path, wanted: Iterable[str] = (), *, exact: bool = False) -> dict[str, str]:
    """Read the names of classes.

    Parameters
    ----------
    wanted : the classes; of a list of names they say where it starts, at 0 or at 1
    exact : whether a list must have as many names as there are numbers

    Raises
    ------
    DataError
        It cannot be read, or holds no names.
    """
    try:
        text = read_text(path)
    except OSError as err:
        raise unreadable(path, err, "a JSON file") from err
    except ValueError as err:
        fix = "give a file of the names alone"
        raise DataError(f"{path} is too large for names of classes.", str(err), fix) from err
    example = '{"21": "fire lily", …}'
    try:
        names = _names(text or "", path.suffix.lower(), _numbers(wanted), exact)
    except (ValueError, RecursionError) as err:
        what = f"{path} is no JSON file."
        raise DataError(what, str(err), f"it should hold {example}") from err
    if names is None:
        why = "a name for each folder is expected"
        raise DataError(f"{path} holds no names of classes.", why, f"write {example}")
    return names


def find_names(labels: Iterable[str], tables: Sequence[Path]) -> tuple[dict[str, str], Path] | None:
    """Find the one file that names all these labels, of files beside a table.

    None where there is none, or where two of them give other names.
    """
    wanted = set(labels)
    found: list[tuple[dict[str, str], Path]] = []
    for path in tables:
        if path.suffix.lower() in ENDINGS and WORDS.search(path.stem):
            names = _covering(path, wanted)
            if names is not None:
                found.append((names, path))
    if not found or any(names != found[0][0] for names, _ in found):
        return None
    return found[0]


def _covering(path: Path, wanted: set[str]) -> dict[str, str] | None:
    """Give the names of a file for all that are wanted, each another; None if it lacks one."""
    try:
        if path.stat().st_size > LIMIT:
            return None
        names = read_names(path, wanted, exact=True)
    except (DataError, OSError):
        return None
    if not wanted <= set(names):
        short = {key.lstrip("0") or "0": name for key, name in names.items()}
        names = short if len(short) == len(names) else names
    mine = {label: names[label] for label in wanted if label in names}
    if len(mine) < len(wanted) or len(set(mine.values())) < len(mine):
        return None
    return mine if not set(mine.values()) <= wanted else None


def _numbers(classes: Iterable[str]) -> list[int]:
    """Give the numbers that classes are; none if one is no number."""
    names = list(classes)
    return [int(name) for name in names] if all(name.isdecimal() for name in names) else []


def _names(text: str, ending: str, numbers: Sequence[int], exact: bool) -> dict[str, str] | None:
    if ending == ".json" or text.lstrip()[:1] in "{[" and text.strip():
        value = parse(text)
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return _in_order(value, numbers, exact)
        if not isinstance(value, Mapping):
            return None
        return _of_mapping(value)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    if ending in (".csv", ".tsv"):
        marks = {mark: sum(mark in line for line in lines) for mark in "\t;,"}
        rows = list(csv.reader(lines, delimiter=max(marks, key=marks.__getitem__)))
        if all(len(row) == 1 for row in rows):
            return _in_order([row[0].strip() for row in rows], numbers, exact)
        several = [row for row in rows if len(row) > 1]
        if 2 * len(several) < len(rows) == len(lines):  # a few names hold a comma
            return _in_order(lines, numbers, exact)
        return _of_rows(several)
    parted = [re.split(r"\s*[:=,\t]\s*|\s+", line, maxsplit=1) for line in lines]
    keys = [row[0] for row in parted]
    if all(len(row) == 2 for row in parted) and len(set(keys)) == len(keys) and _are_keys(keys):
        return {key: name.strip() for key, name in parted}
    return _in_order(lines, numbers, exact)


def _in_order(names: Sequence[str], numbers: Sequence[int], exact: bool) -> dict[str, str] | None:
    """Number a list of names: from 1 where no class is 0. A header is one name too many."""
    start = int(bool(numbers) and min(numbers) > 0)
    many = max(numbers, default=0) + 1 - start
    if len(names) == many + 1 and names[0].casefold() in HEADERS:
        names = names[1:]
    if exact and len(names) != many:
        return None
    return {str(number): name for number, name in enumerate(names, start)}


def _are_keys(keys: Sequence[str]) -> bool:
    return all(re.fullmatch(r"n?\d+", key) for key in keys)


def _of_mapping(value: Mapping[object, object]) -> dict[str, str] | None:
    texts = {str(key): one for key, one in value.items()}
    if all(isinstance(one, str) for one in texts.values()):
        return {key: str(one) for key, one in texts.items()}
    if texts and all(isinstance(one, int) for one in texts.values()):  # the other way round
        return {str(one): key for key, one in texts.items()}
    if len(texts) == 1:
        inner = next(iter(texts.values()))
        return _of_mapping(inner) if isinstance(inner, Mapping) else None
    return None


def _of_rows(rows: Sequence[Sequence[str]]) -> dict[str, str] | None:
    """Read two columns: the one of numbers or keys, and the first one of names."""
    if len(rows) < 2:
        return None
    body = rows[1:]
    for key, name in ((0, 1), (1, 0)):
        keys = [row[key].strip() for row in body]
        if len(set(keys)) == len(keys) and _are_keys(keys):
            own = [] if not _are_keys([rows[0][key].strip()]) else [rows[0]]
            return {row[key].strip(): row[name].strip() for row in [*own, *body]}
    return None
