"""Places that a program may find itself in: each call works there, or says what to do."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from colab_kit.api import train
from colab_kit.colab.mounting import mount
from colab_kit.models import nets
from colab_kit.runs.opening import open_run
from colab_kit.runs.run import Run
from tests.support.forks import Forks
from tests.support.places import CALLS, X, Y
from tests.training.test_loop import bits

KEEPING = {"load an archive", "fetch", "mount"}  # what cannot be done without a home
LIVE = {"predict", "report", "mount"}  # what needs no working folder
PLACES = {  # place: (its environment, the calls that say what to do, and what)
    "no home": ({"HOME": None, "COLAB_KIT_HOME": None}, KEEPING, "COLAB_KIT_HOME"),
    "a home that cannot be written": (
        {"HOME": "/dev/null/x", "COLAB_KIT_HOME": None},
        KEEPING,
        "COLAB_KIT_HOME",
    ),
    "a COLAB_KIT_HOME that cannot be written": (
        {"COLAB_KIT_HOME": "/dev/null/x"},
        KEEPING,
        "COLAB_KIT_HOME",
    ),
    "no TMPDIR": ({"TMPDIR": "/dev/null/x"}, set(), ""),
    "a deleted working folder": ({}, CALLS.keys() - LIVE, "os.chdir"),
}


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks("tests.support.places") as server:
        yield server


@pytest.fixture(scope="module")
def top(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, an archive of them, and a run that is finished."""
    top = tmp_path_factory.mktemp("places")
    for number, name in enumerate("abc"):
        (top / "pets" / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(X[number * 8 + i]).save(top / "pets" / name / f"{i}.png")
    shutil.make_archive(str(top / "pets"), "zip", top, "pets")
    assert forks.run("ready", top=str(top)) == 0
    return top


@pytest.mark.parametrize("place", PLACES)
def test_each_call_works_or_says_what_to_do(place, forks, top, tmp_path):
    changes, speaking, way_out = PLACES[place]
    env = {"COLAB_KIT_HOME": str(tmp_path / "kit"), **changes}
    work = str(tmp_path / "work")
    assert forks.run("probe", place=place, env=env, top=str(top), work=work) == 0
    told = json.loads(Path(f"{work}.json").read_text("utf-8"))
    seen = {name: way_out if way_out and way_out in fix else fix for name, fix in told.items()}
    assert seen == {name: way_out if name in speaking else "works" for name in CALLS}


def test_a_program_that_begins_in_a_deleted_working_folder_is_told_before_torch_comes(tmp_path):
    """Torch's own import ends the process there."""
    code = "import os, sys; os.rmdir(os.getcwd()); import colab_kit as kit\ntry: kit.train\n"
    code += "except kit.ColabKitError as err: print('torch' in sys.modules, err.fix)"
    folder = tmp_path / "gone"
    folder.mkdir()
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=dict(os.environ), capture_output=True
    )
    assert child.stdout.startswith(b"False enter another: import os; os.chdir("), child.stderr


def test_a_run_whose_working_folder_is_deleted_goes_on(forks, tmp_path):
    assert forks.run("deleted_below", work=str(tmp_path / "work")) == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_the_whole_group_is_a_clean_stop_with_workers_too(name, forks, tmp_path):
    number = int(getattr(signal, name))
    assert forks.run("signalled", number=number, work=str(tmp_path / "run")) == 0


# -- a clock that jumps -----------------------------------------------------------------------------

YEAR = 365 * 86400.0
JUMPS = {"to and fro": [-10, 10, 0], "back": [0, -10], "ahead": [0, 10]}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set how far off the clock is each time it is read, in years; the last one stays."""
    real = time.time

    def set_off(years: list[float], *, again: bool = False) -> None:
        jumps = (
            itertools.cycle(years) if again else itertools.chain(years, itertools.cycle(years[-1:]))
        )
        monkeypatch.setattr(time, "time", lambda: real() + next(jumps) * YEAR)

    return set_off


def trained(folder: Path, epochs: int = 2, **more: object) -> Run:
    how = {"image_size": 8, "batch_size": 8, "quiet": True, "lr_schedule": "constant"}
    return train(nets.mlp, (X, Y), epochs=epochs, run_dir=folder, **how, **more)


@pytest.mark.parametrize("jumps", JUMPS)
def test_a_clock_that_jumps_by_years_changes_neither_bits_nor_times(jumps, clock, tmp_path):
    expected = bits(trained(tmp_path / "quiet"))
    clock(JUMPS[jumps], again=jumps == "to and fro")
    trained(tmp_path / "run", epochs=1, max_time="1h")
    run = trained(tmp_path / "run", max_time="1h")
    assert run.status == "finished" and bits(run) == expected
    assert 0 < run.timings.total < 3600 and 0 < run.progress.state.seconds < 3600


@pytest.mark.parametrize("years", [(0, -10, -20), (10, 0, 0)])
def test_the_newest_run_is_the_one_that_began_last_whatever_the_clock_says(years, clock):
    for number, year in enumerate(years):
        clock([year])
        last = train(nets.mlp, (X, Y), image_size=8, epochs=1, seed=number, name="pets", quiet=True)
    assert open_run("pets").key == last.key


def test_what_another_machine_began_anew_is_newer_than_what_is_here_whatever_its_clock_says(
    clock, tmp_path, monkeypatch
):
    mount(tmp_path / "drive", quiet=True)
    how = {"image_size": 8, "epochs": 1, "name": "pets", "quiet": True}
    here = os.environ["COLAB_KIT_HOME"]
    train(nets.mlp, (X, Y), **how)
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "another machine"))
    clock([-10.0])
    anew = train(nets.mlp, (X, Y), **how, restart=True)
    monkeypatch.setenv("COLAB_KIT_HOME", here)
    assert train(nets.mlp, (X, Y), **how).record["start"] == anew.record["start"]
