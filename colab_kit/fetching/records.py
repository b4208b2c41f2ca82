"""What is here already, and the record of it: which link's it is, and in which version.

The record of a file lies under colab_kit's home, found by the file's place; that of an unpacked
folder lies in the folder, and goes with it. No query and no token is in it.
"""

from __future__ import annotations

import dataclasses
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ColabKitError
from ..system.addresses import public
from ..system.files import home, parse, sha256
from ..system.sealed import check, read_short, unsealed, write_record
from .links.address import Link
from .partial import Part, boot
from .remote import Remote, short_key

MARK = ".colab-kit.json"  # in an unpacked folder
FETCHED = "fetched"  # what the seal of a record says it is of


@dataclass(frozen=True)
class Record:
    """A file or folder that was fetched.

    identity : of the link
    url : without its query
    sha256, size : of the file as it came; sha256 is "" where it was unpacked while it came
    version : what the server calls it
    files, bytes : in the folder, 0 for a file
    mtime : of the file, ns
    boot : which start of the machine wrote it
    archive : where the archive is kept, "" if nowhere
    """

    identity: str
    url: str
    sha256: str
    size: int
    version: str
    files: int = 0
    bytes: int = 0
    mtime: int = 0
    boot: str = ""
    archive: str = ""


@dataclass(frozen=True)
class Here:
    """What is at the place of a file or folder before it is fetched.

    path : the place
    exists : whether something is there; an empty folder is nothing
    is_folder : whether it is a folder
    size : bytes of a file, else None
    record : what is known of it; None if it was not fetched, or is no longer what was fetched
    is_mine : whether it was fetched from this link
    has_hash : whether it is a file with the sha256 that was asked for
    part_left : whether an earlier call left a part that can be continued
    copy : the record of an archive that is kept on Drive
    """

    path: Path
    exists: bool = False
    is_folder: bool = False
    size: int | None = None
    record: Record | None = None
    is_mine: bool = False
    has_hash: bool = False
    part_left: bool = False
    copy: Record | None = None

    def untouched(self) -> bool:
        """Tell whether the folder is as it was unpacked: nothing in it changed, came or moved."""
        record, mark = self.record, self.path / MARK
        if record is None or _counted(self.path) != (record.files, record.bytes):
            return False
        marked = mark.stat().st_ctime_ns
        entries = (
            os.path.join(top, name)
            for top, folders, files in os.walk(self.path)
            for name in (*folders, *files)
        )
        return not any(os.lstat(entry).st_ctime_ns > marked for entry in entries)


def look(path: Path, file: Path, link: Link, wanted: str, copy: Record | None) -> Here:
    """Look at a place, without a server.

    Parameters
    ----------
    file : Path
        Where the file, or the archive, comes to.
    wanted : str
        The sha256 that was asked for, or its beginning; "" for any.
    copy : Record, optional
        Of an archive that is kept on Drive.
    """
    is_folder, size, has_hash = path.is_dir(), None, False
    record = record_of_folder(path) if is_folder else record_of_file(path)
    if path.is_file():
        size = path.stat().st_size
        if wanted:
            digest = record.sha256 if record else sha256(path)
            has_hash = digest.startswith(wanted)
    return Here(
        path,
        os.path.lexists(path) and not (is_folder and not any(path.iterdir())),
        is_folder,
        size,
        record,
        record is not None and record.identity == link.identity,
        has_hash,
        Part(file, link.identity).restore(),
        copy if copy is not None and copy.sha256.startswith(wanted) else None,
    )


def record_as_is(path: Path, link: Link, version: str) -> Record:
    """Give the record of a file that is used as it is."""
    size = path.stat().st_size
    return Record(link.identity, public(link.url), sha256(path), size, version)


def adopt(here: Here, link: Link, remote: Remote | None) -> Record:
    """Give the record of a file that is used as it is, though it was not fetched.

    It is written down only if the hash was compared: any other may be the user's work.
    """
    record = record_as_is(here.path, link, remote.version if remote else "")
    if here.has_hash:
        remember_file(here.path, record)
    return record


def record_of_file(path: Path) -> Record | None:
    """Give the record of a file, if it still is what was fetched."""
    record = _read(_place(path))
    try:
        stat = path.stat()
    except OSError:
        return None
    if record is None or (record.size, record.mtime) != (stat.st_size, stat.st_mtime_ns):
        return None
    # what was written before a crash may never have reached the disk
    crashed = record.boot not in ("", boot())
    return None if crashed and sha256(path) != record.sha256 else record


def record_of_folder(folder: Path) -> Record | None:
    """Give the record of an unpacked folder."""
    return _read(folder / MARK)


def remember_file(path: Path, record: Record) -> None:
    """Write down what a file is; if that fails, the next call asks the server."""
    with suppress(OSError, ColabKitError):
        mtime = path.stat().st_mtime_ns
        record = dataclasses.replace(record, mtime=mtime, boot=boot())
        write_record(_place(path), FETCHED, dataclasses.asdict(record))


def mark(folder: Path, record: Record) -> None:
    """Write down in an unpacked folder what it is."""
    files, size = _counted(folder)
    record = dataclasses.replace(record, files=files, bytes=size)
    write_record(folder / MARK, FETCHED, dataclasses.asdict(record))


def _counted(folder: Path) -> tuple[int, int]:
    """Count the files in a folder and their bytes, its mark left out."""
    sizes = [
        os.lstat(os.path.join(top, name)).st_size
        for top, _, names in os.walk(folder)
        for name in names
        if name != MARK or Path(top) != folder
    ]
    return len(sizes), sum(sizes)


def _place(path: Path) -> Path:
    return home() / "fetched" / "records" / f"{short_key(os.path.realpath(path), 24)}.json"


def _read(place: Path) -> Record | None:
    with suppress(OSError):
        return parse_record(read_short(place))
    return None


def parse_record(text: str | bytes) -> Record | None:
    """Give the record that was written down, None if this is none, or is damaged."""
    try:
        record = unsealed(parse(text), FETCHED)
        check(Record, record)
    except ValueError:
        return None
    return Record(**record)
