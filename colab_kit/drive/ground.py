"""The ground on Drive: folders are made below My Drive itself, never under a mountpoint that is not mounted."""

from __future__ import annotations

import errno
from pathlib import Path

_TOPS = ("MyDrive", "My Drive", "Shareddrives", "Shared drives", "Othercomputers", ".shortcut-targets-by-id")


def ground(folder: Path) -> Path:
    """The folder that must be there already: My Drive itself; outside of one, the nearest that exists now."""
    for depth, part in enumerate(folder.parts, 1):
        if part in _TOPS:
            return Path(*folder.parts[:depth])
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def made(folder: Path, top: Path | None = None) -> bool:
    """Make `folder`, step by step from `top`, its ground if None. Whether it is new.

    Raises
    ------
    OSError
        The ground is gone, or cannot be written.
    """
    top = ground(folder) if top is None else top
    if not top.is_dir():
        raise FileNotFoundError(errno.ENOENT, "it is no longer there", str(top))
    new = not folder.exists()
    for step in reversed([folder, *folder.parents][: len(folder.relative_to(top).parts)]):
        step.mkdir(exist_ok=True)  # parents=True would build a whole tree where a mount has just gone
    return new
