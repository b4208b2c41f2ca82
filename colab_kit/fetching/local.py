"""A link that is a path of this machine: used where it is, or copied to where it is wanted."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from ..errors import FetchError, HashMismatch, LinkError, NoSpace, NotFound
from ..system.files import make, sha256
from .call import Call
from .fetched import Fetched
from .way import Way


def there(call: Call) -> Path:
    """The path that the link is.

    Raises
    ------
    NotFound
    """
    source = Path(os.path.expanduser(call.link.url))
    if source.exists():
        return source
    raise NotFound(
        f"There is no {source}.",
        "it looks like a path on this machine",
        "correct the path, or give the whole address: https://…",
    )


def use(call: Call, to: Path) -> Fetched:
    """A file of this machine: as it is where no place was asked for, else copied.

    Raises
    ------
    FetchError
        It is not there, or cannot be copied.
    """
    source = there(call)
    if call.to is None or to.exists() and os.path.samefile(source, to):
        to = source
    elif source.is_dir():
        raise LinkError(
            f"{source} is a folder.", "fetch() copies files", "use it as it is: kit.load(folder)"
        )
    else:
        if call.way.hashes:
            same_hash(source, sha256(source), call.way)  # before anything is replaced
        _copied(source, to, call.overwrite)
    digest = None if to.is_dir() else sha256(to)
    size = 0 if to.is_dir() else to.stat().st_size
    if call.way.hashes and digest is not None:
        same_hash(to, digest, call.way)
    return Fetched(to, call.link.url, digest, size, to == source, None)


def _copied(source: Path, to: Path, overwrite: bool) -> None:
    if to.exists() and not overwrite and sha256(to) != sha256(source):
        raise FetchError(
            f"Another {to.name} is there already, and is kept.",
            f"it differs from {source}",
            "give to= another name, or overwrite=True",
        )
    make(to.parent)
    if shutil.disk_usage(to.parent).free < source.stat().st_size:
        raise NoSpace(
            f"{source} does not fit on the disk of {to.parent}.",
            "",
            "free some room, or give to= a folder on a larger disk",
        )
    beside = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        shutil.copyfile(source, beside)
        os.replace(beside, to)
    finally:
        beside.unlink(missing_ok=True)


def same_hash(path: Path, digest: str, way: Way) -> None:
    """Raise HashMismatch if this is not the sha256 that was asked for."""
    wanted = way.hashes.get("sha256", "")
    if not digest.startswith(wanted):
        raise HashMismatch(
            f"{path} is not the file that the sha256 stands for.",
            f"its sha256 is {digest}, not {wanted}",
            "compare the sha256",
        )
