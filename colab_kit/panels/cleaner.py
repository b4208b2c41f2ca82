"""The cleaner: the pictures a run is most wrong about, each to be kept, relabelled or left out.

It changes no file: it gives a list.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as w
import numpy as np

from ..data.sources import Pictures, name_of
from ..data.targets import of_row, spoken
from ..errors import DataError
from ..runs.comparison import split_for
from ..runs.evaluation import losses
from ..runs.report import three, worst
from ..runs.run import Run
from ..system.console import escape
from ..system.files import in_working_folder
from . import views
from .worker import mode

KEEP, DROP = "keep", "leave out"
SIDE = 160  # pixels of a thumbnail


@in_working_folder
def cleaner(run: Run, *, split: Any = "valid", n: int = 30) -> Cleaner:
    """Show the n pictures with the largest losses, each with what to do about it.

    Parameters
    ----------
    split : "train", "valid" or "test"
        As for `run.evaluate`.

    Returns
    -------
    Cleaner
        Its `.edits` go into `load(source, label_edits=…)`, which leaves these pictures out or gives
        them another label. No file is touched.

    Raises
    ------
    DataError
        The pictures are no files, have no labels, or the run does not know its data.
    """
    return Cleaner(run, split, n)


class Cleaner:
    """Thumbnails with choices.

    edits : {file: class, or None: leave out}, of what was not kept
    box : the widgets; None where nobody could choose
    """

    def __init__(self, run: Run, split: Any, n: int) -> None:
        part, fingerprint = split_for(run, split)
        source, classes = part.source, run.classes
        if not isinstance(source, Pictures) or run.task != "classification":
            what = "The cleaner works on picture files with one class each."
            why = f"the source is {type(source).__name__.lower()}, the task {run.task}"
            raise DataError(what, why, "use run.top_losses() to look at them")
        found = run._judged(part, fingerprint)
        outputs, labels, rows = found.probabilities, found.labels, found.rows
        self.choices: dict[str, w.Dropdown] = {}
        self.thumbnails: list[str] = []
        cells = []
        can_choose = mode() != "off"  # else a notebook would keep the widgets' state
        for i, loss in worst(losses(outputs, labels, run.task), n):
            row, label = int(rows[i]), spoken(of_row(labels, i), classes, run.task)
            name = name_of(source.paths[row], source.root)
            answer = classes[int(outputs[i].argmax())]
            self.thumbnails.append(_thumbnail(source.picture(row), name, label, answer, loss))
            if can_choose:
                relabel = [(f"it is {other}", other) for other in classes if other != label]
                self.choices[name] = choice = w.Dropdown(
                    options=[(KEEP, KEEP), (DROP, DROP), *relabel],
                    value=KEEP,
                    description=views.description(label[:18]),
                    tooltip=f"what to do with {name}",
                    layout=w.Layout(width="16em"),
                )
                cells.append(w.VBox([w.HTML(self.thumbnails[-1]), choice]))
        self.box = w.Box(cells, layout=w.Layout(flex_flow="row wrap")) if cells else None

    @property
    def edits(self) -> dict[str, str | None]:
        return {
            name: None if knob.value == DROP else knob.value
            for name, knob in self.choices.items()
            if knob.value != KEEP
        }

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        content = self.box
        if content is None:
            content = HTML("".join(self.thumbnails))  # type: ignore[no-untyped-call]
        display(content)  # type: ignore[no-untyped-call]


def _thumbnail(pixels: np.ndarray, name: str, label: str, answer: str, loss: float) -> str:
    from PIL import Image

    image = Image.fromarray(three(pixels))
    image.thumbnail((SIDE, SIDE))
    picture = views.picture(views.png(image), f"{name}: {label}")
    words = escape(f"said {answer}, loss {loss:.2f}")
    return views.framed(f'<div style="height:{SIDE + 8}px">{picture}</div><div>{words}</div>')
