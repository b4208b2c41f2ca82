"""Names of classes in files: in the order of the numbers, from 0 or from 1."""

import pytest

from colab_kit.data.tables.name_maps import find_names, read_names

FISH = ("carp", "perch, river", "pike")
FROM_0 = dict(zip("012", FISH, strict=True))
FROM_1 = dict(zip("123", FISH, strict=True))
LISTS = {
    "names.csv": 'carp\n"perch, river"\npike\n',
    "bare.csv": "carp\nperch, river\npike\n",
    "head.csv": 'name\ncarp\n"perch, river"\npike\n',
    "names.txt": "carp\nperch, river\npike\n",
    "names.json": '["carp", "perch, river", "pike"]',
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(("classes", "want"), [("012", FROM_0), ("123", FROM_1)])
def test_a_name_a_line_goes_in_the_order_of_the_numbers(tmp_path, name, classes, want):
    path = tmp_path / name
    path.write_text(LISTS[name])
    assert read_names(path, classes) == want


@pytest.mark.parametrize("classes", [("1", "2"), ("0", "1")])
def test_a_longer_list_that_nobody_named_is_not_used(tmp_path, classes):
    path = tmp_path / "classes.txt"
    path.write_text(LISTS["names.txt"])
    assert find_names(classes, [path]) is None


def test_two_columns_of_words_are_no_list(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("carp,river\nperch,lake\npike,lake\n")
    assert find_names("123", [path]) is None
