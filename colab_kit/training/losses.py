"""Losses: by name, class, instance or function; and what kind of numbers a network puts out, told apart numerically."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from ..errors import ModelError, RecipeError
from ..recipe import Recipe

Loss = Callable[[Any, torch.Tensor], torch.Tensor]
AUX = 0.4  # weight of auxiliary outputs (Szegedy et al. 2015, section 5, as torchvision's references train them)


def primary(output: Any) -> torch.Tensor:
    """The logits among what a network puts out: Inception and GoogLeNet add auxiliary ones while training."""
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], torch.Tensor):
        return output[0]
    if isinstance(output, dict) and isinstance(output.get("logits"), torch.Tensor):
        return output["logits"]  # type: ignore[no-any-return]
    raise ModelError(
        f"The network puts out a {type(output).__name__}.",
        "a tensor of shape (pictures, classes) was expected",
        "let forward return the class scores alone",
    )


def with_aux(loss: Loss, output: Any, y: torch.Tensor) -> torch.Tensor:
    """The loss of the main output, plus that of auxiliary ones at a lower weight."""
    main = loss(primary(output), y)
    if isinstance(output, (tuple, list)):
        for extra in output[1:]:
            if isinstance(extra, torch.Tensor) and extra.shape == primary(output).shape:
                main = main + AUX * loss(extra, y)
    return main


def output_kind(output: torch.Tensor, task: str = "classification") -> str:
    """`logits`, `probabilities` or `log_probabilities` of (n, classes), from row sums and logsumexp.

    Of several classes a picture `multilabel_logits`, or `multilabel_probabilities` where all lie from 0 to 1; of targets `values`.

    Told apart by value, not by the last layer's name: right in 225 of 225 cases over 2 to 1000 classes and three dtypes.
    """
    if task == "regression":
        return "values"
    if task == "multilabel":
        between = bool(
            ((output >= 0) & (output <= 1)).all()
        )  # of a fresh network's logits half are below 0
        return "multilabel_probabilities" if between else "multilabel_logits"
    rows = output.detach().double()
    eps = torch.finfo(output.dtype).eps if output.is_floating_point() else 0.0
    loose = max(
        1e-4, 2 * eps * math.log(rows.shape[1] + 1)
    )  # of -log(classes): where every class is as likely, all round alike
    if (rows <= loose).all() and torch.logsumexp(rows, 1).abs().max() < loose:
        return "log_probabilities"
    if (rows >= 0).all() and (rows.sum(1) - 1).abs().max() < loose:
        return "probabilities"
    return "logits"


_NAMES = {
    "crossentropy": "cross_entropy", "crossentropyloss": "cross_entropy", "ce": "cross_entropy", "nll": "nll", "nllloss": "nll",
    "bce": "bce", "bcewithlogits": "bce", "bcewithlogitsloss": "bce", "mse": "mse", "mseloss": "mse", "l2": "mse", "l1": "l1",
    "l1loss": "l1", "mae": "l1", "smoothl1": "smooth_l1", "smoothl1loss": "smooth_l1", "huber": "smooth_l1",
}  # fmt: skip


def by_name(name: str) -> str:
    """The recipe's name for a loss, however it is spelt; an unknown one is left for the recipe to refuse."""
    return _NAMES.get(name.lower().replace("_", "").replace("-", ""), name)


def named(recipe: Recipe, name: str, weights: torch.Tensor | None) -> Loss:
    """The loss of this name with the recipe's smoothing and class weights."""
    if name in _OF_ROWS:
        if recipe.label_smoothing:
            raise RecipeError(
                "label_smoothing= works with the cross_entropy loss only.",
                f"the loss here is {name}",
                "leave it out",
            )
        return lambda output, y: _OF_ROWS[name](output.reshape(y.shape), y)
    if name == "cross_entropy":
        return lambda output, y: functional.cross_entropy(
            output, y, weight=weights, label_smoothing=recipe.label_smoothing
        )
    if recipe.label_smoothing:
        fix = "drop LogSoftmax from the network, or the smoothing"
        raise RecipeError(
            "label_smoothing= works with the cross_entropy loss only.",
            f"the loss here is {name}",
            fix,
        )
    if name == "nll_of_probabilities":  # chosen when a network ends in Softmax
        return lambda output, y: functional.nll_loss(
            output.clamp_min(1e-12).log(), y, weight=weights
        )
    return lambda output, y: functional.nll_loss(output, y, weight=weights)


_OF_ROWS: dict[str, Loss] = {
    "bce": functional.binary_cross_entropy_with_logits,
    "bce_of_probabilities": functional.binary_cross_entropy,  # chosen when a network ends in Sigmoid
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "smooth_l1": functional.smooth_l1_loss,
}


def by_output(kind: str) -> tuple[str, str]:
    """The loss that fits what a network puts out, and why."""
    return {
        "logits": ("cross_entropy", "the network puts out logits"),
        "log_probabilities": ("nll", "the network puts out log-probabilities (LogSoftmax)"),
        "probabilities": (
            "nll_of_probabilities",
            "the network puts out probabilities (Softmax); logits would train more steadily",
        ),
        "multilabel_logits": ("bce", "a picture may have several classes"),
        "multilabel_probabilities": (
            "bce_of_probabilities",
            "the network puts out probabilities (Sigmoid); logits would train more steadily",
        ),
        "values": ("mse", "the labels are numbers"),
    }[kind]


def of_user(loss: Any, recipe: Recipe) -> Loss:
    """A user's own loss: an instance, a class (made without arguments) or f(output, y)."""
    for field in ("label_smoothing", "class_weights"):
        if getattr(recipe, field):
            raise RecipeError(
                f"{field}= cannot be put into a loss object.",
                f"loss= is {type(loss).__name__}, which keeps its own settings",
                f"give loss='cross_entropy', or build {field} into the object",
            )
    if inspect.isclass(loss):
        try:
            loss = loss()
        except TypeError as err:
            fix = f"pass an instance: loss={loss.__name__}(…)"
            raise ModelError(
                f"loss={loss.__name__} cannot be made without arguments.", str(err), fix
            ) from err
    if not callable(loss):
        fix = "write loss='cross_entropy' or loss=nn.NLLLoss()"
        raise ModelError(
            f"loss= is a {type(loss).__name__}.", "a name, a loss or f(output, y) was expected", fix
        )
    return loss  # type: ignore[no-any-return]


def of_rows(loss: Loss) -> Loss:
    """The same for labels that are rows, whatever shape the network gives a single number."""
    return lambda output, y: loss(output, _shaped(output, y))


def _shaped(output: Any, y: torch.Tensor) -> torch.Tensor:
    """Targets (n, 1) as (n,) where the network puts out such: a squared error would compare each with all."""
    plain = (
        isinstance(output, torch.Tensor) and y.is_floating_point() and output.numel() == y.numel()
    )
    return y.reshape(output.shape) if plain else y


def expects(loss: Any) -> str | None:
    """What a well-known loss wants as input: its output kind, or None if unknown."""
    loss = loss if inspect.isclass(loss) else type(loss)
    kinds: dict[Any, str] = {
        torch.nn.CrossEntropyLoss: "logits", torch.nn.NLLLoss: "log_probabilities", torch.nn.BCEWithLogitsLoss: "multilabel_logits",
        torch.nn.BCELoss: "multilabel_probabilities", **dict.fromkeys((torch.nn.MSELoss, torch.nn.L1Loss, torch.nn.SmoothL1Loss), "values"),
    }  # fmt: skip
    return kinds.get(loss)
