"""Data, and how it is split: rows of a source, chosen by a keyed, stratified draw that every session repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .keyed_random import SPLIT, permutation
from .kinds import UNLABELLED as UNLABELLED
from .kinds import Arrays as Arrays
from .kinds import Items as Items
from .kinds import Pictures as Pictures
from .kinds import Source as Source
from .targets import of_row, strata, unlabelled

if TYPE_CHECKING:
    from .batches import Batch


@dataclass(frozen=True, eq=False)
class Split:
    """Some rows of a source: what one trains on, validates with, or tests with."""

    source: Source
    rows: np.ndarray = field(repr=False)  # int64, (n,): which rows, in the order of this split
    name: str = "train"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[np.ndarray, Any]:
        """Picture i as uint8 (H, W, C), and its label: int, or float32 (K,)."""
        row = int(self.rows[i])
        return self.source.picture(row), of_row(self.source.labels, row)

    @property
    def labels(self) -> np.ndarray:
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
        """Give an epoch of batches to a loop of your own: the pipeline that train() has, decoded once and made ready ahead.

        The training split comes in an order that (seed, epoch) alone says, any other split in its own. Whoever was killed after
        batch k of an epoch goes on with first=k: the same batches, to the bit.

        Parameters
        ----------
        batch_size : pictures a batch; the last one may hold fewer, or one more
        epoch, first : which epoch, and the first of its batches to give
        augment : "none", "light", "standard" or "strong", for the training split
        size : side of the pictures, pixels; 224, and the arrays' own
        device : where the batches go; the CPU, if None

        Yields
        ------
        Batch
            x : float32, (n, C, size, size), from -1 to 1 (floats as they are)    y : int64, (n,)    index : int64, (n,), rows of the source

        Examples
        --------
        >>> for epoch in range(3):                                              # doctest: +SKIP
        ...     for x, y, _ in data.train.batches(64, epoch=epoch, augment="light"):
        ...         loss = criterion(net(x), y)
        """
        from .batches import batches_of

        return batches_of(
            self,
            batch_size,
            epoch=epoch,
            first=first,
            seed=seed,
            augment=augment,
            size=size,
            device=device,
        )


@dataclass(frozen=True, eq=False)
class Data:
    """What `load` gives and `train` takes: splits, class names, and a fingerprint that is the same on every machine."""

    train: Split
    valid: Split | None
    test: Split | None
    classes: tuple[str, ...]
    name: str
    fingerprint: str  # hex
    task: str = "classification"  # one class a picture; "multilabel": several; "regression": numbers, and `classes` are their names
    batch_size: int | None = None  # a DataLoader's own, taken over
    keyed: bool = (
        True  # no: its transforms draw numbers that no key reaches, and no run of it is exact
    )
    notes: tuple[str, ...] = ()  # what loading saw: junk passed over, unreadable files …

    @property
    def splits(self) -> dict[str, Split]:
        return {
            name: split
            for name in ("train", "valid", "test")
            if (split := getattr(self, name)) is not None
        }

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures for each class, for each split; for each target, where numbers are learned."""
        out = {}
        for name, split in self.splits.items():
            known = split.labels[~unlabelled(split.labels)]
            if self.task == "classification":
                each = np.bincount(known, minlength=len(self.classes)).tolist()
            else:
                each = (
                    known.sum(0).astype(int).tolist()
                    if self.task == "multilabel"
                    else [len(known)] * len(self.classes)
                )
            out[name] = dict(zip(self.classes, each, strict=True))
        return out

    def show(self, n: int = 8) -> Any:
        """A sheet of n training pictures with their class names, as a PIL image; the same ones each time."""
        from .preview import sheet

        return sheet(self, n)

    def __repr__(self) -> str:
        from .preview import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from .preview import as_html

        return as_html(self)


def stratified(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers into (kept, drawn): `share` of each class is drawn, at least one, and never a class's last row.

    The draw is keyed by (seed, label, row count), so it does not depend on what else was drawn before.

    Parameters
    ----------
    labels : int64, (N,), or float32, (N, K): see targets.strata
    share : float, from 0 to 1

    Returns
    -------
    kept, drawn : int64, each sorted
    """
    drawn, labels = [np.empty(0, np.int64)], strata(labels)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        take = min(max(1, round(share * len(rows))), len(rows) - 1)
        if label != UNLABELLED and take:
            drawn.append(rows[permutation(len(rows), seed, SPLIT, int(label))[:take]])
    out = np.sort(np.concatenate(drawn))
    return np.setdiff1d(np.arange(len(labels)), out), out


def default_share(n: int) -> float:
    """The share held back for validation: a fifth, a tenth from 20,000 rows up."""
    return 0.1 if n >= 20_000 else 0.2
