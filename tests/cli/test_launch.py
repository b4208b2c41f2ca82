"""The launchers: the same file by python, by torchrun, and as the text of one cell."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

from colab_kit.cli import launch, main, train
from colab_kit.cli.fetch import FetchResult
from colab_kit.errors import RunError, TrainError
from tests.support.colab_run import EATEN, simulate_colab_run

ROOT = Path(__file__).parents[2]
LAUNCHERS = sorted((ROOT / "launchers").glob("*.py"))
TINY = "--max-per-class 8 --epochs 1 --name tiny".split()


def artifact(done: subprocess.CompletedProcess) -> Path:
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.splitlines()[-1].removeprefix(launch.ARTIFACT))


def test_the_mlp_launcher_trains_as_the_text_of_a_cell(tmp_path):
    kernel = ["-f", "/root/.local/share/jupyter/runtime/kernel-0a1b.json"]
    folder = artifact(
        simulate_colab_run(
            ROOT / "launchers" / "train_mlp.py", tmp_path, *kernel, *TINY, "--device", "cpu"
        )
    )
    assert folder.parent == tmp_path / "colab-kit" / "runs" and (folder / "run.json").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"colab-kit", "home"}


def test_the_fetch_launcher_names_each_file_that_came(tmp_path, file_server):
    url = file_server.put("helper.py", b"x = 1\n")
    done = simulate_colab_run(ROOT / "launchers" / "fetch.py", tmp_path, url)
    assert done.stdout.splitlines()[-1].startswith(launch.ARTIFACT)
    quiet = simulate_colab_run(ROOT / "launchers" / "fetch.py", tmp_path, url, "--json")
    assert (
        json.loads(quiet.stdout)["path"] == "helper.py"
        and f"{launch.ARTIFACT}{tmp_path / 'helper.py'}" in quiet.stderr
    )
    assert (
        artifact(done) == tmp_path / "helper.py"
        and (tmp_path / "helper.py").read_bytes() == b"x = 1\n"
    )
    gone = simulate_colab_run(
        ROOT / "launchers" / "fetch.py", tmp_path, file_server.url("gone.zip")
    )
    assert gone.returncode == 8 and launch.ARTIFACT not in gone.stdout and "gone.zip" in gone.stderr


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda path: path.stem)
def test_what_is_said_wrongly_ends_with_status_2_and_its_reason(launcher, tmp_path):
    done = simulate_colab_run(launcher, tmp_path, "--no-such-flag")
    assert (
        done.returncode == 2
        and "--no-such-flag" in done.stderr
        and "Traceback" not in done.stderr + done.stdout
    )


def test_what_fails_ends_with_status_1_and_three_sentences(capsys):
    assert launch.main("transfer", ["no/such/folder"]) == 1
    said = capsys.readouterr()
    assert "Fix: " in said.err and "Traceback" not in said.err + said.out


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda path: path.stem)
def test_the_same_file_runs_by_python(launcher, tmp_path):
    done = subprocess.run(
        [sys.executable, launcher, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "Usage: " in done.stdout


def test_torchrun_is_told_what_to_do(tmp_path):
    done = simulate_colab_run(
        ROOT / "launchers" / "train_mlp.py", tmp_path, *TINY, WORLD_SIZE="2", RANK="0"
    )
    assert (
        done.returncode == 1
        and "torchrun started 2 processes" in done.stderr
        and "--nproc-per-node=1" in done.stderr
    )
    assert not {path.name for path in tmp_path.iterdir()} - {"home"}


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda path: path.stem)
def test_a_launcher_needs_nothing_but_its_own_text(launcher):
    text = launcher.read_text()
    gpu = "" if launcher.stem == "fetch" else "--gpu T4 "
    assert text.startswith(f"#!/usr/bin/env -S colab run {gpu}--timeout 86400\n") and os.access(
        launcher, os.X_OK
    )
    assert len([line for line in text.splitlines() if line.strip()]) <= 20
    assert "__file__" not in text and "input(" not in text and "from ." not in text
    assert re.search(rf'main\("{launcher.stem}"\)', text) and launcher.stem in launch.JOBS


@pytest.mark.parametrize("job", launch.JOBS)
def test_no_flag_of_a_job_is_one_that_colab_run_eats(job):
    command = main.face.commands[launch.JOBS[job][0]]
    flags = {
        flag
        for option in command.params
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    }
    assert flags and not flags & set(EATEN)


def test_a_package_that_is_missing_is_installed_and_a_folder_of_runs_does_not_pass_for_it(tmp_path):
    """The launcher's text with another name for the package: what it says of one that is not there holds for it."""
    text = (
        (ROOT / "launchers" / "transfer.py")
        .read_text()
        .replace("colab_kit.cli.launch", "kit_that_is_missing.launch")
    )
    (tmp_path / "launcher.py").write_text(text)
    package = tmp_path / "package"
    (package / "kit_that_is_missing").mkdir(parents=True)
    (package / "kit_that_is_missing" / "launch.py").write_text(
        "def main(job):\n    print('job', job)\n    return 7\n"
    )
    (package / "setup.py").write_text(
        "from setuptools import setup\nsetup(name='kit-that-is-missing', packages=['kit_that_is_missing'])\n"
    )
    work = tmp_path / "work"
    (work / "kit-that-is-missing" / "runs").mkdir(
        parents=True
    )  # as our folder of runs is called: never a package's name
    env = {
        "COLAB_KIT_SPEC": str(package),
        "PIP_TARGET": str(tmp_path / "site"),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
    }
    done = simulate_colab_run(
        tmp_path / "launcher.py", work, **env, PYTHONPATH=str(tmp_path / "site")
    )
    assert done.returncode == 7 and "job transfer" in done.stdout, done.stdout + done.stderr


def test_a_missing_package_that_cannot_be_installed_ends_with_pips_status(tmp_path):
    text = LAUNCHERS[0].read_text().replace("colab_kit.cli.launch", "colab_kit_that_is_not_there")
    (tmp_path / "launcher.py").write_text(text)
    done = simulate_colab_run(
        tmp_path / "launcher.py", tmp_path, COLAB_KIT_SPEC=str(tmp_path / "no-such-wheel.whl")
    )
    assert (
        done.returncode == 1 and "no-such-wheel" in done.stderr and "Traceback" not in done.stderr
    )


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
    assert whole == tmp_path / "outputs" / "tiny-12345678.zip" and list(whole.parent.iterdir()) == [
        whole
    ]
    assert "tiny-12345678/run.json" in zipfile.ZipFile(whole).namelist()
    assert launch.bundle(run, vm=False) == run
    assert (
        launch.bundle(run, number=1, vm=True, outputs=tmp_path / "outputs").name
        == "tiny-12345678-2.zip"
    )
    assert launch.bundle(run / "run.json", vm=True) == run / "run.json", "one file needs no zip"


def test_a_zip_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "outputs").write_text("a file stands here")
    with pytest.raises(RunError, match="could not be written"):
        launch.bundle(tmp_path, vm=True, outputs=tmp_path / "outputs")


def test_nothing_that_was_made_is_no_artifact():
    assert launch.made_of(None) == launch.made_of(FetchResult(8, ())) == []


def test_at_a_terminal_the_panel_opens_in_jupyterlab(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(train, "no_browser", lambda: "")

    class Lab:
        def __init__(self, command):
            opened.append(command)

        def wait(self):
            if len(opened) == 1:
                opened.append("interrupted")
                raise KeyboardInterrupt
            return 0

    monkeypatch.setattr(train.subprocess, "Popen", Lab)
    assert (
        launch.main(
            "panel",
            [
                "photos",
                "--backbone",
                "vit_b_16",
                "--epochs",
                "5",
                "--max-per-class",
                "9",
                "--name",
                "mine",
            ],
        )
        == 0
    )
    place = Path("colab-kit/panel.ipynb")
    assert Path(opened[0][-1]) == place.absolute() and opened[0][1:3] == ["-m", "jupyterlab"]
    notebook = json.loads(place.read_text())  # tests/journeys/test_notebooks.py validates one
    lines = "".join(notebook["cells"][0]["source"]).splitlines()
    assert lines[0] == f"%cd -q {Path.cwd()}"
    assert notebook["metadata"]["kernelspec"]["name"] == "python3", (
        "else JupyterLab asks which kernel it should be"
    )
    assert (
        lines[-1]
        == "kit.panel(kit.load('photos', max_per_class=9), 'vit_b_16', epochs=5, name='mine')"
    )


def test_a_panels_notebook_is_found_again_with_what_its_user_has_added(tmp_path):
    first = train.notebook_of("one", tmp_path / "colab-kit")
    grown = json.loads(first.read_text())
    grown["cells"].append(
        {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": ["my notes"]}
    )
    first.write_text(json.dumps(grown))
    assert (
        train.notebook_of("one", tmp_path / "colab-kit") == first
        and "my notes" in first.read_text()
    )
    second = train.notebook_of("two", tmp_path / "colab-kit")
    assert second.name == "panel-2.ipynb" and "my notes" in first.read_text()
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RunError, match="could not be written"):
        train.notebook_of("one", tmp_path / "taken")


def test_a_panel_says_why_it_cannot_be_seen(monkeypatch):
    assert "file, a pipe or a cell" in train.no_browser()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(train.webbrowser, "get", lambda: None)
    assert train.no_browser() == ""

    def none():
        raise train.webbrowser.Error("none")

    monkeypatch.setattr(train.webbrowser, "get", none)
    assert "no browser" in train.no_browser()
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda name: None)
    assert "pip install jupyterlab" in train.no_browser()
