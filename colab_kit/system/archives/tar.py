"""Tars, packed or not, read once from beginning to end, as they come.

Each member is held against the rules, then written. Links are made when all files are there, so
nothing is ever written through one.
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
from ..files import write_all
from ..filetypes import Places, kind_of, outside
from .compressed import KINDS, PIECE, Stream, Tap, unpacked_pieces
from .limits import Unpacking, damaged, of_disk

LONGEST_HEADER = 16 << 20  # bytes
TRAILING = 64 << 20  # bytes after the end that are unpacked, to compare a checksum
_BLOCK = 512


def extract(stream: Stream, to: Path, job: Unpacking) -> None:
    """Unpack a tar, also one packed by gz, bz2, xz or zst, into the folder `to`.

    The stream is read to its end. Afterwards `job` knows the files and bytes.

    Raises
    ------
    BadArchive, UnsafeArchive, NoSpace, Stopped
        What was written before stays.
    ColabKitError
        The stream's own, as it is.
    """
    tap, called = Tap(stream), job.called
    try:
        head = tap.head(_BLOCK)
        if not head:
            raise damaged(called, "it has 0 bytes")
        kind = None if is_header(head) else kind_of(head)
        if kind not in (None, "tar", *KINDS):
            raise BadArchive(
                f"{called} is no tar.",
                f"it begins as a {kind} file does",
                "give the file its right name",
            )
        with closing(unpacked_pieces(tap, kind, called)) as pieces:
            _write(pieces, to, job, tap)
        while tap.read(PIECE):
            pass
    except Exception as err:
        if tap.fault is not None and not isinstance(tap.fault, OSError):
            raise tap.fault from None
        raise error_of(called, to, tap.fault or err) from err
    job.tell()


def is_header(head: bytes) -> bool:
    """Whether these bytes begin a tar, by the sum in them: a name may look like another kind."""
    try:
        tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def error_of(called: str, to: Path, err: Exception) -> ColabKitError:
    """The sentences for whatever ended an extraction."""
    if isinstance(err, ColabKitError):
        return err
    if isinstance(err, OSError) and err.errno:  # bz2's own has none
        return of_disk(called, to, err)
    if isinstance(err, tarfile.FilterError):
        return outside(called, err.tarinfo.name)
    return damaged(called, str(err) or type(err).__name__)


def _write(pieces: Iterator[bytes], to: Path, job: Unpacking, tap: Tap) -> None:
    """Write the members of a plain tar, which comes in pieces, below `to`.

    Raises
    ------
    Exception
        Whatever hostile bytes make of tarfile: for error_of().
    """
    source = _Forward(pieces)
    folder = _Folder(to, job, source, tap)
    with tarfile.TarFile(fileobj=source) as tar:  # type: ignore[arg-type]  # read and sought only
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            folder.put(info, tar)
    if source.last.strip(b"\0") or len(source.last) < _BLOCK:
        fault = "a header is damaged" if source.last else "it ends before its end mark"
        raise tarfile.ReadError(fault)
    folder.link()
    for _ in range(TRAILING // PIECE):
        if next(pieces, None) is None:
            break


class _Forward:
    """A file for tarfile that only goes forward.

    last : the block that was read last; in the end, the one where the members end
    """

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
        block = self.some(size)
        while len(block) < size and (more := self.some(size - len(block))):
            block += more
        self.last = block
        return block

    def some(self, size: int) -> bytes:
        """The next bytes, `size` at most; b"" at the end."""
        while self._from >= len(self._piece):
            if (piece := next(self._pieces, None)) is None:
                return b""
            self._piece, self._from = piece, 0
        chunk = self._piece[self._from : self._from + size]
        self._from, self._at = self._from + len(chunk), self._at + len(chunk)
        return chunk


class _Folder:
    """Where the members go."""

    def __init__(self, to: Path, job: Unpacking, source: _Forward, tap: Tap) -> None:
        self._to, self._job, self._source, self._tap = str(to), job, source, tap
        self._called, self._places = job.called, Places(job.called)
        self._folders = {""}
        self._links: dict[str, str] = {}

    def put(self, info: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
        self._job.files += 1
        place = self._places.take(info.name, folder=info.isdir())
        is_link = info.issym() or info.islnk()
        if is_link:
            tarfile.data_filter(info, self._to)
        elif not info.isreg() and not info.isdir():
            raise UnsafeArchive(
                f"{self._called} holds what is no file and no folder.",
                f"{info.name!r} is a device, a pipe or something unknown (type {info.type!r})",
                "do not use this file",
            )
        self._make(place if info.isdir() else place.rpartition("/")[0])
        if info.issym():
            self._links[place] = self._target(info, place)
        elif info.islnk():
            self._hard_link(info, place)
        elif info.isreg():
            self._write(info, place, tar)
        self._coming(0)

    def _coming(self, size: int) -> None:
        self._job.coming(size, self._tap.count)

    def _make(self, folder: str) -> None:
        if folder not in self._folders:
            os.makedirs(f"{self._to}/{folder}", exist_ok=True)
            self._folders.add(folder)

    def _write(self, info: tarfile.TarInfo, place: str, tar: tarfile.TarFile) -> None:
        size, job = info.size, self._job
        if size < 0:
            raise tarfile.ReadError(f"{info.name} has a negative size")
        job.check(size, job.bytes + size, job.files)  # as it says itself
        holes = tar.extractfile(info) if info.issparse() else None
        if holes is None:
            self._source.seek(info.offset_data)
        read = self._source.some if holes is None else holes.read
        opener = _runnable if info.mode & 0o111 else None
        with open(f"{self._to}/{place}", "xb", buffering=0, opener=opener) as file:
            while size:
                piece = read(min(size, PIECE))
                if not piece:
                    raise tarfile.ReadError(f"it ends in {info.name}")
                self._coming(len(piece))
                size -= len(piece)
                write_all(file.write, piece)

    def _link_outside(self, place: str, target: str, fault: str) -> UnsafeArchive:
        return outside(self._called, place, f"is a link to {target!r}, which {fault}")

    def _target(self, info: tarfile.TarInfo, place: str) -> str:
        """Where a symbolic link leads, if that is inside.

        `..` may only begin it, as a folder before it might be a link too.
        """
        target = info.linkname
        parts = _parts(target)
        ups = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
        bad = not target or target.startswith("/") or "\0" in target
        if bad or ".." in parts[ups:] or ups > place.count("/"):
            raise self._link_outside(info.name, target, "a well-meant archive does not hold")
        return "/".join(parts) or "."

    def _hard_link(self, info: tarfile.TarInfo, place: str) -> None:
        """A second name of a file that came before it."""
        target = "/".join(_parts(info.linkname))
        if target not in self._places.files or target in self._links or target == place:
            raise self._link_outside(info.name, info.linkname, "is no earlier file of it")
        source, to = f"{self._to}/{target}", f"{self._to}/{place}"
        try:
            os.link(source, to)
        except FileExistsError:
            raise
        except OSError:  # a disk without such links
            self._coming(os.path.getsize(source))
            shutil.copyfile(source, to)

    def link(self) -> None:
        """Make the symbolic links, and see that each leads inside, or nowhere."""
        for place, target in self._links.items():
            os.symlink(target, f"{self._to}/{place}")
        whole = os.path.realpath(self._to)
        for place, target in self._links.items():
            path = f"{self._to}/{place}"
            if not _is_in(os.path.realpath(path), whole) or _goes_round(path):
                raise self._link_outside(place, target, "leads out of it, or round and round")


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _is_in(path: str, folder: str) -> bool:
    return os.path.commonpath([folder, path]) == folder


def _goes_round(path: str) -> bool:
    """Whether a link leads to itself or to a folder that holds it: no walk would end."""
    try:
        os.stat(path)
    except OSError as err:
        return err.errno == errno.ELOOP
    return _is_in(os.path.realpath(os.path.dirname(path)), os.path.realpath(path))


def _runnable(path: str, flags: int) -> int:
    """Open a file that may be run."""
    return os.open(path, flags, 0o777)
