"""The stage: what lies on Drive is brought once, whole, to the fast disk, and as one file to the next machine."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import threading
import tracemalloc
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from colab_kit.colab import reading
from colab_kit.colab import staging as room
from colab_kit.colab.drive import Drive
from colab_kit.colab.reading import CALLS, WAITS, DriveCalls, list_files
from colab_kit.colab.slots import MANIFEST, holds, pack
from colab_kit.colab.staging import unpacked
from colab_kit.errors import DataError, DriveError
from colab_kit.events import Control, FetchDone, FetchProgress, FetchStarted, Note


def stage(path, *, hands=CALLS, **more) -> Path:
    """staging.stage() with these calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CALLS", hands)
        return room.stage(path, **more)


class Counting:
    """Hands that count what reaches Drive and fail where they are told to."""

    def __init__(self, drive: Drive) -> None:
        self.seen, self.slept, self.fails = Counter[str](), [], {}
        self.lock = threading.Lock()

        def counted(call, do):
            def wrapped(path):
                if str(path).startswith(str(drive.mountpoint)):
                    with self.lock:
                        self.seen[call] += 1
                    self.fail(call, path)
                return do(path)

            return wrapped

        self.hands = DriveCalls(
            counted("scan", CALLS.scan),
            counted("size", CALLS.size),
            counted("open", CALLS.open),
            CALLS.room,
            self.slept.append,
        )

    def fail(self, call, path):
        number, times = self.fails.get(call, (0, 0))
        if times:
            self.fails[call] = number, times - 1
            raise OSError(number, os.strerror(number), str(path))


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drive:
    monkeypatch.setattr(room, "MANY", 10)
    point = tmp_path / "drive"
    (point / "MyDrive").mkdir(parents=True)
    return Drive(point / "MyDrive", "mock", point)


def filled(folder: Path, n: int = 12, bytes_each: int = 50) -> Path:
    for k in range(n):
        file = folder / f"class {k % 3}" / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(str(k).encode() * bytes_each)
    return folder


def inside(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def staged(path, drive, counting=None, emit=lambda event: None, **more):
    hands = counting.hands if counting is not None else CALLS
    return stage(path, emit=emit, drive=drive, hands=hands, **more)


def packs(drive: Drive) -> list[Path]:
    return (
        sorted((drive / "colab-kit" / "staged").glob("*")) if (drive / "colab-kit").exists() else []
    )


def home_of_another_machine(monkeypatch, tmp_path, name="other"):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / name))


def test_many_small_files_come_whole_and_leave_one_pack_for_the_next_machine(
    drive, tmp_path, monkeypatch
):
    source = filled(drive / "pets")
    first = staged(source, drive, counting := Counting(drive))
    assert inside(first) == inside(source) and not first.is_relative_to(drive.mountpoint)
    assert counting.seen["open"] == 12 and [p.name for p in packs(drive)] == [f"{first.name}.tar"]
    home_of_another_machine(monkeypatch, tmp_path)
    again = staged(source, drive, counting := Counting(drive))
    assert inside(again) == inside(source) and again.name == first.name
    assert counting.seen == {"scan": 4, "size": 13, "open": 1}, "one file is read instead of 12"
    assert not list(again.parent.glob("*.tar"))


def test_the_second_call_lists_each_folder_once_and_touches_no_file(drive):
    source = filled(drive / "pets")
    first = staged(source, drive)
    heard: list = []
    assert staged(source, drive, counting := Counting(drive), heard.append) == first
    assert counting.seen == {"scan": 4} and not heard


def test_few_files_and_big_ones_are_copied_and_not_packed(drive, monkeypatch):
    assert inside(staged(filled(drive / "few", 6), drive)) == inside(drive / "few") and not packs(
        drive
    )
    monkeypatch.setattr(room, "SMALL", 10)
    staged(filled(drive / "big"), drive, counting := Counting(drive))
    assert not packs(drive)
    staged(drive / "big", drive, counting := Counting(drive))
    assert counting.seen == {"scan": 4}


def test_what_does_not_lie_on_a_drive_stays_where_it_is(drive, tmp_path):
    local = filled(tmp_path / "local", 3)
    assert staged(local, drive) == local == stage(local, emit=print)
    assert staged(drive / "pets", replace(drive, kind="folder")) == drive / "pets"
    assert (
        staged(filled(drive / "x", 3) / "class 0" / "0.png", drive)
        == drive / "x" / "class 0" / "0.png"
    )
    (tmp_path / "link").symlink_to(drive / "x")
    assert (
        not staged(tmp_path / "link", drive).is_relative_to(drive.mountpoint)
        and staged(tmp_path / "link", drive) != tmp_path / "link"
    )


@pytest.mark.parametrize("where", ["", "MyDrive"])
def test_the_whole_drive_is_not_brought(drive, where):
    with pytest.raises(DataError, match="whole Drive"):
        staged(drive.mountpoint / where, drive)


def test_a_home_on_drive_is_refused(drive, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(drive / "home"))
    with pytest.raises(DataError, match="COLAB_KIT_HOME is"):
        staged(filled(drive / "pets", 3), drive)
    assert not (drive / "home").exists()


def test_a_file_that_comes_or_goes_or_moves_makes_another_stage_and_its_pack_replaces_the_old(
    drive,
):
    source = filled(drive / "pets")
    names = [staged(source, drive).name]
    (source / "class 0" / "new.png").write_bytes(b"x")
    names.append(staged(source, drive).name)
    (source / "class 0" / "new.png").rename(source / "class 1" / "new.png")
    names.append(staged(source, drive).name)
    assert len({path.name for path in (room.home() / "staged").glob("pets-*/")}) == 3, (
        "this process was given all of them"
    )
    assert len(set(names)) == 3 and [p.stem for p in packs(drive)] == names[-1:]
    other = filled(drive / "elsewhere" / "pets")
    assert staged(other, drive).name not in names and len(packs(drive)) == 2, (
        "another folder of that name is another"
    )


def test_hidden_files_googles_own_documents_and_circles_are_left_out(drive):
    source = filled(drive / "pets", 6)
    for name in (".DS_Store", "notes.gdoc", "Sheet.GSHEET"):
        (source / name).touch()
    (source / "class 0" / "again").symlink_to(source)
    (source / "shared").symlink_to(filled(drive / "far", 3))
    found = list_files(source)
    assert (
        len(found) == 9
        and "shared/class 0/0.png" in found
        and not [n for n in found if "again" in n or "." in n.split("/")[0]]
    )
    assert set(inside(staged(source, drive))) == set(found)


def test_a_shortcut_whose_target_was_deleted_is_left_out(drive):
    source = filled(drive / "pets", 3)
    (source / "class 0" / "lost.png").symlink_to(drive / "nowhere.png")
    (source / "class 0" / "found.png").symlink_to(source / "class 1" / "1.png")
    assert set(inside(staged(source, drive))) == {
        "class 0/0.png",
        "class 0/found.png",
        "class 1/1.png",
        "class 2/2.png",
    }


def test_an_empty_folder_is_given_back(drive):
    (drive / "none").mkdir()
    assert staged(drive / "none", drive) == drive / "none"


def test_progress_is_told_and_its_end(drive):
    heard: list = []
    staged(filled(drive / "few", 5), drive, emit=heard.append)
    assert isinstance(heard[0], FetchStarted) and heard[0].size == sum(
        map(len, inside(drive / "few").values())
    )
    assert isinstance(heard[-1], FetchDone) and heard[-1].size == heard[0].size
    assert all(isinstance(e, FetchProgress) for e in heard[1:-1])


@pytest.mark.parametrize("many", [5, 12])
def test_what_was_fetched_is_said_under_its_own_name_where_it_lies_now(
    drive, tmp_path, monkeypatch, many
):
    source, heard = filled(drive / "pets", many), []
    for machine in ("first", "second"):  # the second one has a pack to read
        home_of_another_machine(monkeypatch, tmp_path, machine)
        final = staged(source, drive, emit=heard.append)
        done = [event for event in heard if isinstance(event, FetchDone)]
        assert [(event.name, event.path) for event in done] == [("pets", final)] and final.is_dir()
        assert {event.name for event in heard if isinstance(event, FetchStarted)} == {"pets"}
        heard.clear()
    archive = zipped(filled(tmp_path / "dogs", 3), drive / "data" / "dogs.zip")
    there = staged(archive, drive, emit=heard.append)
    assert [event.path for event in heard if isinstance(event, FetchDone)] == [
        there
    ] and there.is_file()


def test_what_was_staged_before_the_files_changed_goes_when_the_new_one_is_whole(
    drive, monkeypatch
):
    source = filled(drive / "pets")
    old = staged(source, drive)
    room._holds.pop(old).close()  # as if that process had ended
    (source / "class 0" / "new.png").write_bytes(b"x")
    counting = Counting(drive)
    counting.fails = {"open": (errno.EACCES, 99)}
    with pytest.raises(DriveError):
        staged(source, drive, counting)
    assert inside(old), "the new one is not whole"
    new = staged(source, drive)
    assert (
        not old.exists()
        and not old.with_name(f"{old.name}.json").exists()
        and inside(new) == inside(source)
    )


def test_a_folder_that_goes_while_it_is_looked_at_is_an_error_of_ours(drive):
    source = filled(drive / "pets", 3)

    def scan(path):
        shutil.rmtree(source, ignore_errors=True)
        return CALLS.scan(path)

    with pytest.raises(DriveError, match="could not be read"):
        stage(source, emit=lambda e: None, drive=drive, hands=replace(CALLS, scan=scan))


def test_a_killed_drive_is_an_error_with_a_fix_whatever_is_asked_of_it(fuse_drive):
    from colab_kit.colab.mounting import mounted

    drive, slept = mounted(), []
    filled(fuse_drive / "pets", 3)
    zipped(fuse_drive / "pets", fuse_drive / "pets.zip")
    fuse_drive.kill()
    for name in ("pets", "pets.zip", "missing"):
        with pytest.raises(DriveError, match="could not be read") as error:
            stage(
                fuse_drive / name,
                emit=lambda e: None,
                drive=drive,
                hands=replace(CALLS, sleep=slept.append),
            )
        assert "kit.mount()" in error.value.fix
    with pytest.raises(DriveError, match="could not be read"):
        unpacked(fuse_drive / "pets.zip", emit=lambda e: None)


def test_callbacks_are_called_by_the_callers_thread_alone(drive):
    threads = set()
    staged(
        filled(drive / "pets"), drive, emit=lambda event: threads.add(threading.current_thread())
    )
    assert threads == {threading.current_thread()}


# -- trouble --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["scan", "size", "open"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN])
def test_a_stumble_is_waited_out(drive, call, number):
    source, counting = filled(drive / "pets", 1), Counting(drive)
    counting.fails[call] = number, len(WAITS)
    assert inside(staged(source, drive, counting)) == inside(source)
    assert counting.slept == list(WAITS)


@pytest.mark.parametrize("call", ["scan", "size", "open"])
@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EIO, "input/output"), (errno.ENOTCONN, "kit.mount"), (errno.EACCES, "denied")],
)
def test_a_drive_that_stays_away_is_an_error_with_a_fix_and_the_next_call_ends_the_work(
    drive, call, number, said
):
    source, counting = filled(drive / "pets"), Counting(drive)
    counting.fails[call] = number, 10**6
    with pytest.raises(DriveError, match="could not be read from Drive") as error:
        staged(source, drive, counting)
    assert (
        said in str(error.value) and error.value.fix and isinstance(error.value.__cause__, OSError)
    )
    assert not list((room.home() / "staged").glob("*.json")) and not packs(drive)
    counting.fails.clear()
    assert inside(staged(source, drive, counting)) == inside(source)


def test_a_read_that_breaks_in_the_middle_goes_on_where_it_was(drive):
    source = drive / "big" / "one.bin"
    source.parent.mkdir()
    content = os.urandom(3 << 20)
    source.write_bytes(content)
    broken = []

    class Breaks:
        def __init__(self, path):
            self.file, self.reads = open(path, "rb"), 0

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def seek(self, at):
            broken.append(at)
            return self.file.seek(at)

        def read(self, n):
            self.reads += 1
            if self.reads == 2 and len(broken) < 3:
                raise OSError(errno.EIO, "Input/output error")
            return self.file.read(n)

    hands = replace(CALLS, open=Breaks, sleep=lambda seconds: None)
    assert (
        stage(source.parent, emit=lambda e: None, drive=drive, hands=hands) / "one.bin"
    ).read_bytes() == content
    assert broken == [0, 1 << 20, 2 << 20]


def test_a_file_that_changes_while_it_is_read_is_refused(drive):
    counting = Counting(drive)
    hands = replace(counting.hands, size=lambda path: 7)
    with pytest.raises(DriveError, match="changed while it was read"):
        stage(filled(drive / "pets", 3), emit=lambda e: None, drive=drive, hands=hands)


def test_no_room_says_how_much_is_needed_and_brings_nothing(drive):
    source, counting = filled(drive / "pets", 12, 200_000), Counting(drive)
    need = 2 * sum(map(len, inside(source).values())) * 1.05
    with pytest.raises(DataError) as error:
        stage(
            source,
            emit=print,
            drive=drive,
            hands=replace(counting.hands, room=lambda folder: int(need) - 10),
        )
    assert (
        f"need {need / 2**20:,.0f} MiB" in error.value.why
        and "one by one" in error.value.why
        and "COLAB_KIT_HOME" in error.value.fix
    )
    assert not counting.seen["open"] and not list((room.home() / "staged").glob("pets*"))
    assert stage(
        source,
        emit=lambda e: None,
        drive=drive,
        hands=replace(counting.hands, room=lambda folder: int(need) + 10),
    )


def test_a_stop_ends_it_and_the_next_call_goes_on(drive):
    source, control, counting = filled(drive / "pets"), Control(), Counting(drive)
    control.stop("enough")
    slow = threading.Event()
    hands = replace(
        counting.hands, open=lambda path: (slow.wait(0.05), counting.hands.open(path))[1]
    )
    with pytest.raises(DriveError, match="not brought from Drive to the end") as error:
        stage(source, emit=lambda e: None, drive=drive, hands=hands, control=control)
    assert error.value.why == "enough"
    assert inside(staged(source, drive)) == inside(source)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.ENOTCONN])
def test_a_pack_that_drive_does_not_take_is_a_note_and_the_files_are_here(
    drive, monkeypatch, number
):
    def fails(folder, to):
        to.write_bytes(b"half")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(room, "pack", fails)
    source, heard = filled(drive / "pets"), []
    first = staged(source, drive, emit=heard.append)
    notes = [e for e in heard if isinstance(e, Note) and e.level == "warn"]
    assert inside(first) == inside(source) and not packs(drive)
    assert len(notes) == 1 and os.strerror(number) in notes[0].text
    heard.clear()
    assert staged(source, drive, emit=heard.append) == first and not heard, (
        "it is not tried at each call"
    )


def test_a_pack_takes_no_more_than_its_share_of_drive(drive, monkeypatch):
    monkeypatch.setattr(Drive, "free", lambda self, *a: 30_000)
    heard: list = []
    staged(filled(drive / "pets"), drive, emit=heard.append)
    assert not packs(drive) and "that are free there" in heard[-1].text


def test_a_pack_that_drive_tore_is_not_named(drive, monkeypatch):
    def tears(folder, to):
        pack(folder, to)
        os.truncate(to, to.stat().st_size // 2)

    monkeypatch.setattr(room, "pack", tears)
    heard: list = []
    staged(filled(drive / "pets"), drive, emit=heard.append)
    assert not packs(drive) and "not what was written" in heard[-1].text


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "other"])
def test_a_damaged_pack_is_noted_and_made_anew(drive, tmp_path, monkeypatch, harm):
    source = filled(drive / "pets")
    staged(source, drive)
    kept = packs(drive)[0]
    content = bytearray(kept.read_bytes())
    content[530] ^= 1
    kept.write_bytes(
        {"cut": content[: len(content) // 2], "flip": content, "empty": b"", "other": b"<html>"}[
            harm
        ]
    )
    home_of_another_machine(monkeypatch, tmp_path)
    heard: list = []
    again = staged(source, drive, emit=heard.append)
    assert inside(again) == inside(source) and any(
        "made anew" in e.text for e in heard if isinstance(e, Note)
    )
    assert (
        holds(packs(drive)[0]) == {name: len(c) for name, c in inside(source).items()}
        and len(packs(drive)) == 1
    )
    assert not list(again.parent.glob("*.tar"))


def test_a_pack_tells_itself_whether_it_is_whole(tmp_path):
    folder = filled(tmp_path / "pets", 5)
    pack(folder, tmp_path / "p.tar")
    content = (tmp_path / "p.tar").read_bytes()
    assert holds(tmp_path / "p.tar") == {name: len(c) for name, c in inside(folder).items()}
    with tarfile.open(tmp_path / "p.tar") as tar:
        ends = tar.getmember(MANIFEST).offset
        data = tar.getmembers()[1].offset_data
    for harmed in (
        content[:ends],
        content[: ends + 600],
        b"",
        content[:data] + b"?" + content[data + 1 :],
    ):
        (tmp_path / "p.tar").write_bytes(harmed)
        assert holds(tmp_path / "p.tar") is None


def test_a_large_file_among_small_ones_is_packed_a_piece_at_a_time(tmp_path):
    folder = filled(tmp_path / "pets", 3)
    with open(folder / "film.mp4", "wb") as film:
        film.truncate(64 << 20)
    tracemalloc.start()
    pack(folder, tmp_path / "p.tar")
    assert (holds(tmp_path / "p.tar") or {})["film.mp4"] == 64 << 20
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 16 << 20


KILLS = [
    "a copy",
    "the rename of the folder",
    "the first marker",
    "in the pack",
    "the rename of the pack",
    "the second marker",
]


@pytest.mark.parametrize("where", KILLS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_killed_call_is_never_used_and_the_next_one_ends_its_work(
    drive, tmp_path, monkeypatch, where, packed
):
    source = filled(drive / "pets")
    if packed:  # another machine has left a pack
        monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "first"))
        staged(source, drive)
        home_of_another_machine(monkeypatch, tmp_path)
    child = os.fork()
    if child == 0:
        die_at(where, drive)
        staged(source, drive)
        os._exit(0)
    died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert died or packed and where in KILLS[3:], "a pack that was there is not made again"
    found = staged(source, drive, counting := Counting(drive))
    assert inside(found) == inside(source)
    assert [p.name for p in packs(drive)] == [f"{found.name}.tar"]
    assert holds(drive / "colab-kit" / "staged" / f"{found.name}.tar") is not None
    if not packed:  # what was brought is not read again
        assert counting.seen["open"] in (range(6, 12) if where == "a copy" else [0])
    staged(source, drive, counting := Counting(drive))
    assert counting.seen == {"scan": 4} and not list(found.parent.glob("*.part"))


def die_at(where: str, drive: Drive) -> None:
    """In a child: end as a killed process does."""
    rename, mark, copies, marks = os.replace, room.write_json, [], []

    def renames(old: Path, new: Path) -> None:
        tar, staged = new.suffix == ".tar", new.parent.name == "staged"
        copies.append(not staged or tar)
        at = {
            "a copy": sum(copies) > 6 or (tar and not new.is_relative_to(drive.mountpoint)),
            "the rename of the folder": staged and new.suffix == "",
            "the rename of the pack": tar and new.is_relative_to(drive.mountpoint),
        }
        os._exit(9) if at.get(where) else rename(old, new)

    def marking(*value: object) -> None:
        marks.append(value)
        os._exit(9) if {1: "the first marker", 2: "the second marker"}[
            len(marks)
        ] == where else mark(*value)

    os.replace, room.write_json = renames, marking
    if where == "in the pack":
        room.pack = lambda folder, to: (to.write_bytes(b"half"), os._exit(9))


# -- archives -------------------------------------------------------------------------------------------------------------


def zipped(folder: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(to, "w") as file:
        for name, content in inside(folder).items():
            file.writestr(f"{folder.name}/{name}", content)
    return to


def test_an_archive_on_drive_is_read_once_until_it_changes(drive, tmp_path):
    archive = zipped(filled(tmp_path / "pets", 5), drive / "data" / "pets.zip")
    first = staged(archive, drive, counting := Counting(drive))
    assert (
        first.read_bytes() == archive.read_bytes()
        and first.name == "pets.zip"
        and counting.seen["open"] == 1
    )
    assert staged(archive, drive, counting := Counting(drive)) == first and not counting.seen
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("more", b"x")
    assert staged(archive, drive).read_bytes() == archive.read_bytes() != first.read_bytes()


def test_a_local_archive_is_unpacked_once(tmp_path, monkeypatch):
    archive = zipped(filled(tmp_path / "pets", 5), tmp_path / "pets.zip")
    calls = []
    unpack = room.unpack
    monkeypatch.setattr(room, "unpack", lambda *a, **k: (calls.append(a), unpack(*a, **k))[1])
    heard: list = []
    first = unpacked(archive, emit=heard.append)
    assert inside(first / "pets") == inside(tmp_path / "pets") and "pets.zip" in heard[0].text
    assert unpacked(archive, emit=heard.append) == first and len(calls) == len(heard) == 1
    os.utime(archive, (1, 1))
    assert unpacked(archive, emit=heard.append) != first


def test_two_processes_at_one_folder_do_not_meet(drive):
    """The second waits for the first, and finds its work done."""
    source, go = filled(drive / "pets", 3), os.pipe()
    child = os.fork()
    if child == 0:
        hands = replace(
            CALLS,
            size=lambda path: (
                os.write(go[1], b"x"),
                threading.Event().wait(0.2),
                CALLS.size(path),
            )[2],
        )
        stage(source, emit=lambda e: None, drive=drive, hands=hands)
        os._exit(0)
    os.read(go[0], 1)
    found = staged(source, drive, counting := Counting(drive))
    assert inside(found) == inside(source) and counting.seen == {"scan": 4}
    os.waitpid(child, 0)
    shutil.rmtree(found)
