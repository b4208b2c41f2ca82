"""Data and its splits: rows of a source, by a keyed, stratified draw that each session repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from .keyed_random import SPLIT, permutation
from .sources import Pictures, Source
from .targets import UNLABELLED, of_row, strata, unlabelled

if TYPE_CHECKING:
    from .batches import Batch


@dataclass(frozen=True, eq=False)
class Split:
    """Some rows of a source: to train on, to validate with, or to test with."""

    source: Source
    rows: ndarray = field(repr=False)  # int64, (n,): which rows, in the order of this split
    name: str = "train"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[ndarray, Any]:
        """Give picture i as uint8 (H, W, C), and its label: int, or float32 (K,)."""
        row = int(self.rows[i])
        return self.source.picture(row), of_row(self.source.labels, row)

    @property
    def labels(self) -> ndarray:
        """int64, (n,); of another task float32, (n, K)."""
        return np.asarray(self.source.labels[self.rows])

    @property
    def paths(self) -> list[Path] | None:
        """The files, in this split's order; None where the pictures are no files."""
        if isinstance(self.source, Pictures):
            return [self.source.paths[row] for row in self.rows]
        return None

    def batches(
        self,
        batch_size: int,
        *,
        epoch: int = 0,
        first: int = 0,
        seed: int = 0,
        augment: str = "none",
        size: int | None = None,
        device: Any = None,
    ) -> Iterator[Batch]:
        """Give an epoch of batches to a loop of your own, by the same pipeline as train().

        Pictures are decoded once, and the next batches are made ready while one is used. The
        training split comes in an order that only (seed, epoch) decides, any other split in its
        own order. A loop that was killed after batch k of an epoch continues with first=k: the
        same batches, to the bit.

        Parameters
        ----------
        batch_size : int
            Pictures a batch; the last one may hold fewer, or one more.
        epoch, first : int
            Which epoch, and the first of its batches to give.
        seed : int
            Key of the order and of the augmentation.
        augment : str
            "none", "light", "standard" or "strong", for the training split.
        size : int, optional
            Side of the pictures in pixels; 224 for files, the arrays' own size for arrays.
        device : torch.device or str, optional
            Where the batches go; the CPU, if None.

        Yields
        ------
        Batch
            x : float32, (n, C, size, size), from -1 to 1 (floats as they are);
            y : int64, (n,); index : int64, (n,), rows of the source

        Examples
        --------
        >>> for epoch in range(3):                                              # doctest: +SKIP
        ...     for x, y, _ in data.train.batches(64, epoch=epoch, augment="light"):
        ...         loss = criterion(net(x), y)
        """
        from .batches import loader_of

        loader = loader_of(self, batch_size, seed, augment, size, device)
        if self.name == "train":
            return loader.shuffled(epoch, first=first)
        return loader.in_order(first=first)


@dataclass(frozen=True, eq=False)
class Data:
    """What `load` gives and `train` takes: splits, class names, and a fingerprint.

    fingerprint : hex, the same on every machine
    task : "classification" (one class a picture), "multilabel" (several), or "regression" (numbers,
        and `classes` are their names)
    batch_size : a DataLoader's own, that training takes over
    keyed : False where transforms draw numbers that no key reaches: then no run of it is exact
    notes : what loading saw: other files, unreadable pictures
    """

    train: Split
    valid: Split | None
    test: Split | None
    classes: tuple[str, ...]
    name: str
    fingerprint: str
    task: str = "classification"
    batch_size: int | None = None
    keyed: bool = True
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, Split]:
        splits = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures for each class, for each split; where numbers are learned, for each target."""
        out = {}
        for name, split in self.splits.items():
            labels = split.labels[~unlabelled(split.labels)]
            if self.task == "classification":
                each = np.bincount(labels, minlength=len(self.classes)).tolist()
            elif self.task == "multilabel":
                each = labels.sum(0).astype(int).tolist()
            else:
                each = [len(labels)] * len(self.classes)
            out[name] = dict(zip(self.classes, each, strict=True))
        return out

    def show(self, n: int = 8) -> Any:
        """Draw a sheet of n training pictures with their class names, always the same ones."""
        from .preview import sheet

        return sheet(self, n)

    def __repr__(self) -> str:
        from .preview import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from .preview import as_html

        return as_html(self)


def stratified(labels: ndarray, share: float, seed: int) -> tuple[ndarray, ndarray]:
    """Divide row numbers into (rest, drawn): `share` of each class is drawn.

    At least one row of a class is drawn, and never its last.
    The draw is keyed by (seed, label, row count), so earlier draws do not change it.

    Parameters
    ----------
    labels : ndarray
        int64, (N,), or float32, (N, K): see targets.strata.
    share : float
        From 0 to 1.
    seed : int
        Key of the draw.

    Returns
    -------
    rest, drawn : ndarray
        int64, each sorted.
    """
    draws, groups = [np.empty(0, np.int64)], strata(labels)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        take = min(max(1, round(share * len(rows))), len(rows) - 1)
        if group != UNLABELLED and take:
            draws.append(rows[permutation(len(rows), seed, SPLIT, int(group))[:take]])
    out = np.sort(np.concatenate(draws))
    return np.setdiff1d(np.arange(len(groups)), out), out


def default_share(n: int) -> float:
    """Give the share held back for validation: a fifth, a tenth from 20,000 rows up."""
    return 0.1 if n >= 20_000 else 0.2
