"""Inference: who looks changes no number, and what was looked at is not computed again."""

import os
import resource

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.data.batches import Batch, BatchLoader
from colab_kit.data.dataset import Split
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays
from colab_kit.events import Control, LookProgress, Note
from colab_kit.models import inference
from colab_kit.models.build import LazyBackbone
from colab_kit.models.inference import Inference, Watch
from colab_kit.models.precision import Precision, takes_channels_last
from tests.support.devices import META, Fetches

CPU = torch.device("cpu")


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x).mean((2, 3)))


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))


def loader(n=21, batch_size=4) -> BatchLoader:
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 3, 8, 8), dtype=np.uint8))
    split = Split(Arrays(x, np.arange(n) % 2), np.arange(n), "valid")
    return BatchLoader(
        split, Preprocess(8, channels=3, crop=1.0), batch_size=batch_size, device=CPU
    )


def watch(feed: BatchLoader, **more) -> Watch:
    return Watch("valid", len(feed.split), **more)


def surveyed() -> LazyBackbone:
    made = LazyBackbone(Backbone(), classes=2)
    made.survey(torch.rand(2, 3, 8, 8))
    return made


@pytest.fixture
def passes(monkeypatch):
    """How many pictures went through a backbone for features."""
    seen: list[int] = []
    whole = LazyBackbone.features
    monkeypatch.setattr(
        LazyBackbone, "features", lambda self, x, how: (seen.append(len(x)), whole(self, x, how))[1]
    )
    return seen


def test_a_frozen_backbone_and_all_of_its_network_say_the_same():
    made, feed = surveyed(), loader()
    frozen = Inference(lambda: made, CPU).split(feed, watch(feed), "print")
    plain = Inference(lambda: made.module, CPU).split(feed, watch(feed), "print")
    torch.testing.assert_close(frozen.outputs, plain.outputs, rtol=1e-4, atol=1e-5)
    assert frozen.rows.tolist() == plain.rows.tolist() == list(range(21))
    assert frozen.labels.tolist() == plain.labels.tolist() and frozen.seen == plain.seen == 21


def test_a_second_look_at_a_known_split_computes_no_features_also_in_another_session(passes):
    made, feed = surveyed(), loader()
    first = Inference(lambda: made, CPU)
    once = first.split(feed, watch(feed), "print").outputs
    assert sum(passes) == 21
    again = first.split(loader(), watch(feed), "print").outputs
    later = Inference(lambda: made, CPU).split(loader(), watch(feed), "print").outputs
    assert sum(passes) == 21
    assert torch.equal(once, again) and torch.equal(once, later)


def test_features_of_unknown_data_are_not_kept(passes):
    made, feed = surveyed(), loader()
    look = Inference(lambda: made, CPU)
    for _ in range(2):
        look.split(feed, watch(feed))
    assert sum(passes) == 42


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.body[0].weight.mul_(0),
        lambda net: setattr(net.body, "0", nn.Conv2d(3, 8, 3, bias=False)),
        lambda net: net.load_state_dict({k: v * 2 for k, v in net.state_dict().items()}),
        lambda net: net.train()(torch.rand(4, 3, 8, 8)),
        lambda net: net.body[0].weight.data.mul_(0),
    ],
    ids=["in place", "another layer", "other weights", "statistics", "data"],
)
def test_a_network_that_is_changed_later_is_asked_itself(change):
    made, feed = surveyed(), loader()
    look = Inference(lambda: made, CPU)
    before = look.split(feed, watch(feed), "print").outputs
    with torch.no_grad():
        change(look.model)
    after = look.split(feed, watch(feed), "print").outputs
    plain = Inference(lambda: made.module, CPU).split(feed, watch(feed)).outputs
    assert torch.equal(after, plain) and not torch.equal(after, before)


@pytest.mark.parametrize("fingerprint", ["", "print"])
def test_stop_ends_a_look_with_what_is_there_and_it_goes_on_from_there(fingerprint, passes):
    made, control = surveyed(), Control()
    notes: list[Note] = []
    feed = loader()
    seen = watch(feed, emit=notes.append, control=control)
    control.stop()
    look = Inference(lambda: made, CPU)
    found = look.split(feed, seen, fingerprint)
    seen.end()
    assert found.seen == 4 and found.rows.tolist() == [0, 1, 2, 3] and len(notes) == 1
    assert len(look.split(feed, watch(feed), fingerprint).rows) == 21
    assert sum(passes) == (21 if fingerprint else 25)


def test_a_look_says_how_far_it_is_once_it_takes_more_than_two_seconds():
    now, heard = [0.0], list[LookProgress]()
    seen = Watch("test", 100, heard.append, clock=lambda: now[0])
    for done in (10, 20, 30):
        now[0] += 0.9
        assert seen(done)
    seen.end()
    (one, end) = heard
    assert (one.done, one.total) == (30, 100) and one.left == pytest.approx(2.7 / 30 * 70)
    assert end.done == end.total
    quick = Watch("test", 100, heard.append, clock=lambda: 0.0)
    quick(100)
    quick.end()
    assert len(heard) == 2


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux says what is held")
def test_the_memory_of_a_look_does_not_grow_with_its_batches():
    many, held = 160, list[int]()

    def batches():
        for number in range(many):
            x = torch.rand(8, 3, 128, 128)
            yield Batch(x, torch.zeros(8, dtype=torch.int64), np.arange(8 * number, 8 * number + 8))

    class Measured(Watch):
        def __call__(self, done):
            with open("/proc/self/statm", encoding="ascii") as file:
                held.append(int(file.read().split()[1]) * resource.getpagesize())
            return True

    bounds = [(8 * number, 8 * number + 8) for number in range(many)]
    asked = Inference(Backbone, CPU)
    found = asked.over(batches(), bounds, lambda x: x.mean((2, 3)), Measured("valid", 8 * many))
    assert found.outputs.shape == (8 * many, 3) and (found.rows == np.arange(8 * many)).all()
    assert held[-1] - held[many // 4] < 16 << 20  # a batch takes 1.5 MB


def test_where_memory_runs_out_a_batch_is_computed_in_pieces():
    sizes: list[int] = []

    class Small(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            if len(x) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return x.mean((2, 3))

    feed = loader(16, 8)
    found = Inference(Small, CPU).split(feed, watch(feed))
    assert len(found.outputs) == 16 and sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]


def test_a_network_that_draws_random_numbers_draws_the_same_each_time_and_disturbs_nobody():
    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)) + torch.rand(len(x), 1)

    feed, look = loader(), Inference(Noisy, CPU, seed=1)
    torch.manual_seed(0)
    first, then = look.split(feed, watch(feed)).outputs, torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(look.split(feed, watch(feed)).outputs, first)
    assert torch.equal(torch.rand(1), then)


def test_a_network_that_views_its_input_does_not_take_channels_last():
    class Views(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(len(x), -1)

    x = torch.rand(2, 3, 8, 8)
    assert not takes_channels_last(Views(), x) and takes_channels_last(nn.Flatten(), x)


def test_scores_are_float32_whatever_the_network_computes_in():
    x = torch.rand(5, 3, 8, 8)
    plain = Inference(Backbone, CPU).scores(x)
    for name in ("bf16", "fp32 channels_last"):
        found = Inference(Backbone, CPU, Precision.named(name)).scores(x)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, plain, rtol=0.05, atol=0.02)
    assert inference.primary((plain, plain)) is plain


def test_whether_somebody_changed_a_network_is_one_wait_for_the_device():
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(5)]).to(META)
    with Fetches() as fetches:
        inference._marks(model)
    assert sum(fetches.places.values()) == 1
