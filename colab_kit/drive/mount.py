"""The verb mount: it looks, decides, acts, and ends in a place to write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..colab import mount as mount_on_colab
from ..errors import DriveError
from ..events import Event, Listener, Listeners, Note
from ..machine import place
from ..probe import host
from .local import MYDRIVE, Drive, stand_in, stand_in_root
from .real import Door, drives, healthy, mount_real, mount_table

MOUNTPOINT = "/content/drive"
USUAL = (MOUNTPOINT, "/content/gdrive")  # where notebooks expect it

_current: Drive | None = None  # the Drive of this process


@dataclass(frozen=True)
class Site:
    """What mount() must know of the world; a test describes one."""

    where: str  # as Runtime.where
    table: Callable[[], str] = mount_table
    door: Door = mount_on_colab

    @classmethod
    def here(cls) -> Site:
        return cls(place(host())[0])

    @property
    def hosted(self) -> bool:
        return self.where.startswith("colab")


def mount(
    mountpoint: str | os.PathLike[str] = MOUNTPOINT,
    *,
    mock: bool | None = None,
    required: bool = False,
    readonly: bool = False,
    listen: Iterable[Listener] | None = None,
) -> Drive:
    """Mount Google Drive, or give a folder that stands in for it, and say which.

    Parameters
    ----------
    mountpoint : path
    mock : bool, optional
        None: the real Drive in a Colab kernel, else the stand-in. True: the stand-in. False: the real one or an error.
    required : bool
        On Colab, raise where mounting fails. Else a local folder takes its place, with a warning.
    readonly : bool
        Protect the real Drive from writing. A folder in its place stays writable.
    listen : list of callables, optional
        Who hears about it; the console, if None.

    Raises
    ------
    DriveError
        As asked for by `mock=False` or `required=True`; or not even a folder can be made.

    Examples
    --------
    >>> drive = mount()  # doctest: +SKIP
    >>> (drive / "notes.txt").write_text("kept")  # doctest: +SKIP
    """
    return mount_at(Site.here(), mountpoint, mock=mock, required=required, readonly=readonly, emit=_ears(listen))


def mount_at(
    site: Site,
    mountpoint: str | os.PathLike[str],
    *,
    mock: bool | None,
    required: bool,
    readonly: bool,
    emit: Callable[[Event], None],
) -> Drive:
    """mount() on a described site."""
    global _current
    point = Path(mountpoint).expanduser().absolute()
    found = _found(site, point)
    match decide(site.where, found is not None, mock):
        case "reuse":
            assert found is not None
            _current = Drive(found / MYDRIVE, "reused", found)
            if readonly:
                emit(Note(f"Drive is mounted at {found} already: readonly=True changes nothing about that mount.", "warn"))
            if found != point:
                emit(Note(f"Drive is mounted at {found} already and used from there: mounting it at {point} would end that mount.", "warn"))
        case "real":
            _current = _real_or_local(site, point, required or mock is False, readonly, emit)
        case "stand-in":
            _current = stand_in(point, "stand-in")
            reason = "as asked (mock=True)" if mock else f"no Colab here ({site.where})"
            open_still = "; it can be written all the same" if readonly else ""
            emit(Note(f"Drive: {reason}, so a folder stands in for it{open_still}: {_current}"))
        case "refuse":
            raise DriveError(
                "There is no Google Drive to mount here.",
                f"this runs in {site.where}, not in Colab, and mock=False forbids the stand-in",
                "run it on Colab, or leave mock= out: a local folder stands in",
            )
    return _current


def decide(where: str, mounted: bool, mock: bool | None) -> Literal["reuse", "real", "stand-in", "refuse"]:
    """What mount() does. Pure."""
    if mock:
        return "stand-in"
    if mounted:
        return "reuse"
    if where.startswith("colab"):
        return "real"
    return "stand-in" if mock is None else "refuse"


def _found(site: Site, point: Path) -> Path | None:
    """A healthy mount: the one asked for, else any on a Colab VM (mounting anew kills Drive's program with what it had not sent)."""
    table = site.table()
    places = [point, *drives(table)] if site.hosted else [point]
    return next((place for place in places if healthy(place, table)), None)


def _real_or_local(site: Site, point: Path, required: bool, readonly: bool, emit: Callable[[Event], None]) -> Drive:
    try:
        return mount_real(point, _no_page if site.where == "colab-subprocess" else site.door, readonly=readonly)
    except DriveError as err:
        if required:
            raise
        drive = stand_in(point, "local")
        lost = "It is lost when this machine is taken away."
        emit(Note(f"{err}\nA local folder takes Drive's place: {drive}. {lost}", "warn"))
        return drive


def _no_page(mountpoint: str, timeout_s: float, readonly: bool) -> None:
    raise DriveError(
        f"Google Drive is not mounted at {mountpoint}.",
        "this process is not the notebook's kernel, so it has no page to ask for consent in",
        "mount in a notebook cell first (kit.mount()); a script then finds Drive mounted",
    )


def mounted(site: Site | None = None) -> Drive | None:
    """The Drive of this process, if it is still there; else a healthy one that this Colab VM has; else None."""
    site = Site.here() if site is None else site
    mine = _current
    if mine is not None and not (healthy(mine.mountpoint, site.table()) if mine.real else mine.mydrive.is_dir()):
        mine = None
    if site.hosted and (mine is None or mine.kind == "local"):  # the notebook may have mounted by google.colab itself
        found = _found(site, Path(MOUNTPOINT))
        return Drive(found / MYDRIVE, "reused", found) if found is not None else mine
    return mine


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
    return stand_in_root().joinpath(*inside)


def _ears(listen: Iterable[Listener] | None) -> Listeners:
    if listen is not None:
        return Listeners(listen)
    from ..listeners.console import Console

    return Listeners([Console()])
