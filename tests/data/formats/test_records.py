"""load() of files that hold many pictures: one file or a folder, edits by name, and the same bits twice."""

import numpy as np
import pytest

from colab_kit.errors import DataError

from ...support import containers
from ..loads import load, refused
from .test_formats import SAMPLES, parquet, parquet_folder, tfrecord, webdataset

MANY = [parquet, webdataset, tfrecord]  # formats of encoded pictures


@pytest.mark.parametrize("form", MANY)
def test_a_folder_is_loaded_with_the_publishers_splits(form, tmp_path):
    data = load(SAMPLES[form](tmp_path / "oaks"))
    assert data.name == "oaks" and len(data.classes) == 3
    assert len(data.train) + len(data.valid) == 9 and len(data.test) == 3


@pytest.mark.parametrize("form", MANY)
def test_one_file_is_loaded(form, tmp_path):
    folder = SAMPLES[form](tmp_path / "oaks")
    file = next(path for path in folder.rglob("*") if "train" in path.name)
    data = load(file)
    assert len(data.train) + len(data.valid) == 9 and data.test is None


@pytest.mark.parametrize("form", MANY)
def test_two_loads_are_one_data_set_and_batches_repeat(form, tmp_path):
    folder = SAMPLES[form](tmp_path / "oaks")
    first, again = load(folder), load(folder)
    assert first.fingerprint == again.fingerprint
    for one, other in zip(
        first.train.batches(4, size=8), again.train.batches(4, size=8), strict=True
    ):
        assert (one.x == other.x).all() and (one.y == other.y).all()


def test_a_cleaners_edits_name_the_pictures_that_were_written(tmp_path):
    folder = parquet_folder(tmp_path / "oaks")
    source = load(folder).train.source
    names = [path.relative_to(source.root).as_posix() for path in source.paths]
    data = load(folder, label_edits={names[0]: None, names[1]: "a"})
    assert len(data.train) + len(data.valid) == 8
    assert len(data.train.source.paths) == 8 and names[0] not in map(str, data.train.source.paths)


def test_labels_do_not_go_with_a_file_that_brings_its_own(tmp_path):
    refused(parquet_folder(tmp_path / "oaks"), "labels=", labels={"a": "b"})


def test_a_file_of_another_kind_is_refused_as_before(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="is a file"):
        load(tmp_path / "a.txt")


def test_bands_are_loaded_as_channels(tmp_path):
    for n in range(10):
        samples = np.full((6, 5, 7), 100 * n, np.uint16)
        containers.tiff(tmp_path / "sat" / "ab"[n % 2] / f"{n}.tif", samples)
    data = load(tmp_path / "sat")
    batch = next(iter(data.train.batches(2)))
    assert data.classes == ("a", "b") and batch.x.shape[1:] == (7, 6, 5)
