"""What lay where Drive is to be mounted: moved aside before, brought into Drive afterwards, put back if mounting fails."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DriveError
from ..events import Event, Note
from ..system.files import CHUNK, home, sha256, throw_away
from .health import MYDRIVE, mounts

MOST = 2_000  # files; Drive is slow with many, and mount() waits for them
_MINE = (MYDRIVE, "My Drive")


@dataclass(frozen=True)
class Aside:
    """A folder that waits beside the mountpoint it blocked."""

    mountpoint: Path
    folder: Path


def move_aside(mountpoint: Path, table: str) -> Aside | None:
    """Rename a folder with files, where Drive is to be mounted, to a free neighbour's name. None: nothing blocks.

    Raises
    ------
    DriveError
        It cannot be moved, or is no place to move.
    """
    if (
        os.path.islink(mountpoint)
        or os.path.islink(mountpoint / "My Drive")
        or not _holds_files(mountpoint, table)
    ):
        return None  # a link named My Drive: a stand-in's folder, mounted
    if (why := _must_stay(mountpoint, table)) is not None:
        fix = f'give a folder that does not exist yet, such as mount("/content/drive"), or empty {mountpoint} yourself'
        raise DriveError(
            f"Google Drive cannot be mounted at {mountpoint}: files lie there.", why, fix
        )
    folder = next(name for name in _neighbours(mountpoint) if not os.path.lexists(name))
    try:
        os.rename(mountpoint, folder)
    except OSError as err:
        fix = f"move it away (!mv {mountpoint} {folder}), then run the cell again"
        raise DriveError(
            f"The files in {mountpoint} block mounting Drive there, and could not be moved.",
            str(err),
            fix,
        ) from err
    return Aside(mountpoint, folder)


def _holds_files(mountpoint: Path, table: str) -> bool:
    if any(point == mountpoint for point, _ in mounts(table)):
        return False  # a mount, dead perhaps: its files are not plain ones
    try:
        return bool(os.listdir(mountpoint))
    except OSError:
        return False  # not there, or google.colab will say what is wrong


def _must_stay(mountpoint: Path, table: str) -> str | None:
    """Why these files may not be moved: someone stands in them."""
    if any(point.is_relative_to(mountpoint) for point, _ in mounts(table)):
        return "another disk is mounted inside"
    inhabitants = {"your home folder": Path.home(), "COLAB_KIT_HOME": home().absolute()}
    with suppress(OSError):  # a working folder that was deleted is nobody's place
        inhabitants["the working folder (%cd /content first)"] = Path.cwd()
    inside = [name for name, place in inhabitants.items() if place.is_relative_to(mountpoint)]
    return f"{' and '.join(inside)} lies in it" if inside else None


def _neighbours(mountpoint: Path) -> Iterator[Path]:
    yield mountpoint.with_name(f"{mountpoint.name}-before")
    number = 2
    while True:
        yield mountpoint.with_name(f"{mountpoint.name}-before-{number}")
        number += 1


def put_back(aside: Aside, emit: Callable[[Event], None]) -> None:
    """Undo move_aside(). What has come to the mountpoint meanwhile is not touched: then the files stay where they are."""
    try:
        os.rename(
            aside.folder, aside.mountpoint
        )  # over an empty folder, which google.colab may have made; never over files
    except OSError as err:
        emit(_stays(aside, f"it could not be put back ({err.strerror or err})"))


def bring_in(
    aside: Aside, mydrive: Path, emit: Callable[[Event], None], *, free: int, readonly: bool = False
) -> None:
    """Copy what was moved aside into My Drive, verified and over nothing; then delete the folder. A Note says what was done.

    What lay under MyDrive goes to the same place there; the rest to `<name>-before`.
    A file that Drive has with other content keeps its own, and ours gets a name beside it.
    Whatever fails, all files stay in the folder.

    free : bytes that fit into Drive
    """
    copies = Copies()
    try:
        why = "Drive is mounted read-only" if readonly else _too_much(aside.folder, free)
        if why is None:
            for source, folder in _targets(aside, mydrive):
                if (
                    folder != mydrive
                ):  # that one is there, or Drive is gone: then nothing is made at its place
                    folder.mkdir(exist_ok=True)
                copies.take(source, folder / source.name)
            why = copies.missed(aside.folder)
    except BaseException as err:
        emit(
            _stays(
                aside, f"copying it into Drive failed ({err if str(err) else type(err).__name__})"
            )
        )
        if not isinstance(err, Exception):
            raise
        return
    if why is not None:
        emit(_stays(aside, why))
        return
    shutil.rmtree(aside.folder, ignore_errors=True)
    emit(
        Note(
            f"What lay in {aside.mountpoint} before Drive was mounted there is in Drive now: {copies.said(mydrive)}."
        )
    )


def _targets(aside: Aside, mydrive: Path) -> Iterator[tuple[Path, Path]]:
    """What is to be copied, and into which folder."""
    for path in sorted(aside.folder.iterdir()):
        if path.name in _MINE and path.is_dir() and not path.is_symlink():
            yield from ((child, mydrive) for child in sorted(path.iterdir()))
        else:
            yield path, mydrive / f"{aside.mountpoint.name}-before"


def _stays(aside: Aside, why: str) -> Note:
    return Note(
        f"What lay in {aside.mountpoint} before is kept in {aside.folder}: {why}. Copy from there what you need; on Colab it is lost "
        "with the machine.",
        "warn",
    )


def _too_much(folder: Path, free: int) -> str | None:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    if len(files) > MOST:
        return f"these are {len(files)} files, and Drive is slow with many: pack them (!zip -r) and copy the archive"
    size = sum(path.stat().st_size for path in files)
    return (
        f"it is {size / 1e6:.0f} MB, and only {free / 1e6:.0f} MB fit into Drive"
        if size > free
        else None
    )


@dataclass
class Copies:
    """What was copied so far, and where it went."""

    taken: dict[Path, tuple[int, int]] = field(
        default_factory=dict
    )  # file: size and time of change, as it was read
    renamed: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)  # links, pipes: Drive has none

    def take(self, source: Path, target: Path) -> None:
        """Bring a file, or a folder with all it holds, to `target` or to a name beside it."""
        if source.is_symlink() or not (source.is_dir() or source.is_file()):
            self.skipped.append(source)
        elif source.is_dir():
            there = next(
                name for name in _names(target) if name.is_dir() or not os.path.lexists(name)
            )
            there.mkdir(exist_ok=True)
            for child in sorted(source.iterdir()):
                self.take(child, there / child.name)
        else:
            found = source.stat()
            self._file(source, target)
            self.taken[source] = (found.st_size, found.st_mtime_ns)

    def _file(self, source: Path, target: Path) -> None:
        for name in _names(target):
            if not os.path.lexists(name):
                _copy(source, name)
                self.renamed += [name] if name != target else []
                return
            if (
                name.is_file()
                and name.stat().st_size == source.stat().st_size
                and sha256(name) == sha256(source)
            ):
                return

    def missed(self, folder: Path) -> str | None:
        """Why the folder may not be deleted: something in it is not in Drive; None if all is."""
        if self.skipped:
            return f"{self.skipped[0].name} is a link or no plain file, which Drive cannot keep; the other files were copied"
        now = {path: path.stat() for path in folder.rglob("*") if not path.is_dir()}
        changed = [
            path
            for path, found in now.items()
            if self.taken.get(path) != (found.st_size, found.st_mtime_ns)
        ]
        return (
            f"something still writes into it ({changed[0].name}); the files were copied as they were"
            if changed
            else None
        )

    def said(self, mydrive: Path) -> str:
        count = f"{len(self.taken)} file{'s' if len(self.taken) != 1 else ''}"
        if not self.renamed:
            return count
        names = ", ".join(str(path.relative_to(mydrive)) for path in self.renamed[:3])
        return f"{count}, {len(self.renamed)} under a new name, since Drive has another file of the old one ({names})"


def _names(target: Path) -> Iterator[Path]:
    yield target
    yield target.with_name(f"{target.stem} (before mount){target.suffix}")
    number = 2
    while True:
        yield target.with_name(f"{target.stem} (before mount {number}){target.suffix}")
        number += 1


def _copy(source: Path, target: Path) -> None:
    """Copy to a neighbour's name, compare what can be read back, then rename: a name in Drive is given to whole files only."""
    part = target.with_name(f".{uuid.uuid4().hex[:8]}.part")
    digest = hashlib.sha256()
    try:
        with open(source, "rb") as reading, open(part, "xb") as writing:
            while chunk := reading.read(CHUNK):
                digest.update(chunk)
                writing.write(chunk)
            writing.flush()
            os.fsync(writing.fileno())
        if sha256(part) != digest.hexdigest():
            raise DriveError(f"the copy of {source.name} read back otherwise than it was written")
        with suppress(OSError):  # the time it was written: nice to have
            os.utime(part, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
        if os.path.lexists(target):  # come meanwhile, from another machine
            raise DriveError(f"{target.name} has just appeared in Drive")
        os.rename(part, target)
    except BaseException:
        with suppress(OSError):
            throw_away(part)
        raise
