"""Runs: one training each, startable and stoppable; what it learned can be asked, looked at and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..data.dataset import Data, Split
from ..data.image_checks import look_at
from ..data.loading import load
from ..data.preprocess import Preprocess
from ..data.targets import unlabelled
from ..errors import RENAMED, DataError, new_words, no_attribute
from ..events import Callback, Control, Note
from ..models.known import Shell
from ..recipe import Figures, Recipe
from ..system.console import Console
from ..system.files import digest, home
from ..training.history import History
from .evaluation import Evaluation, evaluate
from .export import export, save_weights
from .looks import Looks
from .prediction import Prediction, Predictions, prediction
from .record import Place, refuse_unmounted
from .scoring import Scorer, pictures_of

if TYPE_CHECKING:
    from torch import nn

live: dict[Path, Run] = {}  # the runs that train right now, by folder
taught: WeakKeyDictionary[nn.Module, str] = (
    WeakKeyDictionary()
)  # networks that this process trained in place, and the run's name


class Run(Looks):
    """A training: what it is, how it went, and what it learned.

    Attributes
    ----------
    status : "running", "paused", "finished", "stopped" or "failed"; reason : why, in words
    folder, drive_folder : where it lives, and where its copies are kept (None without a Drive)
    name, key : what `open_run` finds it by
    recipe, choices : how it trains; what was chosen for it, {name: (value, why)}
    history : a row of metrics for each validation; best : {"epoch", "metrics"} of the best one
    classes, task, data : the class names; what is learned of a picture; the Data, where this session loaded it
    """

    def __init__(
        self,
        place: Place,
        record: dict[str, Any],
        choices: dict[str, Any],
        *,
        control: Control | None = None,
        data: Data | None = None,
    ) -> None:
        self.place, self.record = place, record
        self.folder, self.drive_folder = place.folder, place.drive_folder
        self.name, self.key = str(record["name"]), str(record["key"])
        self.recipe = Recipe(**_tuples(record["recipe"]))
        self.choices: dict[str, tuple[Any, str]] = {k: tuple(v) for k, v in choices.items()}
        self.classes, self.task = tuple(record["data"]["classes"]), str(record["data"]["task"])
        self.data, self.control = data, control or Control()
        self.history = History()
        self._facts: dict[str, Any] = {
            "best": None
        }  # of the newest checkpoint, or of the loop while it runs
        self._model: nn.Module | None = None
        self._make: Callable[[], nn.Module] | None = None
        self.device: Any = "cpu"

    @property
    def status(self) -> str:
        status = str(self.record["status"])
        return "paused" if status == "running" and self.control.paused else status

    @property
    def reason(self) -> str:
        return str(self.record["reason"])

    @property
    def best(self) -> dict[str, Any] | None:
        """Epoch and metrics of the best validation so far; None before the first."""
        best = self._facts["best"]
        return {"epoch": best["epoch"], "metrics": Figures(best["metrics"])} if best else None

    @property
    def model(self) -> nn.Module:
        """The network in eval, with the best weights if there was a validation, else the last ones."""
        if self._model is None:
            assert self._make is not None
            self._model = self._make().to(self.device).eval()
        return self._model

    def stop(self, reason: str = "stopped by hand") -> None:
        """Finish the step, save, and let the verb return. A stopped run goes on when its cell is run again."""
        self.control.stop(reason)

    def pause(self) -> None:
        """Save and wait before the next step."""
        self.control.pause()

    def resume(self) -> None:
        """End a pause."""
        self.control.resume()

    def wait_for_copies(self, timeout: float | None = None) -> bool:
        """Wait until the run's copies are handed to Drive; False where `timeout` seconds were too few. True without a Drive.

        Handed over is not sent: Drive's program sends later, and only drive.unmount() waits for that.
        """
        if self.place.shelf is None:
            return True
        console = Console()
        try:
            return self.place.shelf.close(timeout, console)
        finally:
            console.close_bar()

    def evaluate(
        self, split: Any = None, *, callbacks: Iterable[Callback] | None = None, quiet: bool = False
    ) -> Evaluation:
        """Accuracy and its details.

        split : "train", "valid", "test", a Split, or data (then, as for None: its test split, else valid)
        callbacks, quiet : as for `load`, where there is data to load

        Its loss is the cross-entropy of the class probabilities (binary where there may be several, the squared error of numbers),
        whatever loss the run was trained with.
        """
        chosen = self._split(split, callbacks=callbacks, quiet=quiet)
        self._comparable(chosen)
        outputs, labels, _ = self._scorer().split(chosen)
        return evaluate(outputs, labels, self.classes, chosen.name, self.task)

    def _comparable(self, split: Split) -> None:
        labels = split.labels
        if not len(labels) or unlabelled(labels).any():
            raise DataError(
                f"The split {split.name} has no labels.",
                "nothing can be compared",
                "use run.predict(split)",
            )
        if labels.ndim != (1 if self.task == "classification" else 2):
            raise DataError(
                f"The split {split.name} is of other data.",
                f"the run's task is {self.task}",
                "load it with the run's task=",
            )
        if self.task == "classification" and int(labels.max()) >= len(self.classes):
            why = f"a label is {int(labels.max())}, and the run knows {len(self.classes)} classes"
            raise DataError(
                f"The split {split.name} is of other data.",
                why,
                "give a split of data with the run's classes",
            )

    @new_words
    def predict(self, x: Any, *, top: int = 5, tta: int = 1) -> Prediction | Predictions:
        """Class probabilities of pictures.

        x : path, folder, glob, URL, PIL picture, array (H, W), (H, W, C) or (C, H, W), a batch of them, or a Split
        top : how many classes each prediction lists
        tta : views of each picture, whose probabilities are averaged: as it is, mirrored, then both somewhat nearer

        Raises
        ------
        DataError
        """
        scorer = replace(self._scorer(), tta=tta)
        if isinstance(x, str) and x.lower().startswith(("http://", "https://")):
            from ..fetching.fetch import fetch

            x = Path(fetch(x, home() / "pictures" / digest(x)[:8], quiet=True))
        if isinstance(x, Split):
            probabilities, _, of = scorer.split(x)
            files = getattr(x.source, "paths", None)
            named = zip(
                probabilities,
                [files[row] if files is not None else None for row in of],
                strict=True,
            )
            return Predictions(
                (
                    prediction(p, self.classes, top=top, path=path, task=self.task)
                    for p, path in named
                ),
                self.classes,
            )
        pictures, paths, one = pictures_of(x, scorer.preprocess)
        if not one and all(isinstance(path, Path) for path in paths):
            pictures = _readable(pictures)
            paths = list(pictures)
        rows = zip(scorer.pictures(pictures), paths, strict=True)
        found = Predictions(
            (prediction(p, self.classes, top=top, path=path, task=self.task) for p, path in rows),
            self.classes,
        )
        return found[0] if one else found

    def save(self, path: str | Path) -> Path:
        """Write the weights as a plain state_dict that torch or safetensors loads: .pth or .safetensors."""
        return save_weights(self.model, self._target(path))

    def export(self, path: str | Path) -> Path:
        """Write one file that `open_run` opens anywhere: .safetensors with weights, classes and figures, no pickle; or .onnx, by extra."""
        return export(self._target(path), self.model, self.record, self.choices, self._facts)

    def _target(self, path: str | Path) -> Path:
        target = Path(path).expanduser().absolute()
        refuse_unmounted(target, str(target))
        return target

    def take(self, facts: dict[str, Any]) -> None:
        """Take history and best from what a checkpoint says."""
        self.history, self._facts = History(facts["history"]), facts

    def watch(self, state: Any) -> None:
        """Let history and best follow a loop's state while it trains."""
        self.history = state.history = History(state.history)
        self._facts = vars(state)

    def adopt(self, model: nn.Module, device: Any) -> None:
        """Take the trained network as the run's own."""
        self.device = device
        if isinstance(model, Shell):  # the rest of it is built when it is asked for
            self._make = model.eval().whole
            return
        self._model = model.eval()
        taught[model] = f"{self.name}-{self.key}"

    def _split(self, what: Any, **told: Any) -> Split:
        """The split to evaluate: by name, as it is, or from Data or anything `load` takes."""
        if isinstance(what, Split):
            return what
        named = what is None or (isinstance(what, str) and not Path(what).exists())
        what = RENAMED["split"].get(what, what) if named else what
        data, name = (self.data, what) if named else (load(what, **told), None)
        if data is None:
            why = "only the weights are kept with a run"
            raise DataError(
                "The run was opened without its data.",
                why,
                "pass it: run.evaluate(data), run.report(data), kit.cleaner(run, split=data)",
            )
        if data.classes != self.classes:
            why = f"the run knows {', '.join(self.classes[:5])} …, the data has {', '.join(data.classes[:5])} …"
            raise DataError(
                "The data has other classes than the run.",
                why,
                "load the data that the run was trained for",
            )
        labelled = (
            data.test is not None and len(data.test) > 0 and not unlabelled(data.test.labels).any()
        )
        name = name or ("test" if labelled else "valid" if data.valid is not None else "train")
        if name not in data.splits:
            raise DataError(
                f"The data has no split {name!r}.",
                f"it has {', '.join(data.splits)}",
                "name one of these",
            )
        return data.splits[name]

    def _scorer(self) -> Scorer:
        import torch

        preprocess = Preprocess.from_json(self.record["preprocess"])
        return Scorer(
            self.model,
            preprocess,
            torch.device(self.device),
            self.choices["output"][0],
            self.record["data"]["floats"],
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    def __repr__(self) -> str:
        metric = self.recipe.monitor
        best = (
            f", best {metric} {self.best['metrics'][metric]:.4f} at epoch {self.best['epoch']:g}"
            if self.best
            else ""
        )
        why = f" ({self.reason})" if self.reason else ""
        return f"Run {self.name}-{self.key} · {self.status}{why} · {len(self.history)} validations{best} · {self.folder}"


def _readable(files: list[Path]) -> list[Path]:
    """The files without those that are no pictures, which are named: one of a folder must not cost the others."""
    looks = look_at(files)
    bad = [f"{look.path.name} {look.fault}" for look in looks if look.fault]
    if len(bad) == len(files):
        raise DataError(
            "None of the files is a picture.", "; ".join(bad[:3]), "give a folder of pictures"
        )
    if bad:
        _warn(
            f"{len(bad)} of {len(files)} files are left out: {'; '.join(bad[:3])}{' …' if len(bad) > 3 else ''}."
        )
    return [look.path for look in looks if not look.fault]


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def _warn(text: str) -> None:
    Console()(Note(text, "warn"))
