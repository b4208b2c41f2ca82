"""NumPy's .npz: which array is what, two readings, and what no array may be."""

import io
import zipfile

import numpy as np
import pytest

import colab_kit as kit
from colab_kit.data.formats import npz
from colab_kit.errors import DataError

from ..loads import load
from .samples import N, numbers, pixels

NAMES = [  # pictures and labels of train, then of test
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("trainX", "trainY", "testX", "testY"),
    ("train_set_x_orig", "train_set_y", "test_set_x_orig", "test_set_y"),
    ("training_data", "training_targets", "testing_data", "testing_targets"),
    ("x_entrenamiento", "y_entrenamiento", "x_prueba", "y_prueba"),
    ("x_train", "y_train", "x_eval", "y_eval"),
]


def saved(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("names", NAMES)
def test_arrays_are_known_by_the_words_of_their_names(tmp_path, names):
    arrays = (pixels(N, 8, 8), numbers(), pixels(6, 8, 8, seed=1), numbers(6))
    data = load(saved(tmp_path / "set.npz", **dict(zip(names, arrays, strict=True))), valid=0)
    assert (data.train.source.x[:, 0].numpy() == arrays[0]).all()
    assert data.train.labels.tolist() == arrays[1].tolist() and len(data.test) == 6
    assert all(name in data.notes[0] for name in names)


@pytest.mark.parametrize("n", [6, N])
def test_labels_of_no_split_are_those_of_the_training_pictures(tmp_path, n):
    arrays = {"x_train": pixels(N, 8, 8), "y": numbers(), "x_test": pixels(n, 8, 8, seed=1)}
    data = load(saved(tmp_path / "set.npz", **arrays), valid=0)
    assert data.train.labels.tolist() == numbers().tolist() and len(data.test) == n
    assert "x_train with y" in data.notes[0]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a"), ("arr_0", "arr_1")])
def test_two_arrays_that_fit_are_taken_whatever_they_are_called(tmp_path, names):
    x, y = names
    data = load(saved(tmp_path / "set.npz", **{x: pixels(N, 8, 8, 3), y: numbers()}), valid=0)
    assert data.train.labels.tolist() == numbers().tolist() and x in data.notes[0]


def test_rows_of_0_and_1_are_several_classes_a_picture(tmp_path):
    rows = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]] * 4)
    data = load(saved(tmp_path / "chest.npz", train_images=pixels(N, 8, 8), train_labels=rows))
    assert data.task == "multilabel" and len(data.classes) == 3


@pytest.mark.parametrize("first", [0, 1, 5])
def test_class_numbers_keep_their_meaning_wherever_they_begin(tmp_path, first):
    data = load(saved(tmp_path / "a.npz", images=pixels(N, 8, 8), labels=numbers(first=first)))
    assert data.classes == tuple(str(first + n) for n in range(3))


def test_class_names_in_the_file_are_used_and_other_arrays_are_named(tmp_path):
    more = {"class_names": np.array(["ant", "bee", "cat"]), "ids": np.arange(N)}
    data = load(saved(tmp_path / "a.npz", images=pixels(N, 8, 8), labels=numbers(), **more))
    assert data.classes == ("ant", "bee", "cat") and "ids left out" in data.notes[0]


def test_test_pictures_without_labels_are_for_predict(tmp_path):
    arrays = {"x_train": pixels(N, 8, 8), "y_train": numbers(), "x_test": pixels(5, 8, 8)}
    data = load(saved(tmp_path / "a.npz", **arrays))
    assert len(data.test) == 5 and set(data.test.labels) == {-1}


def kmnist(folder, name):
    for split in ("train", "test"):
        saved(folder / f"{name}-{split}-imgs.npz", arr_0=pixels(N, 8, 8))
        saved(folder / f"{name}-{split}-labels.npz", arr_0=numbers())
    return folder


def test_an_array_a_file_is_known_by_the_names_of_the_files(tmp_path):
    data = load(kmnist(tmp_path / "kmnist", "kmnist"), valid=0)
    assert len(data.train) == len(data.test) == N
    alone = load(tmp_path / "kmnist" / "kmnist-test-imgs.npz", valid=0)
    assert alone.train.labels.tolist() == numbers().tolist() and alone.test is None


def of_two_sets(folder):
    return kmnist(kmnist(folder, "kmnist"), "k49"), 2 * N


def of_two_labels(folder):
    arrays = {"imgs": pixels(N, 8, 8), "gt": numbers(), "gt_coarse": numbers() % 2}
    return saved(folder / "a.npz", **arrays), N


def of_two_pictures(folder):
    arrays = {"images_8": pixels(N, 8, 8), "images_9": pixels(N, 9, 9), "labels": numbers()}
    return saved(folder / "a.npz", **arrays), N


def of_no_names(folder):
    return saved(folder / "a.npz", a=pixels(N, 8, 8), b=numbers(), c=numbers() % 2), N


@pytest.mark.parametrize("lay", [of_two_sets, of_two_labels, of_two_pictures, of_no_names])
def test_two_readings_are_an_error_with_a_line_for_each(tmp_path, lay, monkeypatch):
    path, many = lay(tmp_path / "it's here")
    with pytest.raises(DataError) as caught:
        load(path)
    lines = [line for line in caught.value.fix.split("\n") if line.startswith("kit.load")]
    assert len(lines) == 2
    for line in lines:
        data = eval(line, {"kit": kit, "np": np})
        assert sum(map(len, data.splits.values())) == many


UNFIT = {
    "no labels": {"x": pixels(N, 8, 8)},
    "labels of another length": {"x": pixels(N, 8, 8), "y": numbers(N - 1)},
    "complex pictures": {"x": pixels(N, 8, 8) * 1j, "y": numbers()},
    "texts for pictures": {"x": np.full((N, 8), "a"), "y": numbers()},
    "dates for labels": {"x": pixels(N, 8, 8), "y": np.arange(N).astype("M8[s]")},
    "objects": {"x": pixels(N, 8, 8), "y": np.array([{}] * N)},
    "one number": {"x": np.float64(1), "y": numbers()},
    "nothing": {},
    "test alone in a folder": {"x_test": pixels(N, 8, 8)},
    "no pictures": {"x": np.zeros((0, 8, 8)), "y": np.zeros(0, int)},
    "not a number": {"x": np.full((N, 8, 8), np.nan), "y": numbers()},
}


@pytest.mark.parametrize("kind", UNFIT)
def test_arrays_that_are_no_pictures_with_labels_are_refused_by_name(tmp_path, kind):
    path = saved(tmp_path / "set.npz", **UNFIT[kind])
    for place in (path, tmp_path):
        with pytest.raises(DataError) as caught:
            npz.read(place)
        assert str(place) in caught.value.what and caught.value.why and caught.value.fix


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**40, 2**40), (-1, 8, 8)])
def test_an_absurd_size_is_refused_before_it_is_made(tmp_path, shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as box:
        box.writestr("x.npy", header.getvalue() + b"\0" * 99)
    with pytest.raises(DataError, match="is damaged"):
        npz.read(tmp_path)


def test_a_changed_byte_of_a_packed_array_is_noticed(tmp_path):
    path = saved(tmp_path / "a.npz", x=pixels(N, 8, 8), y=numbers())
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        npz.read(path)


def test_row_numbers_are_no_labels_where_another_array_may_be(tmp_path):
    path = saved(tmp_path / "a.npz", arr_0=pixels(N, 8, 8), arr_1=np.arange(N), arr_2=numbers())
    labels = npz.read(path).splits["train"].labels
    assert labels.tolist() == numbers().tolist()


@pytest.mark.parametrize("many", [2, 3])
def test_pairs_without_names_have_a_first_line_that_takes_them_as_splits(
    tmp_path, many, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    lengths = [3 * N, N, 2 * N][:many]
    pairs = [(pixels(n, 8, 8), np.resize(numbers(), n)) for n in lengths]
    np.savez(tmp_path / "a.npz", *(one for pair in pairs for one in pair))
    with pytest.raises(DataError) as caught:
        load("a.npz")
    first = next(line for line in caught.value.fix.split("\n") if line.startswith("kit.load"))
    data = eval(first.replace("})", "}, valid=0)") if many == 2 else first, {"kit": kit, "np": np})
    assert list(map(len, data.splits.values())) == lengths
