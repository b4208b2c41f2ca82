"""Parquet of the Hugging Face hub: pictures, names of classes, splits, and what is ambiguous."""

import builtins
from pathlib import Path

import numpy as np
import pytest

from colab_kit.data.formats import parquet
from colab_kit.errors import DataError, MissingExtra

from ...support import containers
from ...support.containers import number_of
from ...support.pictures import blank, picture

pytest.importorskip("pyarrow")
NAMES = ["rust", "spot", "fine"]
LABELS = [0, 1, 2, 0, 1, 2]


def rows(parts, split="train"):
    """Each picture's number, as its pixels say it, and its label."""
    part = parts.splits[split]
    source = part.make(np.zeros(len(part), np.int64))
    return [(number_of(source.picture(row)), part.labels[row]) for row in range(len(part))]


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        (
            "data/train-00000-of-00001.parquet",
            "data/validation-00000-of-00001.parquet",
            "data/test-0.parquet",
        ),
        ("plain_text/train-0.parquet", "plain_text/valid-0.parquet", "plain_text/test-0.parquet"),
        (
            "default/train/0000.parquet",
            "default/validation/0000.parquet",
            "default/test/0000.parquet",
        ),
        ("train.parquet", "val.parquet", "testing.parquet"),
    ],
)
def test_splits_are_told_by_names_of_files_or_folders(tmp_path, train, valid, test):
    for name, many in ((train, 6), (valid, 3), (test, 3)):
        containers.parquet(tmp_path / name, LABELS[:many], names=NAMES)
    parts = parquet.read(tmp_path)
    assert {name: len(part) for name, part in parts.splits.items()} == {
        "train": 6,
        "valid": 3,
        "test": 3,
    }


def test_shards_stand_in_natural_order(tmp_path):
    for shard in (2, 10, 1):
        containers.parquet(tmp_path / f"train-{shard}.parquet", [str(shard)] * 2)
    assert [label for _, label in rows(parquet.read(tmp_path))] == ["1", "1", "2", "2", "10", "10"]


def test_each_picture_has_its_label_by_the_publishers_name(tmp_path):
    containers.parquet(tmp_path / "a.parquet", LABELS, names=NAMES)
    parts = parquet.read(tmp_path)
    assert rows(parts) == [(n, NAMES[label]) for n, label in enumerate(LABELS)]
    assert parts.splits["train"].classes == tuple(NAMES)


def test_one_file_is_enough(tmp_path):
    file = containers.parquet(tmp_path / "cats.parquet", LABELS, names=NAMES)
    assert parquet.sees(file) and len(rows(parquet.read(file))) == 6


@pytest.mark.parametrize(
    ("labels", "column", "want"),
    [
        (["oak", "elm"] * 3, "species", ["oak", "elm"]),
        ([3, 7] * 3, "label", ["3", "7"]),
        ([0.25, 1.5] * 3, "target", [0.25, 1.5]),
        ([["a", "b"], ["b"]] * 3, "labels", [("a", "b"), ("b",)]),
        ([True, False] * 3, "class", ["True", "False"]),
    ],
)
def test_labels_of_every_kind_are_read(tmp_path, labels, column, want):
    containers.parquet(tmp_path / "a.parquet", labels, column=column)
    assert [label for _, label in rows(parquet.read(tmp_path))][:2] == want


def test_a_plain_column_of_bytes_holds_pictures_too(tmp_path):
    containers.parquet(tmp_path / "a.parquet", LABELS, names=NAMES, plain=True)
    assert [n for n, _ in rows(parquet.read(tmp_path))] == [0, 1, 2, 3, 4, 5]


def test_a_number_and_a_name_that_say_the_same_are_one_label(tmp_path):
    words = [NAMES[label] for label in LABELS]
    containers.parquet(tmp_path / "a.parquet", LABELS, label_name=words)
    parts = parquet.read(tmp_path)
    assert [label for _, label in rows(parts)] == words
    assert parts.splits["train"].classes == tuple(NAMES)


def test_two_labels_that_differ_are_an_error_with_a_line_for_each(tmp_path):
    coarse = [0, 1, 1, 0, 1, 1]
    containers.parquet(tmp_path / "a.parquet", LABELS, column="fine_label", coarse_label=coarse)
    with pytest.raises(DataError) as caught:
        parquet.read(tmp_path)
    lines = [line.strip() for line in caught.value.fix.splitlines()]
    assert lines == [
        f"kit.load({str(tmp_path)!r}, label_column={c!r})" for c in ("fine_label", "coarse_label")
    ]
    chosen = parquet.read(tmp_path, label_column="coarse_label")
    assert [label for _, label in rows(chosen)] == [str(label) for label in coarse]


def test_a_column_called_label_goes_before_others(tmp_path):
    containers.parquet(tmp_path / "a.parquet", LABELS, coarse_label=[0, 1, 1, 0, 1, 1])
    assert [label for _, label in rows(parquet.read(tmp_path))] == [str(label) for label in LABELS]


@pytest.mark.parametrize("wanted", [None, "colour"])
def test_no_label_is_an_error_that_names_the_columns(tmp_path, wanted):
    containers.parquet(tmp_path / "a.parquet", ["x", "y"] * 3, column="caption")
    with pytest.raises(DataError, match="caption"):
        parquet.read(tmp_path, label_column=wanted)


def test_several_configs_are_an_error_with_a_line_for_each(tmp_path):
    for config in ("small", "large"):
        containers.parquet(tmp_path / config / "train-0.parquet", LABELS, names=NAMES)
    with pytest.raises(DataError) as caught:
        parquet.read(tmp_path)
    assert all(
        f"kit.load({str(tmp_path / config)!r})" in caught.value.fix for config in ("small", "large")
    )
    assert len(rows(parquet.read(tmp_path / "small"))) == 6


def test_several_columns_of_pictures_are_an_error_unless_one_is_called_image(tmp_path):
    other = [containers.png(9)] * 6
    containers.parquet(tmp_path / "a" / "a.parquet", LABELS, mask=other)
    assert [n for n, _ in rows(parquet.read(tmp_path / "a"))] == [0, 1, 2, 3, 4, 5]
    assert {n for n, _ in rows(parquet.read(tmp_path / "a", file_column="mask"))} == {9}
    containers.parquet(tmp_path / "b" / "b.parquet", LABELS, img=other)
    with pytest.raises(DataError, match="file_column='img'"):
        parquet.read(tmp_path / "b")


def test_hidden_labels_of_a_test_are_no_class(tmp_path):
    containers.parquet(tmp_path / "train.parquet", LABELS, names=NAMES)
    containers.parquet(tmp_path / "test.parquet", [-1, -1], names=NAMES)
    assert [label for _, label in rows(parquet.read(tmp_path), "test")] == [None, None]


def test_a_number_beyond_the_names_is_refused(tmp_path):
    containers.parquet(tmp_path / "train.parquet", [0, 1, 3], names=NAMES)
    with pytest.raises(DataError, match="3"):
        parquet.read(tmp_path)


def test_a_damaged_picture_is_left_out_and_said(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [containers.png(0), containers.png(1)[:-20], containers.png(2), None]
    pq.write_table(pa.table({"image": files, "label": [0, 1, 2, 1]}), tmp_path / "a.parquet")
    parts = parquet.read(tmp_path)
    assert rows(parts) == [(0, "0"), (2, "2")]
    assert sum(note.level == "warn" for note in parts.splits["train"].notes) == 2


def test_a_table_without_pictures_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [1, 2], "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="x, label"):
        parquet.read(tmp_path)


def test_picture_files_beside_a_table_are_the_data_unless_they_are_few(tmp_path):
    for n in range(12):
        picture(tmp_path / "images" / f"{n}.png", n)
    containers.parquet(tmp_path / "metadata.parquet", LABELS)
    assert not parquet.sees(tmp_path)
    logo = blank(tmp_path / "hub" / "logo.png", containers.png(1))
    table = containers.parquet(tmp_path / "hub" / "train.parquet", LABELS * 40, names=NAMES)
    assert table.stat().st_size > 10 * logo.stat().st_size and parquet.sees(tmp_path / "hub")
    notes = parquet.read(tmp_path / "hub").splits["train"].notes
    assert any("logo.png" in note.text and note.level == "warn" for note in notes)


def test_a_lone_split_is_for_training_and_said(tmp_path):
    containers.parquet(tmp_path / "test-0.parquet", LABELS, names=NAMES)
    parts = parquet.read(tmp_path)
    assert list(parts.splits) == ["train"] and parts.splits["train"].notes[0].level == "warn"


def test_shards_of_no_split_are_left_out_and_named(tmp_path):
    for split in ("train", "unsupervised"):
        containers.parquet(tmp_path / f"{split}-0.parquet", LABELS, names=NAMES)
    parts = parquet.read(tmp_path)
    assert len(parts.splits["train"]) == 6
    assert any("unsupervised-0.parquet" in note.text for note in parts.splits["train"].notes)


def test_a_shard_that_did_not_come_is_named(tmp_path):
    for shard in (0, 2):
        containers.parquet(tmp_path / f"train-0000{shard}-of-00003.parquet", LABELS, names=NAMES)
    first = parquet.read(tmp_path).splits["train"].notes[0]
    assert "train-00001-of-00003.parquet" in first.text and first.level == "warn"
    containers.parquet(tmp_path / "train-00001-of-00003.parquet", LABELS, names=NAMES)
    assert parquet.read(tmp_path).splits["train"].notes[0].level == "info"


def test_a_file_that_changed_is_read_anew(tmp_path):
    containers.parquet(tmp_path / "a.parquet", [0, 1], names=NAMES)
    assert len(rows(parquet.read(tmp_path))) == 2
    containers.parquet(tmp_path / "a.parquet", LABELS, names=NAMES)
    assert len(rows(parquet.read(tmp_path))) == 6


def test_names_that_lead_out_of_the_folder_do_not(tmp_path, own_home):
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["../../../evil.png", "/etc/evil", "a/b.png", "a/b.png", ""]
    image = [{"bytes": containers.png(n), "path": name} for n, name in enumerate(names)]
    pq.write_table(pa.table({"image": image, "label": [0, 1, 0, 1, 0]}), tmp_path / "a.parquet")
    part = parquet.read(tmp_path).splits["train"]
    source = part.make(np.zeros(5, np.int64))
    assert len(set(source.paths)) == 5 and all(Path(source.root) in p.parents for p in source.paths)
    assert not list(own_home.parent.rglob("evil.png"))[1:]


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    blank(tmp_path / "a.parquet", b"PAR1")
    really_import = builtins.__import__

    def no_pyarrow(name, *args, **kw):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name, name="pyarrow")
        return really_import(name, *args, **kw)

    monkeypatch.setattr("importlib.import_module", no_pyarrow)
    with pytest.raises(MissingExtra, match=r"colab-kit\[parquet\]"):
        parquet.read(tmp_path)
