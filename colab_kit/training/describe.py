"""What makes a model or an object the same one: names, shapes and code. Never its weights: unseeded ones differ each session."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import types
from typing import Any

import torch
from torch import nn

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
LIBRARIES = ("torch", "torchvision", "timm")


def digest(value: Any) -> str:
    """sha256 of plain data, hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def describe_model(model: Any) -> dict[str, Any]:
    """A model as plain data: class, repr, shapes of parameters and buffers, and the code of classes that are not a library's.

    A class or callable that makes the model is described by the model it makes.
    """
    shapes = {name: list(t.shape) for name, t in model.state_dict().items()}
    classes = {type(m) for m in model.modules()}
    own = {_name(c): _class_code(c) for c in classes if c.__module__.partition(".")[0] not in LIBRARIES}
    return {"class": _name(type(model)), "repr": _ADDRESS.sub("", repr(model)), "shapes": shapes, "code": dict(sorted(own.items()))}


def describe(obj: Any) -> Any:
    """An object that travels beside the recipe as plain data: qualified name, simple attributes, tensor hashes."""
    match obj:
        case None | bool() | int() | float() | str():
            return obj
        case list() | tuple():
            return [describe(v) for v in obj]
        case dict():
            return {str(k): describe(v) for k, v in obj.items()}
        case torch.Tensor():
            return {"tensor": tensor_hash(obj), "shape": list(obj.shape)}
        case torch.optim.Optimizer():
            rates = [{k: describe(v) for k, v in g.items() if k != "params"} for g in obj.param_groups]
            return {"class": _name(type(obj)), "groups": rates}
        case nn.Module():
            return {**describe_model(obj), "weights": {k: tensor_hash(v) for k, v in obj.state_dict().items()}}
        case type():
            return {"class": _name(obj), "code": _class_code(obj) if obj.__module__.partition(".")[0] not in LIBRARIES else ""}
        case types.FunctionType() | types.MethodType():
            return {"function": f"{obj.__module__}.{obj.__qualname__}", "code": _function_code(obj), "bound": _bound(obj)}
    attributes = getattr(obj, "__dict__", {})
    return {"class": _name(type(obj)), "attributes": {k: describe(v) for k, v in sorted(attributes.items()) if _simple(v)}}


def tensor_hash(tensor: torch.Tensor) -> str:
    """sha256 of dtype, shape and bytes, hex."""
    flat = tensor.detach().to("cpu").contiguous()
    head = f"{flat.dtype}{list(flat.shape)}".encode()
    return hashlib.sha256(head + flat.flatten().view(torch.uint8).numpy().tobytes()).hexdigest()


def weights_hash(model: nn.Module) -> str:
    """One hash over all weights and buffers, by name."""
    return digest({name: tensor_hash(t) for name, t in model.state_dict().items()})


def _name(cls: type) -> str:
    module = "" if cls.__module__ == "__main__" else cls.__module__ + "."  # a cell today, a script tomorrow: one class
    return module + cls.__qualname__


def _simple(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, type(None), list, tuple, dict, torch.Tensor))


def _class_code(cls: type) -> str:
    """Hash of the functions a class and its own (non-library) bases define. Bytecode: comments and layout do not count."""
    parts = []
    for base in cls.__mro__:
        if base is object or base.__module__.partition(".")[0] in LIBRARIES:
            continue
        for name, member in sorted(vars(base).items()):
            for function in _functions(member):
                parts.append([name, _function_code(function)])
    return digest(parts)


def _functions(member: Any) -> list[Any]:
    if isinstance(member, (staticmethod, classmethod)):
        return [member.__func__]
    if isinstance(member, property):
        return [f for f in (member.fget, member.fset) if f is not None]
    return [member] if inspect.isfunction(member) else []


def _function_code(function: Any) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return digest(_code(code)) if code is not None else ""


def _code(code: types.CodeType) -> list[Any]:
    constants = [_code(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts]
    return [code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames), list(code.co_freevars)]


def _constant(value: Any) -> str:
    """repr, with sets in order: theirs changes with each process's hash seed."""
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    return repr(value)


def _bound(function: Any) -> list[Any]:
    """The plain values a function closed over, and its defaults: two closures of one factory are two losses."""
    cells = [c.cell_contents for c in (getattr(function, "__closure__", None) or ()) if _filled(c)]
    return [describe(v) for v in [*cells, *(getattr(function, "__defaults__", None) or ())] if _simple(v)]


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (an unfilled cell raises)
    except ValueError:
        return False
    return True
