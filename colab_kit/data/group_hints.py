"""Names that look like groups nobody named: `p012_03.png`, `video3_frame017.jpg`, `patient07/`.

Said only where the names leave little doubt. A part of a name is a group if it holds a number, if
most pictures share theirs with another, if what follows recurs from group to group (01, 02 …, a,
b, left, right), and if each class has several: a class's own prefix is one a class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..events import Note
from .file_table import FileTable
from .folders.tree import some
from .sources import Part, Pictures

_WHO = "patient|lesion|subject|person|participant|individual|case|video|clip|volunteer"
_NUMBER = r"([ _-]?(id|no|nr|num|number|name|key|uid|code))"
COLUMNS = re.compile(  # of a table; what may also be a label needs `_id` behind it
    rf"({_WHO})s?{_NUMBER}?|mrn|pid|(study|series|exam|slide|sequence|track|scene|session|burst|"
    rf"family|animal|donor|speaker|signer|writer|driver|user){_NUMBER}",
    re.I,
)
FEWEST = 5  # groups; fewer are a grade, a camera, a zoom
EACH_CLASS = 3  # groups that the usual class has at least
NO_GROUP = re.compile(  # what holds a number and is no patient and no video
    r"\D*(19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d.*"  # a day: IMG_20240131
    r"|n\d{8}"  # a class of ImageNet
    r"|(part|batch|chunk|folder|dir|set|fold|split|group)[ _-]?\d+",
    re.I,
)
NO_FOLDER = re.compile(r"\d+x?|\d+x\d+|(images?|imgs?|pics?)[ _-]?\d+", re.I)  # a zoom, a size
COPIES = ".rf."  # Roboflow: several augmented copies of one picture, each with a hash behind it

RUNS, RUN = 20, 500  # of a large set so many runs of so many files are looked at

Key = Callable[[Path], str]
Cut = Callable[[str], str]


def group_column(header: Sequence[str], columns: Sequence[Sequence[Any]]) -> str | None:
    """Name the column of a table that looks like groups, of several pictures each; None: none.

    Of several that do, it is the one with the fewest groups: a patient has many lesions.
    """
    found = list[tuple[int, str]]()
    for place, name in enumerate(header):
        if COLUMNS.fullmatch(name.strip()):
            values = Counter(cell for cell in columns[place] if cell)
            shared = sum(count for count in values.values() if count > 1)
            if len(values) >= FEWEST and 10 * shared >= len(columns[place]):
                found.append((len(values), name))
    return min(found)[1] if found else None


def column_note(column: str, call: Callable[[str], str] = str) -> Note:
    """Say that a column of the table looks like groups."""
    return _note(f"The column {column!r} looks like groups", f"group={column!r}", call)


def likely_groups(part: Part, call: Callable[[str], str] = str) -> list[Note]:
    """Give a warning if names of picture files look like groups, with the line that names them.

    `call` makes the whole line of a word: kit.load('photos', group=…).
    """
    source = part.make(np.zeros(len(part), np.int64))
    if not isinstance(source, Pictures):
        return []
    # neighbours stay together: groups lie side by side
    rows = np.arange(len(source))
    if len(rows) > RUNS * RUN:
        starts = np.linspace(0, len(rows) - RUN, RUNS).astype(np.int64)
        rows = np.unique(starts[:, None] + np.arange(RUN))
    paths = list(FileTable.of(source.paths).take(rows))
    # numbers and several classes a picture have no folder or prefix of their own
    labels = [label if isinstance(label, str) else None for label in part.labels[rows]]
    found = of_folders(paths, labels, source.root) or of_names(paths, labels)
    if found is None:
        return []
    line, key = found
    names = list(dict.fromkeys(map(key, source.paths)))
    shape = f"{len(names):,} groups of pictures ({some(names)})"
    return [_note(f"The names look like {shape}", f"group=lambda path: {line}", call)]


def _note(what: str, word: str, call: Callable[[str], str]) -> Note:
    why = "as of one patient, person or video, and the draw parts them: figures come out too good"
    text = f"{what}, {why}. To keep each on one side: {call(word)}; if they are none: group=False."
    return Note(text, "warn")


def of_folders(
    paths: Sequence[Path], labels: Sequence[Hashable], root: Path
) -> tuple[str, Key] | None:
    """Say how folders name groups, if they do: as an expression of `path`, and as a function.

    They lie between the root and the pictures. Of several levels it is the one of most names: a
    zoom or a session lies below the patient.
    """
    found = list[tuple[int, int]]()
    folders = [path.parts[len(root.parts) : -1][::-1] for path in paths]
    files = [str(path) for path in paths]
    for level in range(min((len(parts) for parts in folders), default=0)):
        keys = [parts[level] for parts in folders]
        names = {key for key in keys if not NO_FOLDER.fullmatch(key)}
        if _are_ids(names) and _are_shared(keys, files, labels):
            found.append((-len(names), level))
    if not found:
        return None
    level = min(found)[1]
    line = "path.parent.name" if level == 0 else f"path.parents[{level}].name"
    return line, lambda path: path.parents[level].name


def of_names(paths: Sequence[Path], labels: Sequence[Hashable]) -> tuple[str, Key] | None:
    """Say how file names name groups, if they do: as an expression of `path`, and as a function.

    Of several ways to cut the names it is the one of fewest groups: a session is of one person.
    """
    line, base = "path.stem", _stem
    if sum(COPIES in path.name for path in paths) > 0.9 * len(paths):
        line, base = f"path.name.split({COPIES!r})[0]", _without_copy
        # a copy is of its picture's class: two of one name in two classes are two pictures
        sizes = Counter(zip(labels, map(base, paths), strict=True))
        if 2 * sum(size for size in sizes.values() if size > 1) > len(paths):
            return line, base
    texts = list(map(base, paths))
    found = list[tuple[int, int, str, Cut]]()
    for end, cut in _cuts(texts):
        keys = list(map(cut, texts))
        names = set(keys)
        if 4 * len(names) > 3 * len(texts):
            continue  # most stand alone
        tails = [text[len(name) :] for text, name in zip(texts, keys, strict=True)]
        if _are_ids(names) and _recur(tails, keys, labels) and _are_shared(keys, texts, labels):
            found.append((len(names), sum(map(len, names)), end, cut))
    if not found:
        return None
    *_, end, best = min(found, key=lambda one: one[:2])
    return line + end, lambda path: best(base(path))


def _stem(path: Path) -> str:
    return path.stem


def _without_copy(path: Path) -> str:
    return path.name.split(COPIES)[0]


def _cuts(texts: Sequence[str]) -> Iterator[tuple[str, Cut]]:
    """Give ways to cut names: as it is written behind a text, and as a function of it."""
    for sep in "_-. ":
        for times in (1, 2):
            if sum(text.count(sep) >= times for text in texts) > 0.9 * len(texts):
                yield f".rsplit({sep!r}, {times})[0]", partial(_cut_end, sep=sep, times=times)
        if sum(sep in text for text in texts) > 0.9 * len(texts):
            yield f".split({sep!r})[0]", partial(_cut_start, sep=sep)


def _cut_end(text: str, *, sep: str, times: int) -> str:
    return text.rsplit(sep, times)[0]


def _cut_start(text: str, *, sep: str) -> str:
    return text.split(sep)[0]


def _are_ids(names: set[str]) -> bool:
    """Tell whether names are numbered, and neither days nor pieces of a data set."""
    numbered = sum(any(map(str.isdecimal, name)) for name in names)
    others = sum(NO_GROUP.fullmatch(name) is not None for name in names)
    return len(names) >= FEWEST and numbered > 0.9 * len(names) and others < 0.5 * len(names)


def _recur(tails: Sequence[str], keys: Sequence[str], labels: Sequence[Hashable]) -> bool:
    """Tell whether what follows the groups counts within them, and is not the class itself."""
    names, kinds = set(zip(keys, tails, strict=True)), set(tails)
    of_class = set(zip(tails, labels, strict=True))
    people = all(re.search(_WHO, key, re.I) for key in set(keys))
    is_class = len(of_class) == len(kinds) == len(set(labels)) and not people
    return 1 < len(kinds) <= len(names) / 2 and not is_class


def _are_shared(keys: Sequence[str], names: Sequence[str], labels: Sequence[Hashable]) -> bool:
    """Tell whether most names share their key, none holds half, and each class has several."""
    sizes = Counter(key for key, _ in set(zip(keys, names, strict=True)))
    of_class = Counter(label for label, _ in set(zip(labels, keys, strict=True)))
    shared, total = [size for size in sizes.values() if size > 1], sum(sizes.values())
    most = 2 * sum(shared) > total > 2 * max(sizes.values()) and 4 * len(shared) > len(sizes)
    return most and median(of_class.values()) >= EACH_CLASS
