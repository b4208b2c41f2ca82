"""Cells of a column become labels: one name, several, none, or numbers."""

import pytest

from colab_kit.data.tables.cells import as_labels, largest, part_all, spoken
from colab_kit.data.tables.request import LabelRequest
from colab_kit.errors import DataError

from .listings import every_pasted

STRONG, WEAK = ["|", "; ", ";"], [", ", ",", "/", "+", " & "]
SURE = [("cat", "dog"), ("cat",), ("dog",)]  # each part is a label itself
LIKELY = [("cat", "dog"), ("cow", "pig"), ("dog", "pig")]  # half of the parts come again
BARE = [("cat", "dog"), ("cow",), ("pig",)]


def column(groups, mark):
    return [mark.join(group) for group in groups] * 4


def labelled(cells, **words):
    return as_labels(cells, "kind", LabelRequest(source="p", words=words, **words), "t.csv")


def asked(cells):
    """The tasks of the lines that a question shows."""
    with pytest.raises(DataError) as error:
        labelled(cells)
    assert all(words["labels"] == "t.csv" for words in every_pasted(error))
    return [words["task"] for words in every_pasted(error)]


@pytest.mark.parametrize("mark", [*STRONG, *WEAK, " "])
def test_cells_are_parted_where_each_part_is_a_label_itself_and_it_is_said(mark):
    labels, notes = labelled(column(SURE, mark))
    assert labels == SURE * 4
    assert any("task='classification'" in note.text for note in notes)


@pytest.mark.parametrize("mark", STRONG)
def test_at_a_strong_mark_cells_are_parted_where_half_of_the_parts_come_again(mark):
    assert labelled(column(LIKELY, mark))[0] == LIKELY * 4


@pytest.mark.parametrize(
    ("groups", "marks"), [(LIKELY, WEAK), (BARE, STRONG)], ids=["weak, likely", "strong, bare"]
)
def test_what_could_be_several_labels_or_one_name_is_asked_with_both_lines(groups, marks):
    for mark in marks:
        assert asked(column(groups, mark)) == ["multilabel", "classification"]


@pytest.mark.parametrize("mark", WEAK)
def test_a_name_with_a_weak_mark_stays_one_and_the_other_reading_is_said(mark):
    labels, notes = labelled(column(BARE, mark))
    assert labels == column(BARE, mark)
    assert any("task='multilabel'" in note.text for note in notes)


@pytest.mark.parametrize("mark", [*STRONG, *WEAK, " "])
@pytest.mark.parametrize("groups", [SURE, LIKELY, BARE])
def test_the_answer_multilabel_parts_at_the_mark_that_was_asked_about(mark, groups):
    assert part_all(column(groups, mark)) == groups * 4


def test_the_answer_classification_keeps_the_cells():
    cells = column(LIKELY, ";")
    assert labelled(cells, task="classification")[0] == cells


TREES = ["ash", "elm", "oak"] * 6


@pytest.mark.parametrize("none", "NA ? nan None - n/a <NA> unknown no_label Unlabelled".split())
def test_a_word_for_no_label_is_no_class_and_is_said(none):
    labels, notes = labelled([*TREES, none])
    assert labels == [*TREES, None]
    assert [note.level for note in notes if repr(none) in note.text] == ["warn"]


def test_none_is_a_class_where_many_pictures_have_it_and_that_is_said():
    labels, notes = labelled([*TREES, *["None"] * 9])
    assert "None" in labels
    assert any("'None'" in note.text for note in notes)


@pytest.mark.parametrize("cells", [["none", "scab"] * 3, ["known", "unknown"] * 3])
def test_a_word_that_is_one_of_two_classes_stays_one(cells):
    assert labelled(cells)[0] == cells


def test_spellings_of_a_class_are_one_class_as_most_cells_have_it_and_it_is_said():
    cells = ["cow"] * 4 + ["Cow", "COW ", " cow", "pig", "red_fox", "red fox", "red_fox"]
    labels, notes = labelled(cells)
    assert set(labels) == {"cow", "pig", "red_fox"}
    assert any(note.level == "warn" and "'Cow'" in note.text for note in notes)


@pytest.mark.parametrize("cells", [["a", "A"] * 3, ["1", "01"] * 3, ["ab", "AB"] * 3])
def test_short_names_and_numbers_that_nearly_agree_stay_apart(cells):
    assert labelled(cells)[0] == cells


def test_whole_numbers_in_a_column_called_a_quantity_are_asked_about():
    cells = [str(20 + n % 7) for n in range(21)]
    with pytest.raises(DataError) as error:
        as_labels(cells, "age", LabelRequest(source="p"), "t.csv")
    assert [words["task"] for words in every_pasted(error)] == ["regression", "classification"]


def test_many_whole_numbers_are_classes_and_the_other_reading_is_said():
    cells = [str(n % 40) for n in range(120)]
    labels, notes = labelled(cells)
    assert labels == cells
    assert any("task='regression'" in note.text for note in notes)


def test_the_largest_number_of_a_row_is_its_class_and_a_tie_is_none():
    assert largest([(1.0, 3.0), (2.0, 2.0), None, (5.0, 0.0)], "ab") == ["b", None, None, "a"]


def test_numbers_are_spoken_of_as_numbers_one_or_several_a_picture():
    assert spoken([1.5, None]) == spoken([(1.5, 2.0), None]) == "numbers"
