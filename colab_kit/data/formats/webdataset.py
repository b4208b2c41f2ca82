"""WebDataset: tars whose members belong together by their names: 000000.jpg beside 000000.cls.

The tars are unpacked once, and such files in a folder are read in the same way.
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ...system.archives.limits import HARMLESS, RATIO
from ...system.archives.unpack import unpack
from ...system.files import parse
from ..nested import is_picture, kept, walk
from ..sources import Parts
from .records import LONGEST, Row, of_rows
from .shards import above, by_split, damaged, find, first_bytes

PICTURES = ("jpg", "jpeg", "png", "webp", "ppm")  # the first of a key counts
SAYS = ("cls", "index")  # what no other data set has beside its pictures
MAY_SAY = (*SAYS, "json", "txt")
ALSO = ("index", "txt")  # the label where nothing else is
TARS = (".tar", ".tar.gz", ".tgz")
FIRST = 40  # members that are looked at
HEAD = 8 << 20  # bytes in which they lie


def sees(path: Path) -> bool:
    """Tell whether a tar, or a folder of tars or of files, holds keys: 0.jpg beside 0.cls."""
    try:
        if not path.is_file() and _mostly_said(map(str, islice(walk(path), FIRST))):
            return True
        return any(_pairs(_members(shard), MAY_SAY) for shard in _shards(path)[:3])
    except OSError:
        return False


def read(path: Path, label_column: str | None = None) -> Parts:
    """Read such tars, or the files that they hold; labels from .cls, .json, .index or .txt.

    Raises
    ------
    DataError
        A file is damaged, or nothing or too much says what the label is.
    """
    if shards := _shards(path):
        splits, notes = by_split(path, shards)
        used = [shard for of_split in splits.values() for shard in of_split]
        folder = _unpacked(path, used)
        places = {shard: folder / _name(shard, above(path)) for shard in used}
    else:
        folder = Path(os.path.abspath(path))
        places = {file.parent: file.parent for file in walk(folder) if is_picture(file)}
        splits, notes = by_split(folder, list(places))
    rows = {
        split: [row for shard in of_split for row in _rows(folder, places[shard])]
        for split, of_split in splits.items()
    }
    names = _names_beside(above(path))
    classes = {column: names for column in SAYS if names}
    about = ", files of one key together"
    return of_rows(path, folder, rows, classes, label_column, notes, about, also=ALSO)


def _unpacked(path: Path, shards: Sequence[Path]) -> Path:
    """Give the folder with a folder for each tar."""
    root = above(path)

    def fill(part: Path) -> None:
        room = max(HARMLESS, RATIO * sum(shard.stat().st_size for shard in shards))
        for shard in shards:
            to = part / _name(shard, root)
            unpack(shard, to, max_size=max(room, 0))
            room -= sum(file.stat().st_size for file in to.rglob("*") if file.is_file())

    return kept(shards, root, path.name.partition(".")[0], fill)


def _shards(path: Path) -> list[Path]:
    return find(path, lambda file: file.name.lower().endswith(TARS))


def _name(shard: Path, root: Path) -> str:
    name = shard.relative_to(root).as_posix()
    return name[: -max(len(end) for end in TARS if name.lower().endswith(end))]


def _key(name: str) -> tuple[str, str]:
    """Part a member's name at the first dot of its last part: key and ending."""
    top, _, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{top}/{stem}", ending.lower()


def _pairs(names: Iterable[str], sayers: Sequence[str]) -> bool:
    """Tell whether a picture and what says its label have one key.

    A text or JSON says so only where all lie in one folder: beside class folders it is a caption.
    """
    keys = _endings(names)
    tops = {key.rpartition("/")[0] for key in keys}
    for endings in keys.values():
        said = endings.intersection(sayers)
        if endings.intersection(PICTURES) and said and (len(tops) == 1 or said & set(SAYS)):
            return True
    return False


def _endings(names: Iterable[str]) -> dict[str, set[str]]:
    keys: dict[str, set[str]] = {}
    for name in names:
        key, ending = _key(name.replace("\\", "/"))
        keys.setdefault(key, set()).add(ending)
    return keys


def _mostly_said(names: Iterable[str]) -> bool:
    """Tell whether at least half of the pictures have a .cls or .index: one stray says nothing."""
    shown = [endings for endings in _endings(names).values() if endings.intersection(PICTURES)]
    said = [endings for endings in shown if endings.intersection(SAYS)]
    return bool(said) and 2 * len(said) >= len(shown)


def _members(shard: Path) -> list[str]:
    """Name the first members of a tar; none of what is no tar."""
    names = list[str]()
    try:
        with tarfile.open(fileobj=io.BytesIO(first_bytes(shard, HEAD))) as tar:
            for member in islice(tar, FIRST):
                names.append(member.name)
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error):
        pass  # where the first bytes end, or what is no tar
    return names


def _rows(folder: Path, place: Path) -> Iterator[Row]:
    """Give each key of a folder: its picture below `folder`, and what is said of it."""
    keys: dict[str, dict[str, Path]] = {}
    for file in walk(place):
        if not is_picture(file) and file.suffix[1:].lower() not in MAY_SAY:
            continue
        key, ending = _key(file.relative_to(folder).as_posix())
        keys.setdefault(key, {})[ending] = file
    for endings in keys.values():
        picture = next((endings[kind] for kind in PICTURES if kind in endings), None)
        if picture is not None:
            yield picture.relative_to(folder).as_posix(), _facts(endings)


def _facts(endings: Mapping[str, Path]) -> dict[str, Any]:
    """Read what the files of a key say, those of 200 characters at most."""
    facts: dict[str, Any] = {}
    if "json" in endings:
        file = endings["json"]
        try:
            told = parse(file.read_bytes())
        except ValueError as err:
            raise damaged(file, f"it is no JSON: {err}") from err
        if isinstance(told, dict):
            facts = {key: value for key, value in told.items() if _is_plain(value)}
        elif _is_plain(told):
            facts = {"cls": told}
    for ending in ("txt", "index", "cls"):
        if ending in endings:
            text = _text(endings[ending], must=ending in SAYS)
            if len(text) <= LONGEST:
                facts[ending] = int(text) if text.isdecimal() else text
    return facts


def _text(file: Path, *, must: bool) -> str:
    """Read a text; one that must be a label is UTF-8 and short."""
    content = file.read_bytes()
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError as err:
        if must:
            raise damaged(file, "it is no text, and a class is expected") from err
        return "?" * (LONGEST + 1)
    if must and not 0 < len(text) <= LONGEST:
        raise damaged(file, f"it holds {len(text):,} characters, and a class is expected")
    return text


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= LONGEST and all(isinstance(v, str | int | float) for v in value)
    return isinstance(value, int | float) or isinstance(value, str) and len(value) <= LONGEST


def _names_beside(folder: Path) -> list[str]:
    """Read classes.txt (a name a line) or classes.json (a list, or {number: name}) of a folder."""
    for name in ("classes", "class_names", "labels"):
        text, table = folder / f"{name}.txt", folder / f"{name}.json"
        try:
            if text.is_file():
                lines = map(str.strip, text.read_text("utf-8").splitlines())
                return [line for line in lines if line]
            if table.is_file():
                return _names_of(parse(table.read_bytes()))
        except ValueError as err:
            raise damaged(text if text.is_file() else table, str(err)) from err
    return []


def _names_of(told: Any) -> list[str]:
    """Give the names of a list, of {"0": name} or of {name: 0}."""
    if isinstance(told, list):
        return list(map(str, told))
    pairs = told.items() if isinstance(told, dict) else ()
    by_number = {int(k): str(v) for k, v in pairs if str(k).isdecimal()}
    by_number = by_number or {v: k for k, v in pairs if isinstance(v, int)}
    whole = sorted(by_number) == list(range(len(by_number)))
    return [by_number[n] for n in range(len(by_number))] if whole else []
