"""A Drive on a real mount (FUSE, Linux), which uploads late, fills up, and dies as Drive does.

The daemon is a process of its own (daemon.py); this is the handle in the parent. No mount and no
process stay behind: the handle ends them at exit, the daemon ends when its parent is gone, and an
undertaker unmounts what a dead daemon left.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Self

from ...errors import DriveError
from ...system.runtime import need
from ..faults import Faults, Tally
from .cloud import (
    PACKAGES,
    Json,
    is_dead,
    lacking,
    lay_out,
    mount_type,
    set_trash,
    stored_bytes,
    sweep,
    trash_bytes,
    undertaker,
    unmount_lazily,
)

_START = 30.0  # seconds until the mount must stand
_ANSWER = 60.0  # seconds until the daemon must answer its parent; uploads are renames


class FuseBody(os.PathLike[str]):
    """A Drive to mount, backed by the folder `store`; usable wherever a path is.

    `fuse_drive / "x"` is a path in its My Drive.

    Parameters
    ----------
    store : Path
        What Google has: MyDrive and the rest; made if it is missing.
    delay : float
        Seconds without writes until a written file is uploaded, so that the store has it.
    capacity : int, optional
        Bytes for files and Trash together; None: the disk's.
    latency : float
        Seconds added to each operation.
    mounts : bool
        Whether a google.colab mounts it: then drive.mount() can fail.

    Attributes
    ----------
    mountpoint : Path
        Where it is mounted, or was last.
    faults : Faults
        Its plan of failures.

    Examples
    --------
    >>> with FuseBody(Path("cloud")) as body:  # doctest: +SKIP
    ...     body.mount(Path("drive"))
    ...     body.faults.io_error("*.pt", times=1)
    """

    def __init__(
        self,
        store: Path,
        *,
        delay: float = 1.0,
        capacity: int | None = None,
        latency: float = 0.0,
        mounts: bool = True,
    ) -> None:
        self.store, self.readonly = Path(store).absolute(), False
        self._behaviour = {"delay": delay, "capacity": capacity, "latency": latency}
        lay_out(self.store)
        # the tally, and the daemon's complaints
        self._folder = Path(tempfile.mkdtemp(prefix="colab-kit-fuse-"))
        tally = Tally(self._folder / "tally")
        self.faults = Faults(fuse=True, mounts=mounts, tally=tally, changed=self._send_plan)
        self.point: Path | None = None  # the mountpoint, also with a dead daemon
        self.mountpoint = self.store
        self._daemon: subprocess.Popen[bytes] | None = None
        self._undertaker: subprocess.Popen[bytes] | None = None
        self._channel: Connection | None = None
        self._number = 0
        self._owner = os.getpid()
        self._lock = threading.RLock()
        atexit.register(self.close)

    def __fspath__(self) -> str:
        return str(self.mountpoint / "MyDrive")

    __str__ = __fspath__

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.mountpoint / "MyDrive" / name

    # mounting
    def mounted_at(self) -> Path | None:
        """The mountpoint while it is one, even with a dead daemon."""
        return self.point if self.point is not None and mount_type(self.point) else None

    def mount(self, mountpoint: Path, *, readonly: bool = False) -> None:
        """Mount, and return when it stands; a dead mount that is in the way is unmounted.

        Raises
        ------
        MissingExtra, DriveError
        """
        self._check_owner()
        if lacks := lacking():
            if "mfusepy" in lacks[0]:
                need("mfusepy", extra="fuse", why="a FUSE mount")
            raise DriveError("A FUSE mount cannot be made here.", *lacks)
        mountpoint = Path(os.path.realpath(Path(mountpoint).parent)) / Path(mountpoint).name
        with self._lock:
            if self.point is not None and not self._is_running():
                self.drop()  # its daemon has died
            self._clear(mountpoint)
            self._start(mountpoint, readonly)

    def unmount(self) -> None:
        """Upload everything, then end: the mountpoint is empty afterwards.

        After a dead daemon it only unmounts.

        Raises
        ------
        DriveError
            Some files could not be uploaded; they are lost.
        """
        self._check_owner()
        with self._lock:
            if self.point is None:
                return
            if not self._is_running():
                return self.drop()
            unmount_lazily(self.point)  # first: nobody writes between the last upload and the end
            try:
                lost = self._ask(do="quit")["failed"]
            finally:
                self.drop()
        if lost:
            raise DriveError(
                f"{len(lost)} files did not reach Drive: {', '.join(lost[:3])}.",
                "the folder behind it refused them",
                f"look at {self.store}: is its disk full, or the folder read-only?",
            )

    def drop(self) -> None:
        """Kill the daemon and unmount, as force_remount does: what was not uploaded is lost."""
        self._check_owner()
        with self._lock:
            self.kill()
            point = self.point
            if point is not None and mount_type(point):
                unmount_lazily(point)
                if mount_type(point):
                    raise DriveError(
                        f"{point} could not be unmounted.", "", f"type: umount -l {point}"
                    )
            self.point = None
            if self._undertaker is not None:
                self._undertaker.kill()
                self._undertaker.communicate()
                self._undertaker = None

    def kill(self) -> None:
        """Kill Drive's program: what was not uploaded is lost, and each path gives errno 107."""
        self._check_owner()
        with self._lock:
            if self._daemon is not None:
                self._daemon.kill()
                self._daemon.wait()
                self._daemon = None
                sweep(self.store)
            if self._channel is not None:
                self._channel.close()
                self._channel = None

    def restart(self) -> None:
        """Start the daemon again after its death, at the same mountpoint; it shows the store."""
        with self._lock:
            where = self.point
            if where is None:
                raise DriveError(
                    "There is no mount to restart.",
                    "it was never mounted, or unmounted",
                    "call mount() instead",
                )
            self.drop()
            self.mount(where, readonly=self.readonly)

    # what it tells
    def pending(self) -> int:
        """How many files are not uploaded; after the daemon's death 0, for they are lost."""
        return int(self._ask(do="count")["pending"]) if self._is_running() else 0

    def used(self) -> int:
        """Bytes of the files, as the mount shows them, and of the Trash."""
        if self._is_running():
            return int(self._ask(do="count")["used"])
        return stored_bytes(self.store) + self.trash_bytes()

    def trash_bytes(self) -> int:
        """How many bytes the Trash holds."""
        return trash_bytes(self.store)

    def empty_trash(self) -> None:
        """Do what a person does on drive.google.com when it is full."""
        set_trash(self.store, 0)

    def close(self) -> None:
        """Unmount, and delete the tally (`fired` can still be read).

        In a fork nothing happens: the mount is its parent's.
        """
        if os.getpid() != self._owner:
            return
        try:
            self.unmount()
        finally:
            atexit.unregister(self.close)
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    # the daemon
    def _clear(self, mountpoint: Path) -> None:
        """See that something can be mounted there."""
        if self._is_running():
            raise DriveError(
                f"This Drive is already mounted at {self.point}.", "", "call unmount() first"
            )
        if kind := mount_type(mountpoint):
            if kind != "fuse.drive" or not is_dead(mountpoint):
                raise DriveError(
                    f"{mountpoint} is a mount already ({kind}).",
                    "",
                    "unmount it, or name another folder",
                )
            unmount_lazily(mountpoint)
        if mountpoint.is_symlink():
            raise DriveError(
                f"{mountpoint} is a link.",
                "a mountpoint must be a true folder",
                "name the folder that it leads to",
            )
        try:
            mountpoint.mkdir(exist_ok=True)
            is_empty = not any(mountpoint.iterdir())
        except (FileExistsError, FileNotFoundError, PermissionError) as err:
            raise DriveError(
                f"{mountpoint} cannot be a mountpoint.",
                str(err),
                "name a folder in one that exists",
            ) from err
        if not is_empty:
            raise DriveError(
                f"{mountpoint} is not empty.",
                "a mount would hide the files in it",
                "move them, or name another folder",
            )

    def _start(self, mountpoint: Path, readonly: bool) -> None:
        self._undertaker = undertaker(mountpoint, self._folder)
        self._channel, channel = Pipe()
        paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
        module, number = "colab_kit.testing.fuse.daemon", channel.fileno()
        with channel, open(self._folder / "log", "wb") as log:
            self._daemon = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(number)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[number],
                start_new_session=True,  # Ctrl-C and a killed process group are not meant for it
            )
        self.point = self.mountpoint = mountpoint
        self.readonly = readonly
        job = {
            **self._behaviour,
            "store": str(self.store),
            "mountpoint": str(mountpoint),
            "readonly": readonly,
            "parent": os.getpid(),
            "tally": str(self.faults.tally.path),
            "plan": self.faults.as_json(),
        }
        try:
            self._say(job, _START)
        except OSError as err:
            self.drop()
            complaints = (self._folder / "log").read_text(errors="replace").strip().splitlines()
            raise DriveError(
                f"{mountpoint} could not be mounted.",
                complaints[-1] if complaints else str(err),
                f"see that FUSE works here: {PACKAGES}",
            ) from err

    def _is_running(self) -> bool:
        return self._daemon is not None and self._daemon.poll() is None

    def _check_owner(self) -> None:
        if os.getpid() != self._owner:
            raise DriveError(
                "This Drive was mounted by another process.",
                "only that one talks to its daemon",
                "mount and plan faults there",
            )

    def _send_plan(self) -> None:
        self._check_owner()
        with self._lock:
            if self._is_running():
                self._ask(do="plan", plan=self.faults.as_json())

    def _ask(self, **request: str) -> Json:
        """Ask the daemon, and wait for its answer."""
        try:
            answer = self._say(request, _ANSWER)
        except OSError as err:
            raise DriveError("Drive's daemon does not answer.", str(err), "call restart()") from err
        if "error" in answer:
            raise DriveError("Drive's daemon failed.", answer["error"], "call restart()")
        return answer

    def _say(self, request: Json, seconds: float) -> Json:
        """Send a request and return its answer.

        Raises
        ------
        OSError
            The daemon ended, or took too long.
        """
        with self._lock:
            if self._channel is None:
                raise ConnectionError("it is not running")
            self._number += 1
            end = time.monotonic() + seconds
            try:
                self._channel.send_bytes(json.dumps(request | {"id": self._number}).encode())
                while self._channel.poll(max(0.0, end - time.monotonic())):
                    answer: Json = json.loads(self._channel.recv_bytes())
                    if answer["id"] == self._number:  # else Ctrl-C cut its question short
                        return answer
            except EOFError:
                raise ConnectionError("it has ended") from None
            raise TimeoutError("it takes too long")
