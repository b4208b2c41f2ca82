"""Untouched: a network may be tried out, and is given back as it came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..data.keyed_random import outer_streams_kept


@contextmanager
def untouched(model: nn.Module, *, weights: bool = False) -> Iterator[None]:
    """Give buffers, gradients, memory formats, what wants gradients, the mode of each part and all random streams back.

    Within the block there are no gradients yet.

    weights : whether they are written to meanwhile: then they are copied first
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [  # by place: a forward may put another tensor there
        (module._buffers, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    held = [
        (p, p.data, p.data.clone() if weights else None, p.grad, p.requires_grad)
        for p in model.parameters()
    ]
    model.zero_grad(set_to_none=True)
    try:
        with outer_streams_kept():
            yield
    finally:
        with torch.no_grad():
            for place, name, buffer, before in buffers:
                place[name] = buffer.copy_(before)
            for parameter, data, copy, grad, wanted in held:
                parameter.data = data if copy is None else data.copy_(copy)
                parameter.grad = grad
                parameter.requires_grad_(wanted)
        for module, training in modes:
            module.training = training
