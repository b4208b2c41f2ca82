"""What makes a model or an object the same one: names, shapes, settings and code.

A model's weights do not count: without a seed they differ in each session.
"""

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
from ..system.files import digest
from .weights import hashes, tensor_hash

LIBRARIES = ("torch", "torchvision", "timm")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_SCALARS = (bool, int, float, str, types.NoneType)
# what every network has: training, hooks, caches
_OF_TORCH = {*vars(nn.Module()), "_compiled_call_impl"}
# id -> number of the visit: code may call itself, and a network may hold a method of its own
Visited = dict[int, int]


def describe_model(model: Any) -> dict[str, Any]:
    """Describe a model as plain data.

    It holds the class, repr, shapes, what is frozen, settings, and the code of classes that are not
    a library's. Settings are the plain attributes and the callables of every layer: repr shows
    neither the heads of an attention, nor what a user's own class was made with.
    """
    return _model(model, {id(model): 0})


def describe(obj: Any) -> Any:
    """Describe an object that travels beside the recipe: name, simple attributes, tensor hashes."""
    return _object(obj, {}, weights=True)


def describe_optimizer(optimizer: Any, model: nn.Module) -> Any:
    """Describe an optimizer; an instance with the names of the parameters in each group."""
    description = describe(optimizer)
    if isinstance(optimizer, torch.optim.Optimizer):
        names = {id(p): name for name, p in model.named_parameters()}
        description["parameters"] = [
            [names.get(id(p), "of another network") for p in group["params"]]
            for group in optimizer.param_groups
        ]
    return description


def check_only_tensors(model: nn.Module) -> None:
    """Refuse a network whose state holds other things: get_extra_state() may return anything.

    Raises
    ------
    ModelError
    """
    for name, value in model.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise ModelError(
                f"The network keeps a {type(value).__name__} in its state, which cannot be saved.",
                f"{name} is no tensor, and a checkpoint holds tensors only (no pickle)",
                "let get_extra_state() return a tensor, or use self.register_buffer(…)",
            )


def _model(model: Any, visited: Visited) -> dict[str, Any]:
    own: dict[str, Any] = {}
    of_library = {}
    for name, module in model.named_modules():
        if not _is_library(type(module)):
            if settings := _settings(module, visited):
                own[name] = settings
    for name, module in model.named_modules():
        if _is_library(type(module)):
            of_library[name] = _settings(module, visited, _defaults(type(module)))
    classes = sorted({type(m) for m in model.modules() if not _is_library(type(m))}, key=_name)
    return {
        "class": _name(type(model)),
        "repr": _ADDRESS.sub("", repr(model)),
        "shapes": {name: _shape(t) for name, t in model.state_dict().items()},
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
        "settings": {**own, "of the library's layers": digest(of_library)},
        "code": {_name(c): _class_code(c, visited) for c in classes},
    }


def _object(obj: Any, visited: Visited, *, weights: bool = False) -> Any:
    """Describe anything.

    Parameters
    ----------
    weights : bool
        Whether the weights of a network count. Those of a network that the object only mentions do
        not: it may be the one in training.
    """

    def inner(value: Any) -> Any:
        return _object(value, visited)

    match obj:
        case None | bool() | int() | float() | str():
            return obj
        case list() | tuple():
            return [inner(v) for v in obj]
        case dict():
            return {str(k): inner(v) for k, v in obj.items()}
        case torch.Tensor():
            return {"tensor": tensor_hash(obj), "shape": list(obj.shape)}
        case torch.optim.Optimizer():
            skipped = ("params", "param_names")
            groups = [
                {k: inner(v) for k, v in group.items() if k not in skipped}
                for group in obj.param_groups
            ]
            return {"class": _name(type(obj)), "groups": groups}
        case types.MethodType():
            method = inner(obj.__func__)
            return {"method": method, "of": _object(obj.__self__, visited, weights=weights)}
    if id(obj) in visited:
        return {"seen": visited[id(obj)]}
    visited[id(obj)] = len(visited)
    match obj:
        case nn.Module():
            description = _model(obj, visited)
            # a network without parameters is a loss: its class weights are a buffer
            if weights or next(obj.parameters(), None) is None:
                description["weights"] = hashes(obj)
            return description
        case type():
            code = "" if _is_installed(obj) else _class_code(obj, visited)
            return {"class": _name(obj), "code": code}
        case functools.partial():
            function, arguments = inner(obj.func), inner(obj.args)
            return {"partial": function, "arguments": arguments, "keywords": inner(obj.keywords)}
        case types.FunctionType():
            code = "" if _is_installed(obj) else digest(_function_code(obj, visited))
            return {"function": _name(obj), "code": code, "bound": _bound(obj, visited)}
        case types.BuiltinFunctionType():
            return {"function": _name(obj)}
    simple = (*_SCALARS, list, tuple, dict, torch.Tensor)
    attributes = {
        k: inner(v)
        for k, v in sorted(getattr(obj, "__dict__", {}).items())
        if isinstance(v, simple) or callable(v)
    }
    code = _class_code(type(obj), visited)
    return {"class": _name(type(obj)), "attributes": attributes, "code": code}


def _shape(value: Any) -> Any:
    if isinstance(value, UninitializedTensorMixin):
        return "lazy"
    return list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__


def _name(thing: Any) -> str:
    """A name without __main__: the class of a cell today is a script's tomorrow."""
    module = "" if thing.__module__ == "__main__" else f"{thing.__module__}."
    return module + str(thing.__qualname__)


def _is_library(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] in LIBRARIES


def _is_installed(thing: Any) -> bool:
    """Whether a package brought it, not the user.

    Its name says what it is then, and its code may change with an upgrade.
    """
    is_module = isinstance(thing, types.ModuleType)
    return _is_package(thing.__name__ if is_module else str(thing.__module__))


def _is_package(module: str) -> bool:
    # cells are the user's, though the launcher whose file __main__ names is a package's
    if module == "__main__":
        return False
    top = module.partition(".")[0]
    file = str(getattr(sys.modules.get(module), "__file__", None) or "")
    return top in LIBRARIES or top in sys.stdlib_module_names or "-packages" in file


def _is_plain(value: Any, *, also: Any = lambda value: False) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(v, also=also) for v in value)
    return isinstance(value, _SCALARS) or also(value)


def _settings(
    module: nn.Module, visited: Visited, defaults: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Describe what a layer was made with: plain attributes and callables.

    Tensors among its attributes do not count: they are weights, or the last batch's.

    Parameters
    ----------
    defaults : dict, optional
        Of a library's layer: only attributes with these names count that have other values, because
        an upgrade may add attributes.
    """
    attributes = {
        k: v
        for k, v in sorted(vars(module).items())
        if k not in _OF_TORCH and _is_plain(v, also=callable)
    }
    if defaults is not None:
        attributes = {
            k: v
            for k, v in attributes.items()
            if k in defaults and v is not defaults[k] and v != defaults[k]
        }
    return {k: _object(v, visited) for k, v in attributes.items()}


def _defaults(cls: type) -> dict[str, Any]:
    """The parameters of a class's own __init__ and of its bases', with their defaults."""
    defaults: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if "__init__" in vars(base) and base not in (object, nn.Module):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            defaults |= {k: p.default for k, p in parameters.items()}
    return defaults


def _class_code(cls: type, visited: Visited) -> str:
    """Hash the functions and plain values that a class and its own (non-library) bases define.

    It hashes bytecode: comments do not count.
    """
    parts: list[list[Any]] = []
    own = [base for base in cls.__mro__ if base is not object and not _is_library(base)]
    for base in own:
        visited.setdefault(id(base), len(visited))  # its methods may name it
    for base in own:
        for name, member in sorted(vars(base).items()):
            functions = _functions(member)
            for function in functions:
                parts.append([name, _function_code(function, visited), _bound(function, visited)])
            if not functions and not name.startswith("__") and _is_plain(member, also=callable):
                parts.append([name, _object(member, visited)])
    return digest(parts)


def _functions(member: Any) -> list[Any]:
    if isinstance(member, (staticmethod, classmethod)):
        return [member.__func__]
    if isinstance(member, property):
        return [f for f in (member.fget, member.fset) if f is not None]
    return [member] if inspect.isfunction(member) else []


def _function_code(function: Any, visited: Visited) -> list[Any]:
    """A function's bytecode, and what it calls or reads of the user's own.

    A helper that was edited in another cell makes another loss.
    """
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    if code is None:
        return []
    own: dict[str, Any] = {}
    if not _is_installed(inner):
        names = _globals(code, inner.__globals__)
        own = {name: _object(v, visited) for name, v in names if _counts(v)}
    if inner is function:
        return [_code(code), own]
    # __globals__ says where a wrapper is from: torch.no_grad's has the name of what it wraps
    module = getattr(function, "__globals__", {}).get("__name__")
    wrapper = [] if _is_package(str(module)) else _code(function.__code__)
    return [_code(code), own, wrapper, _bound(inner, visited)]


def _globals(code: types.CodeType, space: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The globals that code reads, sorted by name; what it sets is a counter and does not count.

    Of the user's own modules (utils.scale) it is the member.
    """
    read: dict[str, Any] = {}
    steps = [step for part in _nested(code) for step in dis.get_instructions(part)]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME") or step.argval not in space:
            continue
        name, value = str(step.argval), space[step.argval]
        is_module = isinstance(value, types.ModuleType) and not _is_installed(value)
        if is_module and following is not None:
            member = str(following.argval)
            name, value = f"{name}.{member}", getattr(value, member, None)
        read[name] = value
    for step in steps:
        if step.opname == "STORE_GLOBAL":
            read.pop(str(step.argval), None)
    yield from sorted(read.items())


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _counts(value: Any) -> bool:
    return _is_plain(value, also=lambda v: callable(v) or isinstance(v, torch.Tensor))


def _code(code: types.CodeType) -> list[Any]:
    names = [list(code.co_names), list(code.co_varnames), list(code.co_freevars)]
    return [code.co_code.hex(), [_constant(c) for c in code.co_consts], *names]


def _constant(value: Any) -> Any:
    """The repr of a constant, sets in order: theirs changes with each process's hash seed."""
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    return repr(value)


def _bound(function: Any, visited: Visited) -> list[Any]:
    """The values and callables a function closed over, and its defaults.

    Two closures of one factory are two losses.
    """
    if _is_library(function):
        return []
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    cells = getattr(function, "__closure__", None) or ()
    values = []
    for name, cell in zip(names, cells, strict=True):
        try:
            if name != "__class__":
                values.append(cell.cell_contents)
        except ValueError:  # nothing was put into the cell yet
            continue
    values += getattr(function, "__defaults__", None) or ()
    values += (getattr(function, "__kwdefaults__", None) or {}).values()
    return [_object(v, visited) for v in values if _counts(v)]
