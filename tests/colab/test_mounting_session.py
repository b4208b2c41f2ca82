"""The Drive of this process, a stand-in that stands elsewhere, and paths typed for Drive."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from colab_kit.colab.drive import session
from colab_kit.colab.mount_plan import MountRequest, Site
from colab_kit.colab.mounting import missed, mount_at, mounted, stand_in_path
from colab_kit.errors import DriveError
from colab_kit.testing.faults import Faults
from colab_kit.testing.intercept import Reach

from ..support.worlds import World, dies, failing, laid

OFFLINE = ("python", "jupyter", "vscode", "ipython", "kaggle")
THERE = Path("/content/drive")
USUAL = MountRequest()


@pytest.fixture
def home(own_home) -> Path:
    return own_home / "kit"


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
