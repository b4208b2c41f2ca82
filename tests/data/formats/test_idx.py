"""Idx files of any name: EMNIST upright and by its letters, QMNIST's classes, several sets."""

import gzip

import numpy as np
import pytest

import colab_kit as kit
from colab_kit.data.formats import idx
from colab_kit.errors import DataError

from ...support.pictures import blank
from ..loads import load
from .samples import N, idx_of, numbers, pixels

FORMS = [
    ("{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"),
    ("{}-images.idx3-ubyte", "{}-labels.idx1-ubyte"),
    ("kuzushiji-{}-images-idx3-ubyte", "kuzushiji-{}-labels-idx1-ubyte"),
    ("{}-images.idx", "{}-labels.idx"),
    ("x_{}.idx", "y_{}.idx"),
    ("{}-a.idx3-ubyte", "{}-a.idx1-ubyte"),
]


def lay(folder, form, first=0):
    for n, split in enumerate(("train", "test")):
        x, y = pixels(N, 5, 5, seed=n), numbers(first=first)
        for name, array in zip(form, (x, y), strict=True):
            blank(folder / name.format(split), idx_of(array))
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_files_are_known_by_their_words_and_heads(tmp_path, form):
    data = load(lay(tmp_path, form), valid=0)
    assert (data.train.source.x[:, 0].numpy() == pixels(N, 5, 5)).all()
    assert data.train.labels.tolist() == numbers().tolist() and len(data.test) == N


def emnist(folder, name):
    form = (f"emnist-{name}-{{}}-images-idx3-ubyte.gz", f"emnist-{name}-{{}}-labels-idx1-ubyte.gz")
    return lay(folder / "gzip", form, first=1).parent


def test_emnist_stands_upright_and_its_mapping_names_the_classes(tmp_path):
    folder = emnist(tmp_path, "letters")
    assert load(folder).classes == ("1", "2", "3")
    blank(folder / "gzip" / "emnist-letters-mapping.txt", b"2 66 98\n1 65 97\n3 67 99\n")
    data = load(folder, valid=0)
    assert data.classes == ("a", "b", "c") and data.train.labels.tolist() == numbers().tolist()
    assert (data.train.source.x[:, 0].numpy() == pixels(N, 5, 5).transpose(0, 2, 1)).all()
    assert any("upright" in note for note in data.notes)


@pytest.mark.parametrize(
    "content", [b"1 65 97\n2 66 98\n", b"1 A a\n", b"\xff\xfe", b"1 99999999999\n"]
)
def test_a_damaged_mapping_is_refused(tmp_path, content):
    folder = emnist(tmp_path, "letters")
    blank(folder / "gzip" / "emnist-letters-mapping.txt", content)
    with pytest.raises(DataError):
        idx.read(folder)


def test_several_sets_are_an_error_with_a_line_for_each(tmp_path):
    emnist(emnist(tmp_path, "letters"), "balanced")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    lines = [line for line in caught.value.fix.split("\n") if line.startswith("kit.")]
    assert len(lines) == 2
    for line in lines:
        data = eval(line, {"kit": kit})
        assert len(data.test) == N and len(data.train) + len(data.valid) == N


def test_mnists_four_files_beside_another_set_are_two_sets(tmp_path):
    lay(tmp_path / "gzip", ("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"))
    emnist(tmp_path, "letters")
    with pytest.raises(DataError, match="more than one set"):
        load(tmp_path)


def test_of_qmnists_eight_numbers_the_first_is_the_class(tmp_path):
    rows = np.stack([numbers(), *np.random.default_rng(0).integers(0, 9999, (7, N))], 1)
    blank(tmp_path / "qmnist-train-images-idx3-ubyte.gz", idx_of(pixels(N, 5, 5)))
    blank(tmp_path / "qmnist-train-labels-idx2-int.gz", idx_of(rows, 12, ">i4"))
    assert load(tmp_path, valid=0).train.labels.tolist() == numbers().tolist()


def test_other_files_called_idx_are_passed_over(tmp_path):
    blank(tmp_path / "pack-12.idx", b"\xfftOc\0\0\0\2")
    assert not idx.sees(tmp_path)


@pytest.mark.parametrize("packed", [gzip.compress, bytes])
def test_an_absurd_size_is_refused_before_it_is_made(tmp_path, packed):
    head = b"\0\0\x08\x03" + b"\xff" * 12
    blank(tmp_path / "train-images.idx", packed(head + bytes(99)))
    blank(tmp_path / "train-labels.idx", idx_of(numbers()))
    with pytest.raises(DataError):
        idx.read(tmp_path)


def test_pictures_without_labels_are_refused(tmp_path):
    path = blank(tmp_path / "train-images.idx", idx_of(pixels(N, 5, 5)))
    with pytest.raises(DataError, match="no pictures with labels"):
        idx.read(path)
