"""load(): catalog sets and folders, by the splits that people have or ask for."""

import gzip
import json
import os
import shutil

import pytest
import torch

import colab_kit as kit
from colab_kit.data.catalog import catalog
from colab_kit.data.formats import idx
from colab_kit.data.sources import Pictures
from colab_kit.data.targets import UNLABELLED
from colab_kit.errors import DataError
from colab_kit.events import Note

from ..support.cut_fashion_mini import idx_bytes
from ..support.layouts import pasteable
from ..support.pictures import blank, class_folders, picture
from .loads import X, Y, load, refused


def test_fashion_mini_by_name_is_split_by_key():
    data = load("fashion-mini")
    assert (
        [len(s) for s in data.splits.values()] == [4800, 1200, 1000]
        and data.classes[9] == "Ankle boot"
        and data.name == "fashion-mini"
    )
    assert (
        data.train.source.x.shape == (6000, 1, 28, 28) and data.train.source.x.dtype == torch.uint8
    )
    assert set(data.counts["valid"].values()) == {120} and not set(data.train.rows) & set(
        data.valid.rows
    )
    assert load("Fashion_Mini").fingerprint == data.fingerprint


def test_a_small_part_of_each_class_can_be_taken():
    few, more = (load("fashion-mini", max_per_class=n, valid=0) for n in (10, 20))
    assert set(few.counts["train"].values()) == set(few.counts["test"].values()) == {10}
    assert set(few.train.rows) < set(more.train.rows) and few.valid is None
    assert few.fingerprint != load("fashion-mini", max_per_class=10, valid=0, seed=1).fingerprint
    refused("fashion-mini", "max_per_class=0", max_per_class=0)


def test_a_folder_of_idx_files_is_a_source(tmp_path):
    for name in idx.NAMES:
        content = idx_bytes(X if "images" in name else Y)
        blank(tmp_path / "mine" / f"{name}.gz", gzip.compress(content))
    data = load(tmp_path / "mine")
    assert data.name == "mine" and data.classes == ("0", "1", "2", "3") and len(data.test) == 40
    refused(tmp_path / "mine", "brings its own labels", labels={"a": 1})


@pytest.mark.skipif(
    len(idx.find(catalog.DEBIAN)) < 4,
    reason="the full Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)",
)
def test_the_full_set_from_a_folder_knows_its_classes():
    data = load(catalog.DEBIAN, max_per_class=20)
    assert (
        data.name == "fashion-mnist" and data.classes == catalog.FASHION and len(data.train) == 160
    )


def test_class_folders_are_split_by_key(tmp_path):
    data = load(class_folders(tmp_path / "pets", each=10))
    assert (
        data.counts == {"train": {"cat": 7, "dog": 7}, "valid": {"cat": 3, "dog": 3}}
        and data.name == "pets"
        and data.task == "classification"
    )
    assert isinstance(data.train.source, Pictures) and data.train[0][0].shape == (10, 12, 3)
    again = load(tmp_path / "pets")
    assert again.valid.paths == data.valid.paths != load(tmp_path / "pets", seed=1).valid.paths


def test_split_folders_are_taken_as_they_are(tmp_path):
    for split, each in (("train", 4), ("val", 2), ("test", 1)):
        class_folders(tmp_path / split, each=each)
    shutil.rmtree(tmp_path / "val" / "dog")  # a class may be missing from a later split
    data = load(tmp_path)
    assert data.counts == {
        "train": {"cat": 4, "dog": 4},
        "valid": {"cat": 2, "dog": 0},
        "test": {"cat": 1, "dog": 1},
    }
    assert load(tmp_path, valid="test").counts["valid"] == data.counts["test"]
    assert load(tmp_path, valid=0, test=0).splits.keys() == {"train"}
    drawn = load(tmp_path, valid=0.5)
    assert min(drawn.counts["valid"].values()) > 0 and "is not used" in drawn.notes[0]


def test_a_class_that_training_lacks_is_refused_in_valid(tmp_path):
    class_folders(tmp_path / "train")
    picture(tmp_path / "valid" / "emu" / "a.png")
    refused(tmp_path, "the valid split has the class emu", "cat, dog")


def test_a_test_folder_without_classes_is_unlabelled(tmp_path):
    class_folders(tmp_path / "train")
    picture(tmp_path / "test" / "1.png")
    data = load(tmp_path)
    assert (
        data.test.labels.tolist() == [UNLABELLED]
        and sum(data.counts["test"].values()) == 0
        and not data.notes
    )
    refused(tmp_path, "have no labels", valid="test")
    shutil.move(tmp_path / "test" / "1.png", picture(tmp_path / "test" / "unknown" / "1.png"))
    data = load(tmp_path)
    assert data.test.labels.tolist() == [UNLABELLED] and "unknown" in data.notes[0]


def test_other_folders_and_pairs_can_be_the_later_splits(tmp_path):
    class_folders(tmp_path / "a", each=3)
    class_folders(tmp_path / "b", ["dog", "cat"], each=2)
    data = load(tmp_path / "a", valid=tmp_path / "b", test=str(tmp_path / "b"))
    assert data.counts == {
        "train": {"cat": 3, "dog": 3},
        "valid": {"cat": 2, "dog": 2},
        "test": {"cat": 2, "dog": 2},
    }
    assert data.valid.labels.tolist() == [0, 0, 1, 1]
    refused(tmp_path / "a", "nowhere", valid=tmp_path / "nowhere")


def test_unreadable_pictures_are_left_out_with_a_note_and_refused_if_strict(tmp_path):
    class_folders(tmp_path, each=5)
    blank(tmp_path / "cat" / "9.jpg")
    heard = []
    data = load(tmp_path, callbacks=[heard.append], quiet=True)
    assert sum(map(len, data.splits.values())) == 10
    assert data.notes == (
        f"1 unreadable picture was left out: {os.path.join('cat', '9.jpg')} is empty.",
    )
    assert heard == [Note(data.notes[0], "warn")]
    refused(tmp_path, "strict=True", "9.jpg", strict=True)
    blank(tmp_path / "README.txt")  # worth a note, not a warning
    (tmp_path / "cat" / "9.jpg").unlink()
    assert "README.txt" in load(tmp_path, strict=True).notes[0]


def test_a_folder_where_nothing_can_be_read_is_refused(tmp_path):
    blank(tmp_path / "cat" / "a.jpg")
    refused(tmp_path, "None of the 1 pictures", "a.jpg is empty")
    refused(blank(tmp_path / "empty" / "x" / "notes.txt").parent, "no pictures")


def test_numbered_folders_get_their_names(tmp_path):
    class_folders(tmp_path, ["1", "2", "10"])
    blank(
        tmp_path / "cat_to_name.json",
        json.dumps({"1": "rose", "2": "tulip", "10": "fire lily"}).encode(),
    )
    assert load(tmp_path, class_names="cat_to_name.json").classes == ("rose", "tulip", "fire lily")
    data = load(tmp_path, class_names={1: "rose", "2": "tulip"})
    assert data.classes == ("rose", "tulip", "10") and "no name for 10" in data.notes[-1]
    refused(tmp_path, "nothere.json", class_names="nothere.json")
    refused(tmp_path, "two classes 'rose'", class_names={"1": "rose", "2": "rose"})


def test_classes_can_be_put_in_another_order(tmp_path):
    class_folders(tmp_path)
    assert (
        load(tmp_path, class_names=["dog", "cat"], valid=0).train.labels.tolist()
        == [1] * 4 + [0] * 4
    )
    refused(tmp_path, "has the class cat", class_names=["dog", "emu"])


@pytest.mark.parametrize("kind", ["flat", "in folders of nothing", "a function of nothing"])
def test_pictures_without_labels_get_a_line_to_fill_in(tmp_path, kind):
    for n in range(6):
        picture(tmp_path / f"{'images' * (kind != 'flat')}" / f"{n}.png")
    labels = (lambda path: None) if kind == "a function of nothing" else None
    error = refused(tmp_path, "have no labels", labels=labels)
    lines = list(pasteable(error.fix))
    assert lines
    for line in lines:  # it runs: what it names is to be written first
        with pytest.raises(DataError, match=r"labels\.csv"):
            eval(line, {"kit": kit})
