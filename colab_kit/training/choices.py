"""What the machine chooses where the recipe says None: the value and the reason, written before step 1, the same on resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..data.dataset import Data
from ..data.preprocess import Preprocess
from ..data.sources import Arrays, Items, Pictures
from ..data.user_datasets import own_shape
from ..recipe import Recipe

Choices = dict[str, tuple[Any, str]]  # name -> (value, why)


def choose(
    recipe: Recipe,
    data: Data,
    made: Mapping[str, tuple[Any, str]],
    *,
    own_optimizer: bool,
    kind: type | None = None,
) -> Choices:
    """Values for all that the recipe leaves open. What was chosen before (`made`) stays.

    own_optimizer : whether an instance was given
    kind : the optimizer's class, if one was given that the recipe has no name for
    """
    name = kind.__name__ if kind is not None else recipe.optimizer
    pictures = not isinstance(data.train.source, Arrays)
    found: Choices = {
        "batch_size": _or(recipe.batch_size, usual_batch_size(data), _why_batch(data, pictures)),
        "weight_decay": _or(
            recipe.weight_decay, 0.01 if name == "adamw" else 0.0, f"usual for {name}"
        ),
        "lr": _or(recipe.lr, 1e-2 if name == "sgd" else 1e-3, f"usual for {name}"),
    }
    files = isinstance(data.train.source, Pictures)
    found["augment"] = _or(
        recipe.augment,
        "light" if files else "none",
        "usual for picture files" if files else "usual for arrays and datasets",
    )
    if recipe.class_weights == "auto":
        found["class_weights"] = _class_weights(list(data.counts["train"].values()))
    if own_optimizer:
        for name in ("lr", "weight_decay"):
            found[name] = (None, "your optimizer has its own")
    return {**found, **{k: tuple(v) for k, v in made.items()}}


def usual_batch_size(data: Data) -> int:
    return data.batch_size or (64 if isinstance(data.train.source, Arrays) else 32)


UNEVEN = (
    3.0  # how much larger the largest class is than the smallest, before its pictures count less
)


def _class_weights(counts: list[int]) -> tuple[str | None, str]:
    there = [n for n in counts if n]
    ratio = max(there) / min(there)
    how = f"the largest class has {ratio:.1f} times the pictures of the smallest"
    return ("balanced", how) if ratio > UNEVEN else (None, f"{how}, under {UNEVEN:g}")


def _or(given: Any, default: Any, why: str) -> tuple[Any, str]:
    return (default, why) if given is None else (given, "as asked")


def _why_batch(data: Data, pictures: bool) -> str:
    if data.batch_size:
        return "the DataLoader's own"
    return "usual for picture files" if pictures else "usual for arrays"


def preprocess_for(recipe: Recipe, data: Data, base: Preprocess) -> tuple[Preprocess, str]:
    """How this data becomes input, and why at that size.

    base : what the weights ask for; size and channels None for a network from scratch
    """
    source = data.train.source
    own: tuple[int, ...] | None = (
        None  # the shape that numbers come in; None: pictures, which are brought to a square
    )
    if isinstance(source, Arrays):
        own = tuple(source.x.shape[1:])
    elif isinstance(source, Items):
        own = own_shape(data.train)
    framed = own if own and len(own) == 3 else None
    size: int | None
    if recipe.image_size:
        size, why = recipe.image_size, "as asked"
    elif base.size:
        size, why = base.size, "the size the weights were trained at"
    elif own is not None:
        size = framed[1] if framed and framed[1] == framed[2] else None
        why = "the arrays' own" if isinstance(source, Arrays) else "your Dataset's own"
    else:
        size, why = (
            224,
            "usual for pictures" if isinstance(source, Items) else "usual for picture files",
        )
    channels = base.channels or (framed[0] if framed else None)
    crop = (
        base.crop if own is None else 1.0
    )  # arrays are taken whole: so is a file shown to their network
    return replace(base, size=size, channels=channels, crop=crop), why


def workers_for(recipe: Recipe, data: Data, cores: int, *, transformed: bool = False) -> int:
    """Processes that run a user's code: none for little data, where starting them costs more than they save.

    transformed : whether pictures go through a user's transform
    """
    if recipe.num_workers is not None:
        return recipe.num_workers
    return (
        min(2, cores)
        if (transformed or isinstance(data.train.source, Items)) and len(data.train) >= 2000
        else 0
    )
