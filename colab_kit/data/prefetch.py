"""Work ahead: a thread makes the next batches while one is used, into memory that is used again.

What the process keeps between calls stands here too: its threads, and caches that live as long as
the object they belong to. forget() empties the caches, for tests.
"""

from __future__ import annotations

import functools
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

AHEAD = 3  # batches that a prefetch thread makes ready
T = TypeVar("T")


def run_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Run an iterator in a thread of its own, AHEAD items early. It must draw no random number."""
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


_NOBODY = _holders([np.empty(1)], 0)  # the count if only the list holds it: it differs by Python


class Buffers:
    """Arrays given out again once no tensor holds them: fresh memory costs more than filling it.

    A tensor made by torch.from_numpy holds its array, so a batch that somebody keeps stays as it
    is.
    """

    MOST = 8  # arrays of one shape; a caller who keeps more batches gets fresh ones

    def __init__(self) -> None:
        self._arrays: dict[tuple[Any, ...], list[np.ndarray]] = {}
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Give an array that nobody holds; its content is anything."""
        with self._lock:
            arrays = self._arrays.setdefault((shape, np.dtype(dtype)), [])
            for i in range(len(arrays)):
                if _holders(arrays, i) == _NOBODY:
                    return arrays[i]
            new = np.empty(shape, dtype)
            if len(arrays) < self.MOST:
                arrays.append(new)
            return new


@functools.cache
def crew() -> tuple[ThreadPoolExecutor, int]:
    """Give the threads that decode and cut, one a core, and how many there are."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return ThreadPoolExecutor(cores, thread_name_prefix="colab_kit pixels"), cores


if hasattr(os, "register_at_fork"):  # a forked child has no threads
    os.register_at_fork(after_in_child=crew.cache_clear)

_caches: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def cached_with(owner: Any, key: Any, make: Callable[[], T]) -> T:
    """Make a value once for each key, kept while `owner` lives. It must not hold `owner`."""
    values = _caches.setdefault(owner, {})
    if key not in values:
        values[key] = make()
    value: T = values[key]
    return value


def is_cached(owner: Any, key: Any) -> bool:
    """Whether a value of this key is there."""
    return key in _caches.get(owner, {})


def forget() -> None:
    """Empty the caches, as a new process has them."""
    _caches.clear()
