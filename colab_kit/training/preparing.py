"""Preparing: a request becomes a plan.

What the request leaves open is chosen. Network, loss and data are tried on one batch.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from ..data.batches import Batch, BatchLoader
from ..data.dataset import Data
from ..data.keyed_random import outer_streams_kept
from ..data.sources import Pictures
from ..data.user_datasets import draws_privately
from ..errors import DataError, RecipeError
from ..events import Callbacks, Note
from ..models.inference import is_out_of_memory, let_go
from ..models.precision import PLAIN, Precision, candidates, takes_channels_last
from ..models.weights import untouched
from ..system.files import home
from . import probing
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
from .findings import FirstLook, examine
from .loaders import LoaderMaker
from .losses import by_output, expects, measured
from .outputs import output_kind, settled_kind
from .plan import Hardware, Plan
from .recovery import pieces
from .request import Network, Request
from .transfer_plan import (
    announce_transfer,
    choose_gentleness,
    choose_mode,
    plan_features,
    recall_features,
)

SHORT = probing.SHORT
SOME = 8  # pictures that a network is tried on where nothing is trained
WARM = 34  # batches of a run: from there on a second forward pass is under a hundredth of it
MANY = 400  # batches: from there on two whole steps are half a hundredth
# Seconds of a forward pass: from there on bf16 and channels last paid for each of five networks
# (benchmarks/README.md).
HEAVY = 0.25


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
        What was chosen when the run began: it stays. A new run has none.
    emit : Callbacks, optional
        They are given notes.

    Raises
    ------
    ColabKitError
        What cannot work says so before anything is written.
    """
    made, emit = made or {}, emit or Callbacks([])
    plan, sample = _first_batch(_without_a_look(request, network, data, hardware, made, emit))
    first, output, forward = _look(plan, sample)
    choices, recipe, loss = plan.choices, plan.user_recipe, request.loss
    kind = output_kind(output, data.task)
    if not made:
        wants = expects(loss or recipe.loss)
        kind = settled_kind(kind, plan.model, first.x[:SOME], data.task, wants)
    choices.setdefault("output", Choice(kind, "seen on the first batch"))
    fitting = as_asked(recipe.loss) if recipe.loss else Choice(*by_output(kind))
    if loss is not None:
        name = getattr(loss, "__name__", type(loss).__name__)
        fitting = Choice(name, "as given", "user")
    choices.setdefault("loss", fitting)
    _check(plan, kind)
    try_loss(plan.loss, output, first.y, choices["loss"].value)
    plan = plan_features(plan, first, forward)
    if not made:
        choices |= choose_gentleness(plan)
    choices["precision"] = _precision(plan, first, forward)
    if not made:
        if not plan.is_solved:
            plan.optimizer()
        plan = replace(plan, findings=examine(_seen(plan, sample, first, output, forward)))
    if request.transfer is not None:
        announce_transfer(plan, emit, is_new=not made)
    return plan


def _without_a_look(
    request: Request,
    network: Network,
    data: Data,
    hardware: Hardware,
    made: Choices,
    emit: Callbacks,
) -> Plan:
    """Choose all that can be chosen before the network sees a batch."""
    recipe, device, transfer = request.recipe, hardware.device, request.transfer
    model, backbone, gentle = network.model, network.backbone, False
    freeze_epochs, choices = recipe.freeze_epochs, Choices()
    if transfer is not None and backbone is not None:
        mode = made.get("mode") or choose_mode(request, len(data.train), device)
        choices["mode"] = mode
        if mode.value == "frozen":
            recipe, freeze_epochs = replace(recipe, epochs=recipe.views or recipe.epochs), None
        else:
            freeze_epochs = 0 if mode.value == "finetune" else freeze_epochs or 1
            model, gentle = backbone.module, transfer.weights is not None
    choices |= choose(recipe, data, made, request.optimizer, gentle=gentle)
    preprocess, size = preprocess_for(recipe, data, network.preprocess)
    model = model.to(device)
    if choices["batch_size"].value == "auto":
        few = BatchLoader(data.train, preprocess, batch_size=8, device=device, seed=recipe.seed)
        choices["batch_size"] = _largest_batch(model, few, data)
    choices.setdefault("image_size", size)
    if "resize" in choices:
        preprocess = replace(preprocess, resize=choices["resize"].value)
    for name in ("resize", "flip"):
        if not made and name in choices and choices[name].by == "machine":
            emit(Note(f"{name}={choices[name].value!r}: {choices[name].why}."))
    if network.preprocess.channels == 1 and not made:
        emit(Note("The network takes pictures of one channel: they are made grey."))
    augment, transform = choices["augment"].value, request.augment
    if transform is not None:
        augment, choices["augment"] = "none", Choice("your transform", "as given", "user")
    workers = workers_for(recipe, data, hardware.runtime.cores, transformed=transform is not None)
    batch_size = choices["batch_size"].value
    flip = recipe.flip
    if "flip" in choices:
        flip = None if transform is not None else choices["flip"].value
    ready = replace(recipe, batch_size=batch_size, num_workers=workers, augment=augment, flip=flip)
    maker = LoaderMaker(
        data, preprocess, ready, device, transform, lambda text: emit(Note(text, "warn"))
    )
    loaders = maker.of_training()
    source, is_keyed = loaders["train"].source, data.keyed
    if isinstance(source, Pictures):
        # of this session's machine: it changes no bit
        store = preprocess.store(source)
        choices["pixels"] = Choice(store.where, store.why)
    if transform is not None and draws_privately(source, int(data.train.rows[0])):
        is_keyed = False
        maker.complain(
            "The transform draws random numbers that no key reaches: this run is not exact, "
            "neither twice nor after a kill."
        )
    return Plan(
        request,
        network,
        data,
        hardware,
        recipe,
        ready,
        choices,
        maker,
        loaders,
        is_keyed,
        freeze_epochs,
        model,
    )


def _largest_batch(model: torch.nn.Module, few: BatchLoader, data: Data) -> Choice:
    """Choose the batch size that fills the GPU's memory; elsewhere the usual one."""
    if few.device.type != "cuda":
        why = "memory does not say how large a batch should be on this device: the usual size"
        return Choice(usual_batch_size(data), why, "default")
    batch, memory = few.peek(), torch.cuda.get_device_properties(few.device).total_memory

    def uses(n: int) -> int:
        return probing.step_bytes(model, batch, n, few.device)

    with outer_streams_kept():
        return Choice(*probing.largest_batch(uses, memory, len(data.train)))


def _first_batch(plan: Plan) -> tuple[Plan, Batch]:
    """Give the batch that everything is tried on.

    A frozen backbone that is not built is tried on kept features.
    """
    backbone = plan.network.backbone
    if backbone is not None and plan.mode == "frozen" and not backbone.is_built:
        plan = recall_features(plan) or plan
        if plan.features is not None:
            x, y = (t[:SOME].to(plan.device) for t in plan.features.first_views("train", 1))
            return plan, Batch(x, y, plan.data.train.rows[: len(x)])
        plan = replace(plan, model=backbone.module.to(plan.device))
    return plan, plan.loaders["train"].peek()


def _some(batch: Batch, n: int) -> Batch:
    return Batch(batch.x[:n], batch.y[:n], batch.index[:n])


def _look(plan: Plan, first: Batch) -> tuple[Batch, torch.Tensor, float]:
    """See what the network puts out for the first batch, and how many seconds that takes.

    A frozen backbone sees a few pictures; where memory runs out, a network sees a part of them.
    """

    if plan.network.backbone is not None and plan.mode == "frozen":
        first = _some(first, SOME)

    def timed(batch: Batch) -> tuple[torch.Tensor, float]:
        began = time.perf_counter()
        output = first_outputs(plan.model, batch, plan.data.classes)
        return output, time.perf_counter() - began

    while True:
        try:
            output, forward = timed(first)
            break
        except RuntimeError as err:
            if not is_out_of_memory(err) or len(first.y) < 4:
                raise
            let_go(err)
            first = next(pieces(first, 2))[0]
    trains = plan.mode != "frozen" or plan.device.type == "cuda"
    # The first pass pays for set-up, 50 times an MLP's own time: in a short run a few tell as much.
    if plan.batches > WARM and trains:
        forward = min(forward, timed(first)[1])
    elif trains and 3 * forward * plan.batches >= SHORT:
        few = _some(first, 2)
        forward = min(forward, timed(few)[1] * len(first) / len(few))
    return first, output, forward


def _check(plan: Plan, output: str) -> None:
    """Refuse a loss, a field or a metric that does not fit task and data.

    Raises
    ------
    ModelError, RecipeError
    """
    recipe, data, name = plan.user_recipe, plan.data, plan.choices["loss"].value
    wants = expects(plan.request.loss or name)
    check_task(data.task, wants, name)
    check_loss(output, wants, name)
    for field in ("class_weights", "sampler"):
        if data.task != "classification" and getattr(recipe, field) is not None:
            raise RecipeError(
                f"{field}= is for one class a picture.",
                f"the task here is {data.task}",
                "leave it out",
            )
    metrics = {f"train/{name}" for name in ("loss", *measured(data.task, top5=False))}
    gap = "; the data has no validation split"
    if "valid" in plan.loaders:
        names = ("loss", *measured(data.task, top5=len(data.classes) > 5), *plan.metrics.names)
        metrics, gap = metrics | {f"valid/{name}" for name in names}, ""
    is_needed = recipe.patience or recipe.monitor != "valid/loss"
    is_needed = is_needed or recipe.lr_schedule == "plateau"
    if recipe.monitor not in metrics and is_needed:
        raise RecipeError(
            f"monitor={recipe.monitor!r} is not measured in this run.",
            f"there are {', '.join(sorted(metrics))}{gap}",
            "name one of these, or load the data with valid=0.2",
        )


def _precision(plan: Plan, first: Batch, forward: float) -> Choice:
    """Choose the numbers to compute in: as asked, as when the run began, or the fastest one.

    Parameters
    ----------
    forward : float
        Seconds that the first batch took; a step takes about three times that.
    """
    choices, batches, machine = plan.choices, plan.batches, plan.hardware.runtime
    if plan.is_deep:
        return Choice(str(PLAIN), "the head alone learns, on features")
    if plan.is_solved:
        return choices["features"]
    if plan.recipe.precision is not None:
        return as_asked(plan.recipe.precision)
    if "precision" in choices:
        return choices["precision"]
    options = candidates(machine.precision, plan.device.type, machine.isa, plan.model)
    if 3 * forward * batches < SHORT:
        return Choice(str(options[0]), probing.TOO_SHORT)
    few = probing.share_of(len(first), batches, len(options))
    if few >= len(first) / 2:
        return _fastest_precision(plan, first, options, few)
    # On a small part of a batch another one wins than on all of it: so measured, on five networks.
    if forward >= HEAVY:
        if not takes_channels_last(plan.model, first.x[:2]):
            options = [option for option in options if not option.channels_last]
        return Choice(
            str(options[-1]), f"suits this hardware and so heavy a batch; {probing.TOO_DEAR}"
        )
    return Choice(str(options[0]), f"the batch is light; {probing.TOO_DEAR}")


def _fastest_precision(plan: Plan, first: Batch, options: list[Precision], few: int) -> Choice:
    """Measure steps on a few pictures, unless an earlier run did on such a machine."""
    model, machine, device = plan.model, plan.hardware.runtime, plan.device
    shapes = {name: list(t.shape) for name, t in model.state_dict().items()}
    chip, kind = machine.gpu or machine.isa, type(model).__qualname__
    what = [chip, torch.__version__, kind, shapes, list(first.x.shape), plan.freeze_epochs]
    batch, steps = _some(first, few), plan.batches * len(first) // few
    phases = plan.phases()
    phases.enter(0)

    def find(some: list[Precision]) -> probing.Measured:
        seed = plan.recipe.seed
        return probing.measure(model, batch, plan.loss, some, steps=steps, device=device, seed=seed)

    try:
        name, why = probing.remembered(home() / "precision.json", what, options, find)
    except RuntimeError as err:
        if not is_out_of_memory(err):
            raise
        let_go(err)
        name, why = options[0], "a whole batch does not fit into the memory: nothing is measured"
    finally:
        phases.leave()
    return Choice(str(name), why)


def _run_seconds(plan: Plan, first: Batch, forward: float) -> float:
    """Foretell the run's seconds: a long run measures a step, else three forward passes are one."""
    if plan.features is not None and plan.mode == "frozen":
        return forward * plan.features.pictures / len(first)
    guess = 3 * forward * plan.batches
    if guess < SHORT or plan.batches < MANY:
        return guess
    phases = plan.phases()
    try:
        with untouched(plan.model):
            phases.enter(plan.recipe.epochs - 1)  # where all that ever learns does
            seconds = probing.step_seconds(plan.model, first, plan.loss, plan.device)
            return seconds * plan.batches
    except RuntimeError as err:  # the loop trains such a batch in pieces
        if not is_out_of_memory(err):
            raise
        let_go(err)
        return guess


def _seen(
    plan: Plan, sample: Batch, first: Batch, output: torch.Tensor, forward: float
) -> FirstLook:
    """Gather what the checks before the first step look at."""
    choices, learns_pictures = plan.choices, plan.features is None or plan.mode != "frozen"
    with torch.no_grad(), outer_streams_kept():
        loss = float(plan.loss(output, first.y))
    return FirstLook(
        data=plan.data,
        recipe=plan.user_recipe,
        runtime=plan.hardware.runtime,
        device=plan.device.type,
        x=first.x,
        y=first.y,
        sample=sample.x,
        output=output,
        loss=loss,
        kind=choices["output"].value,
        wants=expects(plan.request.loss or choices["loss"].value),
        seconds=_run_seconds(plan, first, forward),
        drive=plan.hardware.drive,
        channels=plan.network.preprocess.channels,
        preprocess=plan.preprocess,
        reached=not learns_pictures or reached(plan.model, first),
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
