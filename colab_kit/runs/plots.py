"""Pictures of a run: curves, confusion, one prediction, the learning-rate sweep.

Each is a whole PNG file, drawn without pyplot's shared state. The user's matplotlib style gives the
colours of text and paper. Names are never cut off: the paper grows instead.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from ..errors import in_line, plain
from ..system import hardware
from ..system.console import NO_FONT, fonts_for, rare_signs
from ..system.files import write_whole
from ..training.losses import falls
from .evaluation import Evaluation
from .prediction import Prediction

TRAIN, VALID, BEST, OVER = "tab:blue", "tab:orange", "tab:green", "tab:red"
FIGURES = {"top1": "Top-1 accuracy", "f1": "F1", "mae": "Mean absolute error"}
DPI = 110
NUMBERED = 20  # classes up to which a confusion matrix shows its counts
NAMED = 200  # classes up to which it names each; 1,000 names would make a gigabyte of paper
History = Sequence[Mapping[str, Any]]


def curves(history: History, path: Path, *, monitor: str = "valid/loss") -> Path:
    """Draw the loss over the epochs, and what `monitor` names; else top-1, F1 or absolute error.

    The best validation is marked. The part after it is shaded where the validation loss rises
    while the training loss falls: over-fitting.

    Parameters
    ----------
    history : sequence of dict
        Rows of "epoch" (may be a fraction) and "train/loss", "train/top1", "valid/loss",
        "valid/top1"; any may be missing.
    monitor : str
        The metric that says which validation is best.
    """
    names = {name.rpartition("/")[2] for row in history for name in row}
    asked = [monitor.rpartition("/")[2]] if not monitor.endswith("/loss") else []
    second = next((name for name in (*asked, *FIGURES) if name in names), "top1")
    over, best = overfits(history), _best(history, monitor)
    figure = _figure(10, 4)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", second), strict=True):
        for split, colour in (("train", TRAIN), ("valid", VALID)):
            if points := _points(history, f"{split}/{metric}"):
                marker = "o" if len(points) <= 25 else ""  # more dots would hide the line
                line = {"marker": marker, "markersize": 4, "color": colour, "label": split}
                axes.plot(*zip(*points, strict=True), **line)
        if best is not None:
            _mark(axes, best, f"best {monitor}: epoch {best:g}")
        if over is not None and metric == "loss":
            label = f"over-fitting from epoch {over:g}"
            axes.axvspan(over, history[-1]["epoch"], color=OVER, alpha=0.12, label=label)
        last = max((row["epoch"] for row in history), default=1)
        axes.set(
            title=FIGURES.get(metric, metric.capitalize()), xlabel="epoch", xlim=(0, 1.04 * last)
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if metric in ("top1", "f1"):
            axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    return _save(figure, path)


def several(histories: Mapping[str, History], path: Path, monitor: str = "valid/loss") -> Path:
    """Draw the validation's loss of several runs, and what `monitor` names, over the epochs."""
    second = monitor if not monitor.endswith("/loss") else ""
    names = {name for rows in histories.values() for row in rows for name in row}
    second = second or next((f"valid/{n}" for n in FIGURES if f"valid/{n}" in names), "")
    figure = _figure(10, 4)
    for axes, metric in zip(figure.subplots(1, 2), ("valid/loss", second), strict=True):
        for run, rows in histories.items():
            if points := _points(rows, metric):
                marker = "o" if len(points) <= 25 else ""
                axes.plot(*zip(*points, strict=True), marker=marker, markersize=4, label=run)
        title = metric.rpartition("/")[2]
        axes.set(title=FIGURES.get(title, title.capitalize()), xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            _plain(*axes.legend().get_texts())
    return _save(figure, path)


def overfits(history: History) -> float | None:
    """Give the epoch from which the run over-fits; None: it does not.

    From there on the validation loss stays above its minimum while the training loss falls on.
    """
    valid, train = _points(history, "valid/loss"), dict(_points(history, "train/loss"))
    if len(valid) < 3:
        return None
    at = min(range(len(valid)), key=lambda i: valid[i][1])
    (best, low), after = valid[at], valid[at + 1 :]
    if len(after) < 2 or best not in train:
        return None
    last, loss = after[-1]
    rises = loss > 1.02 * low and all(later > low for _, later in after)
    return best if rises and train.get(last, math.inf) < train[best] else None


def comparison(evaluation: Evaluation, path: Path, task: str) -> Path:
    """Draw the predictions over the truth, as the task needs it."""
    draw = {"multilabel": per_class, "regression": agreement}.get(task, confusion)
    return draw(evaluation, path)


def agreement(evaluation: Evaluation, path: Path) -> Path:
    """Draw the predicted numbers over the true ones, target by target; on the line both agree."""
    outputs, labels = evaluation.outputs, evaluation.labels
    assert outputs is not None and labels is not None
    n = min(len(evaluation.classes), 6)
    figure = _figure(4.4 * n, 4.2)
    for column, axes in enumerate(figure.subplots(1, n, squeeze=False).flat):
        true, predicted = labels[:, column], outputs[:, column]
        both = np.concatenate([true, predicted])
        ends = [float(both.min()), float(both.max())]
        axes.plot(ends, ends, color=BEST, linestyle=":")
        axes.scatter(true, predicted, s=12, alpha=0.6, color=TRAIN, edgecolors="none")
        row = evaluation.per_class[column]
        axes.set_title(f"{in_line(row['name'])}: MAE {row['mae']:.3g}, RMSE {row['rmse']:.3g}")
        axes.set(xlabel=f"true ({evaluation.split})", ylabel="predicted")
        axes.grid(alpha=0.3)
    return _save(figure, path)


def per_class(evaluation: Evaluation, path: Path) -> Path:
    """Draw the F1 of each class, where a picture may have several."""
    rows = [(row["f1"] or 0.0, row["count"], in_line(row["name"])) for row in evaluation.per_class]
    rows = sorted(rows, key=lambda row: row[0])[:NAMED]
    figure = Figure(figsize=(6, 0.8 + 0.28 * len(rows)), dpi=DPI)
    axes = figure.subplots()
    texts = [f"{100 * share:.0f} % of {count:,}" for share, count, _ in rows]
    _bars(axes, [row[0] for row in rows], [row[2] for row in rows], texts)
    title = f"F1 of each class, {evaluation.split}"
    axes.set(title=title, xlim=(0, 1.25), ylim=(-0.6, len(rows) - 0.4))
    return _save(figure, path)


def confusion(evaluation: Evaluation, path: Path) -> Path:
    """Draw the confusion matrix.

    Rows are the truth, the colour is the share of a row, the numbers are pictures.
    """
    table, names = evaluation.confusion, list(map(in_line, evaluation.classes))
    assert table is not None and evaluation.top1 is not None
    few = len(names) <= NUMBERED
    side, size = 0.16 * min(len(names), NAMED), 7
    slant: dict[str, Any] = {"rotation": 90}
    if few:
        names = [textwrap.fill(name, 24) for name in names]
        side, size = len(names) * (0.9 if len(names) <= 5 else 0.55), 10
        slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    figure = Figure(figsize=(side, side), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))  # the names lie outside; _save takes them in
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    # the root of the share: a few mistakes must show beside the many hits. Cells, not imshow's
    # picture: that would be coloured dot by dot, ten million of them, twice
    sides = np.arange(len(names) + 1) - 0.5
    axes.pcolormesh(sides, sides, np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    step = math.ceil(len(names) / NAMED)
    places = range(0, len(names), step)
    axes.set_xticks(places, names[::step], fontsize=size, **slant)
    axes.set_yticks(places, names[::step], fontsize=size)
    _plain(*axes.get_xticklabels(), *axes.get_yticklabels())
    if few:
        size = 9 if table.max() < 10_000 else 7
        for (row, column), n in np.ndenumerate(table):
            colour = "black" if n else "0.7"
            if share[row, column] > 0.35:
                colour = "white"
            axes.text(column, row, f"{n}", color=colour, ha="center", va="center", fontsize=size)
    title = f"{evaluation.split}: top-1 {100 * evaluation.top1:.1f} % of {evaluation.count:,}"
    axes.set(xlabel="predicted", ylabel="true", ylim=(len(names) - 0.5, -0.5))
    axes.set_title(title, loc="left")
    return _save(figure, path)


def view_classify(picture: np.ndarray, prediction: Prediction, path: Path) -> Path:
    """Draw a picture beside a bar chart of what it may show.

    Parameters
    ----------
    picture : ndarray, uint8, (H, W, C) or (H, W)
        One channel is drawn in grey.
    """
    names, shares = zip(*prediction.top, strict=True)
    tall = max(3.2, 0.34 * len(names))
    wide = 3.2 * min(2.0, max(0.5, picture.shape[1] / picture.shape[0]))
    # a sheet of one inch: places are inches, and _save takes in what lies outside
    figure = Figure(figsize=(1, 1), dpi=DPI)
    left = figure.add_axes((0, tall - 3.2, wide, 3.2), anchor="N")
    grey = picture.ndim == 3 and picture.shape[2] < 3
    left.imshow(picture[..., 0] if grey else picture, cmap="gray", vmin=0, vmax=255)
    left.set_axis_off()
    score = f"  {100 * prediction.score:.1f} %" if prediction.task == "classification" else ""
    left.set_title(textwrap.fill(in_line(prediction.label or ""), 36) + score)
    if prediction.task == "regression":  # numbers have no bars
        return _save(figure, path)
    right = figure.add_axes((0, 0, 3.6, tall))
    texts = [f"{100 * share:.1f} %" for share in shares]
    lines = [textwrap.fill(in_line(name), 30) for name in names]
    _bars(right, shares, lines, texts, color=[TRAIN] + ["lightsteelblue"] * (len(names) - 1))
    limits = {"xlim": (0, 1.2), "ylim": (len(names) - 0.4, -0.6)}  # the likeliest on top
    right.set(title="Class probability", **limits)
    right.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    _take_fonts(figure)
    pen = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    labels = right.get_yticklabels()
    longest = max(label.get_window_extent(pen).width for label in labels) / DPI
    right.set_position((wide + longest + 0.35, 0, 3.6, tall))
    return _save(figure, path)


def sheet(
    pictures: Sequence[np.ndarray], texts: Sequence[str], path: Path, *, columns: int = 3
) -> Path:
    """Draw pictures in rows, each below its text.

    Parameters
    ----------
    pictures : sequence of ndarray, uint8, (H, W, 3)
    """
    columns = min(columns, len(pictures))
    lines = -(-len(pictures) // columns)
    figure = _figure(3.2 * columns, 3.6 * lines)
    places = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in places:
        axes.set_axis_off()
    for axes, picture, text in zip(places, pictures, texts, strict=False):
        axes.imshow(picture)
        wrapped = "\n".join(textwrap.fill(line, 34) for line in plain(text).split("\n"))
        axes.set_title(wrapped, fontsize=10)
    return _save(figure, path)


@dataclass(frozen=True, repr=False)
class LrCurve:
    """What `find_lr` gives.

    Attributes
    ----------
    lrs, losses : tuple of float
        The sweep, one step each; the losses are smoothed.
    suggestion : float, optional
        The learning rate; None where the network learns nothing at any.
    why : str
        The reason.
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None
    why: str

    def plot(self, path: str | Path = "lr_curve.png") -> Path:
        """Draw the curve with the suggestion, show it in a notebook, and save it as a PNG."""
        figure = _figure(6, 4)
        axes = figure.subplots()
        axes.plot(self.lrs, self.losses, color=TRAIN)
        labels = {"xlabel": "learning rate", "ylabel": "loss (smoothed)"}
        axes.set(xscale="log", title="Learning-rate finder", **labels)
        axes.grid(alpha=0.3)
        if self.suggestion is not None:
            _mark(axes, self.suggestion, f"suggestion {self.suggestion:.1e}")
            axes.legend()
        return display(_save(figure, Path(path)))

    def __repr__(self) -> str:
        if not self.lrs:
            return "LrCurve()"
        rate = "no suggestion" if self.suggestion is None else f"suggestion {self.suggestion:.1e}"
        steps = f"{len(self.lrs)} steps from {self.lrs[0]:.0e} to {self.lrs[-1]:.0e}"
        return f"LrCurve({rate}: {self.why}; {steps})"


def display(path: Path, *, shell: Any = None, show: Callable[[Any], object] | None = None) -> Path:
    """Show a PNG in a notebook, and give its path; elsewhere only give the path.

    Parameters
    ----------
    shell : optional
        IPython's shell, if there is one.
    show : callable, optional
        IPython's `display`.
    """
    if hasattr(shell or hardware.shell(), "kernel"):  # the shell of a terminal has none
        from IPython.display import Image
        from IPython.display import display as to_notebook

        (show or to_notebook)(Image(filename=str(path)))  # type: ignore[no-untyped-call]
    return path


def _points(history: History, column: str) -> list[tuple[float, float]]:
    rows = [row for row in history if row.get(column) is not None]
    return [(float(row["epoch"]), float(row[column])) for row in rows if math.isfinite(row[column])]


def _best(history: History, monitor: str) -> float | None:
    """Give the epoch of the best validation: the first of equals."""
    points = _points(history, monitor)
    sign = 1 if falls(monitor) else -1
    return min(points, key=lambda point: sign * point[1])[0] if points else None


def _figure(wide: float, high: float) -> Figure:
    return Figure(figsize=(wide, high), dpi=DPI, layout="constrained")


def _mark(axes: Axes, x: float, label: str) -> None:
    axes.axvline(x, color=BEST, linestyle=":", label=label)


def _bars(
    axes: Axes, shares: Sequence[float], names: list[str], texts: list[str], color: Any = TRAIN
) -> None:
    bars = axes.barh(range(len(names)), shares, 0.68, color=color)
    axes.bar_label(bars, texts, padding=3, fontsize=9)
    axes.set_yticks(range(len(names)), names)
    _plain(*axes.get_yticklabels())
    axes.spines[["top", "right"]].set_visible(False)


def _numbers(axes: Axes) -> Iterator[Text]:
    """Give the labels that matplotlib itself writes, powers of ten among them."""
    for axis in (axes.xaxis, axes.yaxis):
        yield axis.offsetText
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            yield from (tick.label1, tick.label2)


def _plain(*texts: Any) -> None:
    for text in texts:
        text.set_parse_math(False)  # a class may be named "$5"


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    _take_fonts(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the figure itself says so, once
        figure.savefig(content, format="png", bbox_inches="tight", pad_inches=0.12)
    write_whole(Path(path), content.getvalue())
    return Path(path)


def _take_fonts(figure: Figure) -> None:
    """Let text of any script be drawn, by fonts of this machine beside the style's own."""
    texts: list[Any] = figure.findobj(Text)
    numbers = {id(label) for axes in figure.axes for label in _numbers(axes)}
    _plain(*(text for text in texts if id(text) not in numbers))
    for text in texts:
        text.set_usetex(False)  # a style may ask for TeX, and a name is none
    files, are_enough = fonts_for(rare_signs(text.get_text() for text in texts))
    names = list[str]()
    for file in files:
        font_manager.fontManager.addfont(file)
        names.append(font_manager.FontProperties(fname=file).get_name())
    for text in texts if names else ():
        text.set_family([*text.get_family(), *names])
    if not are_enough and all(text.get_text() != NO_FONT for text in texts):
        figure.text(0, 0, NO_FONT, va="top", fontsize=8)
