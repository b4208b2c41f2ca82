"""The console: calm lines everywhere, and one bar where the screen can move it."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from colab_kit.events import (
    CheckpointSaved,
    CopyProgress,
    EpochDone,
    FetchDone,
    FetchProgress,
    FetchStarted,
    LookProgress,
    Note,
    RunEnded,
    RunStarted,
    StepDone,
)
from colab_kit.system.console import REDRAW, Console, with_console

HERE = Path("/r/x-12345678")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock():
    return Clock()


def test_a_whole_run_in_a_file_is_a_line_an_event_worth_one(clock):
    out = io.StringIO()
    console = Console(out, clock=clock)
    console(RunStarted("x", HERE, 2, 20))
    clock.now += 1
    for step in range(1, 11):
        console(StepDone(step, 20, 0.5, 1e-3))
    console(CheckpointSaved(HERE / "c", 10, 0.1))
    clock.now += 1.5
    console(
        EpochDone(
            1.0,
            2,
            {
                "epoch": 1.0,
                "step": 10,
                "lr": 9e-4,
                "train/loss": 0.5,
                "train/top1": 0.75,
                "valid/loss": 0.25,
                "valid/top1": 1.0,
            },
        )
    )
    clock.now += 4
    console(EpochDone(1.5, 2, {"train/loss": 0.5}))
    console(Note("Something.", "warn"))
    console(RunEnded("stopped", "by hand", HERE))
    assert out.getvalue().splitlines() == [
        f"Run x, 2 epochs, 20 steps → {HERE}",
        "epoch 1/2  train loss 0.5000 top1 0.7500  valid loss 0.2500 top1 1.0000  lr 0.0009  2.5 s",
        "epoch 1.5/2  train loss 0.5000  4.0 s",
        "Warning: Something.",
        "Run stopped: by hand. The same call goes on.",
    ]


def test_a_continued_run_says_where_it_goes_on(clock):
    out = io.StringIO()
    console = Console(out, clock=clock)
    console(RunStarted("x", HERE, 2, 20, 7))
    console(RunEnded("finished", "", HERE))
    assert out.getvalue().splitlines() == [
        f"Run x, going on from step 7 of 20 → {HERE}",
        "Run finished",
    ]


def test_a_log_file_sees_no_bar_and_a_terminal_does(clock):
    for out, moves in ((io.StringIO(), False), (Terminal(), True)):
        console = Console(out, clock=clock)
        console(RunStarted("x", HERE, 1, 10))
        clock.now += 1
        console(StepDone(5, 10, 0.25, 1e-3))
        assert ("\r" in out.getvalue()) is moves and ("loss 0.2500" in out.getvalue()) is moves
        console(RunEnded("finished", "", HERE))
        assert console.bar is None


def test_the_bar_is_drawn_at_most_ten_times_a_second(clock):
    out = Terminal()
    console = Console(out, clock=clock)
    console(RunStarted("x", HERE, 1, 100))
    drawn = []
    for step in range(100):
        clock.now += REDRAW / 10
        console(StepDone(step, 100, float(step), 1e-3))
        drawn.append(out.getvalue().count("loss"))
    assert 8 <= drawn[-1] <= 11
    console.close_bar()


def test_a_line_never_shares_its_row_with_the_bar(clock):
    out = Terminal()
    console = Console(out, clock=clock)
    console(RunStarted("x", HERE, 1, 10))
    console(Note("Look."))
    rows = out.getvalue().split("\n")
    assert any(row.rpartition("\r")[2] == "Look." for row in rows)
    console.close_bar()


def test_a_fetch_is_a_line_with_its_size_and_place(clock):
    for out in (io.StringIO(), Terminal()):
        console = Console(out, clock=clock)
        console(FetchStarted("f.zip", "https://x/f.zip", None))
        clock.now += 1
        console(FetchProgress("f.zip", 2**19, None))
        console(FetchDone("f.zip", Path("/d/f.zip"), 3 * 2**19))
        assert (
            out.getvalue().rpartition("\r")[2].strip() == "Fetched /d/f.zip (1.5 MiB)"
            and console.bar is None
        )


def test_waiting_for_drive_is_one_line_and_a_bar_where_it_can_move(clock):
    for out, moves in ((io.StringIO(), False), (Terminal(), True)):
        console = Console(out, clock=clock)
        for done in (0, 2**20, 3 * 2**20, 4 * 2**20):
            clock.now += 1
            console(CopyProgress("copies", done, 4 * 2**20))
        assert (
            out.getvalue().count("Handing copies to Drive (4.0 MiB)") == 1 and console.bar is None
        )
        assert out.getvalue().count("interrupt to leave the rest to the background") == 1
        assert ("\r" in out.getvalue()) is moves
        clock.now += 1
        console(CopyProgress("copies", 0, 2**20))
        assert "(1.0 MiB)" in out.getvalue()
        console.close_bar()


def test_waiting_long_for_drive_is_one_line_of_a_log_file_and_one_each_minute(clock):
    console = Console(out := io.StringIO(), clock=clock)
    for done in range(500):
        clock.now += 0.25
        console(CopyProgress("copies", done * 2**20, 1000 * 2**20))
    assert out.getvalue().splitlines()[1:] == [
        "to Drive: 240.0 MiB of 1000.0 MiB",
        "to Drive: 480.0 MiB of 1000.0 MiB",
    ]


@pytest.mark.parametrize(("out", "moves"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_long_look_says_how_far_it_is_and_what_is_left(clock, out, moves):
    console = Console(out, clock=clock)
    for done in range(0, 1000, 10):
        clock.now += 1
        console(LookProgress("test", done, 1000, 100.0 - done / 10))
    assert ("\r" in out.getvalue()) is moves and (console.bar is not None) is moves
    assert "about 100 s left" in out.getvalue()
    console(LookProgress("test", 1000, 1000, 0.0))
    assert console.bar is None
    if not moves:
        assert out.getvalue().splitlines() == [
            "looking at test: picture 0 of 1000 about 100 s left",
            "looking at test: picture 600 of 1000 about 40 s left",
        ]


def test_a_log_file_is_told_once_a_minute_how_far_a_long_epoch_is(clock):
    console = Console(out := io.StringIO(), clock=clock)
    console(RunStarted("x", HERE, 2, 2000))
    for step in range(1, 1001):
        clock.now += 0.25
        console(StepDone(step, 2000, 0.5, 1e-3))
    assert out.getvalue().splitlines()[1:] == [
        f"training: step {n} of 2000 loss 0.5000" for n in (240, 480, 720, 960)
    ]


def test_without_out_it_prints_to_whatever_stdout_is_now(capsys):
    console = Console(moving=False)
    console(Note("Hello."))
    assert capsys.readouterr().out == "Hello.\n"


def test_a_notebook_that_nobody_looks_at_is_a_log_file(monkeypatch):
    """nbclient, papermill and `colab run` send their cells with allow_stdin=False; front ends with True."""
    kernel = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    shell = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=False))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not Console(kernel).moving
    shell.kernel._allow_stdin = True
    assert Console(kernel).moving


def test_a_notebooks_output_may_be_redrawn():
    kernel = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    assert (
        Console(kernel).moving
        and not Console(io.StringIO()).moving
        and Console(io.StringIO(), moving=True).moving
    )


def test_one_callback_may_be_given_without_a_list():
    heard = []
    with_console(heard.append, quiet=True)(Note("here"))
    assert heard == [Note("here")]
