"""Sameness: what makes two runs one, how they differ in words, and which promise holds where one goes on."""

from __future__ import annotations

import dataclasses
import json
import platform
from typing import Any

from ..recipe import HORIZON, Recipe
from ..system.files import digest


def key_of(identity: dict[str, Any]) -> str:
    """Eight hex digits that name what makes a run the run it is. Nothing in it was chosen by the machine."""
    return digest(identity)[:8]


def full(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity with the options that were left at their defaults."""
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(Recipe)
        if field.name not in HORIZON
    }
    return {**identity, "recipe": {**defaults, **identity.get("recipe", {})}}


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """What changed between two identities, one `recipe.lr: 0.001 → 0.01` each; code and hashes just say so."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = list(dict.fromkeys([*old, *new]))
        return [
            line
            for n in names
            for line in differences(old.get(n), new.get(n), f"{at}.{n}" if at else n)
        ]
    if json.dumps(old) == json.dumps(new):
        return []
    was, now = json.dumps(old), json.dumps(new)
    return [f"{at}: {was} → {now}" if len(was) + len(now) < 80 else f"{at} changed"]


def in_words(changed: list[str]) -> str:
    """Differences as a person would name them: options one by one, code and content by what they are."""
    options = [line.removeprefix("recipe.") for line in changed if line.startswith("recipe.")]
    kinds = {
        "model": "another network",
        "data": "other data",
        **{part: f"another {part}" for part in ("head", "loss", "optimizer")},
    }
    parts = dict.fromkeys(
        line.partition(":")[0].partition(" ")[0].partition(".")[0] for line in changed
    )
    return (
        ", ".join([*(kinds[part] for part in parts if part in kinds), *options])
        or "begun from other weights"
    )


def environment(device: Any) -> dict[str, str]:
    """What the bits of a step depend on, besides the run itself."""
    import numpy as np
    import torch

    kind = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else torch.backends.cpu.get_cpu_capability()
    )
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": f"{device.type} {kind} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
    }


def exactness(
    old: dict[str, str],
    new: dict[str, str],
    *,
    stretched: bool,
    keyed: bool = True,
    cut: bool = False,
) -> str:
    """Which promise holds for a run that goes on: the same bits, or the same data, augmentation and schedule, and why."""
    broken = [
        f"{name} {old.get(name)} → {value}" for name, value in new.items() if old.get(name) != value
    ]
    if new["device"].startswith(("cuda", "mps")):
        broken.append(f"on {new['device'].split()[0]} the order of sums is not fixed")
    if stretched:
        broken.append("more epochs stretch the schedule of the learning rate")
    if cut:
        broken.append("batches are computed in pieces since memory ran out")
    if not keyed:
        return "same order and schedule; the dataset's own random numbers are beyond any key, so neither its pictures nor the bits repeat"
    if not broken:
        return "every bit as if it had never stopped"
    return f"same data, order and augmentation, not the same bits ({'; '.join(broken)})"
