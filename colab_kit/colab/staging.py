"""The stage: what lies on Drive is brought to the fast disk before it is used.

A folder of many small files is packed on the way.

    <home>/staged/pets-1a2b3c-4d5e6f70/        the files; the folder gets its name when it is whole
    <home>/staged/pets-1a2b3c-4d5e6f70.json    the marker, written last
    <home>/staged/.pets-1a2b3c-4d5e6f70.use    locked by the processes that read the files
    MyDrive/colab-kit/staged/<same>.tar        the pack: the next machine reads this one file

The name holds where the folder lies and the names of all files in it, so a file that comes or goes
is noticed; what was staged before the change is deleted. A picture replaced in place under its old
name is not noticed: delete the staged folder and the pack, or rename the folder.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any

from ..errors import DataError, DriveError
from ..events import Control, Event, FetchDone, Note
from ..system.archives.unpack import unpack
from ..system.files import home, parse, throw_away, whole_file, write_json
from ..system.filetypes import is_archive, stem
from ..system.locks import alone, flock
from ..system.sealed import read_short
from . import reading
from .drive import Drive
from .mounting import mounted
from .reading import (
    bring,
    cannot_read,
    is_folder,
    list_files,
    make_folder,
    patiently,
    size_of,
    sizes,
)
from .slots import MANIFEST, PER_FILE, holds, pack

MANY, SMALL = 100, 4 << 20  # more files than this, smaller than this on average (bytes), are packed
SHARE = 3  # a pack may take one part in so many of what is free on Drive


def stage(
    path: str | os.PathLike[str],
    *,
    emit: Callable[[Event], None],
    control: Control | None = None,
    drive: Drive | None = None,
) -> Path:
    """Bring a folder or an archive on Drive to the fast disk; anything else stays where it is.

    Parameters
    ----------
    drive : Drive, optional
        The mounted one, if None.

    Raises
    ------
    DriveError
        Drive could not be read, or `control` was stopped; the next call goes on.
    DataError
        The fast disk has no room for it.
    """
    source = Path(os.path.abspath(os.path.expanduser(path)))
    drive = drive or mounted()
    inside = _inside(source, drive)
    if inside is None or drive is None:
        return source
    if len(inside.parts) < 2:
        what, why = f"{source} is the whole Drive.", "all of it would be brought to this machine"
        raise DataError(what, why, "name the folder of the pictures in it")
    if _inside(home().absolute(), drive) is not None:
        what = f"{source} cannot be brought to the fast disk."
        why = f"COLAB_KIT_HOME is {home()}, on that same Drive"
        raise DataError(what, why, "unset COLAB_KIT_HOME, or point it to a local folder")
    work = _Staging(source, drive, emit, control)
    try:
        if patiently(lambda: is_folder(source), source):
            return work.folder(inside)
        return work.archive(inside) / source.name if is_archive(source.name) else source
    except FileNotFoundError as err:  # it went while it was looked at
        raise cannot_read(err.filename or source, err) from err


def one_by_one(folder: Path, files: int, drive: Drive | None = None) -> DataError | None:
    """The error for a reader that would open so many files of `folder` on Drive itself.

    None where it may open them.
    """
    path = Path(os.path.abspath(folder))
    if files <= MANY or _inside(path, drive or mounted()) is None:
        return None
    return DataError(
        f"{files:,} pictures would be read from Drive one by one.",
        f"each is a round trip to Google, and each epoch again: they lie in {path}",
        f"kit.load({str(path)!r}) packs them once and reads from the fast disk",
    )


def _inside(path: Path, drive: Drive | None) -> PurePath | None:
    """Where a path lies below the mountpoint; None if it does not.

    None also if the mountpoint is only a folder that took Drive's place.
    """
    if drive is None or drive.kind == "folder":
        return None
    real, point = Path(os.path.realpath(path)), Path(os.path.realpath(drive.mountpoint))
    return real.relative_to(point) if real.is_relative_to(point) else None


@dataclass(frozen=True)
class _Staging:
    """One call of stage()."""

    source: Path
    drive: Drive
    emit: Callable[[Event], None]
    control: Control | None

    def archive(self, inside: PurePath) -> Path:
        """The folder with the copy of the archive."""
        source = self.source
        status = patiently(lambda: os.stat(source), source)
        name = _named(stem(source.name), inside, [status.st_size, status.st_mtime_ns])
        return self._whole(name, lambda: {source.name: status.st_size}, source.parent, packs=False)

    def folder(self, inside: PurePath) -> Path:
        source, files = self.source, list_files(self.source)
        if not files:
            return source  # nothing to bring; who reads it says what is missing
        name = _named(source.name, inside, files)
        return self._whole(name, lambda: sizes(source, files), source)

    def _whole(
        self, name: str, measure: Callable[[], Mapping[str, int]], root: Path, packs: bool = True
    ) -> Path:
        """The staged folder of that name: as it is, if its marker stands; else brought first."""
        place = home().absolute() / "staged"
        final, marker = place / name, place / f"{name}.json"
        hold(final)
        if final.is_dir() and "pack" in _marked(marker):
            return final
        with alone(place, name, self.emit, self.control):
            hold(final)
            if not (final.is_dir() and _marked(marker)):
                files = measure()
                size = sum(files.values())
                packs = packs and len(files) > MANY and size < SMALL * len(files)
                facts: dict[str, Any] = {"from": str(root), "files": len(files), "bytes": size}
                if self._fill(root, files, final, packs):
                    facts["pack"] = str(self._pack_of(name))
                elif not packs:
                    facts["pack"] = ""
                write_json(marker, facts)
                clear_older(final)
            facts = _marked(marker)
            if "pack" not in facts:  # a kill before this is caught up with
                write_json(marker, facts | {"pack": self._pack(name, final)})
        return final

    def _fill(self, root: Path, files: Mapping[str, int], final: Path, packs: bool) -> bool:
        """Bring the files; whether they came as a pack."""
        part = final.with_name(f"{final.name}.part")
        if final.is_dir() and not part.exists():
            final.rename(part)  # killed before it was marked
        shutil.rmtree(final, ignore_errors=True)
        for stray in part.rglob(".*"):  # a file that a killed call had half copied
            stray.unlink(missing_ok=True)
        size, twice = sum(files.values()), 2 if packs else 1  # the pack, and what it unpacks to
        need, free = int((size * twice - _size(part)) * 1.05), reading.CALLS.room(final.parent)
        if need > free:
            why = f"its {len(files):,} files need {_mib(need)} there, and {_mib(free)} are free"
            raise DataError(
                f"{self.source} cannot be brought to the fast disk.",
                f"{why}; read one by one from Drive, each epoch would take many times as long",
                f"free some room (old data lies in {final.parent}), or set COLAB_KIT_HOME to a "
                "folder on a larger disk",
            )
        came = packs and self._unpacked(files, part)
        if not came:
            part.mkdir(exist_ok=True)
            self._bring(root, files, part)
        os.replace(part, final)
        place = final if root == self.source else final / self.source.name
        self.emit(FetchDone(self.source.name, place, size))
        return came

    def _bring(self, root: Path, files: Mapping[str, int], to: Path) -> None:
        name, control = self.source.name, self.control
        bring(root, files, to, name=name, emit=self.emit, control=control)

    def _unpacked(self, files: Mapping[str, int], part: Path) -> bool:
        """Fill `part` from the pack that an earlier session left on Drive, if that is whole."""
        tar, box = self._pack_of(part.stem), part.with_name(f"{part.stem}.tar.part")
        try:
            size = size_of(tar)
            shutil.rmtree(box, ignore_errors=True)
            self._bring(tar.parent, {tar.name: size}, box)
            if holds(box / tar.name) == dict(files):
                shutil.rmtree(part, ignore_errors=True)
                unpack(box / tar.name, part)
                (part / MANIFEST).unlink()
                return True
            fault = "it is damaged"
        except FileNotFoundError:
            return False
        except (DriveError, DataError) as err:
            if self.control is not None and self.control.stopped:
                raise
            fault = err.what
        finally:
            shutil.rmtree(box, ignore_errors=True)
        self.emit(Note(f"The pack {tar} cannot be used, and is made anew: {fault}", "warn"))
        return False

    def _pack_of(self, name: str) -> Path:
        return self.drive.mydrive / "colab-kit" / "staged" / f"{name}.tar"

    def _pack(self, name: str, folder: Path) -> str:
        """Leave the files as one on Drive. Where it is now, or why it is not.

        Without a pack the files are here all the same.
        """
        to, size, older = self._pack_of(name), _size(folder, PER_FILE), glob.escape(head(name))
        try:
            if size > (free := self.drive.free()) / SHARE:
                why = f"it takes {_mib(size)} of the {_mib(free)} that are free there"
                raise OSError(errno.ENOSPC, why)
            make_folder(to.parent)
            _drop(to.parent.glob(f".{older}-????????.tar.*.part"))  # a killed call's
            next_time = "the next session reads that one file"
            self.emit(Note(f"Packing {self.source.name} into {to}: {next_time}."))
            with whole_file(to) as part:
                pack(folder, part)
                if holds(part) is None:
                    raise DriveError("what Drive gave back was not what was written")
            packs = to.parent.glob(f"{older}-????????.tar")
            _drop(path for path in packs if path != to)  # of what the folder held before
        except OSError as err:
            why = err.what if isinstance(err, DriveError) else err.strerror or str(err)
            again = "the next session reads its files one by one again"
            self.emit(Note(f"{self.source.name} was not packed on Drive ({why}): {again}.", "warn"))
            return f"not made: {why}"
        return str(to)


def unpacked(
    archive: Path, *, emit: Callable[[Event], None], control: Control | None = None
) -> Path:
    """The folder that an archive on this machine's disk unpacks to.

    It is unpacked once, then found again by its path, size and time.

    Raises
    ------
    DataError
        See `archives.unpack`.
    DriveError
        It lies on a Drive that has just gone.
    """
    try:
        status = archive.stat()
    except OSError as err:
        raise cannot_read(archive, err) from err
    place = home().absolute() / "unpacked"
    facts = [status.st_size, status.st_mtime_ns]
    name = _named(stem(archive.name), archive.absolute(), facts)
    with alone(place, name, emit, control):
        if not (place / name).is_dir():
            emit(Note(f"Unpacking {archive.name} ({status.st_size / 2**20:.1f} MiB)."))
            unpack(archive, place / name, say=lambda text: emit(Note(text, "warn")))
    return place / name


def _named(name: str, inside: PurePath, rest: Any) -> str:
    place, content = (
        hashlib.sha256(json.dumps(value).encode("utf-8", "surrogateescape")).hexdigest()
        for value in (inside.as_posix(), rest)
    )
    return f"{name[:60]}-{place[:6]}-{content[:8]}"


def head(name: str) -> str:
    """The part of a staged name that stays when the files in the folder change."""
    return name.rpartition("-")[0]


def _marked(marker: Path) -> dict[str, Any]:
    try:
        facts = parse(read_short(marker))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _size(folder: Path, per_file: int = 0) -> int:
    return sum(path.stat().st_size + per_file for path in folder.rglob("*") if path.is_file())


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _drop(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):  # Drive may be gone
            throw_away(path)


# Process state: locked until this process ends, since it reads the pictures whenever it needs them.
_holds: dict[Path, IO[str]] = {}


def hold(folder: Path) -> None:
    """Keep a staged folder from being cleared as long as this process lives."""
    if folder in _holds:
        return
    try:
        file = open(_lock_of(folder), "a")
    except OSError:  # a full or read-only disk: then nothing newer comes to it either
        return
    if flock(file, shared=True):
        _holds[folder] = file
    else:
        file.close()


def clear_older(folder: Path) -> None:
    """Delete what was staged of the same source before its files changed, unless it is in use."""
    ours = re.compile(rf"({re.escape(head(folder.name))}-[0-9a-f]{{8}})(\.json|\.part)?")
    with suppress(OSError):
        for path in list(folder.parent.iterdir()):
            older = ours.fullmatch(path.name)
            if older and older[1] != folder.name:
                _clear(folder.with_name(older[1]))


def _clear(folder: Path) -> None:
    with suppress(OSError), open(_lock_of(folder), "a") as file:  # it costs room, and nothing else
        if not flock(file):
            return
        # The marker first: without it, what is left is no whole folder.
        folder.with_name(f"{folder.name}.json").unlink(missing_ok=True)
        for path in (folder, folder.with_name(f"{folder.name}.part")):
            shutil.rmtree(path, ignore_errors=True)
        _lock_of(folder).unlink()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.use")
