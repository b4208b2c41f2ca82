"""Pickles of numbers: read as Python reads them, and nothing else is."""

import collections
import datetime
import os
import pickle
import pickletools

import numpy as np
import pytest

from colab_kit.data.formats.pickles import read_pickle
from colab_kit.errors import DataError

from ...support.pictures import blank

VALUES = {
    "numbers": [0, -5, 255, 70_000, 10**30, 1.5, True, False, None],
    "texts": ["a", "ä" * 300, b"\xff\x00", ""],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    "nested": {"a": {"b": [{}, [], {"c": (1, [2])}]}},
    "uint8": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "columns first": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "another byte order": np.arange(3, dtype=">i4"),
    "names": np.array(["cat", "dog"]),
    "empty": np.zeros((0, 3072), np.uint8),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", VALUES)
def test_values_come_back_as_they_were(tmp_path, kind, protocol):
    value = VALUES[kind]
    found = read_pickle(blank(tmp_path / "a", pickle.dumps(value, protocol)))
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype and found.shape == value.shape and (found == value).all()
    else:
        assert found == value


def test_what_stands_in_two_places_is_one_value(tmp_path):
    shared = [1]
    found = read_pickle(blank(tmp_path / "a", pickle.dumps([shared, shared])))
    assert found[0] is found[1]


def test_a_batch_of_python_2_is_read(tmp_path):
    # as cPickle wrote it: texts are byte strings, the array's bytes too
    head = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
    )
    head += (
        b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
    )
    head += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    content = head + b"U\x04\x01\x02\xfe\xfftbU\x06labelsq\x06]q\x07(K\x06K\x09eu."
    pickletools.dis(content, out=open(os.devnull, "w"))
    found = read_pickle(blank(tmp_path / "a", content))
    assert found["data"].tolist() == [[1, 2], [254, 255]] and found["labels"] == [6, 9]


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


class Plain:
    pass


STRANGERS = {
    "a command": Evil(),
    "an object": Plain(),
    "a date": datetime.date(2020, 1, 1),
    "a dict of another kind": collections.OrderedDict(a=1),
    "objects in an array": np.array([{}, None], object),
    "times": np.array(["2020-01-01"], "M8[D]"),
    "a set": {1, 2},
    "a numpy number": np.float32(1),
    "numpy's load": np.load,
}


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("kind", STRANGERS)
def test_whatever_else_it_asks_for_is_refused(tmp_path, kind, protocol):
    content = pickle.dumps(STRANGERS[kind], protocol)
    with pytest.raises(DataError) as caught:
        read_pickle(blank(tmp_path / "batch", content))
    assert "batch" in caught.value.what and caught.value.why and caught.value.fix


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_cut_anywhere_is_an_error_of_ours(tmp_path, protocol):
    whole = pickle.dumps({"data": np.arange(6, dtype=np.uint8), "labels": [1, 2]}, protocol)
    for end in range(len(whole)):
        with pytest.raises(DataError):
            read_pickle(blank(tmp_path / "a", whole[:end]))


def test_a_pickle_with_a_changed_byte_is_whole_or_an_error_of_ours(tmp_path):
    whole = pickle.dumps({"data": np.arange(6, dtype=np.uint8), "labels": [1, 2]}, 2)
    for at in range(len(whole)):
        for flip in (1, 0x55, 0xFF):
            content = bytearray(whole)
            content[at] ^= flip
            try:
                read_pickle(blank(tmp_path / "a", bytes(content)))
            except DataError as err:
                assert err.fix
