"""The lease: a second session is refused by name, a dead one is followed, and Drive's troubles stay Drive's."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colab_kit.colab import lease
from colab_kit.colab.lease import Guarded, Holder, hold_lease, sole_writer
from colab_kit.colab.reading import ground, make_folder
from colab_kit.errors import RunInUse
from colab_kit.events import Control, Note
from colab_kit.system.locks import one_writer
from tests.support import examples

NOW = 1_700_000_000.0
HOLD = """
import sys
from pathlib import Path
from colab_kit.colab.lease import Guarded, hold_lease, sole_writer
with hold_lease(Path(sys.argv[1]), emit=print, lost=print):
    print('held', flush=True)
    sys.stdin.read()
"""


def test_a_holder_gives_a_sign_of_life_each_minute():
    assert lease.BEAT == 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyDrive").mkdir()
    return tmp_path / "MyDrive" / "colab-kit" / "runs" / "pets"


class Clock:
    """A clock that a test sets; as `wait` it lets a beat pass each time the test ticks."""

    def __init__(self) -> None:
        self.now, self.go, self.beaten = NOW, threading.Semaphore(0), threading.Semaphore(0)
        self.begun = False

    def __call__(self) -> float:
        return self.now

    def wait(self, end: threading.Event, seconds: float) -> bool:
        if self.begun:
            self.beaten.release()
        self.begun = True
        while not self.go.acquire(timeout=0.01):
            if end.is_set():
                return True
        self.now += seconds
        return False

    def tick(self) -> None:
        """Let a beat's time pass, and the beat be done."""
        self.go.release()
        assert self.beaten.acquire(timeout=5)


def other(folder: Path, age: float = 0.0, **fields: object) -> Path:
    """The lease of a session on another machine, last heard `age` seconds ago."""
    folder.mkdir(parents=True, exist_ok=True)
    who = Holder(
        "theirs", "another machine", 7, "1", "colab on far (process 7)", NOW - 3600, NOW - age
    )
    (folder / lease.NAME).write_bytes(dataclasses.replace(who, **fields).as_bytes())  # type: ignore[arg-type]
    return folder / lease.NAME


def take(folder: Path, notes: list[Note] | None = None, **more: object) -> object:
    clock = more.pop("clock", lambda: NOW)
    return hold_lease(
        folder,
        emit=(notes if notes is not None else []).append,
        lost=more.pop("lost", lambda reason: None),
        clock=clock,
        **more,
    )


def said(folder: Path) -> Holder:
    found = Holder.at(folder / lease.NAME)
    assert found is not None
    return found


def test_a_lease_says_who_since_when_and_ends_released_in_one_file_that_never_moves(folder):
    folder.mkdir(parents=True)
    (folder / "run.json").touch()
    clock = Clock()
    with take(folder, clock=clock, wait=clock.wait):
        first, number = said(folder), (folder / lease.NAME).stat().st_ino
        assert (
            first.session == lease.SESSION
            and first.pid == os.getpid()
            and first.since == first.beat == NOW
            and not first.released
        )
        clock.tick()
        clock.tick()
        assert said(folder).beat == NOW + 2 * lease.BEAT and said(folder).since == NOW
    assert said(folder).released and (folder / lease.NAME).stat().st_ino == number
    assert len((folder / lease.NAME).read_bytes()) == lease.SIZE
    with take(folder, session="another"):  # what was given back is free at once
        pass


def test_without_a_drive_there_is_nothing_to_hold():
    with hold_lease(None, emit=print, lost=print) as nothing:
        assert nothing is None


def test_a_fresh_foreign_session_is_named_with_since_when_and_until_when_to_wait(folder):
    path = other(folder, age=100)
    before = path.read_bytes()
    with pytest.raises(RunInUse) as error, take(folder):
        raise AssertionError("not reached")
    hm = lambda seconds: time.strftime("%H:%M", time.localtime(seconds))
    assert "pets" in error.value.what and "colab on far" in error.value.why
    assert f"since {hm(NOW - 3600)}" in error.value.why and "100 s ago" in error.value.why
    assert f"after {hm(NOW + 80 + 59)}" in error.value.fix and "name=" in error.value.fix
    assert path.read_bytes() == before, "a refused session writes nothing"


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (0, True),
        (179, True),
        (181, False),
        (-60, True),
        (-3599, True),
        (-3601, False),
        (1e9, False),
    ],
)
def test_a_session_not_heard_for_three_beats_is_taken_over_with_a_note_and_a_clock_ahead_is_forgiven(
    folder, age, fresh
):
    other(folder, age)
    notes: list[Note] = []
    if fresh:
        with pytest.raises(RunInUse), take(folder, notes):
            pass
        return
    with take(folder, notes):
        assert said(folder).session == lease.SESSION
    assert len(notes) == 1 and "colab on far" in notes[0].text and "taken over" in notes[0].text


def test_a_released_lease_and_ones_own_are_taken_silently(folder):
    notes: list[Note] = []
    for fields in ({"released": True}, {"session": lease.SESSION}):
        other(folder, **fields)
        with take(folder, notes):
            pass
    assert not notes


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"session": "x"}', b"\0" * 1024, b"null"])
def test_a_torn_lease_counts_by_the_age_of_its_file(folder, content):
    path = other(folder)
    path.write_bytes(content)
    os.utime(path, (NOW - 30, NOW - 30))
    with pytest.raises(RunInUse, match="another session") as error, take(folder):
        pass
    assert "unknown session" in error.value.why
    os.utime(path, (NOW - 300, NOW - 300))
    with take(folder):
        assert said(folder).session == lease.SESSION


WHOLE = dataclasses.asdict(
    Holder("theirs", "another machine", 7, "1", "far", NOW - 3600.0, NOW - 1.0)
)
ODD = [None, True, "", "x", -1, 0, 1, 2**70, -1e300, 1e300, 1e18, math.nan, math.inf, [], {}]
JSON = st.recursive(
    st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


def still_guards(folder: Path, content: str) -> bool:
    """Take a folder whose lease says anything, and let a beat pass with it: does the thread live?

    It is given back with a free lease, or another session holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").touch()
    (folder / lease.NAME).write_text(content, "utf-8")
    clock, notes, odd = Clock(), [], Holder.at(folder / lease.NAME)
    assert odd is not None and isinstance(odd.heard(NOW) or odd.gone(), bool)
    try:
        with take(folder, notes, clock=clock, wait=clock.wait):
            (folder / lease.NAME).write_text(content, "utf-8")
            clock.tick()
        return (folder / lease.NAME).exists()
    except RunInUse as refused:
        return "last heard of at" in refused.why


@settings(max_examples=examples(100), deadline=None, derandomize=True)
@given(content=JSON | st.dictionaries(st.sampled_from(sorted(WHOLE)), JSON).map(WHOLE.__or__))
def test_whatever_a_lease_says_the_thread_that_guards_the_run_lives_on(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("odd") / "MyDrive" / "pets"
    assert still_guards(folder, json.dumps(content))


@pytest.mark.parametrize("name", ["since", "beat", "pid", "released", "session", "words"])
def test_a_lease_with_a_field_that_cannot_be_is_a_damaged_one(folder, name):
    fits = {"session": str, "words": str, "released": bool}.get(name, (int, float))
    values = [odd for odd in ODD if not isinstance(odd, fits) or odd in (-1, 1e300, 2**70)]
    folder.mkdir(parents=True)
    for value in values:
        (folder / lease.NAME).write_text(json.dumps({**WHOLE, name: value}), "utf-8")
        assert said(folder).words == "an unknown session (its lease is damaged)", value


@pytest.mark.parametrize("content", ["[" * 9000, "9" * 9000, json.dumps(WHOLE) + " " * 99_999])
def test_a_lease_that_is_too_deep_or_too_long_is_a_damaged_one(folder, content):
    folder.mkdir(parents=True)
    (folder / lease.NAME).write_text(content, "utf-8")
    assert not said(folder).session


def test_a_fault_of_any_kind_in_the_thread_is_a_note(folder, monkeypatch):
    monkeypatch.setattr(lease, "there", lambda path: 1 / 0)
    notes = []
    with take(folder, notes):
        pass
    assert "cannot be kept (ZeroDivisionError" in notes[0].text


def test_half_a_beat_kept_by_drive_is_still_a_lease(folder):
    path = other(folder)
    mine = dataclasses.replace(
        Holder.me(NOW), words="colab-subprocess on 0123456789ab (process 12345)"
    ).as_bytes()
    path.write_bytes(mine[: len(mine) // 2] + path.read_bytes()[len(mine) // 2 :])
    assert said(folder).session == lease.SESSION


def test_a_second_process_is_refused_and_a_killed_one_is_followed_at_once(folder):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert first.stdout is not None and first.stdout.readline() == b"held\n"
    with pytest.raises(RunInUse, match="another session") as error, take(folder, clock=time.time):
        pass
    assert f"process {first.pid}" in error.value.why
    first.kill()
    while lease.born(first.pid):  # not waited for: as a zombie it is gone too
        time.sleep(0.01)
    notes: list[Note] = []
    with take(folder, notes, clock=time.time):
        assert said(folder).pid == os.getpid() and not notes
    first.communicate()


def test_a_process_number_used_again_is_not_the_old_process(folder):
    other(folder, machine=lease.machine(), pid=os.getpid(), born="long ago")
    with take(folder):
        assert said(folder).session == lease.SESSION
    other(folder, machine=lease.machine(), pid=os.getpid(), born=lease.born(os.getpid()))
    with pytest.raises(RunInUse), take(folder):
        pass


def test_a_child_is_another_session():
    child = os.fork()
    if child == 0:
        os._exit(lease.SESSION == PARENT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


PARENT = lease.SESSION


def test_a_lease_taken_over_is_lost_with_its_reason_and_is_not_written_again(folder):
    clock, control, notes = Clock(), Control(), []
    with take(folder, notes, clock=clock, wait=clock.wait, lost=control.stop) as mine:
        other(folder, age=-lease.BEAT)
        clock.go.release()
        mine._thread.join(5)
        assert (
            control.reason == mine.reason == "taken over by colab on far (process 7)" and not notes
        ), "notes wait for the caller"
        theirs = (folder / lease.NAME).read_bytes()
    assert (folder / lease.NAME).read_bytes() == theirs and "on this machine alone" in notes[0].text


def test_what_another_session_took_since_the_last_beat_is_left_to_it(folder):
    with take(folder):
        theirs = other(folder).read_bytes()
    assert (folder / lease.NAME).read_bytes() == theirs


def test_a_lease_that_drive_damages_while_it_is_held_does_not_end_the_run_and_is_written_again(
    folder,
):
    clock, control = Clock(), Control()
    with take(folder, clock=clock, wait=clock.wait, lost=control.stop):
        (folder / lease.NAME).write_bytes(b"{")
        os.utime(folder / lease.NAME, (NOW + 60, NOW + 60))
        clock.tick()
        assert not control.stopped and said(folder).session == lease.SESSION


def test_a_foreign_lease_that_is_dead_does_not_end_a_run(folder):
    clock, control = Clock(), Control()
    with take(folder, clock=clock, wait=clock.wait, lost=control.stop):
        other(folder, age=1000)
        clock.tick()
        assert not control.stopped and said(folder).session == lease.SESSION


@pytest.mark.parametrize("number", [5, 28, 30, 107])
def test_a_drive_that_cannot_be_written_is_one_note_and_the_block_runs(folder, monkeypatch, number):
    def fails(*a, **kw):
        raise OSError(number, os.strerror(number))

    clock, notes = Clock(), []
    monkeypatch.setattr(lease, "open", fails, raising=False)
    with take(folder, notes, clock=clock, wait=clock.wait) as mine:
        assert mine is not None
        clock.tick()
        clock.tick()
    assert len(notes) == 1 and os.strerror(number) in notes[0].text and notes[0].level == "warn"


@pytest.mark.parametrize("takes", [0, 100])
def test_a_full_drive_keeps_no_half_lease_that_would_lock_the_next_session_out(
    folder, monkeypatch, takes
):
    class Full(io.FileIO):
        def write(self, content):
            if not takes:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(content[:takes])

    notes: list[Note] = []
    monkeypatch.setattr(lease, "open", lambda path, mode, **kw: Full(path, mode), raising=False)
    with take(folder, notes, session="this one"):
        assert not (folder / lease.NAME).exists() and "No space left" in notes[0].text
    monkeypatch.undo()
    with take(folder, notes, session="its next one", clock=time.time):
        assert said(folder).session == "its next one"


def test_a_drive_that_comes_back_gets_its_lease(folder):
    (folder.parents[2]).rmdir()
    clock, notes = Clock(), []
    with take(folder, notes, clock=clock, wait=clock.wait):
        assert "no longer there" in notes[0].text and not folder.parents[2].exists(), (
            "nothing is made under an empty mountpoint"
        )
        folder.parents[2].mkdir()
        clock.tick()
        assert said(folder).session == lease.SESSION


def test_a_drive_that_hangs_delays_neither_start_nor_end_beyond_its_patience(folder, monkeypatch):
    hung = threading.Event()
    monkeypatch.setattr(Holder, "at", lambda path: hung.wait(30) and None)
    notes: list[Note] = []
    begun = time.monotonic()
    with take(folder, notes, patience=0.1):
        assert "does not answer" in notes[0].text
    assert time.monotonic() - begun < 2
    hung.set()


def test_a_foreign_session_seen_late_stops_the_run(folder, monkeypatch):
    other(folder)
    hung, at, control = threading.Event(), Holder.at, Control()
    monkeypatch.setattr(Holder, "at", lambda path: at(path) if hung.wait(30) else None)
    with take(folder, patience=0.1, lost=control.stop) as mine:
        hung.set()
        mine._thread.join(5)
        assert control.reason.startswith("taken over by")


def test_a_run_of_which_nothing_came_leaves_no_folder(folder):
    with pytest.raises(ZeroDivisionError), take(folder):
        assert said(folder)
        raise ZeroDivisionError
    assert not folder.exists() and folder.parent.exists()
    folder.mkdir()
    with take(folder):
        pass
    assert said(folder).released, "a folder that was there stays"


def test_the_thread_ends_with_the_block(folder):
    with take(folder):
        assert [t for t in threading.enumerate() if t.name == "lease"]
    assert not [t for t in threading.enumerate() if t.name == "lease"]


class Dict:
    """A shelf that remembers what it was asked."""

    find = news = forget = None

    def __init__(self) -> None:
        self.asked: list[str] = []

    def push(self, path, name):
        self.asked.append("push")
        return True

    def close(self, timeout=None, emit=None):
        self.asked.append("close")
        return True


def test_nothing_is_pushed_to_a_shelf_whose_lease_is_lost(folder):
    shelf = Dict()
    with take(folder) as mine:
        guarded = Guarded(shelf, mine)
        assert guarded.push(folder, "x") and guarded.close() and shelf.asked == ["push", "close"]
        mine.reason = "taken over"
        assert not guarded.push(folder, "x") and not guarded.close() and len(shelf.asked) == 2


def test_the_lock_is_held_while_way_is_made_and_after_the_lease_is_given_back(tmp_path, folder):
    run, seen = tmp_path / "run", []

    def make_way() -> None:
        seen.append(Holder.at(folder / lease.NAME).released)
        with pytest.raises(RunInUse, match="another process"), one_writer(run):
            pass
        if run.exists():
            run.rename(tmp_path / "before")

    with sole_writer(run, folder, make_way, emit=print, lost=print) as mine:
        assert (
            mine is not None
            and (run / ".lock").exists()
            and (tmp_path / "before").exists()
            and not said(folder).released
        )
        (folder / "run.json").touch()
    assert seen == [False] and said(folder).released
    with (
        pytest.raises(ZeroDivisionError),
        sole_writer(run, folder, lambda: 1 / 0, emit=print, lost=print),
    ):  # type: ignore[arg-type, return-value]
        pass
    assert said(folder).released
    with one_writer(run):
        pass


def test_the_ground_is_my_drive_itself(tmp_path):
    assert (
        ground(Path("/x/MyDrive/a/b")) == Path("/x/MyDrive")
        and ground(tmp_path / "a" / "b") == tmp_path
    )
    with pytest.raises(FileNotFoundError):
        make_folder(tmp_path / "MyDrive" / "a")
    assert not (tmp_path / "MyDrive").exists()
    (tmp_path / "MyDrive").mkdir()
    assert make_folder(tmp_path / "MyDrive" / "a" / "b") and not make_folder(
        tmp_path / "MyDrive" / "a" / "b"
    )
