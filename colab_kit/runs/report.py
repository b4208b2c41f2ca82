"""The report: one HTML file with a run's figures, worst pictures and Grad-CAM, that opens offline.

Nothing in it comes from elsewhere, and no script runs.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.dataset import Split
from ..data.targets import of_row, spoken
from ..errors import DataError, ModelError
from ..models.inference import primary
from ..system.console import escape, html_table
from ..system.files import write_whole
from ..system.timings import Timings
from ..training.history import History
from . import plots
from .evaluation import Evaluation, figures, losses
from .prediction import prediction
from .scoring import Scored, Scorer

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em }
body { color: #222; background: #fff }
h1 { font-size: 1.5em }
h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd }
img { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .2em .8em .2em 0; text-align: left; vertical-align: top; overflow-wrap: anywhere }
tr:nth-child(even) { background: #f6f6f6 }
.small { color: #666; font-size: .9em }
"""
COMPARISONS = {  # task: the heading over its comparison, and over its table
    "classification": ("Which classes the run confuses", "Class by class"),
    "multilabel": ("How well the run finds each class", "Class by class"),
    "regression": ("Predicted and true numbers", "Target by target"),
}


def write_report(
    title: str,
    record: Mapping[str, Any],
    choices: Mapping[str, Sequence[Any]],
    history: Sequence[Mapping[str, Any]],
    evaluation: Evaluation,
    drawings: Sequence[Path],
    folder: Path,
) -> Path:
    """Write all that is known of a run as one HTML file, report.html in its folder.

    Parameters
    ----------
    drawings : sequence of Path
        The curves, the comparison and the pictures with the largest losses.
    """
    data, names = record["data"], figures(evaluation)
    comparison, each = COMPARISONS[data["task"]]
    curves, compared, worst = drawings
    rows = [[row[name] for name in ("name", "count", *names)] for row in evaluation.per_class]
    chosen = [(name, *choice[:2]) for name, choice in choices.items()]
    summary = escape(repr(evaluation).splitlines()[0])
    parts = {
        f"On the {evaluation.split} split": f"<p>{summary}</p>",
        "Curves": _picture(curves, "loss and accuracy over the epochs"),
        comparison: _picture(compared, comparison),
        each: _table(rows, ("name", "pictures", *names)),
        "The largest losses": _picture(worst, "the pictures with the largest losses"),
        "What was chosen": _table(chosen, ("what", "value", "why")),
        "Recipe": _table(record["recipe"].items(), ("field", "value")),
        "Validations": History(history)._repr_html_(),
        "Where the seconds went": Timings(**record.get("timings", {}))._repr_html_(),
    }
    kind = "targets" if data["task"] == "regression" else "classes"
    path = folder / "report.html"
    write_whole(path, page(title, f"{data['name']}, {len(data['classes'])} {kind}", parts))
    return path


def page(title: str, about: str, parts: Mapping[str, str]) -> str:
    """Make a whole page.

    Parameters
    ----------
    title, about : str
        Text; it is escaped.
    parts : dict
        {a heading as text: its content as HTML}
    """
    title = escape(title)
    body = "".join(f"<h2>{escape(name)}</h2>\n{content}\n" for name, content in parts.items())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f'<body><h1>{title}</h1>\n<p class="small">{escape(about)}</p>\n{body}</body></html>\n'
    )


def _picture(path: Path, text: str) -> str:
    """Put a PNG inside the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{content}">'


def _table(rows: Iterable[Iterable[Any]], head: Iterable[str]) -> str:
    return html_table(([_cell(cell) for cell in row] for row in rows), head)


def _cell(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return "" if cell is None else str(cell)


def draw_worst(
    split: Split, found: Scored, classes: tuple[str, ...], task: str, n: int, folder: Path
) -> Path:
    """Draw the n pictures with the largest losses, each with its label and the prediction."""
    outputs, labels, rows = found.probabilities, found.labels, found.rows
    pictures, texts = [], []
    for i, loss in worst(losses(outputs, labels, task), n):
        answer = prediction(outputs[i], classes, top=1, task=task)
        percent = f" {100 * answer.score:.0f} %" if task == "classification" else ""
        truth = spoken(of_row(labels, i), classes, task)
        texts.append(f"{truth}, loss {loss:.2f}\npredicted {answer.label}{percent}")
        pictures.append(three(split.source.picture(int(rows[i]))))
    return plots.sheet(pictures, texts, folder / "top_losses.png")


def draw_grad_cam(
    x: Any, scorer: Scorer, classes: tuple[str, ...], label: str | None, folder: Path
) -> Path:
    """Draw which places of each picture speak for a class; label None: for its likeliest one."""
    if label is not None and label not in classes:
        why = f"the run knows {', '.join(classes[:8])}"
        raise DataError(f"There is no class {label!r}.", why, "name one of these")
    target = None if label is None else classes.index(label)
    pictures, texts = [], []
    for pixels in scorer.squares(x):
        cam, chosen = grad_cam(scorer.inference.model, scorer.input(pixels), target)
        square = three(pixels.movedim(0, 2).numpy())
        pictures += [square, laid_over(square, cam)]
        texts += ["", f"speaks for {classes[chosen]}"]
    return plots.sheet(pictures, texts, folder / "grad_cam.png", columns=4)


def worst(of_pictures: np.ndarray, n: int) -> list[tuple[int, float]]:
    """Give the n rows with the largest losses, with these; of equals the first."""
    return [
        (int(row), float(of_pictures[row])) for row in np.argsort(-of_pictures, kind="stable")[:n]
    ]


def grad_cam(
    model: nn.Module, x: torch.Tensor, target: int | None = None
) -> tuple[np.ndarray, int]:
    """Compute which places of a picture speak for a class (Selvaraju et al. 2017).

    Parameters
    ----------
    model : Module
        In eval; its flags and gradients stay as they are.
    x : Tensor, (1, C, H, W)
        One picture as network input.
    target : int, optional
        The class; None: the likeliest.

    Returns
    -------
    ndarray, int
        The map, float32 (h, w) from 0 to 1, of the last convolution; and the class.

    Raises
    ------
    ModelError
        The network has no convolution near its end. The first layer of a transformer is one, and
        shows nothing.
    """
    layer, maps = _last_map(model, x), list[torch.Tensor]()
    hook = layer.register_forward_hook(lambda module, inputs, out: maps.append(out))
    try:
        with torch.enable_grad():
            scores = primary(model(x.clone().requires_grad_()))
            chosen = int(scores[0].argmax()) if target is None else target
            (slope,) = torch.autograd.grad(scores[0, chosen], maps[0])
    finally:
        hook.remove()
    cam = (slope.mean((2, 3), keepdim=True) * maps[0]).sum(1)[0].clamp_min(0).detach().float().cpu()
    return (cam / (float(cam.max()) or 1.0)).numpy(), chosen


def _last_map(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """Find the last convolution or BatchNorm whose output is a map of more than one place.

    It must stand in the second half of all layers.
    """
    ran: list[tuple[nn.Module, bool]] = []

    def note(module: nn.Module, inputs: Any, out: Any) -> None:
        is_map = isinstance(module, (nn.Conv2d, nn.BatchNorm2d)) and isinstance(out, torch.Tensor)
        ran.append((module, is_map and out.ndim == 4 and min(out.shape[2:]) > 1))

    hooks = [m.register_forward_hook(note) for m in model.modules() if not any(m.children())]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    at = max((place for place, (_, is_map) in enumerate(ran) if is_map), default=-1)
    if at < (len(ran) - 1) / 2:
        raise ModelError(
            f"{type(model).__name__} has no map to look at.",
            "it has no convolution near its end; Grad-CAM shows where one looks",
            "use it with a convolutional backbone, such as resnet18",
        )
    return ran[at][0]


def laid_over(picture: np.ndarray, cam: np.ndarray) -> np.ndarray:
    """Lay a Grad-CAM over a picture, uint8 (H, W, 3), in warm colours: uint8 (H, W, 3)."""
    from PIL import Image

    high, wide = picture.shape[:2]
    small = Image.fromarray(cam.astype(np.float32))
    share = np.asarray(small.resize((wide, high), Image.Resampling.BICUBIC)).clip(0, 1)[..., None]
    grey = picture.astype(np.float32).mean(2, keepdims=True)
    colours = [np.minimum(1, 2 * share), np.clip(2 * share - 0.6, 0, 1), np.zeros_like(share)]
    warm = np.concatenate(colours, 2) * 255
    mixed = (1 - 0.6 * share) * (0.35 * grey + 0.65 * picture) + 0.6 * share * warm
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def three(pixels: np.ndarray) -> np.ndarray:
    """Give a picture three channels, uint8 (H, W, 3): grey is repeated, alpha left out."""
    picture = pixels if pixels.ndim == 3 else pixels[..., None]
    return np.asarray(picture.repeat(3, 2) if picture.shape[2] < 3 else picture[..., :3])
