"""What every test stands on: a home and a working folder of its own, and no Drive left over from another test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from colab_kit.drive import mount

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch comes: on these tiny nets a second thread only costs (2x, measured)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """COLAB_KIT_HOME and the working folder, both fresh; subprocesses inherit them."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("COLAB_KIT_HOME", str(home / "kit"))
    work = home / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]  # "." in it means the folder that tests start from
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setattr(mount, "_current", None)
    return home
