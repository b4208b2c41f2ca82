"""A request: what a call of a training verb asks for, sorted into a recipe and the objects that travel beside it."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.dataset import Data
from ..data.preprocess import Preprocess
from ..errors import RecipeError, new_word
from ..models.backbones import Backbone
from ..models.build import make, on_backbone
from ..models.describe import check_only_tensors, describe, describe_model, describe_optimizer
from ..models.known import Card, Cards, recalled
from ..models.nets import again, fitted
from ..recipe import Recipe
from ..runs.run import Run
from ..system.files import Shelf, home
from .losses import by_name
from .optim import name_of
from .session import Session
from .transfer_plan import MODES
from .transferring import Transfer


@dataclass(frozen=True)
class Request:
    """How to train, and with which objects.

    recipe : names and numbers
    loss, optimizer, augment : objects that no name stands for, or None
    """

    recipe: Recipe
    loss: Any = None
    optimizer: Any = None
    augment: Any = None

    @classmethod
    def of(
        cls, recipe: Recipe | None, fields: dict[str, Any], loss: Any, optimizer: Any
    ) -> Request:
        """Put names into the recipe, and keep the objects beside it.

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
        given = Recipe.of(recipe, fields)
        if isinstance(optimizer, torch.optim.Optimizer) and given.lr is not None:
            fix = "drop lr=, or write optimizer='adam', lr=…"
            raise RecipeError(
                "lr= and an optimizer were both given.",
                "the optimizer has its own learning rate",
                fix,
            )
        return cls(given, loss, optimizer, augment)

    def from_scratch(self, model: Any, data: Data) -> Session:
        """A session that trains a network as it is."""
        network = make(fitted(model, data, self.recipe.image_size), self.recipe.seed)
        session = Session(
            network,
            data,
            self.recipe,
            base=Preprocess(),
            made_by=_made_by(network),
            **self._objects(),
        )
        session.settle()
        check_only_tensors(network)
        return session

    def on(
        self,
        backbone: Any,
        data: Data,
        *,
        mode: str = "auto",
        given_epochs: bool = False,
        head: Any = "linear",
        weights: str | Path | None = "default",
        whole: bool = False,
        shelf: Shelf | None = None,
    ) -> Transfer:
        """A session that trains a head on a backbone.

        given_epochs : whether the user said how many epochs
        whole : whether the network itself is needed at once
        shelf : keeps features, and what is known of backbones, for the next machine
        """
        if mode not in MODES:
            raise RecipeError(
                f"mode={mode!r} is not known.",
                f"the modes are {', '.join(MODES)}",
                new_word("mode", mode) or "leave mode= out, or name one of these",
            )
        check_views(mode, self.recipe, given_epochs)
        size, classes = self.recipe.image_size, len(data.classes)
        if isinstance(backbone, Run):
            backbone = _of_run(backbone)
        plain = isinstance(backbone, str) and not isinstance(head, nn.Module)
        how: dict[str, Any] = {
            "weights": weights,
            "classes": classes,
            "size": size,
            "head": head,
            "seed": self.recipe.seed,
            "shelf": shelf,
        }
        cards = Cards(home() / "cards", shelf) if plain and weights == "default" else None
        card = cards.find(backbone) if cards is not None and not whole else None
        base: Backbone | Card
        if card is not None:
            network: nn.Module = recalled(
                card, classes, head, self.recipe.seed, lambda: on_backbone(backbone, **how)[0]
            )
            base, names = card, [name for name, _ in network.named_parameters()]
        else:
            network, base, names = on_backbone(backbone, **how)
        preprocess = Preprocess(
            base.size, 3, base.mean, base.std, base.interpolation, base.crop or 0.875
        )
        made_by = (
            {
                "backbone": base.name,
                "weights": weights if weights in ("default", None) else "default",
                "head": head,
                "size": size,
            }
            if plain
            else None
        )
        session = Transfer(
            network,
            data,
            self.recipe,
            base=preprocess,
            made_by=made_by,
            head=names,
            name=base.name,
            **self._objects(),
        )
        session.asked, session.given_epochs, session.trained = (
            mode,
            given_epochs,
            weights is not None,
        )
        session.cards, session.card, session.shelf = cards, card, shelf
        check_only_tensors(network)
        return session

    def _objects(self) -> dict[str, Any]:
        return {"loss": self.loss, "optimizer": self.optimizer, "augment": self.augment}

    def identity(self, network: nn.Module) -> dict[str, Any]:
        """What the objects add to a run's identity; one that is not given adds nothing."""
        told = {"optimizer": describe_optimizer(self.optimizer, network)}
        return told | ({"augment": describe(self.augment)} if self.augment is not None else {})


def check_views(mode: str, recipe: Recipe, given_epochs: bool) -> None:
    """Refuse epochs of a head that sees views, and views of a backbone that does not stay frozen.

    Raises
    ------
    RecipeError
    """
    if mode == "frozen" and given_epochs:
        fix = f"write views={recipe.epochs}, or mode='finetune' with epochs={recipe.epochs}"
        raise RecipeError(
            "epochs= does not go with mode='frozen'.",
            "a frozen backbone is shown views of each picture, not epochs",
            fix,
        )
    if mode in ("finetune", "frozen_then_finetune") and recipe.views is not None:
        fix = "leave it out, or write mode='frozen'" + (
            "; freeze_epochs= says how long the head learns alone" * (mode != "finetune")
        )
        raise RecipeError(
            f"views= does not go with mode={mode!r}.",
            "it counts views while the backbone stays frozen",
            fix,
        )


def _of_run(run: Run) -> Backbone:
    """A run's trained network as a backbone, with the preprocessing it learned under; the run keeps its own."""
    how = Preprocess.from_json(run.record["preprocess"])
    mean, std = (
        (v[0], v[-2 % len(v)], v[-1]) for v in (how.mean, how.std)
    )  # of a grey network the same for each colour
    return Backbone(
        copy.deepcopy(run.model),
        run.name,
        how.size,
        mean,
        std,
        how.interpolation,
        len(run.classes),
        how.crop,
    )


def _made_by(network: nn.Module) -> Any:
    """The call that makes one of our small networks again, if it still does: a user may have put another layer in."""
    how = getattr(network, "made_by", None)
    if how is None or type(network).__module__.partition(".")[0] != "colab_kit":
        return None
    mine, made = describe_model(network), describe_model(again(how))
    return how if {**mine, "frozen": []} == {**made, "frozen": []} else None


def right_way_round(verb: str, model: Any, data: Any, extra: tuple[Any, ...] = ()) -> None:
    """Swapped or spread-out arguments: a sentence with the right line."""
    line = {"transfer": 'kit.transfer(data, "resnet18")'}.get(verb, f"kit.{verb}(model, data)")
    if extra:
        raise RecipeError(
            f"{verb}() takes two things before its options, and {2 + len(extra)} were given.",
            "pictures and labels travel as one pair, all else by name",
            "write " + line.replace("data", "(X, y)"),
        )
    data_like = (
        Data,
        tuple,
        list,
        dict,
        np.ndarray,
        torch.Tensor,
        torch.utils.data.Dataset,
        torch.utils.data.DataLoader,
    )
    makes = inspect.isclass(data) or inspect.isfunction(data)
    if (
        isinstance(data, nn.Module)
        or isinstance(model, data_like)
        or (isinstance(model, (str, Path)) and makes)
    ):
        name = getattr(data, "__name__", type(data).__name__)
        raise RecipeError(
            f"The arguments of {verb}() are the other way round.",
            f"{name} stands where the data should",
            f"write {line}",
        )
