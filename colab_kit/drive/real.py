"""The real Drive: which mounts this machine has, and the call that makes one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from ..colab import TIMEOUT
from ..errors import DriveError
from .local import MYDRIVE, Drive

Door = Callable[[str, float, bool], None]  # colab.mount, or a test's


def mount_table() -> str:
    """The kernel's list of mounts; empty where there is none to read (macOS, Windows: no real Drive there either)."""
    try:
        return Path("/proc/self/mounts").read_text(errors="replace")
    except OSError:
        return ""


def drives(table: str) -> list[Path]:
    """The mountpoints of DriveFS."""
    return [point for point, kind in _mounts(table) if kind == "fuse.drive"]


def healthy(mountpoint: Path, table: str) -> bool:
    """Whether a Drive is mounted there and answers. A folder that merely looks like one is none."""
    return any(point == mountpoint for point, _ in _mounts(table)) and os.path.isdir(mountpoint / MYDRIVE)


def _mounts(table: str) -> list[tuple[Path, str]]:
    rows = [line.split() for line in table.splitlines()]
    return [(Path(_plain(row[1])), row[2]) for row in rows if len(row) >= 3]


def _plain(name: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name)  # the kernel writes a space as \040


def mount_real(mountpoint: Path, door: Door, *, readonly: bool = False) -> Drive:
    """Mount through google.colab.

    Raises
    ------
    DriveError
        It failed; nothing was written under the mountpoint.
    """
    door(str(mountpoint), TIMEOUT, readonly)
    if not os.path.isdir(mountpoint / MYDRIVE):
        raise DriveError(
            f"Google Drive was mounted at {mountpoint}, but holds no {MYDRIVE}.",
            "google.colab reported no error, yet the folder is not there",
            "Runtime ▸ Disconnect and delete runtime, then start anew",
        )
    return Drive(mountpoint / MYDRIVE, "real", mountpoint)
