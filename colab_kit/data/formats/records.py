"""Records: pictures and what is said of each, as shards hold them. Which column is the label?

Each picture is written once, as a file, below the kit's home. So it is what any picture file is:
looked at, left out if it is damaged, decoded once, named by predict and by a Cleaner.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...events import Note
from ...system.archives.limits import Unpacking, room
from ...system.files import digest
from ...system.filetypes import kind_of
from ..arrays import of_files
from ..folders.tree import counted, natural, some
from ..nested import kept
from ..sources import Parts
from .shards import above, by_split

INDEX = "index.json"
KINDS = frozenset(("png", "jpg", "gif", "bmp", "webp", "tif"))
LONGEST = 200  # characters of a text that may be a label
LABELS = frozenset(
    "label labels class classes category categories target targets species breed cls y".split()
)
FIRST = ("label", "labels", "cls", "class", "image/class/label")  # where several columns fit
NOT_OURS = frozenset(("object", "objects", "bbox", "mask", "num", "count", "confidence", "source"))


@dataclass(frozen=True)
class Record:
    """One picture of a shard.

    content : the encoded file; b"" where the shard has none
    facts : what is said of it, by column: int, float, str, None, or a list of one of these
    name : what the publisher calls it; "" for its number
    """

    content: bytes
    facts: Mapping[str, Any]
    name: str = ""


Row = tuple[str, dict[str, Any]]  # file below the kept folder, facts


def picture_kind(content: bytes) -> str | None:
    """Give the kind of an encoded picture by its first bytes; None for anything else."""
    kind = kind_of(content[:262])
    return kind if kind in KINDS else None


def read_shards(
    path: Path,
    shards: Sequence[Path],
    records: Callable[[Path], Iterator[Record]],
    *,
    classes: Mapping[str, Sequence[str]],
    label_column: str | None = None,
    about: str = "",
    key: str = "",
) -> Parts:
    """Read shards as Parts.

    Parameters
    ----------
    records : callable(shard)
        Gives its pictures in order; DataError for a damaged one.
    classes : {column: names}
        Names of class numbers, from 0, where the publisher gives them.
    about : str
        What more to say of how they were read.
    key : str
        What else the written files depend on.
    """
    splits, notes = by_split(path, shards)
    used = [shard for files in splits.values() for shard in files]
    root = above(path)

    def fill(part: Path) -> None:
        _write(used, root, records, part)

    name = f"{path.name.partition('.')[0]}{key}"
    folder = kept(used, root, name, fill)
    if (index := _index(folder)) is None:  # damaged: made anew
        shutil.rmtree(folder)
        index = _index(kept(used, root, name, fill)) or {}
    rows = {
        split: [row for shard in files for row in index[_named(shard, root)]]
        for split, files in splits.items()
    }
    return of_rows(path, folder, rows, classes, label_column, notes, about)


def of_rows(
    path: Path,
    folder: Path,
    rows: Mapping[str, Sequence[Row]],
    classes: Mapping[str, Sequence[str]],
    label_column: str | None,
    notes: Sequence[Note],
    about: str,
    also: Sequence[str] = (),
) -> Parts:
    """Give Parts of files below `folder` and the facts of each; `also` as in choose()."""
    full = {split: [row for row in rows[split] if row[0]] for split in rows}
    empty = sum(len(rows[split]) - len(full[split]) for split in rows)
    if not full["train"]:
        what, why = f"{path} holds no pictures to train on.", f"{empty:,} rows, none with a picture"
        raise DataError(what, why, "give the files that hold the pictures themselves")
    labels = choose(path, [facts for _, facts in full["train"]], classes, label_column, also)
    text = f"{path.name}: {sum(map(len, full.values())):,} pictures, labels from {labels.said}"
    first = [*notes, Note(f"{text}{about}.")]
    if empty:
        first.append(Note(f"{path.name}: {counted(empty, 'row')} left out: no picture.", "warn"))
    parts = {}
    for split, of_split in full.items():
        names = [labels.of(facts, split == "train") for _, facts in of_split]
        files = [folder / file for file, _ in of_split]
        parts[split] = of_files(files, names, folder, first if split == "train" else ())
    return Parts(parts, path.name, folder).with_classes(labels.classes)


def _named(shard: Path, root: Path) -> str:
    return shard.relative_to(root).as_posix()


def _write(
    shards: Sequence[Path],
    root: Path,
    records: Callable[[Path], Iterator[Record]],
    part: Path,
) -> None:
    """Write each picture as a file, and the index of all."""
    job, index = Unpacking(str(root), room=room(part)), dict[str, list[Row]]()
    packed = sum(shard.stat().st_size for shard in shards)
    for shard in shards:
        name, taken = _named(shard, root), set[str]()
        folder = part / name.partition(".")[0]
        folder.mkdir(parents=True, exist_ok=True)
        rows = index[name] = []
        for number, record in enumerate(records(shard)):
            file = ""
            if record.content:
                job.files += 1
                job.coming(len(record.content), packed)
                file = _file_name(record, number, taken)
                (folder / file).write_bytes(record.content)
                file = (folder / file).relative_to(part).as_posix()
            rows.append((file, dict(record.facts)))
    (part / INDEX).write_text(json.dumps({"rows": index, "sha256": digest(index)}), "utf-8")


def _index(folder: Path) -> dict[str, list[Row]] | None:
    """Read the index of a kept folder; None where it is not what was written."""
    try:
        found = json.loads((folder / INDEX).read_bytes())
        rows: dict[str, list[Row]] = found["rows"]
        return rows if found["sha256"] == digest(rows) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _file_name(record: Record, number: int, taken: set[str]) -> str:
    """Name a picture as its publisher does, or by its number where that is no name or is taken."""
    name = re.sub(r"[^\w.-]+", "_", Path(record.name).name).strip("._")[:100]
    name = re.sub(r"\.(jpe?g|png|gif|bmp|webp|tiff?)$", "", name, flags=re.I)
    if not name or name.lower() in taken:
        name = f"{name}-{number}" if name else f"{number:06d}"
    taken.add(name.lower())
    return f"{name}.{picture_kind(record.content) or 'bin'}"


@dataclass(frozen=True)
class Choice:
    """Which column is the label.

    of : callable(facts, whether it is of training) -> label, as targets.py lists
    classes : names in the order of their numbers; () where nobody says them
    said : the choice in words
    """

    of: Callable[[Mapping[str, Any], bool], Any]
    classes: tuple[str, ...]
    said: str


def choose(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    classes: Mapping[str, Sequence[str]],
    wanted: str | None,
    also: Sequence[str] = (),
) -> Choice:
    """Choose the label among the columns of the training pictures.

    A column whose classes the publisher names goes before one that is only called label or class.
    Two that say the same, a number and a name, count as one. A column of `also` is a label where
    its values repeat: else they are captions.

    Raises
    ------
    DataError
        None fits, or several do: a line for each.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [_plain(row.get(name)) for row in rows] for name in names}
    columns = {name: values for name, values in columns.items() if set(values) != {None}}
    if wanted is not None and wanted not in columns:
        what, fix = f"{path} has no column {wanted!r}.", "give label_column= one of these"
        raise DataError(what, f"its columns are {', '.join(columns) or 'none'}", fix)
    likely = [name for name in columns if name in classes]
    likely = likely or [name for name in columns if is_label(name)]
    likely += [name for name in also if name in columns and _repeats(columns[name])]
    groups = _groups(columns, likely)
    if wanted is not None:
        groups = [[wanted, *next((g for g in groups if wanted in g), [])]]
    elif len(groups) > 1:
        usual = [group for group in groups if not set(FIRST).isdisjoint(group)]
        groups = usual if len(usual) == 1 else groups
    if len(groups) != 1:
        raise _which(path, columns, groups)
    return _choice(columns, list(dict.fromkeys(groups[0])), classes)


def is_label(name: str) -> bool:
    """Tell whether a column's name is one that labels have."""
    words = re.findall(r"[a-z]+", name.lower())
    return not LABELS.isdisjoint(words) and NOT_OURS.isdisjoint(words)


def _plain(value: Any) -> Any:
    """Give a value that can be compared and counted; "" is none."""
    value = tuple(value) if isinstance(value, list) else value
    return None if value in ("", ()) else value


def _repeats(values: Sequence[Any]) -> bool:
    return 2 * len(set(values)) <= len(values)


def _groups(columns: Mapping[str, Sequence[Any]], likely: Sequence[str]) -> list[list[str]]:
    """Put columns together that say the same of every picture."""
    groups: list[list[str]] = []
    for name in likely:
        values = columns[name]
        for group in groups:
            other = columns[group[0]]
            if len(set(zip(values, other, strict=True))) == len(set(values)) == len(set(other)):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _choice(
    columns: Mapping[str, Sequence[Any]], group: list[str], classes: Mapping[str, Sequence[str]]
) -> Choice:
    """Give the labels of a group of columns that say the same."""
    known = [name for name in group if name in classes]
    texts = [name for name in group if _are_names(columns[name])]
    numbers = [name for name in group if name not in texts]
    if known:
        column, names = known[0], tuple(map(str, classes[known[0]]))
        return Choice(_by_number(column, names), names, f"{column!r}, whose names are known")
    if texts and numbers:
        text, number = texts[0], numbers[0]
        pairs = dict(zip(columns[number], columns[text], strict=True))
        pairs = {n: t for n, t in pairs.items() if n is not None and t is not None}
        of = lambda facts, train: _plain(facts.get(text)) or pairs.get(_plain(facts.get(number)))
        in_order = tuple(pairs[n] for n in sorted(pairs, key=lambda n: natural(str(n))))
        return Choice(of, in_order, f"{number!r}, named by {text!r}")
    column = group[0]
    values = [v for value in columns[column] for v in _each(value)]
    broken = any(isinstance(v, float) and v != int(v) for v in values)
    said = f"{column!r}" if texts or broken else f"{column!r}, whose numbers nothing names"
    return Choice(_as_it_is(column, numbers=broken), (), said)


def _each(value: Any) -> tuple[Any, ...]:
    """Give the labels of one picture."""
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _are_names(values: Sequence[Any]) -> bool:
    texts = [value for value in values if value is not None]
    return all(isinstance(v, str) for v in texts) and not all(v.strip().isdigit() for v in texts)


def _by_number(column: str, names: tuple[str, ...]) -> Callable[[Mapping[str, Any], bool], Any]:
    def one(value: Any) -> str | None:
        if not isinstance(value, int):
            return str(value)
        if value >= len(names) or value < -1:
            what = f"The column {column!r} holds the class number {value}."
            why = f"{len(names)} classes have a name, {some(names)}"
            raise DataError(what, why, "get the files again: they do not fit together")
        return names[value] if value >= 0 else None  # -1: the hub's mark for a hidden label

    def of(facts: Mapping[str, Any], train: bool) -> Any:
        value = _plain(facts.get(column))
        if isinstance(value, tuple):
            return tuple(str(one(v)) for v in value)
        return None if value is None else one(value)

    return of


def _as_it_is(column: str, *, numbers: bool) -> Callable[[Mapping[str, Any], bool], Any]:
    def one(value: Any) -> Any:
        if numbers:
            return float(value)
        return str(int(value)) if isinstance(value, float) else str(value)

    def of(facts: Mapping[str, Any], train: bool) -> Any:
        value = _plain(facts.get(column))
        if isinstance(value, tuple):
            return tuple(map(one, value))
        hidden = value is None or value == -1 and not train
        return None if hidden else one(value)

    return of


def _which(
    path: Path, columns: Mapping[str, Sequence[Any]], groups: Sequence[Sequence[str]]
) -> DataError:
    """Give the error for no label, or for several that fit."""
    names = [group[0] for group in groups]
    what = f"{path} has {len(names)} columns that may be the label."
    why = f"{', '.join(names)} differ, and only you know which is to be learned"
    if not names:
        what = f"{path} has no column that is called a label."
        why = f"its columns are {', '.join(columns) or 'none'}"
        names = sorted(columns, key=lambda name: (len(set(columns[name])), natural(name)))[:5]
    lines = [f"kit.load({str(path)!r}, label_column={name!r})" for name in names]
    fix = "\n     ".join(lines) or "give files that hold a label beside each picture"
    return DataError(what, why, fix)
