"""Pickles of numbers and texts, read without running any code, as CIFAR's batches are.

A pickle is a small program. Here its instructions are carried out by a machine that knows plain
values and numpy's arrays; one that asks for anything else is refused by name.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ...errors import DataError
from .place import damaged, unreadable

_MARK = object()
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy", "_codecs")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_CALLS = {(module, "_reconstruct") for module in _MODULES[:2]}
_CALLS |= {(module, "_frombuffer") for module in _NUMERIC}
_KNOWN = _CALLS | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
_KNOWN |= {("__builtin__", "bytes")}  # of nothing: so Python 3 writes b"" for Python 2


class _Refused(ValueError):
    """The pickle asks for something that is no number and no text."""


class _Global(str):
    """A name that a pickle may ask for: `numpy dtype`."""


class _Array:
    """An array, or a dtype, whose state is still to come."""

    def __init__(self, kind: str, start: Any = None) -> None:
        self.kind, self.value = kind, start


def read_pickle(path: Path) -> Any:
    """Read a pickle of dicts, lists, tuples, texts, numbers and numpy's arrays.

    Texts of Python 2 become str; bytes stay bytes.

    Raises
    ------
    DataError
        It is no whole pickle, or it asks for anything else: that is never run.
    """
    try:
        return _Machine().run(path.read_bytes())
    except OSError as err:
        raise unreadable(path, err) from err
    except _Refused as err:
        fix = "get the file from its publisher, or save the numbers as .npz"
        raise DataError(f"{path} is not read.", str(err), fix) from err
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as err:
        raise damaged(path, f"it is no whole pickle: {err}") from err


class _Machine:
    """Carries out the instructions of one pickle."""

    def __init__(self) -> None:
        self.stack, self.memo = list[Any](), dict[int, Any]()

    def run(self, content: bytes) -> Any:
        for code, value, _ in pickletools.genops(content):
            name = code.name
            if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            elif name in _VALUES:
                self.stack.append(value)
            elif name in _STEPS:
                _STEPS[name](self, value)
            elif name not in ("PROTO", "FRAME", "STOP"):
                raise _Refused(f"it has the instruction {name}, which no numbers need")
        return _finished(self.stack.pop())

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def top(self, number: int) -> tuple[Any, ...]:
        values = tuple(self.stack[-number:])
        if len(values) < number:
            raise ValueError("it ends too early")
        del self.stack[-number:]
        return values

    def memorize(self, value: Any) -> None:
        self.memo[len(self.memo) if value is None else int(value)] = self.stack[-1]

    def fill(self, values: Iterable[Any]) -> None:
        """Put values into the list or dict that lies on the stack."""
        values, target = list(values), self.stack[-1]
        if isinstance(target, dict):
            target.update(
                zip(map(_finished, values[::2]), map(_finished, values[1::2]), strict=True)
            )
        else:
            target.extend(map(_finished, values))

    def name(self, module: Any, name: Any) -> None:
        if (module, name) not in _KNOWN:
            raise _Refused(f"it asks for {module}.{name}, which may run code")
        self.stack.append(_Global(name))

    def call(self) -> None:
        function, values = self.top(2)
        if not isinstance(function, _Global):
            raise _Refused("it calls something that is no function of numpy")
        if function not in _CALLED:
            raise _Refused(f"it calls {function}, which no array needs")
        self.stack.append(_CALLED[function](*values))

    def build(self) -> None:
        """Give an array or dtype its state."""
        (state,) = self.top(1)
        target = self.stack[-1]
        if not isinstance(target, _Array):
            raise _Refused("it changes something that is no array")
        if target.kind == "dtype":
            target.value = target.value.newbyteorder(state[1]) if state[1] in "<>" else target.value
        else:
            _, shape, dtype, fortran, content = state
            target.value = _array(content, _finished(dtype), shape, "F" if fortran else "C")


def _finished(value: Any) -> Any:
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array has no numbers")
        return value.value
    if isinstance(value, _Global) or value is _MARK:
        raise _Refused(f"it holds the function {value}")
    return tuple(map(_finished, value)) if isinstance(value, tuple) else value


def _dtype(text: Any, *_: Any) -> _Array:
    dtype = np.dtype(str(text))
    if dtype.kind not in "biufSU":
        raise _Refused(f"it holds an array of {dtype}, not of numbers")
    return _Array("dtype", dtype)


def _array(content: Any, dtype: np.dtype[Any], shape: Any, order: Any = "C") -> ndarray:
    content = content.encode("latin-1") if isinstance(content, str) else content
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if math.prod(sizes) * dtype.itemsize != len(content) or min(sizes, default=0) < 0:
        raise ValueError(f"it states {sizes} {dtype} and holds {len(content):,} bytes")
    return np.frombuffer(content, dtype).reshape(sizes, order=order)


def _encoded(text: str, coding: str = "latin1") -> bytes:
    if coding not in ("latin1", "latin-1"):
        raise _Refused(f"it has text in {coding}")
    return text.encode("latin-1")


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    return _Array("array", _array(content, _finished(dtype), shape, order))


_CALLED: dict[str, Callable[..., Any]] = {
    "_reconstruct": lambda *_: _Array("array"),
    "_frombuffer": _from_buffer,
    "dtype": _dtype,
    "encode": _encoded,
    "bytes": lambda: b"",
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_VALUES = frozenset(
    """
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING
    UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
    """.split()
)


def _dict_of(machine: _Machine, _: Any) -> None:
    values = machine.since_mark()
    machine.stack.append({})
    machine.fill(values)


_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "DICT": _dict_of,
    "LIST": lambda m, _: m.stack.append(list(map(_finished, m.since_mark()))),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.stack.append(m.top(1)),
    "TUPLE2": lambda m, _: m.stack.append(m.top(2)),
    "TUPLE3": lambda m, _: m.stack.append(m.top(3)),
    "APPEND": lambda m, _: m.fill(m.top(1)),
    "APPENDS": lambda m, _: m.fill(m.since_mark()),
    "SETITEM": lambda m, _: m.fill(m.top(2)),
    "SETITEMS": lambda m, _: m.fill(m.since_mark()),
    "PUT": _Machine.memorize,
    "BINPUT": _Machine.memorize,
    "LONG_BINPUT": _Machine.memorize,
    "MEMOIZE": _Machine.memorize,
    "GET": lambda m, n: m.stack.append(m.memo[int(n)]),
    "BINGET": lambda m, n: m.stack.append(m.memo[n]),
    "LONG_BINGET": lambda m, n: m.stack.append(m.memo[n]),
    "POP": lambda m, _: m.stack.pop(),
    "GLOBAL": lambda m, text: m.name(*text.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name(*m.top(2)),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
}
