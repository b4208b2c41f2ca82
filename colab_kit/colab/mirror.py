"""The shelf on Drive: what is pushed is copied in the background, and never ends a run.

A copy is tried again until Drive takes it.
"""

from __future__ import annotations

import atexit
import errno
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import ColabKitError, DriveError, RunError
from ..events import CopyProgress, Event, Note
from ..system.console import Console
from . import reading
from .drive import AGAIN, session
from .reading import cannot_read, ground, patiently
from .slots import Handover, Held, inside

FIRST_WAIT, LONGEST_WAIT = 2.0, 60.0  # s between two tries: doubled from one to the other
AT_EXIT = 60.0  # s that a process which ends waits for copies under way
GRACE = 1.0  # s of that without a word
TICK = 0.2  # s between two looks of who waits
_TRASH = "what lies in its Trash counts too: drive.google.com/drive/trash empties it"
_FULL = f"Drive is full. `colab-kit runs --prune` deletes old runs; {_TRASH}"
_REASONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.ENOTCONN: "Drive has dropped away; run the cell with kit.mount() again",
    errno.EROFS: "Drive is mounted read-only",
    errno.ENOENT: "its folder on Drive is not there yet, or has vanished",
}


class Mirror:
    """Keep copies of runs' files in a folder of the Drive.

    A thread copies; it lives only while there is work, and speaks through news() alone: a callback
    that it called might draw random numbers. Drive may be slow, full or gone: that is a Note, said
    once for each reason, and another try, until Drive has what was pushed.

    Parameters
    ----------
    root : Path
        The folder; made with the first copy.
    hand_over : callable, optional
        Brings one file there or raises; a test's may fail on cue.
    sleep : callable, optional
        Waits between two tries; a push or a close() ends the usual one.
    """

    def __init__(
        self,
        root: Path,
        *,
        hand_over: Callable[[Held], None] | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.root, self.process = Path(root).absolute(), os.getpid()
        self._hand_over = hand_over or Handover(self.root).take
        self._change = threading.Condition()  # guards what follows; never held at a file call
        self._waiting: dict[str, Held] = {}  # by what they supersede
        self._busy: Held | None = None
        self._handed: dict[str, Held] = {}  # until close() has looked whether Drive has them still
        self._thread: threading.Thread | None = None
        self._news: list[Event] = []
        self._reasons: set[str] = set()  # of this outage, that a Note has named
        self._unreadable: set[str] = set()  # Notes of files and folders that could not be read
        self._wake = threading.Event()
        self._sleep = sleep or self._wake.wait
        session.shelves.add(self)

    @classmethod
    def at(cls, root: Path) -> Mirror:
        """The mirror of this folder.

        There is one a process, so that a newer copy supersedes what an earlier run left waiting.
        """
        root = Path(root).absolute()
        return next((mirror for mirror in _own_mirrors() if mirror.root == root), None) or cls(root)

    def push(self, path: Path, name: str) -> bool:
        """Take `path` as it is now and copy it to `name` in the background.

        A newer one of its series or name supersedes it.
        """
        try:
            held = Held(Path(path), name)
        except OSError as err:
            text = f"{path} cannot be read and is not copied to Drive: {err.strerror}."
            with self._change:
                if text not in self._unreadable:
                    self._unreadable.add(text)
                    self._news.append(Note(text, "warn"))
            return False
        with self._change:
            _put(self._waiting, held)
            self._start()
        return True

    def find(self, name: str) -> list[Path]:
        """The copies under `name`, whose last part may hold `*`.

        Who reads one judges whether it is whole: one of two slots may not be.

        Raises
        ------
        DriveError
            Drive cannot be read: what it holds is not known, and a run must not begin anew then.
        """
        folder, _, last = inside(name).rpartition("/")
        where = self.root / folder
        wanted = re.compile(".*".join(map(re.escape, last.split("*"))))  # only * is special
        scan = lambda: [entry.name for entry in reading.CALLS.scan(str(where))]
        try:
            names = patiently(scan, where)
        except OSError as err:
            if isinstance(err, FileNotFoundError) and os.path.isdir(ground(self.root)):
                return []
            error = err if isinstance(err, DriveError) else cannot_read(where, err)
            danger = "begun anew, a run would write over the copies there"
            raise DriveError(error.what, error.why, f"{AGAIN}, then this one: {danger}") from err
        whole = [name for name in sorted(names) if not name.endswith(".part")]
        return [where / name for name in whole if wanted.fullmatch(name)]

    def news(self) -> list[Event]:
        """The Notes since the last call."""
        if not self._news:
            return []
        with self._change:
            news, self._news = self._news, []
        return news

    def wake(self) -> None:
        """Try what waits again now, and after short waits again: Drive may be back."""
        with self._change:
            self._start()

    def close(
        self, timeout: float | None = None, emit: Callable[[Event], None] | None = None
    ) -> bool:
        """Wait until all is handed to Drive, then look whether it is there still.

        False where `timeout` seconds were too few. What is left then goes on in the background.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if not self.drained(end, emit):
            return False
        with self._change:
            # Drive's program may have died before it had sent them.
            for key, held in self._handed.items():
                if self._waiting.setdefault(key, held) is not held:
                    held.let_go()
            self._handed.clear()
            self._start()
        if not self.drained(end, emit):
            return False
        with self._change:
            for held in self._handed.values():
                held.let_go()
            self._handed.clear()
        return True

    def drained(self, end: float | None, emit: Callable[[Event], None] | None = None) -> bool:
        """Wait until nothing is left to hand over; whether nothing is.

        end : on the monotonic clock; None: without one
        """
        self._wake.set()
        most = 0
        while True:
            with self._change:
                if not self.idle:
                    left = TICK if end is None else end - time.monotonic()
                    self._change.wait(max(0.0, min(TICK, left)))
                idle, busy = self.idle, [self._busy] if self._busy else []
                size = sum(held.size - held.done for held in [*self._waiting.values(), *busy])
            if emit is not None:
                for event in self.news():
                    emit(event)
                most = max(most, size)
                if most:
                    done = most if idle else min(most - size, most - 1)
                    emit(CopyProgress("copies", done, most))
            if idle or (end is not None and time.monotonic() >= end):
                return idle

    def forget(self, folder: str = "") -> None:
        """Copy nothing more of what was pushed below `folder`, a name inside the mirror.

        Everything, if it is empty.
        """

        def below(held: Held) -> bool:
            return not folder or held.name.startswith(f"{folder}/")

        with self._change:
            for some in (self._waiting, self._handed):
                for held in [held for held in some.values() if below(held)]:
                    some.pop(held.key).let_go()
            if self._busy is not None and below(self._busy):
                self._busy.wanted = False
            self._change.notify_all()
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to hand over."""
        return not self._waiting and self._busy is None

    def _start(self) -> None:
        self._wake.set()
        if self._waiting and self._thread is None:
            thread = threading.Thread(target=self._work, name="colab-kit mirror", daemon=True)
            thread.start()
            self._thread = thread

    def _work(self) -> None:
        """Hand over what waits, round by round; after one, wait and try again what failed in it."""
        wait = None
        while True:
            self._wake.clear()
            failed: list[Held] = []
            while (held := self._next(failed)) is not None:
                try:
                    self._hand_over(held)
                except RunError as err:  # the file itself is damaged
                    self._done(held, str(err))
                except Exception as err:  # whatever it is, it must not end the copying
                    failed.append(held)
                    self._failed(held, err)
                else:
                    self._done(held)
            if self._thread is not threading.current_thread():
                return
            wait = FIRST_WAIT if wait is None else min(2 * wait, LONGEST_WAIT)
            self._sleep(wait)
            if self._wake.is_set():  # a push, or somebody waits: short waits again
                wait = None

    def _next(self, failed: list[Held]) -> Held | None:
        """What to hand over next; None when only failed ones are left.

        With nothing left the thread ends.
        """
        with self._change:
            ready = [held for held in self._waiting.values() if held not in failed]
            if ready:
                self._busy = min(ready, key=lambda held: held.rank)
                return self._waiting.pop(self._busy.key)
            if not self._waiting:
                self._thread = None
                if self._reasons:
                    self._reasons.clear()
                    self._news.append(Note("The copies are handed to Drive again."))
                self._change.notify_all()
            return None

    def _done(self, held: Held, damage: str = "") -> None:
        with self._change:
            self._busy = None
            if damage:
                self._news.append(Note(damage, "warn"))
            if damage or not held.wanted:
                held.let_go()
            else:
                _put(self._handed, held)

    def _failed(self, held: Held, err: Exception) -> None:
        reason = _reason(err)
        with self._change:
            self._busy = None
            held.done = 0
            # A newer one came meanwhile, or it is another session's.
            if held.key in self._waiting or not held.wanted:
                held.let_go()
            else:
                self._waiting[held.key] = held
            if reason not in self._reasons:
                self._reasons.add(reason)
                what = f"{held.name} was not handed to Drive ({self.root}): {reason}."
                rest = "The local files are whole, the run goes on, and it is tried again."
                self._news.append(Note(f"{what} {rest}", "warn"))


def _put(into: dict[str, Held], held: Held) -> None:
    """Keep it in place of what it supersedes."""
    if (older := into.pop(held.key, None)) is not None:
        older.let_go()
    into[held.key] = held


def _reason(err: Exception) -> str:
    if isinstance(err, ColabKitError):
        return err.what
    if isinstance(err, OSError):
        return _REASONS.get(err.errno or 0) or err.strerror or str(err)
    return f"{type(err).__name__}: {err}"


def _own_mirrors() -> list[Mirror]:
    """Those of this process: a forked child inherits the others, but not their threads."""
    mirrors = [shelf for shelf in list(session.shelves) if isinstance(shelf, Mirror)]
    return [mirror for mirror in mirrors if mirror.process == os.getpid()]


@atexit.register
def wait_at_exit(limit: float | None = None, grace: float = GRACE) -> None:
    """Give copies under way some time before the process ends: with it they would end too."""
    left, console = [mirror for mirror in _own_mirrors() if not mirror.idle], Console()
    limit = AT_EXIT if limit is None else limit
    try:
        left = _undrained(left, grace)
        if left:
            wait = f"Waiting up to {limit:.0f} s for copies that are not handed to Drive yet"
            console(Note(f"{wait}; interrupt to leave them out."))
            left = _undrained(left, limit)
    except KeyboardInterrupt:
        pass
    for mirror in left:
        whole = "the local files are whole"
        console(Note(f"Not everything was handed to Drive ({mirror.root}); {whole}.", "warn"))


def _undrained(mirrors: list[Mirror], seconds: float) -> list[Mirror]:
    end = time.monotonic() + seconds
    return [mirror for mirror in mirrors if not mirror.drained(end)]
