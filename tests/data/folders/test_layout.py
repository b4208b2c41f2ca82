"""Folders: splits, classes and order from names alone, whatever junk real archives carry."""

import os
import random
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from colab_kit.data.folders.layout import scan, scan_split
from colab_kit.data.folders.tree import natural
from colab_kit.errors import DataError

from ...support.pictures import blank


def tree(root, *names):
    for name in names:
        blank(root / name)
    return root


def seen(found):
    """{split: [(path below root, class)]}"""
    return {
        split: [(f.path.relative_to(found.root).as_posix(), f.label) for f in files]
        for split, files in found.splits.items()
    }


def classes(found, split="train"):
    return list(dict.fromkeys(f.label for f in found.splits[split]))


def test_class_folders_are_the_classes(tmp_path):
    tree(tmp_path, "cat/a.jpg", "cat/b.PNG", "dog/c.JPeG")
    assert seen(scan(tmp_path)) == {
        "train": [("cat/a.jpg", "cat"), ("cat/b.PNG", "cat"), ("dog/c.JPeG", "dog")]
    }
    assert not scan(tmp_path).notes


@pytest.mark.parametrize("valid", ["valid", "val", "Validation"])
def test_split_folders_above_the_classes_are_known_by_name(tmp_path, valid):
    tree(tmp_path, "Train/cat/a.jpg", "Train/dog/b.jpg", f"{valid}/cat/c.jpg", "test/dog/d.jpg")
    found = scan(tmp_path)
    assert {split: len(files) for split, files in found.splits.items()} == {
        "train": 2,
        "valid": 1,
        "test": 1,
    }
    assert seen(found)["valid"] == [(f"{valid}/cat/c.jpg", "cat")]


def test_two_folders_for_one_split_are_refused(tmp_path):
    with pytest.raises(DataError, match="both val/ and valid/"):
        scan(tree(tmp_path, "train/cat/a.jpg", "val/cat/a.jpg", "valid/cat/a.jpg"))


def test_a_flat_test_folder_is_unlabelled_even_beside_bare_class_folders(tmp_path):
    found = scan(tree(tmp_path, "cat/a.jpg", "dog/b.jpg", "test/1.jpg", "test/2.jpg"))
    assert seen(found)["test"] == [("test/1.jpg", None), ("test/2.jpg", None)] and classes(
        found
    ) == ["cat", "dog"]


def test_junk_of_real_archives_is_not_there(tmp_path):
    junk = [
        "__MACOSX/flowers/rose/._a.jpg",
        ".DS_Store",
        "flowers/rose/._a.jpg",
        "flowers/rose/Thumbs.db",
        "flowers/desktop.ini",
    ]
    junk += [
        "flowers/.ipynb_checkpoints/a-checkpoint.jpg",
        "flowers/rose/.ipynb_checkpoints/a.jpg",
        "flowers/$RECYCLE.BIN/x.jpg",
    ]
    found = scan(tree(tmp_path, "flowers/rose/a.jpg", "flowers/tulip/b.jpg", *junk))
    assert (
        seen(found) == {"train": [("rose/a.jpg", "rose"), ("tulip/b.jpg", "tulip")]}
        and found.root.name == "flowers"
    )
    assert not found.notes


def test_nested_top_folders_are_passed_through_but_never_a_split_or_a_class(tmp_path):
    assert (
        scan(tree(tmp_path / "a", "x/y/train/cat/a.jpg", "x/README.md")).root
        == tmp_path / "a" / "x" / "y"
    )
    assert classes(scan(tree(tmp_path / "b", "train/cat/a.jpg"))) == ["cat"]
    assert classes(scan(tree(tmp_path / "c", "cat/a.jpg"))) == ["cat"]
    assert classes(
        scan(tree(tmp_path / "d", "train/train/cat/a.jpg", "train/train/dog/a.jpg"))
    ) == ["cat", "dog"]


def test_other_files_and_empty_classes_are_noted(tmp_path):
    (tmp_path / "emu").mkdir()
    found = scan(tree(tmp_path, "cat/a.jpg", "dog/b.jpg", "cat/labels.csv", "LICENSE"))
    assert classes(found) == ["cat", "dog"]
    assert [(note.level, note.text) for note in (*found.notes, *found.left_out)] == [
        ("warn", f"{tmp_path}: no pictures in emu."),
        ("info", "2 other files were left out: no pictures (LICENSE, labels.csv)."),
    ]


def test_pictures_beside_class_folders_and_folders_beside_train_are_noted(tmp_path):
    found = scan(
        tree(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "train/loose.jpg", "images/c.jpg")
    )
    assert [f.label for f in found.splits["train"]] == ["cat", "dog", None]
    assert "loose.jpg" in found.label_notes[0].text and "images" in found.lines[0]


def test_numbered_folders_come_in_the_order_of_their_numbers(tmp_path):
    assert classes(scan(tree(tmp_path, *(f"{n}/a.jpg" for n in (10, 2, 1, 102))))) == [
        "1",
        "2",
        "10",
        "102",
    ]
    assert sorted(["b", "A", "c10", "c9"], key=natural) == ["A", "b", "c9", "c10"]


def test_the_order_does_not_depend_on_the_disk(tmp_path):
    names = [f"{c}/{n}.jpg" for c in ("cat", "dog") for n in range(12)]
    orders = []
    for turn in range(2):
        random.Random(turn).shuffle(names)
        orders.append(seen(scan(tree(tmp_path / str(turn), *names))))
    assert orders[0] == orders[1]


def test_links_that_lead_in_a_circle_end(tmp_path):
    tree(tmp_path, "cat/a.jpg", "dog/b.jpg")
    os.symlink(tmp_path, tmp_path / "cat" / "again")
    os.symlink(tmp_path / "dog", tmp_path / "hound")  # a link to a class elsewhere is a class
    assert classes(scan(tmp_path)) == ["cat", "dog", "hound"]
    assert len(scan(tmp_path).splits["train"]) == 3


def test_names_of_a_mac_and_of_linux_are_one_class(tmp_path):
    tree(tmp_path, "train/Cafe\u0301/a.jpg", "train/Tea/a.jpg", "valid/Caf\u00e9/a.jpg")
    found = scan(tmp_path)
    assert classes(found)[0] == classes(found, "valid")[0] == "Caf\u00e9"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "holds nothing"),
        (["notes.txt", "x.csv"], "2 other files"),
        (["flowers.zip"], "kit.load("),
        (["train/readme.txt", "valid/cat/a.jpg"], "no pictures to train on"),
        (["test/a.jpg"], "no pictures to train on"),
    ],
)
def test_a_folder_without_pictures_says_what_it_holds(tmp_path, names, words):
    with pytest.raises(DataError) as caught:
        scan(tree(tmp_path, *names))
    assert words in str(caught.value) and str(tmp_path) in str(caught.value) and caught.value.fix


def test_one_split_is_scanned_by_itself(tmp_path):
    assert seen(scan_split(tree(tmp_path, "valid/cat/a.jpg")))["train"] == [("cat/a.jpg", "cat")]
    assert seen(scan_split(tree(tmp_path / "flat", "a.jpg"))) == {"train": [("a.jpg", None)]}


def test_lines_for_two_folders_of_one_split_keep_the_other_splits(tmp_path):
    names = [f"{split}/{kind}/1.jpg" for split in ("train", "train_aug", "val") for kind in "ab"]
    with pytest.raises(DataError) as caught:
        scan(tree(tmp_path, *names))
    splits = {"train": str(tmp_path / "train"), "valid": str(tmp_path / "val")}
    assert f"kit.load({splits!r})" in caught.value.fix


@pytest.mark.parametrize(
    "spelling", [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
)
def test_a_test_folder_of_one_class_is_labelled_however_its_accents_are_stored(tmp_path, spelling):
    tree(tmp_path, "train/caf\xe9/1.jpg", "train/tea/2.jpg", f"test/{spelling}/3.jpg")
    assert [file.label for file in scan(tmp_path).splits["test"]] == ["caf\xe9"]


@pytest.mark.parametrize("beside", [["docs/logo.png", "results/plot.png"], ["logo.png"]])
@pytest.mark.parametrize("inside", [[""], ["train/", "test/"]])
def test_what_a_project_has_beside_its_data_is_no_class_and_is_said(tmp_path, beside, inside):
    names = [f"data/{split}{kind}/{n}.jpg" for split in inside for kind in "ab" for n in range(5)]
    found = scan(tree(tmp_path, *names, *beside))
    assert classes(found) == ["a", "b"] and len(found.splits) == len(inside)
    assert any("logo.png" in note.text for note in found.label_notes)


def test_a_picture_beside_the_splits_is_left_out_aloud(tmp_path):
    found = scan(tree(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "test/a/3.jpg", "logo.png"))
    assert any("logo.png" in note.text and note.level == "warn" for note in found.notes)


def test_two_folders_of_one_split_and_nothing_else_are_classes(tmp_path):
    names = ["test_positive/1.jpg", "test_negative/2.jpg"]
    assert set(classes(scan(tree(tmp_path, *names)))) == {"test_positive", "test_negative"}


def test_a_class_that_is_still_packed_is_said_and_an_archive_of_a_folder_there_is_not(tmp_path):
    tree(tmp_path, "cat/1.jpg", "dog/2.jpg", "cat.zip", "cow.zip")
    (warning,) = [note.text for note in scan(tmp_path).notes if note.level == "warn"]
    assert "cow.zip" in warning and "cat.zip" not in warning


def test_class_folders_of_arrays_are_shown_the_line_that_joins_them(tmp_path):
    for n, name in enumerate(["a/0.npy", "b/1.npy"]):
        (tmp_path / name).parent.mkdir()
        np.save(tmp_path / name, np.full((8, 8), n, np.uint8))
    with pytest.raises(DataError) as caught:
        scan(tmp_path)
    before, _, pair = caught.value.fix.partition("kit.load(")
    x, y = eval(pair[:-1], {"np": np, "Path": Path})
    assert x[:, 0, 0].tolist() == [0, 1] and y == ["a", "b"] and "import" in before


def test_a_class_folder_that_is_no_utf8_has_a_name_that_can_be_shown(tmp_path):
    tree(tmp_path, "dog/1.jpg")
    folder = os.fsencode(tmp_path) + b"/k\xe4se"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this disk takes names of UTF-8 only")
    (tmp_path / os.fsdecode(b"k\xe4se") / "1.jpg").write_bytes(b"")
    assert classes(scan(tmp_path)) == ["dog", "k\xe4se"]
