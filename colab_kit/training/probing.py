"""Trying a network out before its first step, without a trace.

It finds the fastest precision, the largest batch, and the time and the memory of a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
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
TIMES = 5  # steps of each option at most; the fastest counts: the machine may be busy in another
NEAR = 0.02  # of the loss, and as much again: how far it may be off. bf16 rounds products to 0.4 %
FULL = 0.8  # of a GPU's memory: what the largest batch may take
LARGEST = 1024  # pictures: beyond it a larger batch teaches no faster per picture


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
) -> tuple[Precision, str, dict[str, float]]:
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
        The option, the reason, and the seconds that a step of each option took.
    """
    plain, spent = options[0], 0.0

    def once(option: Precision) -> tuple[float, float]:
        nonlocal spent
        _wait(device)
        start = clock()
        keyed_random.seed_torch(seed, keyed_random.STEP, 0, 0)
        with option.on(device):
            output = model(option.input(batch.x))
        value = with_aux(loss, floated(output), batch.y)
        value.backward()  # type: ignore[no-untyped-call]
        number = float(value.detach())
        model.zero_grad(set_to_none=True)
        _wait(device)
        seconds = clock() - start
        spent += seconds
        return seconds, number

    def fastest(option: Precision, seconds: float) -> float:
        for _ in range(more):
            if spent + seconds > SHARE * whole:
                break
            seconds = min(seconds, once(option)[0])
        return seconds

    with untouched(model):
        once(plain)  # pays for set-up
        first, truth = once(plain)
        whole = first * steps
        if whole < SHORT:
            return plain, TOO_SHORT, {str(plain): first}
        # each option runs one untimed step first
        more = min(TIMES, int((SHARE * whole - spent) / (first * len(options))) - 1) - 1
        first = fastest(plain, first)
        timed = {str(plain): first}
        for option in _plain_layout_first(options[1:]):
            if spent + 2 * first > SHARE * whole:
                break
            option.lay(model)
            try:
                once(option)
                seconds, value = once(option)
                seconds = fastest(option, seconds)
            except RuntimeError:  # this hardware or network cannot: out of memory, a missing kernel
                model.zero_grad(set_to_none=True)
                continue
            if abs(value - truth) <= NEAR * (1 + abs(truth)):
                timed[str(option)] = seconds
    best = min(timed, key=timed.__getitem__)
    if timed[best] > CLEARLY * first:
        best = str(plain)
    return Precision.named(best), f"measured, a step: {_times(timed)}", timed


def share_of(batch: int, steps: int, options: int) -> int:
    """Say on how many pictures of a batch a step is measured: two at least.

    All options together then take SHARE of the run.
    """
    return max(2, min(batch, int(SHARE * steps * batch / (2 * (options + 1)))))


def fastest_forward(
    forward: Callable[[Precision], torch.Tensor],
    options: list[Precision],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[str, str]:
    """Find the option with the fastest forward pass whose outputs are near plain fp32's, and why.

    Parameters
    ----------
    options : list of Precision
        Plain fp32 comes first.
    """
    timed, truth = dict[str, float](), None
    for option in _plain_layout_first(options):
        try:
            forward(option)
            start = clock()
            output = forward(option)
            seconds = clock() - start
        except RuntimeError:  # this hardware or network cannot
            continue
        truth = output if truth is None else truth
        if float((output - truth).norm()) <= NEAR * float(truth.norm()):
            timed[str(option)] = seconds
    return min(timed, key=timed.__getitem__), f"measured, a batch: {_times(timed)}"


def _plain_layout_first(options: list[Precision]) -> list[Precision]:
    """Sort channels_last behind: weights that have this layout keep it."""
    return sorted(options, key=lambda option: option.channels_last)


def _times(timed: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in timed.items())


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


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def remembered(
    place: Path, what: Any, find: Callable[[], tuple[Precision, str, dict[str, float]]]
) -> tuple[Precision, str]:
    """Give a choice that was measured before for this device, network and batch, or measure it now.

    Parameters
    ----------
    place : Path
        A JSON file.
    what : any plain data
        What identifies device, network and batch.
    """
    if (known := known_choice(place, what)) is not None:
        return known
    precision, why, timed = find()
    if len(timed) > 1:
        remember(place, what, str(precision), why)
    return precision, why


def known_choice(place: Path, what: Any) -> tuple[Precision, str] | None:
    """Look a choice up that an earlier call kept, with its reason."""
    try:
        name, why = (read_record(place, PRECISION) or {})[digest(what)[:16]]
        return Precision.named(name), why + EARLIER
    except (OSError, ValueError, KeyError):
        return None


def remember(place: Path, what: Any, name: str, why: str) -> None:
    """Keep a choice for later calls on this machine; where the disk fails, they measure again."""
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):  # what is damaged is written anew
        known = read_record(place, PRECISION) or {}
    with suppress(ColabKitError):
        entry = {digest(what)[:16]: [name, why.removesuffix(EARLIER)]}
        write_record(place, PRECISION, {**known, **entry})
