"""A session: what it chooses, what it checks before anything is written, and what it leaves behind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset

from colab_kit.api import train, transfer
from colab_kit.data.dataset import Data, Split
from colab_kit.data.loading import load
from colab_kit.data.sources import Items
from colab_kit.errors import DataError, ModelError, RecipeError
from colab_kit.events import (
    CheckpointSaved,
    Control,
    EpochDone,
    Event,
    Note,
    RunEnded,
    RunStarted,
    StepDone,
)
from colab_kit.runs.run import Run
from colab_kit.system.sealed import read_record
from colab_kit.testing.fixtures import Heard, class_folders
from colab_kit.training import checkpoint
from colab_kit.training.choices import Choice, choices_from
from tests.support.sealed import rewrite
from tests.support.tasks import Small, small_data


def net(last: nn.Module | None = None) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3), last or nn.Identity())


class Names(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return {"scores": x}


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
        **{"run_dir": "a", "batch_size": 4, "epochs": 2, **fields},
    )


def notes(events: list[Event]) -> list[str]:
    return [e.text for e in events if isinstance(e, Note)]


def test_what_the_recipe_leaves_open_is_chosen_with_a_reason_and_written_down():
    run = quietly(batch_size=None)
    kept = read_record(run.folder / "choices.json", run.record["start"])
    assert choices_from(kept) == run.choices and kept["lr"]["by"] == "default"
    assert run.choices["batch_size"] == Choice(64, "usual for arrays", "default")
    assert run.choices["lr"] == Choice(1e-3, "usual for adamw", "default")
    assert run.choices["image_size"] == Choice(8, "the arrays' own", "default")
    assert run.choices["loss"] == Choice("cross_entropy", "the network puts out logits", "machine")
    asked = quietly(run_dir="b", lr=0.5, optimizer="sgd")
    assert asked.choices["lr"] == Choice(0.5, "as asked", "user")


def test_choices_made_once_win_over_what_would_be_chosen_now():
    quietly(batch_size=None, epochs=1)
    path = Path("a/choices.json")
    measured = {"value": 5, "why": "measured", "by": "machine"}
    rewrite(path, batch_size=measured)
    run = quietly(batch_size=None, epochs=2)
    assert (
        run.choices["batch_size"] == Choice(**measured) and run.history[-1]["step"] == 1 + 5
    )  # 23 in one, then 5 a batch


@pytest.mark.parametrize(
    ("last", "loss", "output"),
    [
        (nn.Identity(), "cross_entropy", "logits"),
        (nn.LogSoftmax(1), "nll", "log_probabilities"),
        (nn.Softmax(1), "nll_of_probabilities", "probabilities"),
    ],
)
def test_the_loss_fits_what_the_network_puts_out(last, loss, output):
    run = quietly(lambda: net(last))
    assert run.choices["loss"][0] == loss and run.choices["output"][0] == output
    assert run.evaluate("valid").loss == pytest.approx(run.best["metrics"]["valid/loss"], rel=1e-4)


def test_cross_entropy_on_probabilities_is_a_warning():
    heard: list[Event] = []
    quietly(lambda: net(nn.Softmax(1)), hear=heard.append, loss=nn.CrossEntropyLoss())
    assert any("ends in Softmax and the loss applies another" in text for text in notes(heard))


def test_the_events_come_in_the_order_of_the_story():
    heard: list[Event] = []
    quietly(hear=heard.append)
    kinds = [type(e) for e in heard if not isinstance(e, (StepDone, CheckpointSaved))]
    assert kinds == [Note, RunStarted, EpochDone, EpochDone, Note, RunEnded]
    rows = [line.split() for line in notes(heard)[0].splitlines()]
    assert ["loss", "cross_entropy", *"the network puts out logits".split()] in rows
    assert "batch_size" not in {row[0] for row in rows}, "it was asked for"
    assert [e.step for e in heard if isinstance(e, StepDone)] == list(range(1, 13))
    assert isinstance(heard[-1], RunEnded) and heard[-1].status == "finished"


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"model": lambda: nn.Linear(192, 3)}, ModelError, "cannot take pictures of shape"),
        (
            {"model": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 7))},
            ModelError,
            "puts out \\(4, 7\\)",
        ),
        ({"model": Names}, ModelError, "puts out a dict"),
        ({"loss": nn.NLLLoss}, ModelError, "NLLLoss needs log-probabilities"),
        ({"loss": nn.MSELoss()}, ModelError, "MSELoss is a loss for numbers"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, ModelError, "gives a tensor of shape"),
        ({"loss": lambda output, y: 1.0}, ModelError, "gives a float"),
        (
            {"loss": nn.CrossEntropyLoss(), "label_smoothing": 0.1},
            RecipeError,
            "label_smoothing= cannot be put into a loss object",
        ),
        (
            {"loss": "nll", "model": lambda: net(nn.LogSoftmax(1)), "label_smoothing": 0.1},
            RecipeError,
            "cross_entropy loss only",
        ),
        ({"class_weights": (1.0, 2.0)}, RecipeError, "does not fit 3 classes"),
        ({"class_weights": "even"}, RecipeError, "does not fit 3 classes"),
        ({"lr": {"fc*": 0.1, "*": 0.2}}, RecipeError, "no parameter has such a name"),
        ({"lr": {"1.*": 0.1, "x*": 0.2}}, RecipeError, "'x\\*'"),
        (
            {"optimizer": torch.optim.Adam(Small().parameters())},
            ModelError,
            "no parameter of this model",
        ),
        ({"optimizer": 3}, ModelError, "optimizer= is a int"),
        ({"monitor": "valid/top5"}, RecipeError, "is not measured in this run"),
    ],
    ids=lambda value: None,
)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_what_cannot_work_says_so_before_anything_is_written(fields, error, said):
    with pytest.raises(error, match=said) as raised:
        quietly(fields.pop("model", net), **fields)
    assert raised.value.why and raised.value.fix
    assert not list(Path.cwd().iterdir()), "not even an empty folder stays"


def test_labels_out_of_range_are_named():
    data = small_data("arrays")
    data.train.source.labels[:] = 7
    with pytest.raises(DataError, match="A label is 7, outside 0 to 2"):
        quietly(data=data)


def test_monitor_without_a_validation_split_names_what_is_measured():
    data = small_data("arrays")
    alone = Data(data.train, None, None, data.classes, data.name, data.fingerprint)
    with pytest.raises(RecipeError, match="'valid/loss' is not measured") as error:
        quietly(data=alone, patience=2)
    assert "train/loss" in error.value.why and "valid=0.2" in error.value.fix
    run = quietly(data=alone)
    assert run.status == "finished" and run.best is None and len(run.history) == 2
    assert (
        quietly(data=alone, monitor="train/loss", patience=1, epochs=3).best["metrics"][
            "train/loss"
        ]
        > 0
    )


def test_more_epochs_go_on_with_a_note_of_what_is_promised():
    quietly(lr_schedule="constant")
    heard: list[Event] = []
    run = quietly(lr_schedule="constant", epochs=3, hear=heard.append)
    assert "Going on from step 12 of 18: every bit as if it had never stopped." in notes(heard)
    assert len(run.history) == 3 and [e.step for e in heard if isinstance(e, StepDone)] == list(
        range(13, 19)
    )
    heard.clear()
    quietly(run_dir="b")
    quietly(run_dir="b", epochs=3, hear=heard.append)
    assert any("more epochs stretch the schedule" in text for text in notes(heard))


def test_a_finished_run_is_returned_at_once_and_says_so():
    first, heard = quietly(Small), []
    again = quietly(Small, hear=heard.append)
    assert any("is finished: 2 epochs" in text and "restart=True" in text for text in notes(heard))
    assert (
        not [e for e in heard if isinstance(e, (StepDone, RunStarted))]
        and again.status == "finished"
    )
    assert list(again.history) == list(first.history) and again.best == first.best
    pairs = zip(again.model.state_dict().values(), first.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs) and not again.model.training
    assert quietly(Small, epochs=1).status == "finished", (
        "fewer epochs than there are: finished too"
    )


def test_a_users_optimizer_is_given_back_with_its_own_learning_rate():
    model = net()
    twin = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    control = Control()
    stop = lambda event: control.stop() if isinstance(event, StepDone) and event.step == 8 else None
    first = quietly(model, optimizer=optimizer, hear=stop, control=control)
    assert optimizer.param_groups[0]["lr"] == 0.5 and first.choices["lr"] == (
        None,
        "your optimizer has its own",
        "user",
    )
    again = quietly(model, optimizer=optimizer)
    assert again.key == first.key and again.status == "finished"
    whole = quietly(
        twin, optimizer=torch.optim.SGD(twin.parameters(), lr=0.5, momentum=0.9), run_dir="b"
    )
    assert [row["train/loss"] for row in whole.history] == [
        row["train/loss"] for row in again.history
    ]


def test_frozen_parameters_stay_frozen_and_the_users_flags_are_given_back():
    model = Small()
    model.body.requires_grad_(False)
    before = {k: v.clone() for k, v in model.body.state_dict().items()}
    quietly(model, ema_decay=0.9)
    assert all(torch.equal(v, before[k]) for k, v in model.body.state_dict().items()), (
        "BatchNorm's buffers too"
    )
    assert [p.requires_grad for p in model.body.parameters()] == [False] * 4 and all(
        p.requires_grad for p in model.fc.parameters()
    )


class Floats(Dataset):  # type: ignore[type-arg]
    def __init__(self, made: Callable[[np.ndarray], Any]) -> None:
        self.pixels, self.made = (
            np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), dtype=np.uint8),
            made,
        )

    def __len__(self) -> int:
        return 16

    def __getitem__(self, i: int) -> tuple[Any, int]:
        return self.made(self.pixels[i]), i % 3


@pytest.mark.parametrize(
    ("made", "floats"),
    [
        (lambda p: torch.from_numpy(p).movedim(2, 0) / 255, True),
        (lambda p: p.transpose(2, 0, 1) / np.float32(255), True),
        (lambda p: p, False),
    ],
)
def test_a_run_on_a_users_dataset_knows_whether_it_can_prepare_a_picture_itself(made, floats):
    dataset = Floats(made)
    split = Split(Items(dataset, np.arange(16) % 3), np.arange(16))
    run = quietly(data=Data(split, None, None, ("a", "b", "c"), "own", "own"), image_size=8)
    if floats:
        with pytest.raises(DataError, match="trained on float arrays"):
            run.predict(dataset.pixels[0])
        assert len(run.predict(split)) == 16
    else:
        assert run.predict(dataset.pixels[0]).label in run.classes


def test_class_weights_weigh_the_loss_and_balanced_ones_are_counted():
    data = small_data("arrays")
    counts = np.array(list(data.counts["train"].values()))
    told = quietly(
        data=data, class_weights=tuple((counts.sum() / (3 * counts)).tolist()), run_dir="a"
    )
    counted = quietly(data=data, class_weights="balanced", run_dir="b")
    plain = quietly(data=data, run_dir="c")
    assert told.history[-1]["train/loss"] == pytest.approx(
        counted.history[-1]["train/loss"], rel=1e-6
    )
    assert plain.history[-1]["train/loss"] != pytest.approx(
        counted.history[-1]["train/loss"], rel=1e-6
    )


def test_the_run_wears_averaged_weights_when_there_is_an_average():
    run = quietly(Small, ema_decay=0.5, lr=0.1)
    kept = checkpoint.read(max(run.folder.glob("checkpoint-*"), key=checkpoint.step_of))
    assert any(name.startswith("average/") for name in kept.tensors)
    assert run.evaluate("valid").loss == pytest.approx(run.best["metrics"]["valid/loss"], rel=1e-5)


def test_best_weights_that_vanish_while_training_are_said_and_do_not_end_the_run():
    heard: list[Event] = []

    def hear(event: Event) -> None:
        heard.append(event)
        if isinstance(event, StepDone) and event.step == 11:
            for path in Path("a").glob("best-*"):
                path.write_bytes(b"bad")

    run = quietly(Small, hear=hear, lr=3.0, lr_schedule="constant", save_every_steps=1)
    if run.best["epoch"] == 1:
        assert any("the last weights" in text for text in notes(heard))
    assert run.status == "finished"


def test_per_name_learning_rates_reach_their_parameters():
    model = Small()
    start = copy.deepcopy(model.state_dict())
    run = quietly(model, lr={"fc*": 0.0, "*": 0.1}, optimizer="sgd", lr_schedule="constant")
    end = checkpoint.under(
        checkpoint.read(max(run.folder.glob("checkpoint-*"), key=checkpoint.step_of)).tensors,
        "model/",
    )
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert (
        not {n for n in moved if n.startswith("fc")} and {"body.0.weight", "body.1.weight"} <= moved
    )


@pytest.mark.parametrize("verb", ["train", "transfer"])
def test_a_part_of_the_split_that_is_black_is_seen_wherever_it_lies(tmp_path, verb):
    """The first batch holds none of it."""
    class_folders(tmp_path / "pets", ["ant", "bee", "cat"], each=40)
    for number in range(40):
        black = Image.new("RGB", (12, 10), (number // 8, 0, 1))
        black.save(tmp_path / "pets" / "cat" / f"{number}.png")
    heard = Heard()
    fields = {"image_size": 8, "batch_size": 16, "callbacks": [heard], "run_dir": "a"}
    data = load(tmp_path / "pets", valid=0, quiet=True)
    if verb == "train":
        train(Small(), data, epochs=1, quiet=True, **fields)
    else:
        transfer(data, Small(), mode="frozen", quiet=True, **fields)
    assert "5 of 16 pictures from all over the training split are nearly black" in heard.text
