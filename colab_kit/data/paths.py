"""A path, name or link, understood: a folder or archive of pictures, a name of the catalog, what a link gives, or what is there instead."""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..colab.reading import STUMBLES, cannot_read, is_folder, there
from ..colab.staging import stage, unpacked
from ..errors import ColabKitError, DataError
from ..events import Control, Event
from ..fetching.fetch import fetch
from ..fetching.links.parse import understand
from ..system.archives.names import is_archive, stem
from ..system.files import home
from . import folders
from .arrays import Part, of_found, of_pair
from .catalog import catalog
from .tables import Labels

StandIn = Callable[[str], Path | None]


def open_place(
    source: str | os.PathLike[str],
    labels: Labels | None,
    emit: Callable[[Event], None],
    stand_in: StandIn,
    control: Control | None = None,
) -> tuple[dict[str, Part], str, Path | None]:
    """The parts that lie at a path or under a catalog name, what they are called, and the folder they are in.

    Parameters
    ----------
    stand_in : callable(path) -> Path or None
        Where the stand-in for Drive keeps what was typed as a path on Drive.

    Raises
    ------
    DataError
        Nothing is there, or neither a folder nor an archive; or it lies on Drive, and the fast disk has no room for it.
    FetchError
        A link did not give it.
    DriveError
        It could not be read from Drive.
    """
    text = os.fspath(source)
    path = Path(os.path.expanduser(text))
    if text and _there(path):
        folder, called = _at_hand(path, emit, control)
        if known := catalog.from_folder(folder):
            return (
                _known(known, labels),
                called if known.name == folder.name else known.name,
                folder,
            )
        found = folders.scan(folder)
        return of_found(found, _moved(labels, path, folder)), called, found.root
    if isinstance(source, str) and (name := catalog.canonical(text)) is not None:
        _refuse(labels, name)  # before anything is fetched
        known = catalog.open_known(name, emit=emit, control=control)
        return (
            _known(known, labels),
            name,
            known.splits.root if isinstance(known.splits, folders.Found) else None,
        )
    if (fetched := _fetched(text, emit, control)) is not None:
        return open_place(fetched, labels, emit, stand_in, control)
    raise _missing(text, path, stand_in)


def open_split(
    source: str | os.PathLike[str],
    labels: Labels | None,
    emit: Callable[[Event], None],
    stand_in: StandIn,
    control: Control | None = None,
) -> Part:
    """The one part of a folder that is a split: class folders, or pictures with labels told beside them."""
    text = os.fspath(source)
    path = Path(os.path.expanduser(text))
    if not _there(path):
        if (fetched := _fetched(text, emit, control)) is None:
            raise _missing(text, path, stand_in)
        path = fetched
    folder, _ = _at_hand(path, emit, control)
    return of_found(folders.scan_split(folder), _moved(labels, path, folder))["train"]


def _fetched(text: str, emit: Callable[[Event], None], control: Control | None) -> Path | None:
    """What a link gives, on the fast disk; None for what is no link."""
    link = understand(text) if text and "\0" not in text else None
    if link is None or link.kind == "file" and not text.lower().startswith("file:"):
        return None
    key = hashlib.sha256(link.identity.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    to = home() / "fetched" / key
    return fetch(
        text,
        f"{to / 'files' if link.kind.endswith('-folder') else to}{os.sep}",
        callbacks=[emit],
        quiet=True,
        control=control,
    ).path


def _there(path: Path) -> bool:
    """Whether something is there; a Drive that stumbles at the question is not an empty one."""
    try:
        return there(path)
    except OSError as err:
        if err.errno in STUMBLES:
            raise cannot_read(path, err) from err
        return False


def _asked(path: Path, question: Callable[[Path], bool]) -> bool:
    try:
        return question(path)
    except OSError as err:
        raise cannot_read(path, err) from err


def _at_hand(
    path: Path, emit: Callable[[Event], None], control: Control | None
) -> tuple[Path, str]:
    """The folder to read, on a fast disk and unpacked, and what it is called."""
    name = path.resolve().name
    if _asked(path, is_folder):
        return stage(path, emit=emit, control=control), name
    if not is_archive(name):
        raise _a_file(path)
    return unpacked(stage(path, emit=emit, control=control), emit=emit, control=control), stem(name)


def _moved(labels: Any, given: Path, folder: Path) -> Any:
    """Labels told of `given`, for its files now that they lie in `folder`."""
    given = given.absolute()
    if folder == given or labels is None:
        return labels
    if callable(labels) and _asked(given, is_folder):
        return functools.wraps(labels)(lambda path: labels(given / path.relative_to(folder)))
    if isinstance(labels, Mapping):
        return {_below(name, given): label for name, label in labels.items()}
    if isinstance(labels, str | os.PathLike) and not _asked(Path(labels).expanduser(), there):
        return (
            given.parent / labels if _asked(given.parent / labels, there) else labels
        )  # beside it
    return labels


def _below(name: Any, given: Path) -> Any:
    path = Path(name) if isinstance(name, str | os.PathLike) else None
    return path.relative_to(given) if path is not None and path.is_relative_to(given) else name


def _known(known: catalog.Known, labels: Any) -> dict[str, Part]:
    _refuse(labels, known.name)
    if isinstance(known.splits, folders.Found):
        parts = of_found(known.splits, None)
    else:
        parts = {name: of_pair(*pair) for name, pair in known.splits.items()}
    return {name: replace(part, classes=known.classes) for name, part in parts.items()}


def _refuse(labels: Any, name: str) -> None:
    if labels is not None:
        raise DataError(
            f"labels= does not go with {name}.", "it brings its own labels", "leave labels= out"
        )


def _a_file(path: Path) -> DataError:
    name, what = path.name.lower(), f"{path} is a file."
    if name.endswith((".csv", ".tsv")):
        return DataError(
            what,
            "a table says labels, not where the pictures are",
            f"kit.load(folder_of_pictures, labels={str(path)!r})",
        )
    if name.endswith((".npy", ".npz")):
        return DataError(
            what,
            "arrays are passed as they are",
            "a = np.load(file), then kit.load((a['x'], a['y']))",
        )
    if name.endswith(tuple(folders.PICTURES)):
        above = str(path.parent.parent)
        return DataError(
            what,
            "one picture is nothing to learn from",
            f"load the folder above the class folders: {above!r}",
        )
    return DataError(
        what, "a folder of pictures, arrays, or a dataset is expected", "give the folder"
    )


def _missing(text: str, path: Path, stand_in: StandIn) -> ColabKitError:
    if (kept := stand_in(text)) is not None:
        there = (
            "and it is there"
            if os.path.exists(kept)
            else "and nothing is there yet: copy the pictures to it"
        )
        what = f"{text} is on Google Drive, and none is mounted here."
        return DataError(what, f"its stand-in is {kept}, {there}", f"kit.load({str(kept)!r})")
    parent = next((p for p in path.absolute().parents if os.path.isdir(p)), Path("/"))
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        names = []
    missed = path.absolute().relative_to(parent).parts[0] if text else ""
    near = difflib.get_close_matches(missed, names, 1) or [
        n for n in names if missed and n.casefold() == missed.casefold()
    ]
    known = catalog.near(text) if os.sep not in text else None
    meant = ([f"kit.load({known!r})"] if known else []) + (
        [repr(str(parent / near[0]))] if near else []
    )
    if meant:
        fix = f"did you mean {' or '.join(meant)}?"
    else:
        fix = f"give a path that exists, or a name of the catalog: {', '.join(catalog.SETS)}"
    return DataError(
        f"There is no {text!r}.",
        f"{parent} has no {missed!r}" if missed else "the path is empty",
        fix,
    )
