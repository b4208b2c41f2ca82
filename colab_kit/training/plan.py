"""Prepared: a network, its data and its recipe brought together, chosen for and checked before the first step."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..data import keyed_random
from ..data.augment import preset
from ..data.batches import Batch, BatchLoader
from ..data.dataset import Data
from ..data.pixel_cache import store_for
from ..data.preprocess import Preprocess
from ..data.sources import Pictures
from ..data.user_datasets import draws_privately
from ..errors import DataError, RecipeError
from ..events import Callbacks, Note
from ..models.build import is_lazy, materialise
from ..models.precision import Precision, candidates
from ..recipe import Recipe
from ..system.files import home
from ..system.runtime import Runtime
from . import optim
from .choices import Choices, choose, preprocess_for, usual_batch_size, workers_for
from .findings import Finding, Seen, examine
from .freezing import Phases
from .gradients import reached
from .losses import Loss, by_output, expects, named, of_rows, of_user, output_kind
from .memory import is_out_of_memory, largest_batch, let_go, pieces
from .metrics import measured
from .preflight import check_loss, check_task, first_outputs, try_loss
from .probing import SHORT, measure, remembered, share_of, step_bytes, step_seconds, too_short
from .untouched import untouched

_WANTS = {
    "cross_entropy": "logits",
    "bce": "multilabel_logits",
    **dict.fromkeys(("mse", "l1", "smooth_l1"), "values"),
}
WARM = 34  # batches of a run: from there on a second forward pass is under a hundredth of it
HEAVY = 0.25  # seconds of a forward pass: from there on bf16 and channels last paid for each of five networks (benchmarks/README.md)
MANY = 400  # batches: from there on two whole steps are half a hundredth


class Prepared:
    """A network, its data and its recipe brought together, and everything chosen and checked before the first step.

    model, data, recipe : as given
    base : the preprocessing that the weights ask for
    loss, optimizer, augment : objects that travel beside the recipe, or None
    made_by : how the network is made again without the user's code, or None
    head : names of the head's parameters, and `name` the backbone's, for transfer
    """

    device: torch.device
    runtime: Runtime
    drive = False  # whether copies go to one
    findings: tuple[Finding, ...] = ()  # of a new run

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        recipe: Recipe,
        *,
        base: Preprocess,
        loss: Any,
        optimizer: Any,
        augment: Any = None,
        made_by: Any,
        head: Sequence[str] = (),
        name: str = "",
    ) -> None:
        self.model, self.data, self.recipe, self.base = model, data, recipe, base
        self.loss, self.optimizer, self.augment = loss, optimizer, augment
        self.made_by, self.head, self.name = made_by, head, name
        self.freeze_epochs = (
            recipe.freeze_epochs
        )  # epochs in which the head learns alone; None: all

    def prepare(self, made: dict[str, Any], emit: Callbacks) -> Choices:
        """Choose what the recipe leaves open, look at one batch, and check that network, loss and data fit each other."""
        given, self._emit = self.recipe, emit
        kind = self.optimizer if isinstance(self.optimizer, type) else None
        choices = choose(
            given,
            self.data,
            made,
            own_optimizer=isinstance(self.optimizer, torch.optim.Optimizer),
            kind=kind,
        )
        self._amend(choices, made)
        self.preprocess, why = preprocess_for(given, self.data, self.base)
        self.model.to(self.device)
        if choices["batch_size"][0] == "auto":
            choices["batch_size"] = self._largest()
        choices.setdefault("image_size", (self.preprocess.size, why))
        if self.augment is not None:
            choices["augment"] = ("your transform", "as given")
        augment = choices["augment"][0] if self.augment is None else "none"
        num_workers = workers_for(
            given, self.data, self.runtime.cores, transformed=self.augment is not None
        )
        self.effective = dataclasses.replace(
            given, batch_size=choices["batch_size"][0], num_workers=num_workers, augment=augment
        )
        self.feeds = {
            name: self._feed(name) for name in ("train", "valid") if name in self.data.splits
        }
        if isinstance(source := self.feeds["train"].source, Pictures):
            store = store_for(source, self.preprocess.side)
            choices["pixels"] = (
                store.where,
                store.why,
            )  # of this session's machine: it changes no bit
        self.keyed = self.data.keyed
        if self.augment is not None and draws_privately(
            self.feeds["train"].source, int(self.data.train.rows[0])
        ):
            self.keyed = False
            emit(
                Note(
                    "The transform draws numbers that no key reaches: this run is not exact, neither twice nor after a kill.",
                    "warn",
                )
            )
        first, began = self._first(choices), time.perf_counter()
        output, first = self._look(first)
        forward = time.perf_counter() - began
        if self._batches > WARM and (
            self._steps or self.device.type == "cuda"
        ):  # the first pays for set-up: 50 times an MLP's own time
            began = time.perf_counter()
            first_outputs(self.model, first, self.data.classes)
            forward = min(forward, time.perf_counter() - began)
        puts_out = output_kind(output, self.data.task)
        choices.setdefault("output", (puts_out, "seen on the first batch"))
        if self.loss is None:
            choices.setdefault(
                "loss", (given.loss, "as asked") if given.loss else by_output(puts_out)
            )
        else:
            choices.setdefault(
                "loss", (getattr(self.loss, "__name__", type(self.loss).__name__), "as given")
            )
        self._check(puts_out, choices)
        self.loss_of = self.loss_with(choices, self.device)
        try_loss(self.loss_of, output, first.y, choices["loss"][0])
        choices["precision"] = self._precise(choices, first, forward)
        self.precision = Precision.named(choices["precision"][0])
        if not made:  # a new run: what cannot work says so before anything is written
            if self._looped:
                self.optimizer_for(choices)
            self.findings = examine(self._seen(choices, first, output, forward))
            for finding in self.findings:
                if finding.level == "error":
                    raise DataError(finding.what, finding.why, finding.fix)
                if finding.level == "warning":
                    emit(Note(str(finding), "warn"))
        return choices

    _steps = True  # whether the network is trained: else nobody asks what a step takes
    _looped = True  # whether by an optimizer
    idle: tuple[str, ...] = ()  # choices that change nothing here

    def _amend(self, choices: Choices, made: dict[str, Any]) -> None:
        """Choose otherwise than for a network from scratch."""

    def _first(self, choices: Choices) -> Batch:
        """The batch that everything is tried on."""
        return self.feeds["train"].peek()

    def _largest(self) -> tuple[int, str]:
        """The batch size that fills the GPU's memory; elsewhere the usual one."""
        if self.device.type != "cuda":
            return usual_batch_size(
                self.data
            ), "memory does not say how large a batch should be on this device: the usual size"
        few = BatchLoader(
            self.data.train,
            self.preprocess,
            batch_size=8,
            device=self.device,
            seed=self.recipe.seed,
        ).peek()
        room = torch.cuda.get_device_properties(self.device).total_memory
        with keyed_random.outer_streams_kept():
            return largest_batch(
                lambda n: step_bytes(self.model, few, n, self.device), room, len(self.data.train)
            )

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

    def _seen(self, choices: Choices, first: Batch, output: torch.Tensor, forward: float) -> Seen:
        """What the checks before the first step look at."""
        with torch.no_grad(), keyed_random.outer_streams_kept():
            loss = float(self.loss_of(output, first.y))
        wants = expects(self.loss) if self.loss is not None else _WANTS.get(choices["loss"][0])
        return Seen(
            data=self.data,
            recipe=self.recipe,
            runtime=self.runtime,
            device=self.device.type,
            x=first.x,
            y=first.y,
            output=output,
            loss=loss,
            kind=choices["output"][0],
            wants=wants,
            seconds=self._takes(first, forward),
            drive=self.drive,
            channels=self.base.channels,
            reached=not self._steps or reached(self.model, first),
        )

    @property
    def _batches(self) -> int:
        return len(self.feeds["train"]) * self.effective.epochs

    def _takes(self, first: Batch, forward: float) -> float:
        """Seconds of the whole run: of a long one a step is measured, for a short one three forward passes are a step."""
        guess = 3 * forward * self._batches
        if guess < SHORT or self._batches < MANY:
            return guess
        phases = Phases(self.model, self.head, self.freeze_epochs)
        try:
            with untouched(self.model):
                phases.enter(self.effective.epochs - 1)  # where all that ever learns does
                return step_seconds(self.model, first, self.loss_of, self.device) * self._batches
        except RuntimeError as err:  # the loop trains such a batch in pieces
            if not is_out_of_memory(err):
                raise
            let_go(err)
            return guess

    def _precise(self, choices: Choices, first: Batch, forward: float) -> tuple[str, str]:
        """In which numbers to compute: as asked, as chosen when the run began, or the fastest that is measured now.

        forward : seconds that the first batch took; a step takes about three times that
        """
        if self.recipe.precision is not None:
            return self.recipe.precision, "as asked"
        if "precision" in choices:
            return choices["precision"]
        where, steps = self.runtime, self._batches
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
            self.freeze_epochs,
        ]
        few = share_of(len(first), steps, len(options))
        if (
            few < len(first) / 2
        ):  # on a small part of a batch another one wins than on all of it: measured, on five networks
            heavy = forward >= HEAVY
            why = "suits this hardware and so heavy a batch" if heavy else "the batch is light"
            return str(
                options[-1 if heavy else 0]
            ), f"{why}; measuring would take more than a hundredth of the run"
        part = Batch(first.x[:few], first.y[:few], first.index[:few])
        parts = steps * len(first) // few
        phases = Phases(self.model, self.head, self.freeze_epochs)
        phases.enter(0)
        try:
            found, why = remembered(
                home() / "precision.json",
                what,
                lambda: measure(
                    self.model,
                    part,
                    self.loss_of,
                    options,
                    steps=parts,
                    device=self.device,
                    seed=self.recipe.seed,
                ),
            )
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            let_go(err)
            return str(
                options[0]
            ), "a whole batch does not fit into the memory: nothing is measured"
        finally:
            phases.leave()
        return str(found), why

    def settle(self) -> None:
        """Give lazy layers their shapes, so that the network can be described: with them it is another one."""
        if is_lazy(self.model):
            preprocess, _ = preprocess_for(self.recipe, self.data, self.base)
            first = BatchLoader(
                self.data.train,
                preprocess,
                batch_size=2,
                device=torch.device("cpu"),
                seed=self.recipe.seed,
            ).peek()
            materialise(self.model.cpu(), first.x, self.recipe.seed)

    def _feed(self, name: str) -> BatchLoader:
        r = self.effective
        assert isinstance(r.batch_size, int) and r.num_workers is not None
        return BatchLoader(
            self.data.splits[name],
            self.preprocess,
            batch_size=r.batch_size,
            device=self.device,
            num_workers=r.num_workers,
            seed=r.seed,
            complain=self._complain,
            **(self._views() if name == "train" else {}),
        )

    def _views(self) -> dict[str, Any]:
        """How training pictures are drawn and changed."""
        return {
            "augment": preset(self.effective.augment or "none"),
            "transform": self.augment,
            "sampler": self.recipe.sampler,
        }

    def _check(self, kind: str, choices: Choices) -> None:
        wants, name = expects(self.loss), getattr(self.loss, "__name__", type(self.loss).__name__)
        if self.loss is None:
            name = choices["loss"][0]
            wants = {**_WANTS, "nll": "log_probabilities"}.get(name)
        check_task(self.data.task, wants, name)
        check_loss(kind, wants, name)
        if self.data.task != "classification" and (
            no := [f for f in ("class_weights", "sampler") if getattr(self.recipe, f) is not None]
        ):
            raise RecipeError(
                f"{no[0]}= is for one class a picture.",
                f"the task here is {self.data.task}",
                "leave it out",
            )
        known = {f"train/{name}" for name in ("loss", *measured(self.data.task, top5=False))}
        if "valid" in self.feeds:
            known |= {
                f"valid/{name}"
                for name in ("loss", *measured(self.data.task, top5=len(self.data.classes) > 5))
            }
        if self.recipe.monitor not in known and (
            self.recipe.patience or self.recipe.monitor != "valid/loss"
        ):
            raise RecipeError(
                f"monitor={self.recipe.monitor!r} is not measured in this run.",
                f"there are {', '.join(sorted(known))}"
                + ("" if "valid" in self.feeds else "; the data has no validation split"),
                "name one of these, or load the data with valid=0.2",
            )

    def optimizer_for(self, choices: Choices) -> torch.optim.Optimizer:
        """The optimizer over the model's parameters, at the rate that was chosen."""
        return optim.build(
            self.optimizer, self.model, self.effective, choices["lr"][0], choices["weight_decay"][0]
        )

    def loss_with(self, choices: Choices, device: torch.device) -> Loss:
        """The loss that trains, with its class weights on a device."""
        if self.loss is not None:
            own = of_user(self.loss, self.recipe)
            return own if self.data.task == "classification" else of_rows(own)
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
            raise RecipeError(
                what, "one weight a class is needed", "give as many numbers, or write 'balanced'"
            )
        return named(
            self.recipe,
            choices["loss"][0],
            torch.tensor(weights, dtype=torch.float32, device=device),
        )

    def plain_loss(self, choices: Choices) -> Loss:
        """The loss without class weights and smoothing; a loss object is what it is."""
        if self.loss is not None:
            return self.loss_of
        return named(
            dataclasses.replace(self.recipe, label_smoothing=0.0), choices["loss"][0], None
        )

    def _complain(self, text: str) -> None:
        self._emit(Note(text, "warn"))
