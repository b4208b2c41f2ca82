"""Records of runs: the key, what changed, which of two records counts, and what is promised on going on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from colab_kit.api import train
from colab_kit.colab.drive import stand_in
from colab_kit.colab.mirror import Mirror
from colab_kit.data.loading import load
from colab_kit.errors import DriveError, RecipeChanged, RunError
from colab_kit.events import Note, set_milestone_hook
from colab_kit.models import nets
from colab_kit.recipe import Recipe
from colab_kit.runs import record as records
from colab_kit.runs.identity import check_same, note_relatives
from colab_kit.runs.record import Place
from colab_kit.training import checkpoint

IDENTITY = {
    "verb": "train",
    "recipe": Recipe().identity(),
    "data": "f00",
    "model": {"class": "Net", "code": {"Net": "ab" * 32}},
    "init": None,
}


def place_at(folder: Path, shelf: Path | None = None) -> Place:
    kept = Mirror(shelf) if shelf is not None else None
    return Place(folder, kept, folder.name, shelf / folder.name if shelf is not None else None)


def begun(place: Place, **more: object) -> dict:
    record = {"name": "pets", "key": "k", "identity": IDENTITY, "recipe": {"epochs": 5}, **more}
    return records.begin(place, record, {"lr": (1e-3, "usual")})


def test_a_place_that_holds_another_run_is_refused_with_the_difference(tmp_path):
    place = place_at(tmp_path / "out")
    record = begun(place)
    check_same(place, record, IDENTITY)
    with pytest.raises(RecipeChanged, match="was made differently") as error:
        check_same(place, record, {**IDENTITY, "recipe": Recipe(lr=0.01).identity()})
    assert (
        error.value.why == "recipe.lr: null → 0.01"
        and "restart=True" in error.value.fix
        and str(place.folder) in error.value.what
    )


def test_choices_stand_before_the_record_does(tmp_path):
    order: list[list[str]] = []
    place = place_at(tmp_path / "out")

    def look(point: str, path: Path | None) -> None:
        if point == "after_rename":
            names = (p.name for p in place.folder.iterdir() if not p.name.startswith("."))
            order.append(sorted(names))

    set_milestone_hook(look)
    records.begin(place, {"name": "pets", "identity": {}}, {"lr": (1, "")})
    assert order == [["choices.json"], ["choices.json", "run.json"]]


def test_the_later_of_two_records_counts_and_is_brought_to_the_folder(tmp_path):
    place = place_at(tmp_path / "fast" / "pets-k", tmp_path / "drive")
    assert records.find(place) is None
    older = begun(place, created=1.0)
    for name in ("run.json", "choices.json"):
        assert place.shelf.push(place.folder / name, f"pets-k/{name}")
    assert place.shelf.close(10)
    assert records.find(place) == older
    newer = {**older, "created": 2.0, "start": "another", "status": "stopped"}
    copy = tmp_path / "drive" / "pets-k"
    records.write(copy, newer, records.choices_of(copy, older))
    assert records.find(place) == newer == records.read_run(place.folder)
    assert records.choices_of(place.folder, newer) == {"lr": [1e-3, "usual"]}
    begun(place)  # restart=True here
    assert records.find(place)["start"] not in ("another", older["start"])


def test_a_machine_with_nothing_gets_record_and_choices_from_the_shelf(tmp_path):
    there = place_at(tmp_path / "old" / "pets-k", tmp_path / "drive")
    record = begun(there)
    for name in ("run.json", "choices.json"):
        there.shelf.push(there.folder / name, f"pets-k/{name}")
    assert there.shelf.close(10)
    here = place_at(tmp_path / "new" / "pets-k", tmp_path / "drive")
    assert records.find(here) == record
    assert records.choices_of(here.folder, record) == {"lr": [1e-3, "usual"]}


def test_checkpoints_of_an_older_start_do_not_mix_with_a_newer_one_from_the_shelf(tmp_path):
    place = place_at(tmp_path / "fast" / "pets-k", tmp_path / "drive")
    older = begun(place)
    (place.folder / "checkpoint-000000100.safetensors").write_bytes(b"of the older start")
    newer = {**older, "created": older["created"] + 60, "start": "another"}
    records.write(tmp_path / "drive" / "pets-k", newer, {})
    records.find(place)
    assert not list(place.folder.glob("checkpoint-*"))
    assert (tmp_path / "fast" / "pets-k.before" / "checkpoint-000000100.safetensors").exists(), (
        "nothing computed is lost"
    )


class Away:
    """A shelf on a Drive that cannot be read now."""

    def find(self, name: str) -> list[Path]:
        raise DriveError(
            "r could not be read from Drive.", "it has dropped away", "kit.mount()"
        ) from OSError(107, "not connected")


def test_a_shelf_that_cannot_be_read_is_no_proof_that_there_is_no_run(tmp_path):
    place = Place(tmp_path / "r", Away(), "r", tmp_path / "drive")  # type: ignore[arg-type]
    for look in (records.find, records.is_begun):
        with pytest.raises(DriveError):
            look(place)
    record = begun(place)
    assert records.find(place) == record and records.is_begun(place), "the local files are enough"


@pytest.mark.parametrize("content", ["", '{"name": "pe'])
def test_a_torn_record_on_the_shelf_does_not_stop_a_run_whose_own_is_whole(tmp_path, content):
    place = place_at(tmp_path / "fast" / "pets-k", tmp_path / "drive")
    record = begun(place)
    torn = tmp_path / "drive" / "pets-k" / "run.json"
    torn.parent.mkdir(parents=True)
    torn.write_text(content)
    assert records.find(place) == record
    torn.write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(RunError, match="newer colab_kit"):
        records.find(place)


def test_a_record_is_brought_after_its_choices(tmp_path, monkeypatch):
    there = place_at(tmp_path / "old" / "pets-k", tmp_path / "drive")
    begun(there)
    shutil.copytree(there.folder, tmp_path / "drive" / "pets-k")
    order: list[str] = []
    write = records.write_record
    monkeypatch.setattr(
        records, "write_record", lambda path, *what: (order.append(path.name), write(path, *what))
    )
    records.find(place_at(tmp_path / "new" / "pets-k", tmp_path / "drive"))
    assert order == ["choices.json", "run.json"]


def test_a_fresh_start_keeps_what_drive_alone_has(tmp_path):
    old, here = (
        tmp_path / "drive" / "pets-k",
        place_at(tmp_path / "new" / "pets-k", tmp_path / "drive"),
    )
    record = begun(place_at(old))
    facts = {"step": 5, "start": record["start"]}
    checkpoint.write(
        old / "checkpoint-a.safetensors",
        {"model/w": torch.ones(2)},
        facts,
    )
    heard: list[Note] = []
    records.make_way(here, restart=True, emit=heard.append)
    kept = tmp_path / "new" / "pets-k.before"
    assert (
        checkpoint.read(kept / checkpoint.name_of(5)).step == 5 and records.read_run(kept) == record
    )
    assert not here.folder.exists() and len(heard) == 1 and str(kept) in heard[0].text


def test_a_fresh_start_does_not_need_drive(tmp_path):
    heard: list[Note] = []
    records.make_way(Place(tmp_path / "r", Away(), "r", None), restart=True, emit=heard.append)  # type: ignore[arg-type]
    assert [note.level for note in heard] == ["warn"] and "could not be kept" in heard[0].text


def test_records_that_cannot_be_listed_or_lack_their_start_are_passed_over(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text('{"identity": {}, "created": 1.0, "name": "old"}')
    (tmp_path / "a file").write_text("")
    assert (
        list(records.all_records(tmp_path)) == list(records.all_records(tmp_path / "a file")) == []
    )


def test_setting_aside_keeps_one_step_back(tmp_path):
    place = place_at(tmp_path / "out")
    records.set_aside(place)
    first = begun(place)
    records.set_aside(place)
    assert not place.folder.exists()
    second = begun(place)
    records.set_aside(place)
    assert [p.name for p in tmp_path.iterdir()] == ["out.before"]
    assert records.read_run(tmp_path / "out.before")["start"] == second["start"] != first["start"]


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", "{}", '{"name": 1}', "[" * 100_000, '{"format": 1e999}', "\xff"]
)
def test_a_run_json_that_is_not_ours_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(RunError, match="is no record|older colab_kit") as error:
        records.find(place_at(tmp_path))
    assert "run.json" in error.value.what and error.value.fix


def test_a_record_that_was_edited_by_hand_is_an_error_that_says_how_to_go_on(tmp_path):
    place = place_at(tmp_path / "out")
    begun(place)
    path = place.folder / "run.json"
    text = path.read_text()
    path.write_text(text.replace('"epochs": 5', '"epochs": 6'))
    with pytest.raises(RunError) as error:
        records.find(place)
    assert "was changed after it was written" in error.value.why
    assert "undo the change" in error.value.fix and "delete that file" in error.value.fix
    path.write_text(text)
    assert records.find(place)["recipe"] == {"epochs": 5}


def test_choices_that_are_missing_changed_or_of_another_run_are_an_error(tmp_path):
    record, other = (begun(place_at(tmp_path / name)) for name in ("mine", "other"))
    path, text = tmp_path / "mine/choices.json", (tmp_path / "mine/choices.json").read_text()
    foreign = (tmp_path / "other/choices.json").read_text()
    for content, said in ((text.replace("usual", "unusual"), "changed"), (foreign, "another file")):
        path.write_text(content)
        with pytest.raises(RunError, match="does not hold the choices of its run") as error:
            records.choices_of(path.parent, record)
        assert said in error.value.why
    path.unlink()
    with pytest.raises(RunError, match="is missing"):
        records.choices_of(path.parent, record)
    assert records.choices_of(tmp_path / "other", other) == {"lr": [1e-3, "usual"]}


def test_a_whole_record_of_the_shelf_replaces_a_damaged_one(tmp_path):
    place = place_at(tmp_path / "fast" / "pets-k", tmp_path / "drive")
    record = begun(place)
    shutil.copytree(place.folder, tmp_path / "drive" / "pets-k")
    (place.folder / "run.json").write_text("{}")
    kept = place.folder / "checkpoint-000000100.safetensors"
    kept.write_bytes(b"of the same start")
    assert records.find(place) == record == records.read_run(place.folder) and kept.exists()
    for path in (place.folder, tmp_path / "drive" / "pets-k"):
        (path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="no record of a run") as error:
        records.find(place)
    assert str(place.folder) in error.value.what


def test_one_damaged_record_hides_no_other(tmp_path):
    begun(place_at(tmp_path / "pets-1"))
    for name, content in (("a-0123abcd", "{"), ("b", "[" * 10**5), ("c", '{"created": "x"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    (tmp_path / "d" / "run.json").mkdir(parents=True)
    assert [Path(r["folder"]).name for r in records.all_records(tmp_path)] == ["pets-1"]
    damaged = [folder.name for folder, _ in records.unreadable(tmp_path)]
    assert damaged == ["a-0123abcd", "b", "c", "d"]


def test_a_new_run_says_how_it_differs_from_the_newest_of_its_name(tmp_path):
    for n, lr in enumerate((0.1, 0.2)):
        begun(
            place_at(tmp_path / f"pets-{n}"),
            identity={**IDENTITY, "recipe": Recipe(lr=lr).identity()},
            created=float(n),
        )
    begun(place_at(tmp_path / "pets-9.before"), created=99.0)
    begun(place_at(tmp_path / "cars-0"), name="cars", created=98.0)
    heard: list[Note] = []
    note_relatives(
        place_at(tmp_path / "pets-2"),
        "pets",
        {**IDENTITY, "recipe": Recipe(lr=0.3).identity()},
        heard.append,
    )
    assert [note.text for note in heard] == ["This is a new run, not pets-1: lr: 0.2 → 0.3."]


def test_places_with_and_without_a_drive(own_home):
    assert Place.named("pets-k", None).folder == own_home / "work" / "colab-kit" / "runs" / "pets-k"
    drive = stand_in(Path("/content/drive"), "mock")
    named = Place.named("pets-k", drive)
    assert (named.folder, named.drive_folder) == (
        own_home / "kit" / "runs" / "pets-k",
        drive / "colab-kit/runs/pets-k",
    )
    there = Place.at(drive / "mine" / "pets", drive)
    assert (
        there.folder.parent == own_home / "kit" / "runs"
        and there.drive_folder == drive / "mine" / "pets"
        and there.kept_as == "pets"
    )
    here = Place.at(Path("pets"), drive)
    assert (here.folder, here.shelf) == (own_home / "work" / "pets", None)
    assert Place.at(drive / "a" / "pets", drive).folder != there.folder, (
        "two folders of one name on Drive are two runs"
    )


@pytest.mark.parametrize("name", ["run.json", "choices.json"])
def test_a_changed_record_is_an_error_whose_fix_loses_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    data = load("fashion-mini", max_per_class=20, quiet=True)

    def again():
        return train(nets.mlp, data, epochs=1, run_dir="run", quiet=True)

    first = again().model.state_dict()
    path = tmp_path / "run" / name
    path.write_text(path.read_text(encoding="utf-8").replace("64", "63"), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        again()
    assert "delete that file" in caught.value.fix
    path.unlink()
    run = again()
    assert path.exists() and run.status == "finished"
    assert all(torch.equal(t, first[key]) for key, t in run.model.state_dict().items())
