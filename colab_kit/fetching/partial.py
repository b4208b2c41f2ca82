"""The part file: what has come of a file so far, which bytes, and of which version. It survives a kill, and two versions are never mixed.

cats.zip.part         the bytes, each where it belongs
cats.zip.part.json    which of them have come, and what the server calls this version
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import FetchError, NoSpace, Stopped
from ..system.files import cannot_write

LEAST = 4 << 20  # bytes: a smaller claim spends more on asking than on bytes
STEP = 1 << 20  # bytes hashed at a time


@dataclass(eq=False)
class Claim:
    """A stretch of the file that one connection brings: `at` moves from start to end; no end where the size is not known."""

    start: int
    at: int
    end: int | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    dead: bool = False  # seized: nothing more may be written


class Part:
    """A file on its way to `to`. Threads claim stretches of it, write and release them; another one hashes what is whole from the start.

    identity : which file this is meant to be, without secrets
    validator : what If-Range says: a strong ETag, or Last-Modified; "" where the server gives neither
    total : bytes, None where the server does not say
    digests : hashes of the first `hashed` bytes, sha256 and those asked for
    """

    def __init__(self, to: Path, identity: str, *, hashes: tuple[str, ...] = ()) -> None:
        self.to, self.identity = to, identity
        self.path, self.side = to.with_name(f"{to.name}.part"), to.with_name(f"{to.name}.part.json")
        self._kinds, self._file = {"sha256", *hashes}, -1
        self._lock, self._hashing = threading.Lock(), threading.Lock()
        self.version = 0  # counts the times that it began anew
        self.forget()

    def forget(self) -> None:
        """Count what has come for nothing; it is written over."""
        self.version += 1
        self.validator = ""
        self.total: int | None = None
        self.done: list[tuple[int, int]] = []  # stretches that have come, sorted and apart
        self.claims: list[Claim] = []
        self.hashed = 0
        self.digests = {kind: hashlib.new(kind, usedforsecurity=False) for kind in self._kinds}

    def restore(self) -> bool:
        """Take up what an earlier call left; whether there is something to go on from."""
        try:
            said = json.loads(self.side.read_text())
            done = [(int(a), int(b)) for a, b in said["done"]]
            total, size = int(said["total"]), self.path.stat().st_size
            right = (
                said["identity"] == self.identity
                and said["boot"] in (boot(), "")
                and isinstance(said["validator"], str)
            )
            apart = all(0 <= a < b <= total for a, b in done) and _merged(done) == done
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if not (right and apart and done and size == total):
            return False
        self.validator, self.total, self.done = said["validator"], total, done
        return True

    def open(self) -> None:
        """Open what restore() found, to go on."""
        if self._file < 0 and self.total is not None:
            self._file = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))

    def begin(self, validator: str, total: int | None) -> None:
        """Start a version from nothing."""
        self.close()
        self.forget()
        self.validator, self.total = validator, total
        try:
            self._file = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666
            )
            os.ftruncate(self._file, total or 0)
            self.save()
        except OSError as err:
            raise unwritable(self.path, err) from err

    @property
    def gap(self) -> int:
        """The first byte that is missing."""
        return self.done[0][1] if self.done and self.done[0][0] == 0 else 0

    def claim(self, connections: int | None = None) -> Claim | None:
        """The next stretch to bring, in the order of the file; None: all of it.

        With several connections it is smaller towards the end, so that they end together.
        """
        with self._lock:
            if self.total is None and self.claims:
                return None
            taken = sorted(
                [
                    *self.done,
                    *((c.start, self.total if c.end is None else c.end) for c in self.claims),
                ],
                key=lambda ends: ends[0],
            )
            at, gaps = 0, []
            for start, end in [*taken, (self.total, self.total)]:
                if start is None or start > at:
                    gaps.append((at, start))
                at = max(at, end or 0)
            if not gaps:
                return None
            start, end = gaps[0]
            if end is not None and connections is not None:
                missing = sum(b - a for a, b in gaps if b is not None)
                end = min(end, start + max(LEAST, missing // (2 * connections)))
            self.claims.append(found := Claim(start, start, end))
            return found

    def shorten(self, claim: Claim, connections: int) -> None:
        """Leave the far part of a claim to others."""
        with self._lock:
            if claim.end is not None:
                claim.end = min(
                    claim.end, claim.at + max(LEAST, (claim.end - claim.at) // (2 * connections))
                )

    def write(self, claim: Claim, chunk: bytes) -> None:
        """Put bytes where the claim is, and move it on; who is at the front hashes them too.

        Raises
        ------
        Stopped
            The claim was seized.
        FetchError
            The disk does not take them.
        """
        view, at = memoryview(chunk), claim.at
        with claim.lock:
            if claim.dead:
                raise Stopped(f"{self.to.name} is no longer waited for.")
            try:
                while view:
                    n = os.pwrite(self._file, view, at)
                    view, at = view[n:], at + n
            except OSError as err:
                raise unwritable(self.path, err) from err
            if self._hashing.acquire(blocking=False):
                try:
                    if self.hashed == claim.at:
                        self._update(chunk)
                finally:
                    self._hashing.release()
            claim.at = at

    def release(self, claim: Claim) -> None:
        """Give up a claim; what it has brought counts."""
        with self._lock:
            if claim in self.claims:
                self.claims.remove(claim)
                self.done = _merged([*self.done, (claim.start, claim.at)])

    def ended(self, claim: Claim) -> None:
        """The server said no size, and the file ends where the claim is."""
        self.total = claim.end = claim.at

    def seize(self) -> None:
        """Take all claims back: whoever has one writes no more."""
        for claim in list(self.claims):
            with claim.lock:
                claim.dead = True
            self.release(claim)

    def _came(self) -> list[tuple[int, int]]:
        return _merged([*self.done, *((c.start, c.at) for c in self.claims)])

    @property
    def have(self) -> int:
        """Bytes that have come."""
        with self._lock:
            return sum(b - a for a, b in self._came())

    @property
    def front(self) -> int:
        """Bytes that have come without a gap from the start."""
        with self._lock:
            came = self._came()
        return came[0][1] if came and came[0][0] == 0 else 0

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.total is not None and self.front == self.total

    def hash_on(self, most: int | None = None) -> None:
        """Hash what has come without a gap, at most `most` bytes of it."""
        stop = self.front if most is None else min(self.front, self.hashed + most)
        while self.hashed < stop:
            with self._hashing:
                if (
                    not (
                        chunk := os.pread(
                            self._file, min(STEP, max(0, stop - self.hashed)), self.hashed
                        )
                    )
                    and self.hashed < stop
                ):
                    return  # somebody cut the file
                self._update(chunk)

    def _update(self, chunk: bytes) -> None:
        for digest in self.digests.values():
            digest.update(chunk)
        self.hashed += len(chunk)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes that have come."""
        return os.pread(self._file, size, offset) if size else b""

    def save(self, *, to_disk: bool = False) -> None:
        """Write down what has come; `to_disk`: so that it holds after the machine was switched off, too."""
        if self.total is None or self._file < 0:
            return  # it could not be gone on from
        with self._lock:
            said: dict[str, Any] = {
                "identity": self.identity,
                "validator": self.validator,
                "total": self.total,
                "done": self._came(),
            }
        if to_disk:
            os.fsync(self._file)
        beside = self.side.with_name(f".{self.side.name}.part")
        beside.write_text(json.dumps({**said, "boot": "" if to_disk else boot()}))
        os.replace(beside, self.side)

    def leave(self, *, good: bool = True) -> None:
        """Close it as it is, for a later call; what nobody can go on from, or is not `good`, is thrown away."""
        if self._file < 0:
            return
        if good and self.total is not None and self.have:
            with suppress(OSError):  # a full disk: what was saved last still holds
                self.save(to_disk=True)
            self.close()
        else:
            self.drop()

    def finish(self) -> Path:
        """Give the file its name."""
        self.close()
        os.replace(self.path, self.to)
        self.side.unlink(missing_ok=True)
        return self.to

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def drop(self) -> None:
        """Throw away what has come; who reads it is told by the version before the file is closed."""
        self.version += 1
        self.close()
        for path in (self.path, self.side):
            with suppress(OSError):
                path.unlink(missing_ok=True)  # not emptied: who copies it to Drive has it open


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        elif end > start:
            merged.append((start, end))
    return merged


def unwritable(path: Path, err: OSError) -> FetchError:
    """What to say of a file or folder that cannot be written."""
    said = cannot_write(path, err)
    fix = (
        "free some room, or give to= a folder on another disk"
        if said.why == "the disk is full"
        else "give to= a folder that can be written"
    )
    return (NoSpace if said.why == "the disk is full" else FetchError)(said.what, said.why, fix)


def boot() -> str:
    """Which start of this machine this is: what was written before another one may never have reached the disk."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
