"""Backbone notes: found again here and on the next machine; what is not whole is learned anew."""

import dataclasses
import json

import pytest

from colab_kit.data.preprocess import Preprocess
from colab_kit.errors import ModelError
from colab_kit.models.backbone_notes import BackboneNote
from colab_kit.models.build import LazyBackbone
from tests.models.test_build_lazy import NAME, built, own_home, pictures  # noqa: F401
from tests.support.sealed import rewrite
from tests.support.shelves import FolderShelf

NOTE = BackboneNote("classifier", 6, "ab", Preprocess(224, 3, (0.5,) * 3, (0.5,) * 3, "bicubic"))


def test_a_note_is_found_again_here_and_on_the_next_machine(tmp_path, monkeypatch):
    shelf = FolderShelf(tmp_path / "drive")
    assert BackboneNote.find(NAME, shelf) is None
    NOTE.keep(NAME, shelf)
    assert BackboneNote.find(NAME, None) == NOTE
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "other"))
    assert BackboneNote.find(NAME, None) is None and BackboneNote.find(NAME, shelf) == NOTE


@pytest.mark.parametrize("text", ["{", json.dumps({"layer": "fc"}), "[]"])
def test_a_torn_note_is_none(tmp_path, text):
    NOTE.keep(NAME, None)
    next((tmp_path / "home" / "backbones").glob("*.json")).write_text(text)
    assert BackboneNote.find(NAME, None) is None


def the_note(tmp_path):
    return next((tmp_path / "home" / "backbones").glob("*.json"))


def test_a_note_with_any_changed_digit_is_none(tmp_path):
    NOTE.keep(NAME, None)
    path = the_note(tmp_path)
    text = path.read_text()
    for place in [place for place, letter in enumerate(text) if letter.isdigit()]:
        path.write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")
        assert BackboneNote.find(NAME, None) is None, place


def test_the_note_of_another_backbone_in_its_place_is_none(tmp_path):
    NOTE.keep(NAME, None)
    path = the_note(tmp_path)
    dataclasses.replace(NOTE, identity="cd").keep("resnet34", None)
    (other,) = set(path.parent.iterdir()) - {path}
    path.write_bytes(other.read_bytes())
    assert BackboneNote.find(NAME, None) is None and BackboneNote.find("resnet34", None)


def test_a_damaged_note_is_taken_from_the_shelf_and_a_damaged_copy_is_not(tmp_path):
    shelf = FolderShelf(tmp_path / "drive")
    NOTE.keep(NAME, shelf)
    the_note(tmp_path).write_text("{}")
    assert BackboneNote.find(NAME, shelf) == NOTE == BackboneNote.find(NAME, None)
    for path in (the_note(tmp_path), next(shelf.root.glob("backbones/*"))):
        path.write_text(path.read_text().replace("224", "324"))
    assert BackboneNote.find(NAME, shelf) is None


@pytest.mark.usefixtures("built")
def test_a_network_that_its_note_does_not_tell_of_is_refused_and_the_note_is_removed(tmp_path):
    LazyBackbone(NAME, classes=3).survey(pictures())
    rewrite(the_note(tmp_path), identity="0" * 64)
    with pytest.raises(ModelError, match="are not those that were noted") as error:
        _ = LazyBackbone(NAME, classes=3).module
    assert "again" in error.value.fix
    assert LazyBackbone(NAME, classes=3).module is not None, "the next call learns it anew"
