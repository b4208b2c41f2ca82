"""Sealed records: what was changed after it was written is not believed, and no record is a bomb."""

import dataclasses
import json
import os
from typing import Any

import pytest

from colab_kit.system.files import DEEPEST, LONGEST, parse
from colab_kit.system.sealed import check, read_record, write_record

CONTENT = {"lr": 0.001, "names": ["cat", "Hündin"], "deep": {"a": [1, None, True]}, "far": 1e300}


@pytest.fixture
def record(tmp_path):
    write_record(tmp_path / "a.json", "a", CONTENT)
    return tmp_path / "a.json"


def test_what_was_written_is_read_back(record):
    assert read_record(record, "a") == CONTENT
    assert read_record(record.with_name("none.json"), "a") is None


def test_another_layout_of_the_same_text_is_the_same_record(record):
    record.write_text(json.dumps(json.loads(record.read_text()), indent=7, sort_keys=True) + "\n\n")
    assert read_record(record, "a") == CONTENT


def test_every_changed_character_is_noticed_or_changes_nothing(record):
    text = record.read_bytes()
    for place in range(len(text)):
        record.write_bytes(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
        try:
            found = read_record(record, "a")
        except ValueError:
            continue
        assert found == CONTENT, place


def test_every_cut_is_noticed(record):
    text = record.read_bytes().rstrip()
    for end in range(len(text)):
        record.write_bytes(text[:end])
        with pytest.raises(ValueError):
            read_record(record, "a")


def test_a_record_of_something_else_is_told_from_a_damaged_one(record):
    with pytest.raises(ValueError, match="another file was put in its place"):
        read_record(record, "b")
    record.write_text(record.read_text().replace("0.001", "0.002"))
    with pytest.raises(ValueError, match="changed after it was written"):
        read_record(record, "a")
    record.write_text('{"lr": 1}')
    with pytest.raises(ValueError, match="another program wrote it"):
        read_record(record, "a")


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**6, "[" * 200 + "]" * 200])
def test_deep_nesting_is_refused_in_words(record, text):
    record.write_text(text)
    with pytest.raises(ValueError, match=f"deeper than {DEEPEST} levels|Expecting"):
        read_record(record, "a")


def test_nesting_up_to_the_limit_is_read():
    text = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(parse(text)) == text
    with pytest.raises(ValueError, match="deeper"):
        parse(f"[{text}]")


def test_no_more_than_the_limit_is_read_of_a_file(record):
    with open(record, "wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no room
    with pytest.raises(ValueError, match=f"longer than the {LONGEST >> 20} MB"):
        read_record(record, "a")


def test_numbers_that_are_absurd_are_refused_or_read_as_they_are(record):
    with pytest.raises(ValueError):
        parse("1" * 10_000)
    assert parse("1e999") == float("inf")


def test_a_folder_and_a_pipe_in_the_place_of_a_record_are_errors_at_once(record):
    for make, place in ((os.mkdir, "folder"), (os.mkfifo, "pipe")):
        make(record.with_name(place))
        with pytest.raises((OSError, ValueError)):
            read_record(record.with_name(place), "a")


def test_a_record_that_could_not_be_read_again_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="longer"):
        write_record(tmp_path / "long.json", "a", {"text": "x" * LONGEST})
    assert not (tmp_path / "long.json").exists()


@dataclasses.dataclass
class Inner:
    size: int | None
    mean: tuple[float, ...]


@dataclasses.dataclass
class Outer:
    name: str
    parts: list[Inner]
    span: tuple[int, int]
    table: dict[str, float]
    is_on: bool
    any: Any


RIGHT = {
    "name": "n",
    "parts": [{"size": 3, "mean": [1, 0.5]}, {"size": None, "mean": []}],
    "span": [1, 2],
    "table": {"a": 1, "b": 0.5},
    "is_on": True,
    "any": {"what": ["ever"]},
}


def test_plain_data_of_the_right_types_pass():
    check(Outer, RIGHT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "it.name is int, not str"),
        ({"name": None}, "it.name is NoneType, not str"),
        ({"parts": [{"size": "3", "mean": []}]}, r"it.parts\[0\].size is str"),
        ({"parts": [{"size": True, "mean": []}]}, r"it.parts\[0\].size is bool"),
        ({"parts": [{"size": 3}]}, r"it.parts\[0\].mean is missing"),
        ({"parts": [{"size": 3, "mean": ["a"]}]}, r"mean\[0\] is str, not float"),
        ({"parts": [5]}, r"it.parts\[0\] is int, not an object"),
        ({"parts": {}}, "it.parts is dict, not list"),
        ({"span": [1, 2, 3]}, "it.span has 3 entries, not 2"),
        ({"table": {"a": "b"}}, "it.table.a is str, not float"),
        ({"table": [1]}, "it.table is list, not dict"),
        ({"is_on": 1}, "it.is_on is int, not bool"),
        ({"more": 1}, "it.more is not known"),
    ],
)
def test_a_wrong_type_names_its_place(change, said):
    with pytest.raises(ValueError, match=said):
        check(Outer, {**RIGHT, **change})


def test_every_missing_field_is_named():
    for name in RIGHT:
        with pytest.raises(ValueError, match=f"it.{name} is missing"):
            check(Outer, {key: value for key, value in RIGHT.items() if key != name})
