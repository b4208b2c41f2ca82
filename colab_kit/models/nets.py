"""Small networks from scratch, made by name; each remembers how it was made, so a saved run opens without its code."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ..errors import ModelError


class Net(nn.Sequential):
    """Layers one after the other, and in `made_by` the plain call that makes the same ones again."""

    made_by: dict[str, Any]


class Residual(nn.Module):
    """x + body(x) (He et al. 2015), where body begins as zero: at first the net is as shallow as its shortcuts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv(width, width),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.body(x))


def mlp(
    classes: int = 10,
    inputs: int = 784,
    hidden: Sequence[int] = (256, 128, 64),
    dropout: float = 0.25,
) -> Net:
    """Make a multi-layer perceptron that puts out logits, (N, classes).

    Parameters
    ----------
    inputs : int
        Numbers a picture holds: channels x height x width.
    hidden : sequence of int
        Widths of the hidden layers; each is followed by ReLU and dropout.
    dropout : float, from 0 to below 1
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for before, width in zip((inputs, *hidden), hidden, strict=False):
        layers += [nn.Linear(before, width), nn.ReLU(), nn.Dropout(dropout)]
    net = Net(*layers, nn.Linear((inputs, *hidden)[-1], classes))
    args = {
        "classes": classes,
        "inputs": inputs,
        "hidden": list(hidden),
        "dropout": dropout,
    }  # a list: JSON knows no tuple
    net.made_by = {"net": "mlp", "args": args}
    return net


def cnn(classes: int = 10, channels: int = 1, size: int = 28, dropout: float = 0.25) -> Net:
    """Make a small residual network (0.12 million weights) that puts out logits, (N, classes).

    Pictures of 64 pixels and more are first shrunk to about 32 by the stem's stride, so the cost hardly grows with them.

    Parameters
    ----------
    size : int, pixels
        Side of the square pictures, at least 16. Others pass too: the last pooling is adaptive.

    Raises
    ------
    ModelError
        `size` is below 16.
    """
    if size < 16:
        raise ModelError(
            f"nets.cnn does not work on pictures of {size} pixels.",
            "it halves them twice",
            "give size=16 or more",
        )
    stride = 1 << max(0, (size // 32).bit_length() - 1)
    net = Net(
        *_conv(channels, 16, kernel=2 * stride + 1, stride=stride),
        nn.MaxPool2d(2),
        *_conv(16, 32),
        Residual(32),
        nn.MaxPool2d(2),
        *_conv(32, 64),
        Residual(64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(64, classes),
    )
    net.made_by = {
        "net": "cnn",
        "args": {"classes": classes, "channels": channels, "size": size, "dropout": dropout},
    }
    return net


def _conv(before: int, after: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(
        before, after, kernel, stride=stride, padding=kernel // 2, bias=False
    )  # BatchNorm adds its own bias
    return [conv, nn.BatchNorm2d(after), nn.ReLU()]


NETS: dict[str, Callable[..., Net]] = {"mlp": mlp, "cnn": cnn}


def build(name: str, *, classes: int, channels: int, size: int, **kw: Any) -> Net:
    """Make the network of this name for square pictures of `size` pixels.

    Raises
    ------
    ModelError
        There is no such network (the nearest name is given), or it has no such option.

    Examples
    --------
    >>> build("mlp", classes=10, channels=1, size=28, dropout=0.0).made_by["args"]["inputs"]
    784
    """
    if name not in NETS:
        near = difflib.get_close_matches(name.lower(), NETS, 1, cutoff=0.4)
        fix = (
            f"did you mean {near[0]!r}?"
            if near
            else f"choose one of {', '.join(NETS)}, or pass your own nn.Module"
        )
        raise ModelError(
            f"There is no network {name!r}.",
            f"the networks from scratch are {', '.join(NETS)}",
            fix,
        )
    shape = (
        {"inputs": channels * size * size}
        if name == "mlp"
        else {"channels": channels, "size": size}
    )
    try:
        return NETS[name](classes=classes, **shape, **kw)
    except TypeError as err:
        raise ModelError(
            f"nets.{name} cannot be made with {kw}.",
            str(err),
            f"see help(colab_kit.models.nets.{name})",
        ) from err
