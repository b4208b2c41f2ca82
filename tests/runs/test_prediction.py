import csv
import io
from pathlib import Path

import numpy as np
import pytest

from colab_kit.errors import DataError
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


RESERVED = ("path", "file", "stem", "label", "score", "number")


@pytest.mark.parametrize("word", RESERVED)
def test_a_class_with_a_reserved_name_is_asked_about_and_both_spellings_work(word):
    row = np.array([0.25, 0.75])
    found = Predictions([prediction(row, (word, "dog"), path=Path("a/b.jpg"))], (word, "dog"))
    with pytest.raises(DataError) as caught:
        found.to_csv(columns={"id": word})
    for part, value in ((f"class:{word}", "0.25"), (f"picture:{word}", None)):
        assert f"'{part}'" in caught.value.fix
        (cell,) = csv.DictReader(io.StringIO(found.to_csv(columns={"id": part})))
        assert (cell["id"] == value) == (value is not None)


def test_a_class_called_as_a_column_has_a_heading_of_its_own():
    row = np.array([0.25, 0.75])
    found = Predictions([prediction(row, ("label", "path"), path=Path("b.jpg"))], ("label", "path"))
    (cells,) = csv.DictReader(io.StringIO(found.to_csv()))
    assert cells["path"] == "b.jpg" and cells["label"] == "path"
    assert (cells["class:label"], cells["class:path"]) == ("0.25", "0.75")


def test_a_class_may_have_a_colon_in_its_name():
    found = Predictions([prediction(np.array([0.25, 0.75]), ("class:a", "a"))], ("class:a", "a"))
    assert found.to_csv(columns={"x": "class:a", "y": "a"}) == "x,y\n0.25,0.75\n"
