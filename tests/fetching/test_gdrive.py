"""Google Drive by ids, against a fake of Google's hosts: each no told apart, no endless way, every file of a folder."""

import os
import sys
import threading

import pytest

from colab_kit.errors import FetchError, LinkError, NotFound, Private, QuotaExceeded, RateLimited
from colab_kit.events import Control
from colab_kit.fetching import gdrive_folder
from colab_kit.fetching.gdrive import IsFolder, export_url, locate
from colab_kit.fetching.gdrive_folder import Names, listing
from colab_kit.fetching.links.address import name_from_header, path_part
from colab_kit.system.http import Web

from ..support.hosts import google, hosts, page, redirect  # noqa: F401

BODY = b"PK\3\4" + bytes(1000)


class FakeSleep(list):
    """Counts, and does not wait."""

    def __call__(self, seconds):
        self.append(seconds)


@pytest.fixture
def drive(hosts):  # noqa: F811
    return google(hosts)


@pytest.fixture
def web():
    with Web() as web:
        yield web


@pytest.fixture(params=["with gdown", "without gdown", "with a gdown whose parser fails"])
def gdown(request, monkeypatch):
    if request.param == "without gdown":
        monkeypatch.setitem(sys.modules, "gdown", None)
        monkeypatch.setitem(sys.modules, "gdown.download", None)
    elif request.param != "with gdown":
        module = pytest.importorskip("gdown") and sys.modules["gdown.download"]
        monkeypatch.setattr(module, "get_url_from_gdrive_confirmation", lambda contents: 1 / 0)


def bytes_of(found, web):
    with web.ask(found.url) as reply:
        return reply.read(1 << 20)


def test_a_small_file_is_found_with_one_request_and_its_name_and_size(drive, web):
    found = locate(drive.file("Käse & Brot.zip", BODY), web)
    assert (found.name, found.size) == ("Käse & Brot.zip", len(BODY))
    assert len(drive.hosts.asked) == 1
    assert bytes_of(found, web) == BODY


def test_a_large_file_is_found_behind_the_virus_scan_page(drive, web, gdown):
    found = locate(drive.file("large.zip", BODY, big=True), web)
    assert (found.name, found.size) == ("large.zip", len(BODY))
    assert "confirm=t" in found.url and "uuid=" in found.url
    assert len(drive.hosts.asked) == 2
    assert drive.hosts.asked[1].headers["cookie"] == "NID=1", "the page's cookies are kept"
    with web.ask(found.url, headers={"Range": "bytes=4-"}) as reply:
        assert (reply.status, reply.read(9999)) == (206, BODY[4:])


def test_the_body_is_not_read_while_it_is_located(drive, web):
    drive.hosts.rate = 1000.0  # 60 KB would take a minute
    found = locate(drive.file("slow.zip", bytes(60_000)), web)
    assert found.size == 60_000


def test_a_missing_content_type_breaks_nothing(drive, web):
    assert locate(drive.file("x.zip", BODY, mood="untyped"), web).name == "x.zip"


def test_a_resource_key_opens_what_is_closed_without_it(drive, web):
    id = drive.file("old.zip", BODY, key="0-abc", big=True)
    with pytest.raises(Private):
        locate(id, web)
    assert bytes_of(locate(id, web, resourcekey="0-abc"), web) == BODY


@pytest.mark.parametrize(
    ("mood", "kind", "fix"),
    [
        ("private", Private, "Anyone with the link"),
        ("forbidden", Private, "ask the owner"),
        ("deleted", NotFound, "check the link"),
        ("busy", RateLimited, "mount Drive"),
        ("quota", QuotaExceeded, "File > Make a copy"),
        ("down", RateLimited, "try again later"),
    ],
)
def test_each_no_of_google_is_told_apart(drive, web, gdown, mood, kind, fix):
    with pytest.raises(kind) as caught:
        locate(drive.file("x.zip", BODY, mood=mood), web, sleep=FakeSleep())
    assert type(caught.value) is kind and fix in caught.value.fix
    assert len(drive.hosts.asked) <= 6


def test_a_rate_limit_is_not_met_with_more_requests_a_failing_server_is(drive, web):
    sleep = FakeSleep()
    with pytest.raises(RateLimited):
        locate(drive.file("x.zip", mood="busy"), web, sleep=sleep)
    assert (len(drive.hosts.asked), sleep) == (1, [])
    with pytest.raises(RateLimited):
        locate(drive.file("x.zip", mood="down"), web, sleep=sleep)
    assert sleep == [1.0]


def test_googles_sorry_page_is_a_rate_limit_whatever_its_status(drive, web):
    drive.hosts.answer(
        "drive.usercontent.google.com", "*", redirect("https://www.google.com/sorry/index?q=x")
    )
    drive.hosts.answer(
        "www.google.com", "/sorry/*", page("<html><head><title>hm</title></head></html>")
    )
    with pytest.raises(RateLimited):
        locate("1x", web)


def test_a_confirm_page_that_repeats_ends_after_six_requests(drive, web, gdown):
    with pytest.raises(FetchError, match="could not be fetched") as caught:
        locate(drive.file("x.zip", BODY, mood="again"), web)
    assert "again" in caught.value.why
    assert len(drive.hosts.asked) <= 6


def test_a_page_that_leads_to_itself_ends_at_once(drive, web, gdown):
    here = "https://drive.usercontent.google.com/download?id=1x&amp;export=download"
    drive.hosts.answer(
        "drive.usercontent.google.com",
        "*",
        page(f'<html><form id="download-form" action="{here}"></form>'),
    )
    with pytest.raises(FetchError):
        locate("1x", web)
    assert len(drive.hosts.asked) == 1


@pytest.mark.parametrize(
    "to", ["https://evil.example/x", "http://drive.google.com/x", "https://[", "file:///etc/passwd"]
)
def test_a_page_leads_to_google_over_https_or_nowhere(drive, web, gdown, to):
    drive.hosts.answer(
        "drive.usercontent.google.com",
        "*",
        page(f'<html><title>Hm</title><form id="download-form" action="{to}"></form>'),
    )
    with pytest.raises(FetchError, match="could not be fetched") as caught:
        locate("1x", web)
    assert 'its title is "Hm"' in caught.value.why
    assert len(drive.hosts.asked) == 1


def test_googles_own_words_are_passed_on_where_we_know_none(drive, web, gdown):
    said = '<html><p class="uc-error-subcaption">This file has <b>infected</b> itself &amp; can&#39;t be downloaded.</p></html>'
    drive.hosts.answer("drive.usercontent.google.com", "*", page(said))
    with pytest.raises(FetchError) as caught:
        locate("1x", web)
    assert "This file has infected itself & can't be downloaded." in caught.value.why


def test_a_page_without_an_end_is_not_read_for_ever(drive, web):
    drive.hosts.answer("drive.usercontent.google.com", "*", page("<html>" + "x" * (2 << 20)))
    with pytest.raises(FetchError):
        locate("1x", web)


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("document", "docx"), ("spreadsheets", "xlsx"), ("presentation", "pptx"), ("drawings", "png")],
)
def test_a_google_doc_under_a_files_id_gives_its_export(drive, web, kind, ending):
    found = locate(drive.doc("Report", kind, BODY), web)
    assert found.name == f"Report.{ending}"
    assert bytes_of(found, web) == BODY


def test_a_google_doc_that_is_known_as_one_is_asked_for_its_export_at_once(drive, web):
    id = drive.doc("Table", "spreadsheets", BODY)
    assert locate(id, web, export=export_url(id, "sheet", "csv")).name == "Table.csv"
    assert len(drive.hosts.asked) == 1
    with pytest.raises(Private):
        locate(id := drive.doc("Mine", mood="private"), web, export=export_url(id))


def test_export_addresses():
    assert export_url("1x") == "https://docs.google.com/document/d/1x/export?format=docx"
    assert (
        export_url("1x", "drawing", resourcekey="0-k")
        == "https://docs.google.com/drawings/d/1x/export/png?resourcekey=0-k"
    )
    assert (
        export_url("1x", "slides", "pdf")
        == "https://docs.google.com/presentation/d/1x/export?format=pdf"
    )


def test_a_folders_id_says_that_it_is_one(drive, web):
    id = drive.folder("photos")
    with pytest.raises(IsFolder) as caught:
        locate(id, web)
    assert isinstance(caught.value, LinkError) and f"/folders/{id}" in caught.value.fix


def test_a_folder_is_listed_with_all_below_it(drive, web):
    deep = drive.folder("deep & <far>", drive.file("c.jpg"), drive.doc("Notes"))
    id = drive.folder(
        "photos",
        *[drive.file(f"{i}.jpg") for i in range(120)],
        drive.folder("cats", deep, drive.file("b.jpg")),
        drive.folder("none"),
    )
    title, entries = listing(id, web)
    assert (title, len(entries)) == ("photos", 123)
    assert {(e.path, e.kind) for e in entries} >= {
        ("0.jpg", "file"), ("119.jpg", "file"), ("cats/b.jpg", "file"), ("cats/deep & <far>/c.jpg", "file"),
        ("cats/deep & <far>/Notes.docx", "doc"),
    }  # fmt: skip
    assert locate(entries[0].id, web).name == "0.jpg"


def test_names_in_a_folder_are_safe_and_unique(drive, web):
    names = [
        "a.txt",
        "a.txt",
        "..",
        "../../etc/passwd",
        "/abs",
        "b\\..\\c",
        "",
        "x\ny",
        "a (1).txt",
    ]
    id = drive.folder(
        "f",
        *map(drive.file, names),
        drive.folder("a.txt", drive.file("in.txt")),
        drive.folder("..", drive.file("up.txt")),
    )
    paths = [e.path for e in listing(id, web)[1]]
    assert len(set(paths)) == len(paths) == 11
    assert paths[:2] == ["a.txt", "a (1).txt"] and "a (2).txt/in.txt" in paths
    for path in paths:
        assert (
            not path.startswith("/")
            and "\\" not in path
            and not {"", ".", ".."} & set(path.split("/"))
        ), path


def test_folders_that_hold_each_other_are_listed_once(drive, web):
    inner = drive.folder("inner", drive.file("x"))
    outer = drive.folder("outer", inner)
    drive.items[inner].inside.append(outer)
    assert [e.path for e in listing(outer, web)[1]] == ["inner/x"]
    assert len(drive.hosts.asked) == 2


def test_resource_keys_of_what_lies_in_a_folder_are_kept(drive, web):
    id = drive.folder(
        "f", drive.file("x", key="0-k"), drive.folder("g", drive.file("y"), key="0-g"), key="0-f"
    )
    assert [(e.path, e.resourcekey) for e in listing(id, web, resourcekey="0-f")[1]] == [
        ("x", "0-k"),
        ("g/y", ""),
    ]


@pytest.mark.parametrize(
    ("mood", "kind"),
    [("private", Private), ("deleted", NotFound), ("busy", RateLimited), ("down", RateLimited)],
)
def test_a_folder_that_is_not_given_says_why(drive, web, mood, kind):
    with pytest.raises(kind, match="could not be listed"):
        listing(drive.folder("f", mood=mood), web, sleep=FakeSleep())


def test_too_many_files_or_folders_in_one_another_end_the_listing(drive, web, monkeypatch):
    monkeypatch.setattr(gdrive_folder, "MOST", 10)
    with pytest.raises(FetchError, match="could not be listed") as caught:
        listing(drive.folder("f", *[drive.file(str(i)) for i in range(11)]), web)
    assert "more than 10" in caught.value.why
    id = drive.folder("bottom")
    for _ in range(gdrive_folder.DEEPEST + 2):
        id = drive.folder("f", id)
    monkeypatch.setattr(gdrive_folder, "MOST", 1000)
    with pytest.raises(FetchError):
        listing(id, web)


def test_a_listing_that_takes_too_long_ends(drive, web):
    times = iter(range(0, 1000, 50))
    id = drive.folder("f", drive.folder("g", drive.folder("h")))
    with pytest.raises(FetchError) as caught:
        listing(id, web, deadline=60, clock=lambda: next(times))
    assert "too long" in caught.value.why


def test_gdown_is_asked_where_googles_view_has_changed(drive, web, monkeypatch):
    id = drive.folder("f", drive.file("a.txt"))
    drive.hosts.answer(
        "drive.google.com",
        "/embeddedfolderview",
        page("<html><head><title>New</title></head><div id=app></div></html>"),
    )
    import gdown

    files = [("1a", "a.txt"), ("1b", "../up/b.txt"), ("1c", "a.txt")]

    def download_folder(
        url=None, id=None, output=None, quiet=False, use_cookies=True, skip_download=False
    ):
        assert (quiet, use_cookies, skip_download) == (True, False, True)
        print("chatter")
        return [gdown.download_folder.made(i, path, f"{output}photos/{path}") for i, path in files]

    from collections import namedtuple

    download_folder.made = namedtuple("File", "id path local_path")
    monkeypatch.setattr(gdown, "download_folder", download_folder)
    title, entries = listing(id, web)
    assert title == "photos"
    assert [(e.id, e.path) for e in entries] == [
        ("1a", "a.txt"),
        ("1b", "_/up/b.txt"),
        ("1c", "a (1).txt"),
    ]


@pytest.mark.parametrize("how", ["fails", "gives None", "hangs", "is missing"])
def test_where_gdown_cannot_help_either_the_first_reason_stands(
    drive, web, monkeypatch, capfd, how
):
    drive.hosts.answer(
        "drive.google.com",
        "/embeddedfolderview",
        page("<html><head><title>New</title></head></html>"),
    )
    import gdown

    over = threading.Event()
    tricks = {
        "fails": lambda **kw: 1 / 0,
        "gives None": lambda **kw: print("chatter"),
        "hangs": lambda **kw: over.wait(20),
    }
    if how == "is missing":
        monkeypatch.setitem(sys.modules, "gdown", None)
    else:
        monkeypatch.setattr(gdown, "download_folder", tricks[how])
    with pytest.raises(FetchError, match="could not be listed") as caught:
        listing("1x", web, deadline=0.01)
    over.set()
    assert type(caught.value) is FetchError and 'its title is "New"' in caught.value.why
    assert capfd.readouterr() == ("", "")


def test_the_installed_gdown_lists_the_fake_folder_as_we_do(drive, web):
    id = drive.folder("photos", drive.file("a.jpg"), drive.folder("cats", drive.file("b.jpg")))
    ours, theirs = listing(id, web), gdrive_folder._by_gdown(id, Control(), 20)
    assert theirs is not None and theirs[0] == ours[0]
    assert [(e.id, e.path) for e in theirs[1]] == [(e.id, e.path) for e in ours[1]]


def test_nothing_is_written_to_the_home(drive, web):
    locate(drive.file("large.zip", BODY, big=True), web)
    gdrive_folder._by_gdown(drive.folder("f", drive.file("a"), drive.doc("d")), Control(), 20)
    assert os.listdir(drive.hosts.home) == [] and os.listdir() == []


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('attachment; filename="a b.zip"', "a b.zip"),
        ("attachment; filename=a.zip", "a.zip"),
        ("attachment; filename=\"x.zip\"; filename*=UTF-8''K%C3%A4se.zip", "Käse.zip"),
        ('attachment; filename="K\u00c3\u00a4se.zip"', "Käse.zip"),
        ('attachment; filename="a\\"b.zip"', "a_b.zip"),
        ("attachment; filename*=UTF-8''..%2F..%2Fetc", "etc"),
        ("attachment", ""),
        ("", ""),
    ],
)
def test_a_name_is_read_from_content_disposition(said, name):
    assert name_from_header(said) == name


def test_names_that_are_no_names_become_ones():
    assert [path_part(n) for n in ("", ".", "..", "a/b", "a\\b", "a\0\x1b\nb", " x ")] == [
        "_",
        "_",
        "_",
        "a_b",
        "a_b",
        "ab",
        "x",
    ]
    long = path_part("ä" * 300 + ".tar")
    assert len(long.encode()) <= 200 and long.endswith("ä.tar")
    names = Names()
    assert len({names.take("same") for _ in range(20_000)}) == 20_000
