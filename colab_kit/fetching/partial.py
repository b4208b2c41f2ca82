"""The part file: which bytes of a file have come, and of which version.

It survives a kill, and two versions are never mixed.

cats.zip.part         the bytes, each where it belongs
cats.zip.part.json    which of them have come, and what the server calls this version
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ColabKitError, FetchError, NoSpace, RunError, Stopped
from ..system.files import cannot_write, in_home, parse, write_all
from ..system.sealed import read_short, sealed, unsealed

LEAST = 4 << 20  # bytes: a smaller claim spends more on asking than on bytes
STEP = 1 << 20  # bytes hashed at a time
MARGIN = 64 << 20  # bytes that stay free on the disk
# as bytes, and not what a link of its name leads to
_ITSELF = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(eq=False)
class Claim:
    """A stretch of the file that one connection brings: `at` moves from `start` to `end`.

    end : None where the size is not known
    dead : seized: nothing more may be written
    """

    start: int
    at: int
    end: int | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    dead: bool = False


class Part:
    """A file on its way to `to`.

    Threads claim stretches of it, write them and release them; another thread hashes what is whole
    from the start.

    identity : which file this is meant to be, without secrets
    version : what If-Range says: a strong ETag, or a date; "" where the server gives neither
    total : bytes, None where the server does not say it
    restarts : how often it was begun; who reads it sees by it that the bytes are others
    digests : hashes of the first `hashed` bytes, sha256 and those asked for
    """

    def __init__(self, to: Path, identity: str, *, hashes: tuple[str, ...] = ()) -> None:
        self.to, self.identity = to, identity
        self.path, self.side = to.with_name(f"{to.name}.part"), to.with_name(f"{to.name}.part.json")
        self._kinds, self._file = {"sha256", *hashes}, -1
        self._lock, self._hashing = threading.Lock(), threading.Lock()
        self.restarts = 0
        self.forget()

    def forget(self) -> None:
        """Count what has come for nothing; it is written over."""
        self.restarts += 1
        self.version = ""
        self.total: int | None = None
        self.done: list[tuple[int, int]] = []  # stretches that have come, sorted and apart
        self.claims: list[Claim] = []
        self.hashed = 0
        self.digests = {kind: hashlib.new(kind, usedforsecurity=False) for kind in self._kinds}

    def restore(self) -> bool:
        """Take up what an earlier call left; tell whether there is something to continue."""
        try:
            saved = unsealed(parse(read_short(self.side)), self.identity)
            done = [(int(a), int(b)) for a, b in saved["done"]]
            version, total, size = saved["version"], int(saved["total"]), self.path.stat().st_size
            mine = saved["boot"] in (boot(), "")
            apart = all(0 <= a < b <= total for a, b in done) and _merged(done) == done
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if not (mine and isinstance(version, str) and apart and done and size == total):
            return False
        self.version, self.total, self.done = version, total, done
        return True

    def open(self) -> None:
        """Open what restore() took up, to continue it."""
        if self._file < 0 and self.total is not None:
            self._file = os.open(self.path, os.O_RDWR | _ITSELF)

    def begin(self, version: str, total: int | None) -> None:
        """Start a version from nothing."""
        self.close()
        self.forget()
        self.version, self.total = version, total
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | _ITSELF
            self._file = os.open(self.path, flags, 0o666)
            os.ftruncate(self._file, total or 0)
            self.save()
        except OSError as err:
            raise unwritable(self.path, err) from err

    @property
    def gap(self) -> int:
        """The first byte that is missing."""
        return self.done[0][1] if self.done and self.done[0][0] == 0 else 0

    def claim(self, connections: int | None = None) -> Claim | None:
        """Give the next stretch to bring, in the order of the file; None: nothing is missing.

        With several connections it is smaller towards the end, so that they end together.
        """
        with self._lock:
            start, end = self.gap, self.total
            if end is not None:
                gaps = self._gaps(end)
                if not gaps:
                    return None
                start, end = gaps[0]
                if connections is not None:
                    missing = sum(b - a for a, b in gaps)
                    end = min(end, start + max(LEAST, missing // (2 * connections)))
            elif self.claims:
                return None
            self.claims.append(claim := Claim(start, start, end))
            return claim

    def _gaps(self, total: int) -> list[tuple[int, int]]:
        """List the stretches that have not come and that nobody has claimed."""
        claimed = [
            (claim.start, total if claim.end is None else claim.end) for claim in self.claims
        ]
        at, gaps = 0, []
        for start, end in [*sorted([*self.done, *claimed]), (total, total)]:
            if start > at:
                gaps.append((at, start))
            at = max(at, end)
        return gaps

    def shorten(self, claim: Claim, connections: int) -> None:
        """Leave the far part of a claim to others."""
        with self._lock:
            if claim.end is not None:
                share = max(LEAST, (claim.end - claim.at) // (2 * connections))
                claim.end = min(claim.end, claim.at + share)

    def write(self, claim: Claim, chunk: bytes) -> None:
        """Put bytes where the claim is, and move it on; who is at the front hashes them too.

        Raises
        ------
        Stopped
            The claim was seized.
        FetchError
            The disk does not take them.
        """
        with claim.lock:
            if claim.dead:
                raise Stopped(f"{self.to.name} is no longer waited for.")
            at = claim.at

            def write_here(view: memoryview) -> int:
                nonlocal at
                at += (size := os.pwrite(self._file, view, at))
                return size

            try:
                write_all(write_here, chunk)
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

    def end(self, claim: Claim) -> None:
        """End the file where the claim is: the server said no size."""
        self.total = claim.end = claim.at

    def seize(self) -> None:
        """Take all claims back: whoever has one writes no more."""
        for claim in list(self.claims):
            with claim.lock:
                claim.dead = True
            self.release(claim)

    def _stretches(self) -> list[tuple[int, int]]:
        """List what has come, of open claims too."""
        with self._lock:
            return _merged([*self.done, *((claim.start, claim.at) for claim in self.claims)])

    @property
    def have(self) -> int:
        """Bytes that have come."""
        return sum(b - a for a, b in self._stretches())

    @property
    def front(self) -> int:
        """Bytes that have come without a gap from the start."""
        start, end = next(iter(self._stretches()), (0, 0))
        return end if start == 0 else 0

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.total is not None and self.front == self.total

    def hash_on(self, most: int | None = None) -> None:
        """Hash what has come without a gap, at most `most` bytes of it."""
        stop = self.front if most is None else min(self.front, self.hashed + most)
        while self.hashed < stop:
            with self._hashing:
                missing = stop - self.hashed
                if missing <= 0:
                    return  # another thread hashed them meanwhile
                if not (chunk := os.pread(self._file, min(STEP, missing), self.hashed)):
                    return  # somebody cut the file
                self._update(chunk)

    def _update(self, chunk: bytes) -> None:
        for digest in self.digests.values():
            digest.update(chunk)
        self.hashed += len(chunk)

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes that have come."""
        return os.pread(self._file, size, offset) if size else b""

    def save(self, *, to_disk: bool = False) -> None:
        """Write down what has come.

        to_disk : so that it holds even after the machine was switched off
        """
        if self.total is None or self._file < 0:
            return  # it could not be continued
        done = self._stretches()
        if to_disk:
            os.fsync(self._file)
        saved = {"version": self.version, "total": self.total, "done": done}
        saved = sealed(self.identity, saved | {"boot": "" if to_disk else boot()})
        beside = self.side.with_name(f".{self.side.name}.part")
        beside.write_text(json.dumps(saved), encoding="utf-8")
        os.replace(beside, self.side)

    def leave(self, *, keep: bool = True) -> None:
        """Close it as it is, for a later call; throw away what no call can continue."""
        if self._file < 0:
            return
        if keep and self.total is not None and self.have:
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
        """Throw away what has come; `restarts` tells who reads it before the file is closed."""
        self.restarts += 1
        self.close()
        for path in (self.path, self.side):
            with suppress(OSError):
                path.unlink(missing_ok=True)  # not emptied: a copier to Drive may have it open


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        elif end > start:
            merged.append((start, end))
    return merged


def free_bytes(folder: Path) -> int:
    """Count the bytes that a file in this folder may have: what is free, less a margin."""
    return max(0, shutil.disk_usage(folder).free - MARGIN)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Give errors of the disk the sentences of fetching; other errors of ours are passed on."""
    try:
        yield
    except OSError as err:
        if isinstance(err, ColabKitError) and not isinstance(err, RunError):
            raise
        raise unwritable(path, err) from err


def unwritable(path: Path, err: OSError) -> FetchError:
    """Give the error for a file or folder that cannot be written."""
    error = cannot_write(path, err)
    cause = err.__cause__ if isinstance(err, RunError) else err
    if not isinstance(cause, OSError):  # no home, or no Drive: the way out is not to=
        return FetchError(error.what, error.why, error.fix)
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "free some room, or give to= a folder on another disk"
        return NoSpace(error.what, error.why, fix)
    fix = (
        error.fix
        if in_home(Path(cause.filename or path))
        else "give to= a folder that can be written"
    )
    return FetchError(error.what, error.why, fix)


def boot() -> str:
    """Name this start of the machine: what an earlier one wrote may not be on the disk."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return ""
