"""Which Drives are mounted on this machine, and whether they answer.

A mount that hangs must not hang us. The test tools announce here what they pretend.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, TypeVar

from ..system.files import home

MYDRIVE = "MyDrive"
DEADLINE = 10.0  # s; Drive answers a stat in milliseconds, and in seconds while it is busy
_T = TypeVar("_T")


@dataclass(frozen=True)
class Health:
    """How a Drive is; truthy when it is well.

    ok : its My Drive is there
    why : what is wrong, or "well"
    seconds : what the answer took
    answered : False where none came in time: it hangs
    """

    ok: bool
    why: str
    seconds: float
    answered: bool = True

    def __bool__(self) -> bool:
        return self.ok


def probe(
    mountpoint: Path,
    timeout: float = DEADLINE,
    *,
    look: Callable[[Path], os.stat_result] | None = None,
) -> Health:
    """Ask for the mountpoint's My Drive, with a deadline."""
    start, ok, answered = time.monotonic(), False, True
    try:
        # os.stat is looked up late: a test's faults stand in for it.
        status = within(timeout, "stat", mountpoint / MYDRIVE, look or os.stat)
        ok = stat.S_ISDIR(status.st_mode)
        why = "well" if ok else f"its {MYDRIVE} is no folder"
    except NoAnswer:
        why, answered = f"no answer within {timeout:g} s", False
    except OSError as err:
        why = err.strerror or str(err)
    return Health(ok, why, time.monotonic() - start, answered)


# Process state: the questions without an answer yet. A mount that hangs holds one thread, not many.
_questions: dict[tuple[int, str, str], Future[Any]] = {}


def within(timeout: float, what: str, path: Path, ask: Callable[[Path], _T]) -> _T:
    """ask(path) in a daemon thread, waited for no longer than `timeout`.

    A call into a FUSE mount that hangs cannot be interrupted.

    Raises
    ------
    concurrent.futures.TimeoutError
        No answer came; the same question again waits for the same thread.
    """
    # A forked child inherits the question, but not the thread that asks it.
    key = (os.getpid(), what, str(path))
    own: Future[Any] = Future()
    future = _questions.setdefault(key, own)

    def work() -> None:
        try:
            answer = ask(path)
        except BaseException as err:
            _questions.pop(key, None)
            own.set_exception(err)
        else:
            _questions.pop(key, None)
            own.set_result(answer)

    if future is own:
        Thread(target=work, daemon=True, name=f"colab-kit {what} {path}").start()
    answer: _T = future.result(timeout)
    return answer


class PretendedColab(Protocol):
    """What a pretended google.colab tells while it is installed."""

    wait: Callable[[float], None]

    def mounted_at(self) -> Path | None: ...

    def named(self, path: Path) -> Path: ...


class Pretence:
    """What this process pretends: the test tools announce it here, and take it back when they go.

    colab : the pretended google.colab, whose Drive is then the only one; None otherwise
    exempt : a block in which no planned failure strikes
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all that is pretended."""
        self.announce_colab(None)
        self.announce_failures(nullcontext)

    def announce_colab(self, colab: PretendedColab | None) -> None:
        self.colab = colab

    def announce_failures(self, exempt: Callable[[], AbstractContextManager[None]]) -> None:
        self.exempt = exempt


pretence = Pretence()  # process state, the only one of its kind


def mount_table() -> str:
    """The kernel's list of mounts, and a row for a stand-in that stands somewhere as a folder.

    macOS and Windows have no list. Under a pretended google.colab its own Drive, if it is mounted,
    takes the place of all others.
    """
    try:
        table = Path("/proc/self/mounts").read_text(errors="replace")
    except OSError:
        table = ""
    if pretence.colab is None:
        place = stand_in_mounted()
    else:
        place = pretence.colab.mounted_at()
        table = "".join(row for row in table.splitlines(keepends=True) if not drives(row))
    if place is None or any(point == place for point, _ in mounts(table)):
        return table
    name = re.sub(r"[\s\\]", lambda sign: f"\\{ord(sign[0]):03o}", str(place))
    return f"{table}drive {name} fuse.drive rw 0 0\n"


def mounts(table: str) -> list[tuple[Path, str]]:
    """Mountpoints and types, as the table lists them."""
    rows = [line.split() for line in table.splitlines()]
    return [(Path(_plain(row[1])), row[2]) for row in rows if len(row) >= 3]


def _plain(name: str) -> str:
    """A name as it is: the kernel writes a space as `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name)


def drives(table: str) -> list[Path]:
    """The mountpoints of DriveFS, and of what imitates it."""
    return [point for point, kind in mounts(table) if kind == "fuse.drive"]


def healthy(mountpoint: Path, table: str, timeout: float = DEADLINE) -> bool:
    """Whether a Drive is mounted there and answers. A folder that merely looks like one is none."""
    return state(mountpoint, table, timeout).ok


def state(mountpoint: Path, table: str, timeout: float = DEADLINE) -> Health:
    """The health of what is mounted there; only a mount is asked."""
    if not any(point == mountpoint for point, _ in mounts(table)):
        return Health(False, "nothing is mounted there", 0.0)
    return probe(mountpoint, timeout)


def stand_in_root() -> Path:
    """The folder that stands for the mountpoint; it need not exist yet."""
    return home().absolute() / "drive"


def stand_in_mounted() -> Path | None:
    """Where the stand-in's content is now, if it was mounted as a folder elsewhere.

    Any process sees it.
    """
    with pretence.exempt():  # where it stands is known, whatever was planned for its files
        try:
            place = Path((stand_in_root() / ".mounted").read_text(encoding="utf-8").strip())
        except (OSError, ValueError):
            return None
        # os.path.isdir: a dead mount raises in Path.is_dir.
        if not place.is_absolute() or not os.path.isdir(place / MYDRIVE):
            return None
    return place if pretence.colab is None else pretence.colab.named(place)


def stand_in_place() -> Path:
    """The folder that holds the stand-in's MyDrive: where it is mounted, else its root."""
    return stand_in_mounted() or stand_in_root()
