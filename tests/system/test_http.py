"""One question and its answer: redirects end, tokens stay with their host, https is never left, and no secret is shown."""

import io
import traceback

import pytest

from colab_kit.errors import FetchError, LinkError, NotFound, Offline, Private, RateLimited
from colab_kit.system.addresses import public
from colab_kit.system.http import Web, patiently, retry_after
from colab_kit.testing.server import FileServer


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


def test_the_answer_at_the_end_of_the_redirects_is_given(server):
    server.redirects(server.put("x.bin", b"abc"), "old", times=1)
    with Web() as web, web.ask(server.url("old")) as reply:
        assert (reply.status, reply.url, reply.length, reply.read(10), reply.read(10)) == (
            200,
            server.url("x.bin"),
            3,
            b"abc",
            b"",
        )


def test_redirects_end(server):
    server.redirects("/round", "round")
    with pytest.raises(FetchError, match="without an end"):
        Web().ask(server.url("round"))
    assert server.count() == 10


def test_a_token_is_left_behind_by_a_redirect_to_another_host_or_port(server):
    other = FileServer()
    other.put("x.bin", b"abc")
    try:
        server.redirects(server.url("two"), "one")
        server.redirects(other.url("x.bin"), "two")
        Web().ask(server.url("one"), token="Bearer s3cret").close()
        assert [asked.headers.get("authorization") for asked in server.requests] == [
            "Bearer s3cret"
        ] * 2
        assert "authorization" not in other.requests[0].headers
    finally:
        other.close()


class Redirecting:
    """A session whose host redirects where it is told."""

    def __init__(self, to):
        self.to, self.asked = to, 0

    def get(self, url, **kw):
        import requests

        self.asked += 1
        response = requests.Response()
        response.raw = io.BytesIO()
        response.status_code, response.headers["Location"] = 302, self.to
        return response


@pytest.mark.parametrize(
    "to", ["http://example.org/x.bin?token=s3cret", "ftp://example.org/x", "file:///etc/passwd"]
)
def test_https_is_never_left(to):
    session = Redirecting(to)
    with pytest.raises(FetchError, match="is not encrypted") as caught:
        Web(session).ask("https://example.org/x.bin")
    assert session.asked == 1 and "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind", "tries"),
    [(404, NotFound, 1), (410, NotFound, 1), (401, Private, 1), (403, Private, 1), (429, RateLimited, 4), (503, RateLimited, 4)],
)  # fmt: skip
def test_a_refusal_is_of_its_kind_and_says_whether_another_try_may_help(
    server, status, kind, tries
):
    server.status(status)
    with pytest.raises(kind) as caught:
        Web().ask(server.url("x"))
    assert caught.value.tries == tries and str(status) in caught.value.why


@pytest.mark.parametrize(
    "body", [b'{"message": "Bad credentials"}', b"<html><title>Bad credentials</title>"]
)
def test_the_servers_own_words_are_passed_on(server, body):
    server.status(403, body=body)
    with pytest.raises(Private, match="Bad credentials"):
        Web().ask(server.url("x"))


def test_what_a_server_asks_for_is_waited_and_not_more_than_a_minute(server):
    waits = []
    server.put("x", b"abc")
    server.status(503, headers={"Retry-After": "7"}, times=1)
    with Web() as web:
        patiently(lambda: web.ask(server.url("x")), waits.append).close()
        server.status(503, headers={"Retry-After": "90"})
        with pytest.raises(RateLimited, match="90 s"):
            patiently(lambda: web.ask(server.url("x")), waits.append)
    assert waits == [7]


def test_a_retry_after_is_seconds_or_a_date_or_nothing():
    assert retry_after("12") == 12 and retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert all(retry_after(text) is None for text in ("", "soon", "٣", "-1", "Wed, 99 Oct"))


def test_nobody_there_is_offline_and_shows_no_secret():
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://me:passw0rd@127.0.0.1:{sock.getsockname()[1]}/x?token=s3cret"
    with pytest.raises(Offline, match="refused") as caught:
        Web().ask(url)
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in shown and "passw0rd" not in shown and caught.value.tries == 2


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://a b/x", "nonsense", "http://127.0.0.1:99999/x"]
)
def test_what_is_no_address_is_said(url):
    with pytest.raises(FetchError) as caught:
        Web().ask(url)
    assert isinstance(caught.value, LinkError | Offline)


def test_the_public_address_has_no_query_and_no_password():
    assert public(
        "https://a:b@h.org:8/x/y?q=1#f"
    ) == "https://h.org:8/x/y" and "s3cret" not in public("http://[::1?token=s3cret")
