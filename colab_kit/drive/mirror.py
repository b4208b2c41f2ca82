"""The shelf on Drive: copies that are verified before they get their name, and never the end of a run."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Callable, Set
from pathlib import Path, PurePosixPath

from ..errors import DriveError
from ..events import Event, Note
from ..files import CHUNK, sha256, sweep

_TOPS = ("MyDrive", "My Drive", "Shareddrives", "Shared drives")


class Mirror:
    """Keep copies of a run's files in a folder of the Drive.

    Drive may be slow, full or gone: that is a Note, said once for each reason, and the run goes on.
    Folders are made only below My Drive itself: where it is gone, the mountpoint stays untouched.

    Parameters
    ----------
    root : Path
        The folder; made with the first copy.
    emit : callable
        Hears the Notes.
    copy : callable, optional
        Brings a file to its neighbour's name and checks it; a test's may fail on cue.
    """

    def __init__(self, root: Path, emit: Callable[[Event], None], *, copy: Callable[[Path, Path], None] | None = None) -> None:
        self.root = Path(root).absolute()
        self._emit, self._copy = emit, copy or verified_copy
        self._ground = _ground(self.root)
        self._said = ""  # the last failure, told already
        self._swept: set[Path] = set()

    def push(self, path: Path, name: str) -> bool:
        """Copy `path` to `name`: beside, to the disk, compared, then renamed. False, and a Note, where that failed."""
        target = self.root / _inside(name)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            self._make(target.parent)
            if target.parent not in self._swept:  # what a killed process left half-copied
                sweep(target.parent)
                self._swept.add(target.parent)
            try:
                self._copy(Path(path), part)
                os.replace(part, target)
            except BaseException:
                _drop(part)
                raise
        except OSError as err:
            self._tell(err, f"{target.name} was not copied to Drive ({target.parent})")
            return False
        self._said = ""
        return True

    def find(self, name: str) -> list[Path]:
        """The copies under `name`, which may hold `*`. Who reads one judges whether it is whole: a damaged one must not pass unseen."""
        pattern = _inside(name).replace("[", "[[]").replace("?", "[?]")  # only * is special
        try:
            found = [path for path in self.root.glob(pattern) if path.is_file() and not path.name.endswith(".part")]
        except OSError as err:
            self._tell(err, f"The copies on Drive ({self.root}) could not be read")
            return []
        return sorted(found)

    def drop(self, name: str, keep: Set[str]) -> None:
        """Delete the copies under `name` but those in `keep`; emptied first, since Drive's Trash counts against the quota."""
        try:
            for path in self.root.glob(_inside(name)):
                if path.name not in keep:
                    os.truncate(path, 0)
                    path.unlink()
        except OSError as err:
            self._tell(err, f"Old copies on Drive ({self.root}) could not be deleted")

    def _make(self, folder: Path) -> None:
        if not self._ground.is_dir():
            raise FileNotFoundError(errno.ENOENT, "it is no longer there", str(self._ground))
        below = folder.relative_to(self._ground).parts
        for depth in range(len(below)):  # one by one: parents=True would build a whole tree where a mount has just gone
            self._ground.joinpath(*below[: depth + 1]).mkdir(exist_ok=True)

    def _tell(self, err: OSError, what: str) -> None:
        reason = {
            errno.ENOSPC: "Drive is full; free some room there and empty its Trash, which counts too",
            errno.EDQUOT: "Drive is full; free some room there and empty its Trash, which counts too",
            errno.ENOTCONN: "Drive has dropped away; run kit.mount() again",
            errno.EROFS: "Drive is mounted read-only",
        }.get(err.errno or 0, err.strerror or str(err))
        if reason != self._said:
            self._said = reason
            self._emit(Note(f"{what}: {reason}. The local files are whole and the run goes on.", "warn"))


def _ground(root: Path) -> Path:
    """The folder that must be there already: My Drive itself; outside of one, the nearest that exists now."""
    for depth, part in enumerate(root.parts, 1):
        if part in _TOPS:
            return Path(*root.parts[:depth])
    return next(folder for folder in (root, *root.parents) if folder.exists())


def _inside(name: str) -> str:
    given = PurePosixPath(name)
    if given.is_absolute() or ".." in given.parts or not given.parts:
        raise ValueError(f"{name!r} is no path inside the mirror")
    return str(given)


def verified_copy(source: Path, part: Path, *, read_back: Callable[[Path], str] = sha256) -> None:
    """Copy and read back: a FUSE mount may take bytes that it does not keep."""
    digest = hashlib.sha256()
    with open(source, "rb") as reading, open(part, "wb") as writing:
        while chunk := reading.read(CHUNK):
            digest.update(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    if read_back(part) != digest.hexdigest():
        raise DriveError("its copy read back otherwise than it was written")


def _drop(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:
        pass  # the mount is gone, and the copy with it
