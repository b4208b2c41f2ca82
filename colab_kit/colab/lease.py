"""The lease on a run's folder on Drive: two tabs are two machines, and one of them writes.

lease.json lies in the folder and is written over in place, never renamed: what is renamed over goes
to Drive's Trash. One thread makes all file calls, so a Drive that hangs costs a wait with an end,
and never the training.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import RunInUse
from ..events import Event, Note
from ..system.files import Shelf, throw_away
from ..system.hardware import host
from ..system.locks import one_writer
from ..system.runtime import place
from .reading import ground, make_folder, there

NAME = "lease.json"
BEAT = 60.0  # s between two signs of life
PATIENCE = 20.0  # s that Drive may take to answer at the start, and again at the end
_NOTHING = "nothing keeps a second machine from this run"

Wait = Callable[[threading.Event, float], bool]


class Lease:
    """One session's hold on one folder.

    Parameters
    ----------
    folder : Path
        On Drive; made with the lease.
    lost : callable(why)
        Called from another thread when another session has taken over.
    session : str, optional
        Who holds it; this process, if None.
    every, patience : float, s
    clock : callable
        Seconds since 1970.
    wait : callable(event, seconds) -> bool
        Waits for the end of the lease; a test's may tick.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lost: Callable[[str], None] = lambda reason: None,
        session: str | None = None,
        every: float = BEAT,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
        wait: Wait = threading.Event.wait,
    ) -> None:
        self.folder, self.me = folder, Holder.me(clock(), session)
        self.reason = ""  # why it was lost
        self._lost, self._every, self._patience = lost, every, patience
        self._clock, self._wait = clock, wait
        self._refused: RunInUse | None = None
        # For who takes and gives back: a callback must not run in the thread.
        self._notes: list[Note] = []
        self._noted: set[str] = set()
        self._ground: Path | None = None
        self._new: bool | None = None  # whether the folder was made with the lease
        self._end, self._taken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._live, name="lease", daemon=True)

    def take(self) -> None:
        """Take the folder and keep it. A Drive that cannot be written is a Note.

        Raises
        ------
        RunInUse
            Another session holds it.
        """
        self._thread.start()
        if not self._taken.wait(self._patience):
            self._taken.set()
            self._note(f"Drive does not answer: until it does, {_NOTHING}.")
        if self._refused is not None:
            raise self._refused

    def give_back(self) -> None:
        """Say that the folder is free; within `patience`, whatever Drive does."""
        self._end.set()
        if self._thread.ident is not None:
            with suppress(KeyboardInterrupt):  # whoever interrupts this wait still gets the run
                self._thread.join(self._patience)

    def say(self, emit: Callable[[Event], None]) -> None:
        """Emit the Notes since the last call."""
        while self._notes:
            emit(self._notes.pop(0))

    def _live(self) -> None:
        """The thread: take, beat, give back."""
        self._try(self._beat)
        self._taken.set()
        while not self.reason and not self._wait(self._end, self._every):
            self._try(self._beat)
        if not self.reason:
            self._try(self._release)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as err:  # whatever it is, the thread that guards the run lives on
            reason = getattr(err, "strerror", None) or f"{type(err).__name__}: {err}"
            lease = f"The lease in {self.folder} cannot be kept ({reason})"
            self._note(f"{lease}: {_NOTHING}. It goes on.")

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._notes.append(Note(text, "warn"))

    def _beat(self) -> None:
        now, other = self._clock(), self._other()
        if other is not None and other.heard(now):
            self._lose(other, now)
            return
        if other is not None:
            last = time.strftime("%Y-%m-%d %H:%M", time.localtime(other.beat))
            holder = f"{other.words} held this run and was last heard of at {last}"
            self._note(f"{holder}: it is taken over.")
        self._ground = self._ground or ground(self.folder)
        new = make_folder(self.folder, self._ground)
        self._new = new if self._new is None else self._new
        self._write(now)

    def _other(self) -> Holder | None:
        """Another session that has not given the folder back, and that may live."""
        holder = Holder.at(self.folder / NAME)
        if holder is None or holder.released or holder.session == self.me.session:
            return None
        if not holder.session and self._taken.is_set():
            return None  # damaged while it was ours: Drive's doing, which must not end a run
        return None if holder.gone() else holder

    def _lose(self, other: Holder, now: float) -> None:
        self.reason = f"taken over by {other.words}"
        if not self._taken.is_set():  # nothing was trained yet
            self._refused = in_use(self.folder, other, now)
            return
        since = "What was trained here since is on this machine alone."
        self._note(f"The run was {self.reason} at {_time(other.since)}. {since}")
        self._lost(self.reason)

    def _write(self, now: float, *, released: bool = False) -> None:
        path, me = self.folder / NAME, dataclasses.replace(self.me, beat=now, released=released)
        new, content = not there(path), me.as_bytes()
        try:
            with open(path, "wb" if new else "r+b", buffering=0) as file:
                if file.write(content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                file.truncate()
        except OSError:
            # A full Drive makes a file and takes no byte: for three minutes that would be the
            # lease of an unknown session.
            if new:
                path.unlink(missing_ok=True)
            raise

    def _release(self) -> None:
        path = self.folder / NAME
        holder = Holder.at(path)
        if holder is None or holder.session != self.me.session:
            return
        if self._new and os.listdir(self.folder) == [NAME]:  # nothing came of the run
            throw_away(path)
            self.folder.rmdir()
        else:
            self._write(self._clock(), released=True)


@contextmanager
def hold_lease(
    folder: Path | None, *, emit: Callable[[Event], None], lost: Callable[[str], None], **more: Any
) -> Iterator[Lease | None]:
    """Hold the folder for the block; without a Drive there is none to hold. `more` as for Lease.

    Raises
    ------
    RunInUse
        Another session holds it.
    """
    if folder is None:
        yield None
        return
    lease = Lease(folder, lost=lost, **more)
    try:
        lease.take()
        lease.say(emit)
        yield lease
    finally:
        lease.give_back()
        lease.say(emit)


@contextmanager
def sole_writer(
    folder: Path,
    kept: Path | None,
    make_way: Callable[[], None],
    *,
    emit: Callable[[Event], None],
    lost: Callable[[str], None],
) -> Iterator[Lease | None]:
    """Hold a run's folder against other processes, and that of its copies against other machines.

    Parameters
    ----------
    kept : Path, optional
        The folder of its copies.
    make_way : callable
        Called before the block with both held; it may move the folder aside, which takes its lock
        along.
    """
    with ExitStack() as leases:
        with one_writer(folder):
            lease = leases.enter_context(hold_lease(kept, emit=emit, lost=lost))
            make_way()
        # The lease is given back before the lock: who waits for that finds both free.
        with one_writer(folder), leases.pop_all():
            yield lease


class Guarded:
    """A run's shelf for as long as its lease is held.

    The copies of a run that was taken over are another session's.
    """

    def __init__(self, shelf: Shelf, lease: Lease) -> None:
        self.shelf, self.lease = shelf, lease
        self.find, self.news, self.forget = shelf.find, shelf.news, shelf.forget

    def push(self, path: Path, name: str) -> bool:
        return not self.lease.reason and self.shelf.push(path, name)

    def close(
        self, timeout: float | None = None, emit: Callable[[Event], None] | None = None
    ) -> bool:
        return not self.lease.reason and self.shelf.close(timeout, emit)


def in_use(folder: Path, other: Holder, now: float) -> RunInUse:
    """The three sentences of a run that another session writes."""
    heard = f"{_time(other.beat)}, {max(0.0, now - other.beat):.0f} s ago"
    after = _time(math.ceil((other.beat + FRESH) / 60) * 60)
    return RunInUse(
        f"Run {folder.name} is being written by another session.",
        f"{other.words} has had it since {_time(other.since)} and was last heard of at {heard}",
        f"stop it there; or, if that machine is gone, run the cell again after {after}; or give "
        "this one another name=",
    )


def _time(seconds: float) -> str:
    return time.strftime("%H:%M", time.localtime(seconds))


FRESH = 180.0  # s; three beats of a lease: who was not heard for so long is gone
SKEW = 3600.0  # s that another machine's clock may be ahead
# Bytes as a file: always as many, so that one write replaces the last and no moment is empty.
SIZE = 1024
MOST = 16 * SIZE  # bytes; what is longer is no lease
LATEST = 253_370_764_800.0  # s since 1970: the year 9999, the last that a calendar knows
PIDS = range(1, 1 << 32)


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    session : of a process
    machine : boot id, host name and process space
    pid, born : the process, and when it started, in the system's own words
    words : where it runs, for a person
    since, beat : when it took the lease, and when it was last heard; seconds since 1970
    """

    session: str
    machine: str
    pid: int
    born: str
    words: str
    since: float
    beat: float
    released: bool = False

    @classmethod
    def me(cls, now: float, session: str | None = None) -> Holder:
        """This process."""
        pid = os.getpid()
        words = f"{place(host())[0]} on {socket.gethostname()} (process {pid})"
        return cls(session or SESSION, machine(), pid, born(pid), words, now, now)

    @classmethod
    def at(cls, path: Path) -> Holder | None:
        """What a lease says. One that cannot be understood is somebody's, as old as its file.

        Raises
        ------
        OSError
            Drive cannot be read.
        """
        try:
            with open(path, "rb") as file:
                content, touched = file.read(MOST + 1), os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        with suppress(ValueError, TypeError, RecursionError):
            holder = cls(**json.loads(content))
            if len(content) <= MOST and holder.can_be():
                return holder
        touched = min(max(0.0, touched), LATEST)
        return cls("", "", 0, "", "an unknown session (its lease is damaged)", touched, touched)

    def can_be(self) -> bool:
        """Whether each field is of its kind, and each time one of a calendar."""
        words = (self.session, self.machine, self.born, self.words)
        times = (self.since, self.beat)
        return (
            all(type(word) is str for word in words)
            and type(self.released) is bool
            and (type(self.pid) is int and self.pid in PIDS)
            and all(type(time) in (int, float) and 0 <= time <= LATEST for time in times)
        )

    def as_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode().ljust(SIZE)

    def gone(self) -> bool:
        """Whether it was a process of this machine that is no more."""
        return self.machine == machine() and born(self.pid) != self.born

    def heard(self, now: float) -> bool:
        """Whether its last sign of life is recent. A clock may be ahead, up to SKEW."""
        return -SKEW < now - self.beat < FRESH


def machine() -> str:
    """This machine, until it is started again."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        space = os.readlink("/proc/self/ns/pid")  # each container counts its processes apart
    except OSError:
        boot, space = str(uuid.getnode()), ""
    return f"{boot} {socket.gethostname()} {space}".strip()


def born(pid: int) -> str:
    """When a process started; "" if it is not there.

    One that was killed and waits for its parent is not there.
    """
    if os.path.exists("/proc/self/stat"):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            fields = stat.rpartition(")")[2].split()
        except OSError:
            return ""
        # Ticks since the machine's start: a clock that is set changes nothing.
        return "" if fields[0] in "ZX" else fields[19]
    import psutil  # macOS, Windows

    with suppress(psutil.Error):
        return str(psutil.Process(pid).create_time())
    return ""


SESSION = uuid.uuid4().hex  # process state: who this process is


def _renew() -> None:
    global SESSION
    SESSION = uuid.uuid4().hex


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)  # a child is another session
