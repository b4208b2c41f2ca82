"""The verb mount: it looks, decides, acts, and ends in a place to write."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..errors import DriveError, new_words
from ..events import Callback, Event, Note
from ..system.console import with_console
from ..system.hardware import host
from ..system.runtime import place
from .asked import MOUNTPOINT, check, the_point
from .bridge import CLIENT, ENTERPRISE, NO_PAGE, TIMEOUT, page_answers
from .bridge import mount as mount_on_colab
from .drive import MYDRIVE, Drive, left, shelves, stand_in
from .health import (
    Health,
    drives,
    healthy,
    mount_table,
    pretence,
    probe,
    stand_in_mounted,
    stand_in_place,
    state,
)
from .real_mount import Door, mount_real

USUAL = (MOUNTPOINT, "/content/gdrive")  # where notebooks expect it

_current: Drive | None = None  # the Drive of this process


@dataclass(frozen=True)
class Site:
    """What mount() must know of the world; a test describes one."""

    where: str  # as Runtime.where
    table: Callable[[], str] = mount_table
    door: Door = mount_on_colab
    page: Callable[[], bool | None] = page_answers
    client: str = ""  # $COLAB_KIT_CLIENT
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def here(cls) -> Site:
        seen = host()
        world = pretence.colab  # its waits are planned too
        return cls(
            place(seen)[0],
            client=seen.env.get(CLIENT, ""),
            sleep=time.sleep if world is None else world.wait,
        )

    @property
    def hosted(self) -> bool:
        return self.where.startswith("colab")

    @property
    def anywhere(self) -> bool:
        """Whether any Drive that is mounted is the one to use: Colab's, or that of the stand-in for google.colab."""
        return self.hosted or pretence.colab is not None

    def look(self, point: Path) -> Seen:
        """Look for a Drive: where it is asked for and, on a Colab VM, anywhere, since mounting anew kills what is mounted."""
        table = self.table()
        places = (
            [point, *drives(table)]
            if self.anywhere
            else [point]
            if point != stand_in_mounted()
            else []
        )
        silent = None
        for there in dict.fromkeys(places):
            health = state(there, table)
            if health:
                return Seen(self.where, there, None, self.client)
            silent = silent or (None if health.answered else there)
        return Seen(self.where, None, silent, self.client)


@dataclass(frozen=True)
class Seen:
    """What mount() decides by. found: a Drive that is well; silent: one that hangs; page: whether anyone answers there."""

    where: str
    found: Path | None = None
    silent: Path | None = None
    client: str = ""
    page: bool | None = None


@dataclass(frozen=True)
class Plan:
    """What mount() does, and why. fix: where no Drive can be had; attempts: at the real one; doubt: it may take minutes and fail."""

    step: Literal["reuse", "real", "mock", "folder", "refuse"]
    why: str
    fix: str = ""
    attempts: int = 0
    doubt: bool = False

    def __str__(self) -> str:
        return f"{self.step}: {self.why}"


def decide(
    seen: Seen, *, mock: bool | None = None, required: bool = False, retries: int = 3
) -> Plan:
    """What mount() does. Pure."""
    if mock:
        return Plan("mock", "mock=True was given")
    if seen.found is not None:
        return Plan("reuse", f"Drive is mounted at {seen.found} already")
    if not seen.where.startswith("colab"):
        if mock is None:
            return Plan("mock", f"no Colab here ({seen.where})")
        why = f"this runs in {seen.where}, not in Colab, and mock=False forbids the stand-in"
        return Plan("refuse", why, "run it on Colab, or leave mock= out: a local folder stands in")
    without: Literal["folder", "refuse"] = "refuse" if required or mock is False else "folder"
    if seen.where == "colab-enterprise":
        return Plan(without, *ENTERPRISE)
    if seen.silent is not None:
        why = f"the Drive mounted at {seen.silent} does not answer, and mounting anew would wait for it too"
        return Plan(
            without,
            why,
            f"wait a minute and run the cell again, or give it up: !umount -l {seen.silent}; pkill -9 -x drive",
        )
    if seen.where == "colab-subprocess":
        return Plan(without, *NO_PAGE)
    if seen.client == "cli":
        fix = "let the launcher fetch the results, or mount in the session by `colab drivemount` first"
        return Plan(without, f"`colab run` has no page to ask for consent in ({CLIENT}=cli)", fix)
    if seen.page is False:
        return Plan(
            "real",
            "nobody seems to listen for the question for consent (VS Code and `colab run` show none)",
            attempts=1,
            doubt=True,
        )
    return Plan("real", "Colab's kernel can ask for consent", attempts=1 + retries)


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
        None: the real Drive in a Colab kernel, else the stand-in. True: the stand-in. False: the real one or an error.
    required : bool
        On Colab, raise where mounting fails. Else a local folder takes its place, with a warning.
    readonly : bool
        Protect the real Drive from writing. A folder in its place stays writable.
    retries : int
        How often to try again, at most; only what may pass is tried again.
    timeout : float
        Seconds for the consent, and again for the disk, at the first try; later ones get longer, up to 300.
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
    emit = with_console(callbacks, quiet=quiet)
    return mount_at(
        Site.here(),
        mountpoint,
        emit=emit,
        mock=mock,
        required=required,
        readonly=readonly,
        retries=retries,
        timeout=timeout,
    )


def mount_at(
    site: Site,
    mountpoint: str | os.PathLike[str],
    *,
    emit: Callable[[Event], None],
    mock: bool | None = None,
    required: bool = False,
    readonly: bool = False,
    retries: int = 3,
    timeout: float = TIMEOUT,
) -> Drive:
    """mount() on a described site."""
    global _current
    check(retries, timeout, mock=mock, required=required, readonly=readonly)
    point = the_point(mountpoint)
    seen = site.look(point)
    plan = decide(seen, mock=mock, required=required, retries=retries)
    if plan.step == "real":  # only now: asking takes a moment
        plan = decide(
            replace(seen, page=site.page()), mock=mock, required=required, retries=retries
        )
    match plan.step:
        case "reuse":
            _current = _reused(seen.found or point, point, readonly, emit)
        case "real":
            _current = _real_or_local(
                site, plan, point, required or mock is False, readonly, timeout, emit
            )
        case "folder":
            _current = _in_its_place(
                DriveError(f"Google Drive is not mounted at {point}.", plan.why, plan.fix),
                point,
                emit,
            )
        case "mock":
            _current = stand_in(point, "mock")
            open_still = "; it can be written all the same" if readonly else ""
            emit(
                Note(
                    f"Drive: {plan.why}, so files are saved to {_current}, in place of Drive{open_still}"
                )
            )
        case "refuse":
            what = (
                f"Google Drive is not mounted at {point}."
                if site.hosted
                else "There is no Google Drive to mount here."
            )
            raise DriveError(what, plan.why, plan.fix)
    left.discard(_current.mountpoint)
    for shelf in list(shelves):  # what could not be copied before goes on at once
        shelf.wake()
    return _current


def _reused(found: Path, point: Path, readonly: bool, emit: Callable[[Event], None]) -> Drive:
    if readonly:
        emit(
            Note(
                f"Drive is mounted at {found} already: readonly=True changes nothing about that mount.",
                "warn",
            )
        )
    if found != point:
        emit(
            Note(
                f"Drive is mounted at {found} already and used from there: mounting it at {point} would end that mount.",
                "warn",
            )
        )
    return Drive(found / MYDRIVE, "reused", found)


def _real_or_local(
    site: Site,
    plan: Plan,
    point: Path,
    required: bool,
    readonly: bool,
    timeout: float,
    emit: Callable[[Event], None],
) -> Drive:
    if plan.doubt:
        longest = (
            f"{math.ceil((2 * timeout + 30) / 60)} minutes"  # for the consent, then for the disk
        )
        emit(
            Note(
                f"Mounting Drive: {plan.why}. It is tried once all the same, which may take up to {longest}.",
                "warn",
            )
        )
    try:
        drive = mount_real(
            point,
            site.door,
            emit,
            look=site.table,
            readonly=readonly,
            attempts=plan.attempts,
            timeout=timeout,
            sleep=site.sleep,
        )
    except DriveError as err:
        if required:
            raise
        return _in_its_place(err, point, emit)
    return (
        drive if drive.kind == "real" else _reused(drive.mountpoint, point, readonly, emit)
    )  # one came up beside it meanwhile


def _in_its_place(err: DriveError, point: Path, emit: Callable[[Event], None]) -> Drive:
    drive = stand_in(point, "folder")
    lost = "It is lost when this machine is taken away."
    emit(Note(f"{err}\nWhat is written is saved to {drive}, in place of Drive. {lost}", "warn"))
    return drive


def mounted(site: Site | None = None) -> Drive | None:
    """The Drive of this process, if it is still there; else a healthy one that this Colab VM has; else None."""
    return _looked_for(site)[0]


def missed(site: Site | None = None) -> tuple[Drive, str] | None:
    """The Drive of this process that is no longer there or does not answer, and why; None while there is one, or none to miss."""
    found, health = _looked_for(site)
    return (
        (_current, health.why)
        if found is None and _current is not None and health is not None
        else None
    )


def _looked_for(site: Site | None) -> tuple[Drive | None, Health | None]:
    """The Drive there is, and what is wrong with the one of this process, if it has one."""
    site = Site.here() if site is None else site
    mine = _current if _current is not None and _current.mountpoint not in left else None
    health = (
        None
        if mine is None
        else state(mine.mountpoint, site.table())
        if mine.real
        else probe(mine.mountpoint)
    )
    well = mine if health else None
    if site.anywhere and (
        well is None or well.kind == "folder"
    ):  # the notebook may have mounted by google.colab itself
        if (found := site.look(Path(MOUNTPOINT)).found) is not None:
            return Drive(found / MYDRIVE, "reused", found), health
    if well is None and mine is not None and not mine.real:
        moved = stand_in_mounted()  # a stand-in's folder may have been mounted since
        if moved is not None and moved != mine.mountpoint and probe(moved):
            well = Drive(moved / MYDRIVE, mine.kind, moved)
    return well, health


def absent(path: Path, site: Site | None = None) -> tuple[str, str] | None:
    """Why a path lies on a Drive that is not there, and what to give instead; None for any other path.

    Nothing may be made under a mountpoint that is not mounted: it would block mounting.
    """
    site = Site.here() if site is None else site
    if (meant := stand_in_path(path, site)) is not None:
        return "no Drive is mounted there, and what is written there would block mounting it", repr(
            str(meant)
        )
    drive, health = _looked_for(site)  # once: a Drive that hangs is waited for each time
    if (
        drive is None
        and _current is not None
        and health is not None
        and path.is_relative_to(_current.mountpoint)
    ):
        return f"it does not answer: {health.why}", "a local path"
    if any(path.is_relative_to(point) for point in left) and (
        drive is None or not path.is_relative_to(drive.mountpoint)
    ):
        return "it was unmounted", "a local path"
    return None


def stand_in_path(path: str | os.PathLike[str], site: Site | None = None) -> Path | None:
    """Where the stand-in keeps what was typed as a path on Drive; None for other paths, or where a Drive is mounted.

    Examples
    --------
    >>> stand_in_path("/content/drive/My Drive/cats.zip")  # doctest: +SKIP
    PosixPath('/home/ann/.cache/colab-kit/drive/MyDrive/cats.zip')
    """
    site = Site.here() if site is None else site
    typed = Path(path)
    point = next((Path(usual) for usual in USUAL if typed.is_relative_to(usual)), None)
    if point is None or healthy(point, site.table()):
        return None
    inside = typed.relative_to(point).parts
    if inside and inside[0] == "My Drive":
        inside = (MYDRIVE, *inside[1:])
    return stand_in_place().joinpath(*inside)
