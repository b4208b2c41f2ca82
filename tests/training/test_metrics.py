"""Metrics: scikit-learn's own numbers, of a whole split, and guests that do not end a training."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import colab_kit as kit
from colab_kit.errors import RecipeError
from colab_kit.events import Note
from colab_kit.training import metrics
from colab_kit.training.losses import falls
from tests.support import examples

sk = pytest.importorskip("sklearn.metrics")


def one_class_each(seed: int, n: int, classes: int, held: int) -> tuple[torch.Tensor, np.ndarray]:
    """Logits and labels of n pictures, of which only some classes are held by one."""
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(size=(n, classes)), dtype=torch.float32), rng.integers(
        0, held, n
    )


def areas(true: np.ndarray, scores: np.ndarray) -> float:
    """scikit-learn's area of each column that has both, and their mean."""
    both = [c for c in range(true.shape[1]) if 0 < true[:, c].sum() < len(true)]
    found = [sk.roc_auc_score(true[:, c], scores[:, c]) for c in both]
    return float(np.mean(found)) if found else float("nan")


@settings(deadline=None, max_examples=examples(60))
@given(st.integers(0, 10**6), st.integers(1, 70), st.integers(2, 9), st.data())
def test_metrics_of_one_class_a_picture_are_those_of_scikit_learn(seed, n, classes, data):
    outputs, y = one_class_each(seed, n, classes, data.draw(st.integers(1, classes)))
    names = "macro_f1,micro_f1,precision,recall,balanced_accuracy,kappa,auroc,top2"
    found = metrics.Metrics(names, {}, "classification")(outputs, torch.from_numpy(y))
    scores, best = torch.softmax(outputs, 1).numpy(), outputs.argmax(1).numpy()
    every = {"zero_division": 0, "average": "macro"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = {
            "macro_f1": sk.f1_score(y, best, **every),
            "micro_f1": sk.f1_score(y, best, average="micro"),
            "precision": sk.precision_score(y, best, **every),
            "recall": sk.recall_score(y, best, **every),
            "balanced_accuracy": sk.balanced_accuracy_score(y, best),
            "kappa": sk.cohen_kappa_score(y, best),
            "auroc": areas(y[:, None] == np.arange(classes), scores),
            "top2": sk.top_k_accuracy_score(y, scores, k=2, labels=range(classes))
            if classes > 2
            else 1.0,
        }
    assert found == pytest.approx(wanted, abs=1e-6, nan_ok=True)


@settings(deadline=None, max_examples=examples(40))
@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(2, 6))
def test_metrics_of_several_classes_a_picture_are_those_of_scikit_learn(seed, n, classes):
    rng = np.random.default_rng(seed)
    outputs = torch.tensor(rng.normal(size=(n, classes)), dtype=torch.float32)
    y = (rng.random((n, classes)) < rng.random(classes)).astype(np.float32)
    names = "macro_f1,micro_f1,precision,recall,auroc"
    task = metrics.Metrics(names, {}, "multilabel", "multilabel_logits")
    found = task(outputs, torch.from_numpy(y))
    scores = torch.sigmoid(outputs).numpy()
    every = {"zero_division": 0, "average": "macro"}
    wanted = {
        "macro_f1": sk.f1_score(y, scores >= 0.5, **every),
        "micro_f1": sk.f1_score(y, scores >= 0.5, average="micro", zero_division=0),
        "precision": sk.precision_score(y, scores >= 0.5, **every),
        "recall": sk.recall_score(y, scores >= 0.5, **every),
        "auroc": areas(y > 0.5, scores),
    }
    assert found == pytest.approx(wanted, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_r2_is_that_of_scikit_learn(targets, spread):
    rng = np.random.default_rng(3)
    y = (5 + spread * rng.normal(size=(31, targets))).astype(np.float32)
    values = torch.tensor(y + rng.normal(size=y.shape), dtype=torch.float32)
    found = metrics.Metrics("r2", {}, "regression", "values")(values, torch.from_numpy(y))
    assert found["r2"] == pytest.approx(sk.r2_score(y, values.numpy()), abs=1e-6)


def right(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (output.argmax(1) == y).float().mean()


def data(each: int = 13) -> kit.Data:
    return kit.load("fashion-mini", max_per_class=each, quiet=True)


def test_a_run_measures_them_over_the_ragged_split_as_evaluate_does(colab_kit_home):
    asked = ["macro_f1", "auroc", "top3", right]
    run = kit.train(kit.nets.mlp, data(), epochs=2, batch_size=7, metrics=asked, quiet=True)
    seen = run.evaluate("valid", quiet=True).metrics
    best = run.best["metrics"]
    for name in ("macro_f1", "auroc", "top3", "right"):
        assert best[f"valid/{name}"] == pytest.approx(seen[f"valid/{name}"], abs=1e-6)
    assert best["valid/right"] == pytest.approx(best["valid/top1"], abs=1e-6)


def test_a_solved_head_measures_them_too(colab_kit_home, tiny_images):
    backbone = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 2),
    )
    run = kit.transfer(
        tiny_images(each=8), backbone, mode="frozen", metrics="macro_f1", image_size=16, quiet=True
    )
    assert run.best["metrics"]["valid/macro_f1"] == pytest.approx(
        run.evaluate("valid", quiet=True).metrics["valid/macro_f1"], abs=1e-6
    )


def test_the_best_weights_may_follow_a_metric_of_ones_own(colab_kit_home):
    values = iter([0.1, 0.9, 0.5])
    run = kit.train(
        kit.nets.mlp, data(), epochs=3, quiet=True,
        metrics={"mine": lambda output, y: next(values)}, monitor="valid/mine",
    )  # fmt: skip
    assert run.best["epoch"] == 2


def test_metrics_asked_for_later_do_not_make_another_run(colab_kit_home):
    first = kit.train(kit.nets.mlp, data(), epochs=1, quiet=True)
    second = kit.train(kit.nets.mlp, data(), epochs=2, metrics="kappa", quiet=True)
    assert second.folder == first.folder and "valid/kappa" in second.history[-1]


def test_a_metric_that_raises_is_told_once_and_its_figure_is_nan(colab_kit_home, heard):
    def broken(output, y):
        raise ZeroDivisionError("no such class")

    run = kit.train(kit.nets.mlp, data(), epochs=2, metrics=[broken], callbacks=[heard], quiet=True)
    told = [note for note in heard.of(Note) if "ZeroDivisionError: no such class" in note.text]
    assert len(told) == 1 and run.status == "finished"
    assert np.isnan(run.history[-1]["valid/broken"])


def test_an_object_of_torchmetrics_is_asked_over_the_whole_split(colab_kit_home):
    of_torch = pytest.importorskip("torchmetrics.classification")
    asked = {"theirs": of_torch.MulticlassF1Score(10, average="macro"), "macro_f1": "macro_f1"}
    run = kit.train(kit.nets.mlp, data(), epochs=2, batch_size=7, metrics=asked, quiet=True)
    for row in run.history:
        assert row["valid/theirs"] == pytest.approx(row["valid/macro_f1"], abs=1e-6)


@pytest.mark.parametrize(
    "wrong", ["macro", ["top0"], [3], {"loss": right}, {"top1": right}, {"a/b": right}, "mae", "r2"]
)
def test_what_is_no_metric_of_the_task_is_refused_before_the_first_step(wrong, colab_kit_home):
    with pytest.raises(RecipeError):
        kit.train(kit.nets.mlp, data(), metrics=wrong, quiet=True)
    assert not list(colab_kit_home.rglob("run.json"))


@pytest.mark.parametrize("name", sorted({*metrics.NAMED, *metrics.USUAL} - {"mae", "rmse"}))
def test_a_metric_of_what_is_right_rises(name):
    assert not falls(f"valid/{name}")


@pytest.mark.parametrize("name", ["loss", "mae", "rmse", "mse", "my_error", "Loss2"])
def test_a_metric_of_what_is_wrong_falls(name):
    assert falls(f"valid/{name}")


def test_the_flag_takes_names_with_commas(colab_kit_home):
    from colab_kit.cli import main

    assert (
        main.main(
            [
                "train",
                "fashion-mini",
                "--epochs",
                "1",
                "--max-per-class",
                "13",
                "--metrics",
                "kappa,recall",
            ]
        )
        == 0
    )
    run = kit.open_run("fashion-mini-mlp")
    assert {"valid/kappa", "valid/recall"} <= set(run.history[-1])
