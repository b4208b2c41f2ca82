"""Pictures of more than 8 bits: one law for a whole set, its splits and its predictions."""

import numpy as np
import pytest
from PIL import Image

from colab_kit.data.deep import as_bytes, span_of
from colab_kit.data.images import decode
from colab_kit.data.loading import load
from colab_kit.data.preprocess import Preprocess

from ..support.containers import png16, tiff

RAMP = np.linspace(0, 1, 24)[None].repeat(24, 0)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def scene(root, scale, dtype, ending, dim=0.3):
    """Write two classes, one dim and one bright, in these numbers."""
    for label, factor in (("dim", dim), ("bright", 1.0)):
        for n in range(4):
            save(root / label / f"{n}{ending}", (RAMP * factor * scale).astype(dtype))
    return root


@pytest.mark.parametrize(
    ("values", "span"),
    [
        (np.array([0, 200], np.uint16), (0, 255)),
        (np.array([0, 1000], np.uint16), (0, 1023)),
        (np.array([7, 4000], np.uint16), (0, 4095)),
        (np.array([0, 60000], np.uint16), (0, 65535)),
        (np.array([0, 100_000], np.int32), (0, 100_000)),
        (np.array([0.1, 0.4]), (0, 1)),
        (np.array([-0.5, 0.5]), (-1, 1)),
        (np.array([0, 6000.0]), (0, 10_000)),
        (np.array([0, 5e6]), (0, 5e6)),
        (np.array([0.2, np.nan, -9999, np.inf]), (0, 1)),
        (np.array([np.nan]), (0, 1)),
    ],
)
def test_values_go_from_0_to_the_end_of_the_depth_they_need(values, span):
    assert span_of([values]) == span


def test_values_below_0_go_between_their_own_ends():
    low, high = span_of([np.linspace(-1000, 3000, 1000)])
    assert -1000 <= low < -900 and 2900 < high <= 3000


def test_missing_pixels_are_black_and_never_an_error():
    values = np.array([[np.nan, -9999.0, 0.5, np.inf]], np.float32)
    assert as_bytes(values, (0.0, 1.0)).tolist() == [[0, 0, 128, 255]]
    assert as_bytes(np.zeros((2, 2), np.uint16), None).max() == 0


@pytest.mark.parametrize(
    ("scale", "dtype", "ending"),
    [
        (1, np.float32, ".tif"),
        (10_000, np.float32, ".tif"),
        (1023, np.uint16, ".png"),
        (4095, np.uint16, ".png"),
        (4095, np.uint16, ".tif"),
        (65535, np.uint16, ".png"),
        (60_000, np.int32, ".tif"),
    ],
)
def test_a_set_keeps_its_contrast_and_what_is_dim_stays_dim(tmp_path, scale, dtype, ending):
    data = load(scene(tmp_path / "set", scale, dtype, ending), quiet=True, valid=0)
    found = {p.parent.name: data.train[i][0].max() for i, p in enumerate(data.train.paths)}
    assert found["bright"] > 230 and 60 < found["dim"] < 95
    assert len(np.unique(data.train[0][0])) == 24
    assert sum("8 bits" in note for note in data.notes) == 1


def test_all_splits_and_batches_share_the_trainings_law(tmp_path):
    root = scene(tmp_path / "set" / "train", 4095, np.uint16, ".png").parent
    scene(root / "test", 900, np.uint16, ".png")
    data = load(root, quiet=True)
    spans = {split.source.span for split in data.splits.values()}
    assert spans == {(0.0, 4095.0)} and data.test[0][0].max() < 60
    for split in data.splits.values():
        shown = next(split.batches(8, size=24)).x
        assert (
            abs(float((shown.max() + 1) / 2 * 255) - max(p.max() for p, _ in split)) < 25
        )  # the edge of the ramp is cut


def test_a_law_is_part_of_the_record_and_decides_what_is_predicted(tmp_path):
    path = save(tmp_path / "a.png", (RAMP * 900).astype(np.uint16))
    how = Preprocess(24, crop=1.0, span=(0.0, 4095.0))
    assert Preprocess.from_json(how.as_json()) == how
    assert how.picture(path).max() < 60 and Preprocess(24, crop=1.0).picture(path).max() > 200


def test_pictures_of_8_bits_are_what_they_were(tmp_path):
    root = scene(tmp_path / "set", 255, np.uint8, ".png")
    data = load(root, quiet=True)
    assert data.train.source.span is None and not any("8 bits" in note for note in data.notes)
    path = data.train.paths[0]
    assert (decode(path)[..., 0] == np.asarray(Image.open(path))).all()


def test_edited_pictures_keep_the_law_and_another_law_is_other_data(tmp_path):
    one = scene(tmp_path / "one", 4095, np.uint16, ".png")
    data = load(one, quiet=True, label_edits={"dim/0.png": "bright", "dim/1.png": None})
    assert data.train.source.span == (0.0, 4095.0) and len(data.train.source) == 7
    before = load(one, quiet=True).fingerprint
    save(one / "bright" / "0.png", (RAMP * 60_000).astype(np.uint16))
    assert load(one, quiet=True).fingerprint != before


@pytest.mark.parametrize(("scale", "warned"), [(4095, False), (65535, True)])
def test_a_split_that_is_cut_by_the_trainings_law_is_said(tmp_path, scale, warned):
    root = scene(tmp_path / "set" / "train", 4095, np.uint16, ".png").parent
    scene(root / "test", scale, np.uint16, ".png")
    assert any("65,535" in note for note in load(root, quiet=True).notes) == warned


def layers(channels: int, top: float) -> np.ndarray:
    """A ramp to `top` in each colour, and a last channel that covers all: (24, 24, channels)."""
    values = np.repeat((RAMP * top)[..., None], channels, 2)
    if channels in (2, 4):
        values[..., -1] = 65535
    return values


@pytest.mark.parametrize(
    ("channels", "top", "dtype", "write", "ending"),
    [
        (2, 4095, np.uint16, png16, ".png"),
        (3, 4095, np.uint16, png16, ".png"),
        (4, 1023, np.uint16, png16, ".png"),
        (3, 4095, np.uint16, tiff, ".tif"),
        (4, 4095, np.uint16, tiff, ".tif"),
        (3, 1, np.float32, tiff, ".tif"),
        (1, 1, np.float64, tiff, ".tif"),
    ],
)
def test_colours_of_more_than_8_bits_keep_their_levels(
    tmp_path, channels, top, dtype, write, ending
):
    for label, dim in (("bright", 1.0), ("dim", 0.3)):
        for n in range(2):
            path = tmp_path / "set" / label / f"{n}{ending}"
            write(path, layers(channels, top * dim).astype(dtype))
    data = load(tmp_path / "set", quiet=True, valid=0)
    assert data.train.source.span == (0.0, float(top))
    for i, path in enumerate(data.train.paths):
        pixels = data.train[i][0]
        assert pixels.shape == (24, 24, 3) and len(np.unique(pixels)) == 24
        assert pixels.max() in ((255,) if path.parent.name == "bright" else (76, 77))
        opened = Image.open(path) if write is png16 else path.read_bytes()
        assert (decode(opened, span=data.train.source.span) == pixels).all()


def test_colours_of_full_16_bits_are_what_pillow_makes_of_them(tmp_path):
    path = png16(tmp_path / "a.png", layers(3, 65535).astype(np.uint16))
    assert (decode(path) == np.asarray(Image.open(path))).all()
