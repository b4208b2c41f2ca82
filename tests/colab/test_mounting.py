"""The verb mount: what it decides on a described site, where it ends, and that it makes nothing under an unmounted mountpoint."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from colab_kit.colab import mount_plan
from colab_kit.colab.drive import session
from colab_kit.colab.health import Health
from colab_kit.colab.mount_plan import MountRequest, Plan, Site, View, decide
from colab_kit.colab.mounting import missed, mount, mount_at, mounted, stand_in_path
from colab_kit.errors import DriveError
from colab_kit.events import Note
from colab_kit.testing.faults import Faults
from colab_kit.testing.intercept import Reach

from ..support.worlds import World, dies, failing, laid, tree

OFFLINE = ("python", "jupyter", "vscode", "ipython", "kaggle")
THERE = Path("/content/drive")
USUAL = MountRequest()


@pytest.fixture
def home(own_home) -> Path:
    return own_home / "kit"


# --- what mount() decides ---


@pytest.mark.parametrize(
    ("seen", "mock", "step"),
    [
        (View("colab"), None, "real"),
        (View("colab"), False, "real"),
        (View("colab"), True, "mock"),
        (View("colab", healthy=THERE), None, "reuse"),
        (View("colab", healthy=THERE), True, "mock"),
        (View("colab", silent=THERE), None, "folder"),
        (View("colab", silent=THERE), False, "refuse"),
        (View("colab", client="cli"), None, "folder"),
        (View("colab", client="cli"), False, "refuse"),
        (View("colab", healthy=THERE, client="cli"), None, "reuse"),
        (View("colab", page=False), None, "real"),
        (View("colab-subprocess"), None, "folder"),
        (View("colab-subprocess"), False, "refuse"),
        (View("colab-subprocess", healthy=THERE), None, "reuse"),
        (View("colab-enterprise"), None, "folder"),
        (View("colab-enterprise"), False, "refuse"),
        (View("colab-enterprise"), True, "mock"),
        *((View(where), None, "mock") for where in OFFLINE),
        *((View(where), False, "refuse") for where in OFFLINE),
        (View("jupyter", healthy=THERE), False, "reuse"),
    ],
)
def test_what_mount_does_follows_from_what_it_sees(seen, mock, step):
    plan = decide(seen, MountRequest(mock=mock))
    assert plan.step == step and str(plan).startswith(f"{step}: ") and plan.why
    assert bool(plan.attempts) == (step == "real") and (
        plan.fix or step not in ("folder", "refuse")
    )


def test_what_must_be_had_is_refused_where_a_folder_would_do():
    for seen in (
        View("colab-subprocess"),
        View("colab-enterprise"),
        View("colab", client="cli"),
        View("colab", silent=THERE),
    ):
        assert (decide(seen, USUAL).step, decide(seen, MountRequest(required=True)).step) == (
            "folder",
            "refuse",
        )
    assert decide(View("python"), MountRequest(required=True)).step == "mock"


def test_silence_does_not_forbid_mounting_but_one_try_must_do():
    assert decide(View("colab", page=False), MountRequest(retries=3)) == Plan(
        "real",
        "nobody seems to listen for the question for consent (VS Code and `colab run` show none)",
        attempts=1,
        doubt=True,
    )
    for page in (True, None):
        assert (
            decide(View("colab", page=page), MountRequest(retries=3)).attempts,
            decide(View("colab", page=page), USUAL).doubt,
        ) == (4, False)


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


# --- what cannot be meant ---


@pytest.mark.parametrize("where", ["colab", "python"])
@pytest.mark.parametrize("point", ["", " ", "/", "/content/my drive", 3, b"/content/drive"])
def test_a_mountpoint_that_cannot_be_is_refused_everywhere_before_anything_is_made(
    home, where, point
):
    with pytest.raises(DriveError, match="mountpoint=") as raised:
        World(where).mount(point)
    assert raised.value.why and raised.value.fix and not home.exists()


def test_a_relative_mountpoint_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert World("colab").mount("drive").mountpoint == tmp_path / "drive"


@pytest.mark.parametrize(
    "asked",
    [
        {"mock": "yes"},
        {"mock": 1},
        {"required": None},
        {"readonly": "no"},
        {"retries": "3"},
        {"timeout": True},
    ],
)
def test_an_argument_of_the_wrong_kind_is_named(tmp_path, home, asked):
    with pytest.raises(DriveError, match=f"{next(iter(asked))}=") as raised:
        World("python").mount(tmp_path / "drive", **asked)
    assert raised.value.why and raised.value.fix and not home.exists()


def test_the_note_on_a_stand_in_that_was_asked_for_is_a_sentence(tmp_path):
    world = World("colab")
    world.mount(tmp_path / "drive", mock=True)
    assert world.said.startswith("Drive: mock=True was given, so files are saved to ")


# --- the Drive of this process ---


def test_a_drive_that_dropped_away_is_missed_with_the_reason(tmp_path, monkeypatch):
    world = World("colab")
    drive = world.mount(tmp_path / "drive")
    assert missed(world.site) is None
    with monkeypatch.context() as patch:
        dies(patch, tmp_path / "drive")
        assert mounted(world.site) is None and missed(world.site) == (
            drive,
            "Transport endpoint is not connected",
        )
    assert mounted(world.site) == drive and missed(world.site) is None
    world.rows.clear()
    assert mounted(world.site) is None and missed(world.site) == (drive, "nothing is mounted there")
    world.has(tmp_path / "gdrive")
    assert mounted(world.site) is not None and missed(world.site) is None, "there is another one"


def test_nothing_is_missed_where_nothing_was_mounted_or_it_was_unmounted(tmp_path):
    world = World("colab")
    assert missed(world.site) is None
    drive = world.mount(tmp_path / "drive")
    drive.unmount(quiet=True, door=lambda seconds: world.rows.clear(), look=world.table)
    assert missed(world.site) is None
    stand_in = World("python").mount(tmp_path / "drive")
    stand_in.unmount(quiet=True)
    assert missed(World("python").site) is None


@pytest.mark.parametrize("fault", ["drops", "io_error"])
def test_asking_for_a_stand_in_that_fails_raises_nothing(tmp_path, fault):
    world, faults = World("python"), Faults()
    drive = world.mount(tmp_path / "drive")
    with Reach(drive.mountpoint, faults):
        planned = getattr(faults, fault)()
        assert (
            mounted(world.site) is None
            and missed(world.site) == (drive, os.strerror(planned.number))
            and planned.fired
        )
        with pytest.raises(DriveError, match="does not answer") as raised:
            world.mount(tmp_path / "drive")
    assert "COLAB_KIT_HOME" not in str(raised.value)
    assert mounted(world.site) == drive


def test_asking_for_one_that_stands_elsewhere_and_fails_raises_nothing(placed):
    faults = Faults()
    drive = mount_at(Site("python"), MountRequest(placed), emit=lambda event: None)
    with Reach(placed, faults):
        faults.drops()
        assert mounted(Site("python")) is None and missed(Site("python")) == (
            drive,
            "Transport endpoint is not connected",
        )


def test_one_that_was_mounted_elsewhere_since_and_fails_there_is_not_followed(home, tmp_path):
    faults, drive = (
        Faults(),
        mount_at(Site("python"), MountRequest(tmp_path / "drive"), emit=lambda event: None),
    )
    (tmp_path / "there").mkdir()
    os.rename(drive.mydrive, tmp_path / "there/MyDrive")
    laid(home / "drive", {".mounted": str(tmp_path / "there")})
    with Reach(tmp_path / "there", faults):
        faults.drops()
        assert mounted(Site("python")) is None and missed(Site("python")) is not None


def test_a_mount_wakes_what_waits_for_drive(tmp_path):
    class Copier:
        root, woken = tmp_path / "drive/MyDrive", 0

        def wake(self) -> None:
            self.woken += 1

    copier = Copier()
    session.shelves.add(copier)
    World("colab").mount(tmp_path / "drive")
    assert copier.woken == 1
    session.shelves.discard(copier)


def test_nothing_is_mounted_until_it_is():
    assert mounted(World("python").site) is None and mounted(World("colab").site) is None


@pytest.mark.parametrize("where", ["colab", "colab-subprocess"])
def test_the_drive_that_a_notebook_mounted_itself_is_found(tmp_path, where):
    world = World(where)
    world.has(tmp_path / "gdrive")
    found = mounted(world.site)
    assert found is not None and (found.kind, found.mountpoint) == ("reused", tmp_path / "gdrive")


def test_a_drive_that_was_unmounted_is_no_longer_mounted(tmp_path):
    world = World("colab")
    drive = world.mount(tmp_path / "drive")

    def flush(timeout_s: float) -> None:
        world.rows.clear()

    drive.unmount(quiet=True, door=flush)
    assert mounted(world.site) is None


def test_an_unmounted_stand_in_is_nobodys_until_it_is_mounted_again(tmp_path):
    world = World("python")
    drive = world.mount(tmp_path / "drive")
    drive.unmount(quiet=True)
    assert mounted(world.site) is None and drive.mydrive.is_dir()
    assert world.mount(tmp_path / "drive") == drive == mounted(world.site)


def test_a_drive_that_came_up_elsewhere_meanwhile_is_used_and_told(tmp_path):
    world = World("colab", failing(again=3))
    site = replace(
        world.site,
        door=lambda *_, **__: (
            world.has(tmp_path / "gdrive") and world.door("", 0, readonly=False, force=False)
        ),
    )
    drive = mount_at(site, MountRequest(tmp_path / "drive", readonly=True), emit=world.heard.append)
    assert (drive.kind, drive.mountpoint) == ("reused", tmp_path / "gdrive")
    assert (
        f"mounted at {tmp_path}/gdrive already" in world.said
        and "readonly=True changes nothing" in world.said
    )


def test_a_real_drive_mounted_later_takes_the_fallbacks_place(tmp_path):
    world = World("colab", failing())
    local = world.mount(tmp_path / "drive")
    assert mounted(world.site) == local
    world.has(tmp_path / "drive")
    found = mounted(world.site)
    assert found is not None and found.kind == "reused"


# --- a stand-in that stands somewhere as a folder ---


@pytest.fixture
def placed(home, tmp_path) -> Path:
    """Where it stands; its state is what any process reads."""
    (tmp_path / "content/drive/MyDrive").mkdir(parents=True)
    laid(home / "drive", {".mounted": str(tmp_path / "content/drive")})
    return tmp_path / "content/drive"


def test_off_colab_the_stand_in_is_where_it_stands(placed):
    world = World("python")
    world.site = Site("python")
    for point in (placed, placed.with_name("gdrive")):
        drive = mount_at(world.site, MountRequest(point), emit=world.heard.append)
        assert (drive.kind, drive.mountpoint) == ("mock", placed) and mounted(world.site) == drive


def test_on_a_site_that_is_all_colab_it_is_reused(placed):
    heard: list = []
    for where in ("colab", "colab-subprocess"):
        drive = mount_at(Site(where, door=pytest.fail), MountRequest(placed), emit=heard.append)
        assert (drive.kind, drive.mountpoint, heard) == ("reused", placed, [])
        assert mounted(Site(where)) == drive


def test_a_stand_in_that_was_mounted_later_is_followed(home, tmp_path):
    drive = mount_at(Site("python"), MountRequest(tmp_path / "drive"), emit=lambda event: None)
    (tmp_path / "there").mkdir()
    os.rename(drive.mydrive, tmp_path / "there/MyDrive")
    assert mounted(Site("python")) is None
    laid(home / "drive", {".mounted": str(tmp_path / "there")})
    found = mounted(Site("python"))
    assert found is not None and (found.kind, found.mountpoint) == ("mock", tmp_path / "there")


# --- paths typed for Drive ---


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/content/drive/MyDrive/cats/a.jpg", "MyDrive/cats/a.jpg"),
        ("/content/drive/My Drive/cats.zip", "MyDrive/cats.zip"),
        ("/content/gdrive/MyDrive", "MyDrive"),
        ("/content/gdrive/My Drive/x", "MyDrive/x"),
        ("/content/drive", "."),
    ],
)
def test_a_path_typed_for_drive_names_the_stand_ins(home, typed, kept):
    assert stand_in_path(typed, World("python").site) == home / "drive" / kept


def test_it_names_the_place_where_the_stand_in_stands(placed):
    assert stand_in_path("/content/drive/My Drive/x", Site("python")) == placed / "MyDrive/x"


@pytest.mark.parametrize(
    "typed", ["/content/cats", "cats", "/content/drive2/MyDrive/x", "/home/ann/content/drive/x"]
)
def test_other_paths_have_no_stand_in(typed):
    assert stand_in_path(typed, World("python").site) is None
