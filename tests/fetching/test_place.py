"""fetch() and Drive: archives kept there, files placed there in one go."""

import os

import pytest

from colab_kit.errors import FetchError
from colab_kit.fetching import place

from ..support.fetching import BODY, FILES, a_zip, get, left, notes, tree

pytestmark = pytest.mark.usefixtures("here")


def test_an_archive_is_kept_on_drive_and_the_next_machine_does_not_download_it(
    server, here, mock_drive, tmp_path, monkeypatch
):
    packed = a_zip()
    url = server.put("pets.zip", packed)
    found = get(url)
    assert (
        found.archive
        and found.archive.is_relative_to(mock_drive.mydrive)
        and tree("pets") == FILES
        and left(here) == ["pets"]
    )
    assert mock_drive.wait(30) and found.archive.read_bytes() == packed
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "new machine"))
    asked = server.count()
    again = get(url, "elsewhere/")
    assert again.cached is False or again.path.exists()
    assert (
        tree("elsewhere/pets") == FILES
        and sum(request.sent for request in server.requests[asked:]) == 0
    ), "nothing was downloaded"
    server.put("pets.zip", a_zip({"new": b"new"}))
    get(url, "third/")
    assert tree("third/pets") == {"new": b"new"}, "a new version is not taken from Drive"


def test_a_large_archive_reaches_drive_whole(server, here, mock_drive):
    packed = a_zip(
        {f"{n}.bin": os.urandom(1 << 20) for n in range(3)}
    )  # more than the copier holds in memory
    found = get(server.put("large.zip", packed))
    assert mock_drive.wait(30) and found.archive.read_bytes() == packed and left(here) == ["large"]


def test_a_damaged_copy_on_drive_is_told_and_downloaded_again(server, here, mock_drive):
    url = server.put("pets.zip", a_zip())
    found = get(url)
    mock_drive.wait(30)
    content = bytearray(found.archive.read_bytes())
    content[1000] ^= 1
    found.archive.write_bytes(content)
    heard = []
    get(url, "elsewhere/", heard=heard)
    assert tree("elsewhere/pets") == FILES and "cannot be used" in notes(heard)


def test_what_is_too_large_or_not_wanted_is_not_kept(server, here, mock_drive, monkeypatch):
    url = server.put("pets.zip", a_zip())
    assert get(url, "a/", keep_archive=False).archive is None
    monkeypatch.setattr(place, "MOST", 1000)
    assert get(url, "b/").archive is None
    mock_drive.wait(30)
    assert not (mock_drive.mydrive / "colab-kit" / "fetched").exists()
    assert get(url, "c/", keep_archive=True).archive.is_relative_to(mock_drive.mydrive)


def test_a_file_for_drive_is_brought_to_the_fast_disk_first(server, mock_drive):
    found = get(server.put("x.bin", BODY), mock_drive / "data/")
    assert (
        found.path == mock_drive / "data" / "x.bin"
        and found.path.read_bytes() == BODY
        and left(mock_drive / "data") == ["x.bin"]
    )


def test_thousands_of_files_go_onto_drive_only_by_force(server, mock_drive, monkeypatch):
    monkeypatch.setattr(place, "MANY", 50)
    url = server.put("pets.zip", a_zip())
    with pytest.raises(FetchError, match="60 files"):
        get(url, mock_drive / "data/", keep_archive=False)
    assert not (mock_drive / "data/pets").exists()
    assert tree(get(url, mock_drive / "data/", keep_archive=False, force=True).path.parent) == FILES


def test_an_archive_fetched_while_the_working_folder_is_on_drive_is_unpacked_on_the_fast_disk(
    server, mock_drive, monkeypatch
):
    monkeypatch.chdir(mock_drive.mydrive)
    found = get(server.put("pets.zip", a_zip()), keep_archive=False)
    assert (
        found.path.is_relative_to(os.environ["COLAB_KIT_HOME"]) and left(mock_drive.mydrive) == []
    )
