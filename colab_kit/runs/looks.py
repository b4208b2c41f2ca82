"""Looks: what can be drawn of a run. Each picture is shown in a notebook, saved in the run's folder and handed to Drive."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.images import decode
from ..data.sources import Arrays
from ..data.targets import of_row, spoken
from ..errors import DataError, RunError
from ..recipe import Recipe
from ..system.files import write_whole
from . import plots, report
from .evaluation import Evaluation, figures, losses
from .explain import grad_cam, laid_over, three, worst
from .prediction import Prediction, prediction
from .record import Place
from .scoring import Scorer, pictures_of

if TYPE_CHECKING:
    from torch import nn


class Looks:
    """The pictures of a run; what a Run is to them stands first."""

    place: Place
    folder: Path
    name: str
    key: str
    classes: tuple[str, ...]
    task: str
    choices: dict[str, tuple[Any, str]]
    record: dict[str, Any]
    recipe: Recipe
    history: Sequence[Mapping[str, Any]]

    if TYPE_CHECKING:

        @property
        def model(self) -> nn.Module: ...
        def evaluate(self, split: Any = None) -> Evaluation: ...
        def predict(self, x: Any, *, top: int = 5, tta: int = 1) -> Any: ...
        def _split(self, what: Any) -> Any: ...
        def _comparable(self, split: Any) -> None: ...
        def _scorer(self) -> Scorer: ...

    def plot(self) -> Path:
        """Draw loss and accuracy over the epochs; shown in a notebook, saved as curves.png."""
        if not self.history:
            raise RunError(
                "There is nothing to plot yet.",
                f"run {self.name} has no validated epoch",
                "train it first",
            )
        return self._shown(
            plots.curves(self.history, self.folder / "curves.png", monitor=self.recipe.monitor)
        )

    def confusion(self, split: Any = None) -> Path:
        """Draw which classes are taken for which; saved as confusion.png. Of several a picture each one's F1; of numbers, said and true."""
        return self._shown(self._compared(self.evaluate(split)))

    def _compared(self, found: Evaluation) -> Path:
        how = {"multilabel": plots.per_class, "regression": plots.agreement}.get(
            self.task, plots.confusion
        )
        return how(found, self.folder / "confusion.png")

    def show(self, x: Any, *, top: int = 10) -> Path:
        """Draw one picture beside the probabilities of its likeliest classes; saved as prediction.png."""
        found = self.predict(x, top=top)
        if not isinstance(found, Prediction):
            raise DataError(
                "show() takes one picture.",
                f"{len(found)} were given",
                "pass one: run.show(pictures[0])",
            )
        picture = pictures_of(x, self._scorer().preprocess)[0][0]
        if isinstance(picture, Path):
            pixels = decode(picture)
        elif hasattr(picture, "convert"):
            pixels = np.asarray(picture.convert("RGB"))
        else:
            pixels = Arrays(picture.unsqueeze(0), np.zeros(1, np.int64)).picture(0)
        return self._shown(plots.view_classify(pixels, found, self.folder / "prediction.png"))

    def top_losses(self, n: int = 9, split: Any = None) -> Path:
        """Draw the pictures it is most wrong about, with what they are and what was said; saved as top_losses.png."""
        return self._shown(self._worst(n, split))

    def _worst(self, n: int, split: Any) -> Path:
        chosen = self._split(split)
        self._comparable(chosen)
        outputs, labels, rows = self._scorer().split(chosen)
        found = worst(losses(outputs, labels, self.task), n)
        said = [prediction(outputs[i], self.classes, top=1, task=self.task) for i, _ in found]
        texts = [
            f"{spoken(of_row(labels, i), self.classes, self.task)}, loss {loss:.2f}\nsaid {what.label}"
            + f" {100 * what.score:.0f} %" * (self.task == "classification")
            for (i, loss), what in zip(found, said, strict=True)
        ]
        pictures = [three(chosen.source.picture(int(rows[i]))) for i, _ in found]
        return plots.sheet(pictures, texts, self.folder / "top_losses.png")

    def grad_cam(self, x: Any, *, label: str | None = None) -> Path:
        """Draw where the network looks: what in one or more pictures speaks for a class; saved as grad_cam.png.

        x : as for predict    label : the class; each picture's likeliest, if None

        Raises
        ------
        ModelError
            The network has no convolution near its end.
        """
        if label is not None and label not in self.classes:
            raise DataError(
                f"There is no class {label!r}.",
                f"the run knows {', '.join(self.classes[:8])}",
                "name one of these",
            )
        scorer, target = self._scorer(), None if label is None else self.classes.index(label)
        pictures, texts = [], []
        for pixels in scorer.squares(x):
            cam, chosen = grad_cam(self.model, scorer.input(pixels), target)
            square = three(pixels.movedim(0, 2).numpy())
            pictures += [square, laid_over(square, cam)]
            texts += ["", f"speaks for {self.classes[chosen]}"]
        return self._shown(plots.sheet(pictures, texts, self.folder / "grad_cam.png", columns=4))

    def report(self, split: Any = None) -> Path:
        """Write all that is known of the run as one HTML file that opens offline: report.html in its folder."""
        found = self.evaluate(split)
        curves = plots.curves(self.history, self.folder / "curves.png", monitor=self.recipe.monitor)
        own = [
            [row[name] for name in ("name", "count", *figures(found))] for row in found.per_class
        ]
        what = {
            "multilabel": "How well each class is found",
            "regression": "Said against true",
        }.get(self.task, "Which classes are taken for which")
        parts = [
            (f"On the {found.split} split", f"<p>{html.escape(repr(found).splitlines()[0])}</p>"),
            ("Curves", report.picture(curves, "loss and accuracy over the epochs")),
            (what, report.picture(self._compared(found), what)),
            (
                "One by one" if self.task == "regression" else "Class by class",
                report.table(["name", "pictures", *figures(found)], own),
            ),
            (
                "What it is most wrong about",
                report.picture(self._worst(9, split), "pictures with the largest losses"),
            ),
            (
                "What was chosen",
                report.table(
                    ["what", "value", "why"], [(k, v, why) for k, (v, why) in self.choices.items()]
                ),
            ),
            (
                "Recipe",
                report.table(
                    ["field", "value"], [(k, str(v)) for k, v in self.record["recipe"].items()]
                ),
            ),
            ("Validations", report.history(self.history)),
        ]
        about = f"{self.record['data']['name']}, {len(self.classes)} {'targets' if self.task == 'regression' else 'classes'}"
        path = self.folder / "report.html"
        write_whole(path, report.page(f"{self.name}-{self.key}", about, parts))
        if self.place.shelf is not None:
            self.place.shelf.push(path, f"{self.place.kept_as}/{path.name}")
        return path

    def _shown(self, picture: Path) -> Path:
        """Display a picture in a notebook, and hand a copy to Drive."""
        if self.place.shelf is not None:
            self.place.shelf.push(picture, f"{self.place.kept_as}/{picture.name}")
        return plots.display(picture)
