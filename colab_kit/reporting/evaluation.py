"""What a network got right and wrong: the figures of a split, class by class."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import DataError, ModelError

SHOWN = 20  # classes a table shows; of more, those the network does worst on


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The figures of one split.

    top1, top5 : float, share of pictures from 0 to 1; top5 is None up to 5 classes, where it could only be 1
    per_class : dicts of name, n, precision, recall, f1; a figure that is 0/0 is None
    confusion : int64, (C, C); rows are the truth, columns what was said
    """

    loss: float
    top1: float
    top5: float | None
    n: int
    split: str
    classes: tuple[str, ...]
    confusion: np.ndarray
    per_class: list[dict[str, Any]] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, float]:
        """The figures under the names that history uses, as in "test/top1"."""
        known = {"loss": self.loss, "top1": self.top1, "top5": self.top5}
        return {f"{self.split}/{name}": value for name, value in known.items() if value is not None}

    def __repr__(self) -> str:
        rows, hidden = _shown(self)
        wide = max(len(str(row[0])) for row in rows)
        lines = [_summary(self), "", *(f"{row[0]:<{wide}}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows)]
        return "\n".join([*lines, hidden] if hidden else lines)

    def _repr_html_(self) -> str:
        (head, *rows), hidden = _shown(self)
        cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        top = "".join(f"<th>{cell}</th>" for cell in head)
        return f"<p>{html.escape(_summary(self))}</p><table><tr>{top}</tr>{cells}</table><p>{html.escape(hidden)}</p>"


def evaluate_outputs(probabilities: np.ndarray, labels: np.ndarray, loss: float, classes: Sequence[str], split: str = "test") -> Evaluation:
    """Count what these probabilities got right.

    Equal probabilities rank by class number, so a network that puts out a constant gets what class 0 gets.

    Parameters
    ----------
    probabilities : float, (N, C)
    labels : int64, (N,), from 0 to C - 1
    loss : float, the mean over the pictures

    Raises
    ------
    DataError
        No pictures, or a picture without a label.
    ModelError
        Some probability is not a number, or their count is not that of the classes.
    """
    count = len(classes)
    if len(labels) == 0 or labels.min() < 0:
        what = f"The {split} pictures cannot be evaluated."
        raise DataError(what, "some have no label" if len(labels) else "there are none", "run.predict() takes pictures without labels")
    if probabilities.shape != (len(labels), count) or labels.max() >= count:
        shape = f"outputs of shape {probabilities.shape} for {len(labels)} pictures and {count} classes"
        raise ModelError("The network's outputs do not fit the classes.", shape, "let the network put out one number a class")
    if not np.isfinite(probabilities).all():
        raise ModelError(
            "The network puts out numbers that are none (nan or inf).",
            "it diverged, or its weights are damaged",
            "train it with a smaller lr=",
        )
    said = probabilities.argmax(1)
    confusion = np.bincount(labels * count + said, minlength=count * count).reshape(count, count).astype(np.int64)
    top5 = float((_rank(probabilities, labels) < 5).mean()) if count > 5 else None
    top1 = float(np.trace(confusion) / len(labels))
    return Evaluation(float(loss), top1, top5, len(labels), split, tuple(classes), confusion, _per_class(confusion, classes))


def _rank(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes stand before the true one, int64, (N,)."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    before = (probabilities > own) | ((probabilities == own) & (np.arange(probabilities.shape[1]) < labels[:, None]))
    return np.asarray(before.sum(1))


def _per_class(confusion: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(classes):
        hit, n, said = int(confusion[i, i]), int(confusion[i].sum()), int(confusion[:, i].sum())
        figures = {"precision": _share(hit, said), "recall": _share(hit, n), "f1": _share(2 * hit, n + said)}
        rows.append({"name": name, "n": n, **figures})
    return rows


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _summary(e: Evaluation) -> str:
    top5 = "" if e.top5 is None else f" · top-5 {100 * e.top5:.1f} %"
    return f"{e.split} · {e.n:,} pictures · loss {e.loss:.4f} · top-1 {100 * e.top1:.1f} %{top5}"


def _shown(e: Evaluation) -> tuple[list[list[str]], str]:
    """The table's cells, headings first, and what is said of the rows left out."""
    rows, hidden = e.per_class, ""
    if len(rows) > SHOWN:
        rows = sorted(rows, key=lambda row: 2.0 if row["f1"] is None else row["f1"])[:SHOWN]
        hidden = f"the {SHOWN} worst of {len(e.per_class)} classes; all of them: .per_class"
    keys = ("precision", "recall", "f1")
    cells = [[row["name"], f"{row['n']:,}", *("–" if row[key] is None else f"{row[key]:.3f}" for key in keys)] for row in rows]
    return [["class", "n", *keys], *cells], hidden
