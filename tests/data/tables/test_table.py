"""Files that say what pictures show, as tables of cells."""

import json

import pytest

from colab_kit.data.tables.table import read_table
from colab_kit.errors import DataError

from ...support.pictures import blank


def cells(tmp_path, content, name="t.csv"):
    if not isinstance(content, bytes):
        content = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    return read_table(blank(tmp_path / name, content)).rows


ROWS = [["file", "kind"], ["a.jpg", "ash"], ["b.jpg", "elm"]]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " ", "   ", " , ", "; "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_mark_between_cells_is_found(tmp_path, mark, end):
    assert cells(tmp_path, end.join(mark.join(row) for row in ROWS) + end) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_text_of_any_usual_encoding_is_read(tmp_path, encoding):
    rows = [["file", "kind"], ["a.jpg", "Fächer"], ["b.jpg", "chêne"]]
    assert cells(tmp_path, "\n".join(map(",".join, rows)).encode(encoding)) == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('a.jpg,"x, y"\nb.jpg,"say ""z"""', [["a.jpg", "x, y"], ["b.jpg", 'say "z"']]),
        ('a.jpg,"two\nlines"\nb.jpg,c', [["a.jpg", "two\nlines"], ["b.jpg", "c"]]),
        ("a.jpg;1,5\nb.jpg;2,5", [["a.jpg", "1,5"], ["b.jpg", "2,5"]]),
        ("a.jpg,x|y\nb.jpg,z|y", [["a.jpg", "x|y"], ["b.jpg", "z|y"]]),
        (
            "2\nOld Wet\na.jpg 1 -1\nb.jpg -1 1",
            [["", "Old", "Wet"], ["a.jpg", "1", "-1"], ["b.jpg", "-1", "1"]],
        ),
        ("# of May\n# by hand\na 1 2\nb 2 3", [["a", "1", "2"], ["b", "2", "3"]]),
        ("0001 Boeing 707-320\n0002 A300", [["0001", "Boeing 707-320"], ["0002", "A300"]]),
        ("my cat.jpg 0\nmy other cat.jpg 1", [["my cat.jpg", "0"], ["my other cat.jpg", "1"]]),
        ("a.jpg,x,\nb.jpg,y,", [["a.jpg", "x", ""], ["b.jpg", "y", ""]]),
        ("f,k\na,x,\nb,y", [["f", "k"], ["a", "x"], ["b", "y"]]),
        ("f,k\na,x,z\nb,y\nc,y", [["f", "k"], ["a", "x, z"], ["b", "y"], ["c", "y"]]),
        ("f,k\na\nb,y\nc,z", [["f", "k"], ["a", ""], ["b", "y"], ["c", "z"]]),
        ("\n\nf,k\n\na,x\n,\n", [["f", "k"], ["a", "x"]]),
        ("f,k\na\0,x\nb,y\0", [["f", "k"], ["a", "x"], ["b", "y"]]),
        ("sep=;\nf;k\na;x,1", [["f", "k"], ["a", "x,1"]]),
        ('"sep=\t"\r\nf\tk\r\na\tx', [["f", "k"], ["a", "x"]]),
        ("only.jpg\nnames.jpg", [["only.jpg"], ["names.jpg"]]),
    ],
)
def test_text_as_data_sets_are_handed_out_becomes_rows(tmp_path, text, rows):
    assert cells(tmp_path, text) == rows


def test_rows_with_cells_too_many_are_numbered(tmp_path):
    table = read_table(blank(tmp_path / "t.csv", b"f,k\na,x,z\nb,y\nc,y\n"))
    assert table.too_long == {1}


def test_a_cell_may_be_of_any_length_and_the_limit_of_others_stays(tmp_path):
    import csv

    limit = csv.field_size_limit()
    long = " ".join(map(str, range(60_000)))
    assert cells(tmp_path, f"a.jpg,x,{long}\nb.jpg,y,1")[0][2] == long
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b""),
        ("t.csv", b"\n\n"),
        ("t.csv", b"\x89PNG\r\n" + bytes(400)),
        ("t.json", b"{"),
        ("t.json", b"[]"),
        ("t.json", b"{}"),
        ("t.json", b"3"),
        ("t.json", b"[" * 200_000),
        ("t.json", b"[" * 200 + b"]" * 200),
        ("t.jsonl", b'{"a": 1}\n{"a": ' + b"[" * 2000 + b"]" * 2000 + b"}"),
        ("t.csv", b"file,label\na.jpg," + b"7" * 5000),
        ("t.json", b'[{"file": "a.jpg", "label": "' + b"7" * 5000 + b'"}]'),
        ("t.json", b'{"images": [], "annotations": [], "categories": []}'),
        ("t.json", b'{"images": [{}], "annotations": [{"id": 1}], "categories": []}'),
        ("t.json", b'{"a": {"b": 1}, "c": 2}'),
        ("t.jsonl", b'{"file": "a"}\n{"file": '),
        ("t.xml", b"<a><b/></a>"),
        ("t.xml", b"<a>"),
        ("t.xlsx", b"PK"),
        ("t.mat", b"MATLAB"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path, name, content):
    with pytest.raises(DataError) as error:
        cells(tmp_path, content, name)
    assert name in error.value.what and error.value.fix


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (
            [{"f": "a", "k": ["x", "y"]}, {"f": "b", "n": 3}],
            [["a", ("x", "y"), ""], ["b", "", "3"]],
        ),
        ({"a": "x", "b": 1, "c": None}, [["a", "x"], ["b", "1"], ["c", ""]]),
        ({"x": ["a", "b"], "y": ["c"]}, [["x", "a"], ["x", "b"], ["y", "c"]]),
        ({"train": ["a"], "test": ["b", "c"]}, [["a", "train"], ["b", "test"], ["c", "test"]]),
        (
            {"train": [["a", 0, "x"]], "val": [["b", 1, "y"]]},
            [["a", "0", "x", "train"], ["b", "1", "y", "val"]],
        ),
        ([{"image": "a", "k": {"choices": ["x", "y"]}}], [["a", ("x", "y")]]),
    ],
)
def test_json_becomes_rows(tmp_path, value, rows):
    assert cells(tmp_path, value, "t.json") == rows
