"""What learns in which epoch: the head alone, then everything. A function of the epoch, so a resume needs no memory of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.dropout import _DropoutNd


class Phases:
    """The parts of a model and when each learns.

    model : the network
    head : names of the head's parameters; empty: all parameters that want gradients learn from the start
    head_epochs : epochs in which the head learns alone; None: always
    """

    def __init__(self, model: nn.Module, head: Sequence[str] = (), head_epochs: int | None = None) -> None:
        self.model, self.head, self.head_epochs = model, frozenset(head), head_epochs
        self._wanted = {name: p.requires_grad for name, p in model.named_parameters()}

    def head_alone(self, epoch: int) -> bool:
        return bool(self.head) and (self.head_epochs is None or epoch < self.head_epochs)

    def enter(self, epoch: int) -> None:
        """Put the model into training as of `epoch`. Frozen layers stay in eval: their BatchNorm must not drift."""
        alone = self.head_alone(epoch)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self.head if alone else self._wanted[name])
            if not parameter.requires_grad:
                parameter.grad = None
        self.model.train()
        for name, module in self.model.named_modules():
            own = list(module.parameters(recurse=False))
            frozen = bool(own) and not any(p.requires_grad for p in own)
            leaf = next(module.children(), None) is None
            if leaf and (frozen or (alone and not own and not self._beside_head(name, module))):
                module.eval()

    def _beside_head(self, name: str, module: nn.Module) -> bool:
        """Whether this is the dropout that belongs to the head: in the head, or next to it in one block below the model."""
        if not isinstance(module, _DropoutNd):
            return False
        block = name.rpartition(".")[0]
        return bool(block) and any(p.startswith(block + ".") for p in self.head)
