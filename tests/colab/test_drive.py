"""A Drive as others see it: a path that can be asked, waited for and unmounted."""

import os
import threading
from pathlib import Path

import pytest

from colab_kit.colab import drive as room
from colab_kit.colab.drive import Drive, stand_in
from colab_kit.errors import DriveError
from colab_kit.events import Note
from colab_kit.system.console import with_console

MOUNTED = lambda: "drive /content/drive fuse.drive rw 0 0"


@pytest.fixture
def drive(tmp_path) -> Drive:
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    return Drive(tmp_path / "drive/MyDrive", "real", tmp_path / "drive")


class Copier:
    """A mirror on paper."""

    def __init__(self, root: Path, done: bool = True) -> None:
        self.root, self.done, self.closed = root, done, []
        room.session.shelves.add(self)

    def close(self, timeout=None, emit=None) -> bool:
        self.closed.append(timeout)
        emit(Note(f"closing {self.root.name}"))
        return self.done


def test_a_drive_is_used_like_a_path(drive):
    assert (
        os.path.join(drive, "x") == str(drive / "x")
        and Path(drive) == drive.mydrive
        and str(drive) == str(drive.mydrive)
    )
    assert drive.free() > 0 and drive.health() and drive.real


@pytest.mark.parametrize(
    ("kind", "real"), [("real", True), ("reused", True), ("mock", False), ("folder", False)]
)
def test_what_google_has_is_real(drive, kind, real):
    assert Drive(drive.mydrive, kind, drive.mountpoint).real is real


def test_a_drive_that_is_gone_is_not_well_and_has_no_free_space(drive):
    drive.mydrive.rmdir()
    assert not drive.health() and drive.health().answered
    with pytest.raises(DriveError, match="cannot be read"):
        drive.free()


def test_a_drive_that_hangs_hangs_nobody(drive, monkeypatch):
    release = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", lambda path, *a, **k: release.wait(30))
        patch.setattr(room.shutil, "disk_usage", lambda path: release.wait(30))
        assert not drive.health(timeout=0.02).answered
        with pytest.raises(DriveError, match="does not answer"):
            drive.free(timeout=0.02)
    release.set()


def test_waiting_closes_the_mirrors_under_the_mountpoint_and_no_others(drive, tmp_path):
    mine = [Copier(drive / "colab-kit/runs"), Copier(drive.mountpoint / "Shareddrives/lab")]
    other = Copier(tmp_path / "drive2/MyDrive")
    heard: list = []
    assert drive.wait(callbacks=[heard.append], quiet=True) is True
    assert (
        [copier.closed for copier in mine] == [[None], [None]]
        and other.closed == []
        and len(heard) == 2
    )


def test_waiting_says_whether_all_was_handed_over_and_shares_its_time(drive):
    slow, quick = Copier(drive / "a", done=False), Copier(drive / "b")
    assert drive.wait(60, quiet=True) is False
    assert 0 < quick.closed[0] <= slow.closed[0] <= 60
    slow.done = True
    assert drive.wait(0, quiet=True) is True and slow.closed[1] == 0


def test_a_drive_without_mirrors_has_nothing_to_wait_for(drive):
    assert drive.wait(quiet=True) is True


def test_unmounting_waits_first_then_flushes_once_and_says_that_consent_is_asked_again(drive):
    order, heard = [], []
    copier = Copier(drive / "runs")
    flush = lambda seconds: order.append((seconds, list(copier.closed)))
    assert drive.unmount(callbacks=[heard.append], quiet=True, door=flush, look=MOUNTED) is True
    assert (
        order == [(86_400.0, [None])]
        and "consent again" in heard[-1].text
        and "sent" in heard[-1].text
    )


def test_a_limit_holds_for_both_together(drive):
    copier, seconds = Copier(drive / "runs"), []
    drive.unmount(60, quiet=True, door=seconds.append)
    assert 59 < copier.closed[0] <= 60 and 1 <= seconds[0] <= 60


def test_copies_that_were_not_handed_over_do_not_keep_it_mounted_and_are_told(drive):
    copier, flushed, heard = Copier(drive / "runs", done=False), [], []
    assert (
        drive.unmount(5, callbacks=[heard.append], quiet=True, door=flushed.append, look=MOUNTED)
        is False
        and len(flushed) == 1
    )
    assert (
        [note.level for note in heard] == ["info", "warn", "info"]
        and "Not all" in heard[1].text
        and copier.closed
    )


def test_a_drive_that_was_gone_before_is_not_said_to_have_sent_anything(drive):
    heard, flushed = [], []
    assert (
        drive.unmount(callbacks=[heard.append], quiet=True, door=flushed.append, look=str) is True
        and len(flushed) == 1
    )
    assert [note.level for note in heard] == ["warn"] and "nothing was sent" in heard[0].text


def test_a_flush_that_fails_is_an_error_and_promises_nothing(drive):
    def door(seconds):
        raise DriveError("Google Drive could not be flushed and unmounted.")

    heard: list = []
    with pytest.raises(DriveError):
        drive.unmount(callbacks=[heard.append], quiet=True, door=door)
    assert heard == []


@pytest.mark.parametrize("kind", ["mock", "folder"])
def test_a_stand_in_is_left_without_google(tmp_path, kind):
    drive = stand_in(tmp_path / "drive", kind)
    copier, heard = Copier(drive / "runs"), []
    assert (
        drive.unmount(callbacks=[heard.append], quiet=True, door=pytest.fail) is True
        and copier.closed
        and drive.mountpoint in room.session.left
    )
    assert drive.mydrive.is_dir() and not any("consent" in note.text for note in heard)


def test_an_unmounted_stand_in_is_not_well(tmp_path):
    drive = stand_in(tmp_path / "drive", "mock")
    assert drive.health()
    drive.unmount(quiet=True)
    assert not drive.health() and drive.health().why == "it was unmounted"


def test_a_stand_in_on_a_mount_that_died_blames_the_mount(tmp_path, own_home, monkeypatch):
    monkeypatch.setattr(
        Path,
        "mkdir",
        lambda self, **how: (_ for _ in ()).throw(OSError(107, os.strerror(107), str(self))),
    )
    with pytest.raises(DriveError, match="does not answer") as raised:
        stand_in(tmp_path / "drive", "mock")
    assert "COLAB_KIT_HOME" not in str(raised.value) and "umount" in raised.value.fix


def test_a_with_statement_unmounts_at_the_end_also_after_an_error(drive, monkeypatch):
    ended = []
    monkeypatch.setattr(Drive, "unmount", lambda self: ended.append(self))
    with drive as same:
        assert same is drive
    with pytest.raises(ZeroDivisionError), drive:
        raise ZeroDivisionError
    assert ended == [drive, drive]


def test_a_mirror_that_nobody_holds_is_forgotten(drive):
    Copier(drive / "runs")
    assert not [
        shelf for shelf in room.session.shelves if shelf.root.is_relative_to(drive.mountpoint)
    ]


def test_callbacks_hear_beside_the_console_unless_it_is_quiet(capsys):
    heard: list = []
    with_console([heard.append])(Note("to both"))
    with_console([heard.append], quiet=True)(Note("to one"))
    with_console()(Note("to the console"))
    assert [note.text for note in heard] == ["to both", "to one"]
    assert capsys.readouterr().out.splitlines() == ["to both", "to the console"]


def test_the_stand_in_is_made_once_and_keeps_its_files(own_home, tmp_path):
    drive = stand_in(tmp_path / "drive", "mock")
    (drive / "notes.txt").write_text("kept")
    assert stand_in(tmp_path / "drive", "folder") == Drive(
        own_home / "kit/drive/MyDrive", "folder", own_home / "kit/drive"
    )
    assert (drive / "notes.txt").read_text() == "kept" and not (tmp_path / "drive").exists()
