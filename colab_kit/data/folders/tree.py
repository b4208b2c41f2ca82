"""Folders of pictures: what lies where, from names alone. Only a file of no ending is opened.

The order is a function of the names (natural: 2 before 10), never of the disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import DataError
from ...events import Note
from ...system import filetypes
from ...system.filetypes import kind_of

PICTURES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .bmp .gif .webp .avif .tif .tiff .jp2 .j2k .jpx .jpf"
    " .ppm .pgm .pbm .pnm".split()
)
HEAD = 64  # bytes that tell the kind of a file
HEIC = frozenset((".heic", ".heif"))
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar")
TABLES = frozenset(".csv .tsv .txt .json .jsonl .ndjson .xml .mat .lst .list .data".split())
JUNK = frozenset("__macosx thumbs.db desktop.ini __pycache__ $recycle.bin @eadir".split()) | {
    "system volume information"
}


class PictureFile(NamedTuple):
    """A picture file; of many the fastest to make.

    label : the class folder it lies in, or what a table says of it; None if neither says anything
    group : what it belongs to: pictures of one group are never parted by a draw
    """

    path: Path
    label: Any
    group: Any = None


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
    splits: dict[str, list[PictureFile]]
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


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Give the key that sorts 2 before 10, and b after A."""
    parts = filter(None, re.split(r"(\d+)", name.casefold()))
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name


@dataclass(frozen=True, eq=False)
class Tree:
    """A folder as it matters: files and folders without junk; a link never leads in a circle."""

    path: Path
    files: list[Path]
    folders: dict[str, Tree]

    @cached_property
    def loose(self) -> list[Path]:
        """Pictures that lie in this folder itself."""
        return [path for path in self.files if is_picture(path)]

    @cached_property
    def pictures(self) -> list[Path]:
        """All pictures, those of the folders below after those of this one."""
        return self.loose + [path for sub in self.folders.values() for path in sub.pictures]

    @cached_property
    def filled(self) -> dict[str, Tree]:
        """The folders that hold pictures, or whose folders do."""
        return {name: sub for name, sub in self.folders.items() if sub.pictures}

    @cached_property
    def others(self) -> list[Path]:
        """Each file that is no picture, those next to the top first."""
        level, out = [self], list[Path]()
        while level:
            out += [path for tree in level for path in tree.files if not is_picture(path)]
            level = [sub for tree in level for sub in tree.folders.values()]
        return out

    def but(self, *names: str) -> Tree:
        """Give the same folder without some of its folders."""
        kept = {name: sub for name, sub in self.folders.items() if name not in names}
        return replace(self, folders=kept)


def is_picture(path: Path) -> bool:
    """Tell whether a name ends as pictures do; a file of no ending is opened, and begins so."""
    if path.suffix:
        return path.suffix.lower() in PICTURES or path.suffix.lower() in HEIC
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
    try:
        entries = sorted(os.scandir(path), key=lambda entry: natural(entry.name))
    except OSError as err:
        what, why = f"{path} cannot be listed.", str(err.strerror or err)
        raise DataError(what, why, "give a folder that can be read") from err
    files, folders = [], {}
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in JUNK:
            continue
        if not entry.is_dir():
            files.append(path / entry.name)
        elif os.path.realpath(entry.path) not in above:
            folders[entry.name] = tree_of(path / entry.name, above)
    return Tree(path, files, folders)


def some(names: Sequence[str]) -> str:
    """Name up to three."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def counted(n: int, things: str) -> str:
    """Say `1 picture was`, `1,200 pictures were`."""
    return f"{n:,} {things} was" if n == 1 else f"{n:,} {things}s were"
