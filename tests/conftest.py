"""What every test stands on: a home and a working folder of its own, and no Drive left over from another test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from colab_kit import events

if not os.environ.get("COLAB_KIT_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = (
        ""  # the tests are about a machine without one, where bits repeat; tests/slow/test_cuda.py is not
    )
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before torch comes: on these tiny nets a second thread only costs (2x, measured)

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # `pytest &` would leave it ignored, here and in every child

ROOT = Path(__file__).resolve().parent.parent
pytest_plugins = [
    "colab_kit.testing.plugin"
]  # this tree's; pyproject.toml keeps an installed one away


@pytest.fixture(autouse=True)
def own_home(colab_kit_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the plugin's COLAB_KIT_HOME, home/kit, and of a fresh working folder; subprocesses inherit both."""
    home = colab_kit_home.parent
    work = home / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    paths = [
        str(ROOT),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]  # "." in it means the folder that tests start from
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    yield home
    events.set_milestone_hook()
    if running := sys.modules.get("colab_kit.runs.running"):  # torch comes with it
        running.forget_runs()
