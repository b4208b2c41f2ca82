"""Overlap: the same picture in two splits, found by content."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from . import keyed_random
from .dataset import Data, Split
from .kinds import Arrays, Pictures

PART = (
    1 << 20
)  # bytes of an array summed at once: it stays in the cache, and between two parts the clock is read


def overlaps(
    data: Data, *, limit: float = float("inf"), clock: Callable[[], float] = time.monotonic
) -> dict[str, list[tuple[str, str]]]:
    """Pictures of the training split that another one has too: {"test": [(name there, name in training), …]}.

    Of files only those are read whose size another split has as well, of arrays only rows with a sum that another split has as well.
    A user's own Dataset is not looked at: reading it may cost anything.

    limit : seconds; what was found until then is given
    """
    ends, found = clock() + limit, dict[str, list[tuple[str, str]]]()

    def late() -> bool:
        return clock() > ends

    for name in ("valid", "test"):
        other = data.splits.get(name)
        if other is None:
            continue
        if isinstance(other.source, Arrays) and isinstance(data.train.source, Arrays):
            twice = _rows(other, data.train, late)
        elif isinstance(other.source, Pictures) and isinstance(data.train.source, Pictures):
            twice = _files(other, data.train, late)
        else:
            continue
        if twice:
            found[name] = twice
    return found


def _rows(other: Split, train: Split, late: Callable[[], bool]) -> list[tuple[str, str]]:
    """Rows of an array that the training split has too: those of equal sums, compared byte by byte."""
    theirs, ours = _sums(other, late), _sums(train, late)
    order = np.argsort(ours, kind="stable")
    place = np.searchsorted(ours[order], theirs)
    same = np.flatnonzero(np.isin(theirs, ours))
    partner = order[place[same]]
    found = []
    many = max(1, PART // _wide(train))
    for start in range(0, len(same), many):
        a, b = other.rows[same[start : start + many]], train.rows[partner[start : start + many]]
        equal = (_bytes(other, a) == _bytes(train, b)).all(1)
        found += [
            (str(x), str(y)) for x, y in zip(a[equal].tolist(), b[equal].tolist(), strict=True)
        ]
        if (
            late()
        ):  # not before the first part: where sums took all the time, what they say is not lost
            break
    return found


def _sums(split: Split, late: Callable[[], bool]) -> np.ndarray:
    """For each row a sum of its bytes, eight at a time, under keyed odd weights: uint64; of as many rows as there is time for.

    70,000 rows of 784 bytes take a third of the time that their hashes take.
    """
    if not len(split):
        return np.empty(0, np.uint64)
    wide, parts = _wide(split), list[np.ndarray]()
    weights = keyed_random.hashes(keyed_random.mix(wide), np.arange(-(-wide // 8))) | np.uint64(1)
    many = max(1, PART // wide)
    for start in range(0, len(split), many):
        if late():
            break
        raw = _bytes(split, split.rows[start : start + many])
        if wide % 8:
            raw = np.pad(raw, ((0, 0), (0, -wide % 8)))
        parts.append((raw.view(np.uint64) * weights).sum(1, dtype=np.uint64))
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _bytes(split: Split, rows: np.ndarray) -> np.ndarray:
    """Rows of an array as bytes: uint8, (rows, bytes)."""
    x = _array(split)
    taken = x[torch.from_numpy(rows).to(x.device)].detach().cpu()
    return np.asarray(taken.reshape(len(rows), -1).contiguous().view(torch.uint8).numpy())


def _array(split: Split) -> torch.Tensor:
    assert isinstance(split.source, Arrays)
    return split.source.x


def _wide(split: Split) -> int:
    """Bytes of a row."""
    x = _array(split)
    return max(1, x[0].numel() * x.element_size())


def _files(other: Split, train: Split, late: Callable[[], bool]) -> list[tuple[str, str]]:
    """Files that the training split has too: those of equal size, compared by their hashes."""
    theirs, ours = _sizes(other), _sizes(train)
    known = {key: who for who, key in _hashed(train, ours, {size for _, size in theirs}, late)}
    return [
        (who, known[key])
        for who, key in _hashed(other, theirs, {size for _, size in ours}, late)
        if key in known
    ]


def _hashed(
    split: Split, sizes: list[tuple[Path, int]], wanted: set[int], late: Callable[[], bool]
) -> Iterator[tuple[str, bytes]]:
    assert isinstance(split.source, Pictures)
    root = split.source.root
    for path, size in sizes:
        if late():
            return
        if size in wanted:
            try:
                yield (
                    os.path.relpath(path, root),
                    hashlib.blake2b(path.read_bytes(), digest_size=16).digest(),
                )
            except OSError:
                continue


def _sizes(split: Split) -> list[tuple[Path, int]]:
    found = []
    for path in split.paths or []:
        try:
            found.append((path, os.stat(path).st_size))
        except OSError:
            continue
    return found
