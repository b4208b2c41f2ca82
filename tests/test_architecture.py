"""ARCHITECTURE.md says what the code is: its tree, walks and places are compared."""

import importlib.util
import os
import pickle
import re
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support import walks

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "ARCHITECTURE.md"
spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
architecture = importlib.util.module_from_spec(spec)
spec.loader.exec_module(architecture)
TEXT = PAGE.read_text(encoding="utf-8")
AGAIN = "run: python docs/architecture.py"


def written(name: str) -> str:
    """What the page says between the marks of one part."""
    return re.search(rf"<!-- {name}[^>]*-->\n(.*?)\n?<!-- end -->", TEXT, re.S)[1]


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> dict[str, walks.Walk]:
    """The walks of all calls; the processes of one test run follow them once."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", os.getpid())
    file = tmp_path_factory.getbasetemp().parent / f"walks-{run}.pickle"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            file.write_bytes(pickle.dumps(walks.walks(*walks.CALLS)))
        return pickle.loads(file.read_bytes())


@pytest.mark.parametrize("name", ["tree", "picture", "stop", "places"])
def test_what_the_page_says_of_the_code_is_so(name):
    assert written(name) == architecture.parts()[name], AGAIN


def test_each_folder_and_file_of_the_package_stands_in_the_tree():
    there = {
        p.stem if p.suffix == ".py" else f"{p.name}/"
        for p in architecture.PACKAGE.iterdir()
        if p.suffix == ".py" or (p.is_dir() and p.name != "__pycache__")
    }
    assert there - {"__main__"} == {name.removesuffix(".py") for name in architecture.ORDER}


def test_the_page_is_one_page_and_has_twelve_words_and_five_laws():
    laws = TEXT.partition("## Five laws")[2].partition("\n## ")[0]
    words = TEXT.partition("## Words of ours")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d\. ", laws, re.M)) == 5
    assert len(re.findall(r"\*\*\w+\*\*: ", words)) <= 12
    assert all(
        len(architecture.steps(walk).splitlines()) <= 7
        for walk in (architecture.PICTURE, architecture.STOP)
    )


def test_every_code_path_that_contributing_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:colab_kit|tests|docs|benchmarks|\.ci)/[\w./]*)", text)
    assert paths and [path for path in paths if not (ROOT / path).exists()] == []


# --- the four calls ---


def test_the_walks_of_the_page_are_those_that_the_calls_take(followed):
    found = architecture.calls(followed)
    assert [name for name in walks.CALLS if written(name) != found[name]] == [], AGAIN


def test_a_training_moves_little_between_the_folders(followed):
    walk = followed["train"]
    assert len(walk.moves) <= 10 and len(walk.climbs) <= 2, walk


def test_load_never_climbs(followed):
    assert followed["load"].climbs == []


def test_fetching_a_plain_file_enters_at_most_12_files(followed):
    assert len(followed["fetch"].steps) <= 12 and followed["fetch"].climbs == [], followed["fetch"]


def test_a_call_upward_counts_as_a_climb():
    walk = walks.Walk([], [("api", "runs"), ("runs", "data"), ("data", "training")])
    assert walk.climbs == [("data", "training")]


def test_a_walk_holds_what_this_thread_enters_and_no_tool():
    from colab_kit.data.keyed_random import mix
    from colab_kit.recipe import Recipe

    walk = walks.follow(lambda: (mix(1, 2), Recipe(epochs=2)))
    assert walk.steps == [("data/keyed_random.py", "mix")]
