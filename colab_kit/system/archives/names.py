"""Names: which file is an archive, and which member's name may become a file below a folder."""

from __future__ import annotations

import re

from ...errors import UnsafeArchive

_TARS = tuple(".tar .tar.gz .tgz .tar.bz2 .tbz2 .tar.xz .txz .tar.zst .tzst".split())
ENDINGS = (*_TARS, ".zip", ".7z", ".rar")
SINGLES = (".gz", ".bz2", ".xz", ".zst")  # one packed file, unless .tar stands before it
LONGEST = 255  # bytes of one part of a path: more fits on no disk
DEEPEST = 100  # folders in each other
LONGEST_PATH = 3000  # bytes; Linux takes 4,096 with the folder it is unpacked to
MOST = 2_000_000  # files and folders
AVOID = "do not use this file, or look into it with a program for archives"
_WELL_MEANT = "leads out of it, which a well-meant archive does not do"
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(ENDINGS)


def stem(name: str) -> str:
    """The name without what says that it is an archive: `pets` of pets.tar.gz."""
    ending = max((e for e in ENDINGS if name.lower().endswith(e)), key=len, default="")
    return name[: len(name) - len(ending)] or name


def inside(name: str, called: str = "The archive") -> str:
    r"""A member's name as a path below the folder; "" for the folder itself.

    It is `a/b` for `a\b`, for `./a//b` and for `a/b/`.

    Raises
    ------
    UnsafeArchive
        It leads out of the folder, or no disk can have it.
    """
    path, unnamed = name.replace("\\", "/"), f"{called} holds a file that cannot be named."
    if _CONTROL.search(path):
        raise UnsafeArchive(unnamed, f"{name!r} has control characters in its name", AVOID)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    first = parts[0] if parts else ""
    if path.startswith("/") or ".." in parts or _DRIVE.match(path) or _DRIVE.match(first):
        raise outside(called, name)
    try:
        whole, *sizes = (len(part.encode("utf-8", "surrogateescape")) for part in (path, *parts))
    except UnicodeEncodeError as err:
        raise UnsafeArchive(unnamed, f"{name!r} is no text: {err.reason}", AVOID) from err
    longest = max(sizes, default=0)
    if longest > LONGEST or whole > LONGEST_PATH or len(parts) > DEEPEST:
        lengths = f"{whole:,} bytes in {len(parts)} parts, the longest of {longest:,} bytes"
        raise UnsafeArchive(
            f"{called} holds a name that is too long for a disk.",
            f"{name[:80]!r}… has {lengths}",
            AVOID,
        )
    return "/".join(parts)


def outside(called: str, member: str, why: str = _WELL_MEANT) -> UnsafeArchive:
    what = f"{called} would write outside of the folder it is unpacked to."
    return UnsafeArchive(what, f"{member!r} {why}", "do not use this file")


class Places:
    """The places that the members of one archive take.

    Each file has its own, and none is both a file and a folder. A link counts as a file, so nothing
    is ever written through one.
    """

    def __init__(self, called: str) -> None:
        self.called = called
        self.files: set[str] = set()
        self.folders = {""}

    def take(self, name: str, *, folder: bool) -> str:
        """The place of a member, as inside() says it.

        Raises
        ------
        UnsafeArchive
        """
        place = inside(name, self.called)
        above = place if folder else place.rpartition("/")[0]
        while above not in self.folders:
            if above in self.files:
                raise self._twice(name, "is a file and a folder")
            self.folders.add(above)
            above = above.rpartition("/")[0]
        if not folder:
            if place in self.files:
                raise self._twice(name, "is there twice")
            if place in self.folders:
                raise self._twice(name, "is a file and a folder")
            self.files.add(place)
        if len(self.files) + len(self.folders) > MOST:
            raise UnsafeArchive(
                f"{self.called} holds more than {MOST:,} files and folders.",
                "so many slow down any disk",
                AVOID,
            )
        return place

    def _twice(self, name: str, how: str) -> UnsafeArchive:
        what = f"{self.called} does not say which file is meant."
        return UnsafeArchive(what, f"{name!r} {how}", AVOID)
