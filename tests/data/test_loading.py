"""load(): whatever pictures come as, understood, split by key, or a sentence with the fix."""

import errno
import functools
import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from colab_kit.api import train
from colab_kit.colab import staging
from colab_kit.colab.mounting import mount
from colab_kit.data.batches import BatchLoader
from colab_kit.data.catalog import catalog
from colab_kit.data.fingerprints import of_dataset
from colab_kit.data.formats import idx
from colab_kit.data.loading import load as really_load
from colab_kit.data.paths import Opener
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays, Items, Pictures
from colab_kit.data.targets import UNLABELLED
from colab_kit.errors import DataError, DriveError, GotHtml, LinkError, NotFound
from colab_kit.events import Control, Note
from colab_kit.fetching.fetch import fetch

from ..support.cut_fashion_mini import idx_bytes
from ..support.pictures import blank, class_folders, picture


def load(source, **kw):
    return really_load(source, **{"quiet": True, **kw})


def refused(source, *words, **kw):
    """Loading fails, and what it says holds these words and a fix."""
    with pytest.raises(DataError) as caught:
        load(source, **kw)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert caught.value.fix
    return caught.value


X = np.arange(40 * 6 * 5, dtype=np.uint8).reshape(40, 6, 5)
Y = np.repeat([0, 1, 2, 3], 10)


# --- the catalog -----------------------------------------------------------------------------------------------------


def test_fashion_mini_by_name_is_split_by_key():
    data = load("fashion-mini")
    assert (
        [len(s) for s in data.splits.values()] == [4800, 1200, 1000]
        and data.classes[9] == "Ankle boot"
        and data.name == "fashion-mini"
    )
    assert (
        data.train.source.x.shape == (6000, 1, 28, 28) and data.train.source.x.dtype == torch.uint8
    )
    assert set(data.counts["valid"].values()) == {120} and not set(data.train.rows) & set(
        data.valid.rows
    )
    assert load("Fashion_Mini").fingerprint == data.fingerprint


def test_a_small_part_of_each_class_can_be_taken():
    few, more = (load("fashion-mini", max_per_class=n, valid=0) for n in (10, 20))
    assert set(few.counts["train"].values()) == set(few.counts["test"].values()) == {10}
    assert set(few.train.rows) < set(more.train.rows) and few.valid is None
    assert few.fingerprint != load("fashion-mini", max_per_class=10, valid=0, seed=1).fingerprint
    refused("fashion-mini", "max_per_class=0", max_per_class=0)


def test_a_folder_of_idx_files_is_a_source(tmp_path):
    for name in idx.NAMES:
        content = idx_bytes(X if "images" in name else Y)
        blank(tmp_path / "mine" / f"{name}.gz", gzip.compress(content))
    data = load(tmp_path / "mine")
    assert data.name == "mine" and data.classes == ("0", "1", "2", "3") and len(data.test) == 40
    refused(tmp_path / "mine", "brings its own labels", labels={"a": 1})


@pytest.mark.skipif(
    len(idx.find(catalog.DEBIAN)) < 4,
    reason="the full Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)",
)
def test_the_full_set_from_a_folder_knows_its_classes():
    data = load(catalog.DEBIAN, max_per_class=20)
    assert (
        data.name == "fashion-mnist" and data.classes == catalog.FASHION and len(data.train) == 160
    )


# --- folders ---------------------------------------------------------------------------------------------------------


def test_class_folders_are_split_by_key(tmp_path):
    data = load(class_folders(tmp_path / "pets", each=10))
    assert (
        data.counts == {"train": {"cat": 8, "dog": 8}, "valid": {"cat": 2, "dog": 2}}
        and data.name == "pets"
        and data.task == "classification"
    )
    assert isinstance(data.train.source, Pictures) and data.train[0][0].shape == (10, 12, 3)
    again = load(tmp_path / "pets")
    assert again.valid.paths == data.valid.paths != load(tmp_path / "pets", seed=1).valid.paths


def test_split_folders_are_taken_as_they_are(tmp_path):
    for split, each in (("train", 4), ("val", 2), ("test", 1)):
        class_folders(tmp_path / split, each=each)
    shutil.rmtree(tmp_path / "val" / "dog")  # a class may be missing from a later split
    data = load(tmp_path)
    assert data.counts == {
        "train": {"cat": 4, "dog": 4},
        "valid": {"cat": 2, "dog": 0},
        "test": {"cat": 1, "dog": 1},
    }
    assert load(tmp_path, valid="test").counts["valid"] == data.counts["test"]
    assert load(tmp_path, valid=0, test=0).splits.keys() == {"train"}
    drawn = load(tmp_path, valid=0.5)
    assert drawn.counts["valid"] == {"cat": 2, "dog": 2} and "is not used" in drawn.notes[0]


def test_a_class_that_training_lacks_is_refused_in_valid(tmp_path):
    class_folders(tmp_path / "train")
    picture(tmp_path / "valid" / "emu" / "a.png")
    refused(tmp_path, "the valid split has the class emu", "cat, dog")


def test_a_test_folder_without_classes_is_unlabelled(tmp_path):
    class_folders(tmp_path / "train")
    picture(tmp_path / "test" / "1.png")
    data = load(tmp_path)
    assert (
        data.test.labels.tolist() == [UNLABELLED]
        and sum(data.counts["test"].values()) == 0
        and not data.notes
    )
    refused(tmp_path, "have no labels", valid="test")
    shutil.move(tmp_path / "test" / "1.png", picture(tmp_path / "test" / "unknown" / "1.png"))
    data = load(tmp_path)
    assert data.test.labels.tolist() == [UNLABELLED] and "unknown" in data.notes[0]


def test_other_folders_and_pairs_can_be_the_later_splits(tmp_path):
    class_folders(tmp_path / "a", each=3)
    class_folders(tmp_path / "b", ["dog", "cat"], each=2)
    data = load(tmp_path / "a", valid=tmp_path / "b", test=str(tmp_path / "b"))
    assert data.counts == {
        "train": {"cat": 3, "dog": 3},
        "valid": {"cat": 2, "dog": 2},
        "test": {"cat": 2, "dog": 2},
    }
    assert data.valid.labels.tolist() == [0, 0, 1, 1]
    refused(tmp_path / "a", "nowhere", valid=tmp_path / "nowhere")


def test_unreadable_pictures_are_left_out_with_a_note_and_refused_if_strict(tmp_path):
    class_folders(tmp_path, each=5)
    blank(tmp_path / "cat" / "9.jpg")
    heard = []
    data = load(tmp_path, callbacks=[heard.append], quiet=True)
    assert sum(map(len, data.splits.values())) == 10
    assert data.notes == (
        f"1 unreadable picture was left out: {os.path.join('cat', '9.jpg')} is empty.",
    )
    assert heard == [Note(data.notes[0], "warn")]
    refused(tmp_path, "strict=True", "9.jpg", strict=True)
    blank(tmp_path / "README.txt")  # worth a note, not a warning
    (tmp_path / "cat" / "9.jpg").unlink()
    assert "README.txt" in load(tmp_path, strict=True).notes[0]


def test_a_folder_where_nothing_can_be_read_is_refused(tmp_path):
    blank(tmp_path / "cat" / "a.jpg")
    refused(tmp_path, "None of the 1 pictures", "a.jpg is empty")
    refused(blank(tmp_path / "empty" / "x" / "notes.txt").parent, "no pictures")


def test_numbered_folders_get_their_names(tmp_path):
    class_folders(tmp_path, ["1", "2", "10"])
    blank(
        tmp_path / "cat_to_name.json",
        json.dumps({"1": "rose", "2": "tulip", "10": "fire lily"}).encode(),
    )
    assert load(tmp_path, class_names="cat_to_name.json").classes == ("rose", "tulip", "fire lily")
    data = load(tmp_path, class_names={1: "rose", "2": "tulip"})
    assert data.classes == ("rose", "tulip", "10") and "no name for 10" in data.notes[-1]
    refused(tmp_path, "nothere.json", class_names="nothere.json")
    refused(tmp_path, "two classes 'rose'", class_names={"1": "rose", "2": "rose"})


def test_classes_can_be_put_in_another_order(tmp_path):
    class_folders(tmp_path)
    assert (
        load(tmp_path, class_names=["dog", "cat"], valid=0).train.labels.tolist()
        == [1] * 4 + [0] * 4
    )
    refused(tmp_path, "has the class cat", class_names=["dog", "emu"])


# --- archives, and what lies on Drive ---------------------------------------------------------------------------------


def packed(folder, kind="zip"):
    return Path(shutil.make_archive(str(folder), kind, folder.parent, folder.name))


def test_what_is_told_while_the_data_is_brought_is_no_note_of_the_data(tmp_path):
    class_folders(tmp_path / "pets", each=4)
    heard = []
    data = load(packed(tmp_path / "pets"), callbacks=[heard.append], quiet=True, strict=True)
    assert "Unpacking" in heard[0].text and data.notes == ()


def test_a_killed_drive_is_an_error_of_ours_wherever_the_data_is_told(tmp_path, fuse_drive):
    class_folders(tmp_path / "pets")
    class_folders(fuse_drive / "pets")
    fuse_drive.kill()
    far = fuse_drive / "pets"
    for source, more in (
        (far, {}),
        (str(far), {}),
        (tmp_path / "pets", {"valid": far}),
        ({"train": tmp_path / "pets", "test": far}, {}),
    ):
        with pytest.raises(DriveError, match="could not be read from Drive"):
            load(source, **more)
    for word in ("labels", "class_names"):
        with pytest.raises(DriveError):
            load(tmp_path / "pets", **{word: str(fuse_drive / "told")})


@pytest.mark.parametrize("woe", ["drops", "io_error"])
def test_a_drive_that_fails_in_files_is_an_error_of_ours(mock_drive, drive_faults, woe):
    class_folders(mock_drive / "pets")
    getattr(drive_faults, woe)("MyDrive/pets*")
    with pytest.raises(DriveError):
        load(mock_drive / "pets")


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_is_the_data_of_its_folder(tmp_path, kind):
    data = load(class_folders(tmp_path / "pets", each=10))
    archive = packed(tmp_path / "pets", kind)
    heard = []
    again = load(archive, callbacks=[heard.append], quiet=True)
    assert (again.fingerprint, again.name, again.classes) == (
        data.fingerprint,
        "pets",
        data.classes,
    ) and "Unpacking" in heard[0].text
    assert (
        load(archive, callbacks=[heard.append], quiet=True).fingerprint == data.fingerprint
        and len(heard) == 1
    ), "the second call unpacks nothing"
    other = load(class_folders(tmp_path / "others"), valid=str(archive))
    assert sum(other.counts["valid"].values()) == 20
    archive.write_bytes(archive.read_bytes()[:900])
    refused(archive, "is damaged", "get it again")
    refused(blank(tmp_path / "x.7z", b"7z\xbc\xaf\x27\x1c"), "x.7z")


@pytest.fixture
def drive():
    return mount(mock=True, quiet=True)


def test_a_folder_on_drive_is_read_from_the_fast_disk_and_is_the_same_data(drive, tmp_path):
    class_folders(tmp_path / "pets", each=10)
    blank(tmp_path / "pets" / "cat_to_name.json", b'{"cat": "Katze"}')
    local = load(tmp_path / "pets", class_names="cat_to_name.json")
    shutil.copytree(tmp_path / "pets", drive / "pets")
    for source in (drive / "pets", str(drive / "pets"), packed(drive / "pets")):
        data = load(source, class_names="cat_to_name.json")
        assert (data.fingerprint, data.name, data.classes) == (
            local.fingerprint,
            "pets",
            ("Katze", "dog"),
        )
        assert not any(
            path.is_relative_to(drive.mountpoint)
            for split in data.splits.values()
            for path in split.paths
        )


def test_labels_told_of_a_folder_on_drive_are_found_on_the_fast_disk(drive):
    pics = drive / "data" / "pics"
    for n in range(12):
        picture(pics / f"p{n}.png", n)
    blank(drive / "data" / "labels.csv", table(NAMED))
    blank(pics / "inside.csv", table(NAMED))
    prints = {
        load(pics, labels=labels, valid=0).fingerprint
        for labels in (
            "labels.csv", "inside.csv", drive / "data" / "labels.csv", dict(NAMED), {pics / name: label for name, label in NAMED},
            {str(pics / name): label for name, label in NAMED}, lambda path: dict(NAMED)[str(path.relative_to(pics))],
        )
    }  # fmt: skip
    assert len(prints) == 1


def test_whole_paths_on_drive_name_one_file_each(drive):
    files = [
        picture(drive / "pics" / name, n)
        for n, name in enumerate(["a.png", "pics/a.png", "b.png", "pics/b.png"])
    ]
    data = load(drive / "pics", labels={file: str(n) for n, file in enumerate(files)}, valid=0)
    assert {path.name + data.classes[label] for path, label in zip(data.train.paths, data.train.labels, strict=True)} == {
        "a.png0", "a.png1", "b.png2", "b.png3",
    }  # fmt: skip


def test_splits_from_drive_are_staged_too_and_a_stop_ends_it(drive):
    class_folders(drive / "a", each=3)
    class_folders(drive / "b", each=2)
    data = load({"train": drive / "a", "valid": str(drive / "b")})
    assert data.counts["valid"] == {"cat": 2, "dog": 2} and not data.valid.paths[0].is_relative_to(
        drive.mountpoint
    )
    control = Control()
    control.stop("enough")
    picture(drive / "a" / "cat" / "new.png")
    assert load(drive / "b", control=control).name == "b", "what is staged already needs no time"


def test_thousands_of_files_on_drive_without_room_for_them_are_refused(drive, monkeypatch):
    class_folders(drive / "pets")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    refused(
        drive / "pets", "cannot be brought to the fast disk", "0 MiB are free", "COLAB_KIT_HOME"
    )


def test_a_drive_that_has_dropped_away_is_named(monkeypatch):
    stat = os.stat

    def gone(path, *a, **kw):
        if str(path).startswith("/gone/"):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return stat(path, *a, **kw)

    monkeypatch.setattr(os, "stat", gone)
    with pytest.raises(DriveError, match="could not be read from Drive") as error:
        load("/gone/MyDrive/pets")
    assert "kit.mount()" in error.value.fix


def test_a_catalog_folder_on_drive_keeps_its_name(drive):
    for name in idx.NAMES:
        blank(drive / "mine" / f"{name}.gz", gzip.compress(idx_bytes(X if "images" in name else Y)))
    assert load(drive / "mine").name == "mine"


# --- labels beside the pictures --------------------------------------------------------------------------------------


@pytest.fixture
def flat(tmp_path):
    for n in range(12):
        picture(tmp_path / "pics" / f"p{n}.png", n)
    return tmp_path / "pics"


def table(rows, sep=","):
    return "\n".join(sep.join(row) for row in rows).encode()


NAMED = [(f"p{n}.png", "cat" if n % 2 else "dog") for n in range(12)]


@pytest.mark.parametrize(
    "content",
    [
        table(NAMED),
        b"\xef\xbb\xbf" + table([("file", "label"), *NAMED]),
        table([("id", "breed"), *((name[:-4], label) for name, label in NAMED)]),
        table(
            [
                ("", "width", "path", "class"),
                *((str(n), "12", f"pics\\{name}", label) for n, (name, label) in enumerate(NAMED)),
            ],
            ";",
        ),
        table([("label", "file"), *((label, f"./pics/{name}") for name, label in NAMED)], "\t"),
    ],
)
def test_labels_come_from_a_table(flat, content):
    blank(flat / "labels.csv", content)
    data = load(flat, labels="labels.csv", valid=0)
    assert data.classes == ("cat", "dog") and not [
        note for note in data.notes if "label" in note and "csv)" not in note
    ]
    assert {
        path.name: data.classes[label]
        for path, label in zip(data.train.paths, data.train.labels, strict=True)
    } == dict(NAMED)


def test_labels_come_from_a_dict_or_a_function(flat):
    from_dict = load(flat, labels=dict(NAMED), valid=0)
    from_function = load(
        flat, labels=lambda path: "cat" if int(path.stem[1:]) % 2 else "dog", valid=0
    )
    by_path = load(flat, labels={flat / name: label for name, label in NAMED}, valid=0)
    assert (
        from_dict.train.labels.tolist()
        == from_function.train.labels.tolist()
        == by_path.train.labels.tolist()
    )
    assert (
        from_dict.fingerprint
        == from_function.fingerprint
        != load(flat, labels={name: "cat" for name, _ in NAMED}, valid=0).fingerprint
    )
    assert load(
        flat, labels={name: n % 11 for n, (name, _) in enumerate(NAMED)}, valid=0
    ).classes == tuple(map(str, range(11)))


def test_files_without_a_label_are_counted_and_left_out(flat):
    data = load(flat, labels=dict([*NAMED[:9], ("gone.png", "cat")]), valid=0)
    assert len(data.train) == 9 and UNLABELLED not in data.train.labels
    assert any(
        "3 pictures were left out of train, of 12: without a label (p9.png" in note
        for note in data.notes
    )
    assert any(
        "1 file was named by labels= and not found in" in note and "gone.png" in note
        for note in data.notes
    )
    refused(flat, "without a label", labels=dict(NAMED[:9]), strict=True)


def test_labels_that_do_not_fit_say_why(flat, tmp_path):
    refused(flat, "have no labels")
    refused(flat, "is not there", labels="nothere.csv")
    refused(flat, "No file that labels= names", "x.png", labels={"x.png": "cat"})
    refused(flat, "two labels: cat and dog", labels={"p1.png": "cat", "p1": "dog"})
    refused(flat, "raised ZeroDivisionError", "p0.png", labels=lambda path: 1 / 0)
    refused(flat, "no two columns", labels=blank(tmp_path / "one.csv", b"p1.png\n"))
    refused(
        flat,
        "3 columns",
        "rename",
        labels=blank(
            tmp_path / "three.csv", table([("file", "a", "b"), *((n, v, v) for n, v in NAMED)])
        ),
    )
    refused(flat, "labels= is a list", labels=["cat"])
    refused((X, Y), "folder of pictures only", labels={"a": "b"})


def test_a_name_that_means_several_files_needs_its_folder(tmp_path):
    for folder in "ab":
        picture(tmp_path / folder / "x.png")
    refused(tmp_path, "means several files", labels={"x.png": "cat"})
    data = load(tmp_path, labels={"a/x.png": "cat", "b/x": "dog"}, valid=0)
    assert data.train.labels.tolist() == [0, 1]


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "shape", "dtype"),
    [
        (X, (40, 1, 6, 5), torch.uint8),
        (np.zeros((40, 3, 6, 5), np.uint8), (40, 3, 6, 5), torch.uint8),
        (np.zeros((40, 6, 5, 3), np.uint8), (40, 3, 6, 5), torch.uint8),
        (
            np.zeros((40, 3, 6, 3), np.uint8),
            (40, 3, 3, 6),
            torch.uint8,
        ),  # either end could be colours: arrays have them behind
        (
            torch.zeros((40, 3, 6, 3), dtype=torch.uint8),
            (40, 3, 6, 3),
            torch.uint8,
        ),  # tensors in front
        (np.zeros((40, 12, 6, 5)), (40, 12, 6, 5), torch.float32),
        (torch.zeros(40, 7, dtype=torch.float64, requires_grad=True), (40, 7), torch.float32),
        (np.zeros((40, 6, 5), ">f4"), (40, 1, 6, 5), torch.float32),
        (X.astype(np.int64), (40, 1, 6, 5), torch.uint8),
        (np.zeros((40, 4), np.uint16), (40, 4), torch.float32),
        (X.tolist(), (40, 1, 6, 5), torch.uint8),
        (X[:, ::-1], (40, 1, 6, 5), torch.uint8),
    ],
)
def test_arrays_of_every_layout_become_one(x, shape, dtype):
    data = load((x, Y))
    assert (
        data.train.source.x.shape == shape
        and data.train.source.x.dtype == dtype
        and data.name == "arrays"
    )
    assert data.classes == ("0", "1", "2", "3") and data.counts["valid"] == {
        "0": 2,
        "1": 2,
        "2": 2,
        "3": 2,
    }


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (Y.tolist(), "0123"),
        (torch.from_numpy(Y), "0123"),
        (Y.astype(np.uint8)[:, None], "0123"),
        (np.eye(4)[Y], "0123"),
        (np.array(list("dcba"))[Y], "abcd"),
        (np.array(["b10", "b9", "a", "c"], object)[Y], ("a", "b9", "b10", "c")),
        (Y > 1, "01"),
    ],
)
def test_labels_of_every_kind_are_classes(y, classes):
    data = load((X, y), valid=0)
    assert (
        data.classes == tuple(classes)
        and data.train.labels.dtype == np.int64
        and data.train.labels.max() == len(classes) - 1
    )


def test_one_hot_labels_are_noted():
    assert "one-hot" in load((X, np.eye(4)[Y])).notes[0]


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y + 1, ["from 1 to 4", "labels - 1"]),
        (X, Y * 2, ["none is 1", "np.unique"]),
        (X, Y - 1, ["A label is -1"]),
        (X, Y.astype(float), ["float64", "y.astype(int)"]),
        (X, np.where(np.arange(40) == 7, np.inf, Y + 0.5), ["row 7", "infinite"]),
        (X, Y[:30], ["40 pictures came with 30 labels"]),
        (X[:0], Y[:0], ["X is empty"]),
        (
            np.where(np.arange(40)[:, None] == 7, np.nan, 1.0),
            Y,
            ["1 of 40 rows", "row 7", "nan_to_num"],
        ),
        (np.zeros((40, 1, 2, 3, 4)), Y, ["(40, 1, 2, 3, 4)"]),
        (np.zeros(40), Y, ["reshape(-1, 1)"]),
        (np.array(["a"] * 40), Y, ["picture files are loaded from a folder"]),
        ([np.zeros(3), np.zeros(4)] * 20, Y, ["X is no array"]),
        (X, 3, ["one label"]),
    ],
)
def test_arrays_that_cannot_be_right_say_what_to_pass(x, y, words):
    refused((x, y), *words)


def test_class_names_can_be_given_and_then_a_class_may_have_no_picture():
    assert load((X, Y * 2), class_names=list("abcdefg")).classes == tuple("abcdefg")
    refused((X, Y), "has the label 3", "3 classes", class_names=list("abc"))
    refused((X, Y), "twice", class_names=list("aabc"))


def test_splits_in_a_dict_share_their_classes():
    names = np.array(list("dcba"))[Y]
    data = load({"train": (X, names), "val": (X[:20], names[:20]), "test": (X[:1], ["a"])})
    assert [len(s) for s in data.splits.values()] == [40, 20, 1] and data.test.labels.tolist() == [
        0
    ]
    refused({"train": (X, Y), "test": (X[:1], [4])}, "the test split has the label 4")
    refused({"train": (X, Y), "valid": (X[:1], ["a"])}, "the valid split has the class a")
    refused({"x": X, "y": Y}, "keys x, y", '{"train": s')


@pytest.mark.parametrize("share", [1, 1.5, -0.1, True])
def test_a_share_that_is_none_is_refused(share):
    refused((X, Y), "is no share", valid=share)


def test_test_can_be_drawn_too_and_valid_needs_something_to_draw():
    data = load((X, Y), valid=0.25, test=0.25)
    rows = [set(split.rows) for split in data.splits.values()]
    assert len(set.union(*rows)) == 40 == sum(map(len, rows))
    lonely = load((X[:2], [0, 1]))
    assert lonely.valid is None and "no valid split" in lonely.notes[0]
    refused((X, Y), "there is no test split", valid="test")


# --- datasets --------------------------------------------------------------------------------------------------------


class Mnist(Dataset):
    """As torchvision's MNIST is."""

    classes = ["0 - zero", "1 - one", "2 - two", "3 - three"]

    def __init__(self, transform=None, twist=0):
        self.data, self.targets, self.transform, self.twist = (
            torch.from_numpy(X.copy()),
            torch.from_numpy(Y),
            transform,
            twist,
        )
        self.root = "/content/somewhere"

    def __len__(self):
        return len(self.data)

    def __getitem__(self, row):
        x = self.data[row].numpy() + np.uint8(self.twist)
        return (self.transform(x) if self.transform else x), int(self.targets[row])


def to_float(x):
    return torch.from_numpy(x).float()[None] / 255


class Own(Dataset):
    """A user's own: no attribute says what it holds."""

    def __len__(self):
        return 12

    def __getitem__(self, row):
        self.reads = getattr(self, "reads", 0) + 1
        return torch.full((1, 4, 4), float(row)) + torch.rand(1), torch.tensor(row % 3)


def test_datasets_in_memory_become_arrays():
    tensors = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    for dataset in (Mnist(), tensors):
        assert isinstance(load(dataset).train.source, Arrays)
        assert load(dataset).train.labels.tolist() == load((X, Y)).train.labels.tolist()
    assert load(Mnist()).classes[3] == "3 - three" and load(Mnist()).name == "Mnist"
    part = load(Subset(Subset(Mnist(), range(5, 35)), range(10)), valid=0)
    assert (
        isinstance(part.train.source, Arrays)
        and part.train.labels.tolist() == Y[5:15].tolist()
        and len(part.classes) == 4
    )


def test_classes_that_a_later_dataset_numbers_otherwise_are_matched_by_name():
    other = Mnist()
    other.classes, other.targets = Mnist.classes[::-1], 3 - other.targets
    data = load({"train": Mnist(), "test": other})
    assert data.test.labels.tolist() == Y.tolist()
    other.classes = ["a", "b", "c", "d"]
    refused({"train": Mnist(), "test": other}, "the test split has the class a, b, c …")


def first_batch(split):
    return next(
        BatchLoader(split, Preprocess(size=8), batch_size=4, device=torch.device("cpu")).in_order()
    )


def test_a_later_dataset_with_fewer_class_folders_trains_and_validates_by_name(tmp_path):
    from torchvision.datasets import ImageFolder

    class_folders(tmp_path / "train", ["10", "2", "a", "b"], each=2)
    class_folders(tmp_path / "valid", ["2", "b"], each=2)
    train, valid = (
        ImageFolder(tmp_path / name, transform=Image.Image.copy) for name in ("train", "valid")
    )
    data = load({"train": train, "valid": valid})
    assert [data.classes[y] for y in first_batch(data.valid).y] == ["2", "2", "b", "b"]
    folder = load(
        {"train": tmp_path / "train", "valid": valid, "test": train}
    )  # here the folders are in natural order, 2 before 10
    assert [folder.classes[y] for y in first_batch(folder.valid).y] == ["2", "2", "b", "b"]
    assert [folder.classes[y] for y in folder.test.labels] == [
        "10",
        "10",
        "2",
        "2",
        "a",
        "a",
        "b",
        "b",
    ]
    loader = DataLoader(valid, collate_fn=lambda items: default_collate(items))
    refused(
        {"train": train, "valid": loader}, "numbers its classes otherwise", "2, b", "collate_fn"
    )


def test_a_dataset_that_changes_what_it_holds_is_read_item_by_item():
    for dataset in (
        Mnist(transform=to_float),
        Mnist(twist=1),
        Subset(Mnist(transform=to_float), range(40)),
    ):
        data = load(dataset)
        assert (
            isinstance(data.train.source, Items) and data.train.source.labels.tolist() == Y.tolist()
        )
    assert "without transform=" in load(Mnist(transform=to_float)).notes[0]


def test_a_dataset_that_tells_no_labels_is_read_once():
    state = torch.default_generator.get_state()
    data = load(Own(), valid=0)
    assert data.train.labels.tolist() == [n % 3 for n in range(12)] and "read once" in data.notes[0]
    assert torch.equal(
        state, torch.default_generator.get_state()
    )  # whatever it draws, the user's streams stay


def test_picture_folders_of_torchvision_become_paths(tmp_path):
    from torchvision.datasets import ImageFolder

    class_folders(tmp_path / "pets", each=5)
    blank(tmp_path / "pets" / "dog" / "9.png")
    data = load(ImageFolder(tmp_path / "pets"), valid=0)
    assert (
        isinstance(data.train.source, Pictures)
        and data.classes == ("cat", "dog")
        and "9.png is empty" in data.notes[0]
    )
    assert data.fingerprint == load(tmp_path / "pets", valid=0).fingerprint
    (tmp_path / "pets" / "dog" / "9.png").unlink()
    assert isinstance(
        load(ImageFolder(tmp_path / "pets", transform=np.asarray)).train.source, Items
    )

    class Mirrored(ImageFolder):
        def __getitem__(self, row):
            x, y = super().__getitem__(row)
            return ImageOps.mirror(x), y

    assert isinstance(load(Mirrored(tmp_path / "pets")).train.source, Items)


def test_picture_folders_of_torchvision_on_drive_are_not_read_one_by_one(mock_drive, monkeypatch):
    from torchvision.datasets import ImageFolder

    monkeypatch.setattr(staging, "MANY", 9)
    far = ImageFolder(class_folders(mock_drive / "pets", each=5))
    for source in (far, DataLoader(far, 4, shuffle=True), {"train": far}):
        refused(
            source,
            "10 pictures would be read from Drive one by one",
            "each epoch again",
            f"kit.load({str(mock_drive / 'pets')!r})",
        )
    refused((X, Y), "one by one", valid=far)
    assert len(load(Subset(far, range(1, 10)), valid=0).train) == 9, "few"
    assert load(mock_drive / "pets", valid=0).counts["train"] == {"cat": 5, "dog": 5}, "the fix"
    own = load(ImageFolder(mock_drive / "pets", transform=np.asarray), valid=0)
    assert (
        isinstance(own.train.source, Items) and sum("one by one" in note for note in own.notes) == 1
    ), "a transform of one's own is told"
    refused(ImageFolder(mock_drive / "pets", transform=np.asarray), "one by one", strict=True)


def test_picture_folders_of_torchvision_beside_drive_are_left_alone(
    mock_drive, monkeypatch, tmp_path
):
    from torchvision.datasets import ImageFolder

    monkeypatch.setattr(staging, "MANY", 9)
    assert (
        len(load(ImageFolder(class_folders(tmp_path / "pets", each=5)), valid=0, strict=True).train)
        == 10
    )


def test_a_loader_gives_dataset_batch_size_and_collate():
    data = load({"train": DataLoader(Mnist(), 16, shuffle=True), "valid": DataLoader(Mnist(), 64)})
    assert data.batch_size == 16 and isinstance(data.train.source, Arrays) and len(data.valid) == 40

    def collate(items):
        return default_collate(items)

    data = load(DataLoader(Mnist(), 8, collate_fn=collate))
    assert isinstance(data.train.source, Items) and data.train.source.collate is collate


def scaled(by):
    return lambda items: [part * by for part in default_collate(items)]


class Scaled:
    def __init__(self, by):
        self.by = by

    def __call__(self, items):
        return default_collate(items)


def test_a_loaders_collate_and_batch_size_are_in_the_fingerprint():
    collates = [
        None, scaled(1), scaled(2), lambda items: default_collate(items), lambda items: default_collate(items[:1]), Scaled(1), Scaled(2),
        Scaled([2]), functools.partial(scaled, 1), functools.partial(scaled, 2), Scaled(1).__call__,
    ]  # fmt: skip
    prints = [
        load(DataLoader(Mnist(to_float), 8, collate_fn=collate)).fingerprint for collate in collates
    ]
    assert len(set(prints)) == len(prints)
    assert load(DataLoader(Mnist(to_float), 8, collate_fn=scaled(1))).fingerprint == prints[1]
    assert load(DataLoader(Mnist(to_float), 9)).fingerprint != prints[0]


@pytest.mark.parametrize(
    ("kw", "words"),
    [
        (
            {"sampler": WeightedRandomSampler([1.0] * 40, 40)},
            ["WeightedRandomSampler", "class_weights='balanced'"],
        ),
        (
            {"sampler": torch.utils.data.SubsetRandomSampler(range(5))},
            ["torch.utils.data.Subset(dataset, rows)"],
        ),
        (
            {"sampler": torch.utils.data.RandomSampler(Y, replacement=True)},
            ["pass the dataset itself"],
        ),
        ({"batch_sampler": [[0, 1], [2, 3]]}, ["pass the dataset itself"]),
        ({"batch_size": None}, ["makes no batches"]),
    ],
)
def test_an_order_that_cannot_be_repeated_is_refused_with_what_to_pass(kw, words):
    refused(DataLoader(Mnist(), **kw), *words)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(torch.zeros(1), 0)])


def test_what_is_no_data_says_what_to_pass():
    refused(Stream(), "Stream is an IterableDataset", "__getitem__")
    refused(DataLoader(Stream()), "IterableDataset")
    refused(torch.nn.Linear(2, 2), "kit.train(model, data)")
    refused(X, "has no labels", "kit.load((X, y))")
    refused(torch.zeros(3), "has no labels")
    refused((Mnist(), Mnist()), "two sources", '{"train": first')
    refused(((X, Y), (X, Y)), "two sources")
    refused(7, "cannot read a int")
    refused(TensorDataset(torch.zeros(0, 2), torch.zeros(0)), "empty")
    refused([{"image": 1, "label": 2}] * 3, "no (picture, label) pairs", "image, label")
    refused([(torch.zeros(1, 2, 2), "cat")] * 3, "return the class's number")


def test_data_is_data():
    data = load((X, Y))
    assert load(data) is data
    for kw in (
        {"valid": 0},
        {"max_per_class": 2},
        {"seed": 1},
        {"strict": True},
        {"class_names": list("abcd")},
    ):
        refused(data, "loaded already", f"{[*kw][0]}=", "where it is first loaded", **kw)


# --- places ----------------------------------------------------------------------------------------------------------


def test_a_place_that_is_not_there_names_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "flowers").mkdir()
    refused(tmp_path / "flower", "There is no", f"did you mean '{tmp_path / 'flowers'}'")
    refused("fashion-mnit", "kit.load('fashion-mnist')")
    refused("", "the path is empty")
    refused("a\0b/c", "There is no")
    monkeypatch.chdir(tmp_path)
    refused("zzz", "fashion-mini, fashion-mnist")


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_a_link_is_fetched_to_the_fast_disk_and_loaded(tmp_path, file_server, ending):
    packed = shutil.make_archive(
        str(tmp_path / "pets"),
        {"zip": "zip", "tar.gz": "gztar"}[ending],
        class_folders(tmp_path / "x", each=6),
    )
    url = file_server.put(f"pets.{ending}", Path(packed))
    data = load(url + "?token=s3cret")
    assert (
        data.classes == ("cat", "dog")
        and data.name == "pets"
        and len(data.train) + len(data.valid) == 12
    )
    assert data.train.paths[0].is_relative_to(os.environ["COLAB_KIT_HOME"])
    asked = file_server.count()
    assert load(url).fingerprint == data.fingerprint and file_server.count() == asked + 1, (
        "the second time it is only asked whether it changed"
    )
    assert load(url, valid=url).counts["valid"] == {"cat": 6, "dog": 6}
    assert load(fetch(url, tmp_path / "here", quiet=True)).counts == data.counts


def test_a_link_that_gives_no_pictures_says_why(tmp_path, file_server):
    with pytest.raises(GotHtml, match="Sign in"):
        load(file_server.put("pets.zip", b"<!DOCTYPE html><title>Sign in</title>"))
    with pytest.raises(LinkError, match="clone"):
        load("https://github.com/o/pets")
    with pytest.raises(NotFound) as caught:
        load(file_server.url("gone.zip").replace("://", "://ann:hunter2@") + "?token=s3cret")
    assert "s3cret" not in str(caught.value) and "hunter2" not in str(caught.value)
    refused(file_server.put("labels.csv", b"a,b"), "labels=")


def test_training_takes_a_link(tmp_path, file_server):
    packed = shutil.make_archive(
        str(tmp_path / "pets"), "zip", class_folders(tmp_path / "x", each=6)
    )
    url = file_server.put("pets.zip", Path(packed))
    run = train(lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 2)), url, epochs=1,
                image_size=8, batch_size=4, run_dir=tmp_path / "run", quiet=True)  # fmt: skip
    assert run.status == "finished" and run.classes == ("cat", "dog")


def test_files_say_what_to_do_first(tmp_path):
    refused(blank(tmp_path / "pets.zip"), "is empty", "get it again")
    refused(blank(tmp_path / "pets.rar", b"Rar!\x1a\x07"), "pets.rar")
    refused(blank(tmp_path / "labels.csv"), "labels=")
    refused(blank(tmp_path / "x.npz"), "np.load")
    refused(blank(tmp_path / "cat" / "a.jpg"), f"{str(tmp_path)!r}")
    refused(blank(tmp_path / "model.pth"), "is a file")


def test_a_path_on_drive_names_the_stand_ins(tmp_path):
    with pytest.raises(DataError) as caught:
        Opener(print, stand_in=lambda path: tmp_path).open(
            "/content/drive/MyDrive/pets-that-are-not-there", None
        )
    assert (
        f"kit.load({str(tmp_path)!r})" in caught.value.fix and "and it is there" in caught.value.why
    )


def test_a_folder_in_the_way_wins_over_a_catalog_name(tmp_path, monkeypatch):
    class_folders(tmp_path / "fashion-mini")
    monkeypatch.chdir(tmp_path)
    assert load("fashion-mini").classes == ("cat", "dog")


# --- fingerprints ----------------------------------------------------------------------------------------------------


def test_a_fingerprint_stays_with_the_content_wherever_and_whenever_it_lies(tmp_path):
    first = load(class_folders(tmp_path / "a")).fingerprint
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "nested" / "other name")
    for path in (tmp_path / "b").rglob("*.png"):
        os.utime(path, (1, 1))
    assert load(tmp_path / "b").fingerprint == first
    os.rename(tmp_path / "a" / "cat" / "0.png", tmp_path / "a" / "cat" / "7.png")
    assert load(tmp_path / "a").fingerprint != first


def test_whatever_changes_the_data_changes_the_fingerprint(tmp_path):
    flipped = X.copy()
    flipped[39, 5, 4] ^= 1
    changes = [
        {},
        {"seed": 1},
        {"valid": 0},
        {"valid": 0.5},
        {"max_per_class": 5},
        {"test": 0.2},
        {"class_names": list("abcd")},
    ]
    sources = [((X, Y), kw) for kw in changes]
    sources += [
        ((flipped, Y), {}),
        ((X, Y[::-1].copy()), {}),
        ((X.astype(np.float32), Y), {}),
        ((X.reshape(40, 5, 6), Y), {}),
    ]
    prints = [load(source, **kw).fingerprint for source, kw in sources]
    assert len(set(prints)) == len(prints)
    assert (
        load((torch.from_numpy(X), Y.tolist()), valid=0.2).fingerprint == prints[0]
    )  # the same data, said otherwise


def test_a_users_dataset_is_known_by_class_attributes_and_items():
    prints = [
        of_dataset(dataset)
        for dataset in (
            Mnist(to_float),
            Mnist(to_float),
            Mnist(np.float32),
            Mnist(to_float, twist=1),
            Own(),
        )
    ]
    assert (
        prints[0] == prints[1]
        and len({p for p, _ in prints}) == 4
        and all(same for _, same in prints)
    )
    moved = Mnist(to_float)
    moved.root = "/home/ann/data"  # where it lies says nothing
    assert of_dataset(moved) == prints[0]


def test_a_dataset_with_a_private_generator_is_noted_and_still_found_again():
    class Private(Own):
        def __getitem__(self, row):
            return torch.from_numpy(np.random.default_rng().random((1, 4, 4))), row % 3

    first, second = load(Private()), load(Private())
    assert (
        "cannot be repeated exactly" in first.notes[-1]
        and first.fingerprint == second.fingerprint
        and not first.keyed
    )


def test_pictures_and_labels_side_by_side_are_told_to_travel_as_a_pair():
    with pytest.raises(DataError, match=r"kit.load\(\(X, y\)\)"):
        really_load(np.zeros((4, 8, 8), np.uint8), np.arange(4))
