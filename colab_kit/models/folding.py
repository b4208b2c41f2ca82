"""Folding: BatchNorm of a network that only evaluates, computed into the convolution before it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

NEAR = 1e-3  # of the largest output: how far the folded network's may be off. fp32 rounds otherwise in each layer


def folded(model: nn.Module, x: torch.Tensor) -> tuple[nn.Module, int]:
    """A copy of `model` in eval with BatchNorms folded into the convolutions that feed them, and how many; what it puts out stays.

    Which feeds which is seen, not guessed: one batch goes through, and a BatchNorm is folded where its input is the very tensor that
    a convolution put out, each of them run once. The copy's outputs are compared with the model's: where they differ, it is
    the model itself that is given back.

    x : network input, (n, …)
    """
    model.eval()
    with torch.no_grad():
        pairs, before = _pairs(model, x)
        if not pairs:
            return model, 0
        made = copy.deepcopy(model)
        for conv, norm in pairs:
            _fold(made, conv, norm)
        after = _first(made(x))
        far = float((after - before).abs().max()) if after.shape == before.shape else float("inf")
    return (made, len(pairs)) if far <= NEAR * float(before.abs().max()) else (model, 0)


def _pairs(model: nn.Module, x: torch.Tensor) -> tuple[list[tuple[str, str]], torch.Tensor]:
    """Names of each convolution and the BatchNorm after it, and what the model puts out."""
    put_out, ran, fed = dict[int, str](), dict[str, int](), dict[str, str]()
    alive: list[torch.Tensor] = []  # so that no two tensors have one id

    def watch(name: str) -> Any:
        def hook(module: nn.Module, given: Any, out: Any) -> None:
            ran[name] = ran.get(name, 0) + 1
            if isinstance(module, nn.Conv2d):
                put_out[id(out)] = name
                alive.append(out)
            elif given and id(given[0]) in put_out:
                fed[name] = put_out[id(given[0])]

        return hook

    found = [
        (name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d) or _is_norm(m)
    ]
    hooks = [module.register_forward_hook(watch(name)) for name, module in found]
    try:
        out = _first(model(x))
    finally:
        for hook in hooks:
            hook.remove()
    once = {name for name, times in ran.items() if times == 1}
    feeders = list(fed.values())
    return [
        (conv, norm)
        for norm, conv in fed.items()
        if norm in once and conv in once and feeders.count(conv) == 1
    ], out


def _is_norm(module: nn.Module) -> bool:
    """A BatchNorm with statistics of its own; timm's, which also drops and activates, is one too."""
    return isinstance(module, nn.BatchNorm2d) and module.running_var is not None


def _fold(model: nn.Module, conv_name: str, norm_name: str) -> None:
    conv, norm = model.get_submodule(conv_name), model.get_submodule(norm_name)
    assert (
        isinstance(conv, nn.Conv2d)
        and isinstance(norm, nn.BatchNorm2d)
        and norm.running_var is not None
        and norm.running_mean is not None
    )
    scale = torch.rsqrt(norm.running_var + norm.eps) * (
        norm.weight if norm.weight is not None else 1.0
    )
    shift = (norm.bias if norm.bias is not None else 0.0) - norm.running_mean * scale
    conv.weight = nn.Parameter(conv.weight * scale.view(-1, 1, 1, 1), requires_grad=False)
    conv.bias = nn.Parameter(
        shift if conv.bias is None else conv.bias * scale + shift, requires_grad=False
    )
    rest = [
        part for name in ("drop", "act") if isinstance(part := getattr(norm, name, None), nn.Module)
    ]
    parent, _, child = norm_name.rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Sequential(*rest) if rest else nn.Identity())


def _first(out: Any) -> torch.Tensor:
    while not isinstance(out, torch.Tensor):
        out = next(iter(out.values() if isinstance(out, dict) else out))
    return out
