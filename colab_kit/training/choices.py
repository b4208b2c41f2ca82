"""Choices: what stands where the recipe says None. They are written before step 1, and stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..data.augment import mirror_harm
from ..data.dataset import Data
from ..data.images import LONG, long_by_short
from ..data.preprocess import Preprocess
from ..data.sources import Arrays, Items, Pictures
from ..data.user_datasets import own_shape
from ..errors import RecipeError
from ..models.precision import PLAIN, Precision, candidates
from ..recipe import Recipe
from ..system.runtime import runtime

UNEVEN = 3.0  # times the smallest class: from there on the largest one's pictures count less
GENTLE = 0.1  # of the usual learning rate, where all of a trained backbone learns
PROCESSES_PAY = 2000  # pictures: for fewer, starting processes costs more than they save


class Choice(NamedTuple):
    """A value that a run works with.

    Parameters
    ----------
    value : any plain value
    why : str
        The reason, in words for people.
    by : "user" (it was asked for), "machine" (it was measured or weighed) or "default" (the usual)
    """

    value: Any
    why: str
    by: str = "machine"


Choices = dict[str, Choice]


def as_asked(value: Any) -> Choice:
    return Choice(value, "as asked", "user")


def choices_from(facts: Mapping[str, Any] | None) -> Choices:
    """Read choices as choices.json and an exported file keep them."""
    return {name: Choice(**choice) for name, choice in (facts or {}).items()}


def as_facts(choices: Choices) -> dict[str, Any]:
    """Give choices as plain data, for a file."""
    return {name: choice._asdict() for name, choice in choices.items()}


def is_on_features(choices: Choices) -> bool:
    """Whether all that was trained is a head, on the features of a frozen backbone."""
    mode, features = choices.get("mode"), choices.get("features")
    is_frozen = mode is not None and mode.value == "frozen"
    return is_frozen and features is not None and features.value != "not kept"


def precision_of(choices: Choices, device: torch.device | None = None) -> Precision:
    """Give the numbers that a run validated in, of a head on features those of the features.

    Parameters
    ----------
    device : torch.device, optional
        Of a machine that may be another one: where it lacks what that one chose, it is plain fp32.
    """
    choice = choices.get("features" if is_on_features(choices) else "precision")
    if choice is None:
        return PLAIN
    how = Precision.named(choice.value)
    if device is None or choice.by == "user" or how.dtype == PLAIN.dtype:
        return how
    machine = runtime()
    kinds = {option.dtype for option in candidates(machine.precision, device.type, machine.isa)}
    return how if how.dtype in kinds else PLAIN


def in_rows(choices: Choices, silent: Iterable[str] = ()) -> str:
    """List what was chosen and can be asked for, one choice a row: name, value, why.

    Parameters
    ----------
    silent : names of choices that change nothing in this run
    """
    arguments = {"mode", *(field.name for field in fields(Recipe))} - set(silent)
    rows = [
        (name, str(choice.value), choice.why)
        for name, choice in choices.items()
        if choice.by != "user" and name in arguments
    ]
    name_width, value_width = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    return "\n".join(
        f"  {name:{name_width}}  {value:{value_width}}  {why}" for name, value, why in rows
    )


def choose(
    recipe: Recipe, data: Data, made: Choices, optimizer: Any = None, *, gentle: bool = False
) -> Choices:
    """Choose values for all that the recipe leaves open.

    Parameters
    ----------
    made : Choices
        What was chosen when the run began. It stays.
    optimizer : class or instance, optional
        An optimizer that the recipe has no name for.
    gentle : bool
        Whether all of a trained backbone learns.

    Raises
    ------
    RecipeError
        resize= is asked for, and arrays have their shape.
    """
    name = optimizer.__name__ if isinstance(optimizer, type) else recipe.optimizer
    source, usual = data.train.source, f"usual for {name}"
    rate, why_rate = (1e-2 if name == "sgd" else 1e-3), usual
    if gentle:
        rate, why_rate = rate * GENTLE, "usual where a trained backbone learns"
    size_reason = "usual for arrays" if isinstance(source, Arrays) else "usual for picture files"
    if data.batch_size:
        size_reason = "the DataLoader's own"
    augment = ("none", "usual for arrays and datasets")
    if isinstance(source, Pictures):
        augment = ("light", "usual for picture files")
    choices = {
        "batch_size": _or(recipe.batch_size, usual_batch_size(data), size_reason),
        "weight_decay": _or(recipe.weight_decay, 0.01 if name == "adamw" else 0.0, usual),
        "lr": _or(recipe.lr, rate, why_rate),
        "augment": _or(recipe.augment, *augment),
    }
    if recipe.flip is not None or choices["augment"].value != "none":
        choices["flip"] = flip = _flip(recipe.flip, data.classes, made)
        if recipe.augment is None:
            seen = "half of the views mirrored" if flip.value else "no view mirrored"
            choices["augment"] = choices["augment"]._replace(why=f"{augment[1]}, {seen}")
    if isinstance(source, Pictures):
        choices["resize"] = _resize(recipe.resize, data.train.paths or [], made)
    elif recipe.resize is not None:
        if isinstance(source, Arrays):
            why = "arrays are taken whole, in the shape that they have"
            raise RecipeError("resize= is for picture files.", why, "leave resize= out")
        choices["resize"] = as_asked(recipe.resize)
    if recipe.class_weights == "auto":
        choices["class_weights"] = _class_weights(list(data.counts["train"].values()))
    if isinstance(optimizer, torch.optim.Optimizer):
        own = Choice(None, "your optimizer has its own", "user")
        choices |= {"lr": own, "weight_decay": own}
    return choices | made


def _flip(asked: bool | None, classes: Sequence[str], made: Choices) -> Choice:
    """Choose whether views are mirrored: not where a mirrored picture is one of another class."""
    harm = mirror_harm(classes)
    if asked is None and harm and not made:
        return Choice(False, f"{harm}: no view is mirrored (flip=True: half of them)")
    return _or(asked, True, "usual: half of the views are mirrored (flip=False: none)")


def _resize(asked: str | None, paths: Sequence[Path], made: Choices) -> Choice:
    """Choose how pictures become squares, by the proportions of some of them."""
    if asked is not None or made:
        return _or(asked, "crop", "usual for picture files")
    ratio = long_by_short(paths)
    shown = f"the middle square shows {100 / ratio:.0f} % of a usual picture here"
    if ratio <= LONG:
        return Choice("crop", f"{shown} (resize='squash' or 'pad': all of it)", "default")
    return Choice(
        "squash", f"{shown}: all of it is shown, squeezed to a square (resize='pad': with margins)"
    )


def usual_batch_size(data: Data) -> int:
    return data.batch_size or (64 if isinstance(data.train.source, Arrays) else 32)


def _or(value: Any, default: Any, why: str) -> Choice:
    return Choice(default, why, "default") if value is None else as_asked(value)


def _class_weights(counts: list[int]) -> Choice:
    present = [n for n in counts if n]
    ratio = max(present) / min(present)
    why = f"the largest class has {ratio:.1f} times the pictures of the smallest"
    if ratio > UNEVEN:
        return Choice("balanced", why)
    return Choice(None, f"{why}, under {UNEVEN:g}")


def preprocess_for(recipe: Recipe, data: Data, base: Preprocess) -> tuple[Preprocess, Choice]:
    """Say how this data becomes input, and why at that size.

    Parameters
    ----------
    base : Preprocess
        What the weights ask for; size and channels are None for a network from scratch.
    """
    source = data.train.source
    shape: tuple[int, ...] | None = None  # of numbers; None: pictures are brought to a square
    if isinstance(source, Arrays):
        shape = tuple(source.x.shape[1:])
    elif isinstance(source, Items):
        shape = own_shape(data.train)
    framed = shape if shape and len(shape) == 3 else None
    if recipe.image_size:
        size = as_asked(recipe.image_size)
    elif base.size:
        size = Choice(base.size, "the size the weights were trained at", "default")
    elif shape is not None:
        side = framed[1] if framed and framed[1] == framed[2] else None
        owner = "the arrays' own" if isinstance(source, Arrays) else "your Dataset's own"
        size = Choice(side, owner, "default")
    else:
        kind = "pictures" if isinstance(source, Items) else "picture files"
        size = Choice(224, f"usual for {kind}", "default")
    channels = base.channels or (framed[0] if framed else None)
    crop = base.crop if shape is None else 1.0  # arrays are taken whole
    span = source.span if isinstance(source, Pictures | Items) else None
    bands = source.bands if isinstance(source, Arrays) else None
    base = replace(base, span=span, bands=bands)
    return replace(base, size=size.value, channels=channels, crop=crop), size


def workers_for(recipe: Recipe, data: Data, cores: int, *, transformed: bool = False) -> int:
    """Count the processes that run a user's code.

    Parameters
    ----------
    transformed : bool
        Whether pictures go through a user's transform.
    """
    if recipe.num_workers is not None:
        return recipe.num_workers
    users_code = transformed or isinstance(data.train.source, Items)
    return min(2, cores) if users_code and len(data.train) >= PROCESSES_PAY else 0
