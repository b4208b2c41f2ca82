"""Pixels in tables: pictures only where the columns say so, a line for each reading elsewhere."""

import numpy as np
import pytest

import colab_kit as kit
from colab_kit.data.formats import pixel_tables
from colab_kit.errors import DataError

from ...support.pictures import blank, picture
from ..loads import load
from .samples import N, numbers, pixels, table

X, Y = pixels(N, 64), numbers()
SIDE = range(1, 9)
HEADERS = {
    "pixel0": [f"pixel{n}" for n in range(64)],
    "pixel1": [f"pixel{n}" for n in range(1, 65)],
    "pixel0000": [f"pixel{n:04d}" for n in range(64)],
    "pixel_0": [f"pixel_{n}" for n in range(64)],
    "1x1": [f"{row}x{column}" for row in SIDE for column in SIDE],
    "0": list(map(str, range(64))),
    "quoted": [f'"pixel{n}"' for n in range(64)],
}


def laid(path, x=X, labels=Y, names=HEADERS["pixel0"]):
    return blank(path, table(x, labels, names).encode())


def lines_of(path):
    with pytest.raises(DataError) as caught:
        load(path)
    assert path.name in str(caught.value)
    return [line for line in caught.value.fix.split("\n") if line.startswith("kit.")]


@pytest.mark.parametrize("kind", HEADERS)
def test_columns_that_are_called_as_pixels_are_make_a_picture(tmp_path, kind):
    data = load(laid(tmp_path / "train.csv", names=HEADERS[kind]), valid=0)
    assert (data.train.source.x[:, 0].numpy().reshape(N, 64) == X).all()
    assert data.train.labels.tolist() == Y.tolist()


@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_the_label_may_stand_last_be_a_word_and_be_parted_otherwise(tmp_path, comma):
    rows = [
        comma.join(map(str, [*row, "abc"[label]])) for row, label in zip(X.tolist(), Y, strict=True)
    ]
    head = comma.join([*HEADERS["pixel0"], "label"])
    data = load(blank(tmp_path / "a.csv", "\r\n".join([head, *rows]).encode("utf-8-sig")), valid=0)
    assert data.classes == ("a", "b", "c") and data.train.labels.tolist() == Y.tolist()


def test_three_squares_are_colours(tmp_path):
    x = pixels(N, 192)
    data = load(laid(tmp_path / "a.csv", x, names=[f"pixel{n:04d}" for n in range(192)]), valid=0)
    found = data.train.source.x.movedim(1, 3).numpy()
    assert (found == x.reshape(N, 8, 8, 3)).all()


@pytest.mark.parametrize("first", [0, 1])
def test_a_table_without_a_header_has_its_label_first_and_says_so(tmp_path, first):
    data = load(laid(tmp_path / "a.csv", labels=Y + first, names=()), valid=0)
    assert data.train.labels.tolist() == Y.tolist() and "first column" in data.notes[0]
    assert data.classes == tuple(str(n + first) for n in range(3))


def test_a_table_without_a_header_whose_label_stands_last_is_not_guessed(tmp_path):
    rows = np.concatenate([X, Y[:, None]], 1)
    lines = lines_of(blank(tmp_path / "a.csv", table(rows, None, ()).encode()))
    assert len(lines) == 2 and len(eval(lines[1], {"kit": kit, "np": np}).classes) == 3


def test_train_and_test_are_the_splits_and_other_tables_are_named(tmp_path):
    laid(tmp_path / "train.csv")
    laid(tmp_path / "test.csv", X[:5], None)
    blank(tmp_path / "sample_submission.csv", b"ImageId,Label\n1,0\n")
    data = load(tmp_path, valid=0)
    assert len(data.train) == N and set(data.test.labels) == {-1} and len(data.test) == 5
    assert any("sample_submission.csv" in note for note in data.notes)
    alone = load(tmp_path / "train.csv", valid=0, test=tmp_path / "test.csv")
    assert len(alone.train) == N and len(alone.test) == 5


def test_emnists_table_stands_upright_by_its_letters(tmp_path):
    path = laid(tmp_path / "emnist-letters-train.csv", labels=Y + 1, names=())
    blank(tmp_path / "emnist-letters-mapping.txt", b"1 65 97\n2 66 98\n3 67 99\n")
    data = load(path, valid=0)
    assert data.classes == ("a", "b", "c")
    upright = X.reshape(N, 8, 8).transpose(0, 2, 1)
    assert (data.train.source.x[:, 0].numpy() == upright).all()


def faces(usages=("Training", "PublicTest", "PrivateTest")):
    rows = [
        f'{y},"{" ".join(map(str, x))}",{usages[n % len(usages)]}'
        for n, (x, y) in enumerate(zip(X, Y, strict=True))
    ]
    return "\n".join(["emotion, pixels,Usage", *rows])


def test_a_column_of_pixel_strings_is_split_by_its_usage(tmp_path):
    data = load(
        blank(
            tmp_path / "faces.csv",
            faces(("Training",) * 4 + ("PublicTest", "PrivateTest")).encode(),
        )
    )
    assert [len(split) for split in data.splits.values()] == [8, 2, 2]
    assert (data.valid.source.x[:, 0].numpy().reshape(2, 64) == X[4::6]).all()
    assert data.valid.labels.tolist() == Y[4::6].tolist()


@pytest.mark.parametrize("usages", [("Training", "Other"), ("PublicTest",)])
def test_a_usage_that_is_no_split_is_refused(tmp_path, usages):
    with pytest.raises(DataError, match="Usage"):
        load(blank(tmp_path / "faces.csv", faces(usages).encode()))


OTHER_NUMBERS = {
    "features that fill a square": (64, [f"f{n}" for n in range(64)], 2),
    "features that fill none": (70, [f"f{n}" for n in range(70)], 1),
    "pixels in another order": (64, [f"pixel{n}" for n in (1, 0, *range(2, 64))], 2),
    "columns before rows": (64, [f"{row}x{column}" for column in SIDE for row in SIDE], 2),
    "pixels that fill no square": (70, [f"pixel{n}" for n in range(70)], 1),
}


@pytest.mark.parametrize("kind", OTHER_NUMBERS)
def test_other_numbers_are_an_error_with_a_line_for_each_reading(tmp_path, kind):
    wide, names, readings = OTHER_NUMBERS[kind]
    lines = lines_of(laid(tmp_path / "it's.csv", pixels(N, wide), Y, names))
    assert len(lines) == readings
    shapes = [eval(line, {"kit": kit, "np": np}).train.source.x.shape[1:] for line in lines]
    assert shapes == [(wide,), (1, 8, 8)][:readings]


def test_values_beyond_255_are_an_error_with_a_line_for_each_reading(tmp_path):
    lines = lines_of(laid(tmp_path / "a.csv", X.astype(int) * 3))
    assert len(lines) == 2
    for line in lines:
        assert len(eval(line, {"kit": kit, "np": np}).classes) == 3


@pytest.mark.parametrize("label", ["label", "species", "y"])
def test_of_two_other_columns_the_one_called_label_is_it_and_the_other_is_named(tmp_path, label):
    rows = np.concatenate([Y[:, None] * 7, Y[:, None], X], 1)
    names = ["shade", label, *HEADERS["pixel0"]]
    data = load(laid(tmp_path / "a.csv", rows, None, names), valid=0)
    assert data.train.labels.tolist() == Y.tolist() and "shade left out" in data.notes[0]


def test_two_columns_that_may_be_the_label_are_an_error_with_a_line_for_each(tmp_path):
    rows = np.concatenate([Y[:, None] % 2, Y[:, None], X], 1)
    names = ["shade", "kind", *HEADERS["pixel0"]]
    lines = lines_of(laid(tmp_path / "a.csv", rows, None, names))
    assert [len(eval(line, {"kit": kit, "np": np}).classes) for line in lines] == [2, 3]


def test_several_sets_are_an_error_with_a_line_for_each(tmp_path):
    for name in ("letters", "balanced"):
        for split in ("train", "test"):
            laid(tmp_path / f"emnist-{name}-{split}.csv", names=())
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    lines = [line for line in caught.value.fix.split("\n") if line.startswith("kit.")]
    assert [len(eval(line, {"kit": kit}).test) for line in lines] == [N, N]


@pytest.mark.parametrize("number", [1, 30])
def test_a_table_beside_the_pictures_is_not_the_data(tmp_path, number):
    laid(tmp_path / "hmnist_8_8_L.csv")
    for n in range(number):
        picture(tmp_path / "images" / f"{n}.png", n)
    assert not pixel_tables.sees(tmp_path)


def test_pictures_that_only_show_what_a_table_is_about_do_not_hide_it(tmp_path):
    laid(tmp_path / "sign_mnist_train.csv")
    for n in range(3):
        picture(tmp_path / f"sign{n}.png", n)
    assert pixel_tables.sees(tmp_path)


@pytest.mark.parametrize("text", ["", "a", "file,label\na.png,cat\n", "x,y\n1,2\n", "1,2,3\n" * 9])
def test_small_tables_are_no_pixels(tmp_path, text):
    blank(tmp_path / "labels.csv", text.encode())
    assert not pixel_tables.sees(tmp_path) and not pixel_tables.sees(tmp_path / "labels.csv")
