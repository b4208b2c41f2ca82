"""Trainings of many kinds, each killed several times at points drawn by the storm's number: they
end in the bits of one that was left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import LONG
from tests.support.forks import Forks
from tests.support.kinds import STORMS

PER_KIND = 8 if LONG else 1
SHORT = ("regression", "all of it", "early stopping", "parametrized", "gru")  # without LONG


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks("tests.support.kinds") as server:
        yield server


def whole(forks: Forks, folder: Path, kind: str) -> tuple[str, dict[str, int]]:
    """The hash of an uninterrupted run, and how often it passes each point."""
    assert forks.run("train_kind", folder=str(folder), kind=kind, count=True) == 0
    hits = json.loads(folder.with_suffix(".hits").read_text())
    return folder.with_suffix(".hash").read_text(), hits


def plan(storm: int, hits: dict[str, int]) -> list[tuple[str, int]]:
    """Where each process of a storm is killed; each has a share of what there is to do."""
    rng = np.random.Generator(np.random.Philox(key=[5, storm]))
    times = int(rng.integers(2, 5))
    points = rng.choice(sorted(hits), times)
    return [(str(point), int(rng.integers(1, hits[point] // times + 2))) for point in points]


def storm_over(forks: Forks, folder: Path, kind: str, kills: list[tuple[str, int]]) -> str:
    """The hash of a run that was killed so; a kill that comes too late meets a finished run."""
    for number, kill in enumerate(kills, 1):
        code = forks.run("train_kind", folder=str(folder), kind=kind, kill=kill, seed=number)
        assert code == -9 or (code == 0 and number > 1), (kind, kill)
    assert forks.run("train_kind", folder=str(folder), kind=kind) == 0
    return folder.with_suffix(".hash").read_text()


@pytest.mark.parametrize("kind", STORMS if LONG else SHORT)
def test_a_training_killed_again_and_again_ends_in_the_bits_of_one_left_alone(
    forks: Forks, tmp_path: Path, kind: str
) -> None:
    expected, hits = whole(forks, tmp_path / "whole", kind)
    for storm in range(PER_KIND):
        kills = plan(storm + 100 * list(STORMS).index(kind), hits)
        found = storm_over(forks, tmp_path / f"{storm}", kind, kills)
        assert found == expected, f"storm {storm}: {kills}"
        sessions = (tmp_path / f"{storm}.exact").read_text().split()
        assert "false" not in sessions, f"storm {storm}: {kills}"
