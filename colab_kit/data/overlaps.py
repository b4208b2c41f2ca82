"""Pictures that two splits share: found by their content."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import torch

from . import keyed_random
from .dataset import Data, Split
from .file_table import FileTable
from .sources import Arrays, Pictures

PART = 1 << 20  # bytes of an array summed at once: they stay in the cache
Late = Callable[[], bool]
Twins = list[tuple[str, str]]  # (name there, name in training)


def overlaps(
    data: Data, *, limit: float = float("inf"), clock: Callable[[], float] = time.monotonic
) -> dict[str, Twins]:
    """Find pictures of training that another split has too: {"test": [(there, in training)]}.

    It reads only files whose size another split has as well, and compares only rows of arrays
    whose sum another split has as well. It leaves a user's own Dataset alone: reading that may
    cost anything.

    Parameters
    ----------
    data : Data
        Its valid and test splits are compared with train.
    limit : float
        Seconds; the result is what was found until then.
    clock : callable
        The time in seconds.
    """
    ends, train = clock() + limit, data.train
    twins: dict[str, Twins] = {}

    def late() -> bool:
        return clock() > ends

    for name, split in data.splits.items():
        for kind, compare in ((Arrays, _same_rows), (Pictures, _same_files)):
            both = isinstance(split.source, kind) and isinstance(train.source, kind)
            if name != "train" and both and (pairs := compare(split, train, late)):
                twins[name] = pairs
    return twins


def _same_rows(other: Split, train: Split, late: Late) -> Twins:
    """Compare rows of equal sums byte by byte."""
    theirs, ours = _sums(other, late), _sums(train, late)
    order = np.argsort(ours, kind="stable")
    same = np.flatnonzero(np.isin(theirs, ours))
    partners = train.rows[order[np.searchsorted(ours[order], theirs[same])]]
    pairs: Twins = []
    step = max(1, PART // _width(train))
    for start in range(0, len(same), step):
        a, b = other.rows[same[start : start + step]], partners[start : start + step]
        equal = (_bytes(other, a) == _bytes(train, b)).all(1)
        pairs += zip(map(str, a[equal].tolist()), map(str, b[equal].tolist()), strict=True)
        if late():  # after a part: where the sums took all the time, they are not lost
            break
    return pairs


def _sums(split: Split, late: Late) -> np.ndarray:
    """Sum each row's bytes, eight at a time, under keyed odd weights: uint64.

    It sums as many rows as time allows.
    70,000 rows of 784 bytes take a third of the time that their hashes take.
    """
    wide, parts = _width(split), [np.empty(0, np.uint64)]
    weights = keyed_random.hashes(keyed_random.mix(wide), np.arange(-(-wide // 8))) | np.uint64(1)
    step = max(1, PART // wide)
    for start in range(0, len(split), step):
        if late():
            break
        raw = _bytes(split, split.rows[start : start + step])
        if wide % 8:
            raw = np.pad(raw, ((0, 0), (0, -wide % 8)))
        parts.append((raw.view(np.uint64) * weights).sum(1, dtype=np.uint64))
    return np.concatenate(parts)


def _bytes(split: Split, rows: np.ndarray) -> np.ndarray:
    """View rows of an array as bytes: uint8, (rows, bytes)."""
    x = _array(split)
    part = x[torch.from_numpy(rows).to(x.device)].detach().cpu()
    return np.asarray(part.reshape(len(rows), -1).contiguous().view(torch.uint8).numpy())


def _array(split: Split) -> torch.Tensor:
    assert isinstance(split.source, Arrays)
    return split.source.x


def _width(split: Split) -> int:
    """Count the bytes of a row."""
    return max(1, _array(split)[:1].nbytes)


def _same_files(other: Split, train: Split, late: Late) -> Twins:
    """Compare files of equal size by their hashes."""
    theirs, ours = _sizes(other), _sizes(train)
    names = dict(_hashes(train, np.isin(ours, theirs), late))
    hashes = _hashes(other, np.isin(theirs, ours), late)
    return [(name, names[key]) for key, name in hashes if key in names]


def _sizes(split: Split) -> np.ndarray:
    assert isinstance(split.source, Pictures)
    sizes: np.ndarray = FileTable.of(split.source.paths).sizes
    return np.asarray(sizes[split.rows])


def _hashes(split: Split, wanted: np.ndarray, late: Late) -> Iterator[tuple[bytes, str]]:
    assert isinstance(split.source, Pictures)
    for row in split.rows[wanted].tolist():
        if late():
            return
        path = split.source.paths[row]
        with suppress(OSError):
            digest = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
            yield digest, os.path.relpath(path, split.source.root)
