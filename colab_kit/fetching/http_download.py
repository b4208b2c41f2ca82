"""One file over HTTP: resumed, in several connections where they pay, hashed as it comes, and never made of two versions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from ..errors import FetchError, Private, RateLimited, Stopped
from ..events import Control, Event, FetchProgress, FetchStarted, Note
from ..system.filetypes import HEAD
from ..system.http import Reply, Web, cut, patiently, public
from .bounds import Patience, Room, mismatch
from .partial import Claim, Part
from .ranges import Begun, same, size_of_416, understood
from .source import Source

SPLIT = 32 << 20  # bytes: a smaller file comes over one connection
FAST, WATCH = (
    160 << 20,
    0.05,
)  # bytes a second over one connection: more of them would not help; seconds until that is judged
LITTLE, MUCH = 16 << 10, 1 << 20  # bytes read at once: about what comes in a fifth of a second
STALL = 60.0  # seconds without a byte end a connection
TICK, TELL, SAVE = (
    0.05,
    0.1,
    0.25,
)  # seconds between two looks, two events, two notes of what has come
ANEW = 4  # times that a file is begun anew


class _Anew(Exception):
    """What has come cannot be gone on from; says why, in words."""


class Download:
    """Bring one file into a part. The caller's thread hashes, tells and decides; others read.

    Parameters
    ----------
    hashes : {"sha256": hex, or its beginning} or {"md5": hex}, or nothing
    check : callable(head: bytes), which raises where these first bytes cannot be the file's
    unpack : whether what the server packed for the way is unpacked; not for a file that is itself packed
    sleep : callable, optional; None waits, and a stop ends the wait
    tick : callable, called at each look; it raises where what comes is of no use
    """

    def __init__(
        self,
        source: Source,
        part: Part,
        *,
        web: Web,
        emit: Callable[[Event], None],
        hashes: Mapping[str, str] | None = None,
        check: Callable[[bytes], None] = lambda head: None,
        max_size: int | None = None,
        unpack: bool = True,
        control: Control | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.source, self.part, self.web, self.emit = source, part, web, emit
        self.hashes, self.check, self.unpack = dict(hashes or {}), check, unpack
        self._control, self._sleep, self._clock, self._tick = (
            control or Control(),
            sleep,
            clock,
            tick,
        )
        self._over, self._lock = threading.Event(), threading.Lock()
        self._busy: dict[threading.Thread, Reply | None] = {}
        self._fatal: BaseException | None = None
        self._patience, self._room = Patience(), Room(part.to.name, max_size)
        self._allowed = source.connections
        self.name, self.resumed = part.to.name, False
        self._condemned = False  # what came is of no use to anybody

    def run(self) -> Part:
        """Bring it, hash it, look at it: the part, whole, not yet under its name.

        Raises
        ------
        FetchError
            It does not come, or is not what it should be. What may be gone on from stays.
        """
        self.resumed = self.part.restore() and bool(self.part.validator or self.hashes)
        if not self.resumed:
            self.part.forget()
        for _ in range(ANEW):
            try:
                self._bring()
                self._judge()
                return self.part
            except _Anew as err:
                if str(err):
                    self.emit(Note(f"{self.name}: {err}; it is fetched from its beginning."))
                self.resumed = False
                self.part.forget()
            except BaseException:
                self.part.leave(good=self._resumable and not self._condemned)
                raise
        self.part.drop()
        raise FetchError(
            f"{public(self.source.url)} could not be fetched.",
            f"it changed {ANEW} times while it came",
            "try again later",
        )

    def _bring(self) -> None:
        """One try: the first answer, then all others that it needs."""
        self._over.clear()
        self._fatal = None
        reply, begun = patiently(self._first, self._wait)
        if reply is None:
            return  # it was whole
        try:
            if not self.resumed:
                self._room.ask(begun.total, self.part.to.parent)
                self.part.begin(begun.validator, begun.total)
            claim = self.part.claim()
        except BaseException:
            reply.close()
            raise
        self.emit(FetchStarted(self.name, public(self.source.url), begun.total))
        splits = (
            begun.ranges and self._resumable and (begun.total or 0) >= SPLIT and self._allowed > 1
        )
        self._start(claim, reply, begun.stop)
        try:
            self._attend(claim if splits else None)
        finally:
            self._end()
            reply.close()
        if self._fatal is not None:
            raise self._fatal

    @property
    def _resumable(self) -> bool:
        return bool(self.part.validator or self.hashes)

    def _first(self) -> tuple[Reply | None, Begun]:
        """The first answer: from where the part has a gap if it goes on, else the whole; asked again without a range if it is none."""
        start, total = self.part.gap if self.resumed else 0, self.part.total
        self.part.open()
        if self.resumed and start == total:
            return None, Begun(start, total, total, self.part.validator, True)
        for wants in ({"Range": f"bytes={start}-"}, {}):
            guard = (
                {"If-Range": self.part.validator} if wants and start and self.part.validator else {}
            )
            reply = self._get({**wants, **guard})
            begun = understood(
                reply.status,
                reply.headers,
                start if wants else 0,
                packed=reply.packed and self.unpack,
            )
            if begun is not None and (
                not start
                or begun.start == start
                and begun.total == total
                and same(self.part.validator, begun.validator)
            ):
                return reply, begun
            reply.close()
            if reply.status == 416 and size_of_416(reply.headers) == 0:
                self.check(b"")
            if start and begun is not None:
                known = begun.validator and begun.validator == self.part.validator
                raise _Anew(
                    "the server sends it from its beginning only"
                    if known
                    else "it has changed since its first part came"
                )
            if start:
                raise _Anew("the server no longer has the rest of it")
        why = f"the server answered {reply.status} with the range {reply.headers.get('Content-Range', 'none')!r}, which was not asked for"
        raise FetchError(
            f"{public(self.source.url)} could not be fetched.",
            why,
            "name another source with mirrors=, or fetch it with a browser",
        )

    def _get(self, wants: Mapping[str, str]) -> Reply:
        reply = self.source.ask(self.web, wants, (200, 206, 416))
        if self.unpack and (unknown := reply.codings - {"gzip", "x-gzip", "deflate"}):
            reply.close()
            why = f"the server packed it for the way as {', '.join(sorted(unknown))}, which nobody asked for and cannot be unpacked here"
            raise FetchError(
                f"{public(self.source.url)} could not be fetched.",
                why,
                "name another source with mirrors=",
            )
        return reply

    def _start(
        self, claim: Claim | None, reply: Reply | None = None, stop: int | None = None
    ) -> None:
        if claim is not None:
            thread = threading.Thread(
                target=self._work, args=(claim, reply, stop), daemon=True, name=f"fetch {self.name}"
            )
            with self._lock:
                self._busy[thread] = reply
            thread.start()

    def _attend(self, first: Claim | None) -> None:
        """Watch the threads until none is left: hash, tell, save, split, and hear what the caller wants."""
        began = told = saved = moved = self._clock()
        had = last = self.part.have
        looked = False
        while not self._over.is_set():
            if not self._busy:
                if self.part.whole:
                    return
                self._start(
                    self.part.claim(self._allowed)
                )  # the last one left while another gave its claim back
            self._over.wait(TICK)
            self._condemning(self._tick)
            if self._control.stopped:
                raise Stopped(
                    f"{self.name} was not fetched to its end.",
                    self._control.reason,
                    "the same call goes on from what has come",
                )
            now, have = self._clock(), self.part.have
            if first is not None and now - began >= WATCH:
                if have - had < FAST * (now - began):
                    self.part.shorten(first, self._allowed)
                    for _ in range(self._allowed - 1):
                        self._start(self.part.claim(self._allowed))
                first = None
            if not looked and self.part.front >= HEAD:
                self._condemning(lambda: self.check(self.part.read(0, HEAD)))
                looked = True
            moved = now if have != last or self._control.paused else moved
            last = have
            if now - moved > STALL:
                self._hang_up()
                moved = now
            if now - told >= TELL:
                self.emit(FetchProgress(self.name, have, self.part.total))
                told = now
            if now - saved >= SAVE:
                self.part.save()
                saved = now
            self.part.hash_on(32 << 20)

    def _condemning(self, look: Callable[[], None]) -> None:
        """Look at what has come; where that raises, it is not kept for another call."""
        try:
            look()
        except Exception:
            self._condemned = True
            raise

    def _end(self) -> None:
        """Let no thread write any more."""
        self._over.set()
        self.part.seize()
        self._hang_up()
        for thread in list(self._busy):
            thread.join(1)

    def _hang_up(self) -> None:
        with self._lock:
            replies = [reply for reply in self._busy.values() if reply is not None]
        for reply in replies:
            reply.hang_up()

    def _work(self, claim: Claim | None, reply: Reply | None, stop: int | None) -> None:
        """One connection's life: its claim, then the next one, until nothing is missing or it is not needed."""
        me = threading.current_thread()
        try:
            while claim is not None and not self._over.is_set():
                try:
                    if reply is None:
                        reply, stop = self._ask(claim)
                    self._busy[me] = reply
                    self._pour(reply, claim, stop)
                except FetchError as err:
                    if not self._goes_on(err):
                        return
                finally:
                    if reply is not None:
                        reply.close()
                    reply = self._busy[me] = None
                    self.part.release(claim)
                with self._lock:
                    claim = (
                        self.part.claim(self._allowed) if len(self._busy) <= self._allowed else None
                    )
        except BaseException as err:
            self._fatal = self._fatal or err
            self._over.set()
        finally:
            with self._lock:
                del self._busy[me]

    def _ask(self, claim: Claim) -> tuple[Reply, int | None]:
        """The answer for a stretch; anything else than that stretch of this version ends the version."""
        guard = {"If-Range": self.part.validator} if self.part.validator else {}
        end = claim.end
        reply = self._get({"Range": f"bytes={claim.at}-{'' if end is None else end - 1}", **guard})
        begun = understood(reply.status, reply.headers, claim.at, end, packed=reply.packed)
        if (
            begun is None
            or begun.start != claim.at
            or begun.total != self.part.total
            or not same(self.part.validator, begun.validator)
        ):
            reply.close()
            if claim.at == 0 and begun is not None and not begun.ranges:
                raise _Anew("")
            raise _Anew(
                "it changed while it came"
                if begun is not None
                else "the server sent another part than was asked for"
            )
        return reply, begun.stop

    def _pour(self, reply: Reply, claim: Claim, stop: int | None) -> None:
        most = LITTLE
        while not self._over.is_set():
            while self._control.paused and not self._over.is_set():
                self._over.wait(TICK)
            end = min((place for place in (claim.end, stop) if place is not None), default=None)
            left = None if end is None else end - claim.at
            if left is not None and left <= 0:
                return
            since = self._clock()
            chunk = reply.read(
                most if left is None else min(most, left), unpack=reply.packed and self.unpack
            )
            if not chunk:
                if left is not None:
                    raise cut(reply.url, f"{left:,} bytes early")
                self.part.ended(claim)
                return
            self.part.write(claim, chunk)
            took = self._clock() - since
            most = (
                min(MUCH, most * 2)
                if took < 0.05
                else max(LITTLE, most // 2)
                if took > 0.4
                else most
            )
            if self.part.total is None:
                self._room.within(claim.at, or_more=True)

    def _goes_on(self, err: FetchError) -> bool:
        """Wait after a failure, if this connection is to try again; False if the others do without it."""
        with self._lock:
            if self._over.is_set():
                return False
            if len(self._busy) > 1 and isinstance(err, RateLimited | Private):
                self._allowed = 1  # the server wants fewer connections
                return False
            seconds = self._patience.after(err, self.part.have)
        self._wait(seconds)
        if not self._resumable or self.part.total is None:
            raise _Anew("")
        return True

    def _wait(self, seconds: float) -> None:
        if self._sleep is not None:
            self._sleep(seconds)
            return
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._over.wait(min(left, 0.1)):
            if self._control.stopped:
                raise Stopped(
                    f"{self.name} was not fetched to its end.",
                    self._control.reason,
                    "the same call goes on from what has come",
                )

    def _judge(self) -> None:
        """Look at the whole of it: its first bytes, its hash."""
        self.emit(FetchProgress(self.name, self.part.have, self.part.total))
        self.part.hash_on()
        try:
            self.check(self.part.read(0, HEAD))
            if (wrong := mismatch(self.name, self.part.digests, self.hashes)) is not None:
                if self.resumed:
                    raise _Anew(
                        "its hash is not the one that was given, and an earlier call brought a part of it"
                    )
                raise wrong
        except Exception:
            self.part.drop()
            raise
