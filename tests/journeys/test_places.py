"""Places that a program may find itself in: each call works there, or says what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support.forks import Forks
from tests.support.places import CALLS, X

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
