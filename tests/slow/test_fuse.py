"""The FUSE body mounted for real: late uploads, a dying daemon, a full Trash, and each fault as
another program meets it.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from colab_kit.errors import DriveError
from colab_kit.testing.fuse import cloud
from colab_kit.testing.fuse.cloud import mount_type
from colab_kit.testing.fuse.mount import FuseBody

pytestmark = pytest.mark.skipif(bool(why := cloud.why_not()), reason=str(why))


@pytest.fixture
def body(tmp_path: Path) -> Iterator[FuseBody]:
    with FuseBody(tmp_path / "store", delay=1.0) as body:
        body.mount(tmp_path / "drive")
        yield body
    assert mount_type(tmp_path / "drive") is None and list((tmp_path / "drive").iterdir()) == []


@pytest.fixture
def mine(body: FuseBody, tmp_path: Path) -> Path:
    return tmp_path / "drive" / "MyDrive"


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    return tmp_path / "store" / "MyDrive"


def run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=60, **options
    )


def wait_for(truth, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def abandon(handle) -> None:
    """Close a file whose mount is gone."""
    try:
        handle.close()
    except OSError:
        assert handle.closed


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


# uploads, and a daemon that dies


def test_the_mount_is_one_as_drives_own(body, tmp_path):
    drive = tmp_path / "drive"
    assert (
        mount_type(drive) == "fuse.drive"
        and body.mounted_at() == drive
        and os.path.ismount(drive)
        and not drive.is_symlink()
    )
    assert sorted(os.listdir(drive)) == [
        ".Trash-0",
        ".shortcut-targets-by-id",
        "MyDrive",
    ]
    (drive / "My Drive" / "foo.txt").write_text("hi")
    assert (drive / "MyDrive" / "foo.txt").read_text() == "hi"
    assert run("pwd", "-P", cwd=drive / "My Drive").stdout.strip() == str(drive / "My Drive")


def test_a_written_file_reaches_the_cloud_later_and_at_the_latest_with_unmount(body, mine, cloud):
    (mine / "a").write_bytes(b"a")
    assert body.pending() == 1 and not (cloud / "a").exists()
    wait_for(lambda: (cloud / "a").exists())
    assert (cloud / "a").read_bytes() == b"a" and body.pending() == 0
    body.delay = 3600
    body.restart()
    (mine / "b").write_bytes(b"b" * 1_000_000)
    held = open(mine / "c", "wb", buffering=0)
    held.write(b"c")
    body.unmount()
    abandon(held)
    assert (cloud / "b").read_bytes() == b"b" * 1_000_000 and (cloud / "c").read_bytes() == b"c"
    assert not mine.exists() and body.mounted_at() is None


def test_a_killed_daemon_answers_107_and_loses_what_it_had_not_uploaded(body, mine, cloud):
    (cloud / "kept").write_text("old")
    body.delay = 3600
    body.restart()
    (mine / "kept").write_text("new")
    (mine / "lost").write_text("lost")
    handle = open(mine / "lost", "ab", buffering=0)
    body.kill()
    for call in (
        lambda: os.stat(mine),
        lambda: open(mine / "kept"),
        lambda: handle.write(b"x"),
        lambda: os.listdir(mine.parent),
    ):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.ENOTCONN
    assert (
        "Transport endpoint is not connected" in run("ls", mine).stderr
        and body.mounted_at() == mine.parent
        and body.pending() == 0
    )
    abandon(handle)
    assert not list((cloud.parent / ".drivefs").glob("session-*")), "what was lost takes no space"
    body.restart()
    assert os.listdir(mine) == ["kept"] and (mine / "kept").read_text() == "old"


def test_drop_leaves_an_empty_folder_that_can_be_mounted_again(body, mine, tmp_path):
    (mine / "lost").write_text("lost")
    body.drop()
    assert os.listdir(tmp_path / "drive") == [] and body.mounted_at() is None
    body.mount(tmp_path / "drive")
    assert os.listdir(mine) == []


def test_a_dead_mount_in_the_way_is_taken_away(body, mine, tmp_path):
    body.kill()
    with FuseBody(tmp_path / "other") as other:
        other.mount(tmp_path / "drive")
        assert mine.is_dir()


def test_what_cannot_be_a_mountpoint_is_refused(body, tmp_path):
    other = FuseBody(tmp_path / "other")
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "link").symlink_to(tmp_path / "full")
    for name in ("drive", "file", "full", "link", "no/where"):
        with pytest.raises(DriveError):
            other.mount(tmp_path / name)
    with pytest.raises(DriveError, match="already mounted"):
        body.mount(tmp_path / "elsewhere")


HOLDER = """
import os, sys, time
from pathlib import Path
from colab_kit.testing.fuse.mount import FuseBody
body = FuseBody(Path(sys.argv[1]) / "store")
body.mount(Path(sys.argv[1]) / "drive")
if os.fork() == 0:  # it holds the parent's end of the channel open
    time.sleep(20)
    os._exit(0)
(Path(sys.argv[1]) / "drive" / "MyDrive" / "a").touch()
print(body._daemon.pid, flush=True)
time.sleep(60 if sys.argv[2] != "leaves" else 0)
"""


@pytest.mark.parametrize("end", ["killed", "killed with its group", "leaves"])
def test_no_mount_and_no_daemon_outlive_their_parent(tmp_path, end):
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path, end],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    daemon = int(parent.stdout.readline())
    if end == "killed":
        parent.kill()
    elif end != "leaves":
        os.killpg(parent.pid, signal.SIGKILL)
    parent.wait(20)
    wait_for(lambda: not alive(daemon) and mount_type(tmp_path / "drive") is None)
    assert (tmp_path / "store" / "MyDrive" / "a").exists() == (end == "leaves"), (
        "who leaves in order uploads first"
    )
    parent.stdout.close()


def test_no_mount_outlives_a_parent_whose_daemon_died_before_it(tmp_path):
    child = os.fork()
    if child == 0:
        body = FuseBody(tmp_path / "store")
        body.mount(tmp_path / "drive")
        (tmp_path / "tally").write_text(str(body.faults.tally.path))
        body.kill()
        os._exit(0 if mount_type(tmp_path / "drive") else 1)
    assert os.waitpid(child, 0)[1] == 0
    tally = Path((tmp_path / "tally").read_text())
    wait_for(lambda: mount_type(tmp_path / "drive") is None and not tally.parent.exists())


def test_a_fork_cannot_take_the_mount_away(body, mine):
    child = os.fork()
    if child == 0:
        for call in (body.unmount, body.drop, body.kill, body.faults.drops):
            try:
                call()
            except DriveError:
                continue
            os._exit(1)
        body.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0 and mine.is_dir() and body.pending() == 0


@pytest.mark.parametrize("end", ["kill", "drop", "unmount"])
def test_who_waits_for_a_hanging_drive_is_freed_when_it_ends(body, mine, end):
    (mine / "a").touch()
    hangs = body.faults.slow(300, "a")
    waiting = subprocess.Popen(["cat", mine / "a"], stderr=subprocess.DEVNULL)
    wait_for(lambda: hangs.fired)
    began = time.monotonic()
    getattr(body, end)()
    assert waiting.wait(10) != 0 and time.monotonic() - began < 10


# the Trash, and space


def test_the_trash_fills_the_drive_unless_files_are_truncated_first(tmp_path):
    with FuseBody(tmp_path / "store", delay=0.1, capacity=4_000_000) as body:
        body.mount(tmp_path / "drive")
        mine, data = tmp_path / "drive" / "MyDrive", os.urandom(1_000_000)
        for _ in range(6):  # truncated, then deleted
            (mine / "a").write_bytes(data)
            os.truncate(mine / "a", 0)
            (mine / "a").unlink()
        assert body.trash_bytes() == 0 and shutil.disk_usage(mine).free == 4_000_000 // 4096 * 4096
        (mine / "slot").write_bytes(data)
        with open(mine / "slot", "r+b") as slot:  # in place
            slot.write(data)
        assert body.trash_bytes() == 0 and body.used() == 1_000_000
        for _ in range(2):  # replaced by a rename
            (mine / "b").write_bytes(data)
            os.replace(mine / "b", mine / "slot")
        assert body.trash_bytes() == 2_000_000 and body.used() == 3_000_000
        assert shutil.disk_usage(mine).free == 1_000_000 // 4096 * 4096
        with open(mine / "big", "wb", buffering=0) as big, pytest.raises(OSError) as caught:
            for _ in range(20):
                big.write(data[:100_000])
        assert caught.value.errno == errno.ENOSPC and body.used() <= 4_000_000
        assert "No space left" in run("cp", mine / "slot", mine / "copy").stderr
        body.empty_trash()
        assert (
            run("cp", mine / "slot", mine / "copy").returncode == 0
            and (mine / "copy").read_bytes() == data
        )


# faults, as another program meets them


@pytest.mark.parametrize(
    ("plan", "command", "says"),
    [
        (
            lambda faults: faults.drops("*.txt"),
            ("cat", "a.txt"),
            "Transport endpoint is not connected",
        ),
        (lambda faults: faults.io_error("*.txt"), ("cat", "a.txt"), "Input/output error"),
        (
            lambda faults: faults.full(after_bytes=200_000),
            ("cp", "a.txt", "b.txt"),
            "No space left on device",
        ),
        (lambda faults: faults.quota(), ("cp", "a.txt", "b.txt"), "Disk quota exceeded"),
        (lambda faults: faults.read_only(), ("touch", "new"), "Read-only file system"),
        (lambda faults: faults.read_only(), ("rm", "-f", "a.txt"), "Read-only file system"),
    ],
)
def test_a_fault_reaches_another_program_and_counts(body, mine, plan, command, says):
    (mine / "a.txt").write_bytes(b"x" * 300_000)
    fault = plan(body.faults)
    done = run(*command, cwd=mine)
    assert done.returncode != 0 and says in done.stderr, done
    body.faults.clear()
    struck = fault.fired
    assert struck >= 1 and run("cat", "a.txt", cwd=mine).returncode == 0 and fault.fired == struck
    body.kill()
    assert body.faults.fired == struck, "the count outlives the daemon"


def test_a_fault_planned_while_there_is_no_daemon_strikes_after_the_restart(body, mine):
    body.kill()
    fault = body.faults.io_error("a", times=1)
    body.restart()
    with pytest.raises(OSError, match="Input/output"):
        (mine / "a").stat()
    assert fault.fired == 1 and not (mine / "a").exists()


def test_a_failure_planned_for_once_is_seen_by_who_opens_a_file_that_the_kernel_knows(body, mine):
    (mine / "a").write_text("x")
    fault = body.faults.io_error("a", times=1)
    with pytest.raises(OSError, match="Input/output"):
        (mine / "a").read_text()
    assert (mine / "a").read_text() == "x" and fault.fired == 1


def test_an_error_at_fsync_and_at_close_reaches_the_writer(body, mine):
    with open(mine / "a", "wb", buffering=0) as file:
        file.write(b"x")
        # a stat or a write asks as well, under other names: only the flush is left to strike
        body.faults.io_error("a", times=1)
        with pytest.raises(OSError, match="Input/output"):
            os.fsync(file.fileno())
    file = open(mine / "b", "wb", buffering=0)
    file.write(b"x")
    body.faults.io_error("b", times=1)
    with pytest.raises(OSError, match="Input/output"):
        file.close()


def test_a_slow_drive_is_slow_for_all(body, mine):
    (mine / "a").write_text("x")
    slow = body.faults.slow(0.2, "a", times=2)
    began = time.monotonic()
    run("cat", mine / "a")
    assert time.monotonic() - began >= 0.4 and slow.fired == 2


def test_a_torn_write_is_seen_by_who_opens_the_file_again(body, mine):
    torn = body.faults.torn_write("*.pt")
    data = os.urandom(1000)
    (mine / "a.pt").write_bytes(data)
    assert (mine / "a.pt").read_bytes() == data[:500] and torn.fired == 1
    assert run("stat", "-c", "%s", mine / "a.pt").stdout.strip() == "500"


def test_a_stale_listing_hides_what_can_be_opened(body, mine):
    (mine / "old").touch()
    body.faults.stale_listing()
    (mine / "new").write_text("here")
    assert run("ls", mine).stdout.split() == ["old"] and run("cat", mine / "new").stdout == "here"
    body.faults.clear()
    assert run("ls", mine).stdout.split() == ["new", "old"]


def test_a_late_file_is_written_at_once_and_seen_later(body, mine, cloud):
    body.faults.late_visibility(1.5, "*.txt")
    (mine / "a.txt").write_text("late")
    assert (
        not (mine / "a.txt").exists()
        and run("ls", mine).stdout == ""
        and "No such file" in run("cat", mine / "a.txt").stderr
    )
    wait_for(lambda: run("cat", mine / "a.txt").stdout == "late")
    assert os.listdir(mine) == ["a.txt"]


def test_a_read_only_mount_can_be_read_and_not_changed(tmp_path):
    with FuseBody(tmp_path / "store") as body:
        (tmp_path / "store" / "MyDrive" / "a").write_text("here")
        body.mount(tmp_path / "drive", readonly=True)
        mine = tmp_path / "drive" / "MyDrive"
        assert (mine / "a").read_text() == "here"
        for call in (
            lambda: open(mine / "b", "w"),
            lambda: open(mine / "a", "r+"),
            lambda: (mine / "a").unlink(),
            lambda: (mine / "d").mkdir(),
        ):
            with pytest.raises(OSError, match="Read-only"):
                call()


# what programs do with files


def test_files_behave_as_on_a_disk(body, mine):
    path = mine / "a"
    path.write_bytes(b"0123456789")
    with open(path, "ab") as file:
        file.write(b"ab")
    with open(path, "r+b") as file:
        file.seek(2)
        file.write(b"XY")
        file.truncate(11)
        file.flush()
        assert os.fstat(file.fileno()).st_size == 11
    assert path.read_bytes() == b"01XY456789a"
    with pytest.raises(FileExistsError):
        open(path, "xb")
    os.utime(path, ns=(1_000_000_007, 2_000_000_009))
    path.chmod(0o444)
    assert path.stat().st_mtime_ns == 2_000_000_009 and path.stat().st_mode & 0o777 == 0o444
    with open(path, "rb") as file:  # deleted while open
        path.unlink()
        assert (
            os.fstat(file.fileno()).st_size == 11
            and file.read() == b"01XY456789a"
            and os.listdir(mine) == []
        )
    with open(mine / "map", "w+b") as file:
        file.truncate(10_000)
        with mmap.mmap(file.fileno(), 10_000) as view:
            view[5000:5005] = b"hello"
    assert (mine / "map").read_bytes()[5000:5005] == b"hello"
    with pytest.raises(OSError, match="Operation not supported"):
        (mine / "link").symlink_to("map")
    with open(
        mine / "map", "rb"
    ) as reader:  # another size is seen through a handle that stays open
        os.truncate(mine / "map", 3)
        assert os.fstat(reader.fileno()).st_size == 3 and len(reader.read()) == 3


def test_trees_are_copied_packed_moved_and_removed(body, mine, tmp_path):
    for number in range(40):
        path = tmp_path / "tree" / f"d{number % 4}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000))
    same = lambda one, two: run("diff", "-r", one, two).returncode == 0
    assert run("cp", "-rp", tmp_path / "tree", mine / "copy").returncode == 0 and same(
        tmp_path / "tree", mine / "copy"
    )
    wait_for(lambda: body.pending() == 0)  # an upload changes its folder, and tar complains of that
    assert run("tar", "cf", mine / "t.tar", "-C", mine, "copy").returncode == 0
    (mine / "out").mkdir()
    assert run("tar", "xf", mine / "t.tar", "-C", mine / "out").returncode == 0 and same(
        tmp_path / "tree", mine / "out" / "copy"
    )
    assert run("mv", mine / "copy", mine / "moved").returncode == 0 and same(
        tmp_path / "tree", mine / "moved"
    )
    assert run("rm", "-r", mine / "out").returncode == 0
    shutil.rmtree(mine / "moved")
    assert os.listdir(mine) == ["t.tar"]


def test_threads_write_at_the_same_time_and_each_file_is_whole(body, mine, cloud):
    parts = {f"t{number}": os.urandom(8_000_000) for number in range(3)}

    def write(name: str) -> None:
        for _ in range(2):
            (mine / f"{name}.part").write_bytes(parts[name])
            os.replace(mine / f"{name}.part", mine / name)

    def share(number: int) -> None:
        with open(mine / "shared", "r+b", buffering=0) as file:
            for block in range(number, 400, 2):
                os.pwrite(file.fileno(), bytes([block % 251]) * 1000, block * 1000)

    (mine / "shared").touch()
    threads = [threading.Thread(target=write, args=(name,)) for name in parts]
    threads += [threading.Thread(target=share, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = b"".join(bytes([block % 251]) * 1000 for block in range(400))
    for place in (mine, cloud):
        assert {
            name: (place / name).read_bytes() == data for name, data in parts.items()
        } == dict.fromkeys(parts, True)
        assert (place / "shared").read_bytes() == expected and sorted(os.listdir(place)) == [
            "shared",
            *sorted(parts),
        ]
        if place is mine:
            body.unmount()


def test_the_cloud_never_shows_a_half_file(tmp_path):
    with FuseBody(tmp_path / "store", delay=0.0) as body:
        body.mount(tmp_path / "drive")
        seen, stop, place = set(), threading.Event(), tmp_path / "store" / "MyDrive" / "a"

        def look() -> None:
            while not stop.is_set():
                seen.update({place.stat().st_size} if place.exists() else ())

        watcher = threading.Thread(target=look)
        watcher.start()
        for _ in range(10):
            (tmp_path / "drive" / "MyDrive" / "a").write_bytes(bytes(5_000_000))
        body.unmount()
        stop.set()
        watcher.join()
        assert seen <= {5_000_000}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed: apt-get install git")
def test_git_clones_commits_and_pulls_on_it(body, mine, cloud, tmp_path):
    env = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "a", f"GIT_{who}_EMAIL": "a@b.c"}

    def git(*words: object, at: Path) -> str:
        done = run("git", "-c", "protocol.file.allow=always", *words, cwd=at, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    origin = tmp_path / "origin"
    origin.mkdir()
    git("init", "-q", "-b", "main", at=origin)
    for number in range(10):
        (origin / f"f{number}").write_text(f"{number}\n" * 100)
    git("add", ".", at=origin)
    git("commit", "-qm", "one", at=origin)
    git("clone", "-q", "--no-local", origin, mine / "repo", at=tmp_path)
    (mine / "repo" / "mine").write_text("mine")
    git("add", ".", at=mine / "repo")
    git("commit", "-qm", "mine", at=mine / "repo")
    (origin / "theirs").write_text("theirs")
    git("add", ".", at=origin)
    git("commit", "-qm", "theirs", at=origin)
    git("pull", "-q", "--rebase", at=mine / "repo")
    assert (
        git("status", "--porcelain", at=mine / "repo") == "" and (mine / "repo" / "theirs").exists()
    )
    git("fsck", "--strict", at=mine / "repo")
    body.unmount()
    assert (
        git("status", "--porcelain", at=cloud / "repo") == ""
        and git("rev-list", "--count", "HEAD", at=cloud / "repo").strip() == "3"
    )


def test_weights_are_saved_and_read_by_torch_and_safetensors(body, mine):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    weights = {"w": torch.arange(250_000, dtype=torch.float32)}
    torch.save(weights, mine / "w.pt")
    save_file(weights, mine / "w.safetensors")
    assert torch.equal(torch.load(mine / "w.pt", weights_only=True, mmap=True)["w"], weights["w"])
    assert torch.equal(load_file(mine / "w.safetensors")["w"], weights["w"])
