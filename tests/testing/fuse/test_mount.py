"""The FUSE body without a mount: uploads, Trash and quota, the daemon's answers, and refusals."""

from __future__ import annotations

import errno
import os
import types
from pathlib import Path

import pytest

from colab_kit.errors import DriveError, MissingExtra
from colab_kit.testing.faults import Faults
from colab_kit.testing.fuse import cloud as mounts
from colab_kit.testing.fuse import mount
from colab_kit.testing.fuse.cache import OPEN_QUIET, Cache
from colab_kit.testing.fuse.cloud import is_dead, lacking, mount_type, stored_bytes, trash_bytes
from colab_kit.testing.fuse.daemon import DriveFS, answer
from colab_kit.testing.fuse.mount import FuseBody


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(tmp_path, clock):
    return Cache(tmp_path / "store", delay=1.0, clock=clock)


@pytest.fixture
def drive(cache, clock):
    return DriveFS(cache, Faults(fuse=True, sleep=clock.sleep), clock=clock, sleep=clock.sleep)


def put(cache: Cache, path: str, data: bytes) -> None:
    """Write a file as open(path, "wb") does."""
    try:
        node = cache.open(path)
        cache.truncate(node, 0)
    except FileNotFoundError:
        node = cache.create(path, 0o644)
    cache.write(node, data, 0)
    cache.close(node)


def get(cache: Cache, path: str) -> bytes:
    node = cache.open(path)
    try:
        return cache.read(node, 1 << 20, 0)
    finally:
        cache.close(node)


def listed(drive: DriveFS, path: str) -> list[str]:
    return [name for name, _, _ in drive.readdir(path, 0)]


def again(cache: Cache, **options) -> Cache:
    """The session is killed and another begins."""
    cache.end()
    return Cache(cache.store, **options)


def raises(number: int):
    return pytest.raises(OSError, match=rf"\[Errno {number}\]")


# uploads


def test_a_file_reaches_the_cloud_only_after_the_delay_without_writes(cache, clock):
    put(cache, "MyDrive/a", b"one")
    clock.now = 0.9
    assert (
        cache.upload() == [] and cache.pending() == 1 and not (cache.store / "MyDrive/a").exists()
    )
    node = cache.open("MyDrive/a")
    cache.write(node, b"two", 0)
    cache.close(node)
    clock.now = 1.8
    cache.upload()
    assert not (cache.store / "MyDrive/a").exists(), "the second write starts the delay anew"
    clock.now = 2.0
    cache.upload()
    assert (cache.store / "MyDrive/a").read_bytes() == b"two" and cache.pending() == 0


def test_an_open_file_that_is_uploaded_can_be_written_on(tmp_path, clock):
    cache = Cache(tmp_path / "store", delay=0.0, clock=clock)
    node = cache.create("MyDrive/log", 0o644)
    cache.write(node, b"one ", 0)
    cache.upload()
    assert cache.pending() == 1, "an open file waits a little, whatever the delay"
    clock.now = OPEN_QUIET
    cache.upload()
    assert (cache.store / "MyDrive/log").read_bytes() == b"one "
    cache.write(node, b"two", 4)
    assert (cache.store / "MyDrive/log").read_bytes() == b"one ", (
        "the cloud's copy changed without an upload"
    )
    cache.close(node)
    cache.upload()
    assert (cache.store / "MyDrive/log").read_bytes() == b"one two"


def test_a_killed_session_loses_what_was_not_uploaded_and_nothing_else(cache):
    put(cache, "MyDrive/a", b"old")
    cache.upload(everything=True)
    put(cache, "MyDrive/a", b"newer")
    put(cache, "MyDrive/b", b"never seen")
    assert get(cache, "MyDrive/a") == b"newer" and cache.names("MyDrive") == ["a", "b"]
    cache = again(cache)
    assert get(cache, "MyDrive/a") == b"old" and cache.names("MyDrive") == ["a"]
    assert [path.name for path in (cache.store / ".drivefs").glob("session-*")] == [
        cache.session.name
    ]


def test_what_killed_sessions_left_is_swept_and_a_living_ones_is_not(cache):
    put(cache, "MyDrive/a", b"waiting")
    left = cache.store / ".drivefs" / "session-dead"
    left.mkdir()
    (left / "0").write_bytes(b"lost")
    other = Cache(cache.store)
    assert not left.exists() and {path.name for path in left.parent.iterdir()} == {
        cache.session.name,
        other.session.name,
    }
    assert get(cache, "MyDrive/a") == b"waiting"


def test_a_replaced_file_stays_in_the_cloud_until_the_new_one_is_whole_there(cache):
    put(cache, "MyDrive/a", b"old")
    put(cache, "MyDrive/a.part", b"the first half")
    cache.upload(everything=True)
    put(cache, "MyDrive/a.part", b"the first half and the second")
    cache.rename("MyDrive/a.part", "MyDrive/a")
    assert get(cache, "MyDrive/a") == b"the first half and the second" and cache.names(
        "MyDrive"
    ) == ["a"]
    assert (cache.store / "MyDrive/a").read_bytes() == b"old", (
        "neither removed nor replaced by half a file"
    )
    cache.upload(everything=True)
    assert (cache.store / "MyDrive/a").read_bytes() == b"the first half and the second"


def test_a_renamed_folder_takes_its_unsent_files_along(cache):
    cache.mkdir("MyDrive/runs", 0o755)
    put(cache, "MyDrive/runs/a", b"1")
    cache.rename("MyDrive/runs", "MyDrive/old")
    assert get(cache, "MyDrive/old/a") == b"1"
    with raises(errno.ENOTEMPTY):
        cache.rmdir("MyDrive/old")
    cache.upload(everything=True)
    assert (cache.store / "MyDrive/old/a").read_bytes() == b"1" and not (
        cache.store / "MyDrive/runs"
    ).exists()


def test_an_upload_that_fails_is_told_and_tried_again(cache, clock):
    put(cache, "MyDrive/a", b"1")
    (cache.store / "MyDrive/a").mkdir()  # somebody made a folder of that name on Google's side
    assert cache.upload(everything=True) == ["MyDrive/a"] and cache.pending() == 1
    (cache.store / "MyDrive/a").rmdir()
    clock.now = 1.0
    assert cache.upload() == [] and (cache.store / "MyDrive/a").read_bytes() == b"1"


def test_what_appears_in_the_cloud_is_seen(cache):
    (cache.store / "MyDrive/phone.jpg").write_bytes(b"x")
    assert cache.names("MyDrive") == ["phone.jpg"] and get(cache, "MyDrive/phone.jpg") == b"x"
    assert ".drivefs" not in cache.names("")
    with raises(errno.ENOENT):
        cache.stat(".drivefs/trash")


# the Trash and the quota


def test_deleted_bytes_go_to_the_trash_at_their_size_then(cache):
    put(cache, "MyDrive/a", b"x" * 100)
    cache.unlink("MyDrive/a")
    assert trash_bytes(cache.store) == 100
    put(cache, "MyDrive/b", b"x" * 100)
    cache.upload(everything=True)
    put(cache, "MyDrive/b", b"")  # truncated first
    cache.unlink("MyDrive/b")
    assert trash_bytes(cache.store) == 100, "a file truncated before it is deleted costs nothing"
    assert cache.quota.used() == 100 and stored_bytes(cache.store) == 0


def test_a_file_replaced_by_a_rename_goes_to_the_trash_and_one_written_over_does_not(cache):
    put(cache, "MyDrive/a", b"x" * 100)
    for size in (50, 80):
        put(cache, "MyDrive/a", b"y" * size)
        cache.upload(everything=True)
    assert trash_bytes(cache.store) == 0 and cache.quota.used() == 80
    put(cache, "MyDrive/b", b"z" * 10)
    cache.rename("MyDrive/b", "MyDrive/a")
    assert trash_bytes(cache.store) == 80 and cache.quota.used() == 90


def test_files_and_trash_share_the_capacity(tmp_path):
    cache = Cache(tmp_path / "store", capacity=100_000)
    put(cache, "MyDrive/a", b"x" * 60_000)
    with raises(errno.ENOSPC):
        put(cache, "MyDrive/b", b"x" * 40_001)
    put(cache, "MyDrive/b", b"x" * 40_000)
    cache.unlink("MyDrive/a")
    with raises(errno.ENOSPC):
        put(cache, "MyDrive/c", b"x")
    put(cache, "MyDrive/b", b"y" * 40_000)  # in place: nothing grows
    assert get(cache, "MyDrive/b") == b"y" * 40_000
    assert cache.quota.space()["f_bavail"] == 0 and cache.quota.space()["f_blocks"] == 24


def test_the_trash_outlives_a_session(tmp_path):
    cache = Cache(tmp_path / "store", capacity=100)
    put(cache, "MyDrive/a", b"x" * 60)
    cache.unlink("MyDrive/a")
    cache = again(cache, capacity=100)
    assert cache.quota.used() == 60
    with raises(errno.ENOSPC):
        put(cache, "MyDrive/b", b"x" * 41)
    body = FuseBody(cache.store)
    assert body.used() == 60 and body.trash_bytes() == 60
    body.empty_trash()
    put(cache, "MyDrive/b", b"x" * 41)


def test_a_deleted_file_that_is_open_can_still_be_read_and_is_never_uploaded(cache):
    put(cache, "MyDrive/a", b"here")
    node = cache.open("MyDrive/a")
    cache.hide("MyDrive/a", "MyDrive/.fuse_hidden1")
    assert (
        cache.names("MyDrive") == []
        and cache.read(node, 9, 0) == b"here"
        and trash_bytes(cache.store) == 4
    )
    cache.write(node, b"THERE", 0)
    cache.upload(everything=True)
    cache.close(node)
    cache.unlink("MyDrive/.fuse_hidden1")
    assert (
        list((cache.store / "MyDrive").iterdir()) == []
        and trash_bytes(cache.store) == 4
        and not any(cache.session.iterdir())
    )


# the daemon's answers


def test_the_spelling_with_a_space_is_the_same_place(drive):
    handle = drive.create("/My Drive/a.txt", 0o644)
    drive.write("/My Drive/a.txt", b"hi", 0, handle)
    drive.release("/My Drive/a.txt", handle)
    assert drive.getattr("/MyDrive/a.txt")["st_size"] == 2
    assert listed(drive, "/My Drive") == [".", "..", "a.txt"]
    assert listed(drive, "/")[2:] == [
        ".Trash-0",
        ".shortcut-targets-by-id",
        "MyDrive",
    ]
    drive.mkdir("/Shareddrives", 0o755)
    assert drive.getattr("/Shared drives") == drive.getattr("/Shareddrives")


def test_both_spellings_have_one_inode_that_stays_through_upload_and_rename(drive, cache):
    put(cache, "MyDrive/d", b"1")
    cache.upload(everything=True)
    inode = drive.getattr("/MyDrive/d")["st_ino"]
    handle = drive.open("/My Drive/d", 0)
    drive.write("/My Drive/d", b"2", 0, handle)
    assert {
        drive.getattr("/My Drive/d")["st_ino"],
        drive.getattr("/MyDrive/d", handle)["st_ino"],
    } == {inode}
    drive.release("/My Drive/d", handle)
    put(cache, "MyDrive/other", b"")
    drive.rename("/MyDrive/d", "/MyDrive/e")
    rows = {name: row["st_ino"] for name, row, _ in drive.readdir("/MyDrive", 0)}
    assert rows["e"] == inode == drive.getattr("/MyDrive/e")["st_ino"]
    assert len({*rows.values()}) == 4 and all(rows.values()), "0 hides a name from readdir"
    drive.unlink("/MyDrive/e")
    put(cache, "MyDrive/e", b"new")
    assert drive.getattr("/MyDrive/e")["st_ino"] != inode


def test_opening_to_write_anew_empties_the_file_where_the_kernel_leaves_that_to_us(drive, cache):
    put(cache, "MyDrive/a", b"long text")
    handle = drive.open("/MyDrive/a", os.O_WRONLY | os.O_TRUNC)
    drive.write("/MyDrive/a", b"short", 0, handle)
    drive.release("/MyDrive/a", handle)
    assert get(cache, "MyDrive/a") == b"short"
    drive.faults.io_error("a", skip=1)  # the opening passes, the emptying does not
    with raises(errno.EIO):
        drive.open("/MyDrive/a", os.O_WRONLY | os.O_TRUNC)
    assert not cache.is_open("MyDrive/a") and get(cache, "MyDrive/a") == b"short"


@pytest.mark.parametrize("call", ["symlink", "link"])
def test_links_are_refused_as_on_drive(drive, call):
    with raises(errno.EOPNOTSUPP):
        getattr(drive, call)("/MyDrive/link", "a.txt")


def test_each_operation_asks_the_plan(drive, clock):
    handle = drive.create("/MyDrive/a.txt", 0o644)
    calls = {
        "stat": lambda: drive.getattr("/MyDrive/a.txt"), "read": lambda: drive.read("", 1, 0, handle),
        "write": lambda: drive.write("", b"x", 0, handle), "flush": lambda: drive.flush("", handle),
        "sync": lambda: drive.fsync("", 0, handle), "truncate": lambda: drive.truncate("/MyDrive/a.txt", 0),
        "open": lambda: drive.open("/MyDrive/a.txt", 0), "rename": lambda: drive.rename("/MyDrive/a.txt", "/MyDrive/b.txt"),
        "arrive": lambda: drive.rename("/MyDrive/b.txt", "/MyDrive/a.txt"), "unlink": lambda: drive.unlink("/MyDrive/a.txt"),
        "hide": lambda: drive.rename("/MyDrive/a.txt", "/MyDrive/.fuse_hidden1"), "chmod": lambda: drive.chmod("/MyDrive/a.txt", 0o600),
        "utimens": lambda: drive.utimens("/MyDrive/a.txt", None), "create": lambda: drive.create("/MyDrive/a.txt", 0),
        "chown": lambda: drive.chown("/MyDrive/a.txt", 0, 0),
    }  # fmt: skip
    for call in calls.values():
        fault = drive.faults.io_error("MyDrive/a.txt", times=1)
        with raises(errno.EIO):
            call()
        assert fault.fired == 1
    for call in (
        lambda: drive.mkdir("/MyDrive/d", 0),
        lambda: drive.rmdir("/MyDrive/d"),
        lambda: drive.readdir("/MyDrive", 0),
    ):
        drive.faults.drops(times=1)
        with raises(errno.ENOTCONN):
            call()
    drive.faults.slow(0.5, times=1)
    drive.statfs("/")
    assert clock.slept == [0.5]


def test_a_look_up_that_the_kernel_repeats_uses_up_no_failure(drive, clock):
    drive.release("", drive.create("/MyDrive/a.txt", 0o644))
    drive.getattr("/MyDrive/a.txt")
    once, slow = drive.faults.io_error("a.txt", times=1), drive.faults.slow(0.5, "a.txt", times=1)
    drive.getattr("/My Drive/a.txt")
    assert (once.fired, slow.fired) == (0, 1)
    with raises(errno.EIO):
        drive.open("/MyDrive/a.txt", 0)
    drive.faults.drops("a.txt")
    with raises(errno.ENOTCONN):
        drive.getattr("/MyDrive/a.txt")


def test_latency_is_waited_at_each_operation(cache, clock):
    drive = DriveFS(cache, Faults(fuse=True), latency=0.2, sleep=clock.sleep)
    drive.getattr("/MyDrive")
    drive.readdir("/MyDrive", 0)
    assert clock.slept == [0.2, 0.2]


def test_a_torn_write_keeps_half_and_reports_all(drive):
    torn = drive.faults.torn_write("*.pt")
    handle = drive.create("/MyDrive/a.pt", 0o644)
    assert drive.write("", b"12345678", 0, handle) == 8
    assert drive.read("", 9, 0, handle) == b"1234" and torn.fired == 1


def test_a_late_file_is_found_by_its_maker_and_by_nobody_else_for_so_long(drive, clock):
    late = drive.faults.late_visibility(5.0, "*.txt")
    handle = drive.create("/MyDrive/a.txt", 0o644)
    assert drive.getattr("/MyDrive/a.txt")["st_size"] == 0, (
        "whoever has it open asks for its size by name"
    )
    assert listed(drive, "/MyDrive") == [".", ".."]
    drive.write("", b"hi", 0, handle)
    drive.release("", handle)
    with raises(errno.ENOENT):
        drive.getattr("/MyDrive/a.txt")
    clock.now = 5.0
    assert drive.getattr("/MyDrive/a.txt")["st_size"] == 2 and listed(drive, "/MyDrive") == [
        ".",
        "..",
        "a.txt",
    ]
    assert late.fired == 1


def test_a_stale_listing_shows_what_was_there_when_it_was_planned(cache, clock):
    drive = DriveFS(cache, Faults(fuse=True), clock=clock)
    theirs = Faults(fuse=True)
    put(cache, "MyDrive/old", b"")
    theirs.stale_listing("MyDrive")
    assert answer({"do": "plan", "plan": theirs.as_json()}, drive) == {}
    put(cache, "MyDrive/new", b"")
    cache.unlink("MyDrive/old")
    assert (
        listed(drive, "/MyDrive") == [".", "..", "old"]
        and drive.getattr("/MyDrive/new")["st_size"] == 0
    )
    theirs.clear()
    answer({"do": "plan", "plan": theirs.as_json()}, drive)
    assert listed(drive, "/MyDrive") == [".", "..", "new"]


def test_the_daemon_tells_what_waits(drive):
    drive.release("", drive.create("/MyDrive/a", 0o644))
    assert answer({"do": "count"}, drive) == {"pending": 1, "used": 0}
    assert (
        answer({"do": "quit"}, drive) == {"failed": []}
        and (drive.cache.store / "MyDrive/a").exists()
    )
    assert "error" in answer({"do": "dance"}, drive)


# why not


HERE = {
    "platform": "linux", "which": lambda name: "/usr/bin/" + name, "library": lambda name: name, "module": lambda name: object(),
    "device": Path("/dev/null"), "status": Path("status"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"platform": "darwin"}, "Linux"),
        ({"module": lambda name: None}, 'pip install "colab-kit[fuse]"'),
        ({"which": lambda name: None}, "apt-get install fuse3 libfuse2"),
        ({"library": lambda name: None}, "apt-get install fuse3 libfuse2"),
        ({"device": Path("/dev/nothing-here")}, "--device /dev/fuse"),
        ({"device": Path("/")}, "cannot be opened"),
    ],
)
def test_what_is_missing_is_named_with_the_fix(change, word):
    assert word in ": ".join(lacking(**HERE | change))


@pytest.mark.parametrize(
    ("capabilities", "may"), [("0000000000000000", False), ("0000000000200000", True)]
)
def test_a_root_that_may_not_mount_is_recognised(tmp_path, monkeypatch, capabilities, may):
    (tmp_path / "status").write_text(f"Name:\tx\nCapEff:\t{capabilities}\n")
    monkeypatch.setattr(mounts, "os", types.SimpleNamespace(**{**vars(os), "geteuid": lambda: 0}))
    assert (lacking(**HERE | {"status": tmp_path / "status"}) is None) == may


def test_without_fuse_mounting_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(
        mount,
        "lacking",
        lambda: ("FUSE's tools are not installed", "apt-get install fuse3 libfuse2"),
    )
    with pytest.raises(DriveError, match="apt-get install"):
        FuseBody(tmp_path / "store").mount(tmp_path / "drive")
    monkeypatch.setattr(mount, "lacking", lambda: ("the package mfusepy is not installed", ""))
    monkeypatch.setitem(__import__("sys").modules, "mfusepy", None)
    with pytest.raises(MissingExtra, match=r"colab-kit\[fuse\]"):
        FuseBody(tmp_path / "store").mount(tmp_path / "drive")
    assert not (tmp_path / "drive").exists()


def test_a_failing_mount_can_be_planned_only_where_a_google_colab_mounts(tmp_path):
    with FuseBody(tmp_path / "store") as body:
        body.faults.policy()
    with FuseBody(tmp_path / "store", mounts=False) as body, pytest.raises(DriveError):
        body.faults.policy()


def test_no_mount_is_seen_where_there_is_none(tmp_path):
    assert (
        mount_type(tmp_path) is None and not is_dead(tmp_path) and not is_dead(tmp_path / "nothing")
    )
