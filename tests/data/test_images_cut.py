"""Cuts: any part of any picture at any size, antialiased, as torchvision makes it."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resized_crop

from colab_kit.data.images import cut, middle, squash


def noise(high: int, wide: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (high, wide, channels), dtype=np.uint8)


def cut_out(picture, box, size, **kw) -> np.ndarray:
    out = np.full((*size, picture.shape[2]), 13, np.uint8)
    cut(picture, box, out, **kw)
    return out


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("box", [(0, 0, 40, 50), (3, 5, 33, 17), (39, 49, 40, 50), (0, 10, 20, 30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_torchvisions_resized_crop_with_antialiasing(interpolation, box, channels):
    picture, (top, left, bottom, right) = noise(40, 50, channels), box
    mode = getattr(InterpolationMode, interpolation.upper())
    theirs = resized_crop(
        torch.from_numpy(picture).movedim(2, 0),
        top,
        left,
        bottom - top,
        right - left,
        [20, 24],
        interpolation=mode,
        antialias=True,
    )
    ours = cut_out(picture, box, (20, 24), interpolation=interpolation)
    assert np.abs(ours.astype(int) - theirs.movedim(0, 2).numpy().astype(int)).max() <= 1


def test_a_flip_exchanges_left_and_right_and_nothing_else():
    picture = noise(40, 50)
    for size in ((16, 16), (30, 12)):
        assert (
            cut_out(picture, (3, 5, 33, 17), size, flip=True)
            == cut_out(picture, (3, 5, 33, 17), size)[:, ::-1]
        ).all()


def test_a_part_that_has_the_size_already_is_not_touched():
    picture = noise(24, 24)
    assert (cut_out(picture, (0, 0, 24, 24), (24, 24)) == picture).all() and (
        squash(picture, 24) == picture
    ).all()


def test_the_picture_is_left_alone_and_may_be_read_only():
    picture = noise(30, 30)
    before = picture.copy()
    cut_out(picture, (0, 0, 30, 30), (8, 8), flip=True)
    assert (picture == before).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 500), (33, 32)])
@pytest.mark.parametrize("side", [1, 8, 96])
def test_any_shape_is_squashed_to_a_square(shape, side):
    pixels = squash(np.full((*shape, 3), 77, np.uint8), side)
    assert pixels.shape == (side, side, 3) and (pixels == 77).all()


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(squash(stripes, 8).astype(int) - 127).max() < 8


@pytest.mark.parametrize(
    ("aspect", "box"),
    [(1.0, (1, 1, 7, 7)), (2.0, (1, 2, 7, 5)), (0.5, (2, 1, 5, 7)), (100.0, (1, 3, 7, 4))],
)
def test_the_middle_is_square_in_the_pictures_own_proportions(aspect, box):
    assert middle(8, aspect, 0.75) == box
