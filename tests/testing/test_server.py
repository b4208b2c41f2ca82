"""The file server that the plugin gives: it must be right where a downloader is tested."""

import gzip
import http.client
import threading
import time
from urllib.parse import urlsplit

import pytest

from colab_kit.testing.server import FileServer

BODY = bytes(range(256)) * 1000


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


def ask(url, method="GET", **headers):
    """Status, headers and as much of the body as came."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request(
            method,
            f"{parts.path}?{parts.query}" if parts.query else parts.path,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = connection.getresponse()
        try:
            body = answer.read()
        except http.client.IncompleteRead as err:
            body = err.partial
        return answer.status, answer.headers, body
    finally:
        connection.close()


def test_a_file_comes_as_it_was_put_with_its_headers(server):
    status, headers, body = ask(
        server.put("a b/cats.zip", BODY, headers={"Content-Disposition": "attachment"}) + "?token=x"
    )
    assert (status, body, headers["Content-Length"], headers["Content-Type"]) == (
        200,
        BODY,
        "256000",
        "application/zip",
    )
    assert (
        headers["ETag"].startswith('"')
        and headers["Last-Modified"].endswith("GMT")
        and headers["Content-Disposition"] == "attachment"
    )
    asked = server.requests[0]
    assert (asked.method, asked.name, asked.query, asked.status, asked.sent) == (
        "GET",
        "a b/cats.zip",
        "token=x",
        200,
        256000,
    )


def test_a_file_on_disk_is_served_without_being_read_into_memory(server, tmp_path):
    (tmp_path / "x.bin").write_bytes(BODY)
    assert ask(server.put("x.bin", tmp_path / "x.bin"), range="bytes=256-511")[2] == BODY[256:512]


def test_head_has_the_headers_and_no_body(server):
    url = server.put("x.bin", BODY)
    status, headers, body = ask(url, "HEAD")
    assert (status, headers["Content-Length"], body, server.requests[0].sent) == (
        200,
        "256000",
        b"",
        0,
    )


def test_what_was_never_put_is_404(server):
    assert ask(server.url("nothing.zip"))[0] == 404 and server.count("nothing.zip") == 1


@pytest.mark.parametrize(
    ("asked", "said", "part"),
    [
        ("bytes=0-", "bytes 0-255999/256000", BODY),
        ("bytes=100-", "bytes 100-255999/256000", BODY[100:]),
        ("bytes=10-19", "bytes 10-19/256000", BODY[10:20]),
        ("bytes=255990-999999", "bytes 255990-255999/256000", BODY[-10:]),
        ("bytes=-22", "bytes 255978-255999/256000", BODY[-22:]),
    ],
)
def test_a_range_is_answered_206_with_that_part(server, asked, said, part):
    status, headers, body = ask(server.put("x.bin", BODY), range=asked)
    assert (status, headers["Content-Range"], headers["Content-Length"]) == (
        206,
        said,
        str(len(part)),
    ) and body == part


@pytest.mark.parametrize("asked", ["bytes=256000-", "bytes=-0"])
def test_a_range_behind_the_end_is_416_with_the_size(server, asked):
    status, headers, body = ask(server.put("x.bin", BODY), range=asked)
    assert (status, headers["Content-Range"], body) == (416, "bytes */256000", b"")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=x-"])
def test_a_range_it_does_not_serve_brings_the_whole(server, asked):
    assert ask(server.put("x.bin", BODY), range=asked)[0::2] == (200, BODY)


def test_if_range_holds_as_long_as_the_file_is_the_same_version(server):
    url = server.put("x.bin", BODY)
    _, old, _ = ask(url)
    for validator in (old["ETag"], old["Last-Modified"]):
        assert ask(url, range="bytes=5-", if_range=validator)[0] == 206
    server.put("x.bin", BODY[::-1])
    for validator in (old["ETag"], old["Last-Modified"]):
        assert ask(url, range="bytes=5-", if_range=validator)[0::2] == (200, BODY[::-1])


def test_a_weak_etag_does_not_carry_a_range(server):
    url = server.put("x.bin", BODY, etag='W/"1"')
    assert (
        ask(url, range="bytes=5-", if_range='W/"1"')[0] == 200
        and ask(url, range="bytes=5-")[1]["ETag"] == 'W/"1"'
    )


def test_a_file_can_come_without_any_validator(server):
    headers = ask(server.put("x.bin", BODY, etag=""))[1]
    assert headers["ETag"] is None and headers["Last-Modified"] is None


def test_an_unchanged_file_is_304(server):
    url = server.put("x.bin", BODY)
    _, headers, _ = ask(url)
    assert ask(url, if_none_match=headers["ETag"])[0::2] == (304, b"")
    assert ask(url, if_modified_since=headers["Last-Modified"])[0] == 304
    assert ask(url, if_none_match='"other"')[0] == 200


def test_a_cut_ends_the_body_and_the_next_request_is_whole(server):
    url, cut = server.put("x.bin", BODY), server.cuts(1000, times=1)
    assert ask(url)[2] == BODY[:1000] and server.requests[0].sent == 1000
    assert ask(url)[2] == BODY and cut.fired == 1


def test_a_cut_counts_from_the_start_of_the_part(server):
    url, cut = server.put("x.bin", BODY), server.cuts(10)
    assert ask(url, range="bytes=100-")[2] == BODY[100:110] and cut.fired == 1


def test_statuses_come_so_often_as_planned_and_then_the_file(server):
    url = server.put("x.bin", BODY)
    busy = server.status(503, headers={"Retry-After": "2"}, times=2, skip=1)
    assert [ask(url)[0] for _ in range(4)] == [200, 503, 503, 200] and busy.fired == 2
    server.status(403, body=b"<Error/>")
    assert ask(url)[0::2] == (403, b"<Error/>")


def test_a_trick_hits_only_the_files_and_the_method_it_names(server):
    a, b = server.put("a.zip", BODY), server.put("b.txt", BODY)
    server.status(405, "*.zip", method="HEAD")
    assert (ask(a, "HEAD")[0], ask(a)[0], ask(b, "HEAD")[0]) == (405, 200, 200)


def test_a_redirect_points_elsewhere_also_to_another_host(server):
    server.put("there.bin", BODY)
    server.redirects(server.url("there.bin", host="localhost"), "here.bin", code=307)
    status, headers, _ = ask(server.url("here.bin"))
    assert (
        status == 307
        and ask(headers["Location"])[2] == BODY
        and server.requests_for("there.bin")[0].headers["host"].startswith("localhost:")
    )


def test_a_wrong_length_is_announced_and_the_connection_ends(server):
    url = server.put("x.bin", BODY)
    server.says_length(300_000, times=1)
    status, headers, body = ask(url)
    assert (headers["Content-Length"], body) == ("300000", BODY)
    server.says_length(None, times=1)
    status, headers, body = ask(url)
    assert (headers["Content-Length"], body) == (None, BODY)


def test_a_server_that_ignores_ranges_sends_the_whole_with_200(server):
    server.ignores_ranges()
    assert ask(server.put("x.bin", BODY), range="bytes=100-")[0::2] == (200, BODY)


def test_a_shifted_range_says_what_it_sends(server):
    server.shifts_ranges(7)
    status, headers, body = ask(server.put("x.bin", BODY), range="bytes=100-")
    assert (status, headers["Content-Range"]) == (206, "bytes 107-255999/256000") and body == BODY[
        107:
    ]


def test_headers_are_set_and_left_out(server):
    server.says({"Accept-Ranges": None, "Content-Type": None, "X-Own": "1"})
    headers = ask(server.put("x.bin", BODY))[1]
    assert (headers["Accept-Ranges"], headers["Content-Type"], headers["X-Own"]) == (
        None,
        None,
        "1",
    )


def test_packed_content_is_served_as_it_is_put(server):
    status, headers, body = ask(
        server.put("x.txt", gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
    )
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(body) == BODY


def test_a_slow_file_keeps_its_pace(server):
    server.slow(1_000_000)
    start = time.monotonic()
    assert ask(server.put("x.bin", BODY[:100_000]))[2] == BODY[:100_000]
    assert time.monotonic() - start >= 0.1  # the wait comes before each piece


def test_a_stall_after_some_bytes_ends_with_the_server(server):
    stall = server.stalls(60, after=1000)
    parts = urlsplit(server.put("x.bin", BODY))
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", parts.path)
    answer = connection.getresponse()
    assert answer.read(1000) == BODY[:1000]
    start = time.monotonic()
    server.close()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    assert time.monotonic() - start < 5 and stall.fired == 1


def test_a_stall_is_bounded_and_the_file_still_comes(server):
    server.stalls(0.02, after=10, times=1)
    server.stalls(0.02, "y.bin")
    assert ask(server.put("x.bin", BODY))[2] == BODY and ask(server.put("y.bin", BODY))[2] == BODY


def test_many_are_served_at_once_and_the_peak_is_counted(server):
    url = server.put("x.bin", BODY)
    server.stalls(5, after=5)
    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 5
    while server.peak < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    server.close()
    for thread in threads:
        thread.join(5)
    assert server.peak == 4


def test_one_connection_carries_several_requests(server):
    parts = urlsplit(server.put("x.bin", BODY))
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    for _ in range(3):
        connection.request("GET", parts.path)
        socket = connection.sock
        assert connection.getresponse().read() == BODY and connection.sock is socket is not None
    connection.close()


def test_tricks_end_when_cleared(server):
    url, gone = server.put("x.bin", BODY), server.status(410)
    assert ask(url)[0] == 410
    server.clear()
    assert ask(url)[0] == 200 and gone.fired == 1
