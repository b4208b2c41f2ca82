"""Deep pictures: those of more than 8 bits, or of floats, brought to 0 to 255 by one law a set.

A law of each picture's own would make a dark picture as bright as a bright one, so the whole set,
its splits and later predictions share one: from the least to the largest value that its depth has.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from .formats import tiff

Span = tuple[float, float]  # the values that become 0 and 255

LOOKED_AT = 64  # pictures of a set that tell its law
DEPTHS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # the largest values of 8 to 16 bits
SHARES = (1.0, 255.0, 1000.0, 4095.0, 10_000.0, 65535.0)  # usual largest values of floats
PHOTOMETRIC, ORIENTATION = 262, 274  # tags of a TIFF
GREY_OR_RGB = (0, 1, 2)  # values of the former: what holds no ink and no YCbCr
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


def samples(picture: Path | bytes) -> tuple[ndarray, int] | None:
    """Give the samples of a deep file of which Pillow keeps 8 bits, or that it cannot read.

    These are PNG of 16 bits with colours or alpha, and TIFF of more than 8 bits or of floats with
    colours, or of 64 bits.

    Returns
    -------
    samples, orientation : ndarray, (H, W) or (H, W, C), the last of 2 or 4 alpha; int, by EXIF
        Or None for any other file.
    """
    head = picture[:26] if isinstance(picture, bytes) else _head(picture)
    is_png = head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:25] == b"\x10" and head[25:26] != b"\0"
    if not is_png and head[:4] not in tiff.SIGNATURES:
        return None
    content = picture if isinstance(picture, bytes) else picture.read_bytes()
    return _of_png(content) if is_png else _of_tiff(content)


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(26)
    except OSError:
        return b""


def _of_png(content: bytes) -> tuple[ndarray, int]:
    """Read both bytes of each sample: Pillow gives the upper one, or in the other order the lower.

    Grey with alpha has as many bytes a pixel as RGBA of 8 bits, and is read as such.
    """
    from PIL import Image

    def read(order: str) -> tuple[ndarray, int]:
        with Image.open(io.BytesIO(content)) as image:
            raw = "RGBA" if "LA" in str(image.tile[0][3]) else f"{image.mode};16{order}"
            image.tile = [(*image.tile[0][:3], raw)]  # type: ignore[list-item]
            turn = image.getexif().get(ORIENTATION, 1)
            return np.asarray(image).astype(np.uint16), turn

    upper, turn = read("B")
    if content[25] == 4:
        return upper[..., ::2] << 8 | upper[..., 1::2], turn
    return upper << 8 | read("L")[0], turn


def _of_tiff(content: bytes) -> tuple[ndarray, int] | None:
    try:
        head = tiff.header(content)
        bands, size = head.shape[0], head.dtype.itemsize
        is_ours = bands in (3, 4) and size > 1 or bands == 1 and size == 8
        if not is_ours or head.tags.get(PHOTOMETRIC, (1,))[0] not in GREY_OR_RGB:
            return None
        values = np.moveaxis(tiff.samples(content, head), 0, 2)
    except tiff.Unreadable:
        return None  # Pillow may know it
    return values[..., 0] if bands == 1 else values, head.tags.get(ORIENTATION, (1,))[0]


def coloured(values: ndarray, span: Span | None) -> Any:
    """Give deep samples as a PIL picture: L, LA, RGB or RGBA.

    Parameters
    ----------
    values : ndarray, (H, W) or (H, W, C)
        Of 2 or 4 channels the last is alpha, in its own depth.
    span : (float, float), optional
        What becomes 0 and 255; their own depth, if None. The depth of 16 bits keeps the upper 8,
        as Pillow does.
    """
    from PIL import Image

    values = values[..., 0] if values.shape[2:] == (1,) else values
    if values.dtype == np.bool_:
        span = (0.0, 1.0)
    colours = values.shape[2] // 2 * 2 - 1 if values.shape[2:] in ((2,), (4,)) else None
    own = values if colours is None else values[..., :colours]
    span = span or span_of([own])
    is_full = values.ndim == 3 and values.dtype == np.uint16 and span == (0.0, DEPTHS[-1])
    shown = (own >> 8).astype(np.uint8) if is_full else as_bytes(own, span)
    if colours is not None:
        alpha = values[..., colours:]
        top = 65535.0 if values.dtype == np.uint16 else float(alpha.max())
        shown = np.concatenate([shown, as_bytes(alpha, (0.0, top or 1.0))], 2)
    return Image.fromarray(np.ascontiguousarray(shown))


def law_of(pictures: Sequence[Any]) -> Span | None:
    """Tell the law of a set by some of its deep pictures; None where none can be read.

    Parameters
    ----------
    pictures : sequence of Path, bytes or PIL picture
        Files, their content, or decoded pictures.
    """
    from PIL import Image

    pixels = []
    for picture in pictures[:: max(1, len(pictures) // LOOKED_AT)]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if not isinstance(picture, (Path, bytes)):
                    pixels.append(np.asarray(picture))
                    continue
                if (deep := samples(picture)) is not None:
                    values = deep[0]
                    even = values.shape[2:] in ((2,), (4,))
                    pixels.append(values[..., :-1] if even else values)
                    continue
                with Image.open(picture) as image:
                    pixels.append(np.asarray(image))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            continue
    return span_of(pixels) if pixels else None
