"""Archives: unpacked whole or not at all, and a sentence for each kind that cannot be."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from colab_kit import archives
from colab_kit.archives import is_archive, stem, unpack
from colab_kit.errors import DataError

HELD = {"pets/cat/a.txt": b"a" * 5000, "pets/dog/b.txt": os.urandom(9000), "readme": b""}


def a_zip(path, held=HELD):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in held.items():
            file.writestr(name, content)
    return path


def a_tar(path, mode="w", held=HELD):
    with tarfile.open(path, mode) as file:
        for name, content in held.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


KINDS = {
    "p.zip": a_zip, "p.tar": a_tar, "p.tar.gz": lambda p: a_tar(p, "w:gz"), "p.tgz": lambda p: a_tar(p, "w:gz"),
    "p.tar.bz2": lambda p: a_tar(p, "w:bz2"), "p.tar.xz": lambda p: a_tar(p, "w:xz"),
}  # fmt: skip


def inside(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive, to, *words):
    with pytest.raises(DataError) as error:
        unpack(archive, to)
    for word in words:
        assert word in str(error.value), str(error.value)
    assert error.value.fix and [p for p in archive.parent.iterdir() if p != archive] == [], "nothing half stays"


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_comes_out_as_it_went_in_whatever_its_name_says(tmp_path, name):
    archive = KINDS[name](tmp_path / name)
    assert inside(unpack(archive, tmp_path / "to")) == HELD
    assert is_archive(name) and stem(name) == "p"
    os.rename(archive, tmp_path / "other.bin")
    assert inside(unpack(tmp_path / "other.bin", tmp_path / "again")) == HELD
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "other.bin", "to"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_cut_archive_is_damaged_and_leaves_nothing(tmp_path, name, share):
    archive = KINDS[name](tmp_path / name)
    os.truncate(archive, int(archive.stat().st_size * share))
    refused(archive, tmp_path / "to", "is damaged", "get it again")


def test_a_flipped_byte_in_a_zip_is_found(tmp_path):
    archive = a_zip(tmp_path / "p.zip")
    content = bytearray(archive.read_bytes())
    content[3000] ^= 1
    archive.write_bytes(content)
    refused(archive, tmp_path / "to", "is damaged")


@pytest.mark.parametrize("make", [a_zip, a_tar])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil"])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path, make, name):
    (tmp_path / "x").mkdir()
    refused(make(tmp_path / "x" / "p", held={"good": b"", name: b"x"}), tmp_path / "x" / "to", "outside", name)
    assert not (tmp_path / "evil").exists()


def test_links_out_are_refused(tmp_path):
    for target in ("/etc", "../.."):
        archive = tmp_path / "p.tar"
        with tarfile.open(archive, "w") as file:
            link = tarfile.TarInfo("a")
            link.type, link.linkname = tarfile.SYMTYPE, target
            file.addfile(link)
        refused(archive, tmp_path / "to", "outside", "'a'")
    archive.unlink()
    link = zipfile.ZipInfo("a")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as file:
        file.writestr(link, "/etc")
    refused(tmp_path / "p.zip", tmp_path / "to", "holds a link, a")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"7z\xbc\xaf'\x1c" + bytes(600), ("is a 7z archive", "p7zip-full")),
        (b"Rar!\x1a\x07" + bytes(600), ("is a rar archive", "unrar")),
        (b"<!DOCTYPE html><title>Sign in</title>", ("is a web page", "Sign in")),
        (b"", ("is empty",)),
        (b"no archive at all" * 99, ("is damaged",)),
    ],
)
def test_what_is_no_zip_and_no_tar_says_what_it_is(tmp_path, content, words):
    (tmp_path / "p.zip").write_bytes(content)
    refused(tmp_path / "p.zip", tmp_path / "to", *words)


def test_a_password_is_named(tmp_path):
    archive = a_zip(tmp_path / "p.zip", {"a": b"x"})
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # the flag in the local header and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    refused(archive, tmp_path / "to", "password", "unzip -q -P")


def test_a_full_disk_says_how_much_is_free(tmp_path, monkeypatch):
    archive = a_zip(tmp_path / "p.zip")
    monkeypatch.setattr(archives.zipfile.ZipFile, "extract", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    refused(archive, tmp_path / "to", "the disk is full", "COLAB_KIT_HOME")


def test_a_killed_call_leaves_no_folder_and_the_next_clears_up(tmp_path, monkeypatch):
    archive = a_tar(tmp_path / "p.tar")
    child = os.fork()
    if child == 0:
        archives.os.replace = lambda *a: os._exit(9)
        unpack(archive, tmp_path / "to")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = sorted(p.name for p in tmp_path.iterdir())
    assert len(left) == 2 and left[0].endswith(".part") and not (tmp_path / "to").exists()
    assert inside(unpack(archive, tmp_path / "to")) == HELD
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.tar", "to"]
