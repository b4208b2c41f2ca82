"""Batches: the next one is always a function of (seed, epoch, number), whoever reads it and wherever reading began."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from ..errors import DataError
from . import keyed
from .pixels import PixelStore
from .preprocess import Preprocess
from .splits import Arrays, Items, Pictures, Split

AHEAD = 3  # batches that a prefetch thread makes ready


@dataclass(frozen=True, slots=True)
class Batch:
    """x : network input, float32    y : int64, (n,)    index : int64, (n,), rows of the split's source"""

    x: torch.Tensor
    y: torch.Tensor
    index: np.ndarray


def bounds(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each batch begins and ends. A last batch of one picture joins the one before: BatchNorm cannot learn from one."""
    cuts = list(range(0, n, batch_size))
    if len(cuts) > 1 and n - cuts[-1] == 1:
        cuts.pop()
    return list(zip(cuts, [*cuts[1:], n], strict=True))


class Feed:
    """Read a split in batches, in any order, from any batch on.

    Parameters
    ----------
    split : what to read
    preprocess : how it becomes input
    batch_size : pictures a batch (the last may hold one more, or fewer)
    device : where the batches go
    workers : processes for a user's own Dataset; 0 reads it in the training thread
    seed : key of the user's transforms
    complain : told once of each picture that cannot be decoded
    """

    def __init__(
        self,
        split: Split,
        preprocess: Preprocess,
        *,
        batch_size: int,
        device: torch.device,
        workers: int = 0,
        seed: int = 0,
        complain: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.split, self.preprocess, self.device, self.seed = split, preprocess, device, seed
        self.bounds = bounds(len(split), batch_size)
        self._read = self._reader(split, workers, complain)

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self.bounds)

    def shuffled(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """The batches of a training epoch from number `first` on. One that damaged files leave a single picture of is empty."""
        order = keyed.permutation(len(self.split), self.seed, keyed.ORDER, epoch)
        for batch, (start, stop) in zip(self._batches(self.split.rows[order], epoch, first), self.bounds[first:], strict=True):
            alone = len(batch.y) == 1 < stop - start  # BatchNorm cannot learn from one
            yield Batch(batch.x[:0], batch.y[:0], batch.index[:0]) if alone else batch

    def in_order(self) -> Iterator[Batch]:
        """All batches in the split's own order: for validation and tests."""
        return self._batches(self.split.rows, -1, 0)

    def peek(self) -> Batch:
        """A first look at what the batches are like; no epoch draws from it."""
        start, stop = self.bounds[0]
        rows = self.split.rows[start:stop]
        with keyed.outer_streams_kept():
            x, y, index = next(iter(self._read([rows], -1)))
        return Batch(self.preprocess.input(x, self.device), y.to(self.device), index)

    def _batches(self, rows: np.ndarray, epoch: int, first: int) -> Iterator[Batch]:
        groups = [rows[start:stop] for start, stop in self.bounds[first:]]
        for x, y, index in self._read(groups, epoch):
            yield Batch(self.preprocess.input(x, self.device), y.to(self.device, non_blocking=True), index)

    def _reader(self, split: Split, workers: int, complain: Callable[[str], None]) -> Reader:
        match split.source:
            case Arrays(x=x, labels=labels):
                return _from_arrays(x, torch.from_numpy(labels))
            case Pictures(paths=paths, labels=labels):
                store = PixelStore(paths, self.preprocess.size or 224, self.preprocess.picture)
                return _from_store(store, torch.from_numpy(labels), complain)
            case Items() as items:
                return _ItemReader(items, workers, self.seed, self.preprocess)
        raise TypeError(f"no reader for {type(split.source).__name__}")


Raw = tuple[torch.Tensor, torch.Tensor, np.ndarray]
Reader = Callable[[Sequence[np.ndarray], int], Iterator[Raw]]


def _from_arrays(x: torch.Tensor, labels: torch.Tensor) -> Reader:
    def read(groups: Sequence[np.ndarray], epoch: int) -> Iterator[Raw]:
        for rows in groups:  # a gather of bytes costs less than handing it to a thread would
            where = torch.from_numpy(rows)
            yield x[where], labels[where], rows

    return read


def _from_store(store: PixelStore, labels: torch.Tensor, complain: Callable[[str], None]) -> Reader:
    told: set[int] = set()

    def make(rows: np.ndarray) -> Raw:
        pixels, good = store.gather(rows)
        return torch.from_numpy(pixels).movedim(3, 1), labels[torch.from_numpy(good)], good

    def read(groups: Sequence[np.ndarray], epoch: int) -> Iterator[Raw]:
        with closing(_prefetched(map(make, groups))) as ready:
            for rows, raw in zip(groups, ready, strict=True):
                for row in rows[~np.isin(rows, raw[2])].tolist():
                    if row not in told:
                        told.add(row)
                        complain(store.bad[row])  # here, in the training thread: a listener may draw random numbers
                yield raw

    return read


def _prefetched(items: Iterator[Raw]) -> Generator[Raw, None, None]:
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


class _ItemReader:
    """Read a user's Dataset under keys, in processes or in the training thread: the numbers are the same."""

    def __init__(self, items: Items, workers: int, seed: int, preprocess: Preprocess) -> None:
        self.groups: list[list[tuple[int, int]]] = []
        self.dataset = _KeyedDataset(items, seed, preprocess)
        self.collate = _collate_with(items.collate or default_collate)
        self.loader: DataLoader[Any] | None = None
        if workers:
            # a spare generator: DataLoader would draw its base seed from the process-wide one
            self.loader = DataLoader(
                self.dataset, batch_sampler=self.groups, collate_fn=self.collate, num_workers=workers, persistent_workers=True,
                worker_init_fn=_ignore_interrupts, generator=torch.Generator().manual_seed(0),
            )  # fmt: skip

    def __call__(self, groups: Sequence[np.ndarray], epoch: int) -> Iterator[Raw]:
        self.groups[:] = [[(epoch, row) for row in rows.tolist()] for rows in groups]
        for x, y, rows in self.loader if self.loader is not None else self._inline():
            yield x, y, rows.numpy()

    def _inline(self) -> Iterator[Any]:
        for group in self.groups:
            with keyed.outer_streams_kept():
                batch = self.collate([self.dataset[pair] for pair in group])
            yield batch


def is_picture(x: Any) -> bool:
    """Whether an item is brought to a square, as a file is: PIL, or uint8 (H, W) or (H, W, 1, 3 or 4). Others keep their shape."""
    if isinstance(x, np.ndarray):
        return x.dtype == np.uint8 and (x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (1, 3, 4)))
    return hasattr(x, "getexif")


def own_shape(split: Split) -> tuple[int, ...] | None:
    """What shape the items of a user's Dataset have; None where they are pictures, () where a collate makes it."""
    source = split.source
    assert isinstance(source, Items)
    row = int(split.rows[0])
    with keyed.outer_streams_kept():
        keyed.seed_all(*keyed.sample_key(0, 0, row))
        item = source.dataset[row]
    x = item[0] if isinstance(item, tuple | list) and item else item
    if is_picture(x):
        return None
    return () if source.collate else tuple(getattr(x, "shape", ()))


class _KeyedDataset(Dataset[Any]):
    def __init__(self, items: Items, seed: int, preprocess: Preprocess) -> None:
        self.items, self.seed, self.preprocess = items, seed, preprocess

    def __getitem__(self, pair: tuple[int, int]) -> Any:
        epoch, row = pair
        keyed.seed_all(*keyed.sample_key(self.seed, epoch, row))
        item = self.items.dataset[row]
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise DataError(
                f"Item {row} of {type(self.items.dataset).__name__} is no (picture, label) pair.",
                f"it is a {type(item).__name__}",
                "let __getitem__ return (x, y)",
            )
        x, y = item
        if is_picture(x):
            x = self._square(x)
        elif isinstance(x, np.ndarray):
            x = torch.from_numpy(x)
        return row, (x, y if self.items.collate else int(self.items.labels[row]))  # the labels are numbered as training has them

    def _square(self, x: Any) -> torch.Tensor:
        """A picture as uint8 (3, S, S), without its alpha channel."""
        pixels = np.asarray(x.convert("RGB") if hasattr(x, "convert") else x)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        pixels = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels[..., :3])
        return torch.from_numpy(self.preprocess.picture(pixels).copy()).movedim(2, 0)

    def __len__(self) -> int:
        return len(self.items)


class _collate_with:
    """The user's collate beside the row numbers; a class, so that worker processes can be handed it."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, batch: list[tuple[int, Any]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, y = self.collate([item for _, item in batch])
        rows = torch.tensor([row for row, _ in batch])
        return torch.as_tensor(x), torch.as_tensor(y).long(), rows


def _ignore_interrupts(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; stopping is the training thread's affair
