"""The head's feed: batches of kept features, read as pictures are: in any order, from any batch on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ..data.batches import Batch, BatchLoader
from .frozen_head import HeadFit


class HeadFeed:
    """Features of a split, batch by batch, as a BatchLoader gives its pictures: the same ones together, in the same order.

    fit : where the features are    name : of the split
    feed : of the pictures
    views : epoch e sees view e modulo their number; in order it is always the first
    """

    def __init__(self, fit: HeadFit, name: str, feed: BatchLoader, views: int = 1) -> None:
        self.fit, self.name, self.feed, self.views = fit, name, feed, views
        self.split, self.bounds, self.device = feed.split, feed.bounds, feed.device
        rows = self.split.rows
        self._sorted = np.argsort(rows, kind="stable")
        self._labels = torch.from_numpy(self.split.source.labels[rows])

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self.bounds)

    def shuffled(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """The batches of a training epoch from number `first` on. One that damaged files leave a single picture of is empty."""
        order = self.feed.order(epoch)
        at = self._sorted[np.searchsorted(self.split.rows[self._sorted], order)]
        for batch, (start, stop) in zip(
            self._batches(at, epoch % self.views, first), self.bounds[first:], strict=True
        ):
            alone = len(batch) == 1 < stop - start  # BatchNorm cannot learn from one
            yield Batch(batch.x[:0], batch.y[:0], batch.index[:0]) if alone else batch

    def in_order(self, *, first: int = 0) -> Iterator[Batch]:
        """All batches in the split's own order."""
        return self._batches(np.arange(len(self.split)), 0, first)

    def peek(self) -> Batch:
        """The first batch in order."""
        return next(self.in_order())

    def _batches(self, order: np.ndarray, view: int, first: int) -> Iterator[Batch]:
        x = self.fit.features(self.name, view).values
        for start, stop in self.bounds[first:]:
            at = torch.from_numpy(order[start:stop])
            at = at[x[at, 0].isfinite()]
            yield Batch(
                x[at].to(self.device), self._labels[at].to(self.device), self.split.rows[at.numpy()]
            )
