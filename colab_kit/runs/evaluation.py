"""What a network got right and wrong: the figures of a split, class by class."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, ModelError, no_attribute
from ..recipe import Figures

SHOWN = 20  # classes a table shows; of more, those the network does worst on


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The figures of one split; what the task does not have is None.

    top1, top5 : float, share of pictures from 0 to 1; top5 is None up to 5 classes, where it could only be 1
    f1 : of several classes a picture, over all of them    mae, rmse : of numbers, the mean over the targets
    per_class : dicts of name, count, precision, recall, f1 (of a target: mae, rmse, r2); a figure that is 0/0 is None
    confusion : int64, (C, C); rows are the truth, columns what was said
    outputs, labels : what was said and what is true, row by row, where that can be drawn
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
        known = {
            name: getattr(self, name) for name in ("loss", "top1", "top5", "f1", "mae", "rmse")
        }
        return Figures(
            {f"{self.split}/{name}": value for name, value in known.items() if value is not None}
        )

    def __repr__(self) -> str:
        rows, hidden = _shown(self)
        wide = max(len(str(row[0])) for row in rows)
        lines = [
            _summary(self),
            "",
            *(f"{row[0]:<{wide}}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows),
        ]
        return "\n".join([*lines, hidden] if hidden else lines)

    def _repr_html_(self) -> str:
        (head, *rows), hidden = _shown(self)
        cells = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        top = "".join(f"<th>{cell}</th>" for cell in head)
        return f"<p>{html.escape(_summary(self))}</p><table><tr>{top}</tr>{cells}</table><p>{html.escape(hidden)}</p>"


def evaluate(
    outputs: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    split: str = "test",
    task: str = "classification",
) -> Evaluation:
    """The figures of any task.

    outputs : probabilities, or the numbers that were learned, float (N, C)    labels : of the task, see data.targets

    The loss is cross-entropy, binary cross-entropy or the squared error, whatever the network was trained with.
    """
    classify = task == "classification"
    if not len(labels) or bool(labels.min() < 0 if classify else np.isnan(labels).any()):
        what = f"The {split} pictures cannot be evaluated."
        raise DataError(
            what,
            "some have no label" if len(labels) else "there are none",
            "run.predict() takes pictures without labels",
        )
    if outputs.shape != (len(labels), len(classes)) or (
        labels.max() >= len(classes) if classify else labels.shape != outputs.shape
    ):
        shape = f"outputs of shape {outputs.shape} for {len(labels)} pictures and {len(classes)} classes"
        raise ModelError(
            "The network's outputs do not fit the classes.",
            shape,
            "let the network put out one number a class",
        )
    if not np.isfinite(outputs).all():
        raise ModelError(
            "The network puts out numbers that are none (nan or inf).",
            "it diverged, or its weights are damaged",
            "train it with a smaller lr=",
        )
    how = {"multilabel": _evaluate_several, "regression": _evaluate_numbers}.get(
        task, _evaluate_classes
    )
    return how(outputs, labels, float(losses(outputs, labels, task).mean()), tuple(classes), split)


def losses(outputs: np.ndarray, labels: np.ndarray, task: str) -> np.ndarray:
    """Of each picture, float64 (N,)."""
    if task == "regression":
        return np.asarray(np.square(outputs.astype(np.float64) - labels).mean(1))
    if task == "multilabel":
        chance = np.clip(np.where(labels > 0.5, outputs, 1 - outputs.astype(np.float64)), 1e-12, 1)
        return np.asarray(-np.log(chance).mean(1))
    return np.asarray(
        -np.log(np.clip(outputs[np.arange(len(labels)), labels].astype(np.float64), 1e-12, 1))
    )


def _evaluate_several(
    outputs: np.ndarray, labels: np.ndarray, loss: float, classes: tuple[str, ...], split: str
) -> Evaluation:
    said, there = outputs >= 0.5, labels > 0.5
    hits, rows = (said & there).sum(0), []
    for name, hit, n, of in zip(
        classes, hits.tolist(), there.sum(0).tolist(), said.sum(0).tolist(), strict=True
    ):
        rows.append({"name": name, "count": n, **_figures(hit, n, of)})
    f1 = _share(2 * int(hits.sum()), int(said.sum() + there.sum()))
    return Evaluation(loss, None, None, len(labels), split, classes, None, rows, f1=f1 or 0.0)


def _evaluate_numbers(
    outputs: np.ndarray, labels: np.ndarray, loss: float, classes: tuple[str, ...], split: str
) -> Evaluation:
    off = outputs.astype(np.float64) - labels
    mae, square, spread = (
        np.abs(off).mean(0),
        np.square(off).mean(0),
        labels.astype(np.float64).var(0),
    )
    rows = []
    for i, name in enumerate(classes):
        r2 = float(1 - square[i] / spread[i]) if spread[i] else None
        rows.append(
            {
                "name": name,
                "count": len(labels),
                "mae": float(mae[i]),
                "rmse": float(square[i] ** 0.5),
                "r2": r2,
            }
        )
    found = {
        "mae": float(mae.mean()),
        "rmse": float(square.mean() ** 0.5),
        "outputs": outputs,
        "labels": labels,
    }
    return Evaluation(loss, None, None, len(labels), split, classes, None, rows, **found)  # type: ignore[arg-type]


def _evaluate_classes(
    probabilities: np.ndarray, labels: np.ndarray, loss: float, classes: tuple[str, ...], split: str
) -> Evaluation:
    """Count what these probabilities got right.

    Equal probabilities rank by class number, so a network that puts out a constant gets what class 0 gets.
    """
    count = len(classes)
    said = probabilities.argmax(1)
    confusion = (
        np.bincount(labels * count + said, minlength=count * count)
        .reshape(count, count)
        .astype(np.int64)
    )
    top5 = float((_rank(probabilities, labels) < 5).mean()) if count > 5 else None
    top1 = float(np.trace(confusion) / len(labels))
    return Evaluation(
        loss, top1, top5, len(labels), split, classes, confusion, _per_class(confusion, classes)
    )


def _rank(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes stand before the true one, int64, (N,)."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    before = (probabilities > own) | (
        (probabilities == own) & (np.arange(probabilities.shape[1]) < labels[:, None])
    )
    return np.asarray(before.sum(1))


def _per_class(confusion: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(classes):
        hit, n, said = int(confusion[i, i]), int(confusion[i].sum()), int(confusion[:, i].sum())
        rows.append({"name": name, "count": n, **_figures(hit, n, said)})
    return rows


def _figures(hit: int, n: int, said: int) -> dict[str, float | None]:
    return {
        "precision": _share(hit, said),
        "recall": _share(hit, n),
        "f1": _share(2 * hit, n + said),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _summary(e: Evaluation) -> str:
    shares = {"top-1": e.top1, "top-5": e.top5, "F1": e.f1}
    told = [f"{name} {100 * value:.1f} %" for name, value in shares.items() if value is not None]
    told += [
        f"{name} {value:.4g}"
        for name, value in (("MAE", e.mae), ("RMSE", e.rmse))
        if value is not None
    ]
    return f"{e.split} · {e.count:,} pictures · loss {e.loss:.4f} · {' · '.join(told)}"


def figures(e: Evaluation) -> tuple[str, ...]:
    """The columns of per_class, but for the name and count."""
    return ("precision", "recall", "f1") if e.mae is None else ("mae", "rmse", "r2")


def _shown(e: Evaluation) -> tuple[list[list[str]], str]:
    """The table's cells, headings first, and what is said of the rows left out."""
    rows, hidden, keys = e.per_class, "", figures(e)
    if len(rows) > SHOWN:
        rows = sorted(rows, key=lambda row: 2.0 if row[keys[-1]] is None else row[keys[-1]])[:SHOWN]
        hidden = f"the {SHOWN} worst of {len(e.per_class)} classes; all of them: .per_class"
    cells = [
        [
            row["name"],
            f"{row['count']:,}",
            *("–" if row[key] is None else f"{row[key]:.3f}" for key in keys),
        ]
        for row in rows
    ]
    return [["class" if e.mae is None else "target", "count", *keys], *cells], hidden
