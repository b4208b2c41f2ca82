"""What runs cost, and how one goes."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from colab_kit.cli import main
from colab_kit.colab import drive as drives
from colab_kit.colab import mounting
from colab_kit.colab.lease import NAME, Holder
from colab_kit.colab.mirror import Mirror
from colab_kit.errors import ColabKitError, DriveError, RunError
from colab_kit.runs import catalog
from colab_kit.runs import record as records
from colab_kit.system.files import home
from colab_kit.system.locks import one_writer
from colab_kit.system.sealed import write_record
from colab_kit.training import checkpoint
from tests.support.sealed import write_run


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    return tmp_path


def make_run(
    root: Path,
    name: str = "cats",
    *,
    start: str = "s1",
    status: str = "finished",
    epochs: int | None = 2,
    folder: str | None = None,
) -> Path:
    made = root / (folder or f"{name}-12345678")
    record = {
        "format": records.FORMAT,
        "identity": {},
        "created": 1.0,
        "name": name,
        "key": "12345678",
        "start": start,
        "status": status,
        "recipe": {"epochs": 5},
    }
    write_run(made / "run.json", record)
    if epochs is not None:
        facts = {"epoch": epochs, "step": epochs, "start": start}
        checkpoint.write(
            made / checkpoint.name_of(epochs),
            {"model/w": torch.zeros(8)},
            facts,
        )
    return made


def disk(place: Path) -> Path:
    return place / "colab-kit" / "runs"


def drive(place: Path) -> Path:
    (mydrive := place / "home" / "drive" / "MyDrive").mkdir(parents=True, exist_ok=True)
    return mydrive / "colab-kit" / "runs"


def test_nothing_is_listed_where_nothing_is(place, capsys):
    assert catalog.look().runs == [] and main.main(["runs"]) == 0
    assert capsys.readouterr().out == "No runs are here.\n"
    assert list(place.iterdir()) == []


def test_a_run_and_its_copy_are_one(place):
    folder, copy = make_run(place / "home" / "runs"), make_run(drive(place))
    (run,) = catalog.look().runs
    assert (run.folder, run.copy, run.epochs, run.total, run.status) == (
        folder,
        copy,
        2,
        5,
        "finished",
    )
    assert run.size == run.copy_size == sum(file.stat().st_size for file in folder.iterdir())


def test_the_one_touched_last_comes_first(place):
    make_run(disk(place), "dogs", start="s2")
    old = make_run(disk(place), "cats")
    for file in old.iterdir():
        os.utime(file, (1000, 1000))
    assert [run.name for run in catalog.look().runs] == ["dogs", "cats"]


def test_what_fresh_set_aside_is_a_run_of_its_own(place):
    make_run(disk(place))
    make_run(disk(place), folder="cats-12345678.before")
    assert sorted(run.status for run in catalog.look().runs) == ["finished", "set aside"]


def test_a_killed_run_is_unfinished_and_a_locked_one_is_running(place):
    folder = make_run(disk(place), status="running")
    assert catalog.look().runs[0].status == "unfinished"
    with one_writer(folder):
        (run,) = catalog.look().runs
        assert run.status == "running"
        with pytest.raises(RunError, match="is running and is not deleted"):
            catalog.delete(run)
    assert catalog.look().runs[0].status == "unfinished" and (folder / "run.json").exists()


def test_one_that_began_to_run_since_the_list_was_made_is_not_deleted(place):
    folder = make_run(disk(place))
    (run,) = catalog.look().runs
    with one_writer(folder), pytest.raises(RunError, match="written by another process"):
        catalog.delete(run)
    assert (folder / "run.json").exists()


def test_a_copy_that_another_machine_writes_is_running_until_it_has_been_silent_for_long(place):
    copy = make_run(drive(place), status="running")
    assert catalog.look().runs[0].status == "unfinished"
    for age, status in ((20, "running"), (3600, "unfinished")):
        beat = time.time() - age
        (copy / NAME).write_bytes(
            Holder("theirs", "far", 7, "1", "colab on far (process 7)", beat, beat).as_bytes()
        )
        assert catalog.look().runs[0].status == status
    with pytest.raises(RunError, match="is running and is not deleted"):
        (copy / NAME).write_bytes(
            Holder(
                "theirs", "far", 7, "1", "colab on far (process 7)", beat, time.time()
            ).as_bytes()
        )
        catalog.delete(catalog.look().runs[0])


def test_a_damaged_checkpoint_does_not_hide_the_epochs_of_the_one_before(place):
    folder = make_run(disk(place))
    (folder / checkpoint.name_of(3)).write_bytes(b"\xff" * 40)
    assert catalog.look().runs[0].epochs == 2
    assert make_run(disk(place), "dogs", start="s2", epochs=None) and {
        run.epochs for run in catalog.look().runs
    } == {2, None}


def test_the_epochs_of_a_copy_on_drive_are_those_of_the_later_of_its_slots(place):
    copy = make_run(drive(place), epochs=None)
    for letter, epoch in (("a", 4), ("b", 3)):
        facts = {"epoch": epoch, "step": epoch, "start": "s1"}
        checkpoint.write(
            copy / f"checkpoint-{letter}.safetensors",
            {"w": torch.zeros(8)},
            facts,
        )
    assert catalog.look().runs[0].epochs == 4


def test_deleting_frees_the_disk_and_what_goes_to_drives_trash_is_empty(place):
    folder, copy = make_run(place / "home" / "runs"), make_run(drive(place))
    trash = place / "trash.safetensors"
    os.link(copy / checkpoint.name_of(2), trash)  # Drive's Trash keeps what was deleted
    catalog.delete(catalog.look().runs[0])
    assert not folder.exists() and not copy.exists() and catalog.look().runs == []
    assert trash.stat().st_size == 0


def test_what_is_deleted_is_not_brought_back_by_this_process_copies(place):
    folder, copy = make_run(place / "home" / "runs"), make_run(drive(place))
    mirror = Mirror.at(drive(place))
    assert mirror.push(folder / "run.json", f"{copy.name}/run.json") and mirror.drained(None)
    catalog.delete(catalog.look().runs[0])
    assert mirror.close(20) and not copy.exists()


def test_files_that_go_while_they_are_listed_do_not_end_the_list(place, monkeypatch):
    folder, stat, looks = make_run(disk(place)), Path.stat, [0]
    part = folder / ".run.json.0123abcd.part"
    part.write_text("a copy that gets its name between two looks")

    def stat_once(path: Path, **kw: Any) -> os.stat_result:
        looks[0] += path == part
        if path == part and looks[0] > gone_after:
            raise FileNotFoundError(2, "gone", str(path))
        return stat(path, **kw)

    monkeypatch.setattr(Path, "stat", stat_once)
    for gone_after in (0, 1):  # noqa: B007 (stat_once reads it)
        looks[0] = 0
        assert [run.folder for run in catalog.look().runs] == [folder]


def test_a_deletion_that_broke_off_leaves_a_run_that_is_listed(place, monkeypatch):
    folder = make_run(disk(place))
    (run,) = catalog.look().runs
    monkeypatch.setattr(
        Path, "unlink", lambda self, **kw: (_ for _ in ()).throw(PermissionError(13, "read-only"))
    )
    with pytest.raises(RunError, match="could not be written"):
        catalog.delete(run)
    monkeypatch.undo()
    assert (folder / "run.json").exists()


def test_prune_deletes_only_what_is_confirmed(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    cats, dogs = make_run(disk(place)), make_run(disk(place), "dogs", start="s2")
    answers = iter([True, False])
    monkeypatch.setattr(main.click, "confirm", lambda text: next(answers))
    assert main.main(["runs", "--prune"]) == 0
    assert [cats.exists(), dogs.exists()].count(True) == 1
    assert capsys.readouterr().out.count("deleted:") == 1


def test_prune_yes_deletes_what_is_named_and_never_what_runs(place, capsys):
    cats, dogs, birds = (
        make_run(disk(place), name, start=name) for name in ("cats", "dogs", "birds")
    )
    with one_writer(dogs):
        assert main.main(["runs", "cats", "dogs", "--prune", "--yes"]) == 0
    assert not cats.exists() and dogs.exists() and birds.exists()
    assert "kept: dogs-12345678 (running)" in capsys.readouterr().out


def test_prune_without_anyone_to_ask_deletes_nothing_and_names_the_flag(place, monkeypatch, capsys):
    folder = make_run(disk(place))
    monkeypatch.setattr("sys.stdin", open(os.devnull))
    assert main.main(["runs", "--prune"]) == main.FAILED
    assert folder.exists() and "--yes" in capsys.readouterr().err


def test_a_name_that_no_run_has_is_said_and_then_nothing_is_deleted(place, capsys):
    folder = make_run(disk(place))
    assert main.main(["runs", "cats", "dgos", "brids"]) == main.FAILED
    said = capsys.readouterr()
    assert (
        "No run is called dgos or brids." in said.err
        and "cats" in said.out
        and "No runs are here" not in said.out
    )
    assert main.main(["runs", "cats", "dgos", "--prune", "--yes"]) == main.FAILED
    assert folder.exists() and "nothing is deleted" in capsys.readouterr().err
    assert main.main(["runs", "12345678"]) == main.OK


def test_the_list_comes_without_torch(place):
    make_run(disk(place))
    code = "import sys; from colab_kit.cli.main import main; assert main(['runs']) == 0; assert not {'torch', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "cats" in done.stdout, done.stderr


def test_a_run_that_drive_has_nothing_of_yet_says_when_copies_go_there(place, capsys):
    make_run(disk(place), "beside", start="s0", status="running")  # begun without a Drive
    make_run(place / "home" / "runs", "cats", start="s1", status="running")
    make_run(place / "home" / "runs", "dogs", start="s2")
    make_run(
        place / "home" / "runs", "owls", start="s3", status="running", folder="elsewhere-ffffffff"
    )  # out=
    main.main(["runs"])
    assert "On this disk" not in capsys.readouterr().out, "there is no Drive"
    drive(place).mkdir(parents=True)
    main.main(["runs"])
    line = next(
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("On this disk alone so far")
    )
    assert "far: cats-12345678; copies" in line and "every five minutes" in line
    make_run(drive(place), "cats", start="s1", status="running")
    main.main(["runs"])
    assert "On this disk" not in capsys.readouterr().out


def test_a_dead_drive_does_not_hide_the_local_runs_and_is_said_in_one_line(
    place, fuse_drive, capsys
):
    make_run(home() / "runs")
    make_run(fuse_drive / "colab-kit/runs", "far", start="s2")
    assert [run.name for run in catalog.look().runs] == [
        "far",
        "cats",
    ] and not catalog.look().silent
    (far, _) = catalog.look().runs
    fuse_drive.kill()
    assert main.main(["runs"]) == main.OK
    said = capsys.readouterr()
    assert "cats" in said.out and "far" not in said.out and said.err.count("\n") == 1
    assert f"Drive does not answer ({fuse_drive.mountpoint})" in said.err
    with pytest.raises(DriveError, match="was not deleted"):
        catalog.delete(far)


def test_a_dead_drive_of_a_colab_machine_is_known_from_its_mounts(place, fuse_drive, monkeypatch):
    row = f"drive {fuse_drive.mountpoint} fuse.drive rw 0 0\n"
    site = mounting.Site("colab-subprocess", table=lambda: row)
    with monkeypatch.context() as patch:  # undone before fuse_drive undoes its own
        patch.setattr(mounting.Site, "here", lambda: site)
        patch.setattr(drives.session, "current", None)
        assert catalog.look().silent == []
        fuse_drive.kill()
        assert catalog.look().silent == [fuse_drive.mountpoint]


@pytest.mark.parametrize("woe", ["drops", "io_error"])
def test_a_drive_that_fails_while_it_is_read_is_no_error_of_ours(
    place, mock_drive, drive_faults, woe
):
    copy = make_run(mock_drive / "colab-kit/runs")
    make_run(disk(place), "dogs", start="s2")
    runs = catalog.look().runs
    getattr(drive_faults, woe)()
    seen = catalog.look()
    assert [run.name for run in seen.runs] == ["dogs"] and seen.silent == [mock_drive.mountpoint]
    assert catalog.facts_of(copy) is None
    with pytest.raises(ColabKitError):
        catalog.delete(next(run for run in runs if run.copy is not None))


def test_yes_alone_is_wrong_usage(place):
    assert main.main(["runs", "--yes"]) == main.USAGE


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "-"), (999, "999 B"), (1000, "1.0 kB"), (3_140_000, "3.1 MB"), (999_999, "1000.0 kB")],
)
def test_sizes_are_said_for_people(count, text):
    assert main.size(count) == text


def test_a_solved_head_is_counted_in_its_views(place):
    made = make_run(place / "home" / "runs", epochs=1)
    write_record(made / "choices.json", "s1", {"mode": {"value": "frozen"}, "views": {"value": 1}})
    (run,) = catalog.look().runs
    assert (run.epochs, run.total) == (1, 1)
    unkept = {"mode": {"value": "frozen"}, "features": {"value": "not kept"}}
    write_record(made / "choices.json", "s1", unkept)
    (run,) = catalog.look().runs
    assert (run.epochs, run.total) == (1, 5), "one that learned in the loop"


@pytest.mark.parametrize("content", ["", "{", "[" * 10**5, '{"created": "x", "name": 1}'])
def test_a_run_whose_record_is_damaged_is_listed_hides_no_other_and_can_be_deleted(
    place, content, capsys
):
    damaged = make_run(disk(place), "damaged", start="s2")
    make_run(disk(place))
    (damaged / "run.json").write_text(content)
    assert main.main(["runs"]) == 0
    listed = capsys.readouterr().out
    assert "cats" in listed and "damaged" in listed and "unreadable" in listed and "2/?" in listed
    seen = {run.name: run for run in catalog.look().runs}
    assert (seen["cats"].status, seen["damaged"].status) == ("finished", "unreadable")
    assert seen["damaged"].size > 0 and seen["damaged"].key == "12345678"
    catalog.delete(seen["damaged"])
    assert not damaged.exists()


def test_a_checkpoint_whose_header_is_damaged_hides_no_run(place):
    made = make_run(disk(place))
    path = made / checkpoint.name_of(2)
    for old, new in (
        (b"epoch", b"apoch"),
        (b'"step":"2"', b'"step":2  '),
        (b'"facts"', b'"fakts"'),
    ):
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))
        assert catalog.look().runs[0].epochs is None
        path.write_bytes(content)


@pytest.mark.parametrize(
    "choices", ['{"mode": ["frozen", "as asked"], "views": [3, "as asked"]}', '{"mode": {', "[]"]
)
def test_one_run_whose_choices_are_old_or_damaged_hides_no_other(place, choices):
    old = make_run(disk(place), "old", start="s2")
    (old / "choices.json").write_text(choices)
    make_run(disk(place))
    seen = {run.name: run for run in catalog.look().runs}
    assert {run.status for run in seen.values()} == {"finished"} and seen["old"].total == 5
