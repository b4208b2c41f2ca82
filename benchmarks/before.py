"""This build against an earlier one, in turn in one process.

    python benchmarks/before.py CHECKOUT [--blocks 200] [--only steps]

    steps     an epoch of an MLP, batch 64, after the first: processor time of 40 steps
    call      a whole train() of that MLP, three epochs: what a call costs besides its steps
    network   an epoch of ResNet-18, 32 px, batch 8, after the first
    fetch     a file of 4 MiB from a server on this machine
    frozen    a second transfer on kept features, with another seed

CHECKOUT is a working tree of the earlier build (`git worktree add ../before COMMIT`); its package
is imported under another name, so both builds live in this process and take turns, block by block,
on one thread. The figure is the median ratio of processor seconds, new to old, with its 95 %
interval (by order statistics of the blocks' ratios).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import itertools
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

NAMES = ("steps", "call", "network", "fetch", "frozen")
BEFORE = "colab_kit_before"


def builds(checkout: Path, folder: Path) -> tuple[ModuleType, ModuleType]:
    """This package, and the one of `checkout` under another name."""
    shutil.copytree(checkout / "colab_kit", folder / BEFORE)
    sys.path.insert(0, str(folder))
    return importlib.import_module("colab_kit"), importlib.import_module(BEFORE)


def silent(verb: Callable[..., Any], *callbacks: Any) -> dict[str, Any]:
    """The arguments that silence a verb of either build, but for these callbacks."""
    if "quiet" in inspect.signature(verb).parameters:
        return {"quiet": True, "callbacks": callbacks}
    return {"listen": list(callbacks)}


def run_folder(verb: Callable[..., Any], folder: Path) -> dict[str, Path]:
    name = "run_dir" if "run_dir" in inspect.signature(verb).parameters else "out"
    return {name: folder}


def training(
    kit: ModuleType, network: Callable[[], Any], data: Any, batch: int, fresh: Iterator[Path]
) -> tuple[float, float]:
    """Processor seconds of an epoch after the first, and of the whole call."""
    marks: list[float] = []

    def mark(event: Any) -> None:
        if type(event).__name__ == "EpochDone":
            marks.append(time.process_time())

    began = time.process_time()
    folder = next(fresh)
    how = {**silent(kit.train, mark), **run_folder(kit.train, folder)}
    kit.train(network(), data, epochs=3, batch_size=batch, precision="fp32", **how)
    whole = time.process_time() - began
    shutil.rmtree(folder)
    return statistics.median(b - a for a, b in itertools.pairwise(marks)), whole


def fetching(kit: ModuleType, url: str, fresh: Iterator[Path]) -> float:
    target = next(fresh)
    began = time.process_time()
    kit.fetch(url, target / "file.bin", **silent(kit.fetch))
    seconds = time.process_time() - began
    shutil.rmtree(target)
    return seconds


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """A file server in a process of its own: its processor time is not ours."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "-d", str(folder), port]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            while True:
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(("127.0.0.1", int(port))),
                ):
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()


def frozen(kit: ModuleType, data: Any, seeds: Iterator[int], fresh: Iterator[Path]) -> float:
    folder = next(fresh)
    how = {**silent(kit.transfer), **run_folder(kit.transfer, folder)}
    new = hasattr(kit.Recipe(), "image_size")
    how["image_size" if new else "size"] = 64
    began = time.process_time()
    kit.transfer(data, "efficientnet_lite0", mode="frozen", seed=next(seeds), **how)
    seconds = time.process_time() - began
    shutil.rmtree(folder)
    return seconds


def interval(ratios: list[float]) -> tuple[float, float]:
    """The 95 % interval of the median, by order statistics (Conover, Practical Nonparametric
    Statistics, 1999).
    """
    ordered, n = sorted(ratios), len(ratios)
    reach = 1.96 * math.sqrt(n) / 2
    low, high = math.floor(n / 2 - reach), math.ceil(n / 2 + reach)
    return ordered[max(0, low)], ordered[min(n - 1, high)]


def compare(
    name: str,
    block: Callable[[ModuleType], float],
    kits: tuple[ModuleType, ModuleType],
    blocks: int,
) -> None:
    """Let both builds take turns, and print the ratio."""
    for kit in kits:
        block(kit)  # imports, caches
    pairs: list[tuple[float, float]] = []
    for number in range(blocks):
        order = kits if number % 2 else kits[::-1]
        took = {kit.__name__: block(kit) for kit in order}
        pairs.append((took["colab_kit"], took[BEFORE]))
    ratios = [new / old for new, old in pairs]
    low, high = interval(ratios)
    old = statistics.median(pair[1] for pair in pairs)
    print(
        f"{name:8} {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"
        f"  before: {old * 1000:.2f} ms, {blocks} blocks a side",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--only", choices=NAMES, action="append")
    given = parser.parse_args()
    wanted = given.only or NAMES
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        os.environ["COLAB_KIT_HOME"] = str(folder / "home")
        kits = builds(given.checkout.resolve(), folder)
        import torch
        import torchvision
        from torch import nn

        torch.set_num_threads(1)
        fresh = (folder / f"run-{number}" for number in itertools.count())

        def mlp() -> Any:
            layers = [nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 10)]
            return nn.Sequential(nn.Flatten(), *layers)

        def arrays(*shape: int) -> dict[str, Any]:
            x = torch.randint(0, 256, shape, dtype=torch.uint8)
            y = torch.arange(shape[0]) % 10
            return {kit.__name__: kit.load((x, y), valid=0, **silent(kit.load)) for kit in kits}

        if "steps" in wanted or "call" in wanted:
            small = arrays(64 * 40, 1, 28, 28)
            for which, title in enumerate(("steps", "call")):
                if title in wanted:
                    compare(
                        title,
                        lambda kit, n=which: training(kit, mlp, small[kit.__name__], 64, fresh)[n],
                        kits,
                        given.blocks,
                    )
        if "network" in wanted:
            colour = arrays(8 * 4, 3, 32, 32)
            resnet = partial(torchvision.models.resnet18, num_classes=10)
            compare(
                "network",
                lambda kit: training(kit, resnet, colour[kit.__name__], 8, fresh)[0],
                kits,
                given.blocks,
            )
        if "fetch" in wanted:
            (folder / "served").mkdir()
            (folder / "served/file.bin").write_bytes(os.urandom(4 << 20))
            url = stack.enter_context(server(folder / "served")) + "/file.bin"
            compare("fetch", lambda kit: fetching(kit, url, fresh), kits, given.blocks)
        if "frozen" in wanted:
            pictures, seeds = arrays(200, 3, 32, 32), itertools.count()
            compare(
                "frozen",
                lambda kit: frozen(kit, pictures[kit.__name__], seeds, fresh),
                kits,
                given.blocks,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
