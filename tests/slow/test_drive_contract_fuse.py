"""The stand-in on a FUSE mount behaves as google.colab's drive does: every check of the contract,
and what only a mount can show.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from colab_kit.testing.fake_colab import StandIn
from colab_kit.testing.fuse.cloud import mount_type, why_not
from colab_kit.testing.fuse.mount import FuseBody

from ..support.drive_contract import CHECKS, Place

pytestmark = pytest.mark.skipif(bool(why := why_not()), reason=str(why))


def place_on(body: FuseBody, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    waits: list[float] = []
    with StandIn(body, content=tmp_path, sleep=waits.append) as stand_in:
        yield Place(stand_in, tmp_path, lambda: capsys.readouterr().out, waits)


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    yield from place_on(FuseBody(tmp_path / "store", delay=0.0), tmp_path, capsys)


@pytest.fixture
def late(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    yield from place_on(FuseBody(tmp_path / "store", delay=3600.0), tmp_path, capsys)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_fuse_mount_keeps_the_contract(check, place):
    check(place)


def test_a_forced_remount_loses_what_was_not_sent(late):
    """§1.1 step 8, §1.8"""
    late.mount()
    (late.mydrive / "foo.txt").write_text("not sent yet")
    late.mount(force_remount=True)
    assert not (late.mydrive / "foo.txt").exists()


def test_a_flush_sends_what_was_not_sent(late):
    """§1.2"""
    late.mount()
    (late.mydrive / "foo.txt").write_text("kept")
    assert not (late.stand_in.body.store / "MyDrive" / "foo.txt").exists()
    late.drive.flush_and_unmount()
    assert (late.stand_in.body.store / "MyDrive" / "foo.txt").read_text() == "kept"


def test_the_mount_shows_in_the_table_as_drivefs_does(place):
    """§1.2: `type fuse.drive`"""
    place.mount()
    assert mount_type(place.point) == "fuse.drive"
