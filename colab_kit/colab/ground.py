"""The ground on Drive: folders are made below My Drive itself, never under a mountpoint that is not mounted.

What is there is asked by there() and is_folder(): Path.exists() and its like say False, or raise, as the version of Python has it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..system.files import DRIVE_TOPS

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def ground(folder: Path) -> Path:
    """The folder that must be there already: My Drive itself; outside of one, the nearest that exists now."""
    for depth, part in enumerate(folder.parts, 1):
        if part in DRIVE_TOPS:
            return Path(*folder.parts[:depth])
    silent = None
    for parent in (folder, *folder.parents):
        try:
            if there(parent):
                return silent or parent
        except OSError:  # a Drive that is dead now: all of it, from the mountpoint down
            silent = parent
    return silent or Path(folder.anchor)


def made(folder: Path, top: Path | None = None) -> bool:
    """Make `folder`, step by step from `top`, its ground if None. Whether it is new.

    Raises
    ------
    OSError
        The ground is gone, or cannot be written.
    """
    top = ground(folder) if top is None else top
    if not is_folder(top):
        raise FileNotFoundError(errno.ENOENT, "it is no longer there", str(top))
    new = not there(folder)
    for step in reversed([folder, *folder.parents][: len(folder.relative_to(top).parts)]):
        step.mkdir(
            exist_ok=True
        )  # parents=True would build a whole tree where a mount has just gone
    return new


def there(path: Path) -> bool:
    """Whether something is there.

    Raises
    ------
    OSError
        That is not known: Drive does not say.
    """
    return _mode(path) is not None


def is_folder(path: Path) -> bool:
    """Whether a folder is there; as there()."""
    return stat.S_ISDIR(_mode(path) or 0)


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode
    except ValueError:  # a name that no disk can hold
        return None
    except OSError as err:
        if err.errno in _NOT_THERE:
            return None
        raise
