"""What a network says of pictures it was not trained on: a label, a score, and all the probabilities."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..system.files import write_whole

SHOWN = 10  # predictions a list shows


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What is seen in one picture.

    label : the likeliest class; of several a picture all from 0.5 up; of numbers the number
    score : float, the label's probability (of several, the largest); the first number
    top : (name, probability), the likeliest first; (target, number) in their own order
    probabilities : float32, (C,), in the order of the run's classes; the numbers, where such are learned
    path : the file; None for a picture that is none
    task : of the run
    """

    label: str
    score: float
    top: list[tuple[str, float]]
    probabilities: np.ndarray
    path: Path | None = None
    task: str = "classification"

    def __repr__(self) -> str:
        at = f" · {self.path}" if self.path else ""
        if self.task == "regression":
            return ", ".join(f"{name} {value:.4g}" for name, value in self.top) + at
        others = ", ".join(f"{name} {100 * score:.1f} %" for name, score in self.top[1:3])
        return f"{self.label} {100 * self.score:.1f} %" + (f" ({others})" if others else "") + at


def prediction(
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    top: int = 5,
    path: Path | None = None,
    task: str = "classification",
) -> Prediction:
    """Name the likeliest classes; equal ones rank by class number.

    Parameters
    ----------
    probabilities : float, (C,)
    top : int
        How many names to keep; all, where there are fewer.
    """
    kept = np.asarray(probabilities, np.float32)
    if task == "regression":
        numbers = [(name, float(value)) for name, value in zip(classes, kept, strict=True)]
        return Prediction(
            ", ".join(f"{value:.4g}" for _, value in numbers),
            numbers[0][1],
            numbers,
            kept,
            path,
            task,
        )
    best = [(classes[i], float(kept[i])) for i in np.argsort(-kept, kind="stable")[: max(1, top)]]
    if task == "multilabel":
        there = [name for name, score in zip(classes, kept, strict=True) if score >= 0.5]
        return Prediction(", ".join(there) or "none", best[0][1], best, kept, path, task)
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
        return (
            np.stack([p.probabilities for p in self])
            if self
            else np.empty((0, len(self.classes)), np.float32)
        )

    def to_csv(
        self, path: str | Path | None = None, *, columns: Mapping[str, str] | None = None
    ) -> str | Path:
        """Write a row a picture; give the file, or without `path` the text.

        columns : {heading: what stands there}, for what is to be handed in: "path", "file" (its name), "stem" (without ending), "label",
            "score", "number" (the label's, from 0), or the name of a class: its probability. None: path, label, score and all classes.

        Examples
        --------
        >>> run.predict(data.test).to_csv("submission.csv", columns={"id": "stem", "label": "dog"})  # doctest: +SKIP
        """
        asked = columns or {}
        if unknown := [
            what for what in asked.values() if what not in _CELLS and what not in self.classes
        ]:
            why = f"there are {', '.join(_CELLS)}, and the classes {', '.join(self.classes[:5])}"
            raise DataError(f"columns= asks for {unknown[0]!r}.", why, "name one of these")
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(asked or ["path", "label", "score", *self.classes])
        for p in self:
            shares = [f"{x:.6g}" for x in p.probabilities] if self.classes else []
            of_class = dict(zip(self.classes, shares, strict=True))
            usual = [_CELLS[name](p) for name in ("path", "label", "score")] + shares
            table.writerow(
                [of_class[what] if what in of_class else _CELLS[what](p) for what in asked.values()]
                if asked
                else usual
            )
        if path is None:
            return out.getvalue()
        write_whole(Path(path), out.getvalue())
        return Path(path)

    def __repr__(self) -> str:
        lines = [f"{len(self)} predictions", *map(repr, self[:SHOWN])]
        return "\n".join([*lines, f"… {len(self) - SHOWN} more"] if len(self) > SHOWN else lines)


_CELLS: dict[str, Callable[[Prediction], Any]] = {
    "path": lambda p: p.path or "",
    "file": lambda p: p.path.name if p.path else "",
    "stem": lambda p: p.path.stem if p.path else "",
    "label": lambda p: p.label,
    "score": lambda p: f"{p.score:.6g}",
    "number": lambda p: int(p.probabilities.argmax()),
}
