"""The cleaner gives a list of what to leave out or relabel, and load() applies it; no file is touched."""

import numpy as np
import pytest

from colab_kit import nets
from colab_kit.api import train
from colab_kit.data.loading import load
from colab_kit.data.sources import apply_edits
from colab_kit.errors import DataError
from colab_kit.events import Note
from colab_kit.testing.fixtures import class_folders

pytest.importorskip("ipywidgets")
from colab_kit.panels.cleaner import DROP, cleaner


@pytest.fixture
def pets(tmp_path):
    return class_folders(tmp_path / "pets", each=10)


@pytest.fixture
def run(pets, tmp_path):
    return train(
        nets.mlp(inputs=3 * 64, classes=2),
        load(pets, quiet=True),
        image_size=8,
        epochs=1,
        run_dir=tmp_path / "run",
        quiet=True,
    )


def test_what_is_chosen_is_a_list_that_load_applies(run, pets):
    before = sorted(path.relative_to(pets).as_posix() for path in pets.rglob("*.png"))
    made = cleaner(run, n=3)
    assert made.edits == {} and len(made.choices) == 3
    first, second, _ = made.choices
    made.choices[first].value = DROP
    other = next(name for name in run.classes if not second.startswith(name))
    made.choices[second].value = other
    assert made.edits == {first: None, second: other}
    said = []
    data = load(pets, label_edits=made.edits, callbacks=[said.append], quiet=True)
    names = {
        path.relative_to(pets).as_posix(): label
        for split in data.splits.values()
        for path, label in zip(split.paths, split.labels, strict=True)
    }
    assert first not in names and data.classes[names[second]] == other and len(names) == 19
    assert any(
        "leaves 1 pictures out and gives 1 another label" in e.text
        for e in said
        if isinstance(e, Note)
    )
    assert data.fingerprint != load(pets, quiet=True).fingerprint
    assert sorted(path.relative_to(pets).as_posix() for path in pets.rglob("*.png")) == before, (
        "no file was touched"
    )


def test_an_empty_list_changes_nothing_and_a_stranger_is_told(pets):
    assert load(pets, label_edits={}, quiet=True).fingerprint == load(pets, quiet=True).fingerprint
    said = []
    load(pets, label_edits={"cat/nobody.png": None}, callbacks=[said.append], quiet=True)
    assert any(
        "Not found: cat/nobody.png" in e.text
        for e in said
        if isinstance(e, Note) and e.level == "warn"
    )


def test_a_label_that_is_no_class_becomes_one_in_training(pets):
    data = load(pets, label_edits={"cat/0.png": "fox", "cat/1.png": "fox"}, quiet=True)
    assert data.classes == ("cat", "dog", "fox")


def test_a_label_may_be_said_as_names_shows_it(pets):
    names = {"cat": "house cat", "dog": "good dog"}
    data = load(pets, label_edits={"cat/0.png": "good dog"}, class_names=names, quiet=True)
    assert (
        data.classes == ("house cat", "good dog")
        and sum(split["good dog"] for split in data.counts.values()) == 11
    )


def test_arrays_have_no_files_to_edit(tmp_path):
    x = np.zeros((20, 8, 8, 3), np.uint8)
    with pytest.raises(DataError, match="picture files"):
        load((x, np.arange(20) % 2), label_edits={"a": None}, quiet=True)
    run = train(
        nets.mlp(inputs=3 * 64, classes=2),
        load((x, np.arange(20) % 2), quiet=True),
        epochs=1,
        run_dir=tmp_path / "run",
        quiet=True,
    )
    with pytest.raises(DataError, match="picture files"):
        cleaner(run)


def test_a_part_without_edited_files_stays_the_same():
    from colab_kit.data.sources import Part

    part = Part(np.zeros(2, np.int64), lambda numbers: None, "print")
    with pytest.raises(DataError):
        apply_edits(part, {"a": None})


def test_where_nobody_can_choose_the_pictures_are_shown_without_widgets(run, monkeypatch, capsys):
    monkeypatch.setenv("COLAB_KIT_UI", "off")
    shown = cleaner(run, split="train", n=3)
    assert (
        shown.box is None
        and shown.edits == {}
        and len(shown.thumbnails) == 3
        and all("data:image/png" in text for text in shown.thumbnails)
    )
