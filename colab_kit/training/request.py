"""A request: what a call asks for. A recipe, the objects that travel beside it, and the network."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ..data.batches import BatchLoader
from ..data.dataset import Data
from ..data.preprocess import Preprocess
from ..data.sources import Pictures
from ..errors import RecipeError, new_word
from ..events import Control
from ..models.build import LazyBackbone, is_lazy, make, materialise
from ..models.describe import check_only_tensors, describe_model
from ..models.nets import again, fitted
from ..models.shapes import wants_grey
from ..recipe import Recipe
from ..system.files import Shelf
from .choices import preprocess_for
from .losses import by_name
from .metrics import as_given
from .optim import name_of
from .schedules import is_torchs

DATA = (Data, tuple, list, dict, np.ndarray, torch.Tensor, Dataset, DataLoader)
MODES = ("auto", "frozen", "finetune", "frozen_then_finetune")


@dataclass(frozen=True)
class Transfer:
    """What transfer() asks for besides a recipe.

    Parameters
    ----------
    mode : one of MODES
    head, weights : as for `kit.transfer`
    given_epochs : bool
        Whether the user said how many epochs.
    """

    mode: str = "auto"
    head: Any = "linear"
    weights: str | Path | None = "default"
    given_epochs: bool = False


@dataclass(frozen=True)
class Network:
    """The network that a request trains.

    Parameters
    ----------
    model : Module
    name : str
    preprocess : Preprocess
        What the weights ask for.
    made_by : dict or None
        The call that makes the network again without the user's code.
    backbone : LazyBackbone or None
        What a transfer puts its head on.
    shelf : Shelf or None
        Keeps small sets of features for the next machine.
    """

    model: nn.Module
    name: str
    preprocess: Preprocess
    made_by: Any
    backbone: LazyBackbone | None = None
    shelf: Shelf | None = None


@dataclass(frozen=True)
class Request:
    """What a call asks for.

    Parameters
    ----------
    model : Module, what makes one, or what `transfer` takes as its backbone
    recipe : Recipe
    loss, optimizer, augment, lr_schedule : objects that no name stands for, or None
    metrics : the user's own, by name
    transfer : Transfer or None
        None where a network is trained from scratch.
    """

    model: Any
    recipe: Recipe
    loss: Any = None
    optimizer: Any = None
    augment: Any = None
    lr_schedule: Any = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    transfer: Transfer | None = None

    @classmethod
    def of(
        cls,
        model: Any,
        recipe: Recipe | None,
        fields: dict[str, Any],
        transfer: Transfer | None = None,
    ) -> Request:
        """Put names into the recipe, and keep objects beside it.

        Parameters
        ----------
        fields : dict
            The recipe's fields; loss, optimizer, augment, lr_schedule and metrics may be objects.

        Raises
        ------
        RecipeError
        """
        fields, objects = dict(fields), dict[str, Any]()
        for option in ("loss", "optimizer"):
            value = fields.pop(option, None)
            name = name_of(value) if option == "optimizer" else None
            if isinstance(value, str):
                name = by_name(value) if option == "loss" else value.lower()
            if name is not None:
                fields[option] = name
            else:
                objects[option] = value
        if "metrics" in fields:
            names, objects["metrics"] = as_given(fields["metrics"])
            fields["metrics"] = names or None
        for option in ("augment", "lr_schedule"):
            if callable(fields.get(option)) or is_torchs(fields.get(option)):
                objects[option] = fields.pop(option)
        recipe = Recipe.of(recipe, fields)
        if isinstance(objects.get("optimizer"), torch.optim.Optimizer) and recipe.lr is not None:
            raise RecipeError(
                "lr= and an optimizer were both given.",
                "the optimizer has its own learning rate",
                "drop lr=, or write optimizer='adam', lr=…",
            )
        return cls(model, recipe, **objects, transfer=transfer)

    @classmethod
    def to_train(cls, model: Any, recipe: Recipe | None, fields: dict[str, Any]) -> Request:
        """Make the request of kit.train, which has no head of its own and no frozen backbone."""
        request = cls.of(model, recipe, fields)
        for option, why, more in (
            ("freeze_epochs", "train() has no head of its own", ""),
            ("views", "train() has no frozen backbone; epochs= counts its passes", ", views=…"),
        ):
            if getattr(request.recipe, option) is not None:
                raise RecipeError(
                    f"{option}= is for transfer().",
                    why,
                    f"leave it out, or use kit.transfer(data, backbone{more})",
                )
        return request

    @classmethod
    def to_transfer(
        cls, backbone: Any, recipe: Recipe | None, fields: dict[str, Any], **options: Any
    ) -> Request:
        """Make the request of kit.transfer.

        Parameters
        ----------
        options : mode, head and weights of a Transfer
        """
        if not isinstance(fields["loss"], str | None):
            raise RecipeError(
                "transfer() takes loss= by name only.",
                "its head puts out logits, and the loss must fit them",
                "write loss='cross_entropy'",
            )
        given = "epochs" in fields or (recipe is not None and recipe.epochs != Recipe().epochs)
        if recipe is None:
            fields = {"epochs": 3, **fields}
        transfer = Transfer(**options, given_epochs=given)
        request = cls.of(backbone, recipe, fields, transfer)
        check_mode(transfer.mode, request.recipe, given_epochs=given)
        return request

    @classmethod
    def to_try(cls, model: Any, recipe: Recipe | None, fields: dict[str, Any]) -> Request:
        """Make the request of a verb that only tries. A name is a backbone; else all is trained."""
        return cls.of(model, recipe, fields, Transfer() if isinstance(model, str) else None)

    def network(
        self,
        data: Data,
        shelf: Shelf | None = None,
        *,
        warm: bool = False,
        control: Control | None = None,
    ) -> Network:
        """Make the network, or learn what is known of it.

        Parameters
        ----------
        shelf : keeps features, and what is known of backbones, for the next machine
        warm : whether other weights are to be put into it: then it is built at once
        control : may stop the download of a backbone's weights
        """
        if self.transfer is not None:
            return self._on_backbone(self.transfer, data, shelf, warm, control)
        recipe = self.recipe
        model = make(fitted(self.model, data, recipe.image_size), recipe.seed)
        made_by, base = _made_by(model), Preprocess()
        if isinstance(data.train.source, Pictures) and wants_grey(model, recipe.image_size or 224):
            base = Preprocess(channels=1)
        kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
        base = replace(base, doubles=kinds == {torch.float64})
        if is_lazy(model):  # its layers get their shapes now: with them it is another network
            preprocess, _ = preprocess_for(recipe, data, base)
            loader = BatchLoader(
                data.train, preprocess, batch_size=2, device=torch.device("cpu"), seed=recipe.seed
            )
            materialise(model.cpu(), loader.peek().x, recipe.seed)
        check_only_tensors(model)
        return Network(model, type(model).__name__, base, made_by)

    def _on_backbone(
        self,
        transfer: Transfer,
        data: Data,
        shelf: Shelf | None,
        warm: bool,
        control: Control | None,
    ) -> Network:
        recipe = self.recipe
        backbone = LazyBackbone(
            self.model,
            classes=len(data.classes),
            head=transfer.head,
            weights=transfer.weights,
            image_size=recipe.image_size,
            seed=recipe.seed,
            shelf=shelf,
            control=control,
            use_notes=not warm,
        )
        model = backbone.module if backbone.is_built else backbone.head_alone
        check_only_tensors(model)
        name, base = backbone.name, backbone.preprocess
        return Network(model, name, base, backbone.made_by, backbone, shelf)


def check_mode(mode: str, recipe: Recipe, *, given_epochs: bool) -> None:
    """Refuse an unknown mode, epochs of a frozen backbone, and views of one that learns.

    Raises
    ------
    RecipeError
    """
    if mode not in MODES:
        fix = new_word("mode", mode) or "leave mode= out, or name one of these"
        raise RecipeError(f"mode={mode!r} is not known.", f"the modes are {', '.join(MODES)}", fix)
    if mode == "frozen" and given_epochs:
        raise RecipeError(
            "epochs= does not go with mode='frozen'.",
            "a frozen backbone is shown views of each picture, not epochs",
            f"write views={recipe.epochs}, or mode='finetune' with epochs={recipe.epochs}",
        )
    if mode == "frozen" and recipe.unfreeze is not None:
        raise RecipeError(
            "unfreeze= does not go with mode='frozen'.",
            "a frozen backbone never learns",
            "leave mode= out, or leave unfreeze= out",
        )
    if mode in ("finetune", "frozen_then_finetune") and recipe.views is not None:
        alone = "; freeze_epochs= says how long the head learns alone"
        raise RecipeError(
            f"views= does not go with mode={mode!r}.",
            "it counts views while the backbone stays frozen",
            "leave it out, or write mode='frozen'" + alone * (mode != "finetune"),
        )


def _made_by(network: nn.Module) -> Any:
    """Give the call that makes one of our small networks again; None if a layer was changed."""
    how = getattr(network, "made_by", None)
    if how is None or type(network).__module__.partition(".")[0] != "colab_kit":
        return None
    own, remade = describe_model(network), describe_model(again(how))
    return how if {**own, "frozen": []} == {**remade, "frozen": []} else None


def right_way_round(verb: str, model: Any, data: Any, extra: tuple[Any, ...] = ()) -> None:
    """Refuse swapped or spread-out arguments, with the right line.

    Raises
    ------
    RecipeError
    """
    line = {"transfer": 'kit.transfer(data, "resnet18")'}.get(verb, f"kit.{verb}(model, data)")
    if extra:
        raise RecipeError(
            f"{verb}() takes two things before its options, and {2 + len(extra)} were given.",
            "pictures and labels travel as one pair, all else by name",
            "write " + line.replace("data", "(X, y)"),
        )
    makes_model = inspect.isclass(data) or inspect.isfunction(data)
    is_path = isinstance(model, (str, Path))
    if isinstance(data, nn.Module) or isinstance(model, DATA) or (is_path and makes_model):
        raise RecipeError(
            f"The arguments of {verb}() are the other way round.",
            f"{getattr(data, '__name__', type(data).__name__)} stands where the data should",
            f"write {line}",
        )
