"""Panels: a training on one screen, of core widgets alone: data, backbone, Start, Pause, Stop, what happens, and what came of it."""

from __future__ import annotations

import dataclasses
import html
import os
from pathlib import Path
from typing import Any

import ipywidgets as w

from ..errors import ColabKitError, RecipeError, new_words
from ..recipe import Recipe
from . import pump, views
from .controls import advanced, button, value_of
from .line import Line, code_of
from .painter import Painter, foreground, mode, paint_here
from .result import Result
from .worker import Snapshot, Worker

BACKBONES = (
    "resnet18",
    "resnet50",
    "efficientnet_b0",
    "mobilenet_v3_small",
    "convnext_tiny",
    "efficientnet_lite0",
    "vit_b_16",
)
SHOWN = 8  # thumbnails
EPOCHS = (
    3  # as transfer() has them: not given, so that a frozen backbone does not ask what they are
)
working: dict[
    str, Worker
] = {}  # the newest worker of each panel, by where it writes: a cell that is run again finds it


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

    Training runs beside the notebook: the cell returns at once. Run it again, and it shows the training that is under way; after a
    restart, Start goes on from the last checkpoint. On Colab the Start button waits for the end, and Stop is heard meanwhile.

    Parameters
    ----------
    data : Data, or anything `load` takes; asked for in the panel, if None
    backbone : what is chosen at first
    run_dir, name : as for `transfer`
    **fields : of the Recipe, as the panel shows them at first

    COLAB_KIT_UI in the environment: "background", "foreground" (Start waits), "off" (no panel: a line of code), "auto": off in a notebook
    that papermill or nbclient executes.

    Examples
    --------
    >>> panel("photos")  # doctest: +SKIP
    """
    if mode() == "off":
        return Line(data, backbone, run_dir=run_dir, name=name, **fields)
    return Panel(data, backbone, run_dir=run_dir, name=name, **fields)


class Panel:
    """A panel, shown where it is a cell's last line.

    run : the Run, once it has ended    box : the widgets
    """

    def __init__(
        self, data: Any, backbone: str, *, run_dir: Any, name: str | None, **fields: Any
    ) -> None:
        Recipe.of(None, fields)  # an unknown field says so here
        self.data, self.run_dir, self.name, self.run = data, run_dir, name, None
        self.loaded: Any = data if hasattr(data, "splits") else None
        self._from: Any = data  # what `loaded` was loaded from
        self._drawn, self._painter, self._here, self._waits = (
            -1,
            list[Painter](),
            foreground(),
            False,
        )
        text = (
            data
            if isinstance(data, (str, os.PathLike))
            else ""
            if data is None
            else getattr(data, "name", type(data).__name__)
        )
        self._first, self._key = str(text), str(run_dir or name or f"{text} {backbone}")
        self.source = w.Text(
            value=self._first,
            description="Data",
            placeholder="a folder, a link, or a name like fashion-mini",
        )
        self.source.layout.width = "32em"
        self.load_button = button("Load", "bring the data and look at it", self._on_load)
        self.backbone = w.Combobox(
            value=backbone, options=list(BACKBONES), description="Backbone", ensure_option=False
        )
        self.epochs = w.BoundedIntText(
            value=fields.pop("epochs", EPOCHS), min=1, max=1_000_000, description="Epochs"
        )
        self.advanced, self.knobs = advanced(fields)
        self.start_button = button("Start", "begin, or go on where it was", lambda _: self.start())
        self.pause_button = button("Pause", "save and wait", lambda _: self.pause())
        self.stop_button = button("Stop", "finish this batch, save, and end", lambda _: self.stop())
        self.seen, self.bar, self.status, self.curve, self.rows, self.alert, self.notes = (
            w.HTML() for _ in range(7)
        )
        self.code_button = button(
            "Copy as code", "the line that does the same", lambda _: self._show_code()
        )
        self.result = Result()
        self.box = w.VBox(
            [
                w.HTML(views.STYLE),
                w.HBox([self.source, self.load_button]),
                self.seen,
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
        )
        if self.loaded is not None:
            self._look()
        self.worker = working.get(self._key) or Worker(self._work)
        if self.worker.busy and self._here:
            self._waits = True  # until it is shown: else no button would be there before the end
            self._paint()
        elif self.worker.busy:
            self._follow()
        else:
            self.worker = Worker(self._work)
            self.status.value = views.status(Snapshot())
            self.bar.value = views.framed(html.escape(self._unfinished()))

    # -- what a person does --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, go on after a pause, or try again. While it works, nothing."""
        if self.worker.snapshot().state == "paused":
            return self.worker.resume()
        if self.worker.busy:
            return None
        self.alert.value = ""
        self.result.hide()
        try:
            self._given = self._asked(), *self._settings()
        except ColabKitError as err:
            return self._failed((err.what, err.why, err.fix, ""))
        if not _same(self._given[0], self._from):
            self.seen.value, self.loaded, self._from = "", None, self._given[0]
        self.worker = working[self._key] = Worker(self._work)
        self.worker.start()
        self._follow()
        return None

    def pause(self) -> None:
        self.worker.pause()
        self._paint()

    def stop(self) -> None:
        self.worker.stop()
        self._paint()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; clicks are heard meanwhile where the kernel allows it."""
        with pump.clicks() as hear:
            found = self.worker.wait(timeout, hear)
        if found:
            for painter in self._painter:
                painter.wait(10)
        return found

    def as_code(self) -> str:
        """The call that does the same."""
        backbone, given = self._settings()
        return code_of(self._asked(), backbone, given, self.run_dir, self.name)

    def _asked(self) -> Any:
        """The source: what the cell gave, or what was written over it."""
        written = self.source.value.strip()
        return written if written != self._first or self.data is None else self.data

    def _show_code(self) -> None:
        try:
            self.result.say(views.code(self.as_code()))
        except ColabKitError as err:
            self._failed((err.what, err.why, err.fix, ""))

    def _settings(self) -> tuple[str, dict[str, Any]]:
        given: dict[str, Any] = {} if self.epochs.value == EPOCHS else {"epochs": self.epochs.value}
        for field in dataclasses.fields(Recipe):
            if (
                field.name in self.knobs
                and (value := value_of(self.knobs[field.name], field.default)) != field.default
            ):
                given[field.name] = value
        Recipe.of(None, given)
        return self.backbone.value.strip(), given

    def _unfinished(self) -> str:
        """What an earlier session left here."""
        from ..runs.record import everywhere, read_json

        try:
            if self.run_dir is not None:
                record = read_json(Path(self.run_dir).expanduser() / "run.json")
            else:
                record = max(
                    (r for r, _ in everywhere() if self.name and r["name"] == self.name),
                    key=lambda r: r["created"],
                    default=None,
                )
        except (ColabKitError, OSError):  # a Drive that is not there says so when Start is pressed
            return ""
        if record is None or record.get("status") == "finished":
            return ""
        return f"Run {record['name']}-{record['key']} is not finished: Start goes on where it was."

    # -- what happens ----------------------------------------------------------------------------------------------------------

    def _work(self, control: Any, hear: Any) -> Any:
        """On the worker's thread."""
        from ..api import transfer
        from ..data.loading import load

        source, backbone, given = self._given
        if self.loaded is None:
            self.loaded = self._loaded(load, source, control, hear)
        return transfer(
            self.loaded,
            backbone,
            callbacks=[hear],
            quiet=True,
            control=control,
            run_dir=self.run_dir,
            name=self.name,
            **given,
        )

    @staticmethod
    def _loaded(load: Any, source: Any, control: Any, hear: Any) -> Any:
        if not isinstance(source, str) or source:
            return load(source, callbacks=[hear], quiet=True, control=control)
        raise RecipeError(
            "There is no data yet.",
            "the panel's first box is empty",
            "write a folder, a link, or a name like fashion-mini",
        )

    def _follow(self) -> None:
        """Draw until the worker has ended: on a thread, or here, where the browser shows only what a busy cell sends."""
        self._paint()
        if self._here:
            paint_here(self.worker, self._paint)
            return self._end()
        self._painter = [Painter(self.worker, self._paint, self._end)]
        return None

    def _paint(self) -> None:
        now = self.worker.snapshot()
        if now.version == self._drawn:
            return
        self._drawn = now.version
        again = {"paused": "Continue", "failed": "Try again"}.get(now.state, "Start")
        for widget, value in (
            (self.bar, views.bar(now)),
            (self.status, views.status(now)),
            (self.curve, views.curve(now)),
            (self.rows, views.table(now.rows)),
            (self.notes, views.notes(now)),
        ):
            if widget.value != value:
                widget.value = value
        if self.start_button.description != again:
            self.start_button.description = again

    def _end(self) -> None:
        """What came of it."""
        now = self.worker.snapshot()
        result = self.worker.result
        if hasattr(result, "splits"):  # it was a Load
            self.loaded = result
        elif self.loaded is None:
            self.loaded = getattr(result, "data", None)
        if self.loaded is not None and not self.seen.value:
            self._look()
        if now.error is not None:
            self._failed(now.error)
        elif result is not None and not hasattr(result, "splits"):
            self.run = result
            try:
                self.result.show(self.run)
            except Exception as err:  # a result that cannot be drawn is said, not lost
                self._failed(
                    (
                        f"The result cannot be shown: {type(err).__name__}: {err}",
                        "",
                        "look at panel.run",
                        "",
                    )
                )
        self._drawn = -1
        self._paint()

    def _failed(self, error: tuple[str, str, str, str]) -> None:
        self.alert.value = views.alert(error)
        self.start_button.description = "Try again"

    def _look(self) -> None:
        """What the data is."""
        try:
            sheet = views.picture(
                self.loaded.show(SHOWN), f"{SHOWN} pictures of {self.loaded.name}"
            )
        except ColabKitError as err:
            sheet = html.escape(str(err))
        self.seen.value = views.framed(
            self.loaded._repr_html_() + sheet + views.findings(self._glance())
        )

    def _glance(self) -> tuple[Any, ...]:
        """What data and machine say before a training."""
        from ..colab.mounting import mounted
        from ..system.runtime import runtime
        from ..training.findings import at_a_glance

        drive = mounted()
        kept = drive is not None and (
            self.run_dir is None
            or Path(self.run_dir).expanduser().absolute().is_relative_to(drive.mountpoint)
        )
        return at_a_glance(self.loaded, runtime(), kept)

    def _on_load(self, _: Any) -> None:
        if self.worker.busy:
            return
        self.alert.value, self.loaded, self._from = "", None, self._asked()

        def bring(control: Any, hear: Any) -> Any:
            from ..data.loading import load

            return self._loaded(load, self._from, control, hear)

        self.worker = working[self._key] = Worker(
            bring, doing="Loading", done="Loaded", stopping="Stopping"
        )
        self.seen.value = ""
        self.worker.start()
        self._follow()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.box)  # type: ignore[no-untyped-call]
        if self._waits:
            self._waits = False
            self._follow()


def _same(one: Any, other: Any) -> bool:
    return one is other or (
        isinstance(one, (str, os.PathLike))
        and isinstance(other, (str, os.PathLike))
        and str(one) == str(other)
    )
