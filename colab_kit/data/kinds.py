"""Kinds of sources that splits choose rows from: arrays in memory, picture files, a user's own dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

UNLABELLED = -1


class Source(Protocol):
    """Rows that splits choose from. `labels` is int64 (N,), UNLABELLED where there is none; or float32 (N, K): see targets."""

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
        if picture.dtype != np.dtype(
            np.uint8
        ):  # floats have no fixed range: stretch each picture over what it holds
            low, high = float(picture.min()), float(picture.max())
            picture = ((picture - low) / (high - low or 1.0) * 255).round().astype(np.uint8)
        return picture


@dataclass(frozen=True, eq=False)
class Pictures:
    """Picture files.

    paths : absolute paths, in a fixed order
    labels : int64, (N,)
    root : the folder the names of the files are relative to
    print : what they are, by names and content: the same on every machine; "" if nobody looked
    """

    paths: Sequence[Path]
    labels: np.ndarray
    root: Path
    print: str = ""

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, row: int) -> np.ndarray:
        from .images import decode

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


class Chosen(Protocol):
    """Rows of a source: what a Split is to those who read it. `rows` is int64, (n,)."""

    @property
    def source(self) -> Any: ...
    @property
    def rows(self) -> np.ndarray: ...
    @property
    def name(self) -> str: ...
    def __len__(self) -> int: ...
