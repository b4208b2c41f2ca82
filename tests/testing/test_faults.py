"""Faults: a plan strikes what it names, as often as it says, and counts."""

import errno
import json
import os
import subprocess
import sys

import pytest

from colab_kit.errors import DriveError
from colab_kit.testing.faults import FUSE_ONLY, MOUNTING, OPERATIONS, Faults, Tally


def number(
    faults: Faults, operation: str, path: str = "MyDrive/a.txt", size: int = 0, **more
) -> int:
    """The errno that strikes, or 0."""
    try:
        faults.at(operation, path, size, **more)
    except OSError as err:
        assert err.filename == path and err.strerror == os.strerror(err.errno)
        return err.errno
    return 0


@pytest.mark.parametrize(
    ("kind", "code", "operations"),
    [
        ("drops", errno.ENOTCONN, OPERATIONS),
        ("io_error", errno.EIO, OPERATIONS),
        ("full", errno.ENOSPC, {"write"}),
        ("quota", errno.EDQUOT, {"write", "create"}),
        (
            "read_only",
            errno.EROFS,
            {"create", "write", "truncate", "mkdir", "rmdir", "rename", "unlink", "attributes"},
        ),
    ],
)
def test_each_failure_has_its_errno_and_its_operations(kind, code, operations):
    for operation in sorted(OPERATIONS):
        faults = Faults()
        getattr(faults, kind)()
        assert number(faults, operation, size=1) == (code if operation in operations else 0), (
            operation
        )


def test_another_errno_can_be_planned():
    faults = Faults()
    faults.io_error(number=errno.ESTALE)
    assert number(faults, "read") == errno.ESTALE


def test_a_glob_hits_paths_and_bare_names_and_nothing_else():
    faults = Faults()
    by_path, by_name = faults.drops("MyDrive/runs/*"), faults.io_error("*.csv")
    assert number(faults, "read", "MyDrive/runs/x/a.txt") == errno.ENOTCONN
    assert number(faults, "read", "Shareddrives/t.csv") == errno.EIO
    assert number(faults, "read", "MyDrive/other.txt") == 0
    assert (by_path.fired, by_name.fired, faults.fired) == (1, 1, 2)


def test_my_drive_with_a_space_is_the_same_place():
    faults = Faults()
    faults.drops("My Drive/a*")
    assert number(faults, "read", "MyDrive/a.txt") == errno.ENOTCONN


def test_skip_lets_the_first_ones_pass_and_times_ends_it():
    faults = Faults()
    fault = faults.io_error(skip=2, times=2)
    assert [number(faults, "read") for _ in range(6)] == [0, 0, errno.EIO, errno.EIO, 0, 0]
    assert fault.fired == 2


def test_only_what_matches_is_skipped():
    faults = Faults()
    faults.full(skip=1)
    assert [number(faults, op, size=1) for op in ("read", "write", "stat", "write")] == [
        0,
        0,
        0,
        errno.ENOSPC,
    ]


def test_a_full_disk_takes_exactly_so_many_bytes():
    faults = Faults()
    fault = faults.full(after_bytes=10)
    assert (faults.fits("MyDrive/a", 6), number(faults, "write", size=6)) == (6, 0)
    assert faults.fits("MyDrive/a", 6) == 4 and fault.fired == 0
    assert number(faults, "write", size=4) == 0
    assert faults.fits("MyDrive/a", 2) == 2 and number(faults, "write", size=2) == errno.ENOSPC
    assert fault.fired == 1


def test_a_disk_that_is_not_full_yet_or_no_longer_takes_all():
    faults = Faults()
    faults.full(after_bytes=3, times=1)
    faults.full(after_bytes=1, on="*.csv")
    assert faults.fits("a.txt", 8) == 3 and faults.fits("a.csv", 8) == 1
    assert number(faults, "write", "a.txt", 8) == errno.ENOSPC
    assert faults.fits("a.txt", 8) == 8 and number(faults, "write", "a.txt", 8) == 0


def test_a_full_disk_that_still_passes_writes_splits_none():
    faults = Faults()
    faults.full(after_bytes=3, skip=1)
    assert faults.fits("a.txt", 8) == 8 and number(faults, "write", "a.txt", 8) == 0
    assert faults.fits("a.txt", 8) == 3


def test_a_rename_is_hit_at_either_end_and_counts_once():
    faults = Faults()
    fault = faults.io_error("*.txt", skip=1)
    assert number(faults, "rename", "a.txt", to="b.txt") == 0
    assert number(faults, "rename", "a.part", to="a.txt") == errno.EIO
    assert fault.fired == 1


def test_slow_waits_and_goes_on_to_the_next_fault():
    waits: list[float] = []
    faults = Faults(sleep=waits.append)
    faults.slow(2.5, times=2)
    assert number(faults, "read") == 0
    faults.drops()
    assert number(faults, "read") == errno.ENOTCONN
    assert waits == [2.5, 2.5]


def test_of_two_failures_only_the_first_counts():
    faults = Faults()
    first, second = faults.drops(), faults.io_error()
    assert number(faults, "read") == errno.ENOTCONN
    assert (first.fired, second.fired) == (1, 0)


def test_clear_ends_the_plan_and_keeps_the_count():
    faults = Faults()
    fault = faults.drops()
    number(faults, "read")
    faults.clear()
    assert number(faults, "read") == 0 and fault.fired == 1 and faults.fired == 1


def test_clear_ends_only_the_faults_it_is_given():
    faults = Faults()
    gone, stays = faults.drops(), faults.io_error()
    faults.clear(gone)
    assert number(faults, "read") == errno.EIO and (gone.fired, stays.fired) == (0, 1)


@pytest.mark.parametrize("kind", MOUNTING)
def test_a_failing_mount_cannot_be_planned_where_nothing_mounts(kind):
    with pytest.raises(DriveError, match="google.colab") as raised:
        getattr(Faults(mounts=False), kind)()
    assert "fake_colab" in raised.value.fix


def test_a_misspelt_fault_is_told_with_the_right_one():
    with pytest.raises(AttributeError, match="did you mean full"):
        Faults().ful()
    with pytest.raises(AttributeError, match="there are .*quota"):
        Faults().xyz()
    assert not hasattr(Faults(), "strange")


@pytest.mark.parametrize("kind", MOUNTING)
def test_what_strikes_at_the_mount_does_not_strike_at_files(kind):
    faults = Faults()
    fault = getattr(faults, kind)(times=1)
    assert all(number(faults, operation, size=1) == 0 for operation in OPERATIONS)
    assert faults.at_mount() is fault and fault.fired == 1
    assert faults.at_mount() is None


@pytest.mark.parametrize("kind", MOUNTING)
def test_a_mount_that_fails_later_can_be_planned(kind):
    faults = Faults()
    fault = getattr(faults, kind)(skip=2, times=2)
    assert [faults.at_mount() is fault for _ in range(6)] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ] and fault.fired == 2
    assert faults.at_mount("none of them") is None


@pytest.mark.parametrize("kind", FUSE_ONLY)
def test_what_only_a_mount_can_do_is_refused_for_a_folder(kind):
    with pytest.raises(DriveError, match="fuse_drive"):
        getattr(Faults(), kind)()
    faults = Faults(fuse=True)
    fault = getattr(faults, kind)(times=1)
    (operation,) = FUSE_ONLY[kind]
    assert number(faults, operation, size=1) == 0
    assert faults.bends(kind, "free", "MyDrive/a") is None
    assert (
        faults.bends(kind, operation, "MyDrive/a") is fault
        and faults.bends(kind, operation, "MyDrive/a") is None
    )


def test_the_plan_travels_to_another_process_that_counts_in_the_same_file(tmp_path):
    changes: list[int] = []
    faults = Faults(tally=Tally(tmp_path / "tally"), changed=lambda: changes.append(1))
    fault = faults.full(after_bytes=3, on="*.bin", times=2)
    plan = faults.as_json()
    child = (
        "import sys; from pathlib import Path; from colab_kit.testing.faults import Faults, Tally\n"
        "faults = Faults(tally=Tally(Path(sys.argv[1]))); faults.take(sys.argv[2])\n"
        "for name in ('a.txt', 'a.bin', 'a.bin'):\n"
        "    try: faults.at('write', name, 3)\n"
        "    except OSError as err: print(err.errno)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", child, str(tmp_path / "tally"), plan],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.split() == [str(errno.ENOSPC)]
    assert fault.fired == 1 and changes == [1] and json.loads(plan)[0]["kind"] == "full"
    assert number(faults, "write", "b.bin", 1) == errno.ENOSPC, (
        "the bytes of the other process count too"
    )


def test_a_fork_counts_in_the_same_tally():
    faults = Faults()
    fault = faults.drops()
    if (child := os.fork()) == 0:
        number(faults, "read")
        os._exit(0)
    os.waitpid(child, 0)
    assert fault.fired == 1


def test_more_faults_than_can_be_counted_are_refused():
    faults = Faults()
    for _ in range(Tally.SLOTS):
        faults.drops()
    with pytest.raises(DriveError, match="512"):
        faults.drops()
