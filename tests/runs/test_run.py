"""Runs: asked, drawn, watched and saved."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from colab_kit.api import train
from colab_kit.data.dataset import Data, Split
from colab_kit.data.loading import load
from colab_kit.data.sources import Arrays
from colab_kit.errors import DataError, RunError
from colab_kit.events import Control, Event, StepDone
from colab_kit.models import nets
from colab_kit.runs import running as runs
from colab_kit.runs.opening import open_run
from colab_kit.runs.prediction import Prediction, Predictions
from colab_kit.runs.run import Run
from tests.support.pictures import class_folders
from tests.support.tasks import Small, small_data


def net() -> nn.Module:
    return nets.mlp(classes=3, inputs=192, hidden=(8,))


def quietly(
    model: Any = net,
    data: Any = None,
    hear: Callable[[Event], Any] = lambda event: None,
    **fields: Any,
) -> Run:
    return train(
        model,
        data or small_data("arrays"),
        callbacks=[hear],
        quiet=True,
        **{"batch_size": 4, "epochs": 2, **fields},
    )


def stopped_after(step: int, **fields: Any) -> Run:
    control = Control()
    stop = lambda event: (
        control.stop() if isinstance(event, StepDone) and event.step == step else None
    )
    return quietly(hear=stop, control=control, **fields)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_weights_are_not_saved_under_a_mountpoint_that_is_not_mounted():
    with pytest.raises(RunError, match="lies on a Drive that is not there(.|\n)*kit.mount"):
        quietly(epochs=1).save("/content/drive/MyDrive/deep/w.pth")
    assert not Path("/content/drive/MyDrive").exists()


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_saved_weights_load_in_plain_torch(tmp_path, ending):
    run, fresh = quietly(Small, lr=0.1), Small()
    path = run.save(tmp_path / "deep" / f"weights{ending}")
    if ending == ".safetensors":
        from safetensors.torch import load_file

        fresh.load_state_dict(load_file(path))
    else:
        fresh.load_state_dict(torch.load(path, weights_only=True))
    assert same(fresh, run.model)


def test_saving_tied_weights_and_an_unknown_ending(tmp_path):
    class Tied(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Flatten(), nn.Linear(192, 3), nn.Linear(3, 3), nn.Linear(3, 3))
            self[3].weight = self[2].weight

    run = quietly(Tied, run_dir="tied")
    fresh = Tied()
    fresh.load_state_dict(torch.load(run.save(tmp_path / "a.pth"), weights_only=True))
    assert same(fresh, run.model) and run.save(tmp_path / "a.safetensors").stat().st_size > 0
    assert same(open_run("tied", model=Tied).model, run.model)
    with pytest.raises(RunError, match="no known ending"):
        run.save(tmp_path / "weights.bin")


def test_a_run_answers_for_pictures_batches_and_splits(tmp_path):
    data = small_data("arrays")
    run = quietly(Small, data)
    all_of = run.predict(data.valid)
    assert (
        isinstance(all_of, Predictions)
        and len(all_of) == 9
        and all_of.probabilities.shape == (9, 3)
    )
    one = run.predict(data.valid[0][0], top=2)
    assert isinstance(one, Prediction) and len(one.top) == 2 and one.label in run.classes
    np.testing.assert_allclose(one.probabilities, all_of[0].probabilities, atol=1e-6)
    path = tmp_path / "one.png"
    Image.fromarray(data.valid[0][0]).save(path)
    np.testing.assert_allclose(run.predict(path).probabilities, all_of[0].probabilities, atol=1e-6)
    assert run.predict(path).path == path and len(run.predict([path, path])) == 2


def test_predictions_of_a_split_of_files_name_the_files(tmp_path):
    root = class_folders(tmp_path / "pets", each=4)
    data = load({"train": root, "test": class_folders(tmp_path / "more", each=2)}, quiet=True)
    run = quietly(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), data, image_size=8, run_dir="a"
    )
    data.test.paths[1].write_bytes(b"broken")
    found = run.predict(data.test)
    assert [p.path for p in found] == data.test.paths, "a row for each, so that labels stand beside"
    assert [p.label is None for p in found] == [False, True, False, False] and found[1].fault
    assert str(data.test.paths[0]) in found.to_csv()


def test_evaluating_takes_the_test_split_else_the_validation_split(tmp_path):
    data = small_data("arrays")
    run = quietly(Small, data)
    assert (
        run.evaluate().split == "valid"
        and run.evaluate("train").count == 23
        and run.evaluate(data.train).split == "train"
    )
    both = Data(
        data.train,
        data.valid,
        Split(data.train.source, np.arange(5), "test"),
        data.classes,
        data.name,
        data.fingerprint,
    )
    run = quietly(Small, both)
    assert run.evaluate().split == "test" and run.evaluate().count == 5
    unlabelled = Arrays(torch.zeros(5, 3, 8, 8, dtype=torch.uint8), np.full(5, -1))
    without = Data(
        data.train,
        data.valid,
        Split(unlabelled, np.arange(5), "test"),
        data.classes,
        data.name,
        data.fingerprint,
    )
    run = quietly(Small, without, run_dir="b")
    assert run.evaluate().split == "valid"
    with pytest.raises(DataError, match="has no labels"):
        run.evaluate("test")
    with pytest.raises(DataError, match="no split 'tset'"):
        run.evaluate("tset")
    with pytest.raises(DataError, match="without its data"):
        open_run("b", model=Small).evaluate()


def test_plots_are_saved_in_the_folder(tmp_path):
    data = small_data("arrays")
    run = quietly(Small, data)
    made = [run.plot(), run.confusion(), run.show(data.valid[0][0])]
    assert [p.name for p in made] == ["curves.png", "confusion.png", "prediction.png"]
    assert all(p.parent == run.folder and Image.open(p).size[0] > 100 for p in made)
    with pytest.raises(DataError, match="show\\(\\) takes one picture"):
        run.show(np.stack([data.valid[i][0] for i in range(2)]))


def test_a_run_without_a_validated_epoch_has_nothing_to_plot():
    run = stopped_after(1, run_dir="a")
    with pytest.raises(RunError, match="nothing to plot"):
        run.plot()


def test_what_a_run_says_of_itself():
    stopped = stopped_after(3, name="pets")
    assert (
        repr(stopped)
        == f"Run pets-{stopped.key} · stopped (stopped by hand) · 0 validations · {stopped.folder}"
    )
    assert open_run("pets").status == "stopped" and open_run("pets").reason == "stopped by hand"
    run = quietly(name="pets")
    assert (
        f"Run pets-{run.key} · finished · 2 validations, best valid/loss {run.best['metrics']['valid/loss']:.4f} at epoch"
        in repr(run)
    )


def test_a_run_is_live_while_it_trains_and_not_after():
    heard: list[tuple[str, int]] = []

    def hear(event: Event) -> None:
        if isinstance(event, StepDone):
            run = runs.live[Path("a").absolute()]
            heard.append((run.status, len(run.history)))

    quietly(run_dir="a", hear=hear)
    assert heard[0] == ("running", 0) and heard[-1] == ("running", 1) and not runs.live


def test_a_run_can_stop_itself_through_its_handle():
    def hear(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 2:
            runs.live[Path("a").absolute()].stop("seen enough")

    run = quietly(run_dir="a", hear=hear)
    assert (run.status, run.reason) == ("stopped", "seen enough")


def test_a_run_killed_before_its_first_checkpoint_says_so(tmp_path):
    run = quietly(run_dir="a")
    for path in run.folder.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(RunError, match="no checkpoint yet"):
        open_run("a")


def test_a_damaged_file_in_a_folder_does_not_cost_the_others_their_prediction(tmp_path, capsys):
    run = quietly(Small, small_data("arrays"))
    for i in range(3):
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    found = run.predict(tmp_path)
    assert [p.path.name for p in found] == [
        "0.png",
        "1.png",
        "2.png",
        "bad.jpg",
    ]
    assert [p.label is None for p in found] == [False, False, False, True]
    assert "1 of 4 pictures could not be read" in capsys.readouterr().out
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="No picture could be read"):
        run.predict(tmp_path / "only")


def test_data_is_evaluated_by_its_test_split_and_other_classes_are_refused():
    data = small_data("arrays")
    run = quietly(Small, data)
    assert run.evaluate(data).split == "valid"
    other = Data(data.train, data.valid, None, ("x", "y", "z"), "other", "f")
    with pytest.raises(DataError, match="other classes"):
        run.evaluate(other)
    many = Split(
        Arrays(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), np.array([0, 1, 2, 9])), np.arange(4)
    )
    with pytest.raises(DataError, match="of other data"):
        run.evaluate(many)


def test_a_picture_is_predicted_from_its_link(tmp_path, file_server, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    pets = class_folders(tmp_path / "pets", each=4)
    run = quietly(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)),
        load(pets, quiet=True),
        image_size=8,
    )
    url = file_server.put("cat.png", (pets / "cat" / "0.png").read_bytes())
    found = run.predict(url)
    assert found.label in ("cat", "dog") and np.array_equal(
        found.probabilities, run.predict(pets / "cat" / "0.png").probabilities
    )
    assert str(found.path).startswith(str(tmp_path / "home"))


def test_what_the_process_knows_of_its_runs_can_be_forgotten():
    net = Small()
    train(net, small_data("arrays"), run_dir="a", quiet=True, epochs=1)
    assert net in runs.trained and not runs.live
    runs.forget_runs()
    assert net not in runs.trained


def test_the_timings_of_a_run_add_up_to_the_wall_time_of_its_call():
    began = time.perf_counter()
    run = quietly(epochs=2)
    assert run.timings.total == pytest.approx(time.perf_counter() - began, rel=0.05, abs=0.02)


def test_the_timings_name_what_a_run_by_steps_does():
    run = quietly(epochs=2)
    steps = {"input", "forward", "backward", "optimizer", "validation", "save"}
    assert steps <= set(run.timings.seconds)


def test_run_json_keeps_the_timings():
    run = quietly(epochs=1)
    assert json.loads((run.folder / "run.json").read_text())["timings"]["seconds"]


def test_a_finished_run_keeps_the_timings_of_its_training():
    first = quietly(epochs=1).timings.seconds["forward"]
    assert quietly(epochs=1).timings.seconds["forward"] == first
