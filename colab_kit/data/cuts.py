"""Cuts: a part of a picture, brought to a size with antialiasing, into memory that is there already."""

from __future__ import annotations

import numpy as np
import torch

Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels of the picture

# F.interpolate(antialias=True) without its allocation: twice as fast on pictures this small. Lets other threads run meanwhile.
_RESIZE = {"bilinear": torch._C._nn._upsample_bilinear2d_aa, "bicubic": torch._C._nn._upsample_bicubic2d_aa}


def cut(picture: np.ndarray, box: Box, out: np.ndarray, *, interpolation: str = "bilinear", flip: bool = False) -> None:
    """Write the part of a picture inside `box`, resized and antialiased, to `out`.

    Parameters
    ----------
    picture : uint8, (H, W, C)
    out : uint8, (h, w, C)
    interpolation : "bilinear" or "bicubic"
    flip : whether left and right are exchanged
    """
    top, left, bottom, right = box
    part = torch.from_numpy(picture if picture.flags.writeable else picture.copy()).permute(2, 0, 1).unsqueeze(0)
    part, to = part[:, :, top:bottom, left:right], torch.from_numpy(out)
    into = torch.empty_like(to) if flip else to
    if part.shape[2:] == out.shape[:2]:
        into.copy_(part[0].permute(1, 2, 0))
    else:
        _RESIZE[interpolation](part, out.shape[:2], False, None, out=into.permute(2, 0, 1).unsqueeze(0))  # type: ignore[call-arg]
    if flip:
        to.copy_(into.flip(1))


def squashed(picture: np.ndarray, side: int, out: np.ndarray | None = None) -> np.ndarray:
    """A whole picture as a uint8 square (side, side, C), in `out` if given: its proportions are kept beside it, as width / height."""
    out = np.empty((side, side, picture.shape[2]), np.uint8) if out is None else out
    cut(picture, (0, 0, picture.shape[0], picture.shape[1]), out)
    return out


def middle(side: int, aspect: float, share: float) -> Box:
    """The box of the middle square of a picture that was squashed to `side`.

    aspect : width / height of the upright picture
    share : of its short side
    """
    high = share * (aspect if aspect < 1 else 1.0)
    wide = share * (1 / aspect if aspect > 1 else 1.0)
    rows, columns = (max(1, round(side * part)) for part in (high, wide))
    top, left = (side - rows) // 2, (side - columns) // 2
    return top, left, top + rows, left + columns
