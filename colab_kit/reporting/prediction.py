"""What a network says of pictures it was not trained on: a label, a score, and all the probabilities."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import write_whole

SHOWN = 10  # predictions a list shows


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What is seen in one picture.

    score : float, the label's probability
    top : (name, probability), the likeliest first
    probabilities : float32, (C,), in the order of the run's classes
    path : the file; None for a picture that is none
    """

    label: str
    score: float
    top: list[tuple[str, float]]
    probabilities: np.ndarray
    path: Path | None = None

    def __repr__(self) -> str:
        others = ", ".join(f"{name} {100 * score:.1f} %" for name, score in self.top[1:3])
        return f"{self.label} {100 * self.score:.1f} %" + (f" ({others})" if others else "") + (f" · {self.path}" if self.path else "")


def prediction(probabilities: np.ndarray, classes: Sequence[str], *, top: int = 5, path: Path | None = None) -> Prediction:
    """Name the likeliest classes; equal ones rank by class number.

    Parameters
    ----------
    probabilities : float, (C,)
    top : int
        How many names to keep; all, where there are fewer.
    """
    kept = np.asarray(probabilities, np.float32)
    best = [(classes[i], float(kept[i])) for i in np.argsort(-kept, kind="stable")[: max(1, top)]]
    return Prediction(*best[0], best, kept, path)


class Predictions(list[Prediction]):
    """Predictions in the order of the pictures.

    classes : names of the columns of `probabilities`; () where they are not known
    """

    def __init__(self, items: Iterable[Prediction] = (), classes: Sequence[str] = ()) -> None:
        super().__init__(items)
        self.classes = tuple(classes)

    @property
    def labels(self) -> list[str]:
        return [p.label for p in self]

    @property
    def probabilities(self) -> np.ndarray:
        """float32, (N, C)."""
        return np.stack([p.probabilities for p in self]) if self else np.empty((0, len(self.classes)), np.float32)

    def to_csv(self, path: str | Path | None = None) -> str | Path:
        """Write a row a picture: path, label, score, then a column a class; give the file, or without `path` the text."""
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["path", "label", "score", *self.classes])
        for p in self:
            shares = (f"{x:.6g}" for x in p.probabilities) if self.classes else ()
            table.writerow([p.path or "", p.label, f"{p.score:.6g}", *shares])
        if path is None:
            return out.getvalue()
        write_whole(Path(path), out.getvalue())
        return Path(path)

    def __repr__(self) -> str:
        lines = [f"{len(self)} predictions", *map(repr, self[:SHOWN])]
        return "\n".join([*lines, f"… {len(self) - SHOWN} more"] if len(self) > SHOWN else lines)
