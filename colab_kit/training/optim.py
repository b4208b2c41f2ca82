"""How the weights change: which of them learn, by which optimizer, at which rate; their average."""

from __future__ import annotations

import fnmatch
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..errors import ModelError, RecipeError
from ..recipe import Recipe
from ..system.timings import during
from .checks import check_gradients, is_sparse

_KINDS: dict[str, type[torch.optim.Optimizer]] = {
    name.lower(): getattr(torch.optim, name)
    for name in ("AdamW", "Adam", "SGD", "RMSprop", "Adagrad", "NAdam", "RAdam")
}


def build(
    optimizer: Any,
    model: nn.Module,
    recipe: Recipe,
    lr: float | dict[str, float],
    weight_decay: float | dict[str, float],
) -> torch.optim.Optimizer:
    """Make the optimizer over the model's parameters.

    Frozen parameters are in it too: it passes over parameters without gradients.

    Parameters
    ----------
    optimizer : None, class or instance
        None: the recipe names it. An instance must hold the model's own parameters.
    model : Module
    recipe : Recipe
    lr : float or dict
        {pattern: float} is matched against parameter names; the first match wins.
    weight_decay : float or dict, as lr
        With decay_biases=False vectors (biases, norms) have none.

    Raises
    ------
    ModelError, RecipeError
    """
    if not any(p.requires_grad for p in model.parameters()):
        raise ModelError(
            "The network has no parameter that can learn.",
            "it has no parameters, or all are frozen",
            "call model.requires_grad_(True)",
        )
    is_object = isinstance(optimizer, torch.optim.Optimizer)
    kind = type(optimizer) if is_object else optimizer or _KINDS[recipe.optimizer]
    if not (inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)):
        raise ModelError(
            f"optimizer= is a {getattr(optimizer, '__name__', type(optimizer).__name__)}.",
            "it takes a name, an optimizer class or an optimizer",
            "write optimizer='adam', or optimizer=torch.optim.Adam(model.parameters(), lr=1e-3)",
        )
    if issubclass(kind, torch.optim.LBFGS):
        raise ModelError(
            "LBFGS cannot train by batches.",
            "each of its steps evaluates the loss several times",
            "write optimizer='adamw'",
        )
    if is_object:
        check_gradients(lambda some: kind(some, **optimizer.defaults), kind, model)
        return _check_own(optimizer, model, recipe)
    groups = _groups(model, lr)
    if recipe.layer_decay is not None:
        groups = _decayed(model, groups, recipe.layer_decay)
    takes, args = inspect.signature(kind.__init__).parameters, dict[str, Any]()
    if "weight_decay" in takes:
        groups = _with_decay(model, groups, weight_decay, vectors=recipe.decay_biases)
    if "momentum" in takes and optimizer is None:
        args["momentum"] = recipe.momentum
    if optimizer is None and recipe.optimizer in ("adamw", "adam", "sgd") and _fusible(model):
        args["fused"] = True  # one kernel for all tensors
    try:
        with during("imports"):  # torch loads its compiler with the first optimizer
            made = kind(groups, **args)
    except (TypeError, ValueError) as err:
        fix = f"pass an instance: optimizer=torch.optim.{kind.__name__}(model.parameters(), …)"
        raise ModelError(
            f"optimizer={kind.__name__} cannot be made for this network.",
            str(err),
            f"{fix}, or write optimizer='adamw'",
        ) from err
    check_gradients(lambda some: kind(some, **args), kind, model)
    return made


def name_of(optimizer: Any) -> str | None:
    """Name one of torch's own classes as the recipe does: torch.optim.SGD is "sgd".

    It then gets the usual rate, decay and momentum of that name.
    """
    return next((name for name, kind in _KINDS.items() if kind is optimizer), None)


def _fusible(model: nn.Module) -> bool:
    if any(map(is_sparse, model.modules())):
        return False
    parameters = model.parameters()
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)


def _check_own(
    optimizer: torch.optim.Optimizer, model: nn.Module, recipe: Recipe
) -> torch.optim.Optimizer:
    if recipe.layer_decay is not None:
        raise RecipeError(
            "layer_decay= does not go with an optimizer object.",
            "the optimizer has its own learning rates",
            "leave layer_decay= out, or write optimizer='adamw'",
        )
    own = set(model.parameters())
    if own.isdisjoint(p for group in optimizer.param_groups for p in group["params"]):
        raise ModelError(
            "The optimizer holds no parameter of this model.",
            "it was made for another model, or before layers of this one were replaced",
            "make it again: torch.optim.Adam(model.parameters()), or write optimizer='adam'",
        )
    try:
        optimizer.state_dict()
    except Exception as err:  # of the user's code: anything
        raise ModelError(
            f"The state of {type(optimizer).__name__} cannot be saved.",
            f"its state_dict() failed: {type(err).__name__}: {err}",
            "write optimizer='adamw', or take a version of it that knows this torch",
        ) from err
    return optimizer


def _groups(model: nn.Module, lr: float | dict[str, float]) -> list[dict[str, Any]]:
    if not isinstance(lr, dict):
        return [{"params": list(model.parameters()), "lr": lr}]
    groups = by_pattern(model, lr, "lr", "a learning rate")
    return [{"params": groups[pattern], "lr": rate} for pattern, rate in lr.items()]


def _with_decay(
    model: nn.Module,
    groups: list[dict[str, Any]],
    decay: float | dict[str, float],
    *,
    vectors: bool,
) -> list[dict[str, Any]]:
    """Part each group by the weight decay of its parameters; `vectors`: whether they have any."""
    if isinstance(decay, dict):
        members = by_pattern(model, decay, "weight_decay", "a decay")
        of = {p: decay[pattern] for pattern, some in members.items() for p in some}
    else:
        of = dict.fromkeys(model.parameters(), decay)
    if not vectors:
        of = {p: value if p.ndim > 1 else 0.0 for p, value in of.items()}
    parted = []
    for group in groups:
        for value in dict.fromkeys(of[p] for p in group["params"]):
            some = [p for p in group["params"] if of[p] == value]
            parted.append({**group, "params": some, "weight_decay": value})
    return parted


def by_pattern(
    model: nn.Module, values: Mapping[str, Any], option: str, what: str
) -> dict[str, list[nn.Parameter]]:
    """Deal all parameters to the patterns of their names; the first match wins.

    Raises
    ------
    RecipeError
        A parameter fits none, or a pattern fits no parameter.
    """
    orphans: list[tuple[str, nn.Parameter]] = []
    groups: dict[str, list[tuple[str, nn.Parameter]]] = {pattern: [] for pattern in values}
    for name, parameter in model.named_parameters():
        matching = (groups[pattern] for pattern in values if fnmatch.fnmatchcase(name, pattern))
        next(matching, orphans).append((name, parameter))
    if orphans:
        more = f" and {len(orphans) - 1} more parameters" if len(orphans) > 1 else ""
        raise RecipeError(
            f"{option}= gives no {what.removeprefix('a ')} for {orphans[0][0]}{more}.",
            f"the patterns are {', '.join(values)}",
            f"add a last pattern for the rest: {option}={{…, '*': 1e-4}}",
        )
    for pattern, members in groups.items():
        if not members:
            raise no_such_parameter(model, option, pattern)
    return {pattern: [p for _, p in members] for pattern, members in groups.items()}


def no_such_parameter(model: nn.Module, option: str, pattern: str) -> RecipeError:
    """Return the error for a pattern that fits no parameter."""
    names = [name for name, _ in model.named_parameters()]
    return RecipeError(
        f"{option}= names {pattern!r}, and no parameter has such a name.",
        f"the parameters are {', '.join(names[:6])} …",
        "correct the pattern",
    )


def _layer(name: str) -> str:
    """Cut a name after its first part with a digit; one without a digit loses its last part."""
    parts = name.split(".")
    numbered = (i for i, part in enumerate(parts) if any(c.isdigit() for c in part))
    return ".".join(parts[: max(next(numbered, len(parts) - 2), 0) + 1])


def _decayed(model: nn.Module, groups: list[dict[str, Any]], decay: float) -> list[dict[str, Any]]:
    """Make each group's rate smaller from layer to layer towards the pictures; the fastest first.

    The layers are conv1, layer1 …, fc; features.0 …; encoder.layers.0 …, by the names of the
    parameters (Howard and Ruder 2018; Clark et al. 2020).
    """
    layers = {p: _layer(name) for name, p in model.named_parameters()}
    by_layer = []
    for group in groups:
        for depth, layer in enumerate(reversed(dict.fromkeys(layers.values()))):
            if members := [p for p in group["params"] if layers[p] == layer]:
                by_layer.append({"params": members, "lr": group["lr"] * decay**depth})
    return sorted(by_layer, key=lambda group: -group["lr"])


class Average:
    """The exponential moving average of the weights (Polyak and Juditsky 1992).

    It holds a shadow of every trainable weight; buffers stay the model's own.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._names: dict[nn.Parameter, list[str]] = {}  # a tied weight has several
        for name, p in model.named_parameters(remove_duplicate=False):
            if p.is_floating_point():
                self._names.setdefault(p, []).append(name)
        self.shadow: dict[str, torch.Tensor] = {}
        for p, names in self._names.items():
            self.shadow.update(dict.fromkeys(names, p.detach().clone()))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps.

        A young average forgets faster: in a short run it would keep the first weights otherwise.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        for p, names in self._names.items():
            self.shadow[names[0]].lerp_(p, 1 - decay)

    @contextmanager
    def worn(self) -> Iterator[None]:
        """Give the model the averaged weights for as long as the block lasts."""
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


class Halfway(Average):
    """The mean of the weights and of those that the phase began with (Wortsman et al. 2022).

    Few pictures teach a trained backbone little, and its own weights are right about the others.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, 0.5)
        self.start = {name: tensor.clone() for name, tensor in self.shadow.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        for p, names in self._names.items():
            self.shadow[names[0]].copy_(self.start[names[0]]).lerp_(p, 0.5)


class Phases:
    """The parts of a model and when each learns.

    Parameters
    ----------
    model : Module
    head : sequence of str
        Names of the head's parameters. Empty: all parameters that want gradients learn from the
        start.
    freeze_epochs : int, optional
        Epochs in which the head learns alone; None: always.
    keeps_statistics : bool
        Whether BatchNorm keeps its means and variances, and normalizes by them.
    unfreeze : dict, optional
        {epoch, from 0: pattern}: parameters of such names learn from that epoch on. The head learns
        from the start; what no pattern names stays as it is.
    """

    def __init__(
        self,
        model: nn.Module,
        head: Sequence[str] = (),
        freeze_epochs: int | None = None,
        *,
        keeps_statistics: bool = False,
        unfreeze: Mapping[int, str] | None = None,
    ) -> None:
        self.model, self.head, self.freeze_epochs = model, frozenset(head), freeze_epochs
        self.keeps_statistics = keeps_statistics
        self._begins = None if unfreeze is None else self._of_stages(unfreeze)
        self._wanted = {name: p.requires_grad for name, p in model.named_parameters()}

    def head_alone(self, epoch: int) -> bool:
        """Whether only the head learns in this epoch."""
        return bool(self.head) and (self.freeze_epochs is None or epoch < self.freeze_epochs)

    def _of_stages(self, unfreeze: Mapping[int, str]) -> dict[str, float]:
        """Give the epoch from which each parameter learns; infinity: never."""
        begins = {
            name: 0.0 if name in self.head else math.inf
            for name, _ in self.model.named_parameters()
        }
        for epoch, pattern in unfreeze.items():
            names = fnmatch.filter(begins, pattern)
            if not names:
                raise no_such_parameter(self.model, "unfreeze", pattern)
            begins |= {name: min(begins[name], epoch) for name in names}
        if min(begins.values(), default=0) > 0:
            raise RecipeError(
                f"unfreeze={dict(unfreeze)!r} lets nothing learn in the first epoch.",
                "what no pattern names stays as it is",
                "name what learns from the start: unfreeze={0: 'fc*', …}",
            )
        return begins

    def _learns(self, name: str, epoch: int) -> bool:
        begins = 0.0 if self._begins is None else self._begins[name]
        return self._wanted[name] and begins <= epoch

    def enter(self, epoch: int) -> None:
        """Put the model into training for `epoch`.

        Frozen layers stay in eval, so that the figures of their BatchNorm do not drift.
        """
        alone = self.head_alone(epoch)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self.head if alone else self._learns(name, epoch))
            if not parameter.requires_grad:
                parameter.grad = None
        self.model.train()
        for module in still_parts(self.model, bare=alone):
            module.eval()
        if self.keeps_statistics:
            for module in with_statistics(self.model):
                module.eval()

    def leave(self) -> None:
        """Make each parameter want gradients or not, as it did before."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self._wanted[name])


def still_parts(module: nn.Module, *, bare: bool) -> Iterator[nn.Module]:
    """Yield the parts in which nothing learns; each stands for all the parts inside it.

    Parameters
    ----------
    module : Module
    bare : bool
        Whether parts without parameters count too, above all dropout: they do where the head
        learns alone. A part in a block that holds only the head besides (MobileNet's dropout)
        does not count.
    """
    learning = [p.requires_grad for p in module.parameters()]
    if not any(learning):
        if learning or bare:
            yield module
    elif not all(learning):
        for child in module.children():
            yield from still_parts(child, bare=bare)


def with_statistics(model: nn.Module) -> list[nn.Module]:
    """List the layers that keep means and variances of what they saw: BatchNorm and the like."""
    return [m for m in model.modules() if getattr(m, "running_mean", None) is not None]
