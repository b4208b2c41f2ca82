"""What makes a model or an object the same one: names, shapes, settings and code. Never its weights: unseeded ones differ each session."""

from __future__ import annotations

import functools
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
    """A model as plain data: class, repr, shapes, what is frozen, settings, and the code of classes that are not a library's.

    Settings are the plain attributes of every layer: repr shows neither an attention's heads nor what a user's own class was made with.
    A class or callable that makes the model is described by the model it makes.
    """
    shapes = {name: list(t.shape) for name, t in model.state_dict().items()}
    code = {_name(c): _class_code(c) for c in {type(m) for m in model.modules()} if not _is_library(c)}
    own = {name: found for name, m in model.named_modules() if not _is_library(type(m)) and (found := _settings(m))}
    library = digest({name: _settings(m) for name, m in model.named_modules() if _is_library(type(m))})
    return {
        "class": _name(type(model)), "repr": _ADDRESS.sub("", repr(model)), "shapes": shapes,
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "settings": {**own, "of the library's layers": library}, "code": dict(sorted(code.items())),
    }  # fmt: skip


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
            return {"class": _name(obj), "code": _class_code(obj)}
        case functools.partial():
            return {"partial": describe(obj.func), "arguments": describe(obj.args), "keywords": describe(obj.keywords)}
        case types.MethodType():
            return {"method": describe(obj.__func__), "of": describe(obj.__self__)}
        case types.FunctionType():
            return {
                "function": f"{obj.__module__}.{obj.__qualname__}",
                "code": "" if _is_library(obj) else _function_code(obj),
                "bound": _bound(obj),
            }
        case types.BuiltinFunctionType():
            return {"function": f"{obj.__module__}.{obj.__qualname__}"}
    attributes = {k: describe(v) for k, v in sorted(getattr(obj, "__dict__", {}).items()) if _simple(v)}
    return {"class": _name(type(obj)), "attributes": attributes, "code": _class_code(type(obj))}


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


def _is_library(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] in LIBRARIES


def _simple(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, type(None), list, tuple, dict, torch.Tensor))


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    return isinstance(value, (bool, int, float, str, type(None)))


def _settings(module: nn.Module) -> dict[str, Any]:
    """What a layer was made with: its plain public attributes. Tensors among them are weights, or last batch's."""
    return {k: describe(v) for k, v in sorted(vars(module).items()) if k[0] != "_" and k != "training" and _plain(v)}


def _class_code(cls: type) -> str:
    """Hash of the functions and plain values that a class and its own (non-library) bases define. Bytecode: comments do not count."""
    parts: list[list[Any]] = []
    for base in cls.__mro__:
        if base is object or _is_library(base):
            continue
        for name, member in sorted(vars(base).items()):
            if not name.startswith("__") and _plain(member):
                parts.append([name, describe(member)])
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
    named = (getattr(function, "__kwdefaults__", None) or {}).values()
    return [describe(v) for v in [*cells, *(getattr(function, "__defaults__", None) or ()), *named] if _simple(v)]


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (an unfilled cell raises)
    except ValueError:
        return False
    return True
