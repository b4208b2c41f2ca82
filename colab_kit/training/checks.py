"""Checks before the first step, on one batch: outputs, loss and gradients; what cannot work says so at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ..data.batches import Batch
from ..data.keyed_random import outer_streams_kept
from ..errors import ColabKitError, DataError, ModelError
from ..models.weights import untouched
from .losses import Loss, output_kind, primary
from .recovery import is_out_of_memory, let_go


def first_outputs(model: nn.Module, batch: Batch, classes: Sequence[str]) -> torch.Tensor:
    """The network's outputs on one batch, in eval and without a trace, after checking that they fit the classes.

    Raises
    ------
    ModelError
        The network cannot take the pictures, or has the wrong number of outputs.
    DataError
        A label is outside 0 .. classes - 1, or no picture of the batch could be read.
    """
    if not len(batch):
        why = "every file of the first batch is damaged"
        raise DataError(
            "None of the first pictures can be read.", why, "look at the files, or fetch them again"
        )
    output = _forward(model, batch.x)
    if batch.y.is_floating_point():
        return _of_rows(output, batch.y, classes)
    low, high = int(batch.y.min()), int(batch.y.max())
    if low < 0 or high >= len(classes):
        raise DataError(
            f"A label is {low if low < 0 else high}, outside 0 to {len(classes) - 1}.",
            f"there are {len(classes)} classes",
            "number the labels from 0, or pass class_names= with a name for each",
        )
    if output.ndim != 2 or output.shape[0] != len(batch) or output.shape[1] != len(classes):
        raise ModelError(
            f"The network puts out {tuple(output.shape)} for {len(batch)} pictures of {len(classes)} classes.",
            f"its last layer should give ({len(batch)}, {len(classes)}): a score for each class",
            f"make the last layer nn.Linear(…, {len(classes)})",
        )
    return output


def _of_rows(output: torch.Tensor, y: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
    """Outputs for labels that are rows: (n, names)."""
    if output.shape == (len(y),) and len(names) == 1:
        output = output.unsqueeze(1)
    if output.shape != y.shape:
        raise ModelError(
            f"The network puts out {tuple(output.shape)} for {len(y)} pictures with {len(names)} numbers each ({', '.join(names[:5])}).",
            f"its last layer should give {tuple(y.shape)}",
            f"make the last layer nn.Linear(…, {len(names)})",
        )
    return output


def _forward(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    was = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), outer_streams_kept():
            return primary(model(x))
    except ColabKitError:
        raise
    except (
        RuntimeError,
        ValueError,
        TypeError,
        IndexError,
        AssertionError,
        NotImplementedError,
    ) as err:
        if "out of memory" in str(err):
            raise
        first = next(
            (m for m in model.modules() if next(m.parameters(recurse=False), None) is not None),
            None,
        )
        fix = "fit its first layer to (pictures, channels, height, width), or pass image_size="
        if "dtype" in str(err) or "should be the same" in str(
            err
        ):  # float32 pictures, another kind of weights
            fix = "call model.float() first"
        elif x.ndim == 4 and "mat1 and mat2" in str(err):
            fix = f"put nn.Flatten() first, and make the first layer as wide as a picture has values: nn.Linear({x[0].numel()}, …)"
            if not isinstance(first, nn.Linear):
                fix = "put nn.Flatten() before the first nn.Linear, and make that as wide as what reaches it (nn.LazyLinear finds out)"
        elif x.ndim == 4 and isinstance(first, nn.Conv2d) and first.in_channels != x.shape[1]:
            fix = f"the pictures have {x.shape[1]} channel(s): make the first layer nn.Conv2d({x.shape[1]}, …)"
        elif x.ndim == 2:
            fix = f"each row has {x.shape[1]} numbers: make the first layer nn.Linear({x.shape[1]}, …)"
        why = f"{type(err).__name__}: {str(err).splitlines()[0]}"
        raise ModelError(
            f"The network cannot take pictures of shape {tuple(x.shape)}.", why, fix
        ) from err
    finally:
        for module, training in was.items():
            module.training = training


def try_loss(loss: Loss, output: torch.Tensor, y: torch.Tensor, name: str) -> None:
    """Call the loss once, without a trace, so that one that cannot work says so before anything is written.

    Raises
    ------
    ModelError
    """
    if loss is functional.nll_loss or isinstance(loss, nn.NLLLoss):  # a subclass too
        check_loss(output_kind(output), "log_probabilities", name)
    fix = "write loss='cross_entropy', or a function f(output, y) of class scores (pictures, classes) and class numbers (pictures)"
    try:
        with torch.no_grad(), outer_streams_kept():
            value = loss(output, y)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as err:
        shapes = f"for scores {tuple(output.shape)} and class numbers {tuple(y.shape)}: {type(err).__name__}: {str(err).splitlines()[0]}"
        raise ModelError(f"The loss {name} does not work here.", shapes, fix) from err
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        what = (
            f"a tensor of shape {tuple(value.shape)}"
            if isinstance(value, torch.Tensor)
            else f"a {type(value).__name__}"
        )
        raise ModelError(
            f"The loss {name} gives {what}.",
            "one number for the batch is needed",
            "let it give the mean (reduction='mean')",
        )


def check_task(task: str, wants: str | None, name: str) -> None:
    """Refuse a loss that is for another kind of labels.

    Raises
    ------
    ModelError
    """
    kinds = {
        "logits": "classification",
        "log_probabilities": "classification",
        "values": "regression",
    }
    meant = None if wants is None else kinds.get(wants, "multilabel")
    if meant in (None, task) or (task, wants) == ("multilabel", "values"):
        return
    of = {
        "classification": "one class a picture",
        "multilabel": "several classes a picture",
        "regression": "numbers",
    }
    fix = f"leave loss= out (the fitting one is chosen), or load the data with task={meant!r}"
    raise ModelError(
        f"{name} is a loss for {of[str(meant)]}.", f"the labels of this data are {of[task]}", fix
    )


def check_loss(kind: str, wants: str | None, name: str) -> None:
    """Refuse a loss that does not fit what the network puts out.

    Raises
    ------
    ModelError
        The loss would be wrong: NLLLoss on anything but log-probabilities.
    """
    if wants == "multilabel_probabilities" and kind == "multilabel_logits":
        why = (
            "BCELoss takes the logarithm of what it is given, and of a number below 0 there is none"
        )
        raise ModelError(
            f"{name} needs probabilities, and the network puts out logits.",
            why,
            "write loss='bce', or end with nn.Sigmoid()",
        )
    if wants == "log_probabilities" and kind != "log_probabilities":
        raise ModelError(
            f"{name} needs log-probabilities, and the network puts out {kind}.",
            "NLLLoss takes the output at the true class as it is: on raw scores it falls without end while nothing is learned",
            "end the network with nn.LogSoftmax(dim=1), or write loss='cross_entropy'",
        )


FEW = 2  # pictures: more would cost a share of a short run


def reached(model: nn.Module, batch: Batch) -> bool:
    """Whether a gradient of the scores reaches a weight, biases aside: else no step changes how pictures are told apart.

    One forward and one backward pass over two pictures, in eval mode, without the user's loss: either may count its calls.
    Training mode is tried where eval gives no gradient, and where BatchNorm would be given one picture. The network is left as it was.

    Raises
    ------
    ModelError
        What the network puts out has no gradient, or BatchNorm is given one value a channel.
    """
    x = batch.x[:FEW]
    with untouched(model):
        try:
            output = None if len(x) == 1 else primary(model.eval()(x))
            if output is None or not output.requires_grad:
                output = primary(model.train()(x))
        except (RuntimeError, ValueError) as err:
            if is_out_of_memory(err):
                let_go(err)
                return True  # nobody knows; the loop has its words for it
            if "more than 1 value per channel" not in str(err):
                raise  # an error of the user's own code keeps its traceback
            fix = (
                "write batch_size=2 or more" if len(x) == 1 else "take larger pictures: image_size="
            )
            raise ModelError(
                "BatchNorm cannot learn from a single value.", str(err).splitlines()[0], fix
            ) from err
        if not output.requires_grad:
            why = "its output has no gradient: a detach(), .data, argmax, numpy or torch.no_grad() stands in forward"
            raise ModelError(
                "No weight of the network can learn.",
                why,
                "let forward return what the last layer puts out",
            )
        try:  # unlike for each class: the scores of a LogSoftmax or Softmax alone have no gradient of their sum
            (
                output.float() * torch.arange(1, output.shape[-1] + 1, device=output.device)
            ).sum().backward()  # type: ignore[no-untyped-call]
        except RuntimeError:
            return True  # some layers have no gradient in eval mode: nobody knows
        weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
        return not weights or any(p.grad is not None and bool(p.grad.any()) for p in weights)
