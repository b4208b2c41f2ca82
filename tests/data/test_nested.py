"""Archives inside folders and archives: what is opened, what is passed over, and what is kept."""

import io
import os
import tarfile
import zipfile

import pytest

from colab_kit.data.folders.words import one_split
from colab_kit.data.nested import kept, open_nested, walk
from colab_kit.errors import BadArchive, DataError, UnsafeArchive
from colab_kit.events import Note
from colab_kit.system.archives import limits

from ..support.containers import png
from ..support.pictures import blank
from .loads import load


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as box:
        for name, content in files.items():
            box.writestr(name, content)
    return out.getvalue()


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as box:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            box.addfile(info, io.BytesIO(content))
    return out.getvalue()


def classes(top="", each=4):
    """Class folders below `top`."""
    return {
        f"{top}{kind}/{n}.png": png(n + 5 * c) for c, kind in enumerate("ab") for n in range(each)
    }


def loose(top, many=3):
    return {f"{top}{n}.png": png(n) for n in range(many)}


def opened(folder):
    """The files of the opened folder, and the notes."""
    notes = []
    place = open_nested(folder, "set", notes.append)
    names = sorted(path.relative_to(place).as_posix() for path in walk(place))
    return place, names, [note for note in notes if isinstance(note, Note)]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00002", "train"),
        ("ld_train00-1338", "train"),
        ("Training", "train"),
        ("val2017", "valid"),
        ("validation-0", "valid"),
        ("TEST", "test"),
        ("images", None),
        ("latest", None),
        ("train_test", None),
    ],
)
def test_a_word_of_a_name_says_the_split(name, split):
    assert one_split(name) == split


def test_an_archive_of_pictures_is_opened_and_one_of_annotations_is_passed_over(tmp_path):
    blank(tmp_path / "Objects.tar.gz", tarred(classes("Objects/")))
    blank(tmp_path / "Annotations.tar", b"never opened")
    blank(tmp_path / "show.m", b"x")
    place, names, notes = opened(tmp_path)
    assert names == [
        "Annotations.tar",
        *(f"Objects/{name}" for name in sorted(classes())),
        "show.m",
    ]
    assert (
        len(notes) == 1 and "Annotations.tar" in notes[0].text and "Objects.tar.gz" in notes[0].text
    )
    assert load(place).counts["train"].keys() == {"a", "b"}


def test_the_folder_itself_stays_as_it_was(tmp_path):
    blank(tmp_path / "set" / "data.zip", zipped(classes()))
    place, _, _ = opened(tmp_path / "set")
    assert os.listdir(tmp_path / "set") == ["data.zip"] and not place.is_relative_to(
        tmp_path / "set"
    )


@pytest.mark.parametrize("inside", ["train/", ""])
def test_archives_named_as_splits_become_the_splits(tmp_path, inside):
    blank(tmp_path / "train.zip", zipped(classes(inside)))
    blank(tmp_path / "test.zip", zipped(loose("test/" if inside else "")))
    data = load(tmp_path)
    assert data.name == tmp_path.name and data.classes == ("a", "b")
    assert len(data.train) + len(data.valid) == 8 and len(data.test) == 3


def test_a_table_beside_archives_says_their_labels(tmp_path):
    inner = {"train.zip": zipped(loose("train/", 8)), "labels.csv": b"file,label\n"}
    inner["labels.csv"] += b"".join(
        b"%d.png,%s\n" % (n, b"ab"[n % 2 : n % 2 + 1]) for n in range(8)
    )
    file = blank(tmp_path / "outer.zip", zipped(inner))
    data = load(file, labels=lambda path: "ab"[int(path.stem) % 2])
    assert data.classes == ("a", "b") and len(data.train) + len(data.valid) == 8
    assert "labels.csv" in opened(load_folder(file))[1]


def load_folder(file):
    """The folder that holds what an archive holds."""
    folder = file.with_suffix("")
    with zipfile.ZipFile(file) as box:
        box.extractall(folder)
    return folder


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_archives_in_archives_are_opened_three_deep(tmp_path, depth):
    content = zipped(classes())
    for level in range(depth):
        content = zipped({f"inner{level}.zip": content})
    assert load(blank(tmp_path / "outer.zip", content)).classes == ("a", "b")


def test_no_deeper(tmp_path):
    content = zipped(classes())
    for level in range(4):
        content = zipped({f"inner{level}.zip": content})
    with pytest.raises(DataError, match="inner0.zip"):
        load(blank(tmp_path / "outer.zip", content))


@pytest.mark.parametrize("beside", ["data.zip", "train.zip", "train2.zip", "masks.zip"])
def test_a_folder_that_holds_its_pictures_stays_as_it_is(tmp_path, beside):
    for name, content in classes("train/").items():
        blank(tmp_path / name, content)
    blank(tmp_path / beside, zipped(classes()))
    assert opened(tmp_path)[0] == tmp_path


def test_class_folders_beside_an_archive_called_train_stay_as_they_are(tmp_path):
    for name, content in classes().items():
        blank(tmp_path / name, content)
    blank(tmp_path / "train.zip", zipped(classes()))
    assert opened(tmp_path)[0] == tmp_path


def test_a_split_that_is_still_packed_beside_one_that_is_not_is_opened(tmp_path):
    for name, content in classes("train/").items():
        blank(tmp_path / name, content)
    blank(tmp_path / "test.zip", zipped(loose("")))
    data = load(tmp_path)
    assert data.classes == ("a", "b") and len(data.test) == 3


def test_a_logo_beside_does_not_hide_a_large_archive(tmp_path):
    blank(tmp_path / "logo.png", png(1))
    blank(tmp_path / "images.zip", zipped(classes(each=40)))
    assert len(opened(tmp_path)[1]) == 81


def test_a_damaged_archive_is_named_and_nothing_is_left_that_looks_whole(tmp_path):
    content = zipped(classes())
    blank(tmp_path / "data.zip", content[: len(content) // 2])
    with pytest.raises(BadArchive, match=r"data\.zip"):
        opened(tmp_path)
    blank(tmp_path / "data.zip", content)
    assert len(opened(tmp_path)[1]) == 8


def test_the_limits_hold_for_the_sum(tmp_path, monkeypatch):
    monkeypatch.setattr("colab_kit.data.nested.HARMLESS", 100_000)
    monkeypatch.setattr(limits, "HARMLESS", 100_000)
    one = zipped({"zeros.bin": bytes(70_000)})
    assert len(one) < 500
    blank(tmp_path / "a.zip", one)
    opened(tmp_path)
    for name in "bcdefgh":
        blank(tmp_path / f"{name}.zip", one)
    monkeypatch.setattr("colab_kit.data.nested.RATIO", 20)
    with pytest.raises(UnsafeArchive):
        opened(tmp_path)


def test_it_is_opened_once_and_anew_when_a_file_changes(tmp_path):
    blank(tmp_path / "data.zip", zipped(classes()))
    first, _, _ = opened(tmp_path)
    (first / "data" / "a" / "0.png").unlink()
    assert opened(tmp_path)[0] == first and len(opened(tmp_path)[1]) == 7
    blank(tmp_path / "note.txt", b"new")
    assert len(opened(tmp_path)[1]) == 9


def test_what_is_kept_is_whole_or_absent(tmp_path):
    def fill(part):
        blank(part / "half", b"x")
        raise DataError("It ended in the middle.")

    source = blank(tmp_path / "a", b"x")
    with pytest.raises(DataError, match="middle"):
        kept([source], tmp_path, "name", fill)
    place = kept([source], tmp_path, "name", lambda part: blank(part / "whole") and None)
    assert [path.name for path in walk(place)] == ["whole"]
