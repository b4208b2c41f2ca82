"""Folders of pictures: what lies where, from names alone. Only a file of no ending is opened.

The order is a function of the names (natural: 2 before 10), never of the disk.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
OF_PROGRAMS = (".trash", ".git", ".ipynb", ".cache", ".thumb", ".venv", ".colab-kit", "._")

COMPARED = 16  # pictures of two folders that are compared, where all have the same names
COUNTER = re.compile(r"(.*?)(\d{1,9})\)?", re.ASCII)
TWINS = 0.6  # of the pictures of two folders, so many are named alike: two versions of one thing


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
    """A folder as it matters: files and folders without junk; a link never leads in a circle.

    hidden : folders below it whose names begin with a dot, and that hold pictures: `.net`
    """

    path: Path
    files: list[Path]
    folders: dict[str, Tree]
    hidden: tuple[Path, ...] = ()

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


@dataclass
class Story:
    """What is said of a folder while it is read.

    root : the folder given
    shown : how the user names it
    ask : whether a doubt about classes is an error
    lines : how it was read, a sentence each
    later : the folders of the splits after train: their names tell classes from videos
    """

    root: Path
    shown: str
    ask: bool = True
    lines: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    label_notes: list[Note] = field(default_factory=list)
    later: list[Tree] = field(default_factory=list)

    def path(self, tree: Tree) -> str:
        """Name a folder so that it can be pasted."""
        below = tree.path.relative_to(self.root).as_posix()
        top = self.shown if os.path.isdir(os.path.expanduser(self.shown)) else str(self.root)
        return top if below == "." else f"{top.rstrip('/')}/{below}"

    def name(self, tree: Tree) -> str:
        """Name a folder as it lies below the root."""
        below = tree.path.relative_to(self.root).as_posix()
        return tree.path.name if below == "." else below

    def leave_out(self, tree: Tree, top: Tree, why: str) -> None:
        """Say that a folder was left out."""
        many = f"{len(tree.pictures):,} pictures"
        self.lines.append(f"{self.name(tree)}/ ({many}) is left out: {why}.")

    def by_folder(self, level: int) -> str:
        """Give the line that takes the folder `level` above each picture as its class."""
        return self.labels("path.parent.name" if level == 1 else f"path.parts[-{level + 1}]")

    def labels(self, label: str, top: Tree | None = None) -> str:
        """Give the line that takes an expression of the path as its class, of a folder in it."""
        source = self.path(top) if top else self.shown
        return f"kit.load({source!r}, labels=lambda path: {label})"


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
    files, folders, hidden = [], {}, list[Path]()
    for entry in entries:
        if entry.name.lower() in JUNK:
            continue
        if entry.name.startswith("."):
            if entry.is_dir() and not entry.name.lower().startswith(OF_PROGRAMS):
                hidden += [path / entry.name] if _shows(entry.path) else []
            continue
        if not entry.is_dir():
            files.append(path / entry.name)
        elif os.path.realpath(entry.path) not in above:
            folders[entry.name] = tree_of(path / entry.name, above)
    hidden += [place for sub in folders.values() for place in sub.hidden]
    return Tree(path, files, folders, tuple(hidden))


def _shows(folder: str) -> bool:
    """Tell whether pictures lie in a folder itself."""
    try:
        return any(
            is_picture(Path(name)) for name in os.listdir(folder) if not name.startswith("._")
        )
    except OSError:
        return False


def merged(trees: Sequence[Tree], path: Path) -> Tree:
    """Give several folders as one at `path`; those of one name inside are brought together."""
    folders = dict[str, Tree]()
    for name in dict.fromkeys(name for tree in trees for name in tree.folders):
        same = [tree.folders[name] for tree in trees if name in tree.folders]
        folders[name] = merged(same, path) if len(same) > 1 else same[0]
    return Tree(path, [file for tree in trees for file in tree.files], folders)


def alike(one: Tree, other: Tree) -> bool:
    """Tell whether most pictures of two folders have the same names, and so are the same things.

    Names that only count say so only where the endings differ: 1.jpg and 1.tif.
    """
    endings = [{path.suffix.lower() for path in tree.pictures} for tree in (one, other)]
    said = not only_numbered(one) or endings[0].isdisjoint(endings[1])
    return said and same_names(one, other)


def same_names(one: Tree, other: Tree) -> bool:
    """Tell whether most pictures of two folders have the same names, be they only counted."""
    first, second = _names(one), _names(other)
    return len(first & second) >= TWINS * min(len(first), len(second))


def overlap(one: Tree, other: Tree) -> bool:
    """Tell whether two folders have pictures in common: by their names, or by what is in them."""
    first, second = (
        {path.relative_to(tree.path).as_posix(): path for path in tree.pictures}
        for tree in (one, other)
    )
    both = sorted(first.keys() & second.keys())
    sample = both[:: max(1, len(both) // COMPARED)]
    return alike(one, other) or any(same_file(first[name], second[name]) for name in sample)


def _names(tree: Tree) -> set[str]:
    return {path.relative_to(tree.path).with_suffix("").as_posix() for path in tree.pictures}


def only_numbered(tree: Tree) -> bool:
    """Tell whether names count from a small number on, behind one text in each folder: 7, IMG_7,
    frame (7). They come alike in any folder.
    """
    found = [(path.parent, COUNTER.fullmatch(path.stem)) for path in tree.pictures]
    begins = {(folder, match[1]) for folder, match in found if match}
    count = all(match and int(match[2]) <= 10 * len(found) for _, match in found)
    return count and len(begins) == len({folder for folder, _ in found})


def same_files(one: Tree, other: Tree) -> bool:
    """Tell whether two folders hold the same files: by name, and a few by what is in them."""
    first, second = (
        {path.relative_to(tree.path).as_posix(): path for path in tree.pictures}
        for tree in (one, other)
    )
    if first.keys() != second.keys():
        return False
    step = max(1, len(first) // COMPARED)
    return all(same_file(first[name], second[name]) for name in sorted(first)[::step])


def same_file(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:  # a link that leads nowhere
        return False


def say_hidden(folder: Path) -> Note:
    """Say that a folder was left out, whose name begins with a dot."""
    line = f"import os; os.rename({str(folder)!r}, {str(folder.with_name(folder.name[1:]))!r})"
    text = f"{folder}/ holds pictures and is left out: a dot in front of a name hides a folder."
    return Note(f"{text} Is it a class? Rename it: {line}", "warn")


def say_packed(whole: Tree, splits: dict[str, list[PictureFile]], story: Story) -> None:
    """Warn of archives beside the pictures, unless a folder of the name lies unpacked there."""
    folders = {name for of in splits.values() for file in of for name in file.path.parts[:-1]}
    packed = [
        path.name
        for path in whole.others
        if path.name.lower().endswith(ARCHIVES) and path.name.partition(".")[0] not in folders
    ]
    if packed:
        text = (
            f"{whole.path}: what is packed in {some(packed)} is not used. Unpack it there if its "
        )
        story.notes.append(Note(text + "pictures belong to the set.", "warn"))


def no_pictures(folder: Path, tree: Tree, *, trained: bool) -> DataError:
    what = f"{folder} holds no pictures to train on."
    others = [path.name for path in tree.others]
    packed = [path for path in tree.others if path.name.lower().endswith(ARCHIVES)]
    if packed:
        what = f"{folder} holds an archive and no pictures to train on."
        fix = f"load the archive itself: kit.load({str(packed[0])!r})"
        return DataError(what, f"{packed[0].name} is packed", fix)
    names = [name + "/" for name in tree.filled]
    if trained and names:
        return DataError(what, f"all are in {some(names)}", "put class folders into train/")
    contents = f"{len(others):,} other files ({some(others)})" if others else "nothing"
    arrays = [path for path in tree.others if path.suffix.lower() == ".npy"]
    if arrays and all(path.parent.parent == tree.path for path in arrays):
        each = f"for p in sorted(Path({str(folder)!r}).glob('*/*.npy'))"
        fix = "from pathlib import Path; import numpy as np; "
        fix += f"kit.load((np.stack([np.load(p) {each}]), [p.parent.name {each}]))"
        return DataError(f"There are no picture files in {folder}.", f"it holds {contents}", fix)
    return DataError(
        f"There are no pictures in {folder}.",
        f"it holds {contents}",
        "give a folder that has a folder of pictures for each class: .jpg, .png, .webp, .gif …",
    )


def some(names: Sequence[str]) -> str:
    """Name up to three."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def counted(n: int, things: str) -> str:
    """Say `1 picture was`, `1,200 pictures were`."""
    return f"{n:,} {things} was" if n == 1 else f"{n:,} {things}s were"
