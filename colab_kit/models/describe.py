"""What makes a model or an object the same one: names, shapes, settings and code. Never its weights: unseeded ones differ each session."""

from __future__ import annotations

import dis
import functools
import inspect
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedTensorMixin  # type: ignore[attr-defined]

from ..errors import ModelError
from ..system.files import digest as digest
from .weights import tensor_hash as tensor_hash

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
LIBRARIES = ("torch", "torchvision", "timm")
_OF_TORCH = {
    *vars(nn.Module()),
    "_compiled_call_impl",
}  # what every network has: training, hooks, caches
Seen = dict[
    int, int
]  # id -> which it was: code may call itself, and a network may hold a method of its own


def describe_model(model: Any) -> dict[str, Any]:
    """A model as plain data: class, repr, shapes, what is frozen, settings, and the code of classes that are not a library's.

    Settings are the plain attributes and the callables of every layer: repr shows neither an attention's heads, nor what a user's own
    class was made with. A class or callable that makes the model is described by the model it makes.
    """
    return _model(model, {id(model): 0})


def _model(model: Any, seen: Seen) -> dict[str, Any]:
    own = {
        name: found
        for name, m in model.named_modules()
        if not _is_library(type(m)) and (found := _settings(m, seen))
    }
    library = digest(
        {name: _made_with(m, seen) for name, m in model.named_modules() if _is_library(type(m))}
    )
    classes = sorted({type(m) for m in model.modules() if not _is_library(type(m))}, key=_name)
    return {
        "class": _name(type(model)),
        "repr": _ADDRESS.sub("", repr(model)),
        "shapes": {name: _shape(t) for name, t in model.state_dict().items()},
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "settings": {**own, "of the library's layers": library},
        "code": {_name(c): _class_code(c, seen) for c in classes},
    }


def describe(obj: Any) -> Any:
    """An object that travels beside the recipe as plain data: qualified name, simple attributes, tensor hashes."""
    return _told(obj, {}, weights=True)


def describe_optimizer(optimizer: Any, model: nn.Module) -> Any:
    """An optimizer as plain data; an instance with the names of the parameters in each of its groups."""
    told = describe(optimizer)
    if isinstance(optimizer, torch.optim.Optimizer):
        names = {id(p): name for name, p in model.named_parameters()}
        told["parameters"] = [
            [names.get(id(p), "of another network") for p in group["params"]]
            for group in optimizer.param_groups
        ]
    return told


def check_only_tensors(model: nn.Module) -> None:
    """Refuse a network whose state holds what is no tensor: get_extra_state() may return anything.

    Raises
    ------
    ModelError
    """
    for name, value in model.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise ModelError(
                f"The network keeps a {type(value).__name__} in its state, which cannot be saved.",
                f"{name} is no tensor, and a checkpoint holds tensors only (no pickle)",
                "let get_extra_state() return a tensor, or make it a buffer: self.register_buffer(…)",
            )


def _told(obj: Any, seen: Seen, *, weights: bool = False) -> Any:
    """weights: whether those of a network count; of one that is only spoken of they do not, it may be the one in training."""
    match obj:
        case None | bool() | int() | float() | str():
            return obj
        case list() | tuple():
            return [_told(v, seen) for v in obj]
        case dict():
            return {str(k): _told(v, seen) for k, v in obj.items()}
        case torch.Tensor():
            return {"tensor": tensor_hash(obj), "shape": list(obj.shape)}
        case torch.optim.Optimizer():
            rates = [
                {k: _told(v, seen) for k, v in g.items() if k not in ("params", "param_names")}
                for g in obj.param_groups
            ]
            return {"class": _name(type(obj)), "groups": rates}
        case types.MethodType():
            return {
                "method": _told(obj.__func__, seen),
                "of": _told(obj.__self__, seen, weights=weights),
            }
    if id(obj) in seen:
        return {"seen": seen[id(obj)]}
    seen[id(obj)] = len(seen)
    match obj:
        case nn.Module():
            counts = (
                weights or next(obj.parameters(), None) is None
            )  # a loss's class weights are a buffer
            return {**_model(obj, seen), **({"weights": _hashes(obj)} if counts else {})}
        case type():
            return {
                "class": _name(obj),
                "code": "" if _is_installed(obj) else _class_code(obj, seen),
            }
        case functools.partial():
            return {
                "partial": _told(obj.func, seen),
                "arguments": _told(obj.args, seen),
                "keywords": _told(obj.keywords, seen),
            }
        case types.FunctionType():
            code = "" if _is_installed(obj) else digest(_function_code(obj, seen))
            return {"function": _name(obj), "code": code, "bound": _bound(obj, seen)}
        case types.BuiltinFunctionType():
            return {"function": _name(obj)}
    attributes = {
        k: _told(v, seen)
        for k, v in sorted(getattr(obj, "__dict__", {}).items())
        if _simple(v) or callable(v)
    }
    return {
        "class": _name(type(obj)),
        "attributes": attributes,
        "code": _class_code(type(obj), seen),
    }


def weights_hash(model: nn.Module) -> str:
    """One hash over all weights and buffers, by name."""
    return digest(_hashes(model))


def _hashes(model: nn.Module) -> dict[str, str]:
    return {
        name: tensor_hash(t) if isinstance(t, torch.Tensor) else type(t).__name__
        for name, t in model.state_dict().items()
    }


def _shape(value: Any) -> Any:
    if isinstance(value, UninitializedTensorMixin):
        return "lazy"
    return list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__


def _name(thing: Any) -> str:
    module = (
        "" if thing.__module__ == "__main__" else f"{thing.__module__}."
    )  # a cell today, a script tomorrow: one class
    return module + str(thing.__qualname__)


def _is_library(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] in LIBRARIES


def _is_installed(thing: Any) -> bool:
    """Whether a package brought it, not the user: its name says what it is, and its code may change with an upgrade."""
    return _is_package(
        thing.__name__ if isinstance(thing, types.ModuleType) else str(thing.__module__)
    )


def _is_package(module: str) -> bool:
    if module == "__main__":
        return False  # cells are the user's, though the launcher whose file __main__ names is a package's
    top, file = (
        module.partition(".")[0],
        str(getattr(sys.modules.get(module), "__file__", None) or ""),
    )
    return top in LIBRARIES or top in sys.stdlib_module_names or "-packages" in file


def _simple(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, type(None), list, tuple, dict, torch.Tensor))


def _plain(value: Any, *, also: Any = lambda value: False) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(v, also=also) for v in value)
    if isinstance(value, dict):
        return all(_plain(v, also=also) for v in value.values())
    return isinstance(value, (bool, int, float, str, type(None))) or also(value)


def _settings(module: nn.Module, seen: Seen) -> dict[str, Any]:
    """What a user's own layer was made with: plain attributes and callables. Tensors among them are weights, or last batch's."""
    found = {
        k: v
        for k, v in sorted(vars(module).items())
        if k not in _OF_TORCH and _plain(v, also=callable)
    }
    return {k: _told(v, seen) for k, v in found.items()}


def _made_with(module: nn.Module, seen: Seen) -> dict[str, Any]:
    """What a library's layer was made with: its class's own parameters, if not their defaults. An upgrade may add attributes."""
    takes: dict[str, Any] = {}
    for base in reversed(type(module).__mro__):
        if "__init__" in vars(base) and base not in (object, nn.Module):
            takes |= {
                k: p.default
                for k, p in inspect.signature(vars(base)["__init__"]).parameters.items()
            }
    found = {
        k: v
        for k, v in sorted(vars(module).items())
        if k in takes and k not in _OF_TORCH and _plain(v, also=callable)
    }
    return {k: _told(v, seen) for k, v in found.items() if v is not takes[k] and v != takes[k]}


def _class_code(cls: type, seen: Seen) -> str:
    """Hash of the functions and plain values that a class and its own (non-library) bases define. Bytecode: comments do not count."""
    parts: list[list[Any]] = []
    own = [base for base in cls.__mro__ if base is not object and not _is_library(base)]
    for base in own:
        seen.setdefault(id(base), len(seen))  # its methods may name it
    for base in own:
        for name, member in sorted(vars(base).items()):
            functions = _functions(member)
            for function in functions:
                parts.append([name, _function_code(function, seen), _bound(function, seen)])
            if not functions and not name.startswith("__") and _plain(member, also=callable):
                parts.append([name, _told(member, seen)])
    return digest(parts)


def _functions(member: Any) -> list[Any]:
    if isinstance(member, (staticmethod, classmethod)):
        return [member.__func__]
    if isinstance(member, property):
        return [f for f in (member.fget, member.fset) if f is not None]
    return [member] if inspect.isfunction(member) else []


def _function_code(function: Any, seen: Seen) -> list[Any]:
    """Its bytecode, and what it calls or reads of the user's own: a helper edited in another cell makes another loss."""
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    if code is None:
        return []
    own = (
        {}
        if _is_installed(inner)
        else {name: _told(v, seen) for name, v in _globals(code, inner.__globals__) if _counts(v)}
    )
    if inner is function:
        return [_code(code), own]
    space = getattr(
        function, "__globals__", {}
    )  # where it is from: torch.no_grad's wrapper wears the name of what it wraps
    wrapper = [] if _is_package(str(space.get("__name__"))) else _code(function.__code__)
    return [_code(code), own, wrapper, _bound(inner, seen)]


def _globals(code: types.CodeType, space: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The globals that code reads, sorted by name; of the user's own modules (utils.scale) the member. What it sets is a counter."""
    found: dict[str, Any] = {}
    steps = [i for c in _nested(code) for i in dis.get_instructions(c)]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME") or step.argval not in space:
            continue
        name, value = str(step.argval), space[step.argval]
        if (
            isinstance(value, types.ModuleType)
            and following is not None
            and not _is_installed(value)
        ):
            name, value = f"{name}.{following.argval}", getattr(value, str(following.argval), None)
        found[name] = value
    for step in steps:
        if step.opname == "STORE_GLOBAL":
            found.pop(str(step.argval), None)
    yield from sorted(found.items())


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _counts(value: Any) -> bool:
    return _plain(value, also=lambda v: callable(v) or isinstance(v, torch.Tensor))


def _code(code: types.CodeType) -> list[Any]:
    constants = [
        _code(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts
    ]
    return [
        code.co_code.hex(),
        constants,
        list(code.co_names),
        list(code.co_varnames),
        list(code.co_freevars),
    ]


def _constant(value: Any) -> str:
    """repr, with sets in order: theirs changes with each process's hash seed."""
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    return repr(value)


def _bound(function: Any, seen: Seen) -> list[Any]:
    """The values and callables a function closed over, and its defaults: two closures of one factory are two losses."""
    if _is_library(function):
        return []
    names, closure = (
        getattr(getattr(function, "__code__", None), "co_freevars", ()),
        getattr(function, "__closure__", None) or (),
    )
    cells = [
        c.cell_contents
        for name, c in zip(names, closure, strict=True)
        if name != "__class__" and _filled(c)
    ]
    named = (getattr(function, "__kwdefaults__", None) or {}).values()
    return [
        _told(v, seen)
        for v in [*cells, *(getattr(function, "__defaults__", None) or ()), *named]
        if _counts(v)
    ]


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (an unfilled cell raises)
    except ValueError:
        return False
    return True
