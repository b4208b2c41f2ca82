"""google.colab.drive: the same steps, order and words; a stand-in's Drive in place of DriveFS."""

import os
from typing import Any

from . import _message
from . import output as _output
from ._seam import world

__all__ = ["flush_and_unmount", "mount"]

_ELSEWHERE = (
    "Mounting drive is unsupported in this environment. Use PyDrive2 instead. See examples at "
    "https://colab.research.google.com/notebooks/io.ipynb#scrollTo=7taylj9wpsA2."
)
_SLOW_ROOT = (
    "mount failed: timeout during initial read of root folder; for more info:"
    " https://research.google.com/colaboratory/faq.html#drive-timeout"
)
_POLICY = (
    "The domain policy has disabled Drive File Stream: https://support.google.com/a/answer/7496409"
)


def mount(
    mountpoint: str, force_remount: bool = False, timeout_ms: int = 120000, readonly: bool = False
) -> None:
    """Mount Google Drive at mountpoint.

    force_remount kills a running DriveFS: what it had not sent is lost.
    """
    return _mount(mountpoint, force_remount, timeout_ms, True, readonly)


def _mount(
    mountpoint: str,
    force_remount: bool = False,
    timeout_ms: int = 120000,
    ephemeral: bool = False,
    readonly: bool = False,
) -> None:
    if not world().vm:
        raise NotImplementedError(_ELSEWHERE)
    if " " in mountpoint:  # a Path has no `in`: TypeError, as on Colab
        raise ValueError("Mountpoint must not contain a space.")
    silent = _consent(timeout_ms)
    mountpoint = os.path.expanduser(mountpoint)
    if os.path.isdir(os.path.join(mountpoint, "My Drive")) and not force_remount:
        print(
            f"Drive already mounted at {mountpoint}; to attempt to forcibly remount,"
            f' call drive.mount("{mountpoint}", force_remount=True).'
        )
        return
    config_dir = os.path.join(os.path.expanduser("~"), ".config", "Google")
    if os.path.exists(config_dir) and not os.path.isdir(config_dir):
        raise ValueError(f"{config_dir} must be a directory if present")
    _kill_running(mountpoint)
    _check(mountpoint)
    _start(mountpoint, timeout_ms, readonly, silent)
    _output.clear(wait=True, output_tags="dfs-auth-dance")
    print(f"Mounted at {mountpoint}")


mount._DEBUG = False  # type: ignore[attr-defined]


def _consent(timeout_ms: int) -> bool:
    """Ask for consent, on every call; return True if nobody answers."""
    env = world().environ()
    if env.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        raise NotImplementedError("google.colab.drive.mount is not supported in Colab Enterprise.")
    env["TBE_EPHEM_CREDS_ADDR"]
    question = {"authType": "dfs_ephemeral"}
    return _message.blocking_request("request_auth", question, timeout_ms / 1000) is None


def _kill_running(mountpoint: str) -> None:
    """Colab's `umount -f …; pkill -9 -x drive`: it ends a Drive that is mounted anywhere."""
    _debug(f"umount -f {mountpoint} || umount {mountpoint}; pkill -9 -x drive")
    if world().mounted():
        world().drop()


def _check(mountpoint: str) -> None:
    if os.path.islink(mountpoint):
        raise ValueError("Mountpoint must not be a symlink")
    if os.path.isdir(mountpoint) and os.listdir(mountpoint):
        raise ValueError("Mountpoint must not already contain files")
    if not os.path.isdir(mountpoint) and os.path.exists(mountpoint):
        raise ValueError("Mountpoint must either be a directory or not exist")
    normed = os.path.normpath(mountpoint)
    if "/" in normed and not os.path.exists(os.path.dirname(normed)):
        raise ValueError("Mountpoint must be in a directory that exists")


def _start(mountpoint: str, timeout_ms: int, readonly: bool, silent: bool) -> None:
    """Start DriveFS, or fail as it would."""
    _debug(
        f"opendir_timeout_ms:{timeout_ms} virtual_folders_omit_spaces:true"
        f" read_only_mode:{readonly} mount_point_path:{mountpoint}"
    )
    match world().fails("root_timeout", "mount_timeout", "policy"):
        case "root_timeout":
            raise ValueError(_SLOW_ROOT)
        case "policy":
            raise ValueError(_POLICY)
        case "mount_timeout":
            world().wait(timeout_ms / 1000 + 30)
            raise _pexpect_timeout()(
                "<pexpect.popen_spawn.PopenSpawn object at 0x7f0000000000>\nsearcher: searcher_re:"
            )
    if silent:
        raise ValueError("mount failed")
    world().mount(mountpoint, readonly)


def _pexpect_timeout() -> Any:
    try:
        from pexpect.exceptions import TIMEOUT
    except ImportError:
        return type("TIMEOUT", (Exception,), {"__module__": "pexpect.exceptions"})
    return TIMEOUT


def flush_and_unmount(timeout_ms: int = 24 * 60 * 60 * 1000) -> None:
    """Send everything that was written, and unmount: Colab's only true flush."""
    if os.path.exists("/var/colab/mp"):
        raise NotImplementedError("google.colab.drive is unsupported in this environment.")
    world().environ()["CLOUDSDK_CONFIG"]
    if not world().mounted():
        print("Drive not mounted, so nothing to flush and unmount.")
        return
    try:
        world().unmount()
    except OSError as err:
        raise ValueError("flush_and_unmount failed") from err
    _debug("flush_and_unmount: out: b''\nerr: b''")


def _debug(line: str) -> None:
    if mount._DEBUG:  # type: ignore[attr-defined]
        print(line)
