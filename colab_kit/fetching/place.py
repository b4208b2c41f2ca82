"""The place of what was fetched: a folder of this machine, a folder on Drive, or Drive's archives.

What goes to Drive is brought to the fast disk, checked, then copied there in one go. An archive may
be kept on Drive, so that the next session does not download it again:

MyDrive/colab-kit/fetched/pets-1a2b3c4d/pets.zip
MyDrive/colab-kit/fetched/pets-1a2b3c4d/fetched.json    its record, copied after it
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..colab.drive import Drive
from ..colab.mirror import Mirror
from ..colab.mounting import absent, mounted
from ..colab.reading import bring as bring_from_drive
from ..colab.reading import patiently, size_of
from ..errors import ColabKitError, DriveError, FetchError, LinkError, NoSpace, NotFound
from ..events import Note
from ..system.copies import chunks_of, copy_whole
from ..system.files import home, make, sha256
from ..system.filetypes import stem
from ..system.sealed import write_record
from .download import bring, wrong_hash
from .fetched import Fetched
from .links.address import Link
from .plan import Options, Target
from .records import FETCHED, MARK, Record, parse_record, remember_file
from .remote import Call, short_key

MANY = 1000  # files: more of them onto Drive take hours, and Drive may never show them all
MOST = 2 << 30  # bytes: a larger archive is kept on Drive only if that is asked for
SHARE = 3  # and it may take one part in so many of what is free on Drive
RECORD = "fetched.json"


def drive_here() -> Drive | None:
    """Give the mounted Drive; a folder in place of Drive does not count."""
    drive = mounted()
    return None if drive is None or drive.kind == "folder" else drive


def is_on_drive(path: Path) -> bool:
    """Tell whether a path is on the mounted Drive."""
    drive = drive_here()
    top = drive and os.path.realpath(drive.mountpoint)
    return top is not None and Path(os.path.realpath(path)).is_relative_to(top)


def check_drive(path: Path, deed: str) -> None:
    """Raise FetchError for a path on a Drive that is not there."""
    if (reasons := absent(path.absolute())) is not None:
        what, (why, other) = f"Nothing can be {deed} to {path}: its Drive is not there.", reasons
        raise FetchError(what, why, f"kit.mount() first, or give {other}")


def fast_place(to: Path, identity: str) -> Path:
    """Tell where on the fast disk what goes to `to` comes first; each call has the same place."""
    folder = home() / "fetched" / "to-drive" / short_key(f"{to.absolute()}\0{identity}", 12)
    make(folder)
    return folder / to.name


def bring_file(links: Sequence[Link], near: Path, to: Path, call: Call) -> Record:
    """Download a file to `near`, then give it its place `to`: the same, or one on Drive."""
    whole = bring(links, near, call, name=to.name)
    record = whole.record(links[0])
    whole.part.finish()
    if near != to:
        move_to_drive(near, to)
    remember_file(to, record)
    return record


def move_to_drive(file: Path, to: Path) -> None:
    """Move a file to Drive: copied, compared, renamed."""
    make(to.parent)
    try:
        copy_whole(chunks_of(file), to)
    except OSError as err:
        raise DriveError(f"{to} was not copied to Drive.", str(err), "run the cell again") from err
    file.unlink()


def move_folder_to_drive(folder: Path, to: Path, *, force: bool) -> None:
    """Move an unpacked folder to Drive."""
    files = sum(len(names) for _, _, names in os.walk(folder)) - 1  # its mark
    copy = shutil.copyfile
    try:
        check_file_count(files, to, force=force)
        part = to.with_name(f".{to.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        without_mark = lambda top, names: [MARK] if Path(top) == folder else []
        shutil.copytree(folder, part, copy_function=copy, ignore=without_mark)
        copy(folder / MARK, part / MARK)  # last: what is newer than it is the user's
        replace(part, to)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_file_count(files: int, to: Path, *, force: bool) -> None:
    """Refuse to unpack thousands of files onto Drive."""
    if files > MANY and not force:
        why = f"it holds {files:,} files; each is a round trip to Google, now and at each reading"
        fix = (
            "give to= a local folder (keep_archive=True keeps the archive on Drive), or force=True"
        )
        raise FetchError(f"{to.name} was not unpacked onto Drive.", why, fix)


def replace(new: Path, to: Path) -> None:
    """Rename a file or folder to `to`; delete what was there once the new one has its name."""
    old = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.old")
    if os.path.lexists(to):
        to.rename(old)
    new.rename(to)
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)


def local_path(link: Link) -> Path:
    """Give the path that the link is.

    Raises
    ------
    NotFound
    """
    path = Path(os.path.expanduser(link.url))
    if path.exists():
        return path
    fix = "correct the path, or give the whole address: https://…"
    raise NotFound(f"There is no {path}.", "it looks like a path on this machine", fix)


def use_local(link: Link, to: Path, options: Options) -> Fetched:
    """Use a file of this machine as it is, or copy it if a place was asked for.

    Raises
    ------
    FetchError
        It is not there, has another hash, or cannot be copied.
    """
    source = local_path(link)
    stays = options.to is None or (to.exists() and os.path.samefile(source, to))
    if source.is_dir():
        if stays:
            return Fetched(source, link.url, None, 0, True)
        fix = "use it as it is: kit.load(folder)"
        raise LinkError(f"{source} is a folder.", "fetch() copies files", fix)
    digest = sha256(source)
    if not digest.startswith(options.sha256):
        raise wrong_hash(source, digest, options.sha256)
    if stays:
        to = source
    else:
        _copy(source, to, digest, options)
    return Fetched(to, link.url, digest, to.stat().st_size, stays)


def _copy(source: Path, to: Path, digest: str, options: Options) -> None:
    if to.exists() and not options.overwrite and sha256(to) != digest:
        what = f"Another {to.name} is there already, and is kept."
        fix = "give to= another name, or overwrite=True"
        raise FetchError(what, f"it differs from {source}", fix)
    make(to.parent)
    if shutil.disk_usage(to.parent).free < (size := source.stat().st_size):
        what, why = f"{source} does not fit on the disk of {to.parent}.", f"it has {size:,} bytes"
        raise NoSpace(what, why, "free some room, or give to= a folder on a larger disk")
    copy_whole(chunks_of(source), to)


class ArchiveShelf:
    """Where one link's archive is kept on a Drive."""

    def __init__(self, drive: Drive, name: str, identity: str) -> None:
        self.root = drive.mydrive / "colab-kit" / "fetched"
        self.folder = f"{stem(name)[:60]}-{short_key(identity, 8)}"
        self.drive, self.name, self.identity = drive, name, identity
        self.path = self.root / self.folder / name

    @classmethod
    def of(cls, link: Link, target: Target, options: Options) -> ArchiveShelf | None:
        """Tell where on Drive this link's archive is kept; None if it is not kept there."""
        drive = None if options.keep_archive is False or target.single else drive_here()
        return cls(drive, target.file.name, link.identity) if drive else None

    def takes(self, size: int, wish: bool | None) -> bool:
        """Tell whether an archive of so many bytes is kept: on demand, or if it is small enough."""
        if wish is not None:
            return wish
        with suppress(DriveError):
            return size <= MOST and size <= self.drive.free() / SHARE
        return False

    def record(self) -> Record | None:
        """Give the record of what is kept, if all of it is there."""
        place, path = self.path.parent / RECORD, self.path
        try:  # patiently: Drive may stumble at the first reading
            text = patiently(place.read_text, place)
            size = size_of(path)
        except (OSError, ValueError):
            return None
        record = parse_record(text)
        if record is None or (record.identity, record.size) != (self.identity, size):
            return None
        return record if record.sha256 else None

    def bring(self, record: Record, to: Path, call: Call) -> bool:
        """Bring the archive to the fast disk, as `to`; give False, and a note, if it is damaged."""
        control = call.control
        try:
            with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as box:
                bring_from_drive(
                    self.path.parent,
                    {self.name: record.size},
                    Path(box),
                    name=self.name,
                    emit=call.emit,
                    control=control,
                )
                copy = Path(box) / self.name
                if sha256(copy) == record.sha256:
                    copy.replace(to)
                    return True
            why = "it is not what was put there"
        except (ColabKitError, OSError) as err:
            if control.stopped:
                raise
            why = err.what if isinstance(err, ColabKitError) else str(err)
        what = f"The copy on Drive, {self.path}, cannot be used ({why})"
        call.emit(Note(f"{what}; it is downloaded again.", "warn"))
        return False

    def keep(self, archive: Path, record: Record) -> None:
        """Copy an archive there in the background.

        The file may be deleted here at once: it stays open until it is copied.
        """
        mirror = Mirror.at(self.root)
        mirror.push(archive, f"{self.folder}/{self.name}")
        beside = home() / "fetched" / f"{self.folder}.json"
        write_record(beside, FETCHED, dataclasses.asdict(record))
        mirror.push(beside, f"{self.folder}/{RECORD}")
        beside.unlink(missing_ok=True)
