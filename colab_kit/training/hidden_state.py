"""What a checkpoint does not hold: state outside of state_dict, and draws that no key reaches.

Code of a user may count in an attribute, keep a generator of its own, or draw from `random` and
numpy. What is seen to change between two looks is named, and the promise of equal bits goes with
it; the two generators of the process are keyed for each step like torch's once a step drew from
them.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data import keyed_random
from ..models.packing import pack
from ..models.weights import untouched

FIRST = 8  # steps of a run that are looked at for draws, each
DEEP = 4  # containers in containers that are looked into
MANY = 256  # items of a container that are looked at
_OF_MODULE = set(nn.Module().__dict__) | {"_forward_hooks_with_kwargs", "_is_full_backward_hook"}
_OF_OPTIMIZER = set(
    "defaults state param_groups step _step_count _opt_called _need_device_dtype_check_for_fused "
    "_zero_grad_profile_name _warned_capturable_if_run_uncaptured".split()
)
Name = tuple[str, str, str]  # of the object, of its part, of an attribute
_OURS = ("torch", "builtins", "colab_kit")  # whose objects are not looked into


class Draws:
    """Which of the process's own generators a step draws from: "random", "numpy".

    Parameters
    ----------
    drawn : list of str
        Those that earlier steps drew from; the list grows.
    """

    def __init__(self, drawn: list[str]) -> None:
        self.drawn, self.looks = drawn, FIRST
        self._before: dict[str, Any] = {}
        self._seen: list[str] = []

    def key(self, *key: int, watched: bool = True) -> None:
        """Key the generators for what comes next, where code draws from them, or may.

        Parameters
        ----------
        watched : bool
            Whether it is part of a step that is looked at afterwards. Else both are keyed.
        """
        looks = self.looks if watched else 0
        if looks:
            self._compare()  # what came before in the same step may have drawn
        if looks or self.drawn or not watched:
            number = keyed_random.mix(*key)
            if looks or not watched or "random" in self.drawn:
                random.seed(number)
            if looks or not watched or "numpy" in self.drawn:
                np.random.seed(number & 0xFFFF_FFFF)
        if looks:
            self._before = _generators()

    def look(self) -> list[str]:
        """Name the generators that this step drew from, and none before."""
        if not self.looks:
            return []
        self.looks -= 1
        self._compare()
        new = [name for name in self._seen if name not in self.drawn]
        self.drawn += new
        self._seen, self._before = [], {}
        return new

    def _compare(self) -> None:
        now = _generators() if self._before else {}
        self._seen += [name for name in now if now[name] != self._before[name]]


def _generators() -> dict[str, Any]:
    numbers: Any = np.random.get_state()
    return {"random": random.getstate(), "numpy": (numbers[1].tobytes(), *numbers[2:])}


@dataclass(frozen=True)
class TensorMark:
    """A tensor at one moment: two are equal where their numbers are, wherever they lie."""

    sums: tuple[float, float]
    place: int = field(compare=False)
    writes: int = field(compare=False)


class HiddenState:
    """What a network, a loss and an optimizer keep outside of what a checkpoint holds.

    Parameters
    ----------
    roots : dict
        {what it is called: the object}
    """

    def __init__(self, roots: dict[str, Any]) -> None:
        self.roots = roots
        self._parts = {  # listed once: of 2,000 layers that is a third of a look
            called: list(root.named_modules()) if isinstance(root, nn.Module) else [("", root)]
            for called, root in roots.items()
        }
        self._before, self._looks = self._look(), 0

    def changed(self, alike: Callable[[], bool]) -> list[str]:
        """Name what has changed since the object was made.

        Parameters
        ----------
        alike : callable
            Whether two passes over the same pictures give the same: then tensors that each pass
            puts into an attribute are only kept to be looked at. It is asked at the first, second,
            fourth, eighth … look: two passes cost more than a look.
        """
        now, self._looks = self._look(), self._looks + 1
        is_due = self._looks & (self._looks - 1) == 0
        names = [name for name in now if now[name] != self._before.get(name)]
        sure = [name for name in names if self._is_sure(name, now[name])]
        found = names if len(sure) < len(names) and is_due and not alike() else sure
        return [".".join(filter(None, name)) for name in found]

    def _is_sure(self, name: Name, mark: Any) -> bool:
        """Whether a change is more than tensors to look at; an optimizer keeps none for that."""
        is_optimizer = isinstance(self.roots[name[0]], torch.optim.Optimizer)
        return is_optimizer or not _is_replaced(mark, self._before.get(name))

    def _look(self) -> dict[Name, Any]:
        out: dict[Name, Any] = {}
        for called, parts in self._parts.items():
            held = _held(self.roots[called])
            for path, part in parts:
                for name, value in _attributes(part):
                    if (mark := _mark(value, DEEP, held)) is not None:
                        out[called, path, name] = mark
        return out


def _held(root: Any) -> frozenset[int]:
    """Where the tensors lie that a checkpoint holds of a user's optimizer; it may wrap another."""
    if not isinstance(root, torch.optim.Optimizer) or type(root).__module__.startswith("torch."):
        return frozenset()
    tensors: dict[str, torch.Tensor] = {}
    pack(root.state_dict(), tensors, "")
    return frozenset(tensor.data_ptr() for tensor in tensors.values())


def _attributes(root: Any) -> Iterator[tuple[str, Any]]:
    """Give what an object keeps that no state_dict holds; of a module's parts, nothing."""
    if isinstance(root, nn.Module):
        for name in root._non_persistent_buffers_set:
            yield name, root._buffers.get(name)
        for name, value in vars(root).items():
            if name not in _OF_MODULE:
                yield name, value
        return
    if type(root).__module__.startswith("torch."):
        return
    known = _OF_OPTIMIZER if isinstance(root, torch.optim.Optimizer) else set()
    for name, value in getattr(root, "__dict__", {}).items():
        if name not in known and not name.startswith("_optimizer_"):
            yield name, value


def _mark(value: Any, deep: int, held: frozenset[int] = frozenset()) -> Any:
    """Tell a value from others: plain data that differs where the value does; None where unknown.

    A tensor counts as changed where its numbers are others.
    """
    match value:
        case bool() | int() | float() | str() | bytes():
            return value
        case nn.Parameter() | nn.Module():
            return None  # a checkpoint holds it
        case torch.Tensor():
            if value.layout != torch.strided or value.is_quantized or value.is_meta:
                return None
            if value.data_ptr() in held:
                return None
            values = value.detach().abs() if value.is_complex() else value.detach().float()
            values = values.nan_to_num()  # nan is never equal to nan
            sums = float(values.sum()), float((values * values).sum())
            return TensorMark(sums, value.data_ptr(), value._version)
        case np.ndarray():
            return ("array", value.nbytes, hashlib.sha1(value.tobytes()).digest())
        case torch.Generator():
            return ("generator", value.get_state().numpy().tobytes())
        case np.random.Generator():
            return ("generator", repr(value.bit_generator.state))
        case np.random.RandomState() | random.Random():
            get = value.getstate if isinstance(value, random.Random) else value.get_state
            return ("generator", repr(get()))
        case torch.optim.Optimizer():  # wrapped by another
            states = [own for own in value.state.values() if isinstance(own, dict)]
            tensors = [t for own in states for t in own.values() if isinstance(t, torch.Tensor)]
            return _items([_mark(tensor, deep, held) for tensor in tensors[:MANY]], len(tensors))
    if deep == 0:
        return None
    if isinstance(value, (list, tuple, set)):
        items = list(value)[:MANY]
        return _items([_mark(item, deep - 1, held) for item in items], len(value))
    if isinstance(value, dict):
        pairs = [(_name(key), own) for key, own in list(value.items())[:MANY]]
        marks = [(key, _mark(own, deep - 1, held)) for key, own in pairs]
        return _items([pair if pair[1] is not None else None for pair in marks], len(value))
    if type(value).__module__.partition(".")[0] in _OURS or not hasattr(value, "__dict__"):
        return None
    return ("object", [(name, _mark(own, deep - 1, held)) for name, own in vars(value).items()])


def _items(marks: list[Any], total: int) -> Any:
    """Mark a container by those of its items that no checkpoint holds; None where there is none."""
    known = [mark for mark in marks if mark is not None]
    left_out = len(marks) - len(known)
    return None if left_out and not known else ("items", total - left_out, known)


def _name(key: Any) -> str:
    return "" if isinstance(key, torch.Tensor) else str(key)


def _is_replaced(now: Any, before: Any) -> bool:
    """Tell whether only tensors came in the place of others, of which nobody knows their use."""
    if isinstance(now, TensorMark):
        # written to in place: the same memory, and torch has counted a write
        is_same = isinstance(before, TensorMark) and now.place == before.place
        return not (is_same and now.writes > before.writes)
    if isinstance(now, tuple) and now[0] == "items":
        old = before[2] if isinstance(before, tuple) and before[0] == "items" else []
        pairs = [(_own(a), _own(b)) for a, b in itertools.zip_longest(now[2], old) if a != b]
        return all(_is_replaced(b if a is None else a, None if a is None else b) for a, b in pairs)
    return False


def _own(item: Any) -> Any:
    """Give the value's mark in an item of a dict, which has its key before it."""
    is_pair = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
    return item[1] if is_pair and item[0] not in ("generator", "object") else item


def passes_alike(model: nn.Module, loss: Any, once: Callable[[], Any], seed: int) -> bool:
    """Whether two training passes under one key give the same bits; all is left as it was.

    Parameters
    ----------
    model, loss : what a pass writes to
    once : callable -> tensors
        One pass.
    """
    kept = untouched(loss, weights=True) if isinstance(loss, nn.Module) else nullcontext()
    answers: list[list[torch.Tensor]] = []
    with kept:
        for _ in range(2):
            with untouched(model, weights=True), torch.enable_grad():  # a loss may ask for it
                model.train()
                keyed_random.seed_all(seed, keyed_random.STEP)
                answers.append([tensor.detach().clone() for tensor in _tensors(once())])
    first, second = answers
    return len(first) == len(second) and all(map(torch.equal, first, second))


def _tensors(answer: Any) -> Iterator[torch.Tensor]:
    if isinstance(answer, torch.Tensor):
        yield answer
    elif isinstance(answer, (list, tuple)):
        for item in answer:
            yield from _tensors(item)
    elif isinstance(answer, dict):
        yield from _tensors(list(answer.values()))
