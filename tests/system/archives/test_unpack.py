"""Archives: unpacked whole or not at all, and a sentence for each kind that cannot be."""

import functools
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colab_kit.errors import BadArchive, ColabKitError, DataError, NoSpace, UnsafeArchive
from colab_kit.system.archives import limits
from colab_kit.system.archives import unpack as unpacking
from colab_kit.system.archives import zip as zips
from colab_kit.system.archives.unpack import beside, room, unpack
from colab_kit.system.filetypes import is_archive, stem

from ...support import examples, zoo

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
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def refused(archive, to, *words, kind=BadArchive):
    with pytest.raises(DataError) as error:
        unpack(archive, to)
    assert isinstance(error.value, kind)
    for word in words:
        assert word in str(error.value), str(error.value)
    assert error.value.fix and [p for p in archive.parent.iterdir() if p != archive] == [], (
        "nothing half stays"
    )


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
    refused(
        make(tmp_path / "x" / "p", held={"good": b"", name: b"x"}),
        tmp_path / "x" / "to",
        "outside",
        name,
        kind=UnsafeArchive,
    )
    assert not (tmp_path / "evil").exists()


def test_links_out_are_refused(tmp_path):
    for target in ("/etc", "../.."):
        archive = tmp_path / "p.tar"
        with tarfile.open(archive, "w") as file:
            link = tarfile.TarInfo("a")
            link.type, link.linkname = tarfile.SYMTYPE, target
            file.addfile(link)
        refused(archive, tmp_path / "to", "outside", "'a'", kind=UnsafeArchive)
    archive.unlink()
    link = zipfile.ZipInfo("a")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as file:
        file.writestr(link, "/etc")
    refused(tmp_path / "p.zip", tmp_path / "to", "holds a link, a", kind=UnsafeArchive)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"7z\xbc\xaf'\x1c" + bytes(600), ("is a 7z archive", "p7zip-full")),
        (b"Rar!\x1a\x07" + bytes(600), ("is a rar archive", "unrar")),
        (b"<!DOCTYPE html><title>Sign in</title>", ("is a web page", "Sign in")),
        (b"", ("is empty",)),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:"
            + b"a" * 64
            + b"\nsize 12345\n",
            ("Git LFS", "12,345 bytes"),
        ),
        (b"no archive at all" * 99, ("is damaged",)),
    ],
)
def test_what_is_no_zip_and_no_tar_says_what_it_is(tmp_path, monkeypatch, content, words):
    monkeypatch.setenv("PATH", "")  # no 7z, no unrar
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
    monkeypatch.setattr(
        zips.os, "write", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    refused(archive, tmp_path / "to", "the disk is full", "COLAB_KIT_HOME", kind=NoSpace)


def test_a_killed_call_leaves_no_folder_and_the_next_clears_up(tmp_path, monkeypatch):
    archive = a_tar(tmp_path / "p.tar")
    child = os.fork()
    if child == 0:
        unpacking.os.replace = lambda *a: os._exit(9)
        unpack(archive, tmp_path / "to")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = sorted(p.name for p in tmp_path.iterdir())
    assert len(left) == 2 and left[0].endswith(".part") and not (tmp_path / "to").exists()
    assert inside(unpack(archive, tmp_path / "to")) == HELD
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.tar", "to"]


def test_what_finish_does_is_in_the_folder_before_it_has_its_name(tmp_path):
    seen = []

    def finish(folder):
        seen.append((folder / "readme").exists() and not (tmp_path / "to").exists())
        (folder / "mark").write_text("1")

    unpack(a_zip(tmp_path / "p.zip"), tmp_path / "to", finish=finish)
    assert seen == [True] and (tmp_path / "to" / "mark").exists()


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine").write_text("1")
    with pytest.raises(BadArchive):
        unpack(a_zip(tmp_path / "p.zip"), tmp_path / "to")
    assert inside(tmp_path / "to") == {"mine": b"1"} and len(list(tmp_path.iterdir())) == 2


def test_an_archive_that_is_not_there_or_too_large_is_said(tmp_path, monkeypatch):
    with pytest.raises(BadArchive, match="could not be unpacked"):
        unpack(tmp_path / "none.zip", tmp_path / "to")
    monkeypatch.setattr(unpacking, "room", lambda folder: 1000)
    refused(
        a_zip(tmp_path / "p.zip"),
        tmp_path / "to",
        "the disk is full",
        "room for 0.0 MiB",
        kind=NoSpace,
    )
    os.unlink(tmp_path / "p.zip")
    refused(a_tar(tmp_path / "p.tar"), tmp_path / "to", "the disk is full", kind=NoSpace)


def test_a_bomb_is_refused_unless_it_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS", 1 << 20)
    archive = a_zip(tmp_path / "p.zip", {"a": bytes(5 << 20)})
    refused(archive, tmp_path / "to", "would fill the disk", "max_size=", kind=UnsafeArchive)
    with pytest.raises(UnsafeArchive, match="larger than allowed"):
        unpack(archive, tmp_path / "to", max_size=4 << 20)
    assert len(inside(unpack(archive, tmp_path / "to", max_size=5 << 20))) == 1


def test_beside_gives_a_folder_its_name_at_the_end_alone(tmp_path):
    with beside(tmp_path / "a" / "to") as part:
        (part / "x").write_text("1")
        assert not (tmp_path / "a" / "to").exists() and part.name.endswith(".part")
    assert inside(tmp_path / "a") == {"to/x": b"1"}
    for error in (OSError(28, "No space left on device"), ValueError("a bug"), KeyboardInterrupt()):
        with (
            pytest.raises(NoSpace if isinstance(error, OSError) else type(error)),
            beside(tmp_path / "a" / "other"),
        ):
            raise error
    assert os.listdir(tmp_path / "a") == ["to"]


def test_room_is_what_is_free_less_a_margin(tmp_path, monkeypatch):
    usage = lambda free: (
        lambda path: os.path.isdir(path) and shutil._ntuple_diskusage(1 << 50, 0, free)
    )
    for free, left in ((100 << 30, 98 << 30), (100 << 20, 36 << 20), (10 << 20, 0)):
        monkeypatch.setattr(shutil, "disk_usage", usage(free))
        assert room(tmp_path / "not" / "yet") == left


# --- whatever bytes come ----------------------------------------------------------------------------------------------

SEEDS = [
    zoo.zipped(),
    zoo.zipped(zip64=True),
    zoo.zipped(method=zipfile.ZIP_LZMA),
    zoo.tarred(),
    zoo.tarred(mode="w:gz"),
    zoo.sparse(),
]
MUCH = settings(
    derandomize=True,
    deadline=None,
    max_examples=examples(100),
    database=None,
    suppress_health_check=list(HealthCheck),
)


def attempt(content, kind="p"):
    """Unpack bytes: it goes, or a ColabKitError says why; and nothing is anywhere else."""
    with tempfile.TemporaryDirectory() as box:
        place = Path(box) / "a" / "b"
        place.mkdir(parents=True)
        (place / kind).write_bytes(content)
        try:
            unpack(place / kind, place / "to", max_size=1 << 24)
        except ColabKitError as err:
            assert err.what and err.why and err.fix
        assert {
            p.relative_to(box).as_posix()
            for p in Path(box).rglob("*")
            if place / "to" not in p.parents
        } <= {
            "a",
            "a/b",
            f"a/b/{kind}",
            "a/b/to",
        }
        for path in (place / "to").rglob("*"):
            assert path.resolve().is_relative_to((place / "to").resolve())


@MUCH
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_changed_bytes_end_in_a_sentence(seed, changes):
    content = bytearray(seed)
    for at, byte in changes:
        content[int(at * len(content))] = byte
    attempt(bytes(content))


@MUCH
@given(
    st.sampled_from(SEEDS[:3]),
    st.lists(st.tuples(st.integers(1, 260), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_a_changed_directory_ends_in_a_sentence(seed, changes):
    content = bytearray(seed)
    for back, byte in changes:
        content[-back] = byte
    attempt(bytes(content))


@MUCH
@given(
    st.sampled_from(SEEDS[3:4] + SEEDS[5:]),
    st.lists(st.tuples(st.integers(0, 511), st.integers(0, 255)), min_size=1, max_size=6),
    st.booleans(),
)
def test_a_changed_header_of_a_tar_ends_in_a_sentence(seed, changes, right):
    content = bytearray(seed)
    for at, byte in changes:
        content[at] = byte
    if right:  # the sum over it is made right again
        content[148:156] = b" " * 8
        content[148:156] = b"%06o\0 " % sum(content[:512])
    attempt(bytes(content))


@MUCH
@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from([b"../x", b"/x", b"a/..", b"a\\b", b"a/", b"a", b"./a", b"a/b", b"C:x"]),
        max_size=5,
    ),
    st.booleans(),
)
def test_whatever_names_end_inside_or_in_a_sentence(names, utf8):
    attempt(zoo.raw_zip([zoo.one(name, flags=0x800 * utf8) for name in names]))
    attempt(
        zoo.tarred(
            {name.decode("utf-8", "surrogateescape").replace("\0", ""): b"1" for name in names}
        )
    )


@MUCH
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "a/b", "b/c", "d/e/f"]), st.sampled_from([zoo.FILE, zoo.LINK, zoo.HARD, zoo.FOLDER]),
                  st.sampled_from(["a", "b", ".", "..", "../..", "a/..", "d/../..", "/", "../b", "b/c", "", "d/e/../../.."])),
        max_size=7,
    )
)  # fmt: skip
def test_whatever_links_lead_inside_or_end_in_a_sentence(parts):
    attempt(
        zoo.members(
            *((name, kind, b"1" if kind == zoo.FILE else target) for name, kind, target in parts)
        )
    )


@MUCH
@given(
    st.binary(max_size=2000),
    st.sampled_from(
        [b"", b"PK\3\4", b"PK\5\6", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]
    ),
)
def test_any_bytes_end_in_a_sentence(content, head):
    attempt(head + content)


@pytest.mark.skipif(shutil.which("7z") is None, reason="needs 7z")
@settings(MUCH, max_examples=examples(25))
@given(
    st.lists(
        st.tuples(st.integers(6, 31) | st.integers(6, 150), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_a_changed_7z_ends_in_a_sentence(changes, back):
    content = bytearray(a_7z())
    for at, byte in changes:
        content[-at if back else at] = byte
    attempt(bytes(content))


@functools.cache
def a_7z():
    with tempfile.TemporaryDirectory() as box:
        (Path(box) / "a").write_bytes(bytes(range(256)) * 4)
        subprocess.run(["7z", "a", "p.7z", "a"], cwd=box, check=True, capture_output=True)
        return (Path(box) / "p.7z").read_bytes()
