"""Groups: what a dict or a function says of files, and a sequence of rows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from colab_kit.data.folders.tree import Listing, PictureFile
from colab_kit.data.groups import group_files, group_numbers
from colab_kit.data.sources import Arrays, Part
from colab_kit.errors import DataError

from ..support.pictures import class_folders
from .loads import X, Y, load, refused

ROOT = Path("/pets")
FILES = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/IMG_7.jpg")


def listing(root=ROOT):
    files = [PictureFile(root / name, name[:3]) for name in FILES]
    return Listing(root, {"train": files[:3], "test": files[3:]})


def groups(group):
    found = group_files(listing(), group)
    return [file.group for split in found.splits.values() for file in split]


def test_a_function_is_asked_for_each_file_of_each_split():
    assert groups(lambda path: path.stem) == ["1", "2", "1", "IMG_7"]


@pytest.mark.parametrize(
    "name",
    ["dog/IMG_7.jpg", "IMG_7.jpg", "IMG_7", "/pets/dog/IMG_7.jpg", "pets/dog/IMG_7", "dog\\IMG_7"],
)
def test_a_dict_names_files_with_folders_and_endings_or_without(name):
    assert groups({name: "p7", Path("cat/1.png"): 3}) == [3, None, None, "p7"]


def test_a_name_that_means_several_files_is_refused():
    with pytest.raises(DataError, match="several files"):
        groups({"1.png": "p1"})


def test_names_that_no_file_has_are_said_and_refused_if_all_are_so(tmp_path):
    found = group_files(listing(), {"dog/1.png": 1, "owl/9.png": 2})
    assert "owl/9.png" in found.notes[-1].text and found.notes[-1].level == "warn"
    refused(class_folders(tmp_path / "pets"), "owl/9.png", group={"owl/9.png": 2})


def test_a_dict_of_the_training_files_is_enough_beside_a_valid_folder(tmp_path):
    class_folders(tmp_path / "a")
    names = {f"cat/{n}.png": n for n in range(4)}
    data = load(tmp_path / "a", group=names, valid=class_folders(tmp_path / "b"))
    assert len(data.train) == len(data.valid) == 8 and data.notes == ()


def test_a_function_that_fails_is_named_with_its_file():
    with pytest.raises(DataError) as caught:
        groups(lambda path: path.stem.split("_")[1])
    assert "cat/1.png" in caught.value.what and "IndexError" in caught.value.why


@pytest.mark.parametrize("blank", (None, "", float("nan"), np.float64("nan")))
def test_a_blank_is_no_group(blank):
    assert groups(lambda path: blank) == [None] * 4


@pytest.mark.parametrize("group", (None, "patient_id"))
def test_a_column_is_left_to_the_table(group):
    assert group_files(listing(), group) == listing()


def test_a_list_for_a_folder_is_refused(tmp_path):
    refused(class_folders(tmp_path / "pets"), "the order of the files", group=[1, 2, 3])


def test_each_none_is_numbered_on_its_own():
    assert group_numbers(["a", None, "b", None, "a"]).tolist() == [0, 1, 2, 3, 0]
    assert group_numbers([0, None, 1, (True, 1)]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", (list, tuple, np.array, torch.tensor))
def test_rows_of_arrays_have_a_group_each(kind):
    data = load((X, Y), group=kind([n // 5 for n in range(40)]))
    assert len(data.valid) and not set(data.valid.rows // 5) & set(data.train.rows // 5)


def test_a_dict_of_sources_takes_groups_of_its_files(tmp_path):
    class_folders(tmp_path / "a", each=12)
    data = load({"train": tmp_path / "a"}, group=lambda path: int(path.stem) // 3)
    threes = [{int(p.stem) // 3 for p in split.paths} for split in (data.train, data.valid)]
    assert not threes[0] & threes[1]


def test_a_function_that_groups_nothing_is_refused(tmp_path):
    refused(class_folders(tmp_path / "pets"), "none of", group=lambda path: None)


def test_a_part_knows_of_no_groups_until_someone_names_them():
    assert Part(Y, lambda y: Arrays(torch.tensor(X), y), "").groups is None
