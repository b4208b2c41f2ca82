"""fetch(): any link becomes the right file or none, at its place."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colab_kit.errors import (
    FetchError,
    GotHtml,
    GotLfsPointer,
    HashMismatch,
    LinkError,
    NoSpace,
    NotFound,
    Private,
    QuotaExceeded,
    RateLimited,
    Truncated,
    UnsafeArchive,
)
from colab_kit.events import FetchDone, FetchProgress, Note
from colab_kit.fetching import download, partial
from colab_kit.fetching.fetch import fetch

from ..support.fetching import BODY, FILES, PAGE, a_zip, get, left, notes, tree
from ..support.hosts import forges, google, hosts, served  # noqa: F401

pytestmark = pytest.mark.usefixtures("here")


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


def test_a_document_published_to_the_web_is_a_plain_address(hosts):  # noqa: F811
    hosts.answer("docs.google.com", "/spreadsheets/d/e/2PACX/pub", served(b"a,b\n"))
    url = "https://docs.google.com/spreadsheets/d/e/2PACX/pub?output=csv"
    assert get(url, "x.csv").path.read_bytes() == b"a,b\n"


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


def test_a_private_file_that_is_here_is_asked_about_with_its_token(server, here):
    url = server.put("x.bin", BODY)
    assert not get(url, token="s3cret").cached
    assert get(url, token="s3cret").cached
    assert [asked.headers.get("authorization") for asked in server.requests] == [
        "Bearer s3cret"
    ] * 2
    get(url, token="")
    assert "authorization" not in server.requests[-1].headers


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
