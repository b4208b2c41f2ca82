"""Picture files looked at from outside: size, magic, dimensions and end marker, one short visit each. No pixel is decoded."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import DataError
from ..events import Note
from ..system.filetypes import web_page
from .folders import counted, some
from .images import reads_heic

EDGE = 16 << 10  # bytes read at each end
LARGEST = 178_956_970  # pixels: twice Pillow's MAX_IMAGE_PIXELS, where it refuses to open a file
THREADS = 16  # the wait is for the disk, or for Drive
HEIF_FIX = "pip install pillow-heif, then load again"


@dataclass(frozen=True, slots=True)
class Look:
    """What one visit told.

    fault : "" if the file looks whole
    print : hex, of the size and both ends of the content
    pixels : width times height; 0 if the header hides it
    """

    path: Path
    fault: str = ""
    print: str = ""
    pixels: int = 0
    heic: bool = False


def look_at(paths: Sequence[Path]) -> list[Look]:
    """Visit each file once, in threads; in the order of `paths`.

    Raises
    ------
    DataError
        A picture is a pixel bomb.
    """
    with ThreadPoolExecutor(min(THREADS, len(paths) // 32 + 1)) as pool:
        looks = list(pool.map(_look, paths))
    for look in looks:
        if look.pixels > LARGEST:
            raise DataError(
                f"{look.path} states {look.pixels / 1e6:,.0f} million pixels in {look.path.stat().st_size:,} bytes.",
                "unpacked it would fill the memory: a pixel bomb, or a scan far too large to train on",
                "delete it, or replace it by a smaller copy",
            )
    return looks


def complaints(looks: Sequence[Look], root: Path) -> list[Note]:
    """What to say of the files that are left out: up to three by name, and how many."""
    notes = []
    heic = [look for look in looks if look.heic and look.fault]
    if heic:
        names = some([os.path.relpath(look.path, root) for look in heic])
        text = f"{counted(len(heic), 'HEIC picture')} left out ({names}): Pillow alone cannot read HEIC. Fix: {HEIF_FIX}."
        notes.append(Note(text, "warn"))
    bad = [look for look in looks if look.fault and not look.heic]
    if bad:
        names = some([f"{os.path.relpath(look.path, root)} {look.fault}" for look in bad])
        notes.append(Note(f"{counted(len(bad), 'unreadable picture')} left out: {names}.", "warn"))
    return notes


def _look(path: Path) -> Look:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(EDGE)
            file.seek(max(len(head), size - EDGE))
            tail = file.read(EDGE)
            digest = hashlib.sha256(b"%d|" % size + head + tail).hexdigest()[:32]
            heic = head[4:8] == b"ftyp" and head[8:12] in (
                b"heic",
                b"heix",
                b"hevc",
                b"heim",
                b"heis",
                b"mif1",
                b"msf1",
            )
            fault, pixels = (
                ("" if reads_heic() else "is HEIC", 0)
                if heic
                else _judge(head, tail or head, file, size)
            )
    except OSError as err:
        return Look(path, f"cannot be opened ({err.strerror or err})")
    return Look(path, fault, digest, pixels, heic)


def _judge(head: bytes, tail: bytes, file: BinaryIO, size: int) -> tuple[str, int]:
    """(fault, pixels) of a file by its kind."""
    if not size:
        return "is empty", 0
    if head[:3] == b"\xff\xd8\xff":
        return _jpeg(head, tail, file)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(head, tail, file)
    if head[:6] in (b"GIF87a", b"GIF89a"):
        wide, high = struct.unpack_from("<HH", head.ljust(10, b"\0"), 6)
        return (
            "" if tail.rstrip(b"\0").endswith(b";") or b"\0;" in tail else "is cut",
            wide * high,
        )
    if web_page(head) is not None:
        return "is a web page", 0
    if head.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer (git lfs pull brings the picture)", 0
    return _by_pillow(file)


def _png(head: bytes, tail: bytes, file: BinaryIO) -> tuple[str, int]:
    wide, high = struct.unpack_from(">II", head.ljust(24, b"\0"), 16)
    whole = b"IEND\xaeB`\x82" in tail or b"IEND\xaeB`\x82" in _all(
        file
    )  # some cameras append what they like
    return ("" if whole else "is cut", wide * high)


def _jpeg(head: bytes, tail: bytes, file: BinaryIO) -> tuple[str, int]:
    """Walk the segments, so that a thumbnail inside EXIF is not taken for the picture."""
    pixels, scan = _segments(head)
    if not scan and len(head) == EDGE:  # a thumbnail or a colour profile larger than what was read
        head = tail = _all(file)
        pixels, scan = _segments(head)
    if not scan:
        return "is cut", pixels
    # in the data of a scan 0xFF is never followed by 0xD9; a motion photo has a film behind its last one
    ended = (
        b"\xff\xd9" in (head[scan:] if tail is head else tail)
        or _all(file).find(b"\xff\xd9", scan) >= 0
    )
    return ("" if ended else "is cut", pixels)


def _segments(head: bytes) -> tuple[int, int]:
    """Pixels of the frame, and where its data begin; 0 for what was not reached."""
    at, pixels = 2, 0
    while at + 4 <= len(head):
        if head[at] != 0xFF:
            return pixels, 0
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xDA:
            return pixels, at + 2 + length
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 9 <= len(head):
            high, wide = struct.unpack_from(">HH", head, at + 5)
            pixels = high * wide
        at += 2 + length
    return pixels, 0


def _all(file: BinaryIO) -> bytes:
    """The whole content: only of files whose ends left a doubt."""
    file.seek(0)
    return file.read()


def _by_pillow(file: BinaryIO) -> tuple[str, int]:
    """The header of a rarer kind, read by Pillow."""
    from PIL import Image, UnidentifiedImageError

    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                return "", image.width * image.height
    except Image.DecompressionBombError as err:
        found = re.search(r"\((\d+) pixels\)", str(err))
        return "is a pixel bomb", int(found[1]) if found else LARGEST + 1
    except UnidentifiedImageError:
        return "is no picture", 0
    except Exception as err:  # a damaged header: Pillow's readers raise what they please
        return f"is damaged ({type(err).__name__})", 0
