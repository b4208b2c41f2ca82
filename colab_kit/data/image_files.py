"""Picture files opened by Pillow: by the one decoder of their first bytes, within limits told here.

Left alone, Pillow tries every decoder it has, and one of them starts a program (Ghostscript, for
EPS).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy import ndarray

HEAD = 64  # bytes that tell the kind of a file
MOST = 1 << 30  # bytes of one file
LARGEST = 178_956_970  # pixels: twice Pillow's MAX_IMAGE_PIXELS, where it refuses to open a file
# A bomb states more than HARMLESS pixels, and more than RATIO for each of its bytes.
HARMLESS, RATIO = 32 << 20, 10_000
ROOM = 1 << 30  # bytes in which all threads together decode; a larger picture is decoded alone
COST, DEEP_COST = 8, 32  # bytes a pixel, of a picture of 8 bits or one channel, and of the deep
# readings that a header may take: so many, and one for each STEP bytes that were passed
STEPS, STEP = 20_000, 256
STRIP = 1 << 20  # pixels that are brought to other ones at once
_FORMATS = (  # Pillow's name, where its bytes stand, the bytes
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"), ("JPEG", 0, b"\xff\xd8\xff"), ("GIF", 0, b"GIF87a"),
    ("GIF", 0, b"GIF89a"), ("BMP", 0, b"BM"), ("WEBP", 8, b"WEBP"), ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"), ("TIFF", 0, b"II+\0"), ("TIFF", 0, b"MM\0+"),
    ("JPEG2000", 4, b"jP  \r\n\x87\n"), ("JPEG2000", 0, b"\xff\x4f\xff\x51"),
    ("ICO", 0, b"\0\0\1\0"), ("QOI", 0, b"qoif"),
    *(("PPM", 0, b"P" + letter) for letter in (b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"f")),
    *((form, 4, b"ftyp") for form in ("AVIF", "HEIF")),
)  # fmt: skip
SEGMENTS = 20_000  # of a JPEG that are looked at
_PADDING = re.compile(b"\xff+")


def forms_of(head: bytes) -> list[str]:
    """Name the decoders of Pillow for a file that begins so: one, or none."""
    return [form for form, at, signature in _FORMATS if head.startswith(signature, at)]


def head_of(picture: Path | bytes) -> bytes:
    """Give the first bytes of a file or of its content; b"" where they cannot be read."""
    if isinstance(picture, bytes):
        return picture[:HEAD]
    with contextlib.suppress(OSError), open(picture, "rb") as file:
        return file.read(HEAD)
    return b""


def content_of(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    OSError, ValueError
        It cannot be read, or is too large.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        check_bytes(size)
        return file.read(size)


def check_bytes(size: int) -> None:
    """Refuse a file of so many bytes with a ValueError, if they are more than MOST."""
    if size > MOST:
        raise ValueError(f"it has {size:,} bytes, more than {MOST:,}")


@contextmanager
def opened(picture: Path | bytes) -> Iterator[Any]:
    """Open a picture of a kind that is known here, as PIL does: its header is read, no pixel.

    Raises
    ------
    UnidentifiedImageError, DecompressionBombError
        Of PIL; its decoders raise whatever they please besides.
    """
    from PIL import Image, UnidentifiedImageError

    with contextlib.ExitStack() as stack:
        stack.enter_context(without_warnings)
        if isinstance(picture, bytes):
            file: Any = _Content(picture)
        else:
            file = stack.enter_context(_File(io.FileIO(picture)))
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        forms = [form for form in forms_of(file.read(HEAD)) if _has(form)]
        if not forms:
            raise UnidentifiedImageError("its bytes begin no picture")
        check_bytes(size)
        try:
            image = Image.open(file, formats=forms)  # the file is not its own: it closes nothing
        except UnidentifiedImageError as err:  # its words name our file object
            raise UnidentifiedImageError(f"its {forms[0]} header is damaged") from err
        check_size(image.width * image.height, size)
        if image.format in ("BMP", "PPM"):  # a reading a pixel, some of them
            file.count = -size
        yield image


class _Counted:
    """A file that is not read in endless little steps: Pillow passes over padding byte by byte."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.count += 1
        most = STEPS + self.seek(0, os.SEEK_CUR) // STEP  # type: ignore[attr-defined]
        if self.count > most:
            raise ValueError("its header is padded without an end")
        return super().read(size)  # type: ignore[misc, no-any-return]


class _Content(_Counted, io.BytesIO):
    """The content of a file."""


class _File(_Counted, io.BufferedReader):
    """A file on the disk."""


class _WithoutWarnings:
    """Pillow warns of odd EXIF; what it can read is read.

    The filters are the process's: the first thread that comes in sets them, the last one that
    leaves puts them back.
    """

    def __init__(self) -> None:
        self._lock, self._within = threading.Lock(), 0
        self._before = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._within += 1
            if self._within == 1:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                self._before.__exit__(None, None, None)


def _has(form: str) -> bool:
    """Tell whether this Pillow has the decoder."""
    from PIL import Image

    if form not in Image.OPEN:
        Image.init()
    return form in Image.OPEN


def check_size(pixels: int, size: int) -> None:
    """Refuse more pixels than a file of `size` bytes is allowed to state.

    Raises
    ------
    DecompressionBombError
        Of PIL.
    """
    from PIL import Image

    if is_bomb(pixels, size):
        most = LARGEST if pixels > LARGEST else RATIO * size
        raise Image.DecompressionBombError(
            f"it states {pixels:,} pixels in {size:,} bytes, more than {most:,}: a pixel bomb"
        )


def is_bomb(pixels: int, size: int) -> bool:
    """Tell whether a file of `size` bytes states more pixels than may be believed."""
    return pixels > LARGEST or pixels > HARMLESS and pixels > RATIO * size


class _Room:
    """Memory that threads share: each takes its bytes before it decodes, and waits for them."""

    def __init__(self, size: int) -> None:
        self._size, self._taken, self._changed = size, 0, threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Hold `size` bytes; more than there are, only where nobody else holds any."""
        with self._changed:
            while self._taken and self._taken + size > self._size:
                self._changed.wait()
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


_room, without_warnings = _Room(ROOM), _WithoutWarnings()


def decoding(pixels: int, cost: int = COST) -> contextlib.AbstractContextManager[None]:
    """Hold the memory that decoding so many pixels takes; wait while other threads hold too much.

    It is not entered twice by one thread.
    """
    return _room.take(pixels * cost)


def _renew() -> None:
    global _room, without_warnings
    _room, without_warnings = _Room(ROOM), _WithoutWarnings()


if hasattr(os, "register_at_fork"):  # threads that hold room are not in a forked child
    os.register_at_fork(after_in_child=_renew)


def strips(image: Any) -> Iterator[tuple[slice, Any]]:
    """Cut a picture, of PIL or an array, into strips of rows: none needs much memory.

    numpy and Pillow take several times a picture's memory to bring all of it over at once.
    """
    is_array = isinstance(image, ndarray)
    high, wide = image.shape[:2] if is_array else image.size[::-1]
    step = max(1, STRIP // max(1, wide))
    if step >= high:
        yield slice(0, high), image
        return
    for top in range(0, high, step):
        rows = slice(top, min(high, top + step))
        yield rows, image[rows] if is_array else image.crop((0, top, wide, rows.stop))


def as_file(picture: Any) -> Any:
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
