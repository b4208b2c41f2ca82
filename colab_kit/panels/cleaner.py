"""The cleaner: the pictures a run is most wrong about, each to be kept, relabelled or left out. It changes no file: it gives a list."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as w
import numpy as np

from ..data.sources import Pictures, name_of
from ..data.targets import of_row, spoken
from ..errors import DataError
from ..runs.evaluation import losses
from ..runs.explain import three, worst
from ..runs.run import Run
from . import views
from .painter import mode

KEEP, DROP = "keep", "leave out"
SIDE = 160  # pixels of a thumbnail


def cleaner(run: Run, *, split: Any = "valid", n: int = 30) -> Cleaner:
    """Show the n pictures with the largest losses, each with what to do about it.

    Parameters
    ----------
    split : "train", "valid" or "test", as for `run.evaluate`

    Returns
    -------
    Cleaner
        Its `.edits` go into `load(source, label_edits=…)`, which leaves these pictures out or gives them another label. No file is touched.

    Raises
    ------
    DataError
        The pictures are no files, have no labels, or the run does not know its data.
    """
    return Cleaner(run, split, n)


class Cleaner:
    """Thumbnails with choices.

    edits : {file: class, or None: leave out}, of what was not kept    box : the widgets
    """

    def __init__(self, run: Run, split: Any, n: int) -> None:
        chosen = run._split(split)
        run._comparable(chosen)
        if not isinstance(chosen.source, Pictures) or run.task != "classification":
            why = f"the source is {type(chosen.source).__name__.lower()}, the task {run.task}"
            raise DataError(
                "The cleaner works on picture files with one class each.",
                why,
                "use run.top_losses() to look at them",
            )
        outputs, labels, rows = run._scorer().split(chosen)
        self.choices: dict[str, w.Dropdown] = {}
        self.seen: list[str] = []
        cells, seen_only = (
            [],
            mode() == "off",
        )  # nobody could choose, and a notebook would keep the widgets' state
        for i, loss in worst(losses(outputs, labels, run.task), n):
            path, label = (
                chosen.source.paths[int(rows[i])],
                spoken(of_row(labels, i), run.classes, run.task),
            )
            name = name_of(path, chosen.source.root)
            said = run.classes[int(outputs[i].argmax())]
            options = [
                (KEEP, KEEP),
                (DROP, DROP),
                *((f"it is {other}", other) for other in run.classes if other != label),
            ]
            self.seen.append(
                _thumbnail(chosen.source.picture(int(rows[i])), name, label, said, loss)
            )
            if seen_only:
                continue
            choice = w.Dropdown(
                options=options, value=KEEP, description=label[:18], layout=w.Layout(width="16em")
            )
            choice.tooltip = f"what to do with {name}"
            self.choices[name] = choice
            cells.append(w.VBox([w.HTML(self.seen[-1]), choice]))
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

        display(HTML("".join(self.seen)) if self.box is None else self.box)  # type: ignore[no-untyped-call]


def _thumbnail(pixels: np.ndarray, name: str, label: str, said: str, loss: float) -> str:
    from PIL import Image

    image = Image.fromarray(three(pixels))
    image.thumbnail((SIDE, SIDE))
    words = html.escape(f"said {said}, loss {loss:.2f}")
    return views.framed(
        f'<div style="height:{SIDE + 8}px">{views.picture(image, f"{name}: {label}")}</div><div>{words}</div>'
    )
