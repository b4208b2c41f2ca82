"""Losses: by any of their names."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from colab_kit.errors import ModelError, RecipeError
from colab_kit.recipe import Recipe
from colab_kit.training import losses
from colab_kit.training.losses import (
    AUX,
    by_name,
    by_output,
    expects,
    named,
    of_user,
    primary,
    with_aux,
)


def test_what_is_put_out_is_found_among_what_else_is():
    x = torch.randn(2, 3)
    assert (
        primary(x) is x
        and primary((x, None)) is x
        and primary([x]) is x
        and primary({"logits": x}) is x
    )
    for other in (None, (), {"out": x}, [[x]], 3):
        with pytest.raises(ModelError, match="a tensor of shape"):
            primary(other)


def test_auxiliary_outputs_count_less_and_others_not_at_all():
    main, aux, y = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    loss = functional.cross_entropy
    assert torch.allclose(
        with_aux(loss, (main, aux, aux), y), loss(main, y) + 2 * AUX * loss(aux, y)
    )
    assert torch.equal(
        with_aux(loss, (main, torch.zeros(9), None), y), loss(main, y)
    ) and torch.equal(with_aux(loss, main, y), loss(main, y))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("CrossEntropyLoss", "cross_entropy"),
        ("cross-entropy", "cross_entropy"),
        ("CE", "cross_entropy"),
        ("NLLLoss", "nll"),
        ("mse", "mse"),
    ],
)
def test_a_loss_is_known_by_all_its_names(said, meant):
    assert by_name(said) == meant


def test_named_losses_are_torchs_own():
    x, y, w = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1.0, 2.0, 3.0])
    smooth = Recipe(label_smoothing=0.1)
    assert torch.equal(
        named(smooth, "cross_entropy", w)(x, y),
        functional.cross_entropy(x, y, w, label_smoothing=0.1),
    )
    assert torch.equal(
        named(Recipe(), "nll", w)(x.log_softmax(1), y), functional.nll_loss(x.log_softmax(1), y, w)
    )
    assert torch.allclose(
        named(Recipe(), "nll_of_probabilities", w)(x.softmax(1), y),
        functional.cross_entropy(x, y, w),
        atol=1e-6,
    )


def test_a_probability_of_nothing_is_a_large_loss_and_no_infinity():
    assert torch.isfinite(
        named(Recipe(), "nll_of_probabilities", None)(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    )


def test_smoothing_goes_with_cross_entropy_only():
    for name in ("nll", "nll_of_probabilities"):
        with pytest.raises(RecipeError, match="cross_entropy loss only"):
            named(Recipe(label_smoothing=0.1), name, None)


def test_each_kind_of_output_has_a_loss_and_a_reason():
    for kind, loss in {
        "logits": "cross_entropy",
        "log_probabilities": "nll",
        "probabilities": "nll_of_probabilities",
    }.items():
        assert by_output(kind)[0] == loss and "puts out" in by_output(kind)[1]
        assert callable(named(Recipe(), loss, None))


def test_a_users_loss_may_be_an_instance_a_class_or_a_function():
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    for loss in (
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss,
        functional.cross_entropy,
        partial(functional.cross_entropy),
        lambda output, y: functional.cross_entropy(output, y),
    ):
        assert torch.equal(of_user(loss, Recipe())(x, y), functional.cross_entropy(x, y))


def test_a_loss_that_cannot_be_one_says_what_to_write():
    class Needy(nn.Module):
        def __init__(self, gamma):
            super().__init__()

    with pytest.raises(ModelError, match="pass an instance: loss=Needy"):
        of_user(Needy, Recipe())
    with pytest.raises(ModelError, match="loss= is a int"):
        of_user(3, Recipe())


@pytest.mark.parametrize(
    "fields",
    [{"label_smoothing": 0.1}, {"class_weights": "balanced"}, {"class_weights": (1.0, 2.0)}],
)
def test_what_a_loss_object_keeps_itself_cannot_be_put_into_it(fields):
    with pytest.raises(
        RecipeError, match=f"{next(iter(fields))}= cannot be put into a loss object"
    ):
        of_user(nn.CrossEntropyLoss(), Recipe(**fields))


def test_well_known_losses_say_what_they_want():
    assert (
        expects(nn.NLLLoss()) == expects(nn.NLLLoss) == "log_probabilities"
        and expects(nn.CrossEntropyLoss()) == "logits"
    )
    assert expects(functional.nll_loss) is None and expects(None) is None and losses.AUX == 0.4
