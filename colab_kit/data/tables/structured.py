"""JSON, XML and .mat files that say what pictures show, as a header and rows.

A list of records (Label Studio's JSON_MIN and its full export, JSON lines), {file: label},
{file: record}, {class: [files]}, {column: [cells]}, COCO, {split: any of these}, and CVAT's XML.
A cell is a text, or a tuple of texts where a picture has several.

A .mat file holds rows of structs, columns of one length, or a number a picture: imagelabels.mat of
the flowers has a label a picture, in the order of the numbers in their names, and setid.mat these
numbers for each split (Nilsback and Zisserman, 2008).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ...system.files import parse
from ..folders.words import split_of
from ..formats.mat_file import read_mat

FILE_WORDS = frozenset("file filename file_name image image_id path filepath img name".split())

Content = tuple[tuple[str, ...], list[list[Any]], bool]  # header, rows, several rows a file
BY_NUMBER = "the number in its name"  # what the column of pictures' numbers, from 1, is called
INDEX = re.compile(r"_?(ids?|idx|inds?|index|indices|set|list)$", re.I)


class NotATableError(ValueError):
    """The content says nothing of files."""


def read_json(text: str) -> Content:
    """Read JSON, or JSON lines.

    Raises
    ------
    ValueError
        It is no JSON, or none that could say what files show.
    """
    try:
        value = parse(text, longest=len(text))
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith("{"):
            raise
        value = [parse(line, longest=len(text)) for line in lines]
    return _content(value)


def read_xml(text: str) -> Content:
    """Read CVAT's XML for images: a row for each tag, or each box, of an image.

    Raises
    ------
    ValueError
        It is another XML.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as err:
        raise NotATableError(f"it is no XML: {err}") from err
    rows = [
        [image.get("name", ""), mark.get("label", "")]
        for image in root.iter("image")
        for mark in image
        if mark.get("label")
    ]
    if not rows:
        raise NotATableError("it names no images with labels, as CVAT's export does")
    return ("file", "label"), _once(rows), True


def read_list(path: Path) -> Content:
    """Give a file's list as a header and rows.

    Raises
    ------
    NotATableError
        It holds no list.
    DataError
        It is damaged, or of MATLAB 7.3.
    """
    held = {name: _plain(value) for name, value in read_mat(path).items()}
    columns = {name: value for name, value in held.items() if isinstance(value, list) and value}
    for value in columns.values():
        if all(isinstance(one, dict) for one in value):
            return of_records(value)
    splits = {name: _split_of(name) for name in columns}
    if "train" in splits.values() and len(splits) > 1 and None not in splits.values():
        rows = [[cell, splits[name]] for name, of in columns.items() for cell in of]
        if len({cell for cell, _ in rows}) == len(rows):
            return _numbered(rows, "split")
    if len({len(value) for value in columns.values()}) != 1:
        raise NotATableError("it holds no lists of one length")
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    if len(columns) > 1:
        return tuple(columns), rows, False
    return _numbered([[str(number), *row] for number, row in enumerate(rows, 1)], *columns)


def _numbered(rows: list[list[Any]], name: str) -> Content:
    return (BY_NUMBER, name), rows, False


def _split_of(name: str) -> str | None:
    """Give the split that trnid, valid or test_idx means."""
    return split_of(name) or split_of(INDEX.sub("", name))


def _plain(value: Any) -> Any:
    """Give a vector as a list of texts, and values in structs as texts; the rest as it is."""
    if isinstance(value, np.ndarray) and value.size == max(value.shape, default=0):
        return _texts(value.ravel().tolist())
    if isinstance(value, list):
        return [_record(one) if isinstance(one, dict) else _single(one) for one in value]
    return value


def _record(value: dict[str, Any]) -> dict[str, Any]:
    return {name: _single(one) for name, one in value.items()}


def _single(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        texts = _texts(value.ravel().tolist())
        return texts[0] if len(texts) == 1 else texts
    return value


def _texts(values: Sequence[Any]) -> list[str]:
    return [str(int(one)) if float(one).is_integer() else str(one) for one in values]


def _content(value: Any) -> Content:
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return of_records(value)
    if isinstance(value, list) and value and all(_is_row(row) for row in value):
        width = max(map(len, value))
        rows = [[*map(_cell, row), *[""] * (width - len(row))] for row in value]
        return tuple(f"column {n}" for n in range(width)), rows, False
    if isinstance(value, list) and value and all(isinstance(row, str) for row in value):
        return ("file",), [[row] for row in value], False
    raise NotATableError("it holds no records, and no names with labels")


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], str)


def _of_mapping(value: Mapping[str, Any]) -> Content:
    if {"images", "annotations", "categories"} <= set(value):
        return _of_coco(value)
    if joined := _of_two(value):
        return joined
    inner = list(value.values())
    if not inner:
        raise NotATableError("it is empty")
    if len(inner) == 1 and isinstance(inner[0], list | dict) and not _is_names(inner[0]):
        return _content(inner[0])
    nested = all(isinstance(one, list | dict) for one in inner)
    if nested and all(map(split_of, value)):
        return _of_splits(value)
    if all(isinstance(one, Mapping) for one in inner):
        if all(all(key.isdigit() for key in one) and one for one in inner):  # pandas: by columns
            numbers = list(dict.fromkeys(key for one in inner for key in one))
            rows = [[_cell(one.get(number)) for one in inner] for number in numbers]
            return tuple(value), rows, False
        return of_records([{"file": key, **one} for key, one in value.items()])
    if all(isinstance(one, list) for one in inner):
        if len({len(one) for one in inner}) == 1 and any(k.lower() in FILE_WORDS for k in value):
            return tuple(value), [list(map(_cell, row)) for row in zip(*inner, strict=True)], False
        return ("key", "item"), [[key, _cell(x)] for key, one in value.items() for x in one], True
    if any(isinstance(one, Mapping) for one in inner):
        raise NotATableError("its entries are of several kinds")
    return ("key", "value"), [[key, _cell(one)] for key, one in value.items()], False


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _of_splits(value: Mapping[str, Any]) -> Content:
    """Put the tables of several splits below each other, with a column that says the split."""
    header: tuple[str, ...] = ()
    rows, several = list[list[Any]](), False
    for split, inner in value.items():
        names, own_rows, together = _content(inner)
        header, several = (*names, "split"), several or together
        rows += [[*row, split] for row in own_rows]
    if len({len(row) for row in rows}) != 1:
        raise NotATableError("its splits hold records of several kinds")
    return header, rows, several


def of_records(records: list[Any]) -> Content:
    """Give a list of records as a table: a column for each key."""
    if "data" in records[0] and ("annotations" in records[0] or "completions" in records[0]):
        records = list(map(_studio_task, records))
    names = tuple(dict.fromkeys(key for record in records for key in record))
    return names, [[_cell(record.get(name)) for name in names] for record in records], False


def _studio_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Give a task of Label Studio's full export as one record."""
    out = {str(key): one for key, one in dict(task["data"]).items()}
    for annotation in task.get("annotations") or task.get("completions") or ():
        if annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result", ()):
            name = str(result.get("from_name", "label"))
            for value in (result.get("value") or {}).values():
                if isinstance(value, list) and all(isinstance(one, str) for one in value):
                    out[name] = list(dict.fromkeys([*out.get(name, ()), *value]))
    return out


def _of_coco(value: Mapping[str, Any]) -> Content:
    try:
        kinds = {kind["id"]: str(kind["name"]) for kind in value["categories"]}
        files = {image["id"]: str(image["file_name"]) for image in value["images"]}
        rows = [[files[one["image_id"]], kinds[one["category_id"]]] for one in value["annotations"]]
    except (KeyError, TypeError) as err:
        raise NotATableError(f"it lacks what a COCO file has: {err}") from err
    named = {row[0] for row in rows}
    bare = [[name, ""] for name in files.values() if name not in named]
    return ("file_name", "category"), _once(rows) + bare, True


def _of_two(value: Mapping[str, Any]) -> Content | None:
    """Join images and annotations that share a key, as imageId; None where they do not."""
    images, notes = value.get("images"), value.get("annotations")
    for rows in (images, notes):
        if not isinstance(rows, list) or not rows or not all(isinstance(r, Mapping) for r in rows):
            return None
    assert images is not None and notes is not None
    shared = [(key, key) for key in images[0] if key in notes[0] and key != "id"]
    keys = [*shared, *(("id", key) for key in ("image_id", "imageId") if key in notes[0])]
    if not keys:
        return None
    mine, theirs = keys[0]
    said = {image.get(mine): dict(image) for image in images}
    header, cells, _ = of_records([said.get(one[theirs], {}) | dict(one) for one in notes])
    return header, cells, True


def _once(rows: Iterable[list[Any]]) -> list[list[Any]]:
    return [list(row) for row in dict.fromkeys(map(tuple, rows))]


def _cell(value: Any) -> Any:
    """Give a value as a text, or several texts as a tuple; one in a list is that one."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        if len(value) == 1:  # {"choices": [...]}
            return _cell(next(iter(value.values())))
        return json.dumps(value)
    if isinstance(value, list):
        texts = tuple(str(one) for one in value if isinstance(one, str | int))
        if len(texts) < len(value) or not texts:
            return json.dumps(value) if value else ""
        return texts[0] if len(texts) == 1 else texts
    return str(value)
