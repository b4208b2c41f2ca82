"""A plan: a call made ready, before its first step. It is frozen; the fit functions read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ..data.dataset import Data
from ..data.preprocess import Preprocess
from ..data.sources import Arrays, Items
from ..data.user_datasets import first_of
from ..errors import RecipeError
from ..models.precision import Precision
from ..models.weights import weights_hash
from ..recipe import Recipe
from ..system.runtime import Runtime, device_for, runtime
from . import optim
from .choices import Choices, in_rows
from .findings import Finding
from .loaders import FrozenFeatures, LoaderMaker
from .losses import Loss, named, of_rows, of_user
from .metrics import Metrics
from .optim import Phases
from .request import Network, Request

# Fields of the recipe that a solved head does not take.
UNUSED = (
    "lr optimizer weight_decay lr_schedule warmup_epochs mixup cutmix ema_decay max_grad_norm "
    "grad_accum_steps sampler layer_decay"
).split()


@dataclass(frozen=True)
class Hardware:
    """What a plan is made for.

    Parameters
    ----------
    drive : bool
        Whether copies go to a Drive.
    """

    device: torch.device
    runtime: Runtime
    drive: bool = False

    @classmethod
    def here(cls, device: str | None, *, drive: bool = False) -> Hardware:
        machine = runtime()
        return cls(torch.device(device_for(device, machine)[0]), machine, drive)


@dataclass(frozen=True, repr=False)
class Plan:
    """A call made ready.

    Parameters
    ----------
    user_recipe : Recipe
        As it was asked for; the record keeps it.
    recipe : Recipe
        As it will run.
    choices : Choices
        What stands where the recipe says None, and how each was chosen.
    maker : LoaderMaker
        It makes loaders of other splits and views.
    loaders : dict
        "train" and, where there is such a split, "valid".
    is_keyed : bool
        Whether every random number has a key, so that a resumed run repeats each bit.
    freeze_epochs : int or None
        Epochs in which the head learns alone; None: all.
    model : Module
        What is trained: the network, or its head alone where features stand for the rest.
    features : FrozenFeatures or None
        What the head learns from first, or alone.
    findings : tuple of Finding
        Of a new run: what the checks have to say.
    """

    request: Request
    network: Network
    data: Data
    hardware: Hardware
    user_recipe: Recipe
    recipe: Recipe
    choices: Choices
    maker: LoaderMaker
    loaders: dict[str, Any]
    is_keyed: bool
    freeze_epochs: int | None
    model: nn.Module
    features: FrozenFeatures | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def device(self) -> torch.device:
        return self.hardware.device

    @property
    def preprocess(self) -> Preprocess:
        return self.maker.preprocess

    @property
    def mode(self) -> str:
        """How a transfer goes; "" where a network is trained from scratch."""
        return str(self.choices["mode"].value) if "mode" in self.choices else ""

    @property
    def is_solved(self) -> bool:
        """Whether the head is solved for, and nothing is trained step by step."""
        features = self.features
        return self.mode == "frozen" and features is not None and not features.is_deep

    @property
    def is_deep(self) -> bool:
        """Whether a head of several layers learns step by step, on features."""
        return self.features is not None and self.features.is_deep

    @property
    def epochs(self) -> int:
        """Epochs that the run has; of a solved head, its views."""
        if self.is_solved and self.features is not None:
            return self.features.views
        return self.recipe.epochs

    @property
    def batches(self) -> int:
        """Batches of the whole run."""
        return len(self.loaders["train"]) * self.recipe.epochs

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.loaders["train"]) // self.recipe.grad_accum_steps)

    @property
    def head_names(self) -> list[str]:
        """Names of the head's parameters; none where a network is trained from scratch."""
        backbone = self.network.backbone
        if backbone is None:
            return []
        if self.keeps_head_alone:
            return [name for name, _ in self.model.named_parameters()]
        return backbone.head_names

    @property
    def keeps_head_alone(self) -> bool:
        """Whether the run trains, keeps and copies its head, and the backbone is published."""
        backbone = self.network.backbone
        return backbone is not None and self.model is backbone.head_alone

    def with_whole_network(self) -> Plan:
        """Give the plan for pictures, where it keeps the head alone and is given pictures."""
        backbone = self.network.backbone
        if backbone is None or self.is_deep:
            return self
        return replace(self, model=backbone.module.to(self.device))

    @property
    def learner(self) -> nn.Module:
        """What a batch goes through: a head of several layers is given features."""
        backbone = self.network.backbone
        return backbone.head_alone if backbone is not None and self.is_deep else self.model

    @property
    def precision(self) -> Precision:
        return Precision.named(self.choices["precision"].value)

    @cached_property
    def loss(self) -> Loss:
        """The loss that trains."""
        return self.loss_on(self.device)

    def loss_on(self, device: torch.device) -> Loss:
        """Give the loss that trains, its class weights on a device."""
        request, task, recipe = self.request, self.data.task, self.user_recipe
        if request.loss is not None:
            loss = of_user(request.loss, recipe)
            return loss if task == "classification" else of_rows(loss)
        weights, counts = recipe.class_weights, list(self.data.counts["train"].values())
        if weights == "auto":
            weights = self.choices["class_weights"].value
        if weights is None:
            return named(recipe, self.choices["loss"].value, None)
        if weights == "balanced":
            weights = tuple(sum(counts) / (len(counts) * max(1, n)) for n in counts)
        if isinstance(weights, str) or len(weights) != len(counts):
            raise RecipeError(
                f"class_weights={weights!r} does not fit {len(counts)} classes.",
                "one weight a class is needed",
                "give as many numbers, or write 'balanced'",
            )
        tensor = torch.tensor(weights, dtype=torch.float32, device=device)
        return named(recipe, self.choices["loss"].value, tensor)

    @property
    def valid_loss(self) -> Loss:
        """The loss without class weights and smoothing: its figures can be compared.

        A loss object stays as it is.
        """
        if self.request.loss is not None:
            return self.loss
        plain = replace(self.user_recipe, label_smoothing=0.0)
        return named(plain, self.choices["loss"].value, None)

    @cached_property
    def metrics(self) -> Metrics:
        """What is measured of a validation besides the usual."""
        names, own, task = self.recipe.metrics, self.request.metrics, self.data.task
        return Metrics(names, own, task, self.choices["output"].value, self.maker.complain)

    def optimizer(self, lr: Any = None) -> torch.optim.Optimizer:
        """Make the optimizer over the model's parameters, at the chosen rate or another."""
        rate, decay = self.choices["lr"].value, self.choices["weight_decay"].value
        rate = rate if lr is None else lr
        return optim.build(self.request.optimizer, self.model, self.recipe, rate, decay)

    def phases(self) -> Phases:
        """Say what learns in which epoch."""
        keeps, stages = "batch_norm" in self.choices, self.recipe.unfreeze
        how: Any = {"keeps_statistics": keeps, "unfreeze": stages}
        return Phases(self.model, self.head_names, self.freeze_epochs, **how)

    @property
    def goes_halfway(self) -> bool:
        """Whether the mean of the solved network and the trained one is what a run ends with."""
        return "ending" in self.choices

    def as_record(self) -> dict[str, Any]:
        """Say what run.json keeps of data, network, and how pixels become input."""
        data, network = self.data, self.network
        model = {"made_by": network.made_by, "weights": weights_hash(self.model)}
        if self.keeps_head_alone and network.backbone is not None:
            model["backbone"] = network.backbone.identity
        return {
            "data": {
                "name": data.name,
                "classes": list(data.classes),
                "task": data.task,
                "fingerprint": data.fingerprint,
                "sizes": {name: len(split) for name, split in data.splits.items()},
                "floats": are_floats(data),
            },
            "preprocess": self.preprocess.as_json(),
            "model": model,
            "recipe": asdict(self.user_recipe),
        }

    def __repr__(self) -> str:
        silent = (*UNUSED, "precision") if self.is_solved else ()
        return in_rows(self.choices, silent)


def are_floats(data: Data) -> bool:
    """Whether the data come as floats, which only the user knows how to make of a picture."""
    source = data.train.source
    if isinstance(source, Items):
        x = first_of(data.train)
        is_bytes = str(getattr(x, "dtype", "")).rpartition(".")[2] == "uint8"
        return not hasattr(x, "convert") and not is_bytes
    return isinstance(source, Arrays) and source.x.dtype != torch.uint8
