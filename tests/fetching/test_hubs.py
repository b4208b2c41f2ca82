"""Hugging Face, Kaggle and forges: listings, who may ask, and what to do about a no."""

import base64
import hashlib
import json

import pytest

from colab_kit.errors import ColabError, FetchError, LinkError, NotFound, Private, RateLimited
from colab_kit.fetching.hubs import authorization, explained, hf_listing
from colab_kit.system.http import Web

from ..support.hosts import forges, hosts, page, reply_json  # noqa: F401

BIG = bytes(5000)


@pytest.fixture
def web():
    with Web() as web:
        yield web


def nothing(name):
    return None


def basic(pair):
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def test_a_listing_has_addresses_paths_sizes_and_the_hashes_of_large_files(hosts, web):  # noqa: F811
    forges(hosts).hf("datasets/o/n", {"README.md": b"hi", "data/a b#1.zip": BIG})
    assert hf_listing("datasets/o/n@main:", web) == [
        ("https://huggingface.co/datasets/o/n/resolve/main/README.md", "README.md", 2, ""),
        (
            "https://huggingface.co/datasets/o/n/resolve/main/data/a%20b%231.zip",
            "data/a b#1.zip",
            5000,
            hashlib.sha256(BIG).hexdigest(),
        ),
    ]


def test_what_is_listed_can_be_fetched(hosts, web):  # noqa: F811
    forges(hosts).hf("o/n", {"data/a b#1.zip": BIG})
    ((url, *_),) = hf_listing("models/o/n", web)
    with web.ask(url) as reply:
        assert reply.read(9999) == BIG and reply.url.startswith("https://cas-bridge.xethub.hf.co/")


def test_a_listing_of_many_pages_is_whole(hosts, web):  # noqa: F811
    forges(hosts, page_size=3).hf("datasets/o/n", {f"{i}.jpg": b"x" for i in range(20)})
    assert [path for _, path, *_ in hf_listing("datasets/o/n", web)] == [
        f"{i}.jpg" for i in range(20)
    ]
    assert len(hosts.asked) == 7


def test_a_folder_is_listed_by_paths_below_it(hosts, web):  # noqa: F811
    forges(hosts).hf(
        "datasets/o/n",
        {"train/cat/1.jpg": b"x", "training.txt": b"y", "train/2.jpg": b"z"},
        ref="refs/pr/1",
    )
    listed = hf_listing("datasets/o/n@refs/pr/1:train", web)
    assert [(url.partition("/resolve/")[2], path) for url, path, *_ in listed] == [
        ("refs%2Fpr%2F1/train/cat/1.jpg", "cat/1.jpg"), ("refs%2Fpr%2F1/train/2.jpg", "2.jpg"),
    ]  # fmt: skip


def test_paths_of_a_listing_are_safe_to_write(hosts, web):  # noqa: F811
    rows = [
        {"type": "file", "path": path, "size": 1}
        for path in ("../../etc/passwd", "/abs", "a\\..\\b")
    ]
    hosts.answer("huggingface.co", "/api/*", reply_json(rows))
    assert [path for _, path, *_ in hf_listing("models/o/n", web)] == [
        "_/_/etc/passwd",
        "abs",
        "a_.._b",
    ]


def test_the_token_goes_to_hugging_face_alone(hosts, web):  # noqa: F811
    forges(hosts, page_size=2).hf("datasets/o/n", {f"{i}.bin": BIG for i in range(5)}, private=True)
    listed = hf_listing("datasets/o/n", web, token="Bearer good")
    with web.ask(listed[0][0], token="Bearer good") as reply:
        assert reply.read(9999) == BIG
    told = {ask.host for ask in hosts.asked if "authorization" in ask.headers}
    assert told == {"huggingface.co"} and hosts.count("cas-bridge.xethub.hf.co") == 1


def test_a_private_repository_says_how_to_get_in(hosts, web):  # noqa: F811
    forges(hosts).hf("datasets/o/n", {"a": b"x"}, private=True)
    with pytest.raises(Private) as caught:
        hf_listing("datasets/o/n", web, token="Bearer wrong")
    assert "HF_TOKEN" in caught.value.fix and "wrong" not in str(caught.value)


def test_a_next_page_elsewhere_is_not_asked(hosts, web):  # noqa: F811
    hosts.answer(
        "huggingface.co", "*", reply_json([], Link='<https://evil.example/steal>; rel="next"')
    )
    hosts.answer("evil.example", "*", reply_json([]))
    with pytest.raises(FetchError):
        hf_listing("models/o/n", web, token="Bearer good")
    assert hosts.count("evil.example") == 0


def test_pages_that_lead_to_each_other_end(hosts, web):  # noqa: F811
    hosts.answer(
        "huggingface.co", "*", reply_json([], Link='<https://huggingface.co/api/x>; rel="next"')
    )
    with pytest.raises(FetchError, match="could not be listed"):
        hf_listing("models/o/n", web)
    assert len(hosts.asked) == 2


@pytest.mark.parametrize(
    "answer", [page("<html>maintenance"), reply_json({"a": 1}), reply_json([1, 2])]
)
def test_an_answer_that_is_no_listing_is_an_error_in_words(hosts, web, answer):  # noqa: F811
    hosts.answer("huggingface.co", "*", answer)
    with pytest.raises(FetchError):
        hf_listing("models/o/n", web)


@pytest.mark.parametrize("id", ["", "o/n", "datasets/", "datasets/../../x", "models/a/b/c"])
def test_what_is_no_repository_is_a_link_error(web, id):
    with pytest.raises(LinkError):
        hf_listing(id, web)


@pytest.mark.parametrize(
    ("service", "token", "said"),
    [
        ("huggingface", "hf_x\n", "Bearer hf_x"),
        ("", "t", "Bearer t"),
        ("github", "Bearer t", "Bearer t"),
        ("github", "token t", "token t"),
        ("kaggle", "KGAT_x", "Bearer KGAT_x"),
        ("kaggle", "me:key", basic("me:key")),
        ("kaggle", '{"username": "me", "key": "key"}', basic("me:key")),
    ],
)
def test_a_given_token_is_said_as_its_service_wants_it(service, token, said):
    assert authorization(service, token, nothing) == said


@pytest.mark.parametrize(
    "token", ["hf_secret\nX-Evil: 1", "hf secret of mine", "hf_sécret", '{"username": "secret"}']
)
def test_a_token_that_cannot_be_one_is_refused_and_not_quoted(token):
    with pytest.raises(LinkError) as caught:
        authorization("kaggle", token, nothing)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("service", "secrets", "said"),
    [
        ("huggingface", {"HF_TOKEN": "a"}, "Bearer a"),
        ("github", {"GITHUB_TOKEN": "a", "GH_TOKEN": "b"}, "Bearer a"),
        ("github", {"GH_TOKEN": "b"}, "Bearer b"),
        ("gitlab", {"GITLAB_TOKEN": "a"}, "Bearer a"),
        (
            "kaggle",
            {"KAGGLE_API_TOKEN": "a", "KAGGLE_USERNAME": "u", "KAGGLE_KEY": "k"},
            "Bearer a",
        ),
        ("kaggle", {"KAGGLE_USERNAME": "u", "KAGGLE_KEY": "k"}, basic("u:k")),
        ("kaggle", {"KAGGLE_USERNAME": "u"}, None),
        ("dropbox", {"HF_TOKEN": "a"}, None),
        ("", {"HF_TOKEN": "a"}, None),
    ],
)
def test_a_secret_is_found_for_its_service_alone(service, secrets, said, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KAGGLE_CONFIG_DIR", raising=False)
    assert authorization(service, None, secrets.get) == said


def test_kaggle_json_counts_where_kaggle_keeps_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KAGGLE_CONFIG_DIR", raising=False)
    place = tmp_path / ".kaggle" / "kaggle.json"
    place.parent.mkdir()
    place.write_text("half a fi")
    assert authorization("kaggle", None, nothing) is None
    place.write_text(json.dumps({"username": "u", "key": "k"}))
    assert authorization("kaggle", None, nothing) == basic("u:k")
    assert authorization("huggingface", None, nothing) is None


def test_a_secret_that_may_not_be_read_counts_as_none():
    def find(name):
        raise ColabError("This notebook may not read the secret.")

    assert authorization("huggingface", None, find) is None


def asked(web, url, token=None):
    with pytest.raises(FetchError) as caught, web.ask(url, token=token):
        pass
    return caught.value


def test_a_no_of_kaggle_tells_how_to_get_a_key(hosts, web):  # noqa: F811
    made = forges(hosts)
    made.kaggle("o/n", BIG, private=True)
    made.kaggle("titanic", BIG)
    private = explained(asked(web, "https://www.kaggle.com/api/v1/datasets/download/o/n"), "kaggle")
    assert type(private) is Private and "KAGGLE_KEY" in private.fix and "rules" not in private.fix
    url = "https://www.kaggle.com/api/v1/competitions/data/download-all/titanic"
    contest = explained(asked(web, url, basic("u:k")), "kaggle", url)
    assert (
        type(contest) is Private
        and contest.fix.startswith("accept its rules")
        and "You must accept" in contest.why
    )
    gone = explained(asked(web, "https://www.kaggle.com/api/v1/datasets/download/o/none"), "kaggle")
    assert type(gone) is NotFound and "KAGGLE_KEY" in gone.fix


def test_kaggles_archive_comes_without_the_key_reaching_the_storage(hosts, web):  # noqa: F811
    made = forges(hosts)
    made.tokens = {basic("u:k")}
    made.kaggle("o/n", BIG, private=True)
    with web.ask(
        "https://www.kaggle.com/api/v1/datasets/download/o/n", token=basic("u:k")
    ) as reply:
        assert reply.read(9999) == BIG
    assert [(ask.host, "authorization" in ask.headers) for ask in hosts.asked] == [
        ("www.kaggle.com", True),
        ("storage.googleapis.com", False),
    ]


def test_a_no_of_hugging_face_tells_gated_from_private(hosts, web):  # noqa: F811
    made = forges(hosts)
    made.hf("o/gated", {"w.bin": BIG}, gated=True)
    made.hf("o/mine", {"w.bin": BIG}, private=True)
    gated = explained(
        asked(web, "https://huggingface.co/o/gated/resolve/main/w.bin"), "huggingface"
    )
    assert gated.fix.startswith("accept the conditions") and "HF_TOKEN" in gated.fix
    mine = explained(asked(web, "https://huggingface.co/o/mine/resolve/main/w.bin"), "huggingface")
    assert mine.fix.startswith("check the link") and "HF_TOKEN" in mine.fix


def test_what_github_does_not_show_may_be_private(hosts, web):  # noqa: F811
    forges(hosts).github("o/n", {"a.bin": b"x"})
    error = explained(asked(web, "https://raw.githubusercontent.com/o/n/main/none"), "github")
    assert type(error) is NotFound and "GITHUB_TOKEN" in error.fix


def test_tries_wait_and_cause_are_kept_and_other_errors_stay_as_they_are():
    cause = OSError("x")
    error = Private("what", "why", "fix")
    error.tries, error.wait, error.__cause__ = 3, 7.0, cause
    told = explained(error, "kaggle")
    assert (told.what, told.why, told.tries, told.wait, told.__cause__) == (
        "what",
        "why",
        3,
        7.0,
        cause,
    )
    busy = RateLimited("what", "why", "fix")
    assert explained(busy, "kaggle") is busy
    assert explained(error, "dropbox") is error and explained(error, "") is error
