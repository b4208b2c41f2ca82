"""Published sets as they lie unpacked: splits, labels and classes, or what is damaged."""

import io
import tarfile

import numpy as np
import pytest

from colab_kit.data.catalog.published import FLOWERS
from colab_kit.data.formats import parsed
from colab_kit.errors import DataError

from ...support import tiny_sets
from ...support.pictures import blank
from ...support.tiny_sets import mat


def lay(folder, files):
    for name, content in files.items():
        blank(folder / name, content)
    return folder


def unpacked(name, folder):
    """The tiny set as our cache holds it: each archive in a folder of its own."""
    for file, content in tiny_sets.files_of(name).items():
        if file.endswith(".mat"):
            blank(folder / file, content)
            continue
        with tarfile.open(fileobj=io.BytesIO(content)) as box:
            box.extractall(folder / file.partition(".")[0], filter="data")
    return folder


def rows(found, split):
    part = found.splits[split]
    paths = part.make(np.zeros(len(part), np.int64)).paths
    return [(path.name, label) for path, label in zip(paths, part.labels, strict=True)]


def test_class_folders_are_called_by_their_names_and_keep_the_order_of_these(tmp_path):
    lay(tmp_path, tiny_sets.class_folders("set/", ("train", "val"), ("n2", "n10", "n1")))
    found = parsed.in_folders(tmp_path, {"n2": "zebra", "n10": "ant", "n3": "bee"})
    assert found.splits["train"].classes == (
        "zebra",
        "ant",
        "bee",
        "n1",
    )  # a folder that nobody named keeps its own
    assert found.splits["train"].labels.tolist()[::3] == ["n1", "zebra", "ant"]
    assert found.splits.keys() == {"train", "valid"} and found.root == tmp_path / "set"
    assert parsed.in_folders(tmp_path, {}).splits["train"].classes is None


def test_the_flowers_have_their_official_split_and_names(tmp_path):
    folder = unpacked("flowers-102", tmp_path)
    found = parsed.flowers(
        folder / "102flowers", folder / "imagelabels.mat", folder / "setid.mat", FLOWERS
    )
    assert rows(found, "train") == [
        ("image_00007.jpg", "passion flower"), ("image_00001.jpg", "passion flower"), ("image_00002.jpg", "pink primrose"),
    ]  # fmt: skip
    assert [len(found.splits[split]) for split in ("train", "valid", "test")] == [3, 2, 3]
    assert rows(found, "valid")[0] == ("image_00003.jpg", "blackberry lily")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("setid.mat", b"", "no whole MATLAB 5 file"),
        ("setid.mat", mat(trnid=np.array([1], np.uint16)), "do not fit together"),
        ("imagelabels.mat", mat(labels=np.array([1], np.uint8)), "do not fit together"),
        ("imagelabels.mat", mat(labels=np.full(8, 103, np.uint8)), "do not fit together"),
    ],
)
def test_damaged_lists_of_flowers_are_told(tmp_path, file, content, words):
    folder = unpacked("flowers-102", tmp_path)
    blank(folder / file, content)
    with pytest.raises(DataError) as caught:
        parsed.flowers(
            folder / "102flowers", folder / "imagelabels.mat", folder / "setid.mat", FLOWERS
        )
    assert words in str(caught.value)


def test_a_missing_flower_is_named(tmp_path):
    folder = unpacked("flowers-102", tmp_path)
    (folder / "102flowers" / "jpg" / "image_00004.jpg").unlink()
    with pytest.raises(DataError, match="image_00004"):
        parsed.flowers(
            folder / "102flowers", folder / "imagelabels.mat", folder / "setid.mat", FLOWERS
        )


def test_the_pets_are_split_and_called_as_torchvision_does(tmp_path):
    import torchvision

    folder = unpacked("oxford-pets", tmp_path)
    found = parsed.pets(folder / "images", folder / "annotations")
    assert rows(found, "test")[1] == (
        "american_pit_bull_terrier_2.jpg",
        "American Pit Bull Terrier",
    )
    (tmp_path / "oxford-iiit-pet").mkdir()
    for name in ("images", "annotations"):
        (folder / name / name).rename(tmp_path / "oxford-iiit-pet" / name)
    for split, theirs in (("train", "trainval"), ("test", "test")):
        other = torchvision.datasets.OxfordIIITPet(tmp_path, theirs)
        assert rows(found, split) == [
            (path.name, other.classes[y])
            for path, y in zip(other._images, other._labels, strict=True)
        ]
        assert list(found.splits["train"].classes) == other.classes


@pytest.mark.parametrize("damage", ["list", "no list", "picture", "no pictures"])
def test_damaged_pets_are_told(tmp_path, damage):
    folder = unpacked("oxford-pets", tmp_path)
    victim = folder / (
        "annotations/annotations/test.txt" if "list" in damage else "images/images/Bombay_1.jpg"
    )
    if damage == "list":
        victim.write_text("Bombay_2 three 1 1\n")
    elif damage == "no pictures":
        (folder / "images" / "images").rename(folder / "away")
    else:
        victim.unlink()
    with pytest.raises(DataError, match="is damaged"):
        parsed.pets(folder / "images", folder / "annotations")
