"""Archives, what lies on Drive, links, and what is not there."""

import errno
import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from colab_kit.api import train
from colab_kit.colab.mounting import mount
from colab_kit.data.formats import idx
from colab_kit.data.paths import Opener
from colab_kit.errors import DataError, DriveError, GotHtml, LinkError, NotFound
from colab_kit.events import Control
from colab_kit.fetching.fetch import fetch

from ..support.cut_fashion_mini import idx_bytes
from ..support.pictures import blank, class_folders, picture
from .loads import NAMED, X, Y, load, refused, table


def packed(folder, kind="zip"):
    return Path(shutil.make_archive(str(folder), kind, folder.parent, folder.name))


def test_what_is_told_while_the_data_is_brought_is_no_note_of_the_data(tmp_path):
    class_folders(tmp_path / "pets", each=4)
    heard = []
    data = load(packed(tmp_path / "pets"), callbacks=[heard.append], quiet=True, strict=True)
    assert "Unpacking" in heard[0].text and data.notes == ()


def test_a_killed_drive_is_an_error_of_ours_wherever_the_data_is_told(tmp_path, fuse_drive):
    class_folders(tmp_path / "pets")
    class_folders(fuse_drive / "pets")
    fuse_drive.kill()
    far = fuse_drive / "pets"
    for source, more in (
        (far, {}),
        (str(far), {}),
        (tmp_path / "pets", {"valid": far}),
        ({"train": tmp_path / "pets", "test": far}, {}),
    ):
        with pytest.raises(DriveError, match="could not be read from Drive"):
            load(source, **more)
    for word in ("labels", "class_names"):
        with pytest.raises(DriveError):
            load(tmp_path / "pets", **{word: str(fuse_drive / "told")})


@pytest.mark.parametrize("woe", ["drops", "io_error"])
def test_a_drive_that_fails_in_files_is_an_error_of_ours(mock_drive, drive_faults, woe):
    class_folders(mock_drive / "pets")
    getattr(drive_faults, woe)("MyDrive/pets*")
    with pytest.raises(DriveError):
        load(mock_drive / "pets")


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_is_the_data_of_its_folder(tmp_path, kind):
    data = load(class_folders(tmp_path / "pets", each=10))
    archive = packed(tmp_path / "pets", kind)
    heard = []
    again = load(archive, callbacks=[heard.append], quiet=True)
    assert (again.fingerprint, again.name, again.classes) == (
        data.fingerprint,
        "pets",
        data.classes,
    ) and "Unpacking" in heard[0].text
    assert (
        load(archive, callbacks=[heard.append], quiet=True).fingerprint == data.fingerprint
        and len(heard) == 1
    ), "the second call unpacks nothing"
    other = load(class_folders(tmp_path / "others"), valid=str(archive))
    assert sum(other.counts["valid"].values()) == 20
    archive.write_bytes(archive.read_bytes()[:900])
    refused(archive, "is damaged", "get it again")
    refused(blank(tmp_path / "x.7z", b"7z\xbc\xaf\x27\x1c"), "x.7z")


@pytest.fixture
def drive():
    return mount(mock=True, quiet=True)


def test_a_folder_on_drive_is_read_from_the_fast_disk_and_is_the_same_data(drive, tmp_path):
    class_folders(tmp_path / "pets", each=10)
    blank(tmp_path / "pets" / "cat_to_name.json", b'{"cat": "Katze"}')
    local = load(tmp_path / "pets", class_names="cat_to_name.json")
    shutil.copytree(tmp_path / "pets", drive / "pets")
    for source in (drive / "pets", str(drive / "pets"), packed(drive / "pets")):
        data = load(source, class_names="cat_to_name.json")
        assert (data.fingerprint, data.name, data.classes) == (
            local.fingerprint,
            "pets",
            ("Katze", "dog"),
        )
        assert not any(
            path.is_relative_to(drive.mountpoint)
            for split in data.splits.values()
            for path in split.paths
        )


def test_labels_told_of_a_folder_on_drive_are_found_on_the_fast_disk(drive):
    pics = drive / "data" / "pics"
    for n in range(12):
        picture(pics / f"p{n}.png", n)
    blank(drive / "data" / "labels.csv", table(NAMED))
    blank(pics / "inside.csv", table(NAMED))
    prints = {
        load(pics, labels=labels, valid=0).fingerprint
        for labels in (
            "labels.csv", "inside.csv", drive / "data" / "labels.csv", dict(NAMED), {pics / name: label for name, label in NAMED},
            {str(pics / name): label for name, label in NAMED}, lambda path: dict(NAMED)[str(path.relative_to(pics))],
        )
    }  # fmt: skip
    assert len(prints) == 1


def test_whole_paths_on_drive_name_one_file_each(drive):
    files = [
        picture(drive / "pics" / name, n)
        for n, name in enumerate(["a.png", "pics/a.png", "b.png", "pics/b.png"])
    ]
    data = load(drive / "pics", labels={file: str(n) for n, file in enumerate(files)}, valid=0)
    assert {path.name + data.classes[label] for path, label in zip(data.train.paths, data.train.labels, strict=True)} == {
        "a.png0", "a.png1", "b.png2", "b.png3",
    }  # fmt: skip


def test_splits_from_drive_are_staged_too_and_a_stop_ends_it(drive):
    class_folders(drive / "a", each=3)
    class_folders(drive / "b", each=2)
    data = load({"train": drive / "a", "valid": str(drive / "b")})
    assert data.counts["valid"] == {"cat": 2, "dog": 2} and not data.valid.paths[0].is_relative_to(
        drive.mountpoint
    )
    control = Control()
    control.stop("enough")
    picture(drive / "a" / "cat" / "new.png")
    assert load(drive / "b", control=control).name == "b", "what is staged already needs no time"


def test_thousands_of_files_on_drive_without_room_for_them_are_refused(drive, monkeypatch):
    class_folders(drive / "pets")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    refused(
        drive / "pets", "cannot be brought to the fast disk", "0 MiB are free", "COLAB_KIT_HOME"
    )


def test_a_drive_that_has_dropped_away_is_named(monkeypatch):
    stat = os.stat

    def gone(path, *a, **kw):
        if str(path).startswith("/gone/"):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return stat(path, *a, **kw)

    monkeypatch.setattr(os, "stat", gone)
    with pytest.raises(DriveError, match="could not be read from Drive") as error:
        load("/gone/MyDrive/pets")
    assert "kit.mount()" in error.value.fix


def test_a_catalog_folder_on_drive_keeps_its_name(drive):
    for name in idx.NAMES:
        blank(drive / "mine" / f"{name}.gz", gzip.compress(idx_bytes(X if "images" in name else Y)))
    assert load(drive / "mine").name == "mine"


def test_a_place_that_is_not_there_names_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "flowers").mkdir()
    refused(tmp_path / "flower", "There is no", f"kit.load({str(tmp_path / 'flowers')!r})")
    refused("fashion-mnit", "kit.load('fashion-mnist')")
    refused("", "the path is empty")
    refused("a\0b/c", "There is no")
    monkeypatch.chdir(tmp_path)
    refused("zzz", "fashion-mini, fashion-mnist")


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_a_link_is_fetched_to_the_fast_disk_and_loaded(tmp_path, file_server, ending):
    packed = shutil.make_archive(
        str(tmp_path / "pets"),
        {"zip": "zip", "tar.gz": "gztar"}[ending],
        class_folders(tmp_path / "x", each=6),
    )
    url = file_server.put(f"pets.{ending}", Path(packed))
    data = load(url + "?token=s3cret")
    assert (
        data.classes == ("cat", "dog")
        and data.name == "pets"
        and len(data.train) + len(data.valid) == 12
    )
    assert data.train.paths[0].is_relative_to(os.environ["COLAB_KIT_HOME"])
    asked = file_server.count()
    assert load(url).fingerprint == data.fingerprint and file_server.count() == asked + 1, (
        "the second time it is only asked whether it changed"
    )
    assert load(url, valid=url).counts["valid"] == {"cat": 6, "dog": 6}
    assert load(fetch(url, tmp_path / "here", quiet=True)).counts == data.counts


def test_a_link_that_gives_no_pictures_says_why(tmp_path, file_server):
    with pytest.raises(GotHtml, match="Sign in"):
        load(file_server.put("pets.zip", b"<!DOCTYPE html><title>Sign in</title>"))
    with pytest.raises(LinkError, match="clone"):
        load("https://github.com/o/pets")
    with pytest.raises(NotFound) as caught:
        load(file_server.url("gone.zip").replace("://", "://ann:hunter2@") + "?token=s3cret")
    assert "s3cret" not in str(caught.value) and "hunter2" not in str(caught.value)
    refused(file_server.put("labels.csv", b"a,b"), "labels=")


def test_training_takes_a_link(tmp_path, file_server):
    packed = shutil.make_archive(
        str(tmp_path / "pets"), "zip", class_folders(tmp_path / "x", each=6)
    )
    url = file_server.put("pets.zip", Path(packed))
    run = train(lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 2)), url, epochs=1,
                image_size=8, batch_size=4, run_dir=tmp_path / "run", quiet=True)  # fmt: skip
    assert run.status == "finished" and run.classes == ("cat", "dog")


def test_files_say_what_to_do_first(tmp_path):
    refused(blank(tmp_path / "pets.zip"), "is empty", "get it again")
    refused(blank(tmp_path / "pets.rar", b"Rar!\x1a\x07"), "pets.rar")
    refused(blank(tmp_path / "labels.csv"), "labels=")
    refused(blank(tmp_path / "x.npz"), "x.npz is damaged", "get it again")
    refused(blank(tmp_path / "cat" / "a.jpg"), f"{str(tmp_path)!r}")
    refused(blank(tmp_path / "model.pth"), "is a file")


def test_a_path_on_drive_names_the_stand_ins(tmp_path):
    with pytest.raises(DataError) as caught:
        Opener(print, stand_in=lambda path: tmp_path).open(
            "/content/drive/MyDrive/pets-that-are-not-there", None
        )
    assert (
        f"kit.load({str(tmp_path)!r})" in caught.value.fix and "and it is there" in caught.value.why
    )


def test_a_folder_in_the_way_wins_over_a_catalog_name(tmp_path, monkeypatch):
    class_folders(tmp_path / "fashion-mini")
    monkeypatch.chdir(tmp_path)
    assert load("fashion-mini").classes == ("cat", "dog")


@pytest.mark.parametrize("word", ["label_column", "file_column"])
@pytest.mark.parametrize("source", ["fashion-mini", "idx", "pair.npz", "arrays"])
def test_columns_are_refused_where_nothing_has_any(tmp_path, monkeypatch, word, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idx").mkdir()
    for name, values in (("images-idx3", X), ("labels-idx1", Y.astype(np.uint8))):
        (tmp_path / "idx" / f"train-{name}-ubyte").write_bytes(idx_bytes(values))
    np.savez(tmp_path / "pair.npz", x_train=X, y_train=Y)
    refused((X, Y) if source == "arrays" else source, word, **{word: "kind"})
