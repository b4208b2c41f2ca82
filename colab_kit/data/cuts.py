"""Cuts: a part of a picture, brought to a size with antialiasing, into memory that is there already."""

from __future__ import annotations

import threading

import numpy as np
import torch

Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels of the picture

_mine = threading.local()

# F.interpolate(antialias=True) without its allocation: twice as fast on pictures this small. Lets other threads run meanwhile.
_RESIZE = {
    "bilinear": torch._C._nn._upsample_bilinear2d_aa,
    "bicubic": torch._C._nn._upsample_bicubic2d_aa,
}


def cut(
    picture: np.ndarray,
    box: Box,
    out: np.ndarray,
    *,
    interpolation: str = "bilinear",
    flip: bool = False,
) -> None:
    """Write the part of a picture inside `box`, resized and antialiased, to `out`.

    Parameters
    ----------
    picture : uint8, (H, W, C)
    out : uint8, (h, w, C)
    interpolation : "bilinear" or "bicubic"
    flip : whether left and right are exchanged
    """
    part = _part(picture, box, flip)
    if part.shape == out.shape:
        np.copyto(out, part)
    else:
        _RESIZE[interpolation](_planes(part), out.shape[:2], False, None, out=_planes(out))  # type: ignore[call-arg]


def _part(picture: np.ndarray, box: Box, flip: bool) -> np.ndarray:
    """A box of a picture as contiguous memory, its own if that will do, else a scratch of this thread's.

    By numpy: torch would share so small a copy among OpenMP threads, which costs threads that work beside each other more than it gives.
    """
    top, left, bottom, right = box
    part = picture[top:bottom, left:right]
    if not flip and part.flags.c_contiguous and part.flags.writeable:
        return part
    scratch: np.ndarray | None = getattr(_mine, "scratch", None)
    if scratch is None or scratch.size < part.size:
        scratch = _mine.scratch = np.empty(part.size, np.uint8)
    own = scratch[: part.size].reshape(part.shape)
    if not flip:
        np.copyto(own, part)
        return own
    for channel in range(
        part.shape[2]
    ):  # a plane at a time: five times as fast as pixels of three bytes
        np.copyto(own[..., channel], part[:, ::-1, channel])
    return own


def _planes(picture: np.ndarray) -> torch.Tensor:
    """(H, W, C) as (1, C, H, W), seen by numpy: each view by torch gives the interpreter's lock away and waits for it."""
    return torch.from_numpy(picture.transpose(2, 0, 1)[None])


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
