"""Unpacking: an archive becomes a new folder, whole or not at all; its first bytes say its kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import BadArchive, ColabKitError
from ...events import Control
from ..copies import whole_folder
from ..filetypes import kind_of, lfs_pointer, web_page
from . import external
from . import tar as tars
from . import zip as zips
from .compressed import KINDS
from .limits import AGAIN, Unpacking, of_disk, room


def unpack(
    archive: Path,
    to: Path,
    *,
    max_size: int | None = None,
    control: Control | None = None,
    finish: Callable[[Path], None] = lambda folder: None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Unpack a zip, tar (packed or not), 7z or rar into the new folder `to`, whole or not at all.

    Parameters
    ----------
    max_size : int, optional
        Bytes that it may have, unpacked. If None: what the disk has, and no more than 200 times
        the archive above 1 GiB.
    finish : callable(folder), optional
        Called with the folder before it gets its name.
    say : callable(text), optional
        Called with what had to be guessed: the encoding of a zip's names.

    Raises
    ------
    BadArchive
        It is damaged, locked by a password, no archive, or of a kind that nothing here reads.
    UnsafeArchive
        It would write outside of `to`, or fill the disk.
    NoSpace, Stopped
    """
    called = str(archive)
    with _disk_errors(called, to):
        kind = _kind(archive, called)
        with whole_folder(to) as part:
            free = room(to.parent)
            job = Unpacking(called, room=free, max_size=max_size, control=control, say=say)
            if kind in external.PROGRAMS:
                external.extract(archive, kind, part, job)
            elif kind == "zip":
                zips.extract_file(archive, part, job)
            else:
                with open(archive, "rb", buffering=0) as file:
                    tars.extract(file, part, job)
            finish(part)
    return to


@contextmanager
def beside(to: Path) -> Iterator[Path]:
    """whole_folder(), with three sentences for a disk that fails.

    Raises
    ------
    NoSpace, BadArchive
    """
    with _disk_errors(to.name, to), whole_folder(to) as part:
        yield part


@contextmanager
def _disk_errors(called: str, to: Path) -> Iterator[None]:
    try:
        yield
    except ColabKitError:
        raise
    except OSError as err:
        raise of_disk(called, to, err) from err


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
        raise BadArchive(
            f"{called} is Git LFS's note of where the file is.",
            f"the file itself has {pointer.size:,} bytes and is kept apart by Git LFS",
            "!git lfs pull, or download it from its page",
        )
    if not head:
        raise BadArchive(f"{called} is empty.", "it has 0 bytes", AGAIN)
    kind = kind_of(head)
    if kind in ("zip", "tar", *external.PROGRAMS, *KINDS):
        return kind or ""
    # An old tar has no signature, and an empty one holds nothing but zeros.
    if tars.is_header(head) or not head.strip(b"\0"):
        return "tar"
    if b"PK\5\6" in tail:  # one that unpacks itself
        return "zip"
    raise BadArchive(
        f"{called} is damaged, or no archive.", f"it begins with {head[:8].hex(' ')}", AGAIN
    )
