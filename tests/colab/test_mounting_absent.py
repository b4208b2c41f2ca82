"""No verb that writes makes anything under a mountpoint that is not mounted."""

import os
from pathlib import Path

import pytest

from colab_kit.api import train
from colab_kit.colab.drive import MYDRIVE
from colab_kit.colab.mounting import mount, upload_to
from colab_kit.colab.staging import unpacked
from colab_kit.errors import ColabKitError
from colab_kit.models import nets
from tests.support.tasks import small_data


def net():
    return nets.mlp(classes=3, inputs=192, hidden=(8,))


def quietly(**options):
    return train(net, small_data("arrays"), quiet=True, epochs=1, **options)


@pytest.fixture(params=["unmounted", "gone", "another"])
def point(request, tmp_path):
    """A mountpoint whose Drive was unmounted, has dropped away, or was never mounted by this process."""
    if request.param == "another":
        (tmp_path / "gdrive").mkdir()
        return tmp_path / "gdrive"
    drive = mount(mock=True, quiet=True)
    if request.param == "unmounted":
        drive.unmount(quiet=True)
    drive.mydrive.rmdir()
    return drive.mountpoint


WRITERS = {
    "out": lambda place: quietly(run_dir=place / "run"),
    "save": lambda place: quietly(run_dir="here").save(place / "w.pth"),
    "to_csv": lambda place: (
        quietly(run_dir="here").predict(small_data("arrays").valid).to_csv(place / "a.csv")
    ),
    "upload": lambda place: upload_to(place / "up", door=lambda folder: folder.mkdir(parents=True)),
}


@pytest.mark.parametrize("verb", WRITERS)
def test_no_verb_makes_anything_under_a_mountpoint_that_is_not_mounted(point, verb):
    before = sorted(point.rglob("*"))
    with pytest.raises(ColabKitError, match="not there|not mounted"):
        WRITERS[verb](point / MYDRIVE)
    assert sorted(point.rglob("*")) == before


def test_a_working_folder_on_a_drive_that_is_gone_takes_no_run(monkeypatch):
    drive = mount(mock=True, quiet=True)
    monkeypatch.chdir(drive.mountpoint)
    drive.unmount(quiet=True)
    before = sorted(drive.mountpoint.rglob("*"))
    with pytest.raises(ColabKitError, match="working folder"):
        quietly()
    assert sorted(drive.mountpoint.rglob("*")) == before


def test_a_home_on_a_drive_that_is_gone_is_refused_and_not_made(tmp_path, monkeypatch):
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a/b.txt", "x")
    (tmp_path / "gdrive").mkdir()
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "gdrive" / MYDRIVE / "cache"))
    for write in (
        lambda: unpacked(tmp_path / "x.zip", emit=lambda event: None),
        lambda: mount(mock=True, quiet=True),
    ):
        with pytest.raises(ColabKitError, match="not there"):
            write()
    assert not os.listdir(tmp_path / "gdrive") and Path("colab-kit").exists() is False
