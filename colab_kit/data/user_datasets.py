"""A user's own dataset, or pictures under a user's own transform, read under keys.

Worker processes or the training thread read it; the numbers are the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, cast

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ..errors import DataError, RecipeError
from ..events import Note
from . import keyed_random
from .augment import Augment, Draws, boxes, flips
from .deep import Span, law_of
from .image_files import as_file
from .images import decode, is_pixels, squash, treatment
from .prefetch import cached_with
from .preprocess import Preprocess
from .sources import Arrays, Chosen, Items, Pictures
from .targets import of_row

Raw = tuple[Tensor, Tensor, ndarray]
LOOKED_AT = 8  # items whose kind of picture is asked for
SHARED = 64 << 20  # bytes of /dev/shm that workers need: batches travel through it
# Signals that reach a whole group of processes: a terminal's, a batch system's, a shell's.
GROUP = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}


class ItemReader:
    """Read a user's Dataset under keys, in worker processes or in the training thread.

    augment : crops and flips for items that are pictures, or None
    complain : is called with the reason if there are no workers although some were wanted
    """

    def __init__(
        self,
        items: Items,
        num_workers: int,
        seed: int,
        preprocess: Preprocess,
        augment: Augment | None,
        complain: Callable[[str], None],
    ) -> None:
        self.groups: list[list[tuple[int, int]]] = []
        self.dataset = _KeyedDataset(items, seed, preprocess, augment)
        self.collate = _Collate(items.collate or default_collate, items.labels.ndim == 2)
        self.loader: DataLoader[Any] | None = None
        self.workers: list[Any] = []  # processes
        if num_workers and (room := _shared_memory()) is not None and room < SHARED:
            have = f"/dev/shm has {room >> 20} MiB left, and workers need {SHARED >> 20}"
            complain(f"{have}: the data is read in the training thread.")
            num_workers = 0
        if num_workers:
            # a spare generator: DataLoader would draw its base seed from the process-wide one
            self.loader = DataLoader(
                self.dataset,
                batch_sampler=self.groups,
                collate_fn=self.collate,
                num_workers=num_workers,
                persistent_workers=True,
                worker_init_fn=_obey_parent,
                generator=torch.Generator().manual_seed(0),
            )

    def __call__(self, groups: Sequence[ndarray], epoch: int) -> Generator[Raw, None, None]:
        self.groups[:] = [[(epoch, row) for row in rows.tolist()] for rows in groups]
        try:
            batches = self._inline() if self.loader is None else self._from_workers(self.loader)
            for x, y, rows in batches:
                yield x, y, rows.numpy()
        except Exception as err:  # a worker's death has many faces, and none of torch's own class
            death = self._death()
            if death is None:
                raise
            left: Any = self.loader and self.loader._iterator
            if left is not None:
                left._shutdown_workers()  # a process forked later would complain of them
                self.loader._iterator = None  # type: ignore[union-attr]
            raise death from err

    def _from_workers(self, loader: DataLoader[Any]) -> Iterator[Any]:
        """Give the batches of worker processes, whose deaths are found here and nowhere else.

        Torch's list of workers is for its SIGCHLD handler, which raises in whatever line the main
        thread is; without it, torch finds a death where it waits for a batch, within 5 s.
        """
        # Held back until a worker has its own handlers: a signal that comes before them ends it.
        with _held_back():
            batches: Any = iter(loader)
        if batches._worker_pids_set:
            torch._C._remove_worker_pids(id(batches))
            batches._worker_pids_set = False
        self.workers = batches._workers
        for worker in self.workers:
            worker._popen.terminate = worker._popen.kill  # it does not hear SIGTERM
        return cast(Iterator[Any], batches)

    def _death(self) -> DataError | None:
        """Tell of a worker that has died; None if all live."""
        sentinels = [worker.sentinel for worker in self.workers]
        # what it leaves is found a moment before its death is
        dead = connection.wait(sentinels, 0.5) if sentinels else []
        if not dead:
            return None
        worker = next(worker for worker in self.workers if worker.sentinel in dead)
        worker.join()
        code = worker.exitcode or 0
        why = f"its exit code is {code}: something in the Dataset ended it"
        if code < 0:
            name = signal.Signals(-code).name
            why = f"a library that the Dataset uses crashed ({name})"
            if name == "SIGKILL":
                why = f"mostly the system ends it because memory is short ({name})"
        return DataError(
            "A process that reads your Dataset has died.",
            why,
            "run the cell again with num_workers=0: it continues",
        )

    def _inline(self) -> Iterator[Any]:
        for group in self.groups:
            with keyed_random.outer_streams_kept():
                batch = self.collate([self.dataset[pair] for pair in group])
            yield batch


def _shared_memory() -> int | None:
    """Give the bytes left in /dev/shm; None where the system has another way."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:
        return 0 if sys.platform == "linux" else None


def own_shape(split: Chosen) -> tuple[int, ...] | None:
    """Give the shape of a user's items; None for pictures, () where a collate makes it."""
    x = first_of(split)
    if is_pixels(x):
        return None
    return () if split.source.collate else tuple(getattr(x, "shape", ()))


def law_of_items(dataset: Any, looked: keyed_random.Looked) -> tuple[Span | None, Note | None]:
    """Look at some items: the law of those of more than 8 bits, and what reading does to pictures.

    A PIL picture is read as its file would be, so that predict() sees what was learned.
    """
    rows = np.unique(np.linspace(0, len(dataset) - 1, LOOKED_AT).astype(int)).tolist()
    if not is_pixels(picture_in(looked[0])):
        return None, None
    shown = [picture_in(looked[row]) for row in rows]
    kinds = [(x, treatment(x)) for x in shown if is_pixels(x)]
    span = law_of([as_file(x) for x, done in kinds if "deep" in done])
    words = {
        "turned": "turned upright by EXIF",
        "white": "laid on white where they are clear",
        "deep": f"brought from {span[0]:,.6g} to {span[1]:,.6g} to 0 to 255" if span else "",
    }
    done = [text for kind, text in words.items() if any(kind in found for _, found in kinds)]
    if not done:
        return None, None
    text = f"Pictures of {type(dataset).__name__} are read as files are: {', '.join(done)}. To keep"
    fix = "them as they are, let __getitem__ return np.array(picture.convert('RGB'))."
    return span, Note(f"{text} {fix}")


def draws_privately(items: Items, row: int) -> bool:
    """Tell whether an item read twice under one key differs: no key reaches its draws."""
    first, second = (np.array(_picture_of(items.dataset, row)) for _ in range(2))
    return not np.array_equal(first, second)


def first_of(split: Chosen) -> Any:
    """Give the picture of a split's first item, read once."""
    items, row = split.source, int(split.rows[0])
    return cached_with(items, ("first", row), lambda: _picture_of(items.dataset, row))


def _picture_of(dataset: Any, row: int) -> Any:
    return picture_in(keyed_random.item_under_key(dataset, row))


def picture_in(item: Any) -> Any:
    """Give the picture of an item (picture, label)."""
    return item[0] if isinstance(item, tuple | list) and item else item


@dataclass(frozen=True)
class Transformed(Dataset[Any]):
    """Pictures under a user's transform.

    It gets a PIL picture for a file, a uint8 tensor (C, H, W) for an array.
    A transform with generators of its own that can be seeded (Albumentations: set_random_seed) is
    seeded by the sample's key.
    """

    source: Pictures | Arrays
    transform: Callable[[Any], Any]

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        if isinstance(self.source, Pictures):
            from PIL import Image

            x: Any = Image.fromarray(self.source.picture(row))
        else:
            x = self.source.x[row]
        if seed := getattr(self.transform, "set_random_seed", None):
            seed(int(torch.randint(0, 2**31, ())))  # torch's generator stands at the sample's key
        return self.transform(x), of_row(self.source.labels, row)

    def __len__(self) -> int:
        return len(self.source)


def under_transform(split: Chosen, transform: Callable[[Any], Any]) -> Items:
    """Put a split's source under a user's transform.

    Raises
    ------
    RecipeError
        The source is the user's own Dataset, which has transforms of its own.
    """
    if isinstance(split.source, Items):
        raise RecipeError(
            "augment= is a transform, and the data is a Dataset of your own.",
            "its __getitem__ is where transforms belong",
            "put the transform into the Dataset",
        )
    return Items(Transformed(split.source, transform), split.source.labels)


@dataclass(frozen=True)
class _KeyedDataset(Dataset[Any]):
    items: Items
    seed: int
    preprocess: Preprocess
    augment: Augment | None

    def __getitem__(self, pair: tuple[int, int]) -> Any:
        (epoch, row), dataset = pair, self.items.dataset
        keyed_random.seed_all(*keyed_random.sample_key(self.seed, epoch, row))
        item = dataset[row]
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            what = f"Item {row} of {type(dataset).__name__} is no (picture, label) pair."
            raise DataError(what, f"it is a {type(item).__name__}", "let __getitem__ return (x, y)")
        x, y = item
        if is_pixels(x):
            x = self._square(x, epoch, row)
        elif isinstance(x, ndarray):
            x = torch.from_numpy(x)
        # a collate gets the item's own label, else labels are numbered as training has them
        return row, (x, y if self.items.collate else of_row(self.items.labels, row))

    def _square(self, x: Any, epoch: int, row: int) -> Tensor:
        """Give a picture as uint8 (3, S, S), read as its file would be."""
        preprocess, augment = self.preprocess, self.augment
        size, side = preprocess.square, preprocess.side
        pixels = decode(x, side, preprocess.span)
        if isinstance(self.items.dataset, Transformed):  # the user's transform has cut it
            out = squash(pixels, size)
        elif augment is None or not augment.cuts or epoch < 0:
            out = preprocess.picture(pixels)
        else:
            draws = Draws(self.seed, epoch, np.array([row]))
            aspect = preprocess.aspect(pixels.shape[1] / pixels.shape[0])
            aspects = np.array([aspect], np.float32)
            (box,) = boxes(augment, draws, aspects, (side, side), preprocess.share)
            out = preprocess.view(preprocess.stored(pixels), box, bool(flips(augment, draws)[0]))
        return torch.from_numpy(out).movedim(2, 0)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class _Collate:
    """The user's collate beside the row numbers; a class, because worker processes pickle it."""

    collate: Callable[[list[Any]], Any]
    numbers: bool  # whether labels are rows of numbers, not classes

    def __call__(self, batch: list[tuple[int, Any]]) -> tuple[Tensor, Tensor, Tensor]:
        x, y = self.collate([item for _, item in batch])
        y = torch.as_tensor(y)
        y = y.float().reshape(len(batch), -1) if self.numbers else y.long()
        return torch.as_tensor(x), y, torch.tensor([row for row, _ in batch])


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold the group's signals back in this thread, and in the processes that it starts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows has neither groups nor masks
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _obey_parent(worker: int) -> None:
    """Leave a signal to the whole group to the training process: it stops, and ends its workers.

    Only an orphan ends by itself. A handler, not SIG_IGN, which programs that a Dataset starts
    would inherit.
    """
    parent = os.getppid()

    def heard(number: int, frame: Any) -> None:
        if os.getppid() != parent:
            os._exit(0)

    for number in GROUP:
        signal.signal(number, heard)
        if hasattr(signal, "siginterrupt"):
            signal.siginterrupt(number, False)  # what the Dataset reads goes on
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP)
