"""The layer table of a network, as people know it from Keras' model.summary()."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..system.console import escape, html_table
from .weights import hooked, untouched

HEADINGS = ("layer", "kind", "output", "parameters")


@dataclass(frozen=True)
class Layer:
    """One layer of the table.

    shape : tuple of int or None
        Of its output, without the batch; None: the layer was not used.
    parameters : int
        Its own, without those of layers inside it.
    frozen : int
        How many of them do not learn.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int
    frozen: int

    @property
    def cells(self) -> tuple[str, str, str, str]:
        shape, count = "?", ""
        if self.shape is not None:
            shape = " x ".join(map(str, self.shape)) or "1"
        if self.parameters:
            count = f"{self.parameters:,}"
        if self.frozen:
            part = "frozen" if self.frozen == self.parameters else f"({self.frozen:,} frozen)"
            count = f"{count} {part}"
        return self.name, self.kind, shape, count


@dataclass(frozen=True, repr=False)
class Summary:
    """The layers in the order in which they compute, with the sums."""

    layers: tuple[Layer, ...]
    parameters: int
    frozen: int

    @property
    def total(self) -> str:
        learn = self.parameters - self.frozen
        return f"{self.parameters:,} parameters, {learn:,} learn, {self.frozen:,} are frozen"

    def __repr__(self) -> str:
        rows = [HEADINGS, *(layer.cells for layer in self.layers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        head, *lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        rule = "-" * (sum(widths) + 6)
        return "\n".join([head, rule, *lines, rule, self.total])

    def _repr_html_(self) -> str:
        table = html_table([layer.cells for layer in self.layers], HEADINGS)
        return f"{table}<p>{escape(self.total)}</p>"


def summarise(model: nn.Module, x: torch.Tensor) -> Summary:
    """Put a batch through and note each layer. The network stays as it was.

    Parameters
    ----------
    x : Tensor
        Network input, (n, …); two rows are enough.
    """
    modules = {
        name: module
        for name, module in model.named_modules()
        if module._parameters or not any(module.children())
    }
    shapes: dict[str, tuple[int, ...] | None] = {}

    def note(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        shapes.setdefault(name, None)
        if isinstance(output, torch.Tensor):
            shapes[name] = tuple(output.shape[1:])

    with hooked(model, modules, note), untouched(model), torch.no_grad():
        model.eval()(x)
    layers = []
    for name in dict.fromkeys([*shapes, *modules]):  # in the order of use; unused ones last
        module, shape = modules[name], shapes.get(name)
        counts = _count(module, recurse=False)
        layers.append(Layer(name or "(network)", type(module).__name__, shape, *counts))
    return Summary(tuple(layers), *_count(model, recurse=True))


def _count(module: nn.Module, *, recurse: bool) -> tuple[int, int]:
    """Count the parameters, and how many of them are frozen."""
    own = list(module.parameters(recurse))
    return sum(p.numel() for p in own), sum(p.numel() for p in own if not p.requires_grad)
