"""Tensor files: tensors and facts in one file, whole or absent, without pickle.

A tensor file is a safetensors file that any tool opens. The facts stand as JSON in its metadata,
and so does the sha256 of the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import RunError
from ..system.files import SEAL, is_whole, seal, write_whole

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TensorFile:
    """What a file holds: tensors by name, and facts as plain data."""

    path: Path
    step: int
    tensors: Tensors
    facts: dict[str, Any]


def write(path: Path, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write a sealed file, whole or not at all.

    Its header repeats the `start` and the `step` of the facts.
    Tensors may live on any device and share memory.
    """
    from safetensors.torch import save

    stored: Tensors = {}
    memory: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().to("cpu").contiguous()
        address = copy.untyped_storage().data_ptr()
        if copy.numel() > 0 and address in memory:
            copy = (
                copy.clone()
            )  # tied weights are stored twice, and tied again when they are loaded
        memory.add(address)
        stored[name] = copy
    mark = {"sha256": SEAL, "start": str(facts.get("start", "")), "step": str(facts.get("step", 0))}
    write_whole(path, seal(save(stored, {**mark, "facts": json.dumps(facts)})))


def read(path: Path, *, checked: bool = False) -> TensorFile:
    """Read a sealed file after checking its seal.

    Parameters
    ----------
    checked : bool
        True if the caller has checked the seal.

    Raises
    ------
    RunError
        The file is damaged.
    """
    from safetensors import safe_open

    if not checked and not is_whole(path):
        raise damaged(path)
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
        # cloned: a tensor that is still mapped to the file changes with it
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    return TensorFile(path, int(facts.get("step", 0)), tensors, facts)


def damaged(path: Path) -> RunError:
    """Return the error for a file whose seal is broken."""
    return RunError(
        f"{path.name} in {path.parent} is damaged.",
        "its sha256 is not the one it was written with: bits changed, or its end is missing",
        "start over with restart=True, or put a whole copy of it there (one may be on Drive)",
    )


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
        case torch.Tensor():
            name = f"{prefix}{len(tensors)}"
            tensors[name] = value
            return {"tensor": name}
        case bool() | int() | float() | str() | None:
            return value
        case dict():
            return {"dict": [[k, pack(v, tensors, prefix)] for k, v in value.items()]}
        case tuple():
            return {"tuple": [pack(v, tensors, prefix) for v in value]}
        case list():
            return [pack(v, tensors, prefix) for v in value]
    raise RunError(
        f"The optimizer keeps a {type(value).__name__} in its state, which cannot be saved.",
        "only tensors, numbers, text, lists and dicts go into a checkpoint (no pickle)",
        "use one of torch's own optimizers",
    )


def unpack(value: Any, tensors: Tensors) -> Any:
    """Return the state that `pack` took apart."""
    match value:
        case {"tensor": str(name)}:
            return tensors[name]
        case {"dict": list(pairs)}:
            return {k: unpack(v, tensors) for k, v in pairs}
        case {"tuple": list(items)}:
            return tuple(unpack(v, tensors) for v in items)
        case list():
            return [unpack(v, tensors) for v in value]
    return value


def under(tensors: Tensors, prefix: str) -> Tensors:
    """Return the tensors whose names begin with `prefix`, under their names without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
