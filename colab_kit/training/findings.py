"""Findings: what network, data and machine show before the first step, each with its fix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from ..data.dataset import Data
from ..data.overlaps import overlaps
from ..data.preprocess import Preprocess
from ..data.sources import Arrays
from ..recipe import Recipe
from ..system.runtime import HOSTED, Runtime
from .checks import odd_pixels
from .choices import UNEVEN
from .saver import LIMIT, spoken

LONG = 600.0  # seconds: a longer run on a CPU is worth a word
FEW = 50  # pictures: of fewer, how many each class has is chance
LARGE = 20.0  # of a target: beyond it the usual learning rates are slow
OFF = 4.0  # times ln(classes), and 2 more: a first loss beyond it is no guess of a fresh network
CHANGE = "Runtime ▸ Change runtime type ▸ T4"
LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes
    ----------
    level : str
        "error" (it cannot train), "warning" (it trains badly) or "note".
    what, why, fix : str
        Sentences; the last two without a capital and a full stop.
    """

    level: str
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        reasons = [f"{text[0].upper()}{text[1:]}." for text in (self.why, self.fix) if text]
        return " ".join([self.what, *reasons])


@dataclass(frozen=True)
class FirstLook:
    """What the checks look at.

    Attributes
    ----------
    x, y : Tensor
        The first batch, as network input, and its labels.
    sample : Tensor
        Network input of pictures from all over the training split; x may be fewer of them.
    output : Tensor, (n, classes)
        What the network puts out for it, in eval.
    loss : float
        Of that batch.
    kind, wants : str
        What the network puts out, and what the loss takes (outputs.output_kind, losses.expects).
    seconds : float
        Of the whole run, as predicted.
    drive : bool
        Whether copies go to a Drive.
    channels : int, optional
        That the weights want.
    reached : bool
        Whether a gradient reaches the weights (checks.reached).
    preprocess : Preprocess
        What made x of pixels.
    """

    data: Data
    recipe: Recipe
    runtime: Runtime
    device: str
    x: torch.Tensor
    y: torch.Tensor
    sample: torch.Tensor
    output: torch.Tensor
    loss: float
    kind: str
    wants: str | None
    seconds: float
    drive: bool
    channels: int | None = None
    reached: bool = True
    preprocess: Preprocess = Preprocess()


def examine(look: FirstLook) -> tuple[Finding, ...]:
    """Find all that a person wants to know before the first step.

    This takes a hundredth of the predicted run, or 20 ms.
    """
    data = of_data(look.data, look.recipe, channels=look.channels, seconds=look.seconds)
    pixels = [Finding(*row) for row in odd_pixels(look.data, look.sample, look.preprocess)]
    machine = of_machine(look.runtime, look.device, look.seconds, look.drive)
    return _sorted([*of_numbers(look), *pixels, *data, *machine])


def at_a_glance(data: Data, where: Runtime, drive: bool) -> tuple[Finding, ...]:
    """Find what data and machine show before there is a network."""
    findings = [*of_data(data, Recipe()), *of_machine(where, where.device, None, drive)]
    if where.where in HOSTED and where.device == "cpu":
        findings.append(Finding("note", "You are on a CPU.", _why_cpu(where), CHANGE))
    return _sorted(findings)


def _sorted(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))


_TWICE = {  # (what the loss takes, what the network puts out): the layer that ends the network
    ("logits", "probabilities"): "Softmax",
    ("multilabel_logits", "multilabel_probabilities"): "Sigmoid",
    ("logits", "log_probabilities"): "LogSoftmax",
}


def of_numbers(look: FirstLook) -> Iterator[Finding]:
    """Find what the first batch shows of network and loss."""
    classes = len(look.data.classes) if look.data.task == "classification" else 0
    wants = look.wants or _taken(look)
    if layer := _TWICE.get((str(wants), look.kind)):
        what = f"The network ends in {layer} and the loss applies another."
        if layer == "LogSoftmax":
            yield Finding(
                "note",
                what,
                "the logarithm of a softmax, taken twice, is the same",
                "leave it, or write loss='nll'",
            )
        else:
            yield Finding(
                "warning",
                what,
                "the network learns slowly that way",
                f"drop the {layer}, or write loss=None",
            )
    if look.wants is None and wants == "log_probabilities" and look.kind != wants:
        yield Finding(
            "warning",
            "The loss takes the output at the true class as it is.",
            f"NLLLoss does so too, and the network puts out {look.kind}: the loss falls without"
            " end while nothing is learned",
            "end the network with nn.LogSoftmax(dim=1)",
        )
    if look.x.is_floating_point() and not bool(look.x.isfinite().all()):
        yield Finding(
            "error",
            "The pictures hold numbers that are not finite.",
            "the first batch holds NaN or infinity: all weights would be lost at the first step",
            "look for NaN where the arrays are made",
        )
    elif not bool(look.output.isfinite().all()):
        yield Finding(
            "error",
            "The network puts out NaN.",
            "the pictures are finite",
            "look at its weights and for logarithms of zero",
        )
    elif not look.reached and _alike(look.output) and not _alike(look.x):
        yield Finding(
            "warning",
            "The network gives the same answer for every picture.",
            "its scores for the first pictures are equal to the last digit, and no gradient"
            " reaches a weight",
            "look for a layer that multiplies by zero or a dead ReLU",
        )
    elif classes > 1 and math.isfinite(look.loss) and look.loss > OFF * math.log(classes) + 2:
        yield Finding(
            "warning",
            f"The first loss is {look.loss:.1f}.",
            f"a guess among {classes} classes gives {math.log(classes):.2f}",
            "scale the pictures (uint8 is scaled by itself; floats should be near -1 to 1), or"
            " start from smaller weights",
        )


def _taken(look: FirstLook) -> str | None:
    """Judge by its value what a user's own loss takes as input; None: no known loss gives it."""
    output, y = look.output.float(), look.y
    if look.data.task != "classification" or look.loss == 0:
        return None

    def gives(loss: torch.Tensor) -> bool:
        return math.isclose(look.loss, float(loss), rel_tol=1e-4)

    if gives(functional.nll_loss(output, y)):  # of log-probabilities, so does cross-entropy
        return "log_probabilities"
    if look.kind == "probabilities" and gives(
        functional.nll_loss(output.clamp_min(1e-12).log(), y)
    ):
        return None  # it is right, whatever else it is
    return "logits" if gives(functional.cross_entropy(output, y)) else None


def _alike(x: torch.Tensor) -> bool:
    return bool((x == x[:1]).all())


def of_data(
    data: Data, recipe: Recipe, *, channels: int | None = None, seconds: float = 0.0
) -> Iterator[Finding]:
    """Find what the splits show.

    Parameters
    ----------
    channels : int, optional
        That the weights want.
    seconds : float
        Of the whole run.
    """
    if data.task == "regression":
        yield from _of_targets(data)
    else:
        yield from _of_classes(data, bool(recipe.class_weights or recipe.sampler))
    source = data.train.source
    if (
        channels == 3
        and isinstance(source, Arrays)
        and source.x.ndim == 4
        and source.x.shape[1] == 1
    ):
        yield Finding(
            "note",
            "The pictures are grey, and the weights want colours.",
            "each picture is repeated in three channels",
            "nothing to do",
        )
    for name, pairs in overlaps(data, limit=max(0.02, 0.01 * seconds)).items():
        (there, here), share = pairs[0], len(pairs) / len(data.splits[name])
        what = f"A picture of the {name} split is in the training split too."
        if len(pairs) > 1:
            what = f"{len(pairs):,} pictures of the {name} split are in the training split too."
        why = f"{there} is the same as {here}: the network has seen at least"
        if share < 0.01:  # large public sets hold a few
            level, why = "note", f"{why} {share:.2%} of {name}"
        else:
            level, why = "warning", f"{why} {share:.0%} of {name}, and its figures flatter"
        yield Finding(level, what, why, "take them out of one of both")


def _of_classes(data: Data, balanced: bool) -> Iterator[Finding]:
    """Find what the numbers of pictures of each class show."""
    counts, one = data.counts, data.task == "classification"
    train = {name: n for name, n in counts["train"].items() if n}
    if missing := [name for name in counts["train"] if name not in train]:
        yield Finding(
            "warning",
            f"No picture of {_few(missing)} to learn from.",
            "the network can never predict that class",
            "add pictures of them, or leave them out of class_names=",
        )
    if not one:
        return
    most, least = (pick(train, key=train.__getitem__, default="") for pick in (max, min))
    if len(train) == 1:
        yield Finding(
            "warning",
            "There is only one class to learn.",
            f"every training picture is {most}",
            "load folders of at least two classes",
        )
    elif sum(train.values()) >= FEW and train[most] > UNEVEN * train[least] and not balanced:
        why = f"there are {train[most]:,} pictures of {most} and {train[least]:,} of {least}"
        yield Finding(
            "warning",
            "The classes are uneven.",
            f"{why}: the answer {most} pays",
            'add class_weights="auto", or sampler="balanced"',
        )
    valid = [name for name, n in counts.get("valid", {}).items() if n]
    if len(valid) == 1 and len(train) > 1:
        yield Finding(
            "warning",
            "The validation split has one class only.",
            f"all of it is {valid[0]}: a network that always says so looks perfect",
            "split at random: load(source, valid=0.2)",
        )


def _of_targets(data: Data) -> Iterator[Finding]:
    """Find whether a fresh network can reach numbers of this size."""
    for name, column in zip(data.classes, data.train.labels.T, strict=True):
        low, high = float(column.min()), float(column.max())
        if low == high:
            yield Finding(
                "warning",
                f"Every training picture has {name} {low:.4g}.",
                "there is nothing to learn",
                "look at the labels",
            )
        elif max(abs(low), abs(high)) > LARGE:
            mean, spread = float(column.mean()), float(column.std())
            yield Finding(
                "warning",
                "The numbers to be learned are large.",
                f"{name} goes from {low:.4g} to {high:.4g}, and a fresh network puts out numbers"
                " near 0: it needs very many steps",
                f"learn (y - {mean:.4g}) / {spread:.4g} instead, and turn the predictions back",
            )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more classes" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def of_machine(
    where: Runtime, device: str, seconds: float | None, drive: bool
) -> Iterator[Finding]:
    """Find what the machine shows.

    Parameters
    ----------
    seconds : float, optional
        Of the whole run, where it is known.
    """
    takes, hosted = f"this will take about {spoken(seconds or 0.0)}", where.where in HOSTED
    if device == "cpu" and where.device in ("cuda", "mps"):
        yield Finding(
            "warning",
            f"There is a {where.gpu or 'GPU'}, and training runs on the CPU.",
            "device='cpu' was asked for",
            "leave device= out",
        )
    elif device == "cpu" and where.gpus:
        yield Finding(
            "warning",
            "There is a GPU, and torch cannot use it.",
            _why_cpu(where),
            "then restart the runtime",
        )
    elif device == "cpu" and seconds is not None and seconds > LONG:
        level, fix = "warning", CHANGE
        if not hosted:
            level = "note"
            fix = (
                "a GPU takes a tenth of that or less; fewer epochs=, a smaller image_size= or"
                " backbone help too"
            )
        yield Finding(level, f"You are on a CPU: {takes}.", _why_cpu(where), fix)
    if hosted and not drive:
        yield Finding(
            "warning",
            "No Drive is mounted: this run dies with the machine.",
            "its disk goes with it, and nothing of the run is kept elsewhere",
            "call kit.mount() before it",
        )
    if seconds is None or where.session_age is None:
        return
    left = LIMIT - where.session_age
    if left < seconds:
        yield Finding(
            "note",
            "The session ends before the run does.",
            f"it has about {spoken(max(0.0, left))} left, and {takes}",
            "nothing to do if a Drive is mounted: the same cell goes on in the next session;"
            " max_time='session' stops the run in time",
        )


def _why_cpu(where: Runtime) -> str:
    return where.why.get("device", "no GPU was found")
