"""Whatever a server does, a stop and a clock end the waiting, and nothing stays behind that reads."""

import socket
import socketserver
import threading
import time

import pytest

from colab_kit.errors import FetchError, Offline, Stopped, Truncated
from colab_kit.events import Control
from colab_kit.system.connections import Errand, Overdue
from colab_kit.system.http import HEAD_SIZE, Web

SOON = 5.0  # seconds within which a call has returned, also on a busy machine
TICK = 0.02
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server(socketserver.ThreadingTCPServer):
    """Answers each question with a beginning, then with a piece every TICK, without an end.

    hung_up : set once a client has ended its connection
    """

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, start=b"", piece=b"x", before=b""):
        self.start, self.piece, self.before = start, piece, before
        self.hung_up, self.over, self.asked = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self.sent = 0
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/x"

    def __exit__(self, *error):
        self.over.set()
        self.shutdown()
        super().__exit__(*error)


class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        server = self.server
        if not self.request.recv(65536):
            return
        server.asked.set()
        self.request.settimeout(TICK)
        try:
            self.request.sendall(server.start)
            while not server.over.is_set():
                if server.piece:
                    self.request.sendall(server.piece)
                    server.sent += len(server.piece)
                try:
                    if self.request.recv(1) == b"":
                        break
                except TimeoutError:
                    pass
        except OSError:
            pass
        server.hung_up.set()


WAITS = {  # what a server does before it answers
    "nothing": {"piece": b""},
    "headers that drip": {"start": b"HTTP/1.1 200 OK\r\nX: "},
    "a status that drips": {"start": b"HTTP/1.1 2"},
    "100 Continue without an end": {"piece": b"HTTP/1.1 100 Continue\r\n\r\n"},
    "a redirect whose body drips": {
        "start": b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 4096\r\n\r\n"
    },
    "a refusal whose body drips": {
        "start": b"HTTP/1.1 404 Not Found\r\nContent-Length: 4096\r\n\r\n"
    },
}
BODIES = {  # what it does after its headers
    "a body that drips": {"start": RIGHT},
    "chunks that drip": {"start": CHUNKED, "piece": b"1\r\nx\r\n"},
    "a chunk whose size drips": {"start": CHUNKED, "piece": b"0"},
    "trailers without an end": {"start": CHUNKED + b"0\r\n", "piece": b"X: y\r\n"},
}


def stopped_when_asked(server, control):
    def work():
        server.asked.wait()
        control.stop("enough")

    threading.Thread(target=work, daemon=True).start()


@pytest.mark.parametrize("kind", WAITS)
def test_a_stop_is_heard_before_an_answer(kind):
    control = Control()
    with Server(**WAITS[kind]) as server, Web(control=control) as web:
        stopped_when_asked(server, control)
        start = time.monotonic()
        with pytest.raises(Stopped, match="enough"):
            web.ask(server.url)
        assert time.monotonic() - start < SOON
        assert server.hung_up.wait(SOON), "the connection stays"


@pytest.mark.parametrize("kind", [kind for kind in WAITS if "whose body" not in kind])
def test_an_answer_has_its_time(kind):
    with Server(**WAITS[kind]) as server, Web(seconds=0.3) as web:
        with pytest.raises(Offline, match="did not answer within"):
            web.ask(server.url)
        assert server.hung_up.wait(SOON), "the connection stays"


@pytest.mark.parametrize("kind", BODIES)
def test_a_stop_is_heard_in_a_body(kind):
    control = Control()
    with Server(**BODIES[kind]) as server, Web(control=control) as web:
        with web.ask(server.url) as reply:
            stopped_when_asked(server, control)
            with pytest.raises(Stopped, match="enough"):
                reply.body(1 << 20)
        assert server.hung_up.wait(SOON), "the connection stays"


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_has_its_time(kind):
    with Server(**BODIES[kind]) as server, Web() as web, web.ask(server.url) as reply:
        with pytest.raises(Truncated, match="more than"):
            reply.body(1 << 20, seconds=0.3)


def test_a_stop_before_the_call_asks_nobody():
    control = Control()
    control.stop("enough")
    with Server() as server, Web(control=control) as web:
        with pytest.raises(Stopped, match="enough"):
            web.ask(server.url)
        assert not server.asked.is_set()


@pytest.mark.parametrize("head", [b"302 Found\r\nLocation: /x", b"404 Not Found", b"503 Busy"])
def test_no_more_is_read_of_a_refusal_or_a_redirect_than_its_words(head, monkeypatch):
    monkeypatch.setattr("colab_kit.system.http.HOPS", 1)
    start = b"HTTP/1.1 " + head + b"\r\nContent-Length: 100000000\r\n\r\n"
    with Server(start, piece=b"x" * HEAD_SIZE) as server, Web() as web:
        with pytest.raises(FetchError):
            web.ask(server.url)
        assert server.hung_up.wait(SOON)
        assert server.sent < 1 << 20


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        (b"".join(b"X%d: %s\r\n" % (n, b"y" * 5000) for n in range(90)), "bytes of headers"),
        (b"".join(b"X%d: y\r\n" % n for n in range(1000)), "headers"),
        (b"Transfer-Encoding: gzip, chunked\r\n", "transfer coding"),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "transfer coding"),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", "cannot be understood"),
    ],
)
def test_headers_that_are_too_many_or_say_two_things_are_refused(headers, word):
    with Server(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\nabcd", piece=b"") as server:
        with Web() as web, pytest.raises(FetchError, match=word):
            web.ask(server.url)


def test_of_chunks_and_a_length_the_chunks_count():
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Server(start + b"5\r\nabcde\r\n0\r\n\r\n", piece=b"") as server, Web() as web:
        with web.ask(server.url) as reply:
            assert (reply.length, reply.body(100)) == (None, b"abcde")


def test_an_errand_gives_the_result_or_the_error_of_its_work():
    assert Errand(lambda: 5).result("It did not come.", Control(), 60) == 5
    with pytest.raises(ZeroDivisionError):
        Errand(lambda: 1 / 0).result("It did not come.", Control(), 60)


def test_what_comes_when_nobody_waits_any_more_is_put_away():
    gate, late = threading.Event(), []
    errand = Errand(lambda: gate.wait() and "answer", late=late.append)
    with pytest.raises(Overdue):
        errand.result("It did not come.", Control(), 0.0)
    gate.set()
    errand.join(SOON)
    assert late == ["answer"]


def test_a_connection_that_is_made_when_nobody_waits_any_more_is_closed(monkeypatch):
    """A host's name may take long to find, and nothing ends that."""
    gate, real, control = threading.Event(), socket.getaddrinfo, Control()

    def slow(*args, **options):
        control.stop("enough")
        gate.wait(SOON)
        return real(*args, **options)

    with Server() as server, Web(control=control) as web:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with pytest.raises(Stopped):
            web.ask(server.url)
        errands = [one for one in threading.enumerate() if isinstance(one, Errand)]
        gate.set()
        for errand in errands:
            errand.join(SOON)
        assert errands and not server.asked.is_set()
