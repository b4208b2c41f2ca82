"""The catalog: the embedded set is what was cut, the full set is found, or fetched again where it is damaged."""

import bz2
import gzip
import hashlib
import shutil

import numpy as np
import pytest

from colab_kit.data import catalog, idx
from colab_kit.errors import DataError, FetchError
from colab_kit.events import Note

from . import cut_fashion_mini

SHAPES = dict(zip(idx.NAMES, [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)], strict=True))


def four(folder, ending=".gz", n=20, labels=None):
    """The four idx files of a small set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in idx.NAMES:
        array = np.zeros((n, 5, 4), np.uint8) if "images" in name else np.arange(n) % 10 if labels is None else labels
        content = idx.write(np.asarray(array))
        (folder / (name + ending)).write_bytes({".gz": gzip.compress, ".bz2": bz2.compress, "": bytes}[ending](content))
    return folder


def test_fashion_mini_is_small_stratified_whole_and_licensed():
    mini = catalog.open_known("fashion-mini", emit=print)
    assert mini.train[0].shape == (6000, 28, 28) and mini.test[0].shape == (1000, 28, 28)
    assert set(np.bincount(mini.train[1])) == {600} and set(np.bincount(mini.test[1])) == {100} and len(mini.classes) == 10
    assert sum(path.stat().st_size for path in catalog.MINI.iterdir()) < 4 << 20
    assert "MIT" in (catalog.MINI / "LICENSE").read_text() and "Zalando Research" in (catalog.MINI / "README.md").read_text()


@pytest.mark.skipif(len(idx.find(catalog.DEBIAN)) < 4, reason="the full Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)")
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
    known = catalog.from_folder(four(tmp_path / "FashionMNIST" / "raw", ending).parent)
    assert known.train[0].shape == (20, 5, 4) and known.classes is None  # other labels than Fashion-MNIST's: nobody knows the names
    assert catalog.from_folder(tmp_path) is None


def test_a_missing_idx_file_is_named(tmp_path):
    (four(tmp_path) / f"{idx.NAMES[1]}.gz").unlink()
    with pytest.raises(DataError, match="lacks train-labels-idx1-ubyte"):
        catalog.from_folder(tmp_path)


WHOLE = gzip.compress(idx.write(np.zeros((20, 5, 4), np.uint8)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (WHOLE[: len(WHOLE) // 2], "cut or changed"),
        (b"<!DOCTYPE html><title>404 Not Found</title>", 'web page titled "404 Not Found"'),
        (b"PK\x03\x04 a zip", "no gz file"),
        (gzip.compress(b"hello world"), "begins with 68656c6c"),
        (gzip.compress(idx.write(np.zeros((20, 5, 4), np.uint8))[:-7]), "states 20x5x4 = 400 numbers and holds 393"),
        (gzip.compress(idx.write(np.zeros(20, np.uint8))), "dimensions"),
        (gzip.compress(idx.write(np.zeros((19, 5, 4), np.uint8))), "20 labels for 19 pictures"),
        (b"", "empty"),
        (gzip.compress(b""), "begins with nothing"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_recognised_and_named(tmp_path, content, words):
    (four(tmp_path) / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        catalog.from_folder(tmp_path)
    assert words in caught.value.why and "train-" in caught.value.what and "delete" in caught.value.fix


class Mirror:
    """Stands for web.get: writes the full set's empty likeness, and counts."""

    def __init__(self):
        self.asked = []

    def __call__(self, urls, to, *, md5, emit):
        assert all(url.endswith(to.name) for url in urls) and len(md5) == 32 and urls[0].startswith("https://")
        self.asked.append(to.name)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(gzip.compress(idx.write(np.zeros(SHAPES[to.name.removesuffix(".gz")], np.uint8)), 1))
        return to


def test_the_full_set_is_fetched_once_and_only_what_is_damaged_again(tmp_path):
    mirror, notes = Mirror(), []
    for _ in range(2):
        full = catalog.open_known("fashion-mnist", emit=notes.append, get=mirror, cache=tmp_path, places=())
        assert full.train[0].shape == (60_000, 28, 28)
    assert mirror.asked == [name + ".gz" for name in idx.NAMES] and not notes
    damaged = tmp_path / f"{idx.NAMES[3]}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    short = tmp_path / f"{idx.NAMES[2]}.gz"
    short.write_bytes(gzip.compress(idx.write(np.zeros((9, 28, 28), np.uint8))))
    catalog.open_known("fashion-mnist", emit=notes.append, get=mirror, cache=tmp_path, places=())
    assert mirror.asked[4:] == [short.name, damaged.name]
    assert all(isinstance(note, Note) and "fetched again" in note.text for note in notes) and len(notes) == 2


def test_every_mirror_is_encrypted():
    assert all(mirror.startswith("https://") for mirror in catalog.MIRRORS)


def test_an_installed_set_is_used_before_any_mirror_and_is_never_deleted(tmp_path):
    mirror, place = Mirror(), four(tmp_path / "installed")
    known = catalog.open_known("fashion-mnist", emit=print, get=mirror, cache=tmp_path / "cache", places=(place,))
    assert len(known.train[0]) == 20 and not mirror.asked
    (place / f"{idx.NAMES[0]}.gz").write_bytes(b"")
    with pytest.raises(DataError, match="is damaged"):
        catalog.open_known("fashion-mnist", emit=print, get=mirror, cache=tmp_path / "cache", places=(place,))
    assert (place / f"{idx.NAMES[0]}.gz").exists() and not mirror.asked


def test_offline_without_the_files_is_a_fetch_error(tmp_path):
    def offline(urls, to, **kw):
        raise FetchError(f"{to.name} could not be fetched.")

    with pytest.raises(FetchError, match="train-images"):
        catalog.open_known("fashion-mnist", emit=print, get=offline, cache=tmp_path, places=())


def test_the_fashion_labels_are_recognised_by_content():
    if len(idx.find(catalog.DEBIAN)) < 4:
        pytest.skip("the full Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)")
    labels = idx.read(idx.find(catalog.DEBIAN)["train-labels-idx1-ubyte"])
    assert hashlib.sha256(labels.tobytes()).hexdigest() == catalog.FASHION_LABELS
