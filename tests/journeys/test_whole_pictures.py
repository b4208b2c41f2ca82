"""Choices of a run that change what is seen: mirrored or not, the middle or all, to the last view."""

import numpy as np
import pytest
import torch

from colab_kit.api import train
from colab_kit.models import nets
from colab_kit.testing.fixtures import class_folders


def trained(root, tmp_path, **fields):
    notes = []
    fields = {"epochs": 1, "image_size": 16, "run_dir": tmp_path / "run", **fields}
    run = train(nets.cnn, root, callbacks=[notes.append], quiet=True, **fields)
    return run, [note.text for note in notes if hasattr(note, "level")]


@pytest.mark.parametrize(
    ("classes", "flips"), [(("left", "right"), False), (("3", "7"), False), (("oak", "elm"), True)]
)
def test_no_view_is_mirrored_where_a_mirror_harms(tmp_path, classes, flips):
    run, notes = trained(class_folders(tmp_path / "set", classes, each=4), tmp_path)
    assert any(note.startswith("flip=False:") for note in notes) is not flips
    scorer, x = run._scorer(2), torch.randn(1, 3, 16, 16)
    seen = []
    run.model.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    scorer._look()(x)
    assert torch.equal(seen[1], x.flip(3)) is flips and not torch.equal(seen[1], x)


def test_a_run_on_long_pictures_predicts_as_it_learned(tmp_path):
    root = class_folders(tmp_path / "set", each=4, size=(60, 12))
    run, notes = trained(root, tmp_path)
    assert any("resize='squash'" in note for note in notes)
    assert run.record["preprocess"]["resize"] == "squash"
    split = run.data.train
    by_split = run.predict(split).probabilities
    assert np.allclose(by_split, run.predict(split.paths).probabilities, atol=1e-5)
    again, notes = trained(root, tmp_path)
    assert again.status == "finished" and again.record["preprocess"]["resize"] == "squash"
