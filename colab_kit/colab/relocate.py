"""The files that lie where Drive is to be mounted.

They are moved aside before, brought into Drive afterwards, and put back if mounting fails.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from ..errors import DriveError
from ..events import Event, Note
from ..system.copies import chunks_of, copy_whole
from ..system.files import home, sha256
from .health import MYDRIVE, mounts

MOST = 2_000  # files; Drive is slow with many, and mount() waits for them
_MINE = (MYDRIVE, "My Drive")


@dataclass(frozen=True)
class Aside:
    """A folder that waits beside the mountpoint it blocked."""

    mountpoint: Path
    folder: Path


def move_aside(mountpoint: Path, table: str) -> Aside | None:
    """Rename a folder with files, where Drive is to be mounted, to a free neighbour's name.

    None: nothing blocks.

    Raises
    ------
    DriveError
        It cannot be moved, or is no place to move.
    """
    # A link named My Drive: a stand-in's folder, mounted.
    if os.path.islink(mountpoint) or os.path.islink(mountpoint / "My Drive"):
        return None
    if not _holds_files(mountpoint, table):
        return None
    if (why := _must_stay(mountpoint, table)) is not None:
        what = f"Google Drive cannot be mounted at {mountpoint}: files lie there."
        other = 'give a folder that does not exist yet, such as mount("/content/drive")'
        raise DriveError(what, why, f"{other}, or empty {mountpoint} yourself")
    names = (f"{mountpoint.name}-before{'' if n == 1 else f'-{n}'}" for n in count(1))
    folders = (mountpoint.with_name(name) for name in names)
    folder = next(path for path in folders if not os.path.lexists(path))
    try:
        os.rename(mountpoint, folder)
    except OSError as err:
        what = f"The files in {mountpoint} block mounting Drive there, and could not be moved."
        raise DriveError(
            what, str(err), f"move it away (!mv {mountpoint} {folder}), then run the cell again"
        ) from err
    return Aside(mountpoint, folder)


def _holds_files(mountpoint: Path, table: str) -> bool:
    if any(point == mountpoint for point, _ in mounts(table)):
        return False  # a mount, dead perhaps: its files are not plain ones
    with suppress(OSError):  # not there, or google.colab will say what is wrong
        return bool(os.listdir(mountpoint))
    return False


def _must_stay(mountpoint: Path, table: str) -> str | None:
    """Why these files may not be moved: someone stands in them."""
    if any(point.is_relative_to(mountpoint) for point, _ in mounts(table)):
        return "another disk is mounted inside"
    inhabitants = {
        "your home folder": Path(os.path.expanduser("~")),
        "COLAB_KIT_HOME": home().absolute(),
    }
    with suppress(OSError):  # a working folder that was deleted is nobody's place
        inhabitants["the working folder (%cd /content first)"] = Path.cwd()
    inside = [name for name, place in inhabitants.items() if place.is_relative_to(mountpoint)]
    return f"{' and '.join(inside)} lies in it" if inside else None


def put_back(aside: Aside, emit: Callable[[Event], None]) -> None:
    """Undo move_aside(). Where something has come to the mountpoint meanwhile, nothing is moved."""
    try:
        # Over an empty folder, which google.colab may have made; never over files.
        os.rename(aside.folder, aside.mountpoint)
    except OSError as err:
        emit(_stays(aside, f"it could not be put back ({err.strerror or err})"))


def bring_in(
    aside: Aside, mydrive: Path, emit: Callable[[Event], None], *, free: int, readonly: bool = False
) -> None:
    """Copy what was moved aside into My Drive, verified and over nothing; then delete the folder.

    What lay under MyDrive goes to the same place there; the rest to `<name>-before`. A file that
    Drive has with other content keeps its own, and ours gets a name beside it. Whatever fails, all
    files stay in the folder. A Note says what was done.

    free : bytes that fit into Drive
    """
    copies = Copies()
    try:
        why = "Drive is mounted read-only" if readonly else _too_much(aside.folder, free)
        if why is None:
            for source, folder in _targets(aside, mydrive):
                if folder != mydrive:  # My Drive is there, or has gone: then nothing is made
                    folder.mkdir(exist_ok=True)
                copies.take(source, folder / source.name)
            why = copies.missed(aside.folder)
    except BaseException as err:
        reason = str(err) or type(err).__name__
        emit(_stays(aside, f"copying it into Drive failed ({reason})"))
        if not isinstance(err, Exception):
            raise
        return
    if why is not None:
        emit(_stays(aside, why))
        return
    shutil.rmtree(aside.folder, ignore_errors=True)
    before = f"What lay in {aside.mountpoint} before Drive was mounted there"
    emit(Note(f"{before} is in Drive now: {copies.summary(mydrive)}."))


def _targets(aside: Aside, mydrive: Path) -> Iterator[tuple[Path, Path]]:
    """What is to be copied, and into which folder."""
    for path in sorted(aside.folder.iterdir()):
        if path.name in _MINE and path.is_dir() and not path.is_symlink():
            yield from ((child, mydrive) for child in sorted(path.iterdir()))
        else:
            yield path, mydrive / f"{aside.mountpoint.name}-before"


def _stays(aside: Aside, why: str) -> Note:
    kept = f"What lay in {aside.mountpoint} before is kept in {aside.folder}: {why}."
    return Note(f"{kept} Copy from there what you need; Colab deletes it with the machine.", "warn")


def _too_much(folder: Path, free: int) -> str | None:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    if len(files) > MOST:
        slow = f"these are {len(files)} files, and Drive is slow with many"
        return f"{slow}: pack them (!zip -r) and copy the archive"
    size = sum(path.stat().st_size for path in files)
    fits = f"it is {size / 1e6:.0f} MB, and only {free / 1e6:.0f} MB fit into Drive"
    return fits if size > free else None


@dataclass
class Copies:
    """What was copied so far, and where it went."""

    # Of each file the size and the time of change, as it was read.
    taken: dict[Path, tuple[int, int]] = field(default_factory=dict)
    renamed: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)  # links, pipes: Drive has none

    def take(self, source: Path, target: Path) -> None:
        """Bring a file, or a folder with all it holds, to `target` or to a name beside it."""
        if source.is_symlink() or not (source.is_dir() or source.is_file()):
            self.skipped.append(source)
        elif source.is_dir():
            names = (name for name in _names(target) if name.is_dir() or not os.path.lexists(name))
            folder = next(names)
            folder.mkdir(exist_ok=True)
            for child in sorted(source.iterdir()):
                self.take(child, folder / child.name)
        else:
            before = _state(source)
            self._file(source, target)
            self.taken[source] = before

    def _file(self, source: Path, target: Path) -> None:
        for name in _names(target):
            if not os.path.lexists(name):
                _copy(source, name)
                self.renamed += [name] if name != target else []
                return
            same_size = name.is_file() and name.stat().st_size == source.stat().st_size
            if same_size and sha256(name) == sha256(source):
                return

    def missed(self, folder: Path) -> str | None:
        """Why the folder may not be deleted: something in it is not in Drive; None if all is."""
        if self.skipped:
            name, rest = self.skipped[0].name, "the other files were copied"
            return f"{name} is a link or no plain file, which Drive cannot keep; {rest}"
        for path in folder.rglob("*"):
            if not path.is_dir() and self.taken.get(path) != _state(path):
                writes = f"something still writes into it ({path.name})"
                return f"{writes}; the files were copied as they were"
        return None

    def summary(self, mydrive: Path) -> str:
        number = f"{len(self.taken)} file{'s' if len(self.taken) != 1 else ''}"
        if not self.renamed:
            return number
        names = ", ".join(str(path.relative_to(mydrive)) for path in self.renamed[:3])
        why = f"since Drive has another file of the old one ({names})"
        return f"{number}, {len(self.renamed)} under a new name, {why}"


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _names(target: Path) -> Iterator[Path]:
    yield target
    for number in count(1):
        word = "before mount" if number == 1 else f"before mount {number}"
        yield target.with_name(f"{target.stem} ({word}){target.suffix}")


def _copy(source: Path, target: Path) -> None:
    """Copy to a name that is free: whole, with the time it was written, and over nothing."""

    def finish(part: Path) -> None:
        with suppress(OSError):  # the time is nice to have
            os.utime(part, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
        if os.path.lexists(target):  # come meanwhile, from another machine
            raise DriveError(f"{target.name} has just appeared in Drive")

    copy_whole(chunks_of(source), target, finish=finish)
