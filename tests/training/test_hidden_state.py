"""What no checkpoint holds: state outside of state_dict is named, draws that no key reaches are keyed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from colab_kit.api import train
from colab_kit.data.loading import load
from colab_kit.events import Control, Event, RunStarted, StepDone
from colab_kit.training.hidden_state import FIRST, Draws, HiddenState

cross_entropy = nn.functional.cross_entropy


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Counts(Net):
    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += self.training
        return self.net(x) * (1 + 0.01 * self.seen)


class CountsInAList(Net):
    def __init__(self) -> None:
        super().__init__()
        self.seen = [{"steps": 0}]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen[0]["steps"] += self.training
        return self.net(x) * (1 + 0.01 * self.seen[0]["steps"])


class Hidden(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen += 1
        return self.net(x) * (1 + 0.01 * float(self.seen))


class Averages(Net):
    """Its state is another tensor after each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.net(x)
        if self.training:
            self.mean = y.detach().mean(0) + (0 if self.mean is None else 0.9 * self.mean)
        return y if self.mean is None else y - 0.1 * self.mean


class Generates(Net):
    def __init__(self) -> None:
        super().__init__()
        self.own = [torch.Generator().manual_seed(1)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(x.shape, generator=self.own[0])
        return self.net(x + 0.1 * noise if self.training else x)


class KeepsWhatItSaw(Net):
    """Its attribute is there to be looked at."""

    last: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last = self.net(x)
        return self.last


class KeepsACache(Net):
    """As some backbones do: emptied for training, filled when it only looks."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[str, Any] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.cache.clear()
            return self.net(x)
        return self.cache.setdefault("bias", torch.zeros(3)) + self.net(x)


class KeepsATable(Net):
    """Its buffer never changes, and is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("places", torch.arange(3), persistent=False)
        self.mask = torch.tensor([float("-inf"), float("inf"), float("nan")])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.places.copy_(self.places.clone())  # written to, with what it holds
        return self.net(x)[:, self.places]


class Weighs(nn.Module):
    """A loss with a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.ones(3))

    def forward(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if output.requires_grad:
            self.frequency.mul_(0.9).add_(0.1 * torch.bincount(y, minlength=3))
        return cross_entropy(output, y, weight=1 / (self.frequency + 0.1))


class Sharpens:
    def __init__(self) -> None:
        self.t = 0

    def __call__(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.t += output.requires_grad
        return cross_entropy(output / (1 + 0.05 * self.t), y)


class Slow(torch.optim.SGD):
    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.01)
        self.k = 0

    def step(self, closure: Any = None) -> None:
        self.k += 1
        if self.k % 2:
            super().step()


class SlowWeights(torch.optim.SGD):
    """Its state is other tensors after each step, in an attribute."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.01)
        self.slow: Any = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        super().step()
        now = [p for group in self.param_groups for p in group["params"]]
        self.slow = [s.lerp(p, 0.5) for s, p in zip(self.slow or now, now, strict=True)]
        for p, s in zip(now, self.slow, strict=True):
            p.copy_(s)


class Wraps(torch.optim.Optimizer):
    """Gives the state of the optimizer that it wraps; loading gives each rates of its own."""

    def __init__(self, params: Any) -> None:
        self.inner = torch.optim.SGD(params, lr=0.01, momentum=0.9)
        super().__init__(self.inner.param_groups, {})
        self.param_groups = self.inner.param_groups

    def step(self, closure: Any = None) -> None:
        self.inner.step()

    def state_dict(self) -> dict[str, Any]:
        self.alias = self.inner.state
        return {**super().state_dict(), "inner": self.inner.state_dict(), (0, 1): torch.float32}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state["inner"])
        assert state[0, 1] == torch.float32
        super().load_state_dict({k: state[k] for k in ("state", "param_groups")})


class WrapsAndForgets(Wraps):
    """Gives a state without the one of the optimizer that it wraps."""

    def state_dict(self) -> dict[str, Any]:
        return torch.optim.Optimizer.state_dict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        torch.optim.Optimizer.load_state_dict(self, state)


class LoadsHalf(torch.optim.Adam):
    """Gives its state, and does not take it back."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.01)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({**state, "state": {}})


class RunningMean:
    """A loss whose state is another tensor after each pass that learns."""

    def __init__(self) -> None:
        self.mean: Any = None

    def __call__(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if output.requires_grad:
            now = output.detach().mean(0)
            self.mean = now if self.mean is None else 0.9 * self.mean + 0.1 * now
        return cross_entropy(output if self.mean is None else output - self.mean, y)


class KeepsItsLast:
    """A loss with an attribute that is there to be looked at."""

    last: Any = None

    def __call__(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.last = cross_entropy(output, y)
        return self.last


def by_random(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return cross_entropy(output * (1 + 0.1 * random.random()), y)


def by_numpy(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return cross_entropy(output, y, label_smoothing=float(np.random.uniform(0, 0.2)))


class DrawsInForward(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) * (1 + 0.1 * random.random() * self.training)


def draws_in_a_hook() -> Net:
    net = Net()
    net.net[1].register_forward_hook(lambda layer, x, y: y * (1 + 0.1 * np.random.rand()))
    return net


def draws_in_a_backward_hook() -> Net:
    net = Net()
    net.net[1].weight.register_hook(lambda grad: grad * (1 + 0.1 * random.random()))
    return net


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 256, (24, 3, 4, 4), dtype=np.uint8)
    return load((pictures, [i % 3 for i in range(24)]), valid=0, quiet=True)


def trained(
    data: Any,
    folder: Path,
    net: Any,
    loss: Any = None,
    optimizer: Any = None,
    stop: int = 0,
    every: int = 1,
) -> tuple[dict[str, torch.Tensor], RunStarted]:
    """The weights that a run ends with, new objects each time, and how it began."""
    control, heard = Control(), list[Event]()

    def hear(event: Event) -> None:
        heard.append(event)
        if isinstance(event, StepDone) and event.step == stop:
            control.stop("enough")

    torch.manual_seed(3)
    random.seed(len(str(folder)) + stop)
    np.random.seed(len(str(folder)) + stop)
    model = net()
    given = {"lr": 1e-2} if optimizer is None else {"optimizer": optimizer(model.parameters())}
    loss = loss() if isinstance(loss, type) else loss
    how: dict[str, Any] = {"epochs": 3, "batch_size": 4, "save_every_steps": every, "quiet": True}
    run = train(
        model, data, loss=loss, callbacks=[hear], control=control, run_dir=folder, **how, **given
    )
    began = next(event for event in heard if isinstance(event, RunStarted))
    return {name: t.clone() for name, t in run.model.state_dict().items()}, began


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(t, b[name]) for name, t in a.items())


KEEPS = {  # the network, the loss and the optimizer
    "a counter": (Counts,),
    "a counter in a list": (CountsInAList,),
    "a buffer that is not persistent": (Hidden,),
    "a tensor that is replaced": (Averages,),
    "a generator of its own": (Generates,),
    "a loss with a counter": (Net, Sharpens),
    "an optimizer with a counter": (Net, None, Slow),
    "an optimizer with other tensors": (Net, None, SlowWeights),
    "an optimizer that forgets the one it wraps": (Net, None, WrapsAndForgets),
    "an optimizer that does not take its state": (Net, None, LoadsHalf),
    "a loss with another tensor": (Net, RunningMean),
}
REPEATS = {
    "nothing": (Net,),
    "a tensor to look at": (KeepsWhatItSaw,),
    "a cache of tensors": (KeepsACache,),
    "a table that is not saved": (KeepsATable,),
    "a loss with a buffer": (Net, Weighs),
    "draws from random in the loss": (Net, by_random),
    "draws from numpy in the loss": (Net, by_numpy),
    "draws from random in forward": (DrawsInForward,),
    "draws from numpy in a hook": (draws_in_a_hook,),
    "draws from random in a hook of the gradients": (draws_in_a_backward_hook,),
    "an optimizer that wraps another": (Net, None, Wraps),
    "a loss with a tensor to look at": (Net, KeepsItsLast),
}


@pytest.mark.parametrize("kind", REPEATS)
def test_a_run_that_was_stopped_goes_on_to_the_same_bits_and_says_so(kind, data, tmp_path):
    whole, first = trained(data, tmp_path / "whole", *REPEATS[kind])
    trained(data, tmp_path / "cut", *REPEATS[kind], stop=11)
    cut, again = trained(data, tmp_path / "cut", *REPEATS[kind])
    assert (same(whole, cut), first.exact, again.exact) == (True, None, True)


@pytest.mark.parametrize("kind", KEEPS)
def test_a_run_whose_state_no_checkpoint_holds_does_not_promise_its_bits(kind, data, tmp_path):
    trained(data, tmp_path, *KEEPS[kind], stop=11)
    _, again = trained(data, tmp_path, *KEEPS[kind])
    assert again.exact is False


def test_state_that_is_seen_is_told_once(data, tmp_path):
    heard = list[Event]()
    train(Counts(), data, epochs=3, batch_size=4, callbacks=[heard.append], quiet=True)
    assert sum("Counts" in repr(e) or "seen" in getattr(e, "text", "") for e in heard) == 1


def test_the_users_own_streams_go_on_where_they_were(data, tmp_path):
    random.seed(7)
    np.random.seed(7)
    due = random.Random(7).random(), np.random.RandomState(7).rand()
    train(Net(), data, loss=by_random, epochs=1, batch_size=4, quiet=True)
    assert (random.random(), np.random.rand()) == due


def test_a_draw_that_comes_late_withdraws_the_promise(data, tmp_path):
    class Late(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls = getattr(self, "calls", 0) + self.training
            noise = random.random() if self.calls > FIRST + 4 else 0
            return self.net(x) * (1 + 0.1 * noise)

    trained(data, tmp_path, Late, stop=FIRST + 7)
    assert "random" in trained(data, tmp_path, Late)[1].why


def test_draws_while_it_validates_repeat(tmp_path):
    class Guesses(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.net(x)
            return y if self.training else y + random.random() + torch.from_numpy(np.random.rand(3))

    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (32, 3, 4, 4), dtype=np.uint8)
    data = load((pixels, [i % 3 for i in range(32)]), valid=0.25, quiet=True)
    for folder, stop in (("whole", 0), ("cut", 13), ("cut", 0)):
        trained(data, tmp_path / folder, Guesses, stop=stop, every=20)
    whole, cut = (tmp_path / folder / "history.csv" for folder in ("whole", "cut"))
    assert whole.read_text() == cut.read_text()


def test_a_draw_in_one_of_a_steps_batches_is_seen():
    draws = Draws([])
    draws.key(0, 1)
    random.random()
    draws.key(0, 2)
    assert draws.look() == ["random"]


def test_a_draw_between_two_steps_is_nobodys():
    draws = Draws([])
    for step in range(2):
        draws.key(0, step)
        assert draws.look() == []
        random.random()
        draws.key(0, step, watched=False)
        random.random()


def test_the_first_steps_alone_are_looked_at():
    draws = Draws([])
    for step in range(FIRST + 3):
        draws.key(0, step)
        draws.look()
    assert draws.looks == 0


@pytest.mark.parametrize(("name", "draw"), [("random", random.random), ("numpy", np.random.rand)])
def test_a_generator_that_is_drawn_from_is_named_once(name, draw):
    draws, found = Draws([]), []
    for step in range(3):
        draws.key(0, step)
        draw()
        found += draws.look()
    assert found == [name]


def test_what_a_checkpoint_holds_is_not_named():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    optimizer = torch.optim.AdamW(net.parameters())
    state = HiddenState({"the network": net, "optimizer": optimizer})
    for _ in range(2):
        net(torch.rand(4, 2)).sum().backward()
        optimizer.step()
    assert state.changed(lambda: False) == []


def test_two_passes_are_made_less_and_less_often():
    net, asked = KeepsWhatItSaw(), []
    state = HiddenState({"the network": net})
    for look in range(1, 20):
        net(torch.rand(2, 3, 4, 4))
        state.changed(lambda look=look: asked.append(look) or True)
    assert asked == [1, 2, 4, 8, 16]
