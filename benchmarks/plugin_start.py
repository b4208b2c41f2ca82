"""What the plugin costs a pytest start that does not use it.

    python benchmarks/plugin_start.py [pairs]

Each pair starts pytest on one empty test, without colab-kit installed and with it, in turn; the
median of the differences is the figure. Promised: under 20 ms. The import of the plugin alone, in
a process that has pytest, is the steadier one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.installed import site

PROMISED = 0.020  # s
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_nothing.py"]
IMPORT = """
import pytest, time
start = time.perf_counter()
import colab_kit.testing.plugin
print(time.perf_counter() - start)
"""


def run(command: list[str], folder: Path, kit: Path | None) -> tuple[float, str]:
    """Seconds the command took, and what it said."""
    env = {
        **os.environ,
        "PYTHONPATH": str(kit or ""),
        "PYTHONDONTWRITEBYTECODE": "",
    }  # bytecode is kept, as in daily use
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True)
    return time.perf_counter() - begun, done.stdout


def measure(pairs: int, folder: Path) -> tuple[list[tuple[float, float]], list[float]]:
    """(without, with) of each pair, which one goes first alternates; and the seconds of each
    import.
    """
    kit = site(folder / "site")
    (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    run(PYTEST, folder, kit)  # writes the bytecode
    rows = []
    for number in range(pairs):
        pair = {
            place: run(PYTEST, folder, place)[0]
            for place in ([kit, None] if number % 2 else [None, kit])
        }
        rows.append((pair[None], pair[kit]))
    return rows, [float(run([sys.executable, "-c", IMPORT], folder, kit)[1]) for _ in range(pairs)]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        rows, imports = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20, Path(folder))
    without, cost = (
        statistics.median(before for before, _ in rows),
        statistics.median(after - before for before, after in rows),
    )
    said = f"pytest alone {without * 1000:.0f} ms · with the plugin {cost * 1000:+.1f} ms (promised: under +{PROMISED * 1000:.0f})"
    print(f"{said} · its import {statistics.median(imports) * 1000:.1f} ms · {len(rows)} pairs")
    return cost >= PROMISED


if __name__ == "__main__":
    sys.exit(main())
