"""Folders of pictures: which file is in which split and class, from names alone. Nothing is opened.

    flowers/                    one nested top folder is passed through
    ├── train/  rose/ *.jpg     train/ valid|val|validation/ test/ above the classes, or the classes at once
    ├── valid/  rose/ *.jpg
    └── test/   *.jpg           a test folder without classes is for predict only

The order is a function of the names (natural: 2 before 10), never of the disk.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..events import Note

PICTURES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .pnm".split()
)
HEIC = frozenset((".heic", ".heif"))
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar")
SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
JUNK = frozenset(
    (
        "__macosx",
        "thumbs.db",
        "desktop.ini",
        "__pycache__",
        "$recycle.bin",
        "system volume information",
        "@eadir",
    )
)


@dataclass(frozen=True)
class Filed:
    """A picture file, and the class folder it lies in; None if it lies in none."""

    path: Path
    label: str | None


@dataclass(frozen=True)
class Found:
    """What a folder holds. `root` is the folder to which names are relative: the given one, or the nested one inside it."""

    root: Path
    splits: dict[str, list[Filed]]  # by train, valid, test; in order
    notes: tuple[Note, ...] = ()


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """The key that sorts 2 before 10, and b after A."""
    parts = re.split(r"(\d+)", name.casefold())
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part
    ], name


def scan(folder: Path) -> Found:
    """Find the pictures of a folder, their splits and classes.

    Raises
    ------
    DataError
        There are no pictures, or two folders that both claim to be the validation split.
    """
    tree = _tree(Path(os.path.abspath(folder)))
    top = _below_nested_tops(tree)
    places = _split_folders(top)
    splits: dict[str, list[Filed]] = {}
    notes: list[Note] = []
    for split, place in places.items():
        splits[split], said = _filed(_below_nested_tops(place, but=()))
        notes += said
    if "train" not in places:
        rest = _Tree(
            top.path,
            top.files,
            {name: sub for name, sub in top.folders.items() if sub not in places.values()},
        )
        splits["train"], said = _filed(rest)
        notes += said
    elif beside := [
        name for name, sub in top.folders.items() if sub not in places.values() and sub.pictures()
    ]:
        notes.append(
            Note(
                f"{top.path}: {some(beside)} beside train/ was passed over: no split has that name.",
                "warn",
            )
        )
    if not splits["train"]:
        raise _no_pictures(folder, tree, trained="train" in places or bool(places))
    others = [name for name, suffix in tree.others() if suffix not in HEIC]
    if others:
        notes.append(
            Note(f"{counted(len(others), 'other file')} passed over: no pictures ({some(others)}).")
        )
    return Found(
        top.path,
        {name: splits[name] for name in ("train", "valid", "test") if name in splits},
        tuple(notes),
    )


def scan_split(folder: Path) -> Found:
    """The same for a folder that is one split: valid=, test=, or one of several named sources."""
    tree = _below_nested_tops(_tree(Path(os.path.abspath(folder))), but=())
    files, notes = _filed(tree)
    if not files:
        raise _no_pictures(folder, tree, trained=False)
    return Found(tree.path, {"train": files}, tuple(notes))


class _Tree:
    """A folder as it matters: pictures, other files, folders; junk is not there, and a link never leads in a circle."""

    def __init__(self, path: Path, files: list[Path], folders: dict[str, _Tree]) -> None:
        self.path, self.files, self.folders = path, files, folders

    @property
    def loose(self) -> list[Path]:
        """Pictures that lie in this folder itself."""
        return [path for path in self.files if path.suffix.lower() in PICTURES | HEIC]

    def pictures(self) -> list[Path]:
        """All pictures, of the folders below too."""
        return self.loose + [path for sub in self.folders.values() for path in sub.pictures()]

    def others(self) -> Iterator[tuple[str, str]]:
        """Name and suffix of each file that is no picture."""
        yield from (
            (path.name, path.suffix.lower())
            for path in self.files
            if path.suffix.lower() not in PICTURES | HEIC
        )
        for sub in self.folders.values():
            yield from sub.others()


def _tree(path: Path, above: frozenset[str] = frozenset()) -> _Tree:
    here = os.path.realpath(path)
    try:
        entries = sorted(os.scandir(path), key=lambda entry: natural(entry.name))
    except OSError as err:
        raise DataError(
            f"{path} cannot be listed.", str(err.strerror or err), "give a folder that can be read"
        ) from err
    files, folders = [], {}
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in JUNK:
            continue
        if not entry.is_dir():
            files.append(path / entry.name)
        elif os.path.realpath(entry.path) not in above | {here}:
            folders[entry.name] = _tree(path / entry.name, above | {here})
    return _Tree(path, files, folders)


def _below_nested_tops(tree: _Tree, but: Iterable[str] = SPLITS) -> _Tree:
    """Pass through folders that hold one folder and nothing else that matters: what unpacking an archive leaves."""
    while (
        len(inner := [sub for sub in tree.folders.values() if sub.pictures()]) == 1
        and not tree.loose
    ):
        only = inner[0]
        if (
            only.path.name.lower() in but
            or not any(sub.pictures() for sub in only.folders.values())
            or only.loose
        ):
            break
        tree = only
    return tree


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


def _filed(tree: _Tree) -> tuple[list[Filed], list[Note]]:
    """The pictures of one split with their class folders; without class folders, all of them unlabelled."""
    notes: list[Note] = []
    classes = {name: pictures for name, sub in tree.folders.items() if (pictures := sub.pictures())}
    if not classes:
        return [Filed(path, None) for path in tree.loose], notes
    empty = [
        name
        for name, sub in tree.folders.items()
        if not sub.pictures() and SPLITS.get(name.lower()) is None
    ]
    if empty:
        notes.append(Note(f"{tree.path}: no pictures in {some(empty)}.", "warn"))
    if tree.loose:
        names = some([path.name for path in tree.loose])
        text = f"{counted(len(tree.loose), 'picture')} found beside the class folders without a label ({names})."
        notes.append(Note(f"{tree.path}: {text}", "warn"))
    filed = [
        Filed(path, unicodedata.normalize("NFC", name))
        for name, pictures in classes.items()
        for path in pictures
    ]
    return filed + [Filed(path, None) for path in tree.loose], notes


def _no_pictures(folder: Path, tree: _Tree, *, trained: bool) -> DataError:
    others = list(tree.others())
    packed = [name for name, _ in others if name.lower().endswith(ARCHIVES)]
    if packed:
        return DataError(
            f"{folder} holds an archive and no pictures to train on.",
            f"{some(packed)} is packed",
            f"load the archive itself: kit.load({str(folder / packed[0])!r})",
        )
    if trained and (
        names := [sub.path.name + "/" for sub in tree.folders.values() if sub.pictures()]
    ):
        return DataError(
            f"{folder} holds no pictures to train on.",
            f"all are in {some(names)}",
            "put class folders into train/",
        )
    held = (
        f"{len(others):,} other files ({some([name for name, _ in others])})"
        if others
        else "nothing"
    )
    return DataError(
        f"There are no pictures in {folder}.",
        f"it holds {held}",
        f"give a folder that has a folder of pictures ({', '.join(sorted(PICTURES)[:6])} …) for each class",
    )


def some(names: Sequence[str]) -> str:
    """Up to three names."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def counted(n: int, things: str) -> str:
    """`1 picture was`, `1,200 pictures were`."""
    return f"{n:,} {things} was" if n == 1 else f"{n:,} {things}s were"
