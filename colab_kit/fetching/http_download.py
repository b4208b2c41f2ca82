"""One file over HTTP: resumed, over several connections where they pay, hashed while it comes.

It is never made of two versions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from ..errors import FetchError, HashMismatch, NoSpace, Private, RateLimited
from ..events import FetchProgress, FetchStarted, Note
from ..system.addresses import public
from ..system.filetypes import HEAD
from ..system.http import SLOWEST, UNPACKED, Reply, cut
from ..system.retry import Patience, retry, server_pause
from .partial import Claim, Part, free_bytes
from .remote import Call, Every, Source, Stretch, size_of_416, stretch_of

SPLIT = 32 << 20  # bytes: a smaller file comes over one connection
FAST = 160 << 20  # bytes a second over one connection: more connections would not help
WATCH = 0.05  # seconds until that is judged
LITTLE, MUCH = 16 << 10, 1 << 20  # bytes read at once: about what comes in a fifth of a second
FRESH = 1 << 20  # bytes after which earlier failures no longer count
STALL = 60.0  # seconds: whoever sends less than SLOWEST for so long is hung up on
TICK, TELL, SAVE = 0.05, 0.1, 0.25  # seconds between two looks, two events, two notes on disk
RESTARTS = 4  # times that a file is begun
HASHED = 32 << 20  # bytes hashed at one look


class _Restart(Exception):
    """What has come cannot be continued; it says why, "" where nothing is to be said."""


class Download:
    """Bring one file into a part. The caller's thread hashes, tells and decides; others read.

    Parameters
    ----------
    hashes : mapping
        {"sha256": hex or its beginning} or {"md5": hex}; None: those of the call.
    check : callable(head: bytes)
        Raises if these first bytes cannot be the file's.
    unpack : bool
        Whether a reply that the server packed is unpacked; not for a file that is itself packed.
    tick : callable
        Called at each look; it raises if what comes is of no use.
    """

    def __init__(
        self,
        source: Source,
        part: Part,
        call: Call,
        *,
        hashes: Mapping[str, str] | None = None,
        check: Callable[[bytes], None] = lambda head: None,
        unpack: bool = True,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.source, self.part, self.call = source, part, call
        self.hashes = dict(call.hashes if hashes is None else hashes)
        self.check, self.unpack = check, unpack
        self._emit, self._tick = call.emit, tick
        self._over, self._lock = threading.Event(), threading.Lock()
        self._busy: dict[threading.Thread, Reply | None] = {}
        self._fatal: BaseException | None = None
        self._patience = Patience(server_pause, FRESH)
        self._allowed = source.connections
        self.name, self.resumed = part.to.name, False
        self._useless = False  # what has come is not kept for another call

    def run(self) -> Part:
        """Bring it, hash it, check it; give the part, whole but not yet under its name.

        Raises
        ------
        FetchError
            It does not come, or is not what it should be. What can be continued stays.
        """
        self.resumed = self.part.restore() and self._resumable
        if not self.resumed:
            self.part.forget()
        for _ in range(RESTARTS):
            try:
                self._bring()
                self._judge()
                return self.part
            except _Restart as err:
                if str(err):
                    self._emit(Note(f"{self.name}: {err}; it is fetched from its beginning."))
                self.resumed = False
                self.part.forget()
            except BaseException:
                self.part.leave(keep=self._resumable and not self._useless)
                raise
        self.part.drop()
        raise self._failed(f"it changed {RESTARTS} times while it came", "try again later")

    def _failed(self, why: str, fix: str = "name another source with mirrors=") -> FetchError:
        return FetchError(f"{public(self.source.url)} could not be fetched.", why, fix)

    @property
    def _resumable(self) -> bool:
        return bool(self.part.version or self.hashes)

    def _bring(self) -> None:
        """Try once: read the first answer, then all others that are needed."""
        part = self.part
        self._over.clear()
        self._fatal = None
        reply, stretch = retry(self._first, server_pause, self._wait, on=FetchError)
        if reply is None:
            return  # it was whole
        try:
            if not self.resumed:
                self._check_room(stretch.total)
                part.begin(stretch.version, stretch.total)
            claim = part.claim()
        except BaseException:
            reply.close()
            raise
        self._emit(FetchStarted(self.name, public(self.source.url), stretch.total))
        large = (stretch.total or 0) >= SPLIT and self._allowed > 1
        splits = stretch.ranges and self._resumable and large
        self._start(claim, reply, stretch.stop)
        try:
            self._attend(claim if splits else None)
        finally:
            self._end()
            reply.close()
        if self._fatal is not None:
            raise self._fatal

    def _first(self) -> tuple[Reply | None, Stretch]:
        """Ask for the file: from the first gap of a resumed part on, else for all of it.

        Ask again without a range if the server does not answer with that range.
        """
        part = self.part
        start = part.gap if self.resumed else 0
        part.open()
        if self.resumed and start == part.total:
            return None, Stretch(start, start, start, part.version, True)
        for headers in (self._range(start, guard=start > 0), {}):
            reply = self._get(headers)
            stretch = stretch_of(reply, start if headers else 0, as_sent=not self.unpack)
            if stretch is not None:
                if not start or stretch.fits(start, part.total, part.version):
                    return reply, stretch
            reply.close()
            if size_of_416(reply) == 0:
                self.check(b"")
            if start and stretch is None:
                raise _Restart("the server no longer has the rest of it")
            if start and stretch is not None and stretch.version == part.version != "":
                raise _Restart("the server sends it from its beginning only")
            if start:
                raise _Restart("it has changed since its first part came")
        held = reply.headers.get("Content-Range", "none")
        why = f"the server answered {reply.status} with the range {held!r} instead of the right one"
        raise self._failed(why, "name another source with mirrors=, or fetch it with a browser")

    def _range(self, start: int, end: int | None = None, *, guard: bool = True) -> dict[str, str]:
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        return headers | ({"If-Range": self.part.version} if guard and self.part.version else {})

    def _get(self, headers: Mapping[str, str]) -> Reply:
        reply = self.source.ask(self.call.web, headers)
        if self.unpack and reply.coding not in ("", *UNPACKED):
            reply.close()
            how = f"the server packed it as {reply.coding[:100]}"
            raise self._failed(f"{how}, which cannot be unpacked here")
        return reply

    def _check_room(self, size: int | None) -> None:
        """Refuse a file that is too large before its first byte is written."""
        if size is None:
            return
        self._check_size(size)
        folder = self.part.to.parent
        if size > (free := free_bytes(folder)):
            free_mib = f"{free / 2**20:,.0f} MiB are free in {folder.absolute()}"
            why = f"it has {size / 2**20:,.1f} MiB, and {free_mib}"
            fix = "free some room, or give to= a folder on a larger disk"
            raise NoSpace(f"{self.name} does not fit on the disk.", why, fix)

    def _check_size(self, size: int, more: str = "") -> None:
        most = self.call.max_size
        if most is not None and size > most:
            what = f"{self.name} is larger than max_size={most:,}."
            raise NoSpace(what, f"it has {size:,} bytes{more}", "raise max_size=")

    def _start(
        self, claim: Claim | None, reply: Reply | None = None, stop: int | None = None
    ) -> None:
        if claim is not None:
            name, args = f"fetch {self.name}", (claim, reply, stop)
            thread = threading.Thread(target=self._work, args=args, daemon=True, name=name)
            with self._lock:
                self._busy[thread] = reply
            thread.start()

    def _attend(self, first: Claim | None) -> None:
        """Watch the threads until none is left: hash, tell, save, split, look for a stop."""
        part = self.part
        began = moved = time.monotonic()
        event_time, save_time = Every(TELL), Every(SAVE)
        before = marked = part.have
        checked = False
        while not self._over.is_set():
            if not self._busy:
                if part.whole:
                    return
                # the last thread left while another gave its claim back
                self._start(part.claim(self._allowed))
            self._over.wait(TICK)
            self._inspect(self._tick)
            self.call.check_stop(self.name)
            now, have = time.monotonic(), part.have
            if first is not None and now - began >= WATCH:
                if have - before < FAST * (now - began):
                    part.shorten(first, self._allowed)
                    for _ in range(self._allowed - 1):
                        self._start(part.claim(self._allowed))
                first = None
            if not checked and part.front >= HEAD:
                self._inspect(self._check_head)
                checked = True
            if have - marked >= SLOWEST * STALL or self.call.control.paused:
                marked, moved = have, now
            if now - moved > STALL:
                self._hang_up()
                marked, moved = have, now
            if event_time.due():
                self._emit(FetchProgress(self.name, have, part.total))
            if save_time.due():
                part.save()
            part.hash_on(HASHED)

    def _check_head(self) -> None:
        self.check(self.part.read(0, HEAD))

    def _inspect(self, check: Callable[[], None]) -> None:
        """Check what has come; if that raises, it is not kept for another call."""
        try:
            check()
        except Exception:
            self._useless = True
            raise

    def _end(self) -> None:
        """Let no thread write any more."""
        self._over.set()
        self.part.seize()
        self._hang_up()
        until = time.monotonic() + 1
        for thread in list(self._busy):
            thread.join(max(0.0, until - time.monotonic()))

    def _hang_up(self) -> None:
        with self._lock:
            replies = [reply for reply in self._busy.values() if reply is not None]
        for reply in replies:
            reply.hang_up()

    def _work(self, claim: Claim | None, reply: Reply | None, stop: int | None) -> None:
        """Bring a claim over one connection, then the next one, until nothing is missing."""
        me = threading.current_thread()
        try:
            while claim is not None and not self._over.is_set():
                try:
                    if reply is None:
                        reply, stop = self._ask(claim)
                    self._busy[me] = reply
                    self._pour(reply, claim, stop)
                except FetchError as err:
                    if not self._tries_again(err):
                        return
                finally:
                    if reply is not None:
                        reply.close()
                    reply = self._busy[me] = None
                    self.part.release(claim)
                with self._lock:
                    needed = len(self._busy) <= self._allowed
                    claim = self.part.claim(self._allowed) if needed else None
        except BaseException as err:
            self._fatal = self._fatal or err
            self._over.set()
        finally:
            with self._lock:
                del self._busy[me]

    def _ask(self, claim: Claim) -> tuple[Reply, int | None]:
        """Ask for a claim; an answer with other bytes or another version restarts all."""
        reply = self._get(self._range(claim.at, claim.end))
        stretch = stretch_of(reply, claim.at, claim.end)
        if stretch is not None and stretch.fits(claim.at, self.part.total, self.part.version):
            return reply, stretch.stop
        reply.close()
        if stretch is None:
            raise _Restart("the server sent another part than was asked for")
        raise _Restart("" if claim.at == 0 and not stretch.ranges else "it changed while it came")

    def _pour(self, reply: Reply, claim: Claim, stop: int | None) -> None:
        most, unpack = LITTLE, bool(reply.coding) and self.unpack
        while not self._over.is_set():
            while self.call.control.paused and not self._over.is_set():
                self._over.wait(TICK)
            # another thread may shorten the claim
            ends = [place for place in (claim.end, stop) if place is not None]
            left = min(ends) - claim.at if ends else None
            if left is not None and left <= 0:
                return
            since = time.monotonic()
            chunk = reply.read(most if left is None else min(most, left), unpack=unpack)
            if not chunk:
                if left is not None:
                    raise cut(reply.url, f"{left:,} bytes early")
                self.part.end(claim)
                return
            self.part.write(claim, chunk)
            took = time.monotonic() - since
            if took < 0.05:
                most = min(MUCH, most * 2)
            elif took > 0.4:
                most = max(LITTLE, most // 2)
            if self.part.total is None:
                self._check_size(claim.at, " or more")

    def _tries_again(self, err: FetchError) -> bool:
        """Wait after a failure; False if the other connections do without this one."""
        with self._lock:
            if self._over.is_set():
                return False
            if len(self._busy) > 1 and isinstance(err, RateLimited | Private):
                self._allowed = 1  # the server wants fewer connections
                return False
            seconds = self._patience.after(err, self.part.have)
        self._wait(seconds)
        if not self._resumable or self.part.total is None:
            raise _Restart("")
        return True

    def _wait(self, seconds: float) -> None:
        self.call.wait(seconds, self.name, self._over)

    def _judge(self) -> None:
        """Check the whole of it: its first bytes, its hash."""
        self._emit(FetchProgress(self.name, self.part.have, self.part.total))
        self.part.hash_on()
        try:
            self._check_head()
            self._check_hashes()
        except Exception:
            self.part.drop()
            raise

    def _check_hashes(self) -> None:
        for kind, wanted in self.hashes.items():
            digest = self.part.digests[kind].hexdigest()
            if digest.startswith(wanted):
                continue
            if self.resumed:
                why = "its hash is another one than was given"
                raise _Restart(f"{why}, and an earlier call brought a part of it")
            raise HashMismatch(
                f"{self.name} is not the file that the {kind} stands for.",
                f"the {kind} of what came is {digest[: max(16, len(wanted))]}, not {wanted}",
                f"compare the {kind}: the file changed or is damaged at its source; or name "
                "another source with mirrors=",
            )
