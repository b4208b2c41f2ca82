"""What a network predicts for pictures: a label, a score, and all the probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.folders.tree import some
from ..errors import DataError, in_line
from ..events import Note
from ..system.console import csv_field
from ..system.files import write_whole
from .scoring import Scored

SHOWN = 10  # predictions a list shows


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What the network predicts for one picture.

    Attributes
    ----------
    label : str or None
        The likeliest class. Where a picture may have several, all from 0.5 up. Where the labels
        are numbers, the numbers. None: the picture could not be read.
    score : float
        The label's probability (of several the largest); the first number.
    top : list of (str, float)
        Names and probabilities, the likeliest first; targets and numbers, in their own order.
    probabilities : ndarray, float32, (C,)
        In the order of the run's classes; or the numbers.
    path : Path, optional
        The file; None where the picture came without one.
    task : str
        Of the run.
    fault : str
        Why the picture could not be read; then all numbers are nan, and `top` is empty.
    """

    label: str | None
    score: float
    top: list[tuple[str, float]]
    probabilities: np.ndarray
    path: Path | None = None
    task: str = "classification"
    fault: str = ""

    def __repr__(self) -> str:
        at = f" · {self.path}" if self.path else ""
        if self.label is None:
            return in_line(f"not read: {self.fault}{at}")
        if self.task == "regression":
            return in_line(", ".join(f"{name} {value:.4g}" for name, value in self.top) + at)
        others = ", ".join(f"{name} {100 * score:.1f} %" for name, score in self.top[1:3])
        best = f"{self.label} {100 * self.score:.1f} %"
        return in_line(f"{best} ({others}){at}" if others else best + at)


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
    probabilities : ndarray, float, (C,)
    top : int
        How many names to keep; all, where there are fewer.
    """
    row = np.asarray(probabilities, np.float32)
    pairs = [(name, float(value)) for name, value in zip(classes, row, strict=True)]
    if task == "regression":
        label = ", ".join(f"{value:.4g}" for _, value in pairs)
        return Prediction(label, pairs[0][1], pairs, row, path, task)
    best = [pairs[i] for i in np.argsort(-row, kind="stable")[: max(1, top)]]
    label, score = best[0]
    if task == "multilabel":
        label = ", ".join(name for name, value in pairs if value >= 0.5) or "none"
    return Prediction(label, score, best, row, path, task)


def unread(classes: Sequence[str], path: Path | None, task: str, fault: str) -> Prediction:
    """Make the row of a picture that could not be read."""
    row = np.full(len(classes), np.nan, np.float32)
    return Prediction(None, float("nan"), [], row, path, task, fault)


Cell = Callable[[Prediction], str]


class Predictions(list[Prediction]):
    """Predictions in the order of the pictures.

    Parameters
    ----------
    items : iterable of Prediction
    classes : sequence of str
        Names of the columns of `probabilities`; () where they are not known.
    """

    def __init__(self, items: Iterable[Prediction] = (), classes: Sequence[str] = ()) -> None:
        super().__init__(items)
        self.classes = tuple(classes)

    @property
    def labels(self) -> list[str | None]:
        """The label of each picture; None where it could not be read."""
        return [p.label for p in self]

    @property
    def probabilities(self) -> np.ndarray:
        """The probabilities of all pictures, float32, (N, C); nan where one could not be read."""
        if not self:
            return np.empty((0, len(self.classes)), np.float32)
        return np.stack([p.probabilities for p in self])

    def to_csv(
        self,
        path: str | Path | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        exact: bool = False,
    ) -> str | Path:
        """Write a row for each picture. Give the file, or the text where no `path` is given.

        Parameters
        ----------
        path : str or Path, optional
        columns : dict, optional
            {heading: content}, for a file with a form of its own, as a competition asks for it.
            A content is "path", "file" (its name), "stem" (its name without ending), "label",
            "score", "number" (of the label, from 0), "fault", or the name of a class: its
            probability. Where a class has one of these names: "picture:stem", or "class:stem".
            None: path, label, score and all classes, and fault where a picture has one: its label
            and numbers are empty.
        exact : bool
            Write names as they are. Otherwise a name that a spreadsheet would take for a formula
            (it begins with =, +, - or @, and is no negative number) gets an apostrophe in front,
            as one types it there; `load(labels=…)` takes it off again. Headings of `columns` are
            yours, and stay.

        Raises
        ------
        DataError
            There is no such content, or it may mean two.

        Examples
        --------
        >>> form = {"id": "stem", "label": "dog"}
        >>> run.predict(data.test).to_csv("submission.csv", columns=form)  # doctest: +SKIP
        """
        heads = ["path", "label", "score"]
        cells = [_CELLS[head] for head in heads]
        for name in self.classes:  # a heading stands for one column
            heads.append(f"class:{name}" if name in (*heads[:3], "fault") else name)
            cells.append(self._probability(name))
        if any(p.fault for p in self):
            heads, cells = [*heads, "fault"], [*cells, _CELLS["fault"]]
        if columns:
            heads, cells = list(columns), [self._cell(content) for content in columns.values()]
        # numbers are many, and need no look
        fields = [_field(cell, exact) if cell in _NAMES else cell for cell in cells]
        lines = [",".join(csv_field(head, exact=exact or bool(columns)) for head in heads)]
        lines += [",".join([field(p) for field in fields]) or '""' for p in self]
        text = "".join(f"{line}\n" for line in lines)
        if path is None:
            return text
        write_whole(Path(path), text)
        return Path(path)

    def _cell(self, content: str) -> Cell:
        kind, _, name = content.partition(":")
        if content in self.classes and content in _CELLS:
            raise DataError(
                f"columns= asks for {content!r}, which may mean two things.",
                f"a class is called {content}, and each picture has a {content}",
                f"write 'picture:{content}' for the picture's, 'class:{content}' for the class's "
                "probability",
            )
        if content in self.classes:
            return self._probability(content)
        if content in _CELLS:
            return _CELLS[content]
        if kind == "class" and name in self.classes:
            return self._probability(name)
        if kind == "picture" and name in _CELLS:
            return _CELLS[name]
        raise DataError(
            f"columns= asks for {content!r}.",
            f"there are {', '.join(_CELLS)}, and the classes {', '.join(self.classes[:5])}",
            "name one of these",
        )

    def _probability(self, name: str) -> Cell:
        column = self.classes.index(name)
        return lambda p: "" if p.fault else f"{p.probabilities[column]:.6g}"

    def __repr__(self) -> str:
        lines = [f"{len(self)} predictions", *map(repr, self[:SHOWN])]
        more = [f"… {len(self) - SHOWN} more"] if len(self) > SHOWN else []
        return "\n".join(lines + more)


def predictions(
    found: Scored,
    rows: Sequence[int],
    paths: Sequence[Path | None],
    classes: tuple[str, ...],
    *,
    top: int,
    task: str,
) -> Predictions:
    """Give a prediction for each picture that was looked at; an unread one says why.

    Parameters
    ----------
    rows, paths
        Of all pictures, in the order in which they were asked for.
    """
    chances = found.named(classes).probabilities
    table = dict(zip(found.rows.tolist(), chances, strict=True))
    answers = Predictions((), classes)
    for row, path in zip(rows[: found.seen], paths, strict=False):
        if row in table:
            one = prediction(table[row], classes, top=top, path=path, task=task)
        else:
            one = unread(classes, path, task, found.faults.get(row, "it cannot be read"))
        answers.append(one)
    return answers


def complaints(answers: Predictions) -> list[Note]:
    """Say which pictures could not be read."""
    faults = [answer for answer in answers if answer.label is None]
    names = some([f"{answer.path or 'a picture'}: {answer.fault}" for answer in faults])
    text = f"{len(faults)} of {len(answers)} pictures could not be read, and have no label"
    return [Note(f"{text} ({names}).", "warn")] if faults else []


_CELLS: dict[str, Cell] = {
    "path": lambda p: str(p.path or ""),
    "file": lambda p: p.path.name if p.path else "",
    "stem": lambda p: p.path.stem if p.path else "",
    "label": lambda p: p.label or "",
    "score": lambda p: "" if p.fault else f"{p.score:.6g}",
    "number": lambda p: "" if p.fault else f"{p.probabilities.argmax()}",
    "fault": lambda p: p.fault,
}
_NAMES = frozenset(_CELLS[name] for name in ("path", "file", "stem", "label", "fault"))


def _field(cell: Cell, exact: bool) -> Cell:
    return lambda p: csv_field(cell(p), exact=exact)
