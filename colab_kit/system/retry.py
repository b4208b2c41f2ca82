"""Trying again: an attempt is repeated after a pause, for as long as its failures are worth it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ..errors import FetchError

Sleep = Callable[[float], object]  # waits so many seconds
T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


def retry(
    attempt: Callable[[], T],
    pause: Callable[[E, int], float | None],
    sleep: Callable[[float], object],
    *,
    on: type[E],
) -> T:
    """Call `attempt` until it succeeds, and give its result.

    Parameters
    ----------
    pause : callable(error, failures)
        Seconds before the next try, after so many failures; None: the error is raised.
        It may raise an error of its own.
    sleep : callable(seconds)
    on : exception class
        Only such an error is worth another try.

    Examples
    --------
    >>> retry(lambda: web.ask(url), server_pause, time.sleep, on=FetchError)  # doctest: +SKIP
    """
    patience = Patience(pause)
    while True:
        try:
            return attempt()
        except on as err:
            seconds = patience.after(err)
        sleep(seconds)


class Patience(Generic[E]):
    """Failures in a row: each is followed by a pause, and progress between two starts the row anew.

    Parameters
    ----------
    pause : callable(error, failures)
        As for retry().
    step : int
        How much progress counts.
    """

    def __init__(self, pause: Callable[[E, int], float | None], step: int = 1) -> None:
        self._pause, self._step = pause, step
        self._failures = self._progress = 0

    def after(self, err: E, progress: int = 0) -> float:
        """Seconds to wait after this failure; raise `err` if no further try is worth it.

        progress : how far things were, such as the bytes that had come
        """
        if progress - self._progress >= self._step:
            self._failures = 0
        self._progress = progress
        self._failures += 1
        seconds = self._pause(err, self._failures)
        if seconds is None:
            raise err
        return seconds


def server_pause(err: FetchError, failures: int) -> float | None:
    """What the server asks for, else 1, 2, 4 seconds; None after the last try `err` is worth."""
    if failures >= err.tries:
        return None
    return 2.0 ** (failures - 1) if err.wait is None else err.wait
