"""Solving: a linear head fitted to features at once, by L-BFGS, at the regularisation that validates best.

Whole batches and a convex loss need no learning rate, no epochs and no random draw. torch.optim is not used: importing it takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

STRENGTHS = (
    1.0,
    0.1,
    0.01,
)  # of the L2 penalty on the weights of standardised features, the strongest first
STEPS = 200  # of L-BFGS, at each strength
CLOSE = 1e-4  # of the gradient's largest entry: there it ends
MEMORY = 10  # pairs of steps that curvature is told from
FLAT = 1e-6  # of a feature's standard deviation over the largest: below, it says nothing

LossOf = Callable[
    [torch.Tensor, torch.Tensor], torch.Tensor
]  # (scores (n, k), targets) -> their mean loss
Function = Callable[[torch.Tensor], tuple[float, torch.Tensor]]


@dataclass(frozen=True, eq=False)
class Solved:
    """A linear head.

    weight : float32, (k, d)    bias : float32, (k,)
    strength : of the penalty    losses : of each strength tried, the validation loss; the training loss without a validation split
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
    stopped: Callable[[], bool] = lambda: False,
) -> Solved:
    """Fit a linear head: the minimum of loss + strength / 2 · |weights|², over standardised features, each strength from the one before.

    Parameters
    ----------
    x, y : features, float32 (n, d), and what `loss` takes beside scores
    outputs : scores a picture
    loss : convex in the scores: cross-entropy, BCE, a squared or absolute error
    valid : features and targets that choose the strength; without them the middle one is taken
    judge : the loss that chooses; `loss`, if None
    stopped : asked before each step; what is found until then is given

    Returns
    -------
    Solved
        For features as they came: the standardisation is folded in.
    """
    mean, scale = x.mean(0), _scale(x)
    z = (x - mean) / scale
    found, losses = dict[float, Solved](), dict[float, float]()
    theta = torch.zeros(outputs * (x.shape[1] + 1))
    for strength in (
        sorted(strengths, reverse=True)
        if valid is not None
        else [sorted(strengths)[len(strengths) // 2]]
    ):
        theta = minimise(_objective(z, y, outputs, loss, strength), theta, stopped=stopped)
        weight, bias = _parts(theta, outputs)
        weight = weight / scale
        head = Solved(weight.clone(), bias - weight @ mean, strength)
        on = valid or (x, y)
        found[strength], losses[strength] = head, float((judge or loss)(head(on[0]), on[1]))
        if stopped():
            break
    best = min(
        losses, key=lambda s: losses[s] if math.isfinite(losses[s]) else math.inf
    )  # of equals the strongest
    return Solved(found[best].weight, found[best].bias, best, losses)


def _scale(x: torch.Tensor) -> torch.Tensor:
    """What each feature is divided by, (d,): its standard deviation; for one that hardly changes, that of the liveliest."""
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
            found = loss(scores, y)
        (slope,) = torch.autograd.grad(found, scores)
        gradient = torch.cat([slope.sum(0), (slope.T @ z + strength * weight).flatten()])
        return float(found.detach()) + 0.5 * strength * float(weight.square().sum()), gradient

    return value


def minimise(
    function: Function,
    start: torch.Tensor,
    *,
    steps: int = STEPS,
    stopped: Callable[[], bool] = lambda: False,
) -> torch.Tensor:
    """The minimum of a smooth function by L-BFGS (Nocedal 1980; Nocedal and Wright 2006, algorithm 7.5) with a backtracking search.

    Parameters
    ----------
    function : gives its value and its gradient
    start : (p,)
    steps : at most
    """
    theta = start.clone()
    value, gradient = function(theta)
    pairs: list[
        tuple[torch.Tensor, torch.Tensor, float]
    ] = []  # step, change of the gradient, 1 / their product
    for _ in range(steps):
        if float(gradient.abs().max()) < CLOSE or stopped():
            break
        direction = -_curved(gradient, pairs)
        slope = float(direction @ gradient)
        if slope >= 0:  # what was remembered misleads
            pairs.clear()
            direction, slope = -gradient, -float(gradient @ gradient)
        size = 1.0 if pairs else min(1.0, 1.0 / float(gradient.norm()))
        for _ in range(25):
            new_value, new_gradient = function(theta + size * direction)
            if new_value <= value + 1e-4 * size * slope:  # Armijo's condition; nan is not less
                break
            size *= 0.5
        else:
            break  # no step is small enough: the numbers are exhausted
        step, change = size * direction, new_gradient - gradient
        theta, gained = theta + step, value - new_value
        value, gradient = new_value, new_gradient
        if (product := float(step @ change)) > 1e-10 * float(change @ change):
            pairs.append((step, change, 1.0 / product))
            del pairs[:-MEMORY]
        if gained <= 1e-7 * max(1.0, abs(value)) and len(pairs) == MEMORY:
            break
    return theta


def _curved(
    gradient: torch.Tensor, pairs: Sequence[tuple[torch.Tensor, torch.Tensor, float]]
) -> torch.Tensor:
    """The inverse Hessian, as far as the pairs tell it, times the gradient: the two-loop recursion."""
    q, weights = gradient.clone(), list[float]()
    for step, change, rho in reversed(pairs):
        weights.append(rho * float(step @ q))
        q -= weights[-1] * change
    if pairs:
        step, change, rho = pairs[-1]
        q *= 1.0 / (rho * float(change @ change))
    for step, change, rho in pairs:
        q += (weights.pop() - rho * float(change @ q)) * step
    return q
