"""What train() costs a step over a bare loop, progress, CSV and default saving on.

    python benchmarks/overhead.py [--runs 5]

Both loops compute the same: normalise uint8, forward, cross-entropy, backward, AdamW (fused), read
the loss. They take turns in one process; the figure is the median over the rounds of kit's time a
step over the bare loop's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import others


def bare(make: Callable[[], Any], x: Any, y: Any, batch: int, epochs: int) -> float:
    import torch

    net, times = make(), []
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    net.train()
    for _ in range(epochs):
        start = time.perf_counter()
        for rows in torch.randperm(len(x)).split(batch):
            loss = torch.nn.functional.cross_entropy(
                net(x[rows].float().mul_(2 / 255).sub_(1)), y[rows]
            )
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def kit(make: Callable[[], Any], x: Any, y: Any, batch: int, epochs: int) -> float:
    import colab_kit as kit
    from colab_kit.events import EpochDone
    from colab_kit.system.console import Console

    marks: list[float] = []

    def hear(event: Any) -> None:
        if isinstance(event, EpochDone):
            marks.append(time.perf_counter())

    data = kit.load((x, y), valid=0, quiet=True)
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        kit.train(
            make(),
            data,
            epochs=epochs,
            batch_size=batch,
            precision="fp32",
            callbacks=[Console(moving=True), hear],
            quiet=True,
            run_dir=Path(out) / "run",
        )
    return statistics.median(b - a for a, b in zip(marks, marks[1:], strict=False))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    import torch
    import torchvision
    from torch import nn

    def mlp() -> Any:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 256),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )

    sets = {
        "ResNet-18, 64 px, batch 32": (
            lambda: torchvision.models.resnet18(num_classes=10),
            (3, 64, 64),
            32,
            32 * 6,
            3,
            3.0,
        ),
        "MLP, batch 64": (mlp, (1, 28, 28), 64, 64 * 500, 3, 5.0),
    }
    lines, note = [], []
    for name, (make, shape, batch, n, epochs, asked) in sets.items():
        x, y = torch.randint(0, 256, (n, *shape), dtype=torch.uint8), torch.randint(0, 10, (n,))
        ratios, steps = [], n / batch
        for number in range(given.runs):
            pair = [bare(make, x, y, batch, epochs), kit(make, x, y, batch, epochs)]
            ratios.append(100 * (pair[1] / pair[0] - 1))
            print(
                f"{name}, round {number + 1}: bare {pair[0] / steps * 1000:.2f} ms a step, kit {pair[1] / steps * 1000:.2f}",
                flush=True,
            )
        lines.append(others.Line(name, statistics.median(ratios), asked, most=True, unit=" %"))
        note.append(f"{name}: {min(ratios):.1f} to {max(ratios):.1f} % over the rounds")
    others.write(
        "overhead: a step of train() over a bare loop",
        lines,
        "; ".join(note) + ".",
        f"torch {torch.__version__}",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
