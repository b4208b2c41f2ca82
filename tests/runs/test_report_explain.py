"""Explaining: the map lights where the class is, and the worst come first."""

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.errors import ModelError
from colab_kit.runs.report import grad_cam, laid_over, three, worst


class Brightness(nn.Module):
    """Class 1 is what is bright on the left, class 0 on the right."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1, bias=False)
        self.conv.weight.data.fill_(1 / 27)

    def forward(self, x):
        found = self.conv(x)
        wide = x.shape[-1] // 2
        return (
            torch.stack([found[..., wide:].mean((1, 2, 3)), found[..., :wide].mean((1, 2, 3))], 1)
            * 10
        )


def lit(left):
    x = torch.zeros(1, 3, 8, 8)
    x[..., : 4 if left else 8] = 1.0
    if not left:
        x[..., :4] = 0
    return x


def test_the_map_is_bright_where_the_class_is():
    net = Brightness().eval()
    cam, said = grad_cam(net, lit(True))
    assert (
        said == 1
        and cam.shape == (8, 8)
        and cam.max() == 1
        and cam[:, :3].mean() > 10 * max(1e-6, cam[:, 5:].mean())
    )
    cam, said = grad_cam(net, lit(True), 0)
    assert said == 0


def test_the_network_keeps_flags_and_gradients():
    net = Brightness().eval()
    grad_cam(net, lit(False))
    assert net.conv.weight.grad is None and not net.training and not net.conv._forward_hooks


def test_a_network_without_a_convolution_near_its_end_has_no_map():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 4, 4),
        nn.Flatten(),
        *[nn.Sequential(nn.Linear(16, 16), nn.ReLU()) for _ in range(3)],
        nn.Linear(16, 2),
    )
    with pytest.raises(ModelError, match="(?s)no map to look at.*resnet18"):
        grad_cam(net.eval(), torch.zeros(1, 3, 8, 8))


def test_the_worst_come_first_and_equals_in_their_order():
    assert worst(np.array([0.1, 1.6, 0.7, 0.1]), 3) == [(1, 1.6), (2, 0.7), (0, 0.1)]


def test_a_map_is_laid_over_a_picture_of_any_size():
    picture = np.full((30, 20, 3), 100, np.uint8)
    cam = np.zeros((4, 4), np.float32)
    cam[:, 0] = 1
    over = laid_over(picture, cam)
    assert over.shape == picture.shape and over[15, 0, 0] > 150 > over[15, 19, 0]
    assert (
        three(np.zeros((3, 4), np.uint8)).shape
        == three(np.zeros((3, 4, 4), np.uint8)).shape
        == (3, 4, 3)
    )
