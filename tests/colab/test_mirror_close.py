"""The mirror at its end and beside a training: closing, a hundred saves, a run that was taken over."""

import errno
import os
import random
import subprocess
import sys
import threading

import pytest
import torch

from colab_kit.colab import mirror as room
from colab_kit.colab.drive import session
from colab_kit.colab.mirror import FIRST_WAIT, LONGEST_WAIT, Mirror, wait_at_exit
from colab_kit.colab.slots import Handover
from colab_kit.events import CopyProgress, Note, set_milestone_hook
from colab_kit.system.files import CHUNK, is_whole
from colab_kit.training.checkpoint import name_of
from colab_kit.training.saver import AT_LEAST, Saver
from tests.support.sealed import sealed, steps

CODES = (
    errno.EIO,
    errno.ENOSPC,
    errno.ENOTCONN,
    errno.EDQUOT,
    errno.EROFS,
    errno.ENOENT,
    errno.EPERM,
)


@pytest.fixture
def drive(tmp_path):
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    return tmp_path / "drive/MyDrive"


@pytest.fixture
def local(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


class Way:
    """The way to a Drive with a gate, and faults on cue: the next takes raise what is planned."""

    def __init__(self, drive):
        self.over, self.faults, self.taken, self.tried = Handover(drive), [], [], 0
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()

    def __call__(self, held):
        self.tried += 1
        self.began.set()
        assert self.gate.wait(20)
        if self.faults:
            raise self.faults.pop(0)
        self.over.take(held)
        self.taken.append(held.name)


@pytest.fixture
def way(drive):
    return Way(drive)


@pytest.fixture
def waits():
    return []


@pytest.fixture
def mirror(drive, way, waits):
    return Mirror(drive, hand_over=way, sleep=waits.append)


def put(folder, name, text="{}"):
    (folder / name).write_text(text)
    return folder / name


def fault(code):
    return OSError(code, os.strerror(code))


# --- closing ------------------------------------------------------------------------------------------------------


def test_close_gives_up_at_its_deadline_and_the_work_goes_on(mirror, way, drive, local):
    way.gate.clear()
    mirror.push(put(local, "run.json"), "r/run.json")
    assert not mirror.close(0.01) and not (drive / "r").exists()
    way.gate.set()
    assert mirror.close(20) and (drive / "r/run.json").exists()


def test_who_waits_at_the_end_of_a_long_outage_is_not_told_to_wait_for_the_longest_pause(
    drive, way, local
):
    waits, asleep, woken = [], threading.Semaphore(0), threading.Event()

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 8:  # in the longest pause: now the training ends, and somebody waits
            asleep.release()
            assert woken.wait(20)

    mirror = Mirror(drive, hand_over=way, sleep=sleep)
    way.faults = [fault(errno.ENOTCONN) for _ in range(10)]
    mirror.push(put(local, "run.json"), "r/run.json")
    assert asleep.acquire(timeout=20) and waits[-1] == LONGEST_WAIT
    assert not mirror.close(0.01)
    woken.set()
    assert mirror.close(20)
    assert FIRST_WAIT in waits[8:], "it was tried again after the shortest pause"


def test_close_looks_again_whether_drive_still_has_everything(mirror, drive, local):
    path, other = sealed(local, 10, size=2 * CHUNK), sealed(local, 5, kind="best")
    for file in (path, other, put(local, "run.json")):
        mirror.push(file, "r/" + file.name)
    assert mirror.drained(None)
    content = path.read_bytes()
    for file in (*local.iterdir(), drive / "r/best-a.safetensors", drive / "r/run.json"):
        file.unlink()
    (drive / "r/checkpoint-a.safetensors").write_bytes(
        content[: CHUNK // 2]
    )  # its program was killed before it had sent them
    assert mirror.close(20)
    assert (drive / "r/checkpoint-a.safetensors").read_bytes() == content
    assert is_whole(drive / "r/best-a.safetensors") and (drive / "r/run.json").exists()


def test_after_a_close_that_succeeded_nothing_is_held_or_brought_back(mirror, drive, local):
    path = sealed(local, 10, size=2 * CHUNK)
    mirror.push(path, "r/" + path.name)
    mirror.drained(None)
    (held,) = mirror._handed.values()
    assert mirror.close(20) and held.file.closed
    (drive / "r/checkpoint-a.safetensors").unlink()  # by `colab-kit runs --prune`
    assert mirror.close(20) and not list((drive / "r").iterdir())


def test_who_waits_sees_progress_that_ends_in_all_of_it(mirror, way, local, monkeypatch):
    monkeypatch.setattr(room, "TICK", 0.005)
    heard, main = [], threading.current_thread()

    def hear(event):
        assert threading.current_thread() is main
        heard.append(event)
        if len(heard) == 3:
            way.gate.set()

    way.gate.clear()
    mirror.push(path := sealed(local, 10, size=2 * CHUNK), "r/" + path.name)
    assert mirror.close(20, hear)
    assert all(isinstance(event, CopyProgress) for event in heard)
    done = [event.done for event in heard]
    assert done == sorted(done) and done[0] < heard[0].size and done[-1] == heard[-1].size
    heard.clear()
    assert mirror.close(20, heard.append) and heard == [], "what takes no time is not worth a line"


def test_wake_tries_at_once_what_waits_long_and_with_short_waits_again(drive, way, local):
    waited, longed = [], threading.Event()

    def wait(seconds):
        waited.append(seconds)
        if seconds > FIRST_WAIT and not longed.is_set():
            longed.set()
            assert mirror._wake.wait(20)

    mirror = Mirror(drive, hand_over=way, sleep=wait)
    mirror.wake()
    assert mirror._thread is None, "there is nothing to try"
    way.faults = [fault(errno.ENOTCONN)] * 4
    mirror.push(put(local, "run.json"), "r/run.json")
    assert longed.wait(20)
    mirror.wake()
    for _ in range(400):
        if mirror.idle:
            break
        threading.Event().wait(0.01)
    assert (
        mirror.idle
        and (drive / "r/run.json").exists()
        and waited == [FIRST_WAIT, 2 * FIRST_WAIT, FIRST_WAIT, 2 * FIRST_WAIT]
    )


def test_the_wait_at_the_end_of_the_process_may_be_interrupted(
    mirror, way, local, capsys, monkeypatch
):
    way.gate.clear()
    mirror.push(put(local, "run.json"), "r/run.json")

    waits = iter([False])

    def interrupted(*args):
        for done in waits:
            return done
        raise KeyboardInterrupt

    monkeypatch.setattr(mirror, "drained", interrupted)
    wait_at_exit(20)
    said = capsys.readouterr().out
    assert (
        "interrupt to leave them out" in said
        and "Not everything was handed" in said
        and said.count("\n") == 2
    )
    monkeypatch.undo()
    way.gate.set()
    assert mirror.close(20)


def test_the_end_of_the_process_waits_for_copies_and_says_so_once(
    mirror, way, drive, local, capsys
):
    wait_at_exit(20)
    assert capsys.readouterr().out == "", "idle"
    way.gate.clear()
    mirror.push(put(local, "run.json"), "r/run.json")
    threading.Timer(0.05, way.gate.set).start()
    wait_at_exit(20, grace=0.0)
    assert (drive / "r/run.json").exists() and capsys.readouterr().out.count("\n") == 1
    way.gate.clear()
    mirror.push(put(local, "run.json", "newer"), "r/run.json")
    threading.Timer(0.05, way.gate.set).start()
    wait_at_exit(20, grace=20.0)
    assert (drive / "r/run.json").read_text() == "newer" and capsys.readouterr().out == "", (
        "what takes no time is not worth a line"
    )


def test_a_process_that_ends_at_once_has_handed_over_what_it_pushed(drive, local):
    path = sealed(local, 10, size=8 * CHUNK)
    push = f"Mirror(Path({str(drive)!r})).push(Path({str(path)!r}), 'r/{path.name}')"
    code = f"from pathlib import Path; from colab_kit.colab.mirror import Mirror; {push}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert is_whole(drive / "r/checkpoint-a.safetensors")


# --- a thread beside a training -----------------------------------------------------------------------------------


def test_copying_draws_no_random_number_and_emits_nothing(mirror, way, local):
    before = random.getstate(), torch.random.get_rng_state()
    way.faults = [fault(errno.EIO)]
    mirror.push(path := sealed(local, 10), "r/" + path.name)
    assert mirror.close(20)
    assert random.getstate() == before[0] and torch.equal(torch.random.get_rng_state(), before[1])


def test_a_forked_child_needs_nothing_of_the_copier(mirror, way, local):
    way.gate.clear()
    mirror.push(sealed(local, 10, size=2 * CHUNK), "r/checkpoint-000000010.safetensors")
    assert way.began.wait(20)
    with mirror._change:  # as if the thread held it just now
        child = os.fork()
        if child == 0:
            wait_at_exit(20)
            os._exit(0 if Mirror.at(mirror.root) is not mirror else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    way.gate.set()
    assert mirror.close(20)


def test_a_folder_has_one_mirror_a_process_that_drive_can_ask(drive):
    mirror = Mirror.at(drive / "runs")
    assert (
        Mirror.at(drive / "runs") is mirror
        and Mirror.at(drive / "other") is not mirror
        and mirror in session.shelves
    )


# --- a hundred saves ----------------------------------------------------------------------------------------------


class Trash:
    """What a Drive counts: every file it holds, and every one that was deleted or replaced there, for a hard link keeps it."""

    def __init__(self, drive, bin):
        self.drive, self.bin, self.most = drive, bin, 0
        bin.mkdir()

    def pass_by(self, point, path):
        if point in ("mid_copy", "before_reading_back"):
            self.count()

    def count(self):
        for file in self.drive.rglob("*"):
            if file.is_file() and not (kept := self.bin / str(file.stat().st_ino)).exists():
                os.link(file, kept)
        self.most = max(self.most, sum(file.stat().st_size for file in self.bin.iterdir()))


def test_a_hundred_saves_never_take_three_times_a_checkpoint_of_drives_room(drive, local, tmp_path):
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    trash, clock = Trash(drive, tmp_path / "trash"), Clock()
    set_milestone_hook(trash.pass_by)
    mirror = Mirror(drive)
    saver = Saver(
        local,
        mirror,
        "r",
        every=1,
        emit=lambda event: None,
        clock=clock,
    )
    weights = torch.zeros(100_000)
    put(local, "run.json")
    for step in range(1, 101):
        clock.now += AT_LEAST
        put(local, "history.csv", "0.123456,0.123456\n" * step)
        best = step - step % 3 or 1
        facts = {"step": step, "start": "s", "best": {"file": name_of(best, "best")}}
        tensors = {
            "model/w": weights + step,
            "optimizer/0": weights - step,
            "optimizer/1": weights * step,
        }  # AdamW's two moments
        saver.save(
            step,
            tensors,
            facts,
            (name_of(best, "best"), {"w": weights + step}) if best == step else None,
        )
        assert mirror.drained(None)
        trash.count()
    assert saver.finish(20) and set(steps(drive / "r").values()) == {99, 100}
    size = (drive / "r/checkpoint-a.safetensors").stat().st_size
    assert 2 * size < trash.most < 3 * size, "two slots are the price of one that is always whole"
    assert [path.name for path in drive.rglob("*.safetensors") if not is_whole(path)] == []


def test_the_notes_of_a_hundred_failures_are_two(mirror, way, local):
    way.faults = [fault(errno.ENOTCONN) for _ in range(100)]
    mirror.push(put(local, "run.json"), "r/run.json")
    assert mirror.close(20) and [type(note) for note in mirror.news()] == [Note, Note]


# --- a run that another session took over ---------------------------------------------------------------------------


def test_what_is_forgotten_is_copied_no_more_whatever_it_waited_for(mirror, way, drive, local):
    way.gate.clear()
    way.faults = [fault(errno.EIO)]
    mirror.push(put(local, "mine.txt"), "r/mine.txt")
    assert way.began.wait(20)
    mirror.push(put(local, "run.json"), "r/run.json")
    mirror.push(put(local, "other.txt"), "r2/other.txt")
    mirror.forget("r")
    way.gate.set()
    assert mirror.close(20) and way.taken[0] == "r2/other.txt" and not (drive / "r").exists(), (
        "neither waiting nor failed ones"
    )


def test_what_was_handed_over_is_not_looked_for_again_once_it_is_forgotten(
    mirror, way, drive, local
):
    mirror.push(put(local, "run.json"), "r/run.json")
    assert mirror.drained(None)
    mirror.forget("r")
    (drive / "r/run.json").write_text("another session's")
    assert mirror.close(20) and (drive / "r/run.json").read_text() == "another session's"
