"""Members: what a zip holds, from its directory alone, held against the rules before anything is written."""

from __future__ import annotations

import errno
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import BadArchive, ColabKitError, UnsafeArchive
from .limits import damaged
from .names import MOST, Places

Read = Callable[[int, int], bytes]  # read(offset, size): fewer bytes only past the end

TAIL = 64 << 10  # bytes: the directory's end stands in them, unless a long comment follows it
LONGEST_DIRECTORY = 256 << 20  # bytes
STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
HEADER = 30  # bytes before a member's name


@dataclass(frozen=True, slots=True)
class Member:
    """One file or folder of a zip. name : below the folder; start, end : where it begins, and what follows it."""

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


def directory(read: Read, size: int, *, called: str) -> list[Member]:
    """What a zip of `size` bytes holds, in the order in which it lies there; two or three reads, none of them of a member.

    Raises
    ------
    BadArchive
        It is damaged, locked by a password, or packed in a way that Python cannot read.
    UnsafeArchive
        A member would leave the folder, is a link, is there twice, or shares its bytes with another.
    """
    file = _Seekable(read, size)
    try:
        with zipfile.ZipFile(file) as opened:
            infos, stop = (
                sorted(opened.infolist(), key=lambda info: info.header_offset),
                opened.start_dir,
            )
    except NotImplementedError as err:
        raise _unknown(called, str(err)) from err
    except Exception as err:  # whatever hostile bytes make of zipfile
        if file.fault is not None:
            raise file.fault from None
        if isinstance(err, ColabKitError):
            raise
        raise damaged(called, str(err) or type(err).__name__) from err
    places, ends = Places(called), [info.header_offset for info in infos[1:]] + [stop]
    return [_member(info, end, places, called) for info, end in zip(infos, ends, strict=False)]


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
        if at < 0:
            raise OSError(
                errno.EINVAL, "it begins before the file does"
            )  # as a file says it: zipfile tries elsewhere
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
            found = self._tail[self._at - begin : self._at - begin + size]
        else:
            found = self._exact(self._at, size)
        if len(found) > LONGEST_DIRECTORY >> 4 and found.count(b"PK\1\2") > MOST:
            raise ValueError(f"more than {MOST:,} files")
        self._at += len(found)
        return found

    def _exact(self, offset: int, size: int) -> bytes:
        try:
            return self._read(offset, size) if size else b""
        except Exception as err:
            self.fault = err
            raise


def _member(info: zipfile.ZipInfo, end: int, places: Places, called: str) -> Member:
    name, mode = info.filename, info.external_attr >> 16
    if "\0" in info.orig_filename:
        name = info.orig_filename  # refused below, for its NUL
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        raise UnsafeArchive(
            f"{called} holds a link, {name}.", "links are not followed", "zip the files themselves"
        )
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeArchive(
            f"{called} holds {name!r}, which is no file and no folder.",
            f"its mode is {mode:o}",
            "zip plain files",
        )
    if info.flag_bits & 0x2041:  # the contents, by whichever method, or the directory
        fix = (
            f"unpack it yourself: !unzip -q -P PASSWORD '{called}' -d FOLDER, then load the folder"
        )
        raise BadArchive(f"{called} is locked by a password.", f"{name} is encrypted", fix)
    folder = name.endswith(("/", "\\")) or (
        not info.file_size and (kind == stat.S_IFDIR or bool(info.external_attr & 0x10))
    )
    place = places.take(name, folder=folder)
    raw = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
    start, packed = info.header_offset, info.compress_size
    if start < 0 or start + HEADER + len(raw) + packed > end:
        raise overlaps(called, name)
    if not folder and info.compress_type not in (STORED, DEFLATED, BZIP2, LZMA):
        raise _unknown(
            called, f"{name} is packed by method {info.compress_type}, which Python does not know"
        )
    if not folder and info.compress_type == STORED and packed != info.file_size:
        raise damaged(called, f"{name}: {packed:,} bytes stand for {info.file_size:,}")
    return Member(
        place,
        start,
        end,
        packed,
        info.file_size,
        info.CRC,
        info.compress_type,
        bool(mode & 0o111),
        folder,
        raw,
    )


def overlaps(called: str, name: str) -> UnsafeArchive:
    why = f"{name!r} takes bytes that belong to what follows it: one of the two is a bomb, or its directory is damaged"
    return UnsafeArchive(f"{called} holds files that overlap.", why, "do not use this file")


def _unknown(called: str, why: str) -> BadArchive:
    return BadArchive(
        f"{called} cannot be unpacked.", why, f"!7z x '{called}', then load the folder"
    )
