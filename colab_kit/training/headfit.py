"""The head fit: a frozen backbone's head, solved for features that are computed once a view and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..data.batches import Feed
from ..data.fingerprints import of_split
from ..models.features import Extractor, Features
from ..models.solve import Solved, solve
from .losses import Loss
from .precision import Precision

Told = Callable[[int, int], bool]  # (groups of this pass that are there, of how many) -> whether to go on


@dataclass
class HeadFit:
    """What features of a frozen backbone are made with, and what is fitted to them.

    extract, how : the backbone, and the numbers it computes in
    feed : callable(split, view) -> the Feed that reads it, and the epoch whose views it shows
    seen : callable(view) -> what tells a view from others, anything JSON can hold
    print : of backbone, layer, preprocessing and data
    home : the kit's
    loss, judge : that fits, and that chooses the regularisation
    top5 : whether that is counted
    """

    extract: Extractor
    how: Precision
    feed: Callable[[str, int], tuple[Feed, int]]
    seen: Callable[[int], Any]
    print: Any
    home: Path
    loss: Loss
    judge: Loss
    outputs: int
    top5: bool
    _known: dict[tuple[str, int], Features] = field(default_factory=dict)

    def features(self, name: str, view: int) -> Features:
        """The features of a view, as far as they are there."""
        if (name, view) not in self._known:
            feed, _ = self.feed(name, view)
            split = feed.split
            key = [
                self.print,
                str(self.how),
                self.seen(view),
                of_split(split.rows, split.source.labels[split.rows]),
                [*feed.bounds[:1], *feed.bounds[-1:]],
            ]
            self._known[name, view] = Features(self.home, key, split.rows, self.extract.width, feed.bounds)
        return self._known[name, view]

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
                found.compute(batches, lambda x: self.extract(x, self.how), heard)
        return found.whole and go

    def known(self, name: str, views: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and labels of the first views of a split, damaged pictures left out: float32 (n, d), int64 (n,)."""
        x = torch.cat([self.features(name, view).values for view in range(views)])
        feed, _ = self.feed(name, 0)
        y = torch.from_numpy(feed.split.source.labels[feed.split.rows]).repeat(views)
        good = x[:, 0].isfinite()
        return x[good], y[good]

    def passes(self, views: int, valid: bool, told: Told, *, after: int = 0) -> Iterator[tuple[dict[str, float], Solved]]:
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
            yield row | (self._figures("valid", head(held[0]), held[1], self.judge) if held is not None else {}), head

    def _figures(self, split: str, scores: torch.Tensor, y: torch.Tensor, loss: Loss) -> dict[str, float]:
        found = {f"{split}/loss": float(loss(scores, y)), f"{split}/top1": float((scores.argmax(1) == y).double().mean())}
        if self.top5 and split == "valid":
            found[f"{split}/top5"] = float((scores.topk(5, 1).indices == y[:, None]).any(1).double().mean())
        return found
