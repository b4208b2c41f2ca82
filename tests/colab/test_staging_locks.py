"""Staged folders: brought by one process, held by those that read them, cleared when nobody does."""

import os
import subprocess
import sys

import pytest

from colab_kit.colab import staging as room
from colab_kit.colab.staging import clear_older, head, hold

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is cleared there")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_holds", {})
    return tmp_path


def put(place, name):
    (place / name).mkdir()
    (place / name / "a.png").write_text("x")
    (place / f"{name}.json").write_text("{}")
    return place / name


def test_what_was_staged_before_the_files_changed_goes_and_nothing_else(place):
    old, new = put(place, "pets-1a2b3c-00000001"), put(place, "pets-1a2b3c-00000002")
    half = place / "pets-1a2b3c-00000003.part"
    half.mkdir()
    others = [
        put(place, name)
        for name in ("pets-ffffff-00000001", "pets-1a2b3c-more-ffffff-00000001", "pets")
    ]
    clear_older(new)
    names = {path.name for path in place.iterdir()}
    assert not old.exists() and not half.exists() and f"{old.name}.json" not in names
    assert {path.name for path in (new, *others)} <= names and head(new.name) == "pets-1a2b3c"


def test_what_this_process_was_given_stays(place):
    old, new = put(place, "pets-1a2b3c-00000001"), put(place, "pets-1a2b3c-00000002")
    hold(old)
    hold(old)
    clear_older(new)
    assert (old / "a.png").exists() and (place / f"{old.name}.json").exists()


def test_what_another_process_was_given_stays_until_it_ends(place):
    old, new = put(place, "pets-1a2b3c-00000001"), put(place, "pets-1a2b3c-00000002")
    code = f"from pathlib import Path; from colab_kit.colab.staging import hold; hold(Path({str(old)!r})); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        clear_older(new)
        assert (old / "a.png").exists()
        other.communicate("\n")
    clear_older(new)
    assert not old.exists() and new.exists()


def test_a_disk_that_cannot_be_written_costs_no_error(place):
    hold(place / "nowhere" / "pets-1a2b3c-00000001")
    clear_older(place / "nowhere" / "pets-1a2b3c-00000001")
    assert not os.listdir(place)
