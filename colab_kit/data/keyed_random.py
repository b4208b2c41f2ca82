"""Randomness as a function: every draw is a pure function of integers, so nothing random needs saving.

Whoever draws names its key: (seed, what for, epoch, …). The process-wide generators belong to the training thread alone;
all draws of our own come from private generators or from hashes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    pass

# What a key is for. Part of every key, so that no two uses share a stream.
SPLIT, INIT, ORDER, SAMPLE, STEP, MIXUP, VALID, VIEW, DRAW = range(9)

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """A 64-bit key of some integers: splitmix64 (Steele, Lea, Flood 2014) over each in turn."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & _MASK)) & _MASK
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def hashes(key: int, numbers: np.ndarray) -> np.ndarray:
    """splitmix64 of many integers at once under one key: uint64, the shape of `numbers`; the same on every machine."""
    z = numbers.astype(np.uint64) ^ np.uint64(key)
    with np.errstate(over="ignore"):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def uniforms(numbers: np.ndarray, *key: int) -> np.ndarray:
    """A number from [0, 1) for each integer under one key: float64, the shape of `numbers`; 53 bits each."""
    return np.asarray((hashes(mix(*key), numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def permutation(n: int, *key: int) -> np.ndarray:
    """A shuffle of range(n), int64: rows in the order of their hashes, so no library's generator can change it."""
    rows = np.arange(n)
    return np.argsort(hashes(mix(*key, n), rows), kind="stable")


def numpy_generator(*key: int) -> np.random.Generator:
    """A private generator of this key."""
    return np.random.Generator(np.random.Philox(mix(*key)))


def seed_torch(*key: int) -> None:
    """Seed torch's process-wide generators: what dropout reads. 1 µs on the CPU; torch.manual_seed takes 100."""
    import torch

    number = mix(*key) & 0x7FFF_FFFF_FFFF_FFFF
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(number)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(number)


def seed_all(*key: int) -> None:
    """Seed python, numpy and torch, for code that is not ours: a user's transforms, a user's network being made."""
    number = mix(*key)
    random.seed(number)
    np.random.seed(number & 0xFFFF_FFFF)
    seed_torch(*key)


@contextmanager
def outer_streams_kept() -> Iterator[None]:
    """Give python's, numpy's and torch's streams back as they were: what the user drew outside stays theirs."""
    import torch

    python, numbers, cpu = (
        random.getstate(),
        np.random.get_state(),
        torch.default_generator.get_state(),
    )
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
        torch.default_generator.set_state(cpu)


def sample_key(seed: int, epoch: int, row: int) -> tuple[Any, ...]:
    """The key of one sample's augmentation: the same in any worker, batch or order."""
    return (seed, SAMPLE, epoch, row)
