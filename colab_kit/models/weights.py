"""Weights from a file, without pickle: what matches a model goes in, and what does not is listed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data.keyed_random import outer_streams_kept
from ..errors import ModelError
from ..system.files import digest


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors or .pth file, by name; a checkpoint's wrapping and DataParallel's `module.` are undone.

    Raises
    ------
    ModelError
        The file is missing, is no weights file, or holds a whole pickled model.
    """
    if not path.is_file():
        raise ModelError(
            f"There is no weights file {path}.",
            "nothing is there",
            "give the path of a .pth or .safetensors file",
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # torch and safetensors raise a dozen kinds for a bad file
        pickled = "weights_only" in str(err) or "Unsupported" in str(err)
        why, fix = f"{type(err).__name__}: {err}".splitlines()[0], "fetch the file again"
        if pickled:
            why = "it holds a whole pickled model, and loading one runs code from the file"
            fix = "save only the weights: torch.save(model.state_dict(), 'weights.pth')"
        raise ModelError(f"{path.name} cannot be read as weights.", why, fix) from err
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    tensors = (
        {str(k): v for k, v in found.items() if isinstance(v, torch.Tensor)}
        if isinstance(found, dict)
        else {}
    )
    if not tensors:
        raise ModelError(
            f"{path.name} holds no weights.",
            f"it is a {type(found).__name__}",
            "save model.state_dict()",
        )
    for prefix in ("model/", "module."):  # our own checkpoints; DataParallel
        if any(k.startswith(prefix) for k in tensors):
            tensors = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
    return tensors


def tensor_hash(tensor: torch.Tensor) -> str:
    """sha256 of dtype, shape and bytes, hex."""
    flat = tensor.detach().to("cpu").contiguous()
    head = f"{flat.dtype}{list(flat.shape)}".encode()
    return hashlib.sha256(head + flat.flatten().view(torch.uint8).numpy().tobytes()).hexdigest()


def backbone_hash(network: nn.Module, head: Iterable[str]) -> str:
    """One hash over all weights and buffers but those of the head.

    head : names of its parameters
    """
    without = set(head)
    return digest(
        {name: tensor_hash(t) for name, t in network.state_dict().items() if name not in without}
    )


def put(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Load a state of this very network. What its modules note beside their tensors is told too: MNASNet will not load without.

    Raises
    ------
    RuntimeError
        Torch's own: names or shapes differ.
    """
    state = OrderedDict(tensors)
    state._metadata = model.state_dict()._metadata  # type: ignore[attr-defined]
    model.load_state_dict(state)


def warm_start(model: nn.Module, tensors: dict[str, torch.Tensor]) -> str:
    """Copy what matches by name and shape into the model; a sentence of what did and did not.

    Raises
    ------
    ModelError
        Nothing matches.
    """
    own = model.state_dict()
    fits = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    shapes = [
        f"{k} {list(v.shape)} into {list(own[k].shape)}"
        for k, v in tensors.items()
        if k in own and own[k].shape != v.shape
    ]
    if not fits:
        raise ModelError(
            "None of the file's weights fits this network.",
            shapes[0]
            if shapes
            else f"the file has {next(iter(tensors))} …, the network {next(iter(own), 'nothing')} …",
            "give the file of the same architecture",
        )
    put(model, {**own, **fits})
    missing = [k for k in own if k not in fits]
    return (
        f"Warm start: {len(fits)} of {len(own)} tensors matched."
        + (f" Of another shape: {_some(shapes)}." if shapes else "")
        + (f" Fresh: {_some(missing)}." if missing else "")
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


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
