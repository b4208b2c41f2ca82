"""Spelling: an argument that does not exist is told in plain words, with the one that was meant."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def misspelt(
    call: Callable[..., Any],
    args: Sequence[Any],
    options: Mapping[str, Any],
    *,
    mine: Collection[str] = (),
) -> str | None:
    """What is wrong with the names of these options, in a sentence; None if nothing is. `mine` are not for the user to give."""
    names = [name for name in inspect.signature(call).parameters if name not in mine]
    if args and mine:
        return f"options have names, such as {names[0]}=…; {args[0]!r} has none"
    for name in options:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.5)
            return f"there is no option {name}=: {f'did you mean {near[0]}=?' if near else 'there are ' + ', '.join(names)}"
    return None


def spelt(call: Callable[P, T]) -> Callable[P, T]:
    """The same function; a misspelt argument is a TypeError in plain words."""

    @functools.wraps(call)
    def checked(*args: P.args, **options: P.kwargs) -> T:
        if why := misspelt(call, args, options):
            raise TypeError(f"{call.__name__}(): {why}")
        return call(*args, **options)

    return checked
