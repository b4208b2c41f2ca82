"""Names as tables write them, found among the files that are there."""

from pathlib import Path

import pytest

from colab_kit.data.tables.file_names import FileNames, only_store
from colab_kit.errors import DataError

from .listings import lay, read, rows, said

KINDS = ("ash", "elm", "oak")
ROWS = {f"{n:04d}.png": KINDS[n % 3] for n in range(1, 13)}


@pytest.mark.parametrize("write", ["{}", "{}.0", "{}.png", "{:02d}", "{}.JPG"])
def test_a_number_without_its_zeros_names_the_picture_and_that_is_said(tmp_path, write):
    text = rows("id,label", *(f"{write.format(n)},{KINDS[n % 3]}" for n in range(1, 13)))
    out = read(lay(tmp_path, {"t.csv": text}, train=list(ROWS)), "t.csv")
    assert said(out) == ROWS
    assert any("is 0001" in line for line in out.lines)


def test_a_number_that_could_be_two_files_is_refused(tmp_path):
    text = rows("id,label", "1,ash", "2,elm", "3,oak")
    listing = lay(tmp_path, {"t.csv": text}, train=["01.png", "001.png", "2.png", "3.png"])
    with pytest.raises(DataError):
        read(listing, "t.csv")


def test_a_number_as_it_stands_is_its_own_file_and_no_other():
    names = FileNames([Path(f"/p/{n}.png") for n in ("1", "10", "100")], Path("/p"), ["train"] * 3)
    assert [names.find(one) for one in ("1", "10", "100", "0100", "2")] == [0, 1, 2, 2, None]


STORES = {
    "patients": [(f"patient{n:05d}", "view1") for n in range(5)],
    "studies": [(f"Study_{n}", "IMG_3") for n in range(5)],
    "a hash's start": [(f"{n:x}", f"{n:x}4be09d1c") for n in range(16)],
}
CLASSES = {
    "words": [("cat", "cat_1"), ("dog", "dog_2")],
    "digits": [(str(n), f"{n}_{n}") for n in range(10)],
    "digits, long names": [(str(n), f"img_{n:08d}") for n in range(10)],
    "clip art": [("clip", "1"), ("photo", "2")],
}


@pytest.mark.parametrize("kind", [*STORES, *CLASSES])
def test_folders_of_patients_or_of_hashes_only_store_and_classes_do_not(kind):
    folders, stems = zip(*{**STORES, **CLASSES}[kind], strict=True)
    assert only_store(folders, stems) == (kind in STORES)


NUMBERS = {"age": lambda n: n * 7 % 90, "ward": lambda n: 1 + n * 7 % 90, "rank": lambda n: 151 - n}


@pytest.mark.parametrize("zeros", ["", "04"])
@pytest.mark.parametrize("other", NUMBERS)
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("of_files", ["id", "image"])
def test_numbers_beside_the_ids_never_name_the_pictures(tmp_path, zeros, other, order, of_files):
    true = {f"{n:{zeros}}.png": KINDS[n % 3] for n in range(1, 151)}
    cells = [(str(n), KINDS[n % 3], str(NUMBERS[other](n)))[::order] for n in range(1, 151)]
    text = rows(",".join((of_files, "label", other)[::order]), *map(",".join, cells))
    listing = lay(tmp_path, {"t.csv": text}, train=list(true))
    try:
        out = read(listing, "t.csv")
    except DataError as error:  # of two columns that are called no file's it asks
        assert of_files == "id" and f"file_column='{of_files}'" in error.fix
        out = read(listing, "t.csv", file_column=of_files)
    assert said(out) == true
