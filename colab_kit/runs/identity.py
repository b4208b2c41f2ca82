"""What makes a run the run it is: its identity, the key of that, and how two of them differ."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from ..errors import RecipeChanged
from ..events import Note
from ..recipe import HORIZON, Recipe
from ..system.files import digest
from .record import BEFORE, Emit, Place, Record, all_records

KINDS = {
    "model": "another network",
    "data": "other data",
    **{part: f"another {part}" for part in ("head", "loss", "optimizer")},
}


def key_of(identity: dict[str, Any]) -> str:
    """Name what makes a run the run it is: eight hex digits. The machine chose nothing in it."""
    return digest(identity)[:8]


def check_same(place: Place, record: Record, identity: Record) -> None:
    """Refuse to go on with a run that something else made.

    Raises
    ------
    RecipeChanged
    """
    if changed := differences(full(record["identity"]), full(identity)):
        raise RecipeChanged(
            f"{place.drive_folder or place.folder} holds a run that was made differently.",
            "; ".join(changed[:6]),
            "give another run_dir=, or the old values, or restart=True to start anew there",
        )


def note_relatives(place: Place, name: str, identity: Record, emit: Emit) -> None:
    """Say how a new run differs from the newest one of the same name."""
    others = [
        record
        for record in all_records(place.folder.parent)
        if record["name"] == name and not record["folder"].endswith(BEFORE)
    ]
    if others:
        old = max(others, key=lambda record: float(record["created"]))
        changed = in_words(differences(full(old["identity"]), full(identity)))
        emit(Note(f"This is a new run, not {Path(old['folder']).name}: {changed}."))


def full(identity: dict[str, Any]) -> dict[str, Any]:
    """Add the options that were left at their defaults to an identity."""
    fields = [field for field in dataclasses.fields(Recipe) if field.name not in HORIZON]
    defaults = {field.name: field.default for field in fields}
    return {**identity, "recipe": {**defaults, **identity.get("recipe", {})}}


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """List what changed between two identities, `recipe.lr: 0.001 → 0.01` say.

    Long values, as code and hashes are, are only named.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in dict.fromkeys([*old, *new])
            for line in differences(old.get(name), new.get(name), f"{at}.{name}" if at else name)
        ]
    was, now = json.dumps(old), json.dumps(new)
    if was == now:
        return []
    return [f"{at}: {was} → {now}" if len(was) + len(now) < 80 else f"{at} changed"]


def in_words(changed: list[str]) -> str:
    """Say differences as a person would: options one by one, code and content by what they are."""
    options = [line.removeprefix("recipe.") for line in changed if line.startswith("recipe.")]
    parts = dict.fromkeys(line.split(":")[0].split()[0].split(".")[0] for line in changed)
    kinds = [KINDS[part] for part in parts if part in KINDS]
    return ", ".join([*kinds, *options]) or "begun from other weights"
