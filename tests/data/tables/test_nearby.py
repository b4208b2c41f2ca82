"""Tables that nobody named, or that are not there: which is meant, and the lines that name it."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from colab_kit.errors import DataError
from tests.support.layouts import pasteable

from ...support.pictures import blank, picture
from ..loads import load
from .listings import every_pasted, lay, read, rows, said

KINDS = ("ash", "elm", "oak")
LEAVES = [f"leaf{n}.png" for n in range(12)]


def table(head, row):
    return rows(head, *(f"{name},{row(n)}" for n, name in enumerate(LEAVES)))


PLAIN = table("file,label,lesion_id,Subject", lambda n: f"{KINDS[n % 3]},L{n // 2},s{n // 3}")


@pytest.mark.parametrize(("asked", "meant"), [("lesion", "lesion_id"), ("subjects", "Subject")])
@pytest.mark.parametrize("labels", ["t.csv", None])
def test_a_group_called_nearly_as_a_column_leads_to_that_column(tmp_path, asked, meant, labels):
    listing = lay(tmp_path, {"t.csv": PLAIN}, train=LEAVES)
    with pytest.raises(DataError) as error:
        read(listing, labels, group=asked)
    words = every_pasted(error)[0]
    assert words["group"] == meant
    out = read(listing, words.pop("labels", None), **words)
    assert out.splits["train"][3].group in ("L1", "s1")


def test_a_group_that_no_column_is_called_like_leads_to_the_call_without(tmp_path):
    listing = lay(tmp_path, {"t.csv": PLAIN}, train=LEAVES)
    with pytest.raises(DataError) as error:
        read(listing, "t.csv", group="quux")
    assert every_pasted(error)[0] == {"labels": "t.csv"}


def test_in_place_of_a_missing_table_that_of_train_is_offered_before_that_of_test(tmp_path):
    tables = {"test.csv": rows("file", *LEAVES[:2]), "train.csv": PLAIN, "x/list.csv": PLAIN}
    with pytest.raises(DataError) as error:
        read(lay(tmp_path, tables, train=LEAVES), "labels.csv")
    offered = [words["labels"] for words in every_pasted(error)]
    assert offered.index("train.csv") < offered.index("test.csv")


@pytest.mark.parametrize(
    "words", [{"labels": "gone.csv"}, {"label_column": "x"}, {"file_column": 1}]
)
def test_where_folders_say_the_classes_a_missing_table_leads_to_these(tmp_path, words):
    listing = lay(tmp_path, {}, train=[("a/1.png", "a"), ("b/2.png", "b")])
    with pytest.raises(DataError) as error:
        read(listing, words.get("labels"), **{k: v for k, v in words.items() if k != "labels"})
    assert every_pasted(error)[0] == {}


def test_a_table_of_some_pictures_is_not_taken_without_being_asked_and_its_line_says_so(tmp_path):
    text = rows("file,label", *(f"{name},{KINDS[n % 2]}" for n, name in enumerate(LEAVES[:4])))
    listing = lay(tmp_path, {"t.csv": text}, train=LEAVES)
    with pytest.raises(DataError, match="4 of the 12"):
        read(listing)
    with pytest.raises(DataError) as error:
        read(listing)
    labels = said(read(listing, **every_pasted(error)[0]))
    assert [label for label in labels.values() if label] == ["ash", "elm"] * 2


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("name", ["labels.xlsx", "labels.xls", "labels.ods"])
def test_a_sheet_gets_a_line_that_saves_it_as_a_table_and_loads(tmp_path, monkeypatch, asked, name):
    listing = lay(tmp_path, {"labels.csv": "of other things\n"}, train=LEAVES)
    sheet = blank(tmp_path / name, b"PK\3\4")
    listing = replace(listing, others=(sheet,))
    with pytest.raises(DataError) as error:
        read(listing, name if asked else None)
    code, _, call = next(pasteable(error.value.fix)).rpartition("; ")

    def read_excel(path, dtype):
        assert (path, dtype) == (str(sheet), str)
        return SimpleNamespace(to_csv=lambda to, index: blank(Path(to), PLAIN.encode()))

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(read_excel=read_excel))
    exec(code)
    assert (tmp_path / "labels.csv").read_text() == "of other things\n"
    assert (
        said(read(listing, eval(f"dict({call.partition(', ')[2]}")["labels"]))["leaf1.png"] == "elm"
    )


def test_a_split_with_a_class_that_train_lacks_gets_the_line_without_it(tmp_path):
    for name in ("train/a/1", "train/a/2", "train/b/3", "train/b/4", "test/a/5", "test/c/6"):
        picture(tmp_path / f"{name}.png")
    with pytest.raises(DataError) as error:
        load(tmp_path)
    without = next(iter(pasteable(error.value.fix)))
    assert eval(without, {"kit": SimpleNamespace(load=load)}).classes == ("a", "b")
