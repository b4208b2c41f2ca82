"""The contract of formats: each sees its own data alone, reads Parts, and names a damaged file."""

import os
import zipfile

import numpy as np
import pytest

from colab_kit.data.formats import (
    bands,
    cifar,
    idx,
    matlab,
    npy,
    npz,
    parquet,
    pixel_tables,
    stl10,
    tfrecord,
    webdataset,
)
from colab_kit.data.paths import FORMATS
from colab_kit.data.sources import Parts
from colab_kit.errors import DataError

from ...support import containers
from ...support.pictures import blank, class_folders
from . import samples


def parquet_folder(folder):
    for split, many in (("train", 9), ("test", 3)):
        labels = [n % 3 for n in range(many)]
        containers.parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet", labels, names=list("abc")
        )
    return folder


def webdataset_folder(folder):
    for split, many in (("train", 9), ("test", 3)):
        labels = [n % 3 for n in range(many)]
        containers.tar(folder / f"{split}-000000.tar", containers.keyed(labels))
    return folder


def tfrecord_folder(folder):
    for split, many in (("train", 9), ("test", 3)):
        rows = [{"image": containers.png(n), "label": n % 3} for n in range(many)]
        containers.tfrecord(folder / f"{split}.tfrecord", rows)
    return folder


def bands_folder(folder):
    for n in range(9):
        samples = np.full((6, 5, 7), 100 * n, np.uint16)
        containers.tiff(folder / "abc"[n % 3] / f"{n}.tif", samples)
    return folder


SAMPLES = {  # format: what lays down a small set of it
    idx: samples.idx_folder,
    cifar: samples.cifar_folder,
    stl10: samples.stl10_folder,
    npz: samples.npz_folder,
    npy: samples.npy_folder,
    matlab: samples.matlab_folder,
    pixel_tables: samples.table_folder,
    webdataset: webdataset_folder,
    parquet: parquet_folder,
    tfrecord: tfrecord_folder,
    bands: bands_folder,
}
LONE = {npz: "medmnist.npz", matlab: "train_32x32.mat", pixel_tables: "train.csv"}
LONE |= {npy: "x_train.npy", idx: f"{idx.NAMES[0]}.gz"}
DAMAGE = {
    "cut": lambda content: content[: min(20, len(content) // 2)],
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a web page": lambda content: b"<!DOCTYPE html><title>Sign in</title>",
    "a picture": lambda content: b"\x89PNG\r\n\x1a\n" + bytes(range(98)),
}
CONTAINERS = (webdataset, parquet, tfrecord, bands)
DAMAGES = {  # what became of a file: its content then
    "cut early": lambda content: content[:20],
    "cut late": lambda content: content[: len(content) * 2 // 3 + 5],
    "empty": lambda content: b"",
    "a web page": lambda content: b"<!doctype html><title>Sign in</title><p>" * 50,
    "other bytes": lambda content: bytes(range(256)) * 4,
    "a pickle": lambda content: b"\x80\x04cos\nsystem\n(S'touch evil'\ntR.",
}


def test_every_format_has_a_sample():
    assert set(SAMPLES) == set(FORMATS)


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_sees_its_own_data_alone(form, tmp_path):
    assert form.sees(SAMPLES[form](tmp_path / "own"))
    assert not form.sees(class_folders(tmp_path / "pets"))
    for other in set(FORMATS) - {form}:
        assert not form.sees(SAMPLES[other](tmp_path / other.__name__))


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in CONTAINERS])
def test_a_folder_around_the_files_changes_nothing(form, tmp_path):
    SAMPLES[form](tmp_path / "outer" / "inner")
    assert form.sees(tmp_path / "outer")
    one, other = form.read(tmp_path / "outer"), form.read(tmp_path / "outer" / "inner")
    assert {s: part.print for s, part in one.splits.items()} == {
        s: part.print for s, part in other.splits.items()
    }


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_seen_where_nothing_is(form, tmp_path):
    assert not form.sees(tmp_path / "nowhere") and not form.sees(tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_sees_nothing_in_what_is_none(form, tmp_path):
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as box:
        box.writestr("a.txt", "a")
    for path in (
        tmp_path / "empty",
        tmp_path / "missing",
        tmp_path / "some.zip",
        blank(tmp_path / "x.tar"),
    ):
        assert not form.sees(path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_reads_parts_whose_rows_have_pictures_and_labels(form, tmp_path):
    parts = form.read(SAMPLES[form](tmp_path))
    assert isinstance(parts, Parts) and "train" in parts.splits
    assert set(parts.splits) <= {"train", "valid", "test"}
    for part in parts.splits.values():
        source = part.make(np.zeros(len(part), np.int64))
        assert len(source) == len(part) == len(part.labels) and part.print
        assert source.picture(0).dtype == np.uint8 and source.picture(0).ndim == 3


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_says_how_it_was_read(form, tmp_path):
    parts = form.read(SAMPLES[form](tmp_path))
    assert parts.lines or parts.splits["train"].notes


@pytest.mark.parametrize("form", LONE)
def test_a_lone_file_is_its_own_rows_with_what_lies_beside_it(form, tmp_path):
    folder = SAMPLES[form](tmp_path)
    whole, lone = form.read(folder), form.read(folder / LONE[form])
    assert form.sees(folder / LONE[form])
    if form is npz:
        assert lone.splits.keys() == whole.splits.keys()
    else:
        assert lone.splits.keys() == {"train"}
    assert lone.splits["train"].print == whole.splits["train"].print


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("form", [form for form in FORMATS if form not in CONTAINERS])
def test_a_format_names_a_damaged_file_whichever_it_is(form, damage, tmp_path):
    folder = SAMPLES[form](tmp_path)
    for victim in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = victim.read_bytes()
        victim.write_bytes(DAMAGE[damage](whole))
        form.sees(folder)  # it never raises
        with pytest.raises(DataError) as caught:
            form.read(folder)
        assert victim.name in str(caught.value) and caught.value.why and caught.value.fix
        victim.write_bytes(whole)


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_reads_the_same_twice_and_on_another_machine(form, tmp_path, monkeypatch):
    first = form.read(SAMPLES[form](tmp_path / "here"))
    again = form.read(tmp_path / "here")
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "another"))
    elsewhere = form.read(SAMPLES[form](tmp_path / "there"))
    for split, part in first.splits.items():
        for other in (again, elsewhere):
            assert other.splits[split].print == part.print
            assert list(other.splits[split].labels) == list(part.labels)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("form", CONTAINERS)
def test_a_container_names_a_damaged_file(form, damage, tmp_path):
    folder = SAMPLES[form](tmp_path / "set")
    victim = max(path for path in folder.rglob("*") if path.is_file() and "test" not in path.name)
    victim.write_bytes(DAMAGES[damage](victim.read_bytes()))
    with pytest.raises(DataError) as caught:
        form.read(folder)
    assert victim.name in str(caught.value) and caught.value.why and caught.value.fix
    assert not os.path.exists("evil")


@pytest.mark.parametrize("form", CONTAINERS)
def test_a_damaged_file_leaves_nothing_behind_that_is_taken_for_whole(form, tmp_path):
    folder = SAMPLES[form](tmp_path / "set")
    victim = max(path for path in folder.rglob("*") if path.is_file() and "test" not in path.name)
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError):
        form.read(folder)
    victim.write_bytes(content)
    assert len(form.read(folder).splits["train"]) == 9
