"""Tables of files: a sequence of paths of which no object is kept, and natural order in one go."""

import os
from pathlib import Path

import numpy as np
import pytest

from colab_kit.data.file_table import UNKNOWN, FileTable, joined
from colab_kit.data.folders.tree import in_order, listed, natural, one_walk

from ..support.pictures import blank

SETS = {
    "plain": ["/a/x.png", "/a/y.png", "/b/c/x.JPG"],
    "none": [],
    "relative": ["x.png", "a/x.png"],
    "top": ["/x.png", "/a/x.png"],
    "odd": [
        os.fsdecode(b"/a/k\xe4se.png"),
        "/a/\u76ee.png",
        "/a/two\nlines.png",
        "/a/no ending",
        "/a/a.b.c",
    ],
}


@pytest.fixture(params=SETS)
def paths(request):
    return [Path(text) for text in SETS[request.param]]


def test_a_table_is_the_sequence_of_its_paths(paths):
    table, n = FileTable.of(paths), len(paths)
    assert list(table) == paths == [table[row] for row in range(n)] and table == paths
    assert table.names() == [path.name for path in paths] == [table.name(row) for row in range(n)]
    assert table.stems() == [path.stem for path in paths]
    assert table.texts() == [str(path) for path in paths]
    assert table.endings() == {path.suffix.lower() or path.name[-1:] for path in paths}
    assert list(table[::-1]) == paths[::-1] and FileTable.of(table) is table
    assert set(map(Path, table.used_folders())) == {path.parent for path in paths}


def test_parts_of_a_table_put_together_are_the_table(paths):
    table = FileTable.of(paths)
    odd = np.arange(len(paths)) % 2 == 1
    assert list(table.take(odd)) == paths[1::2]
    both = joined([table.take(~odd), table.take(odd), []])
    assert list(both) == paths[::2] + paths[1::2]
    assert set(both.used_folders()) == set(table.used_folders())


def test_names_below_a_folder_have_slashes():
    table = FileTable.of(["/a/b/x.png", "/a/y.png", "/z.png"])
    assert table.below(Path("/a")) == ["b/x.png", "y.png", "../z.png"]


def test_sizes_come_from_the_walk_or_from_the_disk(tmp_path):
    blank(tmp_path / "a.png", b"123")
    (tmp_path / "b.png").symlink_to("nowhere")
    for table in (listed(tmp_path).loose, FileTable.of(sorted(tmp_path.iterdir()))):
        assert table.names() == ["a.png", "b.png"] and table.sizes.tolist() == [3, UNKNOWN]
        assert table.take([1]).sizes.tolist() == [UNKNOWN]


def test_keys_are_of_the_name_and_the_size_alone():
    sizes = np.array([5, 5, 6])
    one, two, three = (
        FileTable(["/a", "/b"], np.array([0, 1, 0]), names, sizes).keys.tolist()
        for names in (["x", "x", "x"], ["x", "y", "x"], ["o\u0308", "\u00f6", "x"])
    )
    assert one[0] == one[1] != one[2] and two[0] != two[1]
    assert three[0] == three[1]  # as a Mac and as others write it


NAMES = ["a10", "a9", "B1", "b02", "b2", "b002", "10", "9", "a", "A", "", "x\u0663y", "x2y", "x-1"]


def test_many_names_are_sorted_as_one_by_one():
    for start in range(len(NAMES)):
        names = NAMES[start:] + NAMES[:start]
        assert in_order(names) == sorted(names, key=natural)
    assert sorted(NAMES, key=natural)[:6] == ["", "9", "10", "A", "a", "a9"]


def test_a_folder_is_listed_once_in_one_walk_and_anew_after_it(tmp_path):
    blank(tmp_path / "a.png")
    with one_walk():
        first = listed(tmp_path)
        blank(tmp_path / "b.png")
        assert listed(tmp_path) is first
    assert len(listed(tmp_path).loose) == 2
