"""The real mount: tried as often as it is worth, longer each time, and nothing is ever made under the mountpoint."""

import pytest

from colab_kit.colab import mounting as room
from colab_kit.colab.health import Health
from colab_kit.colab.mount_plan import MountRequest, Site
from colab_kit.colab.mounting import mount_real
from colab_kit.errors import DriveError

from ..support.worlds import World, failing, laid, tree


def mounting(world: World, point, attempts=4, **options):
    request = MountRequest(point, **options)
    return mount_real(request, world.site, world.heard.append, attempts=attempts)


def test_a_mount_that_works_is_asked_for_once(tmp_path):
    world = World()
    drive = mounting(world, tmp_path / "drive", readonly=True)
    assert (drive.kind, drive.mydrive) == ("real", tmp_path / "drive/MyDrive")
    assert (
        world.calls == [(str(tmp_path / "drive"), 120.0, True, False)]
        and world.heard == []
        and world.slept == []
    )


def test_each_further_try_waits_longer_and_ends_dead_mounts_first(tmp_path):
    world = World("colab", *(failing(again=9) for _ in range(5)))
    assert mounting(world, tmp_path / "drive", attempts=6).kind == "real"
    assert [(seconds, force) for _, seconds, _, force in world.calls] == [
        (120, False), (180, True), (240, True), (300, True), (300, True), (300, True)
    ]  # fmt: skip
    assert world.slept == [2, 5, 10, 10, 10]
    assert [note.level for note in world.heard] == ["warn"] * 5 and "attempt 1 of 6" in world.heard[
        0
    ].text
    assert "no consent" in world.heard[0].text and "up to 390 s" in world.heard[0].text


def test_a_longer_timeout_than_the_longest_is_kept(tmp_path):
    world = World("colab", failing(again=1))
    mounting(world, tmp_path / "drive", timeout=900)
    assert [seconds for _, seconds, _, _ in world.calls] == [900, 900]


@pytest.mark.parametrize(
    ("again", "attempts", "calls"), [(0, 4, 1), (1, 4, 2), (9, 4, 4), (9, 1, 1)]
)
def test_only_what_may_pass_is_tried_again_and_not_for_ever(tmp_path, again, attempts, calls):
    world = World("colab", failing(again), for_ever=True)
    with pytest.raises(DriveError, match="It failed"):
        mounting(world, tmp_path / "drive", attempts=attempts)
    assert len(world.calls) == calls and tree(tmp_path) == {}


def test_a_drive_that_comes_up_late_is_taken_and_not_killed(tmp_path):
    late = World("colab")

    def door(mountpoint, timeout_s, *, readonly, force):
        late.calls.append(force)
        late.has(tmp_path / "drive")
        raise failing(again=3)

    site = Site("colab", table=late.table, door=door, sleep=pytest.fail)
    drive = mount_real(MountRequest(tmp_path / "drive"), site, late.heard.append)
    assert (drive.kind, late.calls, late.heard) == ("real", [False], [])


def test_a_healthy_drive_elsewhere_ends_the_tries_and_is_used(tmp_path):
    world = World("colab")

    def door(mountpoint, timeout_s, *, readonly, force):
        assert not force
        world.has(tmp_path / "gdrive")
        raise failing(again=3)

    site = Site("colab", table=world.table, door=door, sleep=pytest.fail)
    drive = mount_real(MountRequest(tmp_path / "drive"), site, world.heard.append)
    assert (drive.kind, drive.mountpoint) == ("reused", tmp_path / "gdrive")


def test_a_dead_mount_is_ended_by_the_second_try(tmp_path):
    world = World("colab", failing(again=1))
    (world.has(tmp_path / "gdrive") / "MyDrive").rmdir()
    mounting(world, tmp_path / "drive")
    assert [force for *_, force in world.calls] == [False, True]


def test_a_hanging_mount_is_not_killed_by_a_further_try(tmp_path, monkeypatch):
    world = World("colab", failing(again=3), for_ever=True)
    world.has(tmp_path / "gdrive")
    monkeypatch.setattr(
        room, "state", lambda point, table: Health(False, "no answer", 10.0, answered=False)
    )
    with pytest.raises(DriveError, match="It failed"):
        mounting(world, tmp_path / "drive")
    assert len(world.calls) == 1 and world.slept == []


@pytest.mark.parametrize(
    ("kind", "why"),
    [("link", "is a link"), ("file", "is a file"), ("my drive", "a space"), ("a/b", "above")],
)
def test_a_mountpoint_that_cannot_be_one_is_said_before_anyone_is_asked(tmp_path, kind, why):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "file").write_text("text")
    world, before = World(), tree(tmp_path)
    with pytest.raises(DriveError) as raised:
        mounting(world, tmp_path / kind)
    assert why in raised.value.why and world.calls == [] and tree(tmp_path) == before


def test_success_without_mydrive_is_a_failure(tmp_path):
    site = Site("colab", table=str, door=lambda *_, **__: None)
    with pytest.raises(DriveError, match="shows no MyDrive"):
        mount_real(MountRequest(tmp_path / "drive"), site, print)
    assert tree(tmp_path) == {}


# --- files in the way ---


def test_files_in_the_way_are_in_drive_afterwards(tmp_path):
    laid(tmp_path / "drive", {"MyDrive/runs/a.pt": "weights", "foo.txt": "foo"})
    world = World("colab", failing(again=1))
    drive = mounting(world, tmp_path / "drive")
    assert (drive / "runs/a.pt").read_text() == "weights" and (
        drive / "drive-before/foo.txt"
    ).read_text() == "foo"
    assert not (tmp_path / "drive-before").exists() and "is in Drive now" in world.heard[-1].text


@pytest.mark.parametrize(
    "error", [failing(), failing(again=1), KeyboardInterrupt(), RuntimeError("new")]
)
def test_files_in_the_way_are_back_when_mounting_fails(tmp_path, error):
    before = tree(
        laid(tmp_path / "drive", {"MyDrive/runs/a.pt": "weights", "foo.txt": "foo"}).parent
    )
    world = World("colab", error, for_ever=True)
    with pytest.raises(type(error)):
        mounting(world, tmp_path / "drive", attempts=2)
    assert tree(tmp_path) == before


def test_a_drive_whose_free_space_is_not_known_gets_none_of_them(tmp_path, monkeypatch):
    def unknown(self, timeout=0.0):
        raise DriveError("gone")

    monkeypatch.setattr(room.Drive, "free", unknown)
    laid(tmp_path / "drive", {"MyDrive/a.pt": "weights"})
    world = World()
    drive = mounting(world, tmp_path / "drive")
    assert (
        tree(drive.mydrive) == {}
        and (tmp_path / "drive-before/MyDrive/a.pt").read_text() == "weights"
    )
