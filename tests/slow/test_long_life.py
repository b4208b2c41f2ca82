"""A process that trains, predicts and shows panels for a whole day holds no more than at noon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import LONG

TIMES = ("300", "500", "50") if LONG else ("12", "30", "3")  # trainings, predictions, panels
GROWS = 2 << 20  # bytes, at most, in the second half of each kind of work

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux's /proc"
)


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the process held, from look to look, in each kind of work."""
    pytest.importorskip("ipywidgets")
    place = tmp_path_factory.mktemp("life")
    (place / "temp").mkdir()
    env = {
        **os.environ,
        "COLAB_KIT_HOME": str(place / "home"),
        "COLAB_KIT_UI": "background",
        "MALLOC_ARENA_MAX": "1",  # else each thread leaves holes in a heap of its own
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TMPDIR": str(place / "temp"),
    }
    command = [sys.executable, "-m", "tests.support.long_life", str(place), *TIMES]
    told = subprocess.run(command, capture_output=True, text=True, env=env, cwd=place)
    assert told.returncode == 0, told.stderr[-2000:]
    found: dict[str, list[dict[str, Any]]] = {}
    for line in told.stdout.splitlines():
        row = json.loads(line)
        found.setdefault(row["work"], []).append(row)
    for work, rows in found.items():
        first, last = rows[len(rows) // 2], rows[-1]
        grown = (last["rss"] - first["rss"]) / 1024
        print(f"{work}: {grown:+.0f} KiB from the {first['done']}th to the {last['done']}th")
    return found


@pytest.mark.parametrize("held", ["threads", "descriptors", "temp"])
@pytest.mark.parametrize("work", ["trainings", "predictions", "panels"])
def test_threads_descriptors_and_temporary_files_stay_as_they_are(
    looks: dict[str, list[dict[str, Any]]], work: str, held: str
) -> None:
    first, *_, last = looks[work][len(looks[work]) // 2 :]
    assert last[held] == first[held]


@pytest.mark.skipif(not LONG, reason="memory settles after some hundred calls")
@pytest.mark.parametrize("work", ["trainings", "predictions", "panels"])
def test_memory_stays_as_it_is(looks: dict[str, list[dict[str, Any]]], work: str) -> None:
    first, *_, last = looks[work][len(looks[work]) // 2 :]
    assert last["rss"] - first["rss"] < GROWS
