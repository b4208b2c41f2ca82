"""What google.colab's drive does, as a list of checks for any body of the stand-in; each names
the behaviour of colabtools it follows.

Paragraphs are those of the project's notes on google.colab, whose order of steps is that of
colabtools' drive.py.
"""

from __future__ import annotations

import errno
import glob
import importlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from colab_kit.testing.fake_colab import StandIn
from colab_kit.testing.faults import Fault

CHECKS: list[Callable[[Place], None]] = []
ROOT = {"MyDrive", ".shortcut-targets-by-id", ".Trash-0"}  # what the mountpoint shows


@dataclass
class Place:
    """Where a check works: a stand-in that is installed, and a folder of its own."""

    stand_in: StandIn
    tmp: Path
    said: Callable[[], str]  # what was printed since the last call
    waits: list[float] = field(default_factory=list)  # s, what was slept through

    @property
    def drive(self) -> Any:
        return importlib.import_module("google.colab.drive")

    @property
    def point(self) -> Path:
        return self.tmp / "drive"

    @property
    def mydrive(self) -> Path:
        return self.point / "MyDrive"

    def mount(self, **how: Any) -> str:
        """Mount, and give what was printed."""
        self.said()
        assert self.drive.mount(str(self.point), **how) is None
        return self.said()


def check(function: Callable[[Place], None]) -> Callable[[Place], None]:
    CHECKS.append(function)
    return function


@check
def mounting_says_where_and_returns_nothing(at: Place) -> None:
    """§1.1 step 12"""
    assert at.mount() == f"Mounted at {at.point}\n"


@check
def a_path_object_is_a_type_error(at: Place) -> None:
    """§1.1 step 2: `' ' in mountpoint`"""
    with pytest.raises(TypeError, match="is not iterable|is not a container"):
        at.drive.mount(at.point)


@check
def another_machine_is_refused_before_the_mountpoint_is_looked_at(at: Place) -> None:
    """§1.1 step 1 before step 2"""
    at.stand_in.vm = False
    with pytest.raises(
        NotImplementedError,
        match="^Mounting drive is unsupported in this environment. Use PyDrive2 instead. See examples",
    ):
        at.drive.mount("a b")


@check
def a_space_is_refused_before_consent_is_asked_for(at: Place) -> None:
    """§1.1 step 2 before step 5"""
    denied = at.stand_in.faults.consent_denied()
    with pytest.raises(ValueError, match=r"^Mountpoint must not contain a space\.$"):
        at.drive.mount(f"{at.point} 2")
    assert denied.fired == 0


@check
def consent_is_asked_for_on_every_call_before_it_looks_whether_drive_is_mounted(at: Place) -> None:
    """§1.1 step 5 before step 6"""
    at.mount()
    denied = at.stand_in.faults.consent_denied(times=1)
    with pytest.raises(importlib.import_module("google.colab._message").MessageError) as caught:
        at.drive.mount(str(at.point))
    assert (
        str(caught.value) == "Error: credential propagation was unsuccessful" and denied.fired == 1
    )
    assert at.mydrive.is_dir()


@check
def a_second_mount_says_so_and_changes_nothing(at: Place) -> None:
    """§1.1 step 6; readonly= is ignored then"""
    at.mount()
    (at.mydrive / "foo.txt").write_text("1")
    again = at.mount(readonly=True)
    assert again == (
        f'Drive already mounted at {at.point}; to attempt to forcibly remount, call drive.mount("{at.point}", force_remount=True).\n'
    )
    (at.mydrive / "foo.txt").write_text("2")
    assert (at.mydrive / "foo.txt").read_text() == "2"


@check
def any_folder_with_a_my_drive_in_it_counts_as_mounted(at: Place) -> None:
    """§1.1 step 6: isdir(mountpoint/"My Drive")"""
    (at.point / "My Drive").mkdir(parents=True)
    assert at.mount().startswith(f"Drive already mounted at {at.point};")
    assert at.stand_in.body.mounted_at() is None


@check
def the_home_folder_is_expanded(at: Place) -> None:
    """§1.1 step 6: os.path.expanduser"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(at.tmp))
        at.drive.mount("~/drive")
    assert at.mydrive.is_dir()


@check
def a_file_in_place_of_the_settings_folder_is_refused(at: Place) -> None:
    """§1.1 step 7, before the mountpoint is checked (step 9)"""
    (at.tmp / ".config").mkdir()
    (at.tmp / ".config" / "Google").write_text("")
    at.point.write_text("a file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(at.tmp))
        with pytest.raises(ValueError, match="/.config/Google must be a directory if present$"):
            at.drive.mount(str(at.point))


@check
def a_link_is_refused(at: Place) -> None:
    """§1.1 step 9, first: a link to a folder that is not empty is still named a link"""
    (at.tmp / "full").mkdir()
    (at.tmp / "full" / "x").write_text("")
    at.point.symlink_to(at.tmp / "full")
    with pytest.raises(ValueError, match="^Mountpoint must not be a symlink$"):
        at.drive.mount(str(at.point))


@check
def a_folder_with_files_is_refused_and_left_alone(at: Place) -> None:
    """§1.1 step 9, second"""
    at.point.mkdir()
    (at.point / "x").write_text("mine")
    with pytest.raises(ValueError, match="^Mountpoint must not already contain files$"):
        at.drive.mount(str(at.point))
    assert (at.point / "x").read_text() == "mine"


@check
def a_file_is_refused(at: Place) -> None:
    """§1.1 step 9, third"""
    at.point.write_text("")
    with pytest.raises(ValueError, match="^Mountpoint must either be a directory or not exist$"):
        at.drive.mount(str(at.point))


@check
def a_missing_parent_is_refused(at: Place) -> None:
    """§1.1 step 9, fourth"""
    with pytest.raises(ValueError, match="^Mountpoint must be in a directory that exists$"):
        at.drive.mount(str(at.tmp / "no" / "drive"))


@check
def a_bare_relative_name_is_taken(at: Place) -> None:
    """§1.1 step 9: the parent is asked for only where the path has a slash"""
    os.chdir(at.tmp)
    at.drive.mount("drive")
    assert at.mydrive.is_dir()


@check
def the_layout_is_that_of_drive_and_both_spellings_are_one_place(at: Place) -> None:
    """§1.1 step 10, §1.8 layout"""
    at.mount()
    assert at.point.is_dir() and not at.point.is_symlink()
    assert at.mydrive.is_dir() and not at.mydrive.is_symlink()
    assert set(os.listdir(at.point)) == ROOT
    (at.point / "My Drive" / "foo.txt").write_text("1")
    assert (at.mydrive / "foo.txt").read_text() == "1"
    assert os.listdir(at.point / "My Drive") == os.listdir(at.mydrive) == ["foo.txt"]
    assert os.path.samefile(at.point / "My Drive" / "foo.txt", at.mydrive / "foo.txt")


def _copied(at: Place) -> list[str]:
    shutil.copytree(at.point, at.tmp / "copy")
    return [os.path.join(*path) for path in _walked(at.tmp / "copy")]


def _walked(point: Path, **how: Any) -> list[tuple[str, str]]:
    walk = os.walk(point, **how)
    return [(os.path.relpath(at, point), name) for at, one, two in walk for name in one + two]


def _under(at: Place, paths: Iterable[Any]) -> list[str]:
    return [os.path.relpath(path, at.point) for path in paths]


def _of_number(at: Place, function: Callable[[int], Any]) -> Any:
    number = os.open(at.point, os.O_RDONLY)
    try:
        return function(number)
    finally:
        os.close(number)


LISTINGS: dict[str, Callable[[Place], list[str]]] = {  # each way to list the mountpoint
    "listdir": lambda at: os.listdir(at.point),
    "listdir of bytes": lambda at: [os.fsdecode(n) for n in os.listdir(os.fsencode(at.point))],
    "listdir of a number": lambda at: _of_number(at, os.listdir),
    "scandir": lambda at: [entry.name for entry in os.scandir(at.point)],
    "scandir of a number": lambda at: _of_number(at, lambda n: [e.name for e in os.scandir(n)]),
    "iterdir": lambda at: [path.name for path in at.point.iterdir()],
    "glob": lambda at: _under(at, glob.glob(f"{at.point}/*")),
    "Path.glob": lambda at: _under(at, at.point.glob("*")),
}
TREES: dict[str, Callable[[Place], list[str]]] = {  # each way to list all that lies below it
    "walk": lambda at: [os.path.join(*path) for path in _walked(at.point)],
    "walk along links": lambda at: [os.path.join(*p) for p in _walked(at.point, followlinks=True)],
    "fwalk": lambda at: [
        os.path.relpath(os.path.join(folder, name), at.point)
        for folder, folders, names, _ in os.fwalk(at.point)
        for name in folders + names
    ],
    "glob": lambda at: _under(at, glob.glob(f"{at.point}/**", recursive=True)),
    "glob from above": lambda at: _under(at, glob.glob(f"{at.tmp}/drive/**/*", recursive=True)),
    "iglob in it": lambda at: glob.glob("**", root_dir=at.point, recursive=True),
    "rglob": lambda at: _under(at, at.point.rglob("*")),
    "Path.glob": lambda at: _under(at, at.point.glob("**/*")),
    "copytree": _copied,
}
FILE = os.path.join("MyDrive", "a", "x.txt")


@check
def every_listing_shows_what_drive_shows(at: Place) -> None:
    """§1.1 step 10: virtual_folders_omit_spaces, and no shared drives where there are none"""
    at.mount()
    (at.mydrive / "a").mkdir()
    (at.point / "My Drive" / "a" / "x.txt").write_text("x")
    for way, names in LISTINGS.items():
        listed = [name for name in names(at) if not name.startswith(".") or "glob" not in way]
        hidden = {name for name in ROOT if name.startswith(".")}
        assert set(listed) in (ROOT, ROOT - hidden) and len(set(listed)) == len(listed), way
    for way, names in TREES.items():
        listed = [os.path.normpath(name) for name in names(at)]
        assert [name for name in listed if name.endswith("x.txt")] == [FILE], way
        assert {name.partition(os.sep)[0] for name in listed} - {"."} <= ROOT, way


@check
def a_shared_drive_is_listed_where_there_is_one(at: Place) -> None:
    """§1.1 step 10"""
    team = at.stand_in.body.store / "Shareddrives" / "team"
    team.mkdir(parents=True)
    (team / "x.txt").write_text("x")
    at.mount()
    assert set(os.listdir(at.point)) == {*ROOT, "Shareddrives"}
    assert (at.point / "Shared drives" / "team" / "x.txt").read_text() == "x"


@check
def the_mountpoint_is_a_mount(at: Place) -> None:
    """§1.2: `type fuse.drive`"""
    at.point.mkdir()
    assert not os.path.ismount(at.point)
    at.mount()
    (at.mydrive / "x.txt").write_text("x")
    assert os.path.ismount(at.point) and at.point.is_mount() and os.path.ismount(f"{at.point}/")
    assert not os.path.ismount(at.mydrive) and not os.path.ismount(at.tmp)
    with open(at.mydrive / "x.txt") as file:
        statuses = [
            os.stat(at.point),
            os.lstat(at.mydrive),
            (at.point / "My Drive" / "x.txt").stat(),
            os.fstat(file.fileno()),
            *(entry.stat() for entry in os.scandir(at.mydrive)),
        ]
    assert {status.st_dev for status in statuses} != {at.tmp.stat().st_dev}
    assert len({status.st_dev for status in statuses}) == 1
    at.drive.flush_and_unmount()
    assert not os.path.ismount(at.point)


@check
def a_rename_does_not_cross_the_border_and_a_move_does(at: Place) -> None:
    """§1.2: it is another file system"""
    at.mount()
    (at.tmp / "x.txt").write_text("x")
    for source, target in ((at.tmp, at.mydrive), (at.mydrive, at.tmp)):
        with pytest.raises(OSError) as caught:
            os.rename(source / "x.txt", target / "x.txt")
        assert caught.value.errno == errno.EXDEV and caught.value.filename.endswith("x.txt")
        shutil.move(source / "x.txt", target / "x.txt")
        assert (target / "x.txt").read_text() == "x" and not (source / "x.txt").exists()
    (at.mydrive / "y").mkdir()
    os.rename(at.point / "My Drive" / "y", at.mydrive / "z")
    shutil.rmtree(at.point / "My Drive" / "z")
    assert os.listdir(at.mydrive) == []


@check
def a_link_in_drive_is_refused(at: Place) -> None:
    """§1.1 step 10: Drive has no links"""
    at.mount()
    (at.mydrive / "x.txt").write_text("x")
    for make in (os.symlink, os.link):
        with pytest.raises(OSError) as caught:
            make(at.mydrive / "x.txt", at.mydrive / "y.txt")
        assert caught.value.errno == errno.EOPNOTSUPP, make
    assert os.listdir(at.mydrive) == ["x.txt"]


@check
def my_drive_with_a_space_is_no_link(at: Place) -> None:
    """§1.1 step 10"""
    at.mount()
    spaced = at.point / "My Drive"
    assert not spaced.is_symlink() and spaced.is_dir() and not os.path.islink(spaced)
    assert os.path.realpath(spaced) == os.path.join(os.path.realpath(at.point), "My Drive")
    with pytest.raises(OSError) as caught:
        os.readlink(spaced)
    assert caught.value.errno == errno.EINVAL


@check
def two_steps_up_from_my_drive_lead_out_of_the_mountpoint(at: Place) -> None:
    """§1.8: `%cd ../..` from My Drive ends beside the mountpoint, as /content does"""
    at.mount()
    for spelled in ("MyDrive", "My Drive"):
        os.chdir(at.point / spelled)
        os.chdir("../..")
        assert os.getcwd() == os.path.realpath(at.tmp)


@check
def nobody_answering_ends_in_mount_failed_after_the_whole_wait(at: Place) -> None:
    """§1.1 steps 5 and 11: no answer is None, and mounting goes on without credentials"""
    fault = at.stand_in.faults.consent_unanswered(times=1)
    with pytest.raises(ValueError, match="^mount failed$"):
        at.drive.mount(str(at.point), timeout_ms=7000)
    assert fault.fired == 1 and at.waits == [7.0]
    assert at.mount() == f"Mounted at {at.point}\n"


@check
def a_page_that_cannot_be_asked_ends_in_mount_failed(at: Place) -> None:
    """§1.1 step 5: VS Code and `colab run`"""
    at.stand_in.page = False
    with pytest.raises(ValueError, match="^mount failed$"):
        at.drive.mount(str(at.point))
    assert at.waits == [120.0]


@check
def a_root_folder_that_is_too_large_times_out_by_name(at: Place) -> None:
    """§1.1 step 11"""
    fault = at.stand_in.faults.root_timeout(times=1)
    with pytest.raises(ValueError) as caught:
        at.drive.mount(str(at.point))
    told = "for more info: https://research.google.com/colaboratory/faq.html#drive-timeout"
    assert (
        str(caught.value) == f"mount failed: timeout during initial read of root folder; {told}"
        and fault.fired == 1
    )


@check
def a_policy_refuses_by_name(at: Place) -> None:
    """§1.1 step 11"""
    at.stand_in.faults.policy(times=1)
    with pytest.raises(ValueError) as caught:
        at.drive.mount(str(at.point))
    assert (
        str(caught.value)
        == "The domain policy has disabled Drive File Stream: https://support.google.com/a/answer/7496409"
    )


@check
def a_silent_program_ends_in_pexpects_timeout(at: Place) -> None:
    """§1.1 step 11: timeout_ms and 30 s more"""
    at.stand_in.faults.mount_timeout(times=1)
    with pytest.raises(Exception) as caught:
        at.drive.mount(str(at.point))
    assert (type(caught.value).__module__, type(caught.value).__name__) == (
        "pexpect.exceptions",
        "TIMEOUT",
    )
    assert str(caught.value).startswith(
        "<pexpect.popen_spawn.PopenSpawn object at 0x"
    ) and "\nsearcher: searcher_re:" in str(caught.value)
    assert at.waits == [150.0]


@check
def faults_of_mounting_do_not_strike_a_drive_that_is_mounted_already(at: Place) -> None:
    """§1.1 step 6 before step 11"""
    at.mount()
    fault = at.stand_in.faults.policy()
    assert at.mount().startswith("Drive already mounted") and fault.fired == 0


@check
def a_failed_mount_leaves_nothing_under_the_mountpoint(at: Place) -> None:
    """§1.1 step 11"""
    at.stand_in.faults.policy(times=1)
    with pytest.raises(ValueError):
        at.drive.mount(str(at.point))
    assert not at.point.exists() or not os.listdir(at.point)
    assert at.mount().startswith("Mounted at")


@check
def mounting_elsewhere_ends_the_first_mount(at: Place) -> None:
    """§1.1 step 8: pkill -9 -x drive"""
    at.mount()
    at.drive.mount(str(at.tmp / "gdrive"))
    assert (at.tmp / "gdrive" / "MyDrive").is_dir()
    assert not os.path.isdir(at.point / "My Drive")


@check
def a_forced_remount_mounts_again(at: Place) -> None:
    """§1.1 steps 6 and 8"""
    at.mount()
    at.drive.flush_and_unmount()
    at.mount()
    assert at.mount(force_remount=True) == f"Mounted at {at.point}\n"
    assert at.mydrive.is_dir()


@check
def read_only_refuses_every_change_and_lets_read(at: Place) -> None:
    """§1.8: readonly=True"""
    at.mount()
    (at.mydrive / "foo.txt").write_text("kept")
    at.drive.flush_and_unmount()
    at.mount(readonly=True)
    changes: list[Callable[[], object]] = [
        lambda: (at.mydrive / "foo.txt").write_text("x"),
        lambda: (at.mydrive / "new").mkdir(),
        lambda: os.remove(at.mydrive / "foo.txt"),
        lambda: os.rename(at.mydrive / "foo.txt", at.mydrive / "bar.txt"),
    ]
    for change in changes:
        with pytest.raises(OSError) as caught:
            change()
        assert caught.value.errno in (errno.EROFS, errno.EACCES)
    assert (at.mydrive / "foo.txt").read_text() == "kept"


@check
def nothing_mounted_is_nothing_to_flush(at: Place) -> None:
    """§1.2"""
    at.said()
    assert at.drive.flush_and_unmount() is None
    assert at.said() == "Drive not mounted, so nothing to flush and unmount.\n"


@check
def flushing_is_silent_empties_the_mountpoint_and_the_next_mount_has_all(at: Place) -> None:
    """§1.2, §1.8 persistence"""
    at.mount()
    (at.mydrive / "a folder").mkdir()
    (at.mydrive / "a folder" / "foo.txt").write_text("kept")
    at.said()
    assert at.drive.flush_and_unmount() is None and at.said() == ""
    assert os.listdir(at.point) == []
    assert (at.stand_in.body.store / "MyDrive" / "a folder" / "foo.txt").read_text() == "kept"
    assert at.mount() == f"Mounted at {at.point}\n"
    assert (at.mydrive / "a folder" / "foo.txt").read_text() == "kept"


@check
def after_a_flush_consent_is_asked_for_anew(at: Place) -> None:
    """§1.2"""
    at.mount()
    at.drive.flush_and_unmount()
    at.stand_in.faults.consent_denied(times=1)
    with pytest.raises(Exception, match="credential propagation was unsuccessful"):
        at.drive.mount(str(at.point))


@check
def the_inner_mount_and_its_debug_switch_are_there(at: Place) -> None:
    """§1.1, undocumented"""
    assert at.drive.mount._DEBUG is False
    at.drive.mount._DEBUG = True
    at.said()
    at.drive._mount(
        str(at.point), force_remount=False, timeout_ms=1000, ephemeral=True, readonly=False
    )
    dialogue = at.said()
    assert (
        "pkill -9 -x drive" in dialogue
        and "opendir_timeout_ms:1000" in dialogue
        and dialogue.endswith(f"Mounted at {at.point}\n")
    )


@check
def files_fail_in_the_middle_as_planned(at: Place) -> None:
    """§1.8 faults: 107, 5 and 28, each where it was planned, and nowhere else"""
    at.mount()
    (at.mydrive / "b.txt").write_text("x" * 10)
    faults = at.stand_in.faults
    planned: list[tuple[Fault, int, Callable[[], object]]] = [
        (faults.drops("MyDrive/a.*"), 107, lambda: (at.mydrive / "a.txt").write_text("1")),
        (faults.io_error("b.txt"), 5, lambda: (at.mydrive / "b.txt").read_text()),
        (
            faults.full(4, "MyDrive/c.*"),
            28,
            lambda: (at.mydrive / "c.bin").write_bytes(b"12345678"),
        ),
    ]
    for fault, number, act in planned:
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno == number and fault.fired >= 1, number
    faults.clear()
    assert (at.mydrive / "b.txt").read_text().endswith("xx")
    (at.mydrive / "a.txt").write_text("again")


@check
def each_operation_can_be_slow(at: Place) -> None:
    """§1.8 faults: latency"""
    at.mount()
    slow = at.stand_in.faults.slow(0.01, "MyDrive/d.txt", times=1)
    (at.mydrive / "d.txt").write_text("x")
    assert slow.fired == 1
