"""Precision: in which numbers and memory format the network computes, and what a machine has to offer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..data import keyed_random

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
KINDS = (*_TYPES, "fp32")


@dataclass(frozen=True)
class Precision:
    """dtype : "fp32", "bf16" or "fp16" of the forward pass; weights and optimizer stay fp32    channels_last : of convolutions"""

    dtype: str = "fp32"
    channels_last: bool = False

    def __str__(self) -> str:
        return self.dtype + (" channels_last" if self.channels_last else "")

    @classmethod
    def named(cls, name: str) -> Precision:
        return cls(name.partition(" ")[0], name.endswith("channels_last"))

    def on(self, device: torch.device) -> AbstractContextManager[Any]:
        """Where the forward pass runs."""
        return (
            torch.autocast(device.type, dtype=_TYPES[self.dtype])
            if self.dtype in _TYPES
            else nullcontext()
        )

    def lay(self, model: nn.Module) -> None:
        """Give a model's convolutions the memory format; one that its user has laid out stays so."""
        if self.channels_last:
            model.to(memory_format=torch.channels_last)

    def input(self, x: torch.Tensor) -> torch.Tensor:
        return (
            x.contiguous(memory_format=torch.channels_last)
            if self.channels_last and x.ndim == 4
            else x
        )

    def scaler(self, device: torch.device) -> torch.amp.GradScaler | None:
        """What keeps fp16's small gradients from vanishing (Micikevicius et al. 2018); None where none do."""
        return torch.amp.GradScaler(device.type) if self.dtype == "fp16" else None


PLAIN = Precision()  # fp32, as torch lays it out


def floated(output: Any) -> Any:
    """What a network put out as float32, so that the loss is computed in it."""
    match output:
        case torch.Tensor():
            return (
                output.float()
                if output.is_floating_point() and output.dtype != torch.float64
                else output
            )
        case tuple() | list():
            return tuple(floated(part) for part in output)
        case dict():
            return {name: floated(part) for name, part in output.items()}
    return output


def candidates(
    hardware: str, device: str, isa: tuple[str, ...], model: nn.Module
) -> list[Precision]:
    """What is worth measuring, plain fp32 first.

    hardware : Runtime.precision    isa : Runtime.isa
    """
    convolves = any(isinstance(m, nn.Conv2d) for m in model.modules()) and all(
        p.ndim != 4 or p.is_contiguous() for p in model.parameters()
    )
    if device == "cuda":
        kinds = ["fp32", *([hardware] if hardware in _TYPES else [])]
    else:
        kinds = [
            "fp32",
            *(
                ["bf16"]
                if device == "cpu" and {"AMX", "AVX512-BF16", "ARM-BF16"} & set(isa)
                else []
            ),
        ]
    return [
        Precision(kind, last)
        for kind in kinds
        for last in ((False, True) if convolves and device != "mps" else (False,))
    ]


def compiled(
    model: nn.Module, x: torch.Tensor, complain: Callable[[str], None]
) -> Callable[[Any], Any]:
    """The network by torch.compile; one that cannot be compiled is given back as it is.

    x : a batch of input, to try it on
    """
    net = torch.compile(model)
    model.eval()
    try:
        with torch.no_grad(), keyed_random.outer_streams_kept():
            net(x)
    except Exception as err:  # a compiler is a program of its own: anything may go wrong in it
        complain(
            f"The network could not be compiled, and trains without: {type(err).__name__}: {str(err).splitlines()[0]}"
        )
        return model
    return net


@contextmanager
def deterministic(device: torch.device, wanted: bool) -> Iterator[None]:
    """On a GPU, forbid kernels whose sums come in any order where others exist; elsewhere, and afterwards, all is as it was."""
    if device.type != "cuda" or not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    backend = torch.backends.cudnn
    before = backend.benchmark, backend.deterministic
    was, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    backend.benchmark, backend.deterministic = False, True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        backend.benchmark, backend.deterministic = before
        torch.use_deterministic_algorithms(was, warn_only=warns)
