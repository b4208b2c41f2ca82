"""NumPy's .npy: a class a file, or pictures and labels in a pair."""

import numpy as np
import pytest

import colab_kit as kit
from colab_kit.data.formats import npy
from colab_kit.errors import DataError

from ...support.pictures import picture
from ..loads import load
from .samples import N, numbers, pixels


def saved(folder, **arrays):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name.replace('0', ' ')}.npy", array)
    return folder


CLASSES = [
    ("full_numpy_bitmap_aircraft carrier", "full_numpy_bitmap_train", "full_numpy_bitmap_cat"),
    ("picture frame", "train", "catalog"),
    ("car", "cat", "dog"),
]


@pytest.mark.parametrize("names", CLASSES)
def test_each_file_is_a_class_without_the_words_that_all_have(tmp_path, names):
    for n, name in enumerate(names):
        np.save(tmp_path / f"{name}.npy", np.full((4 + n, 784), n, np.uint8))
    data = load(tmp_path, valid=0)
    assert set(data.classes) == {name.removeprefix("full_numpy_bitmap_") for name in names}
    assert data.train.source.x.shape == (15, 1, 28, 28)
    for x, y in zip(data.train.source.x, data.train.labels, strict=True):
        assert data.classes[y] == names[int(x[0, 0, 0])].removeprefix("full_numpy_bitmap_")


@pytest.mark.parametrize("names", [("X", "y"), ("images", "labels"), ("x_train", "y_train")])
def test_a_pair_is_pictures_and_labels_from_the_folder_or_either_file(tmp_path, names):
    folder = saved(tmp_path / "a", **dict(zip(names, (pixels(N, 8, 8), numbers()), strict=True)))
    for place in (folder, *(folder / f"{name}.npy" for name in names)):
        assert load(place, valid=0).train.labels.tolist() == numbers().tolist()


def test_a_lone_array_has_no_labels_and_a_line_for_what_fits_beside(tmp_path):
    path = saved(tmp_path, shapes=pixels(N, 8, 8)) / "shapes.npy"
    with pytest.raises(DataError, match="no labels") as caught:
        load(path)
    assert str(tmp_path) in caught.value.fix
    saved(tmp_path, answers=numbers())
    with pytest.raises(DataError) as caught:
        load(path)
    (line,) = [line for line in caught.value.fix.split("\n") if line.startswith("kit.")]
    assert len(eval(line, {"kit": kit, "np": np}).classes) == 3


@pytest.mark.parametrize(
    "names", [("train", "test"), ("x_train", "x_test"), ("x_train", "x_test", "x_extra")]
)
def test_splits_are_no_classes(tmp_path, names):
    with pytest.raises(DataError):
        npy.read(saved(tmp_path, **{name: pixels(N, 8, 8) for name in names}))


def test_a_class_of_another_size_is_named(tmp_path):
    saved(tmp_path, a=pixels(N, 784), b=pixels(N, 784), c=pixels(N, 100))
    with pytest.raises(DataError, match="c uint8"):
        npy.read(tmp_path)


def test_objects_are_never_unpickled(tmp_path):
    saved(tmp_path, x=pixels(N, 8, 8), y=np.array([{}] * N))
    with pytest.raises(DataError, match=r"y\.npy is not read"):
        npy.read(tmp_path)


def test_arrays_beside_pictures_are_no_data_set_of_their_own(tmp_path):
    saved(tmp_path, x=pixels(N, 8, 8), y=numbers())
    picture(tmp_path / "cat" / "a.png")
    assert not npy.sees(tmp_path)
