"""Drives for tests: one that may be broken, and a process that has none but those it mounts itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..colab import drive as local
from ..colab import mirror, mounting
from ..colab.health import pretence, stand_in_root
from ..errors import DriveError
from ..events import Event

if TYPE_CHECKING:
    from .faults import Faults
    from .fuse.mount import FuseBody

FOR_EVER, A_MINUTE = 10.0, 2.0  # s that they last in a test, for who waits for a copier


class FuseDrive(os.PathLike[str]):
    """A Drive on a FUSE mount, usable wherever a path is: `fuse_drive / "x"` is a path in its My Drive.

    mountpoint : where it is mounted, or was last
    store : what Google has by now: a file gets there later than it is written
    faults : its plan of failures
    body : all of it, drive/fuse.py's FuseBody
    """

    def __init__(self, body: FuseBody, mountpoint: Path) -> None:
        self.body, self.store, self._first = body, body.store, mountpoint

    @property
    def mountpoint(self) -> Path:
        return self.body.point or self._first

    @property
    def faults(self) -> Faults:
        return self.body.faults

    def kill(self) -> None:
        """Kill Drive's program: every path under the mountpoint gives errno 107, and what was not sent is lost."""
        self.body.kill()

    def restart(self) -> None:
        """Mount again what Google has."""
        self.body.restart()

    def unmount(self) -> None:
        """Send everything and end the mount."""
        self.body.unmount()

    def __fspath__(self) -> str:
        return str(self.mountpoint / local.MYDRIVE)

    __str__ = __fspath__

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.mountpoint / local.MYDRIVE / name


@contextmanager
def fuse_mounted(folder: Path, **options: Any) -> Iterator[FuseDrive]:
    """A FUSE mount at folder/drive as the stand-in of this COLAB_KIT_HOME; at the end it is gone, whatever happened to it."""
    from .fuse.mount import FuseBody

    body, mountpoint, root = (
        FuseBody(folder / "store", **options),
        folder / "drive",
        stand_in_root(),
    )
    try:
        body.mount(mountpoint)
        root.mkdir(parents=True, exist_ok=True)
        (root / ".mounted").write_text(str(body.mounted_at()))  # kit.mount() looks here
        yield FuseDrive(body, mountpoint)
    finally:
        (root / ".mounted").unlink(missing_ok=True)
        try:
            body.drop()  # first: nobody waits for a daemon that a test has slowed
        finally:
            body.close()


@contextmanager
def left_empty(content: str | os.PathLike[str]) -> Iterator[None]:
    """What is made here goes with the test, if nothing was here before; a Drive that is still mounted in it goes on being there."""
    fresh = not os.path.lexists(content)
    yield
    if fresh and not any(os.path.ismount(path) for path in Path(content).glob("*")):
        shutil.rmtree(content, ignore_errors=True)


@contextmanager
def no_drive_yet() -> Iterator[None]:
    """While it lasts this process has no Drive but those it mounts itself; afterwards the one it had, and no copier of the test's."""
    before, left, shelves = mounting._current, set(local.left), set(local.shelves)
    mounting._current = None
    local.left.clear()
    try:
        yield
    finally:
        mounting._current = before
        local.left.clear()
        local.left.update(left)
        for shelf in set(local.shelves) - shelves:
            _end(shelf)


def _end(shelf: local.Waiting) -> None:
    """Let a copier forget what it holds: its Drive is gone for good, and the process's end must not wait for it."""
    shelf.forget()
    shelf.close(FOR_EVER)
    local.shelves.discard(shelf)


@contextmanager
def failing(drive: local.Drive) -> Iterator[Faults]:
    """While it lasts the stand-in's files meet the failures that are planned on what it gives, and our copier tries again at once.

    Raises
    ------
    DriveError
        It is a real Drive: nothing of ours makes that fail.

    Examples
    --------
    >>> with failing(kit.mount()) as faults:  # doctest: +SKIP
    ...     full = faults.full(after_bytes=10_000)
    ...     run = kit.train(net, data)
    >>> full.fired  # doctest: +SKIP
    12
    """
    if drive.kind in ("real", "reused"):
        raise DriveError(
            "This is your own Drive.",
            "failures are for the stand-in alone",
            "kit.mount(mock=True) gives one",
        )
    from .faults import Faults
    from .intercept import Reach

    faults = Faults(mounts=False)
    with no_long_waits(), Reach(drive.mountpoint, faults):
        yield faults


@contextmanager
def no_long_waits() -> Iterator[None]:
    """While it lasts our copier tries again at once, and nobody waits a minute for it: what a test planned does not pass by itself."""
    waits, close = (mirror.FIRST_WAIT, mirror.LONGEST_WAIT), mirror.Mirror.close

    def soon(
        self: mirror.Mirror,
        timeout: float | None = None,
        emit: Callable[[Event], None] | None = None,
    ) -> bool:
        return close(
            self, FOR_EVER if timeout is None else A_MINUTE if timeout >= 60 else timeout, emit
        )

    mirror.FIRST_WAIT, mirror.LONGEST_WAIT, mirror.Mirror.close = 0.02, 0.1, soon  # type: ignore[method-assign]
    try:
        yield
    finally:
        (mirror.FIRST_WAIT, mirror.LONGEST_WAIT), mirror.Mirror.close = waits, close  # type: ignore[method-assign]


@contextmanager
def only_a_stand_in() -> Iterator[None]:
    """While it lasts kit.mount() sees no Drive but the stand-in's, not even on a Colab machine; fake_colab's disguise still counts."""
    before, real = vars(mounting.Site)["here"], mounting.Site.here

    def here() -> mounting.Site:
        if pretence.colab is None:
            return mounting.Site("a test", table=str)
        seen = real()
        return (
            seen if seen.hosted else mounting.Site("a test")
        )  # its table has no other Drive than the imitation's

    mounting.Site.here = here  # type: ignore[method-assign]
    try:
        yield
    finally:
        mounting.Site.here = before  # type: ignore[method-assign]
