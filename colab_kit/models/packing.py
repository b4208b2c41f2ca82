"""Packing: an optimizer's nested state as plain data, with its tensors aside. No pickle."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import RunError

Tensors = dict[str, torch.Tensor]


def pack(value: Any, tensors: Tensors, prefix: str) -> Any:
    """Turn a nested state into plain data, and move its tensors to `tensors`.

    It is for an optimizer's state_dict.

    Parameters
    ----------
    tensors : dict
        Receives the tensors.
    prefix : str
        The names of these tensors begin with it.

    Raises
    ------
    RunError
        The state holds an object that is neither plain data nor a tensor.
    """
    match value:
        case torch.Tensor() if value.is_sparse:
            parts = [value._indices(), value._values(), list(value.shape), value.is_coalesced()]
            return {"sparse": pack(parts, tensors, prefix)}
        case torch.Tensor():
            name = f"{prefix}{len(tensors)}"
            tensors[name] = value
            return {"tensor": name}
        case bool() | int() | float() | str() | None:
            return value
        case torch.dtype():
            return {"dtype": str(value).removeprefix("torch.")}
        case dict() if not any(isinstance(key, torch.Tensor) for key in value):
            return {"dict": [[pack(p, tensors, prefix) for p in pair] for pair in value.items()]}
        case tuple():
            return {"tuple": [pack(v, tensors, prefix) for v in value]}
        case list():
            return [pack(v, tensors, prefix) for v in value]
    keys = " with tensors for keys" if isinstance(value, dict) else ""
    raise RunError(
        f"The optimizer keeps a {type(value).__name__}{keys} in its state, which cannot be saved.",
        "only tensors, numbers, text, lists and dicts go into a checkpoint (no pickle)",
        "use one of torch's own optimizers",
    )


def unpack(value: Any, tensors: Tensors) -> Any:
    """Return the state that `pack` took apart."""
    match value:
        case {"tensor": str(name)}:
            return tensors[name]
        case {"sparse": list(parts)}:
            *what, is_coalesced = unpack(parts, tensors)
            made = torch.sparse_coo_tensor(*what, check_invariants=True)  # it may be damaged
            return made._coalesced_(is_coalesced)
        case {"dtype": str(name)}:
            return getattr(torch, name)
        case {"dict": list(pairs)}:
            return {unpack(k, tensors): unpack(v, tensors) for k, v in pairs}
        case {"tuple": list(items)}:
            return tuple(unpack(v, tensors) for v in items)
        case list():
            return [unpack(v, tensors) for v in value]
    return value
