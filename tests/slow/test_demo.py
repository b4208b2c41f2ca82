"""The demo as a newcomer runs it: killed in the middle, continued, and with COLAB_KIT_LONG, in full,
as good as the README says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import LONG


def test_the_demo_survives_its_kill_reaches_its_accuracies_and_leaves_pictures(
    tmp_path: Path,
) -> None:
    env = {**os.environ, "HOME": str(tmp_path), "COLAB_KIT_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "colab_kit", "demo", *([] if LONG else ["--quick"])],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    print(done.stdout[-600:])
    assert done.returncode == 0, done.stderr
    assert (
        f"SIGKILL after epoch {12 if LONG else 2}" in done.stdout
        and "every bit as if it had never stopped" in done.stdout
    )
    scores = dict(re.findall(r"^(demo-\w+): .*top-1 ([0-9.]+)", done.stdout, re.MULTILINE))
    enough = {"demo-mlp": 0.83, "demo-transfer": 0.77} if LONG else {"demo-mlp": 0.5}
    assert all(float(scores[name]) >= least for name, least in enough.items()), scores
    pictures = [
        Path(line.strip()) for line in done.stdout.splitlines() if line.strip().endswith(".png")
    ]
    assert len(pictures) == 6 and all(
        p.is_relative_to(tmp_path / "home" / "drive") for p in pictures
    )
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)
