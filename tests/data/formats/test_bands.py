"""TIFFs of many bands: every kind that is read gives the same numbers, any other is refused by name."""

import struct
import tracemalloc

import numpy as np
import pytest
import torch

from colab_kit.data.formats import bands, tiff
from colab_kit.errors import DataError

from ...support import containers
from ...support.pictures import blank, class_folders

SAMPLES = np.random.default_rng(3).integers(0, 60000, (7, 6, 13)).astype(np.uint16)


@pytest.mark.parametrize("packing", [1, 5, 8])
@pytest.mark.parametrize("tile", [0, 16])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("big", [False, True])
def test_strips_and_tiles_of_every_packing_give_the_same_numbers(
    tmp_path, packing, tile, planar, big
):
    file = containers.tiff(
        tmp_path / "a.tif", SAMPLES, packing=packing, tile=tile, planar=planar, big=big
    )
    assert (tiff.read(file) == SAMPLES.transpose(2, 0, 1)).all()


@pytest.mark.parametrize("big", [False, True])
def test_a_bigtiff_is_read_too(tmp_path, big):
    file = containers.tiff(tmp_path / "a" / "a.tif", SAMPLES, packing=8, big=big, bigtiff=True)
    assert (tiff.read(file) == SAMPLES.transpose(2, 0, 1)).all() and bands.sees(tmp_path)


@pytest.mark.parametrize("tile", [0, 16])
@pytest.mark.parametrize("planar", [False, True])
def test_differences_of_neighbours_are_summed_up(tmp_path, tile, planar):
    wide = np.tile(SAMPLES, (1, 5, 1))
    file = containers.tiff(
        tmp_path / "a.tif", wide, packing=8, tile=tile, planar=planar, predictor=True
    )
    assert (tiff.read(file) == wide.transpose(2, 0, 1)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.float32, np.float64])
@pytest.mark.parametrize("big", [False, True])
def test_samples_of_every_type_are_read(tmp_path, dtype, big):
    samples = SAMPLES.astype(dtype)
    read = tiff.read(containers.tiff(tmp_path / "a.tif", samples, big=big))
    assert read.dtype == dtype and (read == samples.transpose(2, 0, 1)).all()


def test_what_pillow_writes_is_read_as_pillow_reads_it(tmp_path):
    from PIL import Image

    picture = Image.fromarray(SAMPLES[..., :3].astype(np.uint8))
    for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        picture.save(tmp_path / "a.tif", compression=packing)
        assert (tiff.read(tmp_path / "a.tif") == np.asarray(picture).transpose(2, 0, 1)).all()


@pytest.mark.parametrize(
    ("tag", "value", "word"),
    [
        (259, 7, "compression 7"),
        (317, 3, "predictor 3"),
        (339, 6, "bits"),
        (256, 1 << 30, "states"),
    ],
)
def test_a_kind_that_is_not_read_is_refused_by_its_name(tmp_path, tag, value, word):
    file = containers.tiff(tmp_path / "a.tif", SAMPLES[..., :1].repeat(5, 2), packing=8)
    content = bytearray(file.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    at = next(
        a
        for a in range(start + 2, len(content), 12)
        if content[a : a + 2] == struct.pack("<H", tag)
    )
    count = struct.unpack_from("<I", content, at + 4)[0]
    place = at + 8 if count == 1 else struct.unpack_from("<I", content, at + 8)[0]
    struct.pack_into(f"<{count}I", content, place, *[value] * count)
    file.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match=word) as caught:
        tiff.read(file)
    assert "a.tif" in str(caught.value) and tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_every_cut_and_every_changed_byte_is_an_error_of_ours_or_read(tmp_path):
    whole = containers.tiff(tmp_path / "a.tif", SAMPLES, packing=8).read_bytes()
    draw = np.random.default_rng(0)
    for n in range(60):
        content = bytearray(whole[: draw.integers(len(whole))] if n % 2 else whole)
        if content:
            content[draw.integers(len(content))] ^= 1 << draw.integers(8)
        try:
            tiff.read(blank(tmp_path / "b.tif", bytes(content)))
        except DataError as err:
            assert "b.tif" in err.what and err.why and err.fix


def lay(folder, each=4, shape=(6, 5, 13), dtype=np.uint16):
    for c, kind in enumerate(("forest", "river")):
        for n in range(each):
            samples = np.full(shape, 1000 * c + n).astype(dtype)
            containers.tiff(folder / kind / f"{kind}_{n}.tif", samples)
    return folder


def test_class_folders_become_arrays_that_hold_every_band_as_it_is(tmp_path):
    parts = bands.read(lay(tmp_path))
    part = parts.splits["train"]
    x = part.make(np.zeros(8, np.int64)).x
    assert x.dtype == torch.float32 and x.shape == (8, 13, 6, 5)
    assert x[:, 12, 5, 4].tolist() == [0, 1, 2, 3, 1000, 1001, 1002, 1003]
    assert list(part.labels) == ["forest"] * 4 + ["river"] * 4
    assert "uint16" in part.notes[0].text and "13 bands" in part.notes[0].text


def test_splits_are_kept(tmp_path):
    for split in ("train", "val", "test"):
        lay(tmp_path / split)
    assert {name: len(part) for name, part in bands.read(tmp_path).splits.items()} == {
        "train": 8,
        "valid": 8,
        "test": 8,
    }


@pytest.mark.parametrize("shape", [(6, 4, 13), (6, 5, 12)])
def test_pictures_of_several_sizes_are_an_error_that_names_two(tmp_path, shape):
    lay(tmp_path)
    containers.tiff(tmp_path / "river" / "river_9.tif", np.zeros(shape, np.uint16))
    with pytest.raises(DataError, match="river_9") as caught:
        bands.read(tmp_path)
    assert "forest_0" in str(caught.value)


@pytest.mark.parametrize(("last", "is_band"), [("ramp", True), ("covers", False), ("cut", False)])
def test_a_fourth_channel_is_a_band_unless_it_is_a_mask(tmp_path, last, is_band):
    samples = np.random.default_rng(1).integers(0, 250, (12, 12, 4), dtype=np.uint8)
    mask = np.full((12, 12), 255, np.uint8)
    mask[:, :3] = 0 if last == "cut" else 255
    samples[..., 3] = np.arange(144).reshape(12, 12) if last == "ramp" else mask
    for label in ("a", "b"):
        containers.tiff(tmp_path / label / "1.tif", samples)
    assert bands.sees(tmp_path) is is_band
    if is_band:
        (x, *_) = (split.make(np.zeros(2)).x for split in bands.read(tmp_path).splits.values())
        assert (x[0].numpy() == samples.transpose(2, 0, 1)).all() and x.dtype == torch.uint8


@pytest.mark.parametrize("many", [1, 3])
def test_pictures_that_pillow_knows_are_none(tmp_path, many):
    assert not bands.sees(lay(tmp_path / "tifs", shape=(6, 5, many), dtype=np.uint8))
    assert not bands.sees(class_folders(tmp_path / "pets", ending=".tif"))


def test_a_picture_that_is_not_finite_is_said_by_its_row(tmp_path):
    lay(tmp_path, dtype=np.float32)
    containers.tiff(tmp_path / "river" / "river_3.tif", np.full((6, 5, 13), np.nan, np.float32))
    with pytest.raises(DataError, match="row 7"):
        bands.read(tmp_path)


@pytest.mark.parametrize("plain", ["EuroSAT", "zoo"])
def test_other_pictures_beside_are_an_error_with_a_line_for_each(tmp_path, plain):
    lay(tmp_path / "all_bands")
    class_folders(tmp_path / plain)
    assert bands.sees(tmp_path) and not bands.sees(tmp_path / plain)
    with pytest.raises(DataError) as caught:
        bands.read(tmp_path)
    lines = {line.strip() for line in caught.value.fix.splitlines()}
    assert lines == {f"kit.load({str(tmp_path / name)!r})" for name in ("all_bands", plain)}
    assert len(bands.read(tmp_path / "all_bands").splits["train"]) == 8


def test_a_plain_picture_of_each_in_the_same_folder_is_an_error(tmp_path):
    lay(tmp_path)
    class_folders(tmp_path, ("forest", "river"))
    with pytest.raises(DataError, match="forest"):
        bands.read(tmp_path)
