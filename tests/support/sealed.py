"""Sealed files without torch, for tests of the way to Drive."""

from __future__ import annotations

import json
from pathlib import Path

from colab_kit.system.files import SEAL, seal, stamp


def sealed(
    folder: Path, step: int, *, start: str = "s", size: int = 5000, kind: str = "checkpoint"
) -> Path:
    """Write a file of a series as checkpoint.write does: stamped and sealed."""
    mark = {"sha256": SEAL, "start": start, "step": str(step), "facts": "{}"}
    header = json.dumps({"__metadata__": mark}, separators=(",", ":")).encode()
    path = folder / f"{kind}-{step:09d}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(len(header).to_bytes(8, "little") + header + bytes([step % 251]) * size))
    return path


def steps(folder: Path, kind: str = "checkpoint") -> dict[str, int]:
    """What the slots' stamps say: {"a": 10, "b": 20}."""
    marks = {path.stem[-1]: stamp(path) for path in sorted(folder.glob(f"{kind}-?.safetensors"))}
    return {letter: int(mark["step"]) if mark else -1 for letter, mark in marks.items()}
