"""The catalog: the embedded set is what was cut; the others are found, or fetched once, checked, and prepared."""

import bz2
import functools
import gzip
import hashlib
import shutil
import threading

import numpy as np
import pytest

from colab_kit.data.catalog import catalog
from colab_kit.data.catalog.published import CAT_TO_NAME, FLOWERS, PUBLISHED, WORDNET
from colab_kit.data.formats import idx
from colab_kit.data.loading import load
from colab_kit.errors import (
    BadArchive,
    DataError,
    FetchError,
    HashMismatch,
    NotFound,
    Offline,
    Stopped,
)
from colab_kit.events import Control, FetchDone, Note
from colab_kit.system.files import home

from ...support import cut_fashion_mini, tiny_sets

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
        content = idx.write(np.asarray(array))
        (folder / (name + ending)).write_bytes(
            {".gz": gzip.compress, ".bz2": bz2.compress, "": bytes}[ending](content)
        )
    return folder


def test_fashion_mini_is_small_stratified_whole_and_licensed():
    mini = catalog.open_known("fashion-mini", emit=print)
    (x, y), (seen, answers) = mini.splits["train"], mini.splits["test"]
    assert x.shape == (6000, 28, 28) and seen.shape == (1000, 28, 28)
    assert (
        set(np.bincount(y)) == {600}
        and set(np.bincount(answers)) == {100}
        and len(mini.classes) == 10
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
    known = catalog.from_folder(four(tmp_path / "FashionMNIST" / "raw", ending).parent)
    assert (
        known.splits["train"][0].shape == (20, 5, 4) and known.classes is None
    )  # other labels than Fashion-MNIST's: nobody knows the names
    assert catalog.from_folder(tmp_path) is None


def test_a_missing_idx_file_is_named(tmp_path):
    (four(tmp_path) / f"{idx.NAMES[1]}.gz").unlink()
    with pytest.raises(DataError, match="lacks train-labels-idx1-ubyte"):
        catalog.from_folder(tmp_path)


WHOLE = gzip.compress(idx.write(np.zeros((20, 5, 4), np.uint8)), mtime=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (WHOLE[: len(WHOLE) // 2], "cut or changed"),
        (b"<!DOCTYPE html><title>404 Not Found</title>", 'web page titled "404 Not Found"'),
        (b"PK\x03\x04 a zip", "no gz file"),
        (gzip.compress(b"hello world", mtime=0), "begins with 68656c6c"),
        (
            gzip.compress(idx.write(np.zeros((20, 5, 4), np.uint8))[:-7], mtime=0),
            "states 20x5x4 = 400 numbers and holds 393",
        ),
        (gzip.compress(idx.write(np.zeros(20, np.uint8)), mtime=0), "dimensions"),
        (
            gzip.compress(idx.write(np.zeros((19, 5, 4), np.uint8)), mtime=0),
            "20 labels for 19 pictures",
        ),
        (b"", "empty"),
        (gzip.compress(b"", mtime=0), "begins with nothing"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_recognised_and_named(tmp_path, content, words):
    (four(tmp_path) / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        catalog.from_folder(tmp_path)
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
            gzip.compress(idx.write(np.zeros(SHAPES[to.name.removesuffix(".gz")], np.uint8)), 1)
        )
        return to


def test_mnist_is_fetched_from_its_own_mirrors_and_has_digits(tmp_path):
    mirror = Mirror()
    known = catalog.open_known("mnist", emit=print, get=mirror, cache=tmp_path)
    assert (
        known.classes == tuple("0123456789")
        and len(mirror.asked) == 4
        and len(known.splits["test"][1]) == 10_000
    )


def test_the_full_set_is_fetched_once_and_only_what_is_damaged_again(tmp_path):
    mirror, notes = Mirror(), []
    for _ in range(2):
        full = catalog.open_known(
            "fashion-mnist", emit=notes.append, get=mirror, cache=tmp_path, places=()
        )
        assert full.splits["train"][0].shape == (60_000, 28, 28)
    assert mirror.asked == [name + ".gz" for name in idx.NAMES] and not notes
    damaged = tmp_path / f"{idx.NAMES[3]}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    short = tmp_path / f"{idx.NAMES[2]}.gz"
    short.write_bytes(gzip.compress(idx.write(np.zeros((9, 28, 28), np.uint8))))
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
    assert len(known.splits["train"][0]) == 20 and not mirror.asked
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
    labels = idx.read(idx.find(catalog.DEBIAN)["train-labels-idx1-ubyte"])
    assert hashlib.sha256(labels.tobytes()).hexdigest() == catalog.FASHION_LABELS


# --- the sets that are unpacked ----------------------------------------------------------------------------------------


@pytest.fixture
def serve(file_server, monkeypatch):
    """Serve a tiny likeness of a set; load() then finds it, and nothing else, at the end of its links."""
    true = catalog.open_known

    def serve(name, files=None):
        options = {"published": tiny_sets.served(name, file_server, files)}
        if name.startswith("cifar"):
            options["parser"] = tiny_sets.cifar(name == "cifar-100")[1]
        monkeypatch.setattr(catalog, "open_known", functools.partial(true, **options))
        return file_server

    return serve


CASES = [
    ("cifar-10", {"train": 20, "test": 4}, ("airplane", "automobile", "bird")),
    ("cifar-100", {"train": 4, "test": 4}, ("airplane", "automobile", "bird")),
    ("cat-dog", {"train": 6, "test": 6}, ("cat", "dog")),
    ("hymenoptera", {"train": 6, "valid": 6}, ("ants", "bees")),
    ("flower-data", {"train": 102, "valid": 102, "test": 102}, tuple(CAT_TO_NAME.values())),
    ("flowers-102", {"train": 3, "valid": 2, "test": 3}, FLOWERS),
    ("oxford-pets", {"train": 6, "test": 3}, ("Abyssinian", "American Pit Bull Terrier", "Bombay")),
    ("imagenette", {"train": 30, "valid": 30}, tuple(WORDNET.values())),
    ("imagenette-320", {"train": 30, "valid": 30}, tuple(WORDNET.values())),
    ("imagenette-160", {"train": 30, "valid": 30}, tuple(WORDNET.values())),
]


@pytest.mark.parametrize(("name", "splits", "classes"), CASES)
def test_every_archived_set_is_loaded_by_name_once_and_then_without_a_request(
    serve, name, splits, classes
):
    server = serve(name)
    options = {} if "valid" in splits else {"valid": 0}
    data = load(name, quiet=True, **options)
    assert (
        {split: len(part) for split, part in data.splits.items()} == splits
        and data.classes == classes
        and data.name == name
    )
    asked = server.count()
    assert asked >= len(PUBLISHED[name].files)
    again = load(name.upper().replace("-", "_"), quiet=True, **options)
    assert server.count() == asked and again.fingerprint == data.fingerprint and again.name == name
    left = [path.name for path in (home() / "data" / name).iterdir()]
    assert not any(
        file.name in left for file in PUBLISHED[name].files if not file.name.endswith(".mat")
    ), "archives go once unpacked"


def test_every_archived_set_of_the_table_is_tried_above():
    assert [name for name, *_ in CASES] == [
        name for name, one in PUBLISHED.items() if one.form != "idx"
    ]


def test_valid_test_limit_and_classes_work_on_a_set_of_files_and_on_one_of_arrays(serve):
    serve("oxford-pets")
    few = load("oxford-pets", max_per_class=1, valid="test", quiet=True)
    assert (
        set(few.counts["train"].values()) == {1} and few.valid is not None and len(few.valid) == 3
    )
    serve("cifar-10")
    data = load("cifar10", valid=0.2, test=0, max_per_class=5, quiet=True)
    assert (
        len(data.valid) == 3 and data.test is None and data.train.source.x.shape[1:] == (3, 32, 32)
    )
    assert load("cifar10", class_names=("plane", "car", "bird"), quiet=True).classes[0] == "plane"


def test_the_fingerprint_does_not_hold_where_the_set_lies(serve, tmp_path, monkeypatch):
    serve("imagenette-160")
    first = load("imagenette-160", quiet=True).fingerprint
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "elsewhere"))
    assert load("imagenette-160", quiet=True).fingerprint == first


def test_labels_are_refused_before_anything_is_fetched(serve):
    server = serve("cat-dog")
    with pytest.raises(DataError, match="labels= does not go with cat-dog"):
        load("cat-dog", labels={"a": "b"}, quiet=True)
    assert server.count() == 0


def test_a_set_without_a_published_checksum_says_so(serve):
    serve("hymenoptera")
    heard = []
    load("hymenoptera", callbacks=[heard.append], quiet=True)
    assert any(
        isinstance(event, Note) and "no checksum is published" in event.text for event in heard
    )
    assert any(
        isinstance(event, FetchDone) and event.name == "hymenoptera_data.zip" for event in heard
    )


@pytest.mark.parametrize("name", ["cat-dog", "flower-data"])
def test_a_damaged_archive_without_a_checksum_is_an_error_and_fetched_anew(serve, name):
    files = tiny_sets.files_of(name)
    server = serve(name, {file: content[: len(content) // 2] for file, content in files.items()})
    with pytest.raises(BadArchive) as caught:
        load(name, quiet=True)
    assert "fetched anew" in caught.value.fix
    assert [
        path.name for path in (home() / "data" / name).iterdir() if not path.name.startswith(".")
    ] == []
    server = serve(name, files)
    assert load(name, quiet=True).name == name and server.count() >= 2


def test_an_archive_that_is_not_what_its_checksum_says_is_refused(serve, file_server):
    serve("imagenette")
    (file,) = PUBLISHED["imagenette"].files
    file_server.put(
        f"imagenette/{file.name}",
        tiny_sets.files_of("hymenoptera")["hymenoptera_data.zip"].replace(b"PK", b"\x1f\x8b", 1),
    )
    with pytest.raises(HashMismatch):
        load("imagenette", quiet=True)
    assert not (home() / "data" / "imagenette" / "imagenette2").exists()


def test_where_no_link_gives_it_the_error_says_what_can_be_done_by_hand_and_that_works(
    serve, file_server, tmp_path
):
    files = tiny_sets.files_of("oxford-pets")
    serve("oxford-pets", files)
    trick = file_server.status(404)
    with pytest.raises(NotFound) as caught:
        load("oxford-pets", quiet=True)
    place = home() / "data" / "oxford-pets"
    assert trick.fired and f"put images.tar.gz into {place} yourself" in caught.value.fix
    for name, content in files.items():
        (place / name).write_bytes(content)
    asked = file_server.count()
    assert len(load("oxford-pets", quiet=True).test) == 3 and file_server.count() == asked


def test_offline_is_an_offline_error_with_the_same_fix(tmp_path):
    def offline(urls, to, **kw):
        raise Offline(f"{to.name} could not be fetched.", "no network", "check the connection")

    with pytest.raises(Offline) as caught:
        catalog.open_known("cifar-10", emit=print, get=offline)
    assert caught.value.fix.startswith("check the connection; or put cifar-10-python.tar.gz into ")


def test_an_archive_that_a_killed_call_had_fetched_is_not_fetched_again(serve):
    server = serve("cat-dog")
    place = home() / "data" / "cat-dog"
    place.mkdir(parents=True)
    (place / "Cat_Dog_data.zip").write_bytes(tiny_sets.files_of("cat-dog")["Cat_Dog_data.zip"])
    assert len(load("cat-dog", quiet=True).test) == 6 and server.count() == 0


@pytest.mark.parametrize(
    ("name", "victim"),
    [
        ("cifar-10", "cifar-10-python/cifar-10-batches-py/data_batch_3"),
        ("flowers-102", "setid.mat"),
        ("oxford-pets", "images/images/Bombay_1.jpg"),
        ("hymenoptera", "hymenoptera_data/hymenoptera_data"),
    ],
)
def test_a_prepared_set_that_was_damaged_is_told_of_and_fetched_again(serve, name, victim):
    server = serve(name)
    first, asked, heard = load(name, quiet=True).fingerprint, server.count(), []
    path = home() / "data" / name / victim
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(b"x") if name != "oxford-pets" else path.unlink()
    assert (
        load(name, callbacks=[heard.append], quiet=True).fingerprint == first
        and server.count() > asked
    )
    assert any(
        isinstance(event, Note) and event.level == "warn" and "fetched again" in event.text
        for event in heard
    )


def test_two_at_once_fetch_and_unpack_once(serve):
    server, found = serve("oxford-pets"), []
    threads = [
        threading.Thread(target=lambda: found.append(load("oxford-pets", quiet=True)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({data.fingerprint for data in found}) == 1 and len(found) == 2
    assert server.count("*images.tar.gz") == 1 and server.count("*annotations.tar.gz") == 1


def test_a_stopped_control_stops_it(serve):
    serve("cat-dog")
    control = Control()
    control.stop("enough")
    with pytest.raises(Stopped):
        load("cat-dog", quiet=True, control=control)


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
