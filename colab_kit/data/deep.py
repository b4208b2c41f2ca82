"""Deep pictures: those of more than 8 bits, or of floats, brought to 0 to 255 by one law a set.

A law of each picture's own would make a dark picture as bright as a bright one, so the whole set,
its splits and later predictions share one: from the least to the largest value that its depth has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from .formats import tiff
from .image_files import DEEP_COST, check_size, content_of, decoding, head_of, opened, strips

Span = tuple[float, float]  # the values that become 0 and 255

VALUES = 1 << 24  # that tell the ends of a set with negative ones
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
    to a usual end. Where values are negative else, their own ends count, extremes left out; of
    very many values each second, fourth … tells these. One picture is held at a time.
    """
    low, high, is_whole = np.inf, -np.inf, True
    some, count, stride = list[ndarray](), 0, 1
    for values in map(np.asarray, pictures):
        kind = values.dtype.kind
        is_whole = is_whole and kind in "iub"
        if kind in "if":
            values = values[np.isfinite(values) & (values > NO_DATA)]
            some.append(values.ravel()[::stride].copy())
            count += some[-1].size
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
        while count > VALUES:
            some, stride = [few[::2].copy() for few in some], 2 * stride
            count = sum(few.size for few in some)
    if low > high:
        return 0.0, 1.0
    if low < 0:
        if not is_whole and -1 <= low and high <= 1:
            return -1.0, 1.0
        all_values = np.concatenate([values.astype(np.float64) for values in some])
        low, high = (float(end) for end in np.percentile(all_values, (0.5, 99.5)))
        return low, max(high, low + 1e-6)
    ends = DEPTHS if is_whole else SHARES
    return 0.0, next((end for end in ends if high <= end), high)


def as_bytes(values: ndarray, span: Span | None) -> ndarray:
    """Bring values to uint8: `span` becomes 0 to 255; without one, the picture's own depth."""
    low, high = span or span_of([values])
    if values.dtype == np.uint16 and values.size > 65536:
        shades = as_bytes(np.arange(65536, dtype=np.uint16), (low, high))
        return np.take(shades, values)
    wide = np.nan_to_num(np.asarray(values, np.float64), nan=low, posinf=high, neginf=low)
    return (np.clip((wide - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Deep:
    """A deep file of which Pillow keeps 8 bits, or that it cannot read: its header was read.

    These are PNG of 16 bits with colours or alpha, and TIFF of more than 8 bits or of floats with
    colours, or of 64 bits.

    pixels : how many it states
    """

    content: bytes = field(repr=False)
    pixels: int
    header: tiff.Header | None

    def read(self) -> tuple[ndarray, int]:
        """Give its samples, and the orientation that its EXIF tells.

        Returns
        -------
        ndarray, (H, W) or (H, W, C); int
            Of 2 or 4 channels the last is alpha.

        Raises
        ------
        Exception
            It is damaged; Pillow's readers raise what they please.
        """
        if self.header is None:
            return _of_png(self.content)
        values = np.moveaxis(tiff.samples(self.content, self.header), 0, 2)
        values = values[..., 0] if values.shape[2] == 1 else values
        return values, self.header.tags.get(ORIENTATION, (1,))[0]


def deep_file(picture: Path | bytes) -> Deep | None:
    """Tell whether a file, or its content, is one that is read here; None for any other."""
    head = head_of(picture)
    is_png = head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:25] == b"\x10" and head[25:26] != b"\0"
    if not is_png and head[:4] not in tiff.SIGNATURES:
        return None
    content = picture if isinstance(picture, bytes) else content_of(picture)
    if is_png:
        wide, high = struct.unpack_from(">II", head, 16)
        check_size(wide * high, len(content))
        return Deep(content, wide * high, None)
    try:
        header = tiff.header(content)
        tiff.places(content, header)
    except tiff.Unreadable:
        return None  # Pillow may know it
    bands, high, wide = header.shape
    depth = header.dtype.itemsize
    is_ours = bands in (3, 4) and depth > 1 or bands == 1 and depth == 8
    if not is_ours or header.tags.get(PHOTOMETRIC, (1,))[0] not in GREY_OR_RGB:
        return None
    return Deep(content, wide * high, header)


def _of_png(content: bytes) -> tuple[ndarray, int]:
    """Read both bytes of each sample: Pillow gives the upper one, or in the other order the lower.

    Grey with alpha has as many bytes a pixel as RGBA of 8 bits, and is read as such.
    """
    out = np.empty(0, np.uint16)
    turn = 1
    for order in "BL":
        with opened(content) as image:
            raw = "RGBA" if content[25] == 4 else f"{image.mode};16{order}"
            image.tile = [(*image.tile[0][:3], raw)]
            turn = image.getexif().get(ORIENTATION, 1)  # this decodes it
            if order == "B":
                out = np.empty(
                    (image.height, image.width, 2 if content[25] == 4 else len(image.mode)),
                    np.uint16,
                )
            for rows, strip in strips(image):
                part = np.asarray(strip)
                if content[25] == 4:
                    out[rows] = part[..., ::2].astype(np.uint16) << 8 | part[..., 1::2]
                elif order == "B":
                    out[rows] = part.astype(np.uint16) << 8
                else:
                    out[rows] |= part
        if content[25] == 4:
            break
    return out, turn


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
    return colouring(values, span)(values)


def colouring(values: ndarray, span: Span | None) -> Callable[[ndarray], Any]:
    """Give what `coloured` does to these samples as a function of some of their rows."""
    from PIL import Image

    colours = values.shape[2] // 2 * 2 - 1 if values.shape[2:] in ((2,), (4,)) else None
    if values.dtype == np.bool_:
        span = (0.0, 1.0)
    law = span or span_of(own[..., :colours] if colours else own for _, own in strips(values))
    is_full = values.ndim == 3 and values.dtype == np.uint16 and law == (0.0, DEPTHS[-1])
    top = 65535.0
    if colours and values.dtype != np.uint16:
        top = float(values[..., colours:].max()) or 1.0

    def shown(rows: ndarray) -> Any:
        rows = rows[..., 0] if rows.shape[2:] == (1,) else rows
        own = rows if colours is None else rows[..., :colours]
        pixels = (own >> 8).astype(np.uint8) if is_full else as_bytes(own, law)
        if colours is not None:
            pixels = np.concatenate([pixels, as_bytes(rows[..., colours:], (0.0, top))], 2)
        return Image.fromarray(np.ascontiguousarray(pixels))

    return shown


def law_of(pictures: Sequence[Any]) -> Span | None:
    """Tell the law of a set by some of its deep pictures; None where none can be read.

    Parameters
    ----------
    pictures : sequence of Path, bytes or PIL picture
        Files, their content, or decoded pictures.
    """
    count = 0

    def pixels() -> Iterator[ndarray]:
        nonlocal count
        for picture in pictures[:: max(1, len(pictures) // LOOKED_AT)]:
            with suppress(Exception):  # a damaged file: Pillow's readers raise what they please
                yield from _parts(picture)
                count += 1

    span = span_of(pixels())
    return span if count else None


def _parts(picture: Any) -> Iterator[ndarray]:
    """Give the values of a picture without its alpha, some rows at a time."""
    if not isinstance(picture, (Path, bytes)):
        yield from (np.asarray(strip) for _, strip in strips(picture))
        return
    if (deep := deep_file(picture)) is not None:
        with decoding(deep.pixels, DEEP_COST):
            values = deep.read()[0]
            for _, rows in strips(values):
                yield rows[..., :-1] if values.shape[2:] in ((2,), (4,)) else rows
        return
    with opened(picture) as image, decoding(image.width * image.height):
        yield from (np.asarray(strip) for _, strip in strips(image))
