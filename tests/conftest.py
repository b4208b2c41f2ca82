"""Every test has a home and a working folder of its own, and no Drive that another test left.

The tests run in several processes (pytest-xdist, one for each core). A file or a single test,
named on the command line, runs in one process: `pytest tests/data/test_images.py` is done before
the processes would have started.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from colab_kit import events

MOST = 8  # test processes: each holds torch, about 500 MB
if not os.environ.get("COLAB_KIT_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # on the CPU bits repeat; only test_cuda.py wants a GPU
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch comes: a second thread costs twice

signal.signal(signal.SIGINT, signal.default_int_handler)  # `pytest &` ignores it, in children too

ROOT = Path(__file__).resolve().parent.parent
pytest_plugins = ["colab_kit.testing.plugin"]  # this tree's, not an installed one (pyproject.toml)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Give the number of test processes: the cores we may use; 0 for a few named files."""
    named = [str(word).partition("::")[0] for word in config.args]
    if named and all(word.endswith(".py") for word in named) and len(named) < 4:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST)


@pytest.fixture(autouse=True)
def own_home(colab_kit_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the plugin's COLAB_KIT_HOME, home/kit, and of a fresh working folder;
    subprocesses inherit both.
    """
    home = colab_kit_home.parent
    work = home / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    inherited = os.environ.get("PYTHONPATH")  # a "." in it means the folder that tests start from
    paths = [str(ROOT), *([inherited] if inherited else [])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    yield home
    events.set_milestone_hook()
    if running := sys.modules.get("colab_kit.runs.running"):  # torch comes with it
        running.forget_runs()
