"""Optimizers: by name, class or instance, and learning rates by parameter name."""

import pytest
import torch
from torch import nn

from colab_kit.errors import ModelError, RecipeError
from colab_kit.recipe import Recipe
from colab_kit.training.optim import build, name_of

NAMES = ("adamw", "adam", "sgd", "rmsprop", "adagrad", "nadam", "radam")


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def learn(optimizer, model):
    for _ in range(3):
        model(torch.ones(2, 4)).pow(2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_recipe_is_torchs_optimizer_and_learns_as_it_does(name):
    mine, theirs = net(), net()
    recipe = Recipe(optimizer=name)
    made = build(None, mine, recipe, 0.01, 0.1)
    kind = {k.lower(): v for k, v in vars(torch.optim).items()}[name]
    extra = {"momentum": recipe.momentum} if name in ("sgd", "rmsprop") else {}
    assert (
        type(made) is kind
        and {g["lr"] for g in made.param_groups} == {0.01}
        and {g["weight_decay"] for g in made.param_groups} == {0.1}
    )
    assert torch.allclose(
        learn(made, mine),
        learn(kind(theirs.parameters(), lr=0.01, weight_decay=0.1, **extra), theirs),
        atol=1e-6,
    )


class Own(torch.optim.SGD):
    pass


def test_a_class_of_torchs_has_its_name_in_the_recipe_and_another_none():
    kinds = (torch.optim.SGD, torch.optim.AdamW, Own, torch.optim.Rprop, None)
    assert [name_of(kind) for kind in kinds] == ["sgd", "adamw", None, None, None]


def test_a_class_takes_rate_and_decay_and_keeps_its_own_momentum():
    made = build(Own, net(), Recipe(), 0.5, 0.25)
    assert (
        made.defaults["momentum"] == 0
        and made.param_groups[0]["lr"] == 0.5
        and made.param_groups[0]["weight_decay"] == 0.25
    )


def test_a_class_without_decay_is_not_given_any():
    assert build(torch.optim.Rprop, net(), Recipe(), 0.5, 0.0).param_groups[0]["lr"] == 0.5


def test_an_instance_over_the_models_parameters_is_used_as_it_is():
    model = net()
    mine = torch.optim.Adam(model[2].parameters(), lr=0.3)
    assert build(mine, model, Recipe(), 0.1, 0.1) is mine and mine.param_groups[0]["lr"] == 0.3


def test_an_instance_over_another_model_is_refused():
    with pytest.raises(ModelError, match="holds no parameter of this model"):
        build(torch.optim.Adam(net().parameters()), net(), Recipe(), 0.1, 0.1)


def test_an_instance_whose_state_cannot_be_read_is_refused():
    class Broken(torch.optim.SGD):
        def state_dict(self):
            return self.hooks_of_an_older_torch

    model = nn.Linear(2, 2)
    with pytest.raises(ModelError, match="The state of Broken cannot be saved"):
        build(Broken(model.parameters(), lr=0.1), model, Recipe(), 0.1, 0.0)


def test_lbfgs_is_refused_as_instance_and_as_class():
    model = net()
    for optimizer in (torch.optim.LBFGS(model.parameters()), torch.optim.LBFGS):
        with pytest.raises(ModelError, match="LBFGS cannot train by batches"):
            build(optimizer, model, Recipe(), 0.1, 0.1)


def test_a_class_that_cannot_be_made_so_says_how_to_make_it():
    class Needy(torch.optim.SGD):
        def __init__(self, params, lr, secret):
            super().__init__(params, lr)

    with pytest.raises(ModelError, match=r"pass an instance: optimizer=.*Needy") as caught:
        build(Needy, net(), Recipe(), 0.1, 0.1)
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("model", [nn.ReLU(), nn.Linear(2, 2).requires_grad_(False)])
def test_a_network_with_nothing_that_learns_is_refused(model):
    for optimizer in (None, torch.optim.SGD([torch.zeros(1)], lr=1.0)):
        with pytest.raises(ModelError, match="no parameter that can learn"):
            build(optimizer, model, Recipe(), 0.1, 0.1)


@pytest.mark.parametrize("thing", [3, nn.Linear, "adam", object()])
def test_what_is_no_optimizer_is_refused(thing):
    with pytest.raises(ModelError, match="it takes a name"):
        build(thing, net(), Recipe(), 0.1, 0.1)


def test_rates_go_by_parameter_name_and_the_first_match_wins():
    model = net()
    made = build(None, model, Recipe(), {"2.bias": 0.3, "2*": 0.2, "*": 0.1}, 0.0)
    rates = {id(p): g["lr"] for g in made.param_groups for p in g["params"]}
    assert {n: rates[id(p)] for n, p in model.named_parameters()} == {
        "0.weight": 0.1,
        "0.bias": 0.1,
        "2.weight": 0.2,
        "2.bias": 0.3,
    }
    assert sum(len(g["params"]) for g in made.param_groups) == 4


def test_a_parameter_without_a_rate_and_a_pattern_without_a_parameter_are_named():
    with pytest.raises(RecipeError, match=r"no learning rate for 0.weight and 1 more"):
        build(None, net(), Recipe(), {"2*": 0.1}, 0.0)
    with pytest.raises(RecipeError, match="'head'"):
        build(None, net(), Recipe(), {"head": 0.1, "*": 0.1}, 0.0)
    with pytest.raises(RecipeError, match="no learning rate"):
        build(None, net(), Recipe(), {}, 0.0)


def test_frozen_parameters_are_held_and_not_moved():
    model = net()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    made = build(None, model, Recipe(), 0.1, 0.5)
    learn(made, model)
    assert len(made.param_groups[0]["params"]) == 4 and torch.equal(model[0].weight, before)
