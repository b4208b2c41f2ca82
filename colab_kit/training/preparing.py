"""Preparing: a request becomes a plan. What is open is chosen; network, loss and data are tried on one batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from ..data import keyed_random
from ..data.batches import Batch, Feed
from ..data.dataset import Data, Pictures
from ..data.pixel_cache import store_for
from ..data.user_datasets import draws_privately
from ..errors import DataError, RecipeError
from ..events import Callbacks, Note
from ..models.precision import PLAIN, candidates
from ..models.weights import untouched
from ..recipe import Recipe
from ..system.files import home
from .checks import check_loss, check_task, first_outputs, reached, try_loss
from .choices import (
    Choice,
    Choices,
    as_asked,
    choose,
    preprocess_for,
    usual_batch_size,
    workers_for,
)
from .findings import Seen, examine
from .freezing import Phases
from .loaders import LoaderMaker
from .losses import by_output, expects, output_kind
from .metrics import measured
from .plan import Hardware, Plan
from .probing import (
    SHORT,
    largest_batch,
    measure,
    remembered,
    share_of,
    step_bytes,
    step_seconds,
    too_short,
)
from .recovery import is_out_of_memory, let_go, pieces
from .request import Network, Request
from .transfer_plan import (
    SOME,
    announce_transfer,
    choose_mode,
    plan_features,
    recall_features,
    recipe_in_mode,
)

_WANTS = {
    "cross_entropy": "logits",
    "bce": "multilabel_logits",
    "nll": "log_probabilities",
    **dict.fromkeys(("mse", "l1", "smooth_l1"), "values"),
}
WARM = 34  # batches of a run: from there on a second forward pass is under a hundredth of it
HEAVY = 0.25  # seconds of a forward pass: from there on bf16 and channels last paid for each of
# five networks (benchmarks/README.md)
MANY = 400  # batches: from there on two whole steps are half a hundredth


def prepare(
    request: Request,
    network: Network,
    data: Data,
    hardware: Hardware,
    made: Choices | None = None,
    emit: Callbacks | None = None,
) -> Plan:
    """Choose what the request leaves open, look at one batch, and check that all fits together.

    Parameters
    ----------
    made : Choices, optional
        What was chosen when the run began: it stays. None or empty for a new run.
    emit : Callbacks, optional
        Are given notes.

    Raises
    ------
    ColabKitError
        What cannot work says so before anything is written.
    """
    made, emit = made or {}, emit or Callbacks([])
    plan, first = _first_batch(_chosen(request, network, data, hardware, made, emit))
    first, output, forward = _look(plan, first)
    choices, recipe = plan.choices, plan.user_recipe
    kind = output_kind(output, data.task)
    choices.setdefault("output", Choice(kind, "seen on the first batch"))
    choices.setdefault("loss", _loss(request, recipe, kind))
    _check(plan, kind)
    try_loss(plan.loss, output, first.y, choices["loss"].value)
    plan = plan_features(plan, first, forward)
    choices["precision"] = _precision(plan, first, forward)
    if not made:  # a new run: what cannot work says so before anything is written
        if not plan.is_solved:
            plan.optimizer()
        plan = replace(plan, findings=examine(_seen(plan, first, output, forward)))
    if request.transfer is not None:
        announce_transfer(plan, emit, is_new=not made)
    return plan


def _chosen(
    request: Request,
    network: Network,
    data: Data,
    hardware: Hardware,
    made: Choices,
    emit: Callbacks,
) -> Plan:
    """Choose all that can be chosen without a look at the network's output."""
    recipe, device = request.recipe, hardware.device
    freeze_epochs, choices, gentle = recipe.freeze_epochs, Choices(), False
    model, transfer, backbone = network.model, request.transfer, network.backbone
    if transfer is not None and backbone is not None:
        mode = made.get("mode") or choose_mode(request, len(data.train), device)
        choices["mode"] = mode
        recipe, freeze_epochs = recipe_in_mode(recipe, mode.value)
        if mode.value != "frozen":
            model, gentle = backbone.module, transfer.weights is not None
    choices |= choose(recipe, data, made, request.optimizer, gentle=gentle)
    preprocess, size = preprocess_for(recipe, data, network.preprocess)
    model = model.to(device)
    if choices["batch_size"].value == "auto":
        few = Feed(data.train, preprocess, batch_size=8, device=device, seed=recipe.seed)
        choices["batch_size"] = _largest_batch(model, few, data, device)
    choices.setdefault("image_size", size)
    augment, transform = choices["augment"].value, request.augment
    if transform is not None:
        choices["augment"] = Choice("your transform", "as given", "user")
        augment = "none"
    workers = workers_for(recipe, data, hardware.runtime.cores, transformed=transform is not None)
    ready = replace(
        recipe, batch_size=choices["batch_size"].value, num_workers=workers, augment=augment
    )
    maker = LoaderMaker(
        data, preprocess, ready, device, transform, lambda text: emit(Note(text, "warn"))
    )
    loaders = maker.of_training()
    source, is_keyed = loaders["train"].source, data.keyed
    if isinstance(source, Pictures):
        store = store_for(source, preprocess.side)
        # of this session's machine: it changes no bit
        choices["pixels"] = Choice(store.where, store.why)
    if transform is not None and draws_privately(source, int(data.train.rows[0])):
        is_keyed = False
        text = "The transform draws numbers that no key reaches: this run is not exact, neither twice nor after a kill."
        emit(Note(text, "warn"))
    return Plan(
        request, network, data, hardware, recipe, ready, choices, maker, loaders, is_keyed, freeze_epochs, model
    )


def _largest_batch(model: torch.nn.Module, few: Feed, data: Data, device: torch.device) -> Choice:
    """Choose the batch size that fills the GPU's memory; elsewhere the usual one."""
    if device.type != "cuda":
        why = "memory does not say how large a batch should be on this device: the usual size"
        return Choice(usual_batch_size(data), why, "default")
    batch, room = few.peek(), torch.cuda.get_device_properties(device).total_memory
    with keyed_random.outer_streams_kept():
        return Choice(
            *largest_batch(
                lambda n: step_bytes(model, batch, n, device), room, len(data.train)
            )
        )


def _first_batch(plan: Plan) -> tuple[Plan, Batch]:
    """Give the batch that everything is tried on: kept features, if they stand for a backbone that is not built."""
    backbone = plan.network.backbone
    if backbone is not None and plan.mode == "frozen":
        if not backbone.is_built:
            recalled = recall_features(plan)
            if recalled is not None and recalled.features is not None:
                x, y = (t[:SOME].to(plan.device) for t in recalled.features.first_views("train", 1))
                return recalled, Batch(x, y, plan.data.train.rows[: len(x)])
            plan = replace(plan, model=backbone.module.to(plan.device))
        first = plan.loaders["train"].peek()  # nothing is trained: a few pictures are enough
        return plan, Batch(first.x[:SOME], first.y[:SOME], first.index[:SOME])
    return plan, plan.loaders["train"].peek()


def _look(plan: Plan, first: Batch) -> tuple[Batch, torch.Tensor, float]:
    """See what the network puts out for the first batch, and how many seconds that takes.

    Where memory runs out, a part of the batch is looked at.
    """
    classes, began = plan.data.classes, time.perf_counter()
    while True:
        try:
            output = first_outputs(plan.model, first, classes)
            break
        except RuntimeError as err:
            if not is_out_of_memory(err) or len(first.y) < 4:
                raise
            let_go(err)
            first = next(pieces(first, 2))[0]
    forward = time.perf_counter() - began
    trains = plan.mode != "frozen" or plan.device.type == "cuda"
    if plan.batches > WARM and trains:  # the first pass pays for set-up: 50 times an MLP's own time
        began = time.perf_counter()
        first_outputs(plan.model, first, classes)
        forward = min(forward, time.perf_counter() - began)
    return first, output, forward


def _loss(request: Request, recipe: Recipe, output: str) -> Choice:
    if request.loss is not None:
        return Choice(_name(request.loss), "as given", "user")
    return as_asked(recipe.loss) if recipe.loss else Choice(*by_output(output))


def _name(loss: Any) -> str:
    return str(getattr(loss, "__name__", type(loss).__name__))


def _check(plan: Plan, output: str) -> None:
    """Refuse a loss, a field or a metric that does not fit task and data."""
    recipe, data, loss = plan.user_recipe, plan.data, plan.request.loss
    name = plan.choices["loss"].value if loss is None else _name(loss)
    wants = expects(loss) if loss is not None else _WANTS.get(name)
    check_task(data.task, wants, name)
    check_loss(output, wants, name)
    fields = [f for f in ("class_weights", "sampler") if getattr(recipe, f) is not None]
    if data.task != "classification" and fields:
        why = f"the task here is {data.task}"
        raise RecipeError(f"{fields[0]}= is for one class a picture.", why, "leave it out")
    has_valid = "valid" in plan.loaders
    metrics = {f"train/{name}" for name in ("loss", *measured(data.task, top5=False))}
    if has_valid:
        names = ("loss", *measured(data.task, top5=len(data.classes) > 5))
        metrics |= {f"valid/{name}" for name in names}
    is_needed = recipe.patience or recipe.monitor != "valid/loss"
    if recipe.monitor not in metrics and is_needed:
        why = f"there are {', '.join(sorted(metrics))}"
        if not has_valid:
            why += "; the data has no validation split"
        fix = "name one of these, or load the data with valid=0.2"
        raise RecipeError(f"monitor={recipe.monitor!r} is not measured in this run.", why, fix)


def _precision(plan: Plan, first: Batch, forward: float) -> Choice:
    """Choose the numbers to compute in: as asked, as when the run began, or the fastest that is measured now.

    Parameters
    ----------
    forward : float
        Seconds that the first batch took; a step takes about three times that.
    """
    choices, steps, machine = plan.choices, plan.batches, plan.hardware.runtime
    if plan.is_deep:
        return Choice(str(PLAIN), "the head alone learns, on features")
    if plan.is_solved:
        return choices["features"]
    if plan.recipe.precision is not None:
        return as_asked(plan.recipe.precision)
    if "precision" in choices:
        return choices["precision"]
    options = candidates(machine.precision, plan.device.type, machine.isa, plan.model)
    if 3 * forward * steps < SHORT:
        return Choice(str(options[0]), too_short(3 * forward * steps))
    few = share_of(len(first), steps, len(options))
    if few < len(first) / 2:
        # On a small part of a batch another one wins than on all of it: measured, on five networks.
        cost = "measuring would take more than a hundredth of the run"
        if forward >= HEAVY:
            why = f"suits this hardware and so heavy a batch; {cost}"
            return Choice(str(options[-1]), why)
        return Choice(str(options[0]), f"the batch is light; {cost}")
    return _measured_precision(plan, first, options, few)


def _measured_precision(plan: Plan, first: Batch, options: Sequence[Any], few: int) -> Choice:
    """Measure a step on a part of the first batch, unless an earlier run did on such a machine."""
    model, machine = plan.model, plan.hardware.runtime
    shapes = {name: list(t.shape) for name, t in model.state_dict().items()}
    chip, kind = machine.gpu or machine.isa, type(model).__qualname__
    what = [chip, torch.__version__, kind, shapes, list(first.x.shape), plan.freeze_epochs]
    part = Batch(first.x[:few], first.y[:few], first.index[:few])
    phases = Phases(model, plan.head_names, plan.freeze_epochs)
    phases.enter(0)
    try:
        name, why = remembered(
            home() / "precision.json",
            what,
            lambda: measure(
                model,
                part,
                plan.loss,
                list(options),
                steps=plan.batches * len(first) // few,
                device=plan.device,
                seed=plan.recipe.seed,
            ),
        )
    except RuntimeError as err:
        if not is_out_of_memory(err):
            raise
        let_go(err)
        name, why = options[0], "a whole batch does not fit into the memory: nothing is measured"
    finally:
        phases.leave()
    return Choice(str(name), why)


def _run_seconds(plan: Plan, first: Batch, forward: float) -> float:
    """Foretell the run's seconds: of a long one a step is measured, for a short one three forward passes are a step."""
    if plan.features is not None and (plan.is_solved or plan.is_deep):
        return forward * plan.features.pictures / len(first)
    guess = 3 * forward * plan.batches
    if guess < SHORT or plan.batches < MANY:
        return guess
    phases = Phases(plan.model, plan.head_names, plan.freeze_epochs)
    try:
        with untouched(plan.model):
            phases.enter(plan.recipe.epochs - 1)  # where all that ever learns does
            return step_seconds(plan.model, first, plan.loss, plan.device) * plan.batches
    except RuntimeError as err:  # the loop trains such a batch in pieces
        if not is_out_of_memory(err):
            raise
        let_go(err)
        return guess


def _seen(plan: Plan, first: Batch, output: torch.Tensor, forward: float) -> Seen:
    """Gather what the checks before the first step look at."""
    loss = plan.request.loss
    with torch.no_grad(), keyed_random.outer_streams_kept():
        value = float(plan.loss(output, first.y))
    name = plan.choices["loss"].value
    wants = expects(loss) if loss is not None else _WANTS.get(name)
    by_steps = not (plan.is_solved or plan.is_deep)
    return Seen(
        data=plan.data,
        recipe=plan.user_recipe,
        runtime=plan.hardware.runtime,
        device=plan.device.type,
        x=first.x,
        y=first.y,
        output=output,
        loss=value,
        kind=plan.choices["output"].value,
        wants=wants,
        seconds=_run_seconds(plan, first, forward),
        drive=plan.hardware.drive,
        channels=plan.network.preprocess.channels,
        reached=not by_steps or reached(plan.model, first),
    )


def refuse_errors(plan: Plan, emit: Callbacks) -> None:
    """Raise for a finding that is an error, and say warnings.

    Raises
    ------
    DataError
    """
    for finding in plan.findings:
        if finding.level == "error":
            raise DataError(finding.what, finding.why, finding.fix)
        if finding.level == "warning":
            emit(Note(str(finding), "warn"))
