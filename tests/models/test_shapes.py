"""Which pictures a network can take: channels and sides, and files that are made to fit."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.parameter import is_lazy

from colab_kit.api import train
from colab_kit.errors import ModelError
from colab_kit.models.shapes import fitting_side, takes, wants_grey
from colab_kit.testing.fixtures import class_folders


def conv(channels, side=None, classes=2):
    """Give a network for so many channels; of a fixed side, or of any."""
    if side is None:
        end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)]
    else:
        end = [nn.Flatten(), nn.Linear(4 * side * side, classes)]
    return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), *end)


def flat(values, classes=2):
    return nn.Sequential(nn.Flatten(), nn.Linear(values, classes))


class Averaging(nn.Module):
    """A network that makes grey of colours itself."""

    def __init__(self):
        super().__init__()
        self.net = conv(1)

    def forward(self, x):
        return self.net(0.5 * x[:, :1] + 0.5 * x[:, 2:])


@pytest.mark.parametrize(
    ("model", "side", "grey"),
    [
        (conv(1), 28, True),
        (conv(3), 28, False),
        (conv(1, 32), 28, True),
        (flat(28 * 28), 28, True),
        (flat(3 * 28 * 28), 28, False),
        (flat(28 * 28), 32, False),
        (Averaging(), 28, False),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.LazyLinear(2)), 28, True),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), 28, False),
        (nn.Flatten(), 28, False),
    ],
)
def test_a_network_wants_grey_where_three_channels_do_not_go(model, side, grey):
    assert wants_grey(model, side) is grey


def test_trying_leaves_a_network_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten()).train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    state = torch.get_rng_state()
    assert takes(model, 1, 28) and not takes(model, 3, 28)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(m.training for m in model.modules()) and torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("model", "side"),
    [(conv(1, 28), 28), (conv(1, 64), 64), (flat(32 * 32), 32), (flat(31 * 31), None)],
)
def test_the_side_that_a_network_is_made_for_is_found(model, side):
    assert fitting_side(model, 1, 224) == side


def test_lazy_layers_get_no_shape_from_a_trial():
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
    assert fitting_side(model, 3, 224) is None and is_lazy(model[1].weight)


@pytest.mark.parametrize("model", [lambda: conv(1), lambda: flat(12 * 12)])
def test_files_are_made_grey_for_a_network_of_one_channel_and_said(tmp_path, model):
    root, notes = class_folders(tmp_path / "set", each=6, size=(12, 12)), []
    run = train(model, root, epochs=1, image_size=12, callbacks=[notes.append], quiet=True)
    assert run.record["preprocess"]["channels"] == 1
    assert any("made grey" in getattr(note, "text", "") for note in notes)
    grey = np.asarray(Image.open(root / "cat" / "0.png").convert("RGB")).mean(2).round()
    several = run.predict([root / "cat" / "0.png", Image.fromarray(grey.astype(np.uint8))])
    assert np.allclose(*several.probabilities, atol=0.02)
    assert run.evaluate("train").count == len(run.data.train)


def test_a_side_that_does_not_fit_is_named_in_the_fix(tmp_path):
    root = class_folders(tmp_path / "set", each=3)
    with pytest.raises(ModelError) as caught:
        train(conv(1, 28), root, epochs=1, quiet=True)
    assert "image_size=28" in caught.value.fix
