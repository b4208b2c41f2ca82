"""A zip's directory: what the zip holds, held against the rules before anything is written."""

from __future__ import annotations

import errno
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import BadArchive, ColabKitError, UnsafeArchive
from ..filetypes import MOST, Places
from .limits import damaged
from .zip_names import names_of, raw_name

Read = Callable[[int, int], bytes]  # read(offset, size): fewer bytes only past the end

TAIL = 64 << 10  # bytes: the directory's end stands in them, unless a long comment follows it
LONGEST_DIRECTORY = 256 << 20  # bytes
STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
HEADER = 30  # bytes before a member's name


@dataclass(frozen=True, slots=True)
class Member:
    """One file or folder of a zip.

    name : below the folder
    start, end : where it begins in the zip, and where what follows it begins
    """

    name: str
    start: int
    end: int
    packed: int  # bytes
    size: int  # bytes
    crc: int
    method: int
    executable: bool
    folder: bool
    raw: bytes  # the name as it stands in the file


def directory(
    read: Read, size: int, *, called: str, say: Callable[[str], None] = lambda text: None
) -> list[Member]:
    """What a zip of `size` bytes holds, in the order in which it lies there.

    It takes two or three reads, none of them of a member. `say` is told which encoding of the names
    had to be guessed.

    Raises
    ------
    BadArchive
        It is damaged, locked by a password, or packed in a way that Python cannot read.
    UnsafeArchive
        A member would leave the folder, is a link, is there twice, or shares its bytes.
    """
    file = _Seekable(read, size)
    try:
        with zipfile.ZipFile(file) as opened:
            infos = sorted(opened.infolist(), key=lambda info: info.header_offset)
            stop = opened.start_dir
    except NotImplementedError as err:
        raise _unknown(called, str(err)) from err
    except Exception as err:  # whatever hostile bytes make of zipfile
        if file.fault is not None:
            raise file.fault from None
        if isinstance(err, ColabKitError):
            raise
        raise damaged(called, str(err) or type(err).__name__) from err
    names, guess = names_of(infos)
    if guess:
        say(_guessed(names, guess, called))
    places, ends = Places(called), [info.header_offset for info in infos[1:]] + [stop]
    return [
        _member(info, name, end, places, called)
        for info, name, end in zip(infos, names, ends, strict=False)
    ]


def _guessed(names: list[str], encoding: str, called: str) -> str:
    parts = {part for name in names for part in name.split("/") if not part.isascii()}
    text = f"{called} does not say how its names are encoded: they are read as {encoding}"
    way = f"!unzip -q -O ENCODING '{called}' -d FOLDER"
    return f"{text} ({', '.join(sorted(parts)[:3])}). If they look wrong: {way}."


class _Seekable:
    """A file for zipfile, on top of read(): its tail is read once and kept."""

    def __init__(self, read: Read, size: int) -> None:
        self._read, self._size, self._at = read, size, 0
        self._tail: bytes | None = None
        self.fault: Exception | None = None

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        at = offset + (0, self._at, self._size)[whence]
        if at < 0:  # the error of a real file: zipfile then tries elsewhere
            raise OSError(errno.EINVAL, "it begins before the file does")
        self._at = at
        return at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        size = left if size < 0 else min(size, left)
        if size > LONGEST_DIRECTORY:
            raise ValueError(f"a directory of {size:,} bytes")
        begin = max(0, self._size - TAIL)
        if self._tail is None:
            self._tail = self._exact(begin, self._size - begin)
        if self._at >= begin:
            content = self._tail[self._at - begin : self._at - begin + size]
        else:
            content = self._exact(self._at, size)
        if len(content) > LONGEST_DIRECTORY >> 4 and content.count(b"PK\1\2") > MOST:
            raise ValueError(f"more than {MOST:,} files")
        self._at += len(content)
        return content

    def _exact(self, offset: int, size: int) -> bytes:
        try:
            return self._read(offset, size) if size else b""
        except Exception as err:
            self.fault = err
            raise


def _member(info: zipfile.ZipInfo, name: str, end: int, places: Places, called: str) -> Member:
    size, mode = info.file_size, info.external_attr >> 16
    start, packed, method = info.header_offset, info.compress_size, info.compress_type
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        what, fix = f"{called} holds a link, {name}.", "zip the files themselves"
        raise UnsafeArchive(what, "links are not followed", fix)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = f"{called} holds {name!r}, which is no file and no folder."
        raise UnsafeArchive(what, f"its mode is {mode:o}", "zip plain files")
    if info.flag_bits & 0x2041:  # the contents, by whichever method, or the directory
        how = f"!unzip -q -P PASSWORD '{called}' -d FOLDER"
        fix = f"unpack it yourself: {how}, then load the folder"
        raise BadArchive(f"{called} is locked by a password.", f"{name} is encrypted", fix)
    marked = kind == stat.S_IFDIR or bool(info.external_attr & 0x10)
    folder = name.endswith(("/", "\\")) or (marked and not size)
    place = places.take(name, folder=folder)
    raw = raw_name(info)
    if start < 0 or start + HEADER + len(raw) + packed > end:
        raise overlaps(called, name)
    if not folder and method not in (STORED, DEFLATED, BZIP2, LZMA):
        raise _unknown(called, f"{name} is packed by method {method}, which Python does not know")
    if not folder and method == STORED and packed != size:
        raise damaged(called, f"{name}: {packed:,} bytes stand for {size:,}")
    executable = bool(mode & 0o111)
    return Member(place, start, end, packed, size, info.CRC, method, executable, folder, raw)


def overlaps(called: str, name: str) -> UnsafeArchive:
    why = f"{name!r} takes bytes of what follows it: one of the two is a bomb, or it is damaged"
    return UnsafeArchive(f"{called} holds files that overlap.", why, "do not use this file")


def _unknown(called: str, why: str) -> BadArchive:
    fix = f"!7z x '{called}', then load the folder"
    return BadArchive(f"{called} cannot be unpacked.", why, fix)
