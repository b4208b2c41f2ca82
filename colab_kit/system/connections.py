"""A server's work in a thread of its own: whoever waits for it hears Stop and a clock, and leaves.

Who leaves ends the connection, too: nothing stays behind that reads, whatever a server sends.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Generic, TypeVar

from ..errors import Stopped
from ..events import Control

CONNECTIONS = 16  # kept open to a host
LOOK = 0.1  # seconds between two looks for a stop
AGAIN = "the same call continues from there"

T = TypeVar("T")


class Overdue(Exception):
    """The time that was given is over."""


class Errand(threading.Thread, Generic[T]):
    """One piece of work that may wait for a server.

    Parameters
    ----------
    work : callable
        Its result, or its error, is that of `result`.
    end : callable, optional
        Ends what `work` waits for, once nobody waits for it any more. Connections of a `session`
        end by themselves.
    late : callable(result), optional
        Puts away a result that nobody waits for any more.
    """

    def __init__(
        self,
        work: Callable[[], T],
        end: Callable[[], object] = lambda: None,
        late: Callable[[T], object] = lambda result: None,
    ) -> None:
        super().__init__(daemon=True, name="errand to a server")
        self._work, self._end_work, self._late = work, end, late
        self._lock, self._over = threading.Lock(), threading.Event()
        self._outcome: list[T] = []
        self._error: BaseException | None = None
        self._connection: Any = None
        self._left = False

    def run(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as err:
            self._error = err
        with self._lock:
            self._over.set()
            unwanted = self._outcome if self._left else []
        for one in unwanted:
            self._late(one)

    def result(self, what: str, control: Control, seconds: float) -> T:
        """Do the work, and give its result.

        Parameters
        ----------
        what : str
            Says in the error that `what` did not happen.
        control : Control
            A stop ends it, also one that came before.
        seconds : float
            In all.

        Raises
        ------
        Stopped
        Overdue
        """
        until = time.monotonic() + seconds
        try:
            if not control.stopped:
                self.start()
            while not control.stopped and not self._over.wait(LOOK):
                if time.monotonic() > until:
                    raise Overdue
            if control.stopped:
                raise Stopped(what, control.reason, AGAIN)
        except BaseException:
            self._leave()
            raise
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def uses(self, connection: Any) -> None:
        """Hear from the thread which connection it is about to use; raise if nobody waits."""
        with self._lock:
            self._connection = connection
            left = self._left
        if left:
            connection.close()
            raise OSError("nobody waits for the answer any more")

    def _leave(self) -> None:
        with self._lock:
            self._left, unwanted = True, list(self._outcome)
        for one in unwanted:  # it came at this very moment
            self._late(one)
        shut(getattr(self._connection, "sock", None))
        self._end_work()


def shut(sock: Any) -> None:
    """End what another thread reads from a socket, or writes to it."""
    if sock is not None:
        with suppress(OSError, AttributeError):
            # an SSLSocket's own shutdown lets the other thread read on, without decryption
            kind = socket.socket if isinstance(sock, socket.socket) else type(sock)
            kind.shutdown(sock, socket.SHUT_RDWR)


def session() -> Any:
    """Make a session of requests whose connections an Errand can end.

    It reads no body that nobody asked for: requests itself reads a redirect's to its end.
    """
    made = _session_kind()()
    for scheme in ("https://", "http://"):
        made.mount(scheme, _adapter_kind()(pool_maxsize=CONNECTIONS, max_retries=0))
    return made


@cache
def _session_kind() -> Any:
    import requests

    class Session(requests.Session):
        def resolve_redirects(self, *args: Any, **options: Any) -> Any:
            return iter(())

    return Session


@cache
def _adapter_kind() -> Any:
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            _watch(self.poolmanager)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            is_new = proxy not in self.proxy_manager
            manager = super().proxy_manager_for(proxy, **options)
            if is_new:
                _watch(manager)
            return manager

    return Adapter


def _watch(manager: Any) -> None:
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _pool_kind(kind) for scheme, kind in pools.items()}


@cache
def _pool_kind(kind: Any) -> Any:
    """Give a class of connection pools whose connections tell an Errand that it uses them."""

    class Connection(kind.ConnectionCls):  # type: ignore[misc]
        def connect(self) -> None:
            _tell(self)
            super().connect()
            _tell(self)

        def request(self, *args: Any, **options: Any) -> Any:
            _tell(self)
            return super().request(*args, **options)

    return type(kind.__name__, (kind,), {"ConnectionCls": Connection})


def _tell(connection: Any) -> None:
    thread = threading.current_thread()
    if isinstance(thread, Errand):
        thread.uses(connection)
