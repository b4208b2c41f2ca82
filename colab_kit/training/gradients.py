"""Gradients: whether a step would reach the weights, tried on two pictures before the first one."""

from __future__ import annotations

import torch
from torch import nn

from ..data.batches import Batch
from ..errors import ModelError
from ..models.weights import untouched
from .losses import primary
from .memory import is_out_of_memory, let_go

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
