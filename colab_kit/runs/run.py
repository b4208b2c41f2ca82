"""Runs: one training each. What a run learned can be asked, drawn and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.dataset import Data, Split
from ..data.preprocess import Preprocess
from ..errors import DataError, RunError, in_line, new_words, no_attribute
from ..events import Callback, Control, Note
from ..models.build import LazyBackbone
from ..models.inference import Inference, watched
from ..recipe import Figures, Recipe
from ..system.console import Console, with_console
from ..system.timings import Timings
from ..training.choices import Choices, as_facts, precision_of
from ..training.history import History
from ..training.metrics import Metrics, as_given
from ..training.state import Progress
from . import plots
from .comparison import fingerprint_of, split_for
from .evaluation import Evaluation, evaluate, measured
from .export import export, save_weights, target_of
from .pictures import pictures_of, pixels_of
from .prediction import Prediction, Predictions, complaints, predictions
from .record import Place, shelf
from .report import draw_grad_cam, draw_worst, write_report
from .scoring import Scored, Scorer

if TYPE_CHECKING:
    from torch import nn


class Run:
    """A training: what it is, how it went, and what it learned.

    Attributes
    ----------
    status : str
        "running", "paused", "finished", "stopped" or "failed".
    reason : str
        Why, in words.
    folder, drive_folder : Path
        Where it lives, and where its copies are kept (None without a Drive).
    name, key : str
        What `open_run` finds it by.
    recipe : Recipe
        How it trains.
    choices : dict
        What was chosen for it, {name: Choice(value, why, by)}.
    history : History
        A row of metrics for each validation.
    timings : Timings
        Where the seconds of its last training went.
    best : dict or None
        Epoch and metrics of the best validation so far.
    classes, task : tuple of str, str
        The class names; what is learned of a picture.
    data : Data or None
        Where this session loaded it.
    metrics : dict
        The user's own, {name: f(output, y)}, where this session trained.
    """

    def __init__(
        self,
        place: Place,
        record: dict[str, Any],
        choices: Choices,
        *,
        progress: Progress | None = None,
        data: Data | None = None,
        make: Callable[[], nn.Module | LazyBackbone] | None = None,
        device: Any = "cpu",
    ) -> None:
        self.place, self.record, self.choices = place, record, choices
        self.folder, self.drive_folder = place.folder, place.drive_folder
        self.name, self.key = str(record["name"]), str(record["key"])
        fields = record["recipe"].items()
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in fields}
        self.recipe = Recipe.of(None, lists)
        self.classes, self.task = tuple(record["data"]["classes"]), str(record["data"]["task"])
        self.progress = progress or Progress(place.folder, place.shelf, place.kept_as, record)
        self.data, self.device, self.metrics = data, device, dict[str, Any]()
        self._inference: Inference | None = None
        if make is not None:
            self.take_model(make, moved=True)

    @property
    def control(self) -> Control:
        return self.progress.control

    @property
    def status(self) -> str:
        status = str(self.record["status"])
        return "paused" if status == "running" and self.control.paused else status

    @property
    def reason(self) -> str:
        return str(self.record["reason"])

    @property
    def history(self) -> History:
        return self.progress.history

    @property
    def best(self) -> dict[str, Any] | None:
        """Epoch and metrics of the best validation so far; None before the first."""
        best = self.progress.best
        return {"epoch": best["epoch"], "metrics": Figures(best["metrics"])} if best else None

    @property
    def timings(self) -> Timings:
        """Where the seconds of the last session that trained went; empty while it trains."""
        return Timings(**self.record.get("timings", {}))

    @property
    def model(self) -> nn.Module:
        """The network in eval, with its best validated weights, else its last ones."""
        return self.inference.model

    @property
    def inference(self) -> Inference:
        """The network, ready to look at pictures."""
        assert self._inference is not None
        return self._inference

    @property
    def preprocess(self) -> Preprocess:
        """How pixels become the network's input."""
        return Preprocess.from_json(self.record["preprocess"])

    def take_model(
        self, make: Callable[[], nn.Module | LazyBackbone], *, moved: bool = False
    ) -> None:
        """Take the trained network as the run's own. It is made when somebody asks for it.

        Of a frozen backbone that is the backbone, so that features stand for pictures.

        Parameters
        ----------
        moved : bool
            Whether another machine may have trained it.
        """
        import torch

        device, seed, cache = torch.device(self.device), self.recipe.seed, shelf("cache")
        how = precision_of(self.choices, device if moved else None)
        self._inference = Inference(make, device, how, seed=seed, shelf=cache)

    def stop(self, reason: str = "stopped by hand") -> None:
        """Finish the step, save, and let the verb return. Its cell, run again, goes on."""
        self.control.stop(reason)

    def pause(self) -> None:
        """Save and wait before the next step."""
        self.control.pause()

    def resume(self) -> None:
        """End a pause."""
        self.control.resume()

    def wait_for_copies(self, timeout: float | None = None) -> bool:
        """Wait until the run's copies are handed to Drive. True without a Drive.

        Handed over is not sent: Drive's program sends later. Only drive.unmount() waits for that.

        Returns
        -------
        bool
            False where `timeout` seconds were too few.
        """
        if self.place.shelf is None:
            return True
        console = Console()
        try:
            return self.place.shelf.close(timeout, console)
        finally:
            console.close_bar()

    def evaluate(
        self,
        split: Any = None,
        *,
        metrics: Any = None,
        callbacks: Iterable[Callback] | None = None,
        quiet: bool = False,
    ) -> Evaluation:
        """Measure accuracy and its details.

        The loss is the cross-entropy of the class probabilities (binary where there may be several,
        the squared error of numbers), whatever loss the run was trained with.

        Parameters
        ----------
        split : "train", "valid", "test", a Split, or data
            Of data, and for None, its test split is taken, else valid. Of data that is not the
            run's, all pictures, where it has no such splits of its own. Classes are matched by
            name, and some may be missing. "test" is the run's own split, also where a folder has
            that name: the folder is "./test".
        metrics : name, list of names, or {name: f(output, y)}, optional
            As for `train`; the run's own, if None. Functions are known in the session that trained.
        callbacks, quiet
            As for `load`, where there is data to load.
        """
        chosen, fingerprint = split_for(self, split, callbacks=callbacks, quiet=quiet)
        found = self._judged(chosen, fingerprint, callbacks=callbacks, quiet=quiet)
        return self._evaluation(chosen, found, metrics)

    @new_words
    def predict(
        self,
        x: Any,
        *,
        top: int = 5,
        tta: int = 1,
        callbacks: Iterable[Callback] | None = None,
        quiet: bool = False,
    ) -> Prediction | Predictions:
        """Give class probabilities of pictures.

        Of several pictures, one that cannot be read is a row that says why; an interrupt ends the
        call with the pictures so far.

        Parameters
        ----------
        x : path, folder, glob, URL, PIL picture, array, bytes, open file, upload, or a Split
            One of these, or several: a batch of arrays, a list, a generator, a table's column, what
            files.upload() or FileUpload.value gives. Arrays are (H, W), (H, W, C) or (C, H, W).
        top : int
            How many classes each prediction lists.
        tta : int
            Views of each picture, whose probabilities are averaged: as it is, mirrored (unless the
            run has flip=False), then both somewhat nearer.
        callbacks, quiet
            As for `load`: they hear how far it is, and what could not be read.

        Raises
        ------
        DataError
            It shows no picture, or none that can be read.
        """
        scorer, emit = self._scorer(tta), with_console(callbacks, quiet=quiet)
        paths, is_one, name = list[Path | None](), False, "pictures"
        if isinstance(x, Split):
            rows, name = x.rows.tolist(), x.name
            files = getattr(x.source, "paths", None)
            paths = [None if files is None else files[row] for row in rows]
            with watched(name, len(x), emit) as watch:
                found = scorer.split(x, watch, fingerprint_of(self, x))
        else:
            shown, is_one = pictures_of(x, scorer.preprocess)
            rows, paths = list(range(len(shown))), [one.path for one in shown]
            with watched(name, len(shown), emit) as watch:
                found = scorer.pictures(shown, watch)
        answers = predictions(found, rows, paths, self.classes, top=top, task=self.task)
        for note in complaints(answers):
            emit(note)
        return answers[0] if is_one else answers

    def save(self, path: str | Path) -> Path:
        """Write the weights as a plain state_dict, for torch (.pth) or safetensors."""
        return save_weights(self.model, target_of(path))

    def export(self, path: str | Path) -> Path:
        """Write one file that `open_run` opens anywhere.

        A .safetensors holds weights, classes and figures, no pickle. A .onnx needs an extra.
        """
        choices, facts = as_facts(self.choices), vars(self.progress.state)
        return export(target_of(path), self.model, self.record, choices, facts)

    def plot(self) -> Path:
        """Draw loss and accuracy over the epochs; shown in a notebook, saved as curves.png."""
        if not self.history:
            raise RunError(
                "There is nothing to plot yet.",
                f"run {self.name} has no validated epoch",
                "train it first",
            )
        return self._show(self._curves())

    def confusion(self, split: Any = None) -> Path:
        """Draw which classes are taken for which; saved as confusion.png.

        Where a picture may have several classes, it draws the F1 of each; of numbers, predicted
        and true.
        """
        return self._show(self._compared(self.evaluate(split)))

    def show(self, x: Any, *, top: int = 10) -> Path:
        """Draw one picture beside its likeliest classes; saved as prediction.png."""
        shown, is_one = pictures_of(x, self.preprocess)
        if not is_one:
            raise DataError(
                "show() takes one picture.",
                f"{len(shown)} were given",
                "pass one: run.show(pictures[0])",
            )
        pixels, answer = pixels_of(shown[0], self.preprocess), self.predict(x, top=top)
        assert isinstance(answer, Prediction)
        return self._show(plots.view_classify(pixels, answer, self.folder / "prediction.png"))

    def top_losses(self, n: int = 9, split: Any = None) -> Path:
        """Draw the pictures with the largest losses, and the answers; saved as top_losses.png."""
        chosen, fingerprint = split_for(self, split)
        return self._show(self._worst(n, chosen, self._judged(chosen, fingerprint)))

    def grad_cam(self, x: Any, *, label: str | None = None) -> Path:
        """Draw what in one or more pictures speaks for a class; saved as grad_cam.png.

        Parameters
        ----------
        x : as for predict
        label : str, optional
            The class; each picture's likeliest, if None.

        Raises
        ------
        ModelError
            The network has no convolution near its end.
        """
        return self._show(draw_grad_cam(x, self._scorer(), self.classes, label, self.folder))

    def report(self, split: Any = None) -> Path:
        """Write all that is known of the run as one HTML file that opens offline: report.html."""
        chosen, fingerprint = split_for(self, split)
        found = self._judged(chosen, fingerprint)
        evaluation = self._evaluation(chosen, found)
        drawings = (self._curves(), self._compared(evaluation), self._worst(9, chosen, found))
        title, folder = f"{self.name}-{self.key}", self.folder
        path = write_report(
            title, self.record, self.choices, self.history, evaluation, drawings, folder
        )
        self._copy(path)
        return path

    def _curves(self) -> Path:
        return plots.curves(self.history, self.folder / "curves.png", monitor=self.recipe.monitor)

    def _compared(self, evaluation: Evaluation) -> Path:
        return plots.comparison(evaluation, self.folder / "confusion.png", self.task)

    def _worst(self, n: int, split: Split, found: Scored) -> Path:
        return draw_worst(split, found, self.classes, self.task, n, self.folder)

    def _judged(
        self, split: Split, fingerprint: str, *, callbacks: Any = None, quiet: bool = False
    ) -> Scored:
        """Score a split once, for all that is said of it."""
        emit = with_console(callbacks, quiet=quiet)
        with watched(split.name, len(split), emit) as watch:
            found = self._scorer().split(split, watch, fingerprint).named(self.classes)
        if missing := found.seen - len(found.rows):
            text = f"{missing} of {found.seen} pictures of {split.name} cannot be read"
            emit(Note(f"{text}, and are left out.", "warn"))
        return found

    def _evaluation(self, split: Split, found: Scored, metrics: Any = None) -> Evaluation:
        done = evaluate(found.probabilities, found.labels, self.classes, split.name, self.task)
        asked = as_given(metrics) if metrics else (self.recipe.metrics, self.metrics)
        done = replace(done, stopped=found.seen < len(split))
        return measured(done, Metrics(*asked, self.task, warn=with_console().warn), found)

    def _show(self, picture: Path) -> Path:
        """Display a picture in a notebook, and hand a copy to Drive."""
        self._copy(picture)
        return plots.display(picture)

    def _copy(self, path: Path) -> None:
        if self.place.shelf is not None:
            self.place.shelf.push(path, f"{self.place.kept_as}/{path.name}")

    def _scorer(self, tta: int = 1) -> Scorer:
        output, floats = self.choices["output"].value, self.record["data"]["floats"]
        flip = "flip" not in self.choices or bool(self.choices["flip"].value)
        size, workers = self.choices["batch_size"].value, self.recipe.num_workers or 0
        how = self.preprocess, output, floats, tta, size, workers, flip
        return Scorer(self.inference, *how)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    def __repr__(self) -> str:
        best, metric = "", self.recipe.monitor
        if self.best:
            value, epoch = self.best["metrics"][metric], self.best["epoch"]
            best = f", best {metric} {value:.4f} at epoch {epoch:g}"
        why = f" ({self.reason})" if self.reason else ""
        went = f"{self.status}{why} · {len(self.history)} validations{best}"
        return in_line(f"Run {self.name}-{self.key} · {went} · {self.folder}")
