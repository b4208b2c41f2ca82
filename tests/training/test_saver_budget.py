"""The budget: a session ends saved and in time; pauses and earlier sessions do not count."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from colab_kit import api
from colab_kit.errors import RecipeError
from colab_kit.events import Control, Note, set_milestone_hook
from colab_kit.recipe import Recipe, seconds_of
from colab_kit.training import state
from colab_kit.training.saver import LAST_COPY, LIMIT, Budget, spoken
from tests.support.tasks import Small, small_data


class Clock:
    """Time that passes when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3h", 10800), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("2.5 h", 9000), ("1H 5M", 3900)],
)
def test_a_time_is_read_as_people_write_it(said, seconds):
    assert seconds_of(said) == seconds and Recipe(max_time=said).max_time == said


@pytest.mark.parametrize(
    "said", ["", "3", "h", "3 hours", "3h20", "-3h", "soon", "3h xx", True, -1, float("nan")]
)
def test_what_is_no_time_is_refused_with_the_way_to_write_one(said):
    with pytest.raises(RecipeError) as caught:
        Recipe(max_time=said)
    assert caught.value.what.startswith("max_time=")


def test_it_is_used_up_where_one_more_step_and_two_saves_do_not_fit():
    clock = Clock()
    budget = Budget(100.0, clock=clock)
    clock.now = 90.0
    assert not budget.used_up(step=2.0, save=4.0) and budget.used_up(step=2.1, save=4.0)
    clock.now = 1e9
    assert not Budget(None, clock=clock).used_up(step=1e9, save=1e9)


def test_a_pause_moves_the_end_but_not_the_machines():
    clock = Clock()
    hour, machine = Budget("1h", clock=clock), Budget("session", age=LIMIT - 3600, clock=clock)
    clock.now = 3000.0
    for budget in (hour, machine):
        budget.pause(2000.0)
    assert hour.session == 1000.0 and hour.ends == 5600.0 and machine.ends == 3600.0 - LAST_COPY


def test_earlier_sessions_count_in_the_total_alone():
    clock = Clock()
    budget = Budget("1h", before=7200.0, clock=clock)
    clock.now = 60.0
    assert (budget.seconds, budget.session) == (7260.0, 60.0) and not budget.used_up(
        step=1.0, save=1.0
    )


def test_where_no_session_ends_the_session_is_no_limit():
    assert Budget("session", age=None).ends == math.inf


@pytest.mark.parametrize(
    ("seconds", "words"), [(8.4, "8 s"), (180, "3 min"), (7500, "2 h 05 min"), (3599, "1 h 00 min")]
)
def test_a_time_is_spoken_as_people_say_it(seconds, words):
    assert spoken(seconds) == words


class Ticking(Control):
    """A second passes with each step."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        set_milestone_hook(self.tick)

    def tick(self, point: str, path: Path | None) -> None:
        self.clock.now += point == "after_optimizer"


def sessions(monkeypatch: Any, heard: list[Any], **fields: Any) -> Any:
    clock = Clock()
    monkeypatch.setattr(state, "Budget", lambda *args, **more: Budget(*args, **more, clock=clock))
    return api.train(
        Small,
        small_data("arrays"),
        run_dir="run",
        callbacks=[heard.append],
        quiet=True,
        control=Ticking(clock),
        batch_size=4,
        epochs=4,
        **fields,
    )


def test_each_session_stops_in_time_says_how_long_the_rest_takes_and_the_last_one_is_done(
    monkeypatch,
):
    heard: list[Any] = []
    steps = []
    for _ in range(6):
        run = sessions(monkeypatch, heard, max_time=7.5)
        steps.append(run.choices and max(row["step"] for row in run.history) if run.history else 0)
        if run.status == "finished":
            break
        assert run.status == "stopped" and run.reason.startswith(
            "max_time=7.5 is used up; the rest would take about "
        )
    assert run.status == "finished" and run.history[-1]["step"] == 24
    calm = api.train(
        Small, small_data("arrays"), run_dir="calm", quiet=True, batch_size=4, epochs=4
    )
    assert [row["valid/loss"] for row in run.history] == [row["valid/loss"] for row in calm.history]


def test_a_session_that_does_not_end_by_itself_says_that_it_sets_no_limit():
    heard: list[Any] = []
    run = api.train(
        Small,
        small_data("arrays"),
        run_dir="run",
        callbacks=[heard.append],
        quiet=True,
        batch_size=4,
        epochs=1,
        max_time="session",
    )
    assert run.status == "finished" and any(
        "sets no limit here" in note.text for note in heard if isinstance(note, Note)
    )
