"""Preprocessing: from uint8 pixels to what the network takes; the same for training, evaluating and predicting."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .augment import Augment, Draws, erased, painted
from .cuts import cut, middle, squashed
from .images import decode

STORED = 0.875  # of the side that pictures are stored with: what the network takes


@dataclass(frozen=True)
class Preprocess:
    """How pixels become the network's input. uint8 becomes (x / 255 - mean) / std; floats are left as they are.

    size : side in pixels, or None: the arrays' own
    channels : of the network's input; a grey picture is repeated, a coloured one for a grey network averaged,
        an alpha channel dropped; None: as they come
    mean, std : one number, or one a channel
    """

    size: int | None = None
    channels: int | None = None
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    interpolation: str = "bilinear"
    crop: float = 0.875

    @property
    def side(self) -> int:
        """Of the squares that files are stored as: somewhat more than the network takes, so that a crop loses little.

        Where pictures are taken whole it is the network's own: one that has that size already is not touched.
        """
        size = self.size or 224
        return size if self.crop == 1.0 else round(size / STORED)

    @property
    def share(self) -> float:
        """Of a picture's short side: what an evaluated picture shows of it, as weights' own transforms have it."""
        size = self.size or 224
        return size / max(size, round(size / self.crop))

    def picture(self, picture: Path | np.ndarray) -> np.ndarray:
        """A file, or uint8 (H, W, 3), as the uint8 square (size, size, 3) that it is evaluated as."""
        size = self.size or 224
        pixels = decode(picture, self.side) if isinstance(picture, Path) else picture
        aspect = float(np.float32(pixels.shape[1] / pixels.shape[0]))
        out = np.empty((size, size, pixels.shape[2]), np.uint8)
        cut(
            squashed(pixels, self.side),
            middle(self.side, aspect, self.share),
            out,
            interpolation=self.interpolation,
        )
        return out

    def input(
        self,
        x: torch.Tensor,
        device: torch.device | str,
        *,
        augment: Augment | None = None,
        draws: Draws | None = None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """A batch as it comes, uint8 or float, (N, C, H, W) or (N, features), as float32 input on `device`.

        augment, draws : what is done to a training batch of uint8 pictures as a whole
        out : float32 memory of the shape of x, to be used where nothing but normalising is done
        """
        x = x.to(device, non_blocking=True)  # bytes travel, not floats: a quarter of the transfer
        if x.dtype != torch.uint8:
            return x.float() if x.is_floating_point() and x.dtype != torch.float32 else x
        y = x.float() if out is None else out.copy_(x)
        if y.ndim == 4:
            y = self._channels(self._resized(y))
            if augment is not None and draws is not None:
                y = painted(y, augment, draws)
        y = self._normalised(y)
        return (
            erased(y, augment, draws)
            if augment is not None and draws is not None and y.ndim == 4
            else y
        )

    def _normalised(self, y: torch.Tensor) -> torch.Tensor:
        """(y / 255 - mean) / std of float32 numbers that were made here: in place, where they are not a view of fewer."""
        own = y.is_contiguous() or y.is_contiguous(memory_format=torch.channels_last)
        if len(self.mean) == 1:  # two passes over numbers are faster than one that spreads a tensor
            return (y.mul_ if own else y.mul)(1 / (255 * self.std[0])).add_(
                -self.mean[0] / self.std[0]
            )
        scale, shift = (t.view(1, -1, 1, 1) for t in _linear(self.mean, self.std, y.device))
        return torch.addcmul(shift, y, scale, out=y) if own else torch.addcmul(shift, y, scale)

    def reshapes(self, x: torch.Tensor) -> bool:
        """Whether input has another size or other channels than this batch."""
        size = (self.size, self.size)
        return x.ndim == 4 and (
            self.channels not in (None, x.shape[1])
            or self.size is not None
            and tuple(x.shape[-2:]) != size
        )

    def _resized(self, y: torch.Tensor) -> torch.Tensor:
        if self.size is None or tuple(y.shape[-2:]) == (self.size, self.size):
            return y
        mode = self.interpolation
        return torch.nn.functional.interpolate(
            y, (self.size, self.size), mode=mode, align_corners=False, antialias=True
        ).clamp_(0, 255)

    def _channels(self, y: torch.Tensor) -> torch.Tensor:
        want, have = self.channels, y.shape[1]
        if want is None or want == have:
            return y
        if have in (2, 4) and want in (1, 3):
            return self._channels(y[:, : have - 1])  # alpha is no colour
        return (
            y.expand(-1, want, -1, -1)
            if have == 1
            else y.mean(1, keepdim=True).expand(-1, want, -1, -1)
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Preprocess:
        return cls(**{**value, "mean": tuple(value["mean"]), "std": tuple(value["std"])})


@functools.lru_cache(64)
def _linear(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """What bytes are multiplied by and what is added: the same two tensors for every batch."""
    scale = torch.tensor([1 / (255 * s) for s in std], device=device)
    return scale, torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device)
