"""The linear solver: a linear head fitted to features at once, by L-BFGS.

The regularisation that validates best is chosen. Whole batches and a convex loss need no learning
rate, no epochs and no random draw. torch.optim is not used: importing it takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

# of the L2 penalty on the weights of standardised features, the strongest first
STRENGTHS = (1.0, 0.1, 0.01)
STEPS = 200  # of L-BFGS at each strength, at most
CLOSE = 1e-4  # of the gradient's largest entry: below it, the minimum is reached
MEMORY = 10  # pairs of steps from which the curvature is estimated
FLAT = 1e-4  # of a feature's standard deviation over the largest: below it, it says nothing

LossOf = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # scores (n, k), targets -> mean loss
Function = Callable[[torch.Tensor], tuple[float, torch.Tensor]]  # -> its value and its gradient
Pair = tuple[torch.Tensor, torch.Tensor, float]  # step, change of gradient, 1 / their product


@dataclass(frozen=True, eq=False)
class Solved:
    """A linear head.

    weight : float32, (k, d)
    bias : float32, (k,)
    strength : float
        Of the penalty.
    losses : dict
        The validation loss of each strength that was tried; the training loss without a validation
        split.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    strength: float
    losses: dict[float, float] = field(default_factory=dict)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of features: (n, d) -> (n, k)."""
        return torch.addmm(self.bias, x, self.weight.T)


def solve(
    x: torch.Tensor,
    y: torch.Tensor,
    outputs: int,
    loss: LossOf,
    *,
    valid: tuple[torch.Tensor, torch.Tensor] | None = None,
    judge: LossOf | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> Solved:
    """Fit a linear head: the minimum of loss + strength / 2 · |weights|².

    The features are standardised first. Each strength begins where the stronger one before it
    ended.

    Parameters
    ----------
    x : float32 (n, d)
        Features. The head is solved on their device.
    y : Tensor
        What `loss` takes beside scores.
    outputs : int
        Scores a picture.
    loss : callable
        Convex in the scores: cross-entropy, BCE, a squared or absolute error.
    valid : (features, targets), optional
        They choose the strength; without them the middle one is taken.
    judge : callable, optional
        The loss that chooses; `loss`, if None.

    Returns
    -------
    Solved
        For features as they came: the standardisation is folded in.
    """
    mean, scale = x.mean(0), _scale(x)
    z = (x - mean) / scale
    on_x, on_y = valid or (x, y)
    order = sorted(strengths, reverse=True)
    if valid is None:
        order = [sorted(strengths)[len(strengths) // 2]]
    heads: dict[float, Solved] = {}
    losses: dict[float, float] = {}
    theta = torch.zeros(outputs * (x.shape[1] + 1), device=x.device)
    for strength in order:
        theta = minimise(_objective(z, y, outputs, loss, strength), theta)
        weight, bias = _parts(theta, outputs)
        weight = weight / scale
        heads[strength] = head = Solved(weight.clone(), bias - weight @ mean, strength, losses)
        losses[strength] = float((judge or loss)(head(on_x), on_y))
    finite = {s: value for s, value in losses.items() if math.isfinite(value)} or losses
    return heads[min(finite, key=finite.__getitem__)]  # of equal ones the strongest


def _scale(x: torch.Tensor) -> torch.Tensor:
    """What each feature is divided by, (d,): its standard deviation.

    A feature that hardly changes is divided by the largest deviation of all.
    """
    deviation = x.std(0, unbiased=False)
    most = float(deviation.max()) or 1.0
    return torch.where(deviation > FLAT * most, deviation, torch.full_like(deviation, most))


def _parts(theta: torch.Tensor, outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    return theta[outputs:].view(outputs, -1), theta[:outputs]


def _objective(
    z: torch.Tensor, y: torch.Tensor, outputs: int, loss: LossOf, strength: float
) -> Function:
    def value(theta: torch.Tensor) -> tuple[float, torch.Tensor]:
        weight, bias = _parts(theta, outputs)
        scores = torch.addmm(bias, z, weight.T).requires_grad_()
        with torch.enable_grad():
            mean_loss = loss(scores, y)
        (slope,) = torch.autograd.grad(mean_loss, scores)
        gradient = torch.cat([slope.sum(0), (slope.T @ z + strength * weight).flatten()])
        return float(mean_loss.detach()) + 0.5 * strength * float(weight.square().sum()), gradient

    return value


def minimise(function: Function, start: torch.Tensor) -> torch.Tensor:
    """Find the minimum of a smooth function by L-BFGS with a backtracking search.

    Source: Nocedal 1980; Nocedal and Wright 2006, algorithm 7.5.

    Parameters
    ----------
    start : (p,)
    """
    theta = start.clone()
    value, gradient = function(theta)
    pairs: list[Pair] = []
    for _ in range(STEPS):
        if float(gradient.abs().max()) < CLOSE:
            break
        direction = -_curved(gradient, pairs)
        slope = float(direction @ gradient)
        if slope >= 0:  # the remembered pairs mislead
            pairs.clear()
            direction, slope = -gradient, -float(gradient @ gradient)
        size = 1.0 if pairs else min(1.0, 1.0 / float(gradient.norm()))
        for _ in range(25):
            new_value, new_gradient = function(theta + size * direction)
            if new_value <= value + 1e-4 * size * slope:  # Armijo's condition; nan is not less
                break
            size *= 0.5
        else:
            break  # no step is small enough: float32 has no more digits
        step, change = size * direction, new_gradient - gradient
        theta, gain = theta + step, value - new_value
        value, gradient = new_value, new_gradient
        product = float(step @ change)
        if product > 1e-10 * float(change @ change):
            pairs.append((step, change, 1.0 / product))
            del pairs[:-MEMORY]
        if gain <= 1e-7 * max(1.0, abs(value)) and len(pairs) == MEMORY:
            break
    return theta


def _curved(gradient: torch.Tensor, pairs: Sequence[Pair]) -> torch.Tensor:
    """The inverse Hessian, as the pairs tell it, times the gradient: the two-loop recursion."""
    q = gradient.clone()
    weights: list[float] = []
    for step, change, rho in reversed(pairs):
        weights.append(rho * float(step @ q))
        q -= weights[-1] * change
    if pairs:
        step, change, rho = pairs[-1]
        q *= 1.0 / (rho * float(change @ change))
    for step, change, rho in pairs:
        q += (weights.pop() - rho * float(change @ q)) * step
    return q
