"""Findings: what a look at network, data and machine found before the first step, each a sentence with its fix."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional

from ..data.dataset import Data
from ..data.image_checks import overlaps
from ..data.sources import Arrays
from ..models.summary import Summary
from ..recipe import Recipe
from ..system.runtime import HOSTED, Runtime
from .budget import LIMIT, spoken
from .choices import UNEVEN

LONG = 600.0  # seconds: from there on a CPU's slowness is worth a word
FEW = 50  # pictures: of fewer, how many each class has is chance
LARGE = 20.0  # of a target: beyond it the usual learning rates are slow
OFF = 4.0  # times ln(classes), and 2 more: a first loss beyond that is no beginner's guess
CHANGE = "Runtime ▸ Change runtime type ▸ T4"


@dataclass(frozen=True)
class Finding:
    """level : "error" (it cannot train), "warning" (it trains badly), "note"    what, why, fix : sentences"""

    level: str
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        return " ".join(
            [
                self.what,
                *(f"{text[:1].upper()}{text[1:]}." for text in (self.why, self.fix) if text),
            ]
        )


@dataclass(frozen=True, repr=False)
class Preflight:
    """What `preflight` gives.

    findings : errors first
    summary : the layer table, or None where the network could not take a batch
    seconds : {"cpu": of a training step, "cuda": the same}, measured
    """

    findings: tuple[Finding, ...]
    summary: Summary | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it can train: no finding is an error."""
        return not any(finding.level == "error" for finding in self.findings)

    def __repr__(self) -> str:
        found = [f"{finding.level}: {finding}" for finding in self.findings] or [
            "Nothing was found: go ahead."
        ]
        times = [
            f"a step takes {_ms(seconds)} on {device}" for device, seconds in self.seconds.items()
        ]
        return "\n".join(
            [*found, *times, *([repr(self.summary)] if self.summary is not None else [])]
        )

    def _repr_html_(self) -> str:
        rows = (
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in (x.level, x.what, x.why, x.fix))}</tr>"
            for x in self.findings
        )
        table = (
            "<table><tr><th></th><th>what</th><th>why</th><th>fix</th></tr>"
            + "".join(rows)
            + "</table>"
        )
        times = "".join(
            f"<p>a step takes {_ms(s)} on {html.escape(d)}</p>" for d, s in self.seconds.items()
        )
        return (
            (table if self.findings else "<p>Nothing was found: go ahead.</p>")
            + times
            + (self.summary._repr_html_() if self.summary else "")
        )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"


@dataclass(frozen=True)
class Seen:
    """What the checks look at.

    output : of the first batch, (n, classes), in eval    y : its labels    loss : of that batch
    kind, wants : what the network puts out, and what the loss takes (losses.output_kind, losses.expects)
    seconds : of the whole run, as predicted    drive : whether copies go to a Drive
    """

    data: Data
    recipe: Recipe
    runtime: Runtime
    device: str
    x: torch.Tensor
    y: torch.Tensor
    output: torch.Tensor
    loss: float
    kind: str
    wants: str | None
    seconds: float
    drive: bool
    channels: int | None = None  # that the weights want
    reached: bool = True  # whether a gradient reaches the weights (gradients.reached)


def examine(seen: Seen) -> tuple[Finding, ...]:
    """All that a person would want to know before the first step. Costs a hundredth of the predicted run, or 20 ms."""
    data = of_data(seen.data, seen.recipe, channels=seen.channels, seconds=seen.seconds)
    return _sorted(
        [*of_numbers(seen), *data, *of_machine(seen.runtime, seen.device, seen.seconds, seen.drive)]
    )


def at_a_glance(data: Data, where: Runtime, drive: bool) -> tuple[Finding, ...]:
    """What data and machine say before there is a network."""
    found = [*of_data(data, Recipe()), *of_machine(where, where.device, None, drive)]
    if where.where in HOSTED and where.device == "cpu":
        found.append(
            Finding(
                "note", "You are on a CPU.", where.why.get("device", "no GPU was found"), CHANGE
            )
        )
    return _sorted(found)


def _sorted(found: list[Finding]) -> tuple[Finding, ...]:
    return tuple(
        sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.level))
    )


def of_numbers(seen: Seen) -> Iterator[Finding]:
    """What the first batch says of network and loss."""
    classes = len(seen.data.classes) if seen.data.task == "classification" else 0
    wants = seen.wants or _taken(seen)
    if wants == "logits" and seen.kind == "probabilities":
        fix = "drop the Softmax, or write loss=None"
        yield Finding(
            "warning",
            "The network ends in Softmax and the loss applies another.",
            "it learns slowly that way",
            fix,
        )
    if wants == "logits" and seen.kind == "log_probabilities":
        why = "taking the logarithm of a softmax twice changes nothing"
        yield Finding(
            "note",
            "The network ends in LogSoftmax and the loss applies another.",
            why,
            "leave it, or write loss='nll'",
        )
    if wants == "multilabel_logits" and seen.kind == "multilabel_probabilities":
        fix = "drop the Sigmoid, or write loss=None"
        yield Finding(
            "warning",
            "The network ends in Sigmoid and the loss applies another.",
            "it learns slowly that way",
            fix,
        )
    if seen.wants is None and wants == "log_probabilities" and seen.kind != wants:
        why = f"it is what NLLLoss gives, and the network puts out {seen.kind}: it falls without end while nothing is learned"
        yield Finding(
            "warning",
            "The loss takes the output at the true class as it is.",
            why,
            "end the network with nn.LogSoftmax(dim=1)",
        )
    if seen.x.is_floating_point() and not bool(seen.x.isfinite().all()):
        why = "the first batch holds NaN or infinity: every weight would be lost at the first step"
        yield Finding(
            "error",
            "The pictures hold numbers that are not finite.",
            why,
            "look for NaN where the arrays are made",
        )
    elif not bool(seen.output.isfinite().all()):
        yield Finding(
            "error",
            "The network puts out NaN.",
            "for finite pictures",
            "look at its weights and for logarithms of zero",
        )
    elif not seen.reached and _alike(seen.output) and not _alike(seen.x):
        why = "its scores for the first pictures are equal to the last digit, and no gradient reaches a weight"
        yield Finding(
            "warning",
            "The network answers the same whatever it sees.",
            why,
            "look for a layer that multiplies by zero or a dead ReLU",
        )
    elif classes > 1 and math.isfinite(seen.loss) and seen.loss > OFF * math.log(classes) + 2:
        why = f"guessing among {classes} classes would give {math.log(classes):.2f}"
        fix = "scale the pictures (uint8 is scaled by itself; floats should be near -1 to 1), or start from smaller weights"
        yield Finding("warning", f"The first loss is {seen.loss:.1f}.", why, fix)


def _taken(seen: Seen) -> str | None:
    """What a function or a class of the user's takes as its input, judged by what it gives; None if it is no loss we know."""
    output, y = seen.output.float(), seen.y
    if seen.data.task != "classification":
        return None

    def gives(loss: float) -> bool:
        return seen.loss != 0 and math.isclose(seen.loss, loss, rel_tol=1e-4)

    if gives(float(functional.nll_loss(output, y))):  # of log-probabilities, so does cross-entropy
        return "log_probabilities"
    if seen.kind == "probabilities" and gives(
        float(functional.nll_loss(output.clamp_min(1e-12).log(), y))
    ):  # right, whatever else it is
        return None
    return "logits" if gives(float(functional.cross_entropy(output, y))) else None


def _alike(x: torch.Tensor) -> bool:
    return bool((x == x[:1]).all())


def of_data(
    data: Data, recipe: Recipe, *, channels: int | None = None, seconds: float = 0.0
) -> Iterator[Finding]:
    """What the splits say.

    channels : that the weights want    seconds : of the whole run
    """
    counts = data.counts
    if data.task == "regression":
        yield from _of_targets(data)
        counts = {}
    trained, one = counts.get("train", {}), data.task == "classification"
    there = {name: n for name, n in trained.items() if n}
    missing = [name for name, n in trained.items() if not n]
    if missing:
        fix = "add pictures of them, or leave them out of class_names="
        yield Finding(
            "warning",
            f"No picture of {_few(missing)} to learn from.",
            "the network can never say that class",
            fix,
        )
    if one and len(there) == 1:
        why = f"every training picture is {_few(list(there))}"
        yield Finding(
            "warning",
            "There is only one class to learn.",
            why,
            "load folders of at least two classes",
        )
    elif (
        one
        and sum(there.values()) >= FEW
        and max(there.values()) > UNEVEN * min(there.values())
        and not (recipe.class_weights or recipe.sampler)
    ):
        most, least = max(there, key=there.__getitem__), min(there, key=there.__getitem__)
        why = f"{there[most]:,} pictures of {most}, {there[least]:,} of {least}: answering {most} pays"
        yield Finding(
            "warning",
            "The classes are uneven.",
            why,
            'add class_weights="auto", or sampler="balanced"',
        )
    valid = {name: n for name, n in counts.get("valid", {}).items() if n}
    if one and len(valid) == 1 and len(there) > 1:
        why = f"all of it is {_few(list(valid))}: a network that always says so looks perfect"
        yield Finding(
            "warning",
            "The validation split has one class only.",
            why,
            "split at random: load(source, valid=0.2)",
        )
    if (
        isinstance(data.train.source, Arrays)
        and channels == 3
        and data.train.source.x.ndim == 4
        and data.train.source.x.shape[1] == 1
    ):
        yield Finding(
            "note",
            "The pictures are grey, and the weights want colours.",
            "each is given three times",
            "nothing to do",
        )
    for name, twice in overlaps(data, limit=max(0.02, 0.01 * seconds)).items():
        (there_, here), share = twice[0], len(twice) / len(data.splits[name])
        what = (
            f"{len(twice):,} pictures of the {name} split are"
            if len(twice) > 1
            else f"A picture of the {name} split is"
        )
        why = f"as {there_} and {here}: at least {share:.{0 if share >= 0.01 else 2}%} of {name} is known by heart"
        level, more = (
            ("warning", ", and its figures flatter") if share >= 0.01 else ("note", "")
        )  # big public sets hold a few
        yield Finding(
            level, f"{what} in the training split too.", why + more, "take them out of one of both"
        )


def _of_targets(data: Data) -> Iterator[Finding]:
    """Whether the numbers to be learned are of a size that a fresh network can reach."""
    labels = data.train.labels
    for name, column in zip(data.classes, labels.T, strict=True):
        low, high, spread = float(column.min()), float(column.max()), float(column.std())
        if low == high:
            yield Finding(
                "warning",
                f"Every training picture has {name} {low:.4g}.",
                "there is nothing to learn",
                "look at the labels",
            )
        elif max(abs(low), abs(high)) > LARGE:
            why = f"{name} goes from {low:.4g} to {high:.4g}, and a fresh network puts out numbers near 0: it needs very many steps"
            fix = f"learn (y - {float(column.mean()):.4g}) / {spread:.4g} instead, and turn the predictions back"
            yield Finding("warning", "The numbers to be learned are large.", why, fix)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more classes" if len(names) > 3 else "")


def of_machine(
    where: Runtime, device: str, seconds: float | None, drive: bool
) -> Iterator[Finding]:
    """What the machine says. seconds : of the whole run, if it is known"""
    takes = f"this will take about {spoken(seconds or 0.0)}"
    hosted = where.where in HOSTED
    if device == "cpu" and where.device in ("cuda", "mps"):
        why = "device='cpu' was asked for" if where.device == "cuda" else "the CPU was asked for"
        yield Finding(
            "warning",
            f"There is a {where.gpu or 'GPU'}, and training runs on the CPU.",
            why,
            "leave device= out",
        )
    elif device == "cpu" and "is there, but" in where.why.get("device", ""):
        yield Finding(
            "warning",
            "There is a GPU, and torch cannot use it.",
            where.why["device"],
            "then restart the runtime",
        )
    elif device == "cpu" and seconds is not None and seconds > LONG:
        fix = (
            CHANGE
            if hosted
            else "a GPU takes a tenth of that or less; fewer epochs=, a smaller image_size= or backbone help too"
        )
        yield Finding(
            "warning" if hosted else "note",
            f"You are on a CPU: {takes}.",
            where.why.get("device", "no GPU was found"),
            fix,
        )
    if hosted and not drive:
        why = "its disk goes with it, and nothing of the run is kept elsewhere"
        yield Finding(
            "warning",
            "No Drive is mounted: this run dies with the machine.",
            why,
            "call kit.mount() before it",
        )
    if (
        seconds is not None
        and where.session_age is not None
        and (left := LIMIT - where.session_age) < seconds
    ):
        why = f"it has about {spoken(max(0.0, left))} left, and {takes}"
        fix = "let it: the same cell goes on in the next one, if a Drive is mounted; max_time='session' stops it in time"
        yield Finding("note", "The session ends before the run does.", why, fix)


def as_error(err: Any) -> Finding:
    """A ColabKitError as a finding."""
    return Finding("error", err.what, err.why, err.fix)
