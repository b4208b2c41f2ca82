"""What is remembered of a file that was fetched: which link's it is, in which version, and how to tell whether it still is.

Of a file the record lies under colab_kit's home, found by the file's place; of an unpacked folder in the folder, and goes with it.
No query and no token is in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ColabKitError
from ..system.files import home, write_json
from .partial import boot

MARK = ".colab-kit.json"  # in an unpacked folder


@dataclass(frozen=True)
class Record:
    """A file or folder that was fetched.

    identity : of the link; url : without query
    sha256, size : of the file as it came, "" and 0 where it was unpacked on the way
    validator : of the version; files, bytes : in the folder, 0 for a file; mtime : of the file, ns
    boot : which start of the machine wrote it
    """

    identity: str
    url: str
    sha256: str
    size: int
    validator: str
    files: int = 0
    bytes: int = 0
    mtime: int = 0
    boot: str = ""
    archive: str = ""  # where the archive is kept


def of_file(path: Path) -> Record | None:
    """The record of a file, if it still is what was fetched."""
    found = _read(_place(path))
    try:
        stat = path.stat()
    except OSError:
        return None
    if found is None or (found.size, found.mtime) != (stat.st_size, stat.st_mtime_ns):
        return None
    if (
        found.boot not in ("", boot()) and _sha256(path) != found.sha256
    ):  # written before a crash, perhaps never to the disk
        return None
    return found


def of_folder(folder: Path) -> Record | None:
    """The record of an unpacked folder."""
    return _read(folder / MARK)


def remember_file(path: Path, record: Record) -> None:
    """Write down what a file is; where that cannot be, the next call asks the server."""
    with suppress(OSError, ColabKitError):
        write_json(
            _place(path),
            dataclasses.asdict(
                dataclasses.replace(record, mtime=path.stat().st_mtime_ns, boot=boot())
            ),
        )


def mark(folder: Path, record: Record) -> None:
    """Write down what a folder is, in it."""
    write_json(folder / MARK, dataclasses.asdict(record))


def counted(folder: Path) -> tuple[int, int]:
    """Files in a folder and their bytes, its mark left out."""
    files = size = 0
    for top, _, names in os.walk(folder):
        for name in names:
            if not (name == MARK and Path(top) == folder):
                files += 1
                size += os.lstat(os.path.join(top, name)).st_size
    return files, size


def untouched(folder: Path, record: Record) -> bool:
    """Whether an unpacked folder is as it was unpacked: as many files and bytes, and nothing in it changed or moved since it was marked."""
    if counted(folder) != (record.files, record.bytes):
        return False
    marked = (folder / MARK).stat().st_ctime_ns
    for top, folders, names in os.walk(folder):
        if any(
            os.lstat(os.path.join(top, name)).st_ctime_ns > marked for name in (*folders, *names)
        ):
            return False
    return True


def _place(path: Path) -> Path:
    key = hashlib.sha256(os.path.realpath(path).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return home() / "fetched" / "records" / f"{key}.json"


def _read(place: Path) -> Record | None:
    try:
        said = json.loads(place.read_text())
        record = Record(**said)
    except (OSError, ValueError, TypeError):
        return None
    right = all(
        type(getattr(record, field.name)).__name__ == field.type
        for field in dataclasses.fields(Record)
    )
    return record if right else None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
