"""Batches: the next one is always a function of (seed, epoch, number), whoever reads it and wherever reading began."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..errors import RecipeError
from . import keyed_random
from .augment import Augment, Draws, boxes, flips, preset
from .cuts import cut
from .kinds import UNLABELLED, Arrays, Chosen, Items, Pictures
from .pixel_cache import PixelStore, store_for
from .prefetch import Buffers, crew, prefetched
from .preprocess import Preprocess
from .user_datasets import ItemReader, Raw, own_shape, transformed


@dataclass(frozen=True, slots=True)
class Batch:
    """x : network input, float32    y : int64, (n,)    index : int64, (n,), rows of the split's source"""

    x: torch.Tensor
    y: torch.Tensor
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Any]:
        """So that a loop may write `for x, y, index in …`."""
        return iter((self.x, self.y, self.index))


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
    num_workers : processes for a user's own Dataset or transform; 0 reads in the training thread
    seed : key of the order, of the views and of the user's transforms
    augment : random views of the pictures in a training epoch
    transform : a user's own in its place, picture by picture
    sampler : "balanced" draws each class equally often, with replacement, in a training epoch
    complain : told once of each picture that cannot be decoded

    Raises
    ------
    RecipeError
        The split's numbers are no pictures, and cannot be augmented.
    """

    def __init__(
        self,
        split: Chosen,
        preprocess: Preprocess,
        *,
        batch_size: int,
        device: torch.device,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augment | None = None,
        transform: Callable[[Any], Any] | None = None,
        sampler: str | None = None,
        complain: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.split, self.preprocess, self.device, self.seed, self.sampler = (
            split,
            preprocess,
            device,
            seed,
            sampler,
        )
        self.source = split.source if transform is None else transformed(split, transform)
        self.augment = augment if augment is not None and (augment.cuts or augment.paints) else None
        self.bounds = bounds(len(split), batch_size)
        self.buffers = Buffers()
        self._check()
        self._read = self._reader(num_workers, complain)

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self.bounds)

    def shuffled(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """The batches of a training epoch from number `first` on. One that damaged files leave a single picture of is empty."""
        for batch, (start, stop) in zip(
            self._batches(self.order(epoch), epoch, first), self.bounds[first:], strict=True
        ):
            alone = len(batch) == 1 < stop - start  # BatchNorm cannot learn from one
            yield Batch(batch.x[:0], batch.y[:0], batch.index[:0]) if alone else batch

    def in_order(self, *, first: int = 0) -> Iterator[Batch]:
        """All batches in the split's own order: for validation and tests."""
        return self._batches(self.split.rows, -1, first)

    def viewed(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """All batches in the split's own order, each picture changed as in that epoch."""
        return self._batches(self.split.rows, epoch, first)

    def peek(self) -> Batch:
        """A first look at what the batches are like; no epoch draws from it."""
        start, stop = self.bounds[0]
        rows = self.split.rows[start:stop]
        with keyed_random.outer_streams_kept(), closing(self._read([rows], -1)) as found:  # type: ignore[type-var]
            x, y, index = next(found)
        return Batch(self.preprocess.input(x, self.device), y.to(self.device), index)

    def order(self, epoch: int) -> np.ndarray:
        """The rows of a training epoch, one after the other."""
        n, rows = len(self.split), self.split.rows
        if self.sampler != "balanced":
            return np.asarray(
                rows[keyed_random.permutation(n, self.seed, keyed_random.ORDER, epoch)]
            )
        labels = self.source.labels[rows]
        members = [rows[labels == label] for label in np.unique(labels[labels != UNLABELLED])]
        which, who = (
            keyed_random.uniforms(np.arange(n), self.seed, keyed_random.DRAW, epoch, part)
            for part in range(2)
        )
        return np.array(
            [
                (mine := members[int(a * len(members))])[int(b * len(mine))]
                for a, b in zip(which, who, strict=True)
            ],
            np.int64,
        )

    def _batches(self, rows: np.ndarray, epoch: int, first: int) -> Iterator[Batch]:
        groups = [rows[start:stop] for start, stop in self.bounds[first:]]
        augment = self.augment if epoch >= 0 else None
        with closing(self._read(groups, epoch)) as raw:  # type: ignore[type-var]
            for x, y, index in raw:
                draws = Draws(self.seed, epoch, index) if augment is not None else None
                inputs = self.preprocess.input(
                    x, self.device, augment=augment, draws=draws, out=self._room(x)
                )
                yield Batch(inputs, y.to(self.device, non_blocking=True), index)

    def _room(self, x: torch.Tensor) -> torch.Tensor | None:
        """Memory for the input that bytes x become on the CPU, laid out as x is; None where x is made another shape first."""
        if x.dtype != torch.uint8 or self.device.type != "cpu" or self.preprocess.reshapes(x):
            return None
        if x.is_contiguous():
            return torch.from_numpy(self.buffers.take(tuple(x.shape), np.float32))
        return torch.from_numpy(
            self.buffers.take(tuple(x.movedim(1, -1).shape), np.float32)
        ).movedim(-1, 1)

    def _check(self) -> None:
        if self.augment is None:
            return
        source, why = self.source, ""
        if isinstance(source, Arrays) and (source.x.dtype != torch.uint8 or source.x.ndim != 4):
            why = f"the arrays are {source.x.dtype} of shape {tuple(source.x.shape[1:])} each: views are made of uint8 (C, H, W)"
        elif isinstance(source, Items) and own_shape(self.split) is not None:
            why = "your Dataset gives tensors, not pictures (PIL, or uint8 H x W x 3)"
        if why:
            raise RecipeError(
                "augment= cannot be done to this data.",
                why,
                "leave augment= out, and augment where the numbers are made",
            )

    def _reader(self, num_workers: int, complain: Callable[[str], None]) -> Reader:
        match self.source:
            case Arrays() as arrays if self.augment is not None and self.augment.cuts:
                return self._cut_arrays(arrays)
            case Arrays(x=x, labels=labels):
                return _from_arrays(x, torch.from_numpy(labels))
            case Pictures() as pictures:
                return self._from_store(
                    store_for(pictures, self.preprocess.side),
                    torch.from_numpy(pictures.labels),
                    complain,
                )
            case Items() as items:
                return ItemReader(
                    items, num_workers, self.seed, self.preprocess, self.augment, complain
                )
        raise TypeError(f"no reader for {type(self.source).__name__}")

    def _from_store(
        self, store: PixelStore, labels: torch.Tensor, complain: Callable[[str], None]
    ) -> Reader:
        told: set[int] = set()

        def read(groups: Sequence[np.ndarray], epoch: int) -> Iterator[Raw]:
            with closing(prefetched(self._cut(store, groups, epoch))) as ready:
                for rows, (x, good) in zip(groups, ready, strict=True):
                    for row in rows[~np.isin(rows, good)].tolist() if len(good) < len(rows) else ():
                        if row not in told:
                            told.add(row)
                            complain(
                                store.bad[row]
                            )  # here, in the training thread: a callback may draw random numbers
                    yield x, labels[torch.from_numpy(good)], good

        return read

    def _cut(
        self, store: PixelStore, groups: Sequence[np.ndarray], epoch: int
    ) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Decode and cut, batch by batch; the next batch is decoded while this one is cut."""
        pool, cores = crew()
        size, side = self.preprocess.size or 224, self.preprocess.side

        def read(part: list[int]) -> list[Any]:
            return [store.read(row) for row in part]

        def decoded(rows: np.ndarray) -> list[Callable[[], list[Any]]]:
            if store.has(rows):
                return [lambda: read(rows.tolist())]
            parts = np.array_split(
                rows, max(cores, len(rows) // PART)
            )  # small ones: no thread waits long for another
            return [pool.submit(read, part.tolist()).result for part in parts]

        coming = decoded(groups[0]) if groups else []
        for number, rows in enumerate(groups):
            found = [pixels for part in coming for pixels in part()]
            coming = decoded(groups[number + 1]) if number + 1 < len(groups) else []
            good = np.array(
                [
                    row
                    for row, pixels in zip(rows.tolist(), found, strict=True)
                    if pixels is not None
                ],
                np.int64,
            )
            whole = [pixels for pixels in found if pixels is not None]
            aspects = np.array([aspect for _, aspect in whole], np.float32)
            yield (
                self._views(
                    [pixels for pixels, _ in whole],
                    aspects,
                    good,
                    epoch,
                    (side, side),
                    (size, size),
                ),
                good,
            )

    def _cut_arrays(self, arrays: Arrays) -> Reader:
        """Arrays of pictures, (N, C, H, W), cut as files are."""
        labels, (high, wide) = torch.from_numpy(arrays.labels), arrays.x.shape[-2:]
        size = (
            (self.preprocess.size, self.preprocess.size) if self.preprocess.size else (high, wide)
        )

        def views(groups: Sequence[np.ndarray], epoch: int) -> Iterator[Raw]:
            for rows in groups:
                pictures = list(arrays.x[torch.from_numpy(rows)].movedim(1, 3).contiguous().numpy())
                aspects = np.full(len(rows), wide / high, np.float32)
                yield (
                    self._views(pictures, aspects, rows, epoch, (high, wide), size),
                    labels[torch.from_numpy(rows)],
                    rows,
                )

        return lambda groups, epoch: (
            prefetched(views(groups, epoch))
            if epoch >= 0
            else _from_arrays(arrays.x, labels)(groups, epoch)
        )

    def _views(
        self,
        pictures: list[np.ndarray],
        aspects: np.ndarray,
        rows: np.ndarray,
        epoch: int,
        side: tuple[int, int],
        size: tuple[int, int],
    ) -> torch.Tensor:
        """What the epoch sees of each picture: uint8 (n, C, *size), channels last in memory."""
        n, channels = len(pictures), pictures[0].shape[2] if pictures else 3
        out = self._bytes((n, *size, channels))
        augment = self.augment if epoch >= 0 and self.augment is not None else Augment()
        draws = Draws(self.seed, epoch, rows)
        where, turned = (
            boxes(augment, draws, aspects, side, self.preprocess.share),
            flips(augment, draws).tolist(),
        )
        pool, cores = crew()

        def work(part: Sequence[int]) -> None:
            for i in part:
                cut(
                    pictures[i],
                    where[i],
                    out[i],
                    interpolation=self.preprocess.interpolation,
                    flip=turned[i],
                )

        for _ in pool.map(work, [range(k, n, cores) for k in range(cores)]):
            pass
        return torch.from_numpy(out).movedim(3, 1)

    def _bytes(self, shape: tuple[int, ...]) -> np.ndarray:
        if (
            self.device.type == "cuda"
        ):  # page-locked, so that the copy runs beside the network; torch keeps what is still being copied
            pinned: np.ndarray = torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
            return pinned
        return self.buffers.take(shape, np.uint8)


PART = 8  # pictures that a thread decodes in one go
Reader = Callable[[Sequence[np.ndarray], int], Iterator[Raw]]


def _from_arrays(x: torch.Tensor, labels: torch.Tensor) -> Reader:
    def read(groups: Sequence[np.ndarray], epoch: int) -> Iterator[Raw]:
        for rows in groups:  # a gather of bytes costs less than handing it to a thread would
            where = torch.from_numpy(rows)
            yield x.index_select(0, where), labels.index_select(0, where), rows

    return read


_feeds: WeakKeyDictionary[Chosen, dict[Any, Feed]] = WeakKeyDictionary()


def batches_of(
    split: Chosen,
    batch_size: int,
    *,
    epoch: int,
    first: int,
    seed: int,
    augment: str | Augment,
    size: int | None,
    device: Any,
) -> Iterator[Batch]:
    """Split.batches: an epoch of a split for a hand-written loop."""
    key = (batch_size, seed, augment, size, str(device))
    feeds = _feeds.setdefault(split, {})
    if key not in feeds:
        own = size or (None if isinstance(split.source, Arrays) else 224)
        preprocess = Preprocess(own, crop=1.0 if isinstance(split.source, Arrays) else 0.875)
        views = preset(augment) if split.name == "train" else None
        feeds[key] = Feed(
            split,
            preprocess,
            batch_size=batch_size,
            device=torch.device(device or "cpu"),
            seed=seed,
            augment=views,
        )
    feed = feeds[key]
    return (
        feed.shuffled(epoch, first=first) if split.name == "train" else feed.in_order(first=first)
    )
