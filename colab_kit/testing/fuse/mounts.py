"""What the system says of mounts: what is mounted where, whether it lives, and whether FUSE can mount here at all."""

from __future__ import annotations

import ctypes.util
import errno
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PACKAGES = "apt-get install fuse3 libfuse2"
_SYS_ADMIN = 1 << 21  # the capability to mount


def why_not() -> str | None:
    """Say why no FUSE mount can be made here, and the fix, in one sentence; None if it can."""
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
    if not (which("fusermount3") or which("fusermount")) or not (
        library("fuse") or library("fuse3")
    ):
        return "FUSE's tools are not installed", PACKAGES
    try:
        os.close(os.open(device, os.O_RDWR))
    except FileNotFoundError:
        return (
            f"{device} does not exist",
            "load the kernel's module (modprobe fuse), or start the container with --device /dev/fuse",
        )
    except OSError as err:
        return (
            f"{device} cannot be opened ({err.strerror})",
            "start the container with --device /dev/fuse --cap-add SYS_ADMIN",
        )
    if os.geteuid() == 0 and not _capabilities(status) & _SYS_ADMIN:
        return "this container's root may not mount", "start the container with --cap-add SYS_ADMIN"
    return None


def _capabilities(status: Path) -> int:
    lines = [line for line in status.read_text().splitlines() if line.startswith("CapEff:")]
    return int(lines[0].split()[1], 16) if lines else _SYS_ADMIN


def mount_type(mountpoint: Path) -> str | None:
    """What is mounted there, dead or alive ("fuse.drive"); None if nothing is."""
    where = (
        str(mountpoint)
        .replace("\\", "\\134")
        .replace(" ", "\\040")
        .replace("\t", "\\011")
        .replace("\n", "\\012")
    )
    rows = [line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next((row[2] for row in reversed(rows) if row[1] == where), None)


def is_dead(mountpoint: Path) -> bool:
    """Whether a mount's daemon is gone: errno 107."""
    try:
        os.stat(mountpoint)
    except OSError as err:
        return err.errno == errno.ENOTCONN
    return False


def undertaker(mountpoint: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, however it ends: then it takes the mount away if that is dead, and deletes the folder.

    Killed, it does nothing.
    """
    helpers = 'fusermount3 -uz "$0" || fusermount -uz "$0" || umount -l "$0"'
    return subprocess.Popen(
        [
            "sh",
            "-c",
            f'cat; sleep 1; stat "$0" || {helpers}; rm -rf -- "$1"',
            str(mountpoint),
            str(folder),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def unmount_lazily(mountpoint: Path) -> None:
    """Take a mount away, dead or busy; whoever has files open in it keeps them."""
    helpers = [[name, "-uz"] for name in ("fusermount3", "fusermount") if shutil.which(name)]
    for command in [*helpers, ["umount", "-l"]]:
        try:
            if (
                subprocess.run(
                    [*command, str(mountpoint)], capture_output=True, timeout=20, cwd="/"
                ).returncode
                == 0
            ):
                return
        except (OSError, subprocess.TimeoutExpired):
            continue
