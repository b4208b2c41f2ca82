"""Picture files looked at from outside: no pixel is decoded.

look_at() visits a file briefly, for its size, magic, dimensions and end marker. Of many files
look_at_some() visits a sample: the rest is looked at when it is decoded.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import DataError
from ..events import Note
from ..system.filetypes import kind_of, web_page
from . import fingerprints, keyed_random
from .deep import deep_file, is_deep
from .file_table import FileTable
from .fingerprints import EDGE
from .folders.tree import counted, some
from .image_files import (
    LARGEST,
    MOST,
    check_bytes,
    decoding,
    is_bomb,
    jpeg_segments,
    opened,
)
from .images import READERS, reads
from .sources import Content, Pictures

THREADS = 16  # the wait is for the disk, or for Drive
OPTIONAL = {".heic": "heic", ".heif": "heic", ".avif": "avif"}  # read where a package does
SHARE = 32  # files that a thread is given at once


FEW = 2_000  # files that are all looked at; of more, so many are: 0.1 s on one core
SMALLEST = 100  # of those: pointers and error pages in place of pictures are small


@dataclass(frozen=True, slots=True)
class Look:
    """The result of one visit.

    fault : "" if the file looks whole
    print : hex, of the size and both ends of the content
    pixels : width times height; 0 if the header hides it
    kind : "heic" or "avif", where Pillow may need help
    deep : whether it has more than 8 bits a channel, or floats
    size : bytes
    stamp : what the disk said of the file (sources.Content)
    """

    path: Path
    fault: str = ""
    print: str = ""
    pixels: int = 0
    kind: str = ""
    deep: bool = False
    size: int = 0
    stamp: int = 0

    @property
    def content(self) -> Content:
        return Content(self.print, self.stamp)


def look_at_some(files: FileTable, labels: Sequence[Any] | np.ndarray) -> dict[int, Look]:
    """Visit files by row: all of a few, a sample of many, and all if the sample shows a fault.

    A fault is a file that cannot be read, a picture of more than 8 bits, or one picture under two
    labels.

    Raises
    ------
    DataError
        A picture is a pixel bomb.
    """
    rows = sample(files)
    looks = dict(zip(rows.tolist(), look_at([files[row] for row in rows.tolist()]), strict=True))
    if len(rows) == len(files):
        return looks
    faults = any(look.fault or look.deep for look in looks.values())
    if faults or _pairs(labels, {row: look.print for row, look in looks.items()}):
        return dict(enumerate(look_at(list(files))))
    return looks


def sample(files: FileTable) -> np.ndarray:
    """Choose FEW files, or all of fewer: rows, int64, sorted; a function of names and sizes.

    Files of one size are chosen together, so that copies of a picture meet. Beside them come the
    smallest ones, those without a known size, and those of a kind that nothing here reads.
    """
    if len(files) <= FEW:
        return np.arange(len(files))
    turn = keyed_random.hashes(keyed_random.mix(keyed_random.LOOK), files.sizes)
    in_turn = np.lexsort((files.keys, turn))[: FEW - SMALLEST]
    smallest = np.lexsort((files.keys, files.sizes))[:SMALLEST]
    odd = files.sizes <= 0
    unread = {end for end in files.endings() & OPTIONAL.keys() if not reads(OPTIONAL[end])}
    if unread:
        odd |= [name.lower().endswith(tuple(unread)) for name in files.names()]
    return np.unique(np.concatenate([in_turn, smallest, np.flatnonzero(odd)]))


def contents_of(source: Pictures, rows: np.ndarray) -> list[str]:
    """Give the hash of each file's content, of the rows asked for.

    Files that nobody read yet are read, and those that were touched since. A file that cannot be
    read has "", or what it held before.

    Raises
    ------
    DataError
        A file holds another picture than it did.
    """
    known, texts = source.contents, FileTable.of(source.paths).texts()
    asked = [row for row in rows.tolist() if row not in known or _touched(texts[row], known[row])]
    for row, look in zip(asked, _looks([source.paths[row] for row in asked]), strict=True):
        before = known.get(row)
        if before is not None and not look.fault and look.print != before.print:
            raise changed(source.paths[row])
        if before is None or look.print:
            known[row] = look.content
    return [known[row].print for row in rows.tolist()]


def read(path: Path) -> tuple[bytes, Content]:
    """Read a file once: its bytes, and what they are known by.

    Raises
    ------
    OSError, ValueError
        It cannot be read, or is too large.
    """
    with open(path, "rb") as file:
        stat = os.fstat(file.fileno())
        check_bytes(stat.st_size)
        data = file.read()
    return data, Content(fingerprints.of_content(data), Content.stamp_of(stat))


def changed(path: Path) -> DataError:
    """Make the error of a file that holds something else than it did when the data was loaded."""
    return DataError(
        f"{path} has changed since the data was loaded.",
        "another picture lies there now, and what is known of the data is not of it",
        "load the data again, with the same kit.load(…), and use what that gives",
    )


def _touched(path: str, known: Content) -> bool:
    try:
        return Content.stamp_of(os.stat(path)) != known.stamp
    except OSError:
        return False  # it is gone, and nothing else is there


def look_at(paths: Sequence[Path]) -> list[Look]:
    """Visit each file once, in threads; in the order of `paths`.

    Raises
    ------
    DataError
        A picture is a pixel bomb.
    """
    looks = _looks(paths)
    for look in looks:
        if look.pixels and is_bomb(look.pixels, look.size):
            size = look.size
            raise DataError(
                f"{look.path} states {look.pixels / 1e6:,.0f} million pixels in {size:,} bytes.",
                "unpacked it would fill the memory: a pixel bomb, or a scan far too large",
                "delete it, or replace it by a smaller copy",
            )
    return looks


def _looks(paths: Sequence[Path]) -> list[Look]:
    with ThreadPoolExecutor(min(THREADS, len(paths) // SHARE + 1)) as pool:
        parts = [paths[start : start + SHARE] for start in range(0, len(paths), SHARE)]
        return list(chain.from_iterable(pool.map(_look_at_each, parts)))


def _look_at_each(paths: Sequence[Path]) -> list[Look]:
    return [_look(path) for path in paths]


def complaints(looks: Sequence[Look], root: Path) -> list[Note]:
    """Say which files are left out: up to three by name, and how many."""
    notes = []
    for kind, fix in READERS.items():
        files = [os.path.relpath(x.path, root) for x in looks if x.kind == kind and x.fault]
        if files:
            text = (
                f"{counted(len(files), f'{kind.upper()} picture')} left out ({some(files)}): Pillow"
            )
            text += f" alone cannot read {kind.upper()}. Fix: {fix}, then load again."
            notes.append(Note(text, "warn"))
    bad = [look for look in looks if look.fault and not look.kind]
    if bad:
        names = some([f"{os.path.relpath(look.path, root)} {look.fault}" for look in bad])
        notes.append(Note(f"{counted(len(bad), 'unreadable picture')} left out: {names}.", "warn"))
    return notes


def twins(
    paths: Sequence[Path],
    labels: Sequence[Any] | np.ndarray,
    contents: Mapping[int, str],
    root: Path,
) -> Note | None:
    """Say which pictures lie in two classes, if one label a picture is meant.

    Parameters
    ----------
    contents : hashes of those that were looked at, by row
    """
    pairs = _pairs(labels, contents)
    if not pairs:
        return None
    one, other = (os.path.relpath(paths[row], root) for row in pairs[0])
    text = f"{counted(len(pairs), 'picture')} found under two classes each ({one} is {other}): one "
    return Note(text + "of the labels is wrong, or a folder is no class.", "warn")


def _pairs(
    labels: Sequence[Any] | np.ndarray, contents: Mapping[int, str]
) -> list[tuple[int, int]]:
    """List rows of one content and two labels."""
    first, pairs = dict[str, int](), list[tuple[int, int]]()
    for row, content in contents.items():
        label = labels[row]
        if isinstance(label, str) and labels[first.setdefault(content, row)] != label:
            pairs.append((first[content], row))
    return pairs


def _look(path: Path) -> Look:
    try:
        with open(path, "rb") as file:
            stat = os.fstat(file.fileno())
            size, stamp = stat.st_size, Content.stamp_of(stat)
            head = file.read(EDGE)
            file.seek(max(len(head), size - EDGE))
            tail = file.read(EDGE)
            digest, kind = fingerprints.of_ends(size, head, tail), kind_of(head)
            if kind in READERS and not reads(kind):
                return Look(path, f"is {kind.upper()}", digest, kind=kind, stamp=stamp)
            if kind == "heic":
                return Look(path, "", digest, kind=kind, stamp=stamp)
            fault, pixels = _judge(head, tail or head, file, size)
            deep = not fault and _has_deep_pixels(head, file)
    except OSError as err:
        return Look(path, f"cannot be opened ({err.strerror or err})")
    return Look(path, fault, digest, pixels, deep=deep, size=size, stamp=stamp)


def _judge(head: bytes, tail: bytes, file: BinaryIO, size: int) -> tuple[str, int]:
    """Give (fault, pixels) of a file by its kind."""
    if not size:
        return "is empty", 0
    if size > MOST:
        return f"has {size:,} bytes, more than {MOST:,}", 0
    if head[:3] == b"\xff\xd8\xff":
        return _jpeg(head, tail, file)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        wide, high = struct.unpack_from(">II", head.ljust(24, b"\0"), 16)
        end = b"IEND\xaeB`\x82"  # some cameras append what they like
        return ("" if end in tail or _is_in(file, end) else "is cut"), wide * high
    if head[:6] in (b"GIF87a", b"GIF89a"):
        wide, high = struct.unpack_from("<HH", head.ljust(10, b"\0"), 6)
        whole = tail.rstrip(b"\0").endswith(b";") or b"\0;" in tail
        return ("" if whole else "is cut"), wide * high
    if web_page(head) is not None:
        return "is a web page", 0
    if head.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer (git lfs pull brings the picture)", 0
    return _by_pillow(file)


def _has_deep_pixels(head: bytes, file: BinaryIO) -> bool:
    """Tell whether a whole picture has more than 8 bits a channel, or floats."""
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return head[24] == 16
    is_netpbm = head[:2] in (b"P2", b"P5", b"Pf")
    if not is_netpbm and kind_of(head) not in ("tif", "jp2"):
        return False
    if head[:2] in (b"II", b"MM"):
        with _whole(file) as content:
            if deep_file(content) is not None:
                return True
    with opened(Path(file.name)) as image:
        return is_deep(image.mode)


def _jpeg(head: bytes, tail: bytes, file: BinaryIO) -> tuple[str, int]:
    """Walk the segments, so that a thumbnail inside EXIF is not taken for the picture."""
    pixels, scan = _frame(head)
    if not scan and len(head) == EDGE:  # a thumbnail or a colour profile larger than what was read
        with _whole(file) as content:
            pixels, scan = _frame(content)
    if not scan:
        return "is cut", pixels
    # in a scan 0xFF is never followed by 0xD9; a motion photo has a film behind its last one
    end, read = b"\xff\xd9", head[scan:] if tail is head else tail
    return ("" if end in read or _is_in(file, end, scan) else "is cut"), pixels


def _frame(head: bytes) -> tuple[int, int]:
    """Give a JPEG's pixels, and where its data begin; 0 for what was not reached."""
    pixels = 0
    for marker, at, length in jpeg_segments(head):
        if marker == 0xDA:
            return pixels, at + 2 + length
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 9 <= len(head):
            high, wide = struct.unpack_from(">HH", head, at + 5)
            pixels = high * wide
    return pixels, 0


@contextmanager
def _whole(file: BinaryIO) -> Iterator[bytes]:
    """Read the whole content: only of files whose ends leave a doubt."""
    with decoding(file.seek(0, os.SEEK_END), 1):
        file.seek(0)
        yield file.read()


def _is_in(file: BinaryIO, end: bytes, start: int = 0) -> bool:
    with _whole(file) as content:
        return content.find(end, start) >= 0


def _by_pillow(file: BinaryIO) -> tuple[str, int]:
    """Let Pillow read the header of a rarer kind."""
    from PIL import Image, UnidentifiedImageError

    try:
        with opened(Path(file.name)) as image:
            return "", image.width * image.height
    except Image.DecompressionBombError as err:
        number = re.search(r"([\d,]+) pixels", str(err))  # Pillow states it nowhere else
        return "is a pixel bomb", int(number[1].replace(",", "")) if number else LARGEST + 1
    except UnidentifiedImageError:
        with _whole(file) as content:
            deep = deep_file(content)  # a TIFF of 64 bits, or of coloured floats
        return ("is no picture", 0) if deep is None else ("", deep.pixels)
    except Exception as err:  # a damaged header: Pillow's readers raise what they please
        return f"is damaged ({type(err).__name__})", 0
