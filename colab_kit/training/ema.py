"""The exponential moving average of the weights (Polyak and Juditsky 1992), beside the ones that learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Average:
    """A shadow of every trainable weight; buffers stay the model's own."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._names: dict[nn.Parameter, list[str]] = {}  # a tied weight has several
        for name, p in model.named_parameters(remove_duplicate=False):
            if p.is_floating_point():
                self._names.setdefault(p, []).append(name)
        self.shadow = {
            name: shadow
            for p, names in self._names.items()
            for shadow in (p.detach().clone(),)
            for name in names
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps. Young averages forget faster: else short runs would keep their first weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for p, names in self._names.items():
            self.shadow[names[0]].lerp_(p, 1 - decay)

    @contextmanager
    def worn(self) -> Iterator[None]:
        """The model with the averaged weights, for as long as the block lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for p, names in self._names.items():
            p.data, shadow = self.shadow[names[0]], p.data
            self.shadow.update(dict.fromkeys(names, shadow))
