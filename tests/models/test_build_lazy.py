"""Lazy backbones: what an earlier call learned serves the next; the network is built when somebody asks."""

import pytest
import torch
from torch import nn

from colab_kit.data.preprocess import Preprocess
from colab_kit.models import build
from colab_kit.models.backbone_notes import BackboneNote
from colab_kit.models.backbones import Backbone
from colab_kit.models.build import LazyBackbone
from colab_kit.models.precision import Precision

NAME = "resnet18"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))


class Net(nn.Module):
    def __init__(self, last=None):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 9))
        self.last = last or nn.Identity()

    def forward(self, x):
        return self.last(self.fc(self.body(x).mean((2, 3))))


@pytest.fixture
def built(monkeypatch):
    """How often a named backbone was built: a small network stands in for it."""
    names = []

    def backbone(name, **how):
        names.append(name)
        torch.manual_seed(7)
        return Backbone(Net(), name, Preprocess(8, 3), 9)

    monkeypatch.setattr(build, "backbone", backbone)
    return names


def pictures(n=4):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_second_one_knows_all_and_builds_when_it_is_asked(built):
    one = LazyBackbone(NAME, classes=3)
    assert one.is_built and one.survey(pictures()) == "" and one.width == 6
    two = LazyBackbone(NAME, classes=3)
    assert built == [NAME] and not two.is_built
    for fact in ("name", "identity", "width", "layer", "preprocess", "head_names", "made_by"):
        assert getattr(one, fact) == getattr(two, fact), fact
    assert torch.equal(one.head.weight, two.head.weight), "drawn under the seed"
    assert two.module.get_submodule(two.layer) is two.head and built == [NAME, NAME]
    assert torch.equal(one.module.eval()(pictures()), two.module.eval()(pictures()))


def test_the_head_alone_has_its_full_name_and_takes_features(built):
    lazy = LazyBackbone(NAME, classes=3, seed=5)
    names = [name for name, _ in lazy.head_alone.named_parameters()]
    assert names == lazy.head_names == ["fc.1.weight", "fc.1.bias"]
    features = lazy.features(pictures(), Precision())
    assert features.shape == (4, 6) and lazy.linear is lazy.head
    answer = lazy.module.eval()(pictures())
    assert torch.allclose(lazy.head_alone(features), answer, atol=1e-5)


def test_a_head_of_several_layers_has_no_single_linear_one(built):
    lazy = LazyBackbone(NAME, classes=3, head=(5,))
    lazy.survey(pictures())
    again = LazyBackbone(NAME, classes=3, head=(5,))
    assert lazy.linear is None and lazy.layer == again.layer == "fc.1" and built == [NAME]
    for mine, other in zip(lazy.head.parameters(), again.head.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_features_leave_the_network_and_its_layout_as_they_are(built):
    lazy = LazyBackbone(NAME, classes=3)
    before = {k: v.clone() for k, v in lazy.module.state_dict().items()}
    lazy.survey(pictures())
    lazy.features(pictures(), Precision("fp32", True))
    assert all(torch.equal(before[k], v) for k, v in lazy.module.state_dict().items())
    assert lazy.module.body[0].weight.is_contiguous()


def test_each_precision_has_its_own_layout_whichever_was_tried_before(built):
    """Else weights would keep the layout of an option that was only measured."""
    lazy, plain, last = LazyBackbone(NAME, classes=3), Precision(), Precision("fp32", True)
    for how in (plain, last, plain, last):
        lazy.features(pictures(), how)
        convolution = next(m for m in lazy._headless_copy.modules() if isinstance(m, nn.Conv2d))
        assert convolution.weight.is_contiguous() == (not how.channels_last)


def test_what_features_cannot_replace_is_not_noted(monkeypatch):
    changed = Backbone(Net(nn.Tanh()), NAME, Preprocess(8, 3), 9)
    monkeypatch.setattr(build, "backbone", lambda name, **how: changed)
    lazy = LazyBackbone(NAME, classes=3)
    assert "changes the head's output" in lazy.survey(pictures()) and lazy.width == 0
    assert BackboneNote.find(NAME, None) is None


def test_weights_that_are_not_the_published_ones_are_neither_noted_nor_looked_up(built):
    for how in ({"weights": None}, {"use_notes": False}, {"head": nn.Linear(6, 3)}):
        lazy = LazyBackbone(NAME, classes=3, **how)
        assert not lazy.can_be_noted and lazy.survey(pictures()) == "" and lazy.identity
    assert BackboneNote.find(NAME, None) is None
    LazyBackbone(NAME, classes=3).survey(pictures())
    assert LazyBackbone(NAME, classes=3, use_notes=False).is_built


def test_a_network_of_ones_own_is_a_backbone_without_a_note():
    lazy = LazyBackbone(Net(), classes=3)
    assert lazy.made_by is None and lazy.name == "Net" and lazy.preprocess.size is None
