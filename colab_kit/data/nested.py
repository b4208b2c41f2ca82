"""What is packed inside a folder, opened once: archives in archives, and files of many pictures.

    <home>/unpacked/caltech-101-1a2b3c-4d5e6f7081920a3b/    made whole, or not at all

The name holds where the files lie, their names, sizes and times: a change is noticed.
"""

from __future__ import annotations

import heapq
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..colab.reading import cannot_read
from ..errors import DataError
from ..events import Control, Event, Note
from ..system.archives.limits import HARMLESS, RATIO
from ..system.archives.unpack import beside, unpack
from ..system.files import digest, home
from ..system.filetypes import is_archive, stem
from ..system.locks import alone
from .folders import tree
from .folders.tree import JUNK, some
from .folders.tree import is_picture as is_picture
from .folders.words import one_split
from .sources import name_of

DEEPEST = 3  # archives in archives in archives
FEW = 10  # so many pictures beside packed ones may be a logo and figures of a paper
OUTWEIGHED = 10  # times their bytes: what is packed is then the data
VERSION = 1  # of what is made of the files: another number makes it anew
BESIDES = frozenset(
    "annotation annotations anno annos mask masks segmentation segmentations segmentationmask "
    "trimap trimaps bbox bboxes devkit".split()
)  # what archives are called that hold no pictures to learn


def kept(
    sources: Sequence[Path],
    root: Path,
    name: str,
    fill: Callable[[Path], None],
    *,
    emit: Callable[[Event], None] = lambda event: None,
    control: Control | None = None,
) -> Path:
    """Give the folder that `fill` makes of files below `root`: made once, then found again.

    Raises
    ------
    DataError, DriveError
        A file cannot be read, the disk is full, or what `fill` raises.
    """
    try:
        stats = [(name_of(path, root), path.stat()) for path in sources]
    except OSError as err:
        raise cannot_read(root, err) from err
    facts = [VERSION, [[file, stat.st_size, stat.st_mtime_ns] for file, stat in stats]]
    where = os.fsencode(os.path.abspath(root)).hex()
    place = home().absolute() / "unpacked"
    folder = place / f"{name[:60]}-{digest(where)[:6]}-{digest(facts)[:16]}"
    with alone(place, folder.name, emit, control):
        if not folder.is_dir():
            with beside(folder) as part:
                fill(part)
    return folder


def walk(path: Path) -> Iterator[Path]:
    """Give the files at a path, itself or below it, without junk and hidden ones; natural order.

    A link to a folder is not followed, and a folder that cannot be listed has no files.
    """
    if path.is_file():
        yield path
    for top, here in tree.walk(path):
        names = heapq.merge(here.loose.names(), here.beside, key=tree.natural)
        yield from (top / name for name in names)


def is_junk(name: str) -> bool:
    """Tell whether a file or folder of this name is the system's own."""
    return name.startswith(".") or name.lower() in JUNK


def outweigh(packed: Sequence[Path], pictures: Sequence[Path]) -> bool:
    """Tell whether packed files are the data, and the few pictures beside them are not."""
    if len(pictures) >= FEW:
        return False
    mass, loose = (sum(path.stat().st_size for path in files) for files in (packed, pictures))
    return bool(packed) and mass >= OUTWEIGHED * loose


def open_nested(
    folder: Path,
    name: str,
    emit: Callable[[Event], None],
    control: Control | None = None,
    *,
    depth: int = DEEPEST,
) -> Path:
    """Give a folder where the archives of `folder` are opened, if its pictures are packed.

    Each archive becomes a folder of its name in its place, and the other files lie beside as they
    did. A folder that holds pictures stays as it is, unless it has test.zip beside train/, or the
    like. Archives called annotations or masks are passed over, and named in a note, which calls
    the folder `name`.

    Raises
    ------
    BadArchive, UnsafeArchive, NoSpace
        See archives.unpack; the limits hold for the sum.
    """
    files = list(walk(folder))
    archives, passed = _to_open(files)
    if not archives or depth == 0:
        return folder

    def fill(part: Path) -> None:
        packed = sum(path.stat().st_size for path in archives)
        room = max(HARMLESS, RATIO * packed)
        for path in files:
            if path not in archives:
                _link(path, part / path.relative_to(folder))
        for archive in archives:
            to = _place(part / archive.relative_to(folder))
            unpack(archive, to, max_size=max(room, 0), control=control)
            room -= sum(path.stat().st_size for path in to.rglob("*") if path.is_file())
            _lift(to)

    opened = kept(files, folder, name, fill, emit=emit, control=control)
    text = f"{name}: {some([path.name for path in archives])} inside it opened"
    if passed:
        names = some([path.name for path in passed])
        text += f"; {names} passed over: by the name no pictures to learn"
    emit(Note(f"{text}."))
    return open_nested(opened, name, emit, control, depth=depth - 1)


def _to_open(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Give the archives to open, and those that are passed over."""
    folders = {str(above).lower() for path in files for above in path.parents}
    archives = [path for path in files if is_archive(path.name)]
    archives = [path for path in archives if str(_unpacked(path)).lower() not in folders]
    passed = [path for path in archives if _is_beside(path)]
    archives = [path for path in archives if path not in passed]
    pictures = [path for path in files if is_picture(path)]
    if pictures and not outweigh(archives, pictures):
        archives = [path for path in archives if _is_missing_split(path, pictures)]
    return archives, passed


def _is_missing_split(archive: Path, pictures: Sequence[Path]) -> bool:
    """Tell whether it is test.zip, and the folders beside it hold pictures of other splits."""
    top, split = archive.parent, one_split(stem(archive.name))
    names = {path.relative_to(top).parts[0] for path in pictures if top in path.parents}
    there = {one_split(name) for name in names} - {None}
    return split is not None and bool(there) and split not in there


def _is_beside(archive: Path) -> bool:
    return not BESIDES.isdisjoint(re.findall(r"[a-z]+", stem(archive.name).lower()))


def _unpacked(archive: Path) -> Path:
    return archive.with_name(stem(archive.name))


def _place(archive: Path) -> Path:
    """Give the folder that an archive becomes: its name without ending, if that is free."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    return archive if _unpacked(archive).exists() else _unpacked(archive)


def _lift(folder: Path) -> None:
    """Put what lies in the one folder inside, of the same name, where it was meant to lie.

    train.zip holds train/, and train/train/ would be a class called train.
    """
    names = [name for name in os.listdir(folder) if not is_junk(name)]
    inner = folder / names[0] if len(names) == 1 else folder
    if inner.is_dir() and inner.name.lower() == folder.name.lower() and inner != folder:
        away = folder.with_name(f"{folder.name}.lifted")
        inner.rename(away)
        shutil.rmtree(folder)
        away.rename(folder)


def _link(file: Path, to: Path) -> None:
    """Give a file a second name, or a copy on another disk."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, to)
    except OSError:
        try:
            shutil.copyfile(file, to)
        except OSError as err:
            fix = "see whether the disk is still there and has room, then try again"
            raise DataError(f"{file} cannot be copied.", err.strerror or str(err), fix) from err
