"""Tars, packed or not, read once from beginning to end, as they come: each member held against the rules, then written.

Links are made when all files are there, so nothing is ever written through one.
"""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ...errors import BadArchive, ColabKitError, UnsafeArchive
from ...events import Control
from ..filetypes import kind_of
from .compressed import KINDS, PIECE, Stream, Tap, unpacked
from .limits import Gauge, Told, check_limits, damaged, of_disk
from .names import Places, outside

LONGEST_HEADER = 16 << 20  # bytes
TRAILING = 64 << 20  # bytes after the end that are unpacked, to compare a checksum
_BLOCK = 512


def extract(
    stream: Stream,
    to: Path,
    *,
    called: str,
    room: int | None,
    max_size: int | None = None,
    told: Told | None = None,
    control: Control | None = None,
) -> tuple[int, int]:
    """Unpack a tar, gz, bz2, xz and zst by its first bytes, into the folder `to`; the stream is read to its end.

    Returns
    -------
    files, bytes

    Raises
    ------
    BadArchive, UnsafeArchive, NoSpace, Stopped
        What was written before stays.
    ColabKitError
        The stream's own, as it is.
    """
    tap = Tap(stream)
    gauge = Gauge(
        called, lambda: tap.count, room=room, max_size=max_size, told=told, control=control
    )
    try:
        head = tap.head(_BLOCK)
        if not head:
            raise damaged(called, "it has 0 bytes")
        if (kind := kind_of(head)) not in (None, "tar", *KINDS) and not is_header(head):
            raise BadArchive(
                f"{called} is no tar.",
                f"it begins as a {kind} file does",
                "give the file its right name",
            )
        with closing(
            unpacked(tap, kind if kind in KINDS and not is_header(head) else None, called)
        ) as pieces:
            write(pieces, to, gauge)
        while tap.read(PIECE):
            pass
    except Exception as err:
        if tap.fault is not None and not isinstance(tap.fault, OSError):
            raise tap.fault from None
        raise said(called, to, tap.fault or err) from err
    return gauge.done()


def is_header(head: bytes) -> bool:
    """Whether these bytes are a tar's, by the sum in them: a name may begin as another kind does."""
    try:
        tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def said(called: str, to: Path, err: Exception) -> ColabKitError:
    """The sentences for whatever ended an extraction."""
    if isinstance(err, ColabKitError):
        return err
    if isinstance(err, OSError) and err.errno:  # bz2's own has none
        return of_disk(called, to, err)
    if isinstance(err, tarfile.FilterError):
        return outside(called, err.tarinfo.name)
    return damaged(called, str(err) or type(err).__name__)


def write(pieces: Iterator[bytes], to: Path, gauge: Gauge) -> None:
    """Write the members of a plain tar, which comes in pieces, below `to`.

    Raises
    ------
    Exception
        Whatever hostile bytes make of tarfile: for said().
    """
    source = _Forward(pieces)
    folder = _Folder(to, gauge, source)
    with tarfile.TarFile(fileobj=source) as tar:  # type: ignore[arg-type]  # it is read and sought forward, and nothing else
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            folder.put(info, tar)
    if source.last.strip(b"\0") or len(source.last) < _BLOCK:
        raise tarfile.ReadError(
            "a header is damaged" if source.last else "it ends before its end mark"
        )
    folder.link()
    for _ in range(TRAILING // PIECE):
        if next(pieces, None) is None:
            break


class _Forward:
    """A file for tarfile that only goes forward. last : what was read last, in the end the block where the members end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._piece, self._from, self._at = pieces, b"", 0, 0
        self.last = b""

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence or offset < self._at:
            raise tarfile.StreamError("a header leads backward")
        while self._at < offset and self.some(offset - self._at):
            pass
        return self._at

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        found = self.some(size)
        while len(found) < size and (more := self.some(size - len(found))):
            found += more
        self.last = found
        return found

    def some(self, size: int) -> bytes:
        """The next bytes, `size` at most; b"" at the end."""
        while self._from >= len(self._piece):
            if (piece := next(self._pieces, None)) is None:
                return b""
            self._piece, self._from = piece, 0
        found = self._piece[self._from : self._from + size]
        self._from, self._at = self._from + len(found), self._at + len(found)
        return found


class _Folder:
    """Where the members go."""

    def __init__(self, to: Path, gauge: Gauge, source: _Forward) -> None:
        self._to, self._gauge, self._source = str(to), gauge, source
        self._called, self._places = gauge.called, Places(gauge.called)
        self._made = {""}
        self._links: dict[str, str] = {}

    def put(self, info: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        gauge = self._gauge
        gauge.files += 1
        place = self._places.take(info.name, folder=info.isdir())
        if not info.isreg() and not info.isdir():
            if not info.issym() and not info.islnk():
                why = f"{info.name!r} is a device, a pipe or something unknown (type {info.type!r})"
                raise UnsafeArchive(
                    f"{self._called} holds what is no file and no folder.",
                    why,
                    "do not use this file",
                )
            tarfile.data_filter(info, self._to)
        self._make(place if info.isdir() else place.rpartition("/")[0])
        if info.issym():
            self._links[place] = self._target(info, place)
        elif info.islnk():
            self._same(info, place)
        elif info.isreg():
            self._write(info, place, tar)
        gauge.coming(0)

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(f"{self._to}/{folder}", exist_ok=True)
            self._made.add(folder)

    def _write(self, info: tarfile.TarInfo, place: str, tar: tarfile.TarFile) -> None:
        size, gauge = info.size, self._gauge
        if size < 0:
            raise tarfile.ReadError(f"{info.name} has a negative size")
        check_limits(
            self._called,
            size,
            gauge.bytes + size,
            gauge.files,
            room=gauge.room,
            max_size=gauge.max_size,
        )  # as it says itself
        holes = tar.extractfile(info) if info.issparse() else None
        if holes is None:
            self._source.seek(info.offset_data)
        with open(
            f"{self._to}/{place}", "xb", buffering=0, opener=_runs if info.mode & 0o111 else None
        ) as file:
            while size:
                piece = (
                    holes.read(min(size, PIECE))
                    if holes is not None
                    else self._source.some(min(size, PIECE))
                )
                if not piece:
                    raise tarfile.ReadError(f"it ends in {info.name}")
                gauge.coming(len(piece))
                size -= len(piece)
                while (done := file.write(piece) or 0) < len(piece):
                    piece = piece[done:]

    def _target(self, info: tarfile.TarInfo, place: str) -> str:
        """Where a symbolic link leads, if that is inside: `..` may only begin it, as a folder after it might be a link too."""
        parts = [part for part in info.linkname.split("/") if part not in ("", ".")]
        ups = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
        if (
            not info.linkname
            or info.linkname.startswith("/")
            or ".." in parts[ups:]
            or ups > place.count("/")
            or "\0" in info.linkname
        ):
            raise outside(
                self._called,
                info.name,
                f"is a link to {info.linkname!r}, which a well-meant archive does not hold",
            )
        return "/".join(parts) or "."

    def _same(self, info: tarfile.TarInfo, place: str) -> None:
        """A hard link: to a file that came before it."""
        target = "/".join(part for part in info.linkname.split("/") if part not in ("", "."))
        if target not in self._places.files or target in self._links or target == place:
            raise outside(
                self._called,
                info.name,
                f"is a link to {info.linkname!r}, which is no earlier file of it",
            )
        source, to = f"{self._to}/{target}", f"{self._to}/{place}"
        try:
            os.link(source, to)
        except FileExistsError:
            raise
        except OSError:  # a disk without such links
            self._gauge.coming(os.path.getsize(source))
            shutil.copyfile(source, to)

    def link(self) -> None:
        """Make the symbolic links, and see that each leads inside, or nowhere."""
        for place, target in self._links.items():
            os.symlink(target, f"{self._to}/{place}")
        whole = os.path.realpath(self._to)
        for place, target in self._links.items():
            path = f"{self._to}/{place}"
            if os.path.commonpath([whole, os.path.realpath(path)]) != whole or _goes_round(path):
                raise outside(
                    self._called,
                    place,
                    f"is a link to {target!r}, which leads out of it, or round and round",
                )


def _goes_round(path: str) -> bool:
    """Whether a link leads to itself, or to a folder that holds it: who walks the tree would never come back."""
    try:
        os.stat(path)
    except OSError as err:
        return err.errno == errno.ELOOP
    real, above = os.path.realpath(path), os.path.realpath(os.path.dirname(path))
    return os.path.commonpath([real, above]) == real


def _runs(path: str, flags: int) -> int:
    """Open a file that may be run."""
    return os.open(path, flags, 0o777)
