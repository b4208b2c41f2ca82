"""Timings: each second of a verb counts once, under the name it was at; threads count apart."""

import itertools
import threading

import pytest

from colab_kit.system import timings
from colab_kit.system.timings import NAMES, Stopwatch, Timings


class Clock:
    """Seconds that pass when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Device:
    """A device that finishes its work `lag` seconds after it was handed over, on its own clock."""

    def __init__(self, clock):
        self.clock, self.lag, self.synchronised = clock, 0.5, 0

    def record(self):
        return Mark(self, self.clock.now + self.lag)


class Mark:
    def __init__(self, device, at):
        self.device, self.at = device, at

    def elapsed_time(self, other):
        return 1000 * (other.at - self.at)

    def synchronize(self):
        self.device.synchronised += 1
        self.device.clock.now = max(self.device.clock.now, self.at)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock, monkeypatch):
    watch = Stopwatch(clock)
    monkeypatch.setattr(timings, "_running", watch)
    return watch


def walk(clock, watch, *steps):
    for name, seconds in steps:
        watch.enter(name)
        clock.now += seconds


def test_each_second_counts_for_the_name_it_was_at(clock, watch):
    walk(clock, watch, ("input", 2), ("forward", 3), ("input", 1))
    assert watch.read().seconds == {"input": 3, "forward": 3}


@pytest.mark.parametrize("names", list(itertools.permutations(list(NAMES)[:4], 3)))
def test_the_seconds_add_up_to_the_wall_time_in_any_order(clock, watch, names):
    walk(clock, watch, *((name, n + 0.25) for n, name in enumerate(names)))
    assert watch.read().total == clock.now - 100


def test_a_block_gives_the_time_back_to_what_was_before(clock, watch):
    walk(clock, watch, ("rest", 1))
    with timings.during("save"):
        clock.now += 4
    clock.now += 2
    assert watch.read().seconds == {"rest": 3, "save": 4}


def test_a_block_that_raises_gives_the_time_back_too(clock, watch):
    with pytest.raises(KeyError), timings.during("save"):
        raise KeyError
    assert watch.at == "set-up"


def test_waiting_for_each_item_counts_and_what_is_done_with_it_does_not(clock, watch):
    def items():
        for n in range(3):
            clock.now += 2
            yield n

    watch.enter("validation")
    for _ in timings.each("input", items()):
        clock.now += 5
    assert watch.read().seconds == {"input": 6, "validation": 15}


def test_a_thread_does_not_move_the_stopwatch_of_another(clock, watch):
    def work():
        with timings.during("solve"):
            clock.now += 3

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert watch.read().seconds == {"set-up": 3}


def test_what_threads_do_beside_is_added_up_apart(watch):
    for _ in range(2):
        watch.add_beside("decode", 1.5)
    assert watch.read().beside == {"decode": 3.0}


def test_without_a_verb_nothing_is_counted_and_nothing_breaks():
    with timings.during("save"), timings.beside("decode"):
        pass
    assert timings._running is None


def test_the_stopwatch_of_a_verb_within_a_verb_gives_way_to_the_outer_one():
    with timings.timed() as outer:
        with timings.timed():
            pass
        assert timings.running() is outer


def test_a_devices_own_clock_says_how_long_its_work_took(clock, watch):
    device = Device(clock)
    with watch.by_device(device.record):
        watch.enter("forward")  # the host is done at once, the device 2 s later
        device.lag += 2
        watch.enter("input")
        device.lag += 1
        watch.enter("rest")
    assert watch.read().seconds["forward"] == pytest.approx(2)


def test_host_and_device_add_up_to_the_wall_time(clock, watch):
    device = Device(clock)
    with watch.by_device(device.record):
        walk(clock, watch, ("input", 1), ("forward", 0.1))
        device.lag += 3
        watch.enter("input")
        watch.settle()
    clock.now += 1
    assert watch.read().total == pytest.approx(clock.now - 100)


def test_a_device_is_waited_for_once_at_the_end(clock, watch):
    device = Device(clock)
    with watch.by_device(device.record):
        for name in ("input", "forward", "backward"):
            watch.enter(name)
    assert device.synchronised == 1


def test_events_that_are_over_are_let_go(clock, watch):
    device = Device(clock)
    with watch.by_device(device.record):
        for _ in range(100):
            watch.enter("forward")
            watch.settle()
        assert len(watch._marks) == 1


def test_shares_are_of_the_whole_call():
    assert Timings({"input": 3.0, "forward": 1.0}).share("input") == 0.75


def test_nothing_measured_is_nothing_and_no_division_by_zero():
    assert Timings().share("input") == 0.0


def test_a_record_comes_back_as_it_was():
    whole = Timings({"input": 3.125}, {"decode": 9.5})
    assert Timings(**whole.as_record()) == whole


@pytest.mark.parametrize("name", timings.HINTS)
def test_a_share_too_large_is_told_with_what_would_help(name):
    assert timings.HINTS[name][1] in Timings({name: 90.0, "forward": 10.0}).line


def test_a_short_call_is_told_without_advice():
    assert ";" not in Timings({"input": 2.0}).line


def test_every_row_of_the_table_says_what_it_means():
    assert all(row[3] for row in Timings(dict.fromkeys(NAMES, 1.0)).rows()[:-1])
