"""Batches: each one is a function of (seed, epoch, number), wherever reading begins."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ..errors import RecipeError
from ..system import timings
from . import keyed_random
from .augment import Augment, Draws, boxes, flips, preset
from .image_checks import changed
from .images import cut
from .pixel_cache import PixelStore
from .prefetch import Buffers, cached_with, crew, run_ahead
from .preprocess import Preprocess
from .sources import Arrays, Chosen, Items, Pictures
from .targets import UNLABELLED
from .user_datasets import ItemReader, Raw, own_shape, under_transform

PART = 8  # pictures that a thread decodes in one go
Groups = Sequence[ndarray]  # the rows of each batch


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. `for x, y, index in batches` unpacks it.

    x : network input, float32
    y : int64, (n,)
    index : int64, (n,), rows of the split's source
    """

    x: Tensor
    y: Tensor
    index: ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.x, self.y, self.index))


def bounds(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Say where each batch begins and ends.

    A last batch of one picture joins the one before, because BatchNorm cannot learn from one.
    """
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n], strict=True))


class BatchLoader:
    """Read a split in batches, in any order, from any batch on.

    Parameters
    ----------
    split : Split
        What to read.
    preprocess : Preprocess
        How it becomes input.
    batch_size : int
        Pictures a batch; the last may hold one more, or fewer.
    device : torch.device
        Where the batches go.
    num_workers : int
        Processes for a user's own Dataset or transform; 0 reads in the training thread.
    seed : int
        Key of the order, of the views and of the user's transforms.
    augment : Augment, optional
        Random views of the pictures in a training epoch.
    transform : callable, optional
        A user's own in its place, picture by picture.
    sampler : str, optional
        "balanced" draws each class equally often, with replacement, in a training epoch.
    complain : callable
        It is called once for each picture that cannot be decoded.

    Attributes
    ----------
    channels_last : bool
        Whether pictures that are cut come with this layout; else contiguous, as torch's DataLoader
        gives them, so that any network takes them.
    keeps_pixels : bool
        Whether decoded pictures stay for a second look.

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
        self.split, self.preprocess, self.device = split, preprocess, device
        self.seed, self.sampler, self.channels_last = seed, sampler, False
        self.keeps_pixels = True
        self.source = split.source if transform is None else under_transform(split, transform)
        self.augment = augment if augment is not None and (augment.cuts or augment.paints) else None
        self.bounds = bounds(len(split), batch_size)
        self.buffers = Buffers()
        self.complain, self.reported = complain, set[int]()
        self._check()
        match self.source:
            case Items() as items:
                self.item_reader = ItemReader(
                    items, num_workers, seed, preprocess, self.augment, complain
                )
            case Arrays() as arrays if self.augment is None or not self.augment.cuts:
                self.source = resident(arrays, device)
            case Arrays() | Pictures():
                pass
            case other:
                raise TypeError(f"no reader for {type(other).__name__}")

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self.bounds)

    def shuffled(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """Give the batches of a training epoch from number `first` on.

        A batch of which damaged files leave one picture comes empty: BatchNorm cannot learn from
        one.
        """
        batches = self._batches(self.order(epoch), epoch, first)
        for batch, (start, stop) in zip(batches, self.bounds[first:], strict=True):
            alone = len(batch) == 1 < stop - start
            yield Batch(batch.x[:0], batch.y[:0], batch.index[:0]) if alone else batch

    def in_order(self, *, first: int = 0) -> Iterator[Batch]:
        """Give all batches in the split's own order, for validation and tests."""
        return self._batches(self.split.rows, -1, first)

    def viewed(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """Give all batches in the split's own order, each picture changed as in that epoch."""
        return self._batches(self.split.rows, epoch, first)

    def peek(self) -> Batch:
        """Give a batch of rows from all over the split, in its order; no epoch draws from it.

        The split is cut into as many stretches, and a key draws a row of each. So each class of a
        folder is seen, and a fault of a part of the pictures.
        """
        n, (_, size) = len(self.split), self.bounds[0]
        draws = keyed_random.uniforms(np.arange(size), keyed_random.LOOK)
        groups = [self.split.rows[((np.arange(size) + draws) * n / size).astype(np.int64)]]
        with keyed_random.outer_streams_kept(), closing(self._read(groups, -1)) as raw:
            x, y, index = next(raw)
        return Batch(self._input(x), y.to(self.device), index)

    def order(self, epoch: int) -> ndarray:
        """Give the rows of a training epoch, one after the other."""
        n, rows = len(self.split), self.split.rows
        if self.sampler != "balanced":
            order = keyed_random.permutation(n, self.seed, keyed_random.ORDER, epoch)
            return np.asarray(rows[order])
        labels = self.source.labels[rows]
        members = [rows[labels == label] for label in np.unique(labels[labels != UNLABELLED])]
        key = self.seed, keyed_random.DRAW, epoch
        classes, places = (keyed_random.uniforms(np.arange(n), *key, part) for part in range(2))
        picks = []
        for a, b in zip(classes, places, strict=True):
            of_class = members[int(a * len(members))]
            picks.append(of_class[int(b * len(of_class))])
        return np.array(picks, np.int64)

    def _batches(self, rows: ndarray, epoch: int, first: int) -> Iterator[Batch]:
        groups = [rows[start:stop] for start, stop in self.bounds[first:]]
        augment = self.augment if epoch >= 0 else None
        with closing(self._read(groups, epoch)) as raw:
            for x, y, index in raw:
                draws = None if augment is None else Draws(self.seed, epoch, index)
                x = self._input(x, augment=augment, draws=draws, out=self._room(x))
                yield Batch(x, y.to(self.device, non_blocking=True), index)

    def _input(self, x: Tensor, **more: Any) -> Tensor:
        return self.preprocess.input(x, self.device, channels_last=self.channels_last, **more)

    def _room(self, x: Tensor) -> Tensor | None:
        """Give memory for the input that bytes become on the CPU.

        It is None where x is made another shape first.
        """
        if x.dtype != torch.uint8 or self.device.type != "cpu" or self.preprocess.reshapes(x):
            return None
        if x.is_contiguous() or not self.channels_last:
            return torch.from_numpy(self.buffers.take(tuple(x.shape), np.float32))
        shape = tuple(x.movedim(1, -1).shape)
        return torch.from_numpy(self.buffers.take(shape, np.float32)).movedim(-1, 1)

    def _check(self) -> None:
        source, why = self.source, ""
        if self.augment is None:
            return
        if isinstance(source, Arrays) and (source.x.dtype != torch.uint8 or source.x.ndim != 4):
            shape = tuple(source.x.shape[1:])
            why = f"the arrays are {source.x.dtype} of shape {shape} each, not uint8 (C, H, W)"
        elif isinstance(source, Items) and own_shape(self.split) is not None:
            why = "your Dataset gives tensors, not pictures (PIL, or uint8 H x W x 3)"
        if why:
            fix = "leave augment= out, and augment where the numbers are made"
            raise RecipeError("augment= cannot be done to this data.", why, fix)

    def _read(self, groups: Groups, epoch: int) -> Generator[Raw, None, None]:
        """Read groups of rows as the epoch sees them; epoch -1 changes nothing."""
        match self.source:
            case Items():
                return self.item_reader(groups, epoch)
            case Pictures() as pictures:
                return self._read_files(pictures, groups, epoch)
        if epoch < 0 or self.augment is None or not self.augment.cuts:
            return _gather(self.source, groups)
        return run_ahead(self._cut_arrays(self.source, groups, epoch))

    def _read_files(
        self, pictures: Pictures, groups: Groups, epoch: int
    ) -> Generator[Raw, None, None]:
        store = self.preprocess.store(pictures, kept=self.keeps_pixels)
        labels = torch.from_numpy(pictures.labels)
        with closing(run_ahead(self._cut_files(store, groups, epoch))) as ready:
            for rows, (x, good) in zip(groups, ready, strict=True):
                for row in rows.tolist():
                    if row in store.changed:
                        raise changed(pictures.paths[row])
                    if row in store.bad and row not in self.reported:
                        self.reported.add(row)
                        # here, in the training thread: a callback may draw random numbers
                        self.complain(store.bad[row])
                yield x, labels[torch.from_numpy(good)], good

    def _cut_files(
        self, store: PixelStore, groups: Groups, epoch: int
    ) -> Iterator[tuple[Tensor, ndarray]]:
        """Give each batch's pixels and good rows; the next is decoded while this one is cut."""
        pool, cores = crew()
        size = self.preprocess.square, self.preprocess.square

        def read(rows: ndarray) -> list[Any]:
            with timings.beside("decode"):
                return [store.read(row) for row in rows.tolist()]

        def decode(rows: ndarray) -> list[Callable[[], list[Any]]]:
            if store.has(rows):
                return [lambda: read(rows)]
            parts = max(cores, len(rows) // PART)  # small: no thread waits long for another
            return [pool.submit(read, part).result for part in np.array_split(rows, parts)]

        decoding = map(decode, groups)
        coming = next(decoding, [])
        for rows in groups:
            results = [result for part in coming for result in part()]
            coming = next(decoding, [])
            good = rows[np.array([result is not None for result in results], bool)]
            whole = [result for result in results if result is not None]
            aspects = np.array([self.preprocess.aspect(own) for _, own in whole], np.float32)
            yield self._views([pixels for pixels, _ in whole], aspects, good, epoch, size), good

    def _cut_arrays(self, arrays: Arrays, groups: Groups, epoch: int) -> Iterator[Raw]:
        """Cut arrays of pictures, (N, C, H, W), as files are cut."""
        (high, wide), side = arrays.x.shape[-2:], self.preprocess.size
        size = (high, wide) if side is None else (side, side)
        for x, labels, rows in _gather(arrays, groups):
            pictures = list(x.movedim(1, 3).contiguous().numpy())
            aspects = np.full(len(rows), wide / high, np.float32)
            yield self._views(pictures, aspects, rows, epoch, size), labels, rows

    def _views(
        self,
        pictures: list[ndarray],
        aspects: ndarray,
        rows: ndarray,
        epoch: int,
        size: tuple[int, int],
    ) -> Tensor:
        """Show each picture as the epoch sees it: uint8 (n, C, *size), channels last in memory."""
        high, wide, channels = pictures[0].shape if pictures else (1, 1, 3)
        out = self._bytes((len(pictures), *size, channels))
        augment = self.augment if epoch >= 0 and self.augment is not None else Augment()
        draws, interpolation = Draws(self.seed, epoch, rows), self.preprocess.interpolation
        where = boxes(augment, draws, aspects, (high, wide), self.preprocess.share)
        flip = flips(augment, draws).tolist()
        pool, cores = crew()

        def work(first: int) -> None:
            for i in range(first, len(pictures), cores):
                cut(pictures[i], where[i], out[i], interpolation, flip[i])

        list(pool.map(work, range(cores)))
        return torch.from_numpy(out).movedim(3, 1)

    def _bytes(self, shape: tuple[int, ...]) -> ndarray:
        if self.device.type != "cuda":
            return self.buffers.take(shape, np.uint8)
        # page-locked, so that the copy runs beside the network; torch keeps what is being copied
        pinned: ndarray = torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
        return pinned


def resident(
    arrays: Arrays, device: torch.device, free: Callable[[torch.device], int] | None = None
) -> Arrays:
    """Give arrays that live on a GPU, to be gathered there, if a quarter of its free memory does.

    Parameters
    ----------
    free : callable, optional
        Gives the device's free bytes; torch's own, if None.
    """

    def move() -> Arrays:
        is_small = fits(arrays.x.nbytes, device, free)
        return replace(arrays, x=arrays.x.to(device)) if is_small else arrays

    return cached_with(arrays, ("resident", str(device)), move)


def fits(
    count: int, device: torch.device, free: Callable[[torch.device], int] | None = None
) -> bool:
    """Tell whether a quarter of a GPU's free memory holds so many bytes."""
    if device.type in ("cpu", "mps"):  # they share the memory of the machine
        return False
    room = free(device) if free else torch.cuda.mem_get_info(device)[0]
    return count <= room / 4


def _gather(arrays: Arrays, groups: Groups) -> Generator[Raw, None, None]:
    labels = torch.from_numpy(arrays.labels)
    for rows in groups:  # a gather of bytes costs less than handing it to a thread
        where = torch.from_numpy(rows)
        pixels = arrays.x.index_select(0, where.to(arrays.x.device, non_blocking=True))
        yield pixels, labels.index_select(0, where), rows


def loader_of(
    split: Chosen,
    batch_size: int,
    seed: int,
    augment: str | Augment,
    size: int | None,
    device: Any,
) -> BatchLoader:
    """Give the loader behind Split.batches, one for each set of arguments while the split lives."""
    arrays = isinstance(split.source, Arrays)

    def make() -> BatchLoader:
        crop, own_size = (1.0, size) if arrays else (0.875, size or 224)
        return BatchLoader(
            copy.copy(split),  # the cache must not hold the split itself
            Preprocess(own_size, crop=crop),
            batch_size=batch_size,
            device=torch.device(device or "cpu"),
            seed=seed,
            augment=preset(augment) if split.name == "train" else None,
        )

    return cached_with(split, (batch_size, seed, augment, size, str(device)), make)
