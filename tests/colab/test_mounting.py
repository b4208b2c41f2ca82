"""The verb mount: what it decides on a described site, where it ends, and that it makes nothing under an unmounted mountpoint."""

from pathlib import Path

import pytest

from colab_kit.colab import mount_plan
from colab_kit.colab.health import Health
from colab_kit.colab.mount_plan import MountRequest, Site
from colab_kit.colab.mounting import mount, mounted, stand_in_path
from colab_kit.errors import DriveError
from colab_kit.events import Note

from ..support.worlds import World, failing, laid, tree

OFFLINE = ("python", "jupyter", "vscode", "ipython", "kaggle")
THERE = Path("/content/drive")
USUAL = MountRequest()


@pytest.fixture
def home(own_home) -> Path:
    return own_home / "kit"


# --- on Colab ---


def test_in_colabs_kernel_the_real_drive_is_mounted(tmp_path):
    world = World("colab")
    drive = world.mount(tmp_path / "drive", readonly=True, timeout=90)
    assert (drive.kind, drive.mydrive) == ("real", tmp_path / "drive/MyDrive")
    assert (
        world.calls == [(str(tmp_path / "drive"), 90, True, False)]
        and world.heard == []
        and world.asked == 1
    )
    assert mounted(world.site) == drive


@pytest.mark.parametrize("where", ["colab", "colab-subprocess"])
def test_a_healthy_mount_is_reused_without_asking(tmp_path, where):
    world = World(where)
    world.has(tmp_path / "point")
    drive = world.mount(tmp_path / "point")
    assert (drive.kind, world.calls, world.heard, world.asked) == ("reused", [], [], 0)


def test_a_mount_at_another_place_is_used_rather_than_killed(tmp_path):
    world = World("colab")
    world.has(tmp_path / "gdrive")
    drive = world.mount(tmp_path / "drive")
    assert (
        drive.mountpoint == tmp_path / "gdrive"
        and world.calls == []
        and "already" in world.heard[0].text
    )


def test_the_legacy_mountpoint_works_as_well(tmp_path):
    world = World("colab")
    assert world.mount(tmp_path / "gdrive").mydrive == tmp_path / "gdrive/MyDrive"
    assert world.mount(tmp_path / "gdrive").kind == "reused" and len(world.calls) == 1


def test_readonly_on_a_mount_that_exists_says_that_it_changes_nothing(tmp_path):
    world = World("colab")
    world.has(tmp_path / "drive")
    world.mount(tmp_path / "drive", readonly=True)
    assert [note.level for note in world.heard] == ["warn"] and "readonly" in world.heard[0].text


def test_a_folder_that_only_looks_like_a_drive_is_not_reused(tmp_path):
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    world = World("colab", failing())
    assert world.mount(tmp_path / "drive").kind == "folder" and len(world.calls) == 1


def test_files_in_the_way_are_brought_into_drive(tmp_path):
    laid(tmp_path / "drive", {"MyDrive/a.pt": "weights"})
    world = World("colab")
    assert (
        world.mount(tmp_path / "drive") / "a.pt"
    ).read_text() == "weights" and "in Drive now" in world.said


def test_tries_end_with_the_retries_that_were_given(tmp_path):
    world = World("colab", failing(again=9), for_ever=True)
    assert (
        world.mount(tmp_path / "drive", retries=1).kind == "folder"
        and len(world.calls) == 2
        and len(world.slept) == 1
    )
    with pytest.raises(DriveError, match="cannot be"):
        world.mount(tmp_path / "drive", retries=-1)
    with pytest.raises(DriveError, match="cannot be"):
        world.mount(tmp_path / "drive", timeout=0)


def test_where_nobody_seems_to_listen_one_try_is_announced(tmp_path):
    world = World("colab", failing(again=9), for_ever=True, page=False)
    assert world.mount(tmp_path / "drive").kind == "folder" and len(world.calls) == 1
    assert "nobody seems to listen" in world.heard[0].text and "5 minutes" in world.heard[0].text
    quiet = World("colab", page=False)
    assert quiet.mount(tmp_path / "drive").kind == "real", "newer VS Code mounts without answering"


def test_a_hanging_mount_is_neither_waited_for_nor_killed(tmp_path, monkeypatch):
    world = World("colab")
    world.has(tmp_path / "drive")
    monkeypatch.setattr(
        mount_plan, "state", lambda *_: Health(False, "no answer within 10 s", 10.0, answered=False)
    )
    drive = world.mount(tmp_path / "drive")
    assert (
        (drive.kind, world.calls, world.asked) == ("folder", [], 0)
        and "does not answer" in world.said
        and "umount -l" in world.said
    )


@pytest.mark.parametrize(("where", "client", "said"), [
    ("colab-subprocess", "", "notebook cell"), ("colab-enterprise", "", "Enterprise"), ("colab", "cli", "colab run"),
])  # fmt: skip
def test_where_no_drive_can_be_had_nobody_is_asked(tmp_path, where, client, said):
    world = World(where, client=client)
    assert (
        world.mount(tmp_path / "drive").kind == "folder"
        and said in world.said
        and "lost" in world.said
    )
    with pytest.raises(DriveError, match=said):
        world.mount(tmp_path / "drive", required=True)
    assert world.calls == [] and world.asked == 0


def test_a_failing_mount_falls_back_to_a_folder_with_a_warning(tmp_path, home):
    world = World("colab", failing())
    drive = world.mount(tmp_path / "content/drive")
    [note] = world.heard
    assert (
        drive.kind == "folder"
        and drive.mydrive.is_relative_to(home)
        and not (tmp_path / "content").exists()
    )
    world.mount(laid(tmp_path / "content", ["x"]) / "drive")
    assert world.heard[-1].level == note.level == "warn"
    assert all(
        piece in world.said
        for piece in ("above", "does not exist", "no consent", "tick every box", str(drive), "lost")
    )


@pytest.mark.parametrize("asked", [{"required": True}, {"mock": False}])
def test_a_failing_mount_raises_where_the_drive_is_a_must(tmp_path, home, asked):
    failure = failing()
    with pytest.raises(DriveError) as raised:
        World("colab", failure).mount(tmp_path / "drive", **asked)
    assert raised.value is failure and not home.exists()


# --- where there is none ---


@pytest.mark.parametrize("where", OFFLINE)
def test_elsewhere_a_folder_stands_in_and_one_note_names_it(tmp_path, home, where):
    world = World(where)
    drive = world.mount(tmp_path / "content/drive")
    assert (drive.kind, drive.mydrive) == (
        "mock",
        home / "drive/MyDrive",
    ) and drive.mydrive.is_dir()
    assert (
        [type(e) for e in world.heard] == [Note]
        and str(drive) in world.heard[0].text
        and "\n" not in world.heard[0].text
    )
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
    assert world.mount(tmp_path / "drive", mock=True).kind == "mock" and world.calls == []


def test_mock_false_off_colab_is_an_error_and_makes_nothing(tmp_path, home):
    with pytest.raises(DriveError, match="jupyter"):
        World("jupyter").mount(tmp_path / "drive", mock=False)
    assert not home.exists() and mounted(World("jupyter").site) is None


def test_a_home_under_the_unmounted_mountpoint_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "drive/MyDrive/kit"))
    with pytest.raises(DriveError, match="COLAB_KIT_HOME"):
        World("python").mount(tmp_path / "drive")
    assert not (tmp_path / "drive").exists()


def test_a_home_that_cannot_be_made_is_a_drive_error(tmp_path, home):
    home.write_text("a file stands here")
    with pytest.raises(DriveError, match="COLAB_KIT_HOME"):
        World("python").mount(tmp_path / "drive")


def test_mount_itself_tells_the_callbacks_it_is_given():
    heard = []
    drive = mount(mock=True, callbacks=[heard.append], quiet=True)
    assert (
        [type(event) for event in heard] == [Note]
        and str(drive) in heard[0].text
        and mount(mock=True, quiet=True) == drive
    )


def test_mount_speaks_on_the_console_by_default(capsys):
    drive = mount(mock=True)
    assert capsys.readouterr().out.count("\n") == 1 and drive.kind == "mock"


def test_the_client_is_told_by_the_environment(monkeypatch):
    monkeypatch.setenv("COLAB_KIT_CLIENT", "cli")
    assert Site.here().client == "cli"


# --- nothing is ever made under an unmounted mountpoint ---

FAILURES = (failing(), failing(again=1), failing(again=3), KeyboardInterrupt(), RuntimeError("new"))


@pytest.mark.parametrize(
    "options", [{}, {"required": True}, {"mock": True}, {"mock": False}, {"readonly": True}]
)
@pytest.mark.parametrize(
    "files", [{}, {"drive": None}, {"drive/MyDrive/a.pt": "weights", "drive/foo.txt": "foo"}]
)
@pytest.mark.parametrize(
    "where", ["colab", "colab-subprocess", "colab-enterprise", "cli", "python"]
)
def test_no_failing_way_through_mount_changes_the_folder_around_the_mountpoint(
    tmp_path, where, files, options
):
    content = tmp_path / "content"
    content.mkdir()
    for name, text in files.items():
        laid(content, {name: text}) if text else (content / name).mkdir()
    before = tree(content)
    for failure in FAILURES:
        world = World(
            "colab" if where == "cli" else where,
            failure,
            for_ever=True,
            client="cli" if where == "cli" else "",
        )
        try:
            drive = world.mount(content / "drive", retries=2, **options)
            assert not drive.mydrive.is_relative_to(content)
        except (DriveError, KeyboardInterrupt, RuntimeError):
            pass
        mounted(world.site)
        stand_in_path(content / "drive/MyDrive/x", world.site)
        assert tree(content) == before
