"""7z, rar, and single packed files: by whichever program is there, held against the same rules."""

import bz2
import lzma
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from colab_kit.errors import BadArchive, NoSpace, Stopped, UnsafeArchive
from colab_kit.events import Control
from colab_kit.system.archives import external
from colab_kit.system.archives.external import Locked, decompress
from colab_kit.system.archives.limits import Unpacking
from colab_kit.system.archives.unpack import unpack

from ...support import zoo
from ...support.zoo import HELD, listing

with_7z = pytest.mark.skipif(shutil.which("7z") is None, reason="needs 7z")


def _reads_rar():
    return (
        shutil.which("7z") is not None
        and "Rar5" in subprocess.run(["7z", "i"], capture_output=True, text=True).stdout
    )


with_rar = pytest.mark.skipif(
    not shutil.which("unrar") and not _reads_rar(), reason="needs unrar, or a 7z that knows rar"
)


def packed(archive, held=HELD, *options, links=()):
    """A 7z of files below x/."""
    for name, content in held.items():
        path = archive.parent / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name, target in links:
        (archive.parent / "x" / name).symlink_to(target)
    subprocess.run(
        ["7z", "a", *options, str(archive), "."],
        cwd=archive.parent / "x",
        check=True,
        capture_output=True,
    )
    shutil.rmtree(archive.parent / "x")
    return archive


def refused(archive, kind, *words, **kw):
    with pytest.raises(BadArchive) as error:
        unpack(archive, archive.parent / "to", **kw)
    assert type(error.value) is kind, repr(error.value)
    for word in words:
        assert word in str(error.value), str(error.value)
    assert os.listdir(archive.parent) == [archive.name] and error.value.fix


@with_7z
def test_a_7z_comes_out_as_it_went_in(tmp_path):
    archive = packed(tmp_path / "p.7z", {**HELD, "Kätzchen/貓 1.txt": b"1"})
    assert listing(unpack(archive, tmp_path / "to")) == {**HELD, "Kätzchen/貓 1.txt": b"1"}


@with_7z
@pytest.mark.parametrize("options", [("-psecret",), ("-psecret", "-mhe=on")])
def test_a_locked_7z_is_said(tmp_path, options):
    refused(
        packed(tmp_path / "p.7z", HELD, *options),
        Locked,
        "locked by a password",
        "7z x -pPASSWORD",
    )


@with_7z
def test_links_of_a_7z_are_refused(tmp_path):
    refused(
        packed(tmp_path / "p.7z", HELD, "-snl", links=[("l", "/etc")]),
        UnsafeArchive,
        "holds a link, l",
    )


@with_7z
def test_a_damaged_7z_leaves_nothing(tmp_path):
    archive = packed(tmp_path / "p.7z", {"a": os.urandom(9000)})
    content = archive.read_bytes()
    for wrong in (
        content[:4000],
        zoo.flipped(content, 3000),
        content[:-10],
        zoo.flipped(content, 20),
    ):
        archive.write_bytes(wrong)
        refused(archive, BadArchive, "is damaged")


@with_7z
def test_a_7z_is_held_against_the_limits_before_it_is_unpacked(tmp_path, monkeypatch):
    archive = packed(tmp_path / "p.7z", {"a": bytes(9 << 20)})
    refused(archive, UnsafeArchive, "larger than allowed", max_size=1 << 20)
    monkeypatch.setattr("colab_kit.system.archives.unpack.room", lambda folder: 2 << 20)
    with pytest.raises(NoSpace, match="room for"):
        unpack(archive, tmp_path / "to")


@with_7z
def test_a_stop_ends_the_program(tmp_path):
    control = Control()
    control.stop("enough")
    with pytest.raises(Stopped, match="enough"):
        unpack(packed(tmp_path / "p.7z"), tmp_path / "to", control=control)
    assert os.listdir(tmp_path) == ["p.7z"]


PROGRAM = """#!/bin/sh
case "$1" in
l) printf 'Path = a b\\nSize = 3\\nAttributes = A -rw-r--r--\\n' ;;
x) test -z "$FAULT" || { echo "$FAULT" >&2; exit 2; }
   for word; do case "$word" in -o*) printf 123 > "${word#-o}/a b" ;; esac; done ;;
esac
"""


@pytest.fixture
def a_7z(tmp_path, monkeypatch):
    """A 7z, and a program of that name which unpacks it, or fails with the words in $FAULT."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "7z").write_text(PROGRAM)
    (tmp_path / "bin" / "7z").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    monkeypatch.setattr(external, "PROGRAMS", {"7z": ("7z",)})
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "p.7z").write_bytes(b"7z\xbc\xaf'\x1c" + bytes(600))
    monkeypatch.chdir(tmp_path / "d")
    return tmp_path / "d" / "p.7z"


def test_a_program_unpacks_also_into_a_relative_folder(a_7z):
    assert listing(unpack(a_7z, Path("to"))) == {"a b": b"123"}


def test_a_program_that_fails_says_why_and_a_password_is_told_apart(a_7z, monkeypatch):
    monkeypatch.setitem(sys.modules, "py7zr", None)
    monkeypatch.setenv("FAULT", "Headers Error")
    refused(a_7z, BadArchive, "is damaged", "Headers Error")
    monkeypatch.setenv("FAULT", "Wrong password?")
    refused(a_7z, Locked, "locked by a password")


@pytest.mark.parametrize(
    ("kind", "head"), [("7z", b"7z\xbc\xaf'\x1c"), ("rar", b"Rar!\x1a\x07\x01\0")]
)
def test_without_a_program_the_fix_names_one(tmp_path, monkeypatch, kind, head):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "p").write_bytes(head + bytes(600))
    refused(tmp_path / "p", BadArchive, f"is a {kind} archive", "!apt-get -q install")


@with_rar
def test_a_rar_comes_out_as_it_went_in(tmp_path):
    (tmp_path / "p.rar").write_bytes(zoo.rar())
    assert listing(unpack(tmp_path / "p.rar", tmp_path / "to")) == HELD


@with_rar
def test_a_bad_rar_is_refused(tmp_path):
    archive = tmp_path / "p.rar"
    for content in (zoo.rar(crc_off=1), zoo.rar()[:3000], zoo.flipped(zoo.rar(), 100)):
        archive.write_bytes(content)
        refused(archive, BadArchive, "is damaged")
    archive.write_bytes(zoo.rar({"good": b"", "../evil": b"1"}))
    refused(archive, UnsafeArchive, "outside")


LISTS = {
    "7z": (
        external.SEVEN,
        "Path = d\nSize = 0\nAttributes = D drwxr-xr-x\n\nPath = d/a b\nSize = 12\nAttributes = A -rw-r--r--\nEncrypted = -\n",
    ),
    "unrar": (
        external.UNRAR,
        "\nUNRAR 6.11 beta 1 freeware\n\nArchive: p.rar\nDetails: RAR 5\n\n        Name: d/a b\n        Type: File\n        Size: 12\n"
        " Packed size: 9\n  Attributes: -rw-r--r--\n\n"
        "        Name: d\n        Type: Directory\n  Attributes: drwxr-xr-x\n\n     Service: EOF\n",
    ),
}


@pytest.mark.parametrize("program", LISTS)
def test_a_list_is_understood(program):
    how, lines = LISTS[program]
    members = {member.name: member for member in how.parse(lines)}
    assert set(members) == {"d", "d/a b"}
    assert members["d"].folder and not members["d/a b"].folder and members["d/a b"].size == 12
    assert not any(member.link or member.locked for member in members.values())


@pytest.mark.parametrize("program", LISTS)
@pytest.mark.parametrize(
    ("said", "instead", "kind"),
    [("-rw-r--r--", "lrwxrwxrwx", "link"), ("File", "Unix symbolic link", "link")],
)
def test_a_link_in_a_list_is_seen(program, said, instead, kind):
    how, lines = LISTS[program]
    if (said == "File") == (program == "unrar"):
        assert any(getattr(member, kind) for member in how.parse(lines.replace(said, instead)))


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        (("../a", 1, False, False, False), UnsafeArchive), (("/a", 1, False, False, False), UnsafeArchive),
        (("a", 1, False, True, False), UnsafeArchive), (("a", 1, False, False, True), Locked),
        (("a", 9 << 40, False, False, False), UnsafeArchive), (("b", 1, False, False, False), UnsafeArchive),
    ],
)  # fmt: skip
def test_a_list_is_held_against_the_rules(tmp_path, member, kind):
    (tmp_path / "p").write_bytes(b"1")
    job = Unpacking("p")
    listed = [external.ListedFile("b", 1, False, False, False), external.ListedFile(*member)]
    with pytest.raises(BadArchive) as error:
        external._approve(listed, tmp_path / "p", job)
    assert type(error.value) is kind


def test_a_name_that_forges_a_line_of_the_list_is_refused():
    with pytest.raises(UnsafeArchive):
        list(
            external.SEVEN.parse(
                "Path = a\nAttributes = A -rw-r--r--\nSize = 1\nAttributes = A lrwxrwxrwx\n"
            )
        )


def test_what_came_out_and_was_not_listed_is_refused(tmp_path):
    job = Unpacking("p")
    (tmp_path / "a").write_bytes(b"1")
    external._compare({"a": 1}, tmp_path, job)
    for wrong in ({}, {"a": 2}, {"a": 1, "b": 0}):
        with pytest.raises(BadArchive, match="damaged"):
            external._compare(wrong, tmp_path, job)
    (tmp_path / "l").symlink_to("/etc")
    with pytest.raises(BadArchive, match="damaged"):
        external._compare({"a": 1, "l": 4}, tmp_path, job)


SINGLE = {
    "gz": lambda content: zlib.compress(content, wbits=31),
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("kind", SINGLE)
def test_a_single_file_is_unpacked_whole_or_not_at_all(tmp_path, kind):
    content = os.urandom(1000) * 1100
    archive, to = tmp_path / f"a.csv.{kind}", tmp_path / "a.csv"
    whole = SINGLE[kind](content)
    archive.write_bytes(whole)
    assert (
        decompress(archive, to, Unpacking("p", room=1 << 30)) == len(content)
        and to.read_bytes() == content
    )
    to.write_bytes(b"before")
    for wrong in (whole[: len(whole) // 2], whole[:-3], zoo.flipped(whole, len(whole) // 2)):
        archive.write_bytes(wrong)
        with pytest.raises(BadArchive, match="is damaged"):
            decompress(archive, to, Unpacking("p"))
    archive.write_bytes(whole)
    with pytest.raises(UnsafeArchive, match="larger than allowed"):
        decompress(archive, to, Unpacking("p", max_size=1 << 20))
    with pytest.raises(NoSpace):
        decompress(archive, to, Unpacking("p", room=1 << 20))
    assert to.read_bytes() == b"before" and sorted(os.listdir(tmp_path)) == ["a.csv", archive.name]


def test_what_is_not_packed_is_said(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(BadArchive, match="is no packed file"):
        decompress(tmp_path / "a.gz", tmp_path / "a", Unpacking("p"))
