"""Control: one signal comes in, the first reason stays, and an interrupt is a normal end."""

import os
import signal
import sys
import threading
from contextlib import suppress

import pytest

from colab_kit import events as room
from colab_kit.events import Control, Note, interrupts_stop


def test_the_first_reason_to_stop_stays():
    control = Control()
    assert (control.stopped, control.reason, control.paused) == (False, "", False)
    control.stop("budget spent")
    control.stop("by hand")
    assert control.stopped and control.reason == "budget spent"


def test_an_empty_reason_stops_too():
    control = Control()
    control.stop("")
    assert control.stopped


def test_a_stop_wakes_a_pause_and_a_stopped_run_cannot_be_paused():
    control = Control()
    control.pause()
    assert control.paused
    control.stop()
    assert not control.paused
    control.pause()
    assert not control.paused
    control.wait_while_paused()  # returns at once


@pytest.mark.parametrize("wake", [Control.resume, Control.stop])
def test_a_pause_ends_from_another_thread(wake):
    control = Control()
    control.pause()
    waiting = threading.Thread(target=control.wait_while_paused)
    waiting.start()
    waiting.join(0.02)
    assert waiting.is_alive()
    wake(control)
    waiting.join(1)
    assert not waiting.is_alive()


def test_the_first_interrupt_stops_with_a_note_that_tells_of_the_second_and_the_second_raises():
    control, heard = Control(), []
    with interrupts_stop(control, heard.append):
        os.kill(os.getpid(), signal.SIGINT)
        assert (
            control.reason == "interrupted"
            and "a second interrupt raises KeyboardInterrupt" in heard[0].text
        )
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert len(heard) == 1 and isinstance(heard[0], Note)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_stops_however_often_it_comes(name):
    control, number = Control(), getattr(signal, name)
    with interrupts_stop(control, lambda event: None):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert control.reason == f"terminated by {name}"


def test_nohup_stays_in_force():
    control, before = Control(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts_stop(control, lambda event: None):
            os.kill(os.getpid(), signal.SIGHUP)
        assert not control.stopped and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_after_another_stop_raises_at_once():
    control = Control()
    control.stop("budget spent")
    with interrupts_stop(control, lambda event: None), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert control.reason == "budget spent"


def test_handlers_are_given_back_even_after_an_error():
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(ZeroDivisionError), interrupts_stop(Control(), lambda event: None):
        assert signal.getsignal(signal.SIGINT) is not before[0]
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in numbers] == before


def test_in_another_thread_the_block_does_nothing():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with interrupts_stop(Control(), lambda event: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("verb", ["stop", "pause", "resume", "wait_while_paused"])
def test_a_signal_in_the_middle_of_any_line_does_not_lock_the_control_up(verb):
    lines = 0
    for n in range(1, 200):
        control, lines = Control(), 0
        if verb != "pause":
            control.pause()

        def trace(frame, event, arg, n=n):
            nonlocal lines
            if frame.f_code.co_filename != room.__file__:
                return None
            lines += event == "line"
            if lines == n and event == "line":
                sys.settrace(None)
                os.kill(os.getpid(), signal.SIGINT)
            return trace

        with interrupts_stop(control, lambda event: None):
            rescue = (
                threading.Timer(0.02, control.stop)
                if verb == "wait_while_paused"
                else threading.Timer(60, print)
            )
            rescue.start()
            alarm = signal.signal(signal.SIGALRM, _too_long)
            signal.setitimer(
                signal.ITIMER_REAL, 5
            )  # a lock that is never freed ends here, not in CI's timeout
            sys.settrace(trace)
            try:
                with suppress(KeyboardInterrupt):  # as it should, where it was stopped already
                    getattr(control, verb)()
            finally:
                sys.settrace(None)
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, alarm)
                rescue.cancel()
        if lines < n:
            break
        assert control.stopped and not control.paused
    assert lines >= 1


def _too_long(number, frame):
    raise TimeoutError("the control locked up")
