"""Fingerprints: the same for the same content, another for any other."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from colab_kit.data.file_table import FileTable
from colab_kit.data.fingerprints import of_dataset, of_files
from colab_kit.data.loading import load as really_load
from colab_kit.errors import DataError

from ..support.pictures import class_folders
from .loads import Mnist, Own, X, Y, load, to_float


def test_a_fingerprint_stays_with_the_content_wherever_and_whenever_it_lies(tmp_path):
    first = load(class_folders(tmp_path / "a")).fingerprint
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "nested" / "other name")
    for path in (tmp_path / "b").rglob("*.png"):
        os.utime(path, (1, 1))
    assert load(tmp_path / "b").fingerprint == first
    os.rename(tmp_path / "a" / "cat" / "0.png", tmp_path / "a" / "cat" / "7.png")
    assert load(tmp_path / "a").fingerprint != first


def test_whatever_changes_the_data_changes_the_fingerprint(tmp_path):
    flipped = X.copy()
    flipped[39, 5, 4] ^= 1
    changes = [
        {},
        {"seed": 1},
        {"valid": 0},
        {"valid": 0.5},
        {"max_per_class": 5},
        {"test": 0.2},
        {"class_names": list("abcd")},
    ]
    sources = [((X, Y), kw) for kw in changes]
    sources += [
        ((flipped, Y), {}),
        ((X, Y[::-1].copy()), {}),
        ((X.astype(np.float32), Y), {}),
        ((X.reshape(40, 5, 6), Y), {}),
    ]
    prints = [load(source, **kw).fingerprint for source, kw in sources]
    assert len(set(prints)) == len(prints)
    assert (
        load((torch.from_numpy(X), Y.tolist()), valid=0.2).fingerprint == prints[0]
    )  # the same data, said otherwise


def test_a_users_dataset_is_known_by_class_attributes_and_items():
    prints = [
        of_dataset(dataset)
        for dataset in (
            Mnist(to_float),
            Mnist(to_float),
            Mnist(np.float32),
            Mnist(to_float, twist=1),
            Own(),
        )
    ]
    assert (
        prints[0] == prints[1]
        and len({p for p, _ in prints}) == 4
        and all(same for _, same in prints)
    )
    moved = Mnist(to_float)
    moved.root = "/home/ann/data"  # where it lies says nothing
    assert of_dataset(moved) == prints[0]


def test_a_dataset_with_a_private_generator_is_noted_and_still_found_again():
    class Private(Own):
        def __getitem__(self, row):
            return torch.from_numpy(np.random.default_rng().random((1, 4, 4))), row % 3

    first, second = load(Private()), load(Private())
    assert (
        "cannot be repeated exactly" in first.notes[-1]
        and first.fingerprint == second.fingerprint
        and not first.keyed
    )


def test_pictures_and_labels_side_by_side_are_told_to_travel_as_a_pair():
    with pytest.raises(DataError, match=r"kit.load\(\(X, y\)\)"):
        really_load(np.zeros((4, 8, 8), np.uint8), np.arange(4))


def test_a_file_name_that_is_no_utf8_is_hashed_as_any_other(tmp_path):
    names = [os.fsdecode(b"k\xe4se.jpg"), os.fsdecode(b"k\xf6se.jpg")]
    prints = {of_files(FileTable.of([tmp_path / name]), {0: "a"}, tmp_path) for name in names}
    assert len(prints) == 2


def test_names_sizes_and_contents_of_files_are_in_their_print_and_their_place_is_not():
    def printed(names=("a/x.png", "b/y.png"), root="/one", sizes=(3, 4), contents=None):
        tops = [f"{root}/{name.partition('/')[0]}" for name in names]
        own = [name.partition("/")[2] for name in names]
        table = FileTable(tops, np.arange(2), own, np.array(sizes))
        return of_files(table, contents or {0: "c"}, Path(root))

    assert printed() == printed(root="/two")
    changes = [
        {"names": ("a/x.png", "b/z.png")},
        {"names": ("b/y.png", "a/x.png")},
        {"sizes": (3, 5)},
        {"contents": {0: "d"}},
        {"contents": {1: "c"}},
    ]
    assert len({printed(), *(printed(**change) for change in changes)}) == 1 + len(changes)
