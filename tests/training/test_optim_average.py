"""The average of the weights, beside the ones that learn."""

import pytest
import torch
from torch import nn

from colab_kit.training.optim import Average, Halfway


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.norm = (
            nn.Linear(4, 4, bias=False),
            nn.Linear(4, 4, bias=False),
            nn.BatchNorm1d(4),
        )
        self.last.weight = self.first.weight


def moved(model: nn.Module, by: float = 1.0) -> None:
    with torch.no_grad():
        for p in model.parameters():
            p.add_(by)


def test_it_follows_the_weights_as_the_formula_says():
    model = nn.Linear(3, 2)
    average, expected = Average(model, 0.9), model.weight.detach().clone()
    for step in range(1, 200):
        moved(model)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    assert torch.allclose(average.shadow["weight"], expected, atol=1e-4)


def test_worn_it_is_the_model_and_after_that_the_model_is_itself_again():
    model = nn.Linear(3, 2)
    average, before = Average(model, 0.5), model.weight.detach().clone()
    moved(model)
    average.update(1_000_000)
    own = model.weight.detach().clone()
    with average.worn():
        assert torch.allclose(model.weight, before + 0.5) and torch.equal(
            model.state_dict()["weight"], model.weight
        )
    assert torch.equal(model.weight, own) and torch.allclose(average.shadow["weight"], before + 0.5)
    with pytest.raises(ZeroDivisionError), average.worn():
        raise ZeroDivisionError
    assert torch.equal(model.weight, own)


def test_buffers_stay_the_models_own():
    model = nn.BatchNorm1d(4)
    assert set(Average(model, 0.5).shadow) == {"weight", "bias"}


def test_an_optimizer_goes_on_with_the_same_parameters_after_it_was_worn():
    model = nn.Linear(3, 2)
    optimizer, average = torch.optim.SGD(model.parameters(), lr=1.0), Average(model, 0.5)
    with average.worn():
        pass
    before = model.weight.detach().clone()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert torch.allclose(model.weight, before - 1.0)


def test_a_tied_weight_moves_once_and_is_the_average_under_all_its_names():
    model = Tied()
    average, before = Average(model, 0.5), model.first.weight.detach().clone()
    for n in range(2):
        moved(model)
        average.update(1_000_000)
        with average.worn():
            assert model.first.weight is model.last.weight
        assert torch.allclose(average.shadow["first.weight"], before + (0.5, 1.25)[n])
    fresh = Tied()
    fresh.load_state_dict(
        dict(model.state_dict()) | average.shadow
    )  # as the best weights are put in
    assert torch.allclose(fresh.first.weight, before + 1.25)


def test_its_weights_hold_on_to_no_gradient():
    assert not any(t.requires_grad for t in Average(nn.Linear(2, 2), 0.5).shadow.values())


def test_halfway_is_the_mean_of_first_and_last_whatever_was_between():
    model = Tied()
    before = model.first.weight.detach().clone()
    average = Halfway(model)
    for step in range(1, 5):
        moved(model)
        average.update(step)
        with average.worn():
            assert model.first.weight is model.last.weight
            assert torch.allclose(model.first.weight, before + step / 2)
    assert (
        torch.allclose(model.first.weight, before + 4) and "norm.running_mean" not in average.start
    )
    assert all(torch.equal(t, before) for n, t in average.start.items() if "norm" not in n)
