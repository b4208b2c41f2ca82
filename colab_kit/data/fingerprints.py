"""Fingerprints: what data is, as a hash that is the same on every machine and on every day."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import types
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import keyed_random

ENDS = 3  # items read at each end of a user's own dataset
DIGITS = 32  # of the hex digest that are kept


def of_array(x: Any) -> str:
    """An array or tensor, by type, shape and content."""
    x = np.ascontiguousarray(x.detach().cpu().numpy() if hasattr(x, "detach") else x)
    digest = hashlib.sha256(f"{x.dtype.str} {x.shape}|".encode())
    digest.update(x.view(np.uint8).reshape(-1).data if x.size else b"")
    return digest.hexdigest()[:DIGITS]


def of_files(paths: Sequence[Path], prints: Sequence[str], root: Path) -> str:
    """Picture files, by their names below `root` and by the size and both ends of each (checks.look_at)."""
    digest = hashlib.sha256()
    for path, seen in zip(paths, prints, strict=True):
        name = unicodedata.normalize("NFC", os.path.relpath(path, root).replace(os.sep, "/"))
        digest.update(f"{name}\0{seen}\n".encode())
    return digest.hexdigest()[:DIGITS]


def of_dataset(dataset: Any) -> tuple[str, bool]:
    """A user's own dataset, by class, length, plain attributes, and its first and last items read under fixed keys.

    Returns
    -------
    print, keyed : the hash; whether an item read twice under one key was the same
        If not, the items are left out of the hash: the dataset draws numbers that no key reaches.
    """
    n = len(dataset)
    rows = sorted({*range(min(ENDS, n)), *range(max(0, n - ENDS), n)})
    items, again = (_items(dataset, rows) for _ in range(2))
    same = items == again
    return of_value(
        [
            _name(dataset),
            n,
            _plain(vars(dataset) if hasattr(dataset, "__dict__") else {}),
            items if same else None,
        ]
    ), same


def of_callable(function: Any) -> str:
    """A function by name, code and what it is bound to; an object that is called by its class, attributes and methods."""
    if isinstance(function, functools.partial):
        return of_value(
            [
                of_callable(function.func),
                _bound(function.args),
                list(function.keywords),
                _bound(function.keywords.values()),
            ]
        )
    if isinstance(function, types.MethodType):
        return of_value([_coded(function.__func__), of_callable(function.__self__)])
    if isinstance(function, types.FunctionType):
        cells = [
            cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType()
        ]  # an unfilled one has none
        return of_value(
            [
                _coded(function),
                _bound(
                    [
                        *cells,
                        *(function.__defaults__ or ()),
                        *(function.__kwdefaults__ or {}).values(),
                    ]
                ),
            ]
        )
    methods = {
        name: _coded(f)
        for name, f in vars(type(function)).items()
        if isinstance(f, types.FunctionType)
    }
    own = getattr(function, "__dict__", {})
    held = {name: _of_item(value) for name, value in own.items() if not isinstance(value, str)}
    return of_value([_name(function), methods, _plain(own), held])


def _bound(values: Iterable[Any]) -> list[Any]:
    return [
        _coded(value) if isinstance(value, types.FunctionType) else _of_item(value)
        for value in values
    ]


def _coded(function: Any) -> list[Any]:
    return [f"{function.__module__}.{function.__qualname__}", _code(function.__code__)]


def _code(code: types.CodeType) -> list[Any]:
    """Bytecode: comments do not count."""
    return [code.co_code.hex(), [_constant(value) for value in code.co_consts], list(code.co_names)]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _code(value)
    return (
        sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)
    )  # a set's own order changes by process


def of_split(rows: np.ndarray, labels: np.ndarray) -> str:
    """Which rows a split holds, and their labels: whatever chose them, this is what it came to."""
    return of_value(
        [
            of_array(rows.astype("<i8")),
            of_array(labels.astype("<i8" if labels.ndim == 1 else "<f4")),
        ]
    )


def of_value(value: Any) -> str:
    """Anything JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[
        :DIGITS
    ]


def _name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _items(dataset: Any, rows: Sequence[int]) -> list[str]:
    out = []
    with keyed_random.outer_streams_kept():
        for row in rows:
            keyed_random.seed_all(*keyed_random.sample_key(0, 0, row))
            out.append(_of_item(dataset[row]))
    return out


def _of_item(item: Any) -> str:
    """Pictures and arrays by content, containers by their members, anything else by its class."""
    if isinstance(item, tuple | list):
        return of_value([_of_item(part) for part in item])
    if isinstance(item, dict):
        return of_value({str(key): _of_item(part) for key, part in item.items()})
    if hasattr(item, "detach") or isinstance(item, np.ndarray | np.generic):
        return of_array(item)
    if hasattr(item, "getbands"):  # a PIL picture
        return f"{item.mode} {of_array(np.asarray(item))}"
    return repr(item) if isinstance(item, str | int | float | bool | type(None)) else _name(item)


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes that say how a dataset reads; where it lies on this machine says nothing."""
    out: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, str) and not os.path.isabs(os.path.expanduser(value)):
            out[name] = value
        elif isinstance(value, int | float | bool | type(None)):
            out[name] = value
        elif callable(value):
            out[name] = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return out
