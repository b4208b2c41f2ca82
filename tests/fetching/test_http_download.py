"""One file over HTTP: cut, stalled, changed, refused or lied about, it comes right or not at all."""

import hashlib
import os
import signal
import socket
import threading
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colab_kit.errors import (
    FetchError,
    HashMismatch,
    NoSpace,
    NotFound,
    RateLimited,
    Stopped,
    Truncated,
)
from colab_kit.events import Control, FetchProgress, FetchStarted, Note
from colab_kit.fetching import http_download, partial
from colab_kit.fetching.http_download import Download
from colab_kit.fetching.partial import Part
from colab_kit.fetching.remote import Call, Source
from colab_kit.system.http import Web
from colab_kit.testing.server import FileServer
from tests.support import examples

from ..support.forks import Forks

BODY = os.urandom(3 << 20)
OTHER = os.urandom(3 << 20)


class FakeSleep(list):
    def __call__(self, seconds):
        self.append(seconds)


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def sleep():
    return FakeSleep()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http_download, "TICK", 0.005)


@pytest.fixture(scope="module")
def forks():
    with Forks("tests.support.fetch_jobs") as forks:
        yield forks


def bring(url, to, *, heard=None, **options):
    with Web() as web:
        source = Source(
            url, connections=options.pop("connections", 1), token=options.pop("token", None)
        )
        part = Part(to, "id", hashes=tuple(options.get("hashes", {})))
        for_download = {
            name: options.pop(name) for name in ("check", "unpack", "tick") if name in options
        }
        call = Call(web, ([] if heard is None else heard).append, **options)
        down = Download(source, part, call, **for_download)
        down.run().finish()
        return down


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_hashed_and_told_of(server, tmp_path):
    heard = []
    down = bring(server.put("x.bin", BODY), tmp_path / "x.bin", heard=heard)
    assert (tmp_path / "x.bin").read_bytes() == BODY and left(tmp_path) == ["x.bin"]
    assert down.part.digests["sha256"].hexdigest() == hashlib.sha256(BODY).hexdigest()
    assert heard[0] == FetchStarted("x.bin", server.url("x.bin"), len(BODY)) and heard[
        -1
    ] == FetchProgress("x.bin", len(BODY), len(BODY))
    assert server.count() == 1


def test_a_cut_body_goes_on_where_it_was(server, tmp_path, sleep):
    cut = server.cuts(after=1_000_000, times=2)
    bring(server.put("x.bin", BODY), tmp_path / "x.bin", sleep=sleep)
    assert (tmp_path / "x.bin").read_bytes() == BODY and cut.fired == 2
    assert [asked.headers.get("range") for asked in server.requests] == [
        "bytes=0-",
        "bytes=1000000-3145727",
        "bytes=2000000-3145727",
    ]
    assert all("if-range" in asked.headers for asked in server.requests[1:]) and len(sleep) == 2


def test_a_server_that_cuts_at_once_is_given_up_and_what_came_stays(server, tmp_path, sleep):
    server.cuts(after=0, skip=1)
    server.cuts(after=100_000, times=1)
    with pytest.raises(Truncated, match="did not come whole"):
        bring(server.put("x.bin", BODY), tmp_path / "x.bin", sleep=sleep)
    assert left(tmp_path) == ["x.bin.part", "x.bin.part.json"]
    server.clear()
    bring(server.url("x.bin"), tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == BODY and server.requests[-1].headers[
        "range"
    ] == "bytes=100000-"


@pytest.mark.parametrize("kind", ["etag", "date", "none"])
def test_a_file_that_changed_after_a_stop_begins_anew(server, tmp_path, kind):
    server.cuts(after=500_000)
    options = {"etag": {}, "date": {"headers": {}}, "none": {"etag": ""}}[kind]
    url = server.put("x.bin", BODY, **options)
    if kind == "date":
        server.says({"ETag": None})
    with pytest.raises(FetchError):
        bring(url, tmp_path / "x.bin", sleep=FakeSleep())
    server.clear()
    if kind == "date":
        server.says({"ETag": None})
    server.put("x.bin", OTHER, **options)
    heard = []
    bring(url, tmp_path / "x.bin", heard=heard)
    assert (tmp_path / "x.bin").read_bytes() == OTHER
    assert [n.text for n in heard if isinstance(n, Note)] == (
        [] if kind == "none" else [n.text for n in heard if isinstance(n, Note)][:1]
    )


def test_a_change_between_two_requests_of_one_call_is_never_spliced(server, tmp_path, sleep):
    url = server.put("x.bin", BODY)
    server.cuts(after=1_000_000, times=1)
    heard = []
    with Web() as web:
        down = Download(
            Source(url, connections=1),
            Part(tmp_path / "x.bin", "id"),
            Call(web, heard.append, sleep=lambda s: server.put("x.bin", OTHER)),
        )
        down.run().finish()
    assert (tmp_path / "x.bin").read_bytes() == OTHER and any(
        "changed while it came" in e.text for e in heard if isinstance(e, Note)
    )


@pytest.mark.parametrize("trick", ["ignores_ranges", "shifts"])
def test_a_server_that_sends_another_part_is_asked_for_the_whole(server, tmp_path, sleep, trick):
    url = server.put("x.bin", BODY)
    server.cuts(after=1_000_000, times=1)
    server.ignores_ranges(skip=1) if trick == "ignores_ranges" else server.shifts_ranges(
        7, skip=1, times=1
    )
    bring(url, tmp_path / "x.bin", sleep=sleep)
    assert (tmp_path / "x.bin").read_bytes() == BODY


def test_a_range_of_another_version_with_a_lying_if_range_is_found_by_its_etag(
    server, tmp_path, sleep
):
    url = server.put("x.bin", BODY)
    server.cuts(after=500_000)
    with pytest.raises(FetchError):
        bring(url, tmp_path / "x.bin", sleep=sleep)
    server.clear()
    server.put("x.bin", OTHER)

    class Careless(Web):  # a proxy that drops If-Range
        def ask(self, url, *, headers=None, **more):
            return super().ask(
                url, headers={k: v for k, v in (headers or {}).items() if k != "If-Range"}, **more
            )

    Download(
        Source(url, connections=1),
        Part(tmp_path / "x.bin", "id"),
        Call(Careless(), lambda e: None),
    ).run().finish()
    assert (tmp_path / "x.bin").read_bytes() == OTHER


def test_no_validator_is_gone_on_from_only_with_a_hash(server, tmp_path, sleep):
    url = server.put("x.bin", BODY, etag="")
    server.cuts(after=1_000_000, times=1)
    bring(url, tmp_path / "x.bin", sleep=sleep)
    assert (
        server.requests[-1].headers["range"] == "bytes=0-"
        and (tmp_path / "x.bin").read_bytes() == BODY
    )
    server.clear()
    server.cuts(after=1_000_000, times=1)
    bring(url, tmp_path / "y.bin", sleep=sleep, hashes={"sha256": hashlib.sha256(BODY).hexdigest()})
    assert server.requests[-1].headers["range"] == "bytes=1000000-3145727"


def test_a_wrong_hash_leaves_nothing_and_after_a_resume_gets_one_fresh_try(server, tmp_path, sleep):
    url = server.put("x.bin", BODY, etag="")
    with pytest.raises(HashMismatch, match="is not the file") as caught:
        bring(url, tmp_path / "x.bin", hashes={"sha256": "0" * 64})
    assert (
        hashlib.sha256(BODY).hexdigest() in caught.value.why
        and "0" * 64 in caught.value.why
        and left(tmp_path) == []
    )
    server.cuts(after=1_000_000)
    right = {"sha256": hashlib.sha256(OTHER).hexdigest()}
    with pytest.raises(Truncated):
        bring(url, tmp_path / "x.bin", hashes=right, sleep=lambda s: server.cuts(after=0))
    server.clear()
    server.put("x.bin", OTHER, etag="")  # no validator: the hash finds the splice
    bring(url, tmp_path / "x.bin", hashes=right)
    assert (tmp_path / "x.bin").read_bytes() == OTHER


def test_many_connections_bring_the_same_file(server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_download, "SPLIT", 1 << 20)
    monkeypatch.setattr("colab_kit.fetching.partial.LEAST", 200_000)
    server.slow(8 << 20)
    down = bring(server.put("x.bin", BODY), tmp_path / "x.bin", connections=6)
    assert (tmp_path / "x.bin").read_bytes() == BODY and server.peak > 3
    assert down.part.digests["sha256"].hexdigest() == hashlib.sha256(BODY).hexdigest()


def test_a_server_that_refuses_more_connections_is_left_one(server, tmp_path, monkeypatch, sleep):
    monkeypatch.setattr(http_download, "SPLIT", 1 << 20)
    monkeypatch.setattr("colab_kit.fetching.partial.LEAST", 200_000)
    server.slow(8 << 20)
    refused = server.status(429, skip=1, times=5)
    down = bring(server.put("x.bin", BODY), tmp_path / "x.bin", connections=6, sleep=sleep)
    assert (tmp_path / "x.bin").read_bytes() == BODY and refused.fired == 5 and down._allowed == 1


def test_a_fast_server_is_left_with_one_connection(server, tmp_path, monkeypatch):
    monkeypatch.setattr(http_download, "SPLIT", 1 << 20)
    monkeypatch.setattr(http_download, "FAST", 0)
    bring(server.put("x.bin", BODY), tmp_path / "x.bin", connections=6)
    assert server.count() == 1


def test_a_busy_server_gets_the_time_it_asks_for_and_at_last_is_named(server, tmp_path, sleep):
    server.status(503, headers={"Retry-After": "7"}, times=1)
    bring(server.put("x.bin", BODY), tmp_path / "x.bin", sleep=sleep)
    assert sleep == [7]
    server.status(429, headers={"Retry-After": "9"})
    with pytest.raises(RateLimited, match="429"):
        bring(server.url("x.bin"), tmp_path / "y.bin", sleep=sleep)
    assert sleep == [7, 9, 9, 9]


def test_a_server_that_asks_for_an_hour_is_given_up_with_that_figure(server, tmp_path, sleep):
    server.status(429, headers={"Retry-After": "3600"})
    with pytest.raises(RateLimited, match="3,600 s"):
        bring(server.put("x.bin", BODY), tmp_path / "x.bin", sleep=sleep)
    assert not sleep


def test_a_missing_file_is_not_asked_for_again(server, tmp_path, sleep):
    with pytest.raises(NotFound):
        bring(server.url("x.bin"), tmp_path / "x.bin", sleep=sleep)
    assert server.count() == 1 and left(tmp_path) == []


def test_a_silent_connection_is_ended_and_another_goes_on(server, tmp_path, monkeypatch, sleep):
    monkeypatch.setattr(http_download, "STALL", 0.2)
    stall = server.stalls(30, after=1 << 20, times=1)
    bring(server.put("x.bin", BODY), tmp_path / "x.bin", sleep=sleep)
    assert (tmp_path / "x.bin").read_bytes() == BODY and stall.fired == 1 and len(sleep) == 1


def test_a_drip_that_would_not_end_is_given_up_as_silence_is(server, tmp_path, monkeypatch, sleep):
    monkeypatch.setattr(http_download, "STALL", 0.2)
    monkeypatch.setattr(http_download, "SLOWEST", 1_000_000)
    server.slow(20_000)
    with pytest.raises(Truncated):
        bring(server.put("x.bin", BODY), tmp_path / "x.bin", sleep=sleep)
    assert len(sleep) == 3 and left(tmp_path) == ["x.bin.part", "x.bin.part.json"]
    server.clear()
    bring(server.url("x.bin"), tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == BODY


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate"])
def test_a_packed_answer_unpacks_in_little_memory(server, tmp_path, coding):
    """A megabyte of it may be a gigabyte."""
    wbits = {"gzip": 31, "deflate": 15, "raw deflate": -15}[coding]
    packer = zlib.compressobj(9, wbits=wbits)
    packed = packer.compress(bytes(64 << 20)) + packer.flush()
    said = {"Content-Encoding": coding.split()[-1]}
    url = server.put("x.bin", packed, headers=said)
    tracemalloc.start()
    try:
        bring(url, tmp_path / "x.bin")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / "x.bin").stat().st_size == 64 << 20


def test_an_answer_packed_twice_is_refused(server, tmp_path):
    url = server.put("x.bin", BODY, headers={"Content-Encoding": "gzip, gzip"})
    with pytest.raises(FetchError, match="packed it as gzip, gzip"):
        bring(url, tmp_path / "x.bin")


def test_stop_leaves_what_has_come_and_the_next_call_goes_on(server, tmp_path):
    control = Control()
    url = server.put("x.bin", BODY)
    server.stalls(30, after=1 << 20, times=1)

    def heard(event):
        if isinstance(event, FetchProgress) and event.done >= 900_000:
            control.stop("enough")

    with Web() as web, pytest.raises(Stopped, match="enough"):
        Download(
            Source(url), Part(tmp_path / "x.bin", "id"), Call(web, heard, control=control)
        ).run()
    assert left(tmp_path) == ["x.bin.part", "x.bin.part.json"]
    bring(url, tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == BODY and 900_000 <= int(
        server.requests[-1].headers["range"][6:-1]
    ) < 1 << 20


def test_a_pause_reads_nothing_until_it_ends(server, tmp_path):
    control, paused = Control(), threading.Event()
    control.pause()
    threading.Thread(target=lambda: (paused.wait(10), control.resume())).start()
    seen = []

    def heard(event):
        if isinstance(event, FetchProgress):
            seen.append(event.done)
            if len(seen) == 2:
                paused.set()

    with Web() as web:
        Download(
            Source(server.put("x.bin", BODY)),
            Part(tmp_path / "x.bin", "id"),
            Call(web, heard, control=control),
        ).run().finish()
    assert seen[:2] == [0, 0] and (tmp_path / "x.bin").read_bytes() == BODY


def test_an_interrupt_leaves_what_has_come(server, tmp_path):
    server.stalls(30, after=1 << 20, times=1)

    def heard(event):
        if isinstance(event, FetchProgress) and event.done >= 900_000:
            raise KeyboardInterrupt

    with Web() as web, pytest.raises(KeyboardInterrupt):
        Download(
            Source(server.put("x.bin", BODY)), Part(tmp_path / "x.bin", "id"), Call(web, heard)
        ).run()
    part = Part(tmp_path / "x.bin", "id")
    assert part.restore() and 900_000 <= part.gap < 1 << 20


def test_a_size_that_is_too_large_or_has_no_room_is_said_before_the_first_byte(
    server, tmp_path, monkeypatch
):
    url = server.put("x.bin", BODY)
    with pytest.raises(NoSpace, match="max_size"):
        bring(url, tmp_path / "x.bin", max_size=1000)
    monkeypatch.setattr(
        partial.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1 << 20})()
    )
    with pytest.raises(NoSpace, match="does not fit"):
        bring(url, tmp_path / "x.bin")
    assert left(tmp_path) == []


def test_a_length_that_is_not_told_is_bounded_all_the_same(server, tmp_path):
    server.says_length(None)
    server.ignores_ranges()
    url = server.put("x.bin", BODY)
    bring(url, tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == BODY
    with pytest.raises(NoSpace, match="max_size"):
        bring(url, tmp_path / "y.bin", max_size=1 << 20)
    assert left(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("length", [len(BODY) + 1000, len(BODY) - 1000])
def test_a_length_that_is_wrong_never_makes_a_wrong_file(server, tmp_path, sleep, length):
    server.says_length(length)
    server.ignores_ranges()
    server.says({"ETag": None, "Last-Modified": None})
    url = server.put("x.bin", BODY)
    try:
        bring(url, tmp_path / "x.bin", sleep=sleep)
    except Truncated:
        assert left(tmp_path) == []
    else:
        assert (
            length < len(BODY) and (tmp_path / "x.bin").read_bytes() == BODY[:length]
        )  # as much as the server calls the file


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br"])
def test_bytes_that_stay_packed_are_no_file(server, tmp_path, coding):
    with pytest.raises(FetchError, match="which cannot be unpacked here"):
        bring(server.put("x.csv", BODY, headers={"Content-Encoding": coding}), tmp_path / "x.csv")
    assert left(tmp_path) == []


def test_a_check_of_the_first_bytes_ends_it_early(server, tmp_path):
    server.slow(1 << 20)

    def check(head):
        raise FetchError("no such thing")

    with pytest.raises(FetchError, match="no such thing"):
        bring(server.put("x.bin", BODY), tmp_path / "x.bin", check=check)
    assert server.requests[0].sent < 1 << 20


def test_killed_at_random_it_goes_on_and_is_never_spliced(server, tmp_path, forks):
    """20 kills at random byte counts, in every second one the file changes meanwhile."""
    import random

    draw, versions, now = random.Random(5), [BODY, OTHER], 0
    url = server.put("x.bin", BODY)
    went_on = 0
    for number in range(20):
        at = draw.randrange(1, len(BODY) - 1)
        assert (
            forks.run("download", url=url, to=str(tmp_path / "x.bin"), kill_at=at)
            == -signal.SIGKILL
        )
        if number % 2:
            now = 1 - now
            server.put("x.bin", versions[now])
        asked = server.count()
        bring(url, tmp_path / "x.bin")
        went_on += any(
            request.headers["range"] != "bytes=0-" for request in server.requests[asked:]
        )
        assert (tmp_path / "x.bin").read_bytes() == versions[now], f"kill {number} at {at}"
        (tmp_path / "x.bin").unlink()
        assert left(tmp_path) == []
    assert went_on >= 10


class Raw:
    """A server that says just these bytes to whoever connects, and hangs up."""

    def __init__(self):
        self.says = b""
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.sock.getsockname()[1]}/x.bin"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                there, _ = self.sock.accept()
            except OSError:
                return
            with there, suppress(OSError):
                there.recv(65536)
                there.sendall(self.says)


@pytest.fixture(scope="module")
def raw():
    raw = Raw()
    yield raw
    raw.sock.close()


LINES = st.sampled_from(
    [
        "Content-Length: 5", "Content-Length: 0", "Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: x",
        "Content-Range: bytes 0-4/5", "Content-Range: bytes 0-4/9", "Content-Range: bytes 9-1/5", "Content-Range: bytes */5",
        "Transfer-Encoding: chunked", "Content-Encoding: gzip", "Content-Encoding: br",
        "ETag: \"v\"", "ETag: W/\"v\"", "Retry-After: never",
        "Location: /x.bin", "Location: http://[::1", "Location: ftp://h/x", "Location:", "no colon", ": empty", "X: \xff\xfe",
    ]
)  # fmt: skip
STATUS = st.sampled_from(
    [
        "200 OK",
        "206 Partial",
        "204 No",
        "301 There",
        "304 Same",
        "404 Gone",
        "416 No",
        "429 Busy",
        "500 Oh",
        "999 ?",
        "x",
    ]
)
BODIES = st.one_of(
    st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"\x1f\x8b\x08"]),
    st.binary(max_size=40),
)


@settings(
    max_examples=examples(150),
    deadline=5000,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.one_of(st.binary(max_size=60), st.tuples(STATUS, st.lists(LINES, max_size=5), BODIES)))
def test_no_answer_makes_it_hang_or_fail_in_a_way_that_is_not_ours(raw, tmp_path_factory, said):
    if isinstance(said, tuple):
        status, lines, body = said
        said = "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1") + body
    raw.says = said
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        bring(raw.url, folder / "x.bin", sleep=lambda seconds: None)
    except FetchError:
        assert not (folder / "x.bin").exists()
    else:
        assert left(folder) == ["x.bin"]
