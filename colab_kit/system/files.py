"""Files that are whole or absent: written beside, then renamed; sealed by their own hash.

A shelf keeps copies of them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, Protocol, TypeVar

from ..errors import RunError
from ..events import Event, milestone

P = ParamSpec("P")
R = TypeVar("R")
SEAL = "0" * 64  # stands in the place of a file's own sha256 while that is computed
_SEALED = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_STRAY = re.compile(r"\.[0-9a-f]{8}\.part$")
CHUNK = 1 << 20
LONGEST = 32 << 20  # bytes of JSON that is read: in memory it is up to 26 times as large
DEEPEST = 100  # lists and objects in one another, in JSON that is read
LONGEST_NAME = 255  # bytes that a disk takes
# Only Drive makes folders of these names.
DRIVE_TOPS = frozenset(("MyDrive", "My Drive", "Shareddrives", "Shared drives"))
DRIVE_TOPS |= {"Othercomputers", ".shortcut-targets-by-id"}


def write_whole(path: Path, content: bytes | str) -> None:
    """Write `content` to a neighbour of `path`, bring it to the disk, then rename it to `path`.

    After a kill or a full disk `path` holds what it held before, and a failed neighbour is removed.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing.
    content : bytes or str
        str is written as UTF-8.

    Raises
    ------
    RunError
        The disk is full, or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        try:
            _write_once(path, data)
        except FileNotFoundError:  # somebody has deleted the folder meanwhile
            _write_once(path, data)
    except OSError as err:
        raise cannot_write(path, err) from err


def _write_once(path: Path, data: bytes) -> None:
    make(path.parent)
    with whole_file(path) as part:
        with open(part, "wb", buffering=0) as file:
            half = len(data) // 2
            write_all(file.write, data[:half])
            milestone("mid_write", path)
            write_all(file.write, data[half:])
            os.fsync(file.fileno())
        milestone("before_rename", path)
    _sync_folder(path.parent)
    milestone("after_rename", path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all."""
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def parse(text: str | bytes, *, longest: int = LONGEST) -> Any:
    """Read JSON that anybody may have written.

    Raises
    ------
    ValueError
        It is no JSON, has more than `longest` bytes, or is nested deeper than DEEPEST.
    """
    if len(text) > longest:
        raise ValueError(f"it is longer than the {longest >> 20} MB that are read of JSON")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    level = [value]
    for _ in range(DEEPEST):
        parts = [one.values() if isinstance(one, dict) else one for one in level if _holds(one)]
        level = [inner for part in parts for inner in part if _holds(inner)]
        if not level:
            return value
    raise ValueError(f"it is nested deeper than {DEEPEST} levels")


def _holds(value: Any) -> bool:
    return isinstance(value, dict | list)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; rename it to `path` at the end, remove it on error."""
    part = neighbour(path)  # same folder: a rename across disks is a copy
    try:
        yield part
        os.replace(part, path)
    except BaseException:  # an interrupt too: the neighbour must not stay
        # What kept it from being written may keep it from being removed; sweep() tries again.
        with suppress(OSError):
            throw_away(part)
        raise


def neighbour(path: Path) -> Path:
    """A new hidden name beside `path` for what is not whole yet; `sweep` knows such names."""
    ending = f".{uuid.uuid4().hex[:8]}.part"
    fits = len(os.fsencode(path.name)) + len(ending) < LONGEST_NAME
    return path.with_name(f".{path.name if fits else ''}{ending}")


def sweep(folder: Path) -> None:
    """Remove neighbours that a killed process left half-written in `folder`."""
    for stray in folder.glob(".*.part"):
        if _STRAY.search(stray.name):
            throw_away(stray)


def throw_away(path: Path) -> None:
    """Delete a file if it is there; emptied first, since Drive's Trash counts bytes."""
    with suppress(OSError):
        os.truncate(path, 0)
    path.unlink(missing_ok=True)


def write_all(write: Callable[[Any], int | None], content: bytes | memoryview) -> None:
    """Call `write` until it took all of `content`: a disk that gets full may take a part."""
    left = memoryview(content)
    while left:
        taken = write(left)
        if not taken:
            raise OSError(errno.EIO, "it takes no more bytes")
        left = left[taken:]


def make(folder: Path) -> None:
    """Make a folder and those above it, but nothing of a Drive that is not there.

    What lies under a mountpoint blocks mounting.

    Raises
    ------
    RunError
        It would lie on such a Drive, or cannot be made.
    """
    refuse_absent(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise cannot_write(folder, err) from err


def refuse_absent(folder: Path) -> None:
    """Raise RunError for a folder of a Drive that is not there."""
    for top in (folder.absolute(), *folder.absolute().parents):
        if top.name in DRIVE_TOPS and not os.path.isdir(top):
            raise RunError(
                f"{folder} lies on a Drive that is not there.",
                f"there is no {top}, and what is written there would block mounting it",
                "kit.mount() first, or give a local path",
            )


_FULL = "free some room (`colab-kit runs --prune` lists old runs), or give run_dir= another disk"
_DENIED = "give run_dir= a folder that can be written, or set COLAB_KIT_HOME to one"
_BLOCKED = "give run_dir= another name, or move that file away"
_HOME = """set another home first: import os; os.environ["COLAB_KIT_HOME"] = "/tmp/colab-kit\""""
_OTHER = "see whether the disk is there, and give a path that can be made and written"


def cannot_write(path: Path, err: OSError) -> RunError:
    """The three sentences for a write that failed."""
    if isinstance(err, RunError):
        return err
    match err.errno:
        case errno.ENOSPC | errno.EDQUOT:
            why, fix = "the disk is full", _FULL
        case errno.EROFS | errno.EACCES | errno.EPERM:
            why, fix = f"the folder is read-only ({err.strerror})", _DENIED
        case errno.ENOTDIR | errno.EEXIST:
            why, fix = f"a file stands where a folder is needed ({err.strerror})", _BLOCKED
        case _:
            why, fix = str(err), _OTHER
    if fix is not _FULL and in_home(path):
        fix = _HOME
    return RunError(f"{path} could not be written.", why, fix)


def _sync_folder(folder: Path) -> None:
    # Windows and some FUSE mounts refuse: the rename is then as durable as they make it.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256(path: Path) -> str:
    """The file's sha256, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """sha256 of plain data, hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def seal(content: bytes) -> bytes:
    """Fill in the hash of a safetensors file whose metadata holds `"sha256": SEAL`.

    The hash is taken with its own 64 digits zeroed, so the file says itself whether it is whole.
    """
    hole = _SEALED.search(content, 8, 8 + int.from_bytes(content[:8], "little"))
    if hole is None or hole[1] != SEAL.encode():
        raise ValueError("the header holds no open seal")
    value = hashlib.sha256(content).hexdigest()
    return content[: hole.start(1)] + value.encode() + content[hole.end(1) :]


def is_whole(path: Path) -> bool:
    """Whether a sealed file is exactly what was written.

    Any flipped bit and any missing tail says no.
    """
    try:
        with open(path, "rb") as file:
            return seal_holds(file)
    except OSError:
        return False


def seal_holds(file: BinaryIO) -> bool:
    """is_whole() of an open file; a disk that does not give it is an OSError, not damage."""
    head = _header(file)
    written = _SEALED.search(head)
    if written is None:
        return False
    value = hashlib.sha256(len(head).to_bytes(8, "little"))
    value.update(head[: written.start(1)] + SEAL.encode() + head[written.end(1) :])
    while chunk := file.read(CHUNK):
        value.update(chunk)
    return value.hexdigest() == written[1].decode()


def _header(file: BinaryIO) -> bytes:
    """The header of a safetensors file, which says how long it is; b"" if there can be none."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    return file.read(length) if length <= LONGEST else b""


def stamp(path: Path) -> dict[str, str] | None:
    """What a sealed file says of itself in its header: start, step, sha256, facts.

    None without such a header. The rest of the file is not read.
    """
    try:
        with open(path, "rb") as file:
            return stamp_of(file)
    except OSError:
        return None


def stamp_of(file: BinaryIO) -> dict[str, str] | None:
    """stamp() of an open file."""
    try:
        mark: dict[str, str] = parse(_header(file))["__metadata__"]
        ours = {"sha256", "start", "step"} <= mark.keys() and mark["step"].isdecimal()
        ours = ours and len(mark["step"]) < 20 and all(isinstance(v, str) for v in mark.values())
    except (ValueError, KeyError, TypeError, AttributeError):  # half a header, or another tool's
        return None
    return mark if ours else None


class Shelf(Protocol):
    """A place that keeps the files of runs. Drive's is the mirror; a test's may be a dict."""

    def find(self, name: str) -> list[Path]:
        """Copies kept under `name`, a path relative to the shelf whose last part may hold `*`.

        Who reads a copy judges whether it is whole.

        Raises
        ------
        DriveError
            What is kept there cannot be known now.
        """
        ...

    def push(self, path: Path, name: str) -> bool:
        """Take `path` as it is now, to keep a copy under `name`, soon.

        False (and a Note) where it cannot be read.
        """
        ...

    def news(self) -> list[Event]:
        """What happened since the last call, for the caller's own thread to emit."""
        ...

    def close(
        self, timeout: float | None = None, emit: Callable[[Event], None] | None = None
    ) -> bool:
        """Wait until all that was pushed is kept; whether it is. More may be pushed afterwards.

        timeout : seconds, at most
        """
        ...

    def forget(self, folder: str) -> None:
        """Keep nothing more of what was pushed below `folder`: it is another session's now."""
        ...


def home() -> Path:
    """Where colab_kit keeps things between sessions.

    It is $COLAB_KIT_HOME, else the fast disk of a Colab VM, else the user's cache.

    Raises
    ------
    RunError
        The user has no home folder.
    """
    if folder := os.environ.get("COLAB_KIT_HOME"):
        return Path(os.path.expanduser(folder))
    if os.path.exists("/var/colab/hostname"):
        return Path("/content/.colab-kit")
    cache = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if cache.startswith("~"):
        raise RunError(
            "There is no home folder to keep things in.",
            "HOME is not set, and the system knows no home of this user",
            _HOME,
        )
    return Path(cache) / "colab-kit"


def in_home(path: Path) -> bool:
    """Whether a path lies in the folder that colab_kit keeps things in."""
    with suppress(RunError, OSError):  # nobody's home, or a working folder that is gone
        return path.absolute().is_relative_to(home().absolute())
    return False


def working_folder() -> Path:
    """The folder that relative paths count from.

    Raises
    ------
    RunError
        It is gone.
    """
    try:
        return Path.cwd()
    except OSError as err:
        raise RunError(
            "The working folder does not exist any more.",
            "it was deleted, moved or unmounted after this program had entered it; relative paths"
            f" lead nowhere then, and PyTorch cannot be loaded ({err.strerror})",
            """enter another: import os; os.chdir(os.path.expanduser("~")); in a shell: cd""",
        ) from err


def in_working_folder(verb: Callable[P, R]) -> Callable[P, R]:
    """Make a verb say at once that the working folder is gone."""

    @wraps(verb)
    def placed(*args: P.args, **kwargs: P.kwargs) -> R:
        working_folder()
        return verb(*args, **kwargs)

    return placed
