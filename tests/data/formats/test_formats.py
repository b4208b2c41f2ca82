"""The contract of formats: each sees its own files alone, reads Parts, and names a damaged file."""

import numpy as np
import pytest

from colab_kit.data.formats import cifar, idx, matlab, npy, npz, pixel_tables, stl10
from colab_kit.data.paths import FORMATS
from colab_kit.data.sources import Parts
from colab_kit.errors import DataError

from ...support.pictures import class_folders
from . import samples

SAMPLES = {  # format: what lays down a small set of it
    idx: samples.idx_folder,
    cifar: samples.cifar_folder,
    stl10: samples.stl10_folder,
    npz: samples.npz_folder,
    npy: samples.npy_folder,
    matlab: samples.matlab_folder,
    pixel_tables: samples.table_folder,
}
LONE = {npz: "medmnist.npz", matlab: "train_32x32.mat", pixel_tables: "train.csv"}
LONE |= {npy: "x_train.npy", idx: f"{idx.NAMES[0]}.gz"}
DAMAGE = {
    "cut": lambda content: content[: min(20, len(content) // 2)],
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a web page": lambda content: b"<!DOCTYPE html><title>Sign in</title>",
    "a picture": lambda content: b"\x89PNG\r\n\x1a\n" + bytes(range(98)),
}


def test_every_format_has_a_sample():
    assert set(SAMPLES) == set(FORMATS)


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_sees_its_own_folders_alone(form, tmp_path):
    assert form.sees(SAMPLES[form](tmp_path / "own"))
    assert not form.sees(class_folders(tmp_path / "pets"))
    for other in set(FORMATS) - {form}:
        assert not form.sees(SAMPLES[other](tmp_path / other.__name__))


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_around_the_files_changes_nothing(form, tmp_path):
    SAMPLES[form](tmp_path / "outer" / "inner")
    assert form.sees(tmp_path / "outer")
    one, other = form.read(tmp_path / "outer"), form.read(tmp_path / "outer" / "inner")
    assert {s: part.print for s, part in one.splits.items()} == {
        s: part.print for s, part in other.splits.items()
    }


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_seen_where_nothing_is(form, tmp_path):
    assert not form.sees(tmp_path / "nowhere") and not form.sees(tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_reads_parts_whose_rows_have_pictures_and_labels(form, tmp_path):
    parts = form.read(SAMPLES[form](tmp_path))
    assert isinstance(parts, Parts) and "train" in parts.splits
    assert set(parts.splits) <= {"train", "valid", "test"}
    for part in parts.splits.values():
        source = part.make(np.zeros(len(part), np.int64))
        assert len(source) == len(part) == len(part.labels) and part.print
        assert source.picture(0).dtype == np.uint8 and source.picture(0).ndim == 3


@pytest.mark.parametrize("form", LONE)
def test_a_lone_file_is_its_own_rows_with_what_lies_beside_it(form, tmp_path):
    folder = SAMPLES[form](tmp_path)
    whole, lone = form.read(folder), form.read(folder / LONE[form])
    assert form.sees(folder / LONE[form])
    if form is npz:
        assert lone.splits.keys() == whole.splits.keys()
    else:
        assert lone.splits.keys() == {"train"}
    assert lone.splits["train"].print == whole.splits["train"].print


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("form", FORMATS)
def test_a_format_names_a_damaged_file_whichever_it_is(form, damage, tmp_path):
    folder = SAMPLES[form](tmp_path)
    for victim in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = victim.read_bytes()
        victim.write_bytes(DAMAGE[damage](whole))
        form.sees(folder)  # it never raises
        with pytest.raises(DataError) as caught:
            form.read(folder)
        assert victim.name in str(caught.value) and caught.value.why and caught.value.fix
        victim.write_bytes(whole)
