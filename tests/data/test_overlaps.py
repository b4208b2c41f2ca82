"""Overlap: the same picture in two splits is found by its content, at little cost."""

import shutil

import numpy as np
import torch

from colab_kit.data import keyed_random
from colab_kit.data import overlaps as comparing
from colab_kit.data.dataset import Data, Split
from colab_kit.data.overlaps import overlaps
from colab_kit.data.sources import Arrays, Items, Pictures

from ..support.pictures import picture


def data_of(source, train, valid=None, test=None) -> Data:
    splits = [
        None if rows is None else Split(source, np.array(rows), name)
        for rows, name in ((valid, "valid"), (test, "test"))
    ]
    return Data(Split(source, np.array(train)), *splits, ("a", "b"), "x", "f")


def files(tmp_path, n: int = 8) -> Pictures:
    paths = [picture(tmp_path / f"{i}.png", i) for i in range(n)]
    return Pictures(paths, np.zeros(n, np.int64), tmp_path)


def test_a_copy_under_another_name_is_found(tmp_path):
    source = files(tmp_path)
    shutil.copy(source.paths[1], source.paths[6])
    assert overlaps(data_of(source, [0, 1, 2, 3], [4, 5], [6, 7])) == {"test": [("6.png", "1.png")]}


def test_only_files_whose_size_both_splits_have_are_read(tmp_path):
    source = files(tmp_path)
    for n, path in enumerate(source.paths):
        path.write_bytes(bytes([n]) * (100 + n))
    source.paths[4].write_bytes(bytes([9]) * 100)  # as long as the first one, and another
    read = []

    class Watched(type(source.paths[0])):
        def read_bytes(self):
            read.append(self.name)
            return super().read_bytes()

    watched = Pictures([Watched(path) for path in source.paths], source.labels, source.root)
    assert overlaps(data_of(watched, [0, 1, 2], [4, 5])) == {} and sorted(read) == [
        "0.png",
        "4.png",
    ]


def test_equal_rows_of_arrays_are_found_and_nearly_equal_ones_are_not():
    x = torch.arange(6 * 12, dtype=torch.uint8).view(6, 3, 2, 2)
    x[5] = x[0]
    x[4] = x[1]
    x[4, 0, 0, 0] += 1
    assert overlaps(data_of(Arrays(x, np.zeros(6, np.int64)), [0, 1, 2], [3, 4], [5])) == {
        "test": [("5", "0")]
    }


def test_a_dataset_of_the_users_own_is_not_read():
    class Never:
        def __getitem__(self, i):
            raise AssertionError("read")

    assert overlaps(data_of(Items(Never(), np.zeros(4, np.int64)), [0, 1], [2, 3])) == {}


def test_it_ends_in_time_with_what_it_has(tmp_path):
    source = files(tmp_path)
    for path in source.paths:
        path.write_bytes(b"the same")
    ticks = iter(range(100))
    found = overlaps(
        data_of(source, [0, 1, 2, 3], [4, 5, 6, 7]), limit=6.5, clock=lambda: next(ticks)
    )
    assert 0 < len(found["valid"]) < 4


def test_a_file_that_is_gone_is_no_overlap(tmp_path):
    source = files(tmp_path)
    shutil.copy(source.paths[1], source.paths[6])
    source.paths[1].unlink()
    assert overlaps(data_of(source, [0, 1], [6])) == {}


def test_rows_of_any_width_and_kind_are_compared_byte_by_byte_only_where_sums_are_equal(
    monkeypatch,
):
    read, plain = [], comparing._bytes
    monkeypatch.setattr(
        comparing, "_bytes", lambda split, rows: read.append(len(rows)) or plain(split, rows)
    )
    monkeypatch.setattr(comparing, "PART", 64)  # many parts
    for kind in (torch.uint8, torch.float32, torch.bfloat16, torch.float64):
        for wide in (1, 7, 8, 13):
            read.clear()
            x = torch.arange(40 * wide).view(40, wide).remainder(251).to(kind)
            x[:, 0] = torch.arange(40).to(kind)
            x[39] = x[3]
            assert overlaps(
                data_of(Arrays(x, np.zeros(40, np.int64)), range(30), test=range(30, 40))
            ) == {"test": [("39", "3")]}
            assert sum(read) == 40 + 2


def test_rows_of_one_sum_that_differ_are_told_apart():
    x = torch.zeros(4, 16, dtype=torch.uint8)
    one, two = (int(n) | 1 for n in keyed_random.hashes(keyed_random.mix(16), np.arange(2)))
    words = np.array([[two, 0], [0, one], [1, 2], [3, 4]], np.uint64)  # two * one == one * two
    x = torch.from_numpy(words.view(np.uint8))
    data = data_of(Arrays(x, np.zeros(4, np.int64)), [0, 2], test=[1, 3])
    assert (
        comparing._sums(data.train, lambda: False)[0]
        == comparing._sums(data.test, lambda: False)[0]
        and overlaps(data) == {}
    )


def test_arrays_end_in_time_too():
    x = torch.zeros(9, 8, dtype=torch.uint8)
    assert (
        overlaps(data_of(Arrays(x, np.zeros(9, np.int64)), range(4), test=range(4, 9)), limit=-1.0)
        == {}
    )
