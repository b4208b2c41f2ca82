"""The stage: what lies on Drive is brought to the fast disk before it is used, and a folder of many small files is packed on the way.

    <home>/staged/pets-1a2b3c-4d5e6f70/        the files; its name comes when it is whole, and what was there before they changed goes
    <home>/staged/pets-1a2b3c-4d5e6f70.json    the marker, written last
    MyDrive/colab-kit/staged/<same>.tar        the pack: the next machine reads this one file

The name holds where the folder lies and the names of all files in it, so a file that comes or goes is noticed.
A picture replaced in place under its old name is not: delete the staged folder and the pack, or rename the folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ..errors import DataError, DriveError
from ..events import Control, Event, FetchDone, Note
from ..system.archives.names import is_archive, stem
from ..system.archives.unpack import unpack
from ..system.files import home, throw_away, write_json
from ..system.locks import alone
from .drive import Drive
from .ground import is_folder, made
from .mounting import mounted
from .pack import MANIFEST, PER_FILE, holds, pack
from .reading import HANDS, Hands, bring, cannot_read, listed, patiently, sizes
from .staged import clear_older, head, hold

MANY, SMALL = 100, 4 << 20  # more files than this, smaller than this on average (bytes), are packed
SHARE = 3  # a pack may take one part in so many of what is free on Drive


def stage(
    path: str | os.PathLike[str],
    *,
    emit: Callable[[Event], None],
    control: Control | None = None,
    drive: Drive | None = None,
    hands: Hands = HANDS,
) -> Path:
    """Bring a folder or an archive that lies on Drive to the fast disk; anything else stays where it is.

    Parameters
    ----------
    drive : Drive, optional
        The mounted one, if None.
    hands : Hands, optional
        The file calls; a test's may count or fail.

    Raises
    ------
    DriveError
        Drive could not be read, or `control` was stopped; the next call goes on.
    DataError
        The fast disk has no room for it.
    """
    given = Path(os.path.abspath(os.path.expanduser(path)))
    drive = mounted() if drive is None else drive
    inside = _inside(given, drive)
    if inside is None or drive is None:
        return given
    if len(inside.parts) < 2:
        why = "all of it would be brought to this machine"
        raise DataError(
            f"{given} is the whole Drive.", why, "name the folder of the pictures in it"
        )
    if _inside(home().absolute(), drive) is not None:
        why = f"COLAB_KIT_HOME is {home()}, on that same Drive"
        raise DataError(
            f"{given} cannot be brought to the fast disk.",
            why,
            "unset COLAB_KIT_HOME, or point it to a local folder",
        )
    work = _Staging(given, drive, emit, control, hands)
    try:
        if patiently(lambda: is_folder(given), given, hands):
            return work.folder(inside)
        return work.archive(inside) / given.name if is_archive(given.name) else given
    except FileNotFoundError as err:  # it went while it was looked at
        raise cannot_read(err.filename or given, err) from err


def one_by_one(folder: Path, files: int, drive: Drive | None = None) -> DataError | None:
    """What to say to a reader that would open so many files of `folder` on Drive itself; None where it may."""
    given = Path(os.path.abspath(folder))
    if files <= MANY or _inside(given, mounted() if drive is None else drive) is None:
        return None
    return DataError(
        f"{files:,} pictures would be read from Drive one by one.",
        f"each is a round trip to Google, and each epoch again: they lie in {given}",
        f"kit.load({str(given)!r}) packs them once and reads from the fast disk",
    )


def _inside(path: Path, drive: Drive | None) -> PurePath | None:
    """Where a path lies below the mountpoint; None if it does not, or if the mountpoint is only a folder that took Drive's place."""
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
    hands: Hands

    def archive(self, inside: PurePath) -> Path:
        """The folder with the copy of the archive."""
        stat = patiently(lambda: os.stat(self.source), self.source, self.hands)
        name = _named(stem(self.source.name), inside, [stat.st_size, stat.st_mtime_ns])
        return self._whole(
            name, lambda: {self.source.name: stat.st_size}, self.source.parent, packs=False
        )

    def folder(self, inside: PurePath) -> Path:
        files = listed(self.source, self.hands)
        if not files:
            return self.source  # nothing to bring; who reads it says what is missing
        name = _named(self.source.name, inside, files)
        return self._whole(name, lambda: sizes(self.source, files, self.hands), self.source)

    def _whole(
        self, name: str, measure: Callable[[], Mapping[str, int]], root: Path, packs: bool = True
    ) -> Path:
        """The staged folder of that name: as it is, if its marker stands; else brought, then marked."""
        place = home().absolute() / "staged"
        final, marker = place / name, place / f"{name}.json"
        hold(final)
        if final.is_dir() and "pack" in _marked(marker):
            return final
        with alone(place, name, self.emit, self.control):
            hold(final)
            if not (final.is_dir() and _marked(marker)):
                files = measure()
                packs = packs and len(files) > MANY and sum(files.values()) < SMALL * len(files)
                came = self._fill(name, root, files, final, packs)
                said = {"pack": str(self._kept(name)) if came else ""} if came or not packs else {}
                write_json(
                    marker,
                    {"from": str(root), "files": len(files), "bytes": sum(files.values()), **said},
                )
                clear_older(final)
            if "pack" not in (marked := _marked(marker)):  # a kill before this is caught up with
                write_json(marker, {**marked, "pack": self._pack(name, final)})
        return final

    def _fill(
        self, name: str, root: Path, files: Mapping[str, int], final: Path, packs: bool
    ) -> bool:
        """Bring the files; whether they came as a pack."""
        part = final.with_name(f"{name}.part")
        if final.is_dir() and not part.exists():
            final.rename(part)  # killed before it was marked
        shutil.rmtree(final, ignore_errors=True)
        for stray in part.rglob(".*"):  # a file that a killed call had half copied
            stray.unlink(missing_ok=True)
        size = sum(files.values())
        there = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
        need, free = int((size * (2 if packs else 1) - there) * 1.05), self.hands.room(final.parent)
        if need > free:
            raise DataError(
                f"{self.source} cannot be brought to the fast disk.",
                f"its {len(files):,} files need {need / 2**20:,.0f} MiB there, and {free / 2**20:,.0f} MiB are free; read one by one from "
                "Drive, each epoch would take many times as long",
                f"free some room (old data lies in {final.parent}), or set COLAB_KIT_HOME to a folder on a larger disk",
            )
        came = packs and self._unpacked(name, files, part)
        if not came:
            part.mkdir(exist_ok=True)
            bring(
                root,
                files,
                part,
                name=self.source.name,
                emit=self.emit,
                control=self.control,
                hands=self.hands,
            )
        os.replace(part, final)
        self.emit(
            FetchDone(
                self.source.name, final if root == self.source else final / self.source.name, size
            )
        )
        return came

    def _unpacked(self, name: str, files: Mapping[str, int], part: Path) -> bool:
        """Fill `part` from the pack that an earlier session left on Drive, if it did and it is whole."""
        kept, box = self._kept(name), part.with_name(f"{name}.tar.part")
        tar = box / kept.name
        try:
            size = patiently(lambda: self.hands.size(str(kept)), kept, self.hands)
            shutil.rmtree(box, ignore_errors=True)
            bring(
                kept.parent,
                {kept.name: size},
                box,
                name=self.source.name,
                emit=self.emit,
                control=self.control,
                hands=self.hands,
            )
            if holds(tar) == dict(files):
                shutil.rmtree(part, ignore_errors=True)
                unpack(tar, part)
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
        self.emit(Note(f"The pack {kept} cannot be used, and is made anew: {fault}", "warn"))
        return False

    def _kept(self, name: str) -> Path:
        return self.drive.mydrive / "colab-kit" / "staged" / f"{name}.tar"

    def _pack(self, name: str, folder: Path) -> str:
        """Leave the files as one on Drive. Where it is now, or why it is not: then it stays away, and the files are here all the same."""
        to = self._kept(name)
        size = sum(path.stat().st_size + PER_FILE for path in folder.rglob("*") if path.is_file())
        part = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            if size > (free := self.drive.free()) / SHARE:
                raise OSError(
                    errno.ENOSPC,
                    f"it takes {size / 2**20:,.0f} of the {free / 2**20:,.0f} MiB that are free there",
                )
            made(to.parent)
            for stray in to.parent.glob(
                f".{_escaped(name)}-????????.tar.*.part"
            ):  # a killed call's
                _drop(stray)
            self.emit(
                Note(f"Packing {self.source.name} into {to}: the next session reads that one file.")
            )
            pack(folder, part)
            if holds(part) is None:
                raise DriveError("what Drive gave back was not what was written")
            os.replace(part, to)
            for older in to.parent.glob(f"{_escaped(name)}-????????.tar"):
                if older != to:  # of what the folder held before
                    _drop(older)
        except OSError as err:
            _drop(part)
            why = err.what if isinstance(err, DriveError) else err.strerror or str(err)
            again = "the next session reads its files one by one again"
            self.emit(Note(f"{self.source.name} was not packed on Drive ({why}): {again}.", "warn"))
            return f"not made: {why}"
        except BaseException:
            _drop(part)
            raise
        return str(to)


def unpacked(
    archive: Path, *, emit: Callable[[Event], None], control: Control | None = None
) -> Path:
    """The folder that an archive on this machine's disk unpacks to: once, then found again by its path, size and time.

    Raises
    ------
    DataError
        See `archives.unpack`.
    DriveError
        It lies on a Drive that has just gone.
    """
    try:
        stat = archive.stat()
    except OSError as err:
        raise cannot_read(archive, err) from err
    place = home().absolute() / "unpacked"
    name = _named(stem(archive.name), archive.absolute(), [stat.st_size, stat.st_mtime_ns])
    with alone(place, name, emit, control):
        if not (place / name).is_dir():
            emit(Note(f"Unpacking {archive.name} ({stat.st_size / 2**20:.1f} MiB)."))
            unpack(archive, place / name)
    return place / name


def _named(name: str, inside: PurePath, rest: Any) -> str:
    def short(value: Any, digits: int) -> str:
        return hashlib.sha256(json.dumps(value).encode("utf-8", "surrogateescape")).hexdigest()[
            :digits
        ]

    return f"{name[:60]}-{short(inside.as_posix(), 6)}-{short(rest, 8)}"


def _escaped(name: str) -> str:
    return head(name).replace("[", "[[]")  # for a glob


def _marked(marker: Path) -> dict[str, Any]:
    try:
        found = json.loads(marker.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _drop(path: Path) -> None:
    with suppress(OSError):  # Drive may be gone
        throw_away(path)
