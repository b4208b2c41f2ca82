"""Fashion-MNIST with an MLP, batch 64, against the usual loops.

    python benchmarks/mlp.py [--device cuda] [--python PEERS_PYTHON]

limit       the whole set as one tensor, batches sliced from it, a hand-written loop: nothing can
be faster without other arithmetic
course      torchvision's dataset with ToTensor and Normalize, a DataLoader, a hand-written loop
lightning   the same DataLoader, a LightningModule        fastai   its Learner on the same
datasets
keras       fit() on whole arrays, backend torch          skorch   NeuralNetClassifier.fit() on
whole arrays
kit         kit.train() on the arrays, default saving, no callback

Each runs in a process of its own and says how long its fastest epoch after the first one took.
The same network, AdamW, 2 threads. With
--device cuda all of them train on the GPU, and the limit's set lies there too.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import others

FOLDER = Path("/usr/share/datasets/fashion-mnist")
NAMES = ("limit", "kit", "course", "lightning", "fastai", "keras", "skorch")
BATCH = 64


def arrays() -> tuple[Any, Any]:
    """The training set: uint8 (60000, 28, 28) and int64 (60000,)."""
    import numpy as np

    def idx(name: str) -> Any:
        path = next(p for p in (FOLDER / name, FOLDER / f"{name}.gz") if p.exists())
        content = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        shape = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(content[3])]
        return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)

    return idx("train-images-idx3-ubyte").copy(), idx("train-labels-idx1-ubyte").astype("int64")


def network() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def limit(epochs: int, device: str) -> list[float]:
    import torch

    x, y = (torch.from_numpy(a).to(device) for a in arrays())
    x, net, times = x.unsqueeze(1), network().to(device), []
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        start = time.perf_counter()
        for rows in torch.randperm(len(x), device=device).split(BATCH):
            loss = torch.nn.functional.cross_entropy(
                net(x[rows].float().mul_(2 / 255).sub_(1)), y[rows]
            )
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
        times.append(time.perf_counter() - start)
    return times


def kit(epochs: int, device: str) -> list[float]:
    import colab_kit as kit
    from colab_kit.events import EpochDone

    x, y = arrays()
    data, marks = kit.load((x, y), valid=0, quiet=True), [0.0]

    def hear(event: Any) -> None:
        if isinstance(event, EpochDone):
            marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as out:
        run = kit.train(
            network(),
            data,
            epochs=epochs,
            batch_size=BATCH,
            lr_schedule="constant",
            callbacks=[hear],
            quiet=True,
            device=device,
            run_dir=Path(out) / "run",
        )
        others.tell(run)
    return [b - a for a, b in zip(marks[1:], marks[2:], strict=False)]


class Rows:
    """What torchvision.datasets.FashionMNIST gives, from the same arrays: a PIL picture through
    ToTensor and Normalize.
    """

    def __init__(self) -> None:
        from torchvision import transforms

        self.x, self.y = arrays()
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
        )

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> Any:
        from PIL import Image

        return self.transform(Image.fromarray(self.x[i])), int(self.y[i])


def course(epochs: int, device: str) -> list[float]:
    import torch

    loader, net, times = (
        torch.utils.data.DataLoader(Rows(), BATCH, shuffle=True),
        network().to(device),
        [],
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for _ in range(epochs):
        start = time.perf_counter()
        for x, y in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
            loss.item()
        times.append(time.perf_counter() - start)
    return times


def lightning(epochs: int, device: str) -> list[float]:
    import logging

    import lightning as L
    import torch

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    times: list[float] = []

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, number: int) -> Any:
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

        def on_train_epoch_start(self) -> None:
            self.start = time.perf_counter()

        def on_train_epoch_end(self) -> None:
            times.append(time.perf_counter() - self.start)

    with tempfile.TemporaryDirectory() as out:
        trainer = L.Trainer(
            max_epochs=epochs,
            accelerator="gpu" if device == "cuda" else "cpu",
            logger=False,
            enable_model_summary=False,
            default_root_dir=out,
        )
        trainer.fit(Module(), torch.utils.data.DataLoader(Rows(), BATCH, shuffle=True))
    return times


def fastai(epochs: int, device: str) -> list[float]:
    import torch
    from fastai.basics import Callback, DataLoader, DataLoaders, Learner

    times: list[float] = []

    class Clock(Callback):
        def before_epoch(self) -> None:
            self.start = time.perf_counter()

        def after_epoch(self) -> None:
            times.append(time.perf_counter() - self.start)

    rows = Rows()
    loaders = DataLoaders(
        DataLoader(rows, bs=BATCH, shuffle=True, num_workers=0),
        DataLoader(torch.utils.data.Subset(rows, range(BATCH)), bs=BATCH, num_workers=0),
        device=device,
    )
    learner = Learner(
        loaders, network().to(device), loss_func=torch.nn.CrossEntropyLoss(), cbs=Clock()
    )
    with learner.no_logging():
        learner.fit(epochs, 1e-3)
    return times


def keras(epochs: int, device: str) -> list[float]:
    import keras  # with torch beneath, it takes the GPU that CUDA_VISIBLE_DEVICES leaves it

    x, y = arrays()
    x = x.astype("float32") / 127.5 - 1
    net = keras.Sequential(
        [
            keras.layers.Flatten(),
            keras.layers.Dense(256, "relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(128, "relu"),
            keras.layers.Dense(10),
        ]
    )
    net.compile(
        keras.optimizers.AdamW(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    times: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            times.append(time.perf_counter() - self.start)

    net.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[Clock()])
    return times


def skorch(epochs: int, device: str) -> list[float]:
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback

    x, y = arrays()
    x = (x.astype("float32") / 127.5 - 1)[:, None]
    times: list[float] = []

    class Clock(Callback):
        def on_epoch_begin(self, net: Any, **kw: Any) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, net: Any, **kw: Any) -> None:
            times.append(time.perf_counter() - self.start)

    net = NeuralNetClassifier(
        network(),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=1e-3,
        batch_size=BATCH,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
        device=device,
        iterator_train__shuffle=True,
        callbacks=[("clock", Clock())],
    )
    net.fit(x, y)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    others.devices_and_names(parser, NAMES)
    parser.add_argument("--python", help="of an environment that has the peers")
    given = parser.parse_args()
    if given.one:
        import torch

        torch.set_num_threads(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        )
        times = globals()[given.one](given.epochs, given.device)
        others.say(epoch=min(times[1:] or times))
        return 0
    if not FOLDER.exists():
        print(f"{FOLDER} is missing: apt install dataset-fashion-mnist")
        return 2
    python, names = others.environment(given.python), others.chosen(given, NAMES)
    found = others.rounds(
        python, "mlp.py", names, given.runs, "--epochs", str(given.epochs), "--device", given.device
    )
    asked = {"limit": 0.95, "course": 5, "lightning": 5, "fastai": 5, "keras": 1, "skorch": 1}
    lines = [
        others.Line(
            f"{name}'s epoch / kit's", others.ratio(found[name], found["kit"], "epoch"), least
        )
        for name, least in asked.items()
        if name in found
    ]
    seconds = ", ".join(f"{name} {others.median(found[name], 'epoch'):.2f}" for name in names)
    versions = ", ".join(f"{name} {_version(python, name)}" for name in ("torch", *others.PEERS))
    others.write(
        f"mlp{others.on(given.device)}: Fashion-MNIST, 60,000 pictures, batch 64",
        lines,
        f"Seconds an epoch: {seconds}.",
        versions,
        whole=given.only is None,
    )
    return 0


def _version(python: str, name: str) -> str:
    import subprocess

    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
