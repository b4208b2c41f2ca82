"""Lists in .mat files become tables, and parts of JSON that share a key become one."""

import numpy as np
import pytest

from colab_kit.data.tables.structured import NotATableError, read_list
from colab_kit.errors import DataError
from tests.support.tiny_sets import mat

from .listings import lay, read, said

PLANTS = [f"plant_{n:04d}.jpg" for n in range(1, 13)]
NUMBERS = [1 + n % 3 for n in range(12)]


def beside(listing, **files):
    """The listing with .mat files beside its pictures: {stem: {name: numbers}}."""
    for stem, arrays in files.items():
        path = listing.root / f"{stem}.mat"
        path.write_bytes(mat(**{name: np.array([of], np.uint8) for name, of in arrays.items()}))
        listing = type(listing)(listing.root, listing.splits, tables=(*listing.tables, path))
    return listing


def test_a_label_a_picture_goes_by_the_number_in_its_name(tmp_path):
    out = read(beside(lay(tmp_path, {}, train=PLANTS[::-1]), imagelabels={"labels": NUMBERS}))
    assert said(out) == {name: str(n) for name, n in zip(PLANTS, NUMBERS, strict=True)}
    assert any("imagelabels.mat" in line for line in out.lines)


def test_numbers_a_split_are_the_publishers_split(tmp_path):
    ids = {"trnid": range(1, 7), "valid": range(7, 9), "tstid": range(9, 13)}
    ids = {name: list(of) for name, of in ids.items()}
    files = {"imagelabels": {"labels": NUMBERS}, "setid": ids}
    out = read(beside(lay(tmp_path, {}, train=PLANTS), **files))
    assert [len(of) for of in out.splits.values()] == [6, 2, 4]
    assert [file.path.name for file in out.splits["valid"]] == PLANTS[6:8]
    assert any("setid.mat" in line for line in out.lines)


@pytest.mark.parametrize(
    "names",
    [PLANTS[:-1], [f"plant_{n:04d}.jpg" for n in range(12)], [*PLANTS[:-1], "plant_0001.png"]],
    ids=["a picture less", "from 0", "a number twice"],
)
def test_a_list_that_does_not_fit_the_numbers_of_the_names_is_not_taken(tmp_path, names):
    with pytest.raises(DataError):
        read(beside(lay(tmp_path, {}, train=names), marks={"labels": NUMBERS}), "marks.mat")


def test_columns_of_one_length_are_a_table(tmp_path):
    path = tmp_path / "list.mat"
    path.write_bytes(mat(image=np.arange(4.0)[:, None], mark=np.array([[2.5, 1, 2, 3]])))
    header, table, several = read_list(path)
    assert (header, several) == (("image", "mark"), False)
    assert table[0] == ["0", "2.5"] and len(table) == 4


def test_arrays_of_several_lengths_are_no_list(tmp_path):
    path = tmp_path / "list.mat"
    path.write_bytes(mat(a=np.arange(4.0)[None], b=np.arange(3.0)[None]))
    with pytest.raises(NotATableError):
        read_list(path)


@pytest.mark.parametrize(
    ("mine", "theirs"), [("imageId", "imageId"), ("id", "image_id"), ("image_id", "image_id")]
)
def test_images_and_annotations_are_joined_by_the_key_they_share(tmp_path, mine, theirs):
    images = [{mine: 7 + n, "file_name": name} for n, name in enumerate(PLANTS)]
    notes = [{"id": n, theirs: 7 + n, "label": f"kind {n % 3}"} for n in range(12)]
    told = {"info": {"year": 2018}, "images": images, "annotations": notes[::-1]}
    out = read(lay(tmp_path, {"t.json": told}, train=PLANTS), "t.json")
    assert said(out) == {name: f"kind {n % 3}" for n, name in enumerate(PLANTS)}
