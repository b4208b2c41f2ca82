"""What is too much, and what is wrong: bytes for the disk or for the caller, failures of one server, another hash."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FetchError, HashMismatch, NoSpace

FRESH = 1 << 20  # bytes after which earlier failures no longer count
MARGIN = 64 << 20  # bytes that stay free on the disk


class Room:
    """What a file may have.

    max_size : bytes, None where the caller sets no bound
    """

    def __init__(self, name: str, max_size: int | None) -> None:
        self.name, self.max_size = name, max_size

    def ask(self, size: int | None, folder: Path) -> None:
        """Refuse a file of so many bytes (None: not known) before its first byte is written into the folder.

        Raises
        ------
        NoSpace
        """
        if size is None:
            return
        self.within(size)
        if size > (free := shutil.disk_usage(folder).free - MARGIN):
            why = f"it has {size / 2**20:,.1f} MiB, and {max(0, free) / 2**20:,.0f} MiB are free in {folder.absolute()}"
            raise NoSpace(
                f"{self.name} does not fit on the disk.",
                why,
                "free some room, or give to= a folder on a larger disk",
            )

    def within(self, size: int, *, or_more: bool = False) -> None:
        """Refuse more than the caller wants.

        Raises
        ------
        NoSpace
        """
        if self.max_size is not None and size > self.max_size:
            why = f"it has {size:,} bytes{' or more' if or_more else ''}"
            raise NoSpace(
                f"{self.name} is larger than max_size={self.max_size:,}.", why, "raise max_size="
            )


class Patience:
    """Failures in a row: each is waited after, and one without progress too often is the last."""

    def __init__(self) -> None:
        self._count = self._at = 0

    def after(self, err: FetchError, have: int) -> float:
        """Seconds to wait after a failure, when so many bytes had come.

        Raises
        ------
        FetchError
            `err`, if it has come too often without getting on.
        """
        self._count = 1 if have - self._at >= FRESH else self._count + 1
        self._at = have
        if self._count >= err.tries:
            raise err
        return 2.0 ** (self._count - 1) if err.wait is None else err.wait


def mismatch(
    name: str, digests: Mapping[str, Any], hashes: Mapping[str, str]
) -> HashMismatch | None:
    """The error for a file whose digests do not begin as the hashes that were given; None if they do."""
    for kind, wanted in hashes.items():
        found = digests[kind].hexdigest()
        if not found.startswith(wanted):
            why = f"the {kind} of what came is {found[: max(16, len(wanted))]}, not {wanted}"
            fix = f"compare the {kind}; the file was changed or damaged at its source, or take another source with mirrors="
            return HashMismatch(f"{name} is not the file that the {kind} stands for.", why, fix)
    return None
