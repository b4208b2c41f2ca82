"""Pictures of a run: curves, confusion, one prediction. Each is a whole PNG file, drawn without pyplot's shared state.

Colours of text and paper are left to the user's matplotlib style; names are never cut off: the paper grows instead.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..system.files import write_whole
from .evaluation import Evaluation
from .prediction import Prediction

TRAIN, VALID, BEST, OVER = "tab:blue", "tab:orange", "tab:green", "tab:red"
FIGURES = {"top1": "Top-1 accuracy", "f1": "F1", "mae": "Mean absolute error"}
DPI = 110
NUMBERED = 20  # classes up to which a confusion matrix shows its counts
NAMED = 200  # classes up to which it names each; of more, every second, third … (1,000 names would make a gigabyte of paper)


def curves(
    history: Sequence[Mapping[str, Any]], path: Path, *, monitor: str = "valid/loss"
) -> Path:
    """Draw loss and top-1 (or F1, or the mean absolute error) against the epoch, training and validation, with the best validation marked.

    What lies behind the best one is shaded where the validation loss rises there while the training loss falls: over-fitting.

    Parameters
    ----------
    history : rows of "epoch" (may be a fraction) and "train/loss", "train/top1", "valid/loss", "valid/top1"; any may be missing
    monitor : the column that says which validation is best; the largest if its name ends in top1, top5 or f1
    """
    second = next(
        (
            name
            for name in FIGURES
            if any(f"{split}/{name}" in row for row in history for split in ("train", "valid"))
        ),
        "top1",
    )
    over = overfits(history)
    figure = Figure(figsize=(10, 4), dpi=DPI, layout="constrained")
    best = _best(history, monitor)
    for axes, metric, title in zip(
        figure.subplots(1, 2), ("loss", second), ("Loss", FIGURES[second]), strict=True
    ):
        for split, colour in (("train", TRAIN), ("valid", VALID)):
            points = _points(history, f"{split}/{metric}")
            if points:
                few = "o" if len(points) <= 25 else ""  # dots would hide the line
                axes.plot(
                    *zip(*points, strict=True), marker=few, markersize=4, color=colour, label=split
                )
        if best is not None:
            axes.axvline(best, color=BEST, linestyle=":", label=f"best {monitor}: epoch {best:g}")
        if over is not None and metric == "loss":
            axes.axvspan(
                over,
                history[-1]["epoch"],
                color=OVER,
                alpha=0.12,
                label=f"over-fitting from epoch {over:g}",
            )
        last = max((row["epoch"] for row in history), default=1)
        axes.set(title=title, xlabel="epoch", xlim=(0, 1.04 * last))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if metric in ("top1", "f1"):
            axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    return _save(figure, path)


def overfits(history: Sequence[Mapping[str, Any]]) -> float | None:
    """The epoch from which the validation loss only rises above its minimum while the training loss falls on; None: there is none."""
    valid, train = _points(history, "valid/loss"), dict(_points(history, "train/loss"))
    if len(valid) < 3:
        return None
    at = min(range(len(valid)), key=lambda i: valid[i][1])
    (best, low), after = valid[at], valid[at + 1 :]
    falls = best in train and bool(after) and train.get(after[-1][0], math.inf) < train[best]
    rises = len(after) >= 2 and all(loss > low for _, loss in after) and after[-1][1] > 1.02 * low
    return best if falls and rises else None


def agreement(evaluation: Evaluation, path: Path) -> Path:
    """Draw what was said of each picture against what is true, target by target: on the line they are the same."""
    outputs, labels = evaluation.outputs, evaluation.labels
    assert outputs is not None and labels is not None
    n = min(len(evaluation.classes), 6)
    figure = Figure(figsize=(4.4 * n, 4.2), dpi=DPI, layout="constrained")
    for column, axes in enumerate(figure.subplots(1, n, squeeze=False).flat):
        true, said = labels[:, column], outputs[:, column]
        ends = [float(min(true.min(), said.min())), float(max(true.max(), said.max()))]
        axes.plot(ends, ends, color=BEST, linestyle=":")
        axes.scatter(true, said, s=12, alpha=0.6, color=TRAIN, edgecolors="none")
        row = evaluation.per_class[column]
        _plain([axes.set_title(f"{row['name']}: MAE {row['mae']:.3g}, RMSE {row['rmse']:.3g}")])
        axes.set(xlabel=f"true ({evaluation.split})", ylabel="predicted")
        axes.grid(alpha=0.3)
    return _save(figure, path)


def per_class(evaluation: Evaluation, path: Path) -> Path:
    """Draw the F1 of each class, where a picture may have several."""
    rows = sorted(evaluation.per_class, key=lambda row: row["f1"] or 0.0)[:NAMED]
    figure = Figure(figsize=(6, 0.8 + 0.28 * len(rows)), dpi=DPI)
    axes = figure.subplots()
    bars = axes.barh(range(len(rows)), [row["f1"] or 0.0 for row in rows], 0.7, color=TRAIN)
    axes.bar_label(
        bars,
        [f"{100 * (row['f1'] or 0.0):.0f} % of {row['count']:,}" for row in rows],
        padding=3,
        fontsize=8,
    )
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    _plain(axes.get_yticklabels())
    axes.set(
        title=f"F1 of each class, {evaluation.split}", xlim=(0, 1.25), ylim=(-0.6, len(rows) - 0.4)
    )
    axes.spines[["top", "right"]].set_visible(False)
    return _save(figure, path)


def sweep(
    lrs: Sequence[float], losses: Sequence[float], suggestion: float | None, path: Path
) -> Path:
    """Draw the loss against the learning rate, and where the suggestion lies."""
    figure = Figure(figsize=(6, 4), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.plot(lrs, losses, color=TRAIN)
    axes.set(
        xscale="log", xlabel="learning rate", ylabel="loss (smoothed)", title="Learning-rate finder"
    )
    axes.grid(alpha=0.3)
    if suggestion is not None:
        axes.axvline(suggestion, color=BEST, linestyle=":", label=f"suggestion {suggestion:.1e}")
        axes.legend()
    return _save(figure, path)


@dataclass(frozen=True, repr=False)
class LrCurve:
    """What `find_lr` gives.

    lrs, losses : the sweep, one step each; losses are smoothed
    suggestion : learning rate, or None where nothing is learned at any; why : the reason
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None
    why: str

    def plot(self, path: str | Path = "lr_curve.png") -> Any:
        """Draw the curve with the suggestion marked; shown in a notebook, saved as a PNG, whose path is given back."""
        return display(sweep(self.lrs, self.losses, self.suggestion, Path(path)))

    def __repr__(self) -> str:
        said = "no suggestion" if self.suggestion is None else f"suggestion {self.suggestion:.1e}"
        return (
            f"LrCurve({said}: {self.why}; {len(self.lrs)} steps from {self.lrs[0]:.0e} to {self.lrs[-1]:.0e})"
            if self.lrs
            else "LrCurve()"
        )


def confusion(evaluation: Evaluation, path: Path) -> Path:
    """Draw the confusion matrix: rows are the truth, the colour is the share of a row, numbers are pictures."""
    table, few = evaluation.confusion, len(evaluation.classes) <= NUMBERED
    assert table is not None and evaluation.top1 is not None
    names = [textwrap.fill(name, 24) if few else name for name in evaluation.classes]
    side = len(names) * (0.9 if len(names) <= 5 else 0.55) if few else 0.16 * min(len(names), NAMED)
    figure = Figure(figsize=(side, side), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))  # names lie outside; saving takes them in
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    axes.imshow(
        share, cmap="Blues", norm=PowerNorm(0.5, 0, 1)
    )  # the root: a few mistakes must be seen beside the many hits
    slant: dict[str, Any] = (
        {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if few else {"rotation": 90}
    )
    step = math.ceil(len(names) / NAMED)
    axes.set_xticks(range(0, len(names), step), names[::step], fontsize=10 if few else 7, **slant)
    axes.set_yticks(range(0, len(names), step), names[::step], fontsize=10 if few else 7)
    _plain([*axes.get_xticklabels(), *axes.get_yticklabels()])
    if few:
        for (row, column), n in np.ndenumerate(table):
            colour = "white" if share[row, column] > 0.35 else "black" if n else "0.7"
            axes.text(
                column,
                row,
                f"{n}",
                ha="center",
                va="center",
                color=colour,
                fontsize=9 if table.max() < 10_000 else 7,
            )
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(
        f"{evaluation.split}: top-1 {100 * evaluation.top1:.1f} % of {evaluation.count:,}",
        loc="left",
    )
    return _save(figure, path)


def view_classify(picture: np.ndarray, prediction: Prediction, path: Path) -> Path:
    """Draw a picture beside a bar chart of what it may show.

    Parameters
    ----------
    picture : uint8, (H, W, C) or (H, W); one channel is drawn in grey
    """
    rows = prediction.top
    tall, wide = (
        max(3.2, 0.34 * len(rows)),
        3.2 * min(2.0, max(0.5, picture.shape[1] / picture.shape[0])),
    )
    figure = Figure(
        figsize=(1, 1), dpi=DPI
    )  # a sheet of one inch: places are inches, and saving takes in what lies outside
    left = figure.add_axes((0, tall - 3.2, wide, 3.2), anchor="N")
    left.imshow(
        picture[..., 0] if picture.ndim == 3 and picture.shape[2] < 3 else picture,
        cmap="gray",
        vmin=0,
        vmax=255,
    )
    left.set_axis_off()
    score = f"  {100 * prediction.score:.1f} %" if prediction.task == "classification" else ""
    _plain([left.set_title(textwrap.fill(prediction.label, 36) + score)])
    if prediction.task == "regression":  # numbers have no bars
        return _save(figure, path)
    right = figure.add_axes((0, 0, 3.6, tall))
    bars = right.barh(
        range(len(rows)),
        [score for _, score in rows],
        0.65,
        color=[TRAIN] + ["lightsteelblue"] * (len(rows) - 1),
    )
    right.bar_label(bars, [f"{100 * score:.1f} %" for _, score in rows], padding=3, fontsize=9)
    right.set_yticks(range(len(rows)), [textwrap.fill(name, 30) for name, _ in rows])
    names = right.get_yticklabels()
    _plain(names)
    right.set(
        title="Class probability", xlim=(0, 1.2), ylim=(len(rows) - 0.4, -0.6)
    )  # the likeliest on top
    right.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    right.spines[["top", "right"]].set_visible(False)
    canvas = FigureCanvasAgg(figure)
    pen = canvas.get_renderer()  # type: ignore[no-untyped-call]
    longest = max(name.get_window_extent(pen).width for name in names) / DPI
    right.set_position((wide + longest + 0.35, 0, 3.6, tall))
    return _save(figure, path)


def sheet(
    pictures: Sequence[np.ndarray], texts: Sequence[str], path: Path, *, columns: int = 3
) -> Path:
    """Draw pictures in rows, each below its text.

    pictures : uint8, (H, W, 3) each
    """
    columns = min(columns, len(pictures))
    lines = -(-len(pictures) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.6 * lines), dpi=DPI, layout="constrained")
    for axes, place in zip(
        figure.subplots(lines, columns, squeeze=False).flat, range(lines * columns), strict=True
    ):
        axes.set_axis_off()
        if place < len(pictures):
            axes.imshow(pictures[place])
            _plain(
                [
                    axes.set_title(
                        "\n".join(textwrap.fill(line, 34) for line in texts[place].splitlines()),
                        fontsize=10,
                    )
                ]
            )
    return _save(figure, path)


def display(path: Path, *, shell: Any = None, show: Callable[[Any], object] | None = None) -> Path:
    """Show a PNG in a notebook; do nothing elsewhere. Gives the path.

    Parameters
    ----------
    shell : IPython's shell, if there is one
    show : IPython's `display`
    """
    import sys

    if shell is None and "IPython" in sys.modules:  # a kernel has it loaded
        shell = sys.modules["IPython"].get_ipython()
    if hasattr(shell, "kernel"):  # a terminal's shell has none
        from IPython.display import Image
        from IPython.display import display as to_notebook

        (show or to_notebook)(Image(filename=str(path)))  # type: ignore[no-untyped-call]
    return path


def _points(history: Sequence[Mapping[str, Any]], column: str) -> list[tuple[float, float]]:
    found = [
        (float(row["epoch"]), float(row[column])) for row in history if row.get(column) is not None
    ]
    return [point for point in found if math.isfinite(point[1])]


def _best(history: Sequence[Mapping[str, Any]], monitor: str) -> float | None:
    """The epoch of the best validation: the first of equals."""
    sign = -1 if monitor.endswith(("top1", "top5", "f1")) else 1
    return min(_points(history, monitor), key=lambda point: sign * point[1], default=(None, None))[
        0
    ]


def _plain(texts: Sequence[Any]) -> None:
    for text in texts:
        text.set_parse_math(False)  # a class may be named "$5"


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", bbox_inches="tight", pad_inches=0.12)
    write_whole(Path(path), content.getvalue())
    return Path(path)
