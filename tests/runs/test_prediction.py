import csv
import io
from pathlib import Path

import numpy as np

from colab_kit.runs.prediction import Predictions, prediction

CLASSES = ("cat", "dog", "emu")


def test_a_prediction_names_the_likeliest_first():
    p = prediction(np.array([0.2, 0.7, 0.1]), CLASSES, top=2)
    assert (p.label, p.path) == ("dog", None) and p.score == np.float32(0.7)
    assert [name for name, _ in p.top] == ["dog", "cat"]
    assert p.probabilities.dtype == np.float32 and p.probabilities.shape == (3,)


def test_top_holds_no_more_names_than_there_are_and_at_least_one():
    assert len(prediction(np.array([0.2, 0.7, 0.1]), CLASSES, top=9).top) == 3
    assert len(prediction(np.array([0.2, 0.7, 0.1]), CLASSES, top=0).top) == 1


def test_equal_probabilities_rank_by_class_number():
    assert [name for name, _ in prediction(np.full(3, 1 / 3), CLASSES).top] == list(CLASSES)


def test_a_prediction_is_one_line():
    shown = repr(prediction(np.array([0.2, 0.7, 0.1]), CLASSES, path=Path("a.jpg")))
    assert shown == "dog 70.0 % (cat 20.0 %, emu 10.0 %) · a.jpg"


def some(n):
    rows = np.eye(3)[np.arange(n) % 3] * 0.7 + 0.1
    return Predictions(
        (prediction(row, CLASSES, path=Path(f"{i}, x.jpg")) for i, row in enumerate(rows)), CLASSES
    )


def test_predictions_are_a_list_with_labels_and_one_table_of_probabilities():
    found = some(4)
    assert len(found) == 4 and found[1].label == "dog"
    assert found.labels == ["cat", "dog", "emu", "cat"]
    assert found.probabilities.shape == (4, 3) and found.probabilities.dtype == np.float32
    assert Predictions([], CLASSES).probabilities.shape == (0, 3)


def test_the_csv_is_read_back_as_it_was(tmp_path):
    found = some(3)
    file = found.to_csv(tmp_path / "out" / "p.csv")
    rows = list(csv.DictReader(file.open()))
    assert [row["path"] for row in rows] == ["0, x.jpg", "1, x.jpg", "2, x.jpg"]
    assert [row["label"] for row in rows] == found.labels
    assert np.allclose(
        [[float(row[name]) for name in CLASSES] for row in rows], found.probabilities
    )
    assert found.to_csv() == file.read_text()


def test_the_csv_of_unknown_classes_holds_labels_alone():
    assert next(csv.reader(io.StringIO(Predictions(some(2)).to_csv()))) == [
        "path",
        "label",
        "score",
    ]


def test_a_long_list_shows_its_first_ten():
    assert len(repr(some(13)).splitlines()) == 12 and repr(some(13)).endswith("3 more")
