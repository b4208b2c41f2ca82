"""Picture files looked at from outside, and pictures that two splits share.

No pixel of a file is decoded.
look_at() visits each file once, briefly, for its size, magic, dimensions and end marker; overlaps()
finds the same picture in two splits by its content.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from ..errors import DataError
from ..events import Note
from ..system.filetypes import kind_of, web_page
from . import keyed_random
from .dataset import Data, Split
from .deep import is_deep, samples
from .folders.tree import counted, some
from .images import READERS, jpeg_segments, reads
from .sources import Arrays, Pictures

EDGE = 16 << 10  # bytes read at each end of a file
LARGEST = 178_956_970  # pixels: twice Pillow's MAX_IMAGE_PIXELS, where it refuses to open a file
THREADS = 16  # the wait is for the disk, or for Drive
PART = 1 << 20  # bytes of an array summed at once: they stay in the cache


@dataclass(frozen=True, slots=True)
class Look:
    """The result of one visit.

    fault : "" if the file looks whole
    print : hex, of the size and both ends of the content
    pixels : width times height; 0 if the header hides it
    kind : "heic" or "avif", where Pillow may need help
    deep : whether it has more than 8 bits a channel, or floats
    """

    path: Path
    fault: str = ""
    print: str = ""
    pixels: int = 0
    kind: str = ""
    deep: bool = False


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
            size = look.path.stat().st_size
            raise DataError(
                f"{look.path} states {look.pixels / 1e6:,.0f} million pixels in {size:,} bytes.",
                "unpacked it would fill the memory: a pixel bomb, or a scan far too large",
                "delete it, or replace it by a smaller copy",
            )
    return looks


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
    paths: Sequence[Path], labels: Iterable[Any], prints: Sequence[str], root: Path
) -> Note | None:
    """Say which pictures lie in two classes, if one label a picture is meant."""
    first, labels = dict[str, int](), list(labels)
    pairs = list[tuple[int, int]]()
    for row, (label, file_print) in enumerate(zip(labels, prints, strict=True)):
        if isinstance(label, str) and labels[first.setdefault(file_print, row)] != label:
            pairs.append((first[file_print], row))
    if not pairs:
        return None
    one, other = (os.path.relpath(paths[row], root) for row in pairs[0])
    text = f"{counted(len(pairs), 'picture')} found under two classes each ({one} is {other}): one "
    return Note(text + "of the labels is wrong, or a folder is no class.", "warn")


def _look(path: Path) -> Look:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(EDGE)
            file.seek(max(len(head), size - EDGE))
            tail = file.read(EDGE)
            digest = hashlib.sha256(b"%d|" % size + head + tail).hexdigest()[:32]
            kind = kind_of(head)
            if kind in READERS and not reads(kind):
                return Look(path, f"is {kind.upper()}", digest, kind=kind)
            if kind == "heic":
                return Look(path, "", digest, kind=kind)
            fault, pixels = _judge(head, tail or head, file, size)
            deep = not fault and _has_deep_pixels(head, file)
    except OSError as err:
        return Look(path, f"cannot be opened ({err.strerror or err})")
    return Look(path, fault, digest, pixels, deep=deep)


def _judge(head: bytes, tail: bytes, file: BinaryIO, size: int) -> tuple[str, int]:
    """Give (fault, pixels) of a file by its kind."""
    if not size:
        return "is empty", 0
    if head[:3] == b"\xff\xd8\xff":
        return _jpeg(head, tail, file)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        wide, high = struct.unpack_from(">II", head.ljust(24, b"\0"), 16)
        end = b"IEND\xaeB`\x82"  # some cameras append what they like
        return ("" if end in tail or end in _all(file) else "is cut"), wide * high
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
    from PIL import Image

    if head[:2] in (b"II", b"MM") and samples(_all(file)) is not None:
        return True
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file) as image:
            return is_deep(image.mode)


def _jpeg(head: bytes, tail: bytes, file: BinaryIO) -> tuple[str, int]:
    """Walk the segments, so that a thumbnail inside EXIF is not taken for the picture."""
    pixels, scan = _frame(head)
    if not scan and len(head) == EDGE:  # a thumbnail or a colour profile larger than what was read
        head = tail = _all(file)
        pixels, scan = _frame(head)
    if not scan:
        return "is cut", pixels
    # in a scan 0xFF is never followed by 0xD9; a motion photo has a film behind its last one
    end, read = b"\xff\xd9", head[scan:] if tail is head else tail
    whole = end in read or _all(file).find(end, scan) >= 0
    return ("" if whole else "is cut"), pixels


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


def _all(file: BinaryIO) -> bytes:
    """Read the whole content: only of files whose ends leave a doubt."""
    file.seek(0)
    return file.read()


def _by_pillow(file: BinaryIO) -> tuple[str, int]:
    """Let Pillow read the header of a rarer kind."""
    from PIL import Image, UnidentifiedImageError

    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                return "", image.width * image.height
    except Image.DecompressionBombError as err:
        number = re.search(r"\((\d+) pixels\)", str(err))  # Pillow states it nowhere else
        return "is a pixel bomb", int(number[1]) if number else LARGEST + 1
    except UnidentifiedImageError:
        found = samples(_all(file))  # a TIFF of 64 bits, or of coloured floats
        return ("is no picture", 0) if found is None else ("", found[0][..., 0].size)
    except Exception as err:  # a damaged header: Pillow's readers raise what they please
        return f"is damaged ({type(err).__name__})", 0


Late = Callable[[], bool]
Twins = list[tuple[str, str]]  # (name there, name in training)


def overlaps(
    data: Data, *, limit: float = float("inf"), clock: Callable[[], float] = time.monotonic
) -> dict[str, Twins]:
    """Find pictures of training that another split has too: {"test": [(there, in training)]}.

    It reads only files whose size another split has as well, and compares only rows of arrays
    whose sum another split has as well. It leaves a user's own Dataset alone: reading that may
    cost anything.

    Parameters
    ----------
    data : Data
        Its valid and test splits are compared with train.
    limit : float
        Seconds; the result is what was found until then.
    clock : callable
        The time in seconds.
    """
    ends, train = clock() + limit, data.train
    twins: dict[str, Twins] = {}

    def late() -> bool:
        return clock() > ends

    for name, split in data.splits.items():
        for kind, compare in ((Arrays, _same_rows), (Pictures, _same_files)):
            both = isinstance(split.source, kind) and isinstance(train.source, kind)
            if name != "train" and both and (pairs := compare(split, train, late)):
                twins[name] = pairs
    return twins


def _same_rows(other: Split, train: Split, late: Late) -> Twins:
    """Compare rows of equal sums byte by byte."""
    theirs, ours = _sums(other, late), _sums(train, late)
    order = np.argsort(ours, kind="stable")
    same = np.flatnonzero(np.isin(theirs, ours))
    partners = train.rows[order[np.searchsorted(ours[order], theirs[same])]]
    pairs: Twins = []
    step = max(1, PART // _width(train))
    for start in range(0, len(same), step):
        a, b = other.rows[same[start : start + step]], partners[start : start + step]
        equal = (_bytes(other, a) == _bytes(train, b)).all(1)
        pairs += zip(map(str, a[equal].tolist()), map(str, b[equal].tolist()), strict=True)
        if late():  # after a part: where the sums took all the time, they are not lost
            break
    return pairs


def _sums(split: Split, late: Late) -> np.ndarray:
    """Sum each row's bytes, eight at a time, under keyed odd weights: uint64.

    It sums as many rows as time allows.
    70,000 rows of 784 bytes take a third of the time that their hashes take.
    """
    wide, parts = _width(split), [np.empty(0, np.uint64)]
    weights = keyed_random.hashes(keyed_random.mix(wide), np.arange(-(-wide // 8))) | np.uint64(1)
    step = max(1, PART // wide)
    for start in range(0, len(split), step):
        if late():
            break
        raw = _bytes(split, split.rows[start : start + step])
        if wide % 8:
            raw = np.pad(raw, ((0, 0), (0, -wide % 8)))
        parts.append((raw.view(np.uint64) * weights).sum(1, dtype=np.uint64))
    return np.concatenate(parts)


def _bytes(split: Split, rows: np.ndarray) -> np.ndarray:
    """View rows of an array as bytes: uint8, (rows, bytes)."""
    x = _array(split)
    part = x[torch.from_numpy(rows).to(x.device)].detach().cpu()
    return np.asarray(part.reshape(len(rows), -1).contiguous().view(torch.uint8).numpy())


def _array(split: Split) -> torch.Tensor:
    assert isinstance(split.source, Arrays)
    return split.source.x


def _width(split: Split) -> int:
    """Count the bytes of a row."""
    return max(1, _array(split)[:1].nbytes)


def _same_files(other: Split, train: Split, late: Late) -> Twins:
    """Compare files of equal size by their hashes."""
    theirs, ours = _sizes(other), _sizes(train)
    names = dict(_hashes(train, ours, set(theirs.values()), late))
    hashes = _hashes(other, theirs, set(ours.values()), late)
    return [(name, names[key]) for key, name in hashes if key in names]


def _sizes(split: Split) -> dict[Path, int]:
    sizes = {}
    for path in split.paths or []:
        with suppress(OSError):
            sizes[path] = os.stat(path).st_size
    return sizes


def _hashes(
    split: Split, sizes: dict[Path, int], wanted: set[int], late: Late
) -> Iterator[tuple[bytes, str]]:
    assert isinstance(split.source, Pictures)
    for path, size in sizes.items():
        if late():
            return
        if size in wanted:
            with suppress(OSError):
                digest = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
                yield digest, os.path.relpath(path, split.source.root)
