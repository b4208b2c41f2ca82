"""The head fit: a frozen backbone's head, solved for features that are computed once a view and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..data.batches import BatchLoader
from ..data.fingerprints import of_split
from ..models.features import VERSION, Extractor, Features, begun
from ..models.linear_solver import Solved, solve
from ..models.precision import Precision
from ..system.files import Shelf, digest
from .losses import Loss
from .metrics import Sums

Told = Callable[
    [int, int], bool
]  # (groups of this pass that are there, of how many) -> whether to go on


@dataclass
class HeadFit:
    """What features of a frozen backbone are made with, and what is fitted to them.

    extract, width, how : the backbone (None: nothing is missing), what it gives of a picture, and the numbers it computes in
    shown : callable(split, view) -> the BatchLoader that reads it, and the epoch whose views it shows
    seen : callable(view) -> what tells a view from others, anything JSON can hold
    print : of backbone, layer, preprocessing and data
    home : the kit's    shelf : keeps small sets for the next machine, or None
    loss, judge : that fits, and that chooses the regularisation; set before the first pass
    sums : callable(split) -> what adds up its figures
    """

    extract: Extractor | None
    width: int
    how: Precision
    shown: Callable[[str, int], tuple[BatchLoader, int]]
    seen: Callable[[int], Any]
    print: Any
    home: Path
    shelf: Shelf | None
    outputs: int
    sums: Callable[[str], Sums]
    loss: Loss = field(init=False)
    judge: Loss = field(init=False)
    _known: dict[tuple[str, int], Features] = field(default_factory=dict)
    _feeds: dict[tuple[str, int], tuple[BatchLoader, int]] = field(default_factory=dict)

    def feed(self, name: str, view: int) -> tuple[BatchLoader, int]:
        """One for all passes of a view: a damaged picture is told of once."""
        if (name, view) not in self._feeds:
            self._feeds[name, view] = self.shown(name, view)
        return self._feeds[name, view]

    def features(self, name: str, view: int) -> Features:
        """The features of a view, as far as they are there."""
        if (name, view) not in self._known:
            feed, _ = self.feed(name, view)
            key = self._key(name, view)
            self._known[name, view] = Features(
                self.home, key, feed.split.rows, self.width, feed.bounds, self.shelf
            )
        return self._known[name, view]

    def begun(self, name: str, view: int) -> bool:
        """Whether there are any, here or on the shelf; nothing is made for them."""
        return begun(self.home, self._key(name, view), self.shelf)

    def _key(self, name: str, view: int) -> str:
        feed, _ = self.feed(name, view)
        split = feed.split
        labels = of_split(split.rows, split.source.labels[split.rows])
        return digest(
            [
                VERSION,
                self.print,
                str(self.how),
                self.seen(view),
                labels,
                [*feed.bounds[:1], *feed.bounds[-1:]],
            ]
        )[:16]

    def compute(self, name: str, view: int, told: Told) -> bool:
        """Compute what is missing of a view; whether all of it is there now, and nobody said stop."""
        found, go = self.features(name, view), True

        def heard(done: int) -> bool:
            nonlocal go
            go = told(done, len(found.bounds))
            return go

        if not found.whole:
            feed, epoch = self.feed(name, view)
            with closing(feed.viewed(epoch, first=found.done)) as batches:  # type: ignore[type-var]
                found.compute(batches, self._extracted, heard)
        return found.whole and go

    def _extracted(self, x: torch.Tensor) -> torch.Tensor:
        assert self.extract is not None
        return self.extract(x, self.how)

    def known(self, name: str, views: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and labels of the first views of a split, damaged pictures left out: float32 (n, d), int64 (n,)."""
        x = torch.cat([self.features(name, view).values for view in range(views)])
        feed, _ = self.feed(name, 0)
        y = torch.cat([torch.from_numpy(feed.split.source.labels[feed.split.rows])] * views)
        good = x[:, 0].isfinite()
        return x[good], y[good]

    def passes(
        self, views: int, valid: bool, told: Told, *, after: int = 0
    ) -> Iterator[tuple[dict[str, float], Solved]]:
        """Pass after pass: figures of the head that is fitted to all views so far, and that head. Ends where it is told to.

        after : passes whose head was fitted before: their features count, and nothing is said of them
        """
        if valid and not self.compute("valid", 0, told):
            return
        held = self.known("valid", 1) if valid else None
        for number in range(views):
            if not self.compute("train", number, told):
                return
            if number < after:
                continue
            x, y = self.known("train", number + 1)
            head = solve(x, y, self.outputs, self.loss, valid=held, judge=self.judge)
            row = self._figures("train", head(x), y, self.loss)
            yield (
                row
                | (
                    self._figures("valid", head(held[0]), held[1], self.judge)
                    if held is not None
                    else {}
                ),
                head,
            )

    def _figures(
        self, split: str, scores: torch.Tensor, y: torch.Tensor, loss: Loss
    ) -> dict[str, float]:
        found = self.sums(split)
        found.add(loss(scores, y), scores, y)
        return found.read(split)
