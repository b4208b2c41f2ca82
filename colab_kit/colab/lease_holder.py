"""Who holds a lease: a session, that is a process of a machine, and when it was last heard."""

from __future__ import annotations

import json
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ..system.hardware import host
from ..system.runtime import place

FRESH = 180.0  # s; three beats of a lease: who was not heard for so long is gone
SKEW = 3600.0  # s that another machine's clock may be ahead
# Bytes as a file: always as many, so that one write replaces the last and no moment is empty.
SIZE = 1024


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
            content, touched = path.read_bytes(), path.stat().st_mtime
        except FileNotFoundError:
            return None
        with suppress(ValueError, TypeError):
            holder = cls(**json.loads(content))
            holder.since + holder.beat + holder.pid  # TypeError unless they are numbers
            return holder
        return cls("", "", 0, "", "an unknown session (its lease is damaged)", touched, touched)

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
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
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
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
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
