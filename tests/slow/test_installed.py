"""What pip installed is this tree: every file, and the plugin found by its entry point, which
runs README's example.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.installed import readme_example

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def installed() -> Path:
    places = [
        Path(str(dist.locate_file("colab_kit"))).resolve()
        for dist in metadata.distributions(name="colab-kit")
    ]
    others = [
        place for place in places if place.is_dir() and place != ROOT / "colab_kit"
    ]  # pip leaves an egg-info in the tree
    if not others:
        pytest.skip("colab-kit is not installed here, or as a link to this tree")
    return others[0]


def files(package: Path) -> dict[str, bytes]:
    made = (
        path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in made}


def test_every_file_was_installed_as_it_is_in_the_tree(installed: Path) -> None:
    there, here = files(installed), files(ROOT / "colab_kit")
    assert sorted(there) == sorted(here)
    assert [name for name in here if there[name] != here[name]] == [], "pip install again"


def test_the_installed_plugin_hands_out_its_fixtures(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        f"""
import colab_kit as kit

def test_drive(mock_drive, heard):
    assert kit.mount(callbacks=[heard], quiet=True) == mock_drive and kit.__file__.startswith({str(installed)!r})

def test_colab(fake_colab):
    from google.colab import drive
    drive.mount("/content/drive")
"""
    )
    (tmp_path / "test_readme.py").write_text(readme_example())
    env = {
        **os.environ,
        "PYTHONPATH": str(installed.parent),
    }  # not this tree, which the suite puts there
    own = "--basetemp=basetemp"  # as it ends, pytest would delete the many files of earlier suites
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", own],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
