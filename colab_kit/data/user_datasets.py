"""Items: a user's own dataset, or pictures under a user's own transform, read under keys, in processes or in the training thread."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from ..errors import DataError, RecipeError
from . import keyed_random
from .augment import Augment, Draws, boxes, flips
from .cuts import cut, squashed
from .images import decode
from .kinds import Arrays, Chosen, Items, Pictures
from .preprocess import Preprocess
from .targets import of_row

Raw = tuple[torch.Tensor, torch.Tensor, np.ndarray]
SHARED = 64 << 20  # bytes of /dev/shm that workers need: batches travel through it


class ItemReader:
    """Read a user's Dataset under keys, in processes or in the training thread: the numbers are the same.

    augment : crops and flips for items that are pictures, or None
    complain : told why there are no workers although some were asked for
    """

    def __init__(
        self,
        items: Items,
        num_workers: int,
        seed: int,
        preprocess: Preprocess,
        augment: Augment | None = None,
        complain: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.groups: list[list[tuple[int, int]]] = []
        self.dataset = _KeyedDataset(items, seed, preprocess, augment)
        self.collate = _collate_with(items.collate or default_collate, items.labels.ndim == 2)
        self.loader: DataLoader[Any] | None = None
        if num_workers and (room := _shared()) is not None and room < SHARED:
            complain(
                f"/dev/shm has {room >> 20} MiB left, and workers need {SHARED >> 20}: the data is read in the training thread."
            )
            num_workers = 0
        if num_workers:
            # a spare generator: DataLoader would draw its base seed from the process-wide one
            self.loader = DataLoader(
                self.dataset,
                batch_sampler=self.groups,
                collate_fn=self.collate,
                num_workers=num_workers,
                persistent_workers=True,
                worker_init_fn=_ignore_interrupts,
                generator=torch.Generator().manual_seed(0),
            )

    def __call__(self, groups: Sequence[np.ndarray], epoch: int) -> Iterator[Raw]:
        self.groups[:] = [[(epoch, row) for row in rows.tolist()] for rows in groups]
        try:
            for x, y, rows in self.loader if self.loader is not None else self._inline():
                yield x, y, rows.numpy()
        except RuntimeError as err:
            if "DataLoader worker" not in str(err) or "exited unexpectedly" not in str(err):
                raise
            why = "mostly the system ended it, for want of memory"
            raise DataError(
                "A process that reads your Dataset has died.",
                why,
                "run the cell again with num_workers=0: it goes on",
            ) from err

    def _inline(self) -> Iterator[Any]:
        for group in self.groups:
            with keyed_random.outer_streams_kept():
                batch = self.collate([self.dataset[pair] for pair in group])
            yield batch


def _shared() -> int | None:
    """Bytes left in /dev/shm; None where there is none."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return None


def is_picture(x: Any) -> bool:
    """Whether an item is brought to a square, as a file is: PIL, or uint8 (H, W) or (H, W, 1, 3 or 4). Others keep their shape."""
    if isinstance(x, np.ndarray):
        return x.dtype == np.uint8 and (x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (1, 3, 4)))
    return hasattr(x, "getexif")


def first_item(split: Chosen) -> Any:
    """The picture of a user's first item, read under its key."""
    source, row = split.source, int(split.rows[0])
    assert isinstance(source, Items)
    with keyed_random.outer_streams_kept():
        keyed_random.seed_all(*keyed_random.sample_key(0, 0, row))
        item = source.dataset[row]
    return item[0] if isinstance(item, tuple | list) and item else item


def own_shape(split: Chosen) -> tuple[int, ...] | None:
    """What shape the items of a user's Dataset have; None where they are pictures, () where a collate makes it."""
    x = first_item(split)
    if is_picture(x):
        return None
    return () if split.source.collate else tuple(getattr(x, "shape", ()))


class Transformed(Dataset[Any]):
    """Pictures of a source under a user's transform: a PIL picture goes in for a file, a uint8 tensor (C, H, W) for an array.

    A transform with generators of its own that can be seeded (Albumentations: set_random_seed) is seeded by the sample's key.
    """

    def __init__(self, source: Pictures | Arrays, transform: Callable[[Any], Any]) -> None:
        self.source, self.transform = source, transform

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        if isinstance(self.source, Pictures):
            from PIL import Image

            x: Any = Image.fromarray(decode(self.source.paths[row]))
        else:
            x = self.source.x[row]
        if seed := getattr(self.transform, "set_random_seed", None):
            seed(
                int(torch.randint(0, 2**31, ()))
            )  # a function of the key that stands in torch's generator now
        return self.transform(x), of_row(self.source.labels, row)

    def __len__(self) -> int:
        return len(self.source)


def transformed(split: Chosen, transform: Callable[[Any], Any]) -> Items:
    """A split's source under a user's transform.

    Raises
    ------
    RecipeError
        The source is the user's own Dataset, which has transforms of its own.
    """
    if isinstance(split.source, Items):
        what = "augment= is a transform, and the data is a Dataset of your own."
        raise RecipeError(
            what, "its __getitem__ is where transforms belong", "put the transform into the Dataset"
        )
    return Items(Transformed(split.source, transform), split.source.labels)


def draws_privately(items: Items, row: int) -> bool:
    """Whether an item read twice under one key differs: something draws numbers that no key reaches."""
    found = []
    for _ in range(2):
        with keyed_random.outer_streams_kept():
            keyed_random.seed_all(*keyed_random.sample_key(0, 0, row))
            x = items.dataset[row]
        x = x[0] if isinstance(x, tuple | list) else x
        found.append(np.array(x))
    return not np.array_equal(found[0], found[1])


class _KeyedDataset(Dataset[Any]):
    def __init__(
        self, items: Items, seed: int, preprocess: Preprocess, augment: Augment | None
    ) -> None:
        self.items, self.seed, self.preprocess, self.augment = items, seed, preprocess, augment

    def __getitem__(self, pair: tuple[int, int]) -> Any:
        epoch, row = pair
        keyed_random.seed_all(*keyed_random.sample_key(self.seed, epoch, row))
        item = self.items.dataset[row]
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise DataError(
                f"Item {row} of {type(self.items.dataset).__name__} is no (picture, label) pair.",
                f"it is a {type(item).__name__}",
                "let __getitem__ return (x, y)",
            )
        x, y = item
        if is_picture(x):
            x = self._square(x, epoch, row)
        elif isinstance(x, np.ndarray):
            x = torch.from_numpy(x)
        return row, (
            x,
            y if self.items.collate else of_row(self.items.labels, row),
        )  # the labels are numbered as training has them

    def _square(self, x: Any, epoch: int, row: int) -> torch.Tensor:
        """A picture as uint8 (3, S, S), without its alpha channel."""
        pixels = np.asarray(x.convert("RGB") if hasattr(x, "convert") else x)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        pixels = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else np.array(pixels[..., :3])
        size = self.preprocess.size or 224
        if isinstance(
            self.items.dataset, Transformed
        ):  # the user's transform has cut it: it is taken whole
            out = squashed(pixels, size) if pixels.shape[:2] != (size, size) else pixels
        elif self.augment is None or not self.augment.cuts or epoch < 0:
            out = self.preprocess.picture(pixels)
        else:
            out, side = np.empty((size, size, 3), np.uint8), self.preprocess.side
            draws, aspects = (
                Draws(self.seed, epoch, np.array([row])),
                np.array([pixels.shape[1] / pixels.shape[0]], np.float32),
            )
            (box,), (flip,) = (
                boxes(self.augment, draws, aspects, (side, side), self.preprocess.share),
                flips(self.augment, draws),
            )
            cut(
                squashed(pixels, side),
                box,
                out,
                interpolation=self.preprocess.interpolation,
                flip=bool(flip),
            )
        return torch.from_numpy(out).movedim(2, 0)

    def __len__(self) -> int:
        return len(self.items)


class _collate_with:
    """The user's collate beside the row numbers; a class, so that worker processes can be handed it."""

    def __init__(self, collate: Callable[[list[Any]], Any], numbers: bool) -> None:
        self.collate, self.numbers = collate, numbers

    def __call__(
        self, batch: list[tuple[int, Any]]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, y = self.collate([item for _, item in batch])
        rows = torch.tensor([row for row, _ in batch])
        y = torch.as_tensor(y)
        return (
            torch.as_tensor(x),
            y.float().reshape(len(rows), -1) if self.numbers else y.long(),
            rows,
        )


def _ignore_interrupts(worker: int) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; stopping is the training thread's affair
