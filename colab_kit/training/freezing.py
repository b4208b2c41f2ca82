"""Which parts of a network learn in which epoch: the head alone, then everything.

It is a function of the epoch, so a resume has nothing to restore.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn


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
    """

    def __init__(
        self, model: nn.Module, head: Sequence[str] = (), freeze_epochs: int | None = None
    ) -> None:
        self.model, self.head, self.freeze_epochs = model, frozenset(head), freeze_epochs
        self._wanted = {name: p.requires_grad for name, p in model.named_parameters()}

    def head_alone(self, epoch: int) -> bool:
        """Whether only the head learns in this epoch."""
        return bool(self.head) and (self.freeze_epochs is None or epoch < self.freeze_epochs)

    def enter(self, epoch: int) -> None:
        """Put the model into training for `epoch`.

        Frozen layers stay in eval, so that the figures of their BatchNorm do not drift.
        """
        alone = self.head_alone(epoch)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self.head if alone else self._wanted[name])
            if not parameter.requires_grad:
                parameter.grad = None
        self.model.train()
        for module in still_parts(self.model, bare=alone):
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
