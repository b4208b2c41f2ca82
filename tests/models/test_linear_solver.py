"""Solving a linear head: the minimum is a minimum, and the strength is what validates best."""

import pytest
import torch
from torch.nn import functional

from colab_kit.models.linear_solver import STRENGTHS, minimise, solve


def clouds(n, classes=4, width=16, seed=0, apart=2.0):
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(9)) * apart
    y = torch.arange(n) % classes
    return centres[y] + torch.randn(n, width, generator=draw), y


def test_a_linear_head_separates_clouds_and_says_what_it_tried():
    (x, y), valid = clouds(400), clouds(200, seed=1)
    found = solve(x, y, 4, functional.cross_entropy, valid=valid)
    assert (found(valid[0]).argmax(1) == valid[1]).float().mean() > 0.95
    assert set(found.losses) == set(STRENGTHS) and found.losses[found.strength] == min(
        found.losses.values()
    )


def test_the_head_is_solved_where_the_features_are():
    """Whatever the default device is: no tensor of the solver lies elsewhere."""
    (x, y), valid = clouds(60), clouds(30, seed=1)
    expected = solve(x, y, 4, functional.cross_entropy, valid=valid)
    with torch.device("meta"):
        found = solve(x, y, 4, functional.cross_entropy, valid=valid)
    assert torch.equal(found.weight, expected.weight)


def test_the_gradient_is_zero_where_it_ends():
    x, y = clouds(300, apart=0.7)
    found = solve(x, y, 4, functional.cross_entropy, strengths=(0.01,))
    mean, scale = x.mean(0), x.std(0, unbiased=False)
    weight = (found.weight * scale).requires_grad_()
    bias = (found.bias + found.weight @ mean).requires_grad_()
    z = (x - mean) / scale
    (functional.cross_entropy(z @ weight.T + bias, y) + 0.005 * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-3 and bias.grad.abs().max() < 1e-3


def test_a_squared_error_ends_where_ridge_regression_does():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(200, 5, generator=draw)
    y = x @ torch.tensor([[1.0, -2, 0, 3, 0.5]]).T + 0.1 * torch.randn(200, 1, generator=draw) + 4
    found = solve(x, y, 1, functional.mse_loss, strengths=(0.1,))
    z = (x - x.mean(0)) / x.std(0, unbiased=False)
    ridge = torch.linalg.solve(z.T @ z / 200 + 0.05 * torch.eye(5), z.T @ (y - y.mean()) / 200)
    assert torch.allclose(found.weight * x.std(0, unbiased=False), ridge.T, atol=1e-3)


def test_features_that_say_nothing_do_no_harm():
    x, y = clouds(300)
    x = torch.cat([x, torch.full((300, 3), 7.0), torch.zeros(300, 2)], 1)
    found = solve(x, y, 4, functional.cross_entropy, strengths=(0.01,))
    assert found.weight.isfinite().all() and (found(x).argmax(1) == y).float().mean() > 0.95


def test_a_feature_that_one_picture_hardly_shows_gets_no_weight_that_counts():
    x, y = clouds(300)
    barely, fully = torch.zeros(300, 1), torch.full((300, 1), 0.01)
    barely[7] = 1e-4  # as of a unit that is dead on all training pictures but one
    found = solve(torch.cat([x, barely], 1), y, 4, functional.cross_entropy, strengths=(0.01,))
    assert torch.allclose(
        found(torch.cat([x, fully], 1)), found(torch.cat([x, barely], 1)), atol=0.1
    )


def test_scales_of_features_do_not_matter():
    x, y = clouds(300)
    scale = torch.logspace(-1.5, 1.5, 16)
    plain, scaled = (
        solve(z, y, 4, functional.cross_entropy, strengths=(0.01,)) for z in (x, x * scale)
    )
    assert torch.allclose(plain(x), scaled(x * scale), atol=1e-2)


def test_twice_is_the_same_to_the_bit():
    x, y = clouds(300)
    first, second = (solve(x, y, 4, functional.cross_entropy) for _ in range(2))
    assert torch.equal(first.weight, second.weight) and torch.equal(first.bias, second.bias)


def test_without_validation_the_middle_strength_is_taken():
    x, y = clouds(100)
    assert solve(x, y, 4, functional.cross_entropy).strength == sorted(STRENGTHS)[1]


def test_too_few_pictures_want_a_strong_penalty():
    x, y = clouds(24, width=64, apart=0.0)  # nothing to learn
    found = solve(x, y, 4, functional.cross_entropy, valid=clouds(400, width=64, seed=1, apart=0.0))
    assert found.strength == max(STRENGTHS)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (3.0, -4.0)])
def test_lbfgs_walks_rosenbrocks_valley(start):
    def valley(p):
        p = p.clone().requires_grad_()
        value = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        value.backward()
        return float(value.detach()), p.grad

    assert torch.allclose(minimise(valley, torch.tensor(start)), torch.ones(2), atol=1e-2)
