"""Preprocessing: from uint8 pixels to what the network takes; the same for training, evaluating and predicting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .pixels import decode, square


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

    def picture(self, picture: Path | np.ndarray) -> np.ndarray:
        """A file, or uint8 (H, W, 3), as a uint8 square (size, size, 3)."""
        size = self.size or 224
        pixels = decode(picture, size) if isinstance(picture, Path) else picture
        return square(pixels, size, crop=self.crop, interpolation=self.interpolation)

    def input(self, x: torch.Tensor, device: torch.device | str) -> torch.Tensor:
        """A batch as it comes, uint8 or float, (N, C, H, W) or (N, features), as float32 input on `device`."""
        x = x.to(device, non_blocking=True)  # bytes travel, not floats: a quarter of the transfer
        if x.dtype != torch.uint8:
            return x.float() if x.is_floating_point() and x.dtype != torch.float32 else x
        scale = torch.tensor([1 / (255 * s) for s in self.std], device=device)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)], device=device)
        y = x.float()
        if y.ndim == 4:
            y = self._channels(self._resized(y))
            scale, shift = scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)
        return torch.addcmul(shift, y, scale)

    def _resized(self, y: torch.Tensor) -> torch.Tensor:
        if self.size is None or tuple(y.shape[-2:]) == (self.size, self.size):
            return y
        mode = self.interpolation
        return torch.nn.functional.interpolate(y, (self.size, self.size), mode=mode, align_corners=False, antialias=True).clamp_(0, 255)

    def _channels(self, y: torch.Tensor) -> torch.Tensor:
        want, have = self.channels, y.shape[1]
        if want is None or want == have:
            return y
        if have in (2, 4) and want in (1, 3):
            return self._channels(y[:, : have - 1])  # alpha is no colour
        return y.expand(-1, want, -1, -1) if have == 1 else y.mean(1, keepdim=True).expand(-1, want, -1, -1)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Preprocess:
        return cls(**{**value, "mean": tuple(value["mean"]), "std": tuple(value["std"])})
