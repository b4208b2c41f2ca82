"""Preprocessing: from uint8 pixels to the network's input, the same in training and predicting."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from .augment import Augment, Draws, erase, paint
from .deep import Span
from .images import Box, cut, decode, middle, squash
from .pixel_cache import PixelStore, store_for
from .sources import Pictures

STORED = 0.875  # of the side that pictures are stored with: what the network takes


@dataclass(frozen=True)
class Preprocess:
    """How pixels become input: uint8 becomes (x / 255 - mean) / std; floats stay as they are.

    size : side in pixels, or None: the arrays' own
    channels : of the network's input, or None: as they come. A grey picture is repeated, a
        coloured one averaged for a grey network, an alpha channel dropped.
    mean, std : one number, or one a channel
    interpolation : "bilinear" or "bicubic"
    crop : share of the short side that an evaluated picture shows
    span : the values that become 0 and 255 in files of more than 8 bits (deep.py), or None
    resize : "crop": a square of the picture is shown; "squash": all of it, as a square; "pad": all
        of it, in its proportions, between margins of the colour that becomes 0
    bands : as of Arrays: files are read as their bands, the numbers as they are stored; or None
    """

    size: int | None = None
    channels: int | None = None
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    interpolation: str = "bilinear"
    crop: float = 0.875
    resize: str = "crop"
    span: Span | None = None
    bands: tuple[int, str] | None = None
    doubles: bool = False

    @property
    def square(self) -> int:
        """Side of the network's input, pixels; 224 where arrays keep their own."""
        return self.size or 224

    @property
    def side(self) -> int:
        """Side of the stored squares: more than the network takes, so that crops lose little.

        Where pictures are taken whole it is the network's own: one of that size already is not
        touched.
        """
        return self.square if self.crop == 1.0 else round(self.square / STORED)

    @property
    def share(self) -> float:
        """Share of the short side that an evaluated picture shows, as weights' transforms do."""
        if self.resize != "crop":
            return 1.0
        return self.square / max(self.square, round(self.square / self.crop))

    def aspect(self, aspect: float) -> float:
        """Give the width / height that cuts keep: the picture's own, or the square's."""
        return aspect if self.resize == "crop" else 1.0

    @property
    def fill(self) -> tuple[int, ...] | None:
        """Colour of the margins around a stored picture; None where there are none."""
        if self.resize != "pad":
            return None
        return tuple(min(255, max(0, round(255 * mean))) for mean in self.mean)

    def stored(self, pixels: ndarray) -> ndarray:
        """Give uint8 (H, W, C) as the square that is stored, and cut from there."""
        return squash(pixels, self.side, fill=self.fill)

    def store(self, source: Pictures, *, kept: bool = True) -> PixelStore:
        """Give the store of a source's squares."""
        return store_for(source, self.side, self.span, self.fill, kept=kept)

    def picture(self, picture: Path | ndarray) -> ndarray:
        """Give a file, or uint8 (H, W, 3), as the uint8 square that is evaluated."""
        pixels = decode(picture, self.side, self.span) if isinstance(picture, Path) else picture
        aspect = self.aspect(float(np.float32(pixels.shape[1] / pixels.shape[0])))
        return self.view(self.stored(pixels), middle(self.side, aspect, self.share))

    def view(self, stored: ndarray, box: Box, flip: bool = False) -> ndarray:
        """Cut a stored square as uint8 (size, size, C)."""
        out = np.empty((self.square, self.square, stored.shape[2]), np.uint8)
        cut(stored, box, out, self.interpolation, flip)
        return out

    def input(
        self,
        x: Tensor,
        device: torch.device | str,
        *,
        augment: Augment | None = None,
        draws: Draws | None = None,
        out: Tensor | None = None,
        channels_last: bool = False,
    ) -> Tensor:
        """Bring a batch to `device` as input, contiguous as torch's DataLoader gives it.

        It is float32, or float64 where the network is.

        Parameters
        ----------
        x : uint8 or float, (N, C, H, W) or (N, features)
        device : where the input goes
        augment, draws : what changes a training batch of uint8 pictures as a whole
        out : float32 memory of the shape of x, to be used where nothing but normalising is done
        channels_last : whether pictures keep the layout that they have
        """
        x = x.to(device, non_blocking=True)  # bytes travel, not floats: a quarter of the transfer
        number = torch.float64 if self.doubles else torch.float32
        if x.dtype != torch.uint8:
            return x.to(number) if x.is_floating_point() else x
        y = x.float() if out is None else out.copy_(x)
        if y.ndim != 4:
            return self._normalise(y).to(number)
        y = self._to_channels(self._resize(y))
        if augment is None or draws is None:
            y = self._normalise(y)
        else:
            y = erase(self._normalise(paint(y, augment, draws)), augment, draws)
        y = y.to(number)
        return y if channels_last else y.contiguous()  # of what was resized on the CPU, a copy

    def _normalise(self, y: Tensor) -> Tensor:
        """Compute (y / 255 - mean) / std, in place where y is no view of fewer numbers."""
        own = y.is_contiguous() or y.is_contiguous(memory_format=torch.channels_last)
        if len({*self.mean}) == len({*self.std}) == 1:  # two passes by a number are faster than one
            # that spreads a tensor
            scale, shift = 1 / (255 * self.std[0]), -self.mean[0] / self.std[0]
            return (y.mul_(scale) if own else y.mul(scale)).add_(shift)
        scales, shifts = _linear(self.mean, self.std, y.device)
        return torch.addcmul(shifts, y, scales, out=y if own else None)

    def shown(self, x: Tensor) -> Tensor:
        """Give the pixels of input that bytes became, from 0 to 1, float32 (n, C, H, W)."""
        mean, std = (
            torch.tensor(v, device=x.device).view(1, -1, 1, 1) for v in (self.mean, self.std)
        )
        return x.float() * std + mean

    def reshapes(self, x: Tensor) -> bool:
        """Tell whether the input has another size or other channels than this batch."""
        if x.ndim != 4:
            return False
        own_size = self.size is None or tuple(x.shape[-2:]) == (self.size, self.size)
        return self.channels not in (None, x.shape[1]) or not own_size

    def _resize(self, y: Tensor) -> Tensor:
        if self.size is None or tuple(y.shape[-2:]) == (self.size, self.size):
            return y
        size, mode = (self.size, self.size), self.interpolation
        resize = torch.nn.functional.interpolate
        return resize(y, size, mode=mode, align_corners=False, antialias=True).clamp_(0, 255)

    def _to_channels(self, y: Tensor) -> Tensor:
        want, have = self.channels, y.shape[1]
        if want is None or want == have:
            return y
        if have in (2, 4) and want in (1, 3):
            return self._to_channels(y[:, : have - 1])  # alpha is no colour
        grey = y if have == 1 else y.mean(1, keepdim=True)
        return grey.expand(-1, want, -1, -1)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Preprocess:
        names = ("mean", "std", "span", "bands")
        rows = {name: tuple(value[name]) for name in names if value.get(name)}
        return cls(**{**value, **rows})


@functools.lru_cache(64)
def _linear(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Give what bytes are multiplied by and what is added, (1, C, 1, 1), once for all batches."""
    scale = [1 / (255 * s) for s in std]
    shift = [-m / s for m, s in zip(mean, std, strict=True)]
    rows = torch.tensor([scale, shift], device=device).view(2, 1, -1, 1, 1)
    return rows[0], rows[1]
