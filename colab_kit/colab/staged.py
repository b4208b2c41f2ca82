"""The fast disk's staged folders: one process at a time brings one, whoever was given it holds it, and older ones that nobody holds go."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import IO

_held: dict[
    Path, IO[str]
] = {}  # locked until this process ends: its pictures are read whenever they are needed


def hold(folder: Path) -> None:
    """Keep a staged folder from being cleared as long as this process lives."""
    if folder in _held:
        return
    try:
        file = open(_sign(folder), "a")
    except OSError:  # a full or read-only disk: then nothing newer comes to it either
        return
    if _locked(file, shared=True):
        _held[folder] = file
    else:
        file.close()


def clear_older(folder: Path) -> None:
    """Delete what was staged of the same source before its files changed, unless a process holds it."""
    ours = re.compile(re.escape(head(folder.name)) + r"-[0-9a-f]{8}")
    try:
        names = {
            path.name.partition(".")[0] if path.suffix else path.name
            for path in folder.parent.iterdir()
            if path.name[0] != "."
        }
    except OSError:
        return
    for older in (
        folder.with_name(name) for name in names if ours.fullmatch(name) and name != folder.name
    ):
        _clear(older)


def _clear(folder: Path) -> None:
    try:
        with open(_sign(folder), "a") as file:
            if not _locked(file, shared=False):
                return
            folder.with_name(f"{folder.name}.json").unlink(
                missing_ok=True
            )  # first: without it, what is left is no whole folder
            for path in (folder, folder.with_name(f"{folder.name}.part")):
                shutil.rmtree(path, ignore_errors=True)
        _sign(folder).unlink()
    except OSError:
        pass  # it costs room, and nothing else


def head(name: str) -> str:
    """The part of a staged name that stays when the files in the folder change."""
    return name.rpartition("-")[0]


def _sign(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.use")


def _locked(file: IO[str], *, shared: bool) -> bool:
    """Whether the lock is had; never on Windows, where nothing is cleared."""
    try:
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
