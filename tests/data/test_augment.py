"""Augmentation: torchvision's distributions, drawn from (seed, epoch, row) alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from colab_kit.data import keyed_random
from colab_kit.data.augment import (
    PRESETS,
    Augment,
    Draws,
    boxes,
    erase,
    flips,
    mirror_harm,
    mixed,
    paint,
    preset,
)

N = 4000
ROWS = np.arange(N)


def draws(n: int = N, seed: int = 0, epoch: int = 0) -> Draws:
    return Draws(seed, epoch, np.arange(n))


def far(one: np.ndarray, other: np.ndarray) -> float:
    """The largest distance of two empirical distributions (Kolmogorov and Smirnov)."""
    every = np.sort(np.concatenate([one, other]))
    ranks = [
        np.searchsorted(np.sort(sample), every, side="right") / len(sample)
        for sample in (one, other)
    ]
    return float(np.abs(ranks[0] - ranks[1]).max())


ALIKE = 1.95 * math.sqrt(
    2 / N
)  # the distance that two samples of one distribution pass once in a thousand times


@pytest.mark.parametrize(("high", "wide"), [(400, 400), (300, 500), (500, 200), (100, 900)])
def test_crops_are_distributed_as_torchvisions(high, wide):
    torch.manual_seed(0)
    scale = (0.08, 1.0)
    crop, picture = v2.RandomResizedCrop(224, scale=scale), torch.zeros(3, high, wide)
    theirs = [crop.make_params([picture]) for _ in range(N)]
    theirs = np.array(
        [(p["top"] / high, p["left"] / wide, p["height"] / high, p["width"] / wide) for p in theirs]
    )
    found = (
        np.array(
            boxes(
                Augment(scale=scale),
                draws(),
                np.full(N, wide / high, np.float32),
                (512, 512),
                0.875,
            )
        )
        / 512
    )
    ours = np.stack(
        [found[:, 0], found[:, 1], found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]], 1
    )
    for column in range(
        4
    ):  # a fraction of 512 and one of the picture's own lines differ by less than a line
        values = np.round(ours[:, column] * 100), np.round(theirs[:, column] * 100)
        assert far(*values) < ALIKE + 0.03, column


def test_every_box_lies_within_the_square():
    for aspect in (0.01, 0.3, 1.0, 2.5, 80.0):
        found = np.array(
            boxes(PRESETS["strong"], draws(), np.full(N, aspect, np.float32), (37, 37), 0.875)
        )
        assert found.min() >= 0 and found.max() <= 37 and (found[:, 2:] > found[:, :2]).all()


def test_without_a_crop_the_middle_is_taken():
    assert set(boxes(Augment(), draws(3), np.ones(3, np.float32), (8, 8), 0.75)) == {(1, 1, 7, 7)}


def test_half_the_pictures_are_flipped():
    assert (
        abs(flips(PRESETS["light"], draws()).mean() - 0.5) < 0.03
        and not flips(Augment(), draws()).any()
    )


@pytest.mark.parametrize("name", ["boxes", "flips", "paint", "erase"])
def test_a_rows_draws_are_the_same_in_any_batch_and_order(name):
    strong, rows = PRESETS["strong"], np.array([9, 4, 7, 1, 8])
    pixels = torch.rand(10, 3, 12, 12) * 255

    def made(which: np.ndarray) -> list:
        d = Draws(3, 2, which)
        match name:
            case "boxes":
                return boxes(strong, d, np.ones(len(which), np.float32), (64, 64), 0.875)
            case "flips":
                return flips(strong, d).tolist()
            case "paint":
                return list(paint(pixels[which], strong, d))
        return list(erase(pixels[which].clone(), Augment(erase=0.9), d))

    whole = made(rows)
    for i, row in enumerate(rows):
        (alone,) = made(np.array([row]))
        assert (
            torch.equal(alone, whole[i]) if isinstance(alone, torch.Tensor) else alone == whole[i]
        )


def test_seed_and_epoch_change_every_draw_and_nothing_outside_does():
    light = PRESETS["light"]
    found = [
        boxes(light, draws(50, seed, epoch), np.ones(50, np.float32), (99, 99), 1.0)
        for seed, epoch in ((0, 0), (1, 0), (0, 1))
    ]
    assert found[0] != found[1] != found[2] != found[0]
    torch.manual_seed(5), np.random.seed(5)
    assert boxes(light, draws(50), np.ones(50, np.float32), (99, 99), 1.0) == found[0]


@pytest.mark.parametrize("what", ["brightness", "contrast", "saturation"])
def test_a_colour_change_is_torchvisions_by_a_factor_of_the_same_range(what):
    picture = torch.rand(N, 3, 2, 2, generator=torch.Generator().manual_seed(1)) * 255
    made = paint(picture.clone(), Augment(**{what: 0.4}), draws())
    theirs = getattr(tv, f"adjust_{what}")
    lowest, highest = 1.0, 1.0
    for i in range(40):
        # the distance has one valley: it is looked for in steps of 0.04, then of 0.002
        best, step = 1.0, 0.4
        for finer in (0.04, 0.002):
            factors = torch.arange(best - step, best + step + finer / 2, finer).clamp(0.6, 1.4)
            close = [
                (theirs(picture[i] / 255, float(f)) * 255 - made[i]).abs().max() for f in factors
            ]
            nearest = int(torch.stack(close).argmin())
            best, step = float(factors[nearest]), finer
        assert close[nearest] < 0.7
        lowest, highest = min(lowest, best), max(highest, best)
    assert lowest < 0.68 and highest > 1.32


def always(value):
    """Draws that give this number for every purpose."""
    return lambda *a, **k: np.array([value])


def test_hue_is_torchvisions():
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for turn in (-0.5, -0.2, 0.01, 0.3):
        made = paint(picture * 255, Augment(hue=0.5), always(turn))
        torch.testing.assert_close(made / 255, tv.adjust_hue(picture, turn), atol=2e-5, rtol=0)


def test_a_quarter_turn_is_a_quarter_turn():
    picture = torch.arange(36.0).view(1, 1, 6, 6)
    made = paint(picture, Augment(rotate=90.0), always(90.0))
    torch.testing.assert_close(made, torch.rot90(picture, -1, (2, 3)), atol=1e-3, rtol=0)


def test_erasing_wipes_out_as_often_and_as_much_as_torchvision():
    torch.manual_seed(0)
    theirs = v2.RandomErasing(p=0.25)
    one = torch.ones(3, 32, 32)
    wiped = np.array([float((theirs(one) == 0).float().mean()) for _ in range(N)])
    ours = (
        (erase(torch.ones(N, 3, 32, 32), Augment(erase=0.25), draws()) == 0)
        .float()
        .mean((1, 2, 3))
        .numpy()
    )
    assert abs((ours > 0).mean() - (wiped > 0).mean()) < 0.04
    some = min((ours > 0).sum(), (wiped > 0).sum())
    assert far(ours[ours > 0], wiped[wiped > 0]) < 1.95 * math.sqrt(2 / some) + 0.02


def test_grey_pictures_take_what_has_a_meaning_for_them():
    grey = torch.rand(4, 1, 8, 8) * 255
    made = paint(grey, PRESETS["strong"], draws(4))
    assert (
        made.shape == grey.shape
        and not torch.equal(made, grey)
        and made.min() >= 0
        and made.max() <= 255
    )


def test_nothing_leaves_the_range_of_bytes():
    made = paint(torch.rand(64, 3, 8, 8) * 255, PRESETS["strong"], draws(64))
    assert made.min() >= -1e-3 and made.max() <= 255 + 1e-3


def test_presets_go_from_nothing_to_much():
    assert list(PRESETS) == ["none", "light", "standard", "strong"]
    none, light, standard, strong = PRESETS.values()
    assert (
        not (none.cuts or none.paints)
        and light.cuts
        and not light.paints
        and standard.paints
        and strong.erase > 0
    )
    assert preset("light") is light and preset(strong) is strong


# --- mixup and cutmix ---------------------------------------------------------------------------------------------


def test_mixup_is_a_blend_with_another_picture():
    x = torch.rand(6, 3, 4, 4)
    made, other, share = mixed(x, 0.4, 0.0, 0, keyed_random.MIXUP, 1, 2)
    assert other is not None and torch.equal(made, torch.lerp(x[other], x, share)) and 0 < share < 1


def test_cutmix_sets_a_rectangle_of_another_picture_in_and_the_share_is_what_is_left():
    x = torch.rand(6, 3, 20, 30)
    kept = x.clone()
    seen = []
    for number in range(30):
        made, other, share = mixed(x, 0.0, 1.0, 0, keyed_random.MIXUP, 0, number)
        assert other is not None and torch.equal(x, kept)
        of_other = (made == x[other]).all(1) & (made != x).any(1)
        own = (made == x).all(1)
        assert (own | of_other).all()
        moved = [i for i in range(6) if other[i] != i]
        assert share == pytest.approx(
            1 - of_other[moved].float().mean((1, 2)).mean().item(), abs=1e-6
        )
        seen.append(share)
    assert min(seen) < 0.4 and max(seen) > 0.7


def test_both_are_one_of_both_each_batch():
    x = torch.rand(4, 3, 16, 16)
    blends = 0
    for number in range(100):
        made, other, share = mixed(x, 1.0, 1.0, 0, number)
        assert other is not None
        blends += torch.equal(made, torch.lerp(x[other], x, share)) and share not in (0.0, 1.0)
    assert 30 < blends < 70


def test_off_is_off_and_rows_of_numbers_are_not_cut():
    x = torch.rand(4, 10)
    assert mixed(x, 0.0, 0.0, 1) == (x, None, 1.0) and mixed(x, 0.0, 1.0, 1)[1] is None
    assert mixed(x, 1.0, 1.0, 1)[1] is not None


NUMBERS = tuple("0123456789")


@pytest.mark.parametrize(
    ("classes", "harm"),
    [
        (("left", "right"), "mirrored, left would be right"),
        (("Right", "Left", "stop"), "mirrored, Right would be Left"),
        (("hand-left-open", "hand-right-open"), "mirrored, hand-left-open would be hand-right"),
        (("arrowLeft", "arrowRight"), "mirrored, arrowLeft would be arrowRight"),
        (("gauche", "droite"), "mirrored, gauche would be droite"),
        (("向左", "向右"), "mirrored, 向左 would be 向右"),
        (("a", "b", "c", "d"), "digits or letters"),
        (("A", "B", "C", "nothing"), "digits or letters"),
        (("б", "в", "г"), "digits or letters"),
        (NUMBERS, "digits or letters"),
        (NUMBERS[1:], "digits or letters"),
        (("3", "7"), "digits or letters"),
        (NUMBERS[:5], ""),  # numbers of any classes
        (("1", "2", "3"), ""),
        (tuple(map(str, range(12))), ""),
        (("left", "straight"), ""),
        (("turn left", "park right"), ""),
        (("leftover", "rightful"), ""),
        (("cat", "dog"), ""),
        (("b", "dog", "cat", "cow"), ""),
    ],
)
def test_classes_that_a_mirror_harms_are_told_by_their_names(classes, harm):
    found = mirror_harm(classes)
    assert harm in found and bool(harm) is bool(found)
