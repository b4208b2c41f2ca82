"""What a run is judged on: its own split by name, or other pictures by the names of their classes."""

from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, default_collate

from colab_kit.data.loading import load
from colab_kit.data.sources import Arrays
from colab_kit.errors import DataError
from colab_kit.runs.comparison import split_for
from colab_kit.testing.fixtures import class_folders


class Judge:
    """As a Run is: classes, task, data and record."""

    task = "classification"

    def __init__(self, source, **options):
        self.data = load(source, quiet=True, **options)
        self.classes = self.data.classes
        self.record = {"data": {"fingerprint": self.data.fingerprint}}


@pytest.fixture
def run(tmp_path):
    return Judge(class_folders(tmp_path / "lab", ["fern", "moss", "reed", "rush"], each=5))


def asked(run, what):
    """Give the split, and the notes that were heard."""
    notes = []
    split, _ = split_for(run, what, callbacks=[notes.append], quiet=True)
    return split, [note.text for note in notes]


def names(run, split):
    pairs = zip(split.paths, split.labels, strict=True)
    return {run.classes[label]: path.parent.name for path, label in pairs}


@pytest.mark.parametrize("name", ["train", "valid", "val", "validation"])
def test_a_name_of_the_runs_split_goes_before_a_folder_and_says_so(
    run, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    own = "train" if name == "train" else "valid"
    assert asked(run, name)[0].paths == run.data.splits[own].paths
    class_folders(Path(name), run.classes[:2], each=3)
    split, notes = asked(run, name)
    assert split.paths == run.data.splits[own].paths and f"'./{name}'" in notes[-1]
    assert asked(run, f"./{name}")[0].paths[0].is_relative_to(tmp_path / name)


def test_a_folder_is_taken_where_the_run_has_no_such_split(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no split 'test'"):
        asked(run, "test")
    class_folders(Path("test"), run.classes, each=3)
    assert len(asked(run, "test")[0]) == 12
    run.data = None
    assert len(asked(run, "test")[0]) == 12
    with pytest.raises(DataError, match="without its data"):
        asked(run, "train")


@pytest.mark.parametrize("some", [["fern", "reed"], ["moss", "rush"], ["rush"]])
def test_fewer_classes_are_judged_by_name_and_said(run, tmp_path, some):
    other = class_folders(tmp_path / "field", some, each=5)
    for what in (other, load(other, quiet=True), load(other, valid=0, quiet=True)):
        split, notes = asked(run, what)
        assert names(run, split) == {name: name for name in some} and len(split) == 5 * len(some)
        assert any(f"{len(some)} of the run's 4 classes" in note for note in notes)


def test_all_of_a_folder_is_judged_but_the_runs_own_data_by_its_split(run, tmp_path):
    other = class_folders(tmp_path / "field", run.classes, each=6)
    assert len(asked(run, other)[0]) == 24 and asked(run, other)[0].name == "all"
    assert asked(run, run.data)[0] is run.data.valid
    assert asked(run, load(tmp_path / "lab", quiet=True))[0].name == "valid"


def test_a_split_that_came_with_the_data_stays_what_is_judged(run, tmp_path):
    class_folders(tmp_path / "field" / "train", run.classes, each=4)
    class_folders(tmp_path / "field" / "test", ["reed"], each=2)
    assert asked(run, tmp_path / "field")[0].name == "test"
    assert len(asked(run, tmp_path / "field")[0]) == 2


def test_classes_in_another_order_are_matched(run, tmp_path):
    other = class_folders(tmp_path / "field", run.classes, each=2)
    data = load(other, class_names=run.classes[::-1], quiet=True)
    assert names(run, asked(run, data)[0]) == {name: name for name in run.classes}


def test_a_class_that_the_run_does_not_know_is_refused_by_name(run, tmp_path):
    other = class_folders(tmp_path / "field", ["fern", "palm"], each=5)
    with pytest.raises(DataError) as caught:
        asked(run, other)
    assert "palm" in caught.value.fix and "fern" not in caught.value.fix


def test_labels_that_a_collate_makes_or_that_are_several_cannot_be_matched():
    x, y = np.zeros((12, 4, 4), np.uint8), np.arange(12) % 3
    run = Judge((x, y))
    items = list(zip(x, y.tolist(), strict=True))
    few = DataLoader(items, collate_fn=lambda rows: default_collate(rows))
    data = load(few, class_names=["0", "1", "2"], quiet=True)
    assert asked(run, data)[0] is not None
    run.classes = ("0", "2", "1")
    with pytest.raises(DataError, match="other classes"):
        asked(run, data)
    run = Judge((x, np.tile([[1, 1, 0], [0, 1, 1]], (6, 1))), task="multilabel")
    run.task = "multilabel"
    few = load((x, np.tile([[1, 1], [0, 1]], (6, 1))), task="multilabel", quiet=True)
    with pytest.raises(DataError, match="other classes"):
        asked(run, few)
    assert isinstance(few.train.source, Arrays)
