"""The contract of formats: each sees its own folders alone, reads Parts, and names a damaged file."""

import gzip

import numpy as np
import pytest

from colab_kit.data.formats import idx
from colab_kit.data.paths import FORMATS
from colab_kit.data.sources import Parts
from colab_kit.errors import DataError

from ...support.cut_fashion_mini import idx_bytes
from ...support.pictures import blank, class_folders


def idx_folder(folder):
    for name in idx.NAMES:
        array = np.zeros((9, 5, 4), np.uint8) if "images" in name else np.arange(9) % 3
        blank(folder / f"{name}.gz", gzip.compress(idx_bytes(array)))
    return folder


SAMPLES = {idx: idx_folder}  # format: what lays down a small set of it


def test_every_format_has_a_sample():
    assert set(SAMPLES) == set(FORMATS)


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_sees_its_own_folders_alone(form, tmp_path):
    assert form.sees(SAMPLES[form](tmp_path / "own"))
    assert not form.sees(class_folders(tmp_path / "pets"))
    for other in set(FORMATS) - {form}:
        assert not form.sees(SAMPLES[other](tmp_path / other.__name__))


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_reads_parts_whose_rows_have_pictures_and_labels(form, tmp_path):
    parts = form.read(SAMPLES[form](tmp_path))
    assert isinstance(parts, Parts) and "train" in parts.splits
    assert set(parts.splits) <= {"train", "valid", "test"}
    for part in parts.splits.values():
        source = part.make(np.zeros(len(part), np.int64))
        assert len(source) == len(part) == len(part.labels) and part.print
        assert source.picture(0).dtype == np.uint8 and source.picture(0).ndim == 3


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_names_a_damaged_file(form, tmp_path):
    folder = SAMPLES[form](tmp_path)
    victim = min(path for path in folder.rglob("*") if path.is_file())
    victim.write_bytes(victim.read_bytes()[:20])
    with pytest.raises(DataError) as caught:
        form.read(folder)
    assert victim.name in str(caught.value) and caught.value.fix
