"""Events: frozen values, and callbacks that can neither stop a run nor hide each other."""

import dataclasses
import inspect
from pathlib import Path

import pytest

from colab_kit import events
from colab_kit.events import Callbacks, EpochDone, Event, Note, RunEnded, StepDone
from colab_kit.training.history import History

STEP = StepDone(1, 2, 0.5, 0.1)


def failing(event: Event) -> None:
    raise ZeroDivisionError("no bar to draw")


@pytest.mark.parametrize(
    "kind",
    [
        k
        for _, k in inspect.getmembers(events, inspect.isclass)
        if issubclass(k, Event) and k is not Event
    ],
)
def test_every_event_is_frozen_and_has_slots(kind):
    event = kind(*[None] * len(dataclasses.fields(kind)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, dataclasses.fields(kind)[0].name, 1)
    assert not hasattr(event, "__dict__")


def test_each_callback_hears_each_event_in_order():
    heard = []
    Callbacks([lambda e: heard.append((1, e)), lambda e: heard.append((2, e))])(STEP)
    assert heard == [(1, STEP), (2, STEP)]


def test_a_callback_that_raises_is_reported_once_forgiven_twice_and_dropped_the_third_time():
    heard: list[Event] = []
    emit = Callbacks([failing, heard.append])
    emit(STEP)
    assert [type(e) for e in heard] == [
        Note,
        StepDone,
    ] and "failing raised ZeroDivisionError: no bar to draw" in heard[0].text
    emit(STEP)
    assert len(heard) == 3 and len(emit.callbacks) == 2
    emit(STEP)
    assert (
        emit.callbacks == [heard.append]
        and "3 times in a row and is dropped" in heard[3].text
        and heard[3].level == "warn"
    )
    emit(STEP)
    assert heard[5:] == [STEP]


def test_the_first_report_holds_the_line_of_the_user_that_raised():
    heard: list[Event] = []
    Callbacks([failing, heard.append])(STEP)
    assert 'raise ZeroDivisionError("no bar to draw")' in heard[0].text
    assert "events.py" not in heard[0].text.replace("test_events.py", ""), "ours is no news"


@pytest.mark.parametrize("others, quiet", [([], False), ([lambda event: None], True)])
def test_where_no_console_listens_a_fault_is_a_python_warning(others, quiet):
    with pytest.warns(RuntimeWarning, match="failing raised ZeroDivisionError"):
        Callbacks([failing, *others], quiet=quiet)(STEP)


ENDED = RunEnded("finished", "", Path("x"))


@pytest.mark.parametrize("faults", [1, 2, 3, 7])
def test_the_end_of_a_run_counts_the_faults(faults):
    heard: list[Event] = []

    def moody(event: Event) -> None:
        if event is STEP:
            raise ValueError

    emit = Callbacks([moody, heard.append])
    for _ in range(faults):
        emit(STEP)
        emit(Note("all is well in between"))
    emit(ENDED)
    counted = "once" if faults == 1 else f"{faults} times"
    assert heard[-1] is ENDED and f"moody failed {counted}" in heard[-2].text


def test_a_run_without_faults_ends_without_a_word_about_them():
    heard: list[Event] = []
    Callbacks([heard.append])(ENDED)
    assert heard == [ENDED]


def test_a_success_between_failures_starts_the_count_again():
    calls = []

    def moody(event: Event) -> None:
        calls.append(event)
        if len(calls) % 3:
            raise ValueError

    heard: list[Event] = []
    emit = Callbacks([moody, heard.append])
    for _ in range(9):
        emit(STEP)
    assert (
        len(calls) == 9 and len([e for e in heard if isinstance(e, Note)]) == 1
    )  # said once, never dropped


def test_a_faulty_callback_does_not_hear_of_its_own_faults():
    heard = []

    def proud(event: Event) -> None:
        heard.append(event)
        raise RuntimeError

    emit = Callbacks([proud])
    with pytest.warns(RuntimeWarning):
        for _ in range(5):
            emit(STEP)
    assert heard == [STEP] * 3 and emit.callbacks == []


def test_of_two_callbacks_that_compare_equal_the_faulty_one_is_dropped():
    class Broken(History):
        def __call__(self, event: Event) -> None:
            raise OSError("disk full")

    good, bad = History(), Broken()
    emit = Callbacks([good, bad])
    for _ in range(3):
        emit(STEP)
    assert len(emit.callbacks) == 1 and emit.callbacks[0] is good


def test_two_faulty_callbacks_do_not_drop_each_other_without_end():
    def other(event: Event) -> None:
        raise KeyError

    emit = Callbacks([failing, other])
    with pytest.warns(RuntimeWarning):
        for _ in range(4):
            emit(STEP)
    assert emit.callbacks == []


def test_an_interrupt_in_a_callback_is_no_fault_of_its_own():
    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    emit = Callbacks([interrupted])
    with pytest.raises(KeyboardInterrupt):
        emit(STEP)
    assert len(emit.callbacks) == 1


def test_two_epochs_do_not_share_their_metrics():
    assert EpochDone(1.0, 2).metrics is not EpochDone(1.0, 2).metrics
