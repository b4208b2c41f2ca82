"""A run killed at any named point and resumed with other workers ends in the same bits; and the
test can fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import LONG
from tests.support.forks import Forks
from tests.support.kinds import HIDDEN
from tests.support.tasks import MUTATIONS, POINTS, TRANSFERS

SHORT = 24  # kill points without COLAB_KIT_LONG


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks("tests.support.tasks") as server:
        yield server


def whole(forks: Forks, folder: Path, **options: object) -> tuple[str, dict[str, int]]:
    """The hash of an uninterrupted run, and how often it passes each point."""
    assert forks.run("train_small", folder=str(folder), count=True, **options) == 0
    return folder.with_suffix(".hash").read_text(), json.loads(
        folder.with_suffix(".hits").read_text()
    )


def killed(forks: Forks, folder: Path, point: str, nth: int, number: int, **options: object) -> str:
    """The hash of a run that was killed and resumed with another number of workers; "" if it
    could not be resumed.
    """
    num_workers, again = (
        ((0, 1), (1, 2), (2, 0))[number % 3] if options.get("data") != "arrays" else (0, 0)
    )
    code = forks.run(
        "train_small", folder=str(folder), kill=[point, nth], num_workers=num_workers, **options
    )
    assert code == -9, f"{point} {nth} was never reached: exit {code}"
    ended = forks.run("train_small", folder=str(folder), num_workers=again, **options)
    return folder.with_suffix(".hash").read_text() if ended == 0 else ""


def chosen(hits: dict[str, int], n: int) -> list[tuple[str, int]]:
    """n of all kill points, each name in turn, spread over its hits."""
    every = {point: list(range(1, hits[point] + 1)) for point in POINTS}
    if LONG:
        return [(point, nth) for point in POINTS for nth in every[point]]
    spread = [
        (point, nths[(2 * i + 1) * len(nths) // 14])
        for i in range(7)
        for point, nths in every.items()
    ]
    return list(dict.fromkeys(spread))[:n]


@pytest.mark.parametrize("data", ["items", "arrays"])
def test_a_run_killed_anywhere_and_resumed_equals_the_uninterrupted_one(
    forks: Forks, tmp_path: Path, data: str
) -> None:
    expected, hits = whole(forks, tmp_path / "whole", data=data)
    assert set(hits) >= set(POINTS)
    points = chosen(hits, SHORT if data == "items" else SHORT // 2)
    for number, (point, nth) in enumerate(points):
        found = killed(forks, tmp_path / f"{point}-{nth}", point, nth, number, data=data)
        assert found == expected, f"killed at {point} {nth}"
    print(
        f"{len(points)} of {len(points)} kill points equal, of {sum(hits[p] for p in POINTS)} there are"
    )


def test_saving_every_fourth_step_resumes_to_the_same_bits(forks: Forks, tmp_path: Path) -> None:
    expected, _ = whole(forks, tmp_path / "whole")
    for number, (point, nth) in enumerate(
        [("after_optimizer", 7), ("in_validation", 9), ("epoch_end", 2), ("mid_write", 6)]
    ):
        assert (
            killed(forks, tmp_path / f"{point}-{nth}", point, nth, number, save_every_steps=4)
            == expected
        ), f"killed at {point} {nth}"


def test_a_run_killed_again_and_again_ends_in_the_same_bits(forks: Forks, tmp_path: Path) -> None:
    expected, _ = whole(forks, tmp_path / "whole")
    folder = tmp_path / "storm"
    for number, point in enumerate(POINTS[:7] * 2):
        assert forks.run(
            "train_small", folder=str(folder), kill=[point, 2], num_workers=number % 3
        ) in (-9, 0), point
    assert forks.run("train_small", folder=str(folder)) == 0
    assert folder.with_suffix(".hash").read_text() == expected


@pytest.mark.parametrize("kind", TRANSFERS)
def test_a_transfer_killed_anywhere_goes_on_and_ends_in_the_same_bits(
    forks: Forks, tmp_path: Path, kind: str
) -> None:
    assert forks.run("transfer_small", folder=str(tmp_path / "whole"), kind=kind, count=True) == 0
    expected, hits = (
        (tmp_path / "whole").with_suffix(ending).read_text() for ending in (".hash", ".hits")
    )
    counted: dict[str, int] = json.loads(hits)
    every = [
        (point, nth)
        for point in ("in_features", *POINTS)
        for nth in range(1, counted.get(point, 0) + 1)
    ]
    assert "in_features" in counted or kind == "finetune"
    for point, nth in every if LONG else every[:: max(1, len(every) // 8)]:
        folder = tmp_path / f"{point}-{nth}"
        assert (
            forks.run("transfer_small", folder=str(folder), kind=kind, kill=[point, nth]) == -9
        ), f"{point} {nth} was never reached"
        assert forks.run("transfer_small", folder=str(folder), kind=kind) == 0
        assert folder.with_suffix(".hash").read_text() == expected, f"killed at {point} {nth}"


@pytest.fixture(scope="module")
def kinds() -> Iterator[Forks]:
    with Forks("tests.support.kinds") as server:
        yield server


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_run_that_draws_or_keeps_state_of_its_own_repeats_or_does_not_promise_to(
    kinds: Forks, tmp_path: Path, kind: str
) -> None:
    assert kinds.run("train_kind", folder=str(tmp_path / "whole"), kind=kind, count=True) == 0
    expected = (tmp_path / "whole.hash").read_text()
    hits: dict[str, int] = json.loads((tmp_path / "whole.hits").read_text())
    every = [(point, nth) for point in POINTS for nth in range(4, hits[point] + 1)]
    for point, nth in every if LONG else every[5 :: len(every) // 2]:
        folder = tmp_path / f"{point}-{nth}"
        told = {"folder": str(folder), "kind": kind}
        assert kinds.run("train_kind", kill=[point, nth], seed=1, **told) == -9
        assert kinds.run("train_kind", **told) == 0
        began = folder.with_suffix(".exact").read_text().split()
        assert began == ["null", "true" if HIDDEN[kind].exact else "false"], f"{point} {nth}"
        if HIDDEN[kind].exact:
            assert folder.with_suffix(".hash").read_text() == expected, f"{point} {nth}"


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_breaking_a_guarantee_on_purpose_is_caught(
    forks: Forks, tmp_path: Path, mutation: str
) -> None:
    expected, _ = whole(
        forks, tmp_path / "whole", mutation=mutation
    )  # broken as well: only being killed makes the difference
    tries = [("after_optimizer", 5), ("mid_write", 2), ("after_optimizer", 3), ("in_validation", 4)]
    assert any(
        killed(forks, tmp_path / f"{i}", *point, i, mutation=mutation) != expected
        for i, point in enumerate(tries)
    ), f"nothing noticed that {mutation} is broken"
