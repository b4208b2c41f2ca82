"""Targets: what the labels ask for is told from them, and rows and numbers are learned, judged and predicted as classes are."""

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.api import train, transfer
from colab_kit.data.loading import load
from colab_kit.data.targets import as_task, spoken, strata, task_of, unlabelled
from colab_kit.errors import DataError, ModelError, RecipeError
from colab_kit.events import Note
from colab_kit.runs.opening import open_run
from colab_kit.testing.fixtures import class_folders

X = np.random.default_rng(0).integers(0, 256, (60, 6, 6, 3), np.uint8)
X[::2] //= 4
BRIGHT = X.mean((1, 2, 3)) / 255
TAGS = [
    [name for name, there in (("bright", b > 0.3), ("odd", i % 3 == 0)) if there]
    for i, b in enumerate(BRIGHT)
]


def array(*values):
    out = np.empty(len(values), object)
    out[:] = values
    return out


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (np.array([0, 1, 2]), "classification"),
        (array("cat", None, "dog"), "classification"),
        (np.eye(3, dtype=np.float32), "classification"),
        (np.array([[1, 1], [0, 0]], np.float32), "multilabel"),
        (array(("a", "b"), (), None), "multilabel"),
        (np.array([0.5, 1.0]), "regression"),
        (np.array([[0.5, 3.0]], np.float32), "regression"),
        (array(0.5, 2.0, None), "regression"),
        (array("0.5", "2"), "regression"),
        (array("3", "4"), "classification"),
    ],
)
def test_labels_say_what_they_ask_for(labels, task):
    assert task_of(labels) == task


def test_whole_floats_may_be_both_and_are_asked_about():
    with pytest.raises(DataError):
        task_of(np.array([1.0, 2.0]))
    assert task_of(np.array([1.0, 2.0, 2.0, 1.0, np.nan])) == "classification"
    assert load((X, np.arange(60.0)), task="regression", quiet=True).task == "regression"


def test_rows_without_a_label_are_known_in_every_task():
    assert unlabelled(np.array([0, -1])).tolist() == [False, True]
    assert unlabelled(np.array([[0, 1], [np.nan, np.nan]], np.float32)).tolist() == [False, True]
    assert unlabelled(array(None, ("a",))).tolist() == [True, False]


def test_several_names_in_a_cell_are_told_apart_by_what_stands_between():
    assert as_task(array("haze primary", "clear"), "multilabel")[0].tolist() == [
        ("haze", "primary"),
        ("clear",),
    ]
    assert as_task(array("red fox; owl", "owl", None), "multilabel")[0].tolist() == [
        ("red fox", "owl"),
        ("owl",),
        None,
    ]


def test_a_split_has_its_share_of_rare_classes_and_of_large_numbers():
    hot = np.zeros((20, 2), np.float32)
    hot[:, 0] = 1
    hot[:4, 1] = 1
    assert strata(hot)[:4].tolist() == [1] * 4 and set(strata(hot)[4:]) == {0}
    numbers = np.arange(30, dtype=np.float32)[::-1, None]
    assert (
        strata(numbers)[0] == 9
        and strata(numbers)[-1] == 0
        and np.bincount(strata(numbers)).tolist() == [3] * 10
    )
    data = load((X, BRIGHT), quiet=True)
    assert abs(data.valid.labels.mean() - data.train.labels.mean()) < 0.05


@pytest.mark.parametrize(
    ("y", "kw", "words"),
    [
        (BRIGHT, {"task": "multilabel"}, "rows of 0 and 1"),
        (TAGS, {"task": "regression"}, "no number"),
        (TAGS, {"task": "classification"}, "task='multilabel'"),
        (np.stack([BRIGHT] * 2, 1), {"class_names": ["one"]}, "one name a column"),
        (BRIGHT, {"task": "guess"}, "classification, multilabel, regression"),
        (np.where(BRIGHT > 0.5, np.inf, BRIGHT), {}, "infinite"),
    ],
)
def test_labels_of_another_kind_than_asked_for_say_so(y, kw, words):
    with pytest.raises(DataError, match=words):
        load((X, y), quiet=True, **kw)


def test_a_number_that_is_missing_leaves_its_picture_out():
    said = []
    data = load(
        (X, np.where(np.arange(60) == 7, np.nan, BRIGHT)),
        valid=0,
        callbacks=[said.append],
        quiet=True,
    )
    assert len(data.train) == 59 and any("row 7" in e.text for e in said if isinstance(e, Note))


def test_labels_read_aloud():
    assert (
        spoken(1, ("cat", "dog"), "classification") == "dog"
        and spoken(-1, ("cat",), "classification") == "no label"
    )
    assert (
        spoken(np.array([1, 0, 1]), "abc", "multilabel") == "a, c"
        and spoken(np.zeros(3), "abc", "multilabel") == "none"
    )
    assert (
        spoken(np.array([1.0]), ("age",), "regression") == "1"
        and spoken(np.array([np.nan]), ("age",), "regression") == "no label"
    )


def net(outputs, *more):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 16), nn.ReLU(), nn.Linear(16, outputs), *more)


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))


class Flat(nn.Module):
    """Ends in squeeze(1), as tutorials of regression do."""

    def __init__(self):
        super().__init__()
        self.net = net(1)

    def forward(self, x):
        return self.net(x).squeeze(1)


def test_a_number_is_learned_judged_and_predicted(tmp_path):
    data = load((X, BRIGHT), class_names=["light"], quiet=True)
    run = train(
        linear(), data, epochs=60, batch_size=8, lr=1e-2, run_dir=tmp_path / "run", quiet=True
    )
    assert (
        run.choices["loss"][0] == "mse"
        and {"valid/mae", "valid/rmse", "train/mae"} <= run.history[0].keys()
    )
    found = run.evaluate("valid")
    assert (
        found.mae == pytest.approx(run.best["metrics"]["valid/mae"], rel=1e-5)
        and found.per_class[0]["r2"] > 0.7
    )
    said = run.predict(X[0])
    assert (
        said.score == pytest.approx(BRIGHT[0], abs=0.2)
        and repr(said).startswith("light 0.")
        and said.top[0][0] == "light"
    )
    again = open_run(run.folder, model=linear())
    assert again.task == "regression" and again.predict(X[0]).score == said.score
    assert all(
        path.is_file()
        for path in (run.plot(), run.confusion(), run.top_losses(4), run.show(X[0]), run.report())
    )
    assert "MAE" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize("loss", ["l1", "smooth_l1", nn.MSELoss(), "huber"])
def test_every_loss_of_numbers_works_on_a_net_that_puts_out_a_row(loss, tmp_path):
    run = train(
        Flat(),
        load((X, BRIGHT), quiet=True),
        epochs=1,
        loss=loss,
        run_dir=tmp_path / "run",
        quiet=True,
    )
    assert run.history[0]["train/loss"] < 1.0, "each number is compared with its own"
    assert run.predict(X[:3]).probabilities.shape == (3, 1)


@pytest.mark.parametrize("more", [(), (nn.Sigmoid(),)])
def test_several_classes_a_picture_are_learned_judged_and_predicted(more, tmp_path):
    data = load((X, TAGS), quiet=True)
    assert (
        data.task == "multilabel"
        and data.classes == ("bright", "odd")
        and data.counts["train"]["bright"] > 0
    )
    run = train(net(2, *more), data, epochs=20, lr=1e-2, run_dir=tmp_path / "run", quiet=True)
    assert (
        run.choices["loss"][0] == ("bce_of_probabilities" if more else "bce")
        and run.history[-1]["train/f1"] > 0.7
    )
    found = run.evaluate("train")
    assert found.f1 > 0.7 and [row["name"] for row in found.per_class] == ["bright", "odd"]
    said = run.predict(X[1])
    assert set(said.label.split(", ")) <= {"bright", "odd", "none"} and 0 <= said.score <= 1
    if more:  # what is drawn knows nothing of the network's last layer
        return
    assert all(
        path.is_file()
        for path in (run.plot(), run.confusion(), run.top_losses(4), run.show(X[0]), run.report())
    )


def test_mixed_pictures_have_mixed_numbers(tmp_path):
    run = train(
        net(1),
        load((X, BRIGHT), quiet=True),
        epochs=2,
        mixup=0.4,
        run_dir=tmp_path / "run",
        quiet=True,
    )
    assert run.status == "finished" and np.isfinite(run.history[-1]["train/loss"])


@pytest.mark.parametrize(
    ("y", "model", "fields", "error", "words"),
    [
        (
            BRIGHT,
            lambda: net(1),
            {"loss": "cross_entropy"},
            ModelError,
            "the labels of this data are numbers",
        ),
        (TAGS, lambda: net(2), {"loss": nn.CrossEntropyLoss()}, ModelError, "one class a picture"),
        (TAGS, lambda: net(2), {"loss": nn.BCELoss()}, ModelError, "nn.Sigmoid"),
        (BRIGHT, lambda: net(3), {}, ModelError, "nn.Linear"),
        (TAGS, lambda: net(2), {"class_weights": "balanced"}, RecipeError, "multilabel"),
        (BRIGHT, lambda: net(1), {"sampler": "balanced"}, RecipeError, "regression"),
        (BRIGHT, lambda: net(1), {"monitor": "valid/top1"}, RecipeError, "valid/mae"),
    ],
)
def test_what_does_not_fit_the_task_says_so(y, model, fields, error, words, tmp_path):
    with pytest.raises(error, match=words):
        train(
            model(),
            load((X, y), quiet=True),
            epochs=1,
            run_dir=tmp_path / "run",
            quiet=True,
            **fields,
        )
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    ("y", "model", "words"),
    [(BRIGHT * 1000, lambda: net(1), "large"), (TAGS, lambda: net(2, nn.Sigmoid()), "another")],
)
def test_what_would_train_badly_is_said(y, model, words, tmp_path):
    said, loss = [], "bce" if y is TAGS else None
    train(
        model(),
        load((X, y), quiet=True),
        epochs=1,
        loss=loss,
        run_dir=tmp_path / "run",
        callbacks=[said.append],
        quiet=True,
    )
    assert any(words in e.text for e in said if isinstance(e, Note) and e.level == "warn")


class Seen(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 12, 3, bias=False), nn.BatchNorm2d(12), nn.ReLU())
        self.fc = nn.Linear(12, 11)

    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)))


def test_a_head_for_numbers_and_one_for_several_classes_are_solved(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    one = transfer(load((X, BRIGHT), quiet=True), Seen(), run_dir=tmp_path / "one", quiet=True)
    assert (
        one.choices["mode"][0] == "frozen"
        and one.model.fc.out_features == 1
        and one.history[0]["valid/mae"] < 0.1
    )
    assert one.evaluate("valid").mae == pytest.approx(one.history[0]["valid/mae"], rel=0.05)
    two = transfer(load((X, TAGS), quiet=True), Seen(), run_dir=tmp_path / "two", quiet=True)
    assert (
        two.model.fc.out_features == 2
        and two.history[0]["valid/f1"] == two.best["metrics"]["valid/f1"]
    )


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_files_take_their_labels_from_a_table(task, tmp_path):
    folder = class_folders(tmp_path / "pets", each=8)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    cells = [
        f"{i / 8}" if task == "regression" else "|".join(["pet", "young"][: 1 + i % 2])
        for i in range(len(files))
    ]
    (folder / "labels.csv").write_text(
        "file,label\n" + "\n".join(map(",".join, zip(files, cells, strict=True)))
    )
    data = load(folder, labels="labels.csv", task=task, quiet=True)
    assert data.task == task and data.classes == (
        ("value",) if task == "regression" else ("pet", "young")
    )
    assert data.train.labels.dtype == np.float32 and data.train[0][1].shape == (len(data.classes),)
    assert (
        data.show(4).size[0] > 0
        and data.classes[0] in repr(data)
        and data.classes[0] in data._repr_html_()
    )
    torch.manual_seed(0)
    run = train(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, len(data.classes))), data, epochs=1, image_size=16,
                run_dir=tmp_path / "run", quiet=True)  # fmt: skip
    assert run.status == "finished" and open_run(run.folder, model=run.model).predict(
        folder
    ).probabilities.shape == (16, len(data.classes))


class Own(torch.utils.data.Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return torch.from_numpy(X[i]).movedim(2, 0).float() / 255, torch.tensor(
            [BRIGHT[i], 1 - BRIGHT[i]], dtype=torch.float32
        )


def test_a_dataset_of_ones_own_gives_numbers(tmp_path):
    data = load(Own(), quiet=True)
    assert data.task == "regression" and data.classes == ("value 0", "value 1")
    assert (
        train(net(2), data, epochs=1, run_dir=tmp_path / "run", quiet=True).history[0]["train/mae"]
        < 2
    )
