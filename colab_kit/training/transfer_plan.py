"""How a transfer goes: its mode, its views, and whether features stand for the frozen backbone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..data.batches import Batch
from ..data.keyed_random import outer_streams_kept
from ..data.sources import Items
from ..errors import RecipeError
from ..events import Callbacks, Note
from ..models.build import LazyBackbone
from ..models.precision import KINDS, Precision, candidates, takes_channels_last
from ..recipe import Recipe, as_seconds
from ..system.files import home
from .choices import Choice, Choices, as_asked
from .loaders import FeatureLoader, FrozenFeatures
from .optim import with_statistics
from .plan import UNUSED, Plan
from .probing import (
    SHARE,
    SHORT,
    TOO_SHORT,
    Measured,
    fastest_forward,
    known_choice,
    passes,
    remember,
    remembered,
)
from .request import Request

VIEWS = 8  # passes over a frozen backbone, at most
FEW = 2000  # training pictures: below, training all of a backbone loses more than it wins
SOME_PICTURES = 1000  # for training: below, all of a trained backbone learns with care
DEEP = 20  # epochs of a head of several layers on features, at least: they cost seconds
PICTURE = 0.003  # seconds that a GPU trains on a picture of 224 px: a guess, for the mode alone


def choose_mode(request: Request, pictures: int, device: torch.device) -> Choice:
    """Choose how to transfer.

    Parameters
    ----------
    pictures : int
        Training pictures.
    """
    assert request.transfer is not None
    recipe, mode = request.recipe, request.transfer.mode
    epochs, alone, limit = recipe.epochs, recipe.freeze_epochs, recipe.max_time
    if mode == "frozen_then_finetune" and epochs <= (alone or 1):
        raise RecipeError(
            "mode='frozen_then_finetune' leaves no epoch to train all of the network.",
            f"epochs={epochs} are the head's alone",
            f"give epochs={(alone or 1) + 1} or more, or mode='frozen' without epochs=",
        )
    if mode != "auto":
        return as_asked(mode)
    if recipe.unfreeze is not None:
        mode = "frozen_then_finetune" if alone else "finetune"
        return Choice(mode, "unfreeze= was asked for")
    if alone is not None:
        mode = "frozen_then_finetune" if alone else "finetune"
        return Choice(mode, f"freeze_epochs={alone} was asked for")
    if recipe.views is not None:
        return Choice("frozen", f"views={recipe.views} was asked for")
    if device.type == "cpu":
        why = "training all of a backbone takes many times as long on a CPU"
        return Choice("frozen", f"{why}; mode='frozen_then_finetune' does it")
    if epochs < 2:
        return Choice("frozen", "one epoch is too short for more")
    if limit not in (None, "session") and as_seconds(limit) < pictures * epochs * PICTURE:
        why = f"max_time={limit!r} is short for {pictures:,} pictures in {epochs} epochs"
        return Choice("frozen", why)
    if pictures < FEW:
        return Choice("frozen", f"{pictures:,} pictures are few for all of a backbone")
    return Choice("frozen_then_finetune", f"{pictures:,} pictures are enough for it")


def choose_gentleness(plan: Plan) -> Choices:
    """Choose what keeps a trained backbone from harm where all of it learns from few pictures.

    Measured on 60 to 400 photos: BatchNorm that learned its statistics from them lost 2 to 10
    points, and the mean of the weights before and after won where the trained weights lost
    (benchmarks/finetune.py).
    """
    pictures, made, transfer = len(plan.data.train), Choices(), plan.request.transfer
    if plan.mode != "frozen_then_finetune" or pictures >= SOME_PICTURES:
        return made
    if transfer is None or transfer.weights is None:
        return made
    why = f"{pictures:,} training pictures"
    if with_statistics(plan.model):
        made["batch_norm"] = Choice("kept", f"{why} are few for statistics of their own")
    is_usual = plan.choices["lr"].by != "user"  # at other rates nobody measured it
    if plan.features is not None and is_usual and not plan.recipe.ema_decay:
        text = f"{why} are few: the mean of the network before fine-tuning and after it"
        made["ending"] = Choice("halfway", text)
    return made


def recall_features(plan: Plan) -> Plan | None:
    """Plan with the features that an earlier call computed; None if some are missing."""
    backbone, choices = plan.network.backbone, plan.choices
    assert backbone is not None
    if not plan.is_keyed or (backbone.linear is None and plan.recipe.cutmix):
        return None
    known = choices.get("features") or _known_precision(plan, backbone)
    if known is None:
        why = "as an earlier session computed them"
        names = [str(Precision(kind, last)) for kind in KINDS for last in (True, False)]
        options = [Choice(name, why) for name in names]
    else:
        options = [known] if known.value != "not kept" else []
    views = _views(plan)
    for precision in options:
        features = _features(plan, backbone, precision, views)
        if features.are_there:
            choices |= {"views": views, "features": precision}
            return _on_features(replace(plan, model=backbone.head_alone), features)
    return None


def plan_features(plan: Plan, first: Batch, forward: float) -> Plan:
    """Plan to compute features once; where they cannot stand for the backbone, note why.

    Parameters
    ----------
    first : Batch
        The first pictures.
    forward : float
        Seconds that they took.
    """
    backbone, choices = plan.network.backbone, plan.choices
    if plan.features is not None or backbone is None or plan.mode == "finetune":
        return plan
    if "features" in choices and choices["features"].value == "not kept":
        return plan  # as it was when the run began
    if why := _why_not(plan, backbone, first):
        choices["features"] = Choice("not kept", why)
        return plan
    views = _views(plan)
    choices["views"] = views
    if "features" not in choices:
        known = _known_precision(plan, backbone)
        if known is None or not _features(plan, backbone, known, views).are_there:
            known = _precision(plan, backbone, first, forward, views.value)
        choices["features"] = known
    features = _features(plan, backbone, choices["features"], views)
    if plan.mode == "frozen" and backbone.can_be_noted:
        plan = replace(plan, model=backbone.head_alone)
    return _on_features(plan, features)


def _why_not(plan: Plan, backbone: LazyBackbone, first: Batch) -> str:
    """Say why the head learns from pictures in the loop; "" where features replace the backbone."""
    if backbone.linear is None and plan.mode != "frozen":
        return "the head is no single linear layer, and learns in the loop with the rest"
    if backbone.linear is None and plan.recipe.cutmix:
        return "cutmix= mixes pictures, and the head learns from them in the loop"
    if not plan.is_keyed:
        return "the data draws numbers that no key reaches"
    return backbone.survey(first.x[:2])


def _features(plan: Plan, backbone: LazyBackbone, how: Choice, views: Choice) -> FrozenFeatures:
    precision = Precision.named(how.value)
    return FrozenFeatures(backbone, plan.maker, precision, views.value, plan.network.shelf)


def _on_features(plan: Plan, features: FrozenFeatures) -> Plan:
    """Go on with features; a head of several layers has them in place of pictures."""
    if not features.is_deep:
        return replace(plan, features=features)
    recipe = replace(plan.recipe, epochs=max(plan.recipe.views or 0, DEEP))
    why = "a head of several layers learns so many on features"
    plan.choices["freeze_epochs"] = Choice(recipe.epochs, why, "default")
    loaders = {
        name: FeatureLoader(features, name, pictures, features.views if name == "train" else 1)
        for name, pictures in plan.loaders.items()
    }
    return replace(plan, features=features, recipe=recipe, loaders=loaders)


def _views(plan: Plan) -> Choice:
    """Choose the views of each picture that go through the frozen backbone."""
    recipe, choices = plan.recipe, plan.choices
    wanted = recipe.views
    if "views" in choices and wanted is None:
        return choices["views"]
    if plan.mode == "frozen_then_finetune":
        return Choice(min(plan.freeze_epochs or 1, VIEWS), "freeze_epochs=", "user")
    if wanted is None:
        why = "each picture as it is; views= asks for more views of it"
        return Choice(1, why, "default")
    if choices["augment"].value == "none" and not isinstance(plan.data.train.source, Items):
        return Choice(1, "without augment= there is but one")
    if wanted > VIEWS:
        return Choice(VIEWS, f"views=, {VIEWS} at most")
    return Choice(wanted, "views=", "user")


def _precision(
    plan: Plan, backbone: LazyBackbone, first: Batch, forward: float, views: int
) -> Choice:
    """Choose the numbers that features are computed in: as asked, or the fastest.

    Only a long pass measures them, or looks again at what an earlier one measured.
    """
    if plan.recipe.precision is not None:
        return as_asked(plan.recipe.precision)
    machine, what = plan.hardware.runtime, _hardware(plan, backbone)
    options = candidates(machine.precision, plan.device.type, machine.isa, plan.model)
    pictures = views * len(plan.data.train) + len(plan.data.splits.get("valid", ()))
    seconds = forward / len(first) * pictures  # of the pass
    is_short = seconds < SHORT
    if not is_short and passes(len(options)) * forward <= SHARE * seconds:

        def find(some: list[Precision]) -> Measured:
            return fastest_forward(lambda how: backbone.features(first.x, how).cpu(), some)

        with outer_streams_kept():
            how, why = remembered(home() / "precision.json", what, options, find)
        return Choice(str(how), why)
    if known := _known_precision(plan, backbone):
        return known
    if not takes_channels_last(backbone.module, first.x[:2]):
        options = [option for option in options if not option.channels_last]
    cost = TOO_SHORT if is_short else "measuring would take more than a hundredth of the pass"
    choice = Choice(str(options[-1]), f"suits this hardware; {cost}")
    # the next call must find these features
    remember(home() / "precision.json", what, options[-1], choice.why, {})
    return choice


def _known_precision(plan: Plan, backbone: LazyBackbone) -> Choice | None:
    """Give what was asked for, or what an earlier call chose on this hardware."""
    if plan.recipe.precision is not None:
        return as_asked(plan.recipe.precision)
    known = known_choice(home() / "precision.json", _hardware(plan, backbone))
    return None if known is None else Choice(str(known[0]), known[1])


def _hardware(plan: Plan, backbone: LazyBackbone) -> list[Any]:
    machine = plan.hardware.runtime
    chip = machine.gpu or machine.isa
    return ["features", chip, torch.__version__, backbone.identity, plan.preprocess.size]


def announce_transfer(plan: Plan, emit: Callbacks, *, is_new: bool) -> None:
    """Say what a user may not expect of the way a transfer goes."""
    transfer, features, recipe = plan.request.transfer, plan.features, plan.user_recipe
    assert transfer is not None
    if plan.is_deep and features is not None:
        views = f"on features of {features.views} view(s) of each picture"
        emit(Note(f"The head learns {plan.recipe.epochs} epochs {views}."))
    wanted = recipe.views
    if plan.is_solved and features is not None and wanted is not None and features.views < wanted:
        why = plan.choices["views"].why
        emit(Note(f"views={wanted} were asked for, and there are {features.views}: {why}."))
    if not is_new:
        return
    if plan.mode == "frozen" and transfer.mode == "auto" and transfer.given_epochs:
        emit(Note(_about_epochs(plan), "warn"))
    default = Recipe()
    unused = [name for name in UNUSED if getattr(recipe, name) != getattr(default, name)]
    if plan.is_solved and unused:
        names = ", ".join(f"{name}=" for name in unused)
        emit(Note(f"The head is solved, which takes no {names}: see mode=.", "warn"))


def _about_epochs(plan: Plan) -> str:
    """Say what epochs= means where the backbone turned out to stay frozen."""
    n, why = plan.request.recipe.epochs, plan.choices["mode"].why
    used = "nothing counts them"
    if plan.features is None:
        used = "the head sees each picture once an epoch"
    return (
        f"epochs={n} was given, but the backbone stays frozen ({why}), so {used}. "
        f"Write views={n} for as many views of each picture, "
        f'or mode="finetune" with epochs={n} to train all of the network.'
    )
