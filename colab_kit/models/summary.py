"""The layer table of a network, as people know it from Keras' model.summary()."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .weights import untouched


@dataclass(frozen=True)
class Layer:
    """name, kind    shape : of its output, without the batch    parameters : its own; frozen : how many of them do not learn"""

    name: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int
    frozen: int


@dataclass(frozen=True, repr=False)
class Summary:
    """The layers in the order they compute in, with the sums."""

    layers: tuple[Layer, ...]
    parameters: int
    frozen: int

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (
                x.name,
                x.kind,
                "?" if x.shape is None else " x ".join(map(str, x.shape)) or "1",
                _count(x),
            )
            for x in self.layers
        ]

    @property
    def total(self) -> str:
        return f"{self.parameters:,} parameters, {self.parameters - self.frozen:,} learn, {self.frozen:,} are frozen"

    def __repr__(self) -> str:
        rows = [("layer", "kind", "output", "parameters"), *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join(
            [lines[0], "-" * (sum(widths) + 6), *lines[1:], "-" * (sum(widths) + 6), self.total]
        )

    def _repr_html_(self) -> str:
        cells = (
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
            for row in self.rows
        )
        head = "<tr><th>layer</th><th>kind</th><th>output</th><th>parameters</th></tr>"
        return f"<table>{head}{''.join(cells)}</table><p>{html.escape(self.total)}</p>"


def _count(layer: Layer) -> str:
    if not layer.parameters:
        return ""
    frozen = (
        " frozen"
        if layer.frozen == layer.parameters
        else f" ({layer.frozen:,} frozen)"
        if layer.frozen
        else ""
    )
    return f"{layer.parameters:,}{frozen}"


def summarise(model: nn.Module, x: torch.Tensor) -> Summary:
    """Put a batch through and note each layer; the network is left as it was.

    x : network input, (n, …); two rows are enough
    """
    order, shapes = list[str](), dict[str, tuple[int, ...]]()
    names = {
        module: name
        for name, module in model.named_modules()
        if not any(module.children()) or module._parameters
    }
    handles = []

    def note(module: nn.Module, given: Any, output: Any) -> None:
        name = names[module]
        if name not in order:
            order.append(name)
        if isinstance(output, torch.Tensor):
            shapes[name] = tuple(output.shape[1:])

    for module in names:
        handles.append(module.register_forward_hook(note))
    try:
        with untouched(model), torch.no_grad():
            model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
    modules = {name: module for module, name in names.items()}
    layers = [
        _layer(name, modules[name], shapes.get(name))
        for name in [*order, *(n for n in modules if n not in order)]
    ]
    counts = [(p.numel(), not p.requires_grad) for p in model.parameters()]
    return Summary(
        tuple(layers), sum(n for n, _ in counts), sum(n for n, frozen in counts if frozen)
    )


def _layer(name: str, module: nn.Module, shape: tuple[int, ...] | None) -> Layer:
    own = list(module.parameters(recurse=False))
    frozen = sum(p.numel() for p in own if not p.requires_grad)
    return Layer(
        name or "(network)", type(module).__name__, shape, sum(p.numel() for p in own), frozen
    )
