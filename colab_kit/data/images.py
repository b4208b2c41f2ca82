"""Picture files as upright uint8 RGB, and parts of pictures resized into memory that exists.

Which decoder reads a file is a function of its bytes, never of a clock.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from ..errors import DataError
from ..system.filetypes import kind_of
from .deep import Span, as_bytes, colouring, deep_file, is_deep, span_of
from .formats import tiff
from .image_files import (
    DEEP_COST,
    content_of,
    decoding,
    head_of,
    is_bomb,
    opened,
    strips,
    without_warnings,
)

FAR = 4  # times the side asked for: from there on a JPEG is decoded at 1/4 or 1/8 of its size
ORIENTATION = 0x0112  # the EXIF tag
READERS = {"heic": "pip install pillow-heif", "avif": "pip install -U pillow"}
LONG = 1.8  # times the short side of half of the pictures: from there on all of them is shown
LOOKED_AT = 64  # pictures whose proportions are asked for
SEGMENTS = 20_000  # of a JPEG that are looked at
VERSION = 2  # of the decoding: a new number means other pixels, and stored ones are not used again
_PADDING = re.compile(b"\xff+")
Box = tuple[int, int, int, int]  # top, left, bottom, right, in pixels of the picture


def reads(kind: str) -> bool:
    """Tell whether Pillow can read "heic", by pillow-heif, which is registered then, or "avif"."""
    if kind == "avif":
        from PIL import features

        return bool(features.check("avif"))
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    importlib.import_module("pillow_heif").register_heif_opener()
    return True


def decode(
    picture: Path | bytes | Any, side: int | None = None, span: Span | None = None
) -> ndarray:
    """Read a picture as uint8 RGB, (H, W, 3), upright by its EXIF.

    Palette, grey, CMYK and alpha become RGB; so do pictures of more than 8 bits, by `span`
    (deep.py). torchvision.io reads a plain JPEG (twice as fast as Pillow on 500 x 375), Pillow
    reads all else. With `side`, Pillow scales a JPEG whose short side is FAR times that while it
    decodes, never below `side`.

    Parameters
    ----------
    picture : Path, bytes or PIL picture
        A file, its content, or what Image.open() made of it: the same pixels. A PIL picture stays
        as it is.
    side : int, optional
        Pixels.
    span : (float, float), optional
        What becomes 0 and 255 in a picture of more than 8 bits; its own depth says, if None.

    Raises
    ------
    DataError
        It is no picture, or damaged.
    """
    picture = _content(picture)
    is_file = isinstance(picture, (Path, bytes))
    head = head_of(picture) if is_file else b""
    if head[:2] == b"\xff\xd8" and (pixels := _plain_jpeg(picture, side)) is not None:
        return pixels
    kind = kind_of(head)
    name = str(picture) if isinstance(picture, Path) else "This picture"
    if kind in READERS and not reads(kind):
        what, why = f"{name} is {kind.upper()}.", f"it is {kind.upper()}, which Pillow cannot read"
        raise DataError(what, f"{why} here ({READERS[kind]})", READERS[kind])
    try:
        return _of_file(picture, side, span) if is_file else _of_image(picture, span)
    except Exception as err:  # a damaged file: Pillow's readers raise what they please
        why = str(err) or type(err).__name__
        what, fix = f"{name} cannot be read as a picture.", "replace the file, or delete it"
        raise DataError(what, why, fix) from err


def _of_file(picture: Path | bytes, side: int | None, span: Span | None) -> ndarray:
    if (deep := deep_file(picture)) is not None:
        with suppress(tiff.Unreadable), decoding(deep.pixels, DEEP_COST):  # Pillow may know it
            values, turn = deep.read()
            return _turn_upright(_pixels(values, span), turn)
    with opened(picture) as image:
        if side is not None and min(image.size) >= FAR * side:
            image.draft("RGB", (side, side))
        with decoding(image.width * image.height):
            image.load()
            pixels, turn = _pixels(image, span), image.getexif().get(ORIENTATION, 1)
    return _turn_upright(pixels, turn)


def _of_image(image: Any, span: Span | None) -> ndarray:
    """Read a PIL picture that somebody else opened."""
    if getattr(image, "format", "") == "EPS" and getattr(image, "tile", None):
        raise ValueError("EPS is a program for a printer, and another program would have to run it")
    with decoding(image.width * image.height), without_warnings:
        image.load()
        return _turn_upright(_pixels(image, span), image.getexif().get(ORIENTATION, 1))


def _pixels(image: Any, span: Span | None) -> ndarray:
    """Give a PIL picture, or deep samples, as uint8 RGB, (H, W, 3)."""
    if isinstance(image, ndarray):
        colour, (high, wide) = colouring(image, span), image.shape[:2]
    else:
        if span is None and is_deep(image.mode):
            span = span_of(np.asarray(strip) for _, strip in strips(image))
        colour, (wide, high) = (lambda strip: strip), image.size
    pixels = np.empty((high, wide, 3), np.uint8)
    for rows, strip in strips(image):
        pixels[rows] = np.asarray(rgb(colour(strip), span))
    return pixels


def _content(picture: Any) -> Any:
    """Give the content of a file that Image.open() looked at and did not decode yet.

    So it is decoded as its file is: at a reduced scale, where it is far larger than needed, and
    with all its bits.
    """
    file = getattr(picture, "fp", None)
    if file is None or not getattr(picture, "tile", None) or picture.tell():
        return picture
    if getattr(picture, "format", "") not in ("JPEG", "MPO", "PNG", "TIFF"):
        return picture
    try:
        at = file.tell()
        file.seek(0)
        content = file.read()
        file.seek(at)
    except (OSError, ValueError):
        return picture
    return content


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk the segments of a JPEG (ITU T.81, annex B): marker, place, length; 0xFF is padding."""
    at = 2
    for _ in range(SEGMENTS):
        if at + 4 > len(content) or content[at] != 0xFF:
            return
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        yield marker, at, length
        if marker == 0xFF:
            at = _PADDING.match(content, at).end() - 1  # type: ignore[union-attr]
        else:
            at += 2 + length


def _plain_jpeg(picture: Path | bytes, side: int | None) -> ndarray | None:
    """Read a plain JPEG by torchvision; None where Pillow must read.

    Pillow reads other kinds, far larger ones, damaged ones, and all where torchvision has no
    decoder.
    """
    try:
        content = picture if isinstance(picture, bytes) else content_of(picture)
        header = _header(content)
        if header is None or (side is not None and min(header[:2]) >= FAR * side):
            return None
        high, wide, turn = header
        if is_bomb(high * wide, len(content)):
            return None
        from torchvision.io import ImageReadMode, decode_jpeg

        with decoding(high * wide):
            data = torch.from_numpy(np.frombuffer(bytearray(content), np.uint8))
            pixels: ndarray = decode_jpeg(data, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
            return _turn_upright(pixels, turn)
    except (ImportError, OSError, RuntimeError, ValueError):
        return None


def _header(content: bytes) -> tuple[int, int, int] | None:
    """Give height, width and EXIF orientation of a grey or coloured JPEG; None for rare kinds."""
    orientation = 1
    if content[:2] != b"\xff\xd8":
        return None
    for marker, at, length in jpeg_segments(content):
        if marker in (0xD9, 0xDA, 0xFF) or length < 2 or at + 9 >= len(content):
            return None
        if marker in (0xC0, 0xC1, 0xC2):
            high, wide = (int.from_bytes(content[at + k : at + k + 2], "big") for k in (5, 7))
            good = content[at + 9] in (1, 3) and high and wide
            return (high, wide, orientation) if good else None
        if marker == 0xE1 and content[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _orientation(content[at + 10 : at + 2 + length])
    return None


def _orientation(tiff: bytes) -> int:
    """Give the orientation that the first directory of an EXIF block tells; 1 if it tells none."""
    order: Any = {b"II": "little", b"MM": "big"}.get(tiff[:2])
    if order is None:
        return 1

    def number(at: int, size: int = 2) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    start = number(4, 4)
    for entry in range(number(start)):
        at = start + 2 + 12 * entry
        if number(at) == ORIENTATION:
            return number(at + 8)
    return 1


def _turn_upright(pixels: ndarray, orientation: int) -> ndarray:
    """Turn a picture upright by EXIF's orientation 1 to 8; any other number leaves it as it is."""
    if orientation not in range(2, 9):
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def as_rgb(image: Any, span: Span | None = None) -> Any:
    """Give a PIL picture as RGB without its alpha channel; deep ones as rgb() does."""
    return rgb(image, span) if is_deep(image.mode) else image.convert("RGB")


def rgb(image: Any, span: Span | None = None) -> Any:
    """Give a PIL picture as RGB: clear pixels white, deep ones by `span` or their own depth."""
    from PIL import Image

    if is_deep(image.mode):
        return Image.fromarray(as_bytes(np.asarray(image), span)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def long_by_short(paths: Sequence[Path]) -> float:
    """Give how many times its short side the long side of a usual picture is: the median of some.

    Only headers are read. It is 1 where none can be read.
    """
    ratios = []
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        with suppress(Exception), opened(path) as image:  # a damaged file: Pillow raises anything
            ratios.append(max(image.size) / max(1, min(image.size)))
    return float(np.median(ratios)) if ratios else 1.0


_thread = threading.local()  # a scratch array for each thread; its content never matters

# F.interpolate(antialias=True) without its allocation: twice as fast on pictures this small,
# and other threads run meanwhile.
_RESIZE = {
    "bilinear": torch._C._nn._upsample_bilinear2d_aa,
    "bicubic": torch._C._nn._upsample_bicubic2d_aa,
}


def cut(
    picture: ndarray,
    box: Box,
    out: ndarray,
    interpolation: str = "bilinear",
    flip: bool = False,
) -> None:
    """Write the part of a picture inside `box`, resized and antialiased, to `out`.

    Parameters
    ----------
    picture : uint8, (H, W, C)
    box : top, left, bottom, right
    out : uint8, (h, w, C)
    interpolation : "bilinear" or "bicubic"
    flip : whether left and right are exchanged
    """
    part = _part(picture, box, flip)
    if part.shape == out.shape:
        np.copyto(out, part)
    else:
        resize: Any = _RESIZE[interpolation]
        resize(_planes(part), out.shape[:2], False, None, out=_planes(out))


def _part(picture: ndarray, box: Box, flip: bool) -> ndarray:
    """Give a box of a picture as contiguous memory: its own, or else this thread's scratch.

    numpy copies, not torch: torch would share so small a copy among OpenMP threads, and that costs
    threads which work beside each other more than it gives.
    """
    top, left, bottom, right = box
    part = picture[top:bottom, left:right]
    if not flip and part.flags.c_contiguous and part.flags.writeable:
        return part
    scratch: ndarray | None = getattr(_thread, "scratch", None)
    if scratch is None or scratch.size < part.size:
        scratch = _thread.scratch = np.empty(part.size, np.uint8)
    own = scratch[: part.size].reshape(part.shape)
    if not flip:
        np.copyto(own, part)
        return own
    for channel in range(part.shape[2]):  # plane by plane: five times as fast as pixels of 3 bytes
        np.copyto(own[..., channel], part[:, ::-1, channel])
    return own


def _planes(picture: ndarray) -> torch.Tensor:
    """View (H, W, C) as (1, C, H, W) by numpy: views by torch release the GIL and wait for it."""
    return torch.from_numpy(picture.transpose(2, 0, 1)[None])


def squash(
    picture: ndarray, side: int, out: ndarray | None = None, fill: Sequence[int] | None = None
) -> ndarray:
    """Resize a whole picture to a uint8 square (side, side, C), in `out` if given.

    With `fill`, a colour, it keeps its proportions between margins of that colour; else whoever
    keeps the square keeps the proportions, width / height, beside it.
    """
    high, wide = picture.shape[:2]
    out = np.empty((side, side, picture.shape[2]), np.uint8) if out is None else out
    if fill is None or high == wide:
        cut(picture, (0, 0, high, wide), out)
        return out
    rows, columns = (max(1, round(side * part / max(high, wide))) for part in (high, wide))
    inner = np.empty((rows, columns, picture.shape[2]), np.uint8)
    cut(picture, (0, 0, high, wide), inner)
    top, left = (side - rows) // 2, (side - columns) // 2
    out[:] = fill
    out[top : top + rows, left : left + columns] = inner
    return out


def middle(side: int, aspect: float, share: float) -> Box:
    """Give the box of the middle square of a picture that was squashed to `side`.

    Parameters
    ----------
    side : pixels of the squashed picture
    aspect : width / height of the upright picture
    share : of its short side
    """
    high = share * (aspect if aspect < 1 else 1.0)
    wide = share * (1 / aspect if aspect > 1 else 1.0)
    rows, columns = (max(1, round(side * part)) for part in (high, wide))
    top, left = (side - rows) // 2, (side - columns) // 2
    return top, left, top + rows, left + columns
