"""The mistakes a student makes: each is found before the first step, in words, and correct
set-ups raise no alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import colab_kit as kit
from colab_kit.api import preflight, train, transfer
from colab_kit.data.dataset import Data, Split, stratified
from colab_kit.data.sources import Arrays
from colab_kit.errors import ColabKitError
from colab_kit.events import Note, StepDone
from tests.support.pictures import class_folders
from tests.support.tasks import Small, small_data


def net(classes: int = 3, *last: nn.Module, inputs: int = 192) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, classes), *last
    )


def arrays(
    classes: int = 3,
    n: int = 60,
    channels: int = 3,
    counts: tuple[int, ...] = (),
    kind: Any = torch.uint8,
    seed: int = 0,
) -> Data:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts) if counts else np.arange(n) % classes
    x = torch.from_numpy(rng.integers(0, 256, (len(y), channels, 8, 8), dtype=np.uint8))
    if kind.is_floating_point:
        x = (x.to(kind) - 128) / 64
    names = tuple(f"c{i}" for i in range(max(classes, len(counts))))
    kept, drawn = stratified(y, 0.2, seed)
    key = f"{seed} {len(y)} {classes} {counts}"
    return Data(
        Split(Arrays(x, y), kept), Split(Arrays(x, y), drawn, "valid"), None, names, "arrays", key
    )


def train_test_overlap() -> Data:
    data = arrays()
    return Data(
        data.train,
        data.valid,
        Split(data.train.source, data.train.rows[:5], "test"),
        data.classes,
        "x",
        "x",
    )


def one_class_valid() -> Data:
    data = arrays()
    labels = data.train.source.labels
    rows = np.arange(len(labels))
    return Data(
        Split(data.train.source, rows[labels != 0]),
        Split(data.train.source, rows[labels == 0], "valid"),
        None,
        data.classes,
        "x",
        "x",
    )


def frozen() -> nn.Module:
    return net().requires_grad_(False)


def other_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(net().parameters())


class Mine(nn.NLLLoss):
    """A student's own."""


X, Y = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), np.arange(60) % 3

MISTAKES: dict[str, tuple[Callable[[], Any], Callable[[], Any], dict[str, Any], str]] = {
    "Softmax + CrossEntropy": (
        lambda: net(3, nn.Softmax(1)),
        arrays,
        {"loss": nn.CrossEntropyLoss()},
        "ends in Softmax",
    ),
    "LogSoftmax + CrossEntropy": (
        lambda: net(3, nn.LogSoftmax(1)),
        arrays,
        {"loss": nn.CrossEntropyLoss()},
        "ends in LogSoftmax",
    ),
    "logits + NLLLoss": (net, arrays, {"loss": nn.NLLLoss()}, "needs log-probabilities"),
    "NLLLoss uninstantiated, over logits": (
        net,
        arrays,
        {"loss": nn.NLLLoss},
        "needs log-probabilities",
    ),
    "logits + nll_loss, the function": (
        net,
        arrays,
        {"loss": nn.functional.nll_loss},
        "needs log-probabilities",
    ),
    "logits + a class of NLLLoss's kind": (net, arrays, {"loss": Mine}, "needs log-probabilities"),
    "logits + a lambda of nll_loss": (
        net,
        arrays,
        {"loss": lambda o, y: nn.functional.nll_loss(o, y)},
        "falls without end",
    ),
    "Softmax + cross_entropy, the function": (
        lambda: net(3, nn.Softmax(1)),
        arrays,
        {"loss": nn.functional.cross_entropy},
        "ends in Softmax",
    ),
    "probabilities + NLLLoss": (
        lambda: net(3, nn.Softmax(1)),
        arrays,
        {"loss": "nll"},
        "needs log-probabilities",
    ),
    "102 classes into a 10-wide head": (
        lambda: net(10),
        lambda: arrays(102, 408),
        {},
        "make the last layer nn.Linear(…, 102)",
    ),
    "optimizer of another model": (
        net,
        arrays,
        {"optimizer": other_optimizer},
        "holds no parameter of this model",
    ),
    "frozen everything": (frozen, arrays, {}, "no parameter that can learn"),
    "train/test overlap": (
        net,
        train_test_overlap,
        {},
        "5 pictures of the test split are in the training split too",
    ),
    "all-one-class validation": (net, one_class_valid, {}, "validation split has one class only"),
    "uneven classes": (net, lambda: arrays(counts=(100, 10, 30)), {}, 'class_weights="auto"'),
    "a class without pictures": (
        lambda: net(4),
        lambda: arrays(4, counts=(20, 20, 20)),
        {},
        "No picture of c3",
    ),
    "floats from 0 to 255": (
        net,
        lambda: scaled(arrays(kind=torch.float32), 64.0, 128.0),
        {},
        "The first loss is",
    ),
    "NaN in the arrays": (
        net,
        lambda: scaled(arrays(kind=torch.float32), float("nan")),
        {},
        "not finite",
    ),
    "a network that is dead": (
        lambda: nn.Sequential(net(), Dead()),
        arrays,
        {},
        "the same answer for every picture",
    ),
    "a network that puts out NaN": (
        lambda: nn.Sequential(net(), Lost()),
        arrays,
        {},
        "puts out NaN",
    ),
    "pictures of another shape": (
        lambda: net(inputs=75),
        arrays,
        {},
        "cannot take pictures of shape",
    ),
    "a detach in forward": (
        lambda: nn.Sequential(net(), Detached()),
        arrays,
        {},
        "No weight of the network can learn",
    ),
    "argmax in forward": (
        lambda: nn.Sequential(net(), Argmax()),
        arrays,
        {},
        "No weight of the network can learn",
    ),
    "BatchNorm over single pictures": (
        lambda: nn.Sequential(net(8), nn.BatchNorm1d(8), nn.Linear(8, 3)),
        arrays,
        {"batch_size": 1},
        "BatchNorm cannot learn from a single value",
    ),
    "labels beyond the classes": (net, lambda: labels_from_one(), {}, "outside 0 to 2"),
}


class Dead(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0 + torch.tensor([1.0, 2.0, 3.0])


class Lost(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.abs().sum() + torch.log(-x.abs() - 1)


class Detached(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()


class Argmax(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(x.argmax(1), 3).float()


def scaled(data: Data, factor: float, more: float = 0.0) -> Data:
    data.train.source.x.mul_(factor).add_(more)
    return data


def labels_from_one() -> Data:
    data = arrays()
    source = Arrays(data.train.source.x, data.train.source.labels + 1)
    return Data(
        Split(source, data.train.rows),
        Split(source, data.valid.rows, "valid"),
        None,
        data.classes,
        "x",
        "x",
    )


def built(given: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    return {k: v(model) if v is other_optimizer else v for k, v in given.items()}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_found_before_the_first_step_with_the_right_sentence(name):
    make, data, given, words = MISTAKES[name]
    model, heard = make(), []
    try:
        train(
            model,
            data(),
            run_dir="run",
            callbacks=[heard.append],
            quiet=True,
            epochs=1,
            **built(given, model),
        )
        said = []
        for event in heard:
            if isinstance(event, StepDone):
                break
            said += [event.text] if isinstance(event, Note) else []
    except ColabKitError as err:
        said = [str(err)]
        assert not any(isinstance(event, StepDone) for event in heard)
    if name != "LogSoftmax + CrossEntropy":  # it trains right: preflight() alone speaks of it
        assert any(words in text for text in said), said
    found = preflight(make(), data(), **built(given, model))
    assert any(words in f"{finding} {finding.fix}" for finding in found.findings), found
    assert found.ok == any(isinstance(event, StepDone) for event in heard)


def test_labels_from_one_and_one_hot_labels_are_read_as_what_they_mean():
    one_hot = np.eye(3, dtype=np.int64)[Y]
    assert kit.load((X, Y + 1), quiet=True).classes == ("1", "2", "3")
    for labels in (one_hot, one_hot.astype(np.float32)):
        data = kit.load((X, labels), quiet=True)
        assert len(data.classes) == 3 and preflight(net(), data).ok


def test_grey_pictures_for_weights_that_want_colours_are_said_and_taken():
    grey = kit.load((X[..., 0], Y), quiet=True)
    found = preflight("efficientnet_lite0", grey, image_size=32)
    assert found.ok and any("grey" in finding.what for finding in found.findings)
    assert (
        transfer(
            grey, "efficientnet_lite0", image_size=32, epochs=1, quiet=True, run_dir="run"
        ).status
        == "finished"
    )


Q, R = nn.CrossEntropyLoss, nn.ReLU


class Aux(nn.Module):
    """Auxiliary scores while it trains, as Inception's."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = net(), net()

    def forward(self, x: torch.Tensor) -> Any:
        return (self.one(x), self.two(x)) if self.training else self.one(x)


def half_frozen() -> nn.Module:
    model = Small()
    model.body.requires_grad_(False)
    return model


def own_adam(model: nn.Module) -> dict[str, Any]:
    return {"optimizer": torch.optim.Adam(model.parameters(), lr=1e-3)}


def zero_head(*last: nn.Module, prior: float = 0.0) -> nn.Module:
    model = net(3, *last)
    nn.init.zeros_(model[3].weight)
    model[3].bias.data.copy_(prior * torch.arange(3))
    return model


CORRECT: dict[str, tuple[Callable[[], Any], Callable[[], Any], Any]] = {
    "logits, loss by itself": (net, arrays, {}),
    "logits, cross-entropy by name": (net, arrays, {"loss": "cross_entropy"}),
    "logits, CrossEntropyLoss()": (net, arrays, {"loss": Q()}),
    "logits, CrossEntropyLoss": (net, arrays, {"loss": Q}),
    "logits, smoothing": (net, arrays, {"label_smoothing": 0.1}),
    "log-probabilities, NLLLoss()": (
        lambda: net(3, nn.LogSoftmax(1)),
        arrays,
        {"loss": nn.NLLLoss()},
    ),
    "log-probabilities, NLLLoss": (lambda: net(3, nn.LogSoftmax(1)), arrays, {"loss": nn.NLLLoss}),
    "log-probabilities, loss by itself": (lambda: net(3, nn.LogSoftmax(1)), arrays, {}),
    "probabilities, loss by itself": (lambda: net(3, nn.Softmax(1)), arrays, {}),
    "a function": (net, arrays, {"loss": nn.functional.cross_entropy}),
    "two classes": (lambda: net(2), lambda: arrays(2), {}),
    "a hundred classes": (lambda: net(100), lambda: arrays(100, 400), {}),
    "a thousand classes": (lambda: net(1000), lambda: arrays(1000, 2000), {}),
    "floats": (net, lambda: arrays(kind=torch.float32), {}),
    "doubles": (net, lambda: arrays(kind=torch.float64), {}),
    "grey": (lambda: net(inputs=64), lambda: arrays(channels=1), {}),
    "four pictures a class": (net, lambda: arrays(n=12), {}),
    "somewhat uneven": (net, lambda: arrays(counts=(40, 20, 15)), {}),
    "uneven, weighted": (net, lambda: arrays(counts=(100, 10, 30)), {"class_weights": "auto"}),
    "uneven, drawn evenly": (net, lambda: arrays(counts=(100, 10, 30)), {"sampler": "balanced"}),
    "BatchNorm and dropout": (Small, lambda: small_data("arrays"), {}),
    "the user's Dataset": (Small, lambda: small_data("items"), {}),
    "picture files": (Small, lambda: small_data("files"), {"image_size": 8}),
    "a class": (Small, arrays, {}),
    "half frozen": (half_frozen, arrays, {}),
    "an optimizer over the model": (net, arrays, own_adam),
    "sgd": (net, arrays, {"optimizer": "sgd"}),
    "rates by name": (Small, arrays, {"lr": {"fc*": 1e-2, "*": 1e-3}}),
    "auxiliary scores": (Aux, arrays, {}),
    "a head of zeros": (zero_head, arrays, {}),
    "a head of zeros, LogSoftmax": (
        lambda: zero_head(nn.LogSoftmax(1)),
        arrays,
        {"loss": nn.NLLLoss()},
    ),
    "a head of zeros, Softmax": (lambda: zero_head(nn.Softmax(1)), arrays, {}),
    "a head of zeros that knows the shares": (lambda: zero_head(prior=0.3), arrays, {}),
    "nll_loss, the function": (
        lambda: net(3, nn.LogSoftmax(1)),
        arrays,
        {"loss": nn.functional.nll_loss},
    ),
    "cross-entropy in a lambda": (
        net,
        arrays,
        {"loss": lambda o, y: nn.functional.cross_entropy(o, y)},
    ),
    "the logarithm in the loss, a head of zeros": (
        lambda: zero_head(nn.Softmax(1)),
        arrays,
        {"loss": lambda o, y: nn.functional.nll_loss(o.log(), y)},
    ),
    "a margin": (net, arrays, {"loss": nn.MultiMarginLoss()}),
    "BatchNorm, a last batch of one": (
        lambda: nn.Sequential(net(8), nn.BatchNorm1d(8), nn.Linear(8, 3)),
        lambda: arrays(n=62),
        {"batch_size": 7},
    ),
    "mixup and an average": (net, arrays, {"mixup": 0.2, "ema_decay": 0.9}),
    "views": (net, arrays, {"augment": "standard"}),
    "bf16": (net, arrays, {"precision": "bf16"}),
    "no validation": (
        net,
        lambda: Data(arrays().train, None, None, ("c0", "c1", "c2"), "x", "x"),
        {},
    ),
}


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_set_up_raises_no_alarm(name):
    make, data, given = CORRECT[name]
    model, heard = make(), []
    given = given(model) if callable(given) else given
    run = train(
        model, data(), run_dir="run", callbacks=[heard.append], quiet=True, epochs=1, **given
    )
    assert run.status == "finished" and not [
        e.text for e in heard if isinstance(e, Note) and e.level == "warn"
    ]
    again = make()
    found = preflight(again, data(), **(own_adam(again) if callable(CORRECT[name][2]) else given))
    assert (
        not [f for f in found.findings if f.level != "note"]
        and found.ok
        and found.seconds["cpu"] > 0
    ), found


def test_correct_folders_raise_no_alarm(tmp_path):
    heard: list[Any] = []
    folder = class_folders(tmp_path / "pets", each=8)
    transfer(
        folder,
        "efficientnet_lite0",
        image_size=32,
        callbacks=[heard.append],
        quiet=True,
        run_dir="run",
    )
    assert (
        not [e.text for e in heard if isinstance(e, Note) and e.level == "warn"]
        and len(CORRECT) >= 30
    )


def test_where_the_pixels_are_kept_is_a_choice_with_its_reason(tmp_path):
    run = transfer(
        class_folders(tmp_path / "pets", each=8),
        "efficientnet_lite0",
        image_size=32,
        epochs=1,
        quiet=True,
        run_dir="run",
    )
    assert (
        run.choices["pixels"][0] == "memory"
        and "within a quarter of the free memory" in run.choices["pixels"][1]
    )
