"""Gradients: whether a step would reach the weights, tried without a trace."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from colab_kit.data.batches import Batch
from colab_kit.errors import ModelError
from colab_kit.training.checks import reached
from tests.support.tasks import Small

BATCH = Batch(torch.rand(6, 3, 8, 8), torch.arange(6) % 3, np.arange(6))


class Then(nn.Module):
    """A network of one layer, and what is done to its scores."""

    def __init__(self, after, *, only_eval=False):
        super().__init__()
        self.fc, self.after, self.only_eval = nn.Linear(192, 3), after, only_eval

    def forward(self, x):
        out = self.fc(x.flatten(1))
        return out if self.training and self.only_eval else self.after(out)


def test_a_network_that_can_learn_is_reached_and_left_as_it_was():
    model = Small()
    model.train()
    model.fc.eval()
    model.fc[0].weight.grad = torch.ones_like(model.fc[0].weight)
    before, stream = (
        {k: v.clone() for k, v in model.state_dict().items()},
        torch.random.get_rng_state(),
    )
    modes = [m.training for m in model.modules()]
    assert reached(model, BATCH)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()) and modes == [
        m.training for m in model.modules()
    ]
    assert bool((model.fc[0].weight.grad == 1).all()) and model.body[0].weight.grad is None
    assert torch.equal(stream, torch.random.get_rng_state())


def test_a_network_that_multiplies_by_zero_is_not_reached():
    assert not reached(Then(lambda out: out * 0), BATCH)
    assert not reached(Then(lambda out: (out - 1e6).relu()), BATCH)


@pytest.mark.parametrize(
    "after",
    [torch.detach, lambda out: functional.one_hot(out.argmax(1), 3).float(), lambda out: out.data],
)
def test_scores_without_a_gradient_are_an_error(after):
    with pytest.raises(ModelError, match="No weight of the network can learn"):
        reached(Then(after), BATCH)


def test_an_error_of_the_users_own_code_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        reached(Then(lambda out: out @ out), BATCH)


def test_running_out_of_memory_is_left_to_the_loop():
    def out_of_it(out):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    assert reached(Then(out_of_it), BATCH)


def test_single_pictures_and_batchnorm_do_not_go_together():
    model, one = (
        nn.Sequential(nn.Flatten(), nn.Linear(192, 3), nn.BatchNorm1d(3)),
        Batch(BATCH.x[:1], BATCH.y[:1], BATCH.index[:1]),
    )
    with pytest.raises(ModelError) as caught:
        reached(model, one)
    assert "batch_size=2" in caught.value.fix and reached(model, BATCH)


def test_eval_without_a_gradient_is_how_some_are_written():
    assert reached(Then(lambda out: out.detach(), only_eval=True), BATCH)


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1)])
def test_scores_that_sum_to_one_are_reached(last):
    assert reached(Then(last), BATCH)


def test_training_mode_is_not_entered_without_need():
    modes = []
    model = Then(lambda out: modes.append(model.training) or out)
    assert reached(model, BATCH) and modes == [False]
