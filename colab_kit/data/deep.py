"""Deep pictures: grey ones of more than 8 bits, or of floats, brought to 0 to 255 by one law a set.

A law of each picture's own would make a dark picture as bright as a bright one, so the whole set,
its splits and later predictions share one: from the least to the largest value that its depth has.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray

Span = tuple[float, float]  # the values that become 0 and 255

LOOKED_AT = 64  # pictures of a set that tell its law
DEPTHS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # the largest values of 8 to 16 bits
SHARES = (1.0, 255.0, 1000.0, 4095.0, 10_000.0, 65535.0)  # usual largest values of floats
NO_DATA = -9999.0  # and below: satellite and height maps mark missing pixels so


def is_deep(mode: str) -> bool:
    """Tell whether Pillow's name of a picture's kind is a deep one."""
    return mode.startswith("I") or mode == "F"


def span_of(pictures: Iterable[ndarray]) -> Span:
    """Tell from which values to which pictures go, by the depth they need.

    Whole numbers go from 0 to the end of the smallest usual depth, floats from 0 (or -1) to 1 or
    to a usual end. Where values are negative else, their own ends count, extremes left out.
    """
    pixels = [np.asarray(picture) for picture in pictures]
    is_whole = all(values.dtype.kind in "iub" for values in pixels)
    all_values = np.concatenate([values.ravel().astype(np.float64) for values in pixels])
    all_values = all_values[np.isfinite(all_values) & (all_values > NO_DATA)]
    if not len(all_values):
        return 0.0, 1.0
    low, high = float(all_values.min()), float(all_values.max())
    if low < 0:
        if not is_whole and -1 <= low and high <= 1:
            return -1.0, 1.0
        low, high = (float(end) for end in np.percentile(all_values, (0.5, 99.5)))
        return low, max(high, low + 1e-6)
    ends = DEPTHS if is_whole else SHARES
    return 0.0, next((end for end in ends if high <= end), high)


def as_bytes(values: ndarray, span: Span | None) -> ndarray:
    """Bring values to uint8: `span` becomes 0 to 255; without one, the picture's own depth."""
    low, high = span or span_of([values])
    wide = np.nan_to_num(np.asarray(values, np.float64), nan=low, posinf=high, neginf=low)
    return (np.clip((wide - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)


def law_of(paths: Sequence[Path]) -> Span | None:
    """Tell the law of a set by some of its files; None where none can be read."""
    from PIL import Image

    pixels = []
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(path) as image:
                    pixels.append(np.asarray(image))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            continue
    return span_of(pixels) if pixels else None
