"""Notebooks with Colab's old idioms run unmodified under the stand-in: in Colab's own IPython and
ipykernel, and in the current ones.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from colab_kit.testing.folder_drive import FolderBody

from ..support.kernels import execute, said, versions

NOTEBOOKS = Path(__file__).with_name("colab_notebooks")
CONTENT = Path("/content")
COLABS = ("7.34.0", "6.17.1")  # IPython and ipykernel of Colab's images
START = (
    "from colab_kit.testing.fake_colab import StandIn;"
    "StandIn(as_colab=True, uploads=[('data.csv', b'a,b\\n1,2\\n')], secrets={'HF_TOKEN': 'abc'},"
    " answers={'proxyPort': 'https://8000-colab'}).install()"
)


@pytest.fixture
def content() -> Iterator[Path]:
    """A /content of our own: what the notebooks name can be no other folder, for their `!` lines
    see it too.
    """
    with filelock.FileLock(Path(tempfile.gettempdir()) / "colab-kit-content.lock"):
        there = CONTENT.exists()
        if there and any(CONTENT.iterdir()):
            pytest.skip("/content holds files that are not ours")
        try:
            CONTENT.mkdir(exist_ok=True)
        except OSError as err:
            pytest.skip(f"/content cannot be made here: {err}")
        yield CONTENT
        for path in list(CONTENT.iterdir()):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if not there:
            CONTENT.rmdir()


@pytest.fixture(params=["colab", "current"])
def kernel(request: pytest.FixtureRequest) -> str:
    """The Python whose kernel runs the notebook."""
    if request.param == "current":
        return sys.executable
    python = os.environ.get("COLAB_KIT_OLD_KERNEL")
    if not python:
        pytest.skip(
            "COLAB_KIT_OLD_KERNEL does not name the Python of a venv with ipython==7.34.0 ipykernel==6.17.1"
        )
    assert versions(python) == COLABS
    return python


@pytest.fixture
def run(content: Path, kernel: str, tmp_path: Path):
    """Runs a notebook, and ends with its Drive flushed; gives what it printed, and My Drive."""

    def run(name: str) -> tuple[str, Path]:
        home = tmp_path / "home"
        shown = said(
            execute(
                NOTEBOOKS / f"{name}.ipynb",
                kernel,
                tmp_path / "kernel",
                START,
                COLAB_KIT_HOME=str(home),
            )
        )
        body = FolderBody(home / "drive")  # the kernel is gone, the mount is not, as on Colab
        body.unmount()
        return shown, home / "drive" / "MyDrive"

    (tmp_path / "kernel").mkdir()
    return run


def test_mounting_writing_and_leaving_by_cd(run):
    shown, mydrive = run("gdrive")
    assert shown.count("Mounted at /content/gdrive\n") == 2 and "Hello Google Drive!" in shown
    assert "/content/gdrive/My" in shown and "\n/content\n" in shown
    assert "should now be visible in Drive.\n0\n" in shown  # the mountpoint is empty in between
    assert (mydrive / "foo.txt").read_text() == "Hello Google Drive!"
    assert (mydrive / "bar.txt").read_text() == "from the shell\n" and (
        mydrive / "models" / "net.txt"
    ).read_text() == "weights"


def test_uploads_and_downloads(run, tmp_path):
    shown, _ = run("files")
    assert "Saving data.csv to data.csv\n" in shown
    assert (
        'User uploaded file "data.csv" with length 8 bytes' in shown
        and "[['a', 'b'], ['1', '2']]" in shown
    )
    assert (tmp_path / "home" / "downloads" / "example.txt").read_text() == "some content"


def test_shell_lines_and_cells(run):
    shown, mydrive = run("shell")
    project = mydrive / "project"
    assert (project / "a.txt").read_text() == "A\n" and (
        project / "list.md"
    ).read_text() == "a.txt: A\nb.txt: B\n"
    assert (project / "out.txt").read_text() == "trained"
    assert (
        "a.txt: A\nb.txt: B\na terminal\n" in shown
        and "0 3\n" in shown
        and "failed with 7" in shown
    )
    assert (
        "code 5" in shown
        and "in /content tag" in shown
        and "from bash" in shown
        and shown.endswith("trained")
    )


def test_secrets_sign_in_and_javascript(run):
    shown, _ = run("secrets")
    assert (
        "Secret WANDB_API_KEY does not exist." in shown
        and "https://8000-colab" in shown
        and "No module named 'google.Colab'" in shown
    )


def test_mounting_twice_and_imports_without_use(run):
    shown, mydrive = run("twice")
    assert "Mounted at /content/drive/\n" in shown
    assert (
        'Drive already mounted at /content/drive/; to attempt to forcibly remount, call drive.mount("/content/drive/"'
        in shown
    )
    assert "['first.txt', 'step_1.txt', 'step_2.txt']" in shown
    assert sorted(path.name for path in (mydrive / "checkpoints").iterdir()) == [
        "first.txt",
        "step_2.txt",
    ]
    assert (mydrive / "best.txt").read_text() == "2"


def test_idioms_that_are_met_in_notebooks(run):
    shown, mydrive = run("idioms")
    assert "bash done\n" in shown and "unseen" not in shown
    assert "['/content/drive/MyDrive/project/a.txt']\n" in shown
    assert "['.Trash-0', '.shortcut-targets-by-id', 'MyDrive']\n" in shown
    assert "['a.txt', 'net.bin']\n" in shown and "cells 7 # which pip\n" in shown
    assert "tab 0\n" in shown and (mydrive / "project" / "net.bin").read_text() == "weights"


def test_a_kernel_can_be_disguised_by_a_line_of_its_own(content, kernel, tmp_path):
    (tmp_path / "kernel").mkdir()
    line = "get_ipython().run_line_magic('load_ext', 'colab_kit.testing.fake_colab')"
    shown = said(
        execute(
            NOTEBOOKS / "twice.ipynb",
            kernel,
            tmp_path / "kernel",
            line,
            COLAB_KIT_HOME=str(tmp_path / "home"),
        )
    )
    assert "Mounted at /content/drive/\n" in shown
