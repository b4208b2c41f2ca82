"""How to train, as plain frozen data: names and numbers only.

The command line makes a flag of each field, a panel a control.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from dataclasses import dataclass
from typing import Any

from .errors import FOREIGN, RENAMED, RecipeError, foreign_option

HORIZON = frozenset(
    "epochs views max_time patience monitor save_every_steps validate_every_steps precision compile"
    " num_workers deterministic metrics".split()
)
"""Fields that may change when a run goes on: how far and how often, not what a step learns."""


def knob(
    default: Any, help: str, *, choices: str = "", low: float = -math.inf, high: float = math.inf
) -> Any:
    """Make a field of the recipe.

    Parameters
    ----------
    help : str
        The sentence that its flag shows.
    choices : str
        The names that it takes, with blanks between them; any, if empty.
    low, high : float
        The range of its numbers.
    """
    meta = {"help": help, "choices": tuple(choices.split()), "low": low, "high": high}
    return dataclasses.field(default=default, metadata=meta)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. `None` means "choose for me"; choices.json keeps the choice and its reason.

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
        "views of each picture while the backbone is frozen (1): plain, mirrored, then random",
        low=1,
    )
    batch_size: str | int | None = knob(
        None,
        "pictures a forward pass (64 for arrays, 32 for files); 'auto': the largest that fits",
        choices="auto",
        low=1,
    )
    grad_accum_steps: int = knob(1, "forward passes whose gradients make one optimizer step", low=1)
    lr: float | dict[str, float] | None = knob(
        None,
        "learning rate (1e-3; sgd 1e-2); in Python also by name: {'fc*': 1e-3, '*': 1e-4}",
        low=0,
    )
    optimizer: str = knob(
        "adamw",
        "optimizer",
        choices="adamw adam sgd rmsprop adagrad nadam radam",
    )
    weight_decay: float | dict[str, float] | None = knob(
        None, "weight decay (0.01 for adamw, else 0); in Python also by name, as lr", low=0
    )
    decay_biases: bool = knob(True, "weight decay for vectors, too: biases and norms")
    momentum: float = knob(0.9, "momentum of sgd and rmsprop", low=0, high=1)
    lr_schedule: str = knob(
        "cosine",
        "course of the learning rate; in Python also f(step), or a scheduler of torch's",
        choices="cosine step onecycle constant linear polynomial restarts plateau",
    )
    warmup_epochs: float = knob(0.0, "linear warm-up: epochs, may be a fraction", low=0)
    step_size: int = knob(
        7,
        "step schedule: epochs between two drops; restarts: of the first cycle; plateau: so many"
        " validations that are not better",
        low=1,
    )
    gamma: float = knob(0.1, "step and plateau schedule: factor of a drop", low=0, high=1)
    loss: str | None = knob(
        None,
        "loss (chosen by the task and by the output of the model)",
        choices="cross_entropy nll bce mse l1 smooth_l1",
    )
    label_smoothing: float = knob(0.0, "share of the target spread over all classes", low=0, high=1)
    class_weights: str | tuple[float, ...] | None = knob(
        None,
        "weights of the classes in the loss: 'balanced', 'auto' (balanced where counts differ"
        " threefold), or a number for each",
        low=0,
    )
    sampler: str | None = knob(
        None, "'balanced' draws each class equally often, with replacement", choices="balanced"
    )
    augment: str | None = knob(
        None,
        "random views of each training picture (light for picture files, none for arrays)",
        choices="none light standard strong",
    )
    flip: bool | None = knob(
        None,
        "exchange left and right in half of the views (with augment=, unless classes are such a"
        " pair: left and right)",
    )
    resize: str | None = knob(
        None,
        "how a picture becomes a square: 'crop' shows the middle, 'squash' all of it, out of"
        " proportion, 'pad' all of it, with margins (crop; squash for files more than 1.8 times"
        " as long as high or wide)",
        choices="crop squash pad",
    )
    mixup: float = knob(0.0, "alpha of mixup's Beta(alpha, alpha); 0 is off", low=0)
    cutmix: float = knob(
        0.0,
        "alpha of cutmix's Beta(alpha, alpha); 0 is off; with mixup: one of the two each batch",
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
    metrics: str | None = knob(
        None,
        "more figures of the validation, with commas between them: macro_f1, micro_f1, precision,"
        " recall, balanced_accuracy, kappa, auroc, top3, r2; in Python also functions",
    )
    validate_every_steps: int | None = knob(
        None, "validate every so many steps, too (at the end of each epoch in any case)", low=1
    )
    save_every_steps: int | None = knob(
        None,
        "save every so many steps (else: at most 1 % of the time, at least every 5 minutes)",
        low=1,
    )
    max_time: str | float | None = knob(
        None, "longest time: 'session' (stop before Colab ends it), '3h', '90m', or seconds", low=0
    )
    freeze_epochs: int | None = knob(
        None,
        "transfer: so many of the epochs, the first ones, train only the head (1)",
        low=0,
    )
    unfreeze: dict[int, str] | None = knob(
        None,
        "in Python: {epoch: pattern}, such parameters learn from that epoch (from 0) on; the head"
        " learns at once, and what no pattern names does not",
        low=0,
    )
    layer_decay: float | None = knob(
        None,
        "factor on the learning rate from a layer to the one before it (0.7, say); the last has lr",
        low=0,
        high=1,
    )
    precision: str | None = knob(
        None,
        "number format of the forward pass (the fastest that is good enough)",
        choices="fp32 bf16 fp16",
    )
    compile: bool = knob(
        False, "compile the network with torch.compile: a minute first, then faster steps"
    )
    deterministic: bool = knob(
        True, "use only kernels that add up in a fixed order, where such exist"
    )
    num_workers: int | None = knob(
        None, "processes that read your own Dataset (0: in the training thread)", low=0
    )
    seed: int = knob(0, "key of every random draw", low=0)

    def __post_init__(self) -> None:
        if isinstance(self.unfreeze, dict):  # JSON has made texts of the epochs
            stages = {_whole(epoch): pattern for epoch, pattern in self.unfreeze.items()}
            object.__setattr__(self, "unfreeze", stages)
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
        """Return `recipe` with `fields` laid over it; name the nearest field for an unknown one."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                if name in FOREIGN:
                    raise foreign_option(name, fields[name], FOREIGN[name])
                near = difflib.get_close_matches(name, known, 1)
                fix = f"did you mean {near[0]}=?" if near else f"the fields are: {', '.join(known)}"
                what = f"There is no training option {name}=."
                raise RecipeError(what, "Recipe has no such field", fix)
        if recipe is not None and not isinstance(recipe, Recipe):
            raise RecipeError(
                f"recipe= is a {type(recipe).__name__}.",
                "a Recipe was expected",
                "write recipe=kit.Recipe(epochs=3), or epochs=3",
            )
        return dataclasses.replace(recipe or cls(), **fields)

    def identity(self) -> dict[str, Any]:
        """Return the fields that make two runs different runs: all but the horizon.

        A field with its default is left out, so that a field of a later version leaves every run
        what it was. A default that changes needs another records.FORMAT.
        """
        fields = {
            field.name: _as_float(str(field.type), getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in HORIZON and getattr(self, field.name) != field.default
        }
        for name in ("lr", "weight_decay"):  # the first match wins, so their order counts
            if isinstance(fields.get(name), dict):
                fields[name] = [[pattern, value] for pattern, value in fields[name].items()]
        if self.unfreeze is not None:
            fields["unfreeze"] = {str(epoch): pattern for epoch, pattern in self.unfreeze.items()}
        return fields


def metric_name(name: str) -> str:
    """Return the name that history uses for a metric: valid/top1 for val/accuracy.

    Examples
    --------
    >>> metric_name("val/accuracy")
    'valid/top1'
    """
    split, slash, metric = name.rpartition("/")
    return RENAMED["split"].get(split, split) + slash + RENAMED["metric"].get(metric, metric)


class Figures(dict[str, float]):
    """Figures by the name of their metric; `metric_name` translates its other names."""

    def __missing__(self, name: str) -> float:
        known = metric_name(name)
        if known == name:
            raise KeyError(name)
        return self[known]


def as_seconds(max_time: str | float | None) -> float:
    """Return the seconds of a max_time; infinity if there is none."""
    if max_time is None:
        return math.inf
    return seconds_of(max_time) if isinstance(max_time, str) else float(max_time)


def seconds_of(max_time: str) -> float:
    """Return the seconds in "3h", "90m", "45s", "1h30m" or "2.5 h".

    Raises
    ------
    RecipeError
        The text is no such time.
    """
    number = r"(\d+(?:\.\d+)?)\s*([hms])\s*"
    if not re.fullmatch(rf"\s*(?:{number})+", max_time.lower()):
        raise RecipeError(
            f"max_time={max_time!r} is no time.",
            "a time is hours, minutes and seconds",
            "write max_time='3h', '1h30m', '90m', a number of seconds, or 'session'",
        )
    parts = re.findall(number, max_time.lower())
    return sum(float(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in parts)


def _as_float(kind: str, value: Any) -> Any:
    """Return a value in the type of its field, so that lr=1 and lr=1.0 are one recipe."""
    match value:
        case dict():
            return {k: _as_float(kind, v) for k, v in value.items()}
        case list() | tuple():
            return [_as_float(kind, v) for v in value]
        case int() if "float" in kind:
            return float(value)
    return value


def _whole(text: Any) -> Any:
    return int(text) if isinstance(text, str) and text.isdecimal() else text


def _check(field: dataclasses.Field[Any], value: Any) -> None:
    """Refuse a value that its field does not take."""
    kind, meta, name = str(field.type), field.metadata, field.name
    if value is None and "None" in kind:
        return
    if kind.startswith("bool"):
        if not isinstance(value, bool):
            why = f"{name} says whether to {meta['help']}"
            raise RecipeError(
                f"{name}={value!r} is neither True nor False.", why, "write True or False"
            )
    elif isinstance(value, str) and kind.startswith("str"):
        _check_name(name, value, meta["choices"])
    elif isinstance(value, dict) and "dict" in kind:
        _check_numbers(field, value, list(value if "dict[int" in kind else value.values()))
    elif isinstance(value, (list, tuple)) and "tuple" in kind:
        _check_numbers(field, value, list(value))
    elif kind.startswith("str") and (
        isinstance(value, (list, tuple, dict)) or not {"int", "float"} & set(kind.split(" | "))
    ):
        fix = "give a name" + " or numbers" * ("tuple" in kind)
        what = f"{name}={value!r} is a {type(value).__name__}."
        raise RecipeError(what, f"{name} is {meta['help']}", fix)
    else:
        _check_numbers(field, value, [value])


def _check_name(name: str, value: str, choices: tuple[str, ...]) -> None:
    if not choices or value in choices:
        return
    names = ", ".join(choices)
    near = difflib.get_close_matches(value.lower(), choices, 1)
    fix = f"did you mean {near[0]!r}?" if near else f"choose one of {names}"
    raise RecipeError(f"{name}={value!r} is not known.", f"the names are {names}", fix)


def _check_numbers(field: dataclasses.Field[Any], value: Any, numbers: list[Any]) -> None:
    """Refuse numbers of another type than the field's, or out of its range."""
    name, low, high = field.name, field.metadata["low"], field.metadata["high"]
    whole, why = "float" not in str(field.type), f"{field.name} is {field.metadata['help']}"
    for number in numbers:
        right = isinstance(number, int if whole else (int, float))
        if isinstance(number, bool) or not right or not math.isfinite(number):
            noun = "whole number" if whole else "number"
            raise RecipeError(f"{name}={value!r} is no {noun}.", why, "give a number")
        if not low <= number <= high:
            span = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
            raise RecipeError(f"{name}={number!r} is out of range.", why, f"give a number {span}")
