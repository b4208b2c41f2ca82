"""A request: what a call asks for. A recipe, the objects that travel beside it, and the network."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.batches import Feed
from ..data.dataset import Data
from ..data.preprocess import Preprocess
from ..errors import RecipeError, new_word
from ..models.build import LazyBackbone, is_lazy, make, materialise
from ..models.describe import check_only_tensors, describe_model
from ..models.nets import again, fitted
from ..recipe import Recipe
from ..system.files import Shelf
from .choices import preprocess_for
from .losses import by_name
from .optim import name_of

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
    loss, optimizer, augment : objects that no name stands for, or None
    transfer : Transfer or None
        None where a network is trained from scratch.
    """

    model: Any
    recipe: Recipe
    loss: Any = None
    optimizer: Any = None
    augment: Any = None
    transfer: Transfer | None = None

    @classmethod
    def of(
        cls,
        model: Any,
        recipe: Recipe | None,
        fields: dict[str, Any],
        loss: Any,
        optimizer: Any,
        transfer: Transfer | None = None,
    ) -> Request:
        """Put names into the recipe, and keep objects beside it.

        Raises
        ------
        RecipeError
        """
        fields, augment = dict(fields), None
        if isinstance(loss, str):
            fields["loss"], loss = by_name(loss), None
        if isinstance(optimizer, str):
            fields["optimizer"], optimizer = optimizer.lower(), None
        if name := name_of(optimizer):
            fields["optimizer"], optimizer = name, None
        if callable(fields.get("augment")):
            augment = fields.pop("augment")
        recipe = Recipe.of(recipe, fields)
        if isinstance(optimizer, torch.optim.Optimizer) and recipe.lr is not None:
            why, fix = "the optimizer has its own learning rate", "drop lr=, or write optimizer='adam', lr=…"
            raise RecipeError("lr= and an optimizer were both given.", why, fix)
        return cls(model, recipe, loss, optimizer, augment, transfer)

    @classmethod
    def to_train(
        cls, model: Any, recipe: Recipe | None, fields: dict[str, Any], loss: Any, optimizer: Any
    ) -> Request:
        """Make the request of kit.train: it has no head of its own and no frozen backbone."""
        request = cls.of(model, recipe, fields, loss, optimizer)
        if request.recipe.freeze_epochs is not None:
            fix = "leave it out, or use kit.transfer(data, backbone)"
            why = "train() has no head of its own"
            raise RecipeError("freeze_epochs= is for transfer().", why, fix)
        if request.recipe.views is not None:
            fix = "leave it out, or use kit.transfer(data, backbone, views=…)"
            why = "train() has no frozen backbone; epochs= counts its passes"
            raise RecipeError("views= is for transfer().", why, fix)
        return request

    @classmethod
    def to_transfer(
        cls,
        backbone: Any,
        recipe: Recipe | None,
        fields: dict[str, Any],
        loss: Any,
        optimizer: Any,
        **options: Any,
    ) -> Request:
        """Make the request of kit.transfer.

        Parameters
        ----------
        options : mode, head and weights of a Transfer
        """
        if loss is not None and not isinstance(loss, str):
            why = "its head puts out logits, and the loss must fit them"
            fix = "write loss='cross_entropy'"
            raise RecipeError("transfer() takes loss= by name only.", why, fix)
        default = Recipe().epochs
        given_epochs = "epochs" in fields or (recipe is not None and recipe.epochs != default)
        if recipe is None:
            fields = {"epochs": 3, **fields}
        transfer = Transfer(**options, given_epochs=given_epochs)
        request = cls.of(backbone, recipe, fields, loss, optimizer, transfer)
        check_mode(transfer.mode, request.recipe, given_epochs)
        return request

    @classmethod
    def to_try(
        cls, model: Any, recipe: Recipe | None, fields: dict[str, Any], loss: Any, optimizer: Any
    ) -> Request:
        """Make the request of a verb that only tries: a name is a backbone, all else is trained as it is."""
        transfer = Transfer() if isinstance(model, str) else None
        return cls.of(model, recipe, fields, loss, optimizer, transfer)

    def network(self, data: Data, shelf: Shelf | None = None, *, warm: bool = False) -> Network:
        """Make the network, or learn what is known of it.

        Parameters
        ----------
        shelf : keeps features, and what is known of backbones, for the next machine
        warm : whether other weights are to be put into it: then it is built at once
        """
        if self.transfer is not None:
            return self._on_backbone(self.transfer, data, shelf, warm)
        recipe = self.recipe
        model = make(fitted(self.model, data, recipe.image_size), recipe.seed)
        made_by = _made_by(model)
        if is_lazy(model):  # its layers get their shapes now: with them it is another network
            preprocess, _ = preprocess_for(recipe, data, Preprocess())
            loader = Feed(
                data.train, preprocess, batch_size=2, device=torch.device("cpu"), seed=recipe.seed
            )
            materialise(model.cpu(), loader.peek().x, recipe.seed)
        check_only_tensors(model)
        return Network(model, type(model).__name__, Preprocess(), made_by)

    def _on_backbone(
        self, transfer: Transfer, data: Data, shelf: Shelf | None, warm: bool
    ) -> Network:
        backbone = LazyBackbone(
            self.model,
            classes=len(data.classes),
            head=transfer.head,
            weights=transfer.weights,
            image_size=self.recipe.image_size,
            seed=self.recipe.seed,
            shelf=shelf,
            use_notes=not warm,
        )
        model = backbone.module if backbone.is_built else backbone.head_alone
        check_only_tensors(model)
        name, base = backbone.name, backbone.preprocess
        return Network(model, name, base, backbone.made_by, backbone, shelf)


def check_mode(mode: str, recipe: Recipe, given_epochs: bool) -> None:
    """Refuse an unknown mode, epochs of a frozen backbone, and views of one that learns.

    Raises
    ------
    RecipeError
    """
    if mode not in MODES:
        fix = new_word("mode", mode) or "leave mode= out, or name one of these"
        raise RecipeError(f"mode={mode!r} is not known.", f"the modes are {', '.join(MODES)}", fix)
    if mode == "frozen" and given_epochs:
        n = recipe.epochs
        why = "a frozen backbone is shown views of each picture, not epochs"
        fix = f"write views={n}, or mode='finetune' with epochs={n}"
        raise RecipeError("epochs= does not go with mode='frozen'.", why, fix)
    if mode in ("finetune", "frozen_then_finetune") and recipe.views is not None:
        fix = "leave it out, or write mode='frozen'"
        if mode == "frozen_then_finetune":
            fix += "; freeze_epochs= says how long the head learns alone"
        why = "it counts views while the backbone stays frozen"
        raise RecipeError(f"views= does not go with mode={mode!r}.", why, fix)


def _made_by(network: nn.Module) -> Any:
    """Give the call that makes one of our small networks again; None if the user changed a layer."""
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
        what = f"{verb}() takes two things before its options, and {2 + len(extra)} were given."
        why = "pictures and labels travel as one pair, all else by name"
        raise RecipeError(what, why, "write " + line.replace("data", "(X, y)"))
    loaders = (torch.utils.data.Dataset, torch.utils.data.DataLoader)
    looks_like_data = isinstance(model, (Data, tuple, list, dict, np.ndarray, torch.Tensor, *loaders))
    makes_model = inspect.isclass(data) or inspect.isfunction(data)
    is_path = isinstance(model, (str, Path))
    if isinstance(data, nn.Module) or looks_like_data or (is_path and makes_model):
        name = getattr(data, "__name__", type(data).__name__)
        why = f"{name} stands where the data should"
        raise RecipeError(f"The arguments of {verb}() are the other way round.", why, f"write {line}")
