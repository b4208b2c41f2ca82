"""Odd, but valid: each trains, stops, goes on to the same bits, is exported, and predicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from colab_kit.api import train
from colab_kit.data.dataset import Data
from colab_kit.data.loading import load
from colab_kit.errors import ModelError
from colab_kit.events import Control, Event, RunStarted, StepDone
from colab_kit.runs.opening import open_run
from colab_kit.runs.run import Run
from tests.support.pictures import picture

PIXELS = np.random.default_rng(5).integers(0, 256, (24, 3, 6, 6), dtype=np.uint8)
LINES = ("a\nb", 'c,"d"', "e\r\n=1+1")  # names of classes
OPTIM = torch.optim


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(108, 6), nn.ReLU(), nn.Linear(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Fourier(nn.Module):
    """Learns a filter of complex numbers."""

    def __init__(self, dtype: torch.dtype = torch.complex64) -> None:
        super().__init__()
        self.filter, self.fc = nn.Parameter(torch.randn(3, 6, 4, dtype=dtype)), nn.Linear(108, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        waves = torch.fft.rfft2(x.to(self.filter.real.dtype)) * self.filter
        return self.fc(torch.fft.irfft2(waves, s=(6, 6)).float().flatten(1))


class Looks(nn.Module):
    """Looks pixels up in a table; its gradients hold the rows that were looked up."""

    def __init__(self, has_more: bool = True) -> None:
        super().__init__()
        self.table = nn.Embedding(256, 3, sparse=True)
        self.fc = nn.Linear(3, 3) if has_more else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.table((x * 127 + 128).long().clamp(0, 255).flatten(1)).mean(1))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.fc = nn.Linear(108, 108), nn.Linear(108, 108), nn.Linear(108, 3)
        self.two.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.two(self.one(x.flatten(1)).relu()).relu())


class Parametrized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.normed = parametrizations.weight_norm(nn.Linear(108, 6))
        self.turned = parametrizations.orthogonal(nn.Linear(6, 6))
        self.fc = parametrizations.spectral_norm(nn.Linear(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.turned(self.normed(x.flatten(1))))


def sgd(**how: Any) -> Callable[[Any], OPTIM.Optimizer]:
    return lambda parameters: OPTIM.SGD(parameters, lr=0.05, **how)


def adam(parameters: Any) -> OPTIM.Optimizer:
    return OPTIM.Adam(parameters, lr=0.01, amsgrad=True)


# the network; an optimizer over its parameters, or None; what else the call gets
ODD: dict[str, tuple[Callable[[], nn.Module], Any, dict[str, Any]]] = {
    "complex64": (Fourier, None, {}),
    "complex128": (lambda: Fourier(torch.complex128), None, {"ema_decay": 0.9}),
    "float64": (lambda: Mlp().double(), None, {"ema_decay": 0.9, "max_grad_norm": 1.0}),
    "bfloat16": (lambda: nn.Sequential(Cast(), Mlp().bfloat16()), None, {}),
    "sparse, sgd": (Looks, sgd(), {"grad_accum_steps": 2}),
    "sparse, sgd by name": (Looks, None, {"optimizer": "sgd"}),
    "sparse, adagrad": (Looks, None, {"optimizer": "adagrad"}),
    "sparse, SparseAdam": (lambda: Looks(False), OPTIM.SparseAdam, {}),
    "tied": (Tied, None, {"ema_decay": 0.9}),
    "parametrized": (Parametrized, None, {"ema_decay": 0.9}),
    "amsgrad": (Mlp, adam, {}),
    "nesterov": (Mlp, sgd(momentum=0.9, nesterov=True), {}),
    "names of two lines": (Mlp, None, {"class_names": LINES}),
    "first picture damaged": (Mlp, None, {"files": True}),
}


class Cast(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.bfloat16()


def pictures(folder: Path) -> Data:
    """Files, of which the first is damaged."""
    for n in range(18):
        picture(folder / "abc"[n % 3] / f"{n:02}.png", n, size=(8, 8))
    first = folder / "a" / "00.png"
    at = first.read_bytes().index(b"IDAT") + 12
    first.write_bytes(first.read_bytes()[:at])
    return load(folder, valid=0.25, quiet=True)


def trained(kind: str, data: Data, folder: Path, stop: int = 0) -> tuple[Run, list[Any]]:
    """The run, with new objects each time, and how it began."""
    net, optimizer, how = ODD[kind]
    control, began = Control(), list[Any]()

    def hear(event: Event) -> None:
        if isinstance(event, RunStarted):
            began.append(event.exact)
        if isinstance(event, StepDone) and event.step == stop:
            control.stop("enough")

    torch.manual_seed(3)
    model = net()
    if optimizer is not None and not isinstance(optimizer, type):
        optimizer = optimizer(model.parameters())
    how = {"image_size": 6} if "files" in how else {k: how[k] for k in how if k != "class_names"}
    how |= {"epochs": 2, "batch_size": 4, "save_every_steps": 2, "callbacks": [hear]}
    if optimizer is not None:
        how["optimizer"] = optimizer
    return train(model, data, run_dir=folder, control=control, quiet=True, **how), began


@pytest.mark.filterwarnings("ignore:Sparse invariant", "ignore:Casting complex")  # torch's own
@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_trains_goes_on_to_the_same_bits_is_exported_and_predicts(kind, tmp_path):
    net, _, how = ODD[kind]
    names = how.get("class_names", ("a", "b", "c"))
    if "files" in how:
        data = pictures(tmp_path / "files")
    else:
        labels = np.arange(24) % 3
        data = load((PIXELS, labels), valid=0.25, class_names=names, quiet=True)
    whole, _ = trained(kind, data, tmp_path / "whole")
    trained(kind, data, tmp_path / "cut", stop=2)
    run, began = trained(kind, data, tmp_path / "cut")
    weights = whole.model.state_dict()
    assert began == [True]
    assert all(torch.equal(t, weights[name]) for name, t in run.model.state_dict().items())
    expected = run.predict(PIXELS[0], quiet=True)
    opened = open_run(run.export(tmp_path / "run.safetensors"), model=net)
    found = opened.predict(PIXELS[0], quiet=True)
    assert np.array_equal(found.probabilities, expected.probabilities)
    assert opened.classes == tuple(names)


@pytest.mark.parametrize("name", ["adamw", "adam", "rmsprop", "nadam", "radam"])
def test_an_optimizer_that_takes_no_sparse_gradients_is_refused_before_the_first_step(
    name, tmp_path
):
    data = load((PIXELS, np.arange(24) % 3), quiet=True)
    with pytest.raises(ModelError, match="does not take the sparse gradients of table"):
        train(Looks, data, optimizer=name, run_dir=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_an_optimizer_that_takes_only_sparse_gradients_is_refused_where_there_are_others():
    data = load((PIXELS, np.arange(24) % 3), quiet=True)
    with pytest.raises(ModelError, match=r"SparseAdam does not take the dense gradients of fc"):
        train(Looks, data, optimizer=OPTIM.SparseAdam, quiet=True)
