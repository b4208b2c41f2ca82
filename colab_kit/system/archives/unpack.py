"""Unpacking: an archive becomes a new folder, whole or not at all; its kind is told by its first bytes."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import BadArchive, ColabKitError
from ...events import Control
from ..files import make
from ..filetypes import kind_of, lfs_pointer, web_page
from . import external
from . import tar as tars
from . import zip as zips
from .compressed import KINDS
from .limits import AGAIN, Told, check_limits, of_disk

MARGIN, PERCENT = 64 << 20, 2  # bytes that stay free


def unpack(
    archive: Path,
    to: Path,
    *,
    max_size: int | None = None,
    told: Told | None = None,
    control: Control | None = None,
    finish: Callable[[Path], None] | None = None,
) -> Path:
    """Unpack a zip, tar (packed or not), 7z or rar into the new folder `to`: beside, then renamed, so a kill leaves nothing half.

    Parameters
    ----------
    max_size : int, optional
        Bytes that it may have, unpacked. If None: what the disk has, and no more than 200 times the archive above 1 GiB.
    told : callable(files, bytes), optional
        A few times a second.
    finish : callable(folder), optional
        Called with the folder before it gets its name.

    Raises
    ------
    BadArchive
        It is damaged, locked by a password, no archive, or of a kind that nothing here reads.
    UnsafeArchive
        It would write outside of `to`, or fill the disk.
    NoSpace, Stopped
    """
    called = str(archive)
    try:
        kind = _kind(archive, called)
        with beside(to, called) as part:
            free = room(to.parent)
            if kind == "zip":
                _unzip(
                    archive,
                    part,
                    called=called,
                    room=free,
                    max_size=max_size,
                    told=told,
                    control=control,
                )
            elif kind in ("7z", "rar"):
                external.extract(
                    archive,
                    kind,
                    part,
                    called=called,
                    room=free,
                    max_size=max_size,
                    told=told,
                    control=control,
                )
            else:
                with open(archive, "rb", buffering=0) as file:
                    tars.extract(
                        file,
                        part,
                        called=called,
                        room=free,
                        max_size=max_size,
                        told=told,
                        control=control,
                    )
            if finish is not None:
                finish(part)
    except OSError as err:
        raise err if isinstance(err, ColabKitError) else of_disk(called, to, err) from err
    return to


def _kind(archive: Path, called: str) -> str:
    """What it is, by its first bytes: a name may lie."""
    with open(archive, "rb") as file:
        head = file.read(1 << 16)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16) - 22))
        tail = file.read()
    if (title := web_page(head)) is not None:
        raise BadArchive(
            f"{called} is a web page, not an archive.",
            f"its title is {title!r}",
            "download the file itself, not its page",
        )
    if (pointer := lfs_pointer(head)) is not None:
        why = f"the file itself has {pointer.size:,} bytes and is kept apart by Git LFS"
        raise BadArchive(
            f"{called} is Git LFS's note of where the file is.",
            why,
            "!git lfs pull, or download it from its page",
        )
    if not head:
        raise BadArchive(f"{called} is empty.", "it has 0 bytes", AGAIN)
    kind = kind_of(head)
    if kind in ("zip", "7z", "rar", "tar", *KINDS):
        return kind or ""
    if tars.is_header(head) or not head.strip(
        b"\0"
    ):  # an old tar has no signature, and an empty one nothing but zeros
        return "tar"
    if b"PK\5\6" in tail:  # one that unpacks itself
        return "zip"
    raise BadArchive(
        f"{called} is damaged, or no archive.", f"it begins with {head[:8].hex(' ')}", AGAIN
    )


def _unzip(
    archive: Path,
    part: Path,
    *,
    called: str,
    room: int,
    max_size: int | None,
    told: Told | None,
    control: Control | None,
) -> None:
    handle = os.open(archive, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(handle).st_size
        read = lambda offset, most: os.pread(handle, most, offset)
        members = zips.directory(read, size, called=called)
        check_limits(
            called,
            size,
            sum(member.size for member in members),
            len(members),
            room=room,
            max_size=max_size,
        )
        zips.extract(read, members, part, called=called, told=told, control=control)
    finally:
        os.close(handle)


@contextmanager
def beside(to: Path, called: str | None = None) -> Iterator[Path]:
    """Give a new folder beside `to` to fill; in the end it is renamed to `to`, and on any error removed.

    What killed calls left is removed first.

    Raises
    ------
    NoSpace, BadArchive
        The disk said no.
    """
    part = to.with_name(f".{to.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        for stray in _strays(to):
            shutil.rmtree(stray, ignore_errors=True)
        make(part)
        yield part
        os.replace(part, to)
    except OSError as err:
        raise (
            err if isinstance(err, ColabKitError) else of_disk(called or to.name, to, err)
        ) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _strays(to: Path) -> list[Path]:
    """What killed calls left half-unpacked."""
    ours = re.compile(re.escape(f".{to.name}.") + r"[0-9a-f]{8}\.part")
    return (
        [path for path in to.parent.iterdir() if ours.fullmatch(path.name)]
        if os.path.isdir(to.parent)
        else []
    )


def room(folder: Path) -> int:
    """Bytes that may be written below a folder, which need not be there yet: what is free, less a margin."""
    there = next(
        (path for path in (folder.absolute(), *folder.absolute().parents) if os.path.isdir(path)),
        Path("/"),
    )
    try:
        free = shutil.disk_usage(there).free
    except OSError as err:
        raise of_disk(str(folder), there, err) from err
    return max(0, free - max(MARGIN, free * PERCENT // 100))
