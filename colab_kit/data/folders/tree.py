"""Folders of pictures: what lies where, from names and sizes. Only files of no ending are opened.

The order is a function of the names (natural: 2 before 10), never of the disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from ...errors import DataError
from ...events import Note
from ...system import filetypes
from ...system.filetypes import kind_of
from ..file_table import UNKNOWN, FileTable, joined

PICTURES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .bmp .gif .webp .avif .tif .tiff .jp2 .j2k .jpx .jpf"
    " .ppm .pgm .pbm .pnm".split()
)
HEAD = 64  # bytes that tell the kind of a file
HEIC = frozenset((".heic", ".heif"))
ENDINGS = PICTURES | HEIC
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar")
TABLES = frozenset(".csv .tsv .txt .json .jsonl .ndjson .xml .mat .lst .list .data".split())
JUNK = frozenset("__macosx thumbs.db desktop.ini __pycache__ $recycle.bin @eadir".split()) | {
    "system volume information"
}
OF_PROGRAMS = (".trash", ".git", ".ipynb", ".cache", ".thumb", ".venv", ".colab-kit", "._")


class PictureFile(NamedTuple):
    """A picture file.

    label : the class folder it lies in, or what a table says of it; None if neither says anything
    group : what it belongs to: pictures of one group are never parted by a draw
    """

    path: Path
    label: Any
    group: Any = None


@dataclass(frozen=True, eq=False)
class PictureFiles(Sequence[PictureFile]):
    """Many picture files: each is made when it is asked for.

    labels, groups : a value for each of `files`; `groups` is None where nobody said any
    """

    files: FileTable
    labels: Sequence[Any]
    groups: Sequence[Any] | None = None

    @classmethod
    def of(cls, pictures: Sequence[PictureFile]) -> PictureFiles:
        """Give any picture files as such a sequence."""
        if isinstance(pictures, PictureFiles):
            return pictures
        paths, labels, groups = zip(*pictures, strict=True) if pictures else ((), (), ())
        some_group = any(group is not None for group in groups)
        return cls(FileTable.of(paths), labels, groups if some_group else None)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, row: int) -> PictureFile: ...
    @overload
    def __getitem__(self, row: slice) -> list[PictureFile]: ...
    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[each] for each in range(len(self))[row]]
        group = None if self.groups is None else self.groups[row]
        return PictureFile(self.files[row], self.labels[row], group)

    def __iter__(self) -> Iterator[PictureFile]:
        groups = [None] * len(self) if self.groups is None else self.groups
        return map(PictureFile, self.files, self.labels, groups)


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    root : the folder that names are relative to: the given one, or the nested one inside it
    splits : files in order, by train, valid and test
    notes : what else lies there
    label_notes : what to say of pictures without a class folder, unless labels= names them
    tables : other files that may say labels, splits, groups or names (.csv .tsv .txt .json .jsonl
        .mat …), those next to the root first
    lines : how it was read, a sentence each
    others : each file that is no picture and of which nothing was read
    """

    root: Path
    splits: Mapping[str, Sequence[PictureFile]]
    notes: tuple[Note, ...] = ()
    label_notes: tuple[Note, ...] = ()
    tables: tuple[Path, ...] = ()
    lines: tuple[str, ...] = ()
    others: tuple[Path, ...] = ()

    @property
    def left_out(self) -> tuple[Note, ...]:
        """Say which other files were left out, if any were."""
        if not self.others:
            return ()
        shown = some([path.name for path in self.others])
        many = counted(len(self.others), "other file")
        return (Note(f"{many} left out: no pictures ({shown})."),)


def natural(name: str) -> tuple[str, str]:
    """Give the key that sorts 2 before 10, and b after A."""
    return _numbered(name), name


def _numbered(text: str) -> str:
    """Write each number so that texts sort by it, before any letter: its length stands first."""
    return re.sub(r"\d+", _number, text.casefold())


def _number(digits: re.Match[str]) -> str:
    number = str(int(digits[0]))
    return f"\1{chr(len(number))}{number}"


@dataclass(frozen=True, eq=False)
class Tree:
    """A folder as it matters: files and folders without junk; a link never leads in a circle.

    loose : pictures that lie in this folder itself
    beside : names of the other files in it
    hidden : folders below it whose names begin with a dot, and that hold pictures: `.net`
    """

    path: Path
    loose: FileTable
    beside: list[str]
    folders: dict[str, Tree]
    hidden: tuple[Path, ...] = ()

    @cached_property
    def pictures(self) -> FileTable:
        """All pictures, those of the folders below after those of this one."""
        return joined([self.loose, *(sub.pictures for sub in self.folders.values())])

    @cached_property
    def filled(self) -> dict[str, Tree]:
        """The folders that hold pictures, or whose folders do."""
        return {name: sub for name, sub in self.folders.items() if sub.pictures}

    @cached_property
    def others(self) -> list[Path]:
        """Each file that is no picture, those next to the top first."""
        level, out = [self], list[Path]()
        while level:
            out += [tree.path / name for tree in level for name in tree.beside]
            level = [sub for tree in level for sub in tree.folders.values()]
        return out

    def but(self, *names: str) -> Tree:
        """Give the same folder without some of its folders."""
        kept = {name: sub for name, sub in self.folders.items() if name not in names}
        return replace(self, folders=kept)


def through_wrappers(tree: Tree) -> Tree:
    """Pass through folders that hold one folder alone, as long as folders lie in it."""
    while len(tree.filled) == 1 and not tree.loose:
        only = next(iter(tree.filled.values()))
        if not only.filled:
            return tree
        tree = only
    return tree


def is_picture(path: Path) -> bool:
    """Tell whether a name ends as pictures do; a file of no ending is opened, and begins so."""
    if path.suffix:
        return path.suffix.lower() in ENDINGS
    try:
        with open(path, "rb") as file:
            return kind_of(file.read(HEAD)) in filetypes.PICTURES
    except OSError:
        return False


def tree_of(path: Path, above: frozenset[str] = frozenset()) -> Tree:
    """List a folder and all below it, without junk.

    Raises
    ------
    DataError
        It cannot be listed.
    """
    above |= {os.path.realpath(path)}
    here = listed(path)
    names = [name for name in here.folders if os.path.realpath(path / name) not in above]
    folders = {name: tree_of(path / name, above) for name in names}
    hidden = [path / name for name in here.hidden]
    hidden += [place for sub in folders.values() for place in sub.hidden]
    return Tree(path, here.loose, here.beside, folders, tuple(hidden))


@dataclass(frozen=True)
class Listed:
    """What lies in one folder, in natural order, without junk.

    loose : its pictures, with their sizes
    beside : names of its other files
    folders : names of its folders
    links : those of them that are links
    hidden : names of folders that begin with a dot, and hold pictures
    """

    loose: FileTable
    beside: list[str]
    folders: list[str]
    links: frozenset[str]
    hidden: list[str]


_remembered: ContextVar[dict[str, Listed] | None] = ContextVar("_remembered", default=None)


@contextmanager
def one_walk() -> Iterator[None]:
    """List each folder once, however often it is asked for: while nothing in them changes."""
    token = _remembered.set({})
    try:
        yield
    finally:
        _remembered.reset(token)


def listed(path: Path) -> Listed:
    """List a folder.

    Raises
    ------
    DataError
        It cannot be listed.
    """
    known = _remembered.get()
    if known is not None and str(path) in known:
        return known[str(path)]
    sizes, beside = dict[str, int](), list[str]()
    folders, hidden = dict[str, bool](), list[str]()
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name.lower() in JUNK:
                    continue
                if name.startswith("."):
                    if entry.is_dir() and not name.lower().startswith(OF_PROGRAMS):
                        hidden += [name] if _shows(entry.path) else []
                elif entry.is_dir():
                    folders[name] = entry.is_symlink()
                elif _ends_as_picture(name) or "." not in name and is_picture(path / name):
                    sizes[name] = _size(entry)
                else:
                    beside.append(name)
    except OSError as err:
        what, why = f"{path} cannot be listed.", str(err.strerror or err)
        raise DataError(what, why, "give a folder that can be read") from err
    names = in_order(sizes)
    bytes_of = np.fromiter(map(sizes.__getitem__, names), np.int64, len(names))
    loose = FileTable([str(path)], np.zeros(len(names), np.int32), names, bytes_of)
    links = frozenset(name for name, is_link in folders.items() if is_link)
    here = Listed(loose, in_order(beside), in_order(folders), links, in_order(hidden))
    if known is not None:
        known[str(path)] = here
    return here


def _ends_as_picture(name: str) -> bool:
    return name[name.rfind(".") :].lower() in ENDINGS


def _shows(folder: str) -> bool:
    """Tell whether pictures lie in a folder itself."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return any(is_picture(Path(folder, name)) for name in names if not name.startswith("._"))


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a link that leads nowhere
        return UNKNOWN


def walk(path: Path) -> Iterator[tuple[Path, Listed]]:
    """Give a folder and each below it with what lies there.

    A link to a folder is not followed, and a folder that cannot be listed is passed over.
    """
    try:
        here = listed(path)
    except DataError:
        return
    yield path, here
    for name in here.folders:
        if name not in here.links:
            yield from walk(path / name)


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names of one folder by their natural() keys, all of which are made in one go."""
    names = sorted(names)
    keys = _numbered("\0".join(names)).split("\0")
    return [names[row] for row in sorted(range(len(names)), key=keys.__getitem__)]


def some(names: Sequence[str]) -> str:
    """Name up to three."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def counted(n: int, things: str) -> str:
    """Say `1 picture was`, `1,200 pictures were`."""
    return f"{n:,} {things} was" if n == 1 else f"{n:,} {things}s were"
