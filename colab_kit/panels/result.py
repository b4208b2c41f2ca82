"""The result of a training, to be tried out: figures, a picture of one's own, the report and the network as files."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from ..errors import ColabKitError
from . import views
from .controls import button


class Result:
    """What a panel shows once a run has ended.

    box : the widgets    said : what the last button came to
    """

    def __init__(self) -> None:
        self.run: Any = None
        self.answer, self.said = w.HTML(), w.HTML()
        self.upload = w.FileUpload(accept="image/*", multiple=False, description="Try a picture")
        self.upload.observe(lambda change: self._try(contents(change["new"])), names="value")
        self.report_button = button(
            "Report",
            "write one file with all figures",
            lambda _: self._written(lambda: self.run.report()),
        )
        self.export_button = button(
            "Export", "write the network as one file", lambda _: self._written(self._export)
        )
        self.tools = w.VBox(
            [self.answer, w.HBox([self.upload, self.report_button, self.export_button])]
        )
        self.box = w.VBox([self.tools, self.said])
        self.hide()

    def hide(self) -> None:
        self.tools.layout.display, self.said.value = "none", ""

    def show(self, run: Any) -> None:
        """Its figures on the validation split, and which classes it takes for which."""
        self.run, content = run, f"<p>{html.escape(repr(run))}</p>"
        if run.data is not None and run.data.valid is not None and run.history:
            found = run.evaluate("valid")
            content += found._repr_html_() + views.image(
                run._compared(found), "which classes are taken for which"
            )
        self.answer.value = views.framed(content)
        self.tools.layout.display = ""

    def say(self, content: str) -> None:
        self.said.value = content

    def _try(self, files: list[bytes]) -> None:
        from PIL import Image, UnidentifiedImageError

        for content in files:
            try:
                image = Image.open(io.BytesIO(content)).convert("RGB")
                found = self.run.predict(image)
                image.thumbnail((240, 240))
                self.say(views.picture(image, "your picture") + views.chances(found))
            except (UnidentifiedImageError, OSError, ColabKitError) as err:
                self.say(
                    views.alert(("This picture cannot be tried.", str(err), "try another file", ""))
                )

    def _export(self) -> Any:
        return self.run.export(self.run.folder / f"{self.run.name}.safetensors")

    def _written(self, write: Callable[[], Any]) -> None:
        try:
            self.say(views.framed(f'<p role="status">Written: {html.escape(str(write()))}</p>'))
        except ColabKitError as err:
            self.say(views.alert((err.what, err.why, err.fix, "")))


def contents(value: Any) -> list[bytes]:
    """What was uploaded: ipywidgets 7 has a dict by name, 8 a tuple."""
    return [
        bytes(file["content"]) for file in (value.values() if isinstance(value, dict) else value)
    ]
