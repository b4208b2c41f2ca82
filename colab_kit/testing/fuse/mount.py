"""The stand-in's second body: a real mount (FUSE, Linux), whose daemon uploads late, fills up, and dies as Drive's own does.

The daemon is a process of its own (daemon.py); this is the handle in the parent. Whatever happens, no mount and no process stay
behind: the handle takes them away at exit, the daemon leaves when its parent is gone, and an undertaker sees to a dead one's mount.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from ...errors import DriveError
from ...system.runtime import need
from ..faults import Faults, Tally
from .cloud import lay_out, set_trash, stored_bytes, sweep, trash_bytes
from .mounts import PACKAGES, is_dead, lacking, mount_type, undertaker, unmount_lazily
from .mounts import why_not as why_not

_START = 30.0  # s until the mount must stand
_ANSWER = 60.0  # s until the daemon must answer its parent; uploads are renames


class FuseBody:
    """A Drive to mount, backed by the folder `store`: what Google has.

    Parameters
    ----------
    store : Path
        Holds MyDrive and the rest; made if need be.
    delay : float
        s without writes until a written file is uploaded, that is: until the store has it.
    capacity : int, optional
        Bytes for files and Trash together; None: the disk's.
    latency : float
        s added to each operation.
    faults : Faults, optional
        The plan, made with fuse=True and a Tally in a file; its own if None.

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
        faults: Faults | None = None,
    ) -> None:
        if faults is not None and (not faults.fuse or faults.tally.path is None):
            raise DriveError(
                "This plan of faults cannot be shared with a FUSE mount.",
                "another process strikes, and counts",
                "make it with Faults(fuse=True, tally=Tally(path)), or take body.faults",
            )
        self.store, self.delay, self.capacity, self.latency = (
            Path(store).absolute(),
            delay,
            capacity,
            latency,
        )
        lay_out(self.store)
        self._folder = Path(
            tempfile.mkdtemp(prefix="colab-kit-fuse-")
        )  # the tally, and the daemon's complaints
        self.faults = faults or Faults(fuse=True, tally=Tally(self._folder / "tally"))
        self.faults.changed = self._send_plan
        self.point: Path | None = None  # the mountpoint, also with a dead daemon
        self.readonly = False
        self._daemon: subprocess.Popen[bytes] | None = None
        self._undertaker: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._heard, self._number = b"", 0  # from the daemon, to the daemon
        self._owner = os.getpid()
        self._lock = threading.RLock()
        atexit.register(self.close)

    # mounting
    def mounted_at(self) -> Path | None:
        """The mountpoint while it is one, even with a dead daemon."""
        return self.point if self.point is not None and mount_type(self.point) else None

    def mount(self, mountpoint: Path, *, readonly: bool = False) -> None:
        """Mount, and return when it stands; a dead mount that is in the way is taken away.

        Raises
        ------
        MissingExtra, DriveError
        """
        self._mine()
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
        """Upload everything, then end: the mountpoint is empty afterwards. After a dead daemon only the mount is taken away.

        Raises
        ------
        DriveError
            Some files could not be uploaded; they are lost.
        """
        self._mine()
        with self._lock:
            if self.point is None:
                return
            if not self._is_running():
                return self.drop()
            unmount_lazily(self.point)  # first: nobody writes between the last upload and the end
            try:
                failed = self._ask(do="quit")["failed"]
            finally:
                self.drop()
        if failed:
            raise DriveError(
                f"{len(failed)} files did not reach Drive: {', '.join(failed[:3])}.",
                "the folder behind it refused them",
                f"look at {self.store}: is its disk full, may it be written?",
            )

    def drop(self) -> None:
        """Kill the daemon and take the mount away, as force_remount does: what was not uploaded is lost."""
        self._mine()
        with self._lock:
            self.kill()
            if self.point is not None:
                if mount_type(self.point):
                    unmount_lazily(self.point)
                if mount_type(self.point):
                    raise DriveError(
                        f"{self.point} could not be unmounted.", "", f"type: umount -l {self.point}"
                    )
            self.point = None
            if self._undertaker is not None:
                self._undertaker.kill()
                self._undertaker.communicate()
                self._undertaker = None

    def kill(self) -> None:
        """Kill the daemon: what was not uploaded is lost, and the mountpoint answers errno 107."""
        self._mine()
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
        """Start the daemon again after its death, at the same mountpoint; what it shows is what the store holds."""
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
        return (
            int(self._ask(do="count")["used"])
            if self._is_running()
            else stored_bytes(self.store) + trash_bytes(self.store)
        )

    def trash_bytes(self) -> int:
        """How much lies in the Trash."""
        return trash_bytes(self.store)

    def empty_trash(self) -> None:
        """Do what a person does on drive.google.com when it is full."""
        set_trash(self.store, 0)

    def close(self) -> None:
        """Unmount, and remove the tally (`fired` can still be read); nothing in a fork, whose mount it is not."""
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
            if any(mountpoint.iterdir()):
                raise DriveError(
                    f"{mountpoint} is not empty.",
                    "a mount would hide what lies there",
                    "move it aside, or name another folder",
                )
        except (FileExistsError, FileNotFoundError, PermissionError) as err:
            raise DriveError(
                f"{mountpoint} cannot be a mountpoint.",
                str(err),
                "name a folder in one that exists",
            ) from err

    def _start(self, mountpoint: Path, readonly: bool) -> None:
        self._undertaker = undertaker(mountpoint, self._folder)
        self._channel, theirs = socket.socketpair()
        self._heard = b""
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
            )
        }
        command = [
            sys.executable,
            "-P",
            "-m",
            "colab_kit.testing.fuse.daemon",
            str(theirs.fileno()),
        ]
        with theirs, open(self._folder / "log", "wb") as log:
            self._daemon = subprocess.Popen(
                command,
                env=env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C and a killed process group are not meant for it
            )
        self.point, self.readonly = mountpoint, readonly
        job = {"store": str(self.store), "mountpoint": str(mountpoint), "readonly": readonly, "parent": os.getpid(),
               "delay": self.delay, "capacity": self.capacity, "latency": self.latency,
               "tally": str(self.faults.tally.path), "plan": self.faults.as_json()}  # fmt: skip
        try:
            self._say(job, _START)
        except OSError as err:
            self.drop()
            told = (self._folder / "log").read_text(errors="replace").strip().splitlines()
            raise DriveError(
                f"{mountpoint} could not be mounted.",
                told[-1] if told else str(err),
                f"see that FUSE works here: {PACKAGES}",
            ) from err

    def _is_running(self) -> bool:
        return self._daemon is not None and self._daemon.poll() is None

    def _mine(self) -> None:
        if os.getpid() != self._owner:
            raise DriveError(
                "This Drive was mounted by another process.",
                "only that one talks to its daemon",
                "mount and plan faults there",
            )

    def _send_plan(self) -> None:
        self._mine()
        with self._lock:
            if self._is_running():
                self._ask(do="plan", plan=self.faults.as_json())

    def _ask(self, **request: str) -> dict[str, Any]:
        """Ask the daemon, and wait for what it answers."""
        try:
            answer = self._say(request, _ANSWER)
        except OSError as err:
            raise DriveError("Drive's daemon does not answer.", str(err), "call restart()") from err
        if "error" in answer:
            raise DriveError("Drive's daemon failed.", answer["error"], "call restart()")
        return answer

    def _say(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send one line and give the line that answers it; OSError if the daemon ends or takes too long."""
        with self._lock:
            if self._channel is None:
                raise ConnectionError("it is not running")
            self._number += 1
            self._channel.sendall(json.dumps(request | {"id": self._number}).encode() + b"\n")
            end = time.monotonic() + seconds
            while True:
                line, newline, rest = self._heard.partition(b"\n")
                if newline:
                    self._heard = rest
                    answer: dict[str, Any] = json.loads(line)
                    if answer["id"] == self._number:
                        return answer
                    continue  # it answers a question that Ctrl-C cut short
                self._channel.settimeout(max(0.001, end - time.monotonic()))
                more = self._channel.recv(65536)
                if not more:
                    raise ConnectionError("it has ended")
                self._heard += more
