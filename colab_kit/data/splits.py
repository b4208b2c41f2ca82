"""Data, and how it is split: rows of a source, chosen by a keyed, stratified draw that every session repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .keyed import SPLIT, permutation

if TYPE_CHECKING:
    import torch

UNLABELLED = -1


class Source(Protocol):
    """Rows that splits choose from. `labels` is int64 of shape (N,), UNLABELLED where there is none."""

    @property
    def labels(self) -> np.ndarray: ...
    def __len__(self) -> int: ...
    def picture(self, row: int) -> np.ndarray:
        """Row as uint8, (H, W, C)."""
        ...


@dataclass(frozen=True, eq=False)
class Arrays:
    """Pictures (or vectors) held in memory.

    x : Tensor, uint8 or float, (N, C, H, W) or (N, features)
    labels : int64, (N,)
    """

    x: torch.Tensor
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, row: int) -> np.ndarray:
        x = self.x[row].detach().cpu()
        if x.ndim == 1:
            x = x.reshape(1, 1, -1)
        picture: np.ndarray = x.movedim(0, -1).numpy()
        if picture.dtype != np.dtype(np.uint8):  # floats have no fixed range: stretch each picture over what it holds
            low, high = float(picture.min()), float(picture.max())
            picture = ((picture - low) / (high - low or 1.0) * 255).round().astype(np.uint8)
        return picture


@dataclass(frozen=True, eq=False)
class Pictures:
    """Picture files.

    paths : absolute paths, in a fixed order
    labels : int64, (N,)
    root : the folder the names of the files are relative to
    """

    paths: Sequence[Path]
    labels: np.ndarray
    root: Path

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, row: int) -> np.ndarray:
        from .pixels import decode

        return decode(self.paths[row])


@dataclass(frozen=True, eq=False)
class Items:
    """A user's own map-style dataset, read item by item with its own transforms."""

    dataset: Any
    labels: np.ndarray
    collate: Callable[[list[Any]], Any] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, row: int) -> np.ndarray:
        import torch

        x = self.dataset[row][0]
        if not isinstance(x, torch.Tensor):
            x = torch.from_numpy(np.array(x))
            x = x.unsqueeze(0) if x.ndim == 2 else x.movedim(-1, 0) if x.ndim == 3 else x
        return Arrays(x.unsqueeze(0), np.zeros(1, np.int64)).picture(0)


@dataclass(frozen=True, eq=False)
class Split:
    """Some rows of a source: what one trains on, validates with, or tests with."""

    source: Source
    rows: np.ndarray = field(repr=False)  # int64, (n,): which rows, in the order of this split
    name: str = "train"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        """Picture i as uint8 (H, W, C), and its label."""
        row = int(self.rows[i])
        return self.source.picture(row), int(self.source.labels[row])

    @property
    def labels(self) -> np.ndarray:
        """int64, (n,)."""
        return np.asarray(self.source.labels[self.rows])

    @property
    def paths(self) -> list[Path] | None:
        """The files, in this split's order; None where the pictures are no files."""
        if isinstance(self.source, Pictures):
            return [self.source.paths[row] for row in self.rows]
        return None


@dataclass(frozen=True, eq=False)
class Data:
    """What `load` gives and `train` takes: splits, class names, and a fingerprint that is the same on every machine."""

    train: Split
    valid: Split | None
    test: Split | None
    classes: tuple[str, ...]
    name: str
    fingerprint: str  # hex
    task: str = "classify"
    batch_size: int | None = None  # a DataLoader's own, taken over
    keyed: bool = True  # no: its transforms draw numbers that no key reaches, and no run of it is exact
    notes: tuple[str, ...] = ()  # what loading saw: junk passed over, unreadable files …

    @property
    def splits(self) -> dict[str, Split]:
        return {name: split for name in ("train", "valid", "test") if (split := getattr(self, name)) is not None}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Pictures for each class, for each split."""
        out = {}
        for name, split in self.splits.items():
            known = split.labels[split.labels != UNLABELLED]
            out[name] = dict(zip(self.classes, np.bincount(known, minlength=len(self.classes)).tolist(), strict=True))
        return out

    def show(self, n: int = 8) -> Any:
        """A sheet of n training pictures with their class names, as a PIL image; the same ones each time."""
        from .sheet import sheet

        return sheet(self, n)

    def __repr__(self) -> str:
        from .sheet import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from .sheet import as_html

        return as_html(self)


def stratified(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers into (kept, drawn): `share` of each class is drawn, at least one, and never a class's last row.

    The draw is keyed by (seed, label, row count), so it does not depend on what else was drawn before.

    Parameters
    ----------
    labels : int64, (N,)
    share : float, from 0 to 1

    Returns
    -------
    kept, drawn : int64, each sorted
    """
    drawn = [np.empty(0, np.int64)]
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
