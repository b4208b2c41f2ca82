"""A file of the mounted Drive that is open, or not uploaded yet."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(eq=False)
class Node:
    """One file.

    fd : its bytes; cache : where they lie, None if in the cloud; changed : clock of the last write, s; gone : deleted, still open
    """

    path: str
    fd: int
    cache: Path | None = None
    changed: float = 0.0
    opens: int = 0
    gone: bool = False

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    @property
    def waits(self) -> bool:
        """Whether it is to be uploaded."""
        return self.cache is not None and not self.gone

    def take(self, cache: Path, *, keep: bool) -> None:
        """Before a write: what the cloud has stays as it is, this session gets a copy (an empty file, if not `keep`)."""
        fd = os.open(cache, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.fchmod(fd, stat.S_IMODE(os.fstat(self.fd).st_mode))
            at = 0
            while keep and (done := os.sendfile(fd, self.fd, at, 1 << 30)):
                at += done
        except OSError:
            os.close(fd)
            cache.unlink()
            raise
        os.close(self.fd)
        self.fd, self.cache = fd, cache

    def write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self.fd, view, offset)
            view, offset = view[done:], offset + done

    def drop(self) -> None:
        """Close it; what was not uploaded is lost."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self.cache is not None:
            self.cache.unlink(missing_ok=True)
