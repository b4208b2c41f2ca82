"""fetch(): each bad input has the outcome that the table in the facts promises, and nothing is fetched twice or lost."""

import gzip
import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from colab_kit.errors import (
    BadArchive,
    FetchError,
    GotHtml,
    GotLfsPointer,
    HashMismatch,
    LinkError,
    NoSpace,
    NotFound,
    Offline,
    Private,
    QuotaExceeded,
    RateLimited,
    Stopped,
    Truncated,
    UnsafeArchive,
)
from colab_kit.events import Control, FetchDone, FetchProgress, Note
from colab_kit.fetching import download, http_download, partial, place, streaming
from colab_kit.fetching import fetch as room
from colab_kit.fetching.fetch import fetch, fetch_as
from colab_kit.fetching.records import MARK
from colab_kit.testing.server import FileServer

from ..support.forks import Forks
from ..support.hosts import forges, google, hosts  # noqa: F401

BODY = os.urandom(300_000)
FILES = {f"pets/{'cat' if n % 2 else 'dog'}/{n}.bin": os.urandom(3000) for n in range(60)}
PAGE = b"<!DOCTYPE html><html><head><title>Sign in to see</title></head></html>"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = FileServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(http_download, "TICK", 0.005)
    monkeypatch.delenv("COLAB_KIT_OFFLINE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def waits():
    return []


@pytest.fixture(scope="module")
def forks():
    with Forks("tests.support.fetch_jobs") as forks:
        yield forks


def get(url, to=None, *, named=None, heard=None, **options):
    """fetch() that does not wait and finds no secret."""
    options = {
        "find": lambda name: None,
        "sleep": lambda seconds: None,
        "callbacks": None if heard is None else [heard.append],
        "quiet": True,
        **options,
    }
    return fetch_as(url, to, named, **options)


def a_zip(files=FILES, method=zipfile.ZIP_DEFLATED):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return held.getvalue()


def a_tar(files=FILES, mode="w:gz"):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return held.getvalue()


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in Path(folder).rglob("*")
        if p.is_file() and p.name != MARK
    }


def left(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def notes(heard):
    return " ".join(event.text for event in heard if isinstance(event, Note))


# --- links ------------------------------------------------------------------------------------------------------------------------


def test_a_github_page_becomes_the_raw_file_with_one_note(hosts, here):  # noqa: F811
    forges(hosts).github("o/r", {"data/helper.py": b"x = 1\n"})
    heard = []
    found = get("https://github.com/o/r/blob/main/data/helper.py#L3", heard=heard)
    assert (
        found.path == Path("helper.py")
        and found.path.read_bytes() == b"x = 1\n"
        and len([e for e in heard if isinstance(e, Note)]) == 1
    )
    assert found.url == "https://raw.githubusercontent.com/o/r/main/data/helper.py"


@pytest.mark.parametrize(
    "url", ["https://github.com/o/r", "https://github.com/o/r/tree/main/data", "github.com/o/r.git"]
)
def test_a_repository_or_folder_of_github_says_clone(url):
    with pytest.raises(LinkError, match="clone"):
        get(url)


def test_a_file_of_git_lfs_is_fetched_from_where_it_lies_and_compared(hosts, here):  # noqa: F811
    forge = forges(hosts)
    forge.github("o/r", {"w.bin": BODY}, lfs=("w.bin",))
    assert get("https://github.com/o/r/blob/main/w.bin").path.read_bytes() == BODY
    from ..support.hosts import served

    hosts.answer("media.githubusercontent.com", "/media/o/r/main/w.bin", served(BODY[::-1]))
    with pytest.raises(HashMismatch):
        get("https://github.com/o/r/blob/main/w.bin", "other/")
    assert not left("other")


def test_a_pointer_with_nothing_behind_it_is_named(server):
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n".encode()
    )
    with pytest.raises(GotLfsPointer):
        get(server.put("w.bin", pointer))


@pytest.mark.parametrize(
    "form",
    ["file/d/{}/view?usp=sharing", "open?id={}", "uc?export=download&id={}", "file/d/{}/preview"],
)
@pytest.mark.parametrize("big", [False, True])
def test_a_share_link_of_drive_gives_the_file(hosts, here, form, big):  # noqa: F811
    id = google(hosts).file("cats.bin", BODY, big=big)
    found = get(f"https://drive.google.com/{form.format(id)}")
    assert found.path == Path("cats.bin") and found.path.read_bytes() == BODY
    again = get(f"https://drive.google.com/file/d/{id}/view")
    assert again.cached and again.sha256 == found.sha256


@pytest.mark.parametrize(
    ("mood", "kind", "words"),
    [
        ("private", Private, "Anyone with the link"),
        ("deleted", NotFound, "deleted"),
        ("quota", QuotaExceeded, "Make a copy|make a copy"),
        ("busy", RateLimited, "too often"),
    ],
)
def test_drive_says_no_in_four_different_ways(hosts, here, mood, kind, words):  # noqa: F811
    id = google(hosts).file("cats.bin", BODY, mood=mood)
    with pytest.raises(kind, match=words):
        get(f"https://drive.google.com/file/d/{id}/view?usp=sharing")
    assert not left(here)


def test_a_confirm_page_that_repeats_ends_after_six_requests(hosts, here):  # noqa: F811
    id = google(hosts).file("cats.bin", BODY, mood="again")
    with pytest.raises(FetchError, match="again after"):
        get(f"https://drive.google.com/file/d/{id}/view", "x.bin")
    assert hosts.count() <= 6


def test_a_folder_of_drive_comes_whole_and_one_that_fails_ends_none(hosts, here):  # noqa: F811
    drive = google(hosts)
    inside = [drive.file(f"{n}.bin", bytes([n]) * 100) for n in range(1, 4)]
    bad = drive.file("secret.bin", BODY, mood="private")
    folder = drive.folder("Pets", *inside, drive.folder("more", drive.file("deep.bin", b"deep")))
    found = get(f"https://drive.google.com/drive/folders/{folder}?usp=sharing")
    assert found.path == Path("Pets") and tree("Pets") == {
        "1.bin": b"\1" * 100,
        "2.bin": b"\2" * 100,
        "3.bin": b"\3" * 100,
        "more/deep.bin": b"deep",
    }
    folder = drive.folder("Mixed", bad, *inside)
    with pytest.raises(Private, match="1 of the 4 files of Mixed did not come") as caught:
        get(f"https://drive.google.com/drive/folders/{folder}")
    assert "secret.bin" in caught.value.why and len(tree("Mixed")) == 3
    drive.items[bad].mood = ""
    asked = hosts.count("drive.usercontent.google.com")
    get(f"https://drive.google.com/drive/folders/{folder}")
    assert len(tree("Mixed")) == 4 and hosts.count("drive.usercontent.google.com") - asked <= 2, (
        "only what was missing is asked for"
    )


def test_dropbox_hugging_face_and_kaggle_pages_give_their_files(hosts, here):  # noqa: F811
    forge = forges(hosts)
    forge.dropbox("/scl/fi/abc/cats.bin", BODY)
    forge.hf("datasets/o/n", {"data/cats.bin": BODY, "readme.md": b"hello"})
    forge.kaggle("o/n", a_zip())
    assert (
        get("https://www.dropbox.com/scl/fi/abc/cats.bin?rlkey=k&dl=0", "a/").path.read_bytes()
        == BODY
    )
    assert (
        get("https://huggingface.co/datasets/o/n/blob/main/data/cats.bin", "b/").path.read_bytes()
        == BODY
    )
    assert tree(get("https://huggingface.co/datasets/o/n", "c/").path) == {
        "data/cats.bin": BODY,
        "readme.md": b"hello",
    }
    assert tree(get("https://www.kaggle.com/datasets/o/n", "d/")) == {
        name[5:]: content for name, content in FILES.items()
    }


def test_a_private_file_is_asked_for_again_with_the_secret_and_only_at_its_host(hosts, here):  # noqa: F811
    forges(hosts).hf("o/n", {"w.bin": BODY}, private=True)
    url = "https://huggingface.co/o/n/resolve/main/w.bin"
    with pytest.raises(Private, match="HF_TOKEN"):
        get(url)
    assert get(url, find={"HF_TOKEN": "good"}.get).path.read_bytes() == BODY
    assert [
        ask.headers.get("authorization") for ask in hosts.asked if ask.host != "huggingface.co"
    ] == [None]


@pytest.mark.parametrize(
    "given", ["", "ftp://h/x.zip", "htps://h.org/x", "http://", "http://a b/c", 3, None]
)
def test_what_cannot_mean_a_file_is_a_value_error_before_any_request(given):
    with pytest.raises(ValueError) as caught:
        get(given)
    assert isinstance(caught.value, LinkError) and caught.value.fix


def test_a_local_path_is_used_where_it_is_and_copied_where_it_is_wanted(tmp_path):
    (tmp_path / "a.bin").write_bytes(BODY)
    found = get(tmp_path / "a.bin")
    assert (
        found.path == tmp_path / "a.bin"
        and found.cached
        and found.sha256 == hashlib.sha256(BODY).hexdigest()
    )
    assert get(f"file://{tmp_path}/a.bin", "copies/").path.read_bytes() == BODY
    with pytest.raises(NotFound, match="no nothing.bin"):
        get("nothing.bin")
    (tmp_path / "p.zip").write_bytes(a_zip())
    assert get(tmp_path / "p.zip").path == Path("p/pets") and (tmp_path / "p.zip").exists()
    assert get(tmp_path / "p.zip").cached


# --- the right file or none -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extract", [None, False])
def test_a_web_page_never_passes_for_a_zip(server, here, extract):
    with pytest.raises(GotHtml, match="Sign in to see"):
        get(server.put("x.zip", PAGE), extract=extract)
    assert not left(here)
    assert get(server.put("x.html", PAGE)).path.read_bytes() == PAGE, "here a page was asked for"


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (410, NotFound), (401, Private), (403, Private)]
)
def test_a_refusal_is_final(server, here, status, kind):
    server.status(status, body=b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>")
    with pytest.raises(kind, match="NoSuchKey"):
        get(server.url("x.bin"))
    assert server.count() == 1 and not left(here)


def test_a_busy_server_is_waited_for_and_at_last_named(server, waits):
    server.status(503, headers={"Retry-After": "5"}, times=2)
    get(server.put("x.bin", BODY), sleep=waits.append)
    assert waits == [5, 5]
    server.status(429, headers={"Retry-After": "30"})
    with pytest.raises(RateLimited):
        get(server.url("x.bin"), "other/", sleep=waits.append)
    assert waits == [5, 5, 30, 30, 30]


def test_a_cut_body_is_resumed_and_at_last_truncated_with_its_part_kept(server, here):
    server.cuts(after=100_000, times=2)
    assert get(server.put("x.bin", BODY)).path.read_bytes() == BODY
    server.clear()
    server.cuts(after=0, skip=1)
    server.cuts(after=100_000, times=1)
    with pytest.raises(Truncated):
        get(server.url("x.bin"), "y.bin")
    assert left(here) == ["x.bin", "y.bin.part", "y.bin.part.json"]


def test_the_hash_is_checked_and_a_malformed_one_needs_no_request(server, here):
    url = server.put("x.bin", BODY)
    for bad in ("xyz", "12", "0" * 65, 5):
        with pytest.raises(ValueError, match="is no sha256"):
            get(url, sha256=bad)
    assert server.count() == 0
    with pytest.raises(HashMismatch):
        get(url, sha256="0" * 64)
    assert not left(here)
    right = hashlib.sha256(BODY).hexdigest()
    assert get(url, sha256=right).sha256 == right
    asked = server.count()
    assert get(url, sha256=right.upper()).cached and server.count() == asked, (
        "with a hash nothing is asked"
    )


def test_mirrors_are_asked_in_turn_and_never_see_the_token(server, here):
    heard = []
    found = get(
        server.url("gone.bin"),
        "x.bin",
        mirrors=[server.put("x.bin", BODY)],
        token="s3cret",
        heard=heard,
    )
    assert found.path.read_bytes() == BODY and "the next source" in notes(heard)
    assert [asked.headers.get("authorization") for asked in server.requests] == [
        "Bearer s3cret",
        None,
    ]
    with pytest.raises(LinkError, match="list"):
        get(server.url("x.bin"), mirrors="http://h/x")


def test_no_query_is_kept_in_any_file(server, tmp_path):
    server.put("x.zip", a_zip())
    server.put("x.bin", BODY)
    server.cuts(after=0, on="x.bin", skip=1)
    server.cuts(after=100_000, on="x.bin", times=1)
    get(server.url("x.zip") + "?X-Amz-Signature=s3cret&token=s3cret")
    with pytest.raises(Truncated):
        get(server.url("x.bin") + "?sig=s3cret")
    assert (tmp_path / "work" / "x.bin.part.json").exists()
    for path in (
        p
        for p in [*tmp_path.rglob("*"), *Path(os.environ["COLAB_KIT_HOME"]).rglob("*")]
        if p.is_file()
    ):
        assert b"s3cret" not in path.read_bytes(), path


def test_another_signature_of_the_same_link_is_the_same_file(server, here):
    server.put("x.bin", BODY)
    get(server.url("x.bin") + "?X-Amz-Signature=one")
    assert get(server.url("x.bin") + "?X-Amz-Signature=two").cached


# --- where it goes ----------------------------------------------------------------------------------------------------------------


def test_the_folder_rule_and_names_from_outside(server, here):
    server.put(
        "get", BODY, headers={"Content-Disposition": 'attachment; filename="../../evil.bin"'}
    )
    assert (
        get(server.url("get")).path == Path("evil.bin") and not (here.parent / "evil.bin").exists()
    )
    url = server.put("x.bin", BODY)
    assert get(url, "new/deep/").path == Path("new/deep/x.bin") and get(url, "plain").path == Path(
        "plain/x.bin"
    )
    assert get(url, "named.bin").path == Path("named.bin") and get(
        url, "odd", named=True
    ).path == Path("odd")
    os.environ["HOME"], before = str(here / "me"), os.environ["HOME"]
    try:
        assert get(url, "~/x.bin").path == here / "me" / "x.bin"
    finally:
        os.environ["HOME"] = before


def test_another_file_of_that_name_is_kept_unless_it_may_be_replaced(server, here):
    url = server.put("x.bin", BODY)
    Path("x.bin").write_bytes(b"mine")
    with pytest.raises(FetchError, match="overwrite=True"):
        get(url)
    assert Path("x.bin").read_bytes() == b"mine"
    assert get(url, overwrite=True).path.read_bytes() == BODY
    Path("pets").mkdir()
    Path("pets/mine").write_text("mine")
    with pytest.raises(FetchError, match="overwrite=True"):
        get(server.put("pets.zip", a_zip()))
    assert left("pets") == ["mine"]
    get(server.url("pets.zip"), overwrite=True)
    assert tree("pets") == FILES and left(here) == ["pets", "x.bin"]


def test_a_file_that_has_the_servers_size_is_used_as_it_is_and_that_is_said(server, here):
    Path("x.bin").write_bytes(BODY)
    heard = []
    assert get(server.put("x.bin", BODY), heard=heard).cached and "overwrite=True" in notes(heard)


def test_a_full_disk_is_said_with_numbers_before_the_first_byte(server, here, monkeypatch):
    monkeypatch.setattr(
        partial.shutil,
        "disk_usage",
        lambda path: type("Usage", (), {"free": 65 << 20, "total": 1 << 40})(),
    )
    with pytest.raises(NoSpace, match="MiB"):
        get(server.put("x.bin", bytes(2 << 20)))
    assert not left(here)


def test_max_size_bounds_the_file_and_what_comes_out_of_it(server, here):
    with pytest.raises(NoSpace, match="max_size"):
        get(server.put("x.bin", BODY), max_size=1000)
    packed = a_zip({"zeros": bytes(10 << 20)})
    with pytest.raises(UnsafeArchive, match="max_size"):
        get(server.put("x.zip", packed), max_size=1 << 20)
    assert not left(here)
    for bad in (0, -1, True, "5"):
        with pytest.raises(LinkError):
            get(server.url("x.bin"), max_size=bad)


# --- again ------------------------------------------------------------------------------------------------------------------------


def test_the_second_call_asks_once_and_fetches_nothing(server, here):
    url = server.put("x.bin", BODY)
    first, asked = get(url), server.count()
    again = get(url)
    assert (
        again.cached
        and not first.cached
        and (again.sha256, again.size) == (first.sha256, first.size)
    )
    assert server.count() == asked + 1 and server.requests[-1].status == 304


def test_a_file_that_changed_at_its_source_is_fetched_anew(server, here):
    get(server.put("x.bin", BODY))
    heard = []
    assert get(server.put("x.bin", BODY[::-1]), heard=heard).path.read_bytes() == BODY[
        ::-1
    ] and "changed at its source" in notes(heard)


def test_a_file_that_its_user_changed_is_kept(server, here):
    get(server.put("x.bin", BODY))
    Path("x.bin").write_bytes(b"edited")
    with pytest.raises(FetchError, match="overwrite"):
        get(server.url("x.bin"))
    assert Path("x.bin").read_bytes() == b"edited"


def test_offline_gives_what_is_there_and_names_what_is_not(server, here, monkeypatch):
    url, other = server.put("x.bin", BODY), server.put("y.bin", BODY)
    get(url)
    asked = server.count()
    assert get(url, offline=True).cached
    with pytest.raises(Offline):
        get(other, offline=True)
    monkeypatch.setenv("COLAB_KIT_OFFLINE", "1")
    assert get(url).cached and server.count() == asked
    monkeypatch.delenv("COLAB_KIT_OFFLINE")
    server.close()
    heard = []
    assert get(url, heard=heard).cached and "used as it is" in notes(heard), (
        "no network is no reason to lose the file"
    )
    with pytest.raises(Offline):
        get(other)


def test_an_unpacked_folder_is_found_again_and_a_new_version_replaces_it(server, here):
    url = server.put("pets.zip", a_zip())
    first = get(url)
    assert tree("pets") == FILES and first.path == Path("pets/pets") and left(here) == ["pets"]
    assert get(url).cached and server.requests[-1].status == 304
    server.put("pets.zip", a_zip({"pets/new.txt": b"new"}))
    assert (
        not get(url).cached and tree("pets") == {"pets/new.txt": b"new"} and left(here) == ["pets"]
    )
    Path("pets/pets/mine.txt").write_text("mine")
    server.put("pets.zip", a_zip())
    heard = []
    assert (
        get(url, heard=heard).cached
        and "files in it are yours" in notes(heard)
        and Path("pets/pets/mine.txt").exists()
    )
    assert not get(url, overwrite=True).cached and tree("pets") == FILES


def test_a_same_length_edit_in_an_unpacked_folder_is_the_users(server, here):
    url = server.put("pets.zip", a_zip({"a.txt": b"one", "b.txt": b"two"}))
    get(url)
    Path("pets/a.txt").write_text("ONE")
    server.put("pets.zip", a_zip({"a.txt": b"new"}))
    heard = []
    assert (
        get(url, heard=heard).cached
        and "yours" in notes(heard)
        and Path("pets/a.txt").read_text() == "ONE"
    )


def test_an_unpacked_folder_with_the_users_files_is_kept_from_another_hash(server, here):
    one, two = a_zip({"a.txt": b"one"}), a_zip({"a.txt": b"two"})
    get(server.put("pets.zip", one), sha256=hashlib.sha256(one).hexdigest())
    Path("pets/mine.txt").write_text("mine")
    server.put("pets.zip", two)
    with pytest.raises(FetchError, match="overwrite=True"):
        get(server.url("pets.zip"), sha256=hashlib.sha256(two).hexdigest())
    assert Path("pets/mine.txt").exists()
    Path("pets/mine.txt").unlink()


def test_a_file_of_the_users_is_never_taken_for_ours(server, here):
    url = server.put("x.csv", b"12345678")
    Path("x.csv").write_bytes(b"a longer one of mine")
    assert get(url, offline=True).cached
    with pytest.raises(FetchError, match="is kept"):
        get(url)
    Path("x.csv").write_bytes(b"mine 678")
    assert get(url).cached
    server.put("x.csv", b"abcdefghijk")
    with pytest.raises(FetchError, match="is kept"):
        get(url)
    assert Path("x.csv").read_bytes() == b"mine 678"


def test_a_copy_with_the_wrong_hash_replaces_nothing(tmp_path, here):
    (tmp_path / "a.bin").write_bytes(BODY)
    Path("b.bin").write_bytes(b"mine")
    with pytest.raises(HashMismatch):
        get(tmp_path / "a.bin", "b.bin", sha256="0" * 64, overwrite=True)
    assert Path("b.bin").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": 123},
        {"to": b"x"},
        {"to": "a\0b"},
        {"to": "\ud800.bin"},
        {"mirrors": None},
        {"mirrors": 5},
        {"token": 5},
    ],
)
def test_an_argument_that_cannot_be_is_said_before_any_request(server, wrong):
    with pytest.raises(LinkError):
        get(server.put("x.bin", BODY), **wrong)
    assert server.count() == 0


def test_the_file_and_what_it_unpacks_to_are_not_written_by_two_at_once(server, here):
    """fetch(u, extract=False) and fetch(u) write the same part."""
    import threading

    url = server.put("p.zip", a_zip(), etag="")
    server.slow(1 << 20)
    found = []
    both = [
        threading.Thread(target=lambda how=how: found.append(get(url, extract=how)))
        for how in (False, None)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(found) == 2 and tree("p") == FILES and zipfile.ZipFile("p.zip").testzip() is None


# --- unpacking --------------------------------------------------------------------------------------------------------------------


def test_a_zip_is_unpacked_from_where_it_lies(server, here):
    found = get(server.put("pets.zip", a_zip()))
    assert (
        found.sha256 is None
        and found.archive is None
        and server.requests[0].headers["range"] == f"bytes=-{streaming.TAIL}"
    )
    assert left(here) == ["pets"] and tree("pets") == FILES


@pytest.mark.parametrize("how", ["ignores_ranges", "no validator", "hash", "keep", "large member"])
def test_where_that_cannot_be_it_is_downloaded_first(server, here, monkeypatch, how):
    packed = a_zip()
    url = server.put("pets.zip", packed, etag="" if how == "no validator" else None)
    options = {
        "hash": {"sha256": hashlib.sha256(packed).hexdigest()},
        "keep": {"keep_archive": True},
    }.get(how, {})
    if how == "ignores_ranges":
        server.ignores_ranges()
    if how == "large member":
        monkeypatch.setattr(streaming, "LARGEST", 1000)
    found = get(url, **options)
    assert (
        tree("pets") == FILES
        and found.sha256 == hashlib.sha256(packed).hexdigest()
        and found.size == len(packed)
    )
    assert left(here) == (["pets", "pets.zip"] if how == "keep" else ["pets"])
    assert found.archive == (here / "pets.zip" if how == "keep" else None)


def test_an_archive_of_that_name_that_is_there_already_is_left(server, here):
    Path("pets.zip").write_bytes(b"mine")
    heard = []
    found = get(server.put("pets.zip", a_zip()), keep_archive=True, heard=heard)
    assert (
        found.archive is None
        and tree("pets") == FILES
        and Path("pets.zip").read_bytes() == b"mine"
        and "is left" in notes(heard)
    )


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked_while_it_comes(server, here, mode):
    name = {"w": "pets.tar", "w:gz": "pets.tgz", "w:bz2": "pets.tar.bz2", "w:xz": "pets.tar.xz"}[
        mode
    ]
    packed = a_tar(mode=mode)
    server.cuts(after=len(packed) // 2, times=1)
    found = get(server.put(name, packed))
    assert (
        tree("pets") == FILES
        and found.sha256 == hashlib.sha256(packed).hexdigest()
        and left(here) == ["pets"]
    )


def test_a_tar_that_changes_while_it_comes_is_unpacked_from_the_new_one_alone(server, here):
    other = {f"other/{n}": os.urandom(3000) for n in range(60)}
    server.cuts(after=100_000, times=1)
    url = server.put("pets.tar", a_tar(mode="w"))
    get(url, sleep=lambda seconds: server.put("pets.tar", a_tar(other, mode="w")))
    assert tree("pets") == other and left(here) == ["pets"]


def test_a_tar_that_was_resumed_into_another_version_is_unpacked_from_the_new_one_alone(
    server, here
):
    """No validator: the hash alone tells, when the splice was unpacked already."""
    old, new = (a_tar({f"t/{n}": bytes([mark]) * 3000 for n in range(60)}, "w") for mark in (1, 2))
    url = server.put("t.tar", old, etag="")
    server.cuts(after=0, skip=1)
    server.cuts(after=len(old) // 2, times=1)
    digest = hashlib.sha256(new).hexdigest()
    with pytest.raises(FetchError):
        get(url, sha256=digest)
    server.clear()
    server.put("t.tar", new, etag="")
    assert get(url, sha256=digest).sha256 == digest
    assert set(tree("t").values()) == {bytes([2]) * 3000} and len(tree("t")) == 60


def test_a_tar_with_the_wrong_hash_leaves_no_folder(server, here):
    with pytest.raises(HashMismatch):
        get(server.put("pets.tar", a_tar(mode="w")), sha256="0" * 64)
    assert not left(here)


def test_single_packed_files_stay_packed_unless_asked(server, here):
    url = server.put("x.csv.gz", gzip.compress(b"1,2\n" * 1000))
    assert get(url).path == Path("x.csv.gz")
    found = get(url, extract=True)
    assert (
        found.path == Path("x.csv")
        and found.path.read_bytes() == b"1,2\n" * 1000
        and get(url, extract=True).cached
    )
    for name in ("a.npz", "a.whl", "a.pth"):
        assert get(server.put(name, a_zip())).path == Path(name)


def hostile(kind):
    held = io.BytesIO()
    if kind == "tar slip":
        return a_tar({"good": b"x", "../evil": b"x"}, "w"), "x.tar"
    if kind == "tar absolute":
        return a_tar({"/evil": b"x"}, "w"), "x.tar"
    if kind == "tar link":
        with tarfile.open(fileobj=held, mode="w") as file:
            info = tarfile.TarInfo("a")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc"
            file.addfile(info)
        return held.getvalue(), "x.tar"
    if kind == "zip link":
        info = zipfile.ZipInfo("a")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(held, "w") as file:
            file.writestr(info, "/etc")
        return held.getvalue(), "x.zip"
    if kind == "zip slip":
        return a_zip({"good": b"x", "../evil": b"x"}), "x.zip"
    if kind == "zip absolute":
        return a_zip({"/evil": b"x"}), "x.zip"
    if kind == "zip bomb":
        content = bytearray(a_zip({"a": bytes(1 << 20)}))
        at = content.index(b"PK\x01\x02")
        content[at + 24 : at + 28] = (0xF0000000).to_bytes(4, "little")
        return bytes(content), "x.zip"
    if kind == "locked":
        content = bytearray(a_zip({"a": b"x"}))
        content[6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
        return bytes(content), "x.zip"
    if kind == "bad crc":
        content = bytearray(a_zip({"a": os.urandom(5000)}, zipfile.ZIP_STORED))
        content[1000] ^= 1
        return bytes(content), "x.zip"
    if kind == "cut zip":
        return a_zip()[:-100], "x.zip"
    if kind == "cut tar":
        return a_tar(mode="w:gz")[:-1000], "x.tar.gz"
    return b"PK\x03\x04" + os.urandom(4000), "x.zip"


@pytest.mark.parametrize("far", [True, False], ids=["from where it lies", "downloaded"])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("zip slip", UnsafeArchive), ("zip absolute", UnsafeArchive), ("zip link", BadArchive), ("zip bomb", BadArchive),
        ("locked", BadArchive),
        ("bad crc", BadArchive), ("cut zip", BadArchive), ("no archive", BadArchive), ("tar slip", UnsafeArchive),
        ("tar absolute", UnsafeArchive),
        ("tar link", UnsafeArchive), ("cut tar", BadArchive),
    ],
)  # fmt: skip
def test_a_hostile_archive_is_named_and_nothing_of_it_stays(server, here, kind, error, far):
    content, name = hostile(kind)
    if not far:
        server.ignores_ranges()
    with pytest.raises(error) as caught:
        get(server.put(name, content))
    assert (
        caught.value.fix
        and not left(here)
        and not (here.parent / "evil").exists()
        and not Path("/evil").exists()
    )


# --- stopped, killed, two at once ---------------------------------------------------------------------------------------------------


def test_stop_and_go_on_by_a_control(server, here):
    control, url = Control(), server.put("x.bin", os.urandom(3 << 20))
    server.slow(8 << 20)

    def heard(event):
        if isinstance(event, FetchProgress) and event.done > 500_000:
            control.stop("stopped by hand")

    with pytest.raises(Stopped, match="stopped by hand"):
        get(url, callbacks=[heard], quiet=True, control=control)
    assert left(here) == ["x.bin.part", "x.bin.part.json"]
    server.clear()
    asked = server.count()
    get(url)
    assert server.requests[asked].headers["range"] != "bytes=0-" and left(here) == ["x.bin"]


def test_a_zip_stopped_on_the_way_goes_on_member_by_member(server, here, monkeypatch):
    monkeypatch.setattr(streaming, "BATCH", 10_000)
    monkeypatch.setattr(streaming, "TELL", 0)
    control, packed = Control(), a_zip()
    url = server.put("pets.zip", packed)
    monkeypatch.setattr(streaming, "TAIL", 8000)
    server.slow(20_000, skip=2)

    def heard(event):
        if isinstance(event, FetchProgress) and 0 < event.done < len(packed) // 2:
            control.stop()

    with pytest.raises(Stopped):
        get(url, callbacks=[heard], quiet=True, control=control)
    assert left(here) == [".pets.part"]
    server.clear()
    before, asked = len(tree(".pets.part")), server.count()
    get(url)
    assert tree("pets") == FILES and left(here) == ["pets"]
    assert before and sum(request.sent for request in server.requests[asked:]) < len(packed)


def test_a_zip_that_changed_since_a_stop_is_not_mixed(server, here, monkeypatch):
    monkeypatch.setattr(streaming, "BATCH", 10_000)
    monkeypatch.setattr(streaming, "TELL", 0)
    control = Control()
    url = server.put("pets.zip", a_zip())
    server.slow(200_000, skip=2)
    with pytest.raises(Stopped):
        get(
            url,
            callbacks=[
                lambda e: control.stop() if isinstance(e, FetchProgress) and e.done else None
            ],
            quiet=True,
            control=control,
        )
    server.clear()
    other = {name: os.urandom(3000) for name in list(FILES)[:50]}
    server.put("pets.zip", a_zip(other))
    get(url)
    assert tree("pets") == other


@pytest.mark.parametrize("name", ["x.bin", "pets.zip", "pets.tar.gz"])
def test_killed_anywhere_the_next_call_gives_the_right_thing(server, here, forks, name):
    content = {"x.bin": os.urandom(1 << 20), "pets.zip": a_zip(), "pets.tar.gz": a_tar()}[name]
    url = server.put(name, content)
    server.slow(20 << 20)
    for share in (0.1, 0.6):
        status = forks.run("whole", url=url, to=str(here) + "/", kill_at=int(len(content) * share))
        assert status in (-signal.SIGKILL, 0)
    server.clear()
    get(url, f"{here}/")
    assert Path("x.bin").read_bytes() == content if name == "x.bin" else tree("pets") == FILES
    assert left(here) == ["x.bin" if name == "x.bin" else "pets"]


@pytest.mark.parametrize("name", ["x.bin", "pets.zip"])
def test_two_processes_fetch_one_link_once(server, here, name):
    content = {"x.bin": os.urandom(2 << 20), "pets.zip": a_zip()}[name]
    url = server.put(name, content)
    server.slow(4 << 20)
    code = f"from colab_kit.fetching.fetch import fetch; f = fetch({url!r}, {str(here)!r} + '/', quiet=True); print(f.path, f.cached)"
    env = {**os.environ, "PYTHONPATH": str(Path(room.__file__).parents[2])}
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env)
        for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=60)[0].split()[-1] for process in both)
    assert said == ["False", "True"] and [process.returncode for process in both] == [0, 0]
    assert Path("x.bin").read_bytes() == content if name == "x.bin" else tree("pets") == FILES
    sent = sum(request.sent for request in server.requests)
    assert sent < 1.3 * len(content) + 2 * streaming.TAIL


# --- Drive ------------------------------------------------------------------------------------------------------------------------


def test_an_archive_is_kept_on_drive_and_the_next_machine_does_not_download_it(
    server, here, mock_drive, tmp_path, monkeypatch
):
    packed = a_zip()
    url = server.put("pets.zip", packed)
    found = get(url)
    assert (
        found.archive
        and found.archive.is_relative_to(mock_drive.mydrive)
        and tree("pets") == FILES
        and left(here) == ["pets"]
    )
    assert mock_drive.wait(30) and found.archive.read_bytes() == packed
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "new machine"))
    asked = server.count()
    again = get(url, "elsewhere/")
    assert again.cached is False or again.path.exists()
    assert (
        tree("elsewhere/pets") == FILES
        and sum(request.sent for request in server.requests[asked:]) == 0
    ), "nothing was downloaded"
    server.put("pets.zip", a_zip({"new": b"new"}))
    get(url, "third/")
    assert tree("third/pets") == {"new": b"new"}, "a new version is not taken from Drive"


def test_a_large_archive_reaches_drive_whole(server, here, mock_drive):
    packed = a_zip(
        {f"{n}.bin": os.urandom(1 << 20) for n in range(3)}
    )  # more than the copier holds in memory
    found = get(server.put("large.zip", packed))
    assert mock_drive.wait(30) and found.archive.read_bytes() == packed and left(here) == ["large"]


def test_a_damaged_copy_on_drive_is_told_and_downloaded_again(server, here, mock_drive):
    url = server.put("pets.zip", a_zip())
    found = get(url)
    mock_drive.wait(30)
    content = bytearray(found.archive.read_bytes())
    content[1000] ^= 1
    found.archive.write_bytes(content)
    heard = []
    get(url, "elsewhere/", heard=heard)
    assert tree("elsewhere/pets") == FILES and "cannot be used" in notes(heard)


def test_what_is_too_large_or_not_wanted_is_not_kept(server, here, mock_drive, monkeypatch):
    url = server.put("pets.zip", a_zip())
    assert get(url, "a/", keep_archive=False).archive is None
    monkeypatch.setattr(place, "MOST", 1000)
    assert get(url, "b/").archive is None
    mock_drive.wait(30)
    assert not (mock_drive.mydrive / "colab-kit" / "fetched").exists()
    assert get(url, "c/", keep_archive=True).archive.is_relative_to(mock_drive.mydrive)


def test_a_file_for_drive_is_brought_to_the_fast_disk_first(server, mock_drive):
    found = get(server.put("x.bin", BODY), mock_drive / "data/")
    assert (
        found.path == mock_drive / "data" / "x.bin"
        and found.path.read_bytes() == BODY
        and left(mock_drive / "data") == ["x.bin"]
    )


def test_thousands_of_files_go_onto_drive_only_by_force(server, mock_drive, monkeypatch):
    monkeypatch.setattr(place, "MANY", 50)
    url = server.put("pets.zip", a_zip())
    with pytest.raises(FetchError, match="60 files"):
        get(url, mock_drive / "data/", keep_archive=False)
    assert not (mock_drive / "data/pets").exists()
    assert tree(get(url, mock_drive / "data/", keep_archive=False, force=True).path.parent) == FILES


def test_an_archive_fetched_while_the_working_folder_is_on_drive_is_unpacked_on_the_fast_disk(
    server, mock_drive, monkeypatch
):
    monkeypatch.chdir(mock_drive.mydrive)
    found = get(server.put("pets.zip", a_zip()), keep_archive=False)
    assert (
        found.path.is_relative_to(os.environ["COLAB_KIT_HOME"]) and left(mock_drive.mydrive) == []
    )


# --- words ------------------------------------------------------------------------------------------------------------------------


def test_what_came_is_told_in_the_end(server, here):
    heard = []
    found = get(server.put("x.bin", BODY), heard=heard)
    assert heard[-1] == FetchDone("x.bin", found.path, len(BODY))


def test_an_interrupt_leaves_what_has_come_and_is_passed_on(server, here, monkeypatch):
    server.slow(2 << 20)

    def heard(event):
        if isinstance(event, FetchProgress) and event.done > 50_000:
            raise KeyboardInterrupt

    url = server.put("x.bin", BODY)
    from colab_kit.fetching.http_download import Download

    class Interrupted(Download):
        def _attend(self, first):
            self._emit = heard
            super()._attend(first)

    monkeypatch.setattr(download, "Download", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(url)
    assert left(here) == ["x.bin.part", "x.bin.part.json"]


def test_importing_it_loads_no_heavy_package():
    heavy = ["gdown", "huggingface_hub", "kagglehub", "torch", "requests", "numpy"]
    code = f"import sys, colab_kit.fetching.fetch; print([m for m in {heavy} if m in sys.modules])"
    assert (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout.replace("'", '"')
        )
        == []
    )


def test_the_face_gives_it():
    import colab_kit as kit

    assert kit.fetch is fetch
