"""Sealed records: JSON that says whether it is whole and what it is of, read within limits.

What a prediction depends on stands in such records, and what spares work the next time. The seal is
a hash of what the record says: one changed digit breaks it, another layout of the same text does
not. It is kept against accidents, not against somebody who computes a new one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from .files import LONGEST, digest, parse, write_json

SEAL, OF = "seal", "of"  # names that no record has for anything else
RUN = "run"  # what a run.json is of; a choices.json is of the start of its run
BROKEN = "it was changed after it was written: its seal does not fit what it says"


def write_record(path: Path, of: str, content: dict[str, Any]) -> None:
    """Write plain data as a sealed record, whole or not at all.

    Parameters
    ----------
    of : str
        What the record is of; who reads it says so too, so that no other record takes its place.

    Raises
    ------
    RunError
        The disk is full, or the folder cannot be written.
    """
    write_json(path, sealed(of, content))


def sealed(of: str, content: dict[str, Any]) -> dict[str, Any]:
    """Give plain data with its seal."""
    assert not {SEAL, OF} & content.keys()
    plain = parse(json.dumps({OF: of, **content}))
    return {SEAL: digest(plain), **plain}


def read_record(path: Path, of: str) -> dict[str, Any] | None:
    """Read a sealed record; None where there is none.

    Raises
    ------
    ValueError
        It is damaged, was edited, or is of something else. The message says which.
    OSError
        The disk does not give it.
    """
    try:
        text = read_short(path)
    except FileNotFoundError:
        return None
    return unsealed(parse(text), of)


def unsealed(record: Any, of: str) -> dict[str, Any]:
    """Give the content of a record that was parsed; ValueError as for `read_record`."""
    if not isinstance(record, dict):
        raise ValueError(f"it holds a {type(record).__name__}, not a record")
    content = {name: value for name, value in record.items() if name != SEAL}
    if record.get(SEAL) != digest(content):
        raise ValueError(BROKEN if SEAL in record else "it has no seal: another program wrote it")
    if content.pop(OF, None) != of:
        raise ValueError("it is of something else: another file was put in its place")
    return content


def read_short(path: Path) -> bytes:
    """Read a file of at most LONGEST bytes.

    Raises
    ------
    ValueError
        It is no file. One byte too many is read of a longer one, which `parse` refuses.
    OSError
        It is not there, or the disk does not give it.
    """
    with open(path, "rb", opener=_at_once) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no file")
        return file.read(min(facts.st_size, LONGEST) + 1)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would be waited for


def check(kind: Any, value: Any, at: str = "it") -> None:
    """Compare plain data with a type; a dataclass stands for an object of its fields.

    Raises
    ------
    ValueError
        A field is missing, is none of the dataclass's, or has another type. It names the place.
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if origin in (Union, types.UnionType):
        _check_any(args, value, at)
    elif dataclasses.is_dataclass(kind):
        _check_object(kind, value, at)
    elif origin is dict and isinstance(value, dict):
        for name, inner in value.items():
            check(args[1], inner, f"{at}.{name}")
    elif origin in (list, tuple) and isinstance(value, list | tuple):
        kinds = [args[0]] * len(value) if origin is list or args[-1] is ... else args
        if len(kinds) != len(value):
            raise ValueError(f"{at} has {len(value)} entries, not {len(kinds)}")
        for number, (one, inner) in enumerate(zip(kinds, value, strict=True)):
            check(one, inner, f"{at}[{number}]")
    elif type(value) is not kind and not (kind is float and type(value) is int):
        name = getattr(origin or kind, "__name__", str(kind))
        raise ValueError(f"{at} is {type(value).__name__}, not {name}")


def _check_any(kinds: tuple[Any, ...], value: Any, at: str) -> None:
    errors = []
    for kind in kinds:
        try:
            return check(kind, value, at)
        except ValueError as err:
            errors.append(err)
    raise errors[0]


def _check_object(kind: Any, value: Any, at: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{at} is {type(value).__name__}, not an object")
    hints = get_type_hints(kind)
    for name in value.keys() - hints.keys():
        raise ValueError(f"{at}.{name} is not known")
    for name, hint in hints.items():
        if name not in value:
            raise ValueError(f"{at}.{name} is missing")
        check(hint, value[name], f"{at}.{name}")
