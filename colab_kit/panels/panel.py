"""Panels: a training on one screen, of core widgets alone.

A panel has data, backbone, Start, Pause and Stop, shows what happens, and what came of it. Where
nobody could press its buttons, a line of code stands for it.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
from pathlib import Path
from typing import Any

import ipywidgets as w

from ..errors import ColabKitError, RecipeError, new_words
from ..recipe import Recipe
from ..system.console import escape
from ..system.files import in_working_folder
from . import views
from .controls import Result, advanced, button, close, is_same, value_of
from .worker import (
    Failure,
    Snapshot,
    Worker,
    clicks,
    failure,
    foreground,
    mode,
    paint_here,
    paint_on_thread,
)

BACKBONES = (
    "resnet18", "resnet50", "efficientnet_b0", "mobilenet_v3_small", "convnext_tiny",
    "efficientnet_lite0", "vit_b_16",
)  # fmt: skip
SHOWN = 8  # thumbnails
# as transfer() has them: left out of the call, so that a frozen backbone does not ask what they are
EPOCHS = 3
HINT = "a folder, a link, or a name like fashion-mini"
# process state, which tests clear: the newest worker of each panel, by where it writes, for a cell
# that runs again; the panels on the screen, of which ipywidgets lets none go by itself
working: dict[str, Worker] = {}
shown: list[Panel] = []


@in_working_folder
@new_words
def panel(
    data: Any = None,
    backbone: str = "resnet18",
    *,
    run_dir: str | Path | None = None,
    name: str | None = None,
    **fields: Any,
) -> Panel | Line:
    """Show a panel that trains: choose, press Start, watch, stop, look at what came of it.

    Training runs beside the notebook: the cell returns at once. Run the cell again, and it shows
    the training that is under way. After a restart, Start continues from the last checkpoint. On
    Colab the Start button waits for the end, and Stop is heard meanwhile.

    COLAB_KIT_UI in the environment: "background", "foreground" (Start waits), "off" (no panel: a
    line of code), "auto" (off in a notebook that papermill or nbclient executes).

    Parameters
    ----------
    data : Data, or anything `load` takes
        The panel asks for it, if None.
    backbone : str
        What is chosen at first.
    run_dir, name
        As for `transfer`.
    **fields
        Of the Recipe, as the panel shows them at first.

    Examples
    --------
    >>> panel("photos")  # doctest: +SKIP
    """
    Recipe.of(None, fields)  # an unknown field says so here
    kind = Line if mode() == "off" else Panel
    return kind(data, backbone, fields, {"run_dir": run_dir, "name": name})


class Panel:
    """A panel, shown where it is a cell's last line.

    fields : of the Recipe, as it is shown at first
    where : run_dir and name, as for `transfer`
    run : the Run, once it has ended
    box : the widgets
    """

    def __init__(
        self, data: Any, backbone: str, fields: dict[str, Any], where: dict[str, Any]
    ) -> None:
        self.data, self.where = data, where
        self.run: Any = None
        self.loaded: Any = data if hasattr(data, "splits") else None
        self._loaded_from: Any = data
        self._call: tuple[Any, str, dict[str, Any]] = (data, backbone, fields)
        self._drawn = -1  # version of the snapshot
        self._painter: threading.Thread | None = None
        self._here, self._waits = foreground(), False
        self._first = views.text_of(data)
        self._key = str(where["run_dir"] or where["name"] or f"{self._first} {backbone}")
        self._make_widgets(backbone, fields)
        self._take_the_place()
        if self.loaded is not None:
            self._look()
        self.worker = working.get(self._key) or Worker(self._work)
        if not self.worker.busy:
            self.worker = Worker(self._work)
            self.status.value = views.status(Snapshot())
            self.bar.value = views.framed(escape(self._unfinished()))
        elif self._here:
            self._waits = True  # until it is shown: else no button would be there before the end
            self._paint()
        else:
            self._follow()

    def _make_widgets(self, backbone: str, fields: dict[str, Any]) -> None:
        self.source = w.Text(value=self._first, description="Data", placeholder=HINT)
        self.source.layout.width = "32em"
        self.load_button = button("Load", "bring the data and look at it", self._load)
        self.backbone = w.Combobox(value=backbone, options=BACKBONES, description="Backbone")
        epochs = fields.get("epochs", EPOCHS)
        self.epochs = w.BoundedIntText(value=epochs, min=1, max=1_000_000, description="Epochs")
        self.advanced, self.knobs = advanced(fields)
        self.start_button = button("Start", "begin, or go on where it was", self.start)
        self.pause_button = button("Pause", "save and wait", self.pause)
        self.stop_button = button("Stop", "finish this batch, save, and end", self.stop)
        self.code_button = button("Copy as code", "the line that does the same", self._show_code)
        self.preview, self.bar, self.status = w.HTML(), w.HTML(), w.HTML()
        self.curve, self.rows, self.alert, self.notes = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.result = Result()
        rows = [
            w.HTML(views.STYLE),
            w.HBox([self.source, self.load_button]),
            self.preview,
            w.HBox([self.backbone, self.epochs]),
            self.advanced,
            w.HBox([self.start_button, self.pause_button, self.stop_button, self.code_button]),
            self.alert,
            self.status,
            self.bar,
            self.curve,
            self.rows,
            self.notes,
            self.result.box,
        ]
        self.box = w.VBox(rows)

    def _take_the_place(self) -> None:
        """Close panels of the same training at rest: each holds a network while it is open."""
        for other in list(shown):
            is_mine = other._key == self._key and is_same(other.data, self.data)
            if is_mine and not other.worker.busy:
                shown.remove(other)
                close(other.box)
        shown.append(self)

    # -- what a person does ----------------------------------------------------------------------

    def start(self) -> None:
        """Begin, go on after a pause, or try again. While it works, do nothing."""
        if self.worker.snapshot().state == "paused":
            self.worker.resume()
            return
        if self.worker.busy:
            return
        self.alert.value = ""
        self.result.hide()
        try:
            self._call = self._chosen_source(), *self._settings()
        except ColabKitError as err:
            self._fail(failure(err))
            return
        if not is_same(self._call[0], self._loaded_from):
            self.preview.value, self.loaded, self._loaded_from = "", None, self._call[0]
        self._begin(Worker(self._work))

    def pause(self) -> None:
        self.worker.pause()
        self._paint()

    def stop(self) -> None:
        self.worker.stop()
        self._paint()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; clicks are heard meanwhile where the kernel allows it."""
        with clicks() as hear:
            ended = self.worker.wait(timeout, hear)
        if ended and self._painter is not None:
            self._painter.join(10)
        return ended

    def as_code(self) -> str:
        """The call that does the same."""
        backbone, fields = self._settings()
        return views.code_of(self._chosen_source(), backbone, {**fields, **self.where})

    def _load(self) -> None:
        if self.worker.busy:
            return
        self.alert.value, self.preview.value, self.loaded = "", "", None
        source = self._loaded_from = self._chosen_source()
        words: dict[str, Any] = {"doing": "Loading", "done": "Loaded", "stopping": "Stopping"}
        self._begin(Worker(functools.partial(_load, source), **words))

    def _chosen_source(self) -> Any:
        """The source: what the cell gave, or what was written over it."""
        written = self.source.value.strip()
        return written if written != self._first or self.data is None else self.data

    def _show_code(self) -> None:
        try:
            self.result.say(views.code(self.as_code()))
        except ColabKitError as err:
            self._fail(failure(err))

    def _settings(self) -> tuple[str, dict[str, Any]]:
        fields: dict[str, Any] = {}
        if self.epochs.value != EPOCHS:
            fields["epochs"] = self.epochs.value
        for field in dataclasses.fields(Recipe):
            if field.name in self.knobs:
                value = value_of(self.knobs[field.name], field.default)
                if value != field.default:
                    fields[field.name] = value
        Recipe.of(None, fields)
        return self.backbone.value.strip(), fields

    def _unfinished(self) -> str:
        """What an earlier session left here."""
        from ..runs.record import everywhere, read_run

        try:
            if self.where["run_dir"] is not None:
                record = read_run(Path(os.path.expanduser(self.where["run_dir"])))
            else:
                name = self.where["name"]
                mine = [r for r, _ in everywhere() if name and r["name"] == name]
                record = max(mine, key=lambda r: r["created"], default=None)
        except (ColabKitError, OSError):  # a Drive that is not there says so when Start is pressed
            return ""
        if record is None or record["status"] == "finished":
            return ""
        return f"Run {record['name']}-{record['key']} is not finished: Start goes on where it was."

    # -- what happens ----------------------------------------------------------------------------

    def _begin(self, worker: Worker) -> None:
        self.worker = working[self._key] = worker
        worker.start()
        self._follow()

    def _work(self, control: Any, hear: Any) -> Any:
        """Load and train, on the worker's thread."""
        from ..api import transfer

        source, backbone, fields = self._call
        if self.loaded is None:
            self.loaded = _load(source, control, hear)
        how = {"callbacks": [hear], "quiet": True, "control": control}
        return transfer(self.loaded, backbone, **how, **self.where, **fields)

    def _follow(self) -> None:
        """Draw until the worker has ended.

        It is drawn on a thread, or here, where the browser shows only what a busy cell sends.
        """
        self._paint()
        if self._here:
            paint_here(self.worker, self._paint)
            self._end()
        else:
            self._painter = paint_on_thread(self.worker, self._paint, self._end)

    def _paint(self) -> None:
        now = self.worker.snapshot()
        if now.version == self._drawn:
            return
        self._drawn = now.version
        for widget, value in (
            (self.bar, views.bar(now)),
            (self.status, views.status(now)),
            (self.curve, views.curve(now)),
            (self.rows, views.table(now.rows)),
            (self.notes, views.notes(now)),
        ):
            if widget.value != value:
                widget.value = value
        label = {"paused": "Continue", "failed": "Try again"}.get(now.state, "Start")
        if self.start_button.description != label:
            self.start_button.description = label

    def _end(self) -> None:
        """Show what came of it."""
        error, result = self.worker.snapshot().error, self.worker.result
        was_load = hasattr(result, "splits")
        if was_load:
            self.loaded = result
        elif self.loaded is None:
            self.loaded = getattr(result, "data", None)
        if self.loaded is not None and not self.preview.value:
            self._look()
        if error is not None:
            self._fail(error)
        elif result is not None and not was_load:
            self.run = result
            try:
                self.result.show(self.run)
            except Exception as err:  # a result that cannot be drawn is said, not lost
                what = f"The result cannot be shown: {type(err).__name__}: {err}"
                self._fail((what, "", "look at panel.run", ""))
        self._drawn = -1
        self._paint()

    def _fail(self, error: Failure) -> None:
        self.alert.value = views.alert(error)
        self.start_button.description = "Try again"

    def _look(self) -> None:
        """Show what the data is."""
        try:
            image = views.png(self.loaded.show(SHOWN))
            sheet = views.picture(image, f"{SHOWN} pictures of {self.loaded.name}")
        except ColabKitError as err:
            sheet = escape(str(err))
        checks = views.findings(self._findings())
        self.preview.value = views.framed(self.loaded._repr_html_() + sheet + checks)

    def _findings(self) -> tuple[Any, ...]:
        """What data and machine say before a training."""
        from ..colab.mounting import mounted
        from ..system.runtime import runtime
        from ..training.findings import at_a_glance

        drive, folder = mounted(), None
        if self.where["run_dir"] is not None:
            folder = Path(os.path.expanduser(self.where["run_dir"])).absolute()
        on_drive = drive is not None and (folder is None or folder.is_relative_to(drive.mountpoint))
        return at_a_glance(self.loaded, runtime(), on_drive)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        newest = next((panel for panel in reversed(shown) if panel._key == self._key), self)
        display((self if self in shown else newest).box)  # type: ignore[no-untyped-call]
        if self._waits:
            self._waits = False
            self._follow()


class Line:
    """A panel's line of code. No widget is made, whose state a notebook would keep.

    run : the Run, once it was started
    """

    def __init__(
        self, data: Any, backbone: str, fields: dict[str, Any], where: dict[str, Any]
    ) -> None:
        self.data, self.backbone, self.options = data, backbone, {**fields, **where}
        self.run: Any = None

    def as_code(self) -> str:
        """The call that does the same."""
        return views.code_of("" if self.data is None else self.data, self.backbone, self.options)

    def start(self) -> None:
        """Train, in lines of text."""
        from ..api import transfer

        self.run = transfer(self.data, self.backbone, **self.options)

    def _ipython_display_(self) -> None:
        from IPython.display import Code, display

        display(Code(self.as_code(), language="python"))  # type: ignore[no-untyped-call]


def _load(source: Any, control: Any, hear: Any) -> Any:
    from ..data.loading import load

    if isinstance(source, str) and not source:
        why = "the panel's first box is empty"
        raise RecipeError("There is no data yet.", why, f"write {HINT}")
    return load(source, callbacks=[hear], quiet=True, control=control)
