"""The quick form of tests/slow/test_kill_matrix.py: killed at each named point, a run ends in the
bits of one that was not.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import LONG
from tests.support.forks import Forks
from tests.support.tasks import POINTS

SPREAD = {
    "after_backward": 2,
    "after_optimizer": 5,
    "before_save": 3,
    "mid_write": 6,
    "before_rename": 9,
    "after_rename": 7,
}


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks("tests.support.tasks") as server:
        yield server


@pytest.fixture(scope="module")
def expected(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hashes of uninterrupted runs."""
    folder = tmp_path_factory.mktemp("whole")
    for data in ("arrays", "items"):
        assert forks.run("train_small", folder=str(folder / data), data=data) == 0
    return {data: (folder / f"{data}.hash").read_text() for data in ("arrays", "items")}


def further(cases: list[Any], *more: Any) -> list[Any]:
    """The cases of each run, and more of their kinds with COLAB_KIT_LONG."""
    return cases + list(more) * LONG


@pytest.fixture(scope="module")
def uncut(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Give the hash of an uninterrupted run of that flavour on that data, each run once."""

    @functools.cache
    def uncut(flavour: str, data: str) -> str:
        folder = tmp_path_factory.mktemp("uncut") / "run"
        assert forks.run("train_small", folder=str(folder), data=data, flavour=flavour) == 0
        return folder.with_suffix(".hash").read_text()

    return uncut


def killed(
    forks: Forks,
    folder: Path,
    point: str,
    nth: int,
    *,
    num_workers: int = 0,
    again: int = 0,
    **options: object,
) -> str:
    """The hash of a run that was killed at the n-th hit of a point and resumed; "" if it could
    not be.
    """
    assert (
        forks.run(
            "train_small", folder=str(folder), kill=[point, nth], num_workers=num_workers, **options
        )
        == -9
    ), "never reached"
    ended = forks.run("train_small", folder=str(folder), num_workers=again, **options)
    return folder.with_suffix(".hash").read_text() if ended == 0 else ""


@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_at_a_named_point_ends_in_the_same_bits(
    forks: Forks, expected: dict[str, str], tmp_path: Path, point: str
) -> None:
    assert (
        killed(forks, tmp_path / "run", point, SPREAD.get(point, 2), data="arrays")
        == expected["arrays"]
    )


@pytest.mark.parametrize(
    ("point", "num_workers", "again"),
    [("after_optimizer", 0, 1), ("in_validation", 1, 0), ("mid_write", 0, 0)],
)
def test_another_number_of_workers_makes_no_difference(
    forks: Forks, expected: dict[str, str], tmp_path: Path, point: str, num_workers: int, again: int
) -> None:
    assert (
        killed(forks, tmp_path / "run", point, 4, num_workers=num_workers, again=again)
        == expected["items"]
    )


@pytest.fixture(scope="module")
def lost(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of a run that loses its loss twice and goes back."""
    folder = tmp_path_factory.mktemp("lost") / "run"
    assert (
        forks.run(
            "train_small", folder=str(folder), data="arrays", flavour="lost", save_every_steps=2
        )
        == 0
    )
    return folder.with_suffix(".hash").read_text()


@pytest.mark.parametrize(
    ("how", "point", "nth"),
    further(
        [("kill", "after_optimizer", 5), ("kill", "mid_write", 6), ("stop", "after_optimizer", 5), ("pause", "after_optimizer", 7)],
        ("kill", "before_rename", 4), ("kill", "after_rename", 5), ("kill", "after_optimizer", 8), ("stop", "after_optimizer", 3),
        ("pause", "after_optimizer", 3),
    ),
)  # fmt: skip
def test_a_run_that_goes_back_is_the_same_whether_killed_stopped_or_paused(
    forks: Forks, lost: str, tmp_path: Path, how: str, point: str, nth: int
) -> None:
    options = {
        "data": "arrays",
        "flavour": "lost",
        "save_every_steps": 2,
        "folder": str(tmp_path / "run"),
    }
    assert forks.run("train_small", kill=[point, nth], how=how, **options) == (
        -9 if how == "kill" else 0
    )
    assert how == "pause" or forks.run("train_small", **options) == 0
    assert (tmp_path / "run.hash").read_text() == lost


@pytest.mark.parametrize(
    ("how", "point", "nth"),
    further(
        [("stop", "after_optimizer", 4), ("stop", "in_validation", 4), ("pause", "after_backward", 2)],
        ("pause", "after_optimizer", 4), ("pause", "in_validation", 4), ("stop", "after_backward", 2),
    ),
)  # fmt: skip
def test_a_stopped_and_a_paused_run_end_in_the_same_bits(
    forks: Forks, expected: dict[str, str], tmp_path: Path, how: str, point: str, nth: int
) -> None:
    assert (
        forks.run(
            "train_small", folder=str(tmp_path / "run"), data="arrays", kill=[point, nth], how=how
        )
        == 0
    )
    assert (
        how == "pause" or forks.run("train_small", folder=str(tmp_path / "run"), data="arrays") == 0
    )
    assert (tmp_path / "run.hash").read_text() == expected["arrays"]


@pytest.mark.parametrize(
    ("flavour", "data", "point", "nth", "num_workers", "again"),
    further(
        [
            ("views", "files", "in_validation", 3, 0, 0), ("transform", "files", "after_optimizer", 4, 0, 2),
            ("transform", "files", "after_backward", 5, 1, 0), ("views", "arrays", "after_optimizer", 5, 0, 0),
            ("fp16", "arrays", "after_optimizer", 5, 0, 0),
        ],
        ("views", "files", "after_optimizer", 2, 0, 0), ("views", "files", "mid_write", 5, 0, 0),
        ("transform", "files", "before_rename", 7, 0, 0), ("fp16", "arrays", "after_rename", 4, 0, 0),
    ),
)  # fmt: skip
def test_views_of_pictures_are_the_same_after_a_kill(
    forks: Forks,
    tmp_path: Path,
    uncut: Callable[[str, str], str],
    flavour: str,
    data: str,
    point: str,
    nth: int,
    num_workers: int,
    again: int,
) -> None:
    found = killed(
        forks,
        tmp_path / "run",
        point,
        nth,
        data=data,
        flavour=flavour,
        num_workers=num_workers,
        again=again,
    )
    assert found == uncut(flavour, data)


def test_a_hand_written_loop_goes_on_with_the_same_batches(forks: Forks, tmp_path: Path) -> None:
    assert forks.run("loop_by_hand", folder=str(tmp_path / "whole")) == 0
    for kill in (1, 7, 12):  # in the first epoch, in the second, and where the second ends
        assert forks.run("loop_by_hand", folder=str(tmp_path / "cut"), kill=kill) == -9
    assert forks.run("loop_by_hand", folder=str(tmp_path / "cut")) == 0
    whole = (tmp_path / "whole.batches").read_text()
    assert (tmp_path / "cut.batches").read_text() == whole and len(set(whole.splitlines())) == len(
        whole.splitlines()
    ) == 18


def test_losing_the_cursor_on_purpose_is_noticed(
    forks: Forks, expected: dict[str, str], tmp_path: Path
) -> None:
    assert (
        killed(forks, tmp_path / "run", "after_optimizer", 5, data="arrays", mutation="cursor")
        != expected["arrays"]
    )


def chosen(folder: Path) -> dict[str, object]:
    """What the machine chose, without its reasons: one of them says how fast the machine is just
    now.
    """
    path = folder / "choices.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    return {name: row["value"] for name, row in rows.items() if isinstance(row, dict)}


@pytest.mark.parametrize(
    ("point", "nth"), [("mid_write", 1), ("before_rename", 2), ("before_save", 1)]
)
def test_a_kill_before_the_first_checkpoint_loses_no_choice(
    forks: Forks, expected: dict[str, str], tmp_path: Path, point: str, nth: int
) -> None:
    folder = tmp_path / "run"
    assert forks.run("train_small", folder=str(folder), data="arrays", kill=[point, nth]) == -9
    assert not list(folder.glob("checkpoint-*")) and (folder / "choices.json").exists() == (
        nth > 1 or point == "before_save"
    )
    before = chosen(folder)
    assert forks.run("train_small", folder=str(folder), data="arrays") == 0
    assert folder.with_suffix(".hash").read_text() == expected["arrays"]
    assert before in ({}, chosen(folder)) and not list(folder.glob(".*.part"))
