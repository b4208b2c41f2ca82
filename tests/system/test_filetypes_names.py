"""Names: which file is an archive, and which member's name may become a file below a folder."""

import pytest

from colab_kit.errors import UnsafeArchive
from colab_kit.system import filetypes
from colab_kit.system.filetypes import ENDINGS, SINGLES, Places, inside, is_archive, stem


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("pets.tar.gz", "pets"),
        ("Pets.ZIP", "Pets"),
        ("p.tar.zst", "p"),
        ("a.b.7z", "a.b"),
        (".zip", ".zip"),
    ],
)
def test_an_archive_is_told_by_its_name(name, bare):
    assert is_archive(name) and stem(name) == bare


@pytest.mark.parametrize("name", ["labels.csv.gz", "a.txt", "zip", "model.pt", "x.bz2"])
def test_a_single_packed_file_is_no_archive(name):
    assert not is_archive(name) and stem(name) == name
    assert not set(SINGLES) & set(ENDINGS)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a/b", "a/b"),
        ("a\\b", "a/b"),
        ("./a", "a"),
        ("a//b/", "a/b"),
        ("a/./b", "a/b"),
        ("./", ""),
        ("..a", "..a"),
        ("é/貓", "é/貓"),
        ("a:b", "a:b"),
    ][:-1],
)
def test_a_name_becomes_a_place(name, place):
    assert inside(name) == place


@pytest.mark.parametrize(
    "name",
    [
        "/a",
        "\\a",
        "//a",
        "..",
        "../a",
        "a/..",
        "a\\..\\b",
        "C:a",
        "c:\\a",
        "./C:a",
        "a\0",
        "a\nb",
        "\x7f",
        "a" * 256,
        "貓" * 86,
        "a/" * 101,
        "\ud800",
    ],
)
def test_a_name_that_leads_out_or_fits_no_disk_is_refused(name):
    with pytest.raises(UnsafeArchive) as error:
        inside(name, "pets.zip")
    assert "pets.zip" in error.value.what and error.value.why and error.value.fix


def test_two_members_never_take_one_place():
    places = Places("pets.zip")
    assert (
        places.take("a/b", folder=False) == "a/b"
        and places.take("a", folder=True) == "a"
        and places.take("a/", folder=True) == "a"
    )
    for name, folder in (
        ("a/b", False),
        ("a", False),
        ("a/b/c", False),
        ("a/b", True),
        ("./a/b", False),
    ):
        with pytest.raises(UnsafeArchive, match="which file is meant"):
            places.take(name, folder=folder)
    assert places.take("A/b", folder=False) == "A/b", "another case is another name"


def test_files_and_the_folders_above_them_are_counted_together(monkeypatch):
    monkeypatch.setattr(filetypes, "MOST", 5)
    places = Places("pets.zip")
    places.take("a/b/c", folder=False)
    with pytest.raises(UnsafeArchive, match="more than 5"):
        places.take("d/e", folder=False)
