"""Heads: the last layer of any classifier, found by what it does and replaced in place.

A head is a Linear or 1x1 Conv2d as wide as the old classes whose output *is* the answer: swap its channels and the
network's answer is swapped the same way. A hidden layer that happens to have that width fails the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..data.keyed_random import outer_streams_kept
from ..errors import ModelError

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
    """Replace the classifier of `model` in place, side heads (Inception, GoogLeNet) included; give the new parameters' names.

    New layers are drawn from torch's process-wide generator as it stands: the caller seeds it. Looking for the head
    draws nothing and leaves buffers and training flags as they were.

    Parameters
    ----------
    classes, old_classes : int
        Width of the new and of the old answer; old None: seen from what the model puts out.
    size, channels : int
        Of the picture that is shown to the model while looking.
    head : "linear", sequence of int, or Module
        One layer; hidden widths (ReLU and dropout between); or your own, which takes what the old last layer took.
        Side heads are always one layer.

    Raises
    ------
    ModelError
        No head is found, the model cannot take such pictures, or your head puts out another width. The model is unchanged.
    """
    look = torch.zeros(2, channels, size, size, **_like(model))
    main, side = find_heads(model, look, old_classes)
    old = {name: model.get_submodule(name) for name in main + side}
    try:
        for name in main + side:
            _put(model, name, make_head(old[name], classes, head if name in main else "linear"))
        _check_width(model, look, classes, head, old[main[0]])
    except BaseException:
        for name, module in old.items():
            _put(model, name, module)
        raise
    if isinstance(getattr(model, "num_classes", None), int):
        setattr(model, "num_classes", classes)  # noqa: B010  (timm keeps it; mypy sees a Tensor there)
    return [
        f"{name}.{key}"
        for name in main + side
        for key, _ in model.get_submodule(name).named_parameters()
    ]


def find_heads(
    model: nn.Module, look: torch.Tensor, old_classes: int | None = None
) -> tuple[list[str], list[str]]:
    """Names of the layers that give the answer, and of those that give side answers, in training or always.

    Parameters
    ----------
    look : Tensor, float, (2, C, H, W)
        What the model is shown; twice the same picture.
    """
    with _undisturbed(model):
        answer, ran = _watched(model.eval(), look)
        width = old_classes or answer.shape[1]
        fit = [name for name, leaf in _leaves(model) if _width(leaf) == width]
        main = next(
            ([name] for name in reversed(ran) if name in fit and _answers(model, [name], look)), []
        )
        if (
            not main
            and (together := [name for name in ran if name in fit])
            and _answers(model, together, look)
        ):
            main = together  # several heads whose answers are averaged
        if not main:
            raise ModelError(
                f"The last layer of {type(model).__name__} was not found.",
                f"no Linear or 1x1 Conv2d inside it gives the {width} numbers that it puts out",
                "let the model end in nn.Linear(features, classes), or train it whole with kit.train",
            )
        model.train()
        return main, [
            name for name in fit if name not in main and _answers(model, [name], look, side=True)
        ]


def _leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, m) for name, m in model.named_modules() if name and _width(m)]


def _width(leaf: nn.Module) -> int:
    """Numbers this layer puts out for a place; 0 if it can be no head."""
    if isinstance(leaf, nn.Linear):
        return leaf.out_features
    if isinstance(leaf, nn.Conv2d) and leaf.kernel_size == (1, 1):
        return leaf.out_channels
    return 0


def _like(model: nn.Module) -> dict[str, Any]:
    first = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    return {"dtype": first.dtype, "device": first.device}


def _shown(model: nn.Module, look: torch.Tensor) -> Any:
    try:
        return model(look)
    except Exception as err:  # whatever the user's own forward raises
        what = f"{type(model).__name__} could not look at a {'x'.join(map(str, look.shape[1:]))} picture{' in training' * model.training}."
        raise ModelError(
            what, str(err), "give image_size= the side it was made for, in pixels"
        ) from err


def _watched(model: nn.Module, look: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
    """The first tensor the model puts out, and the leaves in the order in which they ran."""
    ran: list[str] = []
    hooks = [
        leaf.register_forward_hook(lambda _m, _i, _o, name=name: ran.append(name))
        for name, leaf in _leaves(model)
    ]
    try:
        out = next(_tensors(_shown(model, look)), None)
    finally:
        for hook in hooks:
            hook.remove()
    if out is None or out.ndim < 2:
        raise ModelError(
            f"{type(model).__name__} puts out no row of numbers a picture.",
            "",
            "let forward return logits, (N, classes)",
        )
    return out, ran


def _answers(model: nn.Module, names: list[str], look: torch.Tensor, *, side: bool = False) -> bool:
    """Whether these layers' output is the model's first (`side`: any) one, up to steps that treat classes alike (ReLU, pooling, softmax …).

    Their output is replaced by a rising row for the first picture and a falling one for the second: then the model's
    answers must mirror each other as well. Weights play no part, so a head that begins as zero is found too.
    """

    def ramp(leaf: nn.Module, _inputs: Any, out: torch.Tensor) -> torch.Tensor:
        at = out.ndim - 1 if isinstance(leaf, nn.Linear) else out.ndim - 3
        up = torch.linspace(1, 2, out.shape[at], dtype=out.dtype, device=out.device)
        half = len(out) // 2  # rows may be pictures or pictures x places
        shape = [-1 if i == at else 1 for i in range(out.ndim)]
        return torch.cat(
            [
                up.reshape(shape).expand_as(out[:half]),
                up.flip(0).reshape(shape).expand_as(out[half:]),
            ]
        )

    hooks = [model.get_submodule(name).register_forward_hook(ramp) for name in names]
    try:
        found = list(_tensors(_shown(model, look)))
        return any(map(_mirrored, found if side else found[:1]))
    finally:
        for hook in hooks:
            hook.remove()


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


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Give training flags, buffers and the random streams back as they were."""
    flags = {module: module.training for module in model.modules()}
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}
    try:
        with torch.no_grad(), outer_streams_kept():
            yield
    finally:
        for module, flag in flags.items():
            module.training = flag
        with torch.no_grad():
            for buffer, before in buffers.items():
                buffer.copy_(before)


def make_head(leaf: nn.Module, classes: int, head: Head) -> nn.Module:
    """A new head that takes what `leaf` took, on the same device, of the same type."""
    if isinstance(head, nn.Module):
        return head.to(**_like(leaf))
    if isinstance(head, str) and head != "linear":
        raise ModelError(
            f"head={head!r} is not known.",
            "the only name is linear",
            'give "linear", widths like (500, 250), or a Module',
        )
    widths = [
        leaf.in_features if isinstance(leaf, nn.Linear) else leaf.in_channels,
        *([] if isinstance(head, str) else head),
        classes,
    ]
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [_layer(leaf, int(before), after), nn.ReLU(), nn.Dropout(DROPOUT)]  # type: ignore[arg-type]
    layers = layers[:-2]
    return (layers[0] if len(layers) == 1 else nn.Sequential(*layers)).train(leaf.training)


def _layer(leaf: nn.Module, before: int, after: int) -> nn.Module:
    like = _like(leaf)
    return (
        nn.Linear(before, after, **like)
        if isinstance(leaf, nn.Linear)
        else nn.Conv2d(before, after, 1, **like)
    )


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _check_width(
    model: nn.Module, look: torch.Tensor, classes: int, head: Head, old: nn.Module
) -> None:
    takes = (
        old.in_features if isinstance(old, nn.Linear) else f"{old.in_channels} channels of a map"
    )
    hint = f"it stands in the place of the old last layer alone and takes {takes}; let it put out {classes}"
    yours = "The head you gave" if isinstance(head, nn.Module) else "The new head"
    with _undisturbed(model):
        try:
            out = next(_tensors(model.eval()(look)))
        except Exception as err:  # a shape that does not fit is a RuntimeError, a user's own forward may raise anything
            raise ModelError(
                f"{yours} does not fit {type(model).__name__}.", str(err), hint
            ) from err
    if out.shape[:2] != (2, classes):
        raise ModelError(
            f"{yours} puts out {out.shape[1]} numbers, and there are {classes} classes.",
            "each class needs its own",
            hint,
        )
