"""Transferring: the backbone keeps every bit, its features are computed once, the head is solved; then, if asked, all is trained."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.api import transfer
from colab_kit.data.loading import load
from colab_kit.errors import RecipeError
from colab_kit.events import Control, EpochDone, Note, StepDone, set_milestone_hook
from colab_kit.models.build import LazyBackbone
from colab_kit.models.precision import Precision
from colab_kit.runs.opening import open_run
from colab_kit.testing.fixtures import class_folders
from colab_kit.training import checkpoint, transfer_plan
from colab_kit.training.probing import TOO_SHORT
from colab_kit.training.request import Request, Transfer
from colab_kit.training.transfer_plan import DEEP, choose_mode
from tests.support import LONG


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(
            nn.Conv2d(3, 12, 3, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, 12, 3, 2),
            nn.ReLU(),
        )
        self.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, 11))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pets(tmp_path):
    return class_folders(tmp_path / "pets", each=12)


@pytest.fixture
def passes(monkeypatch):
    """How many pictures went through a backbone for features."""
    seen: list[int] = []
    whole = LazyBackbone.features
    monkeypatch.setattr(
        LazyBackbone, "features", lambda self, x, how: (seen.append(len(x)), whole(self, x, how))[1]
    )
    return seen


def move(data, **fields):
    return transfer(
        data,
        fields.pop("backbone", None) or Backbone(),
        **{"image_size": 16, "batch_size": 4, "quiet": True, **fields},
    )


def bits(run):
    return [(name, t.clone()) for name, t in run.model.state_dict().items()]


def same(one, two):
    return all(torch.equal(a, b) for (_, a), (_, b) in zip(bits(one), bits(two), strict=True))


def test_a_frozen_backbone_keeps_every_bit_and_its_head_is_solved(pets, passes):
    backbone = Backbone()
    before = {name: t.clone() for name, t in backbone.body.state_dict().items()}
    run = move(pets, backbone=backbone)
    assert all(torch.equal(t, before[name]) for name, t in run.model.body.state_dict().items()), (
        "buffers too"
    )
    assert (
        run.choices["mode"][0] == "frozen"
        and run.choices["views"][0] == 1
        and len(run.history) == 1
        and run.status == "finished"
    )
    assert sum(passes) == len(run.data.train) + len(run.data.valid), (
        "each picture goes through once"
    )
    assert (
        run.history[0]["train/top1"] > 0.9
        and {"valid/loss", "valid/top1", "l2"} <= run.history[0].keys()
    )


def test_another_seed_computes_no_feature_again(pets, passes):
    one = move(pets)
    passes.clear()
    two = move(pets, seed=1)
    assert not passes and one.folder != two.folder and same(one, two)


def test_features_of_files_are_known_by_content_and_by_no_name(pets, passes):
    """A renamed class and folder compute nothing again, another picture under an old name does."""
    first = move(pets)
    passes.clear()
    (pets / "cat").rename(pets / "bear")
    moved = move(pets.rename(pets.parent / "animals"))
    assert not passes and moved.folder != first.folder
    picture, other = moved.data.train.paths[:2]
    other.write_bytes(picture.read_bytes())
    move(moved.data.train.source.root)
    assert passes


def test_what_features_are_of_is_told_apart(pets, passes):
    move(pets)
    for changed in ({"image_size": 20}, {"precision": "fp32", "seed": 9}, {"data": "other"}):
        passes.clear()
        data = class_folders(pets.parent / "other", each=13) if changed.pop("data", None) else pets
        move(data, **changed)
        assert passes, changed


def test_views_are_asked_for_and_history_has_a_row_for_each(pets, passes):
    run = move(pets, views=3)
    assert [row["epoch"] for row in run.history] == [1, 2, 3] and run.choices["views"] == (
        3,
        "views=",
        "user",
    )
    assert sum(passes) == 3 * len(run.data.train) + len(run.data.valid)
    more = move(pets, views=12)
    assert (
        more.folder == run.folder
        and more.choices["views"] == (8, "views=, 8 at most", "machine")
        and len(more.history) == 8
    )


def test_without_augmentation_there_is_one_view(pets):
    assert move(pets, views=3, augment="none").choices["views"][0] == 1


def test_the_same_cell_gives_the_finished_run_back(pets, passes):
    one = move(pets)
    passes.clear()
    said = []
    again = move(pets, callbacks=[said.append], quiet=True)
    assert not passes and again.folder == one.folder and same(one, again)
    assert any(isinstance(e, Note) and "is finished" in e.text for e in said)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", [1, 5, 7, 9])
def test_a_pass_that_was_killed_goes_on_and_ends_in_the_same_bits(pets, at, passes, tmp_path):
    whole = move(pets, views=2, run_dir="whole")
    shutil.rmtree(tmp_path / "home" / "features")
    passes.clear()
    asked = iter(range(1000))

    def kill(point, path):
        if point == "in_features" and next(asked) == at:
            raise Killed

    set_milestone_hook(kill)
    with pytest.raises(Killed):
        move(pets, views=2, run_dir="half")
    half = sum(passes)
    again = move(pets, views=2, run_dir="half")
    assert same(whole, again) and [dict(r) for r in whole.history] == [
        dict(r) for r in again.history
    ]
    assert sum(passes) == 2 * len(again.data.train) + len(again.data.valid), (
        f"{half} were not computed again"
    )


def test_stop_ends_after_the_group_and_the_same_cell_goes_on(pets, passes):
    control = Control()
    run = move(
        pets,
        views=2,
        run_dir="t",
        control=control,
        callbacks=[lambda e: isinstance(e, StepDone) and e.step == 6 and control.stop("enough")],
        quiet=True,
    )
    assert run.status == "stopped" and run.reason == "enough"
    assert move(pets, views=2, run_dir="t").status == "finished"


def test_a_budget_stops_between_two_batches_and_the_same_cell_goes_on(pets, passes):
    run = move(pets, views=2, max_time=0.0)
    assert run.status == "stopped" and "max_time=0.0 is used up" in run.reason and sum(passes) == 4
    assert move(pets, views=2).status == "finished"


def test_a_pause_waits_between_two_batches(pets):
    waited = []

    class Pausing(Control):
        def pass_by(self, point, path):
            if point == "in_features" and not waited:
                self.pause()

        def wait_while_paused(self):
            waited.append(self.paused)
            self.resume()

    said, control = [], Pausing()
    set_milestone_hook(control.pass_by)
    assert move(pets, control=control, callbacks=[said.append], quiet=True).status == "finished"
    assert waited == [True] and any(
        "Paused after 1 of" in e.text for e in said if isinstance(e, Note)
    )


def test_both_fits_the_head_first_and_then_trains_all(pets):
    backbone = Backbone()
    before = {name: t.clone() for name, t in backbone.body.state_dict().items()}
    heard = []
    run = move(
        pets,
        backbone=backbone,
        mode="frozen_then_finetune",
        epochs=3,
        lr=0.01,
        callbacks=[heard.append],
        quiet=True,
    )
    assert (
        [row["epoch"] for row in run.history] == [1, 2, 3]
        and "l2" in run.history[0]
        and "lr" in run.history[1]
    )
    assert run.history[1]["lr"] > run.history[2]["lr"] and run.status == "finished"
    last = max(run.folder.glob("checkpoint-*"))
    tensors = checkpoint.read(last).tensors
    assert not torch.equal(tensors["model/body.0.weight"], before["0.weight"])
    assert [e.epoch for e in heard if isinstance(e, EpochDone)] == [1, 2, 3]


@pytest.mark.parametrize("at", [2, 8, *([5, 14] if LONG else [])])
def test_both_stopped_anywhere_ends_in_the_same_bits(pets, at):
    whole = move(pets, mode="frozen_then_finetune", epochs=3, run_dir="whole")
    shutil.rmtree("home/features")
    asked = iter(range(1000))

    def count(point, path):
        if point in ("in_features", "after_optimizer") and next(asked) == at:
            raise Killed

    set_milestone_hook(count)
    with pytest.raises(Killed):
        move(
            pets,
            mode="frozen_then_finetune",
            epochs=3,
            run_dir="half",
            save_every_steps=1,
        )
    again = move(pets, mode="frozen_then_finetune", epochs=3, run_dir="half", save_every_steps=1)
    assert same(whole, again) and [dict(r) for r in whole.history] == [
        dict(r) for r in again.history
    ]


def test_both_stopped_while_features_are_computed_is_no_half_run(pets):
    control = Control()
    asked = iter(range(100))

    def stop(point, path):
        if point == "in_features" and next(asked) == 3:
            control.stop("enough")

    set_milestone_hook(stop)
    run = move(pets, mode="frozen_then_finetune", epochs=3, run_dir="t", control=control)
    assert run.status == "stopped" and not list(run.folder.glob("*.safetensors"))
    assert move(pets, mode="frozen_then_finetune", epochs=3, run_dir="t").status == "finished"


@pytest.mark.parametrize(
    "device, n, fields, mode",
    [
        ("cpu", 5000, {}, "frozen"), ("cuda", 1999, {}, "frozen"), ("cuda", 2000, {}, "frozen_then_finetune"),
        ("cuda", 5000, {"epochs": 1}, "frozen"),
        ("cuda", 50_000, {"max_time": 60}, "frozen"), ("cuda", 50_000, {"max_time": "3h"}, "frozen_then_finetune"),
        ("cpu", 10, {"freeze_epochs": 0}, "finetune"), ("cpu", 10, {"freeze_epochs": 1}, "frozen_then_finetune"),
    ],
)  # fmt: skip
def test_the_mode_is_chosen_by_pictures_device_epochs_and_budget(device, n, fields, mode):
    from colab_kit.recipe import Recipe

    request = Request(None, Recipe(**{"epochs": 3, **fields}), transfer=Transfer())
    choice = choose_mode(request, n, torch.device(device))
    assert choice.value == mode and choice.why and choice.by == "machine"


def test_a_trained_backbone_learns_gently_and_one_without_weights_does_not(pets):
    assert move(pets, mode="frozen_then_finetune", epochs=2).choices["lr"] == (
        1e-4,
        "usual where a trained backbone learns",
        "default",
    )
    assert move(pets, mode="finetune", epochs=1, weights=None).choices["lr"][0] == 1e-3
    assert move(pets, mode="finetune", epochs=1, lr=0.01).choices["lr"] == (
        0.01,
        "as asked",
        "user",
    )


def test_modes_that_cannot_be_say_what_to_write(pets):
    with pytest.raises(RecipeError, match="mode='half' is not known"):
        move(pets, mode="half")
    with pytest.raises(RecipeError, match="(?s)leaves no epoch.*epochs=2"):
        move(pets, mode="frozen_then_finetune", epochs=1)


def test_a_head_of_several_layers_learns_in_the_loop_on_features(pets, passes):
    backbone = Backbone()
    before = {name: t.clone() for name, t in backbone.body.state_dict().items()}
    said = []
    run = move(
        pets,
        backbone=backbone,
        head=(8,),
        views=2,
        augment="light",
        callbacks=[said.append],
        quiet=True,
    )
    n, m = len(run.data.train), len(run.data.valid)
    assert sum(passes) == 2 * n + m, "each view goes through once"
    assert (
        len(run.history) == DEEP
        and run.choices["freeze_epochs"][0] == DEEP
        and run.history[-1]["train/loss"] < run.history[0]["train/loss"]
    )
    assert all(torch.equal(t, before[name]) for name, t in run.model.body.state_dict().items()), (
        "buffers too"
    )
    assert any(
        f"{DEEP} epochs on features of 2 view(s)" in e.text for e in said if isinstance(e, Note)
    )
    found = run.evaluate("valid")
    assert found.top1 == run.best["metrics"]["valid/top1"], (
        "pictures through the whole network say what features said"
    )
    passes.clear()
    assert move(pets, head=(16,), views=2, augment="light").history
    assert not passes, "another head needs no picture"


def test_cutmix_needs_pictures_for_a_deep_head(pets):
    run = move(pets, head=(8,), views=1, cutmix=1.0)
    assert (
        run.choices["features"][0] == "not kept"
        and "cutmix" in run.choices["features"][1]
        and len(run.history) == 1
    )


@pytest.mark.parametrize("at", [1, 30, *([5] if LONG else [])])
def test_a_deep_head_stopped_anywhere_ends_in_the_same_bits(pets, at, tmp_path):
    whole = move(pets, head=(8,), views=2, augment="light", run_dir="whole")
    shutil.rmtree(tmp_path / "home")
    control, count = Control(), 0

    def stop(point, path):
        nonlocal count
        count += point in ("in_features", "after_optimizer")
        if count == at:
            control.stop("enough")

    set_milestone_hook(stop)
    half = move(pets, head=(8,), views=2, augment="light", run_dir="half", control=control)
    assert half.status == "stopped"
    assert same(whole, move(pets, head=(8,), views=2, augment="light", run_dir="half"))


def test_what_a_solved_head_does_not_take_is_said(pets):
    said = []
    move(pets, lr=0.1, ema_decay=0.9, callbacks=[said.append], quiet=True)
    assert any("takes no lr=, ema_decay=" in e.text for e in said if isinstance(e, Note))


def test_damaged_pictures_are_left_out_of_the_fit(pets):
    data = load(pets, quiet=True)
    data.train.paths[2].write_bytes(b"no picture")
    run = move(data)
    assert run.status == "finished" and np.isfinite(run.history[0]["train/loss"])


def test_a_transferred_run_opens_and_predicts_the_same(pets):
    run = move(pets)
    again = open_run(run.folder, model=run.model)
    assert np.array_equal(
        again.predict(pets / "cat" / "0.png").probabilities,
        run.predict(pets / "cat" / "0.png").probabilities,
    )


def test_arrays_have_one_view_and_their_own_features(passes):
    x = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    x[::2] //= 3
    run = move(load((x, np.arange(40) % 2), quiet=True), image_size=None)
    assert sum(passes) == 40 and run.history[0]["train/top1"] == 1.0


def test_a_model_of_timm_makes_a_run_with_a_file_name(pets):
    pytest.importorskip("timm")
    run = move(pets, backbone="timm/mobilenetv3_small_050", weights=None, image_size=32)
    assert run.name == "pets-timm-mobilenetv3_small_050" and open_run(run.folder).predict(
        pets / "cat" / "0.png"
    ).label in ("cat", "dog")


def test_a_head_that_is_a_convolution_learns_in_the_loop(pets):
    run = move(pets, backbone="squeezenet1_1", weights=None, image_size=32, views=1)
    assert run.choices["features"] == (
        "not kept",
        "its head works on a map, not on one row of numbers a picture",
        "machine",
    )


def test_what_a_run_learned_is_a_backbone_for_the_next(pets):
    first = move(pets)
    before = [t.clone() for t in first.model.state_dict().values()]
    second = move(
        class_folders(pets.parent / "birds", ("crow", "duck", "owl"), each=8),
        backbone=first,
        image_size=None,
    )
    assert second.model.fc[1].out_features == 3 and second.folder != first.folder
    assert all(
        torch.equal(a, b) for a, b in zip(before, first.model.state_dict().values(), strict=True)
    ), "the run keeps its own"
    assert torch.equal(second.model.body[0].weight, first.model.body[0].weight)


def both(pets, **fields):
    """A run of both phases, and what it said."""
    said = []
    run = move(
        pets,
        mode="frozen_then_finetune",
        **{"epochs": 3, "callbacks": [lambda e: isinstance(e, Note) and said.append(e.text)]},
        **fields,
    )
    return run, [text for text in said if "did not improve validation" in text]


@pytest.mark.parametrize("lr", [1e-4, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(3 if LONG else 1))
@pytest.mark.parametrize("head", ["linear", (8,)])
def test_validation_never_ends_below_the_frozen_phase(pets, lr, seed, head):
    run, said = both(pets, lr=lr, seed=seed, head=head, precision="fp32")
    first, last = run.history.best("valid/loss", until=1), run.best["metrics"]
    assert last["valid/loss"] <= first["valid/loss"] and last["valid/top1"] >= first["valid/top1"]
    assert len(said) == (run.best["epoch"] == 1), "that nothing was won is said, once"
    found = run.evaluate("valid", quiet=True)
    assert found.top1 == last["valid/top1"] and found.loss == pytest.approx(
        last["valid/loss"], 1e-3
    )


def test_a_phase_that_destroys_the_network_is_left_at_the_solved_head():
    noise = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    data = load((noise, np.arange(40) % 2), valid=0.4, quiet=True)
    run, said = both(data, lr=1.0)
    frozen = move(data, mode="frozen")
    assert run.best["epoch"] == 1 and "keeps the network of epoch 1" in said[0]
    assert torch.equal(run.model.fc[1].weight, frozen.model.fc[1].weight)
    assert run.history[-1]["valid/loss"] > run.history[0]["valid/loss"], "it was destroyed"


def test_the_statistics_of_batchnorm_are_kept_where_few_pictures_would_learn_them(pets):
    before = {name: t.clone() for name, t in Backbone().state_dict().items()}
    run, _ = both(pets, lr=0.01)
    assert run.choices["batch_norm"][0] == "kept"
    tensors = checkpoint.read(max(run.folder.glob("checkpoint-*"))).tensors
    for name in ("body.1.running_mean", "body.1.running_var"):
        assert torch.equal(tensors[f"model/{name}"], before[name])
    assert not torch.equal(tensors["model/body.1.weight"], before["body.1.weight"]), "it learns"


def test_few_pictures_end_halfway_between_the_solved_network_and_the_trained_one(pets):
    run, _ = both(pets)
    tensors = checkpoint.read(max(run.folder.glob("checkpoint-*"))).tensors
    assert run.choices["ending"][0] == "halfway"
    for name, tensor in checkpoint.under(tensors, "start/").items():
        middle = (tensor + tensors[f"model/{name}"]) / 2
        assert torch.allclose(tensors[f"average/{name}"], middle, atol=1e-7), name
    solved = move(pets, mode="frozen").model.fc[1].weight
    assert torch.equal(tensors["start/fc.1.weight"], solved)


@pytest.mark.parametrize(
    ("fields", "gentle"),
    [
        ({}, {"batch_norm", "ending"}),
        ({"ema_decay": 0.9}, {"batch_norm"}),
        ({"lr": 1e-3}, {"batch_norm"}),
        ({"head": (8,)}, {"batch_norm"}),  # it learns in the loop: there is no solved network
        ({"weights": None}, set()),
        ({"mode": "finetune"}, set()),
        ({"mode": "frozen", "epochs": None}, set()),
    ],
)
def test_what_is_done_with_care_is_chosen_and_says_why(pets, fields, gentle, monkeypatch):
    fields = {"mode": "frozen_then_finetune", "epochs": 2, **fields}
    fields = {
        name: value for name, value in fields.items() if value is not None or name == "weights"
    }
    choices = move(pets, **fields).choices
    assert {"batch_norm", "ending"} & set(choices) == gentle
    assert all("training pictures" in choices[name][1] for name in gentle)
    monkeypatch.setattr(transfer_plan, "SOME_PICTURES", 10)
    assert not {"batch_norm", "ending"} & set(move(pets, seed=1, **fields).choices)


def test_a_run_that_began_otherwise_goes_on_as_it_began(pets, monkeypatch):
    monkeypatch.setattr(transfer_plan, "SOME_PICTURES", 0)
    control = Control()
    stop = [lambda e: isinstance(e, EpochDone) and e.epoch == 2 and control.stop("enough")]
    how = {"mode": "frozen_then_finetune", "epochs": 3, "run_dir": "t"}
    assert move(pets, control=control, callbacks=stop, **how).status == "stopped"
    monkeypatch.setattr(transfer_plan, "SOME_PICTURES", 1000)
    run = move(pets, **how)
    assert run.status == "finished" and "ending" not in run.choices


def test_a_pass_of_a_few_seconds_measures_nothing_however_many_pictures_it_has(monkeypatch):
    asked = []
    monkeypatch.setattr(transfer_plan, "fastest_forward", lambda *args: asked.append(args))
    x = np.zeros((6000, 3, 8, 8), np.uint8)
    x[1::2] = 200
    run = move(load((x, np.arange(6000) % 2), valid=0, quiet=True), image_size=8, batch_size=500)
    assert not asked and TOO_SHORT in run.choices["features"].why


def test_a_long_pass_measures_its_numbers_and_looks_at_an_earlier_choice_again(pets, monkeypatch):
    options, asked = [Precision(), Precision("bf16")], []

    def measured(forward, some):
        assert forward(some[0]).shape == forward(some[1]).shape
        asked.append(some)
        return some[1], "measured", dict.fromkeys(some, 1.0)

    monkeypatch.setattr(transfer_plan, "candidates", lambda *machine: options)
    monkeypatch.setattr(transfer_plan, "fastest_forward", measured)
    assert move(pets).choices["features"][0] == "bf16" and not asked, "too short to measure"
    (home := Path("home/precision.json")).unlink()
    monkeypatch.setattr(transfer_plan, "SHARE", 1e9)
    monkeypatch.setattr(transfer_plan, "SHORT", 0.0)
    assert move(pets, image_size=20).choices["features"][:2] == ("bf16", "measured")
    assert move(pets, image_size=20, seed=1).choices["features"][1] == "measured (earlier)"
    assert asked == [options], "features that are there need no second look"
    others = class_folders(pets.parent / "others", each=13)
    assert move(others, image_size=20).choices["features"][1] == "measured (earlier)"
    assert asked == [options, options] and home.exists()
