"""STL-10: each picture turned, labels from 1, the unlabelled left out."""

import pytest

from colab_kit.data.formats import stl10
from colab_kit.errors import DataError

from ...support.pictures import blank
from ..loads import load
from . import samples


def test_pictures_are_turned_and_labels_count_from_1(tmp_path):
    samples.stl10_folder(tmp_path / "stl10_binary")
    data = load(tmp_path / "stl10_binary", valid=0)
    stored = samples.pixels(samples.N, 3, 96, 96)
    assert (data.train.source.x.numpy() == stored.transpose(0, 1, 3, 2)).all()
    assert data.train.labels.tolist() == samples.numbers().tolist()
    assert data.classes == ("airplane-of-the-sky", "bird", "car") and len(data.test) == samples.N


def test_without_names_the_classes_are_their_numbers(tmp_path):
    (samples.stl10_folder(tmp_path) / "class_names.txt").unlink()
    assert load(tmp_path).classes == ("1", "2", "3")


def test_the_unlabelled_pictures_are_left_out_and_named(tmp_path):
    blank(samples.stl10_folder(tmp_path) / "unlabeled_X.bin", bytes(27648))
    assert any("unlabeled_X.bin" in note for note in load(tmp_path).notes)


@pytest.mark.parametrize("name", stl10.NAMES)
def test_a_missing_file_is_named(tmp_path, name):
    (samples.stl10_folder(tmp_path) / name).unlink()
    with pytest.raises(DataError, match=f"lacks {name}"):
        stl10.read(tmp_path)


def test_a_label_0_is_refused(tmp_path):
    path = samples.stl10_folder(tmp_path) / "train_y.bin"
    path.write_bytes(bytes(samples.N))
    with pytest.raises(DataError):
        stl10.read(tmp_path)
