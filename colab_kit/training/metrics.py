"""Metrics of a whole split, beside the usual ones: by name, of your own, or of torchmetrics.

They see all predictions of the split at once, so no average over batches is taken.
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..errors import RecipeError
from .outputs import chances

ONE, SEVERAL, NUMBERS = "classification", "multilabel", "regression"
Named = Callable[[np.ndarray, np.ndarray], float]  # probabilities or numbers, labels


def _counts(scores: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count hits, true and predicted of each class, (C,) each."""
    if y.ndim == 2:
        predicted, true = scores >= 0.5, y > 0.5
        return (predicted & true).sum(0), true.sum(0), predicted.sum(0)
    best, count = scores.argmax(1), scores.shape[1]
    hits = np.bincount(y[best == y], minlength=count)
    return hits, np.bincount(y, minlength=count), np.bincount(best, minlength=count)


def _mean(shares: np.ndarray, wholes: np.ndarray, y: np.ndarray, *seen: np.ndarray) -> float:
    """Average shares/wholes over classes: over those that are seen, where a picture has one.

    A class without a whole counts as 0, as in scikit-learn.
    """
    each = shares / np.maximum(wholes, 1)
    if y.ndim == 1:
        each = each[sum(seen) > 0]
    return float(each.mean()) if len(each) else float("nan")


def macro_f1(scores: np.ndarray, y: np.ndarray) -> float:
    hits, true, predicted = _counts(scores, y)
    return _mean(2 * hits, true + predicted, y, true, predicted)


def micro_f1(scores: np.ndarray, y: np.ndarray) -> float:
    hits, true, predicted = (int(of_class.sum()) for of_class in _counts(scores, y))
    return 2 * hits / max(1, true + predicted)


def precision(scores: np.ndarray, y: np.ndarray) -> float:
    hits, true, predicted = _counts(scores, y)
    return _mean(hits, predicted, y, true, predicted)


def recall(scores: np.ndarray, y: np.ndarray) -> float:
    hits, true, predicted = _counts(scores, y)
    return _mean(hits, true, y, true, predicted)


def balanced_accuracy(scores: np.ndarray, y: np.ndarray) -> float:
    hits, true, _ = _counts(scores, y)
    return _mean(hits, true, y, true)


def kappa(scores: np.ndarray, y: np.ndarray) -> float:
    """Cohen's kappa (Cohen 1960): agreement beyond that of chance."""
    hits, true, predicted = _counts(scores, y)
    n = len(y)
    seen, by_chance = hits.sum() / n, float(true.astype(float) @ predicted) / n**2
    return float((seen - by_chance) / (1 - by_chance)) if by_chance < 1 else float("nan")


def auroc(scores: np.ndarray, y: np.ndarray) -> float:
    """Area under the ROC curve, the mean over classes, each against the rest.

    A class that no picture has, or that all have, is left out; NaN where none is left.
    """
    truth = y > 0.5 if y.ndim == 2 else y[:, None] == np.arange(scores.shape[1])
    areas = [_area(scores[:, i], truth[:, i]) for i in range(scores.shape[1])]
    return float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan")


def _area(scores: np.ndarray, true: np.ndarray) -> float:
    """The chance that a true one ranks before a false one, ties half (Mann and Whitney 1947)."""
    positive, n = int(true.sum()), len(true)
    if positive in (0, n):
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[true].sum() - positive * (positive + 1) / 2) / (positive * (n - positive)))


def r2(values: np.ndarray, y: np.ndarray) -> float:
    """The share of the variance that is explained, the mean over the targets."""
    wide = y.astype(np.float64)
    rest, spread = np.square(wide - values).sum(0), np.square(wide - wide.mean(0)).sum(0)
    constant = np.where(rest == 0, 1.0, 0.0)  # as scikit-learn's force_finite
    return float(np.where(spread > 0, 1 - rest / np.where(spread > 0, spread, 1), constant).mean())


NAMED: dict[str, tuple[tuple[str, ...], Named]] = {
    "macro_f1": ((ONE, SEVERAL), macro_f1),
    "micro_f1": ((ONE, SEVERAL), micro_f1),
    "precision": ((ONE, SEVERAL), precision),
    "recall": ((ONE, SEVERAL), recall),
    "balanced_accuracy": ((ONE,), balanced_accuracy),
    "kappa": ((ONE,), kappa),
    "auroc": ((ONE, SEVERAL), auroc),
    "r2": ((NUMBERS,), r2),
}
USUAL = {  # measured in any case
    "accuracy": (ONE,), "top1": (ONE,), "top5": (ONE,), "f1": (SEVERAL,), "mae": (NUMBERS,),
    "rmse": (NUMBERS,),
}  # fmt: skip


def top_k(k: int) -> Named:
    """Make the share of pictures whose k likeliest classes hold the true one."""

    def top(scores: np.ndarray, y: np.ndarray) -> float:
        best = np.argsort(-scores, 1, kind="stable")[:, :k]
        return float((best == y[:, None]).any(1).mean())

    return top


def as_given(metrics: Any) -> tuple[str, dict[str, Any]]:
    """Part what a user gives as metrics= into names, "macro_f1,auroc", and functions by name.

    Parameters
    ----------
    metrics : None, a name, several with commas, a list of names, or {name: name or callable}

    Raises
    ------
    RecipeError
        A name is not known, or something is neither name nor metric.
    """
    if metrics is None:
        return "", {}
    if isinstance(metrics, str):
        metrics = [name.strip() for name in metrics.split(",") if name.strip()]
    if not isinstance(metrics, Mapping):
        metrics = {
            name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__): name
            for name in metrics
        }
    names, own = list[str](), dict[str, Any]()
    for name, metric in metrics.items():
        if isinstance(metric, str):
            names.append(_known(metric))
        elif name in ("loss", *USUAL) or not callable(metric) or "/" in str(name):
            raise RecipeError(
                f"metrics= cannot take {name!r}: a {type(metric).__name__}.",
                "a metric is a name, or a function of (output, y) or an object of torchmetrics"
                f" under a name of its own: not {', '.join(USUAL)}, loss, or one with a /",
                'write metrics={"mine": function}',
            )
        else:
            own[str(name)] = metric
    return ",".join(names), own


def _known(name: str) -> str:
    word = name.lower().replace("-", "_").removeprefix("cohen_")
    if word in NAMED or word in USUAL or re.fullmatch(r"top[1-9]\d*", word):
        return word
    known = [*NAMED, *USUAL, "top3"]
    near = difflib.get_close_matches(word, known, 1)
    fix = f"did you mean {near[0]!r}?" if near else f"write metrics={{{name!r}: your_function}}"
    raise RecipeError(f"metrics={name!r} is not known.", f"the names are {', '.join(known)}", fix)


class Metrics:
    """The metrics of a run, which are computed of all outputs of a split.

    Parameters
    ----------
    names : str
        Those known by name, with commas between them.
    own : dict
        {name: f(output, y)}; output: float32 (N, …), as the network gives it; y: the labels; both
        on the CPU. An object with update() and compute() is one of torchmetrics.
    task, kind : str
        The task, and what the network puts out (`losses.output_kind`).
    warn : callable(text)
        Hears of a metric that raises; its figure is NaN then.

    Raises
    ------
    RecipeError
        A name is not of this task.
    """

    def __init__(
        self,
        names: str | None,
        own: Mapping[str, Any],
        task: str,
        kind: str = "logits",
        warn: Callable[[str], Any] = lambda text: None,
    ) -> None:
        self.own, self.task, self.kind, self.warn = dict(own), task, kind, warn
        self._reported: set[str] = set()
        self.named: dict[str, Named] = {}
        for name in filter(None, (names or "").split(",")):
            tasks, function = NAMED.get(name) or (USUAL.get(name, (ONE,)), None)
            if task not in tasks:
                others = [word for word, (fits, _) in NAMED.items() if task in fits]
                raise RecipeError(
                    f"metrics={name!r} is for {' or '.join(tasks)}.",
                    f"the task here is {task}",
                    f"leave it out, or take one of {', '.join(others)}",
                )
            if function is None and name not in USUAL:
                function = top_k(int(name.removeprefix("top")))
            if function is not None:
                self.named[name] = function

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.named, *self.own)

    def __bool__(self) -> bool:
        return bool(self.names)

    def __call__(
        self, outputs: torch.Tensor, y: torch.Tensor, scores: np.ndarray | None = None
    ) -> dict[str, float]:
        """Compute them.

        Parameters
        ----------
        outputs : Tensor, float32, (N, …)
        y : Tensor
        scores : ndarray, optional
            The probabilities, where they are at hand.
        """
        figures, labels = dict[str, float](), y.numpy()
        if self.named:
            if scores is None:
                scores = chances(outputs, self.kind).numpy()
            scores = scores.reshape(labels.shape) if self.task != ONE else scores
        for name, function in self.named.items():
            assert scores is not None
            figures[name] = function(scores, labels)
        for name, metric in self.own.items():
            try:
                figures[name] = _value(metric, outputs, y)
            except Exception as err:  # it is a guest: a night of training does not end with it
                figures[name] = float("nan")
                if name not in self._reported:
                    self._reported.add(name)
                    where = "".join(traceback.format_exception(err)).rstrip()
                    what = f"The metric {name} raised {type(err).__name__}: {err}"
                    self.warn(f"{what}. Its figure is nan; training goes on.\n{where}")
        return figures


def _value(metric: Any, outputs: torch.Tensor, y: torch.Tensor) -> float:
    if hasattr(metric, "update") and hasattr(metric, "compute"):
        metric.reset()
        metric.update(outputs, y)
        value = metric.compute()
        metric.reset()
        return float(value)
    return float(metric(outputs, y))


class Kept:
    """What a network puts out in a validation pass, until it is over; they stay on the device."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics, self._outputs, self._labels = metrics, list[Any](), list[Any]()

    def add(self, outputs: torch.Tensor, y: torch.Tensor) -> None:
        if self.metrics:
            self._outputs.append(outputs.detach().float())
            self._labels.append(y)

    def read(self, split: str) -> dict[str, float]:
        """Give the figures under their names in history; none of an empty split."""
        if not self._outputs:
            return {}
        figures = self.metrics(torch.cat(self._outputs).cpu(), torch.cat(self._labels).cpu())
        return {f"{split}/{name}": value for name, value in figures.items()}
