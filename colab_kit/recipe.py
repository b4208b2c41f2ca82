"""How to train, as plain frozen data: names and numbers, of which the command line makes flags."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from dataclasses import dataclass
from typing import Any

from .errors import RENAMED, RecipeError

HORIZON = frozenset(
    {
        "epochs",
        "views",
        "max_time",
        "patience",
        "monitor",
        "save_every_steps",
        "validate_every_steps",
        "precision",
        "compile",
        "num_workers",
        "deterministic",
    }
)
"""Fields that may change when a run continues: how far and how often, not what a step learns."""


def knob(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float = -math.inf,
    high: float = math.inf,
) -> Any:
    """A field of the recipe with the sentence its flag shows and the values it takes."""
    meta = {"help": help, "choices": choices, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=meta)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. `None` means "choose for me"; the run keeps the choice and its reason.

    Raises
    ------
    RecipeError
        A field is unknown (the nearest name is given) or a value is out of its range.

    Examples
    --------
    >>> Recipe(epochs=3, lr=1e-3).epochs
    3
    """

    epochs: int = knob(5, "passes over the training pictures", low=1)
    views: int | None = knob(
        None,
        "views of each picture while the backbone is frozen (1): itself, mirrored, then random",
        low=1,
    )
    batch_size: str | int | None = knob(
        None,
        "pictures a forward pass (64 for arrays, 32 for files); 'auto': the largest that fits",
        choices=("auto",),
        low=1,
    )
    grad_accum_steps: int = knob(1, "forward passes whose gradients make one optimizer step", low=1)
    lr: float | dict[str, float] | None = knob(
        None,
        "learning rate (1e-3; sgd 1e-2); in Python also {'fc*': 1e-3, '*': 1e-4} by parameter",
        low=0,
    )
    optimizer: str = knob(
        "adamw",
        "optimizer",
        choices=("adamw", "adam", "sgd", "rmsprop", "adagrad", "nadam", "radam"),
    )
    weight_decay: float | None = knob(None, "weight decay (0.01 for adamw, else 0)", low=0)
    momentum: float = knob(0.9, "momentum of sgd and rmsprop", low=0, high=1)
    lr_schedule: str = knob(
        "cosine", "course of the learning rate", choices=("cosine", "step", "onecycle", "constant")
    )
    warmup_epochs: float = knob(0.0, "linear warm-up: epochs, may be a fraction", low=0)
    step_size: int = knob(7, "step schedule: epochs between two drops", low=1)
    gamma: float = knob(0.1, "step schedule: factor of a drop", low=0, high=1)
    loss: str | None = knob(
        None,
        "loss (by the task, and by what the model puts out)",
        choices=("cross_entropy", "nll", "bce", "mse", "l1", "smooth_l1"),
    )
    label_smoothing: float = knob(0.0, "share of the target spread over all classes", low=0, high=1)
    class_weights: str | tuple[float, ...] | None = knob(
        None,
        "'balanced', 'auto' (balanced where classes differ threefold), or a weight a class",
        low=0,
    )
    sampler: str | None = knob(
        None, "'balanced' draws each class equally often, with replacement", choices=("balanced",)
    )
    augment: str | None = knob(
        None,
        "random views of each training picture (light for picture files, none for arrays)",
        choices=("none", "light", "standard", "strong"),
    )
    mixup: float = knob(0.0, "alpha of mixup's Beta(alpha, alpha); 0 is off", low=0)
    cutmix: float = knob(
        0.0,
        "alpha of cutmix's Beta(alpha, alpha); 0 is off; with mixup one of both each batch",
        low=0,
    )
    image_size: int | None = knob(
        None,
        "side of the square pictures, pixels (arrays: their own; pictures: the weights' own)",
        low=1,
    )
    ema_decay: float = knob(
        0.0, "decay of the exponential moving average of the weights; 0 is off", low=0, high=1
    )
    max_grad_norm: float | None = knob(None, "largest norm of the gradient", low=0)
    patience: int | None = knob(
        None, "stop after so many validations without a better `monitor`", low=1
    )
    monitor: str = knob("valid/loss", "metric that says which weights are best")
    validate_every_steps: int | None = knob(
        None, "validate each so many steps too (each epoch's end in any case)", low=1
    )
    save_every_steps: int | None = knob(
        None,
        "save each so many steps (else: under 1 % of the time, at least each 5 minutes)",
        low=1,
    )
    max_time: str | float | None = knob(
        None, "stop in time: 'session' (before Colab ends it), '3h', '90m', or seconds", low=0
    )
    freeze_epochs: int | None = knob(
        None,
        "transfer: the first of the epochs, that train the head alone before all is trained (1)",
        low=0,
    )
    layer_decay: float | None = knob(
        None,
        "factor on the rate from each layer to the one before it (0.7); the last one has lr",
        low=0,
        high=1,
    )
    precision: str | None = knob(
        None,
        "numbers of the forward pass (the fastest that is good enough)",
        choices=("fp32", "bf16", "fp16"),
    )
    compile: bool = knob(
        False, "compile the network with torch.compile: a minute first, then faster steps"
    )
    deterministic: bool = knob(
        True, "forbid kernels whose sums come in any order, where others exist"
    )
    num_workers: int | None = knob(
        None, "processes that read your own Dataset (0: in the training thread)", low=0
    )
    seed: int = knob(0, "key of every random draw", low=0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
        object.__setattr__(self, "monitor", metric_name(self.monitor))
        if isinstance(self.max_time, str) and self.max_time != "session":
            seconds_of(self.max_time)
        if self.warmup_epochs > self.epochs:
            raise RecipeError(
                f"warmup_epochs={self.warmup_epochs} is more than the run's {self.epochs} epochs.",
                "the learning rate would never reach its full value",
                "give a smaller warmup_epochs= or more epochs=",
            )

        if self.warmup_epochs and self.lr_schedule == "onecycle":
            raise RecipeError(
                "warmup_epochs= and lr_schedule='onecycle' do not go together.",
                "one-cycle has a rise of its own",
                "drop warmup_epochs=, or take 'cosine'",
            )

    @classmethod
    def of(cls, recipe: Recipe | None, fields: dict[str, Any]) -> Recipe:
        """Give the recipe with these fields changed; an unknown field names the nearest one."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                word = RENAMED["option"].get(name)
                near = [word] if word else difflib.get_close_matches(name, known, 1)
                why = f"it is called {word}=" if word else "Recipe has no such field"
                fix = f"did you mean {near[0]}=?" if near else f"the fields are: {', '.join(known)}"
                raise RecipeError(f"There is no training option {name}=.", why, fix)
        if recipe is not None and not isinstance(recipe, Recipe):
            raise RecipeError(
                f"recipe= is a {type(recipe).__name__}.",
                "a Recipe was expected",
                "write recipe=kit.Recipe(epochs=3), or epochs=3",
            )
        return dataclasses.replace(recipe or cls(), **fields)

    def identity(self) -> dict[str, Any]:
        """Give the fields that make two runs different: all but the horizon and the defaults.

        So a field that a later version adds leaves every run what it was. A default that changes
        would not show: it needs another
        records.FORMAT.
        """
        told = [
            f
            for f in dataclasses.fields(self)
            if f.name not in HORIZON and getattr(self, f.name) != f.default
        ]
        fields = {f.name: _as_float(str(f.type), getattr(self, f.name)) for f in told}
        if isinstance(fields.get("lr"), dict):
            fields["lr"] = [
                [pattern, rate] for pattern, rate in fields["lr"].items()
            ]  # the first match wins: their order counts
        return fields


def metric_name(name: str) -> str:
    """A metric under the name that history uses: valid/top1 for val/accuracy.

    Examples
    --------
    >>> metric_name("val/accuracy")
    'valid/top1'
    """
    split, slash, metric = name.rpartition("/")
    return RENAMED["split"].get(split, split) + slash + RENAMED["metric"].get(metric, metric)


class Figures(dict[str, float]):
    """Figures by the name of their metric, as history has it or under its other words."""

    def __missing__(self, name: str) -> float:
        known = metric_name(name)
        if known == name:
            raise KeyError(name)
        return self[known]


def as_seconds(max_time: str | float | None) -> float:
    """Seconds of a max_time that is a time; without one, no end."""
    return (
        math.inf
        if max_time is None
        else seconds_of(max_time)
        if isinstance(max_time, str)
        else float(max_time)
    )


def seconds_of(max_time: str) -> float:
    """Seconds in "3h", "90m", "45s", "1h30m" or "2.5 h".

    Raises
    ------
    RecipeError
        It is no such time.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([hms])", max_time.lower())
    if (
        not parts
        or re.sub(r"[\s\d.hms]", "", max_time.lower())
        or "".join(n + unit for n, unit in parts) != re.sub(r"\s", "", max_time.lower())
    ):
        why = "a time is hours, minutes and seconds"
        raise RecipeError(
            f"max_time={max_time!r} is no time.",
            why,
            "write max_time='3h', '1h30m', '90m', a number of seconds, or 'session'",
        )
    return sum(float(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in parts)


def _as_float(kind: str, value: Any) -> Any:
    """A value as its field has it: lr=1 and lr=1.0 are one recipe."""
    match value:
        case dict():
            return {k: _as_float(kind, v) for k, v in value.items()}
        case list() | tuple():
            return [_as_float(kind, v) for v in value]
        case int() if "float" in kind:
            return float(value)
    return value


def _check(field: dataclasses.Field[Any], value: Any) -> None:
    kind, meta, name = str(field.type), field.metadata, field.name
    if value is None and "None" in kind:
        return
    if isinstance(value, dict) and "dict" in kind:
        numbers = list(value.values())
    elif isinstance(value, (list, tuple)) and "tuple" in kind:
        numbers = list(value)
    elif kind == "bool":
        if not isinstance(value, bool):
            raise RecipeError(
                f"{name}={value!r} is neither True nor False.",
                f"{name} says whether to {meta['help']}",
                "write True or False",
            )
        return
    elif isinstance(value, str) and kind.startswith("str"):
        if meta["choices"] and value not in meta["choices"]:
            near = difflib.get_close_matches(value.lower(), meta["choices"], 1)
            fix = (
                f"did you mean {near[0]!r}?"
                if near
                else f"choose one of {', '.join(meta['choices'])}"
            )
            raise RecipeError(
                f"{name}={value!r} is not known.",
                f"the names are {', '.join(meta['choices'])}",
                fix,
            )
        return
    elif kind.startswith("str") and (
        isinstance(value, (list, tuple, dict)) or not {"int", "float"} & set(kind.split(" | "))
    ):
        raise RecipeError(
            f"{name}={value!r} is a {type(value).__name__}.",
            f"{name} is {meta['help']}",
            "give a name" + " or numbers" * ("tuple" in kind),
        )
    else:
        numbers = [value]
    for number in numbers:
        whole = "float" not in kind
        if (
            isinstance(number, bool)
            or not isinstance(number, int if whole else (int, float))
            or not math.isfinite(number)
        ):
            kind = "whole number" if whole else "number"
            raise RecipeError(
                f"{name}={value!r} is no {kind}.", f"{name} is {meta['help']}", "give a number"
            )
        if not meta["low"] <= number <= meta["high"]:
            span = (
                f"at least {meta['low']:g}"
                if meta["high"] == math.inf
                else f"from {meta['low']:g} to {meta['high']:g}"
            )
            raise RecipeError(
                f"{name}={number!r} is out of range.",
                f"{name} is {meta['help']}",
                f"give a number {span}",
            )
