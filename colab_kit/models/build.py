"""How a network is made: from what the user gave, under the run's key; and made again, from what a record says of it."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from ..data import keyed_random
from ..data.dataset import Data
from ..errors import ModelError
from ..system.files import Shelf
from . import nets
from .backbones import backbone
from .heads import replace_head
from .weights import backbone_hash, put


def make(model: Any, seed: int) -> nn.Module:
    """The network: a Module as it is, or what a class or callable gives when its weights are drawn under the run's seed.

    Raises
    ------
    ModelError
        It is neither, or cannot be made without arguments.
    """
    if isinstance(model, nn.Module):
        return model
    if not callable(model):
        why = "an nn.Module, or a class or function that makes one, was expected"
        raise ModelError(f"model= is a {type(model).__name__}.", why, "kit.train(model, data)")
    with keyed_random.outer_streams_kept():
        keyed_random.seed_all(seed, keyed_random.INIT)
        try:
            made = model()
        except TypeError as err:
            name = getattr(model, "__name__", "the model")
            line = (
                f"kit.train({name}(…), data)"
                if inspect.isclass(model)
                else f"kit.train(lambda: {name}(…), data)"
            )
            raise ModelError(
                f"{name} cannot be made without arguments.", str(err), f"make it yourself: {line}"
            ) from err
    if not isinstance(made, nn.Module):
        raise ModelError(
            f"model= made a {type(made).__name__}.",
            "an nn.Module was expected",
            "let it return the network",
        )
    return made


def fitted(model: Any, data: Data, size: int | None) -> Any:
    """A maker of ours (nets.mlp, nets.cnn), made to fit the data; any other model as it is."""
    name = next((name for name, net in nets.NETS.items() if model is net), None)
    if name is None:
        return model
    high, wide, channels = data.train[0][0].shape
    if data.train.paths is not None:  # files are brought to a square of this size
        high = wide = size or 224
    elif size:
        high = wide = size
    if name == "cnn":
        return functools.partial(nets.cnn, classes=len(data.classes), channels=channels, size=high)
    return functools.partial(nets.mlp, classes=len(data.classes), inputs=high * wide * channels)


def is_lazy(model: nn.Module) -> bool:
    """Whether some layer learns its shape from the first batch."""
    return any(
        isinstance(t, (UninitializedBuffer, UninitializedParameter))
        for t in [*model.parameters(), *model.buffers()]
    )


def materialise(model: nn.Module, x: torch.Tensor, seed: int) -> bool:
    """Give lazy layers their shapes from one batch, their weights drawn under the run's seed; whether there were any."""
    if not is_lazy(model):
        return False
    was = model.training
    with keyed_random.outer_streams_kept(), torch.no_grad():
        keyed_random.seed_all(seed, keyed_random.INIT)
        try:
            model.eval()(x)
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as err:
            raise ModelError(
                f"The network's lazy layers cannot be made for pictures of shape {tuple(x.shape)}.",
                f"{type(err).__name__}: {str(err).splitlines()[0]}",
                "fit the layers before them to (pictures, channels, height, width), or put nn.Flatten() first",
            ) from err
        finally:
            model.train(was)
    return True


def on_backbone(
    name: Any,
    *,
    weights: Any,
    classes: int,
    size: int | None,
    head: Any,
    seed: int,
    load: bool = True,
    shelf: Shelf | None = None,
) -> tuple[nn.Module, Any, list[str]]:
    """A backbone with a new head: the model, the Backbone it came from, and the names of the head's parameters."""
    with keyed_random.outer_streams_kept():
        keyed_random.seed_all(seed, keyed_random.INIT)
        base = backbone(name, weights=weights, load=load, shelf=shelf)
        keyed_random.seed_all(
            seed, keyed_random.INIT, 1
        )  # the head's weights do not depend on what making the backbone drew
        names = replace_head(
            base.model,
            classes=classes,
            old_classes=base.classes,
            size=size or base.size or 224,
            head=head,
        )
    return base.model, base, names


def again(how: dict[str, Any]) -> nn.Module:
    """A small network made once more by the call it remembers; its weights are drawn anew."""
    with keyed_random.outer_streams_kept():
        return nets.NETS[how["net"]](**how["args"])


def remake(
    record: dict[str, Any], model: Any, weights: dict[str, torch.Tensor], shelf: Shelf | None = None
) -> nn.Module:
    """The network of a run's record with these weights.

    Raises
    ------
    ModelError
        The network given does not fit the weights.
    """
    how = record["model"]["made_by"]
    classes, alone = (
        len(record["data"]["classes"]),
        "backbone" in record["model"],
    )  # its head's weights alone are kept
    if model is not None:
        network = make(model, 0)
    elif "net" in how:
        network = again(how)
    else:
        network, _, names = on_backbone(
            how["backbone"],
            weights=how["weights"],
            load=alone,
            classes=classes,
            size=how["size"],
            head=_head(how["head"]),
            seed=0,
            shelf=shelf,
        )
        if alone:
            _same_backbone(network, names, record)
    try:
        put(network, {**network.state_dict(), **weights} if alone else weights)
    except RuntimeError as err:
        what = f"The network does not fit the weights of run {record['name']}."
        raise ModelError(
            what, str(err).splitlines()[-1].strip(), "pass the network it was trained with"
        ) from err
    return network


def _same_backbone(network: nn.Module, head: list[str], record: dict[str, Any]) -> None:
    """Check that the published weights are still those the head was fitted on."""
    if backbone_hash(network, head) != record["model"]["backbone"]:
        name = record["model"]["made_by"]["backbone"]
        why = f"run {record['name']} keeps its head alone, and what is published as {name} today is not what that was fitted on"
        raise ModelError(
            f"The weights of {name} have changed.",
            why,
            "install the versions of torchvision and timm of that time, or train again",
        )


def _head(head: Any) -> Any:
    return tuple(head) if isinstance(head, list) else head
