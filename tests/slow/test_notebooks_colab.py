"""The notebooks on Colab's own kernel (IPython 7.34, ipykernel 6.17.1, ipywidgets 7.7.1): two of them, all with COLAB_KIT_LONG."""

from __future__ import annotations

import os
import site
import sys

import pytest
from nbclient import NotebookClient

from tests.kernels import ROOT, prepare
from tests.notebooks import NOTEBOOKS, prepared, unshown

OLD = os.environ.get("COLAB_KIT_OLD_KERNEL", "")
pytestmark = pytest.mark.skipif(not OLD, reason="COLAB_KIT_OLD_KERNEL names no Python with Colab's kernel")
SOME = NOTEBOOKS if os.environ.get("COLAB_KIT_LONG") else [path for path in NOTEBOOKS if path.stem[:2] in ("01", "06")]


@pytest.mark.parametrize("path", SOME, ids=lambda path: path.stem)
def test_every_cell_runs_on_colabs_kernel(path, tmp_path, monkeypatch, file_server):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    places = [str(ROOT), *site.getsitepackages()]  # torch from here, behind the kernel's own; and children run where torch is
    prepare(OLD, tmp_path, f"import sys; sys.path.extend({places!r}); sys.executable = {sys.executable!r}")
    made = prepared(path, tmp_path, file_server)
    client = NotebookClient(made, timeout=120, kernel_name="prepared", resources={"metadata": {"path": str(tmp_path)}})
    assert unshown(path.stem, client.execute()) == []
