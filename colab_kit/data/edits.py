"""Edits: pictures that a person has looked at, and left out or given another label, before anything is split."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from . import fingerprints
from .arrays import Part
from .kinds import Pictures

Edits = Mapping[str, Any]  # file, below the source's folder -> its class, or None: left out


def name_of(path: Path, root: Path) -> str:
    """How an edit names a file: below the root, with / between folders."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def edited(part: Part, edits: Edits) -> tuple[Part, set[str]]:
    """A part of picture files as edited, and the names that it has.

    Raises
    ------
    DataError
        The pictures are no files.
    """
    source = part.make(np.zeros(len(part), np.int64))
    if not isinstance(source, Pictures):
        raise DataError(
            "label_edits= goes with picture files.",
            f"the source is {type(source).__name__.lower()}",
            "leave these rows out of X and y",
        )
    names = [name_of(path, source.root) for path in source.paths]
    found = {name: row for row, name in enumerate(names) if name in edits}
    if not found:
        return part, set()
    labels = part.labels.copy()
    for name, row in found.items():
        if edits[name] is not None:
            labels[row] = edits[name]
    keep = np.array(
        [row for row, name in enumerate(names) if not (name in edits and edits[name] is None)],
        np.int64,
    )
    paths, root = [source.paths[row] for row in keep], source.root
    seen = fingerprints.of_value(
        [part.print, sorted(name for name in found if edits[name] is None)]
    )
    made = dataclasses.replace(
        part,
        labels=labels[keep],
        make=lambda numbers: Pictures(paths, numbers, root, seen),
        print=seen,
    )
    return made, set(found)
