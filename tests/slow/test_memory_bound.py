"""Training on more pictures than the memory would hold: it works, and stays inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colab_kit.system import row_store
from tests.support import LONG

PICTURES, ALLOWED = (
    (20_000, 2 << 30) if LONG else (3_000, 600 << 20)
)  # bytes beyond what the imports take

CHILD = """
import json, sys, threading, time
from pathlib import Path
import torch, torchvision
from torch import nn
import colab_kit as kit
from colab_kit.data import pixel_cache

def anonymous():  # what no file backs: pages of the store's file can be taken back by the system at any time
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("RssAnon"))

place, allowed = Path(sys.argv[1]), int(sys.argv[2])
torch.optim.AdamW([torch.zeros(1)])
begun, peak, over = anonymous(), [0], threading.Event()

def watch():
    while not over.wait(0.02):
        peak[0] = max(peak[0], anonymous() - begun)

pixel_cache.free_memory = lambda: allowed - peak[0]
threading.Thread(target=watch, daemon=True).start()
net = nn.Sequential(nn.Conv2d(3, 8, 7, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 2))
data = kit.load(place / "photos", quiet=True)
run = kit.train(net, data, epochs=2, run_dir=place / "run", quiet=True)
over.set()
store = pixel_cache.store_for(data.train.source, 256)
print(json.dumps({"status": run.status, "where": store.where, "peak": peak[0], "why": store.why, "bad": len(store.bad)}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_many_pictures_train_in_little_memory_with_their_pixels_on_the_disk(tmp_path: Path) -> None:
    from benchmarks.pixels import make

    make(tmp_path / "photos", PICTURES, 500, 375)
    env = {
        **os.environ,
        "COLAB_KIT_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    told = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(ALLOWED)],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    found = json.loads(told.stdout.splitlines()[-1])
    assert (found["status"], found["where"], found["bad"]) == ("finished", "disk", 0), found
    assert found["peak"] < ALLOWED, found
    (pixels,) = (tmp_path / "home" / "pixels").glob("*/rows")
    assert pixels.stat().st_size == PICTURES * 256 * 256 * 3 and row_store.SPARE
    print(
        f"{PICTURES:,} pictures: {found['peak'] >> 20} MiB beyond the imports at the peak, of {ALLOWED >> 20} allowed"
    )
