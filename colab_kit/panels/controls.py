"""Controls: the widgets of a panel. A knob for each field of the Recipe, and the tools of a result.

Knobs are made from the Recipe's fields themselves, so a panel always offers all of them.
"""

from __future__ import annotations

import ast
import dataclasses
import os
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from ..errors import ColabKitError
from ..recipe import Recipe
from ..runs.pictures import pictures_of, pixels_of
from ..system.console import escape
from . import views
from .worker import failure

CHOOSE = "choose for me"
WIDE = {"description_width": "12em"}  # of the longest field's name


def button(text: str, tip: str, pressed: Callable[[], Any]) -> w.Button:
    """Make a button. It is never disabled: a disabled button loses the keyboard's focus."""
    button = w.Button(description=text, tooltip=tip)
    button.on_click(lambda _: pressed())
    return button


def close(widget: Any) -> None:
    """Close a widget with all that is in it: ipywidgets keeps each in a table until then."""
    for part in (*getattr(widget, "children", ()), widget.layout, getattr(widget, "style", None)):
        if isinstance(part, w.DOMWidget):
            close(part)
        elif part is not None:
            part.close()
    widget.close()


def advanced(fields: dict[str, Any]) -> tuple[w.VBox, dict[str, Any]]:
    """Make a closed part with a knob for each field of the Recipe but the epochs, and the knobs.

    A button opens it: the keyboard cannot reach the headings of an Accordion (ipywidgets 7 and 8).
    """
    knobs, rows = dict[str, Any](), []
    for field in dataclasses.fields(Recipe):
        if field.name != "epochs":
            knob = knobs[field.name] = _knob(field, fields.get(field.name, field.default))
            rows.append(w.HBox([knob, w.HTML(f"<span>{escape(field.metadata['help'])}</span>")]))
    part = w.VBox(rows, layout=w.Layout(width="100%", display="none"))

    def turn() -> None:
        closed = part.layout.display == "none"
        part.layout.display = "" if closed else "none"
        opener.description = "Hide advanced" if closed else "Advanced"

    opener = button("Advanced", "show or hide all other fields of a recipe", turn)
    return w.VBox([opener, part]), knobs


def _knob(field: Any, value: Any) -> Any:
    if isinstance(field.default, bool):
        return w.Checkbox(value=bool(value), description=field.name, indent=True, style=WIDE)
    choices = field.metadata["choices"]
    if choices and str(field.type).replace(" | None", "") == "str":
        options = [(choice, choice) for choice in choices]
        if field.default is None:
            options.insert(0, (CHOOSE, None))
        knob = w.Dropdown(options=options, description=field.name, style=WIDE)
        # by index: value=None would mean that nothing is chosen
        knob.index = [choice for _, choice in options].index(value)
        return knob
    text = "" if value is None else str(value)
    how = {"placeholder": CHOOSE, "continuous_update": False, "style": WIDE}
    return w.Text(value=text, description=field.name, **how)


def value_of(knob: Any, default: Any) -> Any:
    """What a knob says, as the Recipe takes it; the Recipe says what is wrong with it.

    A cleared knob says the default.
    """
    if not isinstance(knob, w.Text):
        return knob.value
    text = knob.value.strip()
    try:
        return ast.literal_eval(text) if text else default
    except (ValueError, SyntaxError):
        return text


class Result:
    """What a panel shows once a run has ended: figures, a picture to try, report and export.

    box : the widgets
    message : what the last button came to
    """

    def __init__(self) -> None:
        self.run: Any = None
        self.answer, self.message = w.HTML(), w.HTML()
        self.upload = w.FileUpload(accept="image/*", multiple=False, description="Try a picture")
        self.upload.observe(lambda change: self._try(change["new"]), names="value")
        self.report_button = button("Report", "write one file with all figures", self._report)
        self.export_button = button("Export", "write the network as one file", self._export)
        buttons = w.HBox([self.upload, self.report_button, self.export_button])
        self.tools = w.VBox([self.answer, buttons])
        self.box = w.VBox([self.tools, self.message])
        self.hide()

    def hide(self) -> None:
        self.tools.layout.display, self.message.value = "none", ""

    def show(self, run: Any) -> None:
        """Show its figures on the validation split, and which classes it takes for which."""
        self.run, content = run, f"<p>{escape(repr(run))}</p>"
        if run.data is not None and run.data.valid is not None and run.history:
            evaluation = run.evaluate("valid")
            confusion = run._compared(evaluation).read_bytes()
            content += evaluation._repr_html_()
            content += views.picture(confusion, "which classes are taken for which")
        self.answer.value = views.framed(content)
        self.tools.layout.display = ""

    def say(self, content: str) -> None:
        self.message.value = content

    def _try(self, uploaded: Any) -> None:
        from PIL import Image

        if not uploaded:
            return
        try:
            (prediction,) = self.run.predict(uploaded, quiet=True)
            (shown,), _ = pictures_of(uploaded, self.run.preprocess)
            image = Image.fromarray(pixels_of(shown, self.run.preprocess))
            image.thumbnail((240, 240))
            picture = views.picture(views.png(image), "your picture")
            self.say(picture + views.chances(prediction))
        except ColabKitError as err:
            self.say(views.alert(failure(err)))

    def _report(self) -> None:
        self._write(lambda: self.run.report())

    def _export(self) -> None:
        self._write(lambda: self.run.export(self.run.folder / f"{self.run.name}.safetensors"))

    def _write(self, write: Callable[[], Any]) -> None:
        try:
            self.say(views.framed(f'<p role="status">Written: {escape(str(write()))}</p>'))
        except ColabKitError as err:
            self.say(views.alert(failure(err)))


def is_same(one: Any, other: Any) -> bool:
    """Whether two calls mean the same data."""
    paths = isinstance(one, (str, os.PathLike)) and isinstance(other, (str, os.PathLike))
    if paths or not (mark := getattr(one, "fingerprint", None)):
        return one is other or (paths and str(one) == str(other))
    return bool(mark == getattr(other, "fingerprint", None))
