"""Zips: the directory is held against the rules, and a few threads write what it says and nothing else."""

import os
import threading
import tracemalloc
import zipfile

import pytest

from colab_kit.errors import BadArchive, FetchError, NoSpace, Offline, Stopped
from colab_kit.events import Control
from colab_kit.system.archives import zip as zips
from colab_kit.system.archives.limits import Unpacking
from colab_kit.system.archives.unpack import unpack

from ...support import zoo
from ...support.zoo import HELD, listing, zipped


class Counted:
    """A zip far away, which counts what is read of it."""

    def __init__(self, content):
        self.content, self.reads = content, []

    def __call__(self, offset, size):
        self.reads.append((offset, size))
        return self.content[offset : offset + size]

    def directory(self):
        return zips.directory(self, len(self.content), called="pets.zip")


def extract(content, to, **kw):
    read = Counted(content)
    members = read.directory()
    to.mkdir(exist_ok=True)
    zips.extract(read, members, to, Unpacking("pets.zip", **kw))
    return members


@pytest.mark.parametrize("name", zoo.ODD_ZIPS)
def test_an_odd_zip_comes_out_as_it_went_in(tmp_path, name):
    make, names = zoo.ODD_ZIPS[name]
    (tmp_path / "p.zip").write_bytes(make())
    found = listing(unpack(tmp_path / "p.zip", tmp_path / "to"))
    assert set(found) == names
    if names == set(HELD):
        assert found == HELD


@pytest.mark.parametrize("name", zoo.BAD_ZIPS)
def test_a_bad_zip_is_refused_in_words_and_leaves_nothing(tmp_path, name):
    make, kind, word = zoo.BAD_ZIPS[name]
    archive = tmp_path / "x" / "p.zip"
    archive.parent.mkdir()
    archive.write_bytes(make())
    with pytest.raises(BadArchive) as error:
        unpack(archive, tmp_path / "x" / "to")
    assert type(error.value) is kind and word in str(error.value), str(error.value)
    assert error.value.why and error.value.fix
    assert [p.name for p in tmp_path.rglob("*")] == ["x", "p.zip"], "nothing outside, nothing half"


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_a_cut_zip_is_damaged(tmp_path, share):
    content = zipped()
    with pytest.raises(BadArchive, match="is damaged"):
        extract(content[: int(len(content) * share)], tmp_path / "to")


def test_a_directory_needs_three_reads_at_most_and_none_of_a_member():
    far = Counted(zipped({f"pets/{i % 7}/{i:05}.jpg": os.urandom(200) for i in range(2000)}))
    members = far.directory()
    assert len(members) == 2000 and len(far.reads) <= 3
    first = min(member.end for member in members[-1:])
    assert all(offset >= min(first, len(far.content) - (64 << 10)) for offset, _ in far.reads)
    assert sum(size for _, size in far.reads) <= (64 << 10) + len(far.content) - first
    small = Counted(zipped())
    assert len(small.directory()) == 3 and len(small.reads) == 1


def test_members_follow_each_other_without_a_gap():
    members = Counted(zipped()).directory()
    assert [m.name for m in members] == list(HELD)
    assert [m.start for m in members[1:]] == [m.end for m in members[:-1]]


def test_neighbours_are_read_together(tmp_path):
    far = Counted(zipped({f"{i:03}": os.urandom(1000) for i in range(100)}))
    members = far.directory()
    far.reads.clear()
    zips.extract(far, members, tmp_path, Unpacking("p"), batch=10_000, threads=1)
    assert 11 <= len(far.reads) <= 14 and max(size for _, size in far.reads) <= 10_000
    assert len(listing(tmp_path)) == 100


def test_a_part_of_the_members_can_be_written(tmp_path):
    far = Counted(zipped({f"a/{i}": bytes([i]) * 500 for i in range(20)}))
    zips.extract(far, far.directory()[::3], tmp_path, Unpacking("p"))
    assert listing(tmp_path) == {f"a/{i}": bytes([i]) * 500 for i in range(0, 20, 3)}


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_large_member_is_written_in_pieces(tmp_path, method):
    held = {"large": os.urandom(3000) * 500, "larger": bytes(3 << 20), "small": b"1"}
    far = Counted(zipped(held, method))
    members = far.directory()
    far.reads.clear()
    zips.extract(far, members, tmp_path, Unpacking("p"))
    assert listing(tmp_path) == held
    assert max(size for _, size in far.reads) <= 1 << 20


def test_a_program_may_be_run_and_a_picture_not(tmp_path):
    extract(zoo.with_info(mode=0o100755), tmp_path / "to")
    extract(zoo.with_info(mode=0o100644), tmp_path / "other")
    assert (
        os.access(tmp_path / "to" / "a", os.X_OK)
        and not (tmp_path / "other" / "a").stat().st_mode & 0o111
    )


def test_figures_are_told_in_this_thread_and_end_with_all(tmp_path):
    told, threads = [], set()
    extract(
        zipped(),
        tmp_path / "to",
        told=lambda *figures: (told.append(figures), threads.add(threading.get_ident())),
    )
    assert told[-1] == (3, sum(map(len, HELD.values()))) and threads == {threading.get_ident()}


def test_a_stop_ends_it(tmp_path):
    control = Control()
    far = Counted(zipped({f"{i:03}": os.urandom(1000) for i in range(100)}))
    members = far.directory()

    def read(offset, size):
        control.stop("enough")
        return far(offset, size)

    job = Unpacking("p", control=control)
    with pytest.raises(Stopped, match="enough"):
        zips.extract(read, members, tmp_path, job, batch=10_000, threads=2)
    assert len(listing(tmp_path)) < 30


def test_a_pause_is_waited_for(tmp_path):
    control, seen = Control(), []
    control.pause()
    content = zipped()
    timer = threading.Timer(0.1, lambda: (seen.append(len(listing(tmp_path))), control.resume()))
    timer.start()
    extract(content, tmp_path, control=control)
    assert seen == [0] and len(listing(tmp_path)) == 3


@pytest.mark.parametrize(
    "error", [Offline("no network"), ZeroDivisionError("a bug"), KeyError("no ColabKitError")]
)
@pytest.mark.parametrize("at", ["directory", "members"])
def test_an_error_of_the_reading_comes_out_as_it_is(tmp_path, error, at):
    content = zipped()

    def read(offset, size):
        if at == "directory" or size < 20000 and offset < 100 and reads:
            raise error
        reads.append(offset)
        return content[offset : offset + size]

    reads = []
    with pytest.raises(type(error)) as caught:
        zips.extract(read, zips.directory(read, len(content), called="p"), tmp_path, Unpacking("p"))
    assert caught.value is error


def test_the_first_error_ends_all_threads(tmp_path):
    far = Counted(zipped({f"{i:03}": os.urandom(1000) for i in range(200)}))
    members, before = far.directory(), threading.active_count()

    def read(offset, size):
        if offset:
            raise FetchError("gone")
        return far(offset, size)

    with pytest.raises(FetchError, match="gone"):
        zips.extract(read, members, tmp_path, Unpacking("p"), batch=5000, threads=8)
    assert threading.active_count() == before and len(far.reads) <= 2


def test_an_interrupt_ends_the_threads(tmp_path):
    far = Counted(zipped({f"{i:03}": os.urandom(1000) for i in range(200)}))
    members, before = far.directory(), threading.active_count()

    def told(files, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zips.extract(far, members, tmp_path, Unpacking("p", told=told))
    assert threading.active_count() == before


def test_a_full_disk_and_a_name_that_is_taken_are_said(tmp_path, monkeypatch):
    extract(zipped(), tmp_path / "to")
    with pytest.raises(BadArchive, match="there already"):
        extract(zipped(), tmp_path / "to")
    monkeypatch.setattr(
        zips.os, "write", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(NoSpace, match="the disk is full"):
        extract(zipped(), tmp_path / "other")


def test_a_disk_that_takes_a_part_of_a_write_gets_the_rest(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(zips.os, "write", lambda handle, content: write(handle, content[:700]))
    extract(zipped(), tmp_path / "to")
    monkeypatch.undo()
    assert listing(tmp_path / "to") == HELD


def test_memory_stays_bounded_whatever_a_member_has(tmp_path):
    content = zipped({name: bytes(12 << 20) for name in "abcd"})
    tracemalloc.start()
    try:
        extract(content, tmp_path / "to")
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


def test_a_member_that_lies_of_its_size_takes_no_more_memory_than_it_says(tmp_path):
    content = zoo.raw_zip([zoo.one(b"a"), zoo.one(b"b", bytes(60 << 20), size=10)])
    tracemalloc.start()
    try:
        with pytest.raises(BadArchive, match="another size"):
            extract(content, tmp_path / "to")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_byte_of_a_large_member_is_found(tmp_path, method):
    with pytest.raises(BadArchive, match="another CRC"):
        extract(zoo.flipped(zipped({"a": os.urandom(5 << 20)}, method), 3 << 20), tmp_path / "to")
