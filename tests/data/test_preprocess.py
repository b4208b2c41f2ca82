"""Preprocessing: one function from pixels to input, for training and for predicting."""

import json

import numpy as np
import pytest
import torch

from colab_kit.data.images import decode
from colab_kit.data.preprocess import Preprocess

from ..support.pictures import picture

BYTES = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)


def test_bytes_become_normalised_floats():
    made = Preprocess(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0)).input(BYTES, "cpu")
    mean, std = (
        torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1),
        torch.tensor([0.5, 0.25, 2.0]).view(1, 3, 1, 1),
    )
    assert made.dtype == torch.float32 and torch.allclose(
        made, (BYTES / 255 - mean) / std, atol=1e-6
    )


def test_the_default_spans_minus_one_to_one():
    made = Preprocess().input(torch.tensor([[0, 255]], dtype=torch.uint8), "cpu")
    assert torch.allclose(made, torch.tensor([[-1.0, 1.0]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_floats_are_left_as_they_are_but_for_their_width(dtype):
    x = torch.tensor([[-7.0, 300.0]], dtype=dtype)
    made = Preprocess(size=9, channels=3).input(x, "cpu")
    assert made.dtype == torch.float32 and made.tolist() == x.tolist()


def test_whole_numbers_that_are_no_bytes_are_left_for_an_embedding():
    assert Preprocess().input(torch.tensor([[300]]), "cpu").dtype == torch.int64


def test_the_users_tensor_is_not_written_to():
    for x in (BYTES.clone(), torch.rand(2, 3, 4, 4)):
        kept = x.clone()
        Preprocess(size=2, channels=1).input(x, "cpu")
        assert torch.equal(x, kept)


@pytest.mark.parametrize(
    ("have", "want"), [(1, 3), (3, 1), (3, 3), (1, 1), (4, 3), (4, 1), (2, None)]
)
def test_channels_are_what_the_network_takes(have, want):
    x = torch.randint(0, 256, (2, have, 4, 4), dtype=torch.uint8)
    made = Preprocess(channels=want).input(x, "cpu")
    assert made.shape == (2, want or have, 4, 4)
    if have != want and want is not None:
        colours = x[:, :3] if have == 4 else x
        grey = (colours.float().mean(1, keepdim=True) / 255 - 0.5) / 0.5
        seen = (
            (colours / 255 - 0.5) / 0.5
            if have == 4 and want == 3
            else grey.expand(-1, want, -1, -1)
        )
        assert torch.allclose(made, seen, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [2, 4, 9])
def test_arrays_are_brought_to_size_within_the_range_of_bytes(interpolation, size):
    x = (torch.rand(2, 1, 4, 4) > 0.5).to(torch.uint8) * 255
    made = Preprocess(size=size, interpolation=interpolation).input(x, "cpu")
    assert made.shape == (2, 1, size, size) and made.abs().max() <= 1 + 1e-6


def test_a_grey_network_of_three_means_normalises_after_the_channels():
    made = Preprocess(channels=3, mean=(0.0, 0.5, 1.0), std=(1.0, 1.0, 1.0)).input(
        torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), "cpu"
    )
    assert made[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)


def test_a_file_and_its_pixels_become_the_same_square(tmp_path):
    path = picture(tmp_path / "x.png", size=(50, 40))
    preprocess = Preprocess(size=16, crop=0.9, interpolation="bicubic")
    assert np.array_equal(preprocess.picture(path), preprocess.picture(decode(path)))
    assert Preprocess().picture(path).shape == (224, 224, 3)


def test_a_record_gives_it_back_equal():
    for preprocess in (
        Preprocess(),
        Preprocess(96, 3, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), "bicubic", 0.9),
    ):
        assert Preprocess.from_json(json.loads(json.dumps(preprocess.as_json()))) == preprocess


def test_a_picture_that_has_the_size_already_and_is_taken_whole_is_not_touched(tmp_path):
    path = picture(tmp_path / "x.png", size=(16, 16))
    assert np.array_equal(Preprocess(size=16, crop=1.0).picture(path), decode(path))


def test_the_middle_of_a_wide_picture_is_what_is_evaluated():
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    assert (Preprocess(size=20, crop=1.0).picture(wide)[:, 5:-5] >= 250).all()
    assert (Preprocess(size=20, crop=0.5).picture(wide)[:, 2:-2] == 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 500)])
def test_any_shape_becomes_a_square_of_the_size(shape):
    for interpolation in ("bilinear", "bicubic"):
        pixels = Preprocess(size=24, interpolation=interpolation).picture(
            np.full((*shape, 3), 77, np.uint8)
        )
        assert pixels.shape == (24, 24, 3) and pixels.dtype == np.uint8 and (pixels == 77).all()


def test_memory_that_is_given_is_used_and_changes_no_bit():
    x = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    out = torch.empty(2, 3, 5, 5)
    made = Preprocess(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    assert made.input(x, "cpu", out=out) is out and torch.equal(out, made.input(x, "cpu"))


@pytest.mark.parametrize("size", [(64, 12), (12, 64), (20, 20)])
def test_squash_shows_all_of_a_picture_and_crop_its_middle(size):
    wide, high = size
    picture = np.zeros((high, wide, 3), np.uint8)
    picture[:2, :2] = picture[-2:, -2:] = 255  # two corners
    shown = {way: Preprocess(16, resize=way).picture(picture) for way in ("crop", "squash")}
    assert shown["squash"][0, 0].min() > 30 and shown["squash"][-1, -1].min() > 30
    assert shown["crop"][0, 0].max() < shown["squash"][0, 0].max()
    assert shown["crop"].shape == shown["squash"].shape == (16, 16, 3)


@pytest.mark.parametrize("size", [(64, 12), (12, 64), (20, 20)])
def test_pad_shows_all_of_a_picture_in_its_proportions(size):
    wide, high = size
    how = Preprocess(16, mean=(0.2, 0.4, 0.6), std=(0.5, 0.5, 0.5), resize="pad")
    shown = how.picture(np.full((high, wide, 3), 250, np.uint8))
    is_margin = (shown == (51, 102, 153)).all(2)
    assert is_margin.mean() == pytest.approx(1 - min(size) / max(size), abs=0.1)
    assert (
        not how.shown(how.input(torch.from_numpy(shown).movedim(2, 0)[None], "cpu")).isnan().any()
    )


def test_a_record_without_resize_is_one_that_crops():
    facts = Preprocess(16).as_json()
    del facts["resize"]
    assert Preprocess.from_json(facts) == Preprocess(16, resize="crop")
