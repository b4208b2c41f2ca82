"""Folding: the same outputs from fewer layers, and the network itself as it was."""

import copy

import torch
from torch import nn

from colab_kit.models.features import folded


class Block(nn.Module):
    """A convolution whose output goes to a BatchNorm, and one whose output goes elsewhere too."""

    def __init__(self):
        super().__init__()
        self.a, self.na = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.b, self.nb = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = self.na(self.a(x)).relu()
        y = self.b(x)
        return self.fc((self.nb(y) + y).mean((2, 3)))


def trained(net):
    """Statistics and weights that are not the ones a network begins with."""
    torch.manual_seed(0)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            (
                m.running_mean.normal_(),
                m.running_var.uniform_(0.3, 2),
                m.weight.data.normal_(),
                m.bias.data.normal_(),
            )
    return net.eval()


def test_a_batchnorm_goes_into_the_convolution_that_feeds_it():
    net = trained(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 4, 1),
            nn.BatchNorm2d(4),
        )
    )
    x = torch.randn(2, 3, 9, 9)
    before = copy.deepcopy(net.state_dict())
    made, folds = folded(net, x)
    assert folds == 2 and not [m for m in made.modules() if isinstance(m, nn.BatchNorm2d)]
    assert torch.allclose(made(x), net(x), atol=1e-5)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_a_fold_that_changes_the_output_is_not_made():
    net, x = trained(Block()), torch.randn(2, 3, 9, 9)
    made, folds = folded(net, x)  # b's output is used beside its BatchNorm too
    assert (made, folds) == (net, 0)


def test_timms_batchnorm_keeps_its_activation():
    timm = __import__("pytest").importorskip("timm")
    net = trained(timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=5))
    x = torch.randn(2, 3, 64, 64)
    made, folds = folded(net, x)
    assert folds == 49 and torch.allclose(made(x), net(x), atol=1e-3 * float(net(x).abs().max()))


def test_a_convolution_that_runs_twice_is_left_alone():
    conv, norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
    net = trained(nn.Sequential(conv, conv, norm))
    assert folded(net, torch.randn(1, 3, 5, 5)) == (net, 0)
