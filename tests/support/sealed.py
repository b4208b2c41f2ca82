"""Sealed files without torch, for tests of the way to Drive; records written anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from colab_kit.system.files import SEAL as HOLE
from colab_kit.system.files import seal, stamp
from colab_kit.system.sealed import OF, RUN, SEAL, write_record


def sealed(
    folder: Path, step: int, *, start: str = "s", size: int = 5000, kind: str = "checkpoint"
) -> Path:
    """Write a file of a series as checkpoint.write does: stamped and sealed."""
    mark = {"sha256": HOLE, "start": start, "step": str(step), "facts": "{}"}
    header = json.dumps({"__metadata__": mark}, separators=(",", ":")).encode()
    path = folder / f"{kind}-{step:09d}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(len(header).to_bytes(8, "little") + header + bytes([step % 251]) * size))
    return path


def steps(folder: Path, kind: str = "checkpoint") -> dict[str, int]:
    """What the slots' stamps say: {"a": 10, "b": 20}."""
    marks = {path.stem[-1]: stamp(path) for path in sorted(folder.glob(f"{kind}-?.safetensors"))}
    return {letter: int(mark["step"]) if mark else -1 for letter, mark in marks.items()}


def rewrite(path: Path, **changes: Any) -> None:
    """Change fields of a sealed record, and seal it again."""
    record = json.loads(path.read_text())
    content = {name: value for name, value in record.items() if name not in (SEAL, OF)}
    write_record(path, record[OF], content | changes)


def write_run(path: Path, record: dict[str, Any]) -> None:
    """Write a run.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, RUN, record)
