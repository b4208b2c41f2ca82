"""Losses by name, class, instance or function, and running sums of figures.

The sums stay where the network computes and are read when somebody asks.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ..errors import ModelError, RecipeError
from ..models.inference import primary
from ..recipe import Recipe

Loss = Callable[[Any, torch.Tensor], torch.Tensor]
AUX = 0.4  # weight of auxiliary outputs (Szegedy et al. 2015, section 5, and torchvision)

_NAMES = {
    alias: name
    for name, aliases in {
        "cross_entropy": "crossentropy crossentropyloss ce",
        "nll": "nll nllloss",
        "bce": "bce bcewithlogits bcewithlogitsloss",
        "mse": "mse mseloss l2",
        "l1": "l1 l1loss mae",
        "smooth_l1": "smoothl1 smoothl1loss huber",
    }.items()
    for alias in aliases.split()
}
_TAKES = {  # loss: the kind of output that it takes
    "cross_entropy": "logits",
    "nll": "log_probabilities",
    "bce": "multilabel_logits",
    "BCELoss": "multilabel_probabilities",
    **dict.fromkeys(("mse", "l1", "smooth_l1"), "values"),
}
_OF_ROWS: dict[str, Loss] = {  # losses of labels that are rows
    "bce": functional.binary_cross_entropy_with_logits,
    "bce_of_probabilities": functional.binary_cross_entropy,  # for a network that ends in Sigmoid
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "smooth_l1": functional.smooth_l1_loss,
}
_UNSTEADY = "logits would train more steadily"
_FITTING = {  # kind of output: the loss that fits it, and why
    "logits": ("cross_entropy", "the network puts out logits"),
    "log_probabilities": ("nll", "the network puts out log-probabilities (LogSoftmax)"),
    "probabilities": (
        "nll_of_probabilities",
        f"the network puts out probabilities (Softmax); {_UNSTEADY}",
    ),
    "multilabel_logits": ("bce", "a picture may have several classes"),
    "multilabel_probabilities": (
        "bce_of_probabilities",
        f"the network puts out probabilities (Sigmoid); {_UNSTEADY}",
    ),
    "values": ("mse", "the labels are numbers"),
}


def with_aux(loss: Loss, output: Any, y: torch.Tensor) -> torch.Tensor:
    """Compute the loss of the main output, plus that of auxiliary ones at a lower weight."""
    first = primary(output)
    total = loss(first, y)
    for extra in output[1:] if isinstance(output, (tuple, list)) else ():
        if isinstance(extra, torch.Tensor) and extra.shape == first.shape:
            total = total + AUX * loss(extra, y)
    return total


def by_name(name: str) -> str:
    """Give the recipe's name for a loss, in any spelling; an unknown name comes back as it is."""
    return _NAMES.get(name.lower().replace("_", "").replace("-", ""), name)


def named(recipe: Recipe, name: str, weights: torch.Tensor | None) -> Loss:
    """Make the loss of this name, with the recipe's smoothing and class weights."""
    smoothing = recipe.label_smoothing
    if name == "cross_entropy":
        return partial(functional.cross_entropy, weight=weights, label_smoothing=smoothing)
    if smoothing:
        raise RecipeError(
            "label_smoothing= works with the cross_entropy loss only.",
            f"the loss here is {name}",
            "leave label_smoothing= out, or drop a LogSoftmax or Softmax from the network",
        )
    if name in _OF_ROWS:
        return lambda output, y: _OF_ROWS[name](output.reshape(y.shape), y)
    nll = partial(functional.nll_loss, weight=weights)
    if name == "nll_of_probabilities":  # chosen for a network that ends in Softmax
        return lambda output, y: nll(output.clamp_min(1e-12).log(), y)
    return nll


def by_output(kind: str) -> tuple[str, str]:
    """Choose the loss that fits what a network puts out, and say why."""
    return _FITTING[kind]


def of_user(loss: Any, recipe: Recipe) -> Loss:
    """Take a user's own loss: an instance, a class (made without arguments) or f(output, y)."""
    for field in ("label_smoothing", "class_weights"):
        if getattr(recipe, field):
            raise RecipeError(
                f"{field}= cannot be put into a loss object.",
                f"loss= is {type(loss).__name__}, which has settings of its own",
                f"give loss='cross_entropy', or build {field} into the object",
            )
    if inspect.isclass(loss):
        try:
            loss = loss()
        except TypeError as err:
            raise ModelError(
                f"loss={loss.__name__} cannot be made without arguments.",
                str(err),
                f"pass an instance: loss={loss.__name__}(…)",
            ) from err
    if not callable(loss):
        why, fix = "it takes a name, a loss or f(output, y)", "write loss='cross_entropy'"
        raise ModelError(f"loss= is a {type(loss).__name__}.", why, f"{fix} or loss=nn.NLLLoss()")
    return loss  # type: ignore[no-any-return]


def of_rows(loss: Loss) -> Loss:
    """Make a user's loss take labels that are rows, in any shape of a single output.

    Targets (n, 1) become (n,) where the network's outputs are: a squared error would compare each
    with all.
    """

    return functools.partial(_shaped, loss)


def _shaped(loss: Loss, output: Any, y: torch.Tensor) -> torch.Tensor:
    if isinstance(output, torch.Tensor) and y.is_floating_point():
        if output.numel() == y.numel():
            y = y.reshape(output.shape)
    return loss(output, y)


def own_loss(loss: Loss) -> Any:
    """Give the user's own loss, which of_rows() may have wrapped."""
    is_wrapped = isinstance(loss, functools.partial) and loss.func is _shaped
    return loss.args[0] if is_wrapped else loss  # type: ignore[attr-defined]


def expects(loss: Any) -> str | None:
    """Say what kind of output a loss takes; None where that is unknown.

    Parameters
    ----------
    loss : str, class or object
        A name of the recipe, or one of torch's losses.
    """
    if isinstance(loss, str):
        return _TAKES.get(loss)
    kind = loss if inspect.isclass(loss) else type(loss)
    torchs_own = getattr(torch.nn, kind.__name__, None) is kind
    return _TAKES.get(by_name(kind.__name__)) if torchs_own else None


class Sums:
    """Four sums over the pictures: the loss, their number, and two that the task needs.

    They are float64 on the device, so that adding never waits for it.

    ==============  ==========================================================================
    task            the two sums
    ==============  ==========================================================================
    classification  pictures whose likeliest class is true; whose five likeliest hold it
    multilabel      twice the rightly predicted classes; predicted classes plus true classes
    regression      absolute errors and squared errors, each the mean over the targets
    ==============  ==========================================================================

    Parameters
    ----------
    device : torch.device
    top5 : bool
        Whether to count the second sum of a classification.
    values : list of float, optional
        The sums to go on from.
    task : str
    output : str
        What the network gives (`outputs.output_kind`).
    """

    def __init__(
        self,
        device: torch.device,
        *,
        top5: bool,
        values: list[float] | None = None,
        task: str = "classification",
        output: str = "logits",
    ) -> None:
        kind = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.top5, self.on_cpu, self.task = top5, device.type == "cpu", task
        # from this value on, the network predicts a class
        self.border = 0.5 if output == "multilabel_probabilities" else 0.0
        self._sums = torch.tensor(values or [0.0] * 4, dtype=kind, device=device)

    def add(self, loss: torch.Tensor, output: torch.Tensor, y: torch.Tensor) -> None:
        """Add a batch.

        Parameters
        ----------
        loss : Tensor
            The mean over the batch.
        output : Tensor, (n, classes)
        y : Tensor
            Labels: (n,), or (n, classes) where they are several classes or numbers.
        """
        n, loss, output = len(y), loss.detach(), output.detach()
        how = self._hits if self.task == "classification" else self._errors
        one, two = how(output, y)
        if self.on_cpu:  # numpy: small torch operations would cost as much as a small network
            self._sums.numpy()[:] += (loss.item() * n, n, float(one), float(two))
            return
        for place, value in enumerate((loss * n, n, one, two)):
            self._sums[place] += value

    def _hits(self, output: torch.Tensor, y: torch.Tensor) -> tuple[Any, Any]:
        if output.ndim != 2:
            return 0, 0
        five = (output.topk(5, 1).indices == y[:, None]).any(1).sum() if self.top5 else 0
        if self.on_cpu:
            return np.count_nonzero(output.numpy().argmax(1) == y.numpy()), five
        return (output.argmax(1) == y).sum(), five

    def _errors(self, output: torch.Tensor, y: torch.Tensor) -> tuple[Any, Any]:
        output = output.float().reshape(y.shape)
        if self.task == "multilabel":
            predicted, true = output > self.border, y > 0.5
            return 2 * (predicted & true).sum(), predicted.sum() + true.sum()
        off = output - y
        return off.abs().mean(1).sum(), off.square().mean(1).sum()

    def read(self, split: str) -> dict[str, float]:
        """Give the means under their metric names, `valid/loss` and so on. The device waits here.

        Where no picture could be read each figure is NaN, which is never the best one.
        """
        loss, n, one, two = self.as_list()
        n = n or float("nan")
        means = {"loss": loss / n}
        match self.task:
            case "multilabel":
                means["f1"] = one / (two or n)  # no class predicted, none true: 0
            case "regression":
                means |= {"mae": one / n, "rmse": (two / n) ** 0.5}
            case _:
                means["top1"] = one / n
                if self.top5:
                    means["top5"] = two / n
        return {f"{split}/{name}": value for name, value in means.items()}

    @property
    def count(self) -> int:
        """The number of pictures so far."""
        return int(self.as_list()[1])

    def copy(self) -> torch.Tensor:
        """Copy the sums as they are; nobody waits for the device."""
        return self._sums.clone()

    def put_back(self, before: torch.Tensor) -> None:
        """Take back what was added since `copy`."""
        self._sums.copy_(before)

    def as_list(self) -> list[float]:
        """Give what a checkpoint keeps, so that an epoch in two halves has one mean."""
        return [float(value) for value in self._sums.tolist()]


def measured(task: str, *, top5: bool) -> tuple[str, ...]:
    """Name the figures of a task, besides the loss."""
    usual = ("top1", "top5") if top5 else ("top1",)
    return {"multilabel": ("f1",), "regression": ("mae", "rmse")}.get(task, usual)


def falls(metric: str) -> bool:
    """Whether it falls as a network gets better: if loss, error, mae or mse is in its name."""
    return re.search(r"loss|error|mae|mse", metric.rsplit("/", 1)[-1].lower()) is not None


def better(metric: str, new: float, best: float | None) -> bool:
    """Whether `new` beats `best`. NaN never does."""
    if new != new:
        return False
    return best is None or (new < best if falls(metric) else new > best)
