import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from colab_kit.errors import RunError
from colab_kit.runs import plots
from colab_kit.runs.evaluation import evaluate
from colab_kit.runs.prediction import prediction

HISTORY = [
    {
        "epoch": 1.0,
        "step": 94,
        "lr": 0.1,
        "train/loss": 1.0,
        "train/top1": 0.5,
        "valid/loss": 0.9,
        "valid/top1": 0.55,
        "valid/top5": 0.9,
    },
    {
        "epoch": 1.5,
        "step": 141,
        "lr": 0.1,
        "train/loss": None,
        "valid/loss": 0.6,
        "valid/top1": 0.7,
    },
    {
        "epoch": 2.0,
        "step": 188,
        "lr": 0.1,
        "train/loss": 0.7,
        "train/top1": 0.6,
        "valid/loss": 0.8,
        "valid/top1": 0.71,
    },
]


def evaluation(count, names=None):
    said = np.eye(count)[np.arange(count)[::-1]] * 0.8 + 0.2 / count
    return evaluate(
        said, np.arange(count), names or [f"a rather long name, number {i}" for i in range(count)]
    )


def colours(path):
    """The colours that are there, as a set of (r, g, b)."""
    with Image.open(path) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}


def bare(path):
    """Whether all four edges of the picture are paper: nothing is cut off."""
    with Image.open(path) as picture:
        x = np.asarray(picture.convert("L"))
    return all((edge == 255).all() for edge in (x[0], x[-1], x[:, 0], x[:, -1]))


def test_the_best_validation_is_the_lowest_loss_or_the_highest_accuracy():
    assert plots._best(HISTORY, "valid/loss") == 1.5
    assert plots._best(HISTORY, "valid/top1") == 2.0
    assert plots._best([{"epoch": 1.0, "valid/loss": float("nan")}], "valid/loss") is None


def test_curves_hold_both_splits_and_the_mark(tmp_path):
    path = plots.curves(HISTORY, tmp_path / "new" / "curves.png")
    assert path == tmp_path / "new" / "curves.png" and bare(path)
    assert {(31, 119, 180), (255, 127, 14), (44, 160, 44)} <= colours(path)  # train, valid, best


@pytest.mark.parametrize(
    "history",
    [
        [],
        HISTORY[:1],
        [{"epoch": 1.0, "train/loss": 1.0}],
        [{"epoch": 1.0, "train/loss": float("inf")}],
    ],
)
def test_curves_are_drawn_whatever_is_missing(history, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bare(plots.curves(history, tmp_path / "curves.png"))


def test_without_validation_nothing_is_marked(tmp_path):
    path = plots.curves(
        [{"epoch": 1.0, "train/loss": 1.0}, {"epoch": 2.0, "train/loss": 0.5}], tmp_path / "c.png"
    )
    assert (31, 119, 180) in colours(path) and not {(255, 127, 14), (44, 160, 44)} & colours(path)


@pytest.mark.parametrize("count", [2, 20, 21, 201])  # 20 show numbers, 200 show each name
def test_confusion_cuts_no_name_and_stays_of_printable_size(count, tmp_path):
    path = plots.confusion(evaluation(count), tmp_path / "confusion.png")
    assert bare(path)
    with Image.open(path) as picture:
        assert 100 < min(picture.size) and max(picture.size) < 5000


def test_names_with_signs_of_mathematics_are_drawn_as_they_are(tmp_path):
    names = ["$5 bill $_$", "x^2 & {", "\\frac $"]
    assert bare(plots.confusion(evaluation(3, names), tmp_path / "c.png"))
    probabilities = np.array([0.5, 0.3, 0.2])
    assert bare(
        plots.view_classify(
            np.zeros((5, 5, 3), np.uint8), prediction(probabilities, names), tmp_path / "v.png"
        )
    )


def test_a_grey_picture_is_drawn_in_grey_and_unstretched(tmp_path):
    grey = np.full((8, 8, 1), 100, np.uint8)
    path = plots.view_classify(
        grey, prediction(np.array([0.9, 0.1]), ("a", "b")), tmp_path / "v.png"
    )
    with Image.open(path) as picture:
        assert picture.convert("RGB").getpixel((100, 100)) == (100, 100, 100)


@pytest.mark.parametrize(
    ("shape", "count"),
    [((8, 8), 5), ((8, 8, 1), 1), ((8, 8, 4), 20)]
    + [(shape, count) for shape in ((8, 30, 3), (90, 8, 3)) for count in (1, 20)],
)
def test_a_long_name_runs_into_no_picture(shape, count, tmp_path):
    red = np.zeros((*shape[:2], 3), np.uint8) + np.array([200, 30, 30], np.uint8)
    names = [f"hard-leaved pocket orchid, {i}" for i in range(count)]
    found = prediction(np.linspace(0.5, 0.1, count), names, top=20)
    drawn = plots.view_classify(
        red if shape[2:] == (3,) else np.full(shape, 90, np.uint8), found, tmp_path / "v.png"
    )
    assert bare(drawn)
    if shape[2:] == (3,):
        with Image.open(drawn) as picture:
            x = np.asarray(picture.convert("RGB")).astype(int)
        held = (x == (200, 30, 30)).all(2)
        rows, columns = np.flatnonzero(held.any(1)), np.flatnonzero(held.any(0))
        assert held[
            rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1
        ].all()  # a whole rectangle: no ink upon it


def test_evaluation_and_prediction_wait_for_no_matplotlib_and_no_pyplot_figure_is_left_open(
    tmp_path,
):
    code = f"""
import sys
from pathlib import Path
import colab_kit.runs.evaluation, colab_kit.runs.prediction
assert "matplotlib" not in sys.modules
from colab_kit.runs import plots
plots.curves([{{"epoch": 1.0, "train/loss": 1.0}}], Path({str(tmp_path)!r}) / "c.png")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(RunError):
        plots.curves(HISTORY, tmp_path / "file" / "curves.png")
    assert (tmp_path / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


class Shell:
    kernel = object()


def test_a_notebook_is_shown_the_picture_and_a_terminal_is_not(tmp_path):
    path = plots.curves(HISTORY, tmp_path / "c.png")
    shown = []
    assert plots.display(path, shell=Shell(), show=shown.append) == path
    assert [image.data for image in shown] == [path.read_bytes()]
    assert plots.display(path, shell=object(), show=shown.append) == path
    assert plots.display(path, show=shown.append) == path
    assert len(shown) == 1
