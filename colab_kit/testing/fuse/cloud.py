"""What Google has, as a folder: its layout, the size of its Trash, and what still fits."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

KEPT = ".drivefs"  # in the store: what is not uploaded yet, and the size of the Trash; not shown in the mount
OWN = frozenset(
    {KEPT, ".mounted", "My Drive", "Shared drives"}
)  # ours too: a folder's mark and its two links
FOLDERS = ("MyDrive", "Shareddrives", "Othercomputers", ".shortcut-targets-by-id", ".Trash-0")
_BLOCK = 4096
_TOLD = (
    "f_bsize",
    "f_frsize",
    "f_blocks",
    "f_bfree",
    "f_bavail",
    "f_files",
    "f_ffree",
    "f_favail",
    "f_namemax",
)


def lay_out(store: Path) -> None:
    """Make the folders that every Drive has."""
    for folder in (*FOLDERS, KEPT):
        (store / folder).mkdir(parents=True, exist_ok=True)


def stored_bytes(store: Path) -> int:
    """How much the files take, without the Trash."""
    total = 0
    for folder, folders, names in os.walk(store):
        if folder == str(store):
            folders[:] = [name for name in folders if name != KEPT]
        total += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return total


def trash_bytes(store: Path) -> int:
    """How much lies in the Trash."""
    try:
        return int((store / KEPT / "trash").read_text() or 0)
    except FileNotFoundError:
        return 0


def set_trash(store: Path, size: int) -> None:
    (store / KEPT).mkdir(parents=True, exist_ok=True)
    (store / KEPT / "trash").write_text(f"{size}")


def hold(folder: Path) -> int:
    """Lock a session's folder until this process ends; gives the handle."""
    import fcntl  # here: Windows has none, and wants no more of this room than its layout

    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def sweep(store: Path) -> None:
    """Remove what killed sessions had not uploaded: nobody holds their folders any more."""
    import fcntl

    for folder in (store / KEPT).glob("session-*"):
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its session lives
        finally:
            os.close(handle)


class Quota:
    """Bytes of the files as the mount shows them, and of the Trash, against a capacity (None: the disk's).

    What others put into the store counts from the next mount on.
    """

    def __init__(self, store: Path, capacity: int | None = None) -> None:
        self.store, self.capacity = store, capacity
        self._files = stored_bytes(store)

    def used(self) -> int:
        return max(0, self._files) + trash_bytes(self.store)

    def grow(self, more: int, path: str) -> None:
        """Take space, or give some back where `more` is negative; OSError 28 if it does not fit."""
        if more > 0 and self.capacity is not None and self.used() + more > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self._files += more

    def discard(self, size: int) -> None:
        """Move a deleted file's bytes to the Trash: nothing becomes free."""
        self._files -= size
        set_trash(self.store, trash_bytes(self.store) + size)

    def space(self) -> dict[str, int]:
        """What statvfs tells."""
        if self.capacity is None:
            found = os.statvfs(self.store)
            return {name: getattr(found, name) for name in _TOLD if hasattr(found, name)}
        free = max(0, self.capacity - self.used()) // _BLOCK
        blocks = {"f_blocks": self.capacity // _BLOCK, "f_bfree": free, "f_bavail": free}
        return {"f_bsize": _BLOCK, "f_frsize": _BLOCK, "f_namemax": 255, **blocks}
