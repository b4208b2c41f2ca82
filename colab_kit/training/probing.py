"""Trying a network out before its first step, without a trace: the fastest precision, the largest batch, the time of a step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data import keyed_random
from ..data.batches import Batch
from ..data.keyed_random import outer_streams_kept
from ..errors import ColabKitError, TrainError
from ..models.precision import Precision, floated
from ..models.weights import untouched
from ..system.files import digest, write_json
from .losses import Loss, with_aux
from .recovery import is_out_of_memory, let_go

EARLIER = " (earlier)"
SHORT = 30.0  # seconds: a run predicted to be shorter measures nothing
SHARE = 0.01  # of the predicted run: what measuring may take
CLEARLY = 0.95  # of plain fp32's time: what must be gained, so that noise chooses nothing
TIMES = (
    5  # steps of each way at most, the fastest of which counts: one alone may meet a busy machine
)
NEAR = (
    0.02  # of the loss, and as much again: how far it may be off. bf16 rounds each product to 0.4 %
)


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
    """The fastest way to compute a step whose loss is as good, the reason, and seconds a step of each that was tried.

    Some forward and backward passes on the real batch; weights, buffers, gradients and random streams are as before afterwards.

    Parameters
    ----------
    options : plain fp32 first
    steps : of the run: no more than SHARE of it is spent
    """
    plain, timed = options[0], dict[str, float]()
    with untouched(model):

        def once(how: Precision) -> tuple[float, float]:
            _wait(device)
            start = clock()
            keyed_random.seed_torch(seed, keyed_random.STEP, 0, 0)
            with how.on(device):
                output = model(how.input(batch.x))
            found = with_aux(loss, floated(output), batch.y)
            found.backward()  # type: ignore[no-untyped-call]
            value = float(found.detach())
            model.zero_grad(set_to_none=True)
            _wait(device)
            return clock() - start, value

        spent, _ = once(plain)  # pays for set-up
        first, truth = once(plain)
        spent, whole = spent + first, first * steps
        if whole < SHORT:
            return plain, too_short(whole), {str(plain): first}
        more = (
            min(TIMES, int((SHARE * whole - spent) / (first * len(options))) - 1) - 1
        )  # a way warms up with a step of its own
        for _ in range(more):
            seconds, _ = once(plain)
            first, spent = min(first, seconds), spent + seconds
        timed[str(plain)] = first
        for how in sorted(
            options[1:], key=lambda one: one.channels_last
        ):  # laid out once, the weights stay so
            if spent + 2 * first > SHARE * whole:
                break
            how.lay(model)
            try:
                warm, _ = once(how)
                seconds, value = once(how)
                spent += warm + seconds
                for _ in range(more):
                    if spent + seconds > SHARE * whole:
                        break
                    again, _ = once(how)
                    seconds, spent = min(seconds, again), spent + again
            except RuntimeError:  # this hardware or network cannot: out of memory, a missing kernel
                model.zero_grad(set_to_none=True)
                continue
            if abs(value - truth) <= NEAR * (1 + abs(truth)):
                timed[str(how)] = seconds
    best = min(timed, key=timed.__getitem__)
    if timed[best] > CLEARLY * first:
        best = str(plain)
    told = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in timed.items())
    return Precision.named(best), f"measured, a step: {told}", timed


def share_of(batch: int, steps: int, options: int) -> int:
    """How many pictures of a batch a step is measured on, so that all options together take SHARE of the run; two at least."""
    return max(2, min(batch, int(SHARE * steps * batch / (2 * (options + 1)))))


def fastest_forward(
    forward: Callable[[Precision], torch.Tensor],
    options: list[Precision],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[str, str]:
    """The fastest way to compute a forward pass whose outputs are near plain fp32's, and why.

    options : plain fp32 first
    """
    timed, truth = dict[str, float](), None
    for how in sorted(
        options, key=lambda one: one.channels_last
    ):  # laid out once, the weights stay so
        try:
            forward(how)
            start = clock()
            found = forward(how)
            seconds = clock() - start
        except RuntimeError:  # this hardware or network cannot
            continue
        truth = found if truth is None else truth
        if float((found - truth).norm()) <= NEAR * float(truth.norm()):
            timed[str(how)] = seconds
    best = min(timed, key=timed.__getitem__)
    told = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in timed.items())
    return best, f"measured, a batch: {told}"


def step_seconds(
    model: nn.Module,
    batch: Batch,
    loss: Loss,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """How long a forward and a backward pass take, the second time; the network is left as it was."""
    with untouched(model):
        for _ in range(2):
            _wait(device)
            start = clock()
            with_aux(loss, model(batch.x), batch.y).backward()  # type: ignore[no-untyped-call]
            _wait(device)
            seconds = clock() - start
            model.zero_grad(set_to_none=True)
    return seconds


def step_bytes(model: nn.Module, few: Batch, n: int, device: torch.device) -> int:
    """A GPU's memory at the peak of a step of n pictures, Adam's two moments included; the network is left as it was."""
    times = -(-n // len(few))
    x, y = (t.repeat(times, *[1] * (t.ndim - 1))[:n] for t in (few.x, few.y))
    moments = sum(2 * p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    torch.cuda.reset_peak_memory_stats(device)
    with untouched(model):
        model.train()
        with_aux(torch.nn.functional.cross_entropy, model(x), y).backward()  # type: ignore[no-untyped-call]
    return int(torch.cuda.max_memory_allocated(device)) + moments


def too_short(seconds: float) -> str:
    return f"the run takes about {seconds:.0f} s: nothing is measured"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def remembered(
    place: Path, what: Any, find: Callable[[], tuple[Precision, str, dict[str, float]]]
) -> tuple[Precision, str]:
    """A choice that was measured before on this device for this network and batch, else the one that is found now.

    place : a JSON file    what : anything JSON can hold that tells device, network and batch
    """
    if (known := known_choice(place, what)) is not None:
        return known
    found, why, timed = find()
    if len(timed) > 1:
        remember(place, what, str(found), why)
    return found, why


def known_choice(place: Path, what: Any) -> tuple[Precision, str] | None:
    """What was remembered, and why it was chosen."""
    try:
        name, why = json.loads(place.read_text())[digest(what)[:16]]
        return Precision.named(name), why if why.endswith(EARLIER) else why + EARLIER
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(place: Path, what: Any, name: str, why: str) -> None:
    """Keep a choice for later calls on this machine; where the disk does not take it, it is made again."""
    with suppress(OSError, ValueError, TypeError, ColabKitError):
        known = json.loads(place.read_text()) if place.exists() else {}
        write_json(place, {**known, digest(what)[:16]: [name, why]})


FULL = 0.8  # of a GPU's memory: what the largest batch may take
LARGEST = 1024  # pictures: beyond it a larger batch teaches no faster per picture


def largest_batch(uses: Callable[[int], int], room: int, most: int) -> tuple[int, str]:
    """The largest power of two of pictures whose step stays within FULL of the memory.

    uses : bytes at the peak of one step of n pictures; may run out of memory
    room : bytes the device has
    most : pictures there are
    """
    n, fits, peak = 2, 0, 0
    while n <= min(most, LARGEST):
        try:
            found = uses(n)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            let_go(err)
            break
        if found > FULL * room:
            break
        n, fits, peak = 2 * n, n, found
    if not fits:
        raise TrainError(
            "Not even two pictures at a time fit into the memory.",
            f"it has {room / 2**30:.1f} GiB",
            "take a smaller network or image_size=",
        )
    return (
        fits,
        f"the largest that takes at most {FULL:.0%} of the memory ({peak / 2**30:.1f} of {room / 2**30:.1f} GiB)",
    )
