"""Folders of pictures: which file is in which split and class, from names alone. Nothing is opened.

    flowers/                    one nested top folder is passed through
    ├── train/  rose/ *.jpg     train/ valid|val|validation/ test/ above the classes, or none
    ├── valid/  rose/ *.jpg
    └── test/   *.jpg           a test folder without classes is for predict only

The order is a function of the names (natural: 2 before 10), never of the disk.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..events import Note

PICTURES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .pnm".split()
)
HEIC = frozenset((".heic", ".heif"))
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar")
SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
JUNK = frozenset("__macosx thumbs.db desktop.ini __pycache__ $recycle.bin @eadir".split()) | {
    "system volume information"
}


@dataclass(frozen=True)
class PictureFile:
    """A picture file.

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
    """

    root: Path
    splits: dict[str, list[PictureFile]]
    notes: tuple[Note, ...] = ()
    label_notes: tuple[Note, ...] = ()
    tables: tuple[Path, ...] = ()
    lines: tuple[str, ...] = ()


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Give the key that sorts 2 before 10, and b after A."""
    parts = filter(None, re.split(r"(\d+)", name.casefold()))
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name


def scan(folder: Path) -> Listing:
    """Find the pictures of a folder, their splits and classes.

    Raises
    ------
    DataError
        There are no pictures, or two folders that both claim to be the validation split.
    """
    tree = _tree(Path(os.path.abspath(folder)))
    top = _below_nested_tops(tree)
    places = _split_folders(top)
    trees = {split: _below_nested_tops(place, but=()) for split, place in places.items()}
    others = {name: sub for name, sub in top.folders.items() if sub not in places.values()}
    notes: list[Note] = []
    if "train" not in places:
        trees["train"] = _Tree(top.path, top.files, others)
    elif beside := [name for name, sub in others.items() if sub.pictures()]:
        text = f"{some(beside)} beside train/ was left out: no split has that name."
        notes.append(Note(f"{top.path}: {text}", "warn"))
    if not trees["train"].pictures():
        raise _no_pictures(folder, tree, trained=bool(places))
    if unknown := tree.others():
        text = f"{counted(len(unknown), 'other file')} left out: no pictures ({some(unknown)})."
        notes.append(Note(text))
    return _listing(top.path, trees, notes)


def scan_split(folder: Path) -> Listing:
    """Find the pictures of a folder that is one split: valid=, test=, or one of a dict."""
    tree = _below_nested_tops(_tree(Path(os.path.abspath(folder))), but=())
    if not tree.pictures():
        raise _no_pictures(folder, tree, trained=False)
    return _listing(tree.path, {"train": tree}, [])


@dataclass(frozen=True, eq=False)
class _Tree:
    """A folder as it matters: files and folders without junk; a link never leads in a circle."""

    path: Path
    files: list[Path]
    folders: dict[str, _Tree]

    @property
    def loose(self) -> list[Path]:
        """Pictures that lie in this folder itself."""
        return [path for path in self.files if path.suffix.lower() in PICTURES | HEIC]

    def pictures(self) -> list[Path]:
        """List all pictures, of the folders below too."""
        return self.loose + [path for sub in self.folders.values() for path in sub.pictures()]

    def others(self) -> list[str]:
        """Name each file that is no picture."""
        loose = set(self.loose)
        names = [path.name for path in self.files if path not in loose]
        return names + [name for sub in self.folders.values() for name in sub.others()]


def _tree(path: Path, above: frozenset[str] = frozenset()) -> _Tree:
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
            folders[entry.name] = _tree(path / entry.name, above)
    return _Tree(path, files, folders)


def _below_nested_tops(tree: _Tree, but: Iterable[str] = SPLITS) -> _Tree:
    """Pass through folders that hold one folder and nothing else, as archives leave them."""
    while True:
        inner = [sub for sub in tree.folders.values() if sub.pictures()]
        if len(inner) != 1 or tree.loose or inner[0].path.name.lower() in but:
            return tree
        only = inner[0]
        if only.loose or not any(sub.pictures() for sub in only.folders.values()):
            return tree
        tree = only


def _split_folders(tree: _Tree) -> dict[str, _Tree]:
    places: dict[str, _Tree] = {}
    for name, sub in tree.folders.items():
        split = SPLITS.get(name.lower())
        if split is None or not (sub.pictures() or split == "train"):
            continue
        if split in places:
            raise DataError(
                f"{tree.path} holds both {places[split].path.name}/ and {name}/.",
                f"both names mean the {split} split",
                "rename one of them, or move it away",
            )
        places[split] = sub
    return places


def _listing(root: Path, trees: dict[str, _Tree], notes: list[Note]) -> Listing:
    """List each split's pictures with their class folders; without these, none has a label."""
    splits: dict[str, list[PictureFile]] = {}
    empty_notes: list[Note] = []
    label_notes: list[Note] = []
    for split in ("train", "valid", "test"):
        if split not in trees:
            continue
        tree, files, empty = trees[split], list[PictureFile](), list[str]()
        for name, sub in tree.folders.items():
            pictures, label = sub.pictures(), unicodedata.normalize("NFC", name)
            files += [PictureFile(path, label) for path in pictures]
            if not pictures and name.lower() not in SPLITS:
                empty.append(name)
        if files and empty:
            empty_notes.append(Note(f"{tree.path}: no pictures in {some(empty)}.", "warn"))
        if files and tree.loose:
            text = (
                f"{tree.path}: {counted(len(tree.loose), 'picture')} found beside the class folders"
            )
            names = some([path.name for path in tree.loose])
            label_notes.append(Note(f"{text} without a label ({names}).", "warn"))
        splits[split] = files + [PictureFile(path, None) for path in tree.loose]
    return Listing(root, splits, (*empty_notes, *notes), tuple(label_notes))


def _no_pictures(folder: Path, tree: _Tree, *, trained: bool) -> DataError:
    what = f"{folder} holds no pictures to train on."
    others = tree.others()
    packed = [name for name in others if name.lower().endswith(ARCHIVES)]
    if packed:
        what = f"{folder} holds an archive and no pictures to train on."
        fix = f"load the archive itself: kit.load({str(folder / packed[0])!r})"
        return DataError(what, f"{some(packed)} is packed", fix)
    names = [sub.path.name + "/" for sub in tree.folders.values() if sub.pictures()]
    if trained and names:
        return DataError(what, f"all are in {some(names)}", "put class folders into train/")
    contents = f"{len(others):,} other files ({some(others)})" if others else "nothing"
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
