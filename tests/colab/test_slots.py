"""One file's way to Drive: what is there afterwards, and what is there when it broke off."""

import errno
import os

import pytest

from colab_kit.colab.slots import Handover, Held
from colab_kit.errors import DriveError, RunError
from colab_kit.events import set_milestone_hook
from colab_kit.system.files import CHUNK, is_whole
from tests.support.sealed import sealed, steps


@pytest.fixture
def drive(tmp_path):
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    return tmp_path / "drive/MyDrive"


@pytest.fixture
def local(tmp_path):
    (tmp_path / "fast").mkdir()
    return tmp_path / "fast"


class Woe:
    """Does something at a point of the way, once it is told to."""

    def __init__(self):
        self.at, self.do, self.fired = "", None, 0

    def __call__(self, point, path):
        if point == self.at:
            self.fired += 1
            self.do(path)


@pytest.fixture
def woe():
    set_milestone_hook(woe := Woe())
    return woe


def take(over, path, name=None):
    over.take(Held(path, name or f"r/{path.name}"))


def slots(drive):
    return {path.name: path.stat().st_ino for path in (drive / "r").iterdir()}


def breaks_off(path):
    raise OSError(errno.EIO, "Input/output error")


def flips(path):
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


def test_a_series_lies_in_two_slots_that_keep_their_inodes(drive, local):
    over = Handover(drive)
    for step in (10, 20):
        take(over, sealed(local, step))
    first = slots(drive)
    for step, size in ((30, 9000), (40, 100), (50, 5000)):
        take(over, path := sealed(local, step, size=size))
        assert sum(slot.read_bytes() == path.read_bytes() for slot in (drive / "r").iterdir()) == 1
        assert all(map(is_whole, (drive / "r").iterdir())), "the shorter one left no tail"
    assert slots(drive) == first and list(first) and steps(drive / "r") == {"a": 50, "b": 40}


@pytest.mark.parametrize(("a", "b", "freed"), [
    ((10, "s"), (20, "s"), "a"), ((20, "s"), (10, "s"), "b"), ((99, "old"), (10, "s"), "a"), ((10, "s"), (99, "old"), "b"),
    ((10, "s"), None, "b"), (None, (10, "s"), "a"), ((99, "old"), (98, "old"), "b"),
])  # fmt: skip
def test_a_new_process_writes_over_the_slot_that_is_worth_less(drive, local, a, b, freed):
    for letter, there in (("a", a), ("b", b)):
        if there is not None:
            (drive / "r").mkdir(exist_ok=True)
            sealed(local, there[0], start=there[1]).rename(
                drive / "r" / f"checkpoint-{letter}.safetensors"
            )
    take(Handover(drive), sealed(local, 30))
    assert steps(drive / "r")[freed] == 30


def test_a_half_copied_slot_is_written_over_whatever_its_stamp_says(drive, local):
    for letter, step in (("a", 10), ("b", 40)):
        (drive / "r").mkdir(exist_ok=True)
        sealed(local, step).rename(drive / "r" / f"checkpoint-{letter}.safetensors")
    os.truncate(drive / "r/checkpoint-b.safetensors", 3000)
    take(Handover(drive), sealed(local, 50))
    assert steps(drive / "r") == {"a": 10, "b": 50}


def test_where_it_breaks_off_the_other_slot_is_whole_and_the_next_try_takes_the_torn_one(
    drive, local, woe
):
    over = Handover(drive)
    for step in (10, 20):
        take(over, sealed(local, step, size=2 * CHUNK))
    woe.at, woe.do = "mid_copy", breaks_off
    for step in (30, 30, 40):
        with pytest.raises(OSError, match="Input/output"):
            take(over, sealed(local, step, size=2 * CHUNK))
        assert is_whole(drive / "r/checkpoint-b.safetensors") and steps(drive / "r")["b"] == 20
    woe.at = ""
    take(over, sealed(local, 40, size=2 * CHUNK))
    assert (
        woe.fired == 3
        and steps(drive / "r") == {"a": 40, "b": 20}
        and all(map(is_whole, (drive / "r").iterdir()))
    )


def test_a_drive_that_lost_what_it_took_does_not_lose_the_newest_of_the_rest(drive, local):
    over = Handover(drive)
    for step in (10, 20):
        take(over, sealed(local, step))
    before = (drive / "r/checkpoint-a.safetensors").read_bytes()
    take(over, sealed(local, 30))
    (drive / "r/checkpoint-a.safetensors").write_bytes(
        before
    )  # its program was killed, and what it had not sent is gone
    take(over, sealed(local, 40))
    assert steps(drive / "r") == {"a": 40, "b": 20}


def test_a_slot_that_cannot_be_read_is_kept_rather_than_a_damaged_one(drive, local):
    (drive / "r").mkdir()
    sealed(local, 10).rename(drive / "r/checkpoint-a.safetensors")
    os.truncate(sealed(local, 20).rename(drive / "r/checkpoint-b.safetensors"), 3000)
    (drive / "r/checkpoint-a.safetensors").rename(drive / "r/away")
    (drive / "r/checkpoint-a.safetensors").symlink_to(
        "checkpoint-a.safetensors"
    )  # ELOOP: there, and unreadable
    take(Handover(drive), sealed(local, 30))
    assert (drive / "r/checkpoint-a.safetensors").is_symlink() and is_whole(
        drive / "r/checkpoint-b.safetensors"
    )


def test_what_reads_back_otherwise_is_no_success(drive, local, woe):
    over = Handover(drive)
    woe.at, woe.do = "before_reading_back", flips
    (local / "run.json").write_text("{}  # longer than seven bytes")
    for path in (sealed(local, 10), local / "run.json"):
        with pytest.raises(OSError, match="reads back otherwise"):
            take(over, path)
    assert (
        not (drive / "r/run.json").exists()
        and not is_whole(drive / "r/checkpoint-a.safetensors")
        and woe.fired == 2
    )
    woe.at = ""
    for path in (local / "checkpoint-000000010.safetensors", local / "run.json"):
        take(over, path)
    assert sorted(slots(drive)) == ["checkpoint-a.safetensors", "run.json"] and is_whole(
        drive / "r/checkpoint-a.safetensors"
    )


def test_a_file_damaged_on_the_fast_disk_is_refused_and_the_good_slot_stays(drive, local):
    over = Handover(drive)
    take(over, sealed(local, 10))
    flips(path := sealed(local, 20))
    with pytest.raises(RunError, match="is damaged"):
        take(over, path)
    assert is_whole(drive / "r/checkpoint-a.safetensors") and steps(drive / "r")["a"] == 10


def test_what_is_there_already_is_not_written_again(drive, local, woe):
    woe.at, woe.do = "before_reading_back", lambda path: None
    (local / "run.json").write_text("{}")
    for over in (Handover(drive), Handover(drive)):
        for path in (sealed(local, 10), local / "run.json"):
            take(over, path)
            take(over, path)
    assert woe.fired == 2 and steps(drive / "r") == {"a": 10}
    os.truncate(drive / "r/checkpoint-a.safetensors", 100)
    (drive / "r/run.json").write_text("[]")  # of the same length
    take(over, local / "checkpoint-000000010.safetensors")
    take(over, local / "run.json")
    assert (
        woe.fired == 4
        and is_whole(drive / "r/checkpoint-a.safetensors")
        and (drive / "r/run.json").read_text() == "{}"
    )


def test_other_files_get_their_names_when_they_are_whole(drive, local, woe):
    over = Handover(drive)
    (local / "run.json").write_text("old")
    take(over, local / "run.json")
    (local / "run.json").write_text("new" * CHUNK)
    woe.at, woe.do = "mid_copy", breaks_off
    for _ in range(2):
        with pytest.raises(OSError):
            take(over, local / "run.json")
    assert (drive / "r/run.json").read_text() == "old" and len(slots(drive)) == 2, (
        "one neighbour, however often it is tried"
    )
    woe.at = ""
    take(over, local / "run.json")
    assert (drive / "r/run.json").read_bytes() == (local / "run.json").read_bytes() and len(
        slots(drive)
    ) == 1


def test_half_copies_of_a_killed_process_are_swept(drive, local):
    (drive / ".run.json.0123abcd.part").write_text("half")
    (drive / "my.part").write_text("the user's own")
    (local / "run.json").write_text("{}")
    take(Handover(drive), local / "run.json", "run.json")
    assert sorted(path.name for path in drive.iterdir()) == ["my.part", "run.json"]


def test_a_file_pruned_or_replaced_after_it_was_pushed_is_copied_as_it_was(drive, local):
    (local / "run.json").write_text("as it was")
    content = sealed(local, 10, size=2 * CHUNK).read_bytes()
    held = [Held(path, f"r/{path.name}") for path in sorted(local.iterdir())]
    for path in local.iterdir():
        path.unlink()
    (local / "run.json").write_text("replaced")
    over = Handover(drive)
    for one in held:
        over.take(one)
        one.let_go()
    assert (drive / "r/checkpoint-a.safetensors").read_bytes() == content and (
        drive / "r/run.json"
    ).read_text() == "as it was"


def test_a_file_named_like_a_series_but_not_sealed_keeps_its_name(drive, local):
    path = local / "checkpoint-000000010.safetensors"
    for content in (b"", b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}"):
        path.write_bytes(content)
        take(Handover(drive), path)
        assert (drive / "r" / path.name).read_bytes() == content


def test_a_series_may_lie_in_the_mirrors_own_folder(drive, local):
    path = sealed(local, 10)
    take(Handover(drive), path, path.name)
    assert [file.name for file in drive.iterdir()] == ["checkpoint-a.safetensors"]


def test_nothing_is_made_where_my_drive_is_not(tmp_path, drive, local):
    (local / "run.json").write_text("{}")
    over = Handover(drive / "colab-kit/runs")
    drive.rmdir()
    with pytest.raises(DriveError, match="kit.mount"):
        take(over, local / "run.json")
    assert list((tmp_path / "drive").iterdir()) == []
    with pytest.raises(DriveError, match="kit.mount"):
        take(Handover(tmp_path / "content/drive/MyDrive/runs"), local / "run.json")
    assert not (tmp_path / "content").exists()


def test_the_order_is_record_best_checkpoint_and_the_rest(local):
    (local / "run.json").write_text("{}")
    (local / "choices.json").write_text("{}")
    (local / "history.csv").write_text("epoch")
    paths = [
        local / "history.csv",
        sealed(local, 2),
        sealed(local, 1, kind="best"),
        local / "run.json",
        local / "choices.json",
    ]
    assert [Held(path, f"r/{path.name}").rank for path in paths] == [4, 3, 2, 1, 0]
