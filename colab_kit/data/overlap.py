"""Overlap: the same picture in two splits, found by content."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .kinds import Arrays, Pictures
from .splits import Data, Split


def overlaps(data: Data, *, limit: float = float("inf"), clock: Callable[[], float] = time.monotonic) -> dict[str, list[tuple[str, str]]]:
    """Pictures of the training split that another one has too: {"test": [(name there, name in training), …]}.

    Of files only those are read whose size another split has as well; arrays are compared row by row. A user's own Dataset is not
    looked at: reading it may cost anything.

    limit : seconds; what was found until then is given
    """
    ends, found = clock() + limit, dict[str, list[tuple[str, str]]]()

    def in_time(items: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        for item in items:
            if clock() > ends:
                return
            yield item

    for name in ("valid", "test"):
        other = data.splits.get(name)
        if other is None:
            continue
        known = {key: who for who, key in in_time(_prints(data.train, other))}
        if twice := [(who, known[key]) for who, key in in_time(_prints(other, data.train)) if key in known]:
            found[name] = twice
    return found


def _prints(split: Split, beside: Split) -> Iterator[tuple[str, bytes]]:
    """Name and hash of each picture of a split that may be in the other one too."""
    if isinstance(split.source, Arrays) and isinstance(beside.source, Arrays):
        for row in split.rows.tolist():
            pixels = split.source.x[row].detach().cpu().contiguous().numpy()
            yield str(row), hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
    elif isinstance(split.source, Pictures) and isinstance(beside.source, Pictures):
        theirs = {size for _, size in _sizes(beside)}
        for path, size in _sizes(split):
            if size in theirs:
                try:
                    yield os.path.relpath(path, split.source.root), hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
                except OSError:
                    continue


def _sizes(split: Split) -> Iterator[tuple[Path, int]]:
    for path in split.paths or []:
        try:
            yield path, os.stat(path).st_size
        except OSError:
            continue
