"""fetch() of an archive: unpacked from where it is, while it comes or afterwards; never half, never outside."""

import gzip
import hashlib
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from colab_kit.errors import BadArchive, FetchError, HashMismatch, UnsafeArchive
from colab_kit.fetching import streaming

from ..support.fetching import FILES, a_tar, a_zip, get, left, notes, tree

pytestmark = pytest.mark.usefixtures("here")


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
