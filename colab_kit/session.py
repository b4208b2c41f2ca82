"""A session of a run: the network, its data and its recipe brought together, trained, and put away. One process long."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import sameness
from .data import keyed
from .data.augment import preset
from .data.batches import Batch, Feed
from .data.items import draws_privately
from .data.preprocess import Preprocess
from .data.splits import Arrays, Data, Items
from .errors import ColabKitError, RecipeError
from .events import Listeners, Note, RunEnded, RunStarted
from .files import home, is_whole, write_json
from .listeners.csv_log import CsvLog
from .listeners.history import History
from .machine import Runtime
from .models.made import is_lazy, materialise
from .recipe import Recipe
from .runs import Run
from .training import checkpoint, optimizers
from .training.averaging import Average
from .training.budget import Budget
from .training.choices import Choices, choose, preprocess_for, workers_for
from .training.job import Job, State
from .training.loop import fit, out_of_patience
from .training.losses import Loss, by_output, expects, named, of_user, output_kind
from .training.measured import SHORT, measure, remembered, too_short
from .training.memory import is_out_of_memory, let_go, pieces
from .training.phases import Phases
from .training.precision import Precision, candidates, compiled, deterministic
from .training.preflight import check_loss, first_outputs, try_loss
from .training.saver import Saver
from .training.schedule import Schedule


class Session:
    """What one call of train() or transfer() works with.

    model, data, recipe : as given
    base : the preprocessing that the weights ask for
    loss, optimizer, augment : objects that travel beside the recipe, or None
    made_by : how the network is made again without the user's code, or None
    head : names of the head's parameters, and `name` the backbone's, for transfer
    """

    device: torch.device
    runtime: Runtime
    saver: Saver | None = None  # none yet: nothing was trained

    def __init__(
        self, model: nn.Module, data: Data, recipe: Recipe, *, base: Preprocess,
        loss: Any, optimizer: Any, augment: Any = None, made_by: Any, head: Sequence[str] = (), name: str = "",
    ) -> None:  # fmt: skip
        self.model, self.data, self.recipe, self.base = model, data, recipe, base
        self.loss, self.optimizer, self.augment = loss, optimizer, augment
        self.made_by, self.head, self.name = made_by, head, name

    def prepare(self, made: dict[str, Any], emit: Listeners) -> Choices:
        """Choose what the recipe leaves open, look at one batch, and check that network, loss and data fit each other."""
        given, self._emit = self.recipe, emit
        kind = self.optimizer if isinstance(self.optimizer, type) else None
        choices = choose(given, self.data, made, own_optimizer=isinstance(self.optimizer, torch.optim.Optimizer), kind=kind)
        self.preprocess, why = preprocess_for(given, self.data, self.base)
        choices.setdefault("size", (self.preprocess.size, why))
        if self.augment is not None:
            choices["augment"] = ("your transform", "as given")
        augment = choices["augment"][0] if self.augment is None else "none"
        workers = workers_for(given, self.data, self.runtime.cores, transformed=self.augment is not None)
        self.effective = dataclasses.replace(given, batch_size=choices["batch_size"][0], workers=workers, augment=augment)
        self.model.to(self.device)
        self.feeds = {name: self._feed(name) for name in ("train", "valid") if name in self.data.splits}
        self.keyed = self.data.keyed
        if self.augment is not None and draws_privately(self.feeds["train"].source, int(self.data.train.rows[0])):
            self.keyed = False
            emit(Note("The transform draws numbers that no key reaches: this run is not exact, neither twice nor after a kill.", "warn"))
        first, began = self.feeds["train"].peek(), time.perf_counter()
        output, first = self._look(first)
        forward = time.perf_counter() - began
        puts_out = output_kind(output)
        choices.setdefault("output", (puts_out, "seen on the first batch"))
        if self.loss is None:
            choices.setdefault("loss", (given.loss, "as asked") if given.loss else by_output(puts_out))
        else:
            choices.setdefault("loss", (getattr(self.loss, "__name__", type(self.loss).__name__), "as given"))
        self._check(puts_out, choices)
        self.loss_of = self._loss(choices)
        try_loss(self.loss_of, output, first.y, choices["loss"][0])
        choices["precision"] = self._precise(choices, first, forward)
        self.precision = Precision.named(choices["precision"][0])
        if not made:  # a new run: what cannot work says so before anything is written
            self._optimizer(choices)
        return choices

    def _look(self, first: Batch) -> tuple[torch.Tensor, Batch]:
        """What the network puts out for the first batch, or for the part of it that fits into the memory."""
        while True:
            try:
                return first_outputs(self.model, first, self.data.classes), first
            except RuntimeError as err:
                if not is_out_of_memory(err) or len(first.y) < 4:
                    raise
                let_go(err)
                first = next(pieces(first, 2))[0]

    def _precise(self, choices: Choices, first: Batch, forward: float) -> tuple[str, str]:
        """In which numbers to compute: as asked, as chosen when the run began, or the fastest that is measured now.

        forward : seconds that the first batch took; a step takes about three times that
        """
        if self.recipe.precision is not None:
            return self.recipe.precision, "as asked"
        if "precision" in choices:
            return choices["precision"]
        where, steps = self.runtime, math.ceil(len(self.feeds["train"]) / self.effective.accumulate) * self.effective.epochs
        options = candidates(where.precision, self.device.type, where.isa, self.model)
        if 3 * forward * steps < SHORT:
            return str(options[0]), too_short(3 * forward * steps)
        shapes = {name: list(t.shape) for name, t in self.model.state_dict().items()}
        what = [
            where.gpu or where.isa,
            torch.__version__,
            type(self.model).__qualname__,
            shapes,
            list(first.x.shape),
            self.recipe.head_epochs,
        ]
        phases = Phases(self.model, self.head, self.recipe.head_epochs)
        phases.enter(0)
        try:
            found, why = remembered(
                home() / "precision.json", what,
                lambda: measure(self.model, first, self.loss_of, options, steps=steps, device=self.device, seed=self.recipe.seed),
            )  # fmt: skip
        finally:
            phases.leave()
        return str(found), why

    def settle(self) -> None:
        """Give lazy layers their shapes, so that the network can be described: with them it is another one."""
        if is_lazy(self.model):
            preprocess, _ = preprocess_for(self.recipe, self.data, self.base)
            first = Feed(self.data.train, preprocess, batch_size=2, device=torch.device("cpu"), seed=self.recipe.seed).peek()
            materialise(self.model.cpu(), first.x, self.recipe.seed)

    def _feed(self, name: str) -> Feed:
        r = self.effective
        assert isinstance(r.batch_size, int) and r.workers is not None
        return Feed(
            self.data.splits[name], self.preprocess, batch_size=r.batch_size, device=self.device, workers=r.workers, seed=r.seed,
            complain=self._complain, **(self._views() if name == "train" else {}),
        )  # fmt: skip

    def _views(self) -> dict[str, Any]:
        """How training pictures are drawn and changed."""
        return {"augment": preset(self.effective.augment or "none"), "transform": self.augment, "sampler": self.recipe.sampler}

    def _check(self, kind: str, choices: Choices) -> None:
        wants, name = expects(self.loss), getattr(self.loss, "__name__", type(self.loss).__name__)
        if self.loss is None:
            name = choices["loss"][0]
            wants = {"cross_entropy": "logits", "nll": "log_probabilities"}.get(name)
        if warning := check_loss(kind, wants, name):
            self._emit(Note(warning, "warn"))
        known = {"train/loss", "train/top1"} | ({"valid/loss", "valid/top1"} if "valid" in self.feeds else set())
        known |= {"valid/top5"} if "valid" in self.feeds and len(self.data.classes) > 5 else set()
        if self.recipe.monitor not in known and (self.recipe.patience or self.recipe.monitor != "valid/loss"):
            raise RecipeError(
                f"monitor={self.recipe.monitor!r} is not measured in this run.",
                f"there are {', '.join(sorted(known))}" + ("" if "valid" in self.feeds else "; the data has no validation split"),
                "name one of these, or load the data with valid=0.2",
            )

    def as_record(self) -> dict[str, Any]:
        """What run.json keeps of the data and of how pixels become input."""
        data = self.data
        return {
            "data": {
                "name": data.name, "classes": list(data.classes), "fingerprint": data.fingerprint,
                "sizes": {name: len(split) for name, split in data.splits.items()},
                "floats": self._floats(),
            },
            "preprocess": self.preprocess.as_json(),
        }  # fmt: skip

    def _floats(self) -> bool:
        """Whether the data come as floats, which only the user knows how to make of a picture."""
        source, row = self.data.train.source, int(self.data.train.rows[0])
        if isinstance(source, Items):
            with keyed.outer_streams_kept():
                x = source.dataset[row][0]
            return not hasattr(x, "convert") and str(getattr(x, "dtype", "")).rpartition(".")[2] != "uint8"
        return isinstance(source, Arrays) and source.x.dtype != torch.uint8

    def recorded_recipe(self) -> dict[str, Any]:
        return dataclasses.asdict(self.recipe)

    def train(self, run: Run, emit: Listeners, *, new: bool = False) -> tuple[str, str]:
        """Go on from the newest whole checkpoint, or begin; give the status and its reason. A new run has none, whatever Drive says."""
        place, record, found = run.place, run.record, None
        if not new:
            found = checkpoint.newest(place.folder, place.shelf, place.kept_as, start=record["start"], complain=self._complain)
        if found is not None and (ended := self._ended(found.facts)):
            emit(Note(f"Run {run.name}-{run.key} is finished: {ended}; fresh=True starts anew."))
            run.take(found.facts)
            self._wear(checkpoint.best_weights(place.folder, found, complain=self._complain))
            if place.shelf is not None and not checkpoint.is_kept(found.path, place.shelf, place.kept_as):  # killed before it was copied
                self.saver = self._saver(run, emit, found)
            return "done", "" if found.facts["epoch"] >= self.recipe.epochs else ended
        job, state = self._job(run, emit, found)
        write_json(place.folder / "run.json", record, reached=run.control.reached)
        emit.listeners.insert(0, CsvLog(place.folder / "history.csv", History(state.history)))
        emit(RunStarted(f"{run.name}-{run.key}", place.folder, self.recipe.epochs, job.steps, state.step))
        if self.saver is not None and place.drive_folder is not None:
            emit(Note(f"Copies go to Drive: {place.drive_folder}"))
            self.saver.announce()
        run.watch(state)
        try:
            with keyed.outer_streams_kept(), deterministic(self.device, self.recipe.deterministic):
                reason = fit(job, state)
        finally:
            run.take(vars(state))
            job.put_back()
        self._wear(self._best(job, state, place.folder))
        return ("stopped" if run.control.stopped and state.epoch < self.recipe.epochs else "done"), reason

    def _ended(self, facts: dict[str, Any]) -> str:
        """What ended the run that a checkpoint tells of, or ""."""
        if facts["epoch"] >= self.recipe.epochs:
            return f"{facts['epoch']} epochs; more epochs= go on"
        return out_of_patience(self.recipe, facts["waited"], facts["best"])

    def _complain(self, text: str) -> None:
        self._emit(Note(text, "warn"))

    def close(self, run: Run, emit: Listeners, *, patient: bool = True) -> None:
        """Write how it ended, hand the last copies to Drive, and say so. Nothing here may hide what happened before.

        patient : whether to wait for Drive. The first interrupt ends the waiting, not the run; a second one raises, as always
        """
        run.adopt(self.model, self.device)
        try:
            write_json(run.folder / "run.json", run.record)
        except ColabKitError as err:
            emit(Note(f"How the run ended could not be written.\n{err}", "warn"))
        try:
            if self.saver is not None:
                self.saver.finish(None if patient else 0.0)
        except KeyboardInterrupt:
            if run.control.stopped:
                raise
            emit(Note("Interrupted: Drive is not waited for. Copying goes on in the background; run.wait() waits for it.", "warn"))
        finally:  # who interrupts the waiting hears it too
            emit(RunEnded(run.status, run.reason, run.folder))

    def _job(self, run: Run, emit: Listeners, found: checkpoint.Checkpoint | None) -> tuple[Job, State]:
        """Everything the loop works with, as the checkpoint left it."""
        recipe = self.effective
        optimizer = self._optimizer(run.choices)
        net = compiled(self.model, self.feeds["train"].peek().x, self._complain) if recipe.compile else self.model
        self.precision.lay(self.model)
        average = Average(self.model, recipe.ema) if recipe.ema else None
        self.saver = self._saver(run, emit, found)
        steps = -(-len(self.feeds["train"]) // recipe.accumulate)
        facts = {
            "start": run.record["start"], "key": run.key, "classes": list(self.data.classes), "fingerprint": self.data.fingerprint,
            "environment": {**sameness.environment(self.device), "precision": str(self.precision), "compile": str(recipe.compile)},
        }  # fmt: skip
        job = Job(
            model=self.model, phases=Phases(self.model, self.head, recipe.head_epochs), train=self.feeds["train"],
            valid=self.feeds.get("valid"), loss=self.loss_of, valid_loss=self._plain_loss(run.choices), optimizer=optimizer,
            schedule=Schedule.of(recipe, steps), recipe=recipe, device=self.device, classes=len(self.data.classes),
            average=average, saver=self.saver, budget=self._budget(found, emit), emit=emit, control=run.control, facts=facts,
            precision=self.precision, net=net,
        )  # fmt: skip
        return job, self._restored(job, found, emit) if found is not None else State()

    def _budget(self, found: checkpoint.Checkpoint | None, emit: Listeners) -> Budget:
        given = self.recipe.budget
        if given == "session" and self.runtime.session_age is None:
            emit(Note("budget='session' sets no limit here: no session ends by itself, or its age is not known."))
        return Budget(given, age=self.runtime.session_age, before=found.facts["seconds"] if found is not None else 0.0)

    def _saver(self, run: Run, emit: Listeners, found: checkpoint.Checkpoint | None) -> Saver:
        return Saver(
            run.place.folder, run.place.shelf, run.place.kept_as, every=self.recipe.save_every,
            step=found.step if found is not None else None, emit=emit, reached=run.control.reached,
        )  # fmt: skip

    def _restored(self, job: Job, found: checkpoint.Checkpoint, emit: Listeners) -> State:
        """Put the checkpoint back, and say which promise holds."""
        state = job.restore(found)
        job.begun = state.step
        if state.step:
            stretched = job.schedule.ends and found.facts["schedule"]["total"] != job.schedule.total
            same = sameness.exactness(
                found.facts["environment"], job.facts["environment"], stretched=stretched, keyed=self.keyed, cut=state.pieces > 1
            )
            emit(Note(f"Going on from step {state.step} of {job.steps}: {same}."))
        return state

    def _optimizer(self, choices: Choices) -> torch.optim.Optimizer:
        return optimizers.build(self.optimizer, self.model, self.effective, choices["lr"][0], choices["weight_decay"][0])

    def _loss(self, choices: Choices) -> Loss:
        if self.loss is not None:
            return of_user(self.loss, self.recipe)
        weights = self.recipe.class_weights
        if weights is None:
            return named(self.recipe, choices["loss"][0], None)
        counts = list(self.data.counts["train"].values())
        if weights == "auto":
            weights = choices["class_weights"][0]
        if weights is None:
            return named(self.recipe, choices["loss"][0], None)
        if weights == "balanced":
            weights = tuple(sum(counts) / (len(counts) * max(1, n)) for n in counts)
        if isinstance(weights, str) or len(weights) != len(counts):
            what = f"class_weights={weights!r} does not fit {len(counts)} classes."
            raise RecipeError(what, "one weight a class is needed", "give as many numbers, or write 'balanced'")
        return named(self.recipe, choices["loss"][0], torch.tensor(weights, dtype=torch.float32, device=self.device))

    def _plain_loss(self, choices: Choices) -> Loss:
        """The loss without class weights and smoothing; a loss object is what it is."""
        if self.loss is not None:
            return self.loss_of
        return named(dataclasses.replace(self.recipe, label_smoothing=0.0), choices["loss"][0], None)

    def _best(self, job: Job, state: State, folder: Path) -> dict[str, torch.Tensor]:
        """The best validated weights, else the last ones, averaged if they are."""
        if state.best and job.best_weights is not None:
            return job.best_weights  # the disk would not take them
        if state.best and is_whole(path := folder / state.best["file"]):
            return checkpoint.read(path, checked=True).tensors
        if state.best:
            self._complain(f"{path.name} is missing or damaged; the last weights stand in for the best ones.")
        return dict(self.model.state_dict()) | (job.average.shadow if job.average is not None else {})

    def _wear(self, weights: dict[str, torch.Tensor]) -> None:
        self.model.load_state_dict(weights)
        self.model.eval()
