"""One file's way to Drive, where each file counts once it was read back.

A series of sealed files goes in place into two slots; any other file goes beside and is renamed.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import uuid
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..errors import DriveError, RunError
from ..events import milestone
from ..system.copies import Copy, HashingReader, compare, differs
from ..system.files import CHUNK, LONGEST, parse, seal_holds, sha256, stamp_of, sweep, write_all
from .reading import ground, make_folder, there

# checkpoint-000000120.safetensors is of the series "checkpoint".
_SERIES = re.compile(r"(.+)-\d{9}\.safetensors")
# A checkpoint without its record or its best weights is worth less: they go first, in this order.
_FIRST = ("choices.json", "run.json", "best-", "checkpoint-", "")
# What a slot is worth: the first is written over first.
DAMAGED, MISSING, UNREADABLE, WHOLE = range(4)


class Held:
    """A file to hand over, open since it was pushed.

    Pruned or replaced on the fast disk, here it is still itself.

    name : where it goes, relative to the mirror
    key : what it supersedes: the newest of a series counts, or the newest of a name
    mark : the stamp of a sealed file of a series, else None
    rank : what goes first has the lowest
    size, done : bytes, and those of them that are written
    wanted : False once the mirror was told to forget it
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name, self.done, self.wanted = inside(name), 0, True
        # No buffer: it has a lock, which a forked child may find taken.
        self.file: BinaryIO = open(path, "rb", buffering=0)
        try:
            self.size = os.fstat(self.file.fileno()).st_size
            if self.size <= CHUNK:
                with self.file as file:
                    self.file = io.BytesIO(file.read())
            series = _SERIES.fullmatch(self.name)
            self.mark = stamp_of(self.file) if series else None
        except BaseException:
            self.file.close()
            raise
        self.key = series[1] if series and self.mark else self.name
        last = self.name.rpartition("/")[2]
        self.rank = next(rank for rank, begin in enumerate(_FIRST) if last.startswith(begin))

    def let_go(self) -> None:
        """Close it; until then a pruned file keeps its room on the fast disk."""
        self.file.close()

    def sha256(self) -> str:
        self.file.seek(0)
        return HashingReader(self.file).read_to_end().sha256

    def pour(self, path: Path) -> None:
        """Write all of it over what `path` holds, if anything, and bring it to the disk."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "r+b", buffering=0) as writing:
            self.file.seek(0)
            self.done = 0
            for chunk in iter(partial(self.file.read, CHUNK), b""):
                write_all(writing.write, chunk)
                self.done += len(chunk)
                milestone("mid_copy", path)
            writing.truncate(self.done)
            os.fsync(writing.fileno())
        milestone("before_reading_back", path)


class Handover:
    """Bring files into a folder of the Drive, where each counts once it was read back.

    Folders are made only below My Drive itself: where it is gone, the mountpoint stays untouched.
    Of each series there are two slots, `<series>-a.safetensors` and `-b`: one is written over in
    place while the other stays whole. Nothing is renamed or deleted there: what is deleted goes to
    Drive's Trash, which counts against its space.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._ground = root, ground(root)
        self._swept: set[Path] = set()
        # Of each series the slot written last, and the seal it got.
        self._last: dict[str, tuple[Path, str]] = {}
        # One for all tries: each new name would leave its bytes in the Trash.
        self._tag = uuid.uuid4().hex[:8]

    def take(self, held: Held) -> None:
        """Bring one file there, unless it is there already.

        Raises
        ------
        OSError
            Drive did not take it, or gave back something else. Another try may succeed.
        RunError
            The file itself is damaged.
        """
        target = self.root / held.name
        try:
            make_folder(target.parent, self._ground)
        except FileNotFoundError as err:
            raise DriveError(
                "Drive is no longer there; run the cell with kit.mount() again"
            ) from err
        if held.mark is None:
            self._beside(held, target)
        else:
            self._into_a_slot(held, held.mark["sha256"], held.mark["start"])
        held.done = held.size

    def _into_a_slot(self, held: Held, seal: str, start: str) -> None:
        slots = [self.root / f"{held.key}-{letter}.safetensors" for letter in "ab"]
        slot = next((slot for slot in slots if _holds(slot, seal)), None)
        if slot is None:
            slot = self._free(slots, held.key, start)
            held.pour(slot)
            if not _reads(slot, seal):
                if not seal_holds(held.file):
                    raise RunError(
                        f"{held.name} is damaged and was not handed to Drive.",
                        "its sha256 is not the one it was written with",
                    )
                raise differs(slot)
        self._last[held.key] = slot, seal

    def _free(self, slots: list[Path], series: str, start: str) -> Path:
        """The slot to write over: the one that is worth less.

        The one written last stays, if it is still what was written: else Drive's program died
        before it had sent it.
        """
        last, seal = self._last.get(series, (None, ""))
        if last is not None and _holds(last, seal):
            return slots[1 - slots.index(last)]
        return min(slots, key=lambda slot: _worth(slot, start))

    def _beside(self, held: Held, target: Path) -> None:
        if target.parent not in self._swept:  # what a killed process left half-copied
            sweep(target.parent)
            self._swept.add(target.parent)
        digest = held.sha256()
        if there(target) and target.stat().st_size == held.size and sha256(target) == digest:
            return
        part = target.with_name(f".{target.name}.{self._tag}.part")
        held.pour(part)
        compare(part, digest)
        os.replace(part, target)


def _reads(slot: Path, seal: str) -> bool:
    """Whether the slot holds just this file; read in full only if its header says so."""
    with open(slot, "rb") as file:
        mark = stamp_of(file)
        return mark is not None and mark["sha256"] == seal and seal_holds(file)


def _holds(slot: Path, seal: str) -> bool:
    """_reads(), and False for one that is missing or cannot be read."""
    try:
        return _reads(slot, seal)
    except OSError:
        return False


def _worth(slot: Path, start: str) -> tuple[int, bool, int]:
    """What it is first; then whether it is of this start; then its step."""
    mark = None
    try:
        with open(slot, "rb") as file:
            mark = stamp_of(file)
            worth = WHOLE if seal_holds(file) else DAMAGED
    except FileNotFoundError:
        worth = MISSING
    except OSError:
        worth = UNREADABLE
    return (worth, mark["start"] == start, int(mark["step"])) if mark else (worth, False, -1)


def inside(name: str) -> str:
    """A name as a path below the mirror; ValueError for one that leaves it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} is no path inside the mirror")
    return str(path)


MANIFEST = ".colab-kit.json"  # {name: [bytes, sha256]}
PER_FILE = 1536  # bytes that a tar adds to each file, about


def pack(folder: Path, to: Path) -> None:
    """Write all files of `folder` into the uncompressed tar `to`, and bring it to the disk.

    Raises
    ------
    OSError
    """
    copies: dict[str, Copy] = {}
    with open(to, "wb", buffering=CHUNK) as file:
        with tarfile.open(fileobj=file, mode="w|", bufsize=CHUNK, format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                name = path.relative_to(folder).as_posix()
                with open(path, "rb") as reading:
                    copies[name] = _add(tar, name, reading, path.stat().st_size)
            manifest = json.dumps(copies).encode()
            _add(tar, MANIFEST, io.BytesIO(manifest), len(manifest))
        file.flush()
        os.fsync(file.fileno())


def _add(tar: tarfile.TarFile, name: str, reading: BinaryIO, size: int) -> Copy:
    """Write one file, a piece at a time: one of them may not fit into memory."""
    info, reader = tarfile.TarInfo(name), HashingReader(reading)
    info.size = size
    tar.addfile(info, reader)
    return reader.copy


def holds(tar: Path) -> dict[str, int] | None:
    """What a whole pack holds, and the bytes of each; None for a damaged one.

    The pack is read to its end, and every file compared.

    Raises
    ------
    OSError
        It cannot be read.
    """
    copies: dict[str, Copy] = {}
    manifest = None
    try:
        with open(tar, "rb") as file, tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK) as pack:
            for member in pack:
                reading = pack.extractfile(member) or io.BytesIO()
                if member.name == MANIFEST:
                    listing = parse(reading.read(min(member.size, LONGEST + 1))).items()
                    manifest = {name: Copy(*copy) for name, copy in listing}
                else:
                    copies[member.name] = HashingReader(reading).read_to_end()
    except (tarfile.TarError, ValueError, TypeError, AttributeError):
        return None
    return {name: copy.size for name, copy in copies.items()} if copies == manifest else None
