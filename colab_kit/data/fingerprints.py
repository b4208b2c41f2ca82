"""Fingerprints: what data is, as a hash that is the same on every machine and on every day."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import types
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import keyed_random
from .file_table import FileTable

ENDS = 3  # items read at each end of a user's own dataset
DIGITS = 32  # of the hex digest that are kept
EDGE = 16 << 10  # bytes at each end of a file that stand for its content


def of_array(x: Any) -> str:
    """Hash an array or tensor by type, shape and content."""
    x = np.ascontiguousarray(x.detach().cpu().numpy() if hasattr(x, "detach") else x)
    digest = hashlib.sha256(f"{x.dtype.str} {x.shape}|".encode())
    digest.update(x.view(np.uint8).reshape(-1).data if x.size else b"")
    return digest.hexdigest()[:DIGITS]


def of_files(files: FileTable, contents: Mapping[int, str], root: Path) -> str:
    """Hash picture files by their names below `root`, their sizes, and the content of some.

    Parameters
    ----------
    contents : what image_checks saw of the content, by row
    """
    names = unicodedata.normalize("NFC", "\0".join(files.below(root)))
    digest = hashlib.sha256(names.encode(errors="surrogateescape"))
    digest.update(files.sizes.astype("<i8").data)
    for row, content in contents.items():
        digest.update(f"{row} {content}\n".encode())
    return digest.hexdigest()[:DIGITS]


def of_ends(size: int, head: bytes, tail: bytes) -> str:
    """Hash a file's content by its size and both ends: EDGE bytes, where it has as many."""
    return hashlib.sha256(b"%d|" % size + head + tail).hexdigest()[:DIGITS]


def of_content(content: bytes) -> str:
    """Hash the whole content of a file, as of_ends does."""
    head, size = content[:EDGE], len(content)
    return of_ends(size, head, content[max(len(head), size - EDGE) :])


def of_split(rows: np.ndarray, labels: np.ndarray) -> str:
    """Hash which rows a split holds, and their labels, whatever chose them."""
    number = "<i8" if labels.ndim == 1 else "<f4"
    return of_value([of_array(rows.astype("<i8")), of_array(labels.astype(number))])


def of_value(value: Any) -> str:
    """Hash anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def of_dataset(dataset: Any, looked: keyed_random.Looked | None = None) -> tuple[str, bool]:
    """Hash a user's own dataset by class, length, plain attributes, and its first and last items.

    Parameters
    ----------
    looked : Looked, optional
        Items that were read already. The first and the last one are read again.

    Returns
    -------
    print, keyed
        The hash, and whether an item read twice under one key was the same. Where it was not, the
        dataset draws numbers that no key reaches, and its items are left out of the hash.
    """
    n = len(dataset)
    rows = sorted({*range(min(ENDS, n)), *range(max(0, n - ENDS), n)})
    looked = looked or keyed_random.Looked(dataset)
    items = [_of_item(looked[row]) for row in rows]
    again = [_of_item(keyed_random.item_under_key(dataset, row)) for row in (rows[0], rows[-1])]
    keyed = [items[0], items[-1]] == again
    attributes = _plain(getattr(dataset, "__dict__", {}))
    return of_value([_class_name(dataset), n, attributes, items if keyed else None]), keyed


def of_callable(function: Any) -> str:
    """Hash a function by name, code and what it is bound to; an object by class and attributes."""
    if isinstance(function, functools.partial):
        keywords = function.keywords
        bound = [_bound(function.args), list(keywords), _bound(keywords.values())]
        return of_value([of_callable(function.func), *bound])
    if isinstance(function, types.MethodType):
        return of_value([_coded(function.__func__), of_callable(function.__self__)])
    if isinstance(function, types.FunctionType):
        empty = types.CellType()  # a cell that is not filled yet has no content
        cells = [cell.cell_contents for cell in function.__closure__ or () if cell != empty]
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        return of_value([_coded(function), _bound([*cells, *defaults])])
    members = vars(type(function)).items()
    methods = {name: _coded(f) for name, f in members if isinstance(f, types.FunctionType)}
    own = getattr(function, "__dict__", {})
    values = {name: _of_item(value) for name, value in own.items() if not isinstance(value, str)}
    return of_value([_class_name(function), methods, _plain(own), values])


def _bound(values: Iterable[Any]) -> list[Any]:
    return [_coded(v) if isinstance(v, types.FunctionType) else _of_item(v) for v in values]


def _coded(function: Any) -> list[Any]:
    return [f"{function.__module__}.{function.__qualname__}", _code(function.__code__)]


def _code(code: types.CodeType) -> list[Any]:
    """Bytecode: comments do not count."""
    return [code.co_code.hex(), [_constant(value) for value in code.co_consts], list(code.co_names)]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, frozenset):  # its order differs from process to process
        return sorted(map(repr, value))
    return repr(value)


def _class_name(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _of_item(item: Any) -> str:
    """Hash pictures and arrays by content, containers by members, anything else by class."""
    if isinstance(item, tuple | list):
        return of_value([_of_item(part) for part in item])
    if isinstance(item, dict):
        return of_value({str(key): _of_item(part) for key, part in item.items()})
    if hasattr(item, "detach") or isinstance(item, np.ndarray | np.generic):
        return of_array(item)
    if hasattr(item, "getbands"):  # a PIL picture
        return f"{item.mode} {of_array(np.asarray(item))}"
    plain = isinstance(item, str | int | float | bool | type(None))
    return repr(item) if plain else _class_name(item)


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    """Give the attributes that say how a dataset reads; its place on this machine says nothing."""
    out: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, str):
            if not os.path.isabs(os.path.expanduser(value)):
                out[name] = value
        elif isinstance(value, int | float | bool | type(None)):
            out[name] = value
        elif callable(value):
            out[name] = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return out
