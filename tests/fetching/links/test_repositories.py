"""Addresses of repositories: what people type or copy is what git can be given, without secrets."""

import pytest

from colab_kit.errors import LinkError
from colab_kit.fetching.links.repositories import parse_repository

COURSE = "https://github.com/ann/course"


@pytest.mark.parametrize(
    ("given", "url", "refs", "inside"),
    [
        ("ann/course", COURSE, (), ""),
        ("github.com/ann/course", COURSE, (), ""),
        ("http://www.github.com/ann/course", COURSE, (), ""),
        ("git@github.com:ann/course", COURSE, (), ""),
        (f"{COURSE}/tree/main", COURSE, ("main",), ""),
        (f"{COURSE}/blob/main/a/b.py", COURSE, ("main", "main/a", "main/a/b.py"), "a/b.py"),
        (f"{COURSE}/tree/refs/heads/dev", COURSE, ("dev",), ""),
        (f"{COURSE}/commit/abc1234", COURSE, ("abc1234",), ""),
        (f"{COURSE}/releases/tag/v1", COURSE, ("v1",), ""),
        (f"{COURSE}/pull/7/files", COURSE, ("pull/7/head",), ""),
        ("https://gitlab.com/g/s/p/-/tree/x", "https://gitlab.com/g/s/p", ("x",), ""),
        (
            "https://hf.co/datasets/o/n/tree/main",
            "https://huggingface.co/datasets/o/n",
            ("main",),
            "",
        ),
        ("https://gist.github.com/ann/abc", "https://gist.github.com/abc", (), ""),
        ("https://bitbucket.org/o/r/src/branch/dev", "https://bitbucket.org/o/r", ("dev",), ""),
        ("git@host.org:o/r.git", "ssh://git@host.org/o/r.git", (), ""),
        ("ssh://git@host.org:22/o/r", "ssh://git@host.org:22/o/r", (), ""),
    ],
)
def test_an_address_names_its_repository(given, url, refs, inside):
    repository = parse_repository(given)
    assert (repository.url, repository.refs, repository.inside) == (url, refs, inside)


def test_a_password_is_kept_out_of_the_address_and_the_words():
    repository = parse_repository("https://ann:s3cret@host.org:8443/o/r.git")
    assert repository.url == "https://host.org:8443/o/r.git"
    assert (repository.user, repository.password) == ("ann", "s3cret")
    assert "s3cret" not in repr(repository)


def test_spellings_of_one_repository_have_one_key():
    spellings = ["Ann/Course", f"{COURSE}.git", f"{COURSE}/", "git@github.com:ann/course.git"]
    assert {parse_repository(one).key for one in spellings} == {"github.com/ann/course"}


def test_a_folder_is_a_repository_of_this_machine(tmp_path):
    repository = parse_repository(tmp_path)
    assert repository.local
    assert (repository.name, repository.host) == (tmp_path.name, "")


@pytest.mark.parametrize(
    "given",
    [
        "",
        "-x",
        "a\nb",
        5,
        "no such place",
        "https://github.com/ann",
        "ftp://h/o/r",
        "http://[x/o/r",
    ],
)
def test_what_names_no_repository_is_refused(given):
    with pytest.raises(LinkError) as caught:
        parse_repository(given)
    assert caught.value.why and caught.value.fix
