#!/usr/bin/env bash
# What: torch.utils.data.DataLoader with persistent_workers=True, between two epochs: no batch is asked for, the workers wait.
# Versions: torch 2.14.1, numpy 2.4.6, Python 3.11, Linux.
# Expected: the death of a worker (the system ends one where memory is short) is told by the next batch that is asked for.
# Seen: torch's handler of SIGCHLD raises RuntimeError "DataLoader worker (pid …) is killed by signal: Killed." out of whatever Python line
#       the main thread is in at that moment: here a matrix product of the validation that has nothing to do with the loader, and a
#       json.dumps. So a try around the loop over the loader does not see it, and code that saves a checkpoint may be torn.
# What to do: catch it around all of the training, and write files whole or not at all.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
cd "$work"
CUDA_VISIBLE_DEVICES="" OMP_NUM_THREADS=1 venv/bin/python - <<'PYTHON'
import json
import os
import signal
import sys
import threading
import time
import traceback

import torch
from torch.utils.data import DataLoader, TensorDataset

print("torch", torch.__version__)


def line_hit(work):
    """The source line of this script in which the death of an idle worker is raised; None if in none."""
    loader = DataLoader(
        TensorDataset(torch.zeros(16, 4)), batch_size=4, num_workers=2, persistent_workers=True
    )
    for _ in loader:
        pass  # the epoch is over
    worker = loader._iterator._workers[0].pid
    threading.Timer(0.5, os.kill, (worker, signal.SIGKILL)).start()
    end = time.monotonic() + 5
    try:
        while time.monotonic() < end:
            work()
    except RuntimeError as err:
        assert "is killed by signal" in str(err), err
        return traceback.extract_tb(err.__traceback__)[1].name
    return None


def validates():
    a = torch.ones(64, 64)
    for _ in range(200):
        a = torch.tanh(a @ a)


def writes():
    for _ in range(200):
        json.dumps({"history": list(range(200))})


seen = {work.__name__: line_hit(work) for work in (validates, writes)}
for name, where in seen.items():
    print(f"while the main thread {name}: raised inside {where}()")
sys.exit(0 if seen == {"validates": "validates", "writes": "writes"} else "What was seen has changed")
PYTHON
echo "still so"
