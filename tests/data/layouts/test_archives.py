"""Archives in archives, and pictures that lie as numbers in one file."""

import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from tests.support.layouts import (
    Bare,
    Layout,
    Want,
    cases,
    check,
    classes_in,
    either,
    greys,
    junk,
    layout,
    lines,
    packed,
    pictures,
    pixels,
)
from tests.support.tiny_sets import mat

SHELF: list[Layout] = []
THINGS = ("accordion", "airplanes", "Faces", "Faces_easy")
CLUTTER = "BACKGROUND_Google"


@layout(
    SHELF,
    "caltech-101.zip of data.caltech.edu: 101_ObjectCategories.tar.gz inside, __MACOSX, clutter",
    'kit.load("caltech-101<end>")',
    (Want(THINGS, 5), Want((*THINGS, CLUTTER), 5)),
    spellings={"zip": {"end": ".zip"}, "unpacked": {"end": ""}},
)
def caltech_101(here, end):
    top = here / "caltech-101"
    inner = top / "101_ObjectCategories"
    classes_in(inner, (*THINGS, CLUTTER), [f"image_{i + 1:04d}.jpg" for i in range(5)])
    junk(inner / CLUTTER / "tmp", top / "Annotations.tar", top / "show_annotation.m")
    packed(inner, "gztar")
    if end:
        with zipfile.ZipFile(here / "caltech-101.zip", "w") as out:
            for path in sorted(top.iterdir()):
                out.write(path, f"caltech-101/{path.name}")
                out.writestr(f"__MACOSX/caltech-101/._{path.name}", b"\0\5\x16\7")
        shutil.rmtree(top)


KINDS = ("bird", "cat", "dog")


@layout(
    SHELF,
    "a folder that holds its splits packed, as servers and Drive hand them out",
    'kit.load("pets")',
    Want(KINDS, 5, test=2),
    spellings={
        "zip": {"kind": "zip", "inside": True},
        "tar.gz": {"kind": "gztar", "inside": True},
        "zip without its name": {"kind": "zip", "inside": False},
    },
)
def packed_splits(here, kind, inside):
    for split, many in (("train", 5), ("test", 2)):
        classes_in(here / "pets" / split, KINDS, [f"{{kind}} {split} {i}.jpg" for i in range(many)])
        packed(here / "pets" / split, kind, inside=inside)


@layout(
    SHELF,
    "a folder that holds each class packed, as people send them",
    'kit.load("pets")',
    Want(KINDS, 5),
)
def packed_classes(here):
    classes_in(here / "pets", KINDS, [f"{{kind}} {i}.jpg" for i in range(5)])
    for kind in KINDS:
        packed(here / "pets" / kind, inside=False)


@layout(
    SHELF,
    "one zip that Google Drive made in two parts, -001.zip and -002.zip",
    'kit.load("drive")',
    Want(KINDS, 6),
)
def drive_parts(here):
    for part in (1, 2):
        names = [f"{{kind}} {part}{i}.jpg" for i in range(3)]
        classes_in(here / "drive" / "pets", KINDS, names)
        packed(here / "drive" / "pets")
        made = here / "drive" / "pets.zip"
        made.rename(here / "drive" / f"pets-20240514T091011Z-{part:03d}.zip")


# --- numbers ---

DIGITS = tuple("0123456789")


@layout(
    SHELF,
    "kaggle.com/c/digit-recognizer: train.csv label,pixel0 ... pixel783, test.csv without label",
    "kit.load(<typed>)",
    lambda typed: (
        Want(DIGITS, 4, test=Bare(5)),
        Want(DIGITS, 4, noted="" if "csv" in typed else r"test\.csv"),
    ),
    after=(Want(DIGITS, 4),),
    spellings={"folder": {"typed": '"digits"'}, "file": {"typed": '"digits/train.csv"'}},
)
def digit_recognizer(here, typed):
    head = ",".join(f"pixel{i}" for i in range(784))
    cells = lambda n: ",".join(map(str, greys(n, 28).ravel()))
    rows = [f"{i % 10},{cells(i % 10)}" for i in range(40)]
    lines(here / "digits" / "train.csv", f"label,{head}", *rows)
    lines(here / "digits" / "test.csv", head, *(cells(i) for i in range(5)))
    lines(here / "digits" / "sample_submission.csv", "ImageId,Label", "1,0")


def house_numbers(many):
    """MATLAB's order, and 10 for 0."""
    shown = [i % 10 for i in range(many)]
    images = np.stack([pixels(n, 32) for n in shown], -1)
    return mat(X=images, y=np.array([[n or 10] for n in shown], np.uint8))


@layout(
    SHELF,
    "SVHN format 2 (ufldl.stanford.edu/housenumbers): train_32x32.mat, X (32, 32, 3, N), 10 is 0",
    'kit.load("<typed>")',
    lambda typed, test: (
        Want(DIGITS, 4, test=test),
        Want(tuple("123456789") + ("10",), 4, test=test, shows=(*range(1, 10), 0)),
    ),
    spellings={
        "folder": {"typed": "svhn", "test": 2},
        "file": {"typed": "svhn/train_32x32.mat", "test": None},
    },
)
def svhn(here, typed, test):
    (here / "svhn").mkdir()
    (here / "svhn" / "train_32x32.mat").write_bytes(house_numbers(40))
    if test:
        (here / "svhn" / "test_32x32.mat").write_bytes(house_numbers(20))


NINE = tuple("012345678")


def med_mnist(path):
    parts = {}
    for split, many in (("train", 36), ("val", 9), ("test", 9)):
        shown = [i % 9 for i in range(many)]
        parts[f"{split}_images"] = np.stack([pixels(n, 28) for n in shown])
        parts[f"{split}_labels"] = np.array([[n] for n in shown], np.uint8)
    np.savez_compressed(path, **parts)


@layout(
    SHELF,
    "MedMNIST (zenodo.org/records/10519652), medmnist/dataset.py: train_images ... labels (N, 1)",
    "<typed>",
    Want(NINE, 4, valid=1, test=1),
    spellings={
        "file": {"typed": 'kit.load("pathmnist.npz")'},
        "arrays": {
            "typed": 'a = np.load("pathmnist.npz")\n'
            'kit.load({s: (a[f"{s}_images"], a[f"{s}_labels"]) for s in ("train", "val", "test")})'
        },
    },
)
def path_mnist(here, typed):
    med_mnist(here / "pathmnist.npz")


@layout(
    SHELF,
    "Keras' mnist.npz (storage.googleapis.com/tensorflow/tf-keras-datasets): x_train ... y_test",
    'kit.load("mnist.npz")',
    Want(DIGITS, 4, test=2),
)
def keras_mnist(here):
    train, test = ([i % 10 for i in range(many)] for many in (40, 20))
    stack = lambda shown: np.stack([greys(n, 28) for n in shown])
    parts = {"x_train": stack(train), "y_train": np.array(train, np.uint8)}
    parts |= {"x_test": stack(test), "y_test": np.array(test, np.uint8)}
    np.savez(here / "mnist.npz", **parts)


DRAWN_THINGS = ("aircraft carrier", "airplane", "cat")


@layout(
    SHELF,
    "Quick, Draw! (github.com/googlecreativelab/quickdraw-dataset): a .npy a class, (N, 784)",
    'kit.load("quickdraw")',
    either(
        DRAWN_THINGS,
        (f"full_numpy_bitmap_{thing}" for thing in DRAWN_THINGS),
        (f"full_numpy_bitmap_{thing}.npy" for thing in DRAWN_THINGS),
        train=6,
    ),
    spellings={
        "full": {"stem": "full_numpy_bitmap_{thing}"},
        "plain": {"stem": "{thing}"},
    },
)
def quick_draw(here, stem):
    (here / "quickdraw").mkdir()
    for n, thing in enumerate(DRAWN_THINGS):
        rows = np.stack([greys(n, 28).ravel() for _ in range(6)])
        np.save(here / "quickdraw" / f"{stem.format(thing=thing)}.npy", rows)


# --- further ---


@layout(
    SHELF,
    "cs.toronto.edu/~kriz/cifar.html through cifar2png: cifar10/train/<class>/0001.png in a tar.xz",
    'kit.load("cifar10.tar.xz")',
    Want(KINDS, 5, test=2),
    further=True,
)
def cifar_png(here):
    for split, many in (("train", 5), ("test", 2)):
        classes_in(here / "cifar10" / split, KINDS, [f"{i + 1:04d}.png" for i in range(many)])
    with tarfile.open(here / "cifar10.tar.xz", "w:xz") as out:
        out.add(here / "cifar10", "cifar10")
    shutil.rmtree(here / "cifar10")


@layout(
    SHELF,
    "kaggle.com/c/dogs-vs-cats: train.zip and test1.zip in the folder, cat.0.jpg in train/",
    'kit.load("dogs-vs-cats", labels=lambda path: path.name.split(".")[0])',
    Want(("cat", "dog"), 6, test=Bare(3)),
    after=(Want(("cat", "dog"), 6),),
    further=True,
)
def dogs_packed(here):
    top = here / "dogs-vs-cats"
    for n, kind in enumerate(("cat", "dog")):
        pictures(top / "train", [f"{kind}.{i}.jpg" for i in range(6)], n)
    pictures(top / "test1", [f"{i + 1}.jpg" for i in range(3)], 0)
    packed(top / "train")
    packed(top / "test1")
    lines(top / "sampleSubmission.csv", "id,label", "1,0")


@pytest.mark.parametrize("one", cases(SHELF))
def test_what_is_packed_is_read_right_or_the_error_leads_there(one, tmp_path):
    check(one, tmp_path)
