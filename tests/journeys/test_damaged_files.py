"""Damaged files: whatever happens to a file that is kept, answers stay, or somebody says why not."""

import resource
import warnings

import pytest

from colab_kit.errors import RunError
from tests.support import LONG, damage
from tests.support.damage import World, area_of, as_expected, complaints
from tests.support.damaged_tables import Tables

MUTATIONS, TABLES = (20_000, 2_000) if LONG else (24, 60)
MEMORY = 1 << 30  # bytes that all of it may take, on top


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = World(tmp_path_factory.mktemp("damage"))
    yield made
    made.server.close()


@pytest.fixture(scope="module")
def expected(world):
    return as_expected(world)


def test_no_damage_to_a_kept_file_changes_an_answer_in_silence_or_ends_in_a_foreign_error(
    world, expected
):
    before = peak()
    found = [fault for n in range(MUTATIONS) for fault in complaints(world, n, "files", expected)]
    assert not found, f"{len(found)} faults:\n" + "\n".join(found[:5])
    assert peak() - before < MEMORY


def test_no_damaged_table_ends_in_a_foreign_error_or_takes_long(tmp_path):
    tables, before = Tables(tmp_path), peak()
    found = [fault for n in range(TABLES) for fault in tables.faults(n, "tables")]
    assert not found, f"{len(found)} faults:\n" + "\n".join(found[:5])
    assert peak() - before < MEMORY


def test_the_world_holds_every_kind_of_file_that_is_kept(world):
    kinds = {(area_of(name), name.name.partition("-0")[0]) for name in world.files()}
    assert kinds >= {
        ("alpha", "run.json"),
        ("alpha", "choices.json"),
        ("alpha", "checkpoint"),
        ("alpha", "best"),
        ("alpha", ".lock"),
        ("home", "rows"),
        ("home", "marks"),
        ("home", "precision.json"),
        ("export", "alpha.safetensors"),
        ("fetched", ".colab-kit.json"),
        ("fetched", "half.bin.part.json"),
    }
    assert {name.parts[1] for name in world.files() if name.parts[0] == "home"} == {
        "backbones",
        "features",
        "fetched",
        "locks",
        "pixels",
        "precision.json",
        "weights",
    }


def test_a_foreign_error_and_a_silent_change_are_noticed(world, expected, monkeypatch):
    monkeypatch.setattr(World, "harm", lambda self, name, rng: "nothing")
    real = damage.Use.deeds

    def broken(self, area):
        deeds = real(self, area)
        return {**deeds, "open beta": lambda: 1 / 0, "train a new one": lambda: [0.5]}

    assert complaints(world, 0, "files", expected) == []
    monkeypatch.setattr(damage.Use, "deeds", broken)
    said = "\n".join(complaints(world, 0, "files", expected))
    assert "ZeroDivisionError" in said and "another answer, without a word" in said

    def refused(self, area):
        def deed():
            raise RunError("It is not there.", "w", "f")

        return {**real(self, area), "list": deed}

    monkeypatch.setattr(damage.Use, "deeds", refused)
    assert "It is not there" in "\n".join(complaints(world, 0, "files", expected))
