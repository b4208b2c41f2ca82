"""Picture files with their labels beside them: two lists, rows, and labels of several numbers."""

import numpy as np
import pytest

from ..support.pictures import picture
from .loads import load, refused

KINDS = ["shoe", "boot", "sock"]


@pytest.fixture
def shop(tmp_path):
    """Give 18 files in two folders that are no classes, and their labels."""
    paths = [tmp_path / f"shelf{n % 2}" / f"item {n}.png" for n in range(18)]
    for path in paths:
        picture(path)
    return paths, [KINDS[n % 3] for n in range(18)]


def truth(data):
    """Name each file's class, by its path."""
    pairs = [pair for s in data.splits.values() for pair in zip(s.paths, s.labels, strict=True)]
    return {path: data.classes[label] for path, label in pairs}


@pytest.mark.parametrize(
    "pair",
    [
        lambda paths, labels: (paths, labels),
        lambda paths, labels: [paths, labels],
        lambda paths, labels: ([str(path) for path in paths], tuple(labels)),
        lambda paths, labels: (np.array(list(map(str, paths))), np.array(labels)),
        lambda paths, labels: (np.array(paths, object), np.array(labels, object)),
        lambda paths, labels: list(zip(paths, labels, strict=True)),
        lambda paths, labels: [[str(p), label] for p, label in zip(paths, labels, strict=True)],
    ],
)
def test_files_and_labels_are_matched_row_by_row(shop, pair):
    assert truth(load(pair(*shop))) == dict(zip(*shop, strict=True))


def test_numbers_stay_numbers_and_can_be_named(shop):
    paths, labels = shop
    data = load((paths, [KINDS.index(label) for label in labels]), class_names=KINDS)
    assert truth(data) == dict(zip(*shop, strict=True))


def test_two_files_are_a_pair_and_not_two_splits(shop):
    paths, labels = shop
    data = load((tuple(paths[:2]), tuple(labels[:2])), valid=0)
    assert truth(data) == dict(zip(paths[:2], labels[:2], strict=True))
    data = load(list(zip(paths[:2], labels[:2], strict=True)), valid=0)
    assert truth(data) == dict(zip(paths[:2], labels[:2], strict=True))


def test_each_split_may_be_two_lists(shop):
    paths, labels = shop
    first, rest = (paths[:12], labels[:12]), (paths[12:], labels[12:])
    for data in (load({"train": first, "valid": rest}), load(first, valid=rest)):
        assert len(data.valid) == 6 and truth(data) == dict(zip(*shop, strict=True))


def test_lists_of_files_that_have_no_labels_say_how_to_give_them(shop):
    paths, labels = shop
    refused(paths, "has no labels", "kit.load((paths, labels))")
    refused((paths[:9], paths[9:]), "Both lists")
    refused((paths, labels[:4]), "came with 4 labels")
    refused((["a.png", "b.png"], ["x", "y"]), "None of the 2 files is there")


def test_a_file_that_is_named_twice_is_one_picture(shop):
    paths, labels = shop
    data = load((paths + paths[:5], labels + labels[:5]))
    assert truth(data) == dict(zip(*shop, strict=True))
    assert sum(map(len, data.splits.values())) == 18
    assert any("5 rows" in note for note in data.notes)
    refused((paths + paths[:1], labels + ["hat"]), "two labels", "task='multilabel'")
    refused((paths + paths[:1], [0, 1] * 9 + [1]), "two labels")


ROWS = {"p0": [1, 0, 0], "p1": [0, 1, 1], "p2": [0, 0, 0], "p3": [1, 1, 1]}


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda row: np.array(row, bool)])
def test_rows_of_0_and_1_have_a_class_for_each_number(tmp_path, form):
    for name in ROWS:
        picture(tmp_path / f"{name}.png")
    rows = {name: form(row) for name, row in ROWS.items()}
    for labels in (rows, lambda path: rows[path.stem]):
        data = load(tmp_path, labels=labels, valid=0, class_names=["a", "b", "c"])
        assert data.task == "multilabel" and data.classes == ("a", "b", "c")
        assert data.train.labels.tolist() == list(map(list, ROWS.values()))
        assert any("rows of 0 and 1" in note for note in data.notes)


def test_a_file_without_a_row_is_left_out_and_named(tmp_path):
    for name in [*ROWS, "p4"]:
        picture(tmp_path / f"{name}.png")
    data = load(tmp_path, labels=ROWS, valid=0)
    assert len(data.train) == 4 and any("p4.png" in note for note in data.notes)


def test_rows_with_one_1_each_are_one_class_a_picture(tmp_path):
    for n in range(4):
        picture(tmp_path / f"p{n}.png")
    data = load(tmp_path, labels={f"p{n}": np.eye(2, dtype=int)[n % 2] for n in range(4)}, valid=0)
    assert data.task == "classification" and data.train.labels.tolist() == [0, 1, 0, 1]


def test_rows_of_several_lengths_are_refused_and_lists_of_numbers_are_classes(tmp_path):
    for n in range(3):
        picture(tmp_path / f"p{n}.png")
    refused(tmp_path, "of 2 to 3 numbers", labels={"p0": [0, 0, 1], "p1": [0, 1], "p2": [1, 1]})
    data = load(tmp_path, labels={"p0": [0, 2], "p1": [1], "p2": [2]}, valid=0)
    assert data.task == "multilabel" and data.classes == ("0", "1", "2")
    data = load(tmp_path, labels={"p0": [0], "p1": [1], "p2": [1]}, valid=0)
    assert data.classes == ("0", "1")


SEEN = {"p0": ["street lamp", "bus"], "p1": ["bus"], "p2": ["bus", "street lamp", "tree"]}


def test_a_row_for_each_label_is_several_labels_where_the_task_says_so(tmp_path):
    for name in SEEN:
        picture(tmp_path / f"{name}.png")
    table = tmp_path.parent / "seen.csv"
    table.write_text("id,label\n" + "".join(f"{f},{x}\n" for f, row in SEEN.items() for x in row))
    data = load(tmp_path, labels=table, task="multilabel", valid=0)
    assert data.classes == ("bus", "street lamp", "tree")
    assert data.train.labels.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]
    for task in (None, "classification"):
        refused(tmp_path, "p0", "task='multilabel'", labels=table, task=task)


def test_a_label_edit_of_numbers_needs_a_number(shop):
    paths, labels = shop
    numbers, name = [KINDS.index(label) for label in labels], "shelf0/item 0.png"
    data = load((paths, numbers), label_edits={name: "2"})
    assert truth(data)[paths[0]] == "2"
    refused((paths, numbers), "labels of these pictures are numbers", label_edits={name: "boot"})
