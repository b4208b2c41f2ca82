"""The ground on Drive: what is there, and what cannot be known while Drive is dead."""

import errno
import os
from pathlib import Path

import pytest

from colab_kit.colab import reading as room
from colab_kit.colab.reading import ground, is_folder, make_folder, there


def test_folders_are_made_below_my_drive_and_never_where_it_has_gone(tmp_path):
    top = tmp_path / "MyDrive"
    top.mkdir()
    assert (
        ground(top / "colab-kit/runs") == top
        and make_folder(top / "a/b")
        and not make_folder(top / "a/b")
        and is_folder(top / "a/b")
    )
    os.rename(top, tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        make_folder(top / "a")
    assert list(tmp_path.iterdir()) == [tmp_path / "gone"]


@pytest.mark.parametrize("name", ["missing", "file/below", "x" * 300, "nul\0"])
def test_what_no_disk_has_is_not_there(tmp_path, name):
    (tmp_path / "file").write_text("x")
    assert (
        not there(tmp_path / name)
        and not is_folder(tmp_path / name)
        and there(tmp_path / "file")
        and not is_folder(tmp_path / "file")
    )


@pytest.mark.parametrize("code", [errno.ENOTCONN, errno.EIO, errno.EACCES])
def test_what_drive_does_not_say_is_no_no_and_a_dead_mount_is_the_ground_itself(
    tmp_path, monkeypatch, code
):
    stat = os.stat

    def dead(path, *more, **kw):
        if Path(path).is_relative_to(tmp_path / "drive"):
            raise OSError(code, os.strerror(code), str(path))
        return stat(path, *more, **kw)

    monkeypatch.setattr(room.os, "stat", dead)
    for ask in (there, is_folder, make_folder):
        with pytest.raises(OSError) as caught:
            ask(tmp_path / "drive/x")
        assert caught.value.errno == code
    assert ground(tmp_path / "drive/a/b") == tmp_path / "drive", (
        "made under its parent, a folder would block the next mount"
    )


def test_a_killed_mount_is_its_own_ground(fuse_drive):
    fuse_drive.kill()
    assert ground(fuse_drive.mountpoint / "a/b") == fuse_drive.mountpoint
    with pytest.raises(OSError) as caught:
        make_folder(fuse_drive / "colab-kit/runs")
    assert caught.value.errno == errno.ENOTCONN
