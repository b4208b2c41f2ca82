"""Kinds of trainings for kills: what each trains, how, and whether it may promise its bits.

with Forks("tests.support.kinds") as forks:
    forks.run("train_kind", folder="/tmp/x", kind="gru", kill=["after_optimizer", 3])
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from colab_kit import api
from colab_kit.data.dataset import Data
from colab_kit.data.loading import load
from colab_kit.events import Event, RunStarted, StepDone
from tests.support.tasks import Killer, Small, fingerprint, on_the_disk, small_data

cross_entropy = nn.functional.cross_entropy


def labelled(task: str) -> Data:
    """Pictures in memory with numbers, or with any of three classes each; 24 and 8."""
    rng = np.random.Generator(np.random.Philox(9))
    pixels = rng.integers(0, 256, (32, 3, 8, 8), dtype=np.uint8)
    rows = rng.random((32, 3), np.float32)
    labels = rows if task == "regression" else (rows > 0.6).astype(np.float32)
    return load((pixels, labels), valid=0.25, task=task, quiet=True)


class Parametrized(nn.Module):
    """Weights that are computed from others: by norms, kept orthogonal, and by power iteration."""

    def __init__(self) -> None:
        super().__init__()
        norms = nn.utils.parametrizations
        self.conv = norms.weight_norm(nn.Conv2d(3, 6, 3))
        self.mix = norms.orthogonal(nn.Linear(6 * 36, 8))
        self.drop, self.fc = nn.Dropout(0.3), norms.spectral_norm(nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.drop(self.mix(self.conv(x).relu().flatten(1))))  # type: ignore[no-any-return]


class Rows(nn.Module):
    """Reads a picture row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(24, 8, num_layers=2, dropout=0.3, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.gru(x.transpose(1, 2).flatten(2))[0][:, -1])  # type: ignore[no-any-return]


class NumpyInForward(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = np.random.rand() if self.training else 0.5
        return super().forward(x) * (0.5 + noise)


def random_in_a_hook() -> nn.Module:
    net = Small()
    net.fc[0].register_forward_hook(lambda layer, x, y: y * (0.5 + random.random()))
    return net


class RunningFrequency(nn.Module):
    """A loss with a buffer, by which it weighs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.ones(3))

    def forward(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if output.requires_grad:
            self.frequency.mul_(0.9).add_(0.1 * torch.bincount(y, minlength=3))
        return cross_entropy(output, y, weight=1 / (self.frequency + 0.1))


class Counter(Small):
    seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += self.training
        return super().forward(x) * (1 + 0.01 * self.seen)


class NotPersistent(Small):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen += 1
        return super().forward(x) * (1 + 0.01 * float(self.seen))


class OwnGenerator(Small):
    def __init__(self) -> None:
        super().__init__()
        self.own = torch.Generator().manual_seed(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(x.shape, generator=self.own) if self.training else 0
        return super().forward(x + 0.1 * noise)


class Lookahead(torch.optim.Optimizer):
    """Wraps another optimizer, and gives none of its state (Zhang et al. 2019)."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__(inner.param_groups, {})
        self.inner, self.param_groups = inner, inner.param_groups

    def step(self, closure: Any = None) -> None:
        self.inner.step()
        for p in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            slow = self.state[p].setdefault("slow", p.detach().clone())
            slow.lerp_(p.detach(), 0.5)


def by(make: Callable[..., torch.optim.Optimizer], net: Callable[[], nn.Module] = Small) -> Any:
    """What a call gets for a network and an optimizer over its parameters."""

    def made() -> dict[str, Any]:
        torch.manual_seed(3)
        model = net()
        return {"model": model, "optimizer": make(model.parameters())}

    return made


SGD, ADAMW = torch.optim.SGD, torch.optim.AdamW


@dataclass(frozen=True)
class Kind:
    """A kind of training.

    net, data : what is trained, on what
    objects : callable -> the network with an optimizer over it, in place of `net`
    exact : whether a run that goes on promises its bits
    how : what else the call gets
    """

    net: Any = Small
    data: str = "arrays"  # of small_data, or a task
    objects: Callable[[], dict[str, Any]] | None = None
    exact: bool = True
    how: dict[str, Any] = field(default_factory=dict)


ALL_OF_IT = {
    "mixup": 0.4,
    "cutmix": 1.0,
    "ema_decay": 0.9,
    "grad_accum_steps": 2,
    "max_grad_norm": 0.5,
}
STORMS: dict[str, Kind] = {
    "dataset with workers": Kind(data="items", how={"num_workers": 2}),
    "regression": Kind(data="regression", how={"ema_decay": 0.9}),
    "multilabel": Kind(data="multilabel", how={"ema_decay": 0.9, "mixup": 0.4}),
    "all of it": Kind(data="files", how={**ALL_OF_IT, "augment": "strong", "image_size": 8}),
    "layer decay": Kind(how={"layer_decay": 0.5, "warmup_epochs": 0.5}),
    "early stopping": Kind(how={"patience": 3, "lr": 5e-3, "validate_every_steps": 2, "epochs": 9}),
    "balanced sampler": Kind(data="files", how={"sampler": "balanced", "image_size": 8}),
    "amsgrad": Kind(objects=by(lambda p: ADAMW(p, lr=0.01, amsgrad=True))),
    "nesterov": Kind(objects=by(lambda p: SGD(p, lr=0.01, momentum=0.9, nesterov=True))),
    "parametrized": Kind(Parametrized, how={"ema_decay": 0.9}),
    "gru": Kind(Rows, how={"max_grad_norm": 1.0}),
    "real backbone": Kind(
        "efficientnet_lite0",
        data="files",
        how={
            "mode": "frozen_then_finetune",
            "image_size": 32,
            "epochs": 2,
            "batch_size": 8,
            "save_every_steps": 2,
            "lr": 1e-3,
        },
    ),
}
HIDDEN: dict[str, Kind] = {
    "numpy in forward": Kind(NumpyInForward),
    "random in a hook": Kind(random_in_a_hook),
    "a loss with a buffer": Kind(how={"loss": RunningFrequency}),
    "a counter": Kind(Counter, exact=False),
    "a buffer that is not persistent": Kind(NotPersistent, exact=False),
    "a generator of its own": Kind(OwnGenerator, exact=False),
    "a wrapped optimizer": Kind(
        objects=by(lambda p: Lookahead(SGD(p, lr=0.01, momentum=0.9))), exact=False
    ),
}


def train_kind(
    folder: str, kind: str, kill: list[Any] | None = None, seed: int = 0, count: bool = False
) -> None:
    """Train to the end, or to the kill; how it began goes to .exact, a line a session.

    Parameters
    ----------
    seed : int
        What the process's own generators begin with: another process begins otherwise.
    """
    torch.set_num_threads(1)
    on_the_disk(Path(folder))
    one = {**STORMS, **HIDDEN}[kind]
    control = Killer(tuple(kill) if kill else None)  # type: ignore[arg-type]
    is_task = one.data in ("regression", "multilabel")
    data = labelled(one.data) if is_task else small_data(one.data)
    objects = one.objects() if one.objects else {"model": one.net}
    how = {"epochs": 3, "batch_size": 4, "save_every_steps": 1, "seed": 4, **one.how}
    if "loss" in how:
        how["loss"] = how["loss"]()
    if "optimizer" not in objects:
        how.setdefault("lr", 5e-3)
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(seed)
    with (
        open(Path(folder).with_suffix(".losses"), "a") as losses,
        open(Path(folder).with_suffix(".exact"), "a") as exact,
    ):

        def hear(event: Event) -> None:
            if isinstance(event, RunStarted):
                exact.write(f"{json.dumps(event.exact)}\n")
                exact.flush()
            if isinstance(event, StepDone) and event.loss == event.loss:
                losses.write(f"{event.step} {event.loss.hex()} {event.lr.hex()}\n")
                losses.flush()

        how |= {"run_dir": folder, "callbacks": [hear], "quiet": True, "control": control}
        if isinstance(one.net, str):
            run = api.transfer(data, one.net, **how)
        else:
            run = api.train(data=data, **objects, **how)
    assert run.status == "finished", run
    Path(folder).with_suffix(".hash").write_text(fingerprint(Path(folder)))
    if count:
        Path(folder).with_suffix(".hits").write_text(json.dumps(control.hits))
