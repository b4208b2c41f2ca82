"""Opening: a run found again by folder, name or key, on this disk or from Drive alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from colab_kit.colab.mounting import mount
from colab_kit.errors import ModelError, RunError
from colab_kit.events import EpochDone, Note, RunEnded
from colab_kit.runs import record as records
from colab_kit.runs.opening import open_run
from colab_kit.system.locks import one_writer
from colab_kit.training import saver
from colab_kit.training.choices import as_facts
from tests.runs.test_run import net, quietly, same, stopped_after
from tests.support.tasks import Small
from tests.training.test_loop import bits


def test_a_run_opens_by_folder_name_key_and_full_name_with_its_best_weights():
    run = quietly(name="pets", lr=0.3)
    for where in (
        run.folder,
        str(run.folder),
        "pets",
        run.key,
        f"pets-{run.key}",
        run.folder.relative_to(Path.cwd()),
    ):
        again = open_run(where)
        assert (
            again.folder == run.folder and same(again.model, run.model) and not again.model.training
        )
        assert (
            again.history == run.history and again.best == run.best and again.classes == run.classes
        )
        assert (again.status, again.recipe, again.choices) == ("finished", run.recipe, run.choices)
    assert open_run(run) is run


def test_the_newest_run_of_a_name_is_opened():
    first = quietly(name="pets")
    second = quietly(name="pets", lr=0.1)
    assert open_run("pets").key == second.key != first.key and open_run(first.key).key == first.key


def test_a_run_set_aside_by_fresh_is_not_the_newest_of_its_name():
    quietly(name="pets")
    run = quietly(name="pets", restart=True)
    assert open_run("pets").record["start"] == run.record["start"]
    assert (run.folder.with_name(run.folder.name + ".before") / "run.json").exists()


def test_a_damaged_run_hides_no_other_of_its_name_and_says_so_when_it_is_asked_for(capsys):
    first = quietly(name="pets")
    second = quietly(name="pets", lr=0.1)
    (second.folder / "run.json").write_text("{}")
    assert open_run("pets").key == first.key
    assert f"{second.folder} is passed over" in capsys.readouterr().out
    for where in (second.folder, second.key, second.folder.name):
        with pytest.raises(RunError, match="no record of a run"):
            open_run(where)
    assert quietly(name="pets", lr=0.2).status == "finished"
    with pytest.raises(RunError, match="no record of a run") as error:
        quietly(name="pets", lr=0.1)
    assert "delete that file" in error.value.fix
    assert quietly(name="pets", lr=0.1, restart=True).status == "finished"


@pytest.mark.parametrize("field", ["classes", "mean", "std", "floats"])
def test_a_changed_word_of_a_record_changes_no_prediction_in_silence(field):
    run = quietly(name="pets")
    path = run.folder / "run.json"
    text = path.read_text()
    after = text.index(f'"{field}"') + len(field) + 3
    place = next(i for i in range(after, len(text)) if text[i].isalnum())
    path.write_text(text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :])
    with pytest.raises(RunError):
        open_run(run.folder)


def test_a_run_that_is_nowhere_names_those_that_are():
    with pytest.raises(RunError, match="no run 'cats'") as error:
        open_run("cats")
    assert "none yet" in error.value.why
    quietly(name="pets")
    with pytest.raises(RunError) as error:
        open_run("cats")
    assert "pets" in error.value.why


def test_a_network_of_ones_own_is_needed_to_open_its_run():
    run = quietly(Small, name="own")
    with pytest.raises(ModelError, match="network of your own") as error:
        open_run("own")
    assert "open_run('own', model=MyNetwork)" in error.value.fix
    for model in (Small, Small(), lambda: Small()):
        assert same(open_run("own", model=model).model, run.model)
    with pytest.raises(ModelError, match="does not fit"):
        _ = open_run("own", model=nn.Linear(2, 2)).model


def test_a_run_kept_on_drive_alone_opens_and_goes_on_to_the_same_bits(own_home):
    drive = mount(quiet=True)
    stopped = stopped_after(5, name="pets")
    assert (
        stopped.folder.is_relative_to(own_home / "kit" / "runs")
        and stopped.drive_folder == drive / "colab-kit" / "runs" / stopped.folder.name
    )
    shutil.rmtree(own_home / "kit" / "runs")  # a new machine
    assert open_run("pets").status == "stopped"
    shutil.rmtree(own_home / "kit" / "runs")
    again = quietly(name="pets")
    assert again.status == "finished" and again.folder == stopped.folder
    assert again.choices == stopped.choices and len(again.history) == 2
    assert bits(again) == bits(quietly(run_dir="beside"))


def test_drive_keeps_no_more_than_a_run_needs(own_home):
    mount(quiet=True)
    run = quietly(name="pets", epochs=3, save_every_steps=1)
    kept = sorted(p.name for p in run.drive_folder.iterdir())
    assert len([name for name in kept if name.startswith("checkpoint")]) <= 2 and {
        "run.json",
        "choices.json",
        "history.csv",
    } <= set(kept)
    assert not [name for name in kept if name.endswith(".part")]


def test_a_run_waits_for_its_copies_and_says_whether_they_are_handed_over(own_home):
    assert quietly(epochs=1, run_dir="plain").wait_for_copies(0), (
        "without a Drive there is nothing to wait for"
    )
    drive = mount(quiet=True)
    run = quietly(name="pets", epochs=1)
    picture = run.plot()
    assert (
        run.wait_for_copies(30)
        and (run.drive_folder / picture.name).read_bytes() == picture.read_bytes()
    )
    drive.mydrive.rename(own_home / "away")
    run.plot()
    picture.write_bytes(b"another one")
    run.place.shelf.push(picture, f"{run.place.kept_as}/{picture.name}")
    assert not run.wait_for_copies(0) and not drive.mydrive.exists()
    (own_home / "away").rename(drive.mydrive)
    assert (
        run.wait_for_copies(30) and (run.drive_folder / picture.name).read_bytes() == b"another one"
    )


def test_a_run_whose_drive_is_gone_ends_done_and_says_that_copies_are_missing(
    own_home, monkeypatch
):
    monkeypatch.setattr(saver, "AT_THE_END", 0.0)
    drive = mount(quiet=True)
    heard: list = []

    def hear(event):
        heard.append(event)
        if isinstance(event, EpochDone) and drive.mydrive.exists():
            drive.mydrive.rename(own_home / "away")

    run = quietly(name="pets", hear=hear)
    assert run.status == "finished" and not drive.mydrive.exists()
    assert any(
        "run.wait_for_copies()" in e.text for e in heard if isinstance(e, Note)
    ) and isinstance(heard[-1], RunEnded)
    (own_home / "away").rename(drive.mydrive)
    assert run.wait_for_copies(30)
    shutil.rmtree(own_home / "kit" / "runs")
    assert same(open_run("pets").model, run.model)


def test_a_finished_run_that_did_not_reach_drive_is_handed_over_when_its_cell_runs_again(own_home):
    mount(quiet=True)
    run = quietly(name="pets")
    for path in run.drive_folder.glob("*.safetensors"):
        path.unlink()
    quietly(name="pets")
    shutil.rmtree(own_home / "kit" / "runs")
    assert same(open_run("pets").model, run.model)


def test_after_a_fresh_start_drive_holds_the_new_best_weights_of_the_same_step(own_home):
    mount(quiet=True)
    for restart in (False, True):
        torch.manual_seed(restart)
        run = quietly(
            net(), restart=restart, epochs=1
        )  # one validation: the best of both is of one step, and of one name
    (best,) = run.folder.glob("best-*")
    assert best.read_bytes() in [copy.read_bytes() for copy in run.drive_folder.glob("best-*")]


def test_a_folder_that_is_being_written_is_not_moved_aside_for_a_later_start_on_drive():
    mount(quiet=True)
    run = quietly()
    later = {**run.record, "start": "another", "created": run.record["created"] + 100}
    records.write(run.drive_folder, later, as_facts(run.choices))
    with one_writer(run.folder), pytest.raises(RunError, match="another process"):
        quietly()
    assert (run.folder / "run.json").exists() and list(run.folder.glob("checkpoint-*"))


def test_out_on_drive_is_written_on_the_fast_disk_and_found_by_its_path(own_home):
    drive = mount(quiet=True)
    run = quietly(run_dir=drive / "mine" / "pets")
    assert run.drive_folder == drive / "mine" / "pets" and run.folder.is_relative_to(
        own_home / "kit" / "runs"
    )
    shutil.rmtree(own_home / "kit" / "runs")
    assert same(open_run(drive / "mine" / "pets").model, run.model)


def test_a_damaged_newest_checkpoint_falls_back_one_generation_and_says_so(capsys):
    run = stopped_after(7, save_every_steps=2)
    newest = max(run.folder.glob("checkpoint-*"))
    newest.write_bytes(newest.read_bytes()[:-100])
    assert open_run(run.folder).folder == run.folder
    assert f"{newest.name} is damaged" in capsys.readouterr().out
    again = quietly(save_every_steps=2)
    assert again.status == "finished" and bits(again) == bits(
        quietly(run_dir="beside", save_every_steps=2)
    )
    for path in run.folder.glob("checkpoint-*"):
        path.write_bytes(b"\0" * 10)
    with pytest.raises(RunError, match="is damaged") as error:
        open_run(run.folder)
    assert "sha256" in error.value.why and "restart=True" in error.value.fix


def test_missing_best_weights_are_said_and_the_last_ones_stand_in(capsys):
    run = quietly(lr=0.3)
    next(run.folder.glob("best-*")).unlink()
    assert open_run(run.folder).model is not None
    assert "is missing or damaged" in capsys.readouterr().out
