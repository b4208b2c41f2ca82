"""On an accelerator nobody waits for it batch by batch: a pretended one counts who asks for numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.api import train, transfer
from colab_kit.data.dataset import Data
from colab_kit.data.loading import load
from colab_kit.models import features
from colab_kit.training import loop, preparing
from colab_kit.training.plan import Hardware
from colab_kit.training.saver import Saver
from tests.support.devices import META, Fetches

FEW, MANY = 24, 120  # pictures: 3 and 15 batches


EXTRAS = {"augment": "strong", "mixup": 0.2, "cutmix": 0.2, "ema_decay": 0.9, "max_grad_norm": 1.0}


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 3, bias=False), nn.BatchNorm2d(12), nn.ReLU())
        self.fc = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@pytest.fixture(autouse=True)
def accelerator(monkeypatch):
    """Where everything runs. No clock strikes, and its memory is free."""
    machine = Hardware.here("cpu")
    monkeypatch.setattr(Hardware, "here", lambda *args, **more: replace(machine, device=META))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 30, 1 << 30))
    monkeypatch.setattr(loop, "LOOK_EVERY", 1e9)
    monkeypatch.setattr(features, "FETCH_EVERY", 1e9)
    monkeypatch.setattr(preparing, "WARM", 1e9)
    monkeypatch.setattr(Saver, "due", lambda self, step: False)


def data_of(n: int) -> Data:
    x = np.random.default_rng(n).integers(0, 255, (n, 3, 8, 8)).astype(np.uint8)
    return load({"train": (x, np.arange(n) % 3), "valid": (x, np.arange(n) % 3)}, quiet=True)


def trained(n: int, **fields):
    net, run_dir = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), f"run{n}"
    return train(net, data_of(n), epochs=1, batch_size=8, run_dir=run_dir, quiet=True, **fields)


def transferred(n: int, mode: str):
    how = {"mode": mode, "weights": None, "batch_size": 8, "image_size": 8, "quiet": True}
    how |= {"epochs": 2} if mode == "finetune" else {}
    return transfer(data_of(n), Backbone(), run_dir=f"run{n}", **how)


def waits(call, n: int) -> dict[str, int]:
    with Fetches() as fetches:
        call(n)
    assert fetches.places, "the last figures are waited for"
    return dict(fetches.places)


@pytest.mark.parametrize(
    "call",
    [
        lambda n: trained(n, **EXTRAS),
        lambda n: transferred(n, "finetune"),
        lambda n: transferred(n, "frozen"),
    ],
    ids=["with all extras", "finetune", "frozen"],
)
def test_five_times_the_batches_are_no_more_waits_in_training(call):
    assert waits(call, FEW) == waits(call, MANY)


@pytest.mark.parametrize("frozen", [False, True])
def test_five_times_the_batches_are_no_more_waits_in_looking(frozen):
    with Fetches():
        run = transferred(FEW, "frozen") if frozen else trained(FEW)

    def evaluated(n: int) -> None:
        run.evaluate(data_of(n), quiet=True)

    def predicted(n: int) -> None:
        run.predict(list(data_of(n).train.source.x), quiet=True)

    for look in (evaluated, predicted):
        assert waits(look, FEW + 8) == waits(look, MANY), look
