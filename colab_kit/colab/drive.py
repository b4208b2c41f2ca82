"""The Drive as others see it, and the folder that stands in for it where there is none."""

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
from types import TracebackType
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


shelves: weakref.WeakSet[Waiting] = weakref.WeakSet()  # the live ones; each enters itself
left: set[Path] = set()  # mountpoints of the Drives that this process has unmounted


@dataclass(frozen=True)
class Drive(os.PathLike[str]):
    """A mounted Drive, usable wherever a path is: `drive / "pictures"` is a path in My Drive.

    In a `with` statement it is unmounted at the end.

    mydrive : its My Drive
    kind : "real" (mounted just now), "reused" (was mounted already), "mock" (a folder, no Drive here),
        "folder" (a folder in place of Drive, because mounting failed: on Colab it dies with the machine)
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unmount()

    def health(self, timeout: float = DEADLINE) -> Health:
        """Ask whether it is there, waiting `timeout` seconds at most; truthy when it is well."""
        found = probe(self.mountpoint, timeout)
        if self.mountpoint in left and not (
            self.real and found
        ):  # a real one may have been mounted again by google.colab itself
            return Health(False, "it was unmounted", found.seconds)
        return found

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
        """Wait until all our copies are handed to Drive; False where `timeout` seconds were too few or copies failed.

        Handed over is not sent: Drive's program sends later, and only unmount() waits for that.
        """
        emit, end = (
            with_console(callbacks, quiet=quiet),
            None if timeout is None else time.monotonic() + timeout,
        )
        mine = sorted(
            (shelf for shelf in list(shelves) if shelf.root.is_relative_to(self.mountpoint)),
            key=lambda shelf: shelf.root,
        )
        done = [
            shelf.close(None if end is None else max(0.0, end - time.monotonic()), emit)
            for shelf in mine
        ]
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
        """Wait for our copies, then let Drive send everything and end the mount: on Colab nothing else makes it send.

        Every Drive that this machine has mounted ends with it. A stand-in keeps its files, and is no longer this process's Drive.

        Parameters
        ----------
        timeout : float, optional
            Seconds for both together; None: our copies without a limit, then Colab's own limit, a day.

        Returns
        -------
        bool
            Whether all our copies were handed over before.

        Raises
        ------
        DriveError
            Drive could not send everything in time.
        """
        emit, end = (
            with_console(callbacks, quiet=quiet),
            None if timeout is None else time.monotonic() + timeout,
        )
        handed = self.wait(timeout, callbacks=[emit], quiet=True)
        if not handed:
            emit(
                Note(
                    "Not all copies were handed to Drive; the local files are whole. kit.mount() again goes on copying.",
                    "warn",
                )
            )
        if not self.real:
            left.add(self.mountpoint)
            return handed
        there = drives(look())
        door(FLUSH if end is None else max(1.0, end - time.monotonic()))
        left.update([self.mountpoint, *there])
        if there:
            emit(
                Note(
                    "Drive has sent what was handed to it, and is unmounted. The next kit.mount() asks for consent again."
                )
            )
        else:  # google.colab then does nothing, and reports no error
            emit(
                Note(
                    f"No Drive was mounted any more, so nothing was sent: see on drive.google.com what of {self} is there.",
                    "warn",
                )
            )
        return handed


def stand_in(mountpoint: Path, kind: str) -> Drive:
    """Make the folder that takes Drive's place; what an earlier session wrote there is still there."""
    if (place := stand_in_mounted()) is not None:
        return Drive(place / MYDRIVE, kind, place)
    root = stand_in_root()
    if root.is_relative_to(mountpoint):  # files there would keep the real Drive from being mounted
        raise DriveError(
            f"The folder for Drive's stand-in, {root}, would lie under {mountpoint}.",
            "COLAB_KIT_HOME points to a Drive that is not mounted",
            "unset COLAB_KIT_HOME, or point it to a local folder",
        )
    try:
        refuse_absent(root)
    except RunError as err:
        raise DriveError(
            err.what, err.why, "unset COLAB_KIT_HOME, or point it to a local folder"
        ) from err
    try:
        (root / MYDRIVE).mkdir(parents=True, exist_ok=True)
    except OSError as err:
        if err.errno in (errno.ENOTCONN, errno.EIO):
            fix = f"take away the mount that died there (umount -l {root}), or end the failure that was planned for it"
            raise DriveError(
                f"The folder for Drive's stand-in, {root}, does not answer.",
                err.strerror or str(err),
                fix,
            ) from err
        raise DriveError(
            f"{root} could not be made.",
            str(err),
            "set COLAB_KIT_HOME to a folder that can be written",
        ) from err
    return Drive(root / MYDRIVE, kind, root)
