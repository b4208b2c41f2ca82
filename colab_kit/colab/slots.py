"""One file's way to Drive: a series of sealed files in place into two slots, any other beside and renamed; each read back."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import uuid
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..errors import DriveError, RunError
from ..events import milestone
from ..system.files import CHUNK, seal_holds, sha256, stamp_of, sweep
from .ground import ground, made, there

_SERIES = re.compile(
    r"(.+)-\d{9}\.safetensors"
)  # checkpoint-000000120.safetensors is of the series "checkpoint"
_RECORD = ("choices.json", "run.json")  # in this order: where the record stands, the choices do too
DAMAGED, MISSING, UNREADABLE, WHOLE = range(
    4
)  # what a slot is worth: the first is written over first
OTHERWISE = "its copy read back otherwise than it was written"


class Held:
    """A file to hand over, open since it was pushed: pruned or replaced on the fast disk, here it is still itself.

    name : where it goes, relative to the mirror
    key : what it supersedes: the newest of a series counts, or the newest of a name
    mark : the stamp of a sealed file of a series, else None
    size, done : bytes, and those of them that are written
    wanted : False once the mirror was told to forget it
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name, self.done, self.wanted = inside(name), 0, True
        self.file: BinaryIO = open(
            path, "rb", buffering=0
        )  # no buffer: it has a lock, which a forked child may find taken
        try:
            self.size = os.fstat(self.file.fileno()).st_size
            if self.size <= CHUNK:
                with self.file as file:
                    self.file = io.BytesIO(file.read())
            folder, _, last = self.name.rpartition("/")
            found = _SERIES.fullmatch(last)
            self.mark = stamp_of(self.file) if found is not None else None
        except BaseException:
            self.file.close()
            raise
        self.key = (
            f"{folder}/{found[1]}".lstrip("/")
            if found is not None and self.mark is not None
            else self.name
        )
        ranks = (
            *(last == name for name in _RECORD),
            last.startswith("best-"),
            last.startswith("checkpoint-"),
            True,
        )
        self.rank = ranks.index(
            True
        )  # a checkpoint without its record or its best weights is worth less

    def let_go(self) -> None:
        """Close it; until then a pruned file keeps its room on the fast disk."""
        self.file.close()

    def pour(self, writing: io.FileIO, path: Path) -> str:
        """Write all of it and bring it to the disk; its sha256."""
        self.file.seek(0)
        self.done, digest = 0, hashlib.sha256()
        while chunk := self.file.read(CHUNK):
            if self.mark is None:
                digest.update(chunk)
            view = memoryview(chunk)
            while view:
                taken = writing.write(view)
                if not taken:
                    raise OSError(errno.EIO, "it takes no more bytes")
                view = view[taken:]  # a disk that gets full takes a part, and fails at the next
            self.done += len(chunk)
            milestone("mid_copy", path)
        writing.truncate(self.done)
        os.fsync(writing.fileno())
        return digest.hexdigest()


class Handover:
    """Bring files into a folder of the Drive, where each counts once it was read back.

    Folders are made only below My Drive itself: where it is gone, the mountpoint stays untouched.
    Of each series there are two slots, `<series>-a.safetensors` and `-b`: one is written over in place while the other stays whole.
    Nothing is renamed or deleted there, since what is deleted goes to Drive's Trash, which counts against its space.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ground = ground(root)
        self._swept: set[Path] = set()
        self._last: dict[
            str, tuple[Path, str]
        ] = {}  # series: the slot written last, and the seal it got
        self._tag = uuid.uuid4().hex[
            :8
        ]  # one for all tries: each new name would leave its bytes in the Trash

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
            made(target.parent, self._ground)
        except FileNotFoundError as err:
            raise DriveError(
                "Drive is no longer there; run the cell with kit.mount() again"
            ) from err
        if held.mark is None:
            self._beside(held, target)
        else:
            self._into_a_slot(
                held, held.mark, [self.root / f"{held.key}-{letter}.safetensors" for letter in "ab"]
            )
        held.done = held.size

    def _into_a_slot(self, held: Held, mark: dict[str, str], slots: list[Path]) -> None:
        seal = mark["sha256"]
        slot = next((slot for slot in slots if _holds(slot, seal)), None)
        if slot is None:
            slot = self._free(slots, held.key, mark["start"])
            handle = os.open(
                slot, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666
            )  # its bytes stay: it is written over
            with os.fdopen(handle, "r+b", buffering=0) as writing:
                held.pour(writing, slot)
            milestone("before_reading_back", slot)
            if not _reads(slot, seal):
                if not seal_holds(held.file):
                    raise RunError(
                        f"{held.name} is damaged and was not handed to Drive.",
                        "its sha256 is not the one it was written with",
                    )
                raise DriveError(OTHERWISE)
        self._last[held.key] = slot, seal

    def _free(self, slots: list[Path], series: str, start: str) -> Path:
        """The slot to write over: the one that is worth less. The one written last stays, if it is still what was written."""
        last, seal = self._last.get(series, (None, ""))
        if last is not None and _holds(
            last, seal
        ):  # else Drive's program died before it had sent it
            return slots[1 - slots.index(last)]
        return min(slots, key=lambda slot: _worth(slot, start))

    def _beside(self, held: Held, target: Path) -> None:
        if target.parent not in self._swept:  # what a killed process left half-copied
            sweep(target.parent)
            self._swept.add(target.parent)
        held.file.seek(0)
        if (
            there(target)
            and target.stat().st_size == held.size
            and sha256(target) == _digest(held.file)
        ):
            return
        part = target.with_name(f".{target.name}.{self._tag}.part")
        with open(part, "wb", buffering=0) as writing:
            digest = held.pour(writing, part)
        milestone("before_reading_back", part)
        if sha256(part) != digest:
            raise DriveError(OTHERWISE)
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
    return (
        worth,
        mark is not None and mark["start"] == start,
        int(mark["step"]) if mark is not None else -1,
    )


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def inside(name: str) -> str:
    """A name as a path below the mirror; ValueError for one that leaves it."""
    given = PurePosixPath(name)
    if given.is_absolute() or ".." in given.parts or not given.parts:
        raise ValueError(f"{name!r} is no path inside the mirror")
    return str(given)
