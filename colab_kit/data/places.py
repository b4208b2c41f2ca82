"""A path or a name, understood: a folder of pictures or idx files, a name of the catalog, or a sentence that says what is there."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import web
from ..errors import DataError
from ..events import Event
from . import catalog, folders
from .sources import Part, of_found, of_pair
from .tables import Labels

StandIn = Callable[[str], Path | None]


def open_place(
    source: str | os.PathLike[str], labels: Labels | None, emit: Callable[[Event], None], stand_in: StandIn
) -> tuple[dict[str, Part], str, Path | None]:
    """The parts that lie at a path or under a catalog name, what they are called, and the folder they are in.

    Parameters
    ----------
    stand_in : callable(path) -> Path or None
        Where the stand-in for Drive keeps what was typed as a path on Drive.

    Raises
    ------
    DataError
        Nothing is there, or no folder.
    """
    text = os.fspath(source)
    path = Path(os.path.expanduser(text))
    if os.path.isdir(path) and text:
        if known := catalog.from_folder(path):
            return _known(known, labels), known.name, path
        found = folders.scan(path)
        return of_found(found, labels), path.resolve().name, found.root
    if os.path.exists(path) and text:
        raise _a_file(path)
    name = text.lower().replace("_", "-")
    if isinstance(source, str) and name in catalog.SETS:
        return _known(catalog.open_known(name, emit=emit), labels), name, None
    raise _missing(text, path, stand_in)


def open_split(source: str | os.PathLike[str], labels: Labels | None, stand_in: StandIn) -> Part:
    """The one part of a folder that is a split: class folders, or pictures with labels told beside them."""
    text = os.fspath(source)
    path = Path(os.path.expanduser(text))
    if not os.path.isdir(path):
        raise _a_file(path) if os.path.exists(path) else _missing(text, path, stand_in)
    return of_found(folders.scan_split(path), labels)["train"]


def _known(known: catalog.Known, labels: Any) -> dict[str, Part]:
    if labels is not None:
        raise DataError(f"labels= does not go with {known.name}.", "it brings its own labels", "leave labels= out")
    parts = {}
    for name in ("train", "test"):
        part = of_pair(*getattr(known, name))
        parts[name] = Part(part.labels, part.make, part.print, known.classes)
    return parts


def _a_file(path: Path) -> DataError:
    name, what = path.name.lower(), f"{path} is a file."
    if name.endswith(folders.ARCHIVES):
        how = f"!unzip -q '{path}' -d '{path.with_suffix('')}'" if name.endswith(".zip") else f"!tar xf '{path}'"
        return DataError(what, "an archive has to be unpacked before it is loaded", f"{how}, then load the folder")
    if name.endswith((".csv", ".tsv")):
        return DataError(what, "a table says labels, not where the pictures are", f"kit.load(folder_of_pictures, labels={str(path)!r})")
    if name.endswith((".npy", ".npz")):
        return DataError(what, "arrays are passed as they are", "a = np.load(file), then kit.load((a['x'], a['y']))")
    if name.endswith(tuple(folders.PICTURES)):
        above = str(path.parent.parent)
        return DataError(what, "one picture is nothing to learn from", f"load the folder above the class folders: {above!r}")
    return DataError(what, "a folder of pictures, arrays, or a dataset is expected", "give the folder")


def _missing(text: str, path: Path, stand_in: StandIn) -> DataError:
    if "://" in text:
        return DataError(
            f"{web.public(text)} is an address, and load() reads what is on this machine.",
            "nothing was downloaded",
            "download and unpack it first (!wget, !unzip -q), then load the folder",
        )
    if (kept := stand_in(text)) is not None:
        there = "and it is there" if kept.exists() else "and nothing is there yet: copy the pictures to it"
        what = f"{text} is on Google Drive, and none is mounted here."
        return DataError(what, f"its stand-in is {kept}, {there}", f"kit.load({str(kept)!r})")
    parent = next((p for p in path.absolute().parents if p.is_dir()), Path("/"))
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        names = []
    missed = path.absolute().relative_to(parent).parts[0] if text else ""
    near = difflib.get_close_matches(missed, names, 1) or [n for n in names if missed and n.casefold() == missed.casefold()]
    known = difflib.get_close_matches(text.lower(), catalog.SETS, 1) if os.sep not in text else []
    if known:
        fix = f"did you mean kit.load({known[0]!r})?"
    elif near:
        fix = f"did you mean {str(parent / near[0])!r}?"
    else:
        fix = f"give a path that exists, or a name of the catalog: {', '.join(catalog.SETS)}"
    return DataError(f"There is no {text!r}.", f"{parent} has no {missed!r}" if missed else "the path is empty", fix)
