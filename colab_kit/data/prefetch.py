"""Ahead: the next things are made by a thread while this one is used, into memory that is used again once nobody holds it."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

AHEAD = 3  # batches that a prefetch thread makes ready
T = TypeVar("T")


def prefetched(items: Iterator[T]) -> Generator[T, None, None]:
    """Run an iterator in a thread of its own, AHEAD items early. It must draw no random number (design: laws of training)."""
    ready: queue.Queue[Any] = queue.Queue(AHEAD)
    gone = threading.Event()

    def put(thing: Any) -> bool:
        while not gone.is_set():
            try:
                ready.put(thing, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None)
        except BaseException as err:
            put(err)

    threading.Thread(target=work, name="colab_kit prefetch", daemon=True).start()
    try:
        while (thing := ready.get()) is not None:
            if isinstance(thing, BaseException):
                raise thing
            yield thing
    finally:
        gone.set()


def _holders(arrays: list[np.ndarray], i: int) -> int:
    return sys.getrefcount(arrays[i])


_NOBODY = _holders(
    [np.empty(1)], 0
)  # what it says of an array that the list alone holds: that differs by Python's version


class Buffers:
    """Arrays that are given out again once no tensor holds them: fresh memory for each batch costs more than filling it.

    A tensor made by torch.from_numpy holds its array, and whoever keeps the batch keeps that tensor's storage: what is kept stays.
    """

    MOST = 8  # arrays of one shape; who keeps more batches than that gets fresh ones

    def __init__(self) -> None:
        self._arrays: dict[tuple[Any, ...], list[np.ndarray]] = {}
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array that nobody holds; its content is anything."""
        with self._lock:
            mine = self._arrays.setdefault((shape, np.dtype(dtype)), [])
            for i in range(len(mine)):
                if _holders(mine, i) == _NOBODY:
                    return mine[i]
            new = np.empty(shape, dtype)
            if len(mine) < self.MOST:
                mine.append(new)
            return new


_pool: ThreadPoolExecutor | None = None


def crew() -> tuple[ThreadPoolExecutor, int]:
    """The threads that decode and cut, one a core, and how many there are. Made anew in a forked child."""
    global _pool
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if _pool is None:
        _pool = ThreadPoolExecutor(cores, thread_name_prefix="colab_kit pixels")
    return _pool, cores


def _forget() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
