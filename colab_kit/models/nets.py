"""Small networks from scratch, made by name.

Each remembers the call that made it, so a saved run opens without its code.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..data.dataset import Data
from ..data.keyed_random import outer_streams_kept
from ..errors import ModelError


class Net(nn.Sequential):
    """Layers one after the other; `made_by` holds the plain call that makes the same ones."""

    def __init__(self, *layers: Any, made_by: dict[str, Any] | None = None) -> None:
        super().__init__(*layers)
        self.made_by = made_by


class Residual(nn.Module):
    """x + body(x) (He et al. 2015). The body begins as zero, so the net is shallow at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = _conv(width, width)  # made before `last`: the seed gives its weights in this order
        last = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.body = nn.Sequential(*first, last, nn.BatchNorm2d(width))
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
    widths = (inputs, *hidden)
    for before, width in zip(widths, hidden, strict=False):
        layers += [nn.Linear(before, width), nn.ReLU(), nn.Dropout(dropout)]
    layers.append(nn.Linear(widths[-1], classes))
    args = {"classes": classes, "inputs": inputs, "hidden": list(hidden), "dropout": dropout}
    return Net(*layers, made_by={"net": "mlp", "args": args})


def cnn(classes: int = 10, channels: int = 1, size: int = 28, dropout: float = 0.25) -> Net:
    """Make a small residual network (0.12 million weights) that puts out logits, (N, classes).

    The first layer's stride shrinks pictures of 64 pixels and more to about 32, so the cost hardly
    grows with them.

    Parameters
    ----------
    size : int, pixels
        Side of the square pictures, at least 16. Other sizes pass too: the last pooling adapts.

    Raises
    ------
    ModelError
        `size` is below 16.
    """
    if size < 16:
        what = f"nets.cnn does not work on pictures of {size} pixels."
        raise ModelError(what, "it halves them twice", "give size=16 or more")
    stride = 1 << max(0, (size // 32).bit_length() - 1)
    layers = [
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
    ]
    args = {"classes": classes, "channels": channels, "size": size, "dropout": dropout}
    return Net(*layers, made_by={"net": "cnn", "args": args})


def _conv(before: int, after: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    # no bias: BatchNorm adds its own
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
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
    >>> build("mlp", classes=10, channels=1, size=28).made_by["args"]["inputs"]
    784
    """
    if name not in NETS:
        near = difflib.get_close_matches(name.lower(), NETS, 1, cutoff=0.4)
        fix = f"choose one of {', '.join(NETS)}, or pass your own nn.Module"
        if near:
            fix = f"did you mean {near[0]!r}?"
        why = f"the networks from scratch are {', '.join(NETS)}"
        raise ModelError(f"There is no network {name!r}.", why, fix)
    shape = {"channels": channels, "size": size}
    if name == "mlp":
        shape = {"inputs": channels * size * size}
    try:
        return NETS[name](classes=classes, **shape, **kw)
    except TypeError as err:
        fix = f"see help(colab_kit.models.nets.{name})"
        raise ModelError(f"nets.{name} cannot be made with {kw}.", str(err), fix) from err


def fitted(model: Any, data: Data, size: int | None) -> Any:
    """Fit a maker of ours (nets.mlp, nets.cnn) to the data; any other model stays as it is."""
    if model not in NETS.values():
        return model
    if data.train.paths is not None:  # files are brought to a square of this size, in colour
        high = wide = size or 224
        channels = 3
    else:
        high, wide, channels = data.train[0][0].shape
        if size:
            high = wide = size
    classes = len(data.classes)
    if model is cnn:
        return functools.partial(cnn, classes=classes, channels=channels, size=high)
    return functools.partial(mlp, classes=classes, inputs=high * wide * channels)


def again(how: dict[str, Any]) -> nn.Module:
    """Make a small network once more by the call it remembers. Its weights are drawn anew."""
    with outer_streams_kept():
        return NETS[how["net"]](**how["args"])


def again_for(how: dict[str, Any], weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """Make it as `again` does, unless it would be another network than that of these weights.

    Raises
    ------
    ModelError
    """
    try:
        if len(how["args"].get("hidden", ())) > len(weights):
            raise ValueError("it has more layers than there are weights")
        with torch.device("meta"):  # takes no memory
            shapes = {name: t.shape for name, t in again(how).state_dict().items()}
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as err:
        what, why = "The network cannot be made again.", f"{type(err).__name__}: {err}"
        raise ModelError(what, why, "pass the network: open_run(…, model=MyNetwork)") from err
    if shapes != {name: tensor.shape for name, tensor in weights.items()}:
        why = f"nets.{how['net']} has other layers than they are of"
        fix = "open the file that the run was exported to, as it was written"
        raise ModelError("The network does not fit the weights of its run.", why, fix)
    return again(how)
