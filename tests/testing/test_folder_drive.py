"""The folder body: its content moves to the mountpoint and back, and no kill loses a byte."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from colab_kit.colab.health import stand_in_mounted
from colab_kit.errors import DriveError
from colab_kit.events import set_milestone_hook
from colab_kit.testing.faults import Faults
from colab_kit.testing.folder_drive import COPYING, FOLDERS, GONE, LINKS, LOCK, STATE, FolderBody
from colab_kit.testing.intercept import Reach

FILES = {
    "MyDrive/a.txt": b"a",
    "MyDrive/runs/x/model.bin": b"m" * 5000,
    "Shareddrives/team/s.txt": b"s",
    "at the top.txt": b"t",
}


@pytest.fixture
def point(tmp_path):
    return tmp_path / "content" / "drive"


@pytest.fixture
def body(tmp_path, point):
    point.parent.mkdir()
    lost.clear()
    return FolderBody(tmp_path / "store", tell=lost.append)


lost: list[str] = []  # what the body told


def fill(root: Path) -> None:
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def files(*roots: Path) -> dict[str, bytes]:
    """All files but ours, by their path in the Drive."""
    found: dict[str, bytes] = {}
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders[:] = [
                name for name in folders if Path(folder, name) not in (root / COPYING, root / GONE)
            ]
            for name in set(names) - {STATE, LOCK}:
                path = Path(folder, name)
                if not name.endswith(".part"):
                    found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found


def apart(one: Path, other: Path):
    """os.rename, where these two lie on different disks."""

    def rename(src: Path, dst: Path) -> None:
        if Path(src).is_relative_to(one) != Path(dst).is_relative_to(one):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), src, None, dst)
        os.rename(src, dst)

    return rename


def test_it_is_not_mounted_at_first(body):
    assert body.mounted_at() is None and body.readonly is False and isinstance(body.faults, Faults)


def test_the_mountpoint_holds_true_folders_and_both_spellings(body, point):
    fill(body.store)
    body.mount(point)
    assert body.mounted_at() == point and not point.is_symlink()
    assert {*os.listdir(point)} == {*FOLDERS, "Shareddrives", "at the top.txt", *LINKS}
    assert not (point / "MyDrive").is_symlink()
    assert (
        os.readlink(point / "My Drive") == "MyDrive"
        and os.readlink(point / "Shared drives") == "Shareddrives"
    )
    (point / "My Drive" / "foo.txt").write_text("x")
    assert (point / "MyDrive" / "foo.txt").read_text() == "x"
    assert set(os.listdir(body.store)) <= {STATE, LOCK}


def test_going_up_twice_from_mydrive_ends_in_content(body, point, monkeypatch):
    body.mount(point)
    monkeypatch.chdir(point / "MyDrive")
    os.chdir("../..")
    assert os.getcwd() == str(point.parent)


@pytest.mark.parametrize("far", [False, True])
def test_files_survive_unmounting_and_mounting_again(tmp_path, body, point, far):
    if far:
        body = FolderBody(body.store, rename=apart(body.store, point), tell=lost.append)
    body.mount(point)
    fill(point)
    (point / "MyDrive" / "link").symlink_to("a.txt")
    os.utime(point / "MyDrive" / "a.txt", (1e9, 1e9))
    body.unmount()
    assert point.is_dir() and os.listdir(point) == [] and body.mounted_at() is None
    assert files(body.store) == FILES | {"MyDrive/link": b"a"} and not (body.store / STATE).exists()
    body.mount(point)
    assert files(point) == FILES | {"MyDrive/link": b"a"} and files(body.store) == {}
    assert (
        os.readlink(point / "MyDrive" / "link") == "a.txt"
        and (point / "MyDrive" / "a.txt").stat().st_mtime == 1e9
    )
    body.drop()
    assert files(body.store) == FILES | {"MyDrive/link": b"a"} and os.listdir(point) == []
    assert not lost


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="/dev/shm is not there")
def test_files_survive_on_a_truly_other_disk(tmp_path, request):
    point = Path("/dev/shm") / f"colab-kit-{os.getpid()}"
    request.addfinalizer(lambda: shutil.rmtree(point, ignore_errors=True))
    if os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("the temporary folder lies there too")
    body = FolderBody(tmp_path / "store")
    fill(body.store)
    body.mount(point)
    assert files(point) == FILES and set(os.listdir(body.store)) <= {STATE, LOCK}
    body.unmount()
    assert files(body.store) == FILES and os.listdir(point) == []


def test_another_process_sees_the_mount_and_ends_it(body, point, monkeypatch):
    body.mount(point)
    fill(point)
    code = (
        "import sys; from pathlib import Path\n"
        "from colab_kit.testing.folder_drive import FolderBody\n"
        "body = FolderBody(Path(sys.argv[1])); print(body.mounted_at()); body.unmount()"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    out = subprocess.run(
        [sys.executable, "-c", code, str(body.store)], capture_output=True, text=True, env=env
    )
    assert out.stdout.strip() == str(point), out.stderr
    assert body.mounted_at() is None and files(body.store) == FILES


def test_health_knows_where_it_is_mounted(tmp_path, point, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    point.parent.mkdir()
    body = FolderBody(tmp_path / "home" / "drive")
    body.mount(point)
    assert stand_in_mounted() == point
    body.unmount()
    assert stand_in_mounted() is None


def test_mounting_elsewhere_moves_everything_there(body, point):
    body.mount(point)
    fill(point)
    other = point.with_name("gdrive")
    body.mount(other, readonly=True)
    assert body.mounted_at() == other and body.readonly
    assert files(other) == FILES and os.listdir(point) == []
    body.unmount()
    assert not body.readonly


def test_mounting_twice_changes_nothing(body, point):
    body.mount(point)
    fill(point)
    body.mount(point)
    assert files(point) == FILES and body.mounted_at() == point


def test_unmounting_what_is_not_mounted_does_nothing(body):
    body.unmount()
    assert not body.store.exists()


@pytest.mark.parametrize("wrong", ["no parent", "file", "link", "full", "in store", "around store"])
def test_a_wrong_mountpoint_is_refused_and_nothing_moves(body, point, wrong):
    body.mount(point)
    fill(point)
    body.unmount()
    place = point.with_name("there")
    match wrong:
        case "no parent":
            place = place / "deep" / "er"
        case "file":
            place.write_text("x")
        case "link":
            place.symlink_to(point)
        case "full":
            place.mkdir()
            (place / "x").write_text("x")
        case "in store":
            place = body.store / "MyDrive" / "x"
        case "around store":
            place = body.store.parent
    for mounted in (False, True):
        if mounted:
            body.mount(point)
        with pytest.raises(DriveError) as caught:
            body.mount(place)
        assert caught.value.why and caught.value.fix
        assert files(body.mounted_at() or body.store) == FILES and body.mounted_at() == (
            point if mounted else None
        )


@pytest.mark.parametrize("how", ["mountpoint", "mydrive"])
def test_a_mountpoint_deleted_by_hand_is_told_and_mydrive_begins_empty(body, point, how):
    body.mount(point)
    fill(point)
    shutil.rmtree(point if how == "mountpoint" else point / "MyDrive")
    assert body.mounted_at() is None and not lost
    body.mount(point)
    assert body.mounted_at() == point and os.listdir(point / "MyDrive") == []
    assert len(lost) == 1 and str(point) in lost[0]
    body.unmount()
    body.mount(point)
    assert len(lost) == 1


def test_the_loss_is_a_warning_by_default(tmp_path, point):
    point.parent.mkdir()
    body = FolderBody(tmp_path / "store")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        body.mount(point)
    shutil.rmtree(point)
    with pytest.warns(UserWarning, match="was deleted"):
        body.unmount()
    assert body.mounted_at() is None


def test_what_appeared_on_both_sides_is_merged_and_nothing_is_lost(body, point):
    body.mount(point)
    fill(point)
    (body.store / "MyDrive" / "runs").mkdir(parents=True)
    (body.store / "MyDrive" / "a.txt").write_bytes(b"newer")
    os.utime(point / "MyDrive" / "a.txt", (1e9, 1e9))
    (body.store / "MyDrive" / "runs" / "log.txt").write_bytes(b"log")
    (body.store / "Shareddrives").write_bytes(b"a file where a folder is")
    body.unmount()
    assert files(body.store) == {
        **{name: content for name, content in FILES.items() if name.startswith(("MyDrive/runs", "at"))},
        "MyDrive/a.txt": b"newer", "MyDrive/a (1).txt": b"a", "MyDrive/runs/log.txt": b"log",
        "Shareddrives/team/s.txt": b"s", "Shareddrives (1)": b"a file where a folder is",
    }  # fmt: skip


def test_an_older_file_on_the_other_side_does_not_take_the_name(body, point):
    fill(body.store)
    os.utime(body.store / "MyDrive" / "a.txt", (1e9, 1e9))
    body.mount(point)
    (body.store / "MyDrive").mkdir()
    (body.store / "MyDrive" / "a.txt").write_bytes(b"older")
    os.utime(body.store / "MyDrive" / "a.txt", (5e8, 5e8))
    body.mount(point)
    assert files(point) == FILES | {"MyDrive/a (1).txt": b"older"}


class Killed(BaseException):
    """What a kill looks like from inside: nothing else happens."""


def stop() -> None:
    raise Killed


class Killer:
    """Ends at the n-th step."""

    def __init__(self, at: int, end=stop) -> None:
        self.left, self.end = at, end

    def __call__(self, point: str, path: Path | None) -> None:
        self.left -= 1
        if self.left == 0:
            self.end()


def killed(act, at: int) -> bool:
    """Run `act` with a killer set; whether it was killed before its end."""
    set_milestone_hook(Killer(at))
    try:
        act()
    except Killed:
        return True
    finally:
        set_milestone_hook()
    return False


def really_killed(act, at: int) -> bool:
    """The same in a child that the system kills."""
    child = os.fork()
    if child == 0:
        try:
            set_milestone_hook(Killer(at, lambda: os.kill(os.getpid(), signal.SIGKILL)))
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


ENDS = [
    (False, act, then)
    for act in ("mount", "unmount", "move", "merge")
    for then in ("mount", "unmount", "mount elsewhere")
]
ENDS += [
    (True, "mount", "unmount"),
    (True, "unmount", "mount"),
    (True, "move", "mount elsewhere"),
    (True, "merge", "mount"),
]


@pytest.fixture
def quick(tmp_path):
    """A folder in memory, where there is one: bringing a file to the disk costs nothing there."""
    root = (
        Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path)
        / f"colab-kit-kill-{os.getpid()}"
    )
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize(("far", "act", "then"), ENDS)
def test_a_kill_at_any_step_loses_nothing_and_the_next_call_finishes(quick, far, act, then):
    step = next(
        step
        for step in range(1, 100)
        if not survives(quick / str(step), step, far, act, then, killed)
    )
    assert step > (20 if far else 6), "too few steps were tried"


@pytest.mark.parametrize(("act", "then"), [("mount", "unmount"), ("unmount", "mount")])
def test_a_true_kill_loses_nothing_either(quick, act, then):
    for step in (1, 2, 5, 8, 12, 15, 17):
        assert survives(quick / str(step), step, True, act, then, really_killed)


def survives(root: Path, step: int, far: bool, act: str, then: str, kill) -> bool:
    """Kill `act` at a step, do `then`, and look at all files; False if there is no such step."""
    point, other, store = root / "drive", root / "gdrive", root / "store"
    expected = sorted([*FILES.values(), b"second"] if act == "merge" else FILES.values())

    def make() -> FolderBody:
        rename = apart(store, point) if far else os.rename
        return FolderBody(store, rename=rename, tell=pytest.fail)

    fill(store)
    if act != "mount":
        make().mount(point)
    if act == "merge":
        (store / "MyDrive").mkdir()
        (store / "MyDrive" / "a.txt").write_bytes(b"second")
    to = other if act == "move" else point
    if not kill(
        lambda: make().mount(to) if act in ("mount", "move") else make().unmount(),
        step,
    ):
        return False
    kept = [content for side in (store, point, other) for content in files(side).values()]
    assert set(expected) <= set(kept), f"step {step}: neither side has it"
    body = make()
    if act == "mount" and body.mounted_at():
        assert files(point) == FILES, "it says that it is mounted before all is there"
    place = {"unmount": store, "mount": point, "mount elsewhere": other}[then]
    body.unmount() if then == "unmount" else body.mount(place)
    assert body.mounted_at() == (None if then == "unmount" else place)
    assert sorted(files(place).values()) == expected and (
        act == "merge" or files(place) == FILES
    ), f"step {step}"
    for side in {store, point, other} - {place}:
        assert not side.exists() or set(os.listdir(side)) <= {STATE, LOCK}, f"step {step}"
    assert not {COPYING, GONE} & set(os.listdir(place)), f"step {step}"
    return True


def test_a_file_that_a_kill_cut_in_the_middle_of_its_copy_is_copied_again(body, point, monkeypatch):
    fill(body.store)
    far = FolderBody(body.store, rename=apart(body.store, point), tell=lost.append)

    def half(src, dst, **options) -> None:
        Path(dst).write_bytes(Path(src).read_bytes()[:-1])
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(shutil, "copyfile", half)
        far.mount(point)
    assert files(point, body.store) == FILES
    far.mount(point)
    assert files(point) == FILES


def test_a_kill_in_the_middle_of_deleting_brings_no_deleted_file_back(body, point, monkeypatch):
    fill(body.store)
    far = FolderBody(body.store, rename=apart(body.store, point), tell=lost.append)

    def nothing(path, **options) -> None:
        if any("a.txt" in names for _, _, names in os.walk(path)):
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(shutil, "rmtree", nothing)
        far.mount(point)
    (point / "MyDrive" / "a.txt").unlink()
    far.mount(point)
    assert files(point) == {
        name: content for name, content in FILES.items() if name != "MyDrive/a.txt"
    }
    assert set(os.listdir(body.store)) <= {STATE, LOCK}


def test_a_disk_that_fills_up_while_copying_loses_nothing(body, point):
    fill(body.store)
    full: list[int] = []

    def rename(src, dst):
        if not full and Path(src).name == "MyDrive":
            full.append(1)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), src)
        os.rename(src, dst)

    body = FolderBody(body.store, rename=rename, tell=lost.append)
    with pytest.raises(DriveError) as caught:
        body.mount(point)
    assert "No space left" in caught.value.why and caught.value.__cause__ is not None
    assert body.mounted_at() is None and files(body.store, point) == FILES
    body.mount(point)
    assert files(point) == FILES and not lost


def test_moving_is_not_struck_by_the_plan_and_files_are(body, point):
    fill(body.store)
    with Reach(point, body.faults):
        body.faults.drops()
        body.mount(point)
        assert body.mounted_at() == point
        with pytest.raises(OSError) as caught:
            os.listdir(point / "MyDrive")
        assert caught.value.errno == errno.ENOTCONN
        body.unmount()
    assert files(body.store) == FILES
