"""The pixel store: each file decoded once, in memory or on the disk, and the same pixels either way."""

import os
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from colab_kit.data import pixel_cache
from colab_kit.data.fingerprints import of_content
from colab_kit.data.images import decode, squash
from colab_kit.data.pixel_cache import PixelStore, store_for
from colab_kit.data.sources import Pictures
from colab_kit.system import row_store

from ..support.pictures import picture

PLENTY = 1 << 40
KINDS = {
    "memory": {"ram": PLENTY},
    "disk": {"ram": 0, "disk": PLENTY},
    "none": {"ram": 0, "disk": 0},
}


@pytest.fixture
def source(tmp_path) -> Pictures:
    paths = [
        picture(tmp_path / f"{n}.{'jpg' if n % 2 else 'png'}", n, size=(20 + n, 16))
        for n in range(6)
    ]
    paths[2].write_bytes(paths[2].read_bytes()[:50])
    return Pictures(paths, np.zeros(6, np.int64), tmp_path, "print")


def test_a_store_of_sampled_files_goes_by_their_dates_too(source):
    sampled = Pictures(source.paths, source.labels, source.root, "print", sampled=True)
    keys = {pixel_cache._key(one, 8, None, None) for one in (source, sampled)}
    os.utime(source.paths[0], (1, 1))
    keys |= {pixel_cache._key(one, 8, None, None) for one in (source, sampled)}
    assert len(keys) == 3


@pytest.fixture(params=KINDS)
def store(request, source, tmp_path) -> PixelStore:
    found = PixelStore(source, 8, place=tmp_path / "home", **KINDS[request.param])
    assert found.where == request.param and found.why
    return found


def count(monkeypatch) -> list:
    made = []
    monkeypatch.setattr(
        pixel_cache,
        "decode",
        lambda data, side, span, **more: made.append(data) or decode(data, side, **more),
    )
    return made


def test_a_row_is_the_whole_picture_squashed_and_its_proportions(store, source):
    for _ in range(2):
        for row in (5, 0, 3):
            found, aspect = store.read(row)
            assert (
                found == squash(decode(source.paths[row], 8), 8)
            ).all() and aspect == np.float32((20 + row) / 16)


def test_a_damaged_file_is_none_and_said(store):
    assert store.read(2) is None and store.read(2) is None
    assert list(store.bad) == [2] and "2.png cannot be read" in store.bad[2]


def test_a_picture_is_decoded_once_where_there_is_room(store, monkeypatch):
    made = count(monkeypatch)
    for row in (0, 1, 0, 1, 1):
        store.read(row)
    assert len(made) == (5 if store.where == "none" else 2)


def test_a_store_on_the_disk_is_used_again(source, tmp_path, monkeypatch):
    first = PixelStore(source, 8, place=tmp_path, **KINDS["disk"])
    before = [first.read(row) for row in (0, 1)]
    made = count(monkeypatch)
    again = PixelStore(source, 8, place=tmp_path, **KINDS["disk"])
    for row in (0, 1):
        assert (again.read(row)[0] == before[row][0]).all() and again.read(row)[1] == before[row][1]
    assert not made and again.read(3) is not None and len(made) == 1


@pytest.mark.parametrize("change", ["print", "side"])
def test_other_files_or_another_side_are_another_store(source, tmp_path, change):
    PixelStore(source, 8, place=tmp_path / "home", **KINDS["disk"])
    other = (
        Pictures(source.paths, source.labels, source.root, "other") if change == "print" else source
    )
    PixelStore(other, 9 if change == "side" else 8, place=tmp_path / "home", **KINDS["disk"])
    assert len(list((tmp_path / "home" / "pixels").iterdir())) == 2


def test_without_a_print_sizes_and_dates_tell_files_apart(source, tmp_path):
    plain = Pictures(source.paths, source.labels, source.root)
    PixelStore(plain, 8, place=tmp_path / "home", **KINDS["disk"])
    os.utime(source.paths[0], (1, 1))
    PixelStore(plain, 8, place=tmp_path / "home", **KINDS["disk"])
    assert len(list((tmp_path / "home" / "pixels").iterdir())) == 2


def test_pixels_that_a_dying_machine_lost_are_decoded_again(source, tmp_path):
    first = PixelStore(source, 8, place=tmp_path / "home", **KINDS["disk"])
    whole = first.read(0)[0].copy()
    del first
    (file,) = (tmp_path / "home" / "pixels").glob("*/rows")
    with open(file, "r+b") as lost:
        lost.write(bytes(8 * 8 * 3))
    again = PixelStore(source, 8, place=tmp_path / "home", **KINDS["disk"])
    assert (again.read(0)[0] == whole).all()


def test_two_stores_at_once_fill_one_file_rightly(source, tmp_path):
    one, two = (PixelStore(source, 8, place=tmp_path / "home", **KINDS["disk"]) for _ in range(2))
    one.read(0), two.read(1)
    assert (two.read(0)[0] == one.read(0)[0]).all() and (one.read(1)[0] == two.read(1)[0]).all()


def test_a_full_disk_is_not_filled_and_the_reason_says_so(source, tmp_path, monkeypatch):
    monkeypatch.setattr(
        row_store.shutil, "disk_usage", lambda path: SimpleNamespace(free=row_store.SPARE + 100)
    )
    found = PixelStore(source, 8, place=tmp_path / "home", ram=0)
    assert (
        found.where == "none"
        and "do not fit on the disk" in found.why
        and "decoded each time" in found.why
    )
    assert not list((tmp_path / "home" / "pixels").iterdir())


def test_stores_that_nobody_uses_make_room_oldest_first_and_those_in_use_stay(
    source, tmp_path, monkeypatch
):
    place = tmp_path / "home" / "pixels"
    used = row_store.RowStore(place / "used", (2, 8, 8, 3))
    for age, name in enumerate(("old", "older", "oldest")):
        del_me = row_store.RowStore(place / name, (2, 8, 8, 3))
        del del_me
        os.utime(place / name / ".lock", (1000 - age, 1000 - age))
    free = iter([0, PLENTY])
    monkeypatch.setattr(
        row_store.shutil, "disk_usage", lambda path: SimpleNamespace(free=next(free))
    )
    assert PixelStore(source, 8, place=tmp_path / "home", ram=0).where == "disk"
    left = {path.name for path in place.iterdir()}
    assert "used" in left and "oldest" not in left and "older" not in left and "old" in left
    assert used.get(0) is None


def test_no_more_than_a_few_unused_stores_stay(source, tmp_path):
    place = tmp_path / "home" / "pixels"
    for name in "abcdef":
        row_store.RowStore(place / name, (2, 8, 8, 3))
    PixelStore(source, 8, place=tmp_path / "home", **KINDS["disk"])
    assert len(list(place.iterdir())) == pixel_cache.KEPT


def test_a_process_killed_while_it_writes_leaves_whole_rows_only(source, tmp_path, monkeypatch):
    if (child := os.fork()) == 0:
        store = PixelStore(source, 8, place=tmp_path / "home", **KINDS["disk"])
        put = store._disk.put

        def die(row, pixels, aspect):
            if row == 3:
                store._disk._rows[row, :4] = pixels[:4]
                os.kill(os.getpid(), signal.SIGKILL)
            put(row, pixels, aspect)

        store._disk.put = die
        try:
            for row in (0, 1, 3):
                store.read(row)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    made = count(monkeypatch)
    store = PixelStore(source, 8, place=tmp_path / "home", **KINDS["disk"])
    for row in (0, 1, 3):
        assert (store.read(row)[0] == squash(decode(source.paths[row], 8), 8)).all()
    assert made == [source.paths[3].read_bytes()]


def test_the_store_of_a_source_is_one_in_a_process(source):
    assert store_for(source, 8) is store_for(source, 8) is not store_for(source, 9)


def test_who_keeps_nothing_uses_what_is_kept_and_leaves_nothing(source):
    passing = store_for(source, 8, kept=False)
    assert passing.where == "none" and passing.read(0) is not None
    store = store_for(source, 8)
    assert store.where != "none" and store_for(source, 8, kept=False) is store


@pytest.mark.parametrize("kind", KINDS)
def test_another_picture_in_the_place_of_one_is_no_row_and_is_named(source, tmp_path, kind):
    first = PixelStore(source, 8, place=tmp_path / "home", **KINDS[kind])
    assert first.read(4) is not None and source.contents[4].print == of_content(
        source.paths[4].read_bytes()
    )
    picture(source.paths[4], 77, size=(24, 16))
    again = PixelStore(source, 9, place=tmp_path / "home", **KINDS[kind])
    assert again.read(4) is None and again.changed == {4} and not again.bad


def test_where_the_disk_takes_nothing_pictures_are_decoded_each_time(source, tmp_path):
    (tmp_path / "home").write_text("a file, no folder")
    found = PixelStore(source, 8, place=tmp_path / "home", ram=0)
    assert (
        found.where == "none"
        and "the disk takes no store" in found.why
        and found.read(0) is not None
    )
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
