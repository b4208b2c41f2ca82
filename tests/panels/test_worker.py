"""A worker: its state is a word at once, whatever the step takes, and nothing is lost: not the reason, not the traceback."""

import threading

from colab_kit.errors import DataError
from colab_kit.events import EpochDone, FetchProgress, FetchStarted, Note, RunStarted, StepDone
from colab_kit.panels.worker import MOST, Worker


class Gate:
    """A call that goes as far as it is let."""

    def __init__(self, *, error=None):
        self.entered, self.leave, self.error = threading.Event(), threading.Event(), error

    def __call__(self, control, hear):
        self.control, self.hear = control, hear
        self.entered.set()
        assert self.leave.wait(10)
        if self.error:
            raise self.error
        return "result"


def begun(**how):
    gate = Gate(**how)
    worker = Worker(gate)
    worker.start()
    assert gate.entered.wait(10)
    return worker, gate


def test_it_starts_once_and_gives_its_result():
    worker, gate = begun()
    worker.start()
    assert worker.busy and worker.snapshot().state == "working"
    gate.leave.set()
    assert (
        worker.wait(10)
        and worker.result == "result"
        and worker.snapshot().state == "finished"
        and not worker.busy
    )


def test_stop_is_answered_at_once_and_the_call_hears_it():
    worker, gate = begun()
    worker.stop()
    assert (
        worker.snapshot().state == "stopping"
        and worker.snapshot().doing == "Stopping after this batch"
    )
    assert gate.control.stopped
    gate.hear(StepDone(1, 10, 0.5, 0.1))
    assert worker.snapshot().doing == "Stopping after this batch", (
        "steps that still come do not take it back"
    )
    gate.leave.set()
    assert worker.wait(10)


def test_pause_and_go_on_are_words_and_signals():
    worker, gate = begun()
    worker.pause()
    assert worker.snapshot().state == "paused" and gate.control.paused
    worker.resume()
    assert worker.snapshot().state == "working" and not gate.control.paused
    gate.leave.set()
    assert worker.wait(10)


def test_what_happens_is_in_the_snapshot():
    now = [0.0]
    worker = Worker(lambda control, hear: None, clock=lambda: now[0])
    worker._set(state="working")
    worker.hear(FetchStarted("pets.zip", "", 4 << 20))
    worker.hear(FetchProgress("pets.zip", 1 << 20, 4 << 20))
    assert (
        worker.snapshot().doing == "Downloading pets.zip: 1.0 of 4.0 MiB"
        and worker.snapshot().of == 4 << 20
    )
    worker.hear(RunStarted("run", None, 2, 100))
    for step in range(1, 11):
        now[0] += 0.5
        worker.hear(StepDone(step, 100, 1 / step, 0.1))
    worker.hear(EpochDone(1.0, 2, {"valid/loss": 0.5}))
    worker.hear(Note("uneven", "warn"))
    found = worker.snapshot()
    assert (
        found.doing == "Training 10/100"
        and found.left == 45.0
        and found.rows == ({"epoch": 1.0, "valid/loss": 0.5},)
    )
    assert found.losses[-1] == (10, 0.1) and found.notes == (("warn", "uneven"),)


def test_a_long_run_keeps_a_bounded_curve():
    worker = Worker(lambda control, hear: None)
    for step in range(1, 5 * MOST):
        worker.hear(StepDone(step, 10**6, 1.0, 0.1))
    losses = worker.snapshot().losses
    assert MOST / 2 <= len(losses) <= MOST and losses[0][0] <= 8 and losses[-1][0] > 4 * MOST


def test_an_error_keeps_its_three_sentences_and_its_traceback():
    worker, gate = begun(error=DataError("No pictures.", "the folder is empty", "give another"))
    gate.leave.set()
    assert worker.wait(10)
    what, why, fix, trace = worker.snapshot().error
    assert (what, why, fix) == (
        "No pictures.",
        "the folder is empty",
        "give another",
    ) and "DataError" in trace
    assert worker.snapshot().state == "failed"


def test_waiting_pumps_and_gives_up_in_time():
    worker, gate = begun()
    pumped = []
    assert not worker.wait(0.05, lambda: pumped.append(1)) and pumped
    gate.leave.set()
    assert worker.wait(10)
