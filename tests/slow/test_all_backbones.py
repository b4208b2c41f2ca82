"""All of torchvision's classifiers, and two families of timm (six with COLAB_KIT_LONG): a new head fits, learns alone, and
leaves the rest bit for bit.

In the long form all 80 of torchvision (vit_h_14 and regnet_y_128gf take 10 GB of memory); else
the eleven kinds are in tests/test_heads.py.
"""

import gc
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.api import transfer
from colab_kit.models.backbones import names
from colab_kit.models.build import LazyBackbone, remake
from colab_kit.models.inference import primary
from colab_kit.models.weights import weights_hash
from colab_kit.runs.opening import open_run
from colab_kit.testing.fixtures import class_folders
from colab_kit.training.losses import with_aux
from colab_kit.training.optim import Phases
from tests.models.test_build import record, same
from tests.support import LONG

TORCHVISION = [name for name in names() if not name.startswith("efficientnet_lite")] if LONG else []
FAMILIES = (  # of timm, one small member each; the first two stand for those with BatchNorm and LayerNorm
    "mobilenetv3_small_050", "vit_tiny_patch16_224", "resnet10t", "efficientnet_lite0", "convnext_atto", "regnetx_002",
)[: None if LONG else 2]  # fmt: skip


def test_there_are_as_many_as_we_say():
    assert len([name for name in names() if not name.startswith("efficientnet_lite")]) == 80


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_classifier_of_torchvision_takes_a_head(name):
    lazy = LazyBackbone(name, weights=None, classes=3)
    model, head, size = lazy.module, lazy.head_names, lazy.preprocess.size
    x = torch.rand(2, 3, size, size)
    before = weights_hash(model, without=head)
    with torch.no_grad():
        assert primary(model.eval()(x)).shape == (2, 3)
    phases = Phases(model, head)
    phases.enter(0)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    output = model(x)
    assert primary(output).shape == (2, 3)
    with_aux(nn.functional.cross_entropy, output, torch.tensor([0, 2])).backward()
    assert {key for key, p in model.named_parameters() if p.grad is not None} == set(head)
    optimizer.step()
    assert weights_hash(model, without=head) == before, "every tensor and buffer"
    del model, optimizer, output, phases
    gc.collect()


@pytest.mark.parametrize("name", FAMILIES)
def test_families_of_timm_are_transferred_predict_and_open_again(name, tmp_path, monkeypatch):
    pytest.importorskip("timm")
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    pets = class_folders(tmp_path / "pets", each=6)
    size = None if name.startswith("vit") else 64
    frozen = transfer(
        pets, f"timm/{name}", weights=None, image_size=size, run_dir=tmp_path / "frozen", quiet=True
    )
    assert (
        frozen.choices["mode"][0] == "frozen"
        and frozen.choices["features"][0] != "not kept"
        and len(frozen.history) == 1
    )
    one = open_run(frozen.folder).predict(pets / "cat" / "0.png")
    assert np.array_equal(one.probabilities, frozen.predict(pets / "cat" / "0.png").probabilities)
    whole = transfer(
        pets,
        f"timm/{name}",
        weights=None,
        image_size=size,
        mode="frozen_then_finetune",
        epochs=2,
        run_dir=tmp_path / "both",
        quiet=True,
    )
    assert whole.status == "finished" and len(whole.history) == 2
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.mark.parametrize("weights", ["default", None])
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_an_inception_is_made_again_as_its_weights_wanted_it(name, weights):
    pytest.importorskip("torchvision")
    net = LazyBackbone(name, weights=weights, classes=3, load=False).module
    assert net.transform_input is (weights is not None) and (net.aux_logits or name == "googlenet")
    again = remake(
        record({"backbone": name, "weights": weights, "head": "linear", "size": None}),
        None,
        net.state_dict(),
    )
    assert (
        same(net, again)
        and again.transform_input == net.transform_input
        and again.aux_logits == net.aux_logits
    )
