"""Checks before the first step, on one batch: its outputs, the loss and the gradients.

What cannot work is an error here, before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional

from ..data.batches import Batch
from ..data.dataset import Data
from ..data.images import LONG, long_by_short
from ..data.keyed_random import outer_streams_kept
from ..data.preprocess import Preprocess
from ..data.sources import Arrays, Pictures
from ..errors import ColabKitError, DataError, ModelError
from ..models.inference import is_out_of_memory, let_go, primary
from ..models.shapes import first_layer, fitting_side
from ..models.weights import untouched
from .losses import Loss
from .outputs import output_kind

SAMPLE = 256  # rows of an array whose values are looked at
LARGE = 20.0  # of floats: no usual scaling of pixels goes so far
EDGE, NEARLY = 16, 0.999  # levels from black or white; the share of a picture that is as near
FEW = 2  # pictures for the gradients: more would cost a share of a short run
_ERRORS = RuntimeError, ValueError, TypeError, IndexError, AssertionError, NotImplementedError


def first_outputs(model: nn.Module, batch: Batch, classes: Sequence[str]) -> torch.Tensor:
    """Give the network's outputs for one batch, in eval, after checking that they fit the classes.

    The network is left as it was.

    Raises
    ------
    ModelError
        The network cannot take the pictures, or has the wrong number of outputs.
    DataError
        A label is outside 0 .. classes - 1, or no picture of the batch can be read.
    """
    if not len(batch):
        why, fix = "each of the files that were tried is damaged", "look at them, or fetch them"
        raise DataError("None of these pictures can be read.", why, f"{fix} again")
    y, n = batch.y, len(classes)
    if not y.is_floating_point():
        low, high = int(y.min()), int(y.max())
        if low < 0 or high >= n:
            raise DataError(
                f"A label is {low if low < 0 else high}, outside 0 to {n - 1}.",
                f"there are {n} classes",
                "number the labels from 0, or pass class_names= with a name for each",
            )
    output = _forward(model, batch.x)
    wanted, of = (len(batch), n), f"of {n} classes"
    if y.is_floating_point():
        of = f"with {n} numbers each ({', '.join(classes[:5])})"
        if output.shape == (len(y),) and n == 1:
            output = output.unsqueeze(1)
    if output.shape != wanted:
        raise ModelError(
            f"The network puts out {tuple(output.shape)} for {len(batch)} pictures {of}.",
            f"its last layer should give {wanted}: a number for each class or target",
            f"make the last layer nn.Linear(…, {n})",
        )
    return output


def _forward(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), outer_streams_kept():
            return primary(model(x))
    except ColabKitError:
        raise
    except _ERRORS as err:
        if is_out_of_memory(err):
            raise
        raise ModelError(
            f"The network cannot take pictures of shape {tuple(x.shape)}.",
            _first_line(err),
            _fix_of(model, x, str(err)),
        ) from err
    finally:
        for module, training in modes.items():
            module.training = training


def _first_line(err: Exception) -> str:
    return f"{type(err).__name__}: {next(iter(str(err).splitlines()), '')}"


def _fix_of(model: nn.Module, x: torch.Tensor, words: str) -> str:
    """Say how to make the network take such pictures, by torch's own words for the error."""
    if "dtype" in words or "should be the same" in words:  # pictures are float32, weights are not
        return "call model.float() first"
    first = first_layer(model)
    side = fitting_side(model, x.shape[1], x.shape[-1]) if x.ndim == 4 else None
    if side is not None:
        return f"pass image_size={side}: the network is made for pictures of {side} x {side}"
    if x.ndim == 4 and "mat1 and mat2" in words:
        if isinstance(first, nn.Linear):
            return (
                "put nn.Flatten() first, and make the first layer as wide as a picture has values:"
                f" nn.Linear({x[0].numel()}, …)"
            )
        return (
            "put nn.Flatten() before the first nn.Linear, and make that as wide as its input"
            " (nn.LazyLinear finds the width)"
        )
    if x.ndim == 4 and isinstance(first, nn.Conv2d) and first.in_channels != x.shape[1]:
        layer = f"nn.Conv2d({x.shape[1]}, …)"
        return f"the pictures have {x.shape[1]} channel(s): make the first layer {layer}"
    if x.ndim == 2:
        return f"each row has {x.shape[1]} numbers: make the first layer nn.Linear({x.shape[1]}, …)"
    return "fit its first layer to (pictures, channels, height, width), or pass image_size="


def odd_pixels(
    data: Data, x: torch.Tensor, preprocess: Preprocess
) -> Iterator[tuple[str, str, str, str]]:
    """Find what the pixels show: a level, what, why and fix each, as a Finding has them.

    Parameters
    ----------
    x : Tensor
        Network input of some pictures; features of a frozen backbone show no pixels.
    preprocess : Preprocess
        What made x of pixels.
    """
    source = data.train.source
    values = source.x if isinstance(source, Arrays) else x
    if isinstance(source, Pictures) or values.dtype == torch.uint8:
        yield from _faint(preprocess.shown(x)) if x.ndim == 4 else ()
    elif (high := float(values[:SAMPLE].max())) > LARGE and (
        isinstance(source, Arrays) or x.ndim == 4
    ):
        yield (
            "warning",
            f"The pictures are floats up to {high:,.6g}.",
            "floats go to the network as they are, and a network learns from numbers near -2 to 2",
            "pass uint8 pixels, which are scaled by themselves, or X / 127.5 - 1",
        )
    channels = values.shape[1] if values.ndim == 4 else 0
    if channels in (2, 4) and isinstance(source, Arrays) and preprocess.channels in (1, 3):
        yield (
            "warning",
            f"Channel {channels} of the pictures is left out.",
            f"the network takes {preprocess.channels}, and the last of {channels} is taken for a"
            " mask (alpha)",
            f"if it is a band of its own, train a network that takes {channels}: "
            f"kit.train(kit.nets.cnn, data)",
        )
    if isinstance(source, Pictures) and (ratio := long_by_short(data.train.paths or [])) > LONG:
        shown = {"crop": f"the middle square, {100 / ratio:.0f} % of it, is shown"}
        shown |= {"pad": "all of it is shown, with margins"}
        yield (
            "note",
            f"A usual picture is {ratio:.1f} times as long as it is high or wide.",
            shown.get(preprocess.resize, "all of it is shown, squeezed to a square"),
            "choose by resize='squash', 'pad' (all of it, with margins) or 'crop' (the middle)",
        )


def _faint(x: torch.Tensor) -> Iterator[tuple[str, str, str, str]]:
    """Find pictures (n, C, H, W), values from 0 to 1, that are nearly black or nearly white."""
    for name, off, end in (
        ("black", x, f"below {EDGE} of 255"),
        ("white", 1 - x, f"above {255 - EDGE}"),
    ):
        n = int(((off < EDGE / 255).flatten(1).float().mean(1) >= NEARLY).sum())
        if n:
            yield (
                "warning" if n >= len(x) / 4 else "note",
                f"{n} of {len(x)} pictures from all over the training split are nearly {name}.",
                f"almost all of their pixels are {end}",
                "look at them: data.show(). Masks and maps of class numbers look so, and are no"
                " photos",
            )


def try_loss(loss: Loss, output: torch.Tensor, y: torch.Tensor, name: str) -> None:
    """Call the loss once, without gradients, so that one that cannot work is an error now.

    Raises
    ------
    ModelError
    """
    if loss is functional.nll_loss or isinstance(loss, nn.NLLLoss):  # a subclass too
        check_loss(output_kind(output), "log_probabilities", name)
    try:
        with torch.no_grad(), outer_streams_kept():
            value = loss(output, y)
    except _ERRORS as err:
        shapes = f"for outputs {tuple(output.shape)} and labels {tuple(y.shape)}"
        fix = "write loss='cross_entropy', or a function f(output, y) of class scores"
        raise ModelError(
            f"The loss {name} does not work here.",
            f"{shapes}: {_first_line(err)}",
            f"{fix} (pictures, classes) and class numbers (pictures)",
        ) from err
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        what = f"a {type(value).__name__}"
        if isinstance(value, torch.Tensor):
            what = f"a tensor of shape {tuple(value.shape)}"
        raise ModelError(
            f"The loss {name} gives {what}.",
            "it must give one number a batch",
            "let it give the mean (reduction='mean')",
        )


def check_task(task: str, wants: str | None, name: str) -> None:
    """Refuse a loss that is for another kind of labels.

    Raises
    ------
    ModelError
    """
    if wants is None or (task, wants) == ("multilabel", "values"):
        return
    single = {"values": "regression", "logits": "classification"}
    meant = {**single, "log_probabilities": "classification"}.get(wants, "multilabel")
    if meant != task:
        labels = {
            "classification": "one class a picture",
            "multilabel": "several classes a picture",
            "regression": "numbers",
        }
        raise ModelError(
            f"{name} is a loss for {labels[meant]}.",
            f"the labels of this data are {labels[task]}",
            f"leave loss= out (a fitting one is chosen), or load the data with task={meant!r}",
        )


def check_loss(kind: str, wants: str | None, name: str) -> None:
    """Refuse a loss that does not fit what the network puts out.

    Raises
    ------
    ModelError
        The loss would be wrong: NLLLoss on anything but log-probabilities.
    """
    if wants == "multilabel_probabilities" and kind == "multilabel_logits":
        raise ModelError(
            f"{name} needs probabilities, and the network puts out logits.",
            "BCELoss takes the logarithm of its input, and a number below 0 has none",
            "write loss='bce', or end the network with nn.Sigmoid()",
        )
    if wants == "log_probabilities" and kind != wants:
        raise ModelError(
            f"{name} needs log-probabilities, and the network puts out {kind}.",
            "NLLLoss takes the output at the true class as it is: on raw scores it falls without"
            " end while nothing is learned",
            "end the network with nn.LogSoftmax(dim=1), or write loss='cross_entropy'",
        )


def reached(model: nn.Module, batch: Batch) -> bool:
    """Whether a gradient of the scores reaches a weight, biases aside.

    Else no step changes how the network tells pictures apart. This takes one forward and one
    backward pass over two pictures, in eval and without the user's loss, which may count its
    calls. Training mode is tried where eval gives no gradient, and on a single picture. The
    network is left as it was.

    Raises
    ------
    ModelError
        The network's output has no gradient, or BatchNorm gets one value a channel.
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
                return True  # nobody knows; the loop handles it
            if "more than 1 value per channel" not in str(err):
                raise  # an error of the user's own code keeps its traceback
            fix = "take larger pictures: image_size="
            if len(x) == 1:
                fix = "write batch_size=2 or more"
            what, why = "BatchNorm cannot learn from a single value.", str(err).splitlines()[0]
            raise ModelError(what, why, fix) from err
        if not output.requires_grad:
            raise ModelError(
                "No weight of the network can learn.",
                "its output has no gradient: forward uses detach(), .data, argmax, numpy or"
                " torch.no_grad()",
                "let forward return the output of the last layer",
            )
        # one factor a class: a LogSoftmax or Softmax has no gradient of the plain sum
        factors = torch.arange(1, output.shape[-1] + 1, device=output.device)
        try:
            (output.float() * factors).sum().backward()  # type: ignore[no-untyped-call]
        except RuntimeError:
            return True  # some layers have no gradient in eval mode: nobody knows
        weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
        return not weights or any(p.grad is not None and bool(p.grad.any()) for p in weights)


def check_gradients(
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer], kind: type, model: nn.Module
) -> None:
    """Try steps on gradients as some layers give them: sparse, with the rows that were looked up.

    Raises
    ------
    ModelError
        The optimizer does not take them, or takes no others, and the network has others.
    """
    layers = {name: layer for name, layer in model.named_modules() if is_sparse(layer)}
    if not layers:
        return
    one = torch.tensor([[0]]), torch.tensor([[1.0]])
    rows = torch.sparse_coo_tensor(*one, (2, 1), check_invariants=True)
    own = {p for layer in layers.values() for p in layer.parameters()}
    dense = [name for name, p in model.named_parameters() if p.requires_grad and p not in own]
    for what, gradient, names in (
        ("sparse", rows, list(layers)),
        ("dense", rows.to_dense(), dense),
    ):
        parameter = nn.Parameter(torch.zeros(2, 1))
        try:
            optimizer = make([parameter])
            for _ in range(2 if names else 0):  # momentum comes with the second
                parameter.grad = gradient.clone()
                optimizer.step()
        except TypeError:  # of the user's, made otherwise: nobody knows
            return
        except RuntimeError as err:
            raise ModelError(
                f"{kind.__name__} does not take the {what} gradients of {names[0]}.",
                str(err),
                "write optimizer='adagrad', or make the layer nn.Embedding(…, sparse=False)",
            ) from err


def is_sparse(layer: nn.Module) -> bool:
    """Whether the layer's weight gets sparse gradients."""
    return isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) and layer.sparse
