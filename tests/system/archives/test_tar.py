"""Tars: read once as they come, each member held against the rules, and the stream read to its end."""

import bz2
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import sys
import tracemalloc
import zlib

import pytest

from colab_kit.errors import BadArchive, ColabKitError, NoSpace, Offline, Stopped, UnsafeArchive
from colab_kit.events import Control
from colab_kit.system.archives import tar as tars
from colab_kit.system.archives.limits import Unpacking
from colab_kit.system.archives.unpack import unpack

from ...support import zoo
from ...support.zoo import HELD, listing, tarred


class Slow:
    """A stream that gives a few bytes at a time, and hashes them."""

    def __init__(self, content, most=1000, error=None):
        self.file, self.most, self.error, self.digest = (
            io.BytesIO(content),
            most,
            error,
            hashlib.sha256(),
        )

    def read(self, size):
        chunk = self.file.read(min(size, self.most))
        if not chunk and self.error is not None:
            raise self.error
        self.digest.update(chunk)
        return chunk


def extract(content, to, **kw):
    job = Unpacking("pets.tar", **kw)
    tars.extract(Slow(content), to, job)
    return job.files, job.bytes


def zst(content):
    return subprocess.run(["zstd", "-qc"], input=content, capture_output=True, check=True).stdout


PACKED = {
    "plain": lambda content: content, "gz": lambda content: zlib.compress(content, wbits=31), "bz2": bz2.compress, "xz": lzma.compress,
    "two gz": lambda content: zlib.compress(content[:9000], wbits=31) + zlib.compress(content[9000:], wbits=31),
    "gz, filled up": lambda content: zlib.compress(content, wbits=31) + bytes(5000),
    "two bz2": lambda content: bz2.compress(content[:9000]) + bz2.compress(content[9000:]),
}  # fmt: skip


@pytest.mark.parametrize("how", PACKED)
def test_each_packing_is_known_by_its_bytes_and_read_to_its_end(tmp_path, how):
    content = PACKED[how](tarred())
    stream, job = Slow(content), Unpacking("p", room=1 << 30)
    tars.extract(stream, tmp_path, job)
    assert (job.files, job.bytes) == (3, sum(map(len, HELD.values())))
    assert listing(tmp_path) == HELD
    assert stream.digest.digest() == hashlib.sha256(content).digest(), "all of it was read"


@pytest.mark.parametrize("name", zoo.ODD_TARS)
def test_an_odd_tar_comes_out_as_it_went_in(tmp_path, name):
    make, names = zoo.ODD_TARS[name]
    (tmp_path / "p").write_bytes(make())
    found = listing(unpack(tmp_path / "p", tmp_path / "to"))
    assert set(found) == names
    if names == set(HELD):
        assert found == HELD


@pytest.mark.parametrize("name", zoo.BAD_TARS)
def test_a_bad_tar_is_refused_in_words_and_leaves_nothing(tmp_path, name):
    make, kind, word = zoo.BAD_TARS[name]
    archive = tmp_path / "x" / "p.tar"
    archive.parent.mkdir()
    archive.write_bytes(make())
    with pytest.raises(ColabKitError) as error:
        unpack(archive, tmp_path / "x" / "to")
    assert isinstance(error.value, kind) and word in str(error.value), str(error.value)
    assert error.value.why and error.value.fix
    assert [p.name for p in tmp_path.rglob("*")] == ["x", "p.tar"], "nothing outside, nothing half"


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_cut_tar_is_damaged(tmp_path, how, share):
    content = PACKED[how](tarred({name: os.urandom(5000) for name in "abcdefgh"}))
    if how == "gz, filled up":
        content = content[:-5000]
    with pytest.raises(BadArchive, match="damaged"):
        extract(content[: int(len(content) * share)], tmp_path)


def test_a_tar_cut_between_members_is_damaged(tmp_path):
    whole = tarred({"a": bytes(512), "b": bytes(512)})
    for blocks in (2, 4):
        (tmp_path / str(blocks)).mkdir()
        with pytest.raises(BadArchive, match="damaged"):
            extract(whole[: blocks * 512], tmp_path / str(blocks))


def test_a_bomb_stops_at_the_limit(tmp_path, monkeypatch):
    content = zlib.compress(tarred({"a": bytes(9 << 20)}), wbits=31)
    with pytest.raises(UnsafeArchive, match="larger than allowed"):
        extract(content, tmp_path, max_size=1 << 20)
    with pytest.raises(NoSpace, match="room for 2.0 MiB"):
        extract(content, tmp_path, room=2 << 20)
    monkeypatch.setattr("colab_kit.system.archives.limits.HARMLESS", 4 << 20)
    with pytest.raises(UnsafeArchive, match="max_size="):
        extract(content, tmp_path)
    assert os.path.getsize(tmp_path / "a") <= 4 << 20
    os.unlink(tmp_path / "a")
    assert extract(content, tmp_path, max_size=9 << 20) == (1, 9 << 20)


@pytest.mark.parametrize("error", [Offline("no network"), Stopped("began anew"), KeyError("a bug")])
@pytest.mark.parametrize("how", ["plain", "gz", "bz2", "xz"])
def test_an_error_of_the_stream_comes_out_as_it_is(tmp_path, error, how):
    content = PACKED[how](tarred({name: os.urandom(5000) for name in "abcd"}))
    for share in (0, 0.5, 1):
        (tmp_path / str(share)).mkdir()
        with pytest.raises(type(error)) as caught:
            stream = Slow(content[: int(len(content) * share)], error=error)
            tars.extract(stream, tmp_path / str(share), Unpacking("p"))
        assert caught.value is error


def test_a_stop_ends_it_and_a_full_disk_is_said(tmp_path, monkeypatch):
    control = Control()
    control.stop("enough")
    with pytest.raises(Stopped, match="enough"):
        extract(tarred({"a": bytes(9000), "b": b""}), tmp_path, control=control)
    monkeypatch.setattr(
        tars,
        "open",
        lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        raising=False,
    )
    with pytest.raises(NoSpace, match="the disk is full"):
        extract(tarred({"b": b"1"}), tmp_path)


def test_figures_are_told(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("colab_kit.system.archives.limits.TELL", 0)
    extract(tarred(), tmp_path, told=lambda *figures: told.append(figures))
    assert told[-1] == (3, sum(map(len, HELD.values()))) and told == sorted(told) and len(told) > 3


def test_hard_links_are_the_same_file_and_modes_are_kept(tmp_path):
    extract(zoo.members(("d/a", zoo.FILE, b"1"), ("c", zoo.HARD, "./d/a")), tmp_path)
    assert os.path.samefile(tmp_path / "c", tmp_path / "d" / "a")
    assert not os.stat(tmp_path / "c").st_mode & 0o6111


def test_a_file_with_holes_comes_out_in_its_length(tmp_path):
    extract(zoo.sparse(1 << 20), tmp_path)
    content = (tmp_path / "holes").read_bytes()
    assert len(content) == 1 << 20 and content.rstrip(b"\0") == b"holes"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="makes zst files")
@pytest.mark.parametrize("error", [None, Offline("no network")])
def test_zst_is_read_by_the_program(tmp_path, error):
    content = zst(tarred({name: os.urandom(5000) for name in "abcd"}))
    (tmp_path / "to").mkdir()
    assert extract(content, tmp_path / "to") == (4, 20000)
    (tmp_path / "cut").mkdir()
    with pytest.raises(BadArchive if error is None else Offline):
        tars.extract(Slow(content[:9000], error=error), tmp_path / "cut", Unpacking("p"))


def test_zst_without_a_reader_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    for name in ("compression", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadArchive, match="pip install zstandard"):
        extract(b"\x28\xb5\x2f\xfd" + bytes(600), tmp_path)


@pytest.mark.parametrize("how", ["gz", "bz2", "xz"])
def test_memory_stays_bounded_whatever_a_member_has(tmp_path, how):
    content = PACKED[how](tarred({"a": bytes(20 << 20)}))
    tracemalloc.start()
    try:
        extract(content, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_what_follows_the_end_is_read_even_where_it_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(tars, "TRAILING", 0)
    content = tarred() + os.urandom(3 << 20)
    stream = Slow(content, most=1 << 16)
    tars.extract(stream, tmp_path, Unpacking("p"))
    assert stream.digest.digest() == hashlib.sha256(content).digest()
