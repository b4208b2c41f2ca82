"""Arrays and tensors: layouts, types, labels, and what is wrong with them."""

import numpy as np
import pytest
import torch

from colab_kit.data.labels import read_labels
from colab_kit.data.targets import as_task, unlabelled

from .loads import X, Y, load, refused

Z = np.arange(40) % 4


@pytest.mark.parametrize(
    ("x", "shape", "dtype"),
    [
        (X, (40, 1, 6, 5), torch.uint8),
        (np.zeros((40, 3, 6, 5), np.uint8), (40, 3, 6, 5), torch.uint8),
        (np.zeros((40, 6, 5, 3), np.uint8), (40, 3, 6, 5), torch.uint8),
        (
            np.zeros((40, 3, 6, 3), np.uint8),
            (40, 3, 3, 6),
            torch.uint8,
        ),  # either end could be colours: arrays have them behind
        (
            torch.zeros((40, 3, 6, 3), dtype=torch.uint8),
            (40, 3, 6, 3),
            torch.uint8,
        ),  # tensors in front
        (np.zeros((40, 12, 6, 5)), (40, 12, 6, 5), torch.float32),
        (torch.zeros(40, 7, dtype=torch.float64, requires_grad=True), (40, 7), torch.float32),
        (np.zeros((40, 6, 5), ">f4"), (40, 1, 6, 5), torch.float32),
        (X.astype(np.int64), (40, 1, 6, 5), torch.uint8),
        (np.zeros((40, 4), np.uint16), (40, 4), torch.float32),
        (X.tolist(), (40, 1, 6, 5), torch.uint8),
        (X[:, ::-1], (40, 1, 6, 5), torch.uint8),
    ],
)
def test_arrays_of_every_layout_become_one(x, shape, dtype):
    data = load((x, Y))
    assert (
        data.train.source.x.shape == shape
        and data.train.source.x.dtype == dtype
        and data.name == "arrays"
    )
    assert data.classes == ("0", "1", "2", "3") and data.counts["valid"] == {
        "0": 2,
        "1": 2,
        "2": 2,
        "3": 2,
    }


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (Y.tolist(), "0123"),
        (torch.from_numpy(Y), "0123"),
        (Y.astype(np.uint8)[:, None], "0123"),
        (np.eye(4)[Y], "0123"),
        (np.array(list("dcba"))[Y], "abcd"),
        (np.array(["b10", "b9", "a", "c"], object)[Y], ("a", "b9", "b10", "c")),
        (Y > 1, "01"),
        (Y.astype(float), "0123"),
        (torch.from_numpy(Y).float()[:, None], "0123"),
        (Y.astype(float).astype(object), "0123"),
        (Y + 1, "1234"),
        (Y * 2, "0246"),
        (Y + 1.0, "1234"),
        (np.array([b"d", b"c", b"b", b"a"], object)[Y], "abcd"),
        ([[b"\xe9", b"c", b"b", b"a"][n] for n in Y], "abcé"),
        ([["dcba"[n]] for n in Y], "abcd"),
    ],
)
def test_labels_of_every_kind_are_classes(y, classes):
    data = load((X, y), valid=0)
    assert (
        data.classes == tuple(classes)
        and data.train.labels.dtype == np.int64
        and data.train.labels.max() == len(classes) - 1
    )


@pytest.mark.parametrize(
    "y", [np.eye(4)[Y], Y + 1, Y * 2, Y + 0.0, [["dcba"[n]] for n in Y], [*"dcba" * 9, *[None] * 4]]
)
def test_labels_that_are_read_as_something_else_are_said(y):
    assert load((X, y)).notes


@pytest.mark.parametrize("missing", [None, float("nan"), "", " "])
@pytest.mark.parametrize("labels", ["abcd", range(4), (0.0, 1.0, 2.0, 3.0)])
def test_a_missing_label_among_others_is_no_class(missing, labels):
    values = [*(labels[n] for n in Y[:-1]), missing]
    for y in (values, np.array([*values, ()], object)[:-1]):
        known = ~unlabelled(as_task(read_labels(y, 40), "classification")[0])
        assert np.flatnonzero(~known).tolist() == [39]


def test_what_is_masked_is_no_label():
    y = np.ma.masked_array(Y, mask=np.arange(40) == 7)
    assert len(load((X, y), valid=0).train) == 39


def test_numbers_as_names_are_the_same_in_each_split():
    splits = {"train": (X, Y + 1), "valid": (X[:8], Y[:8] + 1), "test": (X[:1], Y[:1] + 1)}
    data = load(splits)
    assert data.classes == tuple("1234") and data.test.labels.tolist() == [Y[0]]


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, np.arange(40) * 2, ["none is 1", "astype(str)", "class_names=range(79)"]),
        (X, Y - 1, ["A label is -1", "y[y >= 0]", "astype(str)"]),
        (X, np.arange(40.0), ["float64", "task='classification'", "task='regression'"]),
        (X, np.array([{}] * 40), ["object", "str(label)"]),
        (X, np.where(np.arange(40) == 7, np.inf, Y + 0.5), ["row 7", "infinite"]),
        (X, Y[:30], ["40 pictures came with 30 labels"]),
        (X[:0], Y[:0], ["X is empty"]),
        (
            np.where(np.arange(40)[:, None] == 7, np.nan, 1.0),
            Y,
            ["1 of 40 rows", "row 7", "nan_to_num"],
        ),
        (np.zeros((40, 1, 2, 3, 4)), Y, ["(40, 1, 2, 3, 4)"]),
        (np.zeros(40), Y, ["reshape(-1, 1)"]),
        (np.array(["a"] * 40), Y, ["None of the 40 files is there"]),
        ([np.zeros(3), np.zeros(4)] * 20, Y, ["X is no array"]),
        (X, 3, ["one label"]),
    ],
)
def test_arrays_that_cannot_be_right_say_what_to_pass(x, y, words):
    refused((x, y), *words)


def test_class_names_can_be_given_and_then_a_class_may_have_no_picture():
    assert load((X, Y * 2), class_names=list("abcdefg")).classes == tuple("abcdefg")
    refused((X, Y), "has the label 3", "3 classes", class_names=list("abc"))
    refused((X, Y), "twice", class_names=list("aabc"))


@pytest.mark.parametrize(
    ("source", "ways"),
    [
        (((X[:30], Z[:30]), (X[30:], Z[30:])), ["test", "valid"]),
        (((X[:20], Z[:20]), (X[20:30], Z[20:30]), (X[30:], Z[30:])), ["test"]),
        ((X[:30], Z[:30], X[30:], Z[30:]), ["test", "valid"]),
        ((X[:30], X[30:], Z[:30], Z[30:]), ["test", "valid"]),
    ],
)
def test_splits_in_a_tuple_are_a_question_whose_lines_load_them(source, ways):
    fix = refused(source).fix
    assert len(lines := fix.split(" or ")) == len(ways)
    for line, split in zip(lines, ways, strict=True):
        data = eval(line.removeprefix("kit."), {"load": load, "source": source})
        assert (
            len(data.splits[split]) == 10 and data.splits[split].labels.tolist() == Z[30:].tolist()
        )


@pytest.mark.parametrize(
    "names",
    [("x_train", "y_train", "x_test", "y_test"), ("X_treino", "y_treino", "X_teste", "y_teste")],
)
def test_a_dict_of_arrays_is_read_by_their_names_and_it_is_said(names):
    arrays = dict(zip(names, (X[:30], Z[:30], X[30:], Z[30:]), strict=True))
    data = load(arrays, valid=0)
    assert data.train.labels.tolist() == Z[:30].tolist() and names[0] in data.notes[0]


def test_an_opened_npz_file_is_read_as_the_file_is(tmp_path):
    np.savez(tmp_path / "set.npz", images=X, labels=Y)
    with np.load(tmp_path / "set.npz") as file:
        assert load(file, valid=0).train.labels.tolist() == Y.tolist()


def test_labels_that_are_no_rows_of_one_length_are_refused():
    refused((X, [[1, 2], [1]] * 20), "several lengths")


def test_splits_in_a_dict_share_their_classes():
    names = np.array(list("dcba"))[Y]
    data = load({"train": (X, names), "val": (X[:20], names[:20]), "test": (X[:1], ["a"])})
    assert [len(s) for s in data.splits.values()] == [40, 20, 1] and data.test.labels.tolist() == [
        0
    ]
    refused({"train": (X, Y), "test": (X[:1], [4])}, "the test split has the label 4")
    refused({"train": (X, Y), "valid": (X[:1], ["a"])}, "the valid split has the class a")
    refused({"a": (X, Y), "b": (X, Y)}, "keys a, b", '{"train": s')


@pytest.mark.parametrize("share", [1, 1.5, -0.1, True])
def test_a_share_that_is_none_is_refused(share):
    refused((X, Y), "is no share", valid=share)


def test_test_can_be_drawn_too_and_valid_needs_something_to_draw():
    data = load((X, Y), valid=0.25, test=0.25)
    rows = [set(split.rows) for split in data.splits.values()]
    assert len(set.union(*rows)) == 40 == sum(map(len, rows))
    lonely = load((X[:2], [0, 1]))
    assert lonely.valid is None and "no valid split" in lonely.notes[0]
    refused((X, Y), "there is no test split", valid="test")
