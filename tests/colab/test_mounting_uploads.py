"""Uploads: through Colab's chooser, and never under a mountpoint without a Drive."""

import inspect
from pathlib import Path

import pytest

from colab_kit.colab.mounting import upload, upload_to
from colab_kit.errors import ColabError

from ..support.worlds import World


def test_the_folder_that_was_given_is_handed_on(tmp_path):
    assert upload_to(tmp_path / "pets", site=World().site, door=lambda to: [to / "cat.jpg"]) == [
        tmp_path / "pets/cat.jpg"
    ]
    assert upload_to("pets", site=World().site, door=lambda to: [to]) == [Path.cwd() / "pets"]
    assert (
        upload_to(None, site=World().site, door=lambda to: [] if to is None else pytest.fail())
        == []
    )


@pytest.mark.parametrize(
    "to", ["/content/drive/MyDrive/pets", "/content/gdrive/My Drive", "/content/drive"]
)
def test_a_drive_that_is_not_mounted_gets_nothing(to, own_home):
    with pytest.raises(ColabError, match="block mounting") as raised:
        upload_to(to, site=World().site, door=pytest.fail)
    assert str(own_home / "kit/drive") in raised.value.fix


def test_a_mounted_drive_takes_uploads(tmp_path, monkeypatch):
    world, place = World(), tmp_path / "drive" / "MyDrive" / "x"
    place.parent.mkdir(parents=True)
    monkeypatch.setattr("colab_kit.colab.mounting.USUAL", (str(tmp_path / "drive"),))
    with pytest.raises(ColabError, match="block mounting"):
        upload_to(place, site=world.site, door=pytest.fail)
    world.rows.append(f"drive {tmp_path / 'drive'} fuse.drive rw 0 0")
    assert upload_to(place, site=world.site, door=lambda to: [to]) == [place]


def test_without_a_page_the_error_says_to_give_a_path():
    with pytest.raises(ColabError, match="give a path"):
        upload()


def test_the_public_verb_takes_the_folder_and_nothing_else():
    assert list(inspect.signature(upload).parameters) == ["to"]
