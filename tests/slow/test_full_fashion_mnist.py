"""The whole of Fashion-MNIST, with COLAB_KIT_LONG: the MLP reaches what its kind reaches."""

from pathlib import Path

import pytest

import colab_kit as kit
from tests.support import LONG

FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts it


@pytest.mark.skipif(not LONG, reason="40 seconds of computing: COLAB_KIT_LONG=1")
@pytest.mark.skipif(not FOLDER.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_the_mlp_reaches_875_in_ten_epochs_with_the_default_cosine(tmp_path):
    data = kit.load("fashion-mnist")
    assert len(data.test) == 10_000 and len(data.train) + len(data.valid) == 60_000
    run = kit.train(kit.nets.mlp, data, epochs=10, run_dir=tmp_path / "run", quiet=True)
    assert run.recipe.lr_schedule == "cosine" and run.status == "finished"
    assert run.evaluate().top1 >= 0.875
