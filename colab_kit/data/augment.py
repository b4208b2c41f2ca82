"""Augmentation: a random view of each training picture, a function of (seed, epoch, row).

First come crop and flip, on bytes, picture by picture (images.cut). Then come rotation, colours and
erasing, on the whole batch, on the device of the network. The draws are those of torchvision's
RandomResizedCrop, ColorJitter and RandomErasing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from . import keyed_random
from .images import Box, middle

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
        colours = self.brightness, self.contrast, self.saturation, self.hue
        return any((self.rotate, *colours, self.erase))


PRESETS = {
    "none": Augment(),
    "light": Augment((0.35, 1.0), flip=0.5),
    "standard": Augment(
        (0.25, 1.0), flip=0.5, rotate=10.0, brightness=0.2, contrast=0.2, saturation=0.2
    ),
    "strong": Augment(
        (0.08, 1.0),
        flip=0.5,
        rotate=15.0,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        erase=0.25,
    ),
}

# The purpose of a draw: part of its key.
_AREA, _RATIO, _TOP, _LEFT, _FLIP, _ANGLE, _BRIGHT, _CONTRAST, _SATURATION, _HUE, _ERASE = range(11)


# Words that a mirror exchanges.
MIRRORED = (
    "left right",
    "l r",
    "east west",
    "clockwise counterclockwise",
    "clockwise anticlockwise",
    "cw ccw",
    "links rechts",
    "gauche droite",
    "izquierda derecha",
    "sinistra destra",
    "esquerda direita",
    "左 右",
)
_OTHER = {a: b for pair in MIRRORED for a, b in (pair.split(), pair.split()[::-1])}
FEWEST_SIGNS = 0.5  # of the classes: so many single digits or letters make a set of written signs
DIGITS = 9  # numbers from 0 or 1 on that end before it count classes, and are no digits


def mirror_harm(classes: Sequence[str]) -> str:
    """Say why a mirrored picture may be one of another class, as the names say; "": it is not.

    Examples
    --------
    >>> mirror_harm(["stop", "turn_left", "turn_right"])
    'mirrored, turn_left would be turn_right'
    """
    by_words = {tuple(_words(name)): name for name in reversed(classes)}
    for words, name in reversed(by_words.items()):
        swapped = tuple(_OTHER.get(word, word) for word in words)
        if swapped != words and swapped in by_words:
            return f"mirrored, {name} would be {by_words[swapped]}"
    if _are_signs(classes):
        return "the classes are digits or letters, and mirrored they would be other signs"
    return ""


def _are_signs(classes: Sequence[str]) -> bool:
    """Tell whether classes are written signs: 3 and 7, A to Z; 0, 1, 2 number any classes."""
    signs = [name for name in classes if len(name) == 1 and name.isalnum()]
    if len(signs) < max(2, FEWEST_SIGNS * len(classes)):
        return False
    if not all(name.isdecimal() for name in classes):
        return True
    numbers = sorted(map(int, classes))
    counts = numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[-1] + 1))
    return numbers[-1] == DIGITS or not counts


def _words(name: str) -> list[str]:
    """Split a name at blanks, signs, digits and capitals inside it: turnLeft_2 is turn, left, 2."""
    parts = re.sub(r"([^\W\d_A-Z])([A-Z])", r"\1 \2", name).casefold()
    return re.findall(r"[左右]|[^\W\d_左右]+|\d+", parts)


def preset(name: str | Augment) -> Augment:
    return name if isinstance(name, Augment) else PRESETS[name]


@dataclass(frozen=True)
class Draws:
    """Uniform numbers for rows: a row's are the same in any batch, order or process."""

    seed: int
    epoch: int
    rows: ndarray

    def __call__(self, what: int, low: float = 0.0, high: float = 1.0, again: int = 0) -> ndarray:
        """float64, (n,), from [low, high)."""
        key = self.seed, keyed_random.VIEW, self.epoch, what, again
        return low + (high - low) * keyed_random.uniforms(self.rows, *key)


def boxes(
    augment: Augment, draws: Draws, aspects: ndarray, side: tuple[int, int], share: float
) -> list[Box]:
    """Choose where each picture is cut, in pixels of its squashed square.

    Parameters
    ----------
    augment, draws : how far the crops may go, and their numbers
    aspects : (n,), width / height of the pictures as they are: crops keep these proportions
    side : height and width of the squashed picture
    share : of the short side that the middle takes where nothing is drawn
    """
    if augment.scale is None:
        return [middle(side[0], float(a), share) for a in aspects]
    wide, high, never = _crop_sizes(augment, augment.scale, draws, aspects)
    # fractions of width (a picture is `aspect` wide) and of height (it is 1 high)
    columns = np.maximum(1, np.round(wide / aspects * side[1])).astype(np.int64)
    lines = np.maximum(1, np.round(high * side[0])).astype(np.int64)
    down, along = (np.where(never, 0.5, draws(what)) for what in (_TOP, _LEFT))
    top = np.floor(down * (side[0] - lines + 1)).astype(np.int64)
    left = np.floor(along * (side[1] - columns + 1)).astype(np.int64)
    corners = np.stack([top, left, top + lines, left + columns], 1)
    return [(a, b, c, d) for a, b, c, d in corners.tolist()]


def _crop_sizes(
    augment: Augment, scale: tuple[float, float], draws: Draws, aspects: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """Give width and height of each crop, the first try that fits, and where none fits."""
    low, high = augment.ratio
    # where none fits: all of the short side, the other within `ratio`
    wide = np.where(aspects > high, high, aspects)
    tall = np.where(aspects < low, aspects / low, 1.0)
    never = np.ones(len(aspects), bool)
    for number in range(TRIES):
        area = aspects * draws(_AREA, *scale, again=number)
        ratio = np.exp(draws(_RATIO, math.log(low), math.log(high), again=number))
        w, h = np.sqrt(area * ratio), np.sqrt(area / ratio)
        fits = never & (w <= aspects) & (h <= 1.0)
        wide, tall, never = np.where(fits, w, wide), np.where(fits, h, tall), never & ~fits
        if not never.any():
            break
    return wide, tall, never


def flips(augment: Augment, draws: Draws) -> ndarray:
    """Choose which pictures are flipped: bool, (n,)."""
    return draws(_FLIP) < augment.flip


def paint(x: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """Rotate pictures and change their colours: float32 (n, C, H, W) from 0 to 255."""
    if augment.rotate:
        x = _rotate(x, _on(x, np.deg2rad(draws(_ANGLE, -augment.rotate, augment.rotate))))
    if augment.brightness:
        x = (x * _factor(x, draws, _BRIGHT, augment.brightness)).clamp_(0, 255)
    if augment.contrast:
        mean = _grey(x).mean((1, 2, 3), keepdim=True)
        x = torch.lerp(mean, x, _factor(x, draws, _CONTRAST, augment.contrast)).clamp_(0, 255)
    if augment.saturation and x.shape[1] == 3:
        factor = _factor(x, draws, _SATURATION, augment.saturation)
        x = torch.lerp(_grey(x).expand_as(x), x, factor).clamp_(0, 255)
    if augment.hue and x.shape[1] == 3:
        x = _turn_hue(x, _on(x, draws(_HUE, -augment.hue, augment.hue)))
    return x


def erase(x: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """Wipe rectangles out of normalised pictures, in place: zero is the mean there."""
    if not augment.erase:
        return x
    high, wide = x.shape[-2:]
    chosen = np.flatnonzero(draws(_ERASE) < augment.erase)
    for again in range(0, 4 * TRIES, 4):
        area = high * wide * draws(_ERASE, 0.02, 0.33, again=again + 1)
        ratio = np.exp(draws(_ERASE, math.log(0.3), math.log(3.3), again=again + 2))
        lines = np.round(np.sqrt(area * ratio)).astype(np.int64)
        columns = np.round(np.sqrt(area / ratio)).astype(np.int64)
        fits = (lines < high) & (columns < wide)
        top = (draws(_ERASE, again=again + 3) * (high - lines + 1)).astype(np.int64)
        left = (draws(_ERASE, again=again + 4) * (wide - columns + 1)).astype(np.int64)
        for i in chosen[fits[chosen]]:
            x[i, :, top[i] : top[i] + lines[i], left[i] : left[i] + columns[i]] = 0
        chosen = chosen[~fits[chosen]]
    return x


def _on(x: Tensor, numbers: ndarray) -> Tensor:
    return torch.from_numpy(numbers.astype(np.float32)).to(x.device).view(-1, 1, 1, 1)


def _factor(x: Tensor, draws: Draws, what: int, far: float) -> Tensor:
    return _on(x, draws(what, max(0.0, 1 - far), 1 + far))


def _grey(x: Tensor) -> Tensor:
    """Luma (ITU-R 601), (n, 1, H, W)."""
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    weights = torch.tensor([0.2989, 0.587, 0.114], device=x.device).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


def _rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Turn pictures about the middle by radians, (n, 1, 1, 1), with black corners."""
    high, wide = x.shape[-2:]
    angle = angle.flatten()
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turn = torch.stack([cos, sin * high / wide, zero, -sin * wide / high, cos, zero], 1)
    functional = torch.nn.functional
    grid = functional.affine_grid(turn.view(-1, 2, 3), list(x.shape), align_corners=False)
    return functional.grid_sample(
        x, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def _turn_hue(x: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of HSV by a share of its circle, (n, 1, 1, 1)."""
    x = x / 255
    top, low = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    span = (top - low).clamp_min(1e-12)
    r, g, b = x[:, :1], x[:, 1:2], x[:, 2:]
    others = torch.where(top == g, 2 + (b - r) / span, 4 + (r - g) / span)
    hue = (torch.where(top == r, (g - b) / span, others) / 6 + turn) % 1.0
    # each channel is `top` less a share of the span (Smith 1978, hexcone)
    parts = [(k + hue * 6) % 6 for k in (5, 3, 1)]
    shares = torch.cat([torch.minimum(k, 4 - k).clamp(0, 1) for k in parts], 1)
    return (top - (top - low) * shares) * 255


def mixed(x: Tensor, mixup: float, cutmix: float, *key: int) -> tuple[Tensor, Tensor | None, float]:
    """Mix a batch with itself in another order: (x, other, share).

    The target is `share` of y and the rest of y[other]; other is None where nothing was mixed.
    mixup (Zhang et al. 2018) blends whole pictures, cutmix (Yun et al. 2019) sets a rectangle of
    the other into each. With both, the key chooses one of them for the batch.

    Parameters
    ----------
    x : the batch's input
    mixup, cutmix : alpha of Beta(alpha, alpha); 0 is off
    key : of the draws
    """
    cuts = cutmix > 0 and x.ndim == 4
    if cuts and mixup:
        cuts = bool(keyed_random.uniforms(np.zeros(1, np.int64), *key, 1)[0] < 0.5)
    alpha = cutmix if cuts else mixup
    if not alpha:
        return x, None, 1.0
    draw = keyed_random.numpy_generator(*key)
    share = float(draw.beta(alpha, alpha))
    other = torch.from_numpy(draw.permutation(len(x))).to(x.device)
    if not cuts:
        return torch.lerp(x[other], x, share), other, share
    high, wide = x.shape[-2:]
    part = math.sqrt(1 - share) / 2
    line, column = int(draw.integers(0, high)), int(draw.integers(0, wide))
    lines, columns = round(high * part), round(wide * part)
    top, bottom = max(line - lines, 0), min(line + lines, high)
    left, right = max(column - columns, 0), min(column + columns, wide)
    x = x.clone()
    x[:, :, top:bottom, left:right] = x[other, :, top:bottom, left:right]
    return x, other, 1.0 - (bottom - top) * (right - left) / (high * wide)
