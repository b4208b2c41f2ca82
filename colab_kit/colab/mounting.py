"""The verb mount: it looks, decides, acts, and ends in a place to write.

Here is also what others ask of this process's Drive: which one it is, and whether a path lies on
one that is not there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from ..errors import ColabError, DriveError, new_words
from ..events import Callback, Event, Note
from ..system.console import with_console
from ..system.files import in_working_folder, refuse_absent
from .bridge import TIMEOUT, bad_mountpoint
from .bridge import upload as choose_files
from .drive import MYDRIVE, Drive, session, stand_in
from .health import Health, drives, healthy, probe, stand_in_mounted, stand_in_place, state
from .mount_plan import MOUNTPOINT, MountRequest, Plan, decide
from .mount_plan import Site as Site
from .relocate import bring_in, move_aside, put_back

LONGEST = 300.0  # s; what google.colab is given at most, unless more was asked for
PAUSES = (2.0, 5.0, 10.0)  # s before the second try, the third, and all others
USUAL = (MOUNTPOINT, "/content/gdrive")  # where notebooks expect it


@new_words
def mount(
    mountpoint: str | os.PathLike[str] = MOUNTPOINT,
    *,
    mock: bool | None = None,
    required: bool = False,
    readonly: bool = False,
    retries: int = 3,
    timeout: float = TIMEOUT,
    callbacks: Iterable[Callback] | None = None,
    quiet: bool = False,
) -> Drive:
    """Mount Google Drive, or give a folder that stands in for it, and say which.

    Files that lie at the mountpoint are moved beside it, and into Drive once it is mounted.

    Parameters
    ----------
    mountpoint : path
    mock : bool, optional
        None: the real Drive in a Colab kernel, else the stand-in. True: the stand-in. False: the
        real one or an error.
    required : bool
        On Colab, raise where mounting fails. Else a local folder takes its place, with a warning.
    readonly : bool
        Protect the real Drive from writing. A folder in its place stays writable.
    retries : int
        How often to try again, at most; only what may pass is tried again.
    timeout : float
        Seconds for the consent, and again for the disk, at the first try; later ones get longer,
        up to 300.
    callbacks : list of callables, optional
        They are given each event, as the console is.
    quiet : bool
        Whether the console says nothing.

    Raises
    ------
    DriveError
        As asked for by `mock=False` or `required=True`; or not even a folder can be made.

    Examples
    --------
    >>> drive = mount()  # doctest: +SKIP
    >>> (drive / "notes.txt").write_text("kept")  # doctest: +SKIP
    """
    request = MountRequest(mountpoint, mock, required, readonly, retries, timeout)
    return mount_at(Site.here(), request, emit=with_console(callbacks, quiet=quiet))


def mount_at(site: Site, request: MountRequest, *, emit: Callable[[Event], None]) -> Drive:
    """mount() on a described site."""
    point = request.point
    view = site.look(point)
    plan = decide(view, request)
    if plan.step == "real":  # only now: asking takes a moment
        plan = decide(replace(view, page=site.page()), request)
    match plan.step:
        case "reuse":
            drive = _reused(view.healthy or point, request, emit)
        case "real":
            drive = _real_or_folder(site, plan, request, emit)
        case "folder":
            what = f"Google Drive is not mounted at {point}."
            drive = _in_its_place(DriveError(what, plan.why, plan.fix), point, emit)
        case "mock":
            drive = stand_in(point, "mock")
            writable = "; it can be written all the same" if request.readonly else ""
            saved = f"files are saved to {drive}, in place of Drive{writable}"
            emit(Note(f"Drive: {plan.why}, so {saved}"))
        case "refuse":
            what = "There is no Google Drive to mount here."
            if site.hosted:
                what = f"Google Drive is not mounted at {point}."
            raise DriveError(what, plan.why, plan.fix)
    session.use(drive)
    return drive


def _reused(place: Path, request: MountRequest, emit: Callable[[Event], None]) -> Drive:
    there = f"Drive is mounted at {place} already"
    if request.readonly:
        emit(Note(f"{there}: readonly=True changes nothing about that mount.", "warn"))
    if place != request.point:
        would = f"mounting it at {request.point} would end that mount"
        emit(Note(f"{there} and used from there: {would}.", "warn"))
    return Drive(place / MYDRIVE, "reused", place)


def _real_or_folder(
    site: Site, plan: Plan, request: MountRequest, emit: Callable[[Event], None]
) -> Drive:
    if plan.doubt:
        minutes = math.ceil((2 * request.timeout + 30) / 60)  # for the consent, then for the disk
        once = f"It is tried once all the same, which may take up to {minutes} minutes."
        emit(Note(f"Mounting Drive: {plan.why}. {once}", "warn"))
    try:
        drive = mount_real(request, site, emit, attempts=plan.attempts)
    except DriveError as err:
        if request.must:
            raise
        return _in_its_place(err, request.point, emit)
    if drive.kind == "real":
        return drive
    return _reused(drive.mountpoint, request, emit)  # one came up beside it meanwhile


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
            raise DriveError(
                f"Google Drive was mounted at {point}, but shows no {MYDRIVE}.",
                f"google.colab reported no error, yet: {health.why}",
                "Runtime ▸ Disconnect and delete runtime, then start anew",
            )
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
    if not all(state.answered for state in health.values()):
        raise err
    return None


def _free(drive: Drive) -> int:
    try:
        return drive.free()
    except DriveError:
        return 0  # nothing is brought in, and all is kept beside it


def _in_its_place(err: DriveError, point: Path, emit: Callable[[Event], None]) -> Drive:
    drive = stand_in(point, "folder")
    saved = f"What is written is saved to {drive}, in place of Drive."
    emit(Note(f"{err}\n{saved} It is lost when this machine is taken away.", "warn"))
    return drive


def mounted(site: Site | None = None) -> Drive | None:
    """The Drive of this process, if it is still there; else a healthy one of this Colab VM."""
    return _find(site or Site.here())[0]


def missed(site: Site | None = None) -> tuple[Drive, str] | None:
    """The Drive of this process that is no longer there or does not answer, and why.

    None while there is one, or none to miss.
    """
    drive, health = _find(site or Site.here())
    if drive is None and session.current is not None and health is not None:
        return session.current, health.why
    return None


def _find(site: Site) -> tuple[Drive | None, Health | None]:
    """The Drive there is, and the health of the one of this process, if it has one."""
    own, health = session.current, None
    if own is not None and own.mountpoint in session.left:
        own = None
    if own is not None:
        point = own.mountpoint
        health = state(point, site.table()) if own.real else probe(point)
    well = own if health else None
    # The notebook may have mounted by google.colab itself.
    if site.anywhere and (well is None or well.kind == "folder"):
        if (other := site.look(Path(MOUNTPOINT)).healthy) is not None:
            return Drive(other / MYDRIVE, "reused", other), health
    if well is None and own is not None and not own.real:
        moved = stand_in_mounted()  # a stand-in's folder may have been mounted since
        if moved is not None and moved != own.mountpoint and probe(moved):
            well = Drive(moved / MYDRIVE, own.kind, moved)
    return well, health


def absent(path: Path, site: Site | None = None) -> tuple[str, str] | None:
    """Why a path lies on a Drive that is not there, and what to give instead; else None.

    Nothing may be made under a mountpoint that is not mounted: it would block mounting.
    """
    site = site or Site.here()
    if (place := stand_in_path(path, site)) is not None:
        why = "no Drive is mounted there, and what is written there would block mounting it"
        return why, repr(str(place))
    drive, health = _find(site)  # once: a Drive that hangs is waited for each time
    own = session.current
    if drive is None and own is not None and health is not None:
        if path.is_relative_to(own.mountpoint):
            return f"it does not answer: {health.why}", "a local path"
    if drive is not None and path.is_relative_to(drive.mountpoint):
        return None
    if any(path.is_relative_to(point) for point in session.left):
        return "it was unmounted", "a local path"
    return None


def stand_in_path(path: str | os.PathLike[str], site: Site | None = None) -> Path | None:
    """Where the stand-in keeps what was typed as a path on Drive.

    None for other paths, and where a Drive is mounted.

    Examples
    --------
    >>> stand_in_path("/content/drive/My Drive/cats.zip")  # doctest: +SKIP
    PosixPath('/home/ann/.cache/colab-kit/drive/MyDrive/cats.zip')
    """
    site, typed = site or Site.here(), Path(path)
    point = next((Path(usual) for usual in USUAL if typed.is_relative_to(usual)), None)
    if point is None or healthy(point, site.table()):
        return None
    inside = typed.relative_to(point).parts
    if inside and inside[0] == "My Drive":
        inside = (MYDRIVE, *inside[1:])
    return stand_in_place().joinpath(*inside)


@in_working_folder
def upload(to: str | os.PathLike[str] | None = None) -> list[Path]:
    """Show Colab's chooser and wait; give the files where they were saved, none if cancelled.

    Parameters
    ----------
    to : path, optional
        The folder, made if it is missing; None: the working folder. A name that is taken there
        gets a number.

    Raises
    ------
    ColabError
        No page can show a chooser here, or `to` lies on a Drive that is not mounted.

    Examples
    --------
    >>> [picture] = upload()  # doctest: +SKIP
    """
    return upload_to(to)


def upload_to(
    to: str | os.PathLike[str] | None,
    *,
    site: Site | None = None,
    door: Callable[[Path | None], list[Path]] = choose_files,
) -> list[Path]:
    """upload() on a described site."""
    if to is None:
        return door(None)
    folder = Path(os.path.expanduser(to)).absolute()
    if (gone := absent(folder, site)) is not None:
        raise ColabError(
            f"Nothing can be uploaded to {folder}: its Drive is not there.",
            gone[0],
            f"kit.mount() first, or give {gone[1]}",
        )
    refuse_absent(folder)
    return door(folder)
