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
        self.model = model
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters() if p.is_floating_point()}

    @torch.no_grad()
    def update(self) -> None:
        for name, p in self.model.named_parameters():
            if name in self.shadow:
                self.shadow[name].lerp_(p, 1 - self.decay)

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
        for name, p in self.model.named_parameters():
            if name in self.shadow:
                p.data, self.shadow[name] = self.shadow[name], p.data
