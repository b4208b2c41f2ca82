"""What learns in which epoch: the head alone, then everything. A function of the epoch, so a resume needs no memory of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn


class Phases:
    """The parts of a model and when each learns.

    model : the network
    head : names of the head's parameters; empty: all parameters that want gradients learn from the start
    freeze_epochs : epochs in which the head learns alone; None: always
    """

    def __init__(
        self, model: nn.Module, head: Sequence[str] = (), freeze_epochs: int | None = None
    ) -> None:
        self.model, self.head, self.freeze_epochs = model, frozenset(head), freeze_epochs
        self._wanted = {name: p.requires_grad for name, p in model.named_parameters()}

    def head_alone(self, epoch: int) -> bool:
        return bool(self.head) and (self.freeze_epochs is None or epoch < self.freeze_epochs)

    def enter(self, epoch: int) -> None:
        """Put the model into training as of `epoch`. Frozen layers stay in eval: their BatchNorm must not drift."""
        alone = self.head_alone(epoch)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self.head if alone else self._wanted[name])
            if not parameter.requires_grad:
                parameter.grad = None
        self.model.train()
        for module in still(self.model, bare=alone):
            module.eval()

    def leave(self) -> None:
        """Let each parameter want gradients or not, as it did before."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self._wanted[name])


def still(module: nn.Module, *, bare: bool) -> Iterator[nn.Module]:
    """The parts in which nothing learns, each with all inside it.

    bare : whether parts without parameters count too, dropout above all: so where a head learns alone. One that shares
        its block with the head only (MobileNet's) goes on working.
    """
    learning = [p.requires_grad for p in module.parameters()]
    if not any(learning):
        if learning or bare:
            yield module
    elif not all(learning):
        for child in module.children():
            yield from still(child, bare=bare)
