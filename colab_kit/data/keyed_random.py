"""Randomness as a function: every draw is a pure function of integers, so nothing random is saved.

Each draw names its key: (seed, purpose, epoch, and so on). The generators of the process belong
to the training thread alone; our own draws come from private generators or from hashes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy import ndarray

# The purpose of a draw. It is part of every key, so that no two uses share a stream.
SPLIT, INIT, ORDER, SAMPLE, STEP, MIXUP, VALID, VIEW, DRAW, LOOK = range(10)

_MASK = (1 << 64) - 1
_GAMMA, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def mix(*numbers: int) -> int:
    """Make a 64-bit key of integers by splitmix64 (Steele, Lea, Flood 2014)."""
    state = _GAMMA
    for number in numbers:
        state = ((state ^ (number & _MASK)) + _GAMMA) & _MASK
        state = ((state ^ (state >> 30)) * _FIRST) & _MASK
        state = ((state ^ (state >> 27)) * _SECOND) & _MASK
        state ^= state >> 31
    return state


def hashes(key: int, numbers: ndarray) -> ndarray:
    """Hash many integers at once under one key: uint64, the same on every machine."""
    z = numbers.astype(np.uint64) ^ np.uint64(key)
    with np.errstate(over="ignore"):
        z = z + np.uint64(_GAMMA)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    return np.asarray(z ^ (z >> np.uint64(31)))


def uniforms(numbers: ndarray, *key: int) -> ndarray:
    """Draw a number from [0, 1) for each integer under one key: float64, of 53 random bits each."""
    return np.asarray((hashes(mix(*key), numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def permutation(n: int, *key: int) -> ndarray:
    """Shuffle range(n), int64, by its numbers' hashes: no library's generator can change it."""
    return np.argsort(hashes(mix(*key, n), np.arange(n)), kind="stable")


def numpy_generator(*key: int) -> np.random.Generator:
    """Make a private generator of this key."""
    return np.random.Generator(np.random.Philox(mix(*key)))


def seed_torch(*key: int) -> None:
    """Seed torch's process-wide generators, which dropout reads.

    It takes 1 µs on the CPU; torch.manual_seed takes 100.
    """
    import torch

    number = mix(*key) & 0x7FFF_FFFF_FFFF_FFFF
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(number)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def seed_all(*key: int) -> None:
    """Seed python, numpy and torch, for code of the user: transforms, a network that is built."""
    number = mix(*key)
    random.seed(number)
    np.random.seed(number & 0xFFFF_FFFF)
    seed_torch(*key)


@contextmanager
def outer_streams_kept() -> Iterator[None]:
    """Set python's, numpy's and torch's generators back at the end: the user's own draws stay."""
    import torch

    python, numbers = random.getstate(), np.random.get_state()
    cpu = torch.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
        torch.default_generator.set_state(cpu)


def sample_key(seed: int, epoch: int, row: int) -> tuple[Any, ...]:
    """Give the key of one sample's augmentation: the same in any worker, batch or order."""
    return (seed, SAMPLE, epoch, row)


class Looked:
    """Items of a user's dataset, each read once under its row's first key: a read may be slow."""

    def __init__(self, dataset: Any) -> None:
        self.dataset, self._items = dataset, dict[int, Any]()

    def __getitem__(self, row: int) -> Any:
        if row not in self._items:
            self._items[row] = item_under_key(self.dataset, row)
        return self._items[row]


def item_under_key(dataset: Any, row: int) -> Any:
    """Read an item of a user's dataset under its row's first key; the outer streams stay."""
    with outer_streams_kept():
        seed_all(*sample_key(0, 0, row))
        return dataset[row]
