"""The fake hosts: real names over TLS, ranges as they should be, and no other host answers."""

import shutil
import subprocess

import pytest
import requests

from ..support.hosts import hosts, served  # noqa: F401

BODY = bytes(range(256)) * 100


@pytest.mark.parametrize("program", ["curl -sS --fail", "wget -qO-"])
def test_programs_meet_a_fake_host_under_its_real_name(hosts, program):  # noqa: F811
    if shutil.which(program.split()[0]) is None:
        pytest.skip(f"no {program.split()[0]} here")
    hosts.answer("example.com", "/cats.zip", served(BODY))
    assert (
        subprocess.run(
            [*program.split(), "https://example.com/cats.zip"], capture_output=True, check=True
        ).stdout
        == BODY
    )
    assert [(ask.host, ask.method, ask.path) for ask in hosts.asked] == [
        ("example.com", "GET", "/cats.zip")
    ]


def test_plain_http_is_answered_as_well(hosts):  # noqa: F811
    hosts.answer("example.com", "*", served(BODY))
    assert requests.get("http://example.com/any?x=1", timeout=5).content == BODY
    assert hosts.asked[0].get("x") == "1"


def test_a_host_that_no_test_named_is_not_reached(hosts):  # noqa: F811
    with pytest.raises(requests.exceptions.ProxyError, match="502"):
        requests.get("https://example.org/", timeout=5)
    assert requests.get("http://example.org/", timeout=5).status_code == 502


def test_a_file_answers_ranges_and_if_range_on_one_connection(hosts):  # noqa: F811
    hosts.answer("example.com", "/cats.zip", served(BODY, "katzen ü.zip"))
    with requests.Session() as session:
        whole = session.get("https://example.com/cats.zip", timeout=5)
        part = session.get(
            "https://example.com/cats.zip",
            headers={"Range": "bytes=10-19", "If-Range": whole.headers["ETag"]},
            timeout=5,
        )
        other = session.get(
            "https://example.com/cats.zip",
            headers={"Range": "bytes=10-19", "If-Range": '"old"'},
            timeout=5,
        )
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (
        206,
        BODY[10:20],
        f"bytes 10-19/{len(BODY)}",
    )
    assert (other.status_code, other.content) == (200, BODY)


def test_the_rule_made_last_counts_and_a_path_without_one_is_not_found(hosts):  # noqa: F811
    hosts.answer("example.com", "/a", served(b"first"))
    hosts.answer("example.com", "/a", served(b"second"))
    assert requests.get("https://example.com/a", timeout=5).content == b"second"
    assert requests.get("https://example.com/b", timeout=5).status_code == 404
    assert hosts.count("example.com") == 2
