"""Frozen features: computed once a view, kept whole group by group, the same to the bit after a kill."""

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.data.batches import Batch
from colab_kit.models.build import LazyBackbone
from colab_kit.models.features import Features, features_width, headless
from colab_kit.models.heads import main_layer
from colab_kit.models.precision import Precision
from tests.support.devices import META, Fetches

ROWS, BOUNDS = np.arange(10), [(0, 4), (4, 8), (8, 10)]


class Net(nn.Module):
    def __init__(self, last=None):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 4))
        self.last = last or nn.Identity()

    def forward(self, x):
        return self.last(self.fc(self.body(x).mean((2, 3))))


def batches(first=0, missing=()):
    draw = torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for start, stop in BOUNDS[first:]:
        rows = np.array([r for r in range(start, stop) if r not in missing], np.int64)
        yield Batch(draw[rows], torch.zeros(len(rows), dtype=torch.int64), rows)


def extractor():
    torch.manual_seed(1)
    backbone = LazyBackbone(Net(), classes=4, image_size=8)
    return lambda x: backbone.features(x, Precision())


def kept(tmp_path, key="key"):
    return Features(tmp_path, key, ROWS, 6, BOUNDS)


def test_the_head_is_the_innermost_part_that_holds_all_of_it():
    assert main_layer(Net(), ["fc.1.weight", "fc.1.bias"]) == "fc.1"
    deep = nn.ModuleDict(
        {
            "fc": nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Sequential(nn.Linear(4, 2))),
            "aux": nn.Linear(6, 2),
        }
    )
    assert main_layer(deep, [name for name, _ in deep.named_parameters()]) == "fc"
    assert (
        main_layer(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Linear(4, 2)), ["1.weight", "1.bias"])
        == "1"
    )


def test_features_are_what_the_head_is_given():
    net, x = Net().eval(), torch.randn(3, 3, 8, 8)
    assert features_width(net, "fc", x) == (6, "")
    with headless(net, "fc"):
        features = net(x)
    assert features.shape == (3, 6) and torch.equal(net.fc(features), net(x))
    assert net(x).shape == (3, 4)


class Two(nn.Module):
    """The mean of two heads is the answer."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, x):
        x = x.mean((2, 3)).repeat(1, 2)
        return (self.one(x) + self.two(x)) / 2


@pytest.mark.parametrize(
    ("net", "head"), [(Net(nn.Tanh()), "fc"), (Two(), "one"), (Net(nn.Linear(4, 4)), "fc")]
)
def test_a_head_that_is_no_last_step_has_no_features(net, head):
    width, why = features_width(net, head, torch.randn(2, 3, 8, 8))
    assert width == 0 and "changes the head's output" in why


def test_a_head_on_a_map_has_no_features():
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    width, why = features_width(net, "1", torch.randn(2, 3, 8, 8))
    assert width == 0 and "works on a map" in why


def test_what_was_computed_is_there_for_the_next_one(tmp_path):
    extract, asked = extractor(), []
    first = kept(tmp_path)
    first.compute(batches(), lambda x: asked.append(len(x)) or extract(x), lambda done: True)
    again = kept(tmp_path)
    assert (
        first.whole
        and again.whole
        and asked == [4, 4, 2]
        and torch.equal(first.values, again.values)
    )
    assert not kept(tmp_path, "another").done


def test_a_pass_that_was_stopped_goes_on_after_the_last_whole_group(tmp_path):
    extract = extractor()
    whole = Features(tmp_path / "other", "key", ROWS, 6, BOUNDS)
    whole.compute(batches(), extract, lambda done: True)
    half = kept(tmp_path)
    half.compute(batches(), extract, lambda done: done < 1)
    assert half.done == 1
    half._store.put(
        5, half._values[5]
    )  # a row of the next group: a kill came in the middle of writing it
    again = kept(tmp_path)
    assert again.done == 1 and not again.whole
    again.compute(batches(1), extract, lambda done: True)
    assert torch.equal(again.values, whole.values)


@pytest.mark.parametrize(
    ("seconds", "waits", "stop"), [(0.0, 1, 3), (0.04, 1, 3), (0.11, 3, 3), (0.0, 1, 2)]
)
def test_an_accelerator_is_waited_for_every_tenth_of_a_second(tmp_path, seconds, waits, stop):
    """And at the end, or where the pass is stopped: what was computed is kept."""
    ticks, found = iter(seconds * n for n in range(99)), kept(tmp_path)
    with Fetches() as fetches:
        extract, told = lambda x: torch.empty(len(x), 6, device=META), list[int]()
        found.compute(
            batches(),
            extract,
            lambda done: told.append(done) or done < stop,
            clock=lambda: next(ticks),
        )
    assert fetches.places == {"models/features.py: _fetch": waits}
    assert told == [1, 2, 3][:stop] and kept(tmp_path).done == found.done == stop


def test_rows_of_damaged_pictures_are_nan_and_stay_so(tmp_path):
    extract = extractor()
    found = kept(tmp_path)
    found.compute(batches(missing=(5, 8, 9)), extract, lambda done: True)
    bad = kept(tmp_path).values.isnan().any(1)
    assert found.whole and bad.nonzero().flatten().tolist() == [5, 8, 9]


def test_without_room_on_the_disk_they_live_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("colab_kit.models.features.open_store", lambda *a, **k: "no room")
    extract, found = extractor(), kept(tmp_path)
    found.compute(batches(), extract, lambda done: True)
    assert found.whole and found.values.isfinite().all() and not kept(tmp_path).done
