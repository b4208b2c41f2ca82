"""Augmentation: a random view of each training picture, drawn from (seed, epoch, row) and nothing else.

First the geometry of crop and flip, on bytes, picture by picture (cuts.cut); then, on the whole batch where the network computes:
rotation, colours, normalisation, erasing. The draws are torchvision's: RandomResizedCrop, ColorJitter, RandomErasing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from . import keyed_random
from .cuts import Box, middle

TRIES = 10  # at a crop that fits, before the middle is taken (torchvision's RandomResizedCrop)


@dataclass(frozen=True)
class Augment:
    """How far views may differ from the picture; the defaults leave it as it is.

    scale, ratio : of a crop: share of the area, and width / height; None: no crop
    flip : probability of a left-right flip
    rotate : degrees to either side
    brightness, contrast, saturation : factors from 1 - x to 1 + x
    hue : of the colour circle to either side, at most 0.5
    erase : probability that a rectangle of 2 to 33 % of the area is wiped out (Zhong et al. 2020)
    """

    scale: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    rotate: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    erase: float = 0.0

    @property
    def cuts(self) -> bool:
        """Whether crop or flip do anything."""
        return self.scale is not None or self.flip > 0

    @property
    def paints(self) -> bool:
        """Whether anything is done to the batch as a whole."""
        return any(
            (self.rotate, self.brightness, self.contrast, self.saturation, self.hue, self.erase)
        )


PRESETS = {
    "none": Augment(),
    "light": Augment(scale=(0.35, 1.0), flip=0.5),
    "standard": Augment(
        scale=(0.25, 1.0), flip=0.5, rotate=10.0, brightness=0.2, contrast=0.2, saturation=0.2
    ),
    "strong": Augment(
        scale=(0.08, 1.0),
        flip=0.5,
        rotate=15.0,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        erase=0.25,
    ),
}

# What a draw is for: part of its key.
_AREA, _RATIO, _TOP, _LEFT, _FLIP, _ANGLE, _BRIGHT, _CONTRAST, _SATURATION, _HUE, _ERASE = range(11)


class Draws:
    """Uniform numbers for the rows of a batch: the same for a row in any batch, order or process."""

    def __init__(self, seed: int, epoch: int, rows: np.ndarray) -> None:
        self.seed, self.epoch, self.rows = seed, epoch, rows

    def __call__(
        self, what: int, low: float = 0.0, high: float = 1.0, again: int = 0
    ) -> np.ndarray:
        """float64, (n,), from [low, high)."""
        return low + (high - low) * keyed_random.uniforms(
            self.rows, self.seed, keyed_random.VIEW, self.epoch, what, again
        )


def boxes(
    augment: Augment, draws: Draws, aspects: np.ndarray, side: tuple[int, int], share: float
) -> list[Box]:
    """Where each picture is cut, in pixels of its squashed square.

    Parameters
    ----------
    aspects : (n,), width / height of the pictures as they are: crops keep these proportions
    side : height and width of the squashed picture
    share : of the short side that the middle takes where nothing is drawn
    """
    if augment.scale is None:
        return [middle(side[0], float(a), share) for a in aspects]
    wide, high, never = _sizes(augment, draws, aspects)
    # fractions of width (picture: aspect) and height (picture: 1)
    columns = np.maximum(1, np.round(wide / aspects * side[1])).astype(np.int64)
    lines = np.maximum(1, np.round(high * side[0])).astype(np.int64)
    down, along = (np.where(never, 0.5, draws(what)) for what in (_TOP, _LEFT))
    top = np.floor(down * (side[0] - lines + 1)).astype(np.int64)
    left = np.floor(along * (side[1] - columns + 1)).astype(np.int64)
    return list(
        zip(
            top.tolist(),
            left.tolist(),
            (top + lines).tolist(),
            (left + columns).tolist(),
            strict=True,
        )
    )


def _sizes(
    augment: Augment, draws: Draws, aspects: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Width and height of each crop where a picture is `aspect` wide and 1 high: the first try that fits; and where none does."""
    assert augment.scale is not None
    low, high = augment.ratio
    # one that never fits: all of the short side, the other within `ratio`
    wide = np.where(aspects > high, high, aspects)
    tall = np.where(aspects < low, aspects / low, 1.0)
    open_ = np.ones(len(aspects), bool)
    for number in range(TRIES):
        area = aspects * draws(_AREA, *augment.scale, again=number)
        ratio = np.exp(draws(_RATIO, math.log(low), math.log(high), again=number))
        w, h = np.sqrt(area * ratio), np.sqrt(area / ratio)
        fits = open_ & (w <= aspects) & (h <= 1.0)
        wide, tall, open_ = np.where(fits, w, wide), np.where(fits, h, tall), open_ & ~fits
        if not open_.any():
            break
    return wide, tall, open_


def flips(augment: Augment, draws: Draws) -> np.ndarray:
    """bool, (n,)."""
    return draws(_FLIP) < augment.flip


def painted(x: torch.Tensor, augment: Augment, draws: Draws) -> torch.Tensor:
    """Pictures rotated and with other colours: float32 (n, C, H, W) from 0 to 255, before they are normalised."""
    if augment.rotate:
        x = _rotated(x, _on(x, np.deg2rad(draws(_ANGLE, -augment.rotate, augment.rotate))))
    if augment.brightness:
        x = (x * _factor(x, draws, _BRIGHT, augment.brightness)).clamp_(0, 255)
    if augment.contrast:
        mean = _grey(x).mean((1, 2, 3), keepdim=True)
        x = torch.lerp(mean, x, _factor(x, draws, _CONTRAST, augment.contrast)).clamp_(0, 255)
    if augment.saturation and x.shape[1] == 3:
        x = torch.lerp(
            _grey(x).expand_as(x), x, _factor(x, draws, _SATURATION, augment.saturation)
        ).clamp_(0, 255)
    if augment.hue and x.shape[1] == 3:
        x = _hued(x, _on(x, draws(_HUE, -augment.hue, augment.hue)))
    return x


def erased(x: torch.Tensor, augment: Augment, draws: Draws) -> torch.Tensor:
    """Wipe rectangles out of normalised pictures, in place: zero is the mean there."""
    if not augment.erase:
        return x
    high, wide = x.shape[-2:]
    chosen = np.flatnonzero(draws(_ERASE) < augment.erase)
    for again in range(TRIES):
        area = high * wide * draws(_ERASE, 0.02, 0.33, again=4 * again + 1)
        ratio = np.exp(draws(_ERASE, math.log(0.3), math.log(3.3), again=4 * again + 2))
        lines, columns = (
            np.round(np.sqrt(v)).astype(np.int64) for v in (area * ratio, area / ratio)
        )
        left = []
        for i in chosen:
            if not (lines[i] < high and columns[i] < wide):
                left.append(i)
                continue
            top = int(draws(_ERASE, again=4 * again + 3)[i] * (high - lines[i] + 1))
            start = int(draws(_ERASE, again=4 * again + 4)[i] * (wide - columns[i] + 1))
            x[i, :, top : top + int(lines[i]), start : start + int(columns[i])] = 0
        chosen = np.array(left, np.int64)
    return x


def _on(x: torch.Tensor, numbers: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(numbers.astype(np.float32)).to(x.device).view(-1, 1, 1, 1)


def _factor(x: torch.Tensor, draws: Draws, what: int, far: float) -> torch.Tensor:
    return _on(x, draws(what, max(0.0, 1 - far), 1 + far))


def _grey(x: torch.Tensor) -> torch.Tensor:
    """Luma (ITU-R 601), (n, 1, H, W)."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    weights = torch.tensor([0.2989, 0.587, 0.114], device=x.device).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


def _rotated(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Turned about the middle, bilinear, black where nothing was. angle : radians, (n, 1, 1, 1)"""
    high, wide = x.shape[-2:]
    cos, sin, zero = angle.flatten().cos(), angle.flatten().sin(), torch.zeros_like(angle.flatten())
    turn = torch.stack([cos, sin * high / wide, zero, -sin * wide / high, cos, zero], 1).view(
        -1, 2, 3
    )
    grid = torch.nn.functional.affine_grid(turn, list(x.shape), align_corners=False)
    return torch.nn.functional.grid_sample(
        x, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def _hued(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Colours moved along the circle of hue, as HSV has it. turn : share of the circle, (n, 1, 1, 1)"""
    x = x / 255
    top, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    span = (top - low).clamp_min(1e-12)
    r, g, b = x[:, :1], x[:, 1:2], x[:, 2:]
    hue = (
        torch.where(
            top == r, (g - b) / span, torch.where(top == g, 2 + (b - r) / span, 4 + (r - g) / span)
        )
        / 6
    )
    hue = (hue + turn) % 1.0
    # each channel is `top` less a share of the span (Smith 1978, hexcone)
    parts = [(k + hue * 6) % 6 for k in (5, 3, 1)]
    shares = torch.cat([torch.minimum(k, 4 - k).clamp(0, 1) for k in parts], 1)
    return (top - (top - low) * shares) * 255


def preset(name: str | Augment) -> Augment:
    return name if isinstance(name, Augment) else PRESETS[name]


def mixed(
    x: torch.Tensor, mixup: float, cutmix: float, *key: int
) -> tuple[torch.Tensor, torch.Tensor | None, float]:
    """A batch of two mixed into one: (x, other, share), the target being share of y and the rest of y[other]; None: not mixed.

    mixup (Zhang et al. 2018) blends whole pictures, cutmix (Yun et al. 2019) sets a rectangle of the other into each. With both,
    the key chooses one of them for the batch.

    mixup, cutmix : alpha of Beta(alpha, alpha); 0 is off
    """
    if not mixup and not cutmix:
        return x, None, 1.0
    draw = keyed_random.numpy_generator(*key)
    cuts = (
        cutmix > 0
        and x.ndim == 4
        and (not mixup or keyed_random.uniforms(np.zeros(1, np.int64), *key, 1)[0] < 0.5)
    )
    alpha = cutmix if cuts else mixup
    if not alpha:
        return x, None, 1.0
    share = float(draw.beta(alpha, alpha))
    other = torch.from_numpy(draw.permutation(len(x))).to(x.device)
    if not cuts:
        return torch.lerp(x[other], x, share), other, share
    high, wide = x.shape[-2:]
    part = math.sqrt(1 - share) / 2
    line, column = int(draw.integers(0, high)), int(draw.integers(0, wide))
    lines, columns = round(high * part), round(wide * part)
    top, bottom, left, right = (
        max(line - lines, 0),
        min(line + lines, high),
        max(column - columns, 0),
        min(column + columns, wide),
    )
    x = x.clone()
    x[:, :, top:bottom, left:right] = x[other, :, top:bottom, left:right]
    return x, other, 1.0 - (bottom - top) * (right - left) / (high * wide)
