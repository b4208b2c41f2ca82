"""From `import colab_kit` to the first step of an MLP, beyond torch's own imports.

    python benchmarks/startup.py [--runs 7]

Pairs of fresh processes: one imports torch and makes an optimizer (which imports the rest of
torch), the other imports colab_kit and trains nets.mlp() on fashion-mini until the first step is
done. The figure is the median difference, in seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import others

TORCH = "import torch; torch.optim.AdamW([torch.zeros(1)])"
KIT = """
import os, colab_kit as kit
from colab_kit.events import StepDone
kit.train(kit.nets.mlp(), "fashion-mini", epochs=1, run_dir={out!r}, quiet=True,
          callbacks=[lambda e: os._exit(0) if isinstance(e, StepDone) else None])
"""


def took(code: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(others.ROOT)}
    )
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    pairs = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["COLAB_KIT_HOME"] = f"{place}/home"
        took(TORCH), took(KIT.format(out=f"{place}/warm"))
        for number in range(given.runs):
            pairs.append((took(TORCH), took(KIT.format(out=f"{place}/{number}"))))
            print(f"torch {pairs[-1][0]:.2f} s, to the first step {pairs[-1][1]:.2f} s", flush=True)
    beyond = statistics.median(kit - torch for torch, kit in pairs)
    line = others.Line(
        "import to the first MLP step, beyond torch and torch.optim",
        beyond,
        1.5,
        most=True,
        unit=" s",
    )
    note = f"torch alone {statistics.median(t for t, _ in pairs):.2f} s, to the first step {statistics.median(k for _, k in pairs):.2f} s."
    others.write("startup: import to first step", [line], note, "fresh processes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
