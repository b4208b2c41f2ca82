"""Jobs for killed children: a small training with everything random in it, and a hash of all it
should come to.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from colab_kit import api
from colab_kit.data import batches, keyed_random, pixel_cache
from colab_kit.data.dataset import Data, Split
from colab_kit.data.sources import Arrays, Items, Pictures
from colab_kit.events import Control, Event, StepDone, milestone, set_milestone_hook
from colab_kit.system import files
from colab_kit.training import checkpoint, job, loop
from tests.support.pictures import picture

# what a training imports when it comes to it, and the first optimizer: a second and a half, paid
# once before the forks, not in each
for late in ("filelock", "numpy.ctypeslib", "psutil", "safetensors.torch", "torchvision"):
    importlib.import_module(late)
torch.optim.AdamW([torch.zeros(1)], lr=1.0)
CLASSES = ("a", "b", "c")
POINTS = (
    "after_backward",
    "after_optimizer",
    "before_save",
    "mid_write",
    "before_rename",
    "after_rename",
    "in_validation",
    "epoch_end",
)


class Killer(Control):
    """Count the points a run passes; at the n-th hit of one, die as a runtime dies, stop, or
    pause until it is saved.
    """

    def __init__(self, kill: tuple[str, int] | None, how: str = "kill") -> None:
        super().__init__()
        self.kill, self.how, self.hits = kill, how, Counter[str]()
        set_milestone_hook(self.pass_by)

    def pass_by(self, point: str, path: Path | None) -> None:
        self.hits[point] += 1
        if self._paused and point == "before_save":
            self.resume()
        if self.kill is None or (point, self.hits[point]) != tuple(self.kill):
            return
        match self.how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                self.stop("told to")
            case "pause":
                self.pause()


class Drawn(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Pictures with a user's transforms: PIL, `random`, `np.random`, torch, and a thread that
    draws.
    """

    def __init__(self, n: int) -> None:
        rng = np.random.Generator(np.random.Philox(7))
        self.pixels = rng.integers(0, 256, (n, 12, 12, 3), dtype=np.uint8)
        self.targets = [int(v) for v in rng.integers(0, 3, n)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.pixels[i])
        left = random.randrange(4)
        picture = picture.crop((left, 0, left + 8, 8)).rotate(float(np.random.uniform(-20, 20)))
        drawn: list[float] = []
        thread = threading.Thread(target=lambda: drawn.append(torch.rand(()).item()))
        thread.start()
        thread.join()
        x = torch.from_numpy(np.asarray(picture, np.float32).copy()).movedim(2, 0) / 255
        return x * (0.5 + drawn[0]) + torch.randn(3, 8, 8) * 0.05, self.targets[i]


class Fragile:
    """A loss that is lost where the scores grow too large: a function of the weights, so it is
    lost at the same step again.
    """

    def __call__(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = nn.functional.cross_entropy(output, y)
        return (
            loss * float("nan")
            if output.requires_grad and float(output.detach().abs().max()) > 4.0
            else loss
        )


class Small(nn.Module):
    """A convolutional network with all that draws or remembers: Dropout2d, BatchNorm, Dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten()
        )
        self.fc = nn.Sequential(nn.Linear(6 * 36, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x))  # type: ignore[no-any-return]


def channels_last() -> nn.Module:
    """The same in the memory format of fast convolutions: a checkpoint is contiguous, and must be
    put back as it was.
    """
    return Small().to(memory_format=torch.channels_last)


def jitter(picture: Image.Image) -> Image.Image:
    """A user's transform that draws from `random`, `np.random` and torch."""
    left = random.randrange(4)
    turned = picture.crop((left, 0, left + 8, 8)).rotate(float(np.random.uniform(-20, 20)))
    return Image.fromarray(
        np.clip(np.asarray(turned) * (0.5 + torch.rand(()).item()), 0, 255).astype(np.uint8)
    )


def small_files() -> Path:
    """The folder of the small pictures: made once, whole, for all test processes of this user."""
    folder = Path(tempfile.gettempdir()) / f"colab-kit-test-pictures-{os.getuid()}"
    if not folder.exists():
        made = Path(tempfile.mkdtemp(prefix="colab-kit-test-"))
        for n in range(32):
            picture(made / f"{n}.{'jpg' if n % 3 else 'png'}", n, size=(12 + n % 5, 11))
        try:
            made.rename(folder)  # whole or not at all: another process may be reading it
        except OSError:  # that one was first
            shutil.rmtree(made)
    return folder


def small_data(kind: str) -> Data:
    """`items`: a user's Dataset; `arrays`: bytes in memory; `files`: pictures. 23 to train on, 9
    to validate: the last batch is ragged.
    """
    rows = np.arange(32)
    if kind == "files":
        folder = small_files()
        paths = sorted(folder.iterdir(), key=lambda path: int(path.stem))
        files = Pictures(paths, np.arange(32) % 3, folder, "print")
        return Data(
            Split(files, rows[:23]),
            Split(files, rows[23:], "valid"),
            None,
            CLASSES,
            "small-files",
            "small-files",
        )
    if kind == "items":
        dataset = Drawn(32)
        source: Any = Items(dataset, np.array(dataset.targets))
    else:
        rng = np.random.Generator(np.random.Philox(8))
        source = Arrays(
            torch.from_numpy(rng.integers(0, 256, (32, 3, 8, 8), dtype=np.uint8)),
            rng.integers(0, 3, 32).astype(np.int64),
        )
    return Data(
        Split(source, rows[:23]),
        Split(source, rows[23:], "valid"),
        None,
        CLASSES,
        f"small-{kind}",
        f"small-{kind}",
    )


def train_small(
    folder: str,
    data: str = "items",
    kill: list[Any] | None = None,
    num_workers: int = 0,
    save_every_steps: int | None = 1,
    epochs: int = 3,
    mutation: str = "",
    count: bool = False,
    how: str = "kill",
    flavour: str = "",
) -> None:
    """Train to the end, or to the kill. Each step's loss goes to losses.txt as it is heard."""
    torch.set_num_threads(1)
    if data == "files":
        on_the_disk(Path(folder))
    if mutation:
        MUTATIONS[mutation]()
    control = Killer(tuple(kill) if kill else None, how)  # type: ignore[arg-type]
    with open(Path(folder).with_suffix(".losses"), "a") as log:

        def hear(event: Event) -> None:
            torch.rand(())  # a callback that draws must change nothing
            if isinstance(event, StepDone):
                log.write(f"{event.step} {event.loss.hex()} {event.lr.hex()}\n")
                log.flush()

        run = api.train(
            channels_last if data == "arrays" else Small, small_data(data), run_dir=folder, callbacks=[hear], quiet=True,
            control=control, num_workers=num_workers,
            save_every_steps=save_every_steps, epochs=epochs,
            **{"batch_size": 4, "grad_accum_steps": 2, "max_grad_norm": 0.5, "lr": {"fc*": 1e-2, "*": 3e-3}, "warmup_epochs": 0.5,
               "ema_decay": 0.9, "mixup": 0.4,
               "patience": 50, "validate_every_steps": 2, **FLAVOURS[flavour]},
        )  # fmt: skip
    assert run.status == ("stopped" if kill and how == "stop" else "finished"), run
    if run.status == "stopped":
        return
    Path(folder).with_suffix(".hash").write_text(fingerprint(Path(folder)))
    if count:
        Path(folder).with_suffix(".hits").write_text(json.dumps(control.hits))


def transfer_small(
    folder: str, kind: str, kill: list[Any] | None = None, count: bool = False
) -> None:
    """Transfer to the end, or to the kill; features lie on the disk, as they do outside of tests."""
    torch.set_num_threads(1)
    on_the_disk(Path(folder))
    control = Killer(tuple(kill) if kill else None)  # type: ignore[arg-type]
    torch.manual_seed(3)
    with open(Path(folder).with_suffix(".losses"), "a") as log:

        def hear(event: Event) -> None:
            torch.rand(())
            if isinstance(event, StepDone) and event.loss == event.loss:
                log.write(f"{event.step} {event.loss.hex()} {event.lr.hex()}\n")
                log.flush()

        run = api.transfer(
            small_data("files"), Seen(), run_dir=folder, image_size=8, batch_size=4, augment="strong", callbacks=[hear], quiet=True,
            control=control,
            **TRANSFERS[kind],
        )  # fmt: skip
    assert run.status == "finished", run
    Path(folder).with_suffix(".hash").write_text(fingerprint(Path(folder)))
    if count:
        Path(folder).with_suffix(".hits").write_text(json.dumps(control.hits))


class Seen(nn.Module):
    """A backbone with BatchNorm and dropout, and a head of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten()
        )
        self.fc = nn.Linear(6 * 36, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x))  # type: ignore[no-any-return]


TRANSFERS: dict[str, dict[str, Any]] = {
    "frozen": {"mode": "frozen", "views": 3},
    "deep": {"mode": "frozen", "views": 2, "head": (8,), "save_every_steps": 3},
    "both": {"mode": "frozen_then_finetune", "epochs": 3, "mixup": 0.4, "save_every_steps": 1},
    "finetune": {
        "mode": "finetune",
        "epochs": 2,
        "layer_decay": 0.5,
        "ema_decay": 0.9,
        "save_every_steps": 2,
    },
}
FLAVOURS: dict[str, dict[str, Any]] = {
    "": {},
    "views": {"augment": "strong", "cutmix": 1.0, "image_size": 8, "sampler": "balanced"},
    "fp16": {"precision": "fp16"},
    "transform": {"augment": jitter, "image_size": 8},
    "lost": {"loss": Fragile(), "lr": 0.04},
}


def on_the_disk(folder: Path) -> None:
    """Let stores of pixels lie on the disk: the next process finds one half filled."""
    os.environ["COLAB_KIT_HOME"] = str(folder.with_suffix(".home"))
    pixel_cache.RAM_SHARE = 0.0


def loop_by_hand(folder: str, kill: int | None = None) -> None:
    """A loop of the user's own over Split.batches(): what it has done stands in a file, from
    where it goes on.
    """
    on_the_disk(Path(folder))
    done = Path(folder).with_suffix(".batches")
    lines = done.read_text().splitlines() if done.exists() else []
    train = small_data("files").train
    per_epoch = len(list(train.batches(4, size=8)))
    for epoch in range(len(lines) // per_epoch, 3):
        for x, y, index in train.batches(
            4, epoch=epoch, first=len(lines) % per_epoch, augment="strong", size=8
        ):
            lines.append(
                hashlib.sha256(
                    x.numpy().tobytes() + y.numpy().tobytes() + index.tobytes()
                ).hexdigest()
            )
            done.write_text("\n".join(lines) + "\n")
            if kill is not None and len(lines) == kill:
                os.kill(os.getpid(), signal.SIGKILL)


def fingerprint(folder: Path) -> str:
    """One hash over weights, average, optimizer, history, best, counters and the loss of every
    step.
    """
    found = checkpoint.read(max(folder.glob("checkpoint-*.safetensors"), key=checkpoint.step_of))
    digest = hashlib.sha256()
    for name in sorted(found.tensors):
        digest.update(
            name.encode()
            + found.tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    kept = ("history", "best", "waited", "step", "epoch", "batch", "sums", "optimizer")
    facts = {k: found.facts[k] for k in kept if k in found.facts}  # a solved head has no optimizer
    best = checkpoint.best_weights(folder, found, complain=lambda text: None)
    digest.update(
        json.dumps(facts).encode()
        + b"".join(best[k].flatten().view(torch.uint8).numpy().tobytes() for k in sorted(best))
    )
    losses: dict[str, str] = {}
    for line in folder.with_suffix(".losses").read_text().splitlines():
        step, loss, lr = line.split(" ")
        if (
            losses.setdefault(f"{step} {lr}", loss) != loss
        ):  # a rollback trains a step again, with another rate
            return f"step {step} was trained twice with different losses"
    digest.update(json.dumps(losses, sort_keys=True).encode())
    return digest.hexdigest()


def _no_step_seed() -> None:
    loop.keyed_random.seed_torch = lambda *key: None  # type: ignore[assignment]


def _no_sample_key() -> None:
    batches.keyed_random.sample_key = lambda seed, epoch, row: (
        random.SystemRandom().getrandbits(60),
    )  # type: ignore[assignment]


def _no_order() -> None:
    keyed_random.permutation = lambda n, *key: np.random.default_rng().permutation(n)  # type: ignore[assignment]


def _no_cursor() -> None:
    _forget("batch", 0)


def _no_sums() -> None:
    _forget("sums", [0.0] * 4)


def _forget(name: str, value: Any) -> None:
    begin = job.Job.begin

    def forgetful(self: Any) -> Any:
        begun = begin(self)
        setattr(begun, name, value)
        return begun

    job.Job.begin = forgetful  # type: ignore[method-assign]


def _no_average() -> None:
    under = checkpoint.under
    job.checkpoint.under = lambda tensors, prefix: (
        {} if prefix == "average/" else under(tensors, prefix)
    )  # type: ignore[assignment]


def _no_optimizer() -> None:
    job.checkpoint.unpack = lambda value, tensors: {"state": {}, "param_groups": _groups(value)}  # type: ignore[assignment]


def _groups(value: Any) -> Any:
    groups = dict(map(tuple, value["dict"]))["param_groups"]
    return [
        {
            k: (tuple(v["tuple"]) if isinstance(v, dict) and "tuple" in v else v)
            for k, v in map(tuple, g["dict"])
        }
        for g in groups
    ]


def _in_place() -> None:
    def write(path: Path, content: bytes | str) -> None:
        data = content.encode() if isinstance(content, str) else content
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            milestone("mid_write", path)
            file.write(data[len(data) // 2 :])
        milestone("before_rename", path)
        milestone("after_rename", path)

    files.write_whole = checkpoint.write_whole = write  # type: ignore[assignment]


MUTATIONS = {
    "batch seed": _no_step_seed, "sample key": _no_sample_key, "cursor": _no_cursor, "average": _no_average,
    "optimizer": _no_optimizer, "order": _no_order, "accumulator": _no_sums, "in-place write": _in_place,
}  # fmt: skip
