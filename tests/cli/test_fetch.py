"""`colab-kit fetch`: a wget user's habits work, the exit status tells why, and the last line tells what came."""

import hashlib
import io
import json
import os
import zipfile

import pytest

from colab_kit.cli.main import main
from colab_kit.testing.server import FileServer

BODY = os.urandom(200_000)


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def a_zip():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("cat/1.txt", "meow")
        file.writestr("dog/1.txt", "woof")
    return held.getvalue()


def test_a_link_alone_is_fetched_here_and_one_line_says_so(server, here, capsys):
    assert main(["fetch", server.put("x.bin", BODY)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert (here / "x.bin").read_bytes() == BODY and len(said) == 1
    assert (
        said[0].startswith("x.bin fetched, 0.2 MB in ")
        and hashlib.sha256(BODY).hexdigest() in said[0]
    )
    assert (
        main(["fetch", "-c", server.url("x.bin")]) == 0
        and "was there already" in capsys.readouterr().out
    )


def test_o_names_the_file_and_p_the_folder(server, here):
    content = a_zip()
    url = server.put("x.zip", content)
    assert main(["fetch", url, "-O", "named.zip"]) == 0 and main(["fetch", url, "-O", "plain"]) == 0
    assert (here / "named.zip").read_bytes() == (here / "plain").read_bytes() == content
    assert (
        main(["fetch", "-P", "data", url]) == 0
        and (here / "data/x/cat/1.txt").read_text() == "meow"
    )
    assert main(["fetch", "-P", "raw", "--no-extract", url]) == 0 and (here / "raw/x.zip").exists()


def test_q_says_nothing_but_what_failed(server, here, capsys):
    assert main(["fetch", "-q", server.put("x.bin", BODY)]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["fetch", "-q", server.url("gone.bin")]) == 8
    out, err = capsys.readouterr()
    assert out == "" and "404" in err and "Fix:" in err


def test_several_links_are_counted_and_one_that_fails_ends_none(server, here, capsys):
    assert (
        main(
            ["fetch", server.url("gone.bin"), server.put("x.bin", BODY), server.put("y.bin", BODY)]
        )
        == 8
    )
    out, err = capsys.readouterr()
    assert (
        out.splitlines()[-1].startswith("2 of 3 fetched, 0.4 MB in ")
        and "gone.bin" in err
        and (here / "y.bin").exists()
    )


def test_json_has_a_line_for_each_link_and_no_query(server, here, capsys):
    urls = [server.put("x.bin", BODY) + "?token=s3cret", server.url("gone.bin") + "?token=s3cret"]
    assert main(["fetch", "--json", *urls]) == 8
    out, err = capsys.readouterr()
    came, failed = map(json.loads, out.splitlines())
    assert came == {
        "url": server.url("x.bin"), "path": "x.bin", "sha256": hashlib.sha256(BODY).hexdigest(), "size": len(BODY), "cached": False,
    }  # fmt: skip
    assert failed["error"] == "NotFound" and failed["fix"] and "s3cret" not in out + err


@pytest.mark.parametrize(
    ("status", "code"), [(404, 8), (403, 6), (401, 6)]
)  # fmt: skip
def test_the_exit_status_is_wgets(server, status, code):
    server.status(status)
    assert main(["fetch", "-q", server.url("x.bin")]) == code


def test_what_cannot_mean_a_file_is_a_wrong_use(server, capsys):
    assert (
        main(["fetch", "-q", "ftp://h/x"]) == 2
        and main(["fetch", "-q", server.url("x"), "--sha256", "zz"]) == 2
    )
    for wrong in (["-O", "a", "-P", "b"], ["-O", "-"]):
        assert main(["fetch", server.url("x"), *wrong]) == 2
    assert (
        main(["fetch", "-O", "a", server.url("x"), server.url("y")]) == 2 and main(["fetch"]) == 2
    )
    assert server.count() == 0


def test_a_wrong_hash_is_a_failure(server, here):
    assert main(["fetch", "-q", server.put("x.bin", BODY), "--sha256", "0" * 64]) == 1 and not list(
        here.iterdir()
    )
    assert (
        main(["fetch", "-q", server.url("x.bin"), "--sha256", hashlib.sha256(BODY).hexdigest()])
        == 0
    )


def test_mirrors_and_offline(server, here):
    assert main(["fetch", "-q", server.url("gone.bin"), "--mirror", server.put("x.bin", BODY)]) == 0
    assert (here / "gone.bin").read_bytes() == BODY
    assert main(["fetch", "-q", "--offline", server.url("x.bin")]) == 4
