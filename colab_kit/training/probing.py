"""Trying a network out before its first step, without a trace.

It finds the fastest precision, the largest batch, and the time and the memory of a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..data import keyed_random
from ..data.batches import Batch
from ..errors import ColabKitError
from ..models.inference import is_out_of_memory, let_go
from ..models.precision import Precision, floated
from ..models.weights import untouched
from ..system.files import digest
from ..system.sealed import read_record, write_record
from .losses import Loss, with_aux
from .recovery import not_even_two

EARLIER = " (earlier)"
PRECISION = "precision"  # what the file of choices is of
SHORT = 30.0  # seconds: a run predicted to be shorter measures nothing
# without the predicted time, which differs from call to call
TOO_SHORT = f"the run takes less than {SHORT:.0f} s: nothing is measured"
SHARE = 0.01  # of the predicted run: what measuring may take
CLEARLY = 0.95  # of plain fp32's time: a smaller gain is noise, and chooses nothing
ROUNDS = 3  # in which the options take turns; the medians count: the machine may be busy in one
FLOOR = 0.005  # seconds: a shorter step is mostly Python's own, and a clock tells little of it
TOO_LIGHT = "a step is too short to tell: nothing is measured"
ALONE = "this hardware and network have no other"
TOO_DEAR = "measuring would take more than a hundredth of the run"
NEAR = 0.02  # of the loss, and as much again: how far it may be off. bf16 rounds products to 0.4 %
FULL = 0.8  # of a GPU's memory: what the largest batch may take
LARGEST = 1024  # pictures: beyond it a larger batch teaches no faster per picture
Measured = tuple[Precision, str, dict[Precision, float]]  # the choice, why, seconds of each option


def measure(
    model: nn.Module,
    batch: Batch,
    loss: Loss,
    options: list[Precision],
    *,
    steps: int,
    device: torch.device,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Find the fastest option whose loss is as good as plain fp32's.

    It takes some forward and backward passes on the real batch; weights, buffers, gradients and
    random streams are left as they were.

    Parameters
    ----------
    options : list of Precision
        Plain fp32 comes first.
    steps : int
        Of the run: measuring takes no more than SHARE of it.

    Returns
    -------
    Precision, str, dict
        The option, the reason, and the seconds that a step of each option took: none where nothing
        was measured.
    """
    plain, are_two_layouts = options[0], any(option.channels_last for option in options)

    def once(option: Precision) -> tuple[float, torch.Tensor]:
        if are_two_layouts:
            model.to(memory_format=option.memory_format)
        _wait(device)
        start = clock()
        keyed_random.seed_torch(seed, keyed_random.STEP, 0, 0)
        try:
            with option.on(device):
                output = model(option.input(batch.x))
            value = with_aux(loss, floated(output), batch.y)
            value.backward()  # type: ignore[no-untyped-call]
            number = value.detach().cpu()
        finally:
            model.zero_grad(set_to_none=True)
        _wait(device)
        return clock() - start, number

    with untouched(model):
        once(plain)  # pays for set-up
        step = median(once(plain)[0] for _ in range(ROUNDS))
        if step * steps < SHORT:
            return plain, TOO_SHORT, {}
        if step < FLOOR:
            return plain, TOO_LIGHT, {}
        fitting = [n for n in range(2, len(options) + 1) if passes(n) <= SHARE * steps]
        if not fitting:
            return plain, TOO_DEAR, {}
        timed = _contest(once, options[: fitting[-1]], NEAR)
    return _winner(timed), f"measured, a step: {_times(timed)}", timed


def passes(options: int) -> int:
    """Count the steps that measuring takes: set-up, a look at plain fp32, then the rounds."""
    return ROUNDS + options * (1 + ROUNDS)


def share_of(batch: int, steps: int, options: int) -> int:
    """Say on how many pictures of a batch a step is measured: two at least.

    All options together then take SHARE of the run.
    """
    return max(2, min(batch, int(SHARE * steps * batch / passes(options))))


def fastest_forward(
    forward: Callable[[Precision], torch.Tensor],
    options: list[Precision],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Find the option with the fastest forward pass whose outputs are near plain fp32's, and why.

    Parameters
    ----------
    options : list of Precision
        Plain fp32 comes first.
    """

    def once(option: Precision) -> tuple[float, torch.Tensor]:
        start = clock()
        output = forward(option)
        return clock() - start, output

    timed = _contest(once, options, 0.0)
    return _winner(timed), f"measured, a batch: {_times(timed)}", timed


def _contest(
    once: Callable[[Precision], tuple[float, torch.Tensor]], options: list[Precision], slack: float
) -> dict[Precision, float]:
    """Time the options in turn, round after round, and give the seconds of a step of each.

    What disturbs the machine for a while meets all options of a round alike, so the median of an
    option's ratios to plain fp32 of the same round counts, and one slow step decides nothing.

    Parameters
    ----------
    once : callable(option)
        It gives the seconds of a step, and its result.
    options : list of Precision
        Plain fp32 comes first.
    slack : float
        How far a result near 0 may be off, besides NEAR of the result.
    """
    plain, truth = options[0], torch.empty(0)
    lost, rounds = dict[Precision, int](), list[dict[Precision, float]]()
    for option in options:  # each runs one untimed step first, which pays for set-up
        try:
            _, result = once(option)
        except RuntimeError:  # this hardware or network cannot: out of memory, a missing kernel
            if option == plain:
                raise
            continue
        truth = result if option == plain else truth
        if float((result - truth).norm()) <= slack + NEAR * float(truth.norm()):
            lost[option] = 0
    for _ in range(ROUNDS):
        # two rounds lost settle the median of three: a slow option is not tried again
        seconds = {option: once(option)[0] for option in lost if lost[option] <= ROUNDS // 2}
        rounds.append(seconds)
        for option in seconds:
            lost[option] += option != plain and seconds[option] > CLEARLY * seconds[plain]
    whole = median(seconds[plain] for seconds in rounds)
    return {
        option: whole * median(one[option] / one[plain] for one in rounds if option in one)
        for option in lost
    }


def _winner(timed: dict[Precision, float]) -> Precision:
    """Give the first option, plain fp32 before all, that is as fast as the fastest, noise aside."""
    least = min(timed.values())
    return next(option for option in timed if CLEARLY * timed[option] <= least)


def _times(timed: dict[Precision, float]) -> str:
    return ", ".join(f"{option} {seconds * 1000:.0f} ms" for option, seconds in timed.items())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def step_seconds(model: nn.Module, batch: Batch, loss: Loss, device: torch.device) -> float:
    """Time the second of two forward and backward passes; the network is left as it was."""
    with untouched(model):
        for _ in range(2):
            _wait(device)
            start = time.perf_counter()
            with_aux(loss, model(batch.x), batch.y).backward()  # type: ignore[no-untyped-call]
            _wait(device)
            seconds = time.perf_counter() - start
            model.zero_grad(set_to_none=True)
    return seconds


def step_bytes(model: nn.Module, few: Batch, n: int, device: torch.device) -> int:
    """Measure a GPU's memory at the peak of a step of n pictures, with Adam's two moments.

    The network is left as it was.
    """
    times = -(-n // len(few))
    x, y = (t.repeat(times, *[1] * (t.ndim - 1))[:n] for t in (few.x, few.y))
    moments = sum(2 * p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    torch.cuda.reset_peak_memory_stats(device)
    with untouched(model):
        loss = with_aux(functional.cross_entropy, model.train()(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
    return int(torch.cuda.max_memory_allocated(device)) + moments


def largest_batch(uses: Callable[[int], int], room: int, most: int) -> tuple[int, str]:
    """Find the largest power of two of pictures whose step takes at most FULL of the memory.

    Parameters
    ----------
    uses : callable(n)
        It gives the bytes at the peak of a step of n pictures, and may run out of memory.
    room : int
        Bytes of the device.
    most : int
        Pictures of the data.

    Raises
    ------
    TrainError
        Not even two pictures fit.
    """
    n, fits, peak = 2, 0, 0
    while n <= min(most, LARGEST):
        try:
            used = uses(n)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            let_go(err)
            break
        if used > FULL * room:
            break
        n, fits, peak = 2 * n, n, used
    if not fits:
        raise not_even_two(f"it has {room / 2**30:.1f} GiB")
    sizes = f"{peak / 2**30:.1f} of {room / 2**30:.1f} GiB"
    return fits, f"the largest that takes at most {FULL:.0%} of the memory ({sizes})"


def remembered(
    place: Path,
    what: Any,
    options: list[Precision],
    find: Callable[[list[Precision]], Measured],
) -> tuple[Precision, str]:
    """Give a choice that was measured before for this device, network and batch, or measure it now.

    An earlier choice is looked at again beside its rival; where that contradicts it, it is dropped
    and all options are measured.

    Parameters
    ----------
    place : Path
        A JSON file.
    what : any plain data
        What identifies device, network and batch.
    options : list of Precision
        Plain fp32 comes first.
    find : callable(options)
        It measures.
    """
    if len(options) == 1:
        return options[0], ALONE
    known, why, rival = known_choice(place, what) or (options[0], "", None)
    other = rival if known == options[0] else known
    if other in options:
        seen, why_seen, timed = find([options[0], other])
        if not timed:  # nothing is measured in such a run
            return seen, why_seen
        if seen == known:
            return known, why
    precision, why, timed = find(options)
    if timed:
        remember(place, what, precision, why, timed)
    return precision, why


def known_choice(place: Path, what: Any) -> tuple[Precision, str, Precision | None] | None:
    """Look up what an earlier call chose, with its reason, and the fastest of the others."""
    try:
        name, why, rival = (read_record(place, PRECISION) or {})[digest(what)[:16]]
        return Precision.named(name), why + EARLIER, rival and Precision.named(rival)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remember(
    place: Path, what: Any, precision: Precision, why: str, timed: dict[Precision, float]
) -> None:
    """Keep a choice for later calls on this machine; where the disk fails, they measure again."""
    others = [option for option in timed if option != precision]
    rival = str(min(others, key=timed.__getitem__)) if others else None
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):  # what is damaged is written anew
        known = read_record(place, PRECISION) or {}
    with suppress(ColabKitError):
        kept = [str(precision), why.removesuffix(EARLIER), rival]
        write_record(place, PRECISION, {**known, digest(what)[:16]: kept})
