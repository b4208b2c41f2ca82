"""How the weights change: the optimizer, the learning rate at each step, and the average of the weights."""

from __future__ import annotations

import fnmatch
import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import ModelError, RecipeError
from ..recipe import Recipe


def build(
    optimizer: Any,
    model: nn.Module,
    recipe: Recipe,
    lr: float | dict[str, float],
    weight_decay: float,
) -> torch.optim.Optimizer:
    """The optimizer over the model's parameters. Frozen parameters are in it too: without gradients they are passed over.

    Parameters
    ----------
    optimizer : None for the recipe's name, else a class, or an instance over the model's own parameters
    lr : float, or {pattern: float} matched against parameter names, first match wins

    Raises
    ------
    ModelError, RecipeError
    """
    if not any(p.requires_grad for p in model.parameters()):
        why = "it has no parameters, or all of them are frozen"
        raise ModelError(
            "The network has nothing that learns.", why, "call model.requires_grad_(True)"
        )
    if isinstance(optimizer, torch.optim.Optimizer):
        if recipe.layer_decay is not None:
            fix = "drop it, or write optimizer='adamw'"
            raise RecipeError(
                "layer_decay= and an optimizer were both given.",
                "the optimizer has its own learning rates",
                fix,
            )
        return _own(optimizer, model)
    kind = _kind(optimizer, recipe)
    args: dict[str, Any] = {}
    groups = _groups(model, lr)
    if recipe.layer_decay is not None:
        groups = _decayed(model, groups, recipe.layer_decay)
    takes = inspect.signature(kind.__init__).parameters
    for name, value in {"weight_decay": weight_decay, "momentum": recipe.momentum}.items():
        if name in takes and (name != "momentum" or optimizer is None):
            args[name] = value
    plain = all(
        p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in model.parameters()
    )
    if plain and optimizer is None and recipe.optimizer in ("adamw", "adam", "sgd"):
        args["fused"] = True  # one kernel for all tensors
    try:
        return kind(groups, **args)
    except (TypeError, ValueError) as err:
        fix = f"pass an instance: optimizer=torch.optim.{kind.__name__}(model.parameters(), …), or write optimizer='adamw'"
        raise ModelError(
            f"optimizer={kind.__name__} cannot be made for this network.", str(err), fix
        ) from err


_KINDS: dict[str, type[torch.optim.Optimizer]] = {
    kind.__name__.lower(): kind
    for kind in (
        torch.optim.AdamW,
        torch.optim.Adam,
        torch.optim.SGD,
        torch.optim.RMSprop,
        torch.optim.Adagrad,
        torch.optim.NAdam,
        torch.optim.RAdam,
    )
}


def name_of(optimizer: Any) -> str | None:
    """The recipe's name for one of torch's own classes: torch.optim.SGD is "sgd", with sgd's usual rate, decay and momentum."""
    return next((name for name, kind in _KINDS.items() if kind is optimizer), None)


def _kind(optimizer: Any, recipe: Recipe) -> type[torch.optim.Optimizer]:
    if optimizer is None:
        return _KINDS[recipe.optimizer]
    if inspect.isclass(optimizer) and issubclass(optimizer, torch.optim.Optimizer):
        _by_batches(optimizer)
        return optimizer
    raise ModelError(
        f"optimizer= is a {getattr(optimizer, '__name__', type(optimizer).__name__)}.",
        "a name, an optimizer class or an optimizer was expected",
        "write optimizer='adam', or optimizer=torch.optim.Adam(model.parameters(), lr=1e-3)",
    )


def _own(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    mine = {id(p) for p in model.parameters()}
    theirs = [p for group in optimizer.param_groups for p in group["params"]]
    if not any(id(p) in mine for p in theirs):
        raise ModelError(
            "The optimizer holds no parameter of this model.",
            "it was made over another model, or before this one's layers were replaced",
            "make it again: torch.optim.Adam(model.parameters()), or write optimizer='adam'",
        )
    _by_batches(type(optimizer))
    return optimizer


def _by_batches(kind: type) -> None:
    if issubclass(kind, torch.optim.LBFGS):
        raise ModelError(
            "LBFGS cannot train by batches here.",
            "its step evaluates the loss several times",
            "write optimizer='adamw'",
        )


def _groups(model: nn.Module, lr: float | dict[str, float]) -> list[dict[str, Any]]:
    if not isinstance(lr, dict):
        return [{"params": list(model.parameters()), "lr": lr}]
    groups: dict[str, list[nn.Parameter]] = {pattern: [] for pattern in lr}
    orphans = []
    for name, parameter in model.named_parameters():
        pattern = next((p for p in lr if fnmatch.fnmatchcase(name, p)), None)
        if pattern is None:
            orphans.append(name)
        else:
            groups[pattern].append(parameter)
    if orphans:
        raise RecipeError(
            f"lr= gives no learning rate for {orphans[0]}"
            + (f" and {len(orphans) - 1} more parameters." if len(orphans) > 1 else "."),
            f"the patterns are {', '.join(lr)}",
            "add a last pattern for the rest: lr={…, '*': 1e-4}",
        )
    for pattern, found in groups.items():
        if not found:
            first = ", ".join(name for name, _ in list(model.named_parameters())[:6])
            what = f"lr= names {pattern!r}, which no parameter is called."
            raise RecipeError(what, f"the parameters are {first} …", "correct the pattern")
    return [{"params": found, "lr": lr[pattern]} for pattern, found in groups.items()]


def layers(model: nn.Module) -> list[str]:
    """The layers of a network in their order, as its parameters' names tell them: conv1, layer1 …, fc; features.0 …; encoder.layers.0 …"""
    return list(dict.fromkeys(_layer(name) for name, _ in model.named_parameters()))


def _layer(name: str) -> str:
    """Up to the first part with a digit, or without the last part."""
    parts = name.split(".")
    counted = next(
        (i for i, part in enumerate(parts) if any(c.isdigit() for c in part)), len(parts) - 2
    )
    return ".".join(parts[: max(counted, 0) + 1])


def _decayed(model: nn.Module, groups: list[dict[str, Any]], decay: float) -> list[dict[str, Any]]:
    """Each group's rate smaller from layer to layer towards the pictures (Howard and Ruder 2018; Clark et al. 2020), the fastest first."""
    order = layers(model)
    depth = {
        id(p): len(order) - 1 - order.index(_layer(name)) for name, p in model.named_parameters()
    }
    found = []
    for group in groups:
        for layer in sorted({depth[id(p)] for p in group["params"]}):
            found.append(
                {
                    "params": [p for p in group["params"] if depth[id(p)] == layer],
                    "lr": group["lr"] * decay**layer,
                }
            )
    return sorted(found, key=lambda group: -group["lr"])


@dataclass(frozen=True)
class Schedule:
    """The factor on every group's learning rate at an optimizer step.

    name : cosine (Loshchilov and Hutter 2017, one cycle without restart), step, onecycle (Smith 2018, the cosine form), constant
    total, per_epoch, warmup : optimizer steps
    begin : the step it begins at: what came before was the head's alone
    """

    name: str
    total: int
    per_epoch: int
    warmup: int = 0
    step_size: int = 7
    gamma: float = 0.1
    begin: int = 0

    @classmethod
    def of(cls, recipe: Recipe, per_epoch: int, *, begin: int = 0) -> Schedule:
        warmup = round(recipe.warmup_epochs * per_epoch)
        return cls(
            recipe.lr_schedule,
            recipe.epochs * per_epoch,
            per_epoch,
            warmup,
            recipe.step_size,
            recipe.gamma,
            begin,
        )

    @property
    def ends(self) -> bool:
        """Whether the course depends on how long the run is: then more epochs change the steps to come."""
        return self.name in ("cosine", "onecycle")

    def factor(self, step: int) -> float:
        """Factor for the step that comes after `step` finished ones."""
        step, total = step - self.begin, self.total - self.begin
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        match self.name:
            case "cosine":
                return _cosine((step - self.warmup) / max(1, total - self.warmup), 1.0, 0.0)
            case "step":
                return self.gamma ** (step // self.per_epoch // self.step_size)
            case "onecycle":
                peak, last = 0.3 * total - 1, total - 1  # as torch's OneCycleLR counts
                if step <= peak:
                    return _cosine(step / peak, 1 / 25, 1.0)
                return _cosine((step - peak) / (last - peak), 1.0, 1 / 25 / 1e4)
            case _:
                return 1.0


def _cosine(done: float, start: float, end: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Average:
    """A shadow of every trainable weight; buffers stay the model's own."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._names: dict[nn.Parameter, list[str]] = {}  # a tied weight has several
        for name, p in model.named_parameters(remove_duplicate=False):
            if p.is_floating_point():
                self._names.setdefault(p, []).append(name)
        self.shadow = {
            name: shadow
            for p, names in self._names.items()
            for shadow in (p.detach().clone(),)
            for name in names
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps. Young averages forget faster: else short runs would keep their first weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for p, names in self._names.items():
            self.shadow[names[0]].lerp_(p, 1 - decay)

    @contextmanager
    def worn(self) -> Iterator[None]:
        """The model with the averaged weights, for as long as the block lasts."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for p, names in self._names.items():
            p.data, shadow = self.shadow[names[0]], p.data
            self.shadow.update(dict.fromkeys(names, shadow))
