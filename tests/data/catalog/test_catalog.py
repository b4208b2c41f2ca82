"""The catalog: the embedded set is what was cut; the others are found, or fetched once, checked, and prepared."""

import bz2
import gzip
import hashlib
import shutil

import numpy as np
import pytest

from colab_kit.data.catalog import catalog
from colab_kit.data.formats import idx
from colab_kit.data.loading import load
from colab_kit.errors import (
    DataError,
    FetchError,
)
from colab_kit.events import Note

from ...support import cut_fashion_mini
from ...support.cut_fashion_mini import idx_bytes

SHAPES = dict(
    zip(idx.NAMES, [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)], strict=True)
)


def four(folder, ending=".gz", n=20, labels=None):
    """The four idx files of a small set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in idx.NAMES:
        array = (
            np.zeros((n, 5, 4), np.uint8)
            if "images" in name
            else np.arange(n) % 10
            if labels is None
            else labels
        )
        content = idx_bytes(np.asarray(array))
        (folder / (name + ending)).write_bytes(
            {".gz": gzip.compress, ".bz2": bz2.compress, "": bytes}[ending](content)
        )
    return folder


def shape(parts, split):
    part = parts.splits[split]
    return tuple(part.make(part.labels).x.shape)


def test_fashion_mini_is_small_stratified_whole_and_licensed():
    mini = catalog.open_known("fashion-mini", emit=print)
    y, answers = mini.splits["train"].labels, mini.splits["test"].labels
    assert shape(mini, "train") == (6000, 1, 28, 28) and shape(mini, "test") == (1000, 1, 28, 28)
    assert (
        set(np.bincount(y)) == {600}
        and set(np.bincount(answers)) == {100}
        and len(mini.splits["train"].classes) == 10
    )
    assert sum(path.stat().st_size for path in catalog.MINI.iterdir()) < 4 << 20
    assert (
        "MIT" in (catalog.MINI / "LICENSE").read_text()
        and "Zalando Research" in (catalog.MINI / "README.md").read_text()
    )


@pytest.mark.skipif(
    len(idx.find(catalog.DEBIAN)) < 4,
    reason="the full Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)",
)
def test_the_script_cuts_the_shipped_bytes_again(tmp_path):
    cut_fashion_mini.cut(catalog.DEBIAN, tmp_path)
    shipped = {path.name: path.read_bytes() for path in catalog.MINI.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == shipped


@pytest.mark.parametrize("break_it", ["flip", "cut", "remove"])
def test_a_damaged_package_is_named_with_the_fix(tmp_path, monkeypatch, break_it):
    folder = shutil.copytree(catalog.MINI, tmp_path / "mini")
    victim = folder / "t10k-labels-idx1-ubyte.bz2"
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content if break_it == "flip" else content[:-1])
    if break_it == "remove":
        victim.unlink()
    monkeypatch.setattr(catalog, "MINI", folder)
    with pytest.raises(DataError, match="fashion-mini is (damaged|incomplete)") as caught:
        catalog.open_known("fashion-mini", emit=print)
    assert "reinstall" in caught.value.fix and victim.name in str(caught.value)


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
def test_a_folder_of_four_idx_files_is_a_data_set(tmp_path, ending):
    folder = four(tmp_path / "FashionMNIST" / "raw", ending).parent
    parts = catalog.recognise(idx.read(folder))
    assert idx.sees(folder) and shape(parts, "train") == (20, 1, 5, 4)
    # other labels than Fashion-MNIST's: nobody knows the names
    assert parts.splits["train"].classes is None
    assert idx.sees(tmp_path) and not idx.sees(tmp_path.parent / "nothing")


def test_a_missing_idx_file_is_named(tmp_path):
    (four(tmp_path) / f"{idx.NAMES[1]}.gz").unlink()
    with pytest.raises(DataError, match="lacks train-labels-idx1-ubyte"):
        idx.read(tmp_path)


WHOLE = gzip.compress(idx_bytes(np.zeros((20, 5, 4), np.uint8)), mtime=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (WHOLE[: len(WHOLE) // 2], "cut or changed"),
        (b"<!DOCTYPE html><title>404 Not Found</title>", 'web page titled "404 Not Found"'),
        (b"PK\x03\x04 a zip", "no gz file"),
        (gzip.compress(b"hello world", mtime=0), "begins with 68656c6c"),
        (
            gzip.compress(idx_bytes(np.zeros((20, 5, 4), np.uint8))[:-7], mtime=0),
            "states 20x5x4 = 400 numbers and holds 393",
        ),
        (gzip.compress(idx_bytes(np.zeros(20, np.uint8)), mtime=0), "dimensions"),
        (
            gzip.compress(idx_bytes(np.zeros((19, 5, 4), np.uint8)), mtime=0),
            "20 labels for 19 pictures",
        ),
        (b"", "empty"),
        (gzip.compress(b"", mtime=0), "begins with nothing"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_recognised_and_named(tmp_path, content, words):
    (four(tmp_path) / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        idx.read(tmp_path)
    assert (
        words in caught.value.why and "train-" in caught.value.what and "delete" in caught.value.fix
    )


class Mirror:
    """Stands for fetching.download.get: writes the full set's empty likeness, and counts."""

    def __init__(self):
        self.asked = []

    def __call__(self, urls, to, *, md5, emit, control):
        assert (
            all(url.endswith(to.name) for url in urls)
            and len(md5) == 32
            and urls[0].startswith("https://")
        )
        self.asked.append(to.name)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(
            gzip.compress(idx_bytes(np.zeros(SHAPES[to.name.removesuffix(".gz")], np.uint8)), 1)
        )
        return to


def test_mnist_is_fetched_from_its_own_mirrors_and_has_digits(tmp_path):
    mirror = Mirror()
    known = catalog.open_known("mnist", emit=print, get=mirror, cache=tmp_path)
    assert (
        known.splits["train"].classes == tuple("0123456789")
        and len(mirror.asked) == 4
        and len(known.splits["test"]) == 10_000
    )


def test_the_full_set_is_fetched_once_and_only_what_is_damaged_again(tmp_path):
    mirror, notes = Mirror(), []
    for _ in range(2):
        full = catalog.open_known(
            "fashion-mnist", emit=notes.append, get=mirror, cache=tmp_path, places=()
        )
        assert shape(full, "train") == (60_000, 1, 28, 28)
    assert mirror.asked == [name + ".gz" for name in idx.NAMES] and not notes
    damaged = tmp_path / f"{idx.NAMES[3]}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    short = tmp_path / f"{idx.NAMES[2]}.gz"
    short.write_bytes(gzip.compress(idx_bytes(np.zeros((9, 28, 28), np.uint8))))
    catalog.open_known("fashion-mnist", emit=notes.append, get=mirror, cache=tmp_path, places=())
    assert mirror.asked[4:] == [short.name, damaged.name]
    assert (
        all(isinstance(note, Note) and "fetched again" in note.text for note in notes)
        and len(notes) == 2
    )


def test_an_installed_set_is_used_before_any_mirror_and_is_never_deleted(tmp_path):
    mirror, place = Mirror(), four(tmp_path / "installed")
    known = catalog.open_known(
        "fashion-mnist", emit=print, get=mirror, cache=tmp_path / "cache", places=(place,)
    )
    assert len(known.splits["train"]) == 20 and not mirror.asked
    (place / f"{idx.NAMES[0]}.gz").write_bytes(b"")
    with pytest.raises(DataError, match="is damaged"):
        catalog.open_known(
            "fashion-mnist", emit=print, get=mirror, cache=tmp_path / "cache", places=(place,)
        )
    assert (place / f"{idx.NAMES[0]}.gz").exists() and not mirror.asked


def test_offline_without_the_files_is_a_fetch_error(tmp_path):
    def offline(urls, to, **kw):
        raise FetchError(f"{to.name} could not be fetched.")

    with pytest.raises(FetchError, match="train-images"):
        catalog.open_known("fashion-mnist", emit=print, get=offline, cache=tmp_path, places=())


def test_the_fashion_labels_are_recognised_by_content():
    if len(idx.find(catalog.DEBIAN)) < 4:
        pytest.skip("the full Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)")
    labels = idx.read_array(idx.find(catalog.DEBIAN)["train-labels-idx1-ubyte"])
    assert hashlib.sha256(labels.tobytes()).hexdigest() == catalog.FASHION_LABELS


# --- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("CIFAR10", "cifar-10"), ("cifar_100", "cifar-100"), ("MNIST", "mnist"), ("Fashion MNIST", "fashion-mnist"),
        ("FashionMNIST", "fashion-mnist"), ("Cat_Dog_data", "cat-dog"), ("catdog", "cat-dog"), ("hymenoptera_data", "hymenoptera"),
        ("flower_data", "flower-data"), ("Flowers102", "flowers-102"), ("OxfordIIITPet", "oxford-pets"), ("oxford_pets", "oxford-pets"),
        ("imagenette2-160", "imagenette-160"), ("Imagenette", "imagenette"), ("fashion-mini", "fashion-mini"),
    ],
)  # fmt: skip
def test_case_spaces_and_strokes_do_not_count(typed, name):
    assert catalog.canonical(typed) == name


@pytest.mark.parametrize(
    "typed",
    ["", "pets", "flowers", "data", "mnist.zip", "./mnist", "data/mnist", "cats", "imagenet"],
)
def test_what_may_be_a_folder_of_ones_own_fetches_nothing(typed):
    assert catalog.canonical(typed) is None


NEAR = {
    "cifar-1O": "cifar-10", "minst": "mnist", "imagenete": "imagenette", "Cat_Dog_data.zip": "cat-dog", "hymenopterra": "hymenoptera",
    "holiday photos": None,
}  # fmt: skip


@pytest.mark.parametrize(("typed", "near"), NEAR.items())
def test_an_unknown_name_suggests_the_near_one(typed, near):
    assert catalog.near(typed) == near and catalog.canonical(typed) is None
    with pytest.raises(DataError) as caught:
        load(typed, quiet=True)
    assert (
        f"did you mean kit.load({near!r})?" if near else ", ".join(catalog.SETS)
    ) in caught.value.fix
