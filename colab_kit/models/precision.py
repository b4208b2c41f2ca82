"""Precision: in which numbers and memory format the network computes, and what a machine offers."""

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
    """In which numbers the forward pass computes; weights and optimizer stay fp32.

    dtype : "fp32", "bf16" or "fp16"
    channels_last : bool
        The memory format of convolutions.
    """

    dtype: str = "fp32"
    channels_last: bool = False

    def __str__(self) -> str:
        return self.dtype + (" channels_last" if self.channels_last else "")

    @classmethod
    def named(cls, name: str) -> Precision:
        return cls(name.partition(" ")[0], name.endswith("channels_last"))

    def on(self, device: torch.device) -> AbstractContextManager[Any]:
        """The context in which the forward pass runs."""
        if self.dtype not in _TYPES:
            return nullcontext()
        return torch.autocast(device.type, dtype=_TYPES[self.dtype])

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def lay(self, model: nn.Module) -> None:
        """Give a model's convolutions the memory format; a user's own layout stays."""
        if self.channels_last:
            model.to(memory_format=torch.channels_last)

    def input(self, x: torch.Tensor) -> torch.Tensor:
        if self.channels_last and x.ndim == 4:
            return x.contiguous(memory_format=torch.channels_last)
        return x

    def scaler(self, device: torch.device) -> torch.amp.GradScaler | None:
        """Make what keeps fp16's small gradients from vanishing (Micikevicius et al. 2018)."""
        return torch.amp.GradScaler(device.type) if self.dtype == "fp16" else None


PLAIN = Precision()  # fp32, as torch lays it out


def floated(output: Any) -> Any:
    """Turn what a network puts out into float32, so that the loss is computed in it."""
    match output:
        case torch.Tensor():
            if output.is_floating_point() and output.dtype != torch.float64:
                return output.float()
        case tuple() | list():
            return tuple(floated(part) for part in output)
        case dict():
            return {name: floated(part) for name, part in output.items()}
    return output


def candidates(
    hardware: str, device: str, isa: tuple[str, ...], model: nn.Module | None = None
) -> list[Precision]:
    """List what is worth measuring, plain fp32 first.

    Parameters
    ----------
    hardware : str
        Runtime.precision.
    isa : tuple of str
        Runtime.isa.
    model : Module, optional
        Its layers say whether there are two layouts to choose from.
    """
    kinds = ["fp32"]
    if device == "cuda" and hardware in _TYPES:
        kinds.append(hardware)
    elif device == "cpu" and {"AMX", "AVX512-BF16", "ARM-BF16"} & set(isa):
        kinds.append("bf16")
    # a user's own layout stays: then there is nothing to choose
    if model is None:
        return [Precision(kind) for kind in kinds]
    users_own = any(p.ndim == 4 and not p.is_contiguous() for p in model.parameters())
    convolves = any(isinstance(m, nn.Conv2d) for m in model.modules())
    both = convolves and not users_own and device != "mps"
    return [
        Precision(kind, last) for kind in kinds for last in ((False, True) if both else (False,))
    ]


def takes_channels_last(model: nn.Module, x: torch.Tensor) -> bool:
    """Whether the network takes pictures of this layout: `x.view(len(x), -1)` in it refuses them.

    Parameters
    ----------
    x : Tensor
        Network input; two pictures are enough.
    """
    was_training = model.training
    try:
        with torch.no_grad(), keyed_random.outer_streams_kept():
            model.eval()(Precision(channels_last=True).input(x))
    except RuntimeError:
        return False
    finally:
        model.train(was_training)
    return True


def compiled(
    model: nn.Module, x: torch.Tensor, complain: Callable[[str], None]
) -> Callable[[Any], Any]:
    """Compile the network by torch.compile; one that cannot be compiled is returned as it is.

    Parameters
    ----------
    x : Tensor
        A batch of input, to try it on.
    """
    net = torch.compile(model)
    model.eval()
    try:
        with torch.no_grad(), keyed_random.outer_streams_kept():
            net(x)
    except Exception as err:  # a compiler is a program of its own: anything may go wrong in it
        why = f"{type(err).__name__}: {str(err).splitlines()[0]}"
        complain(f"The network could not be compiled, and trains without: {why}")
        return model
    return net


@contextmanager
def deterministic(device: torch.device, wanted: bool) -> Iterator[None]:
    """On a GPU, avoid kernels whose sums come in any order, where others exist.

    Elsewhere, and afterwards, all is as it was.
    """
    if device.type != "cuda" or not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    backend = torch.backends.cudnn
    before = backend.benchmark, backend.deterministic
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    backend.benchmark, backend.deterministic = False, True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        backend.benchmark, backend.deterministic = before
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
