"""Faults: Drive's failures on cue. One plan for both bodies of the stand-in; each fault counts how often it fired."""

from __future__ import annotations

import difflib
import errno
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ..errors import DriveError
from .tally import Tally as Tally

CHANGING = frozenset(
    {"create", "write", "truncate", "mkdir", "rmdir", "rename", "unlink", "attributes"}
)
OPERATIONS = CHANGING | {"open", "read", "list", "stat", "flush", "free"}
_ERRNO = {
    "drops": errno.ENOTCONN,
    "full": errno.ENOSPC,
    "quota": errno.EDQUOT,
    "read_only": errno.EROFS,
}
_REACH = {
    "full": frozenset({"write"}),
    "quota": frozenset({"create", "write"}),
    "read_only": CHANGING,
}  # operations; all, if not named
MOUNTING = ("consent_denied", "consent_unanswered", "root_timeout", "mount_timeout", "policy")
FUSE_ONLY = {  # kind: the operations it bends
    "stale_listing": frozenset({"list"}), "torn_write": frozenset({"write"}), "late_visibility": frozenset({"create"}),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One planned failure.

    kind : the method of Faults that planned it
    on : glob of the paths it hits, relative to the mountpoint ("MyDrive/runs/*") or a bare name ("*.csv")
    skip : how many matching operations pass first; times : how often it fires, None for always
    seconds : of delay; after_bytes : how many bytes may still be written; number : errno
    """

    kind: str
    on: str
    skip: int
    times: int | None
    seconds: float
    after_bytes: int
    number: int
    slot: int
    tally: Tally = field(repr=False, compare=False)

    @property
    def fired(self) -> int:
        """How often it has struck."""
        return self.tally.read(self.slot)[1]

    def strikes(self, operation: str, path: str, size: int = 0, to: str | None = None) -> bool:
        """Whether it hits this operation; counts. `to` is where a rename leads: one operation, hit at either end."""
        if operation not in FUSE_ONLY.get(self.kind, _REACH.get(self.kind, OPERATIONS)):
            return False
        if not (self._covers(path) or to is not None and self._covers(to)):
            return False
        seen, fired, through = self.tally.read(self.slot)
        if self.kind == "full" and through + size <= self.after_bytes:
            self.tally.write(self.slot, seen, fired, through + size)
            return False
        return self.hits()

    def hits(self) -> bool:
        """Whether it is its turn; counts."""
        seen, fired, through = self.tally.read(self.slot)
        hit = seen >= self.skip and (self.times is None or fired < self.times)
        self.tally.write(self.slot, seen + 1, fired + hit, through)
        return hit

    def room(self, path: str, size: int) -> int:
        """Of `size` bytes to be written, how many a disk that is filling up still takes; counts nothing."""
        if self.kind != "full" or not self._covers(path):
            return size
        seen, fired, through = self.tally.read(self.slot)
        would = seen >= self.skip and (self.times is None or fired < self.times)
        return min(size, max(0, self.after_bytes - through)) if would else size

    def _covers(self, path: str) -> bool:
        return fnmatchcase(path, self.on) or fnmatchcase(path.rpartition("/")[2], self.on)


class Faults:
    """A plan of failures. Each method plans one and returns it; `fired` counts what has struck.

    Parameters
    ----------
    fuse : bool
        Whether the body is the FUSE mount: stale listings, torn writes and late visibility need one.
    mounts : bool
        Whether a google.colab mounts it, whose mount() can fail.
    tally : Tally, optional
        Where strikes are counted; a file's, where another process strikes.
    changed : callable, optional
        Told when the plan changes.

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
        changed: Callable[[], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.fuse, self.mounts, self.tally, self.changed, self._sleep = (
            fuse,
            mounts,
            tally or Tally(),
            changed,
            sleep,
        )
        self.planned: list[Fault] = []  # those that can still strike
        self._all: list[Fault] = []
        self._lock = threading.Lock()

    # at drive.mount()
    def consent_denied(self, *, skip: int = 0, times: int | None = None) -> Fault:
        """Refuse the consent, as a closed pop-up does: MessageError."""
        return self._plan("consent_denied", skip=skip, times=times)

    def consent_unanswered(self, *, skip: int = 0, times: int | None = None) -> Fault:
        """Nobody answers the question for consent (VS Code, `colab run`): ValueError("mount failed")."""
        return self._plan("consent_unanswered", skip=skip, times=times)

    def root_timeout(self, *, skip: int = 0, times: int | None = None) -> Fault:
        """My Drive's top level cannot be read in time: its ValueError."""
        return self._plan("root_timeout", skip=skip, times=times)

    def mount_timeout(self, *, skip: int = 0, times: int | None = None) -> Fault:
        """Drive's program says nothing: pexpect's TIMEOUT."""
        return self._plan("mount_timeout", skip=skip, times=times)

    def policy(self, *, skip: int = 0, times: int | None = None) -> Fault:
        """The account's administrator has switched Drive off: its ValueError."""
        return self._plan("policy", skip=skip, times=times)

    # at files
    def drops(self, on: str = "*", *, skip: int = 0, times: int | None = None) -> Fault:
        """Drive's program is gone: errno 107."""
        return self._plan("drops", on, skip, times)

    def io_error(
        self, on: str = "*", *, skip: int = 0, times: int | None = None, number: int = errno.EIO
    ) -> Fault:
        """Input/output error, errno 5: what too many reads of a file end in."""
        return self._plan("io_error", on, skip, times, number=number)

    def full(
        self, after_bytes: int = 0, on: str = "*", *, skip: int = 0, times: int | None = None
    ) -> Fault:
        """No space left, errno 28, once so many more bytes are written."""
        return self._plan("full", on, skip, times, after_bytes=after_bytes)

    def quota(self, on: str = "*", *, skip: int = 0, times: int | None = None) -> Fault:
        """The account's quota is used up: errno 122 for whatever would grow."""
        return self._plan("quota", on, skip, times)

    def read_only(self, on: str = "*", *, skip: int = 0, times: int | None = None) -> Fault:
        """Nothing may be changed: errno 30."""
        return self._plan("read_only", on, skip, times)

    def slow(
        self, seconds: float, on: str = "*", *, skip: int = 0, times: int | None = None
    ) -> Fault:
        """Each operation takes so much longer."""
        return self._plan("slow", on, skip, times, seconds=seconds)

    # at files of the FUSE body
    def stale_listing(self, on: str = "*", *, skip: int = 0, times: int | None = None) -> Fault:
        """Folders list what they held when this was planned."""
        return self._plan("stale_listing", on, skip, times)

    def torn_write(self, on: str = "*", *, skip: int = 0, times: int | None = None) -> Fault:
        """Of each write only the first half is kept, and success is reported."""
        return self._plan("torn_write", on, skip, times)

    def late_visibility(
        self, seconds: float = 5.0, on: str = "*", *, skip: int = 0, times: int | None = None
    ) -> Fault:
        """New files can be written, but are neither listed nor found by name for so long."""
        return self._plan("late_visibility", on, skip, times, seconds=seconds)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kinds = [*_ERRNO, *MOUNTING, *FUSE_ONLY, "io_error", "slow"]
            near = difflib.get_close_matches(name, kinds, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(kinds)}"
            raise AttributeError(f"There is no fault {name!r}: {hint}", name=name, obj=self)

    def clear(self, *faults: Fault) -> None:
        """End these faults, all if none is named; what they counted stays."""
        with self._lock:
            self.planned[:] = [fault for fault in self.planned if faults and fault not in faults]
        self._tell()

    @property
    def fired(self) -> int:
        """How often any fault has struck, those cleared included."""
        return sum(fault.fired for fault in self._all)

    def at(
        self,
        operation: str,
        path: str,
        size: int = 0,
        *,
        to: str | None = None,
        swallowed: bool = False,
    ) -> None:
        """Fail, or wait, where the plan says so.

        Parameters
        ----------
        path : str
            Relative to the mountpoint; `to` is the other end of a rename, which counts once.
        size : int
            What would be written, bytes.
        swallowed : bool
            Nobody would learn of a failure that passes: only one that lasts (no `times`) strikes.

        Raises
        ------
        OSError
            The first failure that strikes; what was planned after it is not asked.
        """
        for fault in self._striking(operation, path, size, to, swallowed):
            if fault.kind == "slow":
                self._sleep(fault.seconds)
            else:
                raise OSError(fault.number, os.strerror(fault.number), path)

    def fits(self, path: str, size: int) -> int:
        """How many of `size` bytes to write before a planned full disk strikes: the kernel writes those, then reports the error.

        0 is never said: when nothing fits any more, all are tried, and `at` fails.
        """
        with self._lock:
            return min((fault.room(path, size) for fault in self.planned), default=size) or size

    def bends(self, kind: str, operation: str, path: str) -> Fault | None:
        """The fault of FUSE_ONLY's `kind` that strikes here, if one does."""
        with self._lock:
            return next(
                (
                    fault
                    for fault in self.planned
                    if fault.kind == kind and fault.strikes(operation, path)
                ),
                None,
            )

    def at_mount(self, *kinds: str) -> Fault | None:
        """The fault, of these kinds of MOUNTING (all, if none is named), that a mount meets now, if one does."""
        with self._lock:
            return next(
                (
                    fault
                    for fault in self.planned
                    if fault.kind in (kinds or MOUNTING) and fault.hits()
                ),
                None,
            )

    def as_json(self) -> str:
        """The plan for another process, which counts in the same tally."""
        keys = ("kind", "on", "skip", "times", "seconds", "after_bytes", "number", "slot")
        with self._lock:
            return json.dumps(
                [{key: getattr(fault, key) for key in keys} for fault in self.planned]
            )

    def take(self, plan: str) -> None:
        """Take over the plan that `as_json` wrote in another process."""
        planned = [Fault(**row, tally=self.tally) for row in json.loads(plan)]
        with self._lock:
            self.planned[:] = planned

    def _striking(
        self, operation: str, path: str, size: int, to: str | None, swallowed: bool
    ) -> list[Fault]:
        struck: list[Fault] = []
        with self._lock:
            for fault in self.planned:
                asked = fault.kind not in FUSE_ONLY and fault.kind not in MOUNTING
                asked = asked and not (
                    swallowed and fault.times is not None and fault.kind != "slow"
                )
                if asked and fault.strikes(operation, path, size, to):
                    struck.append(fault)
                    if fault.kind != "slow":
                        break
        return struck

    def _plan(
        self, kind: str, on: str = "*", skip: int = 0, times: int | None = None, **more: Any
    ) -> Fault:
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
        if len(self._all) == Tally.SLOTS:
            raise DriveError(
                f"{Tally.SLOTS} faults were planned.",
                "no more are counted",
                "make another Faults()",
            )
        values = {"seconds": 0.0, "after_bytes": 0, "number": _ERRNO.get(kind, 0), **more}
        fault = Fault(
            kind,
            on.replace("My Drive", "MyDrive"),
            skip,
            times,
            slot=len(self._all),
            tally=self.tally,
            **values,
        )
        with self._lock:
            self._all.append(fault)
            self.planned.append(fault)
        self._tell()
        return fault

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed()
