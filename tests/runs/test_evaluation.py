import math

import numpy as np
import pytest

from colab_kit.errors import DataError, ModelError
from colab_kit.runs.evaluation import evaluate


def outputs(said, count, sure=0.9):
    """Probabilities that say these classes."""
    p = np.full((len(said), count), (1 - sure) / (count - 1))
    p[np.arange(len(said)), said] = sure
    return p


def test_the_figures_are_those_counted_by_hand():
    e = evaluate(
        outputs([0, 0, 1, 1, 2, 2], 3), np.array([0, 0, 0, 1, 2, 1]), ["a", "b", "c"], "valid"
    )
    assert e.confusion.dtype == np.int64 and e.confusion.tolist() == [
        [2, 1, 0],
        [0, 1, 1],
        [0, 0, 1],
    ]  # rows are the truth
    assert (e.top1, e.count, e.split, e.classes) == (4 / 6, 6, "valid", ("a", "b", "c"))
    assert e.loss == pytest.approx(-(4 * math.log(0.9) + 2 * math.log(0.05)) / 6)
    assert e.per_class[0] == {"name": "a", "count": 3, "precision": 1.0, "recall": 2 / 3, "f1": 0.8}
    assert e.per_class[2] == {"name": "c", "count": 1, "precision": 0.5, "recall": 1.0, "f1": 2 / 3}
    assert e.metrics == {"valid/loss": e.loss, "valid/top1": 4 / 6}


def test_top5_counts_the_fifth_place_and_not_the_sixth():
    row = np.array([0.3, 0.25, 0.2, 0.15, 0.06, 0.03, 0.01])
    e = evaluate(np.stack([row] * 3), np.array([0, 4, 5]), "abcdefg")
    assert e.top1 == 1 / 3 and e.top5 == 2 / 3


def test_top5_is_not_known_up_to_five_classes():
    assert evaluate(outputs([0], 5), np.array([0]), "abcde").top5 is None
    assert evaluate(outputs([0], 6), np.array([0]), "abcdef").top5 == 1.0


def test_a_network_that_says_the_same_of_all_gets_no_credit_for_ties():
    e = evaluate(np.full((10, 10), 0.1), np.arange(10), "abcdefghij")
    assert (e.top1, e.top5) == (0.1, 0.5)


def test_a_figure_that_is_nothing_over_nothing_is_none():
    e = evaluate(outputs([0, 0], 3), np.array([0, 1]), "abc")
    b, c = e.per_class[1:]
    assert (b["precision"], b["recall"], b["f1"]) == (None, 0.0, 0.0)  # never said
    assert (c["precision"], c["recall"], c["f1"]) == (None, None, None)  # neither said nor there


def test_the_table_shows_each_class_and_escapes_names_in_html():
    e = evaluate(outputs([0, 1], 2), np.array([0, 0]), ["<b>cat</b>", "dog"])
    assert "top-1 50.0 %" in repr(e) and "<b>cat</b>" in repr(e) and "–" in repr(e)
    assert "&lt;b&gt;cat" in e._repr_html_() and "<b>" not in e._repr_html_()


def test_of_many_classes_the_table_shows_the_worst():
    said = np.arange(102)
    said[57] = 3
    text = repr(evaluate(outputs(said, 102), np.arange(102), [f"flower {i}" for i in range(102)]))
    assert (
        text.splitlines()[3].startswith("flower 57 ")
        and len(text.splitlines()) == 24
        and "20 worst of 102" in text
    )


@pytest.mark.parametrize(
    ("labels", "says"),
    [(np.array([0, -1]), "have no label"), (np.array([], np.int64), "there are none")],
)
def test_pictures_without_labels_cannot_be_evaluated(labels, says):
    with pytest.raises(DataError, match=says):
        evaluate(outputs([0] * len(labels), 2), labels, "ab")


def test_outputs_that_fit_no_classes_are_an_error():
    with pytest.raises(ModelError, match="shape"):
        evaluate(outputs([0, 1], 3), np.array([0, 1]), "ab")
    with pytest.raises(ModelError, match="nan"):
        evaluate(np.array([[np.nan, 1.0]]), np.array([0]), "ab")


def test_several_classes_a_picture_have_f1_over_all_and_of_each():
    p = np.array([[0.9, 0.6, 0.1], [0.2, 0.7, 0.4]], np.float32)
    e = evaluate(p, np.array([[1, 0, 0], [0, 1, 1]], np.float32), "abc", "valid", "multilabel")
    assert e.f1 == 2 * 2 / (3 + 3) and e.top1 is None and e.confusion is None
    assert (
        e.per_class[1] == {"name": "b", "count": 1, "precision": 0.5, "recall": 1.0, "f1": 2 / 3}
        and e.per_class[2]["f1"] == 0.0
    )
    assert e.loss == pytest.approx(-np.log([0.9, 0.4, 0.9, 0.8, 0.7, 0.4]).mean(), rel=1e-6)
    assert e.metrics == {"valid/loss": e.loss, "valid/f1": e.f1} and "F1 66.7 %" in repr(e)


def test_numbers_have_errors_in_their_own_unit():
    e = evaluate(
        np.array([[1.0], [3.0], [5.0]]),
        np.array([[1], [2], [7]], np.float32),
        ["age"],
        "test",
        "regression",
    )
    assert (
        e.mae == 1.0 and e.rmse == pytest.approx((5 / 3) ** 0.5) and e.loss == pytest.approx(5 / 3)
    )
    row = e.per_class[0]
    assert (
        row["r2"] == pytest.approx(1 - (5 / 3) / np.var([1, 2, 7]))
        and row["mae"] == 1.0
        and "MAE 1" in repr(e)
    )


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_rows_without_labels_cannot_be_evaluated_either(task):
    with pytest.raises(DataError, match="have no label"):
        evaluate(
            np.zeros((2, 2)), np.array([[1, 0], [np.nan, np.nan]], np.float32), "ab", "test", task
        )
    with pytest.raises(ModelError, match="shape"):
        evaluate(np.zeros((2, 3)), np.zeros((2, 2), np.float32), "ab", "test", task)
