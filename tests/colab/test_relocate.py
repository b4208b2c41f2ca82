"""What lay where Drive is to be mounted: nothing is lost, whatever fails."""

import os
from pathlib import Path

import pytest

from colab_kit.colab import relocate as room
from colab_kit.colab.relocate import Aside, bring_in, move_aside, put_back
from colab_kit.errors import DriveError
from colab_kit.system import copies

from ..support.worlds import deletions, dies, laid, tree

GIB = 1 << 30
FILES = {
    "MyDrive/runs/a.pt": "weights",
    "MyDrive/notes.txt": "mine",
    "logs/x.log": "log",
    "foo.txt": "foo",
}


@pytest.fixture
def point(tmp_path) -> Path:
    return laid(tmp_path / "content/drive", FILES)


@pytest.fixture
def mydrive(tmp_path) -> Path:
    """Drive's own, elsewhere: where it is mounted does not matter here."""
    return laid(tmp_path / "google/MyDrive", {"kept.txt": "Drive's"})


@pytest.fixture
def heard() -> list:
    return []


def test_a_folder_with_files_becomes_its_neighbour(point):
    moved = move_aside(point, "")
    assert (
        moved == Aside(point, point.with_name("drive-before"))
        and not point.exists()
        and tree(moved.folder).items() >= FILES.items()
    )


def test_a_name_that_is_taken_is_numbered(point):
    laid(point.with_name("drive-before"), ["old"])
    point.with_name("drive-before-2").symlink_to("nowhere")
    assert move_aside(point, "").folder == point.with_name("drive-before-3")
    assert tree(point.with_name("drive-before")) == {"old": "text"}


def test_what_does_not_block_is_left_alone(tmp_path, point):
    table = f"drive {point} fuse.drive rw 0 0"
    assert move_aside(point, table) is None, "a mount"
    (tmp_path / "empty").mkdir()
    assert move_aside(tmp_path / "empty", "") is None and move_aside(tmp_path / "none", "") is None
    (tmp_path / "link").symlink_to(point)
    assert move_aside(tmp_path / "link", "") is None and move_aside(point / "foo.txt", "") is None
    (point / "My Drive").symlink_to("MyDrive")
    assert move_aside(point, "") is None, "a stand-in's folder, mounted"
    assert tree(point).items() >= FILES.items()


def test_a_dead_mount_is_left_to_google_colab(point, monkeypatch):
    dies(monkeypatch, point)
    assert move_aside(point, f"drive {point} fuse.drive rw 0 0") is None


def test_nothing_is_made_where_drive_has_gone_before_the_files_come(point, tmp_path, heard):
    moved = move_aside(point, "")
    point.mkdir()  # unmounted: an empty folder
    bring_in(moved, point / "MyDrive", heard.append, free=GIB)
    assert (
        tree(point) == {}
        and tree(moved.folder).items() >= FILES.items()
        and "is kept in" in heard[0].text
    )


def test_a_folder_that_is_lived_in_is_not_moved(tmp_path, point, monkeypatch):
    before = tree(tmp_path)
    with pytest.raises(DriveError, match="another disk"):
        move_aside(point, f"tmpfs {point}/logs tmpfs rw 0 0")
    monkeypatch.setenv("COLAB_KIT_HOME", str(point / "MyDrive/kit"))
    with pytest.raises(DriveError, match="COLAB_KIT_HOME lies in it"):
        move_aside(point, "")
    monkeypatch.delenv("COLAB_KIT_HOME")
    monkeypatch.chdir(point / "MyDrive")
    with pytest.raises(DriveError, match="%cd /content first"):
        move_aside(point, "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DriveError, match="working folder"):
        move_aside(tmp_path, "")
    assert tree(tmp_path) == before


def test_a_folder_that_cannot_be_moved_says_so(point, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(DriveError, match="could not be moved"):
        move_aside(point, "")


def test_it_is_put_back_exactly(point, heard):
    before = tree(point)
    moved = move_aside(point, "")
    point.mkdir()  # as google.colab does before it fails
    put_back(moved, heard.append)
    assert tree(point) == before and not moved.folder.exists() and heard == []


def test_what_came_meanwhile_is_not_overwritten_when_it_is_put_back(point, heard):
    moved = move_aside(point, "")
    laid(point, ["new.txt"])
    put_back(moved, heard.append)
    assert tree(point) == {"new.txt": "text"} and tree(moved.folder).items() >= FILES.items()
    assert heard[0].level == "warn" and str(moved.folder) in heard[0].text


def brought(point: Path, mydrive: Path, heard: list, **options) -> Aside:
    moved = move_aside(point, "")
    bring_in(moved, mydrive, heard.append, **{"free": GIB, **options})
    return moved


def test_it_comes_into_drive_in_the_same_places_and_the_folder_goes(point, mydrive, heard):
    moved = brought(point, mydrive, heard)
    assert tree(mydrive) == {
        "kept.txt": "Drive's", "notes.txt": "mine", "runs": None, "runs/a.pt": "weights",
        "drive-before": None, "drive-before/foo.txt": "foo", "drive-before/logs": None, "drive-before/logs/x.log": "log",
    }  # fmt: skip
    assert (
        not moved.folder.exists()
        and [note.level for note in heard] == ["info"]
        and "4 files" in heard[0].text
    )


def test_both_spellings_of_my_drive_are_one_place(tmp_path, mydrive, heard):
    point = laid(tmp_path / "content/drive", {"My Drive/a.txt": "spaced", "MyDrive/b.txt": "plain"})
    brought(point, mydrive, heard)
    assert tree(mydrive).items() >= {
        "a.txt": "spaced",
        "b.txt": "plain",
    }.items() and "drive-before" not in tree(mydrive)


def test_nothing_in_drive_is_ever_overwritten(tmp_path, mydrive, heard):
    laid(
        mydrive,
        {
            "a.pt": "Drive's",
            "same.pt": "same",
            "b.tar.gz": "Drive's",
            "b.tar (before mount).gz": "older",
            "name": "a file",
        },
    )
    (mydrive / "folder").mkdir()
    ours = {
        "a.pt": "ours",
        "same.pt": "same",
        "b.tar.gz": "ours",
        "name/x": "ours",
        "folder": "ours",
    }
    before = tree(mydrive)
    brought(laid(tmp_path / "content/drive/MyDrive", ours).parent, mydrive, heard)
    assert tree(mydrive) == before | {
        "a (before mount).pt": "ours", "b.tar (before mount 2).gz": "ours", "name (before mount)": None,
        "name (before mount)/x": "ours", "folder (before mount)": "ours",
    }  # fmt: skip
    assert (
        "5 files, 3 under a new name" in heard[0].text
        and not (tmp_path / "content/drive-before").exists()
    )


class Break:
    """Fail at the n-th call, and do it right before."""

    def __init__(self, function, at: int, error: BaseException) -> None:
        self.function, self.left, self.error = function, at, error

    def __call__(self, *args, **options):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.function(*args, **options)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("where, name", [(room, "_copy"), (copies, "sha256")])
def test_a_failure_in_the_middle_loses_nothing(point, mydrive, heard, monkeypatch, where, name, at):
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(where, name, Break(getattr(where, name), at, full))
    moved = brought(point, mydrive, heard)
    assert tree(moved.folder).items() >= FILES.items() and tree(mydrive)["kept.txt"] == "Drive's"
    assert (
        heard[0].level == "warn"
        and "No space left" in heard[0].text
        and str(moved.folder) in heard[0].text
    )
    assert not [path for path in tree(mydrive) if path.endswith(".part")]


def test_an_interrupt_in_the_middle_goes_on_its_way_and_loses_nothing(
    point, mydrive, heard, monkeypatch
):
    monkeypatch.setattr(room, "_copy", Break(room._copy, 2, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        brought(point, mydrive, heard)
    assert (
        tree(point.with_name("drive-before")).items() >= FILES.items()
        and "KeyboardInterrupt" in heard[0].text
    )


def test_a_copy_that_reads_back_otherwise_is_not_kept_and_its_source_is(
    point, mydrive, heard, monkeypatch
):
    monkeypatch.setattr(copies, "sha256", lambda path: "0" * 64)
    moved = brought(point, mydrive, heard)
    assert tree(moved.folder).items() >= FILES.items() and set(tree(mydrive)) <= {
        "kept.txt",
        "drive-before",
    }
    assert "reads back otherwise" in heard[0].text


def test_a_copy_that_is_thrown_away_is_emptied_first_since_the_trash_counts(
    point, mydrive, heard, monkeypatch
):
    deleted = deletions(monkeypatch)
    monkeypatch.setattr(copies, "sha256", lambda path: "0" * 64)
    brought(point, mydrive, heard)
    assert [size for name, size in deleted if name.endswith(".part")] == [0]


def test_what_drive_cannot_keep_stays_with_all_the_rest(point, mydrive, heard):
    (point / "MyDrive/link").symlink_to("notes.txt")
    moved = brought(point, mydrive, heard)
    assert (
        tree(moved.folder).items() >= FILES.items()
        and "link" in heard[0].text
        and (mydrive / "notes.txt").read_text() == "mine"
    )


@pytest.mark.parametrize("late", ["MyDrive/notes.txt", "MyDrive/new.txt"])
def test_a_file_that_is_still_written_keeps_the_folder(point, mydrive, heard, monkeypatch, late):
    def copy(source, target, really=room._copy):
        really(source, target)
        if source.name == "a.pt":  # the last of them: notes.txt was copied before
            (point.with_name("drive-before") / late).write_text("and more")

    monkeypatch.setattr(room, "_copy", copy)
    moved = brought(point, mydrive, heard)
    assert (moved.folder / late).read_text() == "and more" and "still writes" in heard[0].text


def test_a_readonly_drive_gets_nothing(point, mydrive, heard):
    moved = brought(point, mydrive, heard, readonly=True)
    assert (
        tree(mydrive) == {"kept.txt": "Drive's"}
        and tree(moved.folder).items() >= FILES.items()
        and "read-only" in heard[0].text
    )


def test_more_than_fits_or_than_is_bearable_stays_outside(point, mydrive, heard, monkeypatch):
    moved = brought(point, mydrive, heard, free=10)
    assert tree(mydrive) == {"kept.txt": "Drive's"} and "fit into Drive" in heard[0].text
    monkeypatch.setattr(room, "MOST", 3)
    bring_in(moved, mydrive, heard.append, free=GIB)
    assert (
        tree(mydrive) == {"kept.txt": "Drive's"}
        and "4 files" in heard[1].text
        and tree(moved.folder).items() >= FILES.items()
    )
