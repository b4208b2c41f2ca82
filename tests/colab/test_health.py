"""The health of a mount: asked with a deadline, so that one that hangs does not hang us."""

import os
import threading
import time
from pathlib import Path

import pytest

from colab_kit.colab import health
from colab_kit.colab.health import (
    NoAnswer,
    drives,
    healthy,
    mount_table,
    mounts,
    probe,
    stand_in_place,
    state,
    within,
)


@pytest.fixture
def point(tmp_path) -> Path:
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    return tmp_path / "drive"


@pytest.fixture
def hanging():
    """A stat that does not come back before the test ends; `calls` counts who asked."""
    release = threading.Event()

    def stat(path):
        stat.calls += 1
        release.wait(30)
        return os.stat(path)

    stat.calls, stat.release = 0, release
    yield stat
    release.set()


def test_a_drive_that_is_there_is_well(point):
    found = probe(point)
    assert found and found.why == "well" and found.answered and 0 <= found.seconds < 5


def test_one_that_is_gone_is_not_well_and_says_why(point):
    (point / "MyDrive").rmdir()
    assert not probe(point) and "No such file" in probe(point).why and probe(point).answered
    (point / "MyDrive").write_text("a file")
    assert probe(point).why == "its MyDrive is no folder"


def test_one_that_hangs_is_given_up_at_the_deadline(point, hanging):
    start = time.monotonic()
    found = probe(point, 0.05, look=hanging)
    assert (
        not found
        and not found.answered
        and "no answer within 0.05 s" in found.why
        and time.monotonic() - start < 5
    )


def test_asking_a_hanging_one_again_starts_no_second_thread(point, hanging):
    before = threading.active_count()
    for _ in range(5):
        assert not probe(point, 0.01, look=hanging)
    assert hanging.calls == 1 and threading.active_count() <= before + 1
    hanging.release.set()
    assert probe(point, 5.0), "once it answers, the next question is a new one"


def test_the_thread_of_a_hanging_one_keeps_no_process_alive(point, hanging):
    probe(point, 0.01, look=hanging)
    [asking] = [
        thread for thread in threading.enumerate() if thread.name.startswith("colab-kit stat")
    ]
    assert asking.daemon


def test_what_the_question_raises_is_raised_here_and_it_can_be_asked_again(tmp_path):
    with pytest.raises(FileNotFoundError):
        within(5, "size", tmp_path / "none", os.path.getsize)
    (tmp_path / "none").write_text("12")
    assert within(5, "size", tmp_path / "none", os.path.getsize) == 2
    with pytest.raises(KeyboardInterrupt):
        within(5, "x", tmp_path, lambda path: (_ for _ in ()).throw(KeyboardInterrupt()))


def test_no_answer_is_a_timeout():
    assert issubclass(NoAnswer, TimeoutError)


def test_the_table_is_read_with_its_escapes():
    table = "drive /content/my\\040drive fuse.drive rw 0 0\noverlay / overlay rw 0 0\nbroken\n"
    assert drives(table) == [Path("/content/my drive")] and mounts(table)[1] == (
        Path("/"),
        "overlay",
    )


def test_what_is_no_mount_is_never_asked(point, monkeypatch):
    monkeypatch.setattr(health, "probe", lambda *_: pytest.fail("asked"))
    assert (
        not healthy(point, "overlay / overlay rw 0 0")
        and state(point, "").why == "nothing is mounted there"
    )


def test_a_mount_that_hangs_is_not_healthy(point, hanging, monkeypatch):
    monkeypatch.setattr(os, "stat", hanging)
    found = state(point, f"drive {point} fuse.drive rw 0 0", 0.02)
    monkeypatch.undo()
    assert not found and not found.answered


# --- a stand-in that stands somewhere as a folder ---


def test_a_mounted_stand_in_is_a_row_of_the_table_that_any_process_reads(own_home, tmp_path):
    place = tmp_path / "my content" / "drive"
    (place / "MyDrive").mkdir(parents=True)
    (own_home / "kit/drive").mkdir(parents=True)
    (own_home / "kit/drive/.mounted").write_text(f"{place}\n")
    assert (
        drives(mount_table())[-1:] == [place]
        and healthy(place, mount_table())
        and stand_in_place() == place
    )


@pytest.mark.parametrize("text", ["", "relative/drive", "/no/such/place", "\0"])
def test_a_state_that_is_not_true_counts_for_nothing(own_home, text):
    (own_home / "kit/drive").mkdir(parents=True)
    before = mount_table()
    (own_home / "kit/drive/.mounted").write_text(text)
    assert mount_table() == before and stand_in_place() == own_home / "kit/drive"


def test_a_stand_in_that_is_in_the_kernels_list_too_has_one_row(own_home, monkeypatch):
    (own_home / "kit/drive").mkdir(parents=True)
    (own_home / "kit/drive/.mounted").write_text("/proc")
    monkeypatch.setattr(health, "stand_in_mounted", lambda: Path("/proc"))
    assert [point for point, _ in mounts(mount_table())].count(Path("/proc")) == 1
