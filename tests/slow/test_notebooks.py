"""The notebooks on Colab's own kernel (IPython 7.34, ipykernel 6.17.1, ipywidgets 7.7.1): two of
them, all with COLAB_KIT_LONG; and those whose data lies in the package as they are, to the
accuracy that their text promises.
"""

from __future__ import annotations

import os
import re
import site
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support import LONG
from tests.support.kernels import ROOT, prepare, said
from tests.support.notebooks import NOTEBOOKS, executed, prepared, unshown

OLD = os.environ.get("COLAB_KIT_OLD_KERNEL", "")
old_kernel = pytest.mark.skipif(
    not OLD, reason="COLAB_KIT_OLD_KERNEL names no Python with Colab's kernel"
)
SOME = NOTEBOOKS if LONG else [path for path in NOTEBOOKS if path.stem[:2] in ("01", "06")]
# where Colab's kernel is, each notebook runs once: on that one, or on this Python's
REST = [path for path in NOTEBOOKS if LONG or not OLD or path not in SOME]


@old_kernel
@pytest.mark.parametrize("path", SOME, ids=lambda path: path.stem)
def test_every_cell_runs_on_colabs_kernel(path, tmp_path, monkeypatch, file_server):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("COLAB_KIT_UI", "background")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    places = [
        str(ROOT),
        *site.getsitepackages(),
    ]  # torch from here, behind the kernel's own; and children run where torch is
    prepare(
        OLD,
        tmp_path,
        f"import sys; sys.path.extend({places!r}); sys.executable = {sys.executable!r}",
    )
    made = prepared(path, tmp_path, file_server)
    client = NotebookClient(
        made, timeout=120, kernel_name="prepared", resources={"metadata": {"path": str(tmp_path)}}
    )
    assert unshown(path.stem, client.execute()) == []


@pytest.mark.parametrize("path", REST, ids=lambda path: path.stem)
def test_every_cell_runs_in_a_real_kernel(path, tmp_path, monkeypatch, file_server):
    assert unshown(path.stem, executed(path, tmp_path, monkeypatch, file_server)) == []


def as_it_is(name, tmp_path, monkeypatch):
    """What a notebook prints, unmodified but for its install cell."""
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    done = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    return said(done)


def test_fashion_mnist_ends_at_the_accuracy_that_its_text_promises(tmp_path, monkeypatch):
    text = (ROOT / "notebooks" / "02_fashion_mnist.ipynb").read_text(encoding="utf-8")
    promised = float(re.search(r"end at (\d+) % of the test pictures", text)[1])
    found = re.findall(
        r"fashion-(?:plain|dropout): ([\d.]+)% of the test pictures",
        as_it_is("02_fashion_mnist", tmp_path, monkeypatch),
    )
    assert len(found) == 2 and all(abs(float(top1) - promised) < 1.5 for top1 in found), found


@pytest.mark.skipif(not LONG, reason="the same with fewer epochs runs above; COLAB_KIT_LONG=1")
def test_a_training_that_is_killed_in_the_notebook_ends_in_the_same_bits(tmp_path, monkeypatch):
    assert "the same bits as without the kill: True" in as_it_is(
        "06_resume_and_drive", tmp_path, monkeypatch
    )
