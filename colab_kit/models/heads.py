"""Heads: the last layer of any classifier, found by what it does and replaced in place.

A head is a Linear or 1x1 Conv2d as wide as the old classes whose output *is* the answer: swap its
channels and the network's answer is swapped the same way. A hidden layer that happens to have that
width fails the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..errors import ModelError
from .weights import hooked, untouched

Head = str | Sequence[int] | nn.Module
DROPOUT = 0.25  # between the layers of a head like (500, 250)


def replace_head(
    model: nn.Module,
    *,
    classes: int,
    old_classes: int | None = None,
    size: int = 224,
    channels: int = 3,
    head: Head = "linear",
) -> list[str]:
    """Replace the classifier of `model` in place, and return the names of the new parameters.

    Side heads (Inception, GoogLeNet) are replaced too; their names come last. New layers are drawn
    from torch's process-wide generator as it stands: the caller seeds it. The search for the head
    draws nothing and leaves buffers and training flags as they were.

    Parameters
    ----------
    classes : int
        Width of the new answer.
    old_classes : int, optional
        Width of the old answer; seen from what the model puts out if None.
    size : int
        Side in pixels of the picture that is shown to the model during the search.
    channels : int
        Of that picture.
    head : "linear", sequence of int, or Module
        One layer; hidden widths (ReLU and dropout between them); or your own, which takes what the
        old last layer took. Side heads are always one layer.

    Raises
    ------
    ModelError
        No head is found, the model cannot take such pictures, or your head puts out another width.
        The model is unchanged then.
    """
    look = torch.zeros(2, channels, size, size, **_like(model))
    main, side = find_heads(model, look, old_classes)
    old = {name: model.get_submodule(name) for name in main + side}
    try:
        for name, layer in old.items():
            put_layer(model, name, make_head(layer, classes, head if name in main else "linear"))
        _check_width(model, look, classes, head, old[main[0]])
    except BaseException:
        for name, layer in old.items():
            put_layer(model, name, layer)
        raise
    if isinstance(getattr(model, "num_classes", None), int):
        setattr(model, "num_classes", classes)  # noqa: B010  (timm keeps it; mypy sees a Tensor)
    return [f"{name}.{k}" for name in old for k, _ in model.get_submodule(name).named_parameters()]


def find_heads(
    model: nn.Module, look: torch.Tensor, old_classes: int | None = None
) -> tuple[list[str], list[str]]:
    """Return the names of the layers that give the answer, and of those that give side answers.

    Parameters
    ----------
    look : Tensor, float, (2, C, H, W)
        The same picture twice; the model is shown it.
    """
    with untouched(model), torch.no_grad():
        answer, ran = _watched(model.eval(), look)
        width = old_classes or answer.shape[1]
        fit = [name for name, own in _leaves(model).items() if own == width]
        candidates = [name for name in ran if name in fit]
        alone = (name for name in reversed(candidates) if _answers(model, [name], look))
        main = [name for name in [next(alone, None)] if name]
        if not main and candidates and _answers(model, candidates, look):
            main = candidates  # several heads whose answers are averaged
        if not main:
            raise ModelError(
                f"The last layer of {type(model).__name__} was not found.",
                f"no Linear or 1x1 Conv2d inside it gives the {width} numbers that it puts out",
                "let it end in nn.Linear(features, classes), or train it whole with kit.train",
            )
        model.train()
        others = [name for name in fit if name not in main]
        return main, [name for name in others if _answers(model, [name], look, side=True)]


def main_layer(model: nn.Module, parameters: Sequence[str]) -> str:
    """Return the name of the innermost part of a network that holds all of its main head.

    Parameters
    ----------
    parameters : sequence of str
        Names of the head's parameters, those of side heads last.
    """
    name, head = parameters[0].rpartition(".")[0], set(parameters)
    layer, most = name, 0
    while name:
        own = {f"{name}.{key}" for key, _ in model.get_submodule(name).named_parameters()}
        if not own <= head:
            break
        if len(own) > most:
            layer, most = name, len(own)
        name = name.rpartition(".")[0]
    return layer


def make_head(leaf: nn.Module, classes: int, head: Head) -> nn.Module:
    """Make a head that takes what `leaf` took, on the same device, of the same type."""
    like = _like(leaf)
    if isinstance(head, nn.Module):
        return head.to(**like)
    if isinstance(head, str) and head != "linear":
        fix = 'give "linear", widths like (500, 250), or a Module'
        raise ModelError(f"head={head!r} is not known.", "the only name is linear", fix)
    is_linear = isinstance(leaf, nn.Linear)
    hidden = () if isinstance(head, str) else head
    widths: list[Any] = [leaf.in_features if is_linear else leaf.in_channels, *hidden, classes]
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        if layers:
            layers += [nn.ReLU(), nn.Dropout(DROPOUT)]
        if is_linear:
            layers.append(nn.Linear(int(before), after, **like))
        else:
            layers.append(nn.Conv2d(int(before), after, 1, **like))
    new = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
    return new.train(leaf.training)


def put_layer(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of the one of this name."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


def _leaves(model: nn.Module) -> dict[str, int]:
    """Layers that may be heads, with their width."""
    widths = {name: width_of(m) for name, m in model.named_modules() if name}
    return {name: width for name, width in widths.items() if width}


def width_of(leaf: nn.Module) -> int:
    """Count the numbers this layer puts out for a place; 0 if it can be no head."""
    if isinstance(leaf, nn.Linear):
        return leaf.out_features
    if isinstance(leaf, nn.Conv2d) and leaf.kernel_size == (1, 1):
        return leaf.out_channels
    return 0


def _like(model: nn.Module) -> dict[str, Any]:
    first = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    return {"dtype": first.dtype, "device": first.device}


def _output(model: nn.Module, look: torch.Tensor) -> Any:
    try:
        return model(look)
    except Exception as err:  # a user's own forward may raise anything
        shape = "x".join(map(str, look.shape[1:]))
        mode = " in training" if model.training else ""
        raise ModelError(
            f"{type(model).__name__} could not look at a {shape} picture{mode}.",
            str(err),
            "give image_size= the side it was made for, in pixels",
        ) from err


def _watched(model: nn.Module, look: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
    """Return the first tensor the model puts out, and the leaves in the order in which they ran."""
    ran: list[str] = []
    with hooked(model, _leaves(model), lambda name, *_: ran.append(name)):
        out = next(_tensors(_output(model, look)), None)
    if out is None or out.ndim < 2:
        what = f"{type(model).__name__} puts out no row of numbers a picture."
        raise ModelError(what, "", "let forward return logits, (N, classes)")
    return out, ran


def _answers(model: nn.Module, names: list[str], look: torch.Tensor, *, side: bool = False) -> bool:
    """Whether the output of these layers is the model's first one (`side`: any of its outputs).

    Later steps that treat classes alike (ReLU, pooling, softmax) do not matter. The output of the
    layers is replaced by a rising row for the first picture and a falling one for the second: then
    the model's answers must mirror each other as well. Weights play no part, so a head that begins
    as zero is found too.
    """

    def ramp(_name: str, leaf: nn.Module, _inputs: Any, out: torch.Tensor) -> torch.Tensor:
        at = out.ndim - (1 if isinstance(leaf, nn.Linear) else 3)
        shape = [-1 if i == at else 1 for i in range(out.ndim)]
        up = torch.linspace(1, 2, out.shape[at], dtype=out.dtype, device=out.device)
        half = len(out) // 2  # rows may be pictures or pictures x places
        rising = up.reshape(shape).expand_as(out[:half])
        return torch.cat([rising, up.flip(0).reshape(shape).expand_as(out[half:])])

    with hooked(model, names, ramp):
        outputs = list(_tensors(_output(model, look)))
    return any(map(_mirrored, outputs if side else outputs[:1]))


def _mirrored(out: torch.Tensor) -> bool:
    if out.ndim < 2 or len(out) != 2 or not out.is_floating_point():
        return False
    mirror = out[0].flip(0)
    spread = (out[0] - mirror).abs().max()
    return bool(spread > 1e-6 * out.abs().max() and (out[1] - mirror).abs().max() <= 0.01 * spread)


def _tensors(out: Any) -> Iterator[torch.Tensor]:
    if isinstance(out, torch.Tensor):
        yield out
    elif isinstance(out, (Mapping, tuple, list)):
        for part in out.values() if isinstance(out, Mapping) else out:
            yield from _tensors(part)


def _check_width(
    model: nn.Module, look: torch.Tensor, classes: int, head: Head, old: nn.Module
) -> None:
    takes = (
        f"{old.in_channels} channels of a map" if isinstance(old, nn.Conv2d) else old.in_features
    )
    hint = f"it replaces the old last layer alone and takes {takes}; let it put out {classes}"
    yours = "The head you gave" if isinstance(head, nn.Module) else "The new head"
    with untouched(model), torch.no_grad():
        try:
            out = next(_tensors(model.eval()(look)))
        except (
            Exception
        ) as err:  # wrong shapes are a RuntimeError; a user's forward may raise anything
            what = f"{yours} does not fit {type(model).__name__}."
            raise ModelError(what, str(err), hint) from err
    if out.shape[:2] != (2, classes):
        what = f"{yours} puts out {out.shape[1]} numbers, and there are {classes} classes."
        raise ModelError(what, "each class needs its own", hint)
