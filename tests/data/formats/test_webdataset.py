"""WebDataset: tars of pictures and labels of one key, and the same files in a folder."""

import json

import numpy as np
import pytest

from colab_kit.data.formats import webdataset
from colab_kit.errors import DataError

from ...support.containers import keyed, number_of, png, tar
from ...support.pictures import blank

LABELS = [0, 1, 2, 0, 1, 2]


def rows(parts, split="train"):
    part = parts.splits[split]
    source = part.make(np.zeros(len(part), np.int64))
    return [(number_of(source.picture(row)), part.labels[row]) for row in range(len(part))]


def labels(parts, split="train"):
    return [label for _, label in rows(parts, split)]


def test_a_picture_and_its_label_have_one_key(tmp_path):
    shard = tar(tmp_path / "a.tar", keyed(LABELS))
    assert webdataset.sees(shard) and webdataset.sees(tmp_path)
    for path in (shard, tmp_path):
        assert rows(webdataset.read(path)) == [(n, str(label)) for n, label in enumerate(LABELS)]


def test_splits_are_told_by_the_shards_names_and_shards_stand_in_natural_order(tmp_path):
    for n in (10, 2):
        tar(tmp_path / f"set-train-{n}.tar", keyed([n] * 2))
    tar(tmp_path / "set-val-0.tar", keyed([2]))
    tar(tmp_path / "test" / "00000.tar", keyed([10]))
    parts = webdataset.read(tmp_path)
    assert labels(parts) == ["2", "2", "10", "10"]
    assert labels(parts, "valid") == ["2"] and labels(parts, "test") == ["10"]


@pytest.mark.parametrize(
    ("ending", "say", "want"),
    [
        ("cls", "rose", "rose"),
        ("cls", "7", "7"),
        ("index", "7", "7"),
        ("txt", "a rose", "a rose"),
        ("json", json.dumps({"label": "rose", "url": "u"}), "rose"),
        ("json", json.dumps({"cls": 7}), "7"),
        ("json", json.dumps({"class": "rose", "key": "000"}), "rose"),
        ("json", json.dumps({"label": ["a", "b"]}), ("a", "b")),
        ("json", "7", "7"),
    ],
)
def test_each_ending_that_says_a_label_is_read(tmp_path, ending, say, want):
    shard = tar(tmp_path / "a.tar", keyed([say] * 4, ending))
    assert webdataset.sees(shard) and labels(webdataset.read(shard)) == [want] * 4


def test_a_key_ends_at_the_first_dot_of_the_last_part(tmp_path):
    members = {"v1.0/cat.png": png(1), "v1.0/cat.cls": b"3", "v1.0/cat.seg.png": png(9)}
    assert rows(webdataset.read(tar(tmp_path / "a.tar", members))) == [(1, "3")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", "oak\nelm\nfir\n"),
        ("classes.json", json.dumps(["oak", "elm", "fir"])),
        ("classes.json", json.dumps({"0": "oak", "1": "elm", "2": "fir"})),
        ("labels.json", json.dumps({"oak": 0, "elm": 1, "fir": 2})),
    ],
)
def test_a_file_of_names_beside_the_tars_names_the_classes(tmp_path, name, content):
    tar(tmp_path / "a.tar", keyed(LABELS))
    blank(tmp_path / name, content.encode())
    parts = webdataset.read(tmp_path)
    assert labels(parts)[:3] == ["oak", "elm", "fir"]
    assert parts.splits["train"].classes == ("oak", "elm", "fir")


def test_captions_are_no_labels_and_a_label_beside_them_is_taken(tmp_path):
    captions = keyed([f"a photo, number {n}" for n in range(6)], "txt")
    with pytest.raises(DataError, match="label_column='txt'"):
        webdataset.read(tar(tmp_path / "a.tar", captions))
    assert labels(webdataset.read(tar(tmp_path / "b.tar", captions | keyed(LABELS)))) == list(
        "012012"
    )


def test_a_text_that_says_the_same_as_the_number_names_it(tmp_path):
    words = keyed([["oak", "elm", "fir"][n] for n in LABELS], "txt")
    parts = webdataset.read(tar(tmp_path / "a.tar", words | keyed(LABELS)))
    assert labels(parts)[:3] == ["oak", "elm", "fir"]


@pytest.mark.parametrize("top", ["", "shard-0", "a/b"])
def test_the_files_of_such_a_tar_in_a_folder_are_read_too(tmp_path, top):
    for name, content in keyed(LABELS).items():
        blank(tmp_path / top / name, content)
    blank(tmp_path / "README.md", b"hello")
    assert webdataset.sees(tmp_path)
    assert rows(webdataset.read(tmp_path)) == [(n, str(label)) for n, label in enumerate(LABELS)]


@pytest.mark.parametrize("ending", ["txt", "json", "xml"])
def test_class_folders_with_boxes_or_captions_beside_each_picture_are_none(tmp_path, ending):
    members = {
        f"{kind}/{n}.{end}": png(n) if end == "png" else b"0 0.5 0.5 0.1 0.1"
        for kind in ("oak", "elm")
        for n in range(4)
        for end in ("png", ending)
    }
    assert not webdataset.sees(tar(tmp_path / "tars" / "a.tar", members))
    for name, content in members.items():
        blank(tmp_path / "loose" / name, content)
    assert not webdataset.sees(tmp_path / "loose")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"x" * 5000])
def test_a_class_that_is_no_short_text_is_refused_by_name(tmp_path, content):
    members = keyed(LABELS) | {"000003.cls": content}
    with pytest.raises(DataError, match=r"000003\.cls"):
        webdataset.read(tar(tmp_path / "a.tar", members))


def test_a_pickle_among_the_members_is_never_opened(tmp_path):
    members = keyed(LABELS) | {f"{n:06d}.pyd": b"\x80\x04garbage" for n in range(6)}
    assert labels(webdataset.read(tar(tmp_path / "a.tar", members))) == list("012012")


def test_shards_of_no_split_are_left_out_unopened(tmp_path):
    tar(tmp_path / "train-0.tar", keyed(LABELS))
    blank(tmp_path / "extra-0.tar", b"no tar at all")
    parts = webdataset.read(tmp_path)
    assert len(parts.splits["train"]) == 6
    assert any("extra-0.tar" in note.text for note in parts.splits["train"].notes)


def test_a_stray_label_file_among_class_folders_makes_them_no_webdataset(tmp_path):
    for kind in ("cat", "dog"):
        for n in range(3):
            blank(tmp_path / kind / f"{n}.jpg")
    blank(tmp_path / "cat/0.cls", b"3")
    assert not webdataset.sees(tmp_path)
