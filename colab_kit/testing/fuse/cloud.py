"""What surrounds the daemon: the store, which is what Google has, and the system's mounts."""

from __future__ import annotations

import ctypes.util
import errno
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...colab.health import mounts
from ...system.locks import flock
from ..faults import FOLDERS, LINKS

Json = dict[str, Any]
KEPT = ".drivefs"  # in the store, not in the mount: files that wait, and the size of the Trash
OWN = frozenset({KEPT, ".mounted", *LINKS})  # a FolderBody's mark and its two links, too
PACKAGES = "apt-get install fuse3 libfuse2"
_BLOCK = 4096
_STATVFS = "bsize frsize blocks bfree bavail files ffree favail namemax".split()
_SYS_ADMIN = 1 << 21  # the capability to mount


# the store
def lay_out(store: Path) -> None:
    """Make the folders that every Drive has."""
    for folder in (*FOLDERS, KEPT):
        (store / folder).mkdir(parents=True, exist_ok=True)


def stored_bytes(store: Path) -> int:
    """How many bytes the files take, without the Trash."""
    total = 0
    for folder, folders, names in os.walk(store):
        if folder == str(store):
            folders[:] = [name for name in folders if name != KEPT]
        total += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return total


def trash_bytes(store: Path) -> int:
    """How many bytes the Trash holds."""
    try:
        return int((store / KEPT / "trash").read_text(encoding="utf-8") or 0)
    except FileNotFoundError:
        return 0


def set_trash(store: Path, size: int) -> None:
    (store / KEPT).mkdir(parents=True, exist_ok=True)
    (store / KEPT / "trash").write_text(f"{size}", encoding="utf-8")


def hold(folder: Path) -> int:
    """Lock a session's folder until this process ends, and return the handle."""
    handle = os.open(folder, os.O_RDONLY)
    flock(handle, wait=True)
    return handle


def sweep(store: Path) -> None:
    """Delete what killed sessions had not uploaded: nobody holds their folders any more."""
    for folder in (store / KEPT).glob("session-*"):
        handle = os.open(folder, os.O_RDONLY)
        try:
            if flock(handle):  # else its session lives
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


class Quota:
    """Bytes of the files as the mount shows them, and of the Trash, against a capacity.

    Without a capacity the disk's counts. What others put into the store counts from the next mount
    on.
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
        """Move a deleted file's bytes to the Trash: no space becomes free."""
        self._files -= size
        set_trash(self.store, trash_bytes(self.store) + size)

    def space(self) -> dict[str, int]:
        """The answer of statvfs."""
        if self.capacity is None:
            disk = os.statvfs(self.store)
            return {f"f_{name}": getattr(disk, f"f_{name}") for name in _STATVFS}
        free = max(0, self.capacity - self.used()) // _BLOCK
        blocks = {"f_blocks": self.capacity // _BLOCK, "f_bfree": free, "f_bavail": free}
        return {"f_bsize": _BLOCK, "f_frsize": _BLOCK, "f_namemax": 255, **blocks}


# the system's mounts
def why_not() -> str | None:
    """Why no FUSE mount can be made here, and the fix, in one sentence; None if one can."""
    lacks = lacking()
    return None if lacks is None else ": ".join(lacks)


def lacking(
    *,
    platform: str = sys.platform,
    device: Path = Path("/dev/fuse"),
    which: Callable[[str], str | None] = shutil.which,
    library: Callable[[str], str | None] = ctypes.util.find_library,
    module: Callable[[str], object] = importlib.util.find_spec,
    status: Path = Path("/proc/self/status"),
) -> tuple[str, str] | None:
    """What FUSE needs and this machine does not have, and the fix."""
    if not platform.startswith("linux"):
        return "a FUSE mount needs Linux", "use the folder body here (the fixture mock_drive)"
    if module("mfusepy") is None:
        return "the package mfusepy is not installed", 'pip install "colab-kit[fuse]"'
    tools = which("fusermount3") or which("fusermount")
    if not tools or not (library("fuse") or library("fuse3")):
        return "FUSE's tools are not installed", PACKAGES
    try:
        os.close(os.open(device, os.O_RDWR))
    except FileNotFoundError:
        container = "or start the container with --device /dev/fuse"
        return f"{device} does not exist", f"load the kernel's module (modprobe fuse), {container}"
    except OSError as err:
        fix = "start the container with --device /dev/fuse --cap-add SYS_ADMIN"
        return f"{device} cannot be opened ({err.strerror})", fix
    if os.geteuid() == 0 and not _capabilities(status) & _SYS_ADMIN:
        return "this container's root may not mount", "start the container with --cap-add SYS_ADMIN"
    return None


def _capabilities(status: Path) -> int:
    lines = [
        line
        for line in status.read_text(encoding="utf-8").splitlines()
        if line.startswith("CapEff:")
    ]
    return int(lines[0].split()[1], 16) if lines else _SYS_ADMIN


def mount_type(mountpoint: Path) -> str | None:
    """The type of what is mounted there, dead or alive ("fuse.drive"); None if nothing is."""
    table = dict(
        mounts(Path("/proc/self/mounts").read_text(encoding="utf-8"))
    )  # of one place the last one counts
    return table.get(mountpoint)


def is_dead(mountpoint: Path) -> bool:
    """Whether a mount's daemon is gone: errno 107."""
    try:
        os.stat(mountpoint)
    except OSError as err:
        return err.errno == errno.ENOTCONN
    return False


def undertaker(mountpoint: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, however it ends.

    Then it unmounts the mountpoint if that is dead, and deletes the folder. Killed, it does
    nothing.
    """
    helpers = 'fusermount3 -uz "$0" || fusermount -uz "$0" || umount -l "$0"'
    script = f'cat; sleep 1; stat "$0" || {helpers}; rm -rf -- "$1"'
    return subprocess.Popen(
        ["sh", "-c", script, str(mountpoint), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def unmount_lazily(mountpoint: Path) -> None:
    """Unmount a mount, dead or busy; whoever has files open in it keeps them."""
    helpers = [[name, "-uz"] for name in ("fusermount3", "fusermount") if shutil.which(name)]
    for command in [*helpers, ["umount", "-l"]]:
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [*command, str(mountpoint)], capture_output=True, timeout=20, cwd="/", check=True
            )
            return
