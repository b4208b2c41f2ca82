"""Drive: what mount() decides on a described site, the folder that stands in, and the mirror's verified copies."""

import errno
import os
from pathlib import Path

import pytest

from colab_kit.drive import mount as room
from colab_kit.drive.local import Drive
from colab_kit.drive.mirror import Mirror, verified_copy
from colab_kit.drive.mount import Site, decide, mount, mount_at, mounted, stand_in_path
from colab_kit.drive.real import drives, healthy
from colab_kit.errors import DriveError
from colab_kit.events import Note
from colab_kit.files import SEAL, seal

OFFLINE = ("python", "jupyter", "vscode", "ipython", "kaggle")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A process that has mounted nothing yet, and its own HOME."""
    monkeypatch.setattr(room, "_current", None)
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class World:
    """A Colab VM on paper: its mounts, and a door that mounts or raises."""

    def __init__(self, where: str, error: Exception | None = None) -> None:
        self.error, self.calls, self.rows, self.heard = error, [], [], []
        self.site = Site(where, table=lambda: "\n".join(self.rows), door=self.door)

    def has(self, point: Path, kind: str = "fuse.drive") -> Path:
        (point / "MyDrive").mkdir(parents=True)
        self.rows.append(f"drive {str(point).replace(' ', chr(92) + '040')} {kind} rw 0 0")
        return point

    def door(self, mountpoint: str, timeout_s: float, readonly: bool) -> None:
        self.calls.append((mountpoint, readonly))
        if self.error:
            raise self.error
        self.has(Path(mountpoint))

    def mount(self, point, *, mock=None, required=False, readonly=False) -> Drive:
        return mount_at(self.site, point, mock=mock, required=required, readonly=readonly, emit=self.heard.append)


# --- what mount() decides ---


@pytest.mark.parametrize(
    ("where", "there", "mock", "step"),
    [
        ("colab", False, None, "real"),
        ("colab", False, False, "real"),
        ("colab", False, True, "stand-in"),
        ("colab", True, None, "reuse"),
        ("colab", True, True, "stand-in"),
        ("colab-subprocess", True, None, "reuse"),
        ("colab-subprocess", False, None, "real"),
        *((where, False, None, "stand-in") for where in OFFLINE),
        *((where, False, False, "refuse") for where in OFFLINE),
        ("jupyter", True, False, "reuse"),
    ],
)
def test_what_mount_does_follows_from_place_mounts_and_mock(where, there, mock, step):
    assert decide(where, there, mock) == step


def test_in_colabs_kernel_the_real_drive_is_mounted(tmp_path):
    world = World("colab")
    drive = world.mount(tmp_path / "drive", readonly=True)
    assert (drive.kind, drive.mydrive) == ("real", tmp_path / "drive/MyDrive")
    assert world.calls == [(str(tmp_path / "drive"), True)] and world.heard == []
    assert mounted(world.site) == drive


@pytest.mark.parametrize("where", ["colab", "colab-subprocess"])
def test_a_healthy_mount_is_reused_without_asking(tmp_path, where):
    world = World(where)
    world.has(tmp_path / "my drive point")
    drive = world.mount(tmp_path / "my drive point")
    assert (drive.kind, world.calls, world.heard) == ("reused", [], [])


def test_a_mount_at_another_place_is_used_rather_than_killed(tmp_path):
    world = World("colab")
    world.has(tmp_path / "gdrive")
    drive = world.mount(tmp_path / "drive")
    assert drive.mountpoint == tmp_path / "gdrive" and world.calls == [] and "already" in world.heard[0].text


def test_readonly_on_a_mount_that_exists_says_that_it_changes_nothing(tmp_path):
    world = World("colab")
    world.has(tmp_path / "drive")
    world.mount(tmp_path / "drive", readonly=True)
    assert [note.level for note in world.heard] == ["warn"] and "readonly" in world.heard[0].text


def test_a_folder_that_only_looks_like_a_drive_is_not_reused(tmp_path):
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    world = World("colab", DriveError("no"))
    assert world.mount(tmp_path / "drive").kind == "local" and len(world.calls) == 1


def test_a_mount_whose_mydrive_is_gone_is_not_healthy(tmp_path):
    world = World("colab")
    (world.has(tmp_path / "drive") / "MyDrive").rmdir()
    assert not healthy(tmp_path / "drive", world.site.table()) and drives(world.site.table()) == [tmp_path / "drive"]


# --- where there is none ---


@pytest.mark.parametrize("where", OFFLINE)
def test_elsewhere_a_folder_stands_in_and_one_note_names_it(tmp_path, home, where):
    world = World(where)
    drive = world.mount(tmp_path / "content/drive")
    assert (drive.kind, drive.mydrive) == ("stand-in", home / "drive/MyDrive") and drive.mydrive.is_dir()
    assert [type(e) for e in world.heard] == [Note] and str(drive) in world.heard[0].text and "\n" not in world.heard[0].text
    assert not (tmp_path / "content").exists() and world.calls == []
    assert mounted(world.site) == drive


def test_the_stand_in_keeps_what_was_written(tmp_path):
    (World("python").mount(tmp_path / "drive") / "notes.txt").write_text("kept")
    assert (World("jupyter").mount(tmp_path / "drive") / "notes.txt").read_text() == "kept"


def test_a_readonly_stand_in_says_that_it_can_be_written(tmp_path):
    world = World("python")
    world.mount(tmp_path / "drive", readonly=True)
    assert "written" in world.heard[0].text


def test_mock_true_gives_the_stand_in_even_in_colabs_kernel(tmp_path):
    world = World("colab")
    assert world.mount(tmp_path / "drive", mock=True).kind == "stand-in" and world.calls == []


def test_mock_false_off_colab_is_an_error_and_makes_nothing(tmp_path, home):
    with pytest.raises(DriveError, match="jupyter"):
        World("jupyter").mount(tmp_path / "drive", mock=False)
    assert not home.exists() and mounted(World("jupyter").site) is None


def test_a_failing_mount_falls_back_to_a_folder_with_a_warning(tmp_path, home):
    world = World("colab", DriveError("It failed.", "no consent", "tick every box"))
    drive = world.mount(tmp_path / "content/drive")
    [note] = world.heard
    assert drive.kind == "local" and drive.mydrive.is_relative_to(home) and not (tmp_path / "content").exists()
    assert note.level == "warn" and all(piece in note.text for piece in ("no consent", "tick every box", str(drive), "lost"))


@pytest.mark.parametrize("asked", [{"required": True}, {"mock": False}])
def test_a_failing_mount_raises_where_the_drive_is_a_must(tmp_path, home, asked):
    failure = DriveError("It failed.", "no consent", "tick every box")
    with pytest.raises(DriveError) as raised:
        World("colab", failure).mount(tmp_path / "drive", **asked)
    assert raised.value is failure and not home.exists()


def test_a_script_on_a_colab_vm_never_asks_for_consent(tmp_path):
    world = World("colab-subprocess")
    assert world.mount(tmp_path / "drive").kind == "local"
    assert world.calls == [] and "notebook cell" in world.heard[0].text
    with pytest.raises(DriveError, match="no page"):
        world.mount(tmp_path / "drive", required=True)


def test_a_mount_that_reports_success_without_mydrive_is_a_failure(tmp_path):
    world = World("colab")
    site = Site("colab", table=lambda: "", door=lambda *_: None)
    drive = mount_at(site, tmp_path / "drive", mock=None, required=False, readonly=False, emit=world.heard.append)
    assert drive.kind == "local" and "holds no MyDrive" in world.heard[0].text and not (tmp_path / "drive").exists()


def test_a_home_under_the_unmounted_mountpoint_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "drive/MyDrive/kit"))
    with pytest.raises(DriveError, match="COLAB_KIT_HOME"):
        World("python").mount(tmp_path / "drive")
    assert not (tmp_path / "drive").exists()


def test_a_home_that_cannot_be_made_is_a_drive_error(tmp_path, home):
    home.write_text("a file stands here")
    with pytest.raises(DriveError, match="COLAB_KIT_HOME"):
        World("python").mount(tmp_path / "drive")


def test_mount_itself_tells_the_listeners_it_is_given():
    heard = []
    drive = mount(mock=True, listen=[heard.append])
    assert [type(event) for event in heard] == [Note] and str(drive) in heard[0].text and mount(mock=True, listen=[]) == drive


def test_mount_speaks_on_the_console_by_default(capsys):
    drive = mount(mock=True)
    assert capsys.readouterr().out.count("\n") == 1 and drive.kind == "stand-in"


# --- the Drive of this process ---


def test_nothing_is_mounted_until_it_is(tmp_path):
    assert mounted(World("python").site) is None and mounted(World("colab").site) is None


def test_a_script_finds_the_drive_its_notebook_mounted(tmp_path):
    world = World("colab-subprocess")
    world.has(tmp_path / "gdrive")
    found = mounted(world.site)
    assert found is not None and (found.kind, found.mountpoint) == ("reused", tmp_path / "gdrive")


def test_a_drive_that_was_unmounted_is_no_longer_mounted(tmp_path):
    world = World("colab")
    world.mount(tmp_path / "drive")
    world.rows.clear()
    assert mounted(world.site) is None


def test_a_real_drive_mounted_later_takes_the_fallbacks_place(tmp_path):
    world = World("colab", DriveError("no"))
    local = world.mount(tmp_path / "drive")
    assert mounted(world.site) == local
    world.has(tmp_path / "drive")
    found = mounted(world.site)
    assert found is not None and found.kind == "reused"


def test_a_drive_is_used_like_a_path(tmp_path):
    drive = World("python").mount(tmp_path / "drive")
    assert os.path.join(drive, "x") == str(drive / "x") and Path(drive) == drive.mydrive and drive.free() > 0
    drive.mydrive.rmdir()
    with pytest.raises(DriveError, match="cannot be read"):
        drive.free()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/content/drive/MyDrive/cats/a.jpg", "MyDrive/cats/a.jpg"),
        ("/content/drive/My Drive/cats.zip", "MyDrive/cats.zip"),
        ("/content/gdrive/MyDrive", "MyDrive"),
        ("/content/drive", "."),
    ],
)
def test_a_path_typed_for_drive_names_the_stand_ins(home, typed, kept):
    assert stand_in_path(typed, World("python").site) == home / "drive" / kept


@pytest.mark.parametrize("typed", ["/content/cats", "cats", "/content/drive2/MyDrive/x", "/home/ann/content/drive/x"])
def test_other_paths_have_no_stand_in(typed):
    assert stand_in_path(typed, World("python").site) is None


# --- the mirror ---


@pytest.fixture
def drive(tmp_path) -> Path:
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    return tmp_path / "drive/MyDrive"


@pytest.fixture
def local(tmp_path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text('{"name": "x"}')
    return tmp_path / "run/run.json"


def sealed(path: Path) -> Path:
    header = f'{{"__metadata__":{{"sha256":"{SEAL}"}}}}'.encode()
    path.write_bytes(seal(len(header).to_bytes(8, "little") + header + b"weights" * 1000))
    return path


def test_a_copy_gets_its_name_when_it_is_whole(drive, local):
    heard: list = []
    mirror = Mirror(drive / "colab-kit/runs", heard.append)
    assert mirror.push(local, "x-1/run.json") and mirror.find("x-1/run.json") == [drive / "colab-kit/runs/x-1/run.json"]
    local.write_text("newer")
    assert mirror.push(local, "x-1/run.json") and mirror.find("*/run.json")[0].read_text() == "newer"
    assert [path.name for path in (drive / "colab-kit/runs/x-1").iterdir()] == ["run.json"] and heard == []


def test_damaged_copies_are_found_too_so_that_their_reader_can_say_so(drive, tmp_path):
    mirror = Mirror(drive, print)
    good = sealed(tmp_path / "a.safetensors")
    assert all(mirror.push(good, f"run/step-{n}.safetensors") for n in (1, 2, 3))
    (drive / "run/step-2.safetensors").write_bytes(good.read_bytes()[:-1])
    flipped = bytearray(good.read_bytes())
    flipped[-5] ^= 1
    (drive / "run/step-3.safetensors").write_bytes(flipped)
    (drive / "run/.step-4.safetensors.0123abcd.part").write_bytes(good.read_bytes())
    assert [path.name for path in mirror.find("run/*")] == [f"step-{n}.safetensors" for n in (1, 2, 3)]
    assert mirror.find("other/*") == []


def test_only_the_star_is_special_in_a_name(drive, local):
    mirror = Mirror(drive, print)
    mirror.push(local, "net[a]?/run.json")
    mirror.push(local, "neta/run.json")
    assert mirror.find("net[a]?/*") == [drive / "net[a]?/run.json"]


def test_a_name_that_leaves_the_mirror_is_refused(drive, local):
    for name in ("../x", "/etc/x", "a/../../x", ""):
        with pytest.raises(ValueError, match="no path inside"):
            Mirror(drive, print).push(local, name)


def test_a_drive_that_has_gone_is_one_note_and_nothing_under_its_mountpoint(drive, local, tmp_path):
    heard: list = []
    mirror = Mirror(drive / "colab-kit/runs", heard.append)
    drive.rmdir()
    assert not mirror.push(local, "x/run.json") and not mirror.push(local, "x/history.csv")
    assert [note.level for note in heard] == ["warn"] and "no longer there" in heard[0].text
    assert list((tmp_path / "drive").iterdir()) == []


def test_a_drive_that_was_never_there_gets_no_folder(tmp_path, local):
    heard: list = []
    assert not Mirror(tmp_path / "content/drive/MyDrive/runs", heard.append).push(local, "run.json")
    assert len(heard) == 1 and not (tmp_path / "content").exists()


def test_after_a_failure_the_mirror_takes_copies_again_and_tells_the_next_one(drive, local):
    heard: list = []
    mirror = Mirror(drive / "runs", heard.append)
    drive.rmdir()
    mirror.push(local, "a.json")
    drive.mkdir()
    assert mirror.push(local, "a.json")
    assert not mirror.push(local.with_name("missing"), "b.json") and len(heard) == 2


class Failing:
    """A folder whose disk fails: the copy step raises what a real Drive raises."""

    def __init__(self, code: int) -> None:
        self.code = code

    def __call__(self, source: Path, part: Path) -> None:
        part.write_bytes(source.read_bytes()[:3])
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.ENOSPC, "full"), (errno.EDQUOT, "Trash"), (errno.ENOTCONN, "kit.mount()"), (errno.EROFS, "read-only"), (errno.EIO, "error")],
)
def test_a_fault_in_the_middle_leaves_the_old_copy_and_no_part(drive, local, code, said):
    heard: list = []
    assert Mirror(drive, heard.append).push(local, "run.json")
    broken = Mirror(drive, heard.append, copy=Failing(code))
    assert not broken.push(local, "run.json")
    assert said in heard[0].text and heard[0].level == "warn"
    assert [path.name for path in drive.iterdir()] == ["run.json"] and (drive / "run.json").read_text() == local.read_text()


def test_half_copies_of_a_killed_process_are_swept(drive, local):
    (drive / ".run.json.0123abcd.part").write_text("half")
    (drive / "my.part").write_text("the user's own")
    assert Mirror(drive, print).push(local, "run.json")
    assert sorted(path.name for path in drive.iterdir()) == ["my.part", "run.json"]


def test_an_interrupt_in_the_middle_leaves_no_part(drive, local):
    def interrupted(source: Path, part: Path) -> None:
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Mirror(drive, print, copy=interrupted).push(local, "run.json")
    assert list(drive.iterdir()) == []


def test_a_copy_that_reads_back_otherwise_never_gets_its_name(drive, local):
    heard: list = []
    lying = Mirror(drive, heard.append, copy=lambda source, part: verified_copy(source, part, read_back=lambda _: "0" * 64))
    assert not lying.push(local, "run.json")
    assert "read back otherwise" in heard[0].text and list(drive.iterdir()) == []
