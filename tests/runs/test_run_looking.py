"""Looking with a run: history, evaluate, report and predict give one and the same figures."""

import csv
import functools
import io
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.api import train, transfer
from colab_kit.data import image_checks
from colab_kit.data.loading import load
from colab_kit.errors import DataError
from colab_kit.events import Note
from colab_kit.models.build import LazyBackbone
from colab_kit.panels.cleaner import cleaner
from colab_kit.runs.opening import open_run
from colab_kit.runs.prediction import Prediction
from tests.support.pictures import class_folders, picture


class Net(nn.Module):
    """A backbone whose BatchNorm can be folded."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.fc = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path):
    root = class_folders(tmp_path / "pets", each=12)
    test = class_folders(tmp_path / "more", each=9)
    return load({"train": root, "test": test}, valid=0.3, quiet=True)


HOW = {
    "stepped": lambda data, **more: train(Net, data, epochs=2, image_size=32, **more),
    "solved": lambda data, **more: transfer(data, Net(7), image_size=32, **more),
    "deep": lambda data, **more: transfer(data, Net(7), head=(8,), image_size=32, **more),
    "all": lambda data, **more: transfer(
        data, Net(7), mode="finetune", epochs=2, image_size=32, **more
    ),
    "named": lambda data, **more: transfer(data, "efficientnet_lite0", image_size=32, **more),
}


@pytest.mark.parametrize(
    ("how", "precision"),
    [("named", "fp32")] + [(how, p) for how in HOW if how != "named" for p in ("fp32", "bf16")],
)
def test_the_figures_of_a_split_are_the_same_whoever_asks(data, how, precision):
    run = HOW[how](data, precision=precision, batch_size=5, quiet=True, run_dir="run")
    row, epoch = run.best["metrics"], run.best["epoch"]
    assert row == {k: v for k, v in run.history[-1].items() if k in row} or epoch < 20
    asked = [run, open_run("run", model=None if how == "named" else opened(how))]
    for one in asked:
        found = one.evaluate(data if one is not run else "valid", quiet=True)
        if one is not run:
            found = one.evaluate(data.valid, quiet=True)
        assert found.loss == pytest.approx(row["valid/loss"], rel=tolerance(one, run, how))
        assert found.top1 == row["valid/top1"]
        answers = one.predict(data.valid, quiet=True)
        labels = [data.classes[label] for label in data.valid.labels]
        assert np.mean(np.array(answers.labels) == labels) == found.top1
        near = 1e-5 if precision == "fp32" else 2e-2
        alone = [one.predict(path, quiet=True).probabilities for path in data.valid.paths]
        np.testing.assert_allclose(alone, answers.probabilities, atol=near)


def opened(how: str):
    """The network of a run of one's own."""
    if how == "deep":
        net = Net(7)
        net.fc = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
        return net
    return Net


def tolerance(one, run, how: str) -> float:
    """Of one's own frozen network, opened again, nobody knows which layer the head is."""
    return 1e-5 if one is run or how not in ("solved", "deep") else 2e-2


@pytest.fixture
def passes(monkeypatch):
    """How many pictures went through a backbone for features."""
    seen: list[int] = []
    whole = LazyBackbone.features
    monkeypatch.setattr(
        LazyBackbone, "features", lambda self, x, how: (seen.append(len(x)), whole(self, x, how))[1]
    )
    return seen


def test_a_split_goes_through_a_frozen_backbone_once(data, passes):
    run = HOW["solved"](data, quiet=True, run_dir="run")
    passes.clear()
    run.evaluate("valid", quiet=True)
    assert passes == [], "its features are there since the training"
    first = run.evaluate("test", quiet=True)
    assert sum(passes) == len(data.test)
    again = run.evaluate("test", quiet=True)
    run.report("test")
    run.predict(data.test, quiet=True)
    cleaner(run, split="test")
    assert sum(passes) == len(data.test) and again.loss == first.loss
    other = HOW["solved"](data, quiet=True, seed=5, run_dir="other")
    passes.clear()
    other.evaluate("test", quiet=True)
    assert passes == [], "the features are those of another run"


def bitmaps(folder, each=16):
    """Pictures in two classes, all files of one size."""
    for n in range(2 * each):
        picture(folder / "ab"[n % 2] / f"{n:02}.bmp", n)
    return folder


def replaced(path, seed=99):
    """Put another picture in the place of a file, under its name and of its size; give the old."""
    old, size = path.read_bytes(), path.stat().st_size
    picture(path, seed)
    assert path.stat().st_size == size and path.read_bytes() != old
    return old


@pytest.mark.parametrize("looked_at", (True, False), ids=("looked at", "beyond the sample"))
@pytest.mark.parametrize("when", ("before training", "before evaluate", "while it is read"))
def test_a_picture_in_the_place_of_another_meets_none_of_its_features(
    tmp_path, passes, monkeypatch, looked_at, when
):
    monkeypatch.setattr(image_checks, "FEW", 100 if looked_at else 8)
    monkeypatch.setattr(image_checks, "SMALLEST", 2)
    load_it = functools.partial(load, bitmaps(tmp_path / "set"), valid=0, quiet=True)
    learn = functools.partial(HOW["solved"], batch_size=2, quiet=True)
    clean, data = learn(load_it(), run_dir="clean"), load_it()
    unseen = [n for n in range(len(data.train)) if n not in data.train.source.contents]
    assert bool(unseen) is not looked_at
    path, train_again = data.train.paths[[-1, *unseen][-1]], lambda: learn(data, run_dir="run")
    ask = train_again
    if when == "before evaluate":
        run = train_again()
        ask = lambda: run.evaluate("train", quiet=True)
    if when == "while it is read":
        (tmp_path / "home").rename(tmp_path / "home before")  # no features are kept
        old = replaced_at_the_first_batch(path, monkeypatch)
    else:
        old = replaced(path)
    passes.clear()
    if looked_at or when != "before training":
        with pytest.raises(DataError, match=f"{path.name} has changed"):
            ask()
    else:  # nobody knew what it held before
        assert ask() and sum(passes) == 32
    new = learn(load_it(), run_dir="new", restart=True)
    path.write_bytes(old)
    back = learn(load_it(), run_dir="back", restart=True)
    losses = [run.history[-1]["train/loss"] for run in (clean, back, new)]
    assert losses[0] == losses[1] != losses[2]


def replaced_at_the_first_batch(path, monkeypatch):
    """Replace a picture as soon as features are computed; give the old one."""
    old, whole = path.read_bytes(), LazyBackbone.features

    def computing(self, x, how):
        if path.read_bytes() == old:
            replaced(path)
        return whole(self, x, how)

    monkeypatch.setattr(LazyBackbone, "features", computing)
    return old


def test_a_file_that_was_only_touched_keeps_its_features(tmp_path, passes):
    data = load(bitmaps(tmp_path / "set"), quiet=True)
    run = HOW["solved"](data, quiet=True, run_dir="run")
    passes.clear()
    for path in data.train.paths:
        os.utime(path, (1, 1))
    run.evaluate("train", quiet=True)
    assert passes == []


def test_a_report_looks_at_its_split_once(data):
    looks: list[int] = []

    class Counted(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            looks.append(len(x))
            return super().forward(x)

    run = train(Counted, data, epochs=1, image_size=32, quiet=True, run_dir="run")
    looks.clear()
    run.report("test")
    assert sum(looks) == len(data.test)


def test_a_damaged_picture_is_a_row_that_says_so(data, tmp_path):
    run = HOW["stepped"](data, quiet=True, run_dir="run")
    folder = class_folders(tmp_path / "seen", ["cat"], each=4)
    bad = sorted(folder.rglob("*.png"))[2]
    bad.write_bytes(bad.read_bytes()[:-200])
    notes: list[Note] = []
    found = run.predict(folder, callbacks=[notes.append], quiet=True)
    assert [p.label is None for p in found] == [False, False, True, False]
    assert found[2].fault and found[2].path == bad and "not read" in repr(found)
    assert np.isnan(found.probabilities[2]).all() and found.labels[2] is None
    assert [note.level for note in notes if isinstance(note, Note)] == ["warn"]
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert rows[2]["label"] == rows[2]["score"] == rows[2]["cat"] == "" and rows[2]["fault"]
    assert rows[1]["label"] and not rows[1]["fault"]
    with pytest.raises(DataError, match="No picture could be read"):
        run.predict(bad)


def test_an_interrupt_ends_predicting_with_what_is_there(data, monkeypatch):
    run = HOW["stepped"](data, batch_size=4, quiet=True, run_dir="run")
    model, seen = run.model, list[int]()

    def interrupt(module, inputs) -> None:
        seen.append(len(inputs[0]))
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)

    model.register_forward_pre_hook(interrupt)
    notes: list[Note] = []
    found = run.predict(data.test, callbacks=[notes.append], quiet=True)
    assert len(found) == 8 and all(isinstance(one, Prediction) for one in found)
    assert any("8 of 18" in note.text for note in notes)
    seen.clear()
    part = run.evaluate("test", quiet=True)
    assert part.count == 8 and part.stopped and "stopped" in repr(part).splitlines()[0]
    whole = run.evaluate("test", quiet=True)
    assert not whole.stopped and "stopped" not in repr(whole)
