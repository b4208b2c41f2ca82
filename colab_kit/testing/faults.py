"""Faults: Drive fails as planned, as a folder and as a FUSE mount; each fault counts."""

from __future__ import annotations

import difflib
import errno
import json
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ..errors import DriveError

FOLDERS = ("MyDrive", ".shortcut-targets-by-id", ".Trash-0")  # of everybody's Drive
LINKS = {"My Drive": "MyDrive", "Shared drives": "Shareddrives"}  # one place, two spellings
CHANGING = frozenset("create write truncate mkdir rmdir rename unlink attributes".split())
OPERATIONS = CHANGING | {"open", "read", "list", "stat", "flush", "free"}
_ERRNO = {
    "drops": errno.ENOTCONN,
    "full": errno.ENOSPC,
    "quota": errno.EDQUOT,
    "read_only": errno.EROFS,
}
MOUNTING = ("consent_denied", "consent_unanswered", "root_timeout", "mount_timeout", "policy")
FUSE_ONLY = {  # kind: the operation that it bends
    "stale_listing": frozenset({"list"}),
    "torn_write": frozenset({"write"}),
    "late_visibility": frozenset({"create"}),
}
_STRIKES_AT = {  # kind: the operations that it hits; a kind that is not named here hits all
    **FUSE_ONLY,
    "full": frozenset({"write"}),
    "quota": frozenset({"create", "write"}),
    "read_only": CHANGING,
}


def spelled(path: str) -> str:
    """A path from the mountpoint ("/My Drive/a.txt") as plans spell it ("MyDrive/a.txt")."""
    first, slash, rest = path.lstrip("/").partition("/")
    return LINKS.get(first, first) + slash + rest


class When(TypedDict, total=False):
    """When a fault strikes: `skip` matching operations pass, then `times` are hit (None: all)."""

    skip: int
    times: int | None


class Tally:
    """Three counters for each fault: operations seen, strikes, bytes.

    Forked processes share them. In a file (`path`) any process does, and they outlive it.
    """

    SLOTS = 512
    _ROW = struct.Struct("qqq")

    def __init__(self, path: Path | None = None) -> None:
        self.path, size = path, self.SLOTS * self._ROW.size
        if path is None:
            self._rows = mmap.mmap(-1, size)
            return
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            file.truncate(size)  # a file of this size keeps what other processes counted
            self._rows = mmap.mmap(file.fileno(), size)

    def read(self, slot: int) -> tuple[int, int, int]:
        return self._ROW.unpack_from(self._rows, slot * self._ROW.size)

    def write(self, slot: int, seen: int, fired: int, through: int) -> None:
        self._ROW.pack_into(self._rows, slot * self._ROW.size, seen, fired, through)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One planned failure.

    kind : the method of Faults that planned it
    on : glob of the paths that it hits: from the mountpoint ("MyDrive/runs/*"), or a name ("*.csv")
    skip : how many matching operations pass first
    times : how often it strikes, None for always
    seconds : of delay
    after_bytes : how many bytes can still be written
    number : errno
    slot : its row in the tally
    """

    kind: str
    on: str
    skip: int = 0
    times: int | None = None
    seconds: float = 0.0
    after_bytes: int = 0
    number: int = 0
    slot: int
    tally: Tally = field(repr=False, compare=False)

    @property
    def fired(self) -> int:
        """How often it has struck."""
        return self.tally.read(self.slot)[1]

    def strikes(self, operation: str, path: str, size: int = 0, to: str | None = None) -> bool:
        """Count this operation, and tell whether the fault hits it.

        A rename to `to` is one operation, which is hit at either end.
        """
        if operation not in _STRIKES_AT.get(self.kind, OPERATIONS):
            return False
        if not (self._covers(path) or to is not None and self._covers(to)):
            return False
        seen, fired, through = self.tally.read(self.slot)
        if self.kind == "full" and through + size <= self.after_bytes:
            self.tally.write(self.slot, seen, fired, through + size)
            return False
        return self.hits()

    def hits(self) -> bool:
        """Count, and tell whether it is the fault's turn."""
        seen, fired, through = self.tally.read(self.slot)
        hit = self._is_due(seen, fired)
        self.tally.write(self.slot, seen + 1, fired + hit, through)
        return hit

    def room(self, path: str, size: int) -> int:
        """How many of `size` bytes a disk that fills up still takes; nothing is counted."""
        seen, fired, through = self.tally.read(self.slot)
        if self.kind != "full" or not self._covers(path) or not self._is_due(seen, fired):
            return size
        return min(size, max(0, self.after_bytes - through))

    def _is_due(self, seen: int, fired: int) -> bool:
        return seen >= self.skip and (self.times is None or fired < self.times)

    def _covers(self, path: str) -> bool:
        return fnmatchcase(path, self.on) or fnmatchcase(path.rpartition("/")[2], self.on)


class Faults:
    """A plan of failures. Each method plans one and returns it; `fired` counts all strikes.

    Every method takes skip= (how many matching operations pass first, 0) and times= (how often it
    strikes; None, the default, means always).

    Parameters
    ----------
    fuse : bool
        Whether the Drive is the FUSE mount, which alone can have stale listings, torn writes and
        late visibility.
    mounts : bool
        Whether a google.colab mounts it: then drive.mount() can fail.
    tally : Tally, optional
        Where strikes are counted: in a file, where another process strikes.
    changed : callable, optional
        Called when the plan changes.
    sleep : callable
        Waits for `slow`.

    Examples
    --------
    >>> faults = Faults()
    >>> full = faults.full(after_bytes=10)
    >>> faults.at("write", "MyDrive/a.txt", 8)
    >>> faults.at("write", "MyDrive/a.txt", 8)
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'MyDrive/a.txt'
    >>> full.fired
    1
    """

    def __init__(
        self,
        *,
        fuse: bool = False,
        mounts: bool = True,
        tally: Tally | None = None,
        changed: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.fuse, self.mounts, self.tally = fuse, mounts, tally or Tally()
        self._changed, self._sleep = changed, sleep
        self.planned: list[Fault] = []  # those that can still strike
        self._all: list[Fault] = []
        self._lock = threading.Lock()

    # at drive.mount()
    def consent_denied(self, **when: Unpack[When]) -> Fault:
        """Somebody refuses the consent, as by closing the pop-up: MessageError."""
        return self._plan("consent_denied", **when)

    def consent_unanswered(self, **when: Unpack[When]) -> Fault:
        """Nobody answers the question for consent (VS Code): ValueError("mount failed")."""
        return self._plan("consent_unanswered", **when)

    def root_timeout(self, **when: Unpack[When]) -> Fault:
        """My Drive's top level cannot be read in time: a ValueError."""
        return self._plan("root_timeout", **when)

    def mount_timeout(self, **when: Unpack[When]) -> Fault:
        """Drive's program says nothing: pexpect's TIMEOUT."""
        return self._plan("mount_timeout", **when)

    def policy(self, **when: Unpack[When]) -> Fault:
        """The account's administrator has switched Drive off: a ValueError."""
        return self._plan("policy", **when)

    # at files
    def drops(self, on: str = "*", **when: Unpack[When]) -> Fault:
        """Drive's program is gone: errno 107."""
        return self._plan("drops", on, **when)

    def io_error(self, on: str = "*", *, number: int = errno.EIO, **when: Unpack[When]) -> Fault:
        """Input/output error, errno 5: Drive gives it after too many reads of a file."""
        return self._plan("io_error", on, number=number, **when)

    def full(self, after_bytes: int = 0, on: str = "*", **when: Unpack[When]) -> Fault:
        """No space is left, errno 28, once so many more bytes are written."""
        return self._plan("full", on, after_bytes=after_bytes, **when)

    def quota(self, on: str = "*", **when: Unpack[When]) -> Fault:
        """The account's quota is used up: errno 122 for every file that would grow."""
        return self._plan("quota", on, **when)

    def read_only(self, on: str = "*", **when: Unpack[When]) -> Fault:
        """Nothing can be changed: errno 30."""
        return self._plan("read_only", on, **when)

    def slow(self, seconds: float, on: str = "*", **when: Unpack[When]) -> Fault:
        """Each operation takes so many seconds longer."""
        return self._plan("slow", on, seconds=seconds, **when)

    # at files of the FUSE mount
    def stale_listing(self, on: str = "*", **when: Unpack[When]) -> Fault:
        """Folders list what they held when this was planned."""
        return self._plan("stale_listing", on, **when)

    def torn_write(self, on: str = "*", **when: Unpack[When]) -> Fault:
        """Drive keeps the first half of each write, and reports success."""
        return self._plan("torn_write", on, **when)

    def late_visibility(self, seconds: float = 5.0, on: str = "*", **when: Unpack[When]) -> Fault:
        """New files can be written, but nobody finds them for so many seconds."""
        return self._plan("late_visibility", on, seconds=seconds, **when)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kinds = [*_ERRNO, *MOUNTING, *FUSE_ONLY, "io_error", "slow"]
            near = difflib.get_close_matches(name, kinds, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(kinds)}"
            raise AttributeError(f"There is no fault {name!r}: {hint}", name=name, obj=self)

    def clear(self, *faults: Fault) -> None:
        """End these faults, or all if none is named; their counts stay."""
        with self._lock:
            self.planned[:] = [fault for fault in self.planned if faults and fault not in faults]
        self._changed()

    @property
    def fired(self) -> int:
        """How often all faults have struck, cleared ones included."""
        return sum(fault.fired for fault in self._all)

    def at(
        self, operation: str, path: str, size: int = 0, to: str | None = None, *, heard: bool = True
    ) -> None:
        """Fail, or wait, where the plan says so.

        Parameters
        ----------
        operation : str
            One of OPERATIONS.
        path : str
            From the mountpoint.
        size : int
            Bytes that are to be written.
        to : str, optional
            The other end of a rename, which counts once.
        heard : bool
            False where nobody would learn of a failure that passes: only one that lasts (no
            `times`) strikes.

        Raises
        ------
        OSError
            The first failure that strikes. Failures planned after it do not count the operation.
        """
        for fault in self._striking(operation, path, size, to, heard):
            if fault.kind == "slow":
                self._sleep(fault.seconds)
            else:
                raise OSError(fault.number, os.strerror(fault.number), path)

    def _striking(
        self, operation: str, path: str, size: int, to: str | None, heard: bool
    ) -> list[Fault]:
        struck: list[Fault] = []
        with self._lock:
            for fault in self.planned:
                if fault.kind in FUSE_ONLY or fault.kind in MOUNTING:
                    continue
                is_slow = fault.kind == "slow"
                counts = heard or is_slow or fault.times is None
                if counts and fault.strikes(operation, path, size, to):
                    struck.append(fault)
                    if not is_slow:
                        break
        return struck

    def fits(self, path: str, size: int) -> int:
        """How many of `size` bytes to write before a planned full disk strikes.

        The kernel writes those first and reports the error at the next write. The answer is never
        0: when nothing fits any more, all bytes are tried, and `at` fails.
        """
        with self._lock:
            return min((fault.room(path, size) for fault in self.planned), default=size) or size

    def bends(self, kind: str, operation: str, path: str) -> Fault | None:
        """The fault of a kind in FUSE_ONLY that strikes here, if one does."""
        return self._first((kind,), lambda fault: fault.strikes(operation, path))

    def at_mount(self, *kinds: str) -> Fault | None:
        """The fault of these kinds that strikes a mount now; of all MOUNTING, if none is named."""
        return self._first(kinds or MOUNTING, Fault.hits)

    def _first(self, kinds: Collection[str], strikes: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            ours = (fault for fault in self.planned if fault.kind in kinds)
            return next((fault for fault in ours if strikes(fault)), None)

    def as_json(self) -> str:
        """The plan for another process, which counts in the same tally."""
        with self._lock:
            rows = [{**vars(fault)} for fault in self.planned]
        for row in rows:
            del row["tally"]
        return json.dumps(rows)

    def take(self, plan: str) -> None:
        """Take over the plan that `as_json` wrote in another process."""
        planned = [Fault(**row, tally=self.tally) for row in json.loads(plan)]
        with self._lock:
            self.planned[:] = planned

    def _plan(self, kind: str, on: str = "*", **values: Any) -> Fault:
        if kind in FUSE_ONLY and not self.fuse:
            raise DriveError(
                f"{kind}() cannot be planned for a folder.",
                "a folder shows at once what is written to it",
                "use the fixture fuse_drive: its faults can do that",
            )
        if kind in MOUNTING and not self.mounts:
            raise DriveError(
                f"{kind}() cannot be planned here.",
                "it strikes in google.colab's drive.mount(), and this test has no google.colab",
                "let the test have the fixture fake_colab too",
            )
        number = values.pop("number", _ERRNO.get(kind, 0))
        place, slot = on.replace("My Drive", "MyDrive"), len(self._all)
        if slot == Tally.SLOTS:
            raise DriveError(
                f"{slot} faults were planned.", "no more are counted", "make another Faults()"
            )
        fault = Fault(kind=kind, on=place, number=number, slot=slot, tally=self.tally, **values)
        with self._lock:
            self._all.append(fault)
            self.planned.append(fault)
        self._changed()
        return fault
