"""A session of a run: what was prepared is trained, and put away. One process long."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from ..data import keyed_random
from ..data.sources import Arrays, Items
from ..errors import ColabKitError
from ..events import Callbacks, Note, RunEnded, RunStarted
from ..models.precision import compiled, deterministic
from ..models.weights import put
from ..runs import identity
from ..runs.run import Run
from ..system.files import is_whole, write_json
from . import checkpoint
from .budget import Budget
from .csv_log import CsvLog
from .ema import Average
from .freezing import Phases
from .history import History
from .loop import fit, out_of_patience
from .plan import Prepared
from .saver import Saver
from .schedule import Schedule
from .state import Job, State


class Session(Prepared):
    """What one call of train() or transfer() works with."""

    saver: Saver | None = None  # none yet: nothing was trained
    best_weights: checkpoint.Tensors | None = None  # found before the loop begins
    start: State  # where a new run begins
    budget: Budget | None = None

    def train(self, run: Run, emit: Callbacks, *, new: bool = False) -> tuple[str, str]:
        """Go on from the newest whole checkpoint, or begin; give the status and its reason. A new run has none, whatever Drive says."""
        self.start = State()
        place, record, found = run.place, run.record, None
        if not new:
            found = checkpoint.newest(
                place.folder,
                place.shelf,
                place.kept_as,
                start=record["start"],
                complain=self._complain,
            )
        if found is not None and (ended := self._ended(found.facts)):
            emit(Note(f"Run {run.name}-{run.key} is finished: {ended}; restart=True starts anew."))
            run.take(found.facts)
            self._wear(checkpoint.best_weights(place.folder, found, complain=self._complain))
            if place.shelf is not None and not checkpoint.is_kept(
                found.path, place.shelf, place.kept_as
            ):  # killed before it was copied
                self.saver = self._saver(run, emit, found)
            return "finished", "" if found.facts["epoch"] >= self.epochs else ended
        return self._go_on(run, emit, found)

    def _go_on(
        self, run: Run, emit: Callbacks, found: checkpoint.Checkpoint | None
    ) -> tuple[str, str]:
        """Train from a checkpoint, or from the start, to the end."""
        job, state = self._job(run, emit, found)
        self._announce(run, emit, state, job.steps)
        try:
            with (
                keyed_random.outer_streams_kept(),
                deterministic(self.device, self.recipe.deterministic),
            ):
                reason = fit(job, state)
        finally:
            run.take(vars(state))
            job.put_back()
        self._wear(self._best(job, state, run.place.folder))
        return (
            "stopped" if run.control.stopped and state.epoch < self.epochs else "finished"
        ), reason

    def _announce(self, run: Run, emit: Callbacks, state: State, steps: int) -> None:
        """Say that it begins: in the run's folder, on Drive, and to who listens."""
        write_json(run.folder / "run.json", run.record)
        emit.callbacks.insert(0, CsvLog(run.folder / "history.csv", History(state.history)))
        emit(RunStarted(f"{run.name}-{run.key}", run.folder, self.epochs, steps, state.step))
        if self.saver is not None and run.drive_folder is not None:
            emit(Note(f"Copies go to Drive: {run.drive_folder}"))
            self.saver.announce()
        run.watch(state)

    @property
    def epochs(self) -> int:
        """How many there are."""
        return self.recipe.epochs

    def _ended(self, facts: dict[str, Any]) -> str:
        """What ended the run that a checkpoint tells of, or ""."""
        if facts["epoch"] >= self.epochs:
            return f"{facts['epoch']} epochs; more epochs= go on"
        return out_of_patience(self.recipe, facts["waited"], facts["best"])

    def close(self, run: Run, emit: Callbacks, *, patient: bool = True) -> None:
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
            emit(
                Note(
                    "Interrupted: Drive is not waited for. Copying goes on in the background; run.wait_for_copies() waits for it.",
                    "warn",
                )
            )
        finally:  # who interrupts the waiting hears it too
            emit(RunEnded(run.status, run.reason, run.folder))

    def _job(
        self, run: Run, emit: Callbacks, found: checkpoint.Checkpoint | None
    ) -> tuple[Job, State]:
        """Everything the loop works with, as the checkpoint left it."""
        recipe = self.effective
        optimizer = self.optimizer_for(run.choices)
        net = (
            compiled(self.model, self.feeds["train"].peek().x, self._complain)
            if recipe.compile
            else self.model
        )
        self.precision.lay(self.model)
        average = Average(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.saver = self._saver(run, emit, found)
        steps = -(-len(self.feeds["train"]) // recipe.grad_accum_steps)
        begin = self.start.step if found is None else found.facts["schedule"].get("begin", 0)
        facts = {
            "start": run.record["start"], "key": run.key, "classes": list(self.data.classes), "fingerprint": self.data.fingerprint,
            "environment": {**identity.environment(self.device), "precision": str(self.precision), "compile": str(recipe.compile)},
        }  # fmt: skip
        job = Job(
            model=self.model,
            phases=Phases(self.model, self.head, self.freeze_epochs),
            train=self.feeds["train"],
            valid=self.feeds.get("valid"),
            loss=self.loss_of,
            valid_loss=self.plain_loss(run.choices),
            optimizer=optimizer,
            schedule=Schedule.of(recipe, steps, begin=begin),
            recipe=recipe,
            device=self.device,
            classes=len(self.data.classes),
            task=self.data.task,
            output=run.choices["output"][0],
            average=average,
            saver=self.saver,
            budget=self._budget(found, emit),
            emit=emit,
            control=run.control,
            facts=facts,
            precision=self.precision,
            net=net,
        )
        return job, self._restored(job, found, emit) if found is not None else self.start

    def about(self) -> dict[str, Any]:
        """What a record says of the network besides its weights' hash."""
        return {}

    def _budget(self, found: checkpoint.Checkpoint | None, emit: Callbacks) -> Budget:
        """One a session: what features took counts too."""
        if self.budget is None:
            self.budget = self._new_budget(found, emit)
        return self.budget

    def _new_budget(self, found: checkpoint.Checkpoint | None, emit: Callbacks) -> Budget:
        given = self.recipe.max_time
        if given == "session" and self.runtime.session_age is None:
            emit(
                Note(
                    "max_time='session' sets no limit here: no session ends by itself, or its age is not known."
                )
            )
        return Budget(
            given,
            age=self.runtime.session_age,
            before=found.facts["seconds"] if found is not None else 0.0,
        )

    def _saver(self, run: Run, emit: Callbacks, found: checkpoint.Checkpoint | None) -> Saver:
        return Saver(
            run.place.folder,
            run.place.shelf,
            run.place.kept_as,
            every=self.recipe.save_every_steps,
            step=found.step if found is not None else None,
            emit=emit,
        )

    def _restored(self, job: Job, found: checkpoint.Checkpoint, emit: Callbacks) -> State:
        """Put the checkpoint back, and say which promise holds."""
        state = job.restore(found)
        job.begun = state.step
        if state.step:
            stretched = job.schedule.ends and found.facts["schedule"]["total"] != job.schedule.total
            same = identity.exactness(
                found.facts["environment"],
                job.facts["environment"],
                stretched=stretched,
                keyed=self.keyed,
                cut=state.pieces > 1,
            )
            emit(Note(f"Going on from step {state.step} of {job.steps}: {same}."))
        return state

    def _best(self, job: Job, state: State, folder: Path) -> dict[str, torch.Tensor]:
        """The best validated weights, else the last ones, averaged if they are."""
        if state.best and job.best_weights is not None:
            return job.best_weights  # the disk would not take them
        if state.best and is_whole(path := folder / state.best["file"]):
            return checkpoint.read(path, checked=True).tensors
        if state.best:
            self._complain(
                f"{path.name} is missing or damaged; the last weights stand in for the best ones."
            )
        return dict(self.model.state_dict()) | (
            job.average.shadow if job.average is not None else {}
        )

    def _wear(self, weights: dict[str, torch.Tensor]) -> None:
        put(self.model, weights)
        self.model.eval()

    def as_record(self) -> dict[str, Any]:
        """What run.json keeps of the data and of how pixels become input."""
        data = self.data
        return {
            "data": {
                "name": data.name,
                "classes": list(data.classes),
                "task": data.task,
                "fingerprint": data.fingerprint,
                "sizes": {name: len(split) for name, split in data.splits.items()},
                "floats": self._floats(),
            },
            "preprocess": self.preprocess.as_json(),
        }

    def _floats(self) -> bool:
        """Whether the data come as floats, which only the user knows how to make of a picture."""
        source, row = self.data.train.source, int(self.data.train.rows[0])
        if isinstance(source, Items):
            with keyed_random.outer_streams_kept():
                x = source.dataset[row][0]
            return (
                not hasattr(x, "convert")
                and str(getattr(x, "dtype", "")).rpartition(".")[2] != "uint8"
            )
        return isinstance(source, Arrays) and source.x.dtype != torch.uint8

    def recorded_recipe(self) -> dict[str, Any]:
        return dataclasses.asdict(self.recipe)
