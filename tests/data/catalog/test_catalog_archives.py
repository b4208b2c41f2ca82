"""Sets that come as archives: loaded by name once, checked, unpacked, and mended when damaged."""

import functools
import shutil
import threading

import pytest

from colab_kit.data.catalog import catalog
from colab_kit.data.catalog.published import CAT_TO_NAME, FLOWERS, PUBLISHED, WORDNET
from colab_kit.data.loading import load
from colab_kit.errors import (
    BadArchive,
    DataError,
    HashMismatch,
    NotFound,
    Offline,
    Stopped,
)
from colab_kit.events import Control, FetchDone, Note
from colab_kit.system.files import home

from ...support import tiny_sets


@pytest.fixture
def serve(file_server, monkeypatch):
    """Serve a tiny likeness of a set; load() then finds it, and nothing else, at the end of its links."""
    true = catalog.open_known

    def serve(name, files=None):
        options = {"published": tiny_sets.served(name, file_server, files)}
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
