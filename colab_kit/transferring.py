"""Transferring: a head on a backbone. The head is solved for features that are computed once; then, if asked, all is trained."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import torch
from torch import nn

from .data import keyed
from .data.augment import Augment, preset
from .data.batches import Batch, Feed
from .data.splits import Items
from .errors import RecipeError
from .events import EpochDone, Listeners, Note, StepDone
from .files import digest, home
from .models.features import Extractor, head_of
from .models.solve import Solved
from .runs import Run
from .session import Session
from .training import checkpoint
from .training.budget import Budget
from .training.choices import Choices
from .training.describe import describe, tensor_hash
from .training.headfit import HeadFit
from .training.job import Job, State
from .training.measured import fastest_forward
from .training.metrics import better
from .training.precision import Precision, candidates
from .training.untouched import untouched

MODES = ("auto", "frozen", "finetune", "both")
VIEWS = 8  # passes over a frozen backbone, at most
SOME = 8  # pictures that a network is tried on where nothing is trained
GENTLE = 0.1  # of the usual learning rate, where all of a trained backbone learns
FEW = 2000  # training pictures: below, training all of a backbone loses more than it wins
UNUSED = ("lr", "optimizer", "weight_decay", "schedule", "warmup", "mixup", "cutmix", "ema", "clip", "accumulate", "sampler")


class Transfer(Session):
    """What one call of transfer() works with.

    asked : "auto", "frozen", "finetune" or "both"
    trained : whether the backbone comes with weights
    looks : epochs, where the user gave them: so many views of each picture a solved head sees
    """

    asked = "auto"
    looks: int | None = None
    trained = True
    mode = "finetune"
    fit: HeadFit | None = None  # none: the head learns in the loop, as the rest does
    layer = ""  # the head's
    passes = 0  # over the pictures, for features

    def prepare(self, made: dict[str, Any], emit: Listeners) -> Choices:
        self.mode, why = made["mode"] if "mode" in made else self._mode()
        self._steps = self.mode != "frozen"
        self.head_epochs = {"frozen": None, "finetune": 0, "both": self.recipe.head_epochs or 1}[self.mode]
        choices = super().prepare(made, emit)
        choices["mode"] = (self.mode, why)
        if self.fit is not None:
            self.fit.loss, self.fit.judge = self.loss_with(choices, torch.device("cpu")), self.plain_loss(choices)
        if self.solved and not made:
            default = type(self.recipe)()
            if unused := [name for name in UNUSED if getattr(self.recipe, name) != getattr(default, name)]:
                emit(Note(f"The head is solved, which takes no {', '.join(f'{name}=' for name in unused)}: see mode=.", "warn"))
        return choices

    def _mode(self) -> tuple[str, str]:
        """How to train, and why."""
        n, epochs, alone = len(self.data.train), self.recipe.epochs, self.recipe.head_epochs
        if self.asked == "auto" and alone is not None:
            return "both" if alone else "finetune", f"head_epochs={alone} was asked for"
        if self.asked == "both" and epochs <= (alone or 1):
            fix = f"give epochs={(alone or 1) + 1} or more, or mode='frozen'"
            raise RecipeError("mode='both' leaves no epoch to train all of the network.", f"epochs={epochs} are the head's alone", fix)
        if self.asked != "auto":
            return self.asked, "as asked"
        if self.device.type == "cpu":
            return "frozen", "training all of a backbone takes many times as long on a CPU; mode='both' does it"
        if epochs < 2:
            return "frozen", "one epoch is too short for more"
        return ("frozen", f"{n:,} pictures are few for all of a backbone") if n < FEW else ("both", f"{n:,} pictures are enough for it")

    @property
    def solved(self) -> bool:
        """Whether the head is solved for, and nothing is trained."""
        return self.mode == "frozen" and self.fit is not None

    @property
    def epochs(self) -> int:
        return self.passes if self.solved else super().epochs

    def _amend(self, choices: Choices, made: dict[str, Any]) -> None:
        if self.mode != "frozen" and self.trained and "lr" not in made and choices["lr"][1].startswith("usual"):
            choices["lr"] = (choices["lr"][0] * GENTLE, "usual where a trained backbone learns")

    # -- what is chosen before the first step ------------------------------------------------------------------------------

    def _precise(self, choices: Choices, first: Batch, forward: float) -> tuple[str, str]:
        if self.mode != "finetune":
            why = self._plan(choices, first, forward)
            if why:
                choices["features"] = ("not kept", why)
        self._steps = not self.solved
        return choices["features"] if self.solved else super()._precise(choices, first, forward)

    def _plan(self, choices: Choices, first: Batch, forward: float) -> str:
        """Get ready to compute features once; or the reason why the head learns in the loop."""
        layer = head_of(self.model, self.head)
        if self._answer(layer) is None:
            several = len([*self.model.get_submodule(layer).modules()]) > 1
            return (
                "the head has several layers, and learns in the loop" if several else "the head is no linear layer, and learns in the loop"
            )
        if not self.keyed:
            return "the data draws numbers that no key reaches"
        with untouched(self.model):
            extract = Extractor(self.model, layer, first.x[:2])
        if not extract.width:
            return extract.why
        self.layer = layer
        if "views" not in choices or self.looks is not None:
            choices["views"] = self._how_many(choices)
        self.passes = int(choices["views"][0])
        choices.setdefault("features", self._numbers(extract, first, forward))
        backbone = {name: tensor_hash(t) for name, t in self.model.state_dict().items() if name not in self.head}
        self.fit = HeadFit(
            extract, Precision.named(choices["features"][0]), self._shown, self._told_apart,
            [digest(backbone), layer, self.preprocess.as_json(), self.data.fingerprint, torch.__version__],
            home(), self.loss_of, self.loss_of, len(self.data.classes), len(self.data.classes) > 5,
        )  # fmt: skip
        return ""

    def _answer(self, layer: str) -> nn.Linear | None:
        """The one linear layer of the head; None if it has more, or others."""
        own = [m for m in self.model.get_submodule(layer).modules() if next(m.parameters(recurse=False), None) is not None]
        return own[0] if len(own) == 1 and type(own[0]) is nn.Linear and own[0].bias is not None else None

    def _numbers(self, extract: Extractor, first: Batch, forward: float) -> tuple[str, str]:
        """In which numbers features are computed: what suits the hardware for a short pass, what is fastest for a longer one."""
        if self.recipe.precision is not None:
            return self.recipe.precision, "as asked"
        options = candidates(self.runtime.precision, self.device.type, self.runtime.isa, self.model)
        room = 0.01 * forward / len(first) * self._pictures
        if 2 * len(options) * forward > room:
            return str(options[-1]), "suits this hardware; measuring would take more than a hundredth of the pass"
        with keyed.outer_streams_kept():
            return fastest_forward(lambda how: extract(first.x, how), options)

    def _how_many(self, choices: Choices) -> tuple[int, str]:
        if self.mode == "both":
            return min(self.head_epochs or 1, VIEWS), "head_epochs="
        if self.looks is None:
            return 1, "each picture as it is; epochs= asks for more views of it"
        if choices["augment"][0] == "none" and not isinstance(self.data.train.source, Items):
            return 1, "without augment= there is but one"
        return min(self.looks, VIEWS), "epochs=" + (f", {VIEWS} at most" if self.looks > VIEWS else "")

    def _takes(self, first: Batch, forward: float) -> float:
        return forward * self._pictures / len(first) if self.solved else super()._takes(first, forward)

    @property
    def _pictures(self) -> int:
        """How many go through the backbone for features."""
        return self.passes * len(self.data.train) + (len(self.data.valid) if self.data.valid is not None else 0)

    def _first(self) -> Batch:
        """Where nothing is trained, a few pictures are enough to try it on."""
        batch = super()._first()
        return Batch(batch.x[:SOME], batch.y[:SOME], batch.index[:SOME]) if self.mode == "frozen" else batch

    # -- views -------------------------------------------------------------------------------------------------------------

    def _shown(self, name: str, view: int) -> tuple[Feed, int]:
        """Who reads a view: each picture as it is (0), mirrored (1), then random ones. Their key is no seed: other runs use them too."""
        r, more = self.effective, dict[str, Any]()
        assert isinstance(r.batch_size, int) and r.workers is not None
        if view and self.augment is not None:
            more = {"transform": self.augment}
        elif view and not isinstance(self.data.train.source, Items):
            more = {"augment": Augment(flip=1.0) if self._mirrors(view) else self._changes()}
        feed = Feed(
            self.data.splits[name], self.preprocess, batch_size=r.batch_size, device=self.device, workers=r.workers, seed=0,
            complain=self._complain, **more,
        )  # fmt: skip
        return feed, view or -1

    def _told_apart(self, view: int) -> Any:
        if not view or self._mirrors(view):
            return view
        return [view, describe(self.augment) if self.augment is not None else dataclasses.asdict(self._changes())]

    def _changes(self) -> Augment:
        return preset(self.effective.augment or "none")

    def _mirrors(self, view: int) -> bool:
        return view == 1 and self.augment is None and self._changes().flip > 0 and not isinstance(self.data.train.source, Items)

    # -- training ----------------------------------------------------------------------------------------------------------

    def _go_on(self, run: Run, emit: Listeners, found: checkpoint.Checkpoint | None) -> tuple[str, str]:
        if self.fit is None or self.mode != "frozen":
            if self.fit is not None and found is None and not self._fitted(run, emit, self.start, self._budget(None, emit)):
                return "stopped", run.control.reason  # nothing is written yet: what features there are, are kept
            return super()._go_on(run, emit, found)
        state = State(**{f.name: found.facts[f.name] for f in dataclasses.fields(State)}) if found is not None else self.start
        self.saver = self._saver(run, emit, found)
        self._announce(run, emit, state, self._groups * self.passes)
        facts = {"start": run.record["start"], "key": run.key, "classes": list(self.data.classes), "fingerprint": self.data.fingerprint}
        try:
            done = self._fitted(run, emit, state, self._budget(found, emit), {**facts, "planned": True, "environment": {}, "schedule": {}})
        finally:
            run.take(vars(state))
        if state.best:
            self._wear(checkpoint.read(run.folder / state.best["file"]).tensors)
        self.model.eval()
        return ("done", "") if done else ("stopped", run.control.reason)

    def _fitted(self, run: Run, emit: Listeners, state: State, budget: Budget, facts: dict[str, Any] | None = None) -> bool:
        """View after view: compute what is missing, fit the head, note its figures; whether all of it was done.

        facts : what a checkpoint says, written after each view; None: the loop will write the first one
        """
        assert self.fit is not None

        def told(done: int, of: int) -> bool:
            run.control.reached("in_features")
            if facts is not None:
                emit(StepDone(state.epoch * self._groups + min(done, self._groups), self._groups * self.passes, math.nan, 0.0))
            if run.control.paused:
                began = time.monotonic()
                emit(Note(f"Paused after {done} of {of} batches of a view; they are kept."))
                run.control.wait_while_paused()
                budget.pause(time.monotonic() - began)
            if budget.used_up(step=0.0, save=0.0):
                run.control.stop(budget.reason(None))
            return not run.control.stopped

        with keyed.outer_streams_kept():
            for row, head in self.fit.passes(self.passes, "valid" in self.feeds, told, after=state.epoch):
                self._put(head)
                state.epoch, state.step, state.seconds = state.epoch + 1, state.step + self._groups, budget.seconds
                weights = {name: t.detach().cpu().clone() for name, t in self.model.state_dict().items()}
                if self._noted(state, {"epoch": float(state.epoch), "step": state.step, "l2": head.strength, **row}):
                    self.best_weights = weights
                if facts is not None and self.saver is not None:
                    best = (state.best["file"], weights) if state.best and state.best["step"] == state.step else None
                    tensors = {f"model/{name}": t for name, t in weights.items()}
                    self.saver.save(state.step, tensors, {**facts, **vars(state)}, best, must=True)
                emit(EpochDone(float(state.epoch), self.epochs, state.history[-1]))
                run.control.reached("epoch_end")
        return state.epoch == self.passes

    def _noted(self, state: State, row: dict[str, float]) -> bool:
        """Write a row of history; whether it is the best one so far."""
        state.history.append(row)
        metric = self.recipe.monitor
        if metric not in row or not better(metric, row[metric], state.best["metrics"].get(metric) if state.best else None):
            return False
        state.best = {
            "step": state.step, "epoch": row["epoch"], "file": checkpoint.name_of(state.step, "best"), "metrics": dict(row),
        }  # fmt: skip
        return True

    @property
    def _groups(self) -> int:
        """Steps of a pass."""
        return -(-len(self.feeds["train"]) // self.recipe.accumulate)

    def _put(self, head: Solved) -> None:
        """The solved weights, in the network."""
        layer = self._answer(self.layer)
        assert layer is not None
        with torch.no_grad():
            layer.weight.copy_(head.weight)
            layer.bias.copy_(head.bias)

    def _job(self, run: Run, emit: Listeners, found: checkpoint.Checkpoint | None) -> tuple[Job, State]:
        job, state = super()._job(run, emit, found)
        if found is None and state.step:  # the head is fitted: from here on the loop knows of it
            job.best_weights = self.best_weights
            job.save(state, must=True, planned=True)
        return job, state
