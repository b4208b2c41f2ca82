"""The layer table: what each layer puts out, how much it has to learn, and what is frozen."""

import torch
from torch import nn

from colab_kit.models.summary import summarise
from tests.support.tasks import Small

X = torch.rand(2, 3, 8, 8)


def test_layers_come_in_the_order_they_compute_in_with_shapes_and_parameters():
    found = summarise(Small(), X)
    assert [(x.name, x.kind, x.shape, x.parameters) for x in found.layers][:3] == [
        ("body.0", "Conv2d", (6, 6, 6), 168), ("body.1", "BatchNorm2d", (6, 6, 6), 12), ("body.2", "ReLU", (6, 6, 6), 0),
    ]  # fmt: skip
    assert found.parameters == sum(p.numel() for p in Small().parameters()) and found.frozen == 0


def test_frozen_layers_say_so():
    net = Small()
    net.body.requires_grad_(False)
    found = summarise(net, X)
    assert (
        found.frozen == 180
        and "168 frozen" in repr(found)
        and "1,763 learn, 180 are frozen" in repr(found)
    )


def test_it_leaves_no_trace():
    net = Small()
    net.train()
    net.fc.eval()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    modes, stream = [m.training for m in net.modules()], torch.random.get_rng_state()
    summarise(net, X)
    assert modes == [m.training for m in net.modules()] and torch.equal(
        stream, torch.random.get_rng_state()
    )
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


def test_a_layer_that_is_not_used_and_a_lone_layer_are_shown_too():
    net = Small()
    net.spare = nn.Linear(2, 2)
    assert summarise(net, X).layers[-1].shape is None
    (only,) = summarise(nn.Linear(4, 2), torch.rand(2, 4)).layers
    assert (only.name, only.shape) == ("(network)", (2,))


def test_names_are_escaped_in_html():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            setattr(self, "<b>", nn.Linear(4, 2))

        def forward(self, x):
            return getattr(self, "<b>")(x)

    assert "<b>" not in summarise(Odd(), torch.rand(2, 4))._repr_html_()
