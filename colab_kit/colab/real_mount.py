"""The real Drive: mounted through google.colab, as often as it is worth trying."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ..errors import DriveError
from ..events import Event, Note
from .bridge import TIMEOUT, bad_mountpoint
from .drive import MYDRIVE, Drive
from .health import drives, mount_table, probe, state
from .relocate import bring_in, move_aside, put_back

LONGEST = 300.0  # s; what google.colab is given at most, unless more was asked for
PAUSES = (2.0, 5.0, 10.0)  # s before the second try, the third, and all others


class Door(Protocol):
    """colab.mount, or a test's."""

    def __call__(
        self, mountpoint: str, timeout_s: float, *, readonly: bool, force: bool
    ) -> None: ...


def mount_real(
    mountpoint: Path,
    door: Door,
    emit: Callable[[Event], None],
    *,
    look: Callable[[], str] = mount_table,
    readonly: bool = False,
    attempts: int = 4,
    timeout: float = TIMEOUT,
    sleep: Callable[[float], None] = time.sleep,
) -> Drive:
    """Mount through google.colab; files that lie in the way wait beside it and are brought into Drive afterwards.

    Raises
    ------
    DriveError
        It failed; nothing was written under the mountpoint, and what lay there lies there again.
    """
    if (error := bad_mountpoint(str(mountpoint))) is not None:
        raise error
    aside = move_aside(mountpoint, look())
    try:
        place = _try(mountpoint, door, emit, look, readonly, attempts, timeout, sleep)
        if place == mountpoint and not (health := probe(mountpoint)):
            raise DriveError(
                f"Google Drive was mounted at {mountpoint}, but shows no {MYDRIVE}.",
                f"google.colab reported no error, yet: {health.why}",
                "Runtime ▸ Disconnect and delete runtime, then start anew",
            )
    except BaseException:
        if aside is not None:
            put_back(aside, emit)
        raise
    drive = Drive(place / MYDRIVE, "real" if place == mountpoint else "reused", place)
    if aside is not None:
        bring_in(aside, drive.mydrive, emit, free=_free(drive), readonly=readonly)
    return drive


def _try(
    mountpoint: Path,
    door: Door,
    emit: Callable[[Event], None],
    look: Callable[[], str],
    readonly: bool,
    attempts: int,
    timeout: float,
    sleep: Callable[[float], None],
) -> Path:
    """Where Drive is mounted in the end; each further try is given longer, and ends dead mounts first."""
    attempt, seconds = 1, timeout
    while True:
        try:
            door(str(mountpoint), seconds, readonly=readonly, force=attempt > 1)
            return mountpoint
        except DriveError as err:
            if attempt > min(err.again, attempts - 1):
                raise
            if (late := _late(mountpoint, look(), err)) is not None:
                return late
            pause = PAUSES[min(attempt, len(PAUSES)) - 1]
            seconds = max(timeout, min(LONGEST, timeout * (1 + attempt / 2)))
            emit(
                Note(_said(err, attempt, min(err.again, attempts - 1) + 1, pause, seconds), "warn")
            )
        sleep(pause)
        attempt += 1


def _late(mountpoint: Path, table: str, err: DriveError) -> Path | None:
    """A Drive that came up although google.colab had given up, or beside it: a further try would kill it. A hanging one ends the tries."""
    places = list(dict.fromkeys((mountpoint, *drives(table))))
    found = {place: state(place, table) for place in places}
    if well := next((place for place in places if found[place]), None):
        return well
    if any(not health.answered for health in found.values()):
        raise err
    return None


def _said(err: DriveError, attempt: int, of: int, pause: float, seconds: float) -> str:
    again = f"Trying again in {pause:g} s, and waiting up to {2 * seconds + 30:.0f} s then; Colab may ask for consent once more."
    return f"{err.what.rstrip('.')} (attempt {attempt} of {of}): {err.why}. {again}"


def _free(drive: Drive) -> int:
    try:
        return drive.free()
    except DriveError:
        return 0  # nothing is brought in, and all is kept beside it
