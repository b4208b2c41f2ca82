"""The Drive as others see it, the folder that stands in for it, and what this process mounted."""

from __future__ import annotations

import errno
import os
import shutil
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import DriveError, RunError, new_words
from ..events import Callback, Event, Note
from ..system.console import with_console
from ..system.files import refuse_absent
from .bridge import FLUSH
from .bridge import unmount as flush_and_unmount
from .health import DEADLINE, Health, drives, mount_table, probe, stand_in_mounted, within
from .health import MYDRIVE as MYDRIVE
from .health import stand_in_root as stand_in_root

AGAIN = "run the cell with kit.mount() again"


class Waiting(Protocol):
    """What may still have copies under way: the mirror."""

    root: Path

    def close(
        self, timeout: float | None = None, emit: Callable[[Event], None] | None = None
    ) -> bool: ...

    def forget(self, folder: str = "") -> None: ...

    def wake(self) -> None: ...


@dataclass(frozen=True)
class Drive(os.PathLike[str]):
    """A mounted Drive, usable wherever a path is: `drive / "pictures"` is a path in My Drive.

    In a `with` statement it is unmounted at the end.

    mydrive : its My Drive
    kind : "real" (mounted just now), "reused" (was mounted already), "mock" (a folder, no Drive
        here), "folder" (a folder in place of Drive, because mounting failed: on Colab it dies with
        the machine)
    mountpoint : the folder that holds MyDrive

    Examples
    --------
    >>> with mount() as drive:  # doctest: +SKIP
    ...     (drive / "notes.txt").write_text("kept")
    """

    mydrive: Path
    kind: str
    mountpoint: Path

    @property
    def real(self) -> bool:
        """Whether Google has it; else it is a folder on this machine."""
        return self.kind in ("real", "reused")

    def __fspath__(self) -> str:
        return str(self.mydrive)

    def __str__(self) -> str:
        return str(self.mydrive)

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.mydrive / name

    def __enter__(self) -> Drive:
        return self

    def __exit__(self, *error: object) -> None:
        self.unmount()

    def health(self, timeout: float = DEADLINE) -> Health:
        """Ask whether it is there, waiting `timeout` seconds at most; truthy when it is well."""
        health = probe(self.mountpoint, timeout)
        # A real one may have been mounted again by google.colab itself.
        if self.mountpoint in session.left and not (self.real and health):
            return Health(False, "it was unmounted", health.seconds)
        return health

    def free(self, timeout: float = DEADLINE) -> int:
        """Bytes that still fit.

        Raises
        ------
        DriveError
            The Drive is no longer there, or does not answer within `timeout` seconds.
        """
        try:
            return within(timeout, "free", self.mydrive, lambda path: shutil.disk_usage(path).free)
        except NoAnswer as err:
            raise DriveError(
                f"{self.mydrive} does not answer.", f"nothing came within {timeout:g} s", AGAIN
            ) from err
        except OSError as err:
            raise DriveError(f"{self.mydrive} cannot be read.", str(err), AGAIN) from err

    @new_words
    def wait(
        self,
        timeout: float | None = None,
        *,
        callbacks: Iterable[Callback] | None = None,
        quiet: bool = False,
    ) -> bool:
        """Wait until all our copies are handed to Drive.

        False where `timeout` seconds were too few or copies failed. Handed over is not sent:
        Drive's program sends later, and only unmount() waits for that.
        """
        emit, left = with_console(callbacks, quiet=quiet), _countdown(timeout)
        shelves = [s for s in list(session.shelves) if s.root.is_relative_to(self.mountpoint)]
        done = [shelf.close(left(), emit) for shelf in sorted(shelves, key=lambda s: s.root)]
        return all(done)

    @new_words
    def unmount(
        self,
        timeout: float | None = None,
        *,
        callbacks: Iterable[Callback] | None = None,
        quiet: bool = False,
        door: Callable[[float], None] = flush_and_unmount,
        look: Callable[[], str] = mount_table,
    ) -> bool:
        """Wait for our copies, then let Drive send everything and end the mount.

        On Colab nothing else makes it send. Every Drive that this machine has mounted ends with
        it. A stand-in keeps its files, and is no longer this process's Drive.

        Parameters
        ----------
        timeout : float, optional
            Seconds for both together; None: our copies without a limit, then Colab's own limit, a
            day.

        Returns
        -------
        bool
            Whether all our copies were handed over before.

        Raises
        ------
        DriveError
            Drive could not send everything in time.
        """
        emit, left = with_console(callbacks, quiet=quiet), _countdown(timeout)
        all_copied = self.wait(timeout, callbacks=[emit], quiet=True)
        if not all_copied:
            whole = "the local files are whole. kit.mount() again goes on copying."
            emit(Note(f"Not all copies were handed to Drive; {whole}", "warn"))
        if not self.real:
            session.leave(self.mountpoint)
            return all_copied
        there, seconds = drives(look()), left()
        door(FLUSH if seconds is None else max(1.0, seconds))
        session.leave(self.mountpoint, *there)
        if there:
            again = "The next kit.mount() asks for consent again."
            emit(Note(f"Drive has sent what was handed to it, and is unmounted. {again}"))
        else:  # google.colab then does nothing, and reports no error
            see = f"see on drive.google.com what of {self} is there"
            emit(Note(f"No Drive was mounted any more, so nothing was sent: {see}.", "warn"))
        return all_copied


def _countdown(timeout: float | None) -> Callable[[], float | None]:
    """Tells the seconds that are left of `timeout`; None without one."""
    start = time.monotonic()
    return lambda: None if timeout is None else max(0.0, start + timeout - time.monotonic())


class Session:
    """What this process did with Drives.

    current : the Drive that mount() gave last; None before
    left : mountpoints of the Drives that were unmounted
    shelves : the live ones; each enters itself
    """

    def __init__(self) -> None:
        self.current: Drive | None = None
        self.left: set[Path] = set()
        self.shelves: weakref.WeakSet[Waiting] = weakref.WeakSet()

    def use(self, drive: Drive) -> None:
        """This is the Drive now; what could not be copied before goes on at once."""
        self.current = drive
        self.left.discard(drive.mountpoint)
        for shelf in list(self.shelves):
            shelf.wake()

    def leave(self, *mountpoints: Path) -> None:
        self.left.update(mountpoints)

    def reset(self, current: Drive | None = None, left: Iterable[Path] = ()) -> None:
        """Be as before, for a test; the shelves are ended by who made them."""
        self.current, self.left = current, set(left)


session = Session()  # process state, the only one of its kind


def stand_in(mountpoint: Path, kind: str) -> Drive:
    """Make the folder that takes Drive's place.

    What an earlier session wrote there is still there.
    """
    if (place := stand_in_mounted()) is not None:
        return Drive(place / MYDRIVE, kind, place)
    root = stand_in_root()
    elsewhere = "unset COLAB_KIT_HOME, or point it to a local folder"
    if root.is_relative_to(mountpoint):  # files there would keep the real Drive from being mounted
        what = f"The folder for Drive's stand-in, {root}, would lie under {mountpoint}."
        raise DriveError(what, "COLAB_KIT_HOME points to a Drive that is not mounted", elsewhere)
    try:
        refuse_absent(root)
        (root / MYDRIVE).mkdir(parents=True, exist_ok=True)
    except RunError as err:
        raise DriveError(err.what, err.why, elsewhere) from err
    except OSError as err:
        what, fix = (
            f"{root} could not be made.",
            "set COLAB_KIT_HOME to a folder that can be written",
        )
        if err.errno in (errno.ENOTCONN, errno.EIO):
            what = f"The folder for Drive's stand-in, {root}, does not answer."
            umount = f"take away the mount that died there (umount -l {root})"
            fix = f"{umount}, or end the failure that was planned for it"
        raise DriveError(what, err.strerror or str(err), fix) from err
    return Drive(root / MYDRIVE, kind, root)
