import copy
import json

import pytest
import torch

from colab_kit.data.loading import load
from colab_kit.errors import ModelError
from colab_kit.models import nets

from ..support.pictures import class_folders


def test_the_mlp_has_the_layers_it_promises():
    net = nets.mlp()
    widths = [
        (layer.in_features, layer.out_features)
        for layer in net
        if isinstance(layer, torch.nn.Linear)
    ]
    assert widths == [(784, 256), (256, 128), (128, 64), (64, 10)]
    assert [layer.p for layer in net if isinstance(layer, torch.nn.Dropout)] == [0.25] * 3
    assert net(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_an_mlp_without_hidden_layers_is_a_linear_classifier():
    net = nets.mlp(classes=3, inputs=12, hidden=())
    assert sum(p.numel() for p in net.parameters()) == 12 * 3 + 3


@pytest.mark.parametrize(
    ("size", "channels"), [(16, 1), (28, 1), (32, 3), (63, 3), (64, 3), (96, 1), (224, 3)]
)
def test_the_cnn_takes_any_size_from_16_and_trains(size, channels):
    net = nets.cnn(classes=7, channels=channels, size=size)
    out = net(torch.rand(2, channels, size, size))
    assert out.shape == (2, 7)
    out.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_cnn_takes_another_size_than_it_was_made_for():
    assert nets.cnn(size=28).eval()(torch.rand(2, 1, 41, 37)).shape == (2, 10)


def test_the_cnn_learns_what_no_single_pixel_tells():
    torch.manual_seed(0)
    x = torch.rand(64, 1, 16, 16) * 0.2
    y = torch.arange(64) % 2
    for i in range(64):  # class 1 holds a lying bar, class 0 a standing one, anywhere
        at = int(torch.randint(2, 12, ()))
        x[i, 0, at, 4:12] += y[i]
        x[i, 0, 4:12, at] += 1 - y[i]
    net = nets.cnn(classes=2, size=16, dropout=0.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(15):
        loss = torch.nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (net(x).argmax(1) == y).float().mean() > 0.95


@pytest.mark.parametrize("name", nets.NETS)
def test_a_net_is_made_again_from_what_it_remembers(name):
    net = nets.build(name, classes=4, channels=3, size=20, dropout=0.5)
    memory = json.loads(json.dumps(copy.deepcopy(net).made_by))
    again = nets.NETS[memory["net"]](**memory["args"])
    again.load_state_dict(net.state_dict())
    x = torch.rand(2, 3, 20, 20)
    assert torch.equal(net.eval()(x), again.eval()(x))
    assert repr(again) == repr(net) and again.made_by == net.made_by


@pytest.mark.parametrize(
    ("name", "near"), [("MLP", "'mlp'"), ("cn", "'cnn'"), ("resnet18", "mlp, cnn")]
)
def test_an_unknown_net_names_the_nearest(name, near):
    with pytest.raises(ModelError) as caught:
        nets.build(name, classes=2, channels=1, size=28)
    assert near in caught.value.fix


def test_an_unknown_option_and_a_tiny_picture_are_explained():
    with pytest.raises(ModelError, match="depth"):
        nets.build("cnn", classes=2, channels=1, size=28, depth=3)
    with pytest.raises(ModelError, match="8 pixels"):
        nets.build("cnn", classes=2, channels=1, size=8)


@pytest.mark.parametrize("make", [nets.cnn, nets.mlp])
def test_layers_are_drawn_in_the_order_in_which_a_picture_passes_them(make):
    torch.manual_seed(3)
    net = make()
    torch.manual_seed(3)
    for layer in net.modules():  # in the order of the forward pass
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            weights = layer.weight.detach().clone()
            layer.reset_parameters()
            assert torch.equal(layer.weight, weights)


def test_a_small_network_fits_files_of_which_the_first_is_damaged(tmp_path):
    data = load(class_folders(tmp_path, each=4), valid=0, quiet=True)
    first = data.train.paths[0]
    first.write_bytes(first.read_bytes()[:60])
    assert nets.fitted(nets.mlp, data, 8)()[1].in_features == 8 * 8 * 3
