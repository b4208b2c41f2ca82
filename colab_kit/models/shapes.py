"""Shapes: which pictures a network can take, tried on a black one. It is left as it was."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from .weights import untouched

# Sides that networks are written for: MNIST, CIFAR, Tiny ImageNet, ImageNet and between.
SIDES = (28, 32, 48, 64, 96, 100, 112, 128, 150, 160, 192, 224, 256, 299)


def first_layer(model: nn.Module) -> nn.Module | None:
    """Give the layer with weights that was made first."""
    layers = model.modules()
    return next((m for m in layers if next(m.parameters(recurse=False), None) is not None), None)


def takes(model: nn.Module, channels: int, side: int) -> bool:
    """Tell whether a network gives a row of numbers for a black picture."""
    weight = next(model.parameters(), torch.zeros(1))
    try:
        with untouched(model), torch.no_grad():
            output = model.eval()(weight.new_zeros(1, channels, side, side))
    except Exception:  # the user's own forward raises what it pleases
        return False
    return getattr(output, "ndim", 2) == 2


def fitting_side(model: nn.Module, channels: int, but: int) -> int | None:
    """Give a usual side of pictures that a network can take, other than `but`, in pixels."""
    if _has_lazy_layers(model):
        return None
    return next((side for side in SIDES if side != but and takes(model, channels, side)), None)


def wants_grey(model: nn.Module, side: int) -> bool:
    """Tell whether a network takes pictures of one channel, and none of three.

    Only one whose first layer looks so is tried.

    Parameters
    ----------
    side : pixels of the square pictures
    """
    first = first_layer(model)
    like_conv = isinstance(first, nn.Conv2d) and first.in_channels == 1
    like_flat = isinstance(first, nn.Linear) and first.in_features == side * side
    if not (like_conv or like_flat):
        return False
    if _has_lazy_layers(model):
        return like_conv
    return not takes(model, 3, side) and (like_conv or takes(model, 1, side))


def _has_lazy_layers(model: nn.Module) -> bool:
    """Tell whether trying the network would give some layer its shape."""
    return any(is_lazy(tensor) for tensor in [*model.parameters(), *model.buffers()])
