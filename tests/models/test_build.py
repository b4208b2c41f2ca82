"""Networks made from what the user gave, and made again from a record."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from colab_kit.errors import ModelError
from colab_kit.models import nets
from colab_kit.models.build import LazyBackbone, is_lazy, make, materialise, remake


class Tiny(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(self.body(x)).mean((2, 3)))


def lazy() -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.Dropout(), nn.LazyLinear(3)
    )


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_a_module_is_taken_as_it_is():
    net = Tiny()
    assert make(net, 0) is net


def test_what_a_class_makes_depends_on_the_seed_alone():
    torch.manual_seed(1)
    first = make(Tiny, 5)
    torch.rand(7)
    assert (
        same(first, make(Tiny, 5))
        and same(first, make(lambda: Tiny(), 5))
        and not same(first, make(Tiny, 6))
    )


def test_making_leaves_the_users_random_numbers_alone():
    given, network = lazy(), Tiny(7)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    make(Tiny, 5)
    materialise(given, torch.zeros(2, 3, 8, 8), 5)
    LazyBackbone(network, weights=None, classes=2, image_size=16, seed=5)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("resnet18", "model= is a str"),
        (None, "model= is a NoneType"),
        (nn.Linear, "Linear cannot be made without arguments"),
        (lambda: "network", "model= made a str"),
    ],
)
def test_what_is_no_network_is_refused_with_the_line_to_write(model, said):
    with pytest.raises(ModelError, match=said) as error:
        make(model, 0)
    assert error.value.why and error.value.fix


def test_a_type_error_inside_the_network_is_not_swallowed():
    with pytest.raises(ModelError) as error:
        make(nn.Linear, 0)
    assert (
        isinstance(error.value.__cause__, TypeError)
        and "kit.train(Linear(…), data)" in error.value.fix
    )


def test_lazy_layers_get_weights_of_the_seed_and_lose_nothing_else():
    x = torch.rand(2, 3, 8, 8)
    a, b = lazy(), lazy()
    assert is_lazy(a) and materialise(a, x, 5) and not is_lazy(a)
    torch.rand(3)
    materialise(b, x, 5)
    assert same(a, b) and a.training and all(m.training for m in a.modules())
    assert float(a[1].running_mean.abs().sum()) == 0, "looking must not move BatchNorm"
    assert not materialise(Tiny(), x, 5)


def test_lazy_layers_behind_one_that_does_not_fit_say_so():
    with pytest.raises(ModelError, match="lazy layers cannot be made"):
        materialise(nn.Sequential(nn.Conv2d(1, 4, 3), nn.LazyLinear(3)), torch.rand(2, 3, 8, 8), 0)


def test_the_heads_weights_do_not_depend_on_what_making_the_backbone_drew():
    lazy_one = LazyBackbone(Tiny(7), weights=None, classes=2, image_size=16, seed=5)
    torch.rand(5)
    one, two = lazy_one.module, LazyBackbone(Tiny(9), classes=2, image_size=16, seed=5).module
    assert sorted(lazy_one.head_names) == ["fc.bias", "fc.weight"]
    assert torch.equal(one.fc.weight, two.fc.weight) and one.fc.out_features == 2


def record(made_by: object, classes: int = 3) -> dict:
    return {
        "name": "r",
        "model": {"made_by": made_by},
        "data": {"classes": list("abcdef"[:classes])},
    }


def test_a_small_net_is_made_again_without_its_code():
    net = nets.mlp(classes=3, inputs=12, hidden=(5, 4))
    again = remake(record(net.made_by), None, net.state_dict())
    assert same(net, again) and repr(again) == repr(net)


@pytest.mark.parametrize("head", ["linear", (6, 5)])
def test_a_backbone_with_its_new_head_is_made_again_from_what_json_kept(head):
    pytest.importorskip("timm")
    name = "efficientnet_lite0"
    net = LazyBackbone(name, weights=None, classes=3, image_size=32, head=head).module
    how = {
        "backbone": "efficientnet_lite0",
        "weights": "default",
        "head": list(head) if isinstance(head, tuple) else head,
        "size": 32,
    }
    assert same(net, remake(record(how), None, net.state_dict()))


def test_the_users_own_network_is_filled_with_the_runs_weights():
    net = Tiny()
    assert same(net, remake(record(None), Tiny, net.state_dict())) and same(
        net, remake(record(None), Tiny(), net.state_dict())
    )


def test_a_lazy_network_is_filled_with_the_runs_weights():
    net = lazy()
    materialise(net, torch.rand(2, 3, 8, 8), 0)
    assert same(net, remake(record(None), lazy, net.state_dict()))


def test_another_network_than_the_runs_is_refused():
    with pytest.raises(ModelError, match="does not fit the weights of run r") as error:
        remake(record(None), Tiny(5), Tiny().state_dict())
    assert "fc" in error.value.why


@pytest.mark.parametrize(("name", "size"), [("mlp", None), ("cnn", None), ("cnn", 20)])
def test_a_network_of_ours_is_made_to_fit_the_data(name, size):
    from colab_kit.data.loading import load
    from colab_kit.models.nets import NETS, fitted

    data = load(
        (torch.zeros(12, 3, 24, 24, dtype=torch.uint8), torch.arange(12) % 3), valid=0, quiet=True
    )
    side = size or 24
    assert fitted(NETS[name], data, size)()(torch.zeros(2, 3, side, side)).shape == (2, 3)
    mine = NETS[name](classes=5)
    assert fitted(mine, data, size) is mine, "what a person has made stays as it is"
