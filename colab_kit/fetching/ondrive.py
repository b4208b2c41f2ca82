"""Fetched onto Drive: brought to the fast disk, found right, then copied there in one go; thousands of small files only if it is wanted."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path

from ..colab.mounting import mounted
from ..errors import DriveError, FetchError
from ..system.files import home, make, sha256
from .records import MARK

MANY = 1000  # files: more of them onto Drive take hours, and Drive may never show them all


def is_there(path: Path) -> bool:
    """Whether a path lies on the mounted Drive."""
    drive = mounted()
    if drive is None or drive.kind == "folder":
        return False
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(drive.mountpoint))


def aside(to: Path, identity: str) -> Path:
    """Where on the fast disk what goes to `to` is brought first; the same place for the next call."""
    key = hashlib.sha256(
        f"{to.absolute()}\0{identity}".encode("utf-8", "surrogateescape")
    ).hexdigest()[:12]
    folder = home() / "fetched" / "to-drive" / key
    make(folder)
    return folder / to.name


def hand_over(file: Path, to: Path) -> None:
    """Move a file to Drive: copied, compared, renamed."""
    make(to.parent)
    beside = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        shutil.copyfile(file, beside)
        if beside.stat().st_size != file.stat().st_size or sha256(beside) != sha256(file):
            raise DriveError(
                f"{to} was not handed to Drive.",
                "what it gave back is not what was written",
                "run the cell again",
            )
        os.replace(beside, to)
    finally:
        beside.unlink(missing_ok=True)
    file.unlink()


def few_enough(files: int, to: Path, *, force: bool) -> None:
    """Refuse to unpack thousands of files onto Drive."""
    if files > MANY and not force:
        why = f"it holds {files:,} files, each a round trip to Google now, and again at each reading; folders of thousands time out"
        fix = "give to= a local folder (the archive may stay on Drive: keep_archive=True), or force=True"
        raise FetchError(f"{to.name} was not unpacked onto Drive.", why, fix)


def hand_over_folder(folder: Path, to: Path, *, force: bool) -> None:
    """Move an unpacked folder to Drive."""
    files = sum(len(names) for _, _, names in os.walk(folder)) - 1  # its mark
    try:
        few_enough(files, to, force=force)
        part = to.with_name(f".{to.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(
            folder,
            part,
            copy_function=shutil.copyfile,
            ignore=lambda top, names: [MARK] if Path(top) == folder else [],
        )
        shutil.copyfile(folder / MARK, part / MARK)  # last: what is newer than it is the user's
        if to.exists():
            old = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.old")
            to.rename(old)
            os.replace(part, to)
            shutil.rmtree(old)
        else:
            os.replace(part, to)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
