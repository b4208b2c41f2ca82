"""Preflight: one batch before the first step, without a trace."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from colab_kit.data.batches import Batch
from colab_kit.data.loading import load
from colab_kit.data.preprocess import Preprocess
from colab_kit.errors import DataError, ModelError
from colab_kit.training.checks import (
    check_loss,
    first_outputs,
    odd_pixels,
    try_loss,
)

from ..support.pictures import class_folders

CLASSES = ("a", "b", "c")


def batch(n=4, shape=(1, 6, 6), labels=None):
    y = torch.tensor(labels if labels is not None else [i % 3 for i in range(n)], dtype=torch.int64)
    return Batch(torch.randn(len(y), *shape), y, np.arange(len(y)))


def flat(out=3, *end):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, out), *end
    )


def test_a_network_that_fits_gives_its_outputs_and_keeps_no_trace():
    model = flat().train()
    model[3].eval()
    first, before = batch(), {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.default_generator.get_state()
    output = first_outputs(model, first, CLASSES)
    assert output.shape == (4, 3) and not output.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()) and torch.equal(
        state, torch.default_generator.get_state()
    )
    assert model.training and model[2].training and not model[3].training


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (flat(5), r"puts out \(4, 5\) for 4 pictures of 3 classes"), (nn.Flatten(0), r"puts out \(144,\)"), (nn.Conv2d(1, 3, 3),
        r"puts out \(4, 3, 4, 4\)"),
        (nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (48, 3))), r"puts out \(48, 3\)"),
    ],
)  # fmt: skip
def test_outputs_of_the_wrong_shape_name_both_shapes(model, words):
    with pytest.raises(ModelError, match=words) as caught:
        first_outputs(model, batch(), CLASSES)
    assert "nn.Linear(…, 3)" in caught.value.fix


def test_a_network_without_flatten_is_told_of_it():
    with pytest.raises(ModelError, match=r"cannot take pictures of shape \(4, 1, 6, 6\)") as caught:
        first_outputs(nn.Linear(36, 3), batch(), CLASSES)
    assert "nn.Flatten()" in caught.value.fix and "nn.Linear(36, …)" in caught.value.fix


class Asserting(nn.Module):
    def forward(self, x):
        assert (
            x.shape[-1] == 224
        )  # without a word, as torchvision's vision transformers do with one
        return x


@pytest.mark.parametrize(
    "model",
    [nn.Conv2d(3, 3, 1), nn.Conv2d(1, 3, 9), Asserting(), nn.MaxPool2d(99), nn.Embedding(3, 3)],
)
def test_a_network_that_cannot_take_the_pictures_says_their_shape_and_is_as_before(model):
    with pytest.raises(ModelError, match="cannot take pictures of shape") as caught:
        first_outputs(model.train(), batch(), CLASSES)
    assert model.training and caught.value.__cause__ is not None


@pytest.mark.parametrize("labels", [[0, 1, 3], [0, -1, 2], [7, 7]])
def test_a_label_out_of_range_is_named(labels):
    worst = min(labels) if min(labels) < 0 else max(labels)
    with pytest.raises(DataError, match=f"A label is {worst}, outside 0 to 2"):
        first_outputs(flat(), batch(labels=labels), CLASSES)


def test_a_batch_without_a_readable_picture_says_so():
    with pytest.raises(DataError, match="None of these pictures can be read"):
        first_outputs(flat(), batch(labels=[]), CLASSES)


def test_what_is_put_out_beside_the_scores_is_passed_over():
    class WithAux(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3], None

    assert first_outputs(WithAux(), batch(), CLASSES).shape == (4, 3)


@pytest.mark.parametrize("kind", ["logits", "probabilities", "log_probabilities"])
def test_each_loss_with_each_kind_of_output_is_right_or_refused(kind):
    assert check_loss(kind, None, "mine") is None
    if kind == "log_probabilities":
        assert check_loss(kind, "log_probabilities", "NLLLoss") is None
    else:
        with pytest.raises(
            ModelError, match=f"NLLLoss needs log-probabilities, and the network puts out {kind}"
        ):
            check_loss(kind, "log_probabilities", "NLLLoss")
    check_loss(
        kind, "logits", "CrossEntropyLoss"
    )  # Softmax before it is a finding (tests/test_findings.py), no refusal


def test_a_loss_that_works_is_called_once_without_a_trace():
    output, state, seen = torch.randn(4, 3), torch.default_generator.get_state(), []
    try_loss(
        lambda x, y: seen.append(1) or functional.cross_entropy(functional.dropout(x), y),
        output,
        torch.zeros(4, dtype=torch.int64),
        "mine",
    )
    assert seen == [1]
    assert torch.equal(state, torch.default_generator.get_state())


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (nn.CrossEntropyLoss(reduction="none"), r"gives a tensor of shape \(4,\)"), (lambda output, y: 3.0, "gives a float"),
        (nn.BCELoss(), "does not work here"),
        (nn.CrossEntropyLoss(weight=torch.ones(9)), "does not work here"), (lambda output: output.mean(), "does not work here"),
        (lambda output, y: None, "gives a NoneType"),
    ],
)  # fmt: skip
def test_a_loss_that_cannot_work_says_so_before_anything_is_written(loss, words):
    with pytest.raises(ModelError, match=words) as caught:
        try_loss(loss, torch.randn(4, 3), torch.zeros(4, dtype=torch.int64), "mine")
    assert caught.value.fix


NOISE = np.random.default_rng(0).integers(0, 256, (8, 3, 6, 6)).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "channels", "words"),
    [
        (NOISE, 3, ""),
        (NOISE // 30, None, "nearly black"),
        (255 - NOISE // 30, None, "nearly white"),
        (NOISE.astype(np.float32), 3, "floats up to 255"),
        (NOISE.reshape(8, -1).astype(np.float32), None, "floats up to 255"),
        (NOISE.astype(np.float32) / 127.5 - 1, 3, ""),
        (NOISE[:, [0, 1, 2, 0]], 3, "Channel 4"),
        (NOISE[:, [0, 1, 2, 0]], None, ""),
    ],
)
@pytest.mark.parametrize("on_features", [False, True])
def test_what_pixels_show_is_found_before_training(pixels, channels, words, on_features):
    x = torch.from_numpy(pixels) if pixels.ndim == 4 else pixels
    data = load((x, np.arange(8) % 2), valid=0, quiet=True)
    how = Preprocess(6, channels)
    seen = torch.rand(8, 5) if on_features else how.input(data.train.source.x, "cpu")
    found = [what for _, what, _, _ in odd_pixels(data, seen, how)]
    if on_features and "nearly" in words:
        words = ""
    assert len(found) == bool(words) and all(words in what for what in found)


@pytest.mark.parametrize(
    ("size", "n"), [((32, 32), 0), ((32, 18), 0), ((40, 20), 1), ((20, 40), 1)]
)
def test_long_pictures_are_found(tmp_path, size, n):
    data = load(class_folders(tmp_path / "set", each=3, size=size), valid=0, quiet=True)
    found = list(odd_pixels(data, torch.rand(2, 3, 8, 8), Preprocess(8, 3)))
    assert len(found) == n and all("2.0 times" in what for _, what, _, _ in found)
