"""Sameness: what makes two runs one, how they differ in words, and which promise holds where one goes on."""

from __future__ import annotations

import dataclasses
import json
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
