"""The real Drive: mounted through google.colab, as often as it is worth trying."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import DriveError
from ..events import Event, Note
from .bridge import bad_mountpoint
from .drive import MYDRIVE, Drive
from .health import drives, probe, state
from .mount_plan import MountRequest, Site
from .relocate import bring_in, move_aside, put_back

LONGEST = 300.0  # s; what google.colab is given at most, unless more was asked for
PAUSES = (2.0, 5.0, 10.0)  # s before the second try, the third, and all others


def mount_real(
    request: MountRequest, site: Site, emit: Callable[[Event], None], *, attempts: int = 4
) -> Drive:
    """Mount through google.colab.

    Files that lie in the way wait beside it and are brought into Drive afterwards.

    Raises
    ------
    DriveError
        It failed; nothing was written under the mountpoint, and what lay there lies there again.
    """
    point = request.point
    if (error := bad_mountpoint(str(point))) is not None:
        raise error
    aside = move_aside(point, site.table())
    try:
        place = _try(request, site, emit, attempts)
        if place == point and not (health := probe(point)):
            what = f"Google Drive was mounted at {point}, but shows no {MYDRIVE}."
            why = f"google.colab reported no error, yet: {health.why}"
            fix = "Runtime ▸ Disconnect and delete runtime, then start anew"
            raise DriveError(what, why, fix)
    except BaseException:
        if aside is not None:
            put_back(aside, emit)
        raise
    drive = Drive(place / MYDRIVE, "real" if place == point else "reused", place)
    if aside is not None:
        free, readonly = _free(drive), request.readonly
        bring_in(aside, drive.mydrive, emit, free=free, readonly=readonly)
    return drive


def _try(request: MountRequest, site: Site, emit: Callable[[Event], None], attempts: int) -> Path:
    """Where Drive is mounted in the end.

    Each further try is given longer, and ends dead mounts first.
    """
    point, attempt, seconds = request.point, 1, request.timeout
    while True:
        try:
            site.door(str(point), seconds, readonly=request.readonly, force=attempt > 1)
            return point
        except DriveError as err:
            tries = min(err.again + 1, attempts)
            if attempt >= tries:
                raise
            if (late := _late(point, site.table(), err)) is not None:
                return late
            pause = PAUSES[min(attempt, len(PAUSES)) - 1]
            longer = min(LONGEST, request.timeout * (1 + attempt / 2))
            seconds = max(request.timeout, longer)
            what = f"{err.what.rstrip('.')} (attempt {attempt} of {tries}): {err.why}."
            again = f"Trying again in {pause:g} s, and waiting up to {2 * seconds + 30:.0f} s then"
            emit(Note(f"{what} {again}; Colab may ask for consent once more.", "warn"))
        site.sleep(pause)
        attempt += 1


def _late(point: Path, table: str, err: DriveError) -> Path | None:
    """A Drive that came up although google.colab had given up, or beside it.

    A further try would kill it. One that hangs ends the tries.
    """
    health = {place: state(place, table) for place in (point, *drives(table))}
    if well := next((place for place in health if health[place]), None):
        return well
    if not all(found.answered for found in health.values()):
        raise err
    return None


def _free(drive: Drive) -> int:
    try:
        return drive.free()
    except DriveError:
        return 0  # nothing is brought in, and all is kept beside it
