"""Trainings on a real FUSE Drive that is killed, restarted, filled and slowed: each ends done,
with the same bits, its copies whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colab_kit.testing.fuse import cloud
from tests.support import LONG
from tests.support.forks import Forks

STORMS = 50 if LONG else 8
pytestmark = pytest.mark.skipif(bool(why := cloud.why_not()), reason=str(why))


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks("tests.support.storms") as server:
        yield server


def told(forks: Forks, work: Path, storm: int | None, **options: Any) -> dict[str, Any]:
    work.mkdir(exist_ok=True)
    assert forks.run("train_in_storm", work=str(work), storm=storm, **options) == 0, (
        f"storm {storm}"
    )
    return json.loads((work / "told.json").read_text())


@pytest.fixture(scope="module")
def calm(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The undisturbed run."""
    found = told(forks, tmp_path_factory.mktemp("calm"), None)
    assert found["status"] == "finished" and found["fired"] == 0 and found["handed"]
    return found


def test_each_storm_ends_done_with_the_same_bits_and_a_whole_newest_checkpoint(
    forks: Forks, calm: dict[str, Any], tmp_path: Path
) -> None:
    woes: set[str] = set()
    struck: Counter[str] = Counter()
    for storm in range(STORMS):
        found = told(forks, tmp_path / str(storm), storm, stays=storm % 4 == 3)
        assert (found["status"], found["hash"]) == ("finished", calm["hash"]), storm
        assert found["handed"], (storm, found["notes"])
        assert found["steps"] and found["steps"][-1] == calm["steps"][-1], (
            storm,
            found["steps"],
            found["notes"],
        )
        assert found["woes"], storm
        woes |= set(found["woes"])
        struck.update(kind for kind, times in found["struck"].items() if times)
    never = {woe for woe in woes - {"killed", "dead"} if not struck[woe]}
    assert not never, (
        f"these were planned and met nobody: {never}"
    )  # a fault that just stands by tests nothing
    print(
        f"{STORMS} of {STORMS} storms: done, same bits, newest checkpoint whole on Drive; woes: {', '.join(sorted(woes))}"
    )


def test_a_run_killed_in_a_storm_goes_on_from_drive_on_a_new_machine_with_the_same_bits(
    forks: Forks, calm: dict[str, Any], tmp_path: Path
) -> None:
    for storm in (1, 2, 5):
        work = tmp_path / str(storm)
        work.mkdir()
        code = forks.run("train_in_storm", work=str(work), storm=storm, home="first", die_at=18)
        assert code == -9
        found = told(forks, work, None, home="second")
        assert found["status"] == "finished" and found["steps"][-1] == calm["steps"][-1]
        assert found["weights"] == calm["weights"], storm
        assert any("Going on from step" in note for note in found["notes"]), found["notes"]


def test_a_hundred_saves_never_hold_more_than_three_checkpoints_of_room_on_drive(
    forks: Forks, tmp_path: Path
) -> None:
    assert forks.run("hundred_saves", work=str(tmp_path)) == 0
    found = json.loads((tmp_path / "told.json").read_text())
    assert found["copies"] >= 100 and found["newest"] == found["steps"], found
    assert 2 * found["checkpoint"] < found["most"] < 3 * found["checkpoint"], found
    print(
        f"at most {found['most'] / found['checkpoint']:.2f} checkpoints of room on Drive, Trash included ({found['trash']} bytes in it)"
    )
