"""What a network got right and wrong: the figures of a split, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import DataError, ModelError, in_line, no_attribute, plain
from ..recipe import Figures
from ..system.console import escape, html_table, without_formulas
from ..training.metrics import Metrics
from .scoring import Scored

SHOWN = 20  # classes a table shows; of more, those the network does worst on
_METRICS = ("loss", "top1", "top5", "f1", "mae", "rmse")


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The figures of one split; a figure that the task does not have is None.

    Attributes
    ----------
    loss : float
    top1, top5 : float
        The share of pictures, from 0 to 1; top5 is None up to 5 classes, where it could only be 1.
    count : int
        The number of pictures.
    split : str
    classes : tuple of str
    confusion : ndarray, int64, (C, C)
        Rows are the truth, columns the prediction.
    per_class : list of dict
        name, count, precision, recall, f1; of a target name, count, mae, rmse, r2. A figure that
        is 0/0 is None.
    f1 : float
        Where a picture may have several classes: over all of them.
    mae, rmse : float
        Where the labels are numbers: the mean over the targets.
    outputs, labels : ndarray
        Where the labels are numbers: the predictions and the truth, row by row.
    more : dict
        What `metrics=` asked for, by name.
    stopped : bool
        Whether somebody stopped the look: the figures are of the first `count` pictures alone.
    """

    loss: float
    top1: float | None
    top5: float | None
    count: int
    split: str
    classes: tuple[str, ...]
    confusion: np.ndarray | None = None
    per_class: list[dict[str, Any]] = field(default_factory=list)
    f1: float | None = None
    mae: float | None = None
    rmse: float | None = None
    outputs: np.ndarray | None = None
    labels: np.ndarray | None = None
    more: dict[str, float] = field(default_factory=dict)
    stopped: bool = False

    @property
    def accuracy(self) -> float | None:
        """Another word for top1."""
        return self.top1

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    @property
    def metrics(self) -> dict[str, float]:
        """The figures under the names that history uses, as in "test/top1"."""
        known = [*((name, getattr(self, name)) for name in _METRICS), *self.more.items()]
        return Figures({f"{self.split}/{name}": x for name, x in known if x is not None})

    def __repr__(self) -> str:
        head, rows, hidden = _table(self)
        rows = [[in_line(name), *cells] for name, *cells in rows]
        wide = max(len(row[0]) for row in [head, *rows])
        lines = [f"{name:<{wide}}" + "".join(f"{x:>11}" for x in xs) for name, *xs in [head, *rows]]
        return "\n".join([plain(_summary(self)), "", *lines, *hidden])

    def _repr_html_(self) -> str:
        head, rows, hidden = _table(self)
        around = [without_formulas(f"<p>{escape(line)}</p>") for line in (_summary(self), *hidden)]
        return around[0] + html_table(rows, head) + "".join(around[1:])


def evaluate(
    outputs: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    split: str = "test",
    task: str = "classification",
) -> Evaluation:
    """Compute the figures of any task.

    The loss is cross-entropy, binary cross-entropy or the squared error, whatever loss the network
    was trained with.

    Parameters
    ----------
    outputs : ndarray, float, (N, C)
        Probabilities, or the predicted numbers.
    labels : ndarray
        Those of the task (see data.targets).

    Raises
    ------
    DataError
        There are no pictures, or some have no label.
    ModelError
        The outputs do not fit the classes, or are not finite.
    """
    single, n, count = task == "classification", len(labels), len(classes)
    if not n or bool(labels.min() < 0 if single else np.isnan(labels).any()):
        raise DataError(
            f"The {split} pictures cannot be evaluated.",
            "some have no label" if n else "there are none",
            "run.predict() takes pictures without labels",
        )
    fits = labels.max() < count if single else labels.shape == outputs.shape
    if outputs.shape != (n, count) or not fits:
        raise ModelError(
            "The network's outputs do not fit the classes.",
            f"outputs of shape {outputs.shape} for {n} pictures and {count} classes",
            "let the network put out one number a class",
        )
    if not np.isfinite(outputs).all():
        raise ModelError(
            "The network puts out numbers that are not finite (nan or inf).",
            "it diverged, or its weights are damaged",
            "train it with a smaller lr=",
        )
    figures: dict[str, Any] = {"top1": None, "top5": None}
    match task:
        case "multilabel":
            predicted, true = outputs >= 0.5, labels > 0.5
            counts = (predicted & true).sum(0), true.sum(0), predicted.sum(0)
            hits, *sums = (int(of_class.sum()) for of_class in counts)
            figures["f1"] = _share(2 * hits, sum(sums)) or 0.0
            figures["per_class"] = _per_class(classes, *counts)
        case "regression":
            figures |= _of_numbers(outputs, labels, classes)
        case _:
            table = np.bincount(labels * count + outputs.argmax(1), minlength=count * count)
            confusion = table.reshape(count, count).astype(np.int64)
            figures["top1"] = float(np.trace(confusion) / n)
            if count > 5:
                figures["top5"] = float((_rank(outputs, labels) < 5).mean())
            counts = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
            figures |= {"confusion": confusion, "per_class": _per_class(classes, *counts)}
    loss = float(losses(outputs, labels, task).mean())
    return Evaluation(loss, count=n, split=split, classes=tuple(classes), **figures)


def measured(done: Evaluation, metrics: Metrics, found: Scored) -> Evaluation:
    """Add what `metrics=` asks for, of all that the network puts out for the split."""
    if not metrics or found.outputs is None:
        return done
    more = metrics(found.outputs, torch.from_numpy(found.labels), found.probabilities)
    return replace(done, more=more)


def losses(outputs: np.ndarray, labels: np.ndarray, task: str) -> np.ndarray:
    """Compute the loss of each picture, float64, (N,)."""
    if task == "classification":
        chance = outputs[np.arange(len(labels)), labels].astype(np.float64)
        return np.asarray(-np.log(np.clip(chance, 1e-12, 1)))
    wide = outputs.astype(np.float64)
    if task == "regression":
        return np.asarray(np.square(wide - labels).mean(1))
    chance = np.where(labels > 0.5, wide, 1 - wide)
    return np.asarray(-np.log(np.clip(chance, 1e-12, 1)).mean(1))


def _of_numbers(outputs: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    off, rows = outputs.astype(np.float64) - labels, []
    errors, squares = np.abs(off).mean(0), np.square(off).mean(0)
    columns = errors.tolist(), squares.tolist(), labels.astype(np.float64).var(0).tolist()
    for name, mae, square, spread in zip(names, *columns, strict=True):
        r2 = 1 - square / spread if spread else None
        figures = {"mae": mae, "rmse": square**0.5, "r2": r2}
        rows.append({"name": name, "count": len(labels), **figures})
    means = {"mae": float(errors.mean()), "rmse": float(squares.mean() ** 0.5)}
    return {**means, "per_class": rows, "outputs": outputs, "labels": labels}


def _rank(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the classes before the true one, int64, (N,).

    Equal probabilities rank by class number, so a network with a constant output gets the figures
    of class 0.
    """
    own = probabilities[np.arange(len(labels)), labels][:, None]
    ties = (probabilities == own) & (np.arange(probabilities.shape[1]) < labels[:, None])
    return np.asarray(((probabilities > own) | ties).sum(1))


def _per_class(
    classes: Sequence[str], hits: np.ndarray, true: np.ndarray, predicted: np.ndarray
) -> list[dict[str, Any]]:
    rows = []
    counts = zip(hits.tolist(), true.tolist(), predicted.tolist(), strict=True)
    for name, (hit, n, claims) in zip(classes, counts, strict=True):
        shares = {"precision": _share(hit, claims), "recall": _share(hit, n)}
        rows.append({"name": name, "count": n, **shares, "f1": _share(2 * hit, n + claims)})
    return rows


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _summary(e: Evaluation) -> str:
    shares = [("top-1", e.top1), ("top-5", e.top5), ("F1", e.f1)]
    errors = [("MAE", e.mae), ("RMSE", e.rmse)]
    parts = [f"{name} {100 * value:.1f} %" for name, value in shares if value is not None]
    parts += [f"{name} {value:.4g}" for name, value in errors if value is not None]
    parts += [f"{name} {value:.4f}" for name, value in e.more.items()]
    seen = f"{e.count:,} pictures{' (stopped: not the rest)' if e.stopped else ''}"
    return f"{e.split} · {seen} · loss {e.loss:.4f} · {' · '.join(parts)}"


def figures(e: Evaluation) -> tuple[str, ...]:
    """Name the columns of per_class after the name and the count."""
    return ("precision", "recall", "f1") if e.mae is None else ("mae", "rmse", "r2")


def _table(e: Evaluation) -> tuple[list[str], list[list[str]], list[str]]:
    """Give the headings, the cells, and a line about rows that are left out."""
    rows, hidden, keys = e.per_class, list[str](), figures(e)
    if len(rows) > SHOWN:
        hidden = [f"the {SHOWN} worst of {len(rows)} classes; all of them: .per_class"]
        rows = sorted(rows, key=lambda row: 2.0 if row[keys[-1]] is None else row[keys[-1]])[:SHOWN]
    cells = [
        [row["name"], f"{row['count']:,}", *("–" if x is None else f"{x:.3f}" for x in shares)]
        for row, shares in ((row, [row[key] for key in keys]) for row in rows)
    ]
    return ["class" if e.mae is None else "target", "count", *keys], cells, hidden
