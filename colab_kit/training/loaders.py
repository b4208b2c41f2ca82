"""Loaders: how a plan reads pictures, and features of a frozen backbone in their place.

Features are computed once a view and kept. The seed does not change them, so other runs use them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..data.augment import Augment, preset
from ..data.batches import Batch, BatchLoader, fits
from ..data.dataset import Data
from ..data.preprocess import Preprocess
from ..data.sources import Items
from ..models.build import LazyBackbone
from ..models.describe import describe
from ..models.features import Features, begun, key_of
from ..models.precision import Precision
from ..recipe import Recipe
from ..system import timings
from ..system.files import Shelf, home

Heard = Callable[[int, int], bool]  # (batches of this view that are done, of how many) -> go on?


@dataclass(frozen=True)
class LoaderMaker:
    """Make the loaders of one run.

    Parameters
    ----------
    recipe : Recipe
        As it will run: batch_size, num_workers and augment are chosen.
    transform : callable or None
        A user's own, in place of the recipe's augment.
    complain : callable(text)
        Is told of pictures that cannot be read.
    """

    data: Data
    preprocess: Preprocess
    recipe: Recipe
    device: torch.device
    transform: Any
    complain: Callable[[str], None]

    def of_split(self, name: str, *, seed: int | None = None, **views: Any) -> BatchLoader:
        recipe = self.recipe
        assert isinstance(recipe.batch_size, int) and recipe.num_workers is not None
        return BatchLoader(
            self.data.splits[name],
            self.preprocess,
            batch_size=recipe.batch_size,
            device=self.device,
            num_workers=recipe.num_workers,
            seed=recipe.seed if seed is None else seed,
            complain=self.complain,
            **views,
        )

    def of_training(self) -> dict[str, Any]:
        """Make the loaders that a run trains and validates with."""
        sampler = self.recipe.sampler
        train = self.of_split(
            "train", augment=self.augment, transform=self.transform, sampler=sampler
        )
        return {"train": train} | {
            name: self.of_split(name) for name in ("valid",) if name in self.data.splits
        }

    def of_view(self, name: str, view: int) -> tuple[BatchLoader, int]:
        """Make the loader that shows a view, and say the epoch in which it does.

        View 0 is each picture as it is, 1 is mirrored, later ones are random.
        """
        changes = dict[str, Any]()
        if view and self.transform is not None:
            changes = {"transform": self.transform}
        elif view and not isinstance(self.data.train.source, Items):
            changes = {"augment": Augment(flip=1.0) if self._mirrors(view) else self.augment}
        return self.of_split(name, seed=0, **changes), view or -1

    def view_identity(self, view: int) -> Any:
        """Tell a view from others, as plain data."""
        if not view or self._mirrors(view):
            return view
        if self.transform is not None:
            return [view, describe(self.transform)]
        return [view, dataclasses.asdict(self.augment)]

    @property
    def augment(self) -> Augment:
        """What changes a training picture; flip= goes before the preset's own."""
        augment, flip = preset(self.recipe.augment or "none"), self.recipe.flip
        return augment if flip is None else dataclasses.replace(augment, flip=0.5 if flip else 0.0)

    def _mirrors(self, view: int) -> bool:
        pictures = self.transform is None and not isinstance(self.data.train.source, Items)
        return pictures and view == 1 and self.augment.flip > 0


class FrozenFeatures:
    """The features of a frozen backbone, of all views and splits that a head learns from.

    Parameters
    ----------
    maker : LoaderMaker
        Who shows the pictures.
    precision : Precision
        The numbers that the backbone computes in.
    views : int
        Views of each training picture.
    """

    def __init__(
        self,
        backbone: LazyBackbone,
        maker: LoaderMaker,
        precision: Precision,
        views: int,
        shelf: Shelf | None,
    ) -> None:
        self.backbone, self.maker, self.precision = backbone, maker, precision
        self.views, self.shelf, self.home = views, shelf, home()
        self.is_deep = backbone.linear is None  # a head of several layers learns step by step
        data = maker.data
        self.parts = [("valid", 0)] * ("valid" in data.splits)
        self.parts += [("train", view) for view in range(views)]
        self.pictures = sum(len(data.splits[name]) for name, _ in self.parts)
        # One loader for all uses of a view: it complains of a damaged picture once.
        self.loader = functools.cache(self._loader)
        self._features: dict[tuple[str, int], Features] = {}

    def _loader(self, name: str, view: int) -> tuple[BatchLoader, int]:
        loader, epoch = self.maker.of_view(name, view)
        loader.channels_last = self.precision.channels_last
        return loader, epoch

    def of_view(self, name: str, view: int) -> Features:
        """Open the features of a view, as far as they are there."""
        part = (name, view)
        if part not in self._features:
            loader, key = self.loader(name, view)[0], self._key(name, view)
            self._features[part] = Features(
                self.home, key, loader.split.rows, self.backbone.width, loader.bounds, self.shelf
            )
        return self._features[part]

    @property
    def are_there(self) -> bool:
        """Whether an earlier call computed all of them. Nothing is made for those that are not."""
        return all(
            begun(self.home, self._key(*part), self.shelf) and self.of_view(*part).whole
            for part in self.parts
        )

    def _key(self, name: str, view: int) -> str:
        loader, maker = self.loader(name, view)[0], self.maker
        seen, fingerprint = maker.view_identity(view), maker.data.fingerprint
        return key_of(self.backbone, loader, fingerprint, self.precision, seen)

    def compute(self, name: str, view: int, heard: Heard) -> bool:
        """Compute what is missing of a view; False where it is not whole, or somebody said stop."""
        features, goes_on = self.of_view(name, view), True

        def told(done: int) -> bool:
            nonlocal goes_on
            goes_on = heard(done, len(features.bounds))
            return goes_on

        if not features.whole:
            loader, epoch = self.loader(name, view)
            batches: Any = loader.viewed(epoch, first=features.done)
            with closing(batches):
                features.compute(timings.each("input", batches), self._extract, told)
        return features.whole and goes_on

    def _extract(self, x: torch.Tensor) -> torch.Tensor:
        with timings.during("forward"):
            return self.backbone.features(x, self.precision)

    @property
    def nbytes(self) -> int:
        """Bytes of all features."""
        return 4 * self.pictures * self.backbone.width

    def first_views(
        self, name: str, views: int, device: torch.device | str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give features (n, width) and labels of the first views, without damaged pictures."""
        x = torch.cat([self.of_view(name, view).values for view in range(views)])
        split = self.loader(name, 0)[0].split
        y = torch.cat([torch.from_numpy(split.source.labels[split.rows])] * views)
        good = x[:, 0].isfinite()
        return x[good].to(device), y[good].to(device)


class FeatureLoader:
    """Features of a split, batch by batch: the same pictures together as in a BatchLoader.

    Parameters
    ----------
    pictures : BatchLoader
        The loader of the pictures.
    views : int
        Epoch e sees view e modulo their number; in order it is always the first.
    """

    def __init__(
        self, features: FrozenFeatures, name: str, pictures: BatchLoader, views: int
    ) -> None:
        self.features, self.name, self.pictures, self.views = features, name, pictures, views
        self.split, self.bounds, self.device = pictures.split, pictures.bounds, pictures.device
        rows = self.split.rows
        self._sorted = np.argsort(rows, kind="stable")
        self._labels = torch.from_numpy(self.split.source.labels[rows])
        self._near: dict[int, torch.Tensor] = {}  # views that live on a GPU

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self.bounds)

    def shuffled(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """Give the batches of a training epoch from number `first` on.

        Where damaged files leave one picture of a batch, that batch is empty: BatchNorm cannot
        learn from one.
        """
        order = self.pictures.order(epoch)
        at = self._sorted[np.searchsorted(self.split.rows[self._sorted], order)]
        batches = self._batches(at, epoch % self.views, first)
        for batch, (start, stop) in zip(batches, self.bounds[first:], strict=True):
            alone = len(batch) == 1 < stop - start
            yield Batch(batch.x[:0], batch.y[:0], batch.index[:0]) if alone else batch

    def in_order(self, *, first: int = 0) -> Iterator[Batch]:
        """Give all batches in the split's own order."""
        return self._batches(np.arange(len(self.split)), 0, first)

    def peek(self) -> Batch:
        """Give the first batch in order."""
        return next(self.in_order())

    def _batches(self, order: np.ndarray, view: int, first: int) -> Iterator[Batch]:
        features = self.features.of_view(self.name, view)
        good, x = features.values[:, 0].isfinite(), self._near.get(view, features.values)
        if view not in self._near and features.whole and fits(self.features.nbytes, self.device):
            x = self._near[view] = x.to(self.device)
        for start, stop in self.bounds[first:]:
            at = torch.from_numpy(order[start:stop])
            at = at[good[at]]
            y, index = self._labels[at], self.split.rows[at.numpy()]
            x_at = x[at.to(x.device, non_blocking=True)].to(self.device, non_blocking=True)
            yield Batch(x_at, y.to(self.device, non_blocking=True), index)
