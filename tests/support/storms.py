"""Jobs for trainings on a FUSE Drive that is killed, filled, slowed and torn while they run, each
by a keyed plan.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from colab_kit import api
from colab_kit.colab import drive, mirror
from colab_kit.colab.drive import MYDRIVE, Drive
from colab_kit.events import Control, Event, Note, StepDone, set_milestone_hook
from colab_kit.system.files import is_whole, stamp
from colab_kit.testing.faults import Fault
from colab_kit.testing.fuse.mount import FuseBody
from colab_kit.training import checkpoint, saver
from tests.support.tasks import fingerprint, small_data

EPOCHS, STEPS = 8, 24  # 23 pictures in batches of 4, two batches a step
STAYS = 99  # steps: the training ends before that
PACE = 0.03  # s a step: as if the work were real, so that the copier comes to run
WOES = (
    "killed",
    "dead",
    "full",
    "quota",
    "io_error",
    "drops",
    "read_only",
    "slow",
    "torn_write",
    "late_visibility",
)  # a listing is read on resuming alone


class Wide(nn.Module):
    """A checkpoint of about 700 KB, so that the small files beside it do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten()
        )
        self.fc = nn.Sequential(
            nn.Linear(6 * 36, 200), nn.ReLU(), nn.Dropout(0.3), nn.Linear(200, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x))  # type: ignore[no-any-return]


def weather(storm: int) -> dict[int, list[tuple[str, int]]]:
    """What happens before which step, and for how many steps it lasts: a function of the storm's
    number.
    """
    rng = np.random.Generator(np.random.Philox(key=[4, storm]))
    plan: dict[int, list[tuple[str, int]]] = {}
    woes = [
        WOES[storm % len(WOES)],
        *rng.choice(WOES, int(rng.integers(2, 5))),
    ]  # each woe has its turn
    for woe in woes:
        plan.setdefault(int(rng.integers(1, STEPS - 4)), []).append(
            (str(woe), int(rng.integers(2, 9)))
        )
    return plan


class Weather(Control):
    """Let the plan's woes come and go between the steps of a training, and count them."""

    def __init__(
        self, plan: dict[int, list[tuple[str, int]]], body: FuseBody, die_at: int = 0
    ) -> None:
        super().__init__()
        self.plan, self.body, self.die_at = plan, body, die_at
        assert body.point is not None
        self.at = body.point
        self.step, self.ends, self.seen, self.planned = (
            0,
            dict[int, bool](),
            list[str](),
            list[Fault](),
        )
        set_milestone_hook(self.blow)

    def blow(self, point: str, path: Path | None) -> None:
        if point != "after_optimizer":
            return
        self.step += 1
        if (
            self.step == self.die_at - 3
        ):  # a calm moment: something must have reached Google before the machine is gone
            self.plan, self.ends = {}, {}
            self.clear_up()
            assert all(shelf.close(20) for shelf in list(drive.session.shelves))
            while self.body.pending():
                time.sleep(0.01)
        if self.step == self.die_at:
            os.kill(os.getpid(), 9)
        if self.ends.pop(self.step, False):
            self.blow_over()
        for woe, lasts in self.plan.get(self.step, []):
            self.seen.append(woe)
            self.strike(woe, lasts)
        time.sleep(PACE)

    def strike(self, woe: str, lasts: int) -> None:
        faults = self.body.faults
        match woe:
            case "killed":
                self.body.kill()
                self.body.restart()
                return
            case "dead":
                self.body.kill()
            case "slow":
                self.planned.append(faults.slow(0.02))
            case "full":
                self.planned.append(faults.full(after_bytes=300_000 * (lasts % 3)))
            case _:
                self.planned.append(getattr(faults, woe)())
        self.ends[self.step + lasts if lasts == STAYS else min(self.step + lasts, STEPS - 1)] = (
            True  # Drive is well before the end
        )

    def struck(self) -> dict[str, int]:
        """How often each kind of fault has met somebody."""
        found: dict[str, int] = {}
        for fault in self.planned:
            found[fault.kind] = found.get(fault.kind, 0) + fault.fired
        return found

    def blow_over(self) -> None:
        """End the woes, each fault after it has met somebody: how soon the copier comes is the
        machine's affair.
        """
        if not os.path.isdir(self.at / MYDRIVE):
            self.body.restart()
        until = time.monotonic() + 10 * PACE
        while (
            not all(fault.fired for fault in self.body.faults.planned) and time.monotonic() < until
        ):
            time.sleep(PACE / 10)
        self.body.faults.clear(
            *(fault for fault in self.body.faults.planned if fault.fired or self.step >= STEPS - 1)
        )
        if self.body.faults.planned:
            self.ends[self.step + 1] = True

    def clear_up(self) -> None:
        self.body.faults.clear()
        if not os.path.isdir(self.at / MYDRIVE):
            self.body.restart()


def on_drive(work: Path, *, delay: float = 0.1, capacity: int | None = None) -> FuseBody:
    """Mount the FUSE body over work/store at work/drive, as this process's Drive; short waits for
    a short run.
    """
    body = FuseBody(work / "store", delay=delay, capacity=capacity)
    point = work / "drive"
    body.mount(point)
    drive.session.reset(Drive(point / MYDRIVE, "mock", point))
    saver.AT_LEAST, mirror.FIRST_WAIT, mirror.LONGEST_WAIT = 0.1, 0.02, 0.1
    return body


def train_in_storm(
    work: str, storm: int | None, home: str = "home", die_at: int = 0, stays: bool = False
) -> None:
    """Train through a storm. `die_at`: the process is killed at that step. `stays`: the storm
    outlasts the training.
    """
    torch.set_num_threads(1)
    here = Path(work)
    os.environ["COLAB_KIT_HOME"] = str(here / home)
    body = on_drive(here)
    control = Weather(weather(storm) if storm is not None else {}, body, die_at)
    losses, notes = list[str](), list[str]()

    def hear(event: Event) -> None:
        torch.rand(())  # a callback that draws must change nothing
        if isinstance(event, StepDone):
            losses.append(f"{event.step} {event.loss.hex()} {event.lr.hex()}\n")
        if isinstance(event, Note):
            notes.append(event.text)

    if stays:
        control.plan[STEPS - 2] = [("dead", STAYS)]
        saver.AT_THE_END = 0.2
    run = api.train(
        Wide, small_data("arrays"), name="storm", callbacks=[hear], quiet=True, control=control,
        save_every_steps=1, epochs=EPOCHS, batch_size=4,
        grad_accum_steps=2, ema_decay=0.9, mixup=0.4, lr=3e-3,
    )  # fmt: skip
    told = run.status
    control.clear_up()
    handed = run.wait_for_copies(30)
    used = body.used()
    body.unmount()
    run.folder.with_suffix(".losses").write_text("".join(losses))
    kept = here / "store" / MYDRIVE / "colab-kit" / "runs" / run.folder.name
    steps = [
        int((stamp(slot) or {})["step"])
        for slot in kept.glob("checkpoint-*.safetensors")
        if is_whole(slot)
    ]
    facts = {
        "status": told, "hash": fingerprint(run.folder), "weights": weights(run.folder),
        "handed": handed, "steps": sorted(steps), "woes": control.seen,
        "fired": body.faults.fired, "struck": control.struck(),
        "notes": notes, "used": used, "files": sorted(path.name for path in kept.iterdir()),
    }  # fmt: skip
    (here / "told.json").write_text(json.dumps(facts))


def weights(folder: Path) -> str:
    """One hash over every tensor of the newest checkpoint: weights, average, optimizer."""
    found = checkpoint.read(max(folder.glob("checkpoint-*.safetensors"), key=checkpoint.step_of))
    tensors = (
        name.encode()
        + found.tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes()
        for name in sorted(found.tensors)
    )
    return hashlib.sha256(b"".join(tensors)).hexdigest()


def hundred_saves(work: str) -> None:
    """A hundred checkpoints to a Drive with a Trash; what it held at most."""
    here = Path(work)
    os.environ["COLAB_KIT_HOME"] = str(here / "home")
    body = on_drive(here, delay=0.0)
    most, copied = 0, set[int]()

    def look(point: str, path: Path | None) -> None:
        nonlocal most
        if point == "after_optimizer" and shelves():
            for shelf in shelves():  # that of the features has nothing to hand over
                shelf.close(10)
            most = max(most, body.used())
            slots = (here / "drive" / MYDRIVE).glob(
                "colab-kit/runs/hundred-*/checkpoint-*.safetensors"
            )
            copied.update(int((stamp(slot) or {})["step"]) for slot in slots)

    def shelves() -> list[Any]:
        return list(drive.session.shelves)

    saver.AT_LEAST = 0.0
    set_milestone_hook(look)
    run = api.train(
        Wide,
        small_data("arrays"),
        name="hundred",
        quiet=True,
        save_every_steps=1,
        epochs=34,
        batch_size=8,
        lr=1e-3,
    )
    sizes = [path.stat().st_size for path in run.folder.glob("checkpoint-*.safetensors")]
    run.wait_for_copies(30)
    most = max(most, body.used())
    trash = body.trash_bytes()
    body.unmount()
    steps = max(checkpoint.step_of(path) for path in run.folder.glob("checkpoint-*.safetensors"))
    slots = (here / "store" / MYDRIVE).glob("colab-kit/runs/hundred-*/checkpoint-*.safetensors")
    newest = max(int((stamp(slot) or {})["step"]) for slot in slots if is_whole(slot))
    facts = {
        "most": most,
        "checkpoint": max(sizes),
        "trash": trash,
        "copies": len(copied),
        "newest": newest,
        "steps": steps,
    }
    (here / "told.json").write_text(json.dumps(facts))
