"""What mount() is asked for, sees and decides: values that a test writes by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ..errors import DriveError
from ..system.hardware import host
from ..system.runtime import place
from .bridge import CLIENT, ENTERPRISE, NO_PAGE, TIMEOUT, page_answers
from .bridge import mount as mount_on_colab
from .health import drives, mount_table, pretence, stand_in_mounted, state

MOUNTPOINT = "/content/drive"


@dataclass(frozen=True)
class MountRequest:
    """The arguments of mount(): those that cannot be meant are refused, on Colab and off it.

    Raises
    ------
    DriveError
    """

    mountpoint: str | os.PathLike[str] = MOUNTPOINT
    mock: bool | None = None
    required: bool = False
    readonly: bool = False
    retries: int = 3
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        for name in ("required", "readonly", "mock"):
            value = getattr(self, name)
            if not isinstance(value, bool) and (name != "mock" or value is not None):
                fix = f"write {name}=True or {name}=False, or leave it out"
                why = f"{name} is a switch, True or False"
                raise DriveError(f"{name}={value!r} cannot be.", why, fix)
        values = (self.retries, self.timeout)
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if not numbers or not self.retries >= 0 or not self.timeout > 0:
            why = "retries is 0 or more, and timeout is more than 0 seconds"
            raise DriveError(
                f"retries={self.retries!r}, timeout={self.timeout!r} cannot be.",
                why,
                "leave them out",
            )
        if (fault := self._bad_point()) is not None:
            fix = f"leave it out: Drive is then mounted at {MOUNTPOINT}"
            shown = self.mountpoint
            if isinstance(shown, str | os.PathLike):
                shown = repr(os.fspath(shown))
            raise DriveError(f"mountpoint={shown} cannot be.", fault, fix)

    def _bad_point(self) -> str | None:
        """Why Colab would have no mountpoint there."""
        text = self.mountpoint
        name = os.fspath(text) if isinstance(text, str | os.PathLike) else ""
        if not name.strip():
            return "it is the name of a folder, and not empty"
        if " " in name:
            return "Colab takes no mountpoint with a space in it"
        return "that is the whole disk" if self.point == Path(self.point.anchor) else None

    @property
    def point(self) -> Path:
        """The mountpoint, absolute."""
        return Path(os.path.expanduser(self.mountpoint)).absolute()

    @property
    def must(self) -> bool:
        """Whether nothing but the real Drive will do, where it can be had."""
        return self.required or self.mock is False


class Door(Protocol):
    """bridge.mount, or a test's."""

    def __call__(
        self, mountpoint: str, timeout_s: float, *, readonly: bool, force: bool
    ) -> None: ...


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
        machine, colab = host(), pretence.colab
        sleep = time.sleep if colab is None else colab.wait  # a pretended Colab plans its waits too
        return cls(place(machine)[0], client=machine.env.get(CLIENT, ""), sleep=sleep)

    @property
    def hosted(self) -> bool:
        return self.where.startswith("colab")

    @property
    def anywhere(self) -> bool:
        """Whether any Drive that is mounted is the one to use: Colab's, or a pretended Colab's."""
        return self.hosted or pretence.colab is not None

    def look(self, point: Path) -> View:
        """Look for a Drive where it is asked for.

        On a Colab VM it looks anywhere, since mounting anew kills what is mounted.
        """
        table = self.table()
        places = [point, *drives(table)] if self.anywhere else [point]
        if not self.anywhere and point == stand_in_mounted():
            places = []
        silent = None
        for there in dict.fromkeys(places):
            health = state(there, table)
            if health:
                return View(self.where, there, None, self.client)
            if not health.answered:
                silent = silent or there
        return View(self.where, None, silent, self.client)


@dataclass(frozen=True)
class View:
    """What mount() sees of the machine, and decides by.

    healthy : the mountpoint of a Drive that is well
    silent : that of one which hangs
    page : whether anyone answers there
    """

    where: str
    healthy: Path | None = None
    silent: Path | None = None
    client: str = ""
    page: bool | None = None


@dataclass(frozen=True)
class Plan:
    """What mount() does, and why.

    fix : where no Drive can be had
    attempts : at the real one
    doubt : it may take minutes and fail
    """

    step: Literal["reuse", "real", "mock", "folder", "refuse"]
    why: str
    fix: str = ""
    attempts: int = 0
    doubt: bool = False

    def __str__(self) -> str:
        return f"{self.step}: {self.why}"


def decide(view: View, request: MountRequest) -> Plan:
    """What mount() does. Pure."""
    if request.mock:
        return Plan("mock", "mock=True was given")
    if view.healthy is not None:
        return Plan("reuse", f"Drive is mounted at {view.healthy} already")
    if not view.where.startswith("colab"):
        if request.mock is None:
            return Plan("mock", f"no Colab here ({view.where})")
        why = f"this runs in {view.where}, not in Colab, and mock=False forbids the stand-in"
        return Plan("refuse", why, "run it on Colab, or leave mock= out: a local folder stands in")
    without: Literal["folder", "refuse"] = "refuse" if request.must else "folder"
    if view.where == "colab-enterprise":
        return Plan(without, *ENTERPRISE)
    if silent := view.silent:
        why = f"the Drive mounted at {silent} does not answer; mounting anew would wait for it too"
        kill = f"!umount -l {silent}; pkill -9 -x drive"
        return Plan(without, why, f"wait a minute and run the cell again, or give it up: {kill}")
    if view.where == "colab-subprocess":
        return Plan(without, *NO_PAGE)
    if view.client == "cli":
        why = f"`colab run` has no page to ask for consent in ({CLIENT}=cli)"
        mount_before = "or mount in the session by `colab drivemount` first"
        return Plan(without, why, f"let the launcher fetch the results, {mount_before}")
    if view.page is False:
        who = "nobody seems to listen for the question for consent"
        why = f"{who} (VS Code and `colab run` show none)"
        return Plan("real", why, attempts=1, doubt=True)
    return Plan("real", "Colab's kernel can ask for consent", attempts=1 + request.retries)
