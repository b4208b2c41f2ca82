"""Drawing: the pictures that a run shows. Each function writes one file and gives its path."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Arrays, Split
from ..data.images import decode
from ..data.targets import of_row, spoken
from ..system.files import write_whole
from . import plots, report
from .evaluation import Evaluation, figures, losses
from .explain import grad_cam, laid_over, three, worst
from .prediction import Prediction, prediction
from .scoring import Scorer, pictures_of


def draw_confusion(evaluation: Evaluation, folder: Path, task: str) -> Path:
    """Draw which classes are taken for which; or the F1 of each; or numbers, predicted and true."""
    draw = {"multilabel": plots.per_class, "regression": plots.agreement}.get(task, plots.confusion)
    return draw(evaluation, folder / "confusion.png")


def draw_prediction(x: Any, found: Prediction, scorer: Scorer, folder: Path) -> Path:
    """Draw one picture beside the probabilities of its likeliest classes."""
    picture = pictures_of(x, scorer.preprocess)[0][0]
    if isinstance(picture, Path):
        pixels = decode(picture)
    elif hasattr(picture, "convert"):
        pixels = np.asarray(picture.convert("RGB"))
    else:
        pixels = Arrays(picture.unsqueeze(0), np.zeros(1, np.int64)).picture(0)
    return plots.view_classify(pixels, found, folder / "prediction.png")


def draw_worst(
    split: Split, scorer: Scorer, classes: tuple[str, ...], task: str, n: int, folder: Path
) -> Path:
    """Draw the n pictures with the largest losses, with what they are and what was said."""
    outputs, labels, rows = scorer.split(split)
    pictures, texts = [], []
    for i, loss in worst(losses(outputs, labels, task), n):
        answer = prediction(outputs[i], classes, top=1, task=task)
        percent = f" {100 * answer.score:.0f} %" if task == "classification" else ""
        truth = spoken(of_row(labels, i), classes, task)
        texts.append(f"{truth}, loss {loss:.2f}\nsaid {answer.label}{percent}")
        pictures.append(three(split.source.picture(int(rows[i]))))
    return plots.sheet(pictures, texts, folder / "top_losses.png")


def draw_grad_cam(
    x: Any, scorer: Scorer, classes: tuple[str, ...], target: int | None, folder: Path
) -> Path:
    """Draw what in each picture speaks for a class; for its likeliest one where target is None."""
    pictures, texts = [], []
    for pixels in scorer.squares(x):
        cam, chosen = grad_cam(scorer.model, scorer.input(pixels), target)
        square = three(pixels.movedim(0, 2).numpy())
        pictures += [square, laid_over(square, cam)]
        texts += ["", f"speaks for {classes[chosen]}"]
    return plots.sheet(pictures, texts, folder / "grad_cam.png", columns=4)


def write_report(
    title: str,
    record: Mapping[str, Any],
    choices: Mapping[str, Sequence[Any]],
    history: Sequence[Mapping[str, Any]],
    evaluation: Evaluation,
    drawings: Sequence[Path],
    folder: Path,
) -> Path:
    """Write all that is known of a run as one HTML file that opens offline.

    Parameters
    ----------
    drawings : paths of the curves, the comparison and the worst pictures
    """
    task, names = record["data"]["task"], figures(evaluation)
    rows = [[row[name] for name in ("name", "count", *names)] for row in evaluation.per_class]
    what = {
        "multilabel": "How well each class is found",
        "regression": "Said against true",
    }.get(task, "Which classes are taken for which")
    each, kind = "Class by class", "classes"
    if task == "regression":
        each, kind = "One by one", "targets"
    curves, confusion, worst_pictures = drawings
    chosen = [(name, *choice[:2]) for name, choice in choices.items()]
    fields = [(name, str(value)) for name, value in record["recipe"].items()]
    summary = f"<p>{html.escape(repr(evaluation).splitlines()[0])}</p>"
    parts = [
        (f"On the {evaluation.split} split", summary),
        ("Curves", report.picture(curves, "loss and accuracy over the epochs")),
        (what, report.picture(confusion, what)),
        (each, report.table(["name", "pictures", *names], rows)),
        (
            "What it is most wrong about",
            report.picture(worst_pictures, "pictures with the largest losses"),
        ),
        ("What was chosen", report.table(["what", "value", "why"], chosen)),
        ("Recipe", report.table(["field", "value"], fields)),
        ("Validations", report.history(history)),
    ]
    about = f"{record['data']['name']}, {len(record['data']['classes'])} {kind}"
    path = folder / "report.html"
    write_whole(path, report.page(title, about, parts))
    return path
