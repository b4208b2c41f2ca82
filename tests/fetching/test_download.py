"""One whole file from the first of its links that gives it, or three sentences."""

import gzip
import hashlib
import http.server
import socket
import threading

import pytest

from colab_kit.errors import (
    FetchError,
    GotHtml,
    GotLfsPointer,
    HashMismatch,
    LinkError,
    NotFound,
    Offline,
    Private,
    Truncated,
)
from colab_kit.events import FetchDone, FetchProgress, FetchStarted
from colab_kit.fetching.download import get
from colab_kit.system.addresses import public

BODY = bytes(range(256)) * 8000  # 2 MB: several chunks


class FakeSleep(list):
    """Counts, and does not wait."""

    def __call__(self, seconds):
        self.append(seconds)


class Server:
    """Answers what each path was told to, one answer a request, the last for ever."""

    def __init__(self):
        self.answers, self.asked, server = {}, [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.partition("?")[0]
                server.asked.append((path, dict(self.headers)))
                answers = server.answers.get(path, [(404, {}, b"no")])
                status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def says(self, path, *answers):
        self.answers[path] = list(answers)
        return self.url + path


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def sleep():
    return FakeSleep()


def ok(body=BODY, **headers):
    return 200, {name.replace("_", "-"): value for name, value in headers.items()}, body


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/x.bin"


def test_a_file_arrives_whole_and_the_events_tell_its_story(server, tmp_path):
    heard = []
    to = get(server.says("/x.bin", ok()), tmp_path / "new" / "x.bin", emit=heard.append)
    assert to.read_bytes() == BODY
    assert heard[0] == FetchStarted("x.bin", server.url + "/x.bin", len(BODY)) and heard[
        -1
    ] == FetchDone("x.bin", to, len(BODY))
    assert [e.done for e in heard if isinstance(e, FetchProgress)][-1] == len(BODY)
    assert [p.name for p in to.parent.iterdir()] == ["x.bin"]


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_right_hash_passes_and_saves_the_second_fetch(server, tmp_path, kind):
    digest = hashlib.new(kind, BODY).hexdigest()
    url = server.says("/x.bin", ok())
    get(url, tmp_path / "x.bin", **{kind: digest})
    get(url, tmp_path / "x.bin", **{kind: digest})
    assert len(server.asked) == 1


def test_a_prefix_of_the_sha256_is_enough_and_a_wrong_one_leaves_nothing(server, tmp_path):
    url = server.says("/x.bin", ok())
    get(url, tmp_path / "x.bin", sha256=hashlib.sha256(BODY).hexdigest()[:8])
    with pytest.raises(FetchError, match="is not the file that the sha256 stands for"):
        get(url, tmp_path / "y.bin", sha256="00000000")
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_a_damaged_file_that_is_there_is_fetched_again(server, tmp_path):
    (tmp_path / "x.bin").write_bytes(BODY[:-1])
    get(server.says("/x.bin", ok()), tmp_path / "x.bin", md5=hashlib.md5(BODY).hexdigest())
    assert (tmp_path / "x.bin").read_bytes() == BODY


def test_a_hash_that_is_none_is_said_before_any_request(server, tmp_path):
    with pytest.raises(LinkError, match="no md5"):
        get(server.says("/x.bin", ok()), tmp_path / "x.bin", md5="abc")
    assert not server.asked


def test_a_cut_body_is_tried_again_and_at_last_explained(server, tmp_path, sleep):
    cut = ok(BODY[:1000], Content_Length=str(len(BODY)))
    get(server.says("/x.bin", cut, cut, ok()), tmp_path / "x.bin", sleep=sleep)
    assert (tmp_path / "x.bin").read_bytes() == BODY and sleep == [1, 2]
    with pytest.raises(FetchError, match="cut the connection"):
        get(server.says("/y.bin", cut), tmp_path / "y.bin", sleep=sleep)
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]


def test_a_busy_server_is_given_the_time_it_asks_for(server, tmp_path, sleep):
    url = server.says("/x.bin", (503, {"Retry-After": "7"}, b""), (429, {}, b""), ok())
    assert get(url, tmp_path / "x.bin", sleep=sleep).read_bytes() == BODY and sleep == [7, 2]


def test_a_server_that_asks_for_an_hour_is_given_up(server, tmp_path, sleep):
    with pytest.raises(FetchError, match="503"):
        get(
            server.says("/x.bin", (503, {"Retry-After": "3600"}, b"")),
            tmp_path / "x.bin",
            sleep=sleep,
        )
    assert not sleep


@pytest.mark.parametrize(
    "status, words", [(404, "not there"), (403, "not public"), (400, "check the address")]
)
def test_a_refusal_is_final_and_its_fix_fits(server, tmp_path, sleep, status, words):
    with pytest.raises(FetchError, match=words):
        get(server.says("/x.bin", (status, {}, b"no")), tmp_path / "x.bin", sleep=sleep)
    assert len(server.asked) == 1 and not sleep and not list(tmp_path.iterdir())


def test_mirrors_are_tried_in_turn(server, tmp_path, sleep):
    right = hashlib.md5(BODY).hexdigest()
    mirrors = [
        closed_port(),
        server.url + "/gone",
        server.says("/other", ok(b"other")),
        server.says("/x.bin", ok()),
    ]
    assert get(mirrors, tmp_path / "x.bin", md5=right, sleep=sleep).read_bytes() == BODY
    with pytest.raises(FetchError, match="any of its 2 sources") as caught:
        get(mirrors[:2], tmp_path / "y.bin", sleep=sleep)
    assert (
        "cannot be reached" in caught.value.why
        and "404" in caught.value.why
        and "check the address" in caught.value.fix
    )


def test_offline_is_said_soon(tmp_path, sleep):
    with pytest.raises(FetchError, match="cannot be reached: .*refused") as caught:
        get(closed_port(), tmp_path / "x.bin", sleep=sleep)
    assert (
        sleep == [1]
        and "check the connection" in caught.value.fix
        and isinstance(caught.value, OSError)
    )


TITLE = b"<title>Sign  in &amp;\n up</title>"


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html>" + TITLE, b"\xef\xbb\xbf\n <HTML><head>" + TITLE]
)
def test_a_web_page_in_place_of_the_file_never_gets_its_name(server, tmp_path, page):
    with pytest.raises(FetchError, match='web page titled "Sign in & up"'):
        get(server.says("/x.gz", ok(page)), tmp_path / "x.gz")
    assert not list(tmp_path.iterdir())
    assert (
        get(server.says("/x.html", ok(page)), tmp_path / "x.html").read_bytes() == page
    )  # here a page was asked for


def test_a_packed_answer_is_unpacked_unless_the_file_itself_is_packed(server, tmp_path):
    packed = gzip.compress(BODY)
    get(server.says("/x.bin", ok(packed, Content_Encoding="gzip")), tmp_path / "x.bin")
    get(server.says("/x.gz", ok(packed, Content_Encoding="gzip")), tmp_path / "x.gz")
    assert (tmp_path / "x.bin").read_bytes() == BODY and (tmp_path / "x.gz").read_bytes() == packed
    assert all(headers["Accept-Encoding"] == "identity" for _, headers in server.asked)


def test_no_secret_of_an_address_is_ever_shown(tmp_path, sleep):
    import traceback

    url = closed_port().replace("://", "://me:passw0rd@") + "?token=s3cret"
    with pytest.raises(Offline) as caught:
        get(url, tmp_path / "x.bin", sleep=sleep)
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in shown and "passw0rd" not in shown and public(url) in shown


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FetchError, match="could not be written"):
        get(server.says("/x.bin", ok()), tmp_path / "file" / "x.bin")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"


def test_a_file_that_is_a_pointer_of_git_lfs_never_gets_its_name(server, tmp_path):
    pointer = POINTER % (hashlib.sha256(BODY).hexdigest().encode(), len(BODY))
    with pytest.raises(GotLfsPointer, match="did not come"):
        get(server.says("/x.bin", ok(pointer)), tmp_path / "x.bin")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "body", "kind", "words"),
    [
        ("x.zip", b"", Truncated, "0 bytes"),
        ("x.zip", b"<Error><Code>AccessDenied</Code><Message>It expired</Message></Error>", GotHtml, "AccessDenied: It expired"),
        ("x.bin", b'{"error": "file is gone"}', GotHtml, "file is gone"),
        ("x.zip", b"Rar!\x1a\x07" + bytes(900), FetchError, "begins as a rar file does"),
        ("x.png", b"\xff\xd8\xff" + bytes(900), FetchError, "begins as a jpg file does"),
        ("x.npz", bytes(900), FetchError, "no zip file"),
        ("x.tar.gz", b"PK\x03\x04" + bytes(900), FetchError, "no gz file"),
        ("x.h5", b"%PDF-1.4" + bytes(900), FetchError, "begins as a pdf file does"),
    ],
)  # fmt: skip
def test_what_is_not_what_its_name_says_never_gets_it(server, tmp_path, name, body, kind, words):
    with pytest.raises(kind, match=words) as caught:
        get(server.says(f"/{name}", ok(body)), tmp_path / name)
    assert type(caught.value) is kind and not list(tmp_path.iterdir()) and caught.value.fix


def test_a_token_goes_to_its_host_alone_and_never_to_a_mirror(server, tmp_path):
    other = server.url.replace("127.0.0.1", "localhost")
    server.says("/there", (302, {"Location": other + "/gone"}, b""))
    mirror = server.says("/x.bin", ok())
    get([server.url + "/there", mirror], tmp_path / "x.bin", token="s3cret")
    sent = [(path, headers.get("Authorization")) for path, headers in server.asked]
    assert sent == [("/there", "Bearer s3cret"), ("/gone", None), ("/x.bin", None)]


def test_what_a_bucket_says_in_a_refusal_is_passed_on(server, tmp_path):
    body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>No.</Message></Error>"
    with pytest.raises(Private, match="403 .*: AccessDenied: No."):
        get(server.says("/x.zip", (403, {}, body)), tmp_path / "x.zip")


def test_the_error_of_several_sources_is_of_the_kind_of_the_one_that_knew_most(
    server, tmp_path, sleep
):
    with pytest.raises(NotFound):
        get([closed_port(), server.url + "/gone"], tmp_path / "x.bin", sleep=sleep)
    with pytest.raises(HashMismatch):
        get(
            [server.says("/a.bin", ok(b"other")), closed_port()],
            tmp_path / "x.bin",
            md5="0" * 32,
            sleep=sleep,
        )
